//! Exact properties of flows: conservation laws, closed forms, symmetries.

use std::f64::consts::{PI, TAU};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::{DMatrix, DVector, SMatrix, SVector};
use wasserflow::observe::{Trace, UntilStationary};
use wasserflow::prelude::*;

fn numbers(seed: u64, rows: usize, columns: usize) -> DMatrix<f64> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    DMatrix::from_fn(rows, columns, |_, _| rng.random_range(-1.5..1.5))
}

fn measure(seed: u64, p: usize, m: usize) -> EmpiricalMeasure<f64> {
    let weights = DVector::from_fn(m, |i, _| [0.5, 0.25, 0.0, 0.375][i % 4]);
    EmpiricalMeasure::weighted(numbers(seed, p, m), weights).unwrap()
}

fn regression(seed: u64, d: usize, n: usize) -> EmpiricalRisk<Square, f64> {
    EmpiricalRisk::new(
        Square,
        numbers(seed, d, n),
        numbers(seed + 1, n, 1).column(0).into_owned(),
    )
    .unwrap()
}

fn classification(seed: u64, d: usize, n: usize) -> EmpiricalRisk<Logistic, f64> {
    let y = DVector::from_fn(n, |j, _| if j % 3 == 1 { -1.0 } else { 1.0 });
    EmpiricalRisk::new(Logistic, numbers(seed, d, n), y).unwrap()
}

fn decay(lambda: f64) -> WeightDecay<f64> {
    WeightDecay::new(lambda).unwrap()
}

/// The integral of equidistant samples by Boole's rule: error `O(dt^6)`.
fn boole(f: &[f64], dt: f64) -> f64 {
    assert_eq!(f.len() % 4, 1);
    let panel = |f: &[f64]| 7.0 * (f[0] + f[4]) + 32.0 * (f[1] + f[3]) + 12.0 * f[2];
    f.windows(5).step_by(4).map(panel).sum::<f64>() * dt * 2.0 / 45.0
}

/// A method with fixed steps: it has a tolerance that accepts every step, and proposes none.
struct Fixed<I>(I);

impl<I: Integrator<f64>> Integrator<f64> for Fixed<I> {
    fn order(&self) -> u32 {
        self.0.order()
    }
    fn step(
        &mut self,
        energy: &mut dyn Energy<f64>,
        state: &mut State<f64>,
        dt: f64,
    ) -> Result<Step<f64>, StepError> {
        let step = self.0.step(energy, state, dt)?;
        Ok(Step {
            taken: step.taken,
            next: None,
        })
    }
}

/// The energy identity `F(mu_0) - F(mu_T) = int_0^T int |v|^2 dmu dt`: its residual shrinks at the
/// order of the integrator.
#[test]
fn energy_identity() {
    fn residual(
        integrator: &mut dyn Integrator<f64>,
        energy: &mut dyn Energy<f64>,
        steps: usize,
    ) -> f64 {
        let (time, mut trace) = (2.0, Trace::new());
        let mut flow = ParticleFlow::new(energy, Fixed(integrator), time / steps as f64).unwrap();
        let mut state = flow.start(measure(4, 3, 9)).unwrap();
        flow.run(&mut state, steps, &mut trace).unwrap();
        let dissipation: Vec<f64> = trace
            .records()
            .iter()
            .map(|record| record.dissipation)
            .collect();
        trace.records()[0].energy - state.energy() - boole(&dissipation, time / steps as f64)
    }
    let energies: [(&str, Box<dyn Energy<f64>>); 3] = [
        (
            "square",
            Box::new(
                MeanFieldRisk::new(Ridge::new(Tanh, 2), regression(10, 2, 13))
                    .unwrap()
                    .regularized(decay(0.05)),
            ),
        ),
        (
            "logistic",
            Box::new(
                MeanFieldRisk::new(Radial::new(Softplus, 2), classification(12, 2, 13))
                    .unwrap()
                    .regularized(decay(0.05)),
            ),
        ),
        (
            "mmd",
            Box::new(Mmd::new(Gaussian::new(3, 1.5).unwrap(), measure(14, 3, 5)).unwrap()),
        ),
    ];
    for (name, mut energy) in energies {
        let integrators: [(Box<dyn Integrator<f64>>, usize); 4] = [
            (Box::new(Euler), 128),
            (Box::new(Heun), 64),
            (Box::new(Rk4), 32),
            (Box::new(DormandPrince::new(1e6, 1e6)), 32),
        ];
        for (mut integrator, steps) in integrators {
            let order = f64::from(integrator.order());
            let coarse = residual(&mut *integrator, &mut *energy, steps);
            let fine = residual(&mut *integrator, &mut *energy, 2 * steps);
            let observed = (coarse / fine).abs().log2();
            assert!(
                observed > order - 0.3 && fine.abs() < 0.1,
                "{name}, order {order}: residuals {coarse:e}, {fine:e}, observed {observed:.3}"
            );
        }
    }
}

