//! Every run ends: clocks that overflow or stand still are errors, observers end runs whose energy
//! rises, and record a second run in full. Parameters are checked in the precision of the flow.

use std::panic::catch_unwind;

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::observe::{
    Every, LogSpaced, Snapshots, Trace, UntilRising, UntilStationary, UntilTarget,
};
use wasserflow::prelude::*;

/// `F(mu) = int w^2 / 2 dmu` on the line: `w' = -w`.
fn decay<T: Real>() -> PotentialEnergy<WeightDecay<T>> {
    PotentialEnergy::new(WeightDecay::new(real(0.5)).unwrap(), 1)
}

/// Two particles at `w`.
fn at<T: Real>(w: f64) -> EmpiricalMeasure<T> {
    EmpiricalMeasure::uniform(DMatrix::from_element(1, 2, real(w))).unwrap()
}

fn integrators<T: Real>() -> Vec<Box<dyn Integrator<T>>> {
    vec![
        Box::new(Euler),
        Box::new(Heun),
        Box::new(Rk4),
        Box::new(DormandPrince::default()),
        Box::new(Jko::default()),
        Box::new(Conic::new(1.0, 1.0)),
    ]
}

// ---- clocks ----

/// `t + dt` is infinite: an error before the step, with the state unchanged. The sum would be
/// infinite, and the next compensated sum not a number.
fn times_stay_finite<T: Real>() {
    let largest = T::max_value().unwrap();
    for w in [0.0, 1.0] {
        for dt in [largest, largest * real(0.75)] {
            for (index, integrator) in integrators::<T>().into_iter().enumerate() {
                let mut flow = ParticleFlow::new(decay(), integrator, dt).unwrap();
                let mut state = flow.start(at(w)).unwrap();
                let mut last = Ok(StopReason::Steps);
                for _ in 0..4 {
                    let (time, mu) = (state.time(), state.measure().clone());
                    last = flow.run(&mut state, 1, &mut ());
                    assert!(state.time().is_finite() && state.energy().is_finite());
                    if last.is_err() {
                        assert!(state.time() == time && *state.measure() == mu);
                    }
                }
                if w == 0.0 && index < 3 {
                    let Err(StepError::Parameter(error)) = last else {
                        panic!("integrator {index}: {last:?}")
                    };
                    assert_eq!((error.name, error.requirement), ("time + dt", "finite"));
                }
            }
        }
    }
}

#[test]
fn a_step_beyond_the_largest_time_is_an_error() {
    times_stay_finite::<f64>();
    times_stay_finite::<f32>();
}

/// The least positive step is lost in the time 1: a run to the time 2 is reported, and does not
/// loop. From time 0 it is as far from the end.
fn short_steps<T: Real>(least: f64) {
    for (index, integrator) in integrators::<T>().into_iter().enumerate() {
        if ![0, 3, 4].contains(&index) {
            continue; // a million steps take a second
        }
        let mut flow = ParticleFlow::new(decay(), integrator, T::one()).unwrap();
        let mut state = flow.start(at(1.0)).unwrap();
        for from in [0.0, 1.0] {
            if from > 0.0 {
                flow.set_dt(real(0.25)).unwrap();
                state.reset_control();
                flow.run_until(&mut state, real(from), &mut ()).unwrap();
            }
            state.reset_control();
            flow.set_dt(real(least)).unwrap();
            let step = state.step();
            let outcome = flow.run_until(&mut state, real(2.0 * from + 1.0), &mut ());
            match index {
                // An adaptive method enlarges its steps: fivefold, 460 times from 5e-324.
                3 => {
                    assert_eq!(outcome, Ok(StopReason::Time));
                    assert!(state.step() - step < 600);
                    break;
                }
                // 1 / dt is infinite.
                4 => {
                    let Err(StepError::Parameter(error)) = outcome else {
                        panic!("{outcome:?}")
                    };
                    assert_eq!(error.name, "dt");
                    assert_eq!(state.step(), step);
                }
                _ => {
                    assert!(
                        matches!(outcome, Err(StepError::Crawl { size, .. }) if size == least),
                        "{outcome:?}"
                    );
                    assert_eq!(state.step() - step, 1);
                }
            }
            assert!(state.time().is_finite() && !state.is_stale());
        }
    }
}

