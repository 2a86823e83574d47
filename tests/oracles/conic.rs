//! Conic descent against the exact optimum of a scalar problem (oracle O5 of Chizat,
//! arXiv:1907.10300).

use approx::assert_relative_eq;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

/// `phi(t) = cos t + cos(2t) / 8`, with its minimum -7/8 at pi.
struct Ripple;

impl<T: Real> FeatureMap<T> for Ripple {
    fn particle_dim(&self) -> usize {
        1
    }
    fn input_dim(&self) -> usize {
        1
    }
    fn add_value(&self, w: &[T], _: &[T], scale: T, out: &mut [T]) {
        out[0] += scale * (w[0].cos() + (w[0] + w[0]).cos() * real(0.125));
    }
    fn add_vjp(&self, w: &[T], _: &[T], g: &[T], out: &mut [T]) {
        out[0] -= g[0] * (w[0].sin() + (w[0] + w[0]).sin() * real(0.25));
    }
}

/// A constant potential, `V = lambda`, which penalises mass.
struct Constant(f64);

impl<T: Real> Potential<T> for Constant {
    fn value(&self, _: &[T]) -> T {
        real(self.0)
    }
    fn gradient(&self, _: &[T], _: T, _: &mut [T]) {}
}

/// `(2 + int phi dnu)^2 / 2 + lambda nu(R)`.
fn energy<T: Real>(lambda: f64) -> impl Energy<T> {
    let risk = EmpiricalRisk::new(
        Square,
        DMatrix::zeros(1, 1),
        DVector::from_element(1, real(-2.0)),
    )
    .unwrap();
    MeanFieldRisk::new(Ripple, risk)
        .unwrap()
        .regularized(Constant(lambda))
}

fn reaches_the_optimum<T: Real>(tolerance: f64) {
    let (lambda, least) = (0.5, -0.875);
    let mut flow =
        ParticleFlow::new(energy::<T>(lambda), Conic::new(0.25, 1.0), real(0.1)).unwrap();
    let mut state = flow
        .start(init::grid(1, 10, 0.0, std::f64::consts::TAU).unwrap())
        .unwrap();
    flow.run(&mut state, 20_000, &mut ()).unwrap();

    // int phi dnu = -2 - lambda / min phi, all mass at the minimiser.
    let integral = -2.0 - lambda / least;
    let mass = integral / least;
    let optimum = (2.0 + integral).powi(2) / 2.0 + lambda * mass;
    let f64 = |x: T| x.to_f64().unwrap();
    assert_relative_eq!(f64(state.energy()), optimum, max_relative = tolerance);
    assert_relative_eq!(f64(state.measure().mass()), mass, max_relative = tolerance);
    let mu = state.measure();
    let spread: f64 = (0..mu.len())
        .map(|i| f64(mu.weight(i)) * (f64(mu.particle(i)[0]) - std::f64::consts::PI).powi(2))
        .sum();
    assert!(spread < tolerance, "mass away from the minimiser: {spread}");
}

#[test]
fn reaches_the_optimum_in_both_precisions() {
    reaches_the_optimum::<f64>(1e-9);
    reaches_the_optimum::<f32>(1e-5);
}

/// `-dF/dt = int (beta |v|^2 + 4 alpha F'(mu)^2) dmu`, up to the step.
#[test]
fn dissipation_has_a_term_of_motion_and_one_of_mass() {
    let (alpha, beta) = (0.3, 0.7);
    let mut residuals = Vec::new();
    for dt in [1e-3, 5e-4] {
        let mut flow = ParticleFlow::new(energy::<f64>(0.5), Conic::new(alpha, beta), dt).unwrap();
        let mut state = flow.start(init::grid(1, 7, 0.0, 5.0).unwrap()).unwrap();
        let (mu, before) = (state.measure().clone(), state.energy());
        let (mut values, mut descent) = (vec![0.0; 7], DMatrix::zeros(1, 7));
        energy::<f64>(0.5)
            .first_variation(&mu, mu.points(), &mut values, &mut descent)
            .unwrap();
        let growth: f64 = values
            .iter()
            .zip(mu.weights())
            .map(|(f, c)| c * f * f)
            .sum();
        let expected = beta * state.dissipation() + 4.0 * alpha * growth;
        flow.advance(&mut state).unwrap();
        residuals.push(((before - state.energy()) / dt - expected).abs() / expected);
    }
    assert!(residuals[0] < 1e-2, "{residuals:?}");
    assert_relative_eq!(residuals[0] / residuals[1], 2.0, max_relative = 0.05);
}

/// The rate of mass is the first variation: an energy that does not implement it is an error.
#[test]
fn requires_the_first_variation() {
    struct Flat;
    impl Energy<f64> for Flat {
        fn particle_dim(&self) -> usize {
            1
        }
        fn value(&mut self, _: &EmpiricalMeasure<f64>) -> f64 {
            0.0
        }
        fn velocity(&mut self, _: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
            out.fill(0.0);
            0.0
        }
    }
    let mut flow = ParticleFlow::new(Flat, Conic::new(1.0, 1.0), 0.1).unwrap();
    let mut state = flow.start(init::grid(1, 3, 0.0, 1.0).unwrap()).unwrap();
    assert_eq!(
        flow.advance(&mut state),
        Err(StepError::Unsupported {
            what: "the first variation"
        })
    );

    let refused = ParticleFlow::<_, _, f64>::new(Flat, Conic::new(-1.0, 1.0), 0.1).map(|_| ());
    assert_eq!(
        refused,
        Err(ParameterError {
            name: "alpha",
            requirement: ">= 0 and finite in the precision of the flow",
            value: -1.0
        })
    );
}