/// The balance law: `|a_i|^2 - |b_i|^2` is constant for each particle, times `exp(-4 lambda t)`
/// with weight decay.
#[test]
fn balance_law() {
    fn drift(
        map: &dyn FeatureMap<f64>,
        lambda: f64,
        integrator: &mut dyn Integrator<f64>,
        steps: usize,
    ) -> f64 {
        let (k, time) = (map.output_dim(), 2.0);
        let y = numbers(21, k, 9);
        let risk =
            EmpiricalRisk::with_outputs(Square, numbers(20, 2, 9).map(|x| x + 2.0 * x.signum()), y)
                .unwrap();
        let energy = MeanFieldRisk::new(map, risk)
            .unwrap()
            .regularized(decay(lambda));
        let mut flow = ParticleFlow::new(energy, integrator, time / steps as f64).unwrap();
        let mut state = flow.start(measure(22, k + 2, 6)).unwrap();
        let balance = |state: &State<f64>| -> Vec<f64> {
            let square = |w: &[f64]| w.iter().map(|w| w * w).sum::<f64>();
            let mu = state.measure();
            (0..mu.len())
                .map(|i| square(&mu.particle(i)[..k]) - square(&mu.particle(i)[k..]))
                .collect()
        };
        let start = balance(&state);
        flow.run(&mut state, steps, &mut ()).unwrap();
        let end = balance(&state);
        let law = (-4.0 * lambda * time).exp();
        start
            .iter()
            .zip(end)
            .map(|(start, end)| (end - start * law).abs())
            .fold(0.0, f64::max)
    }
    // Smooth maps, and paths without kinks, show the order; with kinks the law still holds exactly
    // for the flow.
    let smooth: [Box<dyn FeatureMap<f64>>; 3] = [
        Box::new(Radial::new(Tanh, 2)),
        Box::new(Ridge::with_outputs(Identity, 2, 3)),
        Box::new(Radial::with_outputs(Softplus, 2, 3)),
    ];
    for map in &smooth {
        for lambda in [0.0, 0.125] {
            let euler = [256, 512].map(|steps| drift(map, lambda, &mut Euler, steps));
            let rk4 = [32, 64].map(|steps| drift(map, lambda, &mut Rk4, steps));
            let (first, fourth) = ((euler[0] / euler[1]).log2(), (rk4[0] / rk4[1]).log2());
            assert!(
                (first - 1.0).abs() < 0.2,
                "Euler drifts {euler:?}, order {first:.3}"
            );
            assert!(
                (fourth - 4.0).abs() < 0.6,
                "Rk4 drifts {rk4:?}, order {fourth:.3}"
            );
        }
    }
    let kinked: [Box<dyn FeatureMap<f64>>; 4] = [
        Box::new(Ridge::new(Relu, 2)),
        Box::new(Ridge::with_outputs(Relu, 2, 3)),
        Box::new(Ridge::new(LeakyRelu(0.25), 2)),
        Box::new(Ridge::new(Abs, 2)),
    ];
    for map in &kinked {
        for lambda in [0.0, 0.125] {
            let euler = drift(map, lambda, &mut Euler, 256);
            let fine = drift(map, lambda, &mut Euler, 1024);
            let rk4 = drift(map, lambda, &mut Rk4, 1024);
            assert!(fine < euler / 3.0, "Euler drifts {euler:e}, {fine:e}");
            // Every step over a kink adds an error of order dt^2 to Rk4; such steps are rare.
            assert!(
                rk4 < 0.3 * fine,
                "Rk4 drifts {rk4:e} where Euler does {fine:e}"
            );
        }
    }
}

