//! Steps that fail.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::observe::Trace;
use wasserflow::prelude::*;

use super::{Method, NOT_FINITE, bits, contains, network, students, x};

/// Steps that are far too long fail without a change of the state, and another flow continues from
/// it.
#[test]
fn a_diverging_step_keeps_the_last_finite_state() {
    let integrators: [Method; 3] = [|| Box::new(Euler), || Box::new(Heun), || Box::new(Rk4)];
    for integrator in integrators {
        let mut sane = ParticleFlow::new(network(), integrator(), 0.01).unwrap();
        let mut wild = ParticleFlow::new(network(), integrator(), 1e6).unwrap();
        let mut state = sane.start(students()).unwrap();
        sane.run(&mut state, 3, &mut ()).unwrap();

        // Euler diverges over a few finite steps; the state is that of the last of them.
        let mut last = bits(&state);
        let error = loop {
            match wild.advance(&mut state) {
                Ok(_) => last = bits(&state),
                Err(error) => break error,
            }
            assert!(state.step() < 100, "it diverges");
        };
        let StepError::NonFinite { step, time } = error else {
            panic!("{error}")
        };
        assert_eq!((step, time), (state.step(), state.time()));
        contains(&error, &[&format!("step {step}"), "not finite"]);
        assert_eq!(bits(&state), last);
        assert!(state.measure().check().is_ok() && !state.is_stale());
        // The same again, by `run` and by `run_until`.
        let end = state.time() + 1e12;
        assert!(wild.run(&mut state, 5, &mut ()).is_err());
        assert!(wild.run_until(&mut state, end, &mut ()).is_err());
        assert_eq!(bits(&state), last);
    }
    // After a failure at the first step the run continues as one that never failed.
    let mut flow = ParticleFlow::new(network(), Rk4, 0.01).unwrap();
    let mut wild = ParticleFlow::new(network(), Rk4, 1e100).unwrap();
    let mut state = flow.start(students()).unwrap();
    let mut other = state.clone();
    assert!(wild.advance(&mut state).is_err());
    flow.run(&mut state, 10, &mut ()).unwrap();
    flow.run(&mut other, 10, &mut ()).unwrap();
    assert_eq!(bits(&state), bits(&other));
}

/// `F(mu) = int w dmu`, which is NaN if `w < limit`: in the energy, or in the velocities only.
struct NanBelow {
    limit: f64,
    velocity_only: bool,
}

impl Energy<f64> for NanBelow {
    fn particle_dim(&self) -> usize {
        1
    }
    fn value(&mut self, mu: &EmpiricalMeasure<f64>) -> f64 {
        let beyond = (0..mu.len()).any(|i| mu.particle(i)[0] < self.limit);
        if beyond && !self.velocity_only {
            return f64::NAN;
        }
        (0..mu.len())
            .map(|i| mu.weight(i) * mu.particle(i)[0])
            .sum()
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
        for (i, v) in out.iter_mut().enumerate() {
            *v = if mu.particle(i)[0] < self.limit {
                f64::NAN
            } else {
                -1.0
            };
        }
        self.value(mu)
    }
}

