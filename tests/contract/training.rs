//! Training in time: schedules, averages, validation, invalid samples.

use wasserflow::integrator::from_fn;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::observe::{Average, UntilValidation};
use wasserflow::prelude::*;
use wasserflow::testing;

fn decay() -> PotentialEnergy<WeightDecay<f64>> {
    PotentialEnergy::new(WeightDecay::new(0.5).unwrap(), 1) // dw/dt = -w
}

fn at(w: f64) -> EmpiricalMeasure<f64> {
    EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, w)).unwrap()
}

/// Every step has the size of the schedule at the step and the time before it, also in a run that
/// resumes.
#[test]
fn steps_follow_the_schedule() {
    type Make = fn() -> Box<dyn Schedule<f64> + Send + Sync>;
    let schedules: [Make; 6] = [
        || Box::new(Constant::new(0.1).unwrap()),
        || Box::new(InverseSqrt::in_steps(0.1, 2.0).unwrap()),
        || Box::new(InverseSqrt::in_time(0.1, 0.5).unwrap()),
        || Box::new(WarmUp::new(5, Cosine::new(0.1, 0.01, 20).unwrap())),
        || Box::new(Piecewise::new(0.1, vec![(3, 0.05), (9, 0.01)]).unwrap()),
        || Box::new(from_fn(|s, t| 0.1 / (1.0 + s as f64 * t))),
    ];
    for schedule in schedules {
        let mut flow = ParticleFlow::scheduled(decay(), Euler, schedule()).unwrap();
        let (mut state, mut w, mut t) = (flow.start(at(1.0)).unwrap(), 1.0, 0.0);
        for s in 0..30 {
            let dt = schedule().step_size(s, state.time());
            let step = flow.advance(&mut state).unwrap();
            w += dt * -w;
            t += dt;
            assert_eq!(step.taken, dt);
            assert_eq!(state.measure().particle(0)[0], w);
            assert!((state.time() - t).abs() < 1e-14);
        }
        let mut resumed = state.clone();
        flow.run(&mut state, 10, &mut ()).unwrap();
        let mut other = ParticleFlow::scheduled(decay(), Euler, schedule()).unwrap();
        other.run(&mut resumed, 10, &mut ()).unwrap();
        assert_eq!(
            (resumed.measure(), resumed.time()),
            (state.measure(), state.time())
        );
        // A run to a time ends there exactly.
        let end = state.time() + 0.33;
        flow.run_until(&mut state, end, &mut ()).unwrap();
        assert_eq!(state.time(), end);
    }
}

/// An adaptive method controls its own steps: the schedule is used for the first one only. A
/// constant step size replaces the schedule.
#[test]
fn adaptive_methods_have_precedence() {
    let method = || DormandPrince::new(1e-6, 1e-8);
    let scheduled = from_fn(|s, _| if s == 0 { 0.01 } else { 1e-9 });
    let mut flow = ParticleFlow::scheduled(decay(), method(), scheduled).unwrap();
    let mut constant = ParticleFlow::new(decay(), method(), 0.01).unwrap();
    let mut states = [
        flow.start(at(1.0)).unwrap(),
        constant.start(at(1.0)).unwrap(),
    ];
    flow.run(&mut states[0], 20, &mut ()).unwrap();
    constant.run(&mut states[1], 20, &mut ()).unwrap();
    assert_eq!(states[0].time(), states[1].time());
    assert_eq!(states[0].measure(), states[1].measure());

    let mut flow = ParticleFlow::scheduled(decay(), Euler, from_fn(|_, _| 0.5)).unwrap();
    flow.set_dt(0.25).unwrap();
    let mut state = flow.start(at(1.0)).unwrap();
    assert_eq!(flow.advance(&mut state).unwrap().taken, 0.25);
}

