//! Langevin dynamics against closed forms.
//!
//! Statistical bounds: a sample variance of n independent normal numbers has the relative standard
//! deviation `sqrt(2/n)`. A bound of 4.89 standard deviations is exceeded by chance once in 1e6
//! (normal approximation). Seeds are fixed, so a test passes always or never.

use std::f64::consts::PI;

use wasserflow::integrator::from_fn;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

/// Standard deviations that are exceeded once in 1e6.
const BOUND: f64 = 4.89;
/// Independent particles.
const M: usize = 40_000;

fn well(k: f64) -> PotentialEnergy<WeightDecay<f64>> {
    PotentialEnergy::new(WeightDecay::new(k / 2.0).unwrap(), 1)
}

fn zeros(m: usize) -> EmpiricalMeasure<f64> {
    EmpiricalMeasure::uniform(DMatrix::zeros(1, m)).unwrap()
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// The mean of products, for means of 0.
fn covariance(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>() / x.len() as f64
}

/// Asserts that a sample variance of n numbers is within the bound of its expectation.
fn assert_variance(what: &str, found: f64, exact: f64, n: usize) {
    let deviations = (found / exact - 1.0) / (2.0 / n as f64).sqrt();
    assert!(
        deviations.abs() < BOUND,
        "{what}: {found}, {exact}: {deviations} deviations"
    );
}

/// C1: `V = lambda w^2`: stationary variance and autocovariance of the discrete method, exactly.
#[test]
fn euler_maruyama_in_a_quadratic_potential() {
    let (lambda, tau, eta) = (0.5, 0.2, 0.1);
    let mut flow = ParticleFlow::new(well(2.0 * lambda), Langevin::new(tau, 1).unwrap(), eta);
    let flow = flow.as_mut().unwrap();
    let mut state = flow.start(zeros(M)).unwrap();
    flow.run(&mut state, 150, &mut ()).unwrap();
    let before = state.measure().points().as_slice().to_vec();
    let variance = tau / (2.0 * lambda * (1.0 - lambda * eta));
    assert!((variance - 0.210_526_316).abs() < 1e-9);
    assert_variance("variance", covariance(&before, &before), variance, M);
    flow.run(&mut state, 5, &mut ()).unwrap();
    let after = state.measure().points().as_slice();
    let factor = (1.0 - 2.0 * lambda * eta).powi(5);
    assert!((variance * factor - 0.124_313_684).abs() < 1e-9);
    // The variance of a product of correlated normal numbers: v^2 (1 + rho^2).
    let deviation = variance * ((1.0 + factor * factor) / M as f64).sqrt();
    let error = covariance(&before, after) - variance * factor;
    assert!(error.abs() < BOUND * deviation, "{error}");
    let (mean, deviation) = (mean(after), (variance / M as f64).sqrt());
    assert!(mean.abs() < BOUND * deviation, "{mean}");
}

/// C2, C3: mean, variance and free energy along the flow from N(1.5, .04).
#[test]
fn a_gaussian_along_the_flow() {
    let (lambda, tau) = (0.5, 0.2);
    let mut rng = SampleRng::new(3, 0, 0, 0);
    let start = DMatrix::from_fn(1, M, |_, _| 1.5 + 0.2 * rng.normal());
    let free_energy = |mu: &EmpiricalMeasure<f64>| {
        lambda * mu.second_moment() - tau * measure::knn_entropy(mu, 3).unwrap()
    };
    let exact =
        |mean: f64, v: f64| lambda * (mean * mean + v) - tau / 2.0 * (1.0 + (2.0 * PI * v).ln());
    assert!((exact(1.5, 0.04) - 1.183_099_88).abs() < 1e-8);
    assert!((exact(0.551_819_162, 0.178_346_355) - 0.130_040_445).abs() < 1e-8);
    let minimum = -tau / 2.0 * (PI * tau / lambda).ln();
    assert!((minimum + 0.022_843_915_4).abs() < 1e-9);

    // Steps of 1e-3: the bias of the variance is of the order of 1e-4.
    let mut flow = ParticleFlow::new(well(2.0 * lambda), Langevin::new(tau, 5).unwrap(), 2e-3);
    let flow = flow.as_mut().unwrap();
    let mut state = flow
        .start(EmpiricalMeasure::uniform(start).unwrap())
        .unwrap();
    flow.run_until(&mut state, 1.0, &mut ()).unwrap();
    let w = state.measure().points().as_slice();
    let (centre, m) = (mean(w), M as f64);
    let variance = covariance(w, w) - centre * centre;
    let error = centre - 0.551_819_162;
    assert!(
        error.abs() < BOUND * (0.178_346_355 / m).sqrt() + 1e-3,
        "mean: {error}"
    );
    let error = variance / 0.178_346_355 - 1.0;
    assert!(
        error.abs() < BOUND * (2.0 / m).sqrt() + 1e-3,
        "variance: {error}"
    );
    // The entropy on 4000 particles: its standard deviation is about (0.5 + 1/k)^(1/2) / 4000^(1/2).
    let some = DMatrix::from_row_slice(1, 4000, &w[..4000]);
    let some = EmpiricalMeasure::uniform(some).unwrap();
    let error = free_energy(&some) - exact(0.551_819_162, 0.178_346_355);
    assert!(error.abs() < 0.02, "free energy: {error}");
}

/// C4, C5: BAOAB: the variance of the positions is exact for every step size, that of the momenta
/// is `tau (1 - h^2 k / 4)`; the autocovariance of the continuous process.
#[test]
fn baoab_in_a_quadratic_potential() {
    let (gamma, k, tau, h) = (1.0, 2.0, 0.5, 0.3);
    let integrator = KineticLangevin::new(tau, gamma, 2).unwrap();
    let mut flow = ParticleFlow::new(well(k), integrator, h).unwrap();
    let mut state = flow.start(zeros(M)).unwrap();
    flow.run(&mut state, 100, &mut ()).unwrap();
    let before = state.measure().points().as_slice().to_vec();
    let u = flow.integrator().momentum(&state);
    assert_variance("positions", covariance(&before, &before), tau / k, M);
    assert_variance("momenta", covariance(u.as_slice(), u.as_slice()), 0.4775, M);
    let both = covariance(&before, u.as_slice()) / (0.25_f64 * 0.4775 / M as f64).sqrt();
    assert!(
        both.abs() < BOUND,
        "positions and momenta: {both} deviations"
    );

    flow.run(&mut state, 3, &mut ()).unwrap(); // s = 0.9
    let found = covariance(&before, state.measure().points().as_slice());
    let deviation = 0.25 * ((1.0 + 0.46_f64.powi(2)) / M as f64).sqrt();
    let error = found - 0.115_105_731;
    // The bias of the steps is of the order of h^2 / 24.
    assert!(
        error.abs() < BOUND * deviation + 4e-3,
        "autocovariance: {error}"
    );
    flow.set_dt(0.02).unwrap();
    let before = state.measure().points().as_slice().to_vec();
    flow.run(&mut state, 45, &mut ()).unwrap();
    let error = covariance(&before, state.measure().points().as_slice()) - 0.115_105_731;
    assert!(
        error.abs() < BOUND * deviation + 1e-4,
        "autocovariance: {error}"
    );
}

/// C6: `F = (a/2) int w^2 dmu + (kappa/2) (int w dmu)^2` with a = kappa = 1.
fn interacting() -> impl Energy<f64> {
    let x = DMatrix::from_element(1, 1, 1.0);
    let risk = EmpiricalRisk::new(Square, x, DVector::zeros(1)).unwrap();
    let decay = WeightDecay::new(0.5).unwrap();
    MeanFieldRisk::new(Linear, risk).unwrap().regularized(decay)
}

/// The linear feature `Phi(w)(x) = w x`.
#[derive(Debug, Clone, Copy)]
struct Linear;

impl FeatureMap<f64> for Linear {
    fn particle_dim(&self) -> usize {
        1
    }
    fn input_dim(&self) -> usize {
        1
    }
    fn output_dim(&self) -> usize {
        1
    }
    fn add_value(&self, w: &[f64], x: &[f64], scale: f64, out: &mut [f64]) {
        out[0] += scale * w[0] * x[0];
    }
    fn add_vjp(&self, _: &[f64], x: &[f64], g: &[f64], out: &mut [f64]) {
        out[0] += g[0] * x[0];
    }
}

/// C6, C6b, C6c: variances of the particles and of their mean at every m, and the 1/m floor
/// `(r - 1 - log r) / (2m)` of the relative entropy of the m particles to the limit.
#[test]
fn mean_field_langevin_of_finitely_many_particles() {
    const PARTICLES: usize = 50;
    const SAMPLES: usize = 4000;
    let (tau, eta, m) = (0.1, 0.1, PARTICLES as f64);
    let integrator = Langevin::new(tau, 11).unwrap();
    let mut flow = ParticleFlow::new(interacting(), integrator, eta).unwrap();
    let mut state = flow.start(zeros(PARTICLES)).unwrap();
    flow.run(&mut state, 100, &mut ()).unwrap();
    let (mut means, mut within) = (0.0, 0.0);
    for _ in 0..SAMPLES {
        flow.run(&mut state, 20, &mut ()).unwrap(); // the mean forgets by 0.8^20 = 0.01
        let w = state.measure().points().as_slice();
        let centre = mean(w);
        means += centre * centre / SAMPLES as f64;
        within += (covariance(w, w) - centre * centre) / SAMPLES as f64;
    }
    // Euler-Maruyama: the contraction of the mean is 1 - 2 eta, of differences 1 - eta.
    let of_mean = 2.0 * tau * eta / (m * (1.0 - 0.8 * 0.8));
    assert!((of_mean - 0.001_111_111_11).abs() < 1e-11);
    assert_variance("mean", means, of_mean, SAMPLES);
    let of_differences = 2.0 * tau * eta / (1.0 - 0.9 * 0.9) * (1.0 - 1.0 / m);
    // Samples of differences forget by 0.9^20 = 0.12: as many as 0.97 of independent ones.
    let count = SAMPLES * (PARTICLES - 1) * 97 / 100;
    assert_variance("differences", within, of_differences, count);

    // In the limit eta -> 0: r is the ratio of m Var(mean) to the variance of the limit.
    let floor = |r: f64| (r - 1.0 - r.ln()) / (2.0 * m);
    assert!((floor(0.5) - 0.001_931_471_81).abs() < 1e-11);
    let ratio = (means / of_mean) * (0.001 * m / tau); // without the bias of the steps
    let slope = (1.0 - 1.0 / 0.5) / (2.0 * m) * 0.5; // d floor / d log r
    let deviation = slope.abs() * (2.0 / SAMPLES as f64).sqrt();
    let error = floor(ratio) - floor(0.5);
    assert!(
        error.abs() < BOUND * deviation * 1.1,
        "floor: {error}, deviation {deviation}"
    );
}

/// C6d: the mean decays at the rate `a + kappa`, differences at the rate a: the variance approaches
/// its limit at the rate 2 a, from a start that is too wide.
#[test]
fn rates_of_mean_field_langevin() {
    let (tau, eta, steps) = (0.1, 0.05, 20);
    let mut flow = ParticleFlow::new(interacting(), Langevin::new(tau, 3).unwrap(), eta).unwrap();
    let mut rng = SampleRng::new(4, 0, 0, 0);
    let start = DMatrix::from_fn(1, M, |_, _| 2.0 + rng.normal());
    let before = (mean(start.as_slice()), start.variance());
    let mut state = flow
        .start(EmpiricalMeasure::uniform(start).unwrap())
        .unwrap();
    flow.run(&mut state, steps, &mut ()).unwrap();
    let w = state.measure().points();
    // Exactly, for steps of eta: 1 - 2 eta for the mean, (1 - eta)^2 for variances.
    let exact = before.0 * (1.0 - 2.0 * eta).powi(steps as i32);
    assert!(
        (exact / before.0 - f64::exp(-2.0)).abs() < 0.02,
        "the rate of the flow is 2"
    );
    let error = mean(w.as_slice()) - exact;
    assert!(
        error.abs() < BOUND * (tau / M as f64).sqrt(),
        "mean: {error}"
    );
    let factor = (1.0 - eta).powi(2);
    let limit = 2.0 * tau * eta / (1.0 - factor);
    let exact = limit + (before.1 - limit) * factor.powi(steps as i32);
    assert_variance("variance", w.variance(), exact, M);
}

/// The same bits for any number of threads, after a resume, and for parts of the particles.
#[test]
fn noise_is_keyed_on_seed_step_and_particle() {
    let points = DMatrix::from_fn(2, 3000, |l, i| ((l + 2 * i) as f64).sin());
    let energy = || PotentialEnergy::new(WeightDecay::new(0.5).unwrap(), 2);
    let run = |threads: usize, columns: std::ops::Range<usize>, halves: [usize; 2]| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let start = points.columns_range(columns.clone()).into_owned();
        pool.unwrap().install(|| {
            let euler = Langevin::new(0.3, 7).unwrap().particles(columns.start, 1);
            let kinetic = KineticLangevin::new(0.3, 1.0, 7).unwrap();
            let kinetic = kinetic.particles(columns.start, 1);
            let integrators: [Box<dyn Integrator<f64>>; 2] = [Box::new(euler), Box::new(kinetic)];
            integrators.map(|mut integrator| {
                let mut state = State::new(EmpiricalMeasure::uniform(start.clone()).unwrap());
                for steps in halves {
                    let flow = ParticleFlow::new(energy(), &mut integrator, 0.1);
                    state = State::from_parts(state.to_parts()).unwrap();
                    flow.unwrap().run(&mut state, steps, &mut ()).unwrap();
                }
                state.into_measure().into_points()
            })
        })
    };
    let expected = run(1, 0..3000, [6, 0]);
    for threads in [2, 3, 7] {
        assert!(
            run(threads, 0..3000, [3, 3]) == expected,
            "{threads} threads"
        );
    }
    let parts = [0..1000, 1000..3000].map(|columns| run(2, columns, [6, 0]));
    for (i, expected) in expected.iter().enumerate() {
        let joined = [parts[0][i].as_slice(), parts[1][i].as_slice()].concat();
        assert_eq!(joined, expected.as_slice(), "parts of the particles");
    }
    // Another seed, another step and another coordinate: other numbers.
    let [first, _] = &expected;
    assert!(first.row(0) != first.row(1) && first.column(0) != first.column(1));
}

