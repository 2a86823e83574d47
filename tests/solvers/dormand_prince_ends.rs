//! Every run of `DormandPrince` ends: along kinks, at the boundary of the domain of F, and on stiff
//! problems with an error of its own, within a stated number of steps. Honest problems run to their
//! end.

use std::ops::ControlFlow;

use nalgebra::{DMatrix, DVector};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::prelude::*;

/// A potential of its value and of its derivatives `(w, l)`.
struct V<A, B>(A, B);

impl<T: Real, A: Fn(&[T]) -> T, B: Fn(&[T], usize) -> T> Potential<T> for V<A, B> {
    fn value(&self, w: &[T]) -> T {
        (self.0)(w)
    }
    fn gradient(&self, w: &[T], scale: T, out: &mut [T]) {
        for (l, out) in out.iter_mut().enumerate() {
            *out += scale * (self.1)(w, l);
        }
    }
}

/// `sum_l |w_l|` of the first `kinks` coordinates and `sum_l rate_l w_l^2 / 2` of the others.
fn kinks_and_squares<T: Real>(kinks: usize, rates: &'static [f64]) -> Box<dyn Energy<T>> {
    let rate = move |l: usize| real::<T>(rates[l - kinks]);
    let value = move |w: &[T]| {
        let sum = w[..kinks].iter().fold(T::zero(), |sum, w| sum + w.abs());
        let half = real::<T>(0.5);
        (kinks..w.len()).fold(sum, |sum, l| sum + half * rate(l) * w[l] * w[l])
    };
    let sign = |w: T| {
        if w == T::zero() { w } else { w.signum() }
    };
    let derivative = move |w: &[T], l: usize| {
        if l < kinks {
            sign(w[l])
        } else {
            rate(l) * w[l]
        }
    };
    Box::new(PotentialEnergy::new(
        V(value, derivative),
        kinks + rates.len(),
    ))
}

/// One particle.
fn at<T: Real>(w: &[f64]) -> EmpiricalMeasure<T> {
    let points = DMatrix::from_fn(w.len(), 1, |l, _| real(w[l]));
    EmpiricalMeasure::uniform(points).unwrap()
}

/// The outcome of a run to `time` of at most `steps` steps, and its last state.
fn run<T: Real>(
    energy: impl Energy<T>,
    mu: EmpiricalMeasure<T>,
    (rtol, atol): (f64, f64),
    time: f64,
    steps: usize,
) -> (Result<StopReason, StepError>, State<T>) {
    let mut flow =
        ParticleFlow::new(energy, DormandPrince::new(rtol, atol), real(0.1 * time)).unwrap();
    let mut state = flow.start(mu).unwrap();
    let mut limit = observe::from_fn(|state: &State<T>| {
        if state.step() >= steps {
            return ControlFlow::Break(StopReason::Steps);
        }
        ControlFlow::Continue(())
    });
    let outcome = flow.run_until(&mut state, real(time), &mut limit);
    println!(
        "{outcome:?} after {} steps at {} with F = {}",
        state.step(),
        state.time(),
        state.energy()
    );
    (outcome, state)
}

// ---- kinks ----

/// Steady chatter is reported within 4 periods of 2032 steps. It begins within 2 periods here.
const ONSET: usize = 2 * 2032;
const PERIODS: usize = 4 * 2032;

fn chatters<T: Real>(name: &str, energy: impl Energy<T>, w: &[f64], tolerances: (f64, f64)) {
    println!("{name}, tolerances {tolerances:?}");
    let (outcome, state) = run(energy, at::<T>(w), tolerances, 1e4, 1_000_000);
    assert!(matches!(outcome, Err(StepError::Chatter { .. })), "{name}");
    assert!(state.step() <= ONSET + PERIODS, "{name}");
}

fn quantile<T: Real>() -> impl Energy<T> {
    let (x, y) = (
        DMatrix::from_element(1, 1, T::one()),
        DVector::from_element(1, T::one()),
    );
    let risk = EmpiricalRisk::new(Quantile(0.5), x, y).unwrap();
    MeanFieldRisk::new(Ridge::new(Relu, 1), risk).unwrap()
}