/// A schedule with an invalid size is an error that names it, and the state is unchanged.
#[test]
fn invalid_sizes_of_a_schedule() {
    for dt in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = ParticleFlow::scheduled(decay(), Euler, from_fn(move |_, _| dt)).unwrap_err();
        assert_eq!(error.name, "the step size of the schedule");
        let later = from_fn(move |s, _| if s < 2 { 0.1 } else { dt });
        let mut flow = ParticleFlow::scheduled(decay(), Euler, later).unwrap();
        let mut state = flow.start(at(1.0)).unwrap();
        let error = flow.run(&mut state, 5, &mut ()).unwrap_err();
        assert!(matches!(error, StepError::Parameter(_)), "{error}");
        assert_eq!(state.step(), 2);
        let end = state.time() + 1.0;
        assert!(flow.run_until(&mut state, end, &mut ()).is_err());
        assert_eq!(state.step(), 2);
    }
    // Steps that decrease geometrically never arrive: a run to a time ends nonetheless.
    let halved = from_fn(|s, _| f64::max(0.5_f64.powi(s as i32), f64::MIN_POSITIVE));
    let mut flow = ParticleFlow::scheduled(decay(), Euler, halved).unwrap();
    let mut state = flow.start(at(1.0)).unwrap();
    let end = flow.run_until(&mut state, 5.0, &mut ());
    assert!(matches!(end, Err(StepError::Crawl { .. })), "{end:?}");
    for error in [
        Constant::new(0.0).unwrap_err(),
        InverseSqrt::in_steps(-1.0, 1.0).unwrap_err(),
        InverseSqrt::in_time(1.0, 0.0).unwrap_err(),
        Cosine::new(1.0, 0.0, 5).unwrap_err(),
        Piecewise::new(1.0, vec![(5, 1.0), (5, 1.0)]).unwrap_err(),
        Piecewise::new(1.0, vec![(5, f64::NAN)]).unwrap_err(),
        HeavyBall::new(-1.0).unwrap_err(),
    ] {
        assert!(!error.requirement.is_empty());
    }
}

/// Particles that jump to given points: after step s, a step of Euler of size 1 leads to
/// `points[s + 1]`.
struct Jumps<T> {
    points: Vec<[T; 2]>,
    step: usize,
}

impl<T: Real> Energy<T> for Jumps<T> {
    fn particle_dim(&self) -> usize {
        1
    }
    fn value(&mut self, _: &EmpiricalMeasure<T>) -> T {
        T::zero()
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        let next = self.points[(self.step + 1) % self.points.len()];
        for (i, (out, next)) in out.iter_mut().zip(next).enumerate() {
            *out = next - mu.particle(i)[0];
        }
        T::zero()
    }
    fn refresh(&mut self, step: usize) -> bool {
        self.step = step;
        true
    }
}

/// The average of a run through the given points.
fn average<T: Real>(points: &[[f64; 2]]) -> EmpiricalMeasure<T> {
    let points: Vec<[T; 2]> = points.iter().map(|w| w.map(real)).collect();
    let start = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 2, &points[0])).unwrap();
    let steps = points.len() - 1;
    let energy = Jumps { points, step: 0 };
    let mut flow = ParticleFlow::new(energy, Euler, T::one()).unwrap();
    let mut state = flow.start(start).unwrap();
    let mut average = Average::new();
    flow.run(&mut state, steps, &mut average).unwrap();
    assert_eq!(average.count(), steps + 1);
    average.measure().unwrap()
}

/// The average of the observed points, against exact integer arithmetic: in `f32` a plain sum of
/// 10^5 numbers has lost three digits.
#[test]
fn averages_are_exact_to_rounding() {
    const N: usize = 100_000;
    let mut rng = testing::CaseRng::new(3);
    // Multiples of 2^-24 in [0.5, 1): they and their differences are exact in both precisions.
    let mut coordinate = || f64::from(rng.uniform::<f32>(0.5, 1.0));
    let points: Vec<[f64; 2]> = (0..N).map(|_| [coordinate(), coordinate()]).collect();
    let (single, double) = (average::<f32>(&points), average::<f64>(&points));
    for i in 0..2 {
        let sum: i64 = points
            .iter()
            .map(|w| (w[i] * 2.0_f64.powi(24)) as i64)
            .sum();
        let exact = sum as f64 / 2.0_f64.powi(24) / N as f64; // one rounding: the sum is below 2^53
        let eps = f64::from(f32::EPSILON);
        let bound = eps * (1.0 + N as f64 * eps) * exact;
        assert!((f64::from(single.particle(i)[0]) - exact).abs() <= bound);
        assert!((double.particle(i)[0] - exact).abs() <= 1.5 * f64::EPSILON * exact);
        let plain = points.iter().fold(0.0_f32, |sum, w| sum + w[i] as f32) / N as f32;
        let error = (f64::from(plain) - exact).abs();
        assert!(error > 3.0 * bound, "a plain sum: {error:e}, {bound:e}");
    }
}

