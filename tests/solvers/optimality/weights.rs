//! Optimal weights against an independent convex solver, for smooth and piecewise linear losses.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;
use wasserflow::sparse::reweigh;

use super::common::{matrix, measure, network, signs};
use super::convex::{self, ProgramLoss};

/// `F` at the weights of `reweigh`, and the minimum by the conic solver.
fn both<L: Loss<f64>>(
    loss: L,
    program: ProgramLoss,
    x: &DMatrix<f64>,
    y: &DMatrix<f64>,
    lambda: f64,
    mu: &EmpiricalMeasure<f64>,
) -> (f64, f64) {
    let mut energy = network::<_, _, f64>(Relu, loss, x, y, lambda);
    let phi = DMatrix::from_fn(x.ncols(), mu.len(), |j, i| {
        let w = mu.points().column(i);
        w[0] * w.rows(1, x.nrows()).dot(&x.column(j)).max(0.0)
    });
    let v: Vec<f64> = mu
        .points()
        .column_iter()
        .map(|w| lambda * w.norm_squared())
        .collect();
    let expected = convex::weights(&phi, y.as_slice(), &v, program);
    let start = energy.value(mu);
    let best = reweigh(&mut energy, mu).unwrap_or_else(|e| {
        panic!(
            "{program:?}, m = {}, n = {}: {e}, optimum {expected}",
            mu.len(),
            x.ncols()
        )
    });
    let found = energy.value(&best);
    assert!(found <= start);
    (found, expected)
}

#[test]
fn weights_are_those_of_a_conic_solver() {
    let rng = &mut ChaCha8Rng::seed_from_u64(41);
    let mut largest = 0.0_f64;
    for case in 0..60 {
        let (m, n) = (rng.random_range(1..=20), rng.random_range(1..=30));
        let lambda = [0.0, 1e-3, 1e-2, 0.1][case % 4];
        let (x, y) = (matrix(3, n, rng), matrix(1, n, rng));
        let s = signs(&y);
        let mu = measure::<f64>(4, m, rng);
        let results = [
            both(Square, ProgramLoss::Square, &x, &y, lambda, &mu),
            both(Huber(0.1), ProgramLoss::Huber(0.1), &x, &y, lambda, &mu),
            both(
                SmoothHinge(0.5),
                ProgramLoss::SmoothHinge(0.5),
                &x,
                &s,
                lambda,
                &mu,
            ),
            both(Hinge, ProgramLoss::Hinge, &x, &s, lambda, &mu),
            both(
                Quantile(0.3),
                ProgramLoss::Quantile(0.3),
                &x,
                &y,
                lambda,
                &mu,
            ),
        ];
        for (l, (found, expected)) in results.into_iter().enumerate() {
            // F is at most 1 here; the conic solver is accurate to 1e-9.
            assert!(
                (found - expected).abs() < 1e-8,
                "case {case}, loss {l}: {found} {expected}"
            );
            largest = largest.max(found - expected);
        }
    }
    println!("largest excess {largest:e}");
}