#[test]
fn steps_that_do_not_reach_the_time_are_an_error() {
    short_steps::<f64>(f64::from_bits(1));
    short_steps::<f32>(f64::from(f32::from_bits(1)));
    // Not only the least step: 1e16 steps are too many, 1e5 are not.
    let mut flow = ParticleFlow::new(decay::<f64>(), Euler, 1e-16).unwrap();
    let mut state = flow.start(at(1.0)).unwrap();
    let error = flow.run_until(&mut state, 1.0, &mut ()).unwrap_err();
    assert!(error.to_string().contains("no progress"), "{error}");
    flow.run_until(&mut state, 1e-11, &mut ()).unwrap();
    assert_eq!(state.time(), 1e-11);
}

/// An integrator whose proposals shrink: `dt, dt / 2, dt / 4, ..` never reach `2 dt`.
struct Shrinking;
impl<T: Real> Integrator<T> for Shrinking {
    fn order(&self) -> u32 {
        1
    }
    fn step(
        &mut self,
        energy: &mut dyn Energy<T>,
        state: &mut State<T>,
        dt: T,
    ) -> Result<Step<T>, StepError> {
        let Step { taken, .. } = Euler.step(energy, state, dt)?;
        let next = (taken * real(0.5)).max(real(1e-30));
        Ok(Step {
            taken,
            next: Some(next),
        })
    }
}

#[test]
fn proposals_that_shrink_are_an_error() {
    let mut flow = ParticleFlow::new(decay::<f64>(), Shrinking, 0.5).unwrap();
    let mut state = flow.start(at(1.0)).unwrap();
    let error = flow.run_until(&mut state, 2.0, &mut ()).unwrap_err();
    assert!(matches!(error, StepError::Crawl { .. }), "{error}");
    assert!(state.step() < 1_000_100 && state.time() < 1.0 + 1e-9);
}

// ---- parameters in the precision of the flow ----

#[test]
fn parameters_are_checked_in_the_scalar_of_the_flow() {
    fn name<T: Real>(integrator: impl Integrator<T>) -> Option<&'static str> {
        let flow = ParticleFlow::new(decay::<T>(), integrator, T::one());
        flow.err().map(|error| error.name)
    }
    // 1e-60 is 0 in f32, and 1e60 infinite.
    let both = [
        (
            name::<f32>(DormandPrince::new(1e-60, 0.0)),
            name::<f64>(DormandPrince::new(1e-60, 0.0)),
            "rtol + atol",
        ),
        (
            name::<f32>(DormandPrince::new(1e60, 0.0)),
            name::<f64>(DormandPrince::new(1e60, 0.0)),
            "rtol",
        ),
        (
            name::<f32>(DormandPrince::new(0.0, 1e60)),
            name::<f64>(DormandPrince::new(0.0, 1e60)),
            "atol",
        ),
        (
            name::<f32>(Jko::new(1e-60, 10)),
            name::<f64>(Jko::new(1e-60, 10)),
            "tolerance",
        ),
        (
            name::<f32>(Conic::new(1e60, 0.0)),
            name::<f64>(Conic::new(1e60, 0.0)),
            "alpha",
        ),
        (
            name::<f32>(Conic::new(0.0, 1e60)),
            name::<f64>(Conic::new(0.0, 1e60)),
            "beta",
        ),
    ];
    for (single, double, expected) in both {
        assert_eq!((single, double), (Some(expected), None));
    }
}

/// Tolerances below `8 eps |w|` are replaced by that value: the same run, bit for bit.
#[test]
fn tolerances_below_rounding_have_a_floor() {
    fn run<T: Real>(rtol: f64, atol: f64) -> (usize, T) {
        let mut flow =
            ParticleFlow::new(decay(), DormandPrince::new(rtol, atol), real(0.1)).unwrap();
        let mut state = flow.start(at::<T>(1.0)).unwrap();
        flow.run_until(&mut state, real(5.0), &mut ()).unwrap();
        (state.step(), state.measure().particle(0)[0])
    }
    fn check<T: Real>(eps: f64, tolerance: f64) {
        let least = run::<T>(8.0 * eps, 0.0);
        for (rtol, atol) in [(1e-18, 0.0), (eps, 0.0), (0.0, 1e-25)] {
            assert_eq!(run::<T>(rtol, atol), least);
        }
        let error = (least.1 * real(5.0_f64.exp()) - T::one()).abs();
        assert!(error < real(tolerance * eps), "{error}");
        assert_ne!(run::<T>(64.0 * eps, 0.0), least);
    }
    check::<f64>(f64::EPSILON, 1000.0);
    check::<f32>(f64::from(f32::EPSILON), 200.0);
}

// ---- rising energies ----