/// Few of these steps are refused: 0.3 % for `w' = -sgn w`.
fn chatter_without_refusals<T: Real>() {
    for tolerances in [(1e-6, 1e-9), (1e-3, 1e-6), (1e-5, 1e-4)] {
        // w' = -sgn w reaches the kink at t = w_0, and remains there.
        chatters::<T>("|w|", kinks_and_squares(1, &[]), &[0.01], tolerances);
        chatters::<T>(
            "|w_1| + |w_2|",
            kinks_and_squares(2, &[]),
            &[0.01, -0.7],
            tolerances,
        );
        // w_2' = -w_2 while w_1 = 0: the second coordinate moves on.
        chatters::<T>(
            "|w_1| + w_2^2 / 2",
            kinks_and_squares(1, &[1.0]),
            &[0.3, 1.0],
            tolerances,
        );
        chatters::<T>("quantile", quantile(), &[0.5, 0.7], tolerances);
        // w' = -1/w ends at t = w_0^2 / 2: V = log |w| has no minimum, and the velocity changes its
        // sign at w = 0.
        let energy = PotentialEnergy::new(
            V(|w: &[T]| w[0].abs().ln(), |w: &[T], _| T::one() / w[0]),
            1,
        );
        chatters("log |w|", energy, &[1.0], tolerances);
    }
}

#[test]
fn chatter_without_refusals_is_an_error() {
    chatter_without_refusals::<f64>();
    chatter_without_refusals::<f32>();
}

/// Rectifier networks with the square loss: the run ends or chatters, in both precisions.
#[test]
fn chatter_of_rectifiers_is_an_error_in_both_precisions() {
    fn outcome<T: Real>(seed: u64) -> bool {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let x = init::gaussian::<f64>(2, 40, 1.0, &mut rng)
            .unwrap()
            .into_points();
        let y = DVector::from_fn(40, |j, _| f64::abs(x[(0, j)]) - f64::max(x[(1, j)], 0.0));
        let risk = EmpiricalRisk::new(Square, x.map(real::<T>), y.map(real)).unwrap();
        let energy = MeanFieldRisk::new(Ridge::new(Relu, 2), risk)
            .unwrap()
            .regularized(WeightDecay::new(real(1e-2)).unwrap());
        let mu = init::balanced::<f64>(2, 10, 1.0, &mut rng).unwrap();
        let mu = EmpiricalMeasure::uniform(mu.points().map(real)).unwrap();
        let (outcome, _) = run(energy, mu, (1e-6, 1e-9), 1000.0, 40_000);
        match outcome {
            Ok(reason) => assert_eq!(reason, StopReason::Time),
            Err(error) => assert!(matches!(error, StepError::Chatter { .. }), "{error}"),
        }
        outcome.is_err()
    }
    let chatter = |f: fn(u64) -> bool| (0..6).filter(|&seed| f(seed)).count();
    assert!(chatter(outcome::<f64>) > 0 && chatter(outcome::<f32>) > 0);
}

/// The diagnosis is part of the state: a run in parts by new integrators ends as one run.
#[test]
fn the_diagnosis_resumes_bit_for_bit() {
    let flow = || {
        let integrator = DormandPrince::new(1e-6, 1e-9);
        ParticleFlow::new(kinks_and_squares::<f64>(1, &[1.0]), integrator, 0.1).unwrap()
    };
    let mut whole = flow().start(at(&[0.3, 1.0])).unwrap();
    let error = flow().run(&mut whole, 20_000, &mut ()).unwrap_err();
    let mut parts = flow().start(at(&[0.3, 1.0])).unwrap();
    let resumed = loop {
        if let Err(error) = flow().run(&mut parts, 507, &mut ()) {
            break error;
        }
    };
    assert_eq!(resumed, error);
    assert_eq!(
        (parts.step(), parts.measure()),
        (whole.step(), whole.measure())
    );
    assert_eq!(parts.memory(), whole.memory());
    // A retry fails again; without the memory the run continues.
    assert_eq!(flow().advance(&mut parts).unwrap_err(), error);
    parts.reset_control();
    flow().run(&mut parts, 100, &mut ()).unwrap();
}