/// The average of a run equals that of its parts, and starts anew for another run.
#[test]
fn averages_of_resumed_runs() {
    let flow = || ParticleFlow::new(decay(), Euler, 0.1).unwrap();
    let (mut whole, mut parts) = (Average::tail(5), Average::tail(5));
    let mut state = flow().start(at(1.0)).unwrap();
    flow().run(&mut state, 20, &mut whole).unwrap();
    let mut state = flow().start(at(1.0)).unwrap();
    for steps in [2, 3, 7, 8] {
        flow().run(&mut state, steps, &mut parts).unwrap();
    }
    assert_eq!(whole, parts);
    assert_eq!(whole.count(), 16);
    let mean = (5..=20).map(|s| 0.9_f64.powi(s)).sum::<f64>() / 16.0;
    assert!((whole.measure().unwrap().particle(0)[0] / mean - 1.0).abs() < 1e-14);
    // A run that ends at the first step that counts, and another one.
    let mut two = Average::tail(5);
    for steps in [5, 8] {
        let mut state = flow().start(at(1.0)).unwrap();
        flow().run(&mut state, steps, &mut two).unwrap();
    }
    assert_eq!(two.count(), 4);
    // Another run, and one with more particles.
    let mut state = flow().start(at(2.0)).unwrap();
    flow().run(&mut state, 5, &mut whole).unwrap();
    assert_eq!(whole.count(), 1);
    assert_eq!(
        whole.measure().unwrap().particle(0),
        state.measure().particle(0)
    );
    *state.measure_mut() = EmpiricalMeasure::uniform(DMatrix::zeros(1, 3)).unwrap();
    flow().run(&mut state, 1, &mut whole).unwrap();
    assert_eq!((whole.count(), whole.measure().unwrap().len()), (2, 3));
    assert!(Average::<f64>::tail(100).measure().is_none());
}

/// Early stopping on a value that falls, rises and is NaN once: the best measure is kept, the run
/// stops after `patience` evaluations without improvement.
#[test]
fn early_stopping() {
    // w = 0.9^s; the value is least at w = 0.9^6.
    let target = 0.9_f64.powi(6);
    let value = move |mu: &EmpiricalMeasure<f64>| {
        let w = mu.particle(0)[0];
        if (w - 0.9_f64.powi(4)).abs() < 1e-12 {
            f64::NAN
        } else {
            (w - target).abs()
        }
    };
    for (period, patience, best, last) in [
        (1, 1, 3, 4),
        (1, 3, 6, 9),
        (2, 2, 6, 10),
        (5, 1, 5, 10),
        (0, 0, 3, 4),
    ] {
        let mut flow = ParticleFlow::new(decay(), Euler, 0.1).unwrap();
        let mut stop = UntilValidation::new(period, patience, value);
        let mut state = flow.start(at(1.0)).unwrap();
        assert_eq!(stop.best(), None);
        let reason = flow.run(&mut state, 100, &mut stop).unwrap();
        assert_eq!((reason, state.step()), (StopReason::Validation, last));
        assert!(!reason.converged());
        assert_eq!(
            stop.best_step(),
            Some(best),
            "period {period}, patience {patience}"
        );
        let w = stop.best().unwrap().particle(0)[0];
        assert!((w - 0.9_f64.powi(best as i32)).abs() < 1e-12);
        assert_eq!(stop.best_value(), Some((w - target).abs()));

        // In parts, one step a run, the observer decides the same: a state counts once.
        let mut parts = UntilValidation::new(period, patience, value);
        let mut state = flow.start(at(1.0)).unwrap();
        while flow.run(&mut state, 1, &mut parts).unwrap() == StopReason::Steps {}
        assert_eq!((state.step(), parts.best_step()), (last, Some(best)));
        assert_eq!(parts.into_best().as_ref(), stop.best());
        // A second run begins anew.
        let mut state = flow.start(at(1.0)).unwrap();
        flow.run(&mut state, 1, &mut stop).unwrap();
        assert!(stop.best_step() <= Some(1));
    }
}