#[test]
fn an_energy_that_is_not_a_number_stops_the_flow() {
    for velocity_only in [false, true] {
        // The particle below the limit has weight 0: it counts all the same.
        for weights in [[0.5, 0.5], [1.0, 0.0]] {
            let points = DMatrix::from_row_slice(1, 2, &[10.0, 1.0]);
            let mu = EmpiricalMeasure::weighted(points, DVector::from_row_slice(&weights)).unwrap();
            let mut flow = ParticleFlow::new(
                NanBelow {
                    limit: 0.0,
                    velocity_only,
                },
                Euler,
                0.25,
            )
            .unwrap();
            let mut state = flow.start(mu).unwrap();
            let mut trace = Trace::new();
            let error = flow.run(&mut state, 100, &mut trace).unwrap_err();
            assert_eq!(error, StepError::NonFinite { step: 4, time: 1.0 });
            assert_eq!(
                (state.step(), state.time(), state.measure().particle(1)[0]),
                (4, 1.0, 0.0)
            );
            assert_eq!(
                (state.velocity()[1], state.measure().particle(0)[0]),
                (-1.0, 9.0)
            );
            assert_eq!(
                trace.records().len(),
                5,
                "observers receive finite states only"
            );
            assert!(
                trace
                    .records()
                    .iter()
                    .all(|record| record.energy.is_finite())
            );
            // With another limit the flow continues.
            flow.energy_mut().limit = -100.0;
            assert_eq!(flow.run(&mut state, 4, &mut ()).unwrap(), StopReason::Steps);
            assert_eq!((state.time(), state.measure().particle(1)[0]), (2.0, -1.0));
        }
    }
    // A start below the limit.
    let mu = EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, -1.0)).unwrap();
    let mut flow = ParticleFlow::new(
        NanBelow {
            limit: 0.0,
            velocity_only: false,
        },
        Euler,
        0.25,
    )
    .unwrap();
    contains(&flow.start(mu).unwrap_err(), &["start", "finite", "NaN"]);
    // The adaptive method retries with shorter steps and approaches the limit.
    let mut flow = ParticleFlow::new(
        NanBelow {
            limit: 0.0,
            velocity_only: false,
        },
        DormandPrince::default(),
        0.3,
    )
    .unwrap();
    let mut state = flow
        .start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0)).unwrap())
        .unwrap();
    for _ in 0..200 {
        let before = bits(&state);
        match flow.advance(&mut state) {
            Ok(step) => {
                assert!(
                    step.taken > 0.0
                        && state.energy().is_finite()
                        && state.measure().particle(0)[0] >= 0.0
                )
            }
            Err(error) => {
                assert!(
                    matches!(error, StepError::NonFinite { .. } | StepError::Inner { .. }),
                    "{error}"
                );
                assert_eq!(bits(&state), before);
            }
        }
    }
    assert!(state.measure().particle(0)[0] < 1e-6);
}

/// Faults of a user-defined integrator.
#[derive(Clone, Copy)]
enum Fault {
    ErrAfterMoving,
    Nan,
    InfiniteWeight,
    NegativeWeight,
    OtherShape,
    TakesNothing,
    TakesTooMuch,
    TakesNan,
    ProposesNothing,
    ProposesNan,
}

/// Euler, with a fault at step 2.
struct Faulty(Fault);

impl Integrator<f64> for Faulty {
    fn order(&self) -> u32 {
        1
    }
    fn step(
        &mut self,
        energy: &mut dyn Energy<f64>,
        state: &mut State<f64>,
        dt: f64,
    ) -> Result<Step<f64>, StepError> {
        let step = Euler.step(energy, state, dt)?;
        if state.step() != 2 {
            return Ok(step);
        }
        match self.0 {
            Fault::ErrAfterMoving => return Err(StepError::Unsupported { what: "patience" }),
            Fault::Nan => state.measure_mut().points_mut()[0] = f64::NAN,
            Fault::InfiniteWeight => state.measure_mut().weights_mut()[0] = f64::INFINITY,
            Fault::NegativeWeight => state.measure_mut().weights_mut()[0] = -0.5,
            Fault::OtherShape => *state.measure_mut() = EmpiricalMeasure::uniform(x(2, 9)).unwrap(),
            Fault::TakesNothing => {
                return Ok(Step {
                    taken: 0.0,
                    next: None,
                });
            }
            Fault::TakesTooMuch => {
                return Ok(Step {
                    taken: 2.0 * dt,
                    next: None,
                });
            }
            Fault::TakesNan => {
                return Ok(Step {
                    taken: f64::NAN,
                    next: None,
                });
            }
            Fault::ProposesNothing => {
                return Ok(Step {
                    taken: dt,
                    next: Some(0.0),
                });
            }
            Fault::ProposesNan => {
                return Ok(Step {
                    taken: dt,
                    next: Some(f64::NAN),
                });
            }
        }
        Ok(step)
    }
}

