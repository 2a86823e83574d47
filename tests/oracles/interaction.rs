//! Interaction energies: closed forms for every number of particles.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::testing::CaseRng;

fn power(exponent: f64, strength: f64) -> PowerLaw {
    PowerLaw::new(exponent, strength).unwrap()
}

/// `|z|^2 / 2 - log |z|` in the plane.
fn aggregation() -> InteractionEnergy<(PowerLaw, PowerLaw), f64> {
    InteractionEnergy::new((power(2.0, 1.0), power(0.0, -1.0)), 2)
}

/// `|z|^(q+1) / (q+1) - |z|^(p+1) / (p+1)` in the plane: the force `r^p - r^q`.
fn swarm(p: f64, q: f64) -> InteractionEnergy<(PowerLaw, PowerLaw), f64> {
    InteractionEnergy::new((power(q + 1.0, 1.0), power(p + 1.0, -1.0)), 2)
}

/// Random particles, with the centre of mass at 0, and random weights of sum 1.
fn random(seed: u64, p: usize, m: usize) -> EmpiricalMeasure<f64> {
    let mut rng = CaseRng::new(seed);
    let mut points = DMatrix::from_fn(p, m, |_, _| rng.uniform(-1.0, 1.0));
    let mut weights: DVector<f64> = DVector::from_fn(m, |_, _| rng.uniform(0.5, 1.5));
    weights /= weights.sum();
    let centre = &points * &weights;
    points.column_iter_mut().for_each(|mut w| w -= &centre);
    EmpiricalMeasure::weighted(points, weights).unwrap()
}

fn run(
    energy: impl Energy<f64>,
    mu: &EmpiricalMeasure<f64>,
    time: f64,
    dt: f64,
) -> EmpiricalMeasure<f64> {
    let mut flow = ParticleFlow::new(energy, Rk4, dt).unwrap();
    let mut state = flow.start(mu.clone()).unwrap();
    flow.run_until(&mut state, time, &mut ()).unwrap();
    state.into_measure()
}

fn velocities(mut energy: impl Energy<f64>, mu: &EmpiricalMeasure<f64>) -> DMatrix<f64> {
    let mut v = mu.points().clone();
    energy.velocity(mu, &mut v);
    v
}

/// A0: `int v dmu = 0` for even interactions; the virial identity is a law of the kit.
#[test]
fn the_momentum_is_zero() {
    for seed in 0..20 {
        let mu = random(seed, 2, 30);
        for (name, v) in [
            ("aggregation", velocities(aggregation(), &mu)),
            ("swarm", velocities(swarm(0.5, 3.0), &mu)),
        ] {
            let momentum = &v * DVector::from_column_slice(mu.weights());
            let error = momentum.amax() / v.amax();
            assert!(error < 1e-14, "{name}, seed {seed}: {error:e}");
        }
    }
}

/// A1: differences to the mean decay as `exp(-M t)`, the energy as `exp(-2 M t)`.
#[test]
fn quadratic_attraction() {
    let mut mu = random(3, 3, 17);
    mu.weights_mut().iter_mut().for_each(|c| *c *= 1.5);
    let mut energy = InteractionEnergy::new(power(2.0, 1.0), 3);
    let before = energy.value(&mu);
    let after = run(&mut energy, &mu, 0.8, 0.01);
    let decay = f64::exp(-1.5 * 0.8);
    let error = (after.points() - mu.points() * decay).amax();
    assert!(error < 1e-9, "{error:e}");
    let error = energy.value(&after) / (before * decay * decay) - 1.0;
    assert!(error.abs() < 1e-8, "{error:e}");
}

/// A2: two halves at distance 2 r approach at unit speed and meet at t = 2 r.
#[test]
fn two_particles_meet() {
    let mu = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 2, &[-1.0, 1.0])).unwrap();
    // Euler: exact for a constant speed and dyadic steps.
    let run = |mu: &EmpiricalMeasure<f64>, time: f64| {
        let energy = InteractionEnergy::new(power(1.0, 1.0), 1);
        let mut flow = ParticleFlow::new(energy, Euler, 1.0 / 64.0).unwrap();
        let mut state = flow.start(mu.clone()).unwrap();
        flow.run_until(&mut state, time, &mut ()).unwrap();
        state.into_measure()
    };
    for time in [0.5, 1.0, 1.75] {
        let after = run(&mu, time);
        assert_eq!(
            after.points().as_slice(),
            &[time / 2.0 - 1.0, 1.0 - time / 2.0]
        );
    }
    let after = run(&mu, 2.0);
    assert_eq!(after.points().as_slice(), &[0.0, 0.0]);
    let later = run(&after, 1.0);
    assert_eq!(
        later.points().as_slice(),
        &[0.0, 0.0],
        "particles that coincide remain together"
    );
}

