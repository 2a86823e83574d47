//! The proximal (JKO) step: descent for every step size, limits, exact solutions, order, kinks,
//! weights, failures.

mod hidden_derivatives;
mod kinks;
mod problems;

use nalgebra::{DMatrix, DVector};
use problems::{logistic, population, rectifier, rng, smooth};
use wasserflow::prelude::*;

use crate::counted::Counted;

/// `sum_i c_i |v_i - w_i|^2`.
fn squared<T: Real>(mu: &EmpiricalMeasure<T>, nu: &EmpiricalMeasure<T>) -> T {
    let mut sum = T::zero();
    for i in 0..mu.len() {
        let difference = mu.particle(i).iter().zip(nu.particle(i));
        sum += mu.weight(i) * difference.fold(T::zero(), |sum, (&w, &v)| sum + (w - v) * (w - v));
    }
    sum
}

/// Descent, `F(mu+) + W2^2 / (2 gamma) <= F(mu)` for every step of a run, up to the rounding of
/// `F`, a sum of terms of size `scale` that may cancel.
fn descends<T: Real>(
    name: &str,
    energy: &mut dyn Energy<T>,
    scale: f64,
    start: &EmpiricalMeasure<T>,
) {
    for gamma in [1e-6, 1e-4, 1e-2, 1.0, 1e2, 1e4, 1e6] {
        let mut flow = ParticleFlow::new(&mut *energy, Jko::default(), real(gamma)).unwrap();
        let mut state = flow.start(start.clone()).unwrap();
        for step in 0..3 {
            let name = format!("{name}, gamma {gamma}, step {step}");
            let before = state.clone();
            flow.advance(&mut state)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            has_descended(&name, &before, &state, gamma, scale);
            assert!(
                !state.is_stale() && state.energy() == flow.value(state.measure()),
                "{name}"
            );
        }
    }
}

fn has_descended<T: Real>(name: &str, before: &State<T>, after: &State<T>, gamma: f64, scale: f64) {
    let moved = squared(before.measure(), after.measure()) / real(2.0 * gamma);
    let rounding = real::<T>(16.0) * T::default_epsilon() * (before.energy().abs() + real(scale));
    let (p, f) = (after.energy() + moved, before.energy());
    assert!(
        p <= f + rounding,
        "{name}: {} + {moved} > {f}",
        after.energy()
    );
}

fn descends_on_all<T: Real>() {
    let neurons = init::balanced(2, 20, 1.0, &mut rng(7)).unwrap();
    descends::<T>(
        "rectifier with weight decay",
        &mut rectifier(40, 2, 1, 1e-2),
        0.0,
        &neurons,
    );
    descends::<T>("tanh", &mut smooth(40, 2, 2), 0.0, &neurons);
    descends::<T>("logistic", &mut logistic(40, 2, 3), 0.0, &neurons);
    descends::<T>(
        "population risk",
        &mut population(3, 4),
        1.0,
        &init::gaussian(3, 8, 0.6, &mut rng(8)).unwrap(),
    );
}

#[test]
fn the_objective_decreases() {
    descends_on_all::<f64>();
    descends_on_all::<f32>();
}

/// In single precision the sum of kernels cancels: the predicted reduction is below the rounding
/// error of its values long before the tolerance is reached.
#[test]
fn reductions_below_rounding_end_a_step() {
    for seed in 0..20 {
        let start = init::gaussian(3, 8, 0.6, &mut rng(seed + 50)).unwrap();
        descends::<f32>("population risk", &mut population(3, seed), 1.0, &start);
    }
}

#[test]
fn short_steps_are_euler_steps() {
    let start = init::balanced::<f64>(2, 10, 1.0, &mut rng(5)).unwrap();
    let mut last = f64::INFINITY;
    for gamma in [1e-2, 1e-3, 1e-4] {
        let mut jko = ParticleFlow::new(smooth(30, 2, 5), Jko::default(), gamma).unwrap();
        let mut euler = ParticleFlow::new(smooth(30, 2, 5), Euler, gamma).unwrap();
        let (mut a, mut b) = (
            jko.start(start.clone()).unwrap(),
            euler.start(start.clone()).unwrap(),
        );
        jko.advance(&mut a).unwrap();
        euler.advance(&mut b).unwrap();
        let apart = squared(a.measure(), b.measure()).sqrt();
        assert!(apart < 0.02 * last, "gamma {gamma}: {apart} after {last}"); // O(gamma^2)
        last = apart;
    }
}

fn shrinks_exactly<T: Real>() {
    let lambda: T = real(0.3);
    let start = init::gaussian::<T>(3, 7, 1.0, &mut rng(6)).unwrap();
    for gamma in [1e-3, 1.0, 1e3] {
        let gamma: T = real(gamma);
        let energy = PotentialEnergy::new(WeightDecay::new(lambda).unwrap(), 3);
        let mut flow = ParticleFlow::new(energy, Jko::default(), gamma).unwrap();
        let mut state = flow.start(start.clone()).unwrap();
        flow.advance(&mut state).unwrap();
        let shrink = T::one() / (T::one() + real::<T>(2.0) * lambda * gamma);
        for (&w, &v) in start.points().iter().zip(state.measure().points()) {
            // The default tolerance, 1e-6 of the explicit step, and the rounding of the points.
            let bound =
                real::<T>(1e-6) * w.abs().max(T::one()) + real::<T>(8.0) * T::default_epsilon();
            assert!(
                (v - w * shrink).abs() <= bound,
                "gamma {gamma}: {w} went to {v}"
            );
        }
    }
}

