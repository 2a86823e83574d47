//! What is modified between steps is checked before the next step.

use wasserflow::error::EnergyError;
use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;

use super::{INTEGRATORS, bits, contains, network, refuses, students, x};

/// A state of another flow, evaluated there, with particles of another dimension.
#[test]
fn a_state_of_another_flow_is_refused() {
    for integrator in INTEGRATORS {
        for p in [1, 2, 4, 9] {
            let decay = PotentialEnergy::new(WeightDecay::new(0.5).unwrap(), p);
            let mut other = ParticleFlow::new(decay, Euler, 0.1).unwrap();
            let mut state = other
                .start(EmpiricalMeasure::uniform(x(p, 5)).unwrap())
                .unwrap();
            other.run(&mut state, 2, &mut ()).unwrap();
            let before = bits(&state);
            let mut flow = ParticleFlow::new(network(), integrator(), 0.1).unwrap();
            let errors = [
                flow.advance(&mut state).unwrap_err(),
                flow.run(&mut state, 1, &mut ()).unwrap_err(),
                flow.run(&mut state, 0, &mut ()).unwrap_err(),
                flow.run_until(&mut state, 1.0, &mut ()).unwrap_err(),
            ];
            for error in errors {
                assert_eq!(
                    error,
                    StepError::Shape(ShapeError {
                        what: "particle dimension of the measure",
                        expected: 3,
                        found: p
                    })
                );
            }
            assert_eq!(bits(&state), before);
            refuses(|| flow.value(state.measure()), &["must be 3"]);
            // Without a driver: the documented panic.
            let mut energy = network();
            refuses(
                || integrator().step(&mut energy, &mut state, 0.1),
                &["must be 3"],
            );
            state.invalidate();
            refuses(|| state.evaluate(&mut energy), &["must be 3"]);
            refuses(|| polish(&mut energy, &mut state, 5), &["must be 3"]);
        }
    }
}

type Risks = EmpiricalRisk<Square, f64>;

fn risk(d: usize, n: usize, k: usize) -> Risks {
    let targets = DMatrix::from_fn(k, n, |l, j| ((l + 2 * j) as f64).cos());
    EmpiricalRisk::with_outputs(Square, x(d, n) * 2.0, targets).unwrap()
}

/// A risk of another d or k no longer fits the feature map; another n does.
#[test]
fn a_risk_that_no_longer_fits_is_refused() {
    for integrator in INTEGRATORS {
        for (d, k, what) in [
            (
                3,
                1,
                "input dimension of the feature map must be 3, found 2",
            ),
            (
                1,
                1,
                "input dimension of the feature map must be 1, found 2",
            ),
            (
                2,
                2,
                "number of outputs of the feature map must be 2, found 1",
            ),
            (3, 3, "must be 3"),
        ] {
            let mut flow = ParticleFlow::new(network(), integrator(), 0.01).unwrap();
            let mut state = flow.start(students()).unwrap();
            flow.run(&mut state, 2, &mut ()).unwrap();
            let before = bits(&state);
            let old = std::mem::replace(flow.energy_mut().risk_mut(), risk(d, 9, k));
            // Whether the state is invalidated or not.
            for stale in [false, true] {
                if stale {
                    state.invalidate();
                }
                let error = flow.run(&mut state, 3, &mut ()).unwrap_err();
                assert!(matches!(error, StepError::Shape(_)), "{error}");
                contains(&error, &[what]);
                let error = flow.start(students()).unwrap_err();
                assert!(matches!(error, StartError::Shape(_)), "{error}");
                assert_eq!(bits(&state), before);
            }
            // Direct calls panic.
            let mu = students();
            let (mut out, mut values) = (DMatrix::zeros(3, 5), [0.0; 5]);
            let energy = flow.energy_mut();
            refuses(|| energy.value(&mu), &[what]);
            refuses(|| energy.velocity(&mu, &mut out), &[what]);
            refuses(|| energy.predict(&mu, &mut [0.0; 9]), &[what]);
            refuses(
                || energy.first_variation(&mu, mu.points(), &mut values, &mut out),
                &[what],
            );
            refuses(|| energy.curvature(&mu, mu.points(), &mut out), &[what]);
            // Repaired, the flow continues as one that never failed.
            *flow.energy_mut().risk_mut() = old;
            flow.run(&mut state, 3, &mut ()).unwrap();
            let mut straight = flow.start(students()).unwrap();
            flow.run(&mut straight, 5, &mut ()).unwrap();
            assert_eq!(bits(&state), bits(&straight));
        }
        let mut flow = ParticleFlow::new(network(), integrator(), 0.01).unwrap();
        let mut state = flow.start(students()).unwrap();
        *flow.energy_mut().risk_mut() = risk(2, 30, 1);
        state.invalidate();
        flow.run(&mut state, 2, &mut ()).unwrap();
    }
}