// ---- honest problems ----

fn completes<T: Real>(
    name: &str,
    energy: impl Energy<T>,
    mu: EmpiricalMeasure<T>,
    tolerances: (f64, f64),
    time: f64,
) -> State<T> {
    println!("{name}, tolerances {tolerances:?}");
    let (outcome, state) = run(energy, mu, tolerances, time, 1_000_000);
    assert_eq!(outcome, Ok(StopReason::Time), "{name}, {tolerances:?}");
    state
}

/// `w' = -w` and the like: long runs at the limit of stability, any tolerance, any time scale.
fn smooth_flows_complete<T: Real>() {
    // The last two tolerances are below the rounding of f32 or of both scalars.
    for rtol in [1e-3, 1e-6, 1e-9, 1e-13, 1e-18] {
        for atol in [0.0, 1e-3 * rtol] {
            let tolerances = (rtol, atol);
            let state = completes(
                "w^2 / 2",
                kinks_and_squares(0, &[1.0]),
                at::<T>(&[1.0]),
                tolerances,
                2.0,
            );
            let error = (state.measure().particle(0)[0] * real(2.0_f64.exp()) - T::one()).abs();
            let tolerance =
                real::<T>(10.0) * real::<T>(rtol).max(T::default_epsilon() * real(40.0));
            assert!(error <= tolerance, "{error} with rtol = {rtol:e}");
            completes(
                "w^2 / 2",
                kinks_and_squares(0, &[1.0]),
                at::<T>(&[1.0]),
                tolerances,
                60.0,
            );
        }
    }
    let tolerances = (1e-6, 1e-9);
    let stiff = &[1.0, 10.0, 100.0, 1000.0];
    let flow = |rates| kinks_and_squares::<T>(0, rates);
    let ones = at::<T>(&[1.0; 4]);
    completes("stiff", flow(stiff), ones.clone(), tolerances, 100.0);
    completes("stiff", flow(stiff), ones, (1e-3, 1e-3), 100.0);
    completes("at rest", flow(&[1.0]), at(&[1.0]), tolerances, 1e5);
    completes("fast", flow(&[1e12]), at(&[1.0]), tolerances, 1e-8);
    completes("slow", flow(&[1e-12]), at(&[1.0]), tolerances, 1e16);
    let offset = V(
        |w: &[T]| real::<T>(0.5) * (w[0] - T::one()).powi(2) + real(1e3),
        |w: &[T], _| w[0] - T::one(),
    );
    completes(
        "offset",
        PotentialEnergy::new(offset, 1),
        at(&[2.0]),
        tolerances,
        3e4,
    );
}

#[test]
fn smooth_flows_complete_in_both_precisions() {
    smooth_flows_complete::<f64>();
    smooth_flows_complete::<f32>();
}

/// `w' = i w`: not a gradient flow, with the dissipation 1 and `F = 1/2` for ever.
struct Rotation;
impl Energy<f64> for Rotation {
    fn particle_dim(&self) -> usize {
        2
    }
    fn value(&mut self, mu: &EmpiricalMeasure<f64>) -> f64 {
        0.5 * mu.second_moment()
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
        for i in 0..mu.len() {
            let w = mu.particle(i);
            (out[(0, i)], out[(1, i)]) = (-w[1], w[0]);
        }
        self.value(mu)
    }
}

#[test]
fn oscillations_complete() {
    for tolerances in [(1e-3, 0.0), (1e-6, 0.0), (1e-10, 0.0)] {
        let time = 2000.0;
        let state = completes("rotation", Rotation, at(&[1.0, 0.0]), tolerances, time);
        let w = state.measure().particle(0);
        let error = (w[0] - time.cos()).hypot(w[1] - time.sin());
        assert!(error <= tolerances.0 * time, "{error:e}");
    }
}