#[test]
fn the_quadratic_is_solved() {
    shrinks_exactly::<f64>();
    shrinks_exactly::<f32>();
}

#[test]
fn order_one() {
    let start = init::balanced::<f64>(2, 10, 1.0, &mut rng(5)).unwrap();
    let at = |integrator: Box<dyn Integrator<f64>>, dt: f64| {
        let mut flow = ParticleFlow::new(smooth(30, 2, 5), integrator, dt).unwrap();
        let mut state = flow.start(start.clone()).unwrap();
        flow.run_until(&mut state, 1.0, &mut ()).unwrap();
        state.into_measure()
    };
    let exact = at(Box::new(DormandPrince::new(1e-11, 1e-11)), 0.01);
    let errors =
        [0.1, 0.05, 0.025].map(|dt| squared(&at(Box::<Jko>::default(), dt), &exact).sqrt());
    for pair in errors.windows(2) {
        let order = (pair[0] / pair[1]).log2();
        assert!((order - 1.0).abs() < 0.1, "{errors:?}");
    }
}

/// One neuron, d = 1, x = 1, a = b, u = a^2 tends to y - 2 lambda; m = 1.
#[test]
fn one_neuron_reaches_its_limit() {
    for lambda in [0.0_f64, 0.1] {
        let risk = EmpiricalRisk::new(
            Square,
            DMatrix::from_element(1, 1, 1.0),
            DVector::from_element(1, 2.0),
        )
        .unwrap();
        let energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk).unwrap();
        let energy = energy.regularized(WeightDecay::new(lambda).unwrap());
        let mut flow = ParticleFlow::new(energy, Jko::default(), 10.0).unwrap();
        let start =
            EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[0.3_f64, 0.3])).unwrap();
        let mut state = flow.start(start).unwrap();
        for _ in 0..30 {
            flow.advance(&mut state).unwrap();
        }
        let w = state.measure().particle(0);
        assert!(
            (w[0] * w[1] - (2.0 - 2.0 * lambda)).abs() < 1e-9 && (w[0] - w[1]).abs() < 1e-9,
            "{w:?}"
        );
    }
}

/// A particle of weight 2c moves as two particles of weight c at the same point.
#[test]
fn weights_are_equivalent_to_copies() {
    let points = init::balanced::<f64>(2, 6, 1.0, &mut rng(9))
        .unwrap()
        .points()
        .clone();
    let weights = DVector::from_fn(6, |i, _| if i == 0 { 0.4 } else { 0.1 });
    let merged = EmpiricalMeasure::weighted(points.clone(), weights).unwrap();
    let split = EmpiricalMeasure::weighted(
        DMatrix::from_fn(3, 7, |l, i| points[(l, i.saturating_sub(1))]),
        DVector::from_fn(7, |i, _| if i <= 1 { 0.2 } else { 0.1 }),
    )
    .unwrap();
    let after = |mu: EmpiricalMeasure<f64>| {
        let mut flow =
            ParticleFlow::new(rectifier(30, 2, 9, 1e-2), Jko::new(1e-9, 1000), 0.5).unwrap();
        let mut state = flow.start(mu).unwrap();
        flow.run(&mut state, 3, &mut ()).unwrap();
        state
    };
    let (merged, split) = (after(merged), after(split));
    assert!(
        (merged.energy() - split.energy()).abs() < 1e-9,
        "{} {}",
        merged.energy(),
        split.energy()
    );
}

/// A particle of weight 0 that starts on another one follows it without influence.
#[test]
fn particles_of_weight_zero_follow() {
    let points = init::balanced::<f64>(2, 6, 1.0, &mut rng(9))
        .unwrap()
        .points()
        .clone();
    let alone = EmpiricalMeasure::weighted(points.clone(), DVector::from_element(6, 0.2)).unwrap();
    let probed = EmpiricalMeasure::weighted(
        DMatrix::from_fn(3, 7, |l, i| points[(l, i % 6)]),
        DVector::from_fn(7, |i, _| if i < 6 { 0.2 } else { 0.0 }),
    )
    .unwrap();
    let after = |mu: EmpiricalMeasure<f64>| {
        let mut flow = ParticleFlow::new(rectifier(30, 2, 9, 1e-2), Jko::default(), 0.5).unwrap();
        let mut state = flow.start(mu).unwrap();
        flow.run(&mut state, 3, &mut ()).unwrap();
        state
    };
    let (alone, probed) = (after(alone), after(probed));
    assert!((alone.energy() - probed.energy()).abs() < 1e-12);
    for (&w, &v) in probed
        .measure()
        .particle(0)
        .iter()
        .zip(probed.measure().particle(6))
    {
        assert!((w - v).abs() < 1e-9, "{w} {v}");
    }
}

