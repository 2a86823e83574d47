//! The difference between a flow at rest and a flow that leaves a saddle point.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::optimality::certify;
use wasserflow::prelude::*;
use wasserflow::sparse::run_until_optimal;

use super::common::{matrix, network};

/// Neurons of size 1e-8: F is constant to rounding, while all neurons grow exponentially.
#[test]
fn a_flow_that_leaves_a_saddle_point_is_not_trapped() {
    for (seed, every, dt) in [(0, 10, 0.2), (1, 1, 0.2), (2, 100, 0.2), (3, 3, 0.05)] {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let x = matrix(2, 12, rng);
        let y = DMatrix::from_fn(1, 12, |_, j| (0.8 * x[(0, j)] + 0.6 * x[(1, j)]).max(0.0));
        let energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.0);
        let mut flow = ParticleFlow::new(energy, Euler, dt).unwrap();
        let start = init::balanced(2, 50, 1e-8, rng).unwrap();
        let mut state = flow.start(start).unwrap();
        let (reason, _) = run_until_optimal(&mut flow, &mut state, 1e-9, every, 20_000).unwrap();
        assert!(
            matches!(reason, StopReason::GloballyOptimal { .. }),
            "seed {seed}: {reason:?} after {} steps at {}",
            state.step(),
            state.energy()
        );
    }
}

/// Steps so short that F does not change in one of them are not rest either.
#[test]
fn short_steps_are_not_rest() {
    let (x, y) = (
        DMatrix::from_row_slice(1, 2, &[-1.0, 1.0]),
        DMatrix::from_element(1, 2, 1.0),
    );
    let energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.1);
    let mut flow = ParticleFlow::new(energy, Euler, 1e-18).unwrap();
    let start = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[0.1, 0.1])).unwrap();
    let mut state = flow.start(start).unwrap();
    let (reason, _) = run_until_optimal(&mut flow, &mut state, 1e-8, 1, 20).unwrap();
    assert_eq!(reason, StopReason::Steps);
}

/// One neuron on one of two sides is at rest, and trapped.
#[test]
fn a_neuron_at_rest_is_trapped() {
    let (x, y) = (
        DMatrix::from_row_slice(1, 2, &[-1.0, 1.0]),
        DMatrix::from_element(1, 2, 1.0),
    );
    for every in [1, 10, 100] {
        let energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.1);
        let mut flow = ParticleFlow::new(energy, Rk4, 0.25).unwrap();
        let start = EmpiricalMeasure::uniform(DMatrix::from_element(2, 1, 1.0)).unwrap();
        let mut state = flow.start(start).unwrap();
        let (reason, certificate) =
            run_until_optimal(&mut flow, &mut state, 1e-8, every, 10_000).unwrap();
        assert!(
            matches!(reason, StopReason::Trapped { .. }),
            "every {every}: {reason:?} {}",
            state.step()
        );
        assert!(certificate.escape().unwrap()[1] < 0.0 && state.dissipation() < 1e-10);
    }
}

/// A loss without a conjugate has no finite gap: the run reports it at once.
#[test]
fn a_loss_without_conjugate_is_unsupported() {
    #[derive(Debug, Clone, Copy)]
    struct NoConjugate;
    impl<T: Real> Loss<T> for NoConjugate {
        fn value(&self, y: T, h: T) -> T {
            Square.value(y, h)
        }
        fn derivative(&self, y: T, h: T) -> T {
            h - y
        }
    }
    let x = DMatrix::from_element(1, 1, 1.0);
    let risk = EmpiricalRisk::new(NoConjugate, x, DVector::from_element(1, 3.0)).unwrap();
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk).unwrap();
    let energy = energy.regularized(WeightDecay::new(0.1).unwrap());
    let mut flow = ParticleFlow::new(energy, Euler, 0.1).unwrap();
    let start = EmpiricalMeasure::uniform(DMatrix::from_element(2, 1, 1.0)).unwrap();
    let mut state = flow.start(start).unwrap();
    let result = run_until_optimal(&mut flow, &mut state, 1e-8, 10, 1_000_000);
    assert!(matches!(result, Err(StepError::Unsupported { .. })));
    assert_eq!(state.step(), 0);
    assert_eq!(
        certify(flow.energy_mut(), state.measure()).gap(),
        f64::INFINITY
    );
}