/// The second moment of a 2-homogeneous map: `d/dt int |w|^2 dmu = -4 <grad R(h), h> - 4 lambda int
/// |w|^2 dmu`.
#[test]
fn second_moment() {
    fn check<F: FeatureMap<f64> + Homogeneous>(name: &str, map: F) {
        assert_eq!(map.degree(), 2);
        let (d, k) = (map.input_dim(), map.output_dim());
        let risk =
            EmpiricalRisk::with_outputs(Square, numbers(30, d, 11), numbers(31, k, 11)).unwrap();
        let lambda = 0.25;
        let mut energy = MeanFieldRisk::new(map, risk)
            .unwrap()
            .regularized(decay(lambda));
        let mu = measure(32, k + d, 9);
        let mut v = DMatrix::zeros(k + d, 9);
        energy.velocity(&mu, &mut v);
        let rate = 2.0 * energy.inner(&mu, mu.points(), &v);
        let (mut h, mut g) = (vec![0.0; 11 * k], vec![0.0; 11 * k]);
        energy.predict(&mu, &mut h);
        energy.risk().value_and_gradient(&h, &mut g);
        let product: f64 = g.iter().zip(&h).map(|(g, h)| g * h).sum();
        let law = -4.0 * product - 4.0 * lambda * mu.second_moment();
        assert!(
            (rate - law).abs() <= 1e-12 * (product.abs() + mu.second_moment()),
            "{name}: {rate} and {law}"
        );

        // And along the flow, to the accuracy of a central difference.
        let moment = |energy: &mut dyn Energy<f64>, dt: f64| {
            let mut mu = mu.clone();
            mu.displace(dt, &v);
            energy.inner(&mu, mu.points(), mu.points())
        };
        let slope = (moment(&mut energy, 1e-5) - moment(&mut energy, -1e-5)) / 2e-5;
        assert!(
            (slope - law).abs() <= 1e-8 * (1.0 + law.abs()),
            "{name}: {slope} and {law}"
        );
    }
    check("relu", Ridge::new(Relu, 3));
    check("relu, 3 outputs", Ridge::with_outputs(Relu, 3, 3));
    check("leaky relu", Ridge::new(LeakyRelu(0.1), 1));
    check("power 1", Ridge::new(ReluPower(1), 2));
    check("abs", Ridge::new(Abs, 2));
    check("identity", Ridge::new(Identity, 2));
    check("radial tanh", Radial::new(Tanh, 3));
    check("radial erf, 3 outputs", Radial::with_outputs(Erf, 3, 3));
    check("radial softplus", Radial::new(Softplus, 1));
}

/// Nodes and weights of the Gauss-Legendre rule on (-1, 1), by Newton's method on the Legendre
/// polynomial.
fn gauss_legendre(count: usize) -> Vec<(f64, f64)> {
    let legendre = |x: f64| {
        let (mut before, mut now) = (1.0, x);
        for l in 2..=count {
            let l = l as f64;
            (before, now) = (now, ((2.0 * l - 1.0) * x * now - (l - 1.0) * before) / l);
        }
        (now, count as f64 * (x * now - before) / (x * x - 1.0))
    };
    let node = |i: usize| {
        let mut x = (PI * (i as f64 + 0.75) / (count as f64 + 0.5)).cos();
        for _ in 0..20 {
            let (p, dp) = legendre(x);
            x -= p / dp;
        }
        let (_, dp) = legendre(x);
        (x, 2.0 / ((1.0 - x * x) * dp * dp))
    };
    (0..count).map(node).collect()
}