/// One feature 1000 times too large: `dt < 2 / L` is violated by a factor of 1e4. The run is finite
/// at its end, and `NonFinite` is not returned.
#[test]
fn a_rising_energy_is_reported() {
    let (x, y) = (
        DMatrix::from_row_slice(1, 4, &[1000.0, -700.0, 300.0, 900.0]),
        DVector::from_row_slice(&[1.0, 1.0, -1.0, -1.0]),
    );
    let risk = EmpiricalRisk::new(Logistic, x, y).unwrap();
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk).unwrap();
    let mut flow = ParticleFlow::new(energy, Euler, 0.1).unwrap();
    let start =
        EmpiricalMeasure::uniform(DMatrix::from_row_slice(2, 2, &[0.5, -0.5, 0.5, 0.5])).unwrap();
    let mut silent = flow.start(start.clone()).unwrap();
    let before = silent.energy();
    assert_eq!(
        flow.run_until(&mut silent, 0.3, &mut ()).unwrap(),
        StopReason::Time
    );
    assert!(silent.energy() > 10.0 * before, "{}", silent.energy());

    let mut rising = UntilRising::new(2.0).unwrap();
    let mut state = flow.start(start).unwrap();
    let reason = flow.run_until(&mut state, 0.3, &mut rising).unwrap();
    assert_eq!((reason, reason.converged()), (StopReason::Rising, false));
    assert!(state.step() <= silent.step() && state.energy() > before);
}

/// The state of energy `energy` after `step` steps of a flow at rest.
fn observed(
    observer: &mut impl Observer<f64>,
    energies: &[f64],
    first_step: usize,
) -> Option<usize> {
    /// A constant energy without velocities.
    struct Constant(f64);
    impl Energy<f64> for Constant {
        fn particle_dim(&self) -> usize {
            1
        }
        fn value(&mut self, _: &EmpiricalMeasure<f64>) -> f64 {
            self.0
        }
        fn velocity(&mut self, _: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
            out.fill(0.0);
            self.0
        }
    }
    let mut flow = ParticleFlow::new(Constant(energies[0]), Euler, 0.5).unwrap();
    let mut state = flow.start(at(0.0)).unwrap();
    flow.run(&mut state, first_step, &mut ()).unwrap();
    for (index, &energy) in energies.iter().enumerate() {
        flow.energy_mut().0 = energy;
        if index > 0 {
            flow.advance(&mut state).unwrap();
        }
        state.invalidate();
        state.evaluate(flow.energy_mut());
        if let Some(reason) = observer.observe(&state).break_value() {
            assert_eq!(reason, StopReason::Rising);
            return Some(index);
        }
    }
    None
}

#[test]
fn rising_is_relative_to_the_running_minimum() {
    let rising = |factor: f64| UntilRising::new(factor).unwrap();
    for scale in [1e-200, 1.0, 1e200] {
        let scaled = |energies: &[f64]| energies.iter().map(|e| e * scale).collect::<Vec<_>>();
        let found = |factor, energies: &[f64]| observed(&mut rising(factor), &scaled(energies), 0);
        assert_eq!(found(2.0, &[4.0, 1.0, 1.9, 2.1]), Some(3));
        assert_eq!(found(1.0, &[4.0, 1.0, 1.0 + 1e-9, 1.1]), Some(3));
        assert_eq!(found(1.0, &[4.0, 3.0, 2.0, 1.0]), None);
        // A negative energy rises by its size.
        assert_eq!(found(2.0, &[4.0, -1.0, -0.1, 0.1]), Some(3));
        // Oscillations below the rounding of the first energy do not count, a rise from there does.
        assert_eq!(found(2.0, &[1.0, 1e-20, 1e-9, 1e-30, 1e-8]), None);
        assert_eq!(found(2.0, &[1.0, 1e-20, 1e-6, 0.5]), Some(2));
    }
    for bad in [0.5, -2.0, f64::NAN, f64::INFINITY] {
        assert_eq!(UntilRising::new(bad).unwrap_err().name, "factor");
    }
    // A second run from a higher energy is another run; a resumed one is not.
    let mut observer = rising(2.0);
    assert_eq!(observed(&mut observer, &[1.0, 0.5], 0), None);
    assert_eq!(observed(&mut observer, &[100.0, 50.0], 0), None);
    assert_eq!(observed(&mut observer, &[50.0, 120.0], 1), Some(1));
}

/// Flows that converge do not rise, down to their rounding.
#[test]
fn a_flow_that_converges_does_not_rise() {
    fn converges<T: Real>() {
        for integrator in integrators::<T>() {
            let mut flow = ParticleFlow::new(decay(), integrator, real(0.1)).unwrap();
            let mut state = flow.start(at::<T>(1.0)).unwrap();
            let mut observer = UntilRising::new(real(1.5)).unwrap();
            let reason = flow.run(&mut state, 3000, &mut observer).unwrap();
            assert_eq!(reason, StopReason::Steps);
        }
    }
    converges::<f64>();
    converges::<f32>();
}