#[test]
fn an_integrator_that_fails_leaves_the_last_state() {
    let faults = [
        Fault::ErrAfterMoving,
        Fault::Nan,
        Fault::InfiniteWeight,
        Fault::NegativeWeight,
        Fault::OtherShape,
        Fault::TakesNothing,
        Fault::TakesTooMuch,
        Fault::TakesNan,
        Fault::ProposesNothing,
        Fault::ProposesNan,
    ];
    for fault in faults {
        let mut flow = ParticleFlow::new(network(), Faulty(fault), 0.01).unwrap();
        let mut state = flow.start(students()).unwrap();
        flow.run(&mut state, 2, &mut ()).unwrap();
        let before = bits(&state);
        let error = flow
            .run(&mut state, 1, &mut ())
            .expect_err(&format!("fault {}", fault as u8));
        match fault {
            Fault::ErrAfterMoving => assert_eq!(error, StepError::Unsupported { what: "patience" }),
            Fault::Nan => assert_eq!(
                error,
                StepError::NonFinite {
                    step: 2,
                    time: 0.02
                }
            ),
            Fault::NegativeWeight => {
                assert!(
                    matches!(
                        error,
                        StepError::Measure(MeasureError::Weight { particle: 0, .. })
                    ),
                    "{error}"
                );
            }
            Fault::OtherShape => assert!(matches!(error, StepError::Shape(_)), "{error}"),
            _ => contains(&error, &[]),
        }
        assert_eq!(bits(&state), before, "fault {}", fault as u8);
        assert_eq!(state.measure().weights(), students().weights());
        // Another integrator continues.
        let mut sane = ParticleFlow::new(network(), Euler, 0.01).unwrap();
        sane.run(&mut state, 3, &mut ()).unwrap();
        let mut straight = sane.start(students()).unwrap();
        sane.run(&mut straight, 5, &mut ()).unwrap();
        assert_eq!(bits(&state), bits(&straight));
    }
}

/// A measure made invalid between steps is refused with the place, and no step is taken; repaired,
/// the flow continues.
#[test]
fn a_measure_made_invalid_between_steps_is_refused() {
    let mut flow = ParticleFlow::new(network(), Euler, 0.01).unwrap();
    let mut state = flow.start(students()).unwrap();
    for bad in NOT_FINITE {
        let good = state.measure().clone();
        state.measure_mut().points_mut()[4] = bad;
        for _ in 0..2 {
            let error = flow.run(&mut state, 5, &mut ()).unwrap_err();
            assert!(
                matches!(
                    error,
                    StepError::Measure(MeasureError::Point {
                        particle: 1,
                        coordinate: 1,
                        ..
                    })
                ),
                "{error}"
            );
        }
        *state.measure_mut() = good;
        state.measure_mut().weights_mut()[1] = bad;
        assert!(matches!(
            flow.advance(&mut state),
            Err(StepError::Measure(MeasureError::Weight { particle: 1, .. }))
        ));
        state.measure_mut().weights_mut()[1] = 0.0;
        flow.advance(&mut state).unwrap();
    }
    assert_eq!(state.step(), 3);
    // Finite, but too large for its energy: refused every time, before observers are called.
    let good = state.measure().clone();
    state.measure_mut().points_mut()[0] = 1e200;
    for _ in 0..3 {
        let mut trace = Trace::new();
        let error = flow.run(&mut state, 0, &mut trace).unwrap_err();
        assert!(
            matches!(error, StepError::NonFinite { step: 3, .. }),
            "{error}"
        );
        assert!(trace.records().is_empty());
    }
    // Of another dimension, or of another number of particles, which is fine.
    *state.measure_mut() = EmpiricalMeasure::uniform(x(2, 5)).unwrap();
    assert!(matches!(
        flow.advance(&mut state),
        Err(StepError::Shape(ShapeError {
            expected: 3,
            found: 2,
            ..
        }))
    ));
    *state.measure_mut() = EmpiricalMeasure::uniform(x(3, 8)).unwrap();
    flow.advance(&mut state).unwrap();
    *state.measure_mut() = good;
    flow.advance(&mut state).unwrap();
    assert_eq!((state.step(), state.measure().len()), (5, 5));
}
/// A loss that overflows is an error of the step.
#[test]
fn overflow_is_an_error_and_not_a_number() {
    let y = DVector::from_vec(vec![-1.0, 1.0, -1.0]);
    let far = EmpiricalMeasure::uniform(DMatrix::from_element(2, 1, -50.0)).unwrap();
    let points = DMatrix::from_row_slice(1, 3, &[1.0, -1.0, 2.0]);
    let exponential = EmpiricalRisk::new(Exponential, points.clone(), y.clone()).unwrap();
    let map = || Ridge::new(Identity, 1);
    let mut flow =
        ParticleFlow::new(MeanFieldRisk::new(map(), exponential).unwrap(), Euler, 0.1).unwrap();
    // h = 2500 x, so margins are -2500 and less, and exp(2500) is infinite.
    assert!(matches!(
        flow.start(far.clone()),
        Err(StartError::NonFinite { .. })
    ));
    let logistic = EmpiricalRisk::new(Logistic, points, y).unwrap();
    let mut flow =
        ParticleFlow::new(MeanFieldRisk::new(map(), logistic).unwrap(), Euler, 0.1).unwrap();
    let state: State<f64> = flow.start(far).unwrap();
    assert!(state.energy().is_finite() && state.dissipation() > 0.0);
}