/// Invalid samples: at construction a typed error; in a run the error of the step that draws them,
/// and the state before it remains valid.
#[test]
fn invalid_samples() {
    let bad = |limit: usize, x_value: f64, y_value: f64| {
        let mut calls = 0;
        move |_: &mut SampleRng, x: &mut [f64], y: &mut [f64]| {
            calls += 1;
            (x[0], y[0]) = if calls > limit {
                (x_value, y_value)
            } else {
                (1.0, 1.0)
            };
        }
    };
    let new = |limit, x, y| ExpectedRisk::new(Logistic, (1, 1), 4, 7, bad(limit, x, y));
    let error = new(2, f64::NAN, 1.0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "sample 2, coordinate 0 must be finite, found NaN"
    );
    let error = new(2, 1.0, 0.5).unwrap_err();
    assert_eq!(
        error.to_string(),
        "sample 2, target 0 must be -1 or 1, found 0.5"
    );
    for (x, y, what) in [
        (
            f64::INFINITY,
            1.0,
            "a coordinate of a drawn sample must be finite, found inf",
        ),
        (
            1.0,
            0.5,
            "the target of a drawn sample must be -1 or 1, found 0.5",
        ),
    ] {
        let energy = MeanFieldRisk::new(Ridge::new(Tanh, 1), new(10, x, y).unwrap()).unwrap();
        let mut flow = ParticleFlow::new(energy, Euler, 0.1).unwrap();
        let start = EmpiricalMeasure::uniform(DMatrix::from_element(2, 1, 0.5)).unwrap();
        let mut state = flow.start(start).unwrap();
        let error = flow.run(&mut state, 10, &mut ()).unwrap_err();
        assert_eq!((error.to_string().as_str(), state.step()), (what, 1));
        assert!(state.measure().check().is_ok() && state.energy().is_finite());
    }
    let full = || EmpiricalRisk::new(Square, DMatrix::zeros(1, 3), DVector::zeros(3)).unwrap();
    for batch in [0, 4, usize::MAX] {
        let error = MinibatchRisk::<_, f64>::new(full(), batch, 1).unwrap_err();
        assert!(matches!(error, RiskError::Parameter(error) if error.name == "batch"));
    }
    #[derive(Debug)]
    struct Coupled(EmpiricalRisk<Square, f64>);
    impl Risk<f64> for Coupled {
        fn inputs(&self) -> &Inputs<f64> {
            self.0.inputs()
        }
        fn value(&self, h: &[f64]) -> f64 {
            self.0.value(h)
        }
        fn value_and_gradient(&self, h: &[f64], out: &mut [f64]) -> f64 {
            self.0.value_and_gradient(h, out)
        }
    }
    let error = MinibatchRisk::new(Coupled(full()), 2, 1).unwrap_err();
    assert_eq!(error, RiskError::NotSeparable);
}

/// A refill that fails changes nothing, inputs and targets alike.
#[test]
fn a_failed_refill_changes_nothing() {
    let mut risk = EmpiricalRisk::with_outputs(
        Logistic,
        DMatrix::from_element(2, 3, 0.5),
        DMatrix::from_element(2, 3, 1.0),
    )
    .unwrap();
    let before = (risk.inputs().points().clone(), risk.targets().clone());
    let fill = |j: usize, x: &mut [f64], y: &mut [f64]| {
        x.fill(2.0);
        y[1] = if j == 2 { 0.3 } else { -1.0 };
    };
    assert!(risk.refill(fill).is_err());
    assert_eq!(
        &before,
        &(risk.inputs().points().clone(), risk.targets().clone())
    );
    let mut softmax =
        SoftmaxCrossEntropy::new(DMatrix::from_element(1, 3, 0.5), vec![0, 1, 2], 3).unwrap();
    assert!(softmax.refill(|_, x, y| (x[0], *y) = (1.0, 3)).is_err());
    assert!(
        softmax
            .refill(|_, x, y| (x[0], *y) = (f64::NAN, 0))
            .is_err()
    );
    assert_eq!(softmax.labels(), [0, 1, 2]);
    assert_eq!(softmax.inputs().points(), &DMatrix::from_element(1, 3, 0.5));
    softmax
        .refill(|j, x, y| (x[0], *y) = (j as f64, 2 - j))
        .unwrap();
    assert_eq!(softmax.labels(), [2, 1, 0]);
}