/// An energy that is NaN beyond |w| = 1/2, in particular at its minimum.
struct NanBeyondHalf;
impl Energy<f64> for NanBeyondHalf {
    fn particle_dim(&self) -> usize {
        1
    }
    fn value(&mut self, mu: &EmpiricalMeasure<f64>) -> f64 {
        let w = mu.particle(0)[0];
        if w < 0.5 { f64::NAN } else { w }
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
        let value = self.value(mu);
        out.fill(if value.is_nan() { f64::NAN } else { -1.0 });
        value
    }
}

/// An energy that is NaN everywhere but at the start; its first variation, if implemented, is NaN.
struct NanButAtStart {
    variation: bool,
}
impl Energy<f64> for NanButAtStart {
    fn particle_dim(&self) -> usize {
        1
    }
    fn value(&mut self, mu: &EmpiricalMeasure<f64>) -> f64 {
        if mu.particle(0)[0] == 1.0 {
            1.0
        } else {
            f64::NAN
        }
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
        out.fill(-1.0);
        self.value(mu)
    }
    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<f64>,
        at: &DMatrix<f64>,
        values: &mut [f64],
        descent: &mut DMatrix<f64>,
    ) -> Option<f64> {
        values.copy_from_slice(at.as_slice());
        descent.fill(-1.0);
        self.variation.then(|| self.value(mu))
    }
}

#[test]
fn failure_is_an_error_and_the_last_state_is_kept() {
    let start = EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0)).unwrap();
    for variation in [false, true] {
        let mut flow = ParticleFlow::new(NanButAtStart { variation }, Jko::default(), 1.0).unwrap();
        let mut state = flow.start(start.clone()).unwrap();
        let error = flow.advance(&mut state).unwrap_err();
        assert!(matches!(error, StepError::Inner { .. }), "{error}");
        assert_eq!(
            (
                state.measure(),
                state.energy(),
                state.step(),
                state.is_stale()
            ),
            (&start, 1.0, 0, false)
        );
    }

    // The objective decreases up to the boundary of the domain.
    let mut flow = ParticleFlow::new(NanBeyondHalf, Jko::default(), 10.0).unwrap();
    let mut state = flow.start(start).unwrap();
    let _ = flow.advance(&mut state);
    assert!(state.energy().is_finite() && state.energy() <= 1.0);
}

#[test]
fn parameters_are_checked() {
    for (jko, name) in [
        (Jko::new(0.0, 10), "tolerance"),
        (Jko::new(f64::NAN, 10), "tolerance"),
        (Jko::new(1e-6, 0), "iterations"),
    ] {
        let error = ParticleFlow::new(smooth::<f64>(5, 2, 1), jko, 1.0)
            .err()
            .expect("refused");
        assert_eq!(error.name, name);
    }
    assert_eq!(Jko::default().order(), 1);
}

/// A planar rectifier network whose neurons reach data hyperplanes, to T = 2000 or in one longer
/// step.
#[test]
fn no_chattering_at_kinks() {
    for (gamma, most) in [(100.0, 6000), (1e3, 3000), (1e4, 4000), (1e6, 9000)] {
        let energy = Counted::new(rectifier::<f64>(200, 2, 0, 1e-3));
        let counts = energy.counts.clone();
        let mut flow = ParticleFlow::new(energy, Jko::default(), gamma).unwrap();
        let mut state = flow
            .start(init::balanced(2, 100, 1.0, &mut rng(100)).unwrap())
            .unwrap();
        let time = gamma.max(2000.0);
        flow.run_until(&mut state, time, &mut ()).unwrap();
        let count = counts.evaluations();
        println!(
            "gamma = {gamma}: F = {:.12} at {time}, {count} velocities and products",
            state.energy()
        );
        assert!(count < most, "gamma {gamma}: {count}");
    }
}

#[test]
fn polished_states_are_stationary() {
    let mut energy = smooth::<f64>(40, 2, 2);
    let mut state = State::new(init::balanced(2, 3, 1.0, &mut rng(3)).unwrap());
    let polished = polish(&mut *energy, &mut state, 2000).unwrap();
    println!("{polished:?}, F = {}", state.energy());
    assert!(
        state.dissipation().sqrt() < 1e-10,
        "{}",
        state.dissipation()
    );
}

/// Reductions of the objective are lost in its rounding where the residual is about 1e-8, and
/// convergence is linear there: the residual must fall on, by 8 more digits.
#[test]
fn polish_ends_at_the_rounding_of_the_gradient() {
    for seed in 0..40 {
        let mut energy = smooth::<f64>(40, 2, seed);
        let mut state = State::new(init::balanced(2, 6, 1.0, &mut rng(seed + 1)).unwrap());
        let polished = polish(&mut *energy, &mut state, 2000).unwrap();
        let slope = state.dissipation().sqrt();
        assert!(slope < 1e-12, "seed {seed}: {slope}, {polished:?}");
    }
}