/// The derivative of the loss overflows at the end of the step, for a sample whose second input is 0
/// and a neuron whose second input weight is 0: its velocity is a product of infinity and 0.
#[test]
fn an_infinite_slope_of_the_loss_keeps_the_last_finite_state() {
    fn check<A: Activation<f64>>(activation: A, d: usize, n: usize) {
        // Both signs at the same direction: F cannot be small, and a long step overshoots.
        let inputs = DMatrix::from_fn(d, n, |l, j| if l == 0 { 1.0 + (j % 2) as f64 } else { 0.0 });
        let labels = DVector::from_fn(n, |j, _| [1.0, -1.0][j % 2]);
        let risk = EmpiricalRisk::new(Exponential, inputs, labels).unwrap();
        let mut energy = MeanFieldRisk::new(Ridge::new(activation, d), risk).unwrap();
        let points = DMatrix::from_fn(
            1 + d,
            3,
            |l, i| if l < 2 { 0.3 * (1.0 + i as f64) } else { 0.0 },
        );
        let start = EmpiricalMeasure::uniform(points).unwrap();

        let mut far = start.clone();
        let neurons = far.points_mut().chunks_exact_mut(1 + d);
        neurons.for_each(|w| w[0] = -1e6);
        assert_eq!(energy.value(&far), f64::INFINITY);
        let mut flow = ParticleFlow::new(energy, Euler, 1e-3).unwrap();
        assert!(matches!(flow.start(far), Err(StartError::NonFinite { .. })));
        let mut state = flow.start(start).unwrap();
        flow.run(&mut state, 2, &mut ()).unwrap();
        let last = bits(&state);
        flow.set_dt(1e8).unwrap();
        let error = flow.run(&mut state, 5, &mut ()).unwrap_err();
        assert!(
            matches!(error, StepError::NonFinite { step: 2, .. }),
            "{error}"
        );
        assert_eq!(bits(&state), last, "d = {d}, n = {n}");
        // The state is valid: shorter steps continue from it.
        flow.set_dt(1e-3).unwrap();
        flow.run(&mut state, 2, &mut ()).unwrap();
    }
    for (d, n) in [(2, 2), (3, 7), (5, 300), (40, 300)] {
        check(Abs, d, n);
        check(LeakyRelu(0.5), d, n);
        check(Identity, d, n);
        check(Tanh, d, n);
    }
}