/// A3: `M2(t) = M + (M2(0) - M) e^{-2t}` with `M = (1 - sum c_i^2) / 2`, for every m, start and t.
#[test]
fn the_second_moment_of_an_aggregation() {
    for (seed, m, time) in [(0, 50, 1.3), (1, 2, 0.4), (2, 7, 2.0), (3, 31, 0.05)] {
        let mu = random(seed, 2, m);
        let squares: f64 = mu.weights().iter().map(|c| c * c).sum();
        let limit = (1.0 - squares) / 2.0;
        let exact = limit + (mu.second_moment() - limit) * f64::exp(-2.0 * time);
        let mut flow = ParticleFlow::new(aggregation(), DormandPrince::new(1e-11, 1e-11), 1e-3);
        let mut state = flow.as_mut().unwrap().start(mu).unwrap();
        flow.unwrap().run_until(&mut state, time, &mut ()).unwrap();
        let error = state.measure().second_moment() - exact;
        assert!(error.abs() < 1e-9, "m = {m}, t = {time}: {error:e}");
    }
}

/// A3b, and A3e: the radius of a regular pentagon; equilibria of 2 and 3 particles.
#[test]
fn regular_polygons() {
    let after = run(aggregation(), &init::circle(5, 0.5).unwrap(), 0.7, 1e-3);
    for w in after.points().column_iter() {
        assert!((w.norm() - 0.602_503_490).abs() < 5e-10, "{}", w.norm());
    }
    for (m, radius) in [(2, 0.5), (3, 1.0 / 3.0_f64.sqrt())] {
        let v = velocities(aggregation(), &init::circle(m, radius).unwrap());
        assert!(v.amax() < 1e-15, "m = {m}: {v}");
    }
}

/// A3c, A3d: the mean-field limit is the uniform disc of radius 1, F = 3/8; a uniform disc remains
/// one, with `R(t)^2 = 1 + (R0^2 - 1) e^{-2t}`.
#[test]
fn the_mean_field_limit_is_a_disc() {
    /// Equal areas around the golden spiral.
    fn disc(m: usize, radius: f64) -> EmpiricalMeasure<f64> {
        let points = DMatrix::from_fn(2, m, |l, i| {
            let r = radius * ((i as f64 + 0.5) / m as f64).sqrt();
            let angle = i as f64 * std::f64::consts::PI * (3.0 - 5.0_f64.sqrt());
            r * if l == 0 { angle.cos() } else { angle.sin() }
        });
        EmpiricalMeasure::uniform(points).unwrap()
    }
    // The missing diagonal is of the order of log(m) / (4 m).
    let errors = [250, 1000].map(|m| aggregation().value(&disc(m, 1.0)) - 0.375);
    assert!(
        errors[0].abs() < 8e-3 && errors[1].abs() < 2.5e-3,
        "{errors:?}"
    );
    let after = run(aggregation(), &disc(250, 0.5), 0.7, 0.01);
    let radius = (2.0 * after.second_moment()).sqrt();
    assert!((radius - 0.902_802_457).abs() < 4e-3, "{radius}");
}

