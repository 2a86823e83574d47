//! Bad input is a typed error at construction that names the place. A step that fails leaves the
//! last finite state.

use std::fmt::Display;
use std::ops::ControlFlow;

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::observe::{LogSpaced, Trace, UntilStationary, UntilTarget};
use wasserflow::prelude::*;

const NOT_FINITE: [f64; 3] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

/// Asserts that the message contains each of the words.
fn contains(error: &impl Display, words: &[&str]) {
    let message = error.to_string();
    for word in words {
        assert!(message.contains(word), "`{word}` is missing in: {message}");
    }
}

fn x(d: usize, n: usize) -> DMatrix<f64> {
    DMatrix::from_fn(d, n, |l, j| ((3 * l + 2 * j) as f64).sin())
}

// ---- construction ----

#[test]
fn measures() {
    for bad in NOT_FINITE {
        let mut points = x(3, 4);
        points[(1, 2)] = bad;
        let error = EmpiricalMeasure::uniform(points).unwrap_err();
        assert!(
            matches!(
                error,
                MeasureError::Point {
                    particle: 2,
                    coordinate: 1,
                    ..
                }
            ),
            "{error}"
        );
        contains(&error, &["particle 2", "coordinate 1", "finite"]);
        let error = EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, bad as f32)).unwrap_err();
        assert!(
            matches!(
                error,
                MeasureError::Point {
                    particle: 0,
                    coordinate: 0,
                    ..
                }
            ),
            "{error}"
        );
    }
    for bad in NOT_FINITE.into_iter().chain([-1.0, -1e-300]) {
        let error =
            EmpiricalMeasure::weighted(x(3, 4), DVector::from_vec(vec![1.0, 0.0, 1.0, bad]))
                .unwrap_err();
        assert!(
            matches!(error, MeasureError::Weight { particle: 3, .. }),
            "{error}"
        );
        contains(&error, &["weight of particle 3", ">= 0"]);
    }
    let error = EmpiricalMeasure::weighted(x(3, 4), DVector::zeros(5)).unwrap_err();
    assert_eq!(
        error,
        MeasureError::Weights {
            expected: 4,
            found: 5
        }
    );
    for (dim, len) in [(0, 4), (3, 0), (0, 0)] {
        let error = EmpiricalMeasure::uniform(DMatrix::<f64>::zeros(dim, len)).unwrap_err();
        assert_eq!(error, MeasureError::Empty { dim, len });
    }
    // Initial measures.
    assert!(matches!(
        init::grid::<f64>(0, 3, 0.0, 1.0),
        Err(MeasureError::Empty { .. })
    ));
    assert!(matches!(
        init::grid::<f64>(2, 0, 0.0, 1.0),
        Err(MeasureError::Empty { .. })
    ));
    assert!(matches!(
        init::grid::<f64>(64, 1000, 0.0, 1.0),
        Err(MeasureError::Parameter(_))
    ));
    assert!(matches!(
        init::grid::<f64>(1, 2, f64::NAN, 1.0),
        Err(MeasureError::Point { .. })
    ));
    assert!(matches!(
        init::circle::<f64>(0, 1.0),
        Err(MeasureError::Empty { .. })
    ));
    assert!(matches!(
        init::circle::<f64>(3, f64::INFINITY),
        Err(MeasureError::Point { .. })
    ));
    let one = EmpiricalMeasure::uniform(x(2, 1)).unwrap();
    contains(
        &init::symmetrised(&one, 3).unwrap_err(),
        &["k must be at most", "3"],
    );
}