#[test]
fn temperatures_out_of_range_are_errors() {
    assert!(Langevin::new(-1.0, 1).is_err() && Langevin::new(f64::NAN, 1).is_err());
    assert!(KineticLangevin::new(1.0, -1.0, 1).is_err());
    for tau in [-1.0, f64::NAN, f64::INFINITY] {
        let integrator = Langevin::annealed(from_fn(move |_, _| tau), 1);
        let mut flow = ParticleFlow::new(well(1.0), integrator, 0.1).unwrap();
        let mut state = flow.start(zeros(3)).unwrap();
        let error = flow.advance(&mut state).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("temperature must be >= 0 and finite"),
            "{error}"
        );
    }
}

/// C7: the entropy by nearest neighbours, and of random points of known densities.
#[test]
fn entropies() {
    let entropy = |rows: usize, points: &[f64], k| {
        let points = DMatrix::from_column_slice(rows, points.len() / rows, points);
        measure::knn_entropy(&EmpiricalMeasure::uniform(points).unwrap(), k)
    };
    assert!((entropy(1, &[0.0, 0.5], 1).unwrap() - 1.0).abs() < 1e-15);
    let four = [0.0, 0.0, 1.0, 0.0, 0.0, 2.0, 3.0, 1.0];
    assert!((entropy(2, &four, 1).unwrap() - 3.726_996_29).abs() < 5e-9);
    assert!((entropy(2, &four, 2).unwrap() - 3.705_002_04).abs() < 5e-9);
    assert_eq!(
        entropy(1, &[1.0, 1.0, 2.0], 1),
        Ok(f64::NEG_INFINITY),
        "ties"
    );
    for k in [0, 4, 5] {
        entropy(2, &four, k).unwrap_err();
    }
    // The bias on equidistant points tends to gamma + log 2.
    let grid: Vec<f64> = (0..2000).map(|i| (i as f64 + 0.5) / 2000.0).collect();
    let bias = entropy(1, &grid, 1).unwrap();
    assert!((bias - 1.270_363).abs() < 1e-3, "{bias}");
    for p in [1, 2, 3] {
        let mut rng = SampleRng::new(5, p as u64, 0, 0);
        let points: Vec<f64> = (0..4000 * p).map(|_| rng.normal()).collect();
        let exact = p as f64 / 2.0 * (1.0 + (2.0 * PI).ln());
        let error = entropy(p, &points, 4).unwrap() - exact;
        assert!(error.abs() < 0.08, "p = {p}: {error}");
    }
}