/// Parts with a parameter that can be modified.
#[derive(Debug, Clone, Copy)]
struct Steep(f64);

impl Activation<f64> for Steep {
    fn value(&self, u: f64) -> f64 {
        self.0 * u
    }
    fn derivative(&self, _: f64) -> f64 {
        self.0
    }
    fn check(&self) -> Result<(), ParameterError> {
        ParameterError::check_positive("steepness", self.0)
    }
}

struct Scaled(Risks, f64);

impl Risk<f64> for Scaled {
    fn inputs(&self) -> &Inputs<f64> {
        self.0.inputs()
    }
    fn value(&self, h: &[f64]) -> f64 {
        self.1 * self.0.value(h)
    }
    fn value_and_gradient(&self, h: &[f64], out: &mut [f64]) -> f64 {
        let value = self.0.value_and_gradient(h, out);
        out.iter_mut().for_each(|g| *g *= self.1);
        self.1 * value
    }
    fn check(&self) -> Result<(), ParameterError> {
        ParameterError::check_positive("scale", self.1)
    }
}

#[test]
fn parameters_are_checked_at_construction_and_before_every_step() {
    let steep = |s| MeanFieldRisk::new(Ridge::new(Steep(s), 2), risk(2, 9, 1));
    let boxed = |s| {
        let phi: Box<dyn FeatureMap<f64>> = Box::new(Radial::new(Box::new(Steep(s)), 2));
        MeanFieldRisk::new(phi, risk(2, 9, 1))
    };
    assert!(steep(1.0).is_ok() && boxed(1.0).is_ok());
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = steep(bad).unwrap_err();
        assert!(matches!(error, EnergyError::Parameter(_)), "{error}");
        contains(&error, &["steepness"]);
        let Err(error) = boxed(bad) else {
            panic!("accepted")
        };
        contains(&error, &["steepness"]);

        let phi = || Ridge::new(Softplus, 2);
        let Err(error) = MeanFieldRisk::new(phi(), Scaled(risk(2, 9, 1), bad)) else {
            panic!("accepted")
        };
        contains(&error, &["scale"]);
        for integrator in INTEGRATORS {
            let energy = MeanFieldRisk::new(phi(), Scaled(risk(2, 9, 1), 1.0)).unwrap();
            let zero = PotentialEnergy::new((), 3);
            // Through a sum and a box.
            let sum: Box<dyn Energy<f64>> = Box::new(Sum::new(energy, zero).unwrap());
            let mut flow = ParticleFlow::new(sum, integrator(), 0.01).unwrap();
            flow.start(students()).unwrap();
            let energy = MeanFieldRisk::new(phi(), Scaled(risk(2, 9, 1), 1.0)).unwrap();
            let mut flow = ParticleFlow::new(energy, integrator(), 0.01).unwrap();
            let mut state = flow.start(students()).unwrap();
            let before = bits(&state);
            flow.energy_mut().risk_mut().1 = bad;
            let error = flow.advance(&mut state).unwrap_err();
            assert!(matches!(error, StepError::Parameter(_)), "{error}");
            contains(&error, &["scale"]);
            let error = flow.start(students()).unwrap_err();
            assert!(matches!(error, StartError::Parameter(_)), "{error}");
            assert_eq!(bits(&state), before);
            let mut energy = Sum::new(flow.into_energy(), PotentialEnergy::new((), 3)).unwrap();
            assert!((&mut energy as &mut dyn Energy<f64>).check().is_err());
        }
    }
}

/// A kernel is checked in the precision in which it is used: `1/s^2` is finite.
#[test]
fn bandwidths_are_checked_in_their_precision() {
    for bad in [1e-155, 1e-300, 5e-324] {
        contains(&Gaussian::new(1, bad).unwrap_err(), &["bandwidth"]);
    }
    for bad in [1e-20_f32, 1e-45] {
        contains(&Gaussian::new(1, bad).unwrap_err(), &["bandwidth"]);
    }
    for s in [1e-153, 1.0, 1e300] {
        let k = Gaussian::<f64>::new(1, s).unwrap();
        for (w, v) in [(1.0, 1.0), (1.0, 2.0), (1e10, -1e10), (1.0, 1.0 + s)] {
            let (mut a, mut b) = ([0.0], [0.0]);
            let value = k.value_and_gradients(&[w], &[v], [1.0, 1.0], &mut a, &mut b);
            assert!(value.is_finite() && a[0].is_finite() && a[0] == -b[0]);
        }
    }
    assert!(Gaussian::new(1, 1e-18_f32).is_ok());
}
