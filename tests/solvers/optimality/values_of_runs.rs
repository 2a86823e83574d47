//! Values of Frank-Wolfe runs and of the weights of their results, by a conic solver.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::sparse::{FrankWolfe, reweigh};

use super::common::{cast, convert, matrix, measure, network};
use super::convex::{self, ProgramLoss};
use crate::counted::Counted;

/// The same numbers, rounded to `T`.
fn rounded<T: Real>(x: &DMatrix<f64>) -> DMatrix<f64> {
    cast::<T>(x).map(|x| x.to_f64().unwrap())
}

/// The least F over the weights of the particles.
fn best_value(x: &DMatrix<f64>, y: &DMatrix<f64>, lambda: f64, mu: &EmpiricalMeasure<f64>) -> f64 {
    let phi = DMatrix::from_fn(x.ncols(), mu.len(), |j, i| {
        let w = mu.points().column(i);
        w[0] * w.rows(1, x.nrows()).dot(&x.column(j)).max(0.0)
    });
    let penalties = mu.points().column_iter();
    let penalties: Vec<f64> = penalties.map(|w| lambda * w.norm_squared()).collect();
    convex::weights(&phi, y.as_slice(), &penalties, ProgramLoss::Square)
}

/// The accuracy of the conic solver for F <= 1.
const CONIC: f64 = 1e-9;

/// Runs `Corrective` from `mu` to a gap, and compares F with the minimum over all measures and with
/// that over the weights of the result. F of both is computed in double precision at the numbers
/// that the run used. Returns first variations and certificates.
fn run<T: Real>(
    x: &DMatrix<f64>,
    y: &DMatrix<f64>,
    lambda: f64,
    mut mu: EmpiricalMeasure<T>,
    gap: f64,
    at: &str,
) -> [usize; 2] {
    let (x, y) = (&rounded::<T>(x), &rounded::<T>(y));
    let lambda = real::<T>(lambda).to_f64().unwrap();
    let optimum = convex::square(x, y.as_slice(), lambda).value;
    let mut energy = Counted::new(network::<_, _, T>(Relu, Square, x, y, lambda));
    let run = FrankWolfe::Corrective.run(&mut energy, &mut mu, real(gap), 100);
    let (reason, certificate) = run.unwrap();
    let proved = certificate.gap().to_f64().unwrap();
    let at = format!("{at}, n {}, {} atoms: {reason:?}", x.ncols(), mu.len());
    let is_proved = matches!(reason, StopReason::GloballyOptimal { .. });
    // Single precision: a run may end where new atoms decrease F by less than its rounding error.
    let is_single = T::default_epsilon() > real(1e-10);
    assert!(
        is_proved || is_single && proved <= 3.0 * gap,
        "{at}, {proved:e}"
    );
    assert_eq!(is_proved, proved <= gap, "{at}, {proved:e}");

    let mu = convert::<T, f64>(&mu);
    let value = network::<_, _, f64>(Relu, Square, x, y, lambda).value(&mu);
    let excess = value - optimum;
    let rounding = 64.0 * T::default_epsilon().to_f64().unwrap() * value;
    assert!(excess >= -CONIC, "{at}: {excess:e}");
    assert!(excess <= proved + rounding + CONIC, "{at}: {excess:e}");
    let excess = value - best_value(x, y, lambda, &mu);
    assert!(
        excess.abs() <= rounding + CONIC,
        "{at}, weights: {excess:e}"
    );
    let counts = &energy.counts;
    [counts.variations.get(), counts.certificates.get()]
}

/// A quadratic F, whose Hessian in the weights takes one difference of gradients a column: the runs
/// reach the minimum from measures of all sizes.
#[test]
fn one_difference_a_column_leads_to_the_minimum() {
    for (case, n) in [1, 2, 3, 7, 8, 15, 30].into_iter().enumerate() {
        for (m, seed) in [(1, 0), (2, 1), (5, 2), (18, 3)] {
            let rng = &mut ChaCha8Rng::seed_from_u64(40 * seed + case as u64);
            let (x, y) = (matrix(2, n, rng), matrix(1, n, rng));
            let lambda = [1e-3, 1e-2][case % 2];
            let start = measure::<f64>(3, m, rng);
            let at = format!("m {m}");
            let double = run(&x, &y, lambda, start.clone(), 1e-8, &at);
            let single = run(&x, &y, lambda, convert::<_, f32>(&start), 1e-4, &at);
            println!("m {m}, n {n}: variations and certificates {double:?}, single {single:?}");
        }
    }
}

/// Three neurons near each of six, up to relative differences.
fn almost_equal(difference: f64, rng: &mut ChaCha8Rng) -> EmpiricalMeasure<f64> {
    let few: EmpiricalMeasure<f64> = measure(3, 6, rng);
    let points = DMatrix::from_fn(3, 18, |l, i| {
        few.points()[(l, i % 6)] * (1.0 + difference * rng.random_range(-1.0..1.0))
    });
    EmpiricalMeasure::weighted(points, DVector::from_element(18, 0.05)).unwrap()
}

/// Almost equal neurons: the Hessian in the weights is singular to rounding. Runs reach the minimum,
/// and so does the full optimisation of the weights.
#[test]
fn almost_equal_neurons_reach_the_minimum() {
    for difference in [1e-8, 1e-12, 0.0] {
        for seed in 0..10 {
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            let (x, y) = (matrix(2, 15, rng), matrix(1, 15, rng));
            let start = almost_equal(difference, rng);
            let at = format!("difference {difference:e}, seed {seed}");
            run(&x, &y, 1e-3, start.clone(), 1e-7, &at);

            let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 1e-3);
            let best = reweigh(&mut energy, &start).unwrap();
            let excess = energy.value(&best) - best_value(&x, &y, 1e-3, &start);
            assert!(excess.abs() <= CONIC, "{at}: {excess:e}");
        }
    }
    // A rounding of single precision is 6e-8.
    for difference in [1e-6, 1e-7, 0.0] {
        for seed in 0..10 {
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            let (x, y) = (matrix(2, 15, rng), matrix(1, 15, rng));
            let start = convert::<_, f32>(&almost_equal(difference, rng));
            let at = format!("single, difference {difference:e}, seed {seed}");
            run(&x, &y, 1e-3, start, 1e-4, &at);
        }
    }
}
