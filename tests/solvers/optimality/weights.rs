//! Optimal weights against an independent convex solver, for smooth and piecewise linear losses.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::{DMatrix, DVector};
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

/// The mass of the minimum of [`Knee`].
const KNEE: f64 = 1.0 + 2e-5;

/// `F = 1 + (M - M*)^2 / 2 + 5e5 (1 - M)_+^2` of the mass M. The curvature decreases by `1e6` at 1.
struct Knee;

impl Energy<f64> for Knee {
    fn particle_dim(&self) -> usize {
        1
    }
    fn value(&mut self, mu: &EmpiricalMeasure<f64>) -> f64 {
        let below = (1.0 - mu.mass()).max(0.0);
        1.0 + (mu.mass() - KNEE).powi(2) / 2.0 + 5e5 * below * below
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
        out.fill(0.0);
        self.value(mu)
    }
    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<f64>,
        _: &DMatrix<f64>,
        values: &mut [f64],
        descent: &mut DMatrix<f64>,
    ) -> Option<f64> {
        values.fill(mu.mass() - KNEE - 1e6 * (1.0 - mu.mass()).max(0.0));
        descent.fill(0.0);
        Some(self.value(mu))
    }
}

/// The Hessian of the start predicts the first step, which ends where the curvature is smaller: its
/// Newton decrement there, `4e-16`, is not that of F, `4e-10`.
#[test]
fn a_kept_hessian_does_not_prove_the_minimum() {
    let points = DMatrix::from_element(1, 1, 0.0);
    let weights = DVector::from_element(1, 0.999);
    let start = EmpiricalMeasure::weighted(points, weights).unwrap();
    let best = reweigh(&mut Knee, &start).unwrap();
    // (M - M*)^2 / 2 is at most the rounding error of F, 32 eps.
    let error = (best.mass() - KNEE).abs();
    assert!(error <= (64.0 * f64::EPSILON).sqrt(), "{error:e}");
}
