//! Bounds that contradict each other: a loss with a wrong conjugate, and one that is not convex.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::DMatrix;
use wasserflow::optimality::{Certifiable, Certificate, Search, certify, certify_within};
use wasserflow::prelude::*;
use wasserflow::sparse::{FrankWolfe, run_and_correct, run_until_optimal};

use super::common::{matrix, measure, network};

/// The square loss with a conjugate that is too small by the given number.
#[derive(Debug, Clone, Copy)]
struct TooSmall(f64);

impl<T: Real> Loss<T> for TooSmall {
    fn value(&self, y: T, h: T) -> T {
        Square.value(y, h)
    }
    fn derivative(&self, y: T, h: T) -> T {
        h - y
    }
    fn conjugate(&self, y: T, u: T) -> Option<T> {
        Square.conjugate(y, u).map(|s| s - real(self.0))
    }
}

/// `l = -(h - y)^2 / 2` with `u h - l` at the stationary point in place of the conjugate, infinity.
#[derive(Debug, Clone, Copy)]
struct Concave;

impl<T: Real> Loss<T> for Concave {
    fn value(&self, y: T, h: T) -> T {
        -Square.value(y, h)
    }
    fn derivative(&self, y: T, h: T) -> T {
        y - h
    }
    fn conjugate(&self, y: T, u: T) -> Option<T> {
        Some(u * y - u * u * real(0.5))
    }
}

fn energy<L: Loss<f64>>(loss: L) -> impl Certifiable<f64> {
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    network::<_, _, f64>(Relu, loss, &matrix(2, 8, rng), &matrix(1, 8, rng), 0.01)
}

fn start() -> EmpiricalMeasure<f64> {
    measure(3, 5, &mut ChaCha8Rng::seed_from_u64(4))
}

fn is_contradiction<X: std::fmt::Debug>(result: Result<X, StepError>) -> f64 {
    match result {
        Err(error @ StepError::Contradiction { excess }) => {
            let text = error.to_string();
            assert!(
                text.contains("the conjugate of the loss is wrong"),
                "{text}"
            );
            excess
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_wrong_conjugate_proves_nothing() {
    let certificate = certify(&mut energy(TooSmall(1.0)), &start());
    assert_eq!(certificate.gap(), f64::INFINITY);
    assert_eq!(certificate.optimistic_gap(), f64::INFINITY);
    let exact = certify(&mut energy(Square), &start());
    assert_eq!((exact.contradiction(), exact.budget()), (None, None));
    let excess = certificate.contradiction().unwrap();
    assert!((excess - (1.0 - exact.gap())).abs() < 1e-9, "{excess}");

    // Every run ends with the error, for an excess far below the requested gap too.
    let small = 1e-9;
    for method in [
        FrankWolfe::Plain,
        FrankWolfe::Corrective,
        FrankWolfe::Sliding,
    ] {
        // `Plain` takes too many steps to the latter.
        let excesses = if method == FrankWolfe::Plain {
            &[1.0][..]
        } else {
            &[1.0, small]
        };
        for &excess in excesses {
            let mut mu = start();
            let run = method.run(&mut energy(TooSmall(excess)), &mut mu, 1e-12, 200);
            let found = is_contradiction(run);
            assert!(
                found > 0.0 && found <= excess * (1.0 + 1e-9),
                "{found} of {excess}"
            );
        }
    }
    let mut flow = ParticleFlow::new(energy(TooSmall(1.0)), Euler, 0.1).unwrap();
    let mut state = flow.start(start()).unwrap();
    is_contradiction(run_until_optimal(&mut flow, &mut state, 0.5, 5, 20));
    is_contradiction(run_and_correct(&mut flow, &mut state, 0.5, 5, 20));
    assert_eq!(state.step(), 0);
    // Found along the flow, not at the start.
    let mut flow = ParticleFlow::new(energy(TooSmall(small)), Jko::new(0.03, 1000), 1e8).unwrap();
    let mut state = flow.start(start()).unwrap();
    is_contradiction(run_and_correct(&mut flow, &mut state, 0.0, 1, 20));
}

#[test]
fn a_loss_that_is_not_convex_proves_nothing() {
    // h = 4 > y at most samples: l + l*(u) = -(h - y) h < 0.
    let points = DMatrix::from_fn(3, 8, |l, i| {
        let angle = std::f64::consts::TAU * i as f64 / 8.0;
        4.0 * [1.0, angle.cos(), angle.sin()][l]
    });
    let mu = EmpiricalMeasure::uniform(points).unwrap();
    let certificate = certify(&mut energy(Concave), &mu);
    assert!(certificate.contradiction().is_some(), "{certificate:?}");
    let run = FrankWolfe::Corrective.run(&mut energy(Concave), &mut mu.clone(), 1e-6, 20);
    is_contradiction(run);
}

/// Measures of a larger norm than the budget may be better than all within it.
#[test]
fn a_negative_gap_within_a_budget_is_a_bound() {
    let mut energy = energy(Square);
    let (mut mu, mut search) = (start(), Search::new());
    FrankWolfe::Corrective
        .run_with(&mut search, &mut energy, &mut mu, 1e-9, 100)
        .unwrap();
    let within = certify_within(&mut energy, &mu, 1e-3);
    assert!(within.gap() < -1e-6 && within.contradiction().is_none());
    assert_eq!(within.budget(), Some(1e-3));
    assert!(certify(&mut energy, &mu).gap() >= 0.0);
}

/// The bounds of a user-defined energy.
#[test]
fn a_wrong_lower_bound_of_an_energy_is_a_contradiction() {
    struct Bounded(Network);
    type Network = Mmd<Gaussian<f64>, f64>;
    impl Energy<f64> for Bounded {
        fn particle_dim(&self) -> usize {
            Energy::particle_dim(&self.0)
        }
        fn value(&mut self, mu: &EmpiricalMeasure<f64>) -> f64 {
            self.0.value(mu)
        }
        fn velocity(&mut self, mu: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
            self.0.velocity(mu, out)
        }
    }
    impl Certifiable<f64> for Bounded {
        fn certificate(&mut self, mu: &EmpiricalMeasure<f64>, _: &mut Search) -> Certificate<f64> {
            Certificate::bounded(self.0.value(mu), 10.0, None)
        }
    }
    let target = EmpiricalMeasure::uniform(DMatrix::zeros(1, 1)).unwrap();
    let mmd = Mmd::new(Gaussian::new(1, 1.0).unwrap(), target).unwrap();
    let mut mu = EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0)).unwrap();
    let run = FrankWolfe::Plain.run(&mut Bounded(mmd), &mut mu, 1e-6, 3);
    assert!(is_contradiction(run) > 9.0);
}