/// The arc-cosine kernel and its gradient against their integral `E[(w.x)_+ (v.x)_+]`, `x ~ N(0,
/// I)`.
///
/// In the plane of `w` and `v`, in polar coordinates, split where an activation has its kink:
/// products of Gauss rules.
#[test]
fn arc_cosine_kernel_is_its_integral() {
    let rule = gauss_legendre(40);
    let integrate = |low: f64, high: f64, f: &mut dyn FnMut(f64, f64)| {
        for &(x, weight) in &rule {
            f(
                low + (high - low) * (x + 1.0) / 2.0,
                weight * (high - low) / 2.0,
            );
        }
    };
    for (index, angle) in [
        0.0,
        1e-9,
        1e-4,
        0.3,
        1.0,
        PI / 2.0,
        2.5,
        PI - 1e-4,
        PI - 1e-9,
        PI,
    ]
    .into_iter()
    .enumerate()
    {
        for (p, q) in [(1.0, 1.0), (3.0, 0.25), (1e-3, 1e3)] {
            // w and v at that angle in a random plane of R^4.
            let basis = numbers(40 + index as u64, 4, 2).qr().q();
            let (e, f) = (basis.column(0).into_owned(), basis.column(1).into_owned());
            let w = &e * p;
            let v = (&e * angle.cos() + &f * angle.sin()) * q;

            // Both products are positive for directions between angle - pi/2 and pi/2.
            let (mut value, mut gradient) = (0.0, DVector::zeros(4));
            integrate(angle - PI / 2.0, PI / 2.0, &mut |t, weight| {
                for panel in 0..12 {
                    integrate(f64::from(panel), f64::from(panel + 1), &mut |r, density| {
                        let density = weight * density * r * (-r * r / 2.0).exp() / TAU;
                        let active = q * r * (t - angle).cos();
                        value += density * p * r * t.cos() * active;
                        gradient += (&e * t.cos() + &f * t.sin()) * (density * r * active);
                    });
                }
            });

            let kernel = ArcCosine::new(4);
            let found = kernel.value(w.as_slice(), v.as_slice());
            assert!(
                (found - value).abs() <= 1e-13 * p * q,
                "angle {angle}: K = {found:e}, integral {value:e}"
            );
            let mut found = [0.0; 4];
            kernel.gradient(w.as_slice(), v.as_slice(), 1.0, &mut found);
            let error = (DVector::from_column_slice(&found) - &gradient).amax();
            assert!(
                error <= 1e-13 * q,
                "angle {angle}: grad K is off by {error:e}"
            );

            // With output weights a and a'.
            let (lifted, mut out) = (WithOutputWeight(kernel), [0.0; 5]);
            let lift = |a: f64, b: &DVector<f64>| [&[a], b.as_slice()].concat();
            lifted.gradient(&lift(-2.0, &w), &lift(0.5, &v), 3.0, &mut out);
            assert!((out[0] - 1.5 * value).abs() <= 1e-12 * p * q);
            assert!((DVector::from_column_slice(&out[1..]) + gradient * 3.0).amax() <= 1e-12 * q);
        }
    }
}

/// The population risk in closed form is the limit of empirical risks.
///
/// In the plane `E f(x) = E f(sqrt(2) (cos t, sin t))` for f homogeneous of degree 2, so samples at
/// equal angles converge to it.
#[test]
fn population_risk_is_the_limit_of_empirical_risks() {
    let teacher = measure(50, 3, 4);
    let student = measure(51, 3, 6);
    let mut population = Mmd::new(WithOutputWeight(ArcCosine::new(2)), teacher.clone()).unwrap();
    let mut v = DMatrix::zeros(3, 6);
    let value = population.velocity(&student, &mut v);
    let mut errors = Vec::new();
    for n in [500, 2000] {
        let angle = |j: usize| TAU * (j as f64 + 0.5) / n as f64;
        let x = DMatrix::from_fn(2, n, |row, j| {
            2.0_f64.sqrt()
                * if row == 0 {
                    angle(j).cos()
                } else {
                    angle(j).sin()
                }
        });
        let blank = EmpiricalRisk::new(Square, x.clone(), DVector::zeros(n)).unwrap();
        let mut y = DVector::zeros(n);
        MeanFieldRisk::new(Ridge::new(Relu, 2), blank)
            .unwrap()
            .predict(&teacher, y.as_mut_slice());
        let risk = EmpiricalRisk::new(Square, x, y).unwrap();
        let mut out = DMatrix::zeros(3, 6);
        let empirical = MeanFieldRisk::new(Ridge::new(Relu, 2), risk)
            .unwrap()
            .velocity(&student, &mut out);
        errors.push(((empirical - value).abs(), (&out - &v).amax()));
    }
    // The integrand has kinks, error O(1/n^2); that of the velocity has jumps, O(1/n).
    let [coarse, fine] = errors[..] else {
        unreachable!()
    };
    assert!(
        fine.0 < 1e-5 && fine.0 < coarse.0 / 4.0,
        "energy: {coarse:?}, {fine:?}"
    );
    assert!(fine.1 < 1e-3, "velocity: {coarse:?}, {fine:?}");
}