/// A4, A4b: the radius of the ring that `r^p - r^q` supports, for m particles and in the limit.
#[test]
fn rings() {
    for (m, exact) in [
        (10, 0.585_108_331),
        (40, 0.585_476_103),
        (100, 0.585_486_717),
    ] {
        let v = velocities(swarm(0.5, 3.0), &init::circle(m, exact).unwrap());
        assert!(v.amax() < 2e-9, "m = {m}: {:e}", v.amax());
    }
    let limit = [(0.5, 3.0, 0.585_487_911), (0.5, 1.5, 0.607_899_893)];
    for (p, q, exact) in limit {
        let after = run(swarm(p, q), &init::circle(200, 0.4).unwrap(), 40.0, 0.1);
        let radius = after.particle(0)[0];
        assert!((radius - exact).abs() < 1e-6, "p = {p}, q = {q}: {radius}");
    }
    // The ring of 20 particles is stable: random perturbations decay.
    let mut start = init::circle(20, 0.585).unwrap();
    let mut rng = CaseRng::new(1);
    start
        .points_mut()
        .iter_mut()
        .for_each(|w| *w += rng.uniform::<f64>(-0.02, 0.02));
    let after = run(swarm(0.5, 3.0), &start, 150.0, 0.1);
    let centre = after.points().column_mean();
    let exact = 0.5 * (sine_sum(20, 1.5) / sine_sum(20, 4.0)).powf(1.0 / 2.5);
    for w in after.points().column_iter() {
        let radius = (w - &centre).norm();
        assert!((radius - exact).abs() < 1e-6, "{radius} instead of {exact}");
    }
}

/// `sum_{0 < k < m} sin^a(pi k / m)`.
fn sine_sum(m: usize, a: f64) -> f64 {
    let sines = (1..m).map(|k| (std::f64::consts::PI * k as f64 / m as f64).sin().powf(a));
    sines.sum()
}

/// A5: splitting an atom c of `-log |z|` into halves at distance s adds `-(c^2 / 4) log s`.
#[test]
fn splitting_under_a_singular_interaction() {
    let mut energy = InteractionEnergy::new(power(0.0, -1.0), 2);
    let whole = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[0., 0., 3., 4.]));
    let before = energy.value(&whole.unwrap());
    assert_eq!(before, -0.25 * 5.0_f64.ln());
    for s in [1e-3, 1e-6, 1e-100] {
        let points = DMatrix::from_column_slice(2, 3, &[-s / 2.0, 0., s / 2.0, 0., 3., 4.]);
        let weights = DVector::from_vec(vec![0.25, 0.25, 0.5]);
        let split = EmpiricalMeasure::weighted(points, weights).unwrap();
        let error = energy.value(&split) - before + s.ln() / 16.0;
        assert!(error.abs() < 1e-6, "s = {s}: {error:e}");
    }
}

/// Particles at one point under a singular interaction: infinite energy, a typed error; a particle
/// of weight 0 there does not contribute.
#[test]
fn coincident_particles() {
    let points = DMatrix::from_column_slice(2, 3, &[0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    let mu = EmpiricalMeasure::uniform(points.clone()).unwrap();
    let mut flow = ParticleFlow::new(aggregation(), Euler, 0.1).unwrap();
    assert_eq!(flow.value(&mu), f64::INFINITY);
    let error = flow.start(mu).unwrap_err();
    let found = matches!(error, StartError::NonFinite { energy, .. }
        if energy == f64::INFINITY);
    assert!(found, "{error}");
    let probe = DVector::from_vec(vec![0.5, 0.0, 0.5]);
    let mu = EmpiricalMeasure::weighted(points, probe).unwrap();
    assert_eq!(flow.value(&mu), 0.25 * 0.5);
    flow.start(mu).unwrap();
}

/// The results are identical for 1, 2, 3 and 7 threads.
#[test]
fn results_do_not_depend_on_the_threads() {
    let mu = random(9, 3, 300);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| {
            let mut energy = InteractionEnergy::new((power(2.0, 1.0), power(-1.0, -1.0)), 3);
            let mut v = mu.points().clone();
            let value = energy.velocity(&mu, &mut v);
            (value, energy.value(&mu), v)
        })
    };
    let expected = run(1);
    for threads in [2, 3, 7] {
        assert!(run(threads) == expected, "{threads} threads");
    }
}