#[test]
fn random_starts() {
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    assert!(matches!(
        init::sphere::<f64>(0, 3, rng),
        Err(MeasureError::Empty { .. })
    ));
    assert!(matches!(
        init::sphere::<f64>(3, 0, rng),
        Err(MeasureError::Empty { .. })
    ));
    assert!(matches!(
        init::gaussian::<f64>(3, 0, 1.0, rng),
        Err(MeasureError::Empty { .. })
    ));
    assert!(matches!(
        init::balanced::<f64>(0, 3, 1.0, rng),
        Err(MeasureError::Empty { .. })
    ));
    assert!(matches!(
        init::balanced::<f64>(3, 0, 1.0, rng),
        Err(MeasureError::Empty { .. })
    ));
    for bad in NOT_FINITE.into_iter().chain([-1.0]) {
        contains(
            &init::gaussian::<f64>(2, 3, bad, rng).unwrap_err(),
            &["std"],
        );
        contains(
            &init::balanced::<f64>(2, 3, bad, rng).unwrap_err(),
            &["radius"],
        );
    }
    // Finite in f64, not in f32.
    assert!(matches!(
        init::gaussian::<f32>(2, 3, 1e60, rng),
        Err(MeasureError::Point { .. })
    ));
}

#[test]
fn inputs() {
    for bad in NOT_FINITE {
        let mut points = x(2, 4);
        points[(1, 3)] = bad;
        let error = Inputs::new(points.clone()).unwrap_err();
        assert!(
            matches!(
                error,
                RiskError::Input {
                    sample: 3,
                    coordinate: 1,
                    ..
                }
            ),
            "{error}"
        );
        contains(&error, &["sample 3", "coordinate 1", "finite"]);
        assert!(matches!(
            Inputs::from_slice(2, points.as_slice()),
            Err(RiskError::Input {
                sample: 3,
                coordinate: 1,
                ..
            })
        ));

        // A refused refill has no effect.
        let mut inputs = Inputs::new(x(2, 4)).unwrap();
        let error = inputs
            .refill(|j, x| x[0] = if j == 2 { bad } else { 7.0 })
            .unwrap_err();
        assert!(
            matches!(
                error,
                RiskError::Input {
                    sample: 2,
                    coordinate: 0,
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(inputs.points(), &x(2, 4));
    }
    assert_eq!(
        Inputs::new(DMatrix::<f64>::zeros(0, 4)).unwrap_err(),
        RiskError::Empty { dim: 0, len: 4 }
    );
    assert_eq!(
        Inputs::new(DMatrix::<f64>::zeros(4, 0)).unwrap_err(),
        RiskError::Empty { dim: 4, len: 0 }
    );
    assert_eq!(
        Inputs::<f64>::from_slice(2, &[]).unwrap_err(),
        RiskError::Empty { dim: 2, len: 0 }
    );
    assert!(matches!(
        Inputs::<f64>::from_slice(0, &[1.0]),
        Err(RiskError::Empty { .. })
    ));
    assert!(matches!(
        Inputs::<f64>::from_slice(2, &[1.0; 3]),
        Err(RiskError::Shape(_))
    ));
}

#[test]
fn risks() {
    let y = || DVector::from_vec(vec![1.0, -1.0, 1.0]);
    for bad in NOT_FINITE {
        let mut points = x(2, 3);
        points[(0, 1)] = bad;
        let error = EmpiricalRisk::new(Square, points.clone(), y()).unwrap_err();
        assert!(
            matches!(
                error,
                RiskError::Input {
                    sample: 1,
                    coordinate: 0,
                    ..
                }
            ),
            "{error}"
        );
        assert!(matches!(
            SoftmaxCrossEntropy::new(points, vec![0; 3], 2),
            Err(RiskError::Input { sample: 1, .. })
        ));

        let mut targets = DMatrix::from_element(2, 3, 1.0);
        targets[(1, 2)] = bad;
        let refused = |error: RiskError| {
            assert!(
                matches!(
                    error,
                    RiskError::Target {
                        sample: 2,
                        output: 1,
                        ..
                    }
                ),
                "{error}"
            );
            contains(&error, &["sample 2", "target 1"]);
        };
        refused(EmpiricalRisk::with_outputs(Square, x(2, 3), targets.clone()).unwrap_err());
        refused(EmpiricalRisk::with_outputs(Huber(1.0), x(2, 3), targets.clone()).unwrap_err());
        refused(EmpiricalRisk::with_outputs(Quantile(0.5), x(2, 3), targets.clone()).unwrap_err());
        refused(EmpiricalRisk::with_outputs(Logistic, x(2, 3), targets.clone()).unwrap_err());
        refused(EmpiricalRisk::with_outputs(Exponential, x(2, 3), targets.clone()).unwrap_err());
        refused(EmpiricalRisk::with_outputs(Hinge, x(2, 3), targets.clone()).unwrap_err());
        refused(EmpiricalRisk::with_outputs(SmoothHinge(1.0), x(2, 3), targets).unwrap_err());
    }
    for bad in [0.5, 0.0, 2.0] {
        let labels = || DVector::from_vec(vec![1.0, bad, -1.0]);
        let refused = |error: RiskError| {
            assert!(
                matches!(error, RiskError::Target { sample: 1, output: 0, value, .. } if value == bad),
                "{error}"
            );
            contains(&error, &["sample 1", "-1 or 1", &bad.to_string()]);
        };
        refused(EmpiricalRisk::new(Logistic, x(2, 3), labels()).unwrap_err());
        refused(EmpiricalRisk::new(Exponential, x(2, 3), labels()).unwrap_err());
        refused(EmpiricalRisk::new(Hinge, x(2, 3), labels()).unwrap_err());
        refused(EmpiricalRisk::new(SmoothHinge(0.5), x(2, 3), labels()).unwrap_err());
    }
    // Shapes.
    let shape = |error: RiskError, what: &str| {
        assert!(
            matches!(error, RiskError::Shape(_) | RiskError::Parameter(_)),
            "{error}"
        );
        contains(&error, &[what]);
    };
    shape(
        EmpiricalRisk::new(Square, x(2, 4), y()).unwrap_err(),
        "number of targets must be 4, found 3",
    );
    shape(
        EmpiricalRisk::new(Square, x(2, 2), y()).unwrap_err(),
        "number of targets",
    );
    shape(
        EmpiricalRisk::with_outputs(Square, x(2, 3), DMatrix::zeros(0, 3)).unwrap_err(),
        "outputs",
    );
    shape(
        SoftmaxCrossEntropy::new(x(2, 3), vec![0, 1], 2).unwrap_err(),
        "number of labels",
    );
    shape(
        SoftmaxCrossEntropy::new(x(2, 3), vec![0; 3], 0).unwrap_err(),
        "classes",
    );
    let error = SoftmaxCrossEntropy::new(x(2, 3), vec![0, 2, 1], 2).unwrap_err();
    assert!(
        matches!(error, RiskError::Target { sample: 1, .. }),
        "{error}"
    );
    assert!(matches!(
        EmpiricalRisk::new(Square, x(2, 0), DVector::zeros(0)),
        Err(RiskError::Empty { dim: 2, len: 0 })
    ));
    assert!(matches!(
        EmpiricalRisk::new(Square, x(0, 3), y()),
        Err(RiskError::Empty { dim: 0, len: 3 })
    ));
    assert!(matches!(
        SoftmaxCrossEntropy::new(x(2, 0), vec![], 2),
        Err(RiskError::Empty { .. })
    ));
    // Sample weights.
    let risk = || EmpiricalRisk::new(Square, x(2, 3), y()).unwrap();
    for bad in NOT_FINITE.into_iter().chain([-0.5]) {
        let error = risk().sample_weights(vec![1.0, 0.0, bad]).unwrap_err();
        assert!(
            matches!(error, RiskError::Weight { sample: 2, .. }),
            "{error}"
        );
        contains(&error, &["weight of sample 2"]);
    }
    shape(
        risk().sample_weights(vec![1.0; 2]).unwrap_err(),
        "number of sample weights must be 3, found 2",
    );
    // Parameters of a loss.
    let parameter = |error: RiskError, words: &[&str]| {
        assert!(matches!(error, RiskError::Parameter(_)), "{error}");
        contains(&error, words);
    };
    for bad in NOT_FINITE.into_iter().chain([0.0, -1.0]) {
        parameter(
            EmpiricalRisk::new(Huber(bad), x(2, 3), y()).unwrap_err(),
            &["threshold", "positive"],
        );
        parameter(
            EmpiricalRisk::new(SmoothHinge(bad), x(2, 3), y()).unwrap_err(),
            &["width", "positive"],
        );
    }
    for bad in NOT_FINITE.into_iter().chain([0.0, 1.0, -0.5, 2.0]) {
        parameter(
            EmpiricalRisk::new(Quantile(bad), x(2, 3), y()).unwrap_err(),
            &["level", "between 0 and 1"],
        );
    }
}

/// A risk with zero outputs.
#[derive(Debug)]
struct Nothing(Inputs<f64>);

impl Risk<f64> for Nothing {
    fn inputs(&self) -> &Inputs<f64> {
        &self.0
    }
    fn output_dim(&self) -> usize {
        0
    }
    fn value(&self, _: &[f64]) -> f64 {
        0.0
    }
    fn value_and_gradient(&self, _: &[f64], _: &mut [f64]) -> f64 {
        0.0
    }
}

#[test]
fn energies() {
    let risk = || EmpiricalRisk::new(Square, x(2, 3), DVector::zeros(3)).unwrap();
    let error = MeanFieldRisk::new(Ridge::new(Relu, 3), risk()).unwrap_err();
    assert_eq!(
        error,
        ShapeError {
            what: "input dimension of the feature map",
            expected: 2,
            found: 3
        }
    );
    assert!(
        MeanFieldRisk::new(Ridge::new(Relu, 0), risk()).is_err(),
        "d = 0"
    );
    let error = MeanFieldRisk::new(Ridge::with_outputs(Relu, 2, 3), risk()).unwrap_err();
    contains(&error, &["outputs", "1", "3"]);
    assert!(
        MeanFieldRisk::new(Ridge::with_outputs(Relu, 2, 0), risk()).is_err(),
        "k = 0"
    );
    let nothing = Nothing(Inputs::new(x(2, 3)).unwrap());
    let error = MeanFieldRisk::new(Ridge::with_outputs(Relu, 2, 0), nothing).unwrap_err();
    contains(&error, &["outputs", "found 0"]);

    let target = || EmpiricalMeasure::uniform(x(2, 3)).unwrap();
    assert!(Mmd::new(ArcCosine::new(2), target()).is_ok());
    contains(
        &Mmd::new(ArcCosine::new(3), target()).unwrap_err(),
        &["target", "3", "2"],
    );
    assert!(Mmd::new(ArcCosine::new(0), target()).is_err());
    for bad in NOT_FINITE.into_iter().chain([0.0, -1.0]) {
        contains(&Gaussian::new(2, bad).unwrap_err(), &["bandwidth"]);
    }
    for bad in NOT_FINITE.into_iter().chain([-1.0]) {
        contains(&WeightDecay::new(bad).unwrap_err(), &["lambda", ">= 0"]);
        contains(
            &WeightDecay::new(bad as f32).unwrap_err(),
            &["lambda", ">= 0"],
        );
    }
    let decay = |p| PotentialEnergy::new(WeightDecay::new(1.0).unwrap(), p);
    contains(
        &Sum::new(decay(2), decay(3)).unwrap_err(),
        &["second energy", "2", "3"],
    );
}

#[test]
fn flows_and_observers() {
    fn decay<T: Real>() -> PotentialEnergy<WeightDecay<T>> {
        PotentialEnergy::new(WeightDecay::new(T::one()).unwrap(), 2)
    }
    for bad in NOT_FINITE.into_iter().chain([0.0, -0.0, -1.0]) {
        let error = ParticleFlow::new(decay::<f64>(), Euler, bad).unwrap_err();
        assert_eq!(
            (error.name, error.requirement),
            ("dt", "positive and finite")
        );
        assert!(ParticleFlow::new(decay::<f32>(), Euler, bad as f32).is_err());
    }
    for bad in NOT_FINITE.into_iter().chain([-1e-6]) {
        contains(
            &ParticleFlow::new(decay::<f64>(), DormandPrince::new(bad, 1e-6), 0.1).unwrap_err(),
            &["rtol"],
        );
        contains(
            &ParticleFlow::new(decay::<f64>(), DormandPrince::new(1e-6, bad), 0.1).unwrap_err(),
            &["atol"],
        );
        let boxed: Box<dyn Integrator<f64>> = Box::new(DormandPrince::new(bad, 1e-6));
        assert!(ParticleFlow::new(decay::<f64>(), boxed, 0.1).is_err());
    }
    contains(
        &ParticleFlow::new(decay::<f64>(), DormandPrince::new(0.0, 0.0), 0.1).unwrap_err(),
        &["rtol", "atol"],
    );
    assert!(UntilStationary::new(f64::NAN).is_err() && UntilStationary::new(-1.0).is_err());
    assert!(UntilTarget::new(f64::NAN).is_err());
    for bad in NOT_FINITE.into_iter().chain([1.0, 0.0]) {
        contains(&LogSpaced::new(bad, ()).unwrap_err(), &["ratio"]);
    }

    let mut flow = ParticleFlow::new(decay::<f64>(), Euler, 0.1).unwrap();
    let error = flow
        .start(EmpiricalMeasure::uniform(x(3, 2)).unwrap())
        .unwrap_err();
    assert_eq!(
        error,
        StartError::Shape(ShapeError {
            what: "particle dimension of the measure",
            expected: 2,
            found: 3
        })
    );
    let mut broken = EmpiricalMeasure::uniform(x(2, 2)).unwrap();
    broken.points_mut()[3] = f64::NAN;
    let error = flow.start(broken).unwrap_err();
    assert!(
        matches!(
            error,
            StartError::Measure(MeasureError::Point {
                particle: 1,
                coordinate: 1,
                ..
            })
        ),
        "{error}"
    );
    let mut broken = EmpiricalMeasure::uniform(x(2, 2)).unwrap();
    broken.weights_mut()[1] = -1.0;
    assert!(matches!(
        flow.start(broken),
        Err(StartError::Measure(MeasureError::Weight {
            particle: 1,
            ..
        }))
    ));
    // Finite particles whose energy is not.
    let far = EmpiricalMeasure::uniform(DMatrix::from_element(2, 1, 1e200)).unwrap();
    let error = flow.start(far).unwrap_err();
    assert!(matches!(error, StartError::NonFinite { .. }), "{error}");
    contains(&error, &["F = inf"]);
}

// ---- steps that fail ----

type Method = fn() -> Box<dyn Integrator<f64>>;

/// The public contents of a state, as bits.
fn bits(state: &State<f64>) -> Vec<u64> {
    let mu = state.measure();
    let scalars = [
        state.energy(),
        state.dissipation(),
        state.time(),
        state.step() as f64,
        state.next().unwrap_or(-1.0),
    ];
    let fields = mu
        .points()
        .iter()
        .chain(mu.weights())
        .chain(state.velocity().iter());
    fields.chain(&scalars).map(|x| x.to_bits()).collect()
}

fn network() -> MeanFieldRisk<Ridge<Softplus>, EmpiricalRisk<Square, f64>, f64, WeightDecay<f64>> {
    let risk = EmpiricalRisk::new(
        Square,
        x(2, 9) * 2.0,
        DVector::from_fn(9, |j, _| (j as f64).cos()),
    )
    .unwrap();
    MeanFieldRisk::new(Ridge::new(Softplus, 2), risk)
        .unwrap()
        .regularized(WeightDecay::new(0.01).unwrap())
}

fn students() -> EmpiricalMeasure<f64> {
    EmpiricalMeasure::weighted(x(3, 5), DVector::from_vec(vec![0.3, 0.0, 0.2, 0.1, 0.4])).unwrap()
}

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

// ---- times ----

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