/// One neuron in one dimension, `x = 1`, `a = b`: `u = a^2` solves the logistic equation `u' = 2 u
/// (y - 2 lambda - u)`.
#[test]
fn logistic_equation() {
    let (y, lambda, start) = (1.5, 0.125, 0.01_f64);
    let risk = EmpiricalRisk::new(
        Square,
        DMatrix::from_element(1, 1, 1.0),
        DVector::from_element(1, y),
    )
    .unwrap();
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)
        .unwrap()
        .regularized(decay(lambda));
    let mut flow = ParticleFlow::new(energy, DormandPrince::new(1e-12, 1e-14), 1e-2).unwrap();
    let mu = EmpiricalMeasure::uniform(DMatrix::from_element(2, 1, start.sqrt())).unwrap();
    let mut state = flow.start(mu).unwrap();
    let limit = y - 2.0 * lambda;
    for time in [0.5, 1.0, 2.0, 4.0, 30.0] {
        flow.run_until(&mut state, time, &mut ()).unwrap();
        let [a, b] = state.measure().particle(0) else {
            unreachable!()
        };
        let exact = limit / (1.0 + (limit / start - 1.0) * (-2.0 * limit * time).exp());
        assert!(
            (a * a - exact).abs() < 1e-9 && a == b,
            "u({time}) = {}, exactly {exact}",
            a * a
        );
        let value = (exact - y).powi(2) / 2.0 + 2.0 * lambda * exact;
        assert!((state.energy() - value).abs() < 1e-9);
    }
}

