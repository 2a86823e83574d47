//! Times, and runs that resume.

use std::ops::ControlFlow;

use wasserflow::nalgebra::DMatrix;
use wasserflow::observe::{Trace, UntilStationary};
use wasserflow::prelude::*;

use super::{Method, bits, network, students, x};

fn ends_exactly<T: Real>() {
    let energy = || PotentialEnergy::new(WeightDecay::new(real::<T>(0.5)).unwrap(), 1);
    let mu = || EmpiricalMeasure::uniform(DMatrix::from_element(1, 2, T::one())).unwrap();
    for dt in [
        0.1,
        0.3,
        1.0 / 3.0,
        0.01,
        0.007,
        1e-3,
        0.999_999_9,
        2.0,
        1e9,
        1.0 / 3.0 * 3e-3,
    ] {
        for time in [1.0, 0.1, 0.3, 2.5, 1e-3, 7.0 / 3.0] {
            let (dt, time) = (real::<T>(dt), real::<T>(time));
            let mut flow = ParticleFlow::new(energy(), Heun, dt.min(T::one())).unwrap();
            let mut state = flow.start(mu()).unwrap();
            let reason = flow.run_until(&mut state, time, &mut ()).unwrap();
            assert_eq!((reason, state.time()), (StopReason::Time, time));
            // The smallest possible number of steps: no tiny step at the end.
            let least = (time / dt.min(T::one())).to_f64().unwrap();
            assert!(
                state.step() as f64 <= (least * (1.0 - 1e-4)).ceil() + 1.0,
                "{} steps for {least}",
                state.step()
            );
            // Again to the same time, to the past, and on.
            let (step, w) = (state.step(), state.measure().particle(0)[0]);
            for past in [time, T::zero(), -T::one()] {
                assert_eq!(
                    flow.run_until(&mut state, past, &mut ()).unwrap(),
                    StopReason::Time
                );
                assert_eq!(
                    (state.time(), state.step(), state.measure().particle(0)[0]),
                    (time, step, w)
                );
            }
            let later = time + real(0.7);
            flow.run_until(&mut state, later, &mut ()).unwrap();
            assert_eq!(state.time(), later);

            let mut flow = ParticleFlow::new(energy(), DormandPrince::new(1e-3, 1e-6), dt).unwrap();
            let mut state = flow.start(mu()).unwrap();
            flow.run_until(&mut state, time, &mut ()).unwrap();
            assert_eq!(state.time(), time);
        }
    }
    // Whole numbers of steps: 1 / dt of them, though dt is rounded.
    for steps in [3, 7, 10, 49, 100, 333, 1000] {
        let dt = T::one() / real(f64::from(steps));
        let mut flow = ParticleFlow::new(energy(), Euler, dt).unwrap();
        let mut state = flow.start(mu()).unwrap();
        flow.run_until(&mut state, T::one(), &mut ()).unwrap();
        assert_eq!((state.step(), state.time()), (steps as usize, T::one()));
    }
}

#[test]
fn run_until_ends_at_exactly_the_time() {
    ends_exactly::<f64>();
    ends_exactly::<f32>();
}

/// The last step of a run to a time is shortened; the next proposal of an adaptive method is not.
#[test]
fn a_shortened_step_does_not_shorten_the_next_run() {
    let mut flow = ParticleFlow::new(network(), DormandPrince::new(1e-6, 1e-8), 0.01).unwrap();
    let mut state = flow.start(students()).unwrap();
    flow.run(&mut state, 10, &mut ()).unwrap();
    let proposed = state.next().unwrap();
    let time = state.time() + 1e-6 * proposed;
    flow.run_until(&mut state, time, &mut ()).unwrap();
    assert_eq!((state.step(), state.time()), (11, time));
    assert!(state.next().unwrap() >= proposed);
}