/// The variance of the momentum after one step from rest, `tau (1 - e^{-2 gamma h})`, where
/// `1 - e^{-gamma h}` is below the rounding error of 1.
#[test]
fn kinetic_noise_of_little_friction() {
    fn variance<T: Real>(friction: f64, dt: T) -> f64 {
        let energy = PotentialEnergy::new(WeightDecay::<T>::new(T::zero()).unwrap(), 1);
        let integrator = KineticLangevin::new(T::one(), friction, 7).unwrap();
        let mut flow = ParticleFlow::new(energy, integrator, dt).unwrap();
        let start = EmpiricalMeasure::uniform(DMatrix::zeros(1, M)).unwrap();
        let mut state = flow.start(start).unwrap();
        flow.advance(&mut state).unwrap();
        let u = flow.integrator().momentum(&state);
        let u: Vec<f64> = u.iter().map(|u| u.to_f64().unwrap()).collect();
        covariance(&u, &u)
    }
    for gamma in [1e-2, 1e-4, 1e-9, 1e-14, 1e-17, 1e-100] {
        assert_variance("f64", variance(gamma, 1.0), -(-2.0 * gamma).exp_m1(), M);
    }
    for gamma in [1e-2, 1e-5, 1e-7, 1e-9, 1e-20] {
        assert_variance("f32", variance(gamma, 1.0_f32), -(-2.0 * gamma).exp_m1(), M);
    }
}