/// A spurious minimum of six neurons `(w_i.x)_+` against the teacher `sum_i (e_i.x)_+`, in the
/// population.
///
/// Source: I. Safran and O. Shamir, Spurious local minima are common in two-layer ReLU neural
/// networks, 2018.
#[test]
fn spurious_minimum() {
    // Rounded, neuron 1 = (a, b, b, b, b, b); neuron j = c in coordinate 1, d in its own, e
    // elsewhere.
    let network = |z: &SVector<f64, 5>| {
        let coordinate = |l: usize, i: usize| match (i, l) {
            (0, 0) => z[0],
            (0, _) => z[1],
            (_, 0) => z[2],
            (i, l) if i == l => z[3],
            _ => z[4],
        };
        EmpiricalMeasure::weighted(
            DMatrix::from_fn(6, 6, coordinate),
            DVector::from_element(6, 1.0),
        )
        .unwrap()
    };
    let teacher =
        EmpiricalMeasure::weighted(DMatrix::identity(6, 6), DVector::from_element(6, 1.0)).unwrap();
    let mut energy = Mmd::new(ArcCosine::new(6), teacher.clone()).unwrap();

    // Newton's method on the five numbers: the velocity preserves the symmetry.
    let mut field = |z: &SVector<f64, 5>| {
        let mut v = DMatrix::zeros(6, 6);
        energy.velocity(&network(z), &mut v);
        SVector::<f64, 5>::from([v[(0, 0)], v[(1, 0)], v[(0, 1)], v[(1, 1)], v[(2, 1)]])
    };
    let mut z = SVector::<f64, 5>::from([-0.6015119, 0.2245158, 0.3080110, 0.9867038, -0.0504134]);
    let rounded = field(&z).amax();
    for _ in 0..6 {
        let step = 1e-6;
        let jacobian = SMatrix::<f64, 5, 5>::from_columns(&std::array::from_fn::<_, 5, _>(|l| {
            let shift = SVector::<f64, 5>::from_fn(|row, _| if row == l { step } else { 0.0 });
            (field(&(z + shift)) - field(&(z - shift))) / (2.0 * step)
        }));
        z -= jacobian.lu().solve(&field(&z)).unwrap();
    }
    assert!(
        rounded < 1e-6 && field(&z).amax() < 1e-14,
        "rounded {rounded:e}, polished {:e}",
        field(&z).amax()
    );

    // It is stationary, and the limit of a flow from a point nearby. F = 0.02508.
    let mut flow = ParticleFlow::new(energy, DormandPrince::new(1e-8, 1e-10), 0.1).unwrap();
    let mut state = flow.start(network(&z)).unwrap();
    assert!(
        (state.energy() - 0.02508).abs() < 5e-6,
        "F = {}",
        state.energy()
    );
    let reason = flow
        .run(&mut state, 1000, &mut UntilStationary::new(1e-12).unwrap())
        .unwrap();
    assert_eq!((reason, state.step()), (StopReason::Stationary, 0));
    assert!(reason.converged());

    let mut nearby = network(&z);
    for (w, noise) in nearby.points_mut().iter_mut().zip(numbers(60, 6, 6).iter()) {
        *w += 1e-3 * noise;
    }
    let mut near = flow.start(nearby).unwrap();
    let reason = flow
        .run_until(&mut near, 2000.0, &mut UntilStationary::new(1e-7).unwrap())
        .unwrap();
    let distance = (near.measure().points() - state.measure().points()).amax();
    assert_eq!(reason, StopReason::Stationary);
    assert!(
        distance < 1e-4,
        "the flow ended {distance:e} away: the point is a minimum, it attracts"
    );

    // It is not global: F'(mu) is 0 on average over mu and -2 F over the teacher, so it is negative
    // somewhere.
    let mut values = [0.0; 6];
    let mut descent = DMatrix::zeros(6, 6);
    let f = flow
        .energy_mut()
        .first_variation(state.measure(), teacher.points(), &mut values, &mut descent)
        .unwrap();
    assert!(
        (values.iter().sum::<f64>() + 2.0 * f).abs() < 1e-13,
        "{values:?}"
    );
    assert!(values.iter().any(|&value| value < -1e-3));
}

/// Euler on `V = lambda |w|^2` multiplies the variance, and every deviation, by `(1 - 2 lambda
/// dt)`.
#[test]
fn quadratic_confinement() {
    let (lambda, dt) = (0.75, 0.125);
    let mu = measure(70, 2, 8);
    let mut flow = ParticleFlow::new(PotentialEnergy::new(decay(lambda), 2), Euler, dt).unwrap();
    let mut state = flow.start(mu.clone()).unwrap();
    flow.run(&mut state, 20, &mut ()).unwrap();
    let factor = (1.0 - 2.0 * lambda * dt).powi(20);
    assert!((state.measure().points() - mu.points() * factor).amax() < 1e-14);
    let law = mu.second_moment() * factor * factor;
    assert!((state.measure().second_moment() - law).abs() < 1e-14);
    assert!((state.energy() - lambda * law).abs() < 1e-14);
}