#[test]
fn invalid_times() {
    let mut flow = ParticleFlow::new(network(), Euler, 0.01).unwrap();
    let mut state = flow.start(students()).unwrap();
    let before = bits(&state);
    let error = flow.run_until(&mut state, f64::NAN, &mut ()).unwrap_err();
    assert!(
        matches!(
            error,
            StepError::Parameter(ParameterError { name: "time", .. })
        ),
        "{error}"
    );
    assert_eq!(
        flow.run_until(&mut state, f64::NEG_INFINITY, &mut ())
            .unwrap(),
        StopReason::Time
    );
    assert_eq!(bits(&state), before);
    // Infinity: until the observer stops it.
    let mut stop = observe::from_fn(|state: &State<f64>| {
        if state.step() == 25 {
            ControlFlow::Break(StopReason::Requested)
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!(
        flow.run_until(&mut state, f64::INFINITY, &mut stop)
            .unwrap(),
        StopReason::Requested
    );
    assert_eq!((state.step(), state.time()), (25, 0.25));
}

/// run(20) = run(7) + run(13), bit for bit; also through a clone of the state, a fresh flow, and
/// steps by hand.
#[test]
fn a_run_resumes_bit_for_bit() {
    let integrators: [Method; 4] = [
        || Box::new(Euler),
        || Box::new(Heun),
        || Box::new(Rk4),
        || Box::new(DormandPrince::new(1e-6, 1e-8)),
    ];
    for integrator in integrators {
        let flow = || ParticleFlow::new(network(), integrator(), 0.03).unwrap();
        let mut straight = flow().start(students()).unwrap();
        flow().run(&mut straight, 20, &mut ()).unwrap();

        let mut one = flow();
        let mut resumed = one.start(students()).unwrap();
        one.run(&mut resumed, 7, &mut ()).unwrap();
        let mut cloned = resumed.clone();
        let mut reused = flow()
            .start(EmpiricalMeasure::uniform(x(3, 5)).unwrap())
            .unwrap();
        reused.clone_from(&resumed);
        let mut by_hand = resumed.clone();

        one.run(&mut resumed, 13, &mut ()).unwrap();
        flow().run(&mut cloned, 13, &mut Trace::new()).unwrap();
        flow()
            .run(&mut reused, 13, &mut UntilStationary::new(0.0).unwrap())
            .unwrap();
        let mut other = flow();
        for _ in 0..13 {
            other.advance(&mut by_hand).unwrap();
        }
        for state in [&resumed, &cloned, &reused, &by_hand] {
            assert_eq!(bits(state), bits(&straight));
        }
    }
    // And to a time: for fixed steps an intermediate stop at the end of a step has no effect.
    let mut flow = ParticleFlow::new(network(), Rk4, 0.125).unwrap();
    let (mut straight, mut resumed) = (
        flow.start(students()).unwrap(),
        flow.start(students()).unwrap(),
    );
    flow.run_until(&mut straight, 2.0, &mut ()).unwrap();
    flow.run_until(&mut resumed, 0.75, &mut ()).unwrap();
    flow.run_until(&mut resumed, 2.0, &mut ()).unwrap();
    assert_eq!(bits(&straight), bits(&resumed));
}

/// At rest the steps of an adaptive method grow without bound, but stay finite.
#[test]
fn steps_at_rest_stay_finite() {
    fn rest<T: Real>() {
        let energy = PotentialEnergy::new(WeightDecay::new(T::one()).unwrap(), 1);
        let mut flow = ParticleFlow::new(energy, DormandPrince::default(), real(0.1)).unwrap();
        let mut state = flow
            .start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 2, T::zero())).unwrap())
            .unwrap();
        assert_eq!(
            flow.run(&mut state, 1000, &mut ()).unwrap(),
            StopReason::Steps
        );
        assert!(state.time().is_finite() && state.next().unwrap().is_finite());
        assert_eq!(state.measure().particle(1), &[T::zero()]);
    }
    rest::<f64>();
    rest::<f32>();
}