/// Noise whose variance is below the range of the scalar: the deviation is not.
#[test]
fn noise_of_a_variance_that_underflows() {
    let energy = || PotentialEnergy::new(WeightDecay::new(0.0).unwrap(), 1);
    for (tau, dt, exact) in [
        (5e-201, 1e-200, 1e-200),
        (5e-201, 1e-119, 10.0_f64.powf(-159.5)),
    ] {
        let mut flow = ParticleFlow::new(energy(), Langevin::new(tau, 7).unwrap(), dt).unwrap();
        let mut state = flow.start(zeros(M)).unwrap();
        flow.advance(&mut state).unwrap();
        let scaled: Vec<f64> = state.measure().points().iter().map(|w| w / exact).collect();
        assert_variance("Euler-Maruyama", covariance(&scaled, &scaled), 1.0, M);
    }
    let kinetic = KineticLangevin::new(1e-200, 1e-120, 7).unwrap();
    let mut flow = ParticleFlow::new(energy(), kinetic, 1.0).unwrap();
    let mut state = flow.start(zeros(M)).unwrap();
    flow.advance(&mut state).unwrap();
    let u = flow.integrator().momentum(&state);
    let scaled: Vec<f64> = u.iter().map(|u| u / 2.0_f64.sqrt() * 1e160).collect();
    assert_variance("BAOAB", covariance(&scaled, &scaled), 1.0, M);
}

#[test]
fn the_entropy_of_no_mass_is_an_error() {
    let points = DMatrix::from_row_slice(1, 3, &[0.0, 1.0, 3.0]);
    let mu = EmpiricalMeasure::weighted(points, DVector::zeros(3)).unwrap();
    let error = measure::knn_entropy(&mu, 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "weight of a particle must be positive, found 0"
    );
}