// ---- observers ----

#[test]
fn criteria_are_finite() {
    for bad in [f64::NAN, f64::INFINITY, -1.0] {
        assert_eq!(UntilStationary::new(bad).unwrap_err().name, "tolerance");
    }
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(UntilTarget::new(bad).unwrap_err().name, "target");
        assert_eq!(UntilTarget::new(bad as f32).unwrap_err().name, "target");
    }
    assert!(UntilTarget::new(-1e300).is_ok() && UntilStationary::new(0.0).is_ok());
}

#[test]
fn observers_record_a_second_run() {
    let mut flow = ParticleFlow::new(decay::<f64>(), Euler, 0.125).unwrap();
    let mut observer = (
        Trace::new(),
        Snapshots::new(),
        LogSpaced::new(2.0, Trace::new()).unwrap(),
        Every::new(0, Trace::new()),
    );
    // 0 + 20 + 20 steps of one run, then 3 steps of a second one.
    let mut state = flow.start(at(1.0)).unwrap();
    for steps in [0, 20, 20] {
        flow.run(&mut state, steps, &mut observer).unwrap();
    }
    let mut state = flow.start(at(2.0)).unwrap();
    flow.run(&mut state, 3, &mut observer).unwrap();
    // A state that is modified at the same step is another state.
    state.measure_mut().points_mut()[0] = 7.0;
    flow.run(&mut state, 0, &mut observer).unwrap();

    let (trace, snapshots, spaced, every) = observer;
    let steps: Vec<usize> = trace.records().iter().map(|record| record.step).collect();
    let expected: Vec<usize> = (0..=40).chain(0..=3).chain([3]).collect();
    assert_eq!(steps, expected);
    assert_eq!(snapshots.taken().len(), expected.len());
    assert_eq!(snapshots.taken()[41].1.particle(0), &[2.0]);
    assert_eq!(every.into_inner().records(), trace.records()); // a period of 0 is 1
    let spaced = spaced.into_inner();
    let steps: Vec<usize> = spaced.records().iter().map(|record| record.step).collect();
    assert_eq!(steps, [0, 1, 2, 4, 8, 16, 32, 0, 1, 2]);
}

// ---- single methods ----

/// Weights of `Conic` decrease by `exp(-4 V dt)`: `exp(-1600)` is 0 in every precision, and the
/// particle carries no mass again, as documented. A weight 0 stays 0 at an infinite rate, too.
#[test]
fn weights_that_underflow_stay_zero() {
    struct Value(f64);
    impl Potential<f64> for Value {
        fn value(&self, w: &[f64]) -> f64 {
            self.0 * w[0]
        }
        fn gradient(&self, _: &[f64], _: f64, _: &mut [f64]) {}
    }
    let points = DMatrix::from_row_slice(1, 3, &[1.0, 0.0, 1.0]);
    let start =
        EmpiricalMeasure::weighted(points, DVector::from_row_slice(&[1.0, 1.0, 0.0])).unwrap();
    let flow = |v| {
        ParticleFlow::new(PotentialEnergy::new(Value(v), 1), Conic::new(1.0, 0.0), 1.0).unwrap()
    };
    let mut state = flow(400.0).start(start).unwrap();
    flow(400.0).run(&mut state, 1, &mut ()).unwrap();
    assert_eq!(state.measure().weights(), &[0.0, 1.0, 0.0]);
    // exp(1600) is infinite.
    state.invalidate();
    flow(-400.0).run(&mut state, 3, &mut ()).unwrap();
    assert_eq!(state.measure().weights(), &[0.0, 1.0, 0.0]);
}

#[test]
fn polish_requires_a_finite_start() {
    for w in [1e200, 1e160] {
        let mut state = State::new(at::<f64>(w));
        let error = polish(&mut decay(), &mut state, 10).unwrap_err();
        assert_eq!(error, StepError::NonFinite { step: 0, time: 0.0 });
        assert_eq!(state.measure(), &at(w));
    }
}

#[test]
fn more_successes_than_trials_panic() {
    let panic = catch_unwind(|| study::wilson(5, 3)).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert_eq!(message, "successes must be at most trials = 3, found 5");
    assert_eq!(study::wilson(0, 0), (0.0, 1.0));
    let (low, high) = study::wilson(3, 3);
    assert!(low > 0.4 && high == 1.0);
}