/// Two particles at a distance of which the square overflows or underflows:
/// `F = r / 4` and the force 1/2 for `W = |z|`, `F = log(r) / 4` and `1 / (2 r)` for `W = log |z|`.
#[test]
fn distances_of_all_scales() {
    fn check<T: Real>(r: f64) {
        let r = real::<T>(r);
        // The direction (3/5, -4/5).
        let points = [T::zero(), T::zero(), r * real(0.6), -r * real(0.8)];
        let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &points)).unwrap();
        let exact = r.to_f64().unwrap();
        for (exponent, value, force) in [
            (1.0, exact / 4.0, 0.5),
            (0.0, exact.ln() / 4.0, 0.5 / exact),
        ] {
            let mut energy = InteractionEnergy::new(power(exponent, 1.0), 2);
            let mut v = DMatrix::zeros(2, 2);
            let found = energy.velocity(&mu, &mut v).to_f64().unwrap();
            let tolerance = 1e3 * T::default_epsilon().to_f64().unwrap();
            let error = (found / value - 1.0).abs();
            assert!(error < tolerance, "F at {r:?}, a = {exponent}: {found:e}");
            assert_eq!(energy.value(&mu), real(found));
            for (v, share) in v.iter().zip([0.6, -0.8, -0.6, 0.8]) {
                let error = (v.to_f64().unwrap() / (share * force) - 1.0).abs();
                assert!(error < tolerance, "v at {r:?}, a = {exponent}: {v:?}");
            }
        }
    }
    for r in [
        1e-300, 1e-200, 1e-160, 1e-140, 1e-130, 3.0, 1e150, 1e160, 1e300,
    ] {
        check::<f64>(r);
    }
    for r in [1e-36, 1e-25, 1e-22, 1e-13, 1e-11, 3.0, 1e18, 1e20, 1e36] {
        check::<f32>(r);
    }
}

/// Two particles at a distance r of any scale, and a third one beside the first. The force
/// `s r^(a-1)` is accurate wherever it is a normal number, although `s r^(a-2)` may not be.
#[test]
fn forces_of_all_scales() {
    fn check<T: Real>(a: f64, s: f64, exponent: i32) {
        let digits = |x: T| x.to_f64().unwrap().abs().log10();
        let largest = digits(T::max_value().unwrap()) - 2.0;
        let tolerance = 1e4 * T::default_epsilon().to_f64().unwrap();
        let r = real::<T>(10.0_f64.powi(exponent));
        let mut energy = InteractionEnergy::new(power(a, s), 2);
        let of = |k: f64| s.abs().log10() + k * f64::from(exponent);
        let at = format!("a = {a}, s = {s:e}, r = 1e{exponent}");
        // The direction (3/5, -4/5).
        let (x, y) = (r * real(0.6), -r * real(0.8));
        let points = DMatrix::from_column_slice(2, 2, &[T::zero(), T::zero(), x, y]);
        let mu = EmpiricalMeasure::uniform(points.clone()).unwrap();
        let mut v = DMatrix::zeros(2, 2);
        let value = energy.velocity(&mu, &mut v);
        assert_eq!(energy.value(&mu), value, "{at}");
        let force = of(a - 1.0);
        if force.abs() < largest {
            for (v, share) in v.iter().zip([0.6, 0.8, 0.6, 0.8]) {
                let error = digits(*v) - (force + f64::log10(0.5 * share));
                assert!(error.abs() < tolerance, "v at {at}: {v:?}");
            }
        }
        if a != 0.0 && of(a).abs() < largest {
            let error = digits(value) - (of(a) - f64::log10(4.0 * a.abs()));
            assert!(error.abs() < tolerance, "F at {at}: {value:?}");
        }
        // Pairs at r and at r^(1/10) in one sum: the far one acts on the third particle too.
        if force.abs() < largest && exponent > 20 {
            let near = real::<T>(10.0_f64.powi(exponent / 10));
            let mut points = points.insert_column(2, T::zero());
            points[(0, 2)] = near;
            let mu = EmpiricalMeasure::uniform(points).unwrap();
            let mut v = DMatrix::zeros(2, 3);
            energy.velocity(&mu, &mut v);
            let error = digits(v[(0, 1)]) - (force + f64::log10(0.4));
            assert!(error.abs() < tolerance.max(1e-6), "three at {at}: {v}");
        }
    }
    for a in [
        -16.0, -3.0, -1.0, -0.5, -0.3, 0.0, 0.25, 1.0, 1.5, 2.0, 3.0, 7.5, 20.0,
    ] {
        for exponent in (-300..=300).step_by(5) {
            for s in [1.0, -1e-200, 1e200] {
                check::<f64>(a, s, exponent);
            }
        }
        for exponent in -36..=36 {
            for s in [-1.0, 1e-20, 1e20] {
                check::<f32>(a, s, exponent);
            }
        }
    }
}