/// A particle crosses 20 000 kinks at the speeds 3/2 and 1/2 in turn. Its steps are limited by
/// jumps, but F falls by the dissipation: it does not slide along a kink.
#[test]
fn kinks_that_are_only_crossed_are_not_chatter() {
    let speed = |w: f64| if w.rem_euclid(2.0) < 1.0 { 1.5 } else { 0.5 };
    let value = |w: &[f64]| {
        let (pairs, rest) = (w[0].div_euclid(2.0), w[0].rem_euclid(2.0));
        -(2.0 * pairs + 1.5 * rest.min(1.0) + 0.5 * (rest - 1.0).max(0.0))
    };
    let energy = PotentialEnergy::new(V(value, move |w: &[f64], _| -speed(w[0])), 1);
    let pair = 1.0 / 1.5 + 1.0 / 0.5;
    let state = completes("crossed", energy, at(&[0.0]), (0.0, 1e-6), 1e4 * pair);
    assert!(state.step() > 4 * PERIODS);
    let error = (state.measure().particle(0)[0] / 2e4 - 1.0).abs();
    assert!(error < 5e-3, "{error:e}");
}

// ---- the boundary of the domain of F ----

/// `F(mu) = -int (w_1 + slope w_2) dmu`, NaN if `w_1 > wall`.
struct Wall<T> {
    wall: T,
    slope: T,
}
impl<T: Real> Energy<T> for Wall<T> {
    fn particle_dim(&self) -> usize {
        2
    }
    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        let w = mu.particle(0);
        if w[0] > self.wall {
            real(f64::NAN)
        } else {
            -(w[0] + self.slope * w[1])
        }
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        (out[0], out[1]) = (T::one(), self.slope);
        self.value(mu)
    }
}

/// The particle reaches the wall up to its rounding, then the step fails.
fn domain<T: Real>() {
    for scale in [1e-15, 1e-3, 0.5, 1e6, 1e15] {
        for (start, slope) in [
            (0.0, 0.0),
            (0.9, 0.0),
            (0.999_999, 0.0),
            (0.0, 1.0),
            (0.0, 100.0),
        ] {
            let wall = real::<T>(scale);
            let energy = Wall {
                wall,
                slope: real(slope),
            };
            let tolerances = (1e-6, 0.0);
            let (outcome, state) = run(
                energy,
                at::<T>(&[start * scale, scale]),
                tolerances,
                10.0 * scale,
                100_000,
            );
            assert!(
                matches!(outcome, Err(StepError::NonFinite { step, .. }) if step == state.step()),
                "scale {scale}, start {start}, slope {slope}"
            );
            // Directly, or while w_2 moves on by the third diagnosis.
            assert!(state.step() < 200 || (slope > 1.0 && state.step() <= PERIODS));
            let distance = wall - state.measure().particle(0)[0];
            let rounding = real::<T>(10.0 * (1.0 + slope)) * T::default_epsilon() * wall;
            assert!(distance >= T::zero() && distance <= rounding, "{distance}");
        }
    }
}

#[test]
fn a_flow_ends_at_the_boundary_of_its_domain() {
    domain::<f64>();
    domain::<f32>();
}

// ---- stiffness ----

/// 3e11 steps of 3e-10 to time 100: reported after a million of them, in both precisions.
#[test]
fn stiffness_is_an_error_in_both_precisions() {
    fn is_stiff<T: Real>() {
        let (outcome, state) = run(
            kinks_and_squares::<T>(0, &[1e10, 1.0]),
            at(&[1.0, 1.0]),
            (1e-6, 1e-9),
            100.0,
            1_100_000,
        );
        assert!(matches!(outcome, Err(StepError::Stiff { size, .. }) if size < 1e-9));
        assert!(state.step() < 1_010_000 && !state.is_stale());
    }
    is_stiff::<f64>();
    is_stiff::<f32>();
}
