//! Constructors.

use wasserflow::error::EnergyError;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::observe::{LogSpaced, UntilStationary, UntilTarget};
use wasserflow::prelude::*;

use super::{NOT_FINITE, contains, x};

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
        EnergyError::Shape(ShapeError {
            what: "input dimension of the feature map",
            expected: 2,
            found: 3
        })
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
    let noise = Langevin::new(1.0, 7).unwrap().particles(3, 0);
    contains(
        &ParticleFlow::new(decay::<f64>(), noise, 0.1).unwrap_err(),
        &["stride of the particles", "0"],
    );
    let noise = KineticLangevin::new(1.0, 1.0, 7).unwrap().particles(3, 0);
    contains(
        &ParticleFlow::new(decay::<f64>(), noise, 0.1).unwrap_err(),
        &["stride of the particles", "0"],
    );
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