/// Cloning all particles or permuting them does not change the flow; a neuron `a = 0, b = 0` never
/// moves.
#[test]
fn symmetries() {
    let energies: [Box<dyn Energy<f64>>; 4] = [
        Box::new(
            MeanFieldRisk::new(Ridge::new(Relu, 2), regression(80, 2, 21))
                .unwrap()
                .regularized(decay(0.05)),
        ),
        Box::new(MeanFieldRisk::new(Ridge::new(Tanh, 2), classification(81, 2, 21)).unwrap()),
        Box::new(MeanFieldRisk::new(Radial::new(Erf, 2), regression(82, 2, 21)).unwrap()),
        Box::new(Mmd::new(WithOutputWeight(ArcCosine::new(2)), measure(83, 3, 4)).unwrap()),
    ];
    for mut energy in energies {
        let mut start = measure(84, 3, 7);
        start.points_mut()[9..12].fill(0.0);
        let mut run = |mu: EmpiricalMeasure<f64>| {
            let mut flow = ParticleFlow::new(&mut *energy, Rk4, 0.05).unwrap();
            let mut state = flow.start(mu).unwrap();
            flow.run(&mut state, 40, &mut ()).unwrap();
            state
        };
        let plain = run(start.clone());
        assert_eq!(plain.measure().particle(3), &[0.0; 3]);
        let moved = (plain.measure().points() - start.points()).amax();
        assert!(moved > 0.01, "the other particles move, found {moved:e}");

        let twice = |i: usize| i / 2;
        let clones = EmpiricalMeasure::weighted(
            DMatrix::from_fn(3, 14, |l, i| start.particle(twice(i))[l]),
            DVector::from_fn(14, |i, _| {
                start.weight(twice(i)) * if i % 2 == 0 { 0.25 } else { 0.75 }
            }),
        );
        let cloned = run(clones.unwrap());
        let order = [3, 1, 6, 0, 5, 2, 4];
        let permuted = run(EmpiricalMeasure::weighted(
            DMatrix::from_fn(3, 7, |l, i| start.particle(order[i])[l]),
            DVector::from_fn(7, |i, _| start.weight(order[i])),
        )
        .unwrap());
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-11);
        for i in 0..14 {
            assert!(
                close(
                    cloned.measure().particle(i),
                    plain.measure().particle(twice(i))
                ),
                "clone {i}"
            );
        }
        for i in 0..7 {
            assert!(
                close(
                    permuted.measure().particle(i),
                    plain.measure().particle(order[i])
                ),
                "permuted {i}"
            );
        }
        for other in [&cloned, &permuted] {
            assert!(close(
                &[other.energy(), other.dissipation()],
                &[plain.energy(), plain.dissipation()]
            ));
        }
    }
}

/// The arc-cosine kernel and its gradient at an angle r from equal or opposite neurons, where the
/// terms of `sin r - r cos r` cancel: accurate up to a few units in the last place.
#[test]
fn arc_cosine_kernel_near_equal_and_opposite_neurons() {
    let kernel = ArcCosine::new(2);
    for r in [1e-7_f64, 1e-4, 1e-2, 0.1, 0.3, 0.449, 0.499, 0.501] {
        // sin r - r cos r by its series, in the next powers of r until they vanish.
        let mut term = r.powi(3) / 3.0;
        let mut sum = 0.0_f64;
        for k in 1..20 {
            let k = k as f64;
            sum += term;
            term *= -(k + 1.0) / k * r * r / ((2.0 * k + 2.0) * (2.0 * k + 3.0));
        }
        let (w, opposite, equal) = (
            [2.0, 0.0],
            [-3.0 * r.cos(), 3.0 * r.sin()],
            [3.0 * r.cos(), 3.0 * r.sin()],
        );
        approx::assert_relative_eq!(
            kernel.value(&w, &opposite),
            6.0 * sum / TAU,
            max_relative = 1e-13
        );
        // grad_w K = (|v| sin t w/|w| + (pi - t) v) / (2 pi)
        for (v, t, sin) in [(opposite, PI - r, r.sin()), (equal, r, r.sin())] {
            let rest = if t < 1.0 { PI - r } else { r };
            let mut gradient = [0.0; 2];
            kernel.gradient(&w, &v, 1.0, &mut gradient);
            approx::assert_relative_eq!(gradient[1], rest * v[1] / TAU, max_relative = 1e-13);
            let first = (3.0 * sin + rest * v[0]) / TAU;
            assert!(
                (gradient[0] - first).abs() <= 1e-15 * (3.0 * sin + (rest * v[0]).abs()),
                "{r}: {} {first}",
                gradient[0]
            );
        }
    }
}
