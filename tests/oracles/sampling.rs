//! Kernel energies for sampling: energy distance, Stein discrepancy, SVGD, against closed forms.

use wasserflow::flow::StartError;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::testing::CaseRng;

fn uniform(p: usize, points: &[f64]) -> EmpiricalMeasure<f64> {
    EmpiricalMeasure::uniform(DMatrix::from_column_slice(p, points.len() / p, points)).unwrap()
}

/// m equidistant quantiles of U[0, 1].
fn quantiles(m: usize) -> Vec<f64> {
    (0..m).map(|i| (i as f64 + 0.5) / m as f64).collect()
}

/// The quantile function of N(0, 1) (bisection of the distribution function by `erf`).
fn normal_quantile(u: f64) -> f64 {
    let distribution = |x: f64| 0.5 * (1.0 + Activation::value(&Erf, x / 2.0_f64.sqrt()));
    let (mut low, mut high) = (-9.0, 9.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if distribution(middle) < u {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

fn riesz(exponent: f64) -> Riesz {
    Riesz::new(exponent).unwrap()
}

/// D9 in one dimension, on 400 quantiles: N(0, 1) and N(1, 1/4).
#[test]
fn the_energy_distance_of_normal_laws() {
    let normal: Vec<f64> = quantiles(400).into_iter().map(normal_quantile).collect();
    let other: Vec<f64> = normal.iter().map(|x| 1.0 + 0.5 * x).collect();
    let mut energy = EnergyDistance::new(riesz(1.0), uniform(1, &other)).unwrap();
    let value = energy.value(&uniform(1, &normal));
    assert!((value - 0.380_589_335).abs() < 3e-4, "{value}");
    // In one dimension it is the integral of the squared difference of the distribution functions.
    let (mut sorted, mut integral) = ([normal.clone(), other.clone()].concat(), 0.0);
    sorted.sort_by(f64::total_cmp);
    for pair in sorted.windows(2) {
        let count = |x: &[f64]| x.iter().filter(|x| **x <= pair[0]).count() as f64 / 400.0;
        integral += (count(&normal) - count(&other)).powi(2) * (pair[1] - pair[0]);
    }
    assert!((value - integral).abs() < 1e-12, "{value}, {integral}");
}

/// D9 in the plane, with random points: N(0, I) and N(0, 4 I), .143814832.
#[test]
fn the_energy_distance_in_the_plane() {
    let mut rng = SampleRng::new(1, 0, 0, 0);
    let mut cloud = |s: f64| -> Vec<f64> { (0..3000).map(|_| s * rng.normal()).collect() };
    let (mu, nu) = (uniform(2, &cloud(1.0)), uniform(2, &cloud(2.0)));
    let value = EnergyDistance::new(riesz(1.0), nu).unwrap().value(&mu);
    // The diagonal of distance 0 biases F by (E|X-X'| + E|Y-Y'|) / (2 m) = 0.0018.
    let bias = (1.0 + 2.0) * std::f64::consts::PI.sqrt() / (2.0 * 1500.0);
    assert!((value - bias - 0.143_814_832).abs() < 0.012, "{value}");
}

/// D10: `q_i = u_i + (q_i(0) - u_i) e^{-2t}` to U[0, 1], from 1/2 with a spread of 1e-9.
#[test]
fn the_energy_distance_flow_on_the_line() {
    let m = 50;
    let target = uniform(1, &quantiles(5000));
    let energy = EnergyDistance::new(riesz(1.0), target).unwrap();
    let start: Vec<f64> = quantiles(m)
        .iter()
        .map(|u| 0.5 + 1e-9 * (u - 0.5))
        .collect();
    let mut flow = ParticleFlow::new(energy, Rk4, 0.025).unwrap();
    let mut state = flow.start(uniform(1, &start)).unwrap();
    flow.run_until(&mut state, 0.5, &mut ()).unwrap();
    let w = state.measure().points();
    let variance = w.iter().map(|w| (w - 0.5) * (w - 0.5)).sum::<f64>() / m as f64;
    let exact = 0.033_298_033_4 * (1.0 - 1.0 / (m * m) as f64);
    assert!((variance - exact).abs() < 1e-4, "{variance}, {exact}");
    for (w, u) in w.iter().zip(quantiles(m)) {
        let exact = u + (0.5 - u) * f64::exp(-1.0);
        assert!((w - exact).abs() < 1e-3, "{w}, {exact}");
    }
}

/// F is not clamped: with other masses it is negative, and a flow is a typed error.
#[test]
fn masses_have_to_agree() {
    let target = uniform(1, &[0.0]);
    let weights = DVector::from_element(2, 1.5);
    let points = DMatrix::from_row_slice(1, 2, &[0.0, 1.0]);
    let mu = EmpiricalMeasure::weighted(points, weights).unwrap();
    let mut energy = EnergyDistance::new(riesz(1.0), target).unwrap();
    assert_eq!(energy.value(&mu), -0.75);
    let mut flow = ParticleFlow::new(energy, Euler, 0.1).unwrap();
    let error = flow.start(mu).unwrap_err();
    assert!(matches!(error, StartError::Parameter(_)), "{error}");
    let message = "mass of the measure must be equal to the mass of the target, found 3";
    assert_eq!(error.to_string(), message);
    // In a sum, too, and after a change of the weights.
    let decay = PotentialEnergy::new(WeightDecay::new(0.1).unwrap(), 1);
    let energy = EnergyDistance::new(riesz(1.0), uniform(1, &[0.0])).unwrap();
    let mut flow = ParticleFlow::new(Sum::new(decay, energy).unwrap(), Euler, 0.1).unwrap();
    let mut state = flow.start(uniform(1, &[1.0, 2.0])).unwrap();
    flow.advance(&mut state).unwrap();
    state.measure_mut().weights_mut()[0] = 1.0;
    let error = flow.advance(&mut state).unwrap_err();
    assert!(matches!(error, StepError::Parameter(_)), "{error}");
}

/// The score of N(mean, v I).
struct Normal {
    mean: f64,
    v: f64,
}

impl Score<f64> for Normal {
    fn score(&self, w: &[f64], out: &mut [f64]) {
        out.iter_mut()
            .zip(w)
            .for_each(|(out, w)| *out = (self.mean - w) / self.v);
    }
    fn hessian_product(&self, _: &[f64], v: &[f64], out: &mut [f64]) {
        out.iter_mut()
            .zip(v)
            .for_each(|(out, v)| *out = -v / self.v);
    }
}

const STANDARD: Normal = Normal { mean: 0.0, v: 1.0 };

/// The kernel `exp(-|w - v|^2 / (2 h))` in `R^p`.
fn gaussian(p: usize, h: f64) -> Gaussian<f64> {
    Gaussian::new(p, h.sqrt()).unwrap()
}

/// KSD^2 of `mu` to N(0, I).
fn squared(kernel: impl RadialKernel<f64>, mu: &EmpiricalMeasure<f64>) -> f64 {
    2.0 * SteinDiscrepancy::new(STANDARD, kernel, mu.dim()).value(mu)
}

/// D11: points, a unit mass, Gaussian laws by 2000 quantiles, the kernel at one pair.
#[test]
fn values_of_the_stein_discrepancy() {
    let points = uniform(1, &[-1.0, 0.5, 2.0]);
    let quadric = InverseMultiquadric::new(1.0).unwrap();
    assert!((squared(gaussian(1, 1.0), &points) - 0.400_819_562).abs() < 5e-10);
    assert!((squared(quadric, &points) - 0.510_193_881).abs() < 5e-10);
    // The first variation of a unit mass is the kernel.
    let mut energy = SteinDiscrepancy::new(STANDARD, quadric, 1);
    let (at, mut value) = (DMatrix::from_element(1, 1, 0.7), [0.0]);
    let mut descent = at.clone();
    energy.first_variation(&uniform(1, &[-0.4]), &at, &mut value, &mut descent);
    assert!((value[0] + 0.752_216_789).abs() < 5e-10, "{}", value[0]);
    assert!((squared(gaussian(1, 0.5), &uniform(1, &[1.5])) - 4.25).abs() < 1e-14);
    assert!((squared(gaussian(2, 0.5), &uniform(2, &[1.5, 0.0])) - 6.25).abs() < 1e-14);
    let normal: Vec<f64> = quantiles(1000).into_iter().map(normal_quantile).collect();
    for (m, v, h, exact) in [
        (1.0, 1.0, 1.0, 0.577_350_269),
        (0.5, 0.25, 0.5, 0.574_524_260),
        (0.0, 1.0, 1.0, 0.0),
    ] {
        let law: Vec<f64> = normal.iter().map(|x| m + f64::sqrt(v) * x).collect();
        let found = squared(gaussian(1, h), &uniform(1, &law));
        assert!(
            (found - exact).abs() < 4e-3,
            "N({m}, {v}), h = {h}: {found}, {exact}"
        );
    }
}

/// D11: the flow of a unit mass is `a e^{-t}`; the best pair; the axis of a mixture is invariant.
#[test]
fn flows_of_the_stein_discrepancy() {
    let energy = SteinDiscrepancy::new(STANDARD, gaussian(2, 0.5), 2);
    let mut flow = ParticleFlow::new(energy, Rk4, 0.01).unwrap();
    let mut state = flow.start(uniform(2, &[1.5, -0.5])).unwrap();
    flow.run_until(&mut state, 1.0, &mut ()).unwrap();
    let expected = [1.5, -0.5].map(|a: f64| a * f64::exp(-1.0));
    for (w, exact) in state.measure().particle(0).iter().zip(expected) {
        assert!((w - exact).abs() < 1e-9, "{w}, {exact}");
    }

    let energy = SteinDiscrepancy::new(STANDARD, gaussian(1, 1.0), 1);
    let mut flow = ParticleFlow::new(energy, Rk4, 0.1).unwrap();
    let mut state = flow.start(uniform(1, &[-0.4, 0.4])).unwrap();
    flow.run_until(&mut state, 60.0, &mut ()).unwrap();
    let r = state.measure().particle(1)[0];
    assert!((r - 0.684_934_735).abs() < 1e-8, "{r}");
    assert!((2.0 * state.energy() - 0.104_134_358).abs() < 1e-9);

    let energy = SteinDiscrepancy::new(Mixture, gaussian(2, 0.5), 2);
    let mut rng = CaseRng::new(3);
    let points = DMatrix::from_fn(
        2,
        20,
        |l, _| if l == 0 { 0.0 } else { rng.uniform(-1.0, 1.0) },
    );
    let mut flow = ParticleFlow::new(energy, Euler, 0.05).unwrap();
    let mut state = flow
        .start(EmpiricalMeasure::uniform(points).unwrap())
        .unwrap();
    flow.run(&mut state, 200, &mut ()).unwrap();
    assert!(
        state.measure().points().row(0).iter().all(|x| *x == 0.0),
        "the axis is invariant"
    );
}

/// The mixture of N(+-e_1, 0.3 I): `s(w) = (tanh(w_1 / 0.3) e_1 - w) / 0.3`.
struct Mixture;

impl Score<f64> for Mixture {
    fn score(&self, w: &[f64], out: &mut [f64]) {
        out.copy_from_slice(w);
        out.iter_mut().for_each(|x| *x /= -0.3);
        out[0] += (w[0] / 0.3).tanh() / 0.3;
    }
    fn hessian_product(&self, w: &[f64], v: &[f64], out: &mut [f64]) {
        out.copy_from_slice(v);
        out.iter_mut().for_each(|x| *x /= -0.3);
        out[0] += v[0] / (0.09 * (w[0] / 0.3).cosh().powi(2));
    }
}

#[test]
fn a_score_that_is_nan_is_an_error() {
    struct Nan;
    impl Score<f64> for Nan {
        fn score(&self, _: &[f64], out: &mut [f64]) {
            out.fill(f64::NAN);
        }
        fn hessian_product(&self, _: &[f64], _: &[f64], out: &mut [f64]) {
            out.fill(f64::NAN);
        }
    }
    let energy = SteinDiscrepancy::new(Nan, gaussian(1, 1.0), 1);
    let mut flow = ParticleFlow::new(energy, Euler, 0.1).unwrap();
    let error = flow.start(uniform(1, &[0.0])).unwrap_err();
    assert!(matches!(error, StartError::NonFinite { .. }), "{error}");
}

/// The third derivative of the kernel overflows: a flow is refused, not NaN.
#[test]
fn a_bandwidth_that_is_too_short_is_an_error() {
    let flow = |h: f64| {
        let energy = SteinDiscrepancy::new(STANDARD, Gaussian::new(1, h).unwrap(), 1);
        let mut flow = ParticleFlow::new(energy, Euler, 0.1).unwrap();
        flow.start(uniform(1, &[0.0, 1.0])).map(drop)
    };
    assert!(flow(1e-50).is_ok());
    let text = flow(1e-60).unwrap_err().to_string();
    assert!(
        text.contains("finite, as for a longer bandwidth, found -inf"),
        "{text}"
    );
    let mut energy = SteinDiscrepancy::new(STANDARD, Gaussian::new(1, 1e-50).unwrap(), 1);
    let mut v = DMatrix::zeros(1, 2);
    let value = energy.velocity(&uniform(1, &[0.0, 1.0]), &mut v);
    assert!(
        value.is_finite() && v.iter().all(|v| v.is_finite()),
        "{value}, {v}"
    );
}

/// `K(w, v) = w v + 1`.
struct Bilinear;

impl Kernel<f64> for Bilinear {
    fn dim(&self) -> usize {
        1
    }
    fn value(&self, w: &[f64], v: &[f64]) -> f64 {
        w[0] * v[0] + 1.0
    }
    fn gradient(&self, _: &[f64], v: &[f64], scale: f64, out: &mut [f64]) {
        out[0] += scale * v[0];
    }
}

fn svgd(
    kernel: impl Kernel<f64>,
    mu: EmpiricalMeasure<f64>,
    dt: f64,
    time: f64,
) -> EmpiricalMeasure<f64> {
    let energy = PotentialEnergy::new(WeightDecay::new(0.5).unwrap(), 1);
    let mut flow = ParticleFlow::new(energy, Svgd::new(kernel, 1.0).unwrap(), dt).unwrap();
    let mut state = flow.start(mu).unwrap();
    flow.run_until(&mut state, time, &mut ()).unwrap();
    state.into_measure()
}

/// D12: the kernel `w v + 1` and the target N(0, 1): `M2(t) = 1 / (1 + (1/M2(0) - 1) e^{-2t})` for
/// every m, to order 1 in the step.
#[test]
fn svgd_with_a_bilinear_kernel() {
    let start = || uniform(1, &[-0.3, 0.3, -1.2, 1.2]);
    let error = |dt| svgd(Bilinear, start(), dt, 1.0).second_moment() - 0.960_085_793;
    let (coarse, fine) = (error(1e-2), error(5e-3));
    assert!(
        fine.abs() < 1e-3 && (2.0 * fine - coarse).abs() < 1e-5,
        "{coarse:e}, {fine:e}"
    );
}

/// D13: the fixed point of a pair; one particle performs gradient ascent.
#[test]
fn svgd_of_a_pair() {
    let pair = svgd(gaussian(1, 1.0), uniform(1, &[-0.2, 0.2]), 0.1, 40.0);
    assert!((pair.particle(1)[0] - 0.741_151_904).abs() < 5e-10);
    let one = svgd(gaussian(1, 1.0), uniform(1, &[1.0]), 0.5, 2.0);
    assert_eq!(one.particle(0)[0], 0.0625);
    let energy = PotentialEnergy::new(WeightDecay::new(0.5).unwrap(), 1);
    let wrong = Svgd::new(gaussian(2, 1.0), 1.0).unwrap();
    let mut flow = ParticleFlow::new(energy, wrong, 0.1).unwrap();
    let mut state = flow.start(uniform(1, &[1.0])).unwrap();
    assert!(matches!(flow.advance(&mut state), Err(StepError::Shape(_))));
}

/// The results are identical for 1, 2, 3 and 7 threads.
#[test]
fn results_do_not_depend_on_the_threads() {
    let mut rng = CaseRng::new(2);
    let mut cloud = |m: usize| -> DMatrix<f64> { rng.matrix(2, m) };
    let (mu, nu) = (cloud(300), cloud(200));
    let [mu, nu] = [mu, nu].map(|points| EmpiricalMeasure::uniform(points).unwrap());
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| {
            let mut distance = EnergyDistance::new(riesz(1.0), nu.clone()).unwrap();
            let mut stein = SteinDiscrepancy::new(STANDARD, gaussian(2, 0.5), 2);
            let [mut a, mut b] = [(); 2].map(|()| mu.points().clone());
            let values = [distance.velocity(&mu, &mut a), stein.velocity(&mu, &mut b)];
            (values, a, b)
        })
    };
    let expected = run(1);
    for threads in [2, 3, 7] {
        assert!(run(threads) == expected, "{threads} threads");
    }
}
