//! Frank-Wolfe for losses that are linear almost everywhere: the Hessian in the weights is 0, and
//! the minimum is at kinks.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::DMatrix;
use wasserflow::optimality::{Certifiable, certify};
use wasserflow::prelude::*;
use wasserflow::sparse::FrankWolfe;

use super::common::{Network, matrix, network, signs};
use super::convex;

const METHODS: [FrankWolfe; 3] = [
    FrankWolfe::Plain,
    FrankWolfe::Corrective,
    FrankWolfe::Sliding,
];

fn nothing(p: usize) -> EmpiricalMeasure<f64> {
    EmpiricalMeasure::uniform(DMatrix::zeros(p, 1)).unwrap()
}

/// `F` and the reason of a run from the zero network.
fn run<L: Loss<f64>>(
    method: FrankWolfe,
    energy: &mut Network<Relu, L, f64>,
    steps: usize,
) -> (f64, StopReason)
where
    Network<Relu, L, f64>: Certifiable<f64>,
{
    let mut mu = nothing(energy.particle_dim());
    let (reason, _) = method.run(energy, &mut mu, 1e-8, steps).unwrap();
    (energy.value(&mu), reason)
}

/// x = -1, 1 and lambda = 0.01: one neuron on each side, with `h = +-|a||b|` and the price
/// `2 lambda |h|`. The two sides are independent.
#[test]
fn two_samples_by_hand() {
    fn check<L: Loss<f64> + Copy + std::fmt::Debug>(loss: L, y: [f64; 2], expected: f64)
    where
        Network<Relu, L, f64>: Certifiable<f64>,
    {
        let (x, y) = (
            DMatrix::from_row_slice(1, 2, &[-1.0, 1.0]),
            DMatrix::from_row_slice(1, 2, &y),
        );
        for method in METHODS {
            let mut energy = network::<_, _, f64>(Relu, loss, &x, &y, 0.01);
            let (value, reason) = run(method, &mut energy, 100);
            // The runs stop at a gap of 1e-8.
            assert!(
                value <= expected + 1e-8 && value >= expected * (1.0 - 1e-12),
                "{loss:?}, {y:?}, {method:?}: {value}, not {expected}, {reason:?}"
            );
            assert!(
                matches!(reason, StopReason::GloballyOptimal { .. }),
                "{loss:?}, {y:?}, {method:?}: {reason:?}"
            );
        }
    }
    // A side at distance r from its target y: r^2 / 4 + 0.02 (y - r), least at r = 0.04.
    check(Huber(0.5), [3.0, 3.0], 2.0 * (0.0004 + 0.02 * 2.96));
    check(Huber(0.5), [-3.0, 3.0], 2.0 * (0.0004 + 0.02 * 2.96));
    // r^2 / 2 + 0.02 (1 - r), least at r = 0.02.
    check(SmoothHinge(0.5), [1.0, 1.0], 2.0 * (0.0002 + 0.02 * 0.98));
    check(SmoothHinge(0.5), [1.0, -1.0], 2.0 * (0.0002 + 0.02 * 0.98));
    // r / 2 + 0.02 (1 - r) and r / 4 + 0.02 (1 - r), least at the kink r = 0.
    check(Hinge, [1.0, 1.0], 0.04);
    check(Hinge, [-1.0, 1.0], 0.04);
    check(Quantile(0.5), [1.0, 1.0], 0.04);
    check(Quantile(0.5), [1.0, -1.0], 0.04);
}

/// The hinge loss on random planar problems against the exact convex program.
#[test]
fn the_hinge_loss_reaches_the_minimum_of_a_conic_solver() {
    let rng = &mut ChaCha8Rng::seed_from_u64(42);
    for case in 0..6 {
        let n = 4 + case;
        let (x, y) = (matrix(2, n, rng), signs(&matrix(1, n, rng)));
        let lambda = [0.003, 0.01, 0.03][case % 3];
        let optimum = convex::hinge(&x, y.as_slice(), lambda).value;
        let mut energy = network::<_, _, f64>(Relu, Hinge, &x, &y, lambda);
        let mut mu = nothing(3);
        let (reason, certificate) = FrankWolfe::Corrective
            .run(&mut energy, &mut mu, 1e-6, 300)
            .unwrap();
        let excess = energy.value(&mu) - optimum;
        assert!(
            (-1e-8..1e-6).contains(&excess),
            "case {case}: {excess}, {reason:?}"
        );
        assert!(certificate.gap() >= excess - 1e-8);
        assert!(
            matches!(reason, StopReason::GloballyOptimal { gap } if gap <= 1e-6),
            "case {case}: {reason:?}"
        );
    }
}

/// Smooth losses with linear parts: all variants but `Plain`, which is slow, certify the minimum.
#[test]
fn linear_parts_of_smooth_losses_are_left() {
    let rng = &mut ChaCha8Rng::seed_from_u64(43);
    for d in [1, 2, 3] {
        let (x, y) = (matrix(d, 10, rng), matrix(1, 10, rng));
        for method in [FrankWolfe::Corrective, FrankWolfe::Sliding] {
            let mut energy = network::<_, _, f64>(Relu, Huber(0.05), &x, &y, 0.003);
            let (_, reason) = run(method, &mut energy, 300);
            assert!(
                matches!(reason, StopReason::GloballyOptimal { .. }),
                "Huber, d = {d}, {method:?}: {reason:?}"
            );
            let mut energy = network::<_, _, f64>(Relu, SmoothHinge(0.2), &x, &signs(&y), 0.01);
            let (_, reason) = run(method, &mut energy, 300);
            assert!(
                matches!(reason, StopReason::GloballyOptimal { .. }),
                "SmoothHinge, d = {d}, {method:?}: {reason:?}"
            );
        }
    }
}

/// F never increases, and no run ends as stationary above the best value that another run reached.
#[test]
fn a_stationary_end_is_a_minimum() {
    let rng = &mut ChaCha8Rng::seed_from_u64(44);
    for d in [1, 2] {
        let (x, y) = (matrix(d, 8, rng), matrix(1, 8, rng));
        let mut results = Vec::new();
        for method in METHODS {
            let mut energy = network::<_, _, f64>(Relu, Quantile(0.3), &x, &y, 0.01);
            let (mut mu, mut value) = (nothing(d + 1), f64::INFINITY);
            let reason = loop {
                let (reason, _) = method.run(&mut energy, &mut mu, 1e-7, 20).unwrap();
                assert!(energy.value(&mu) <= value);
                value = energy.value(&mu);
                if reason != StopReason::Steps || results.len() > 3 {
                    break reason;
                }
            };
            assert!(certify(&mut energy, &mu).gap() >= 0.0);
            results.push((value, reason));
        }
        let best = results.iter().map(|r| r.0).fold(f64::INFINITY, f64::min);
        for (value, reason) in &results {
            assert!(
                *reason == StopReason::Steps || value - best < 1e-6,
                "d = {d}: {results:?}"
            );
        }
    }
}
