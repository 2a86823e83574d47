//! Gaps at kinks of the loss, where one of many subgradients proves optimality.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::optimality::certify;
use wasserflow::prelude::*;

use super::common::network;

/// `|h - y|`, with the subgradient 1 at the kink.
#[derive(Clone, Copy)]
struct AbsoluteError;

impl<T: Real> Loss<T> for AbsoluteError {
    fn value(&self, y: T, h: T) -> T {
        (h - y).abs()
    }
    fn derivative(&self, y: T, h: T) -> T {
        if h < y { -T::one() } else { T::one() }
    }
    fn conjugate(&self, y: T, u: T) -> Option<T> {
        Some(if u.abs() <= T::one() {
            u * y
        } else {
            real(f64::INFINITY)
        })
    }
}

fn neurons<T: Real>(points: &[&[f64]]) -> EmpiricalMeasure<T> {
    let flat: Vec<T> = points
        .iter()
        .flat_map(|w| w.iter().map(|&w| real(w)))
        .collect();
    let points = DMatrix::from_column_slice(points[0].len(), points.len(), &flat);
    let m = points.ncols();
    EmpiricalMeasure::weighted(points, DVector::from_element(m, T::one())).unwrap()
}

/// The certificate of an optimum: F, a gap of rounding, and no descent direction.
fn optimal<T: Real, L: Loss<T> + Loss<f64> + Copy>(
    loss: L,
    x: &DMatrix<f64>,
    y: &[f64],
    lambda: f64,
    mu: &EmpiricalMeasure<T>,
    optimum: f64,
) {
    // F is a sum of terms of the size of the decay and of the losses at h = 0.
    let losses = y.iter().map(|&y| Loss::<f64>::value(&loss, y, 0.0));
    let terms = optimum + losses.sum::<f64>() / y.len() as f64;
    let y = DMatrix::from_row_slice(1, y.len(), y);
    let mut energy = network::<_, _, T>(Relu, loss, x, &y, lambda);
    let certificate = certify(&mut energy, mu);
    let eps = T::default_epsilon().to_f64().unwrap();
    let number = |x: T| x.to_f64().unwrap();
    let (value, gap) = (number(certificate.energy()), number(certificate.gap()));
    let size = 512.0 * eps * terms;
    assert!((value - optimum).abs() <= size, "F {value}, not {optimum}");
    // The error of |g|, relative to 2 lambda, multiplies the bound.
    let slopes = x.column_iter().map(|x| x.norm()).sum::<f64>() / x.ncols() as f64;
    let size = size * (1.0 + slopes / (8.0 * lambda));
    assert!((0.0..=size).contains(&gap), "{optimum}: {certificate:?}");
    assert_eq!(certificate.escape(), None, "{certificate:?}");
}

#[test]
fn one_sample_at_the_kink() {
    fn run<T: Real>() {
        let x = DMatrix::from_element(1, 1, 1.0);
        let mu = neurons::<T>(&[&[1.0, 1.0]]);
        // h = y by one neuron of |w|^2 = 2 costs 2 lambda, less than the loss at any smaller h.
        let lambda = 0.125;
        optimal(Hinge, &x, &[1.0], lambda, &mu, 0.25);
        optimal(Quantile(0.5), &x, &[1.0], lambda, &mu, 0.25);
        optimal(AbsoluteError, &x, &[1.0], lambda, &mu, 0.25);
    }
    run::<f64>();
    run::<f32>();
    // lambda = 0.1, F = F* = 0.2.
    let x = DMatrix::from_element(1, 1, 1.0);
    optimal(Hinge, &x, &[1.0], 0.1, &neurons::<f64>(&[&[1.0, 1.0]]), 0.2);
}

#[test]
fn scales_of_inputs_and_targets() {
    for s in [1e-100, 1e-30, 1.0, 1e30, 1e100] {
        for t in [1e-100, 1e-20, 1e20, 1e100] {
            // h = a b x = y for a = b = sqrt(y / x), and 2 lambda < x / 2 for the quantile 1/2.
            let (x, r) = (DMatrix::from_element(1, 1, s), f64::sqrt(t) / f64::sqrt(s));
            let mu = neurons::<f64>(&[&[r, r]]);
            let lambda = s / 16.0;
            optimal(Quantile(0.5), &x, &[t], lambda, &mu, 2.0 * lambda * r * r);
            optimal(AbsoluteError, &x, &[t], lambda, &mu, 2.0 * lambda * r * r);
        }
        let (x, r) = (DMatrix::from_element(1, 1, s), 1.0 / f64::sqrt(s));
        optimal(
            Hinge,
            &x,
            &[1.0],
            s / 8.0,
            &neurons::<f64>(&[&[r, r]]),
            0.25,
        );
    }
}

#[test]
fn several_samples_at_kinks() {
    // Two orthogonal samples of label 1: one neuron between them, p / sqrt 2 = 1.
    let p = std::f64::consts::SQRT_2;
    let (a, b) = (p.sqrt(), p.sqrt() / p);
    let x = DMatrix::identity(2, 2);
    optimal(
        Hinge,
        &x,
        &[1.0, 1.0],
        0.1,
        &neurons::<f64>(&[&[a, b, b]]),
        0.2 * p,
    );
    // The same sample twice: only the sum of the two slopes is determined.
    let x = DMatrix::from_row_slice(2, 2, &[3.0, 3.0, 4.0, 4.0]);
    let b = [0.6 / 5.0_f64.sqrt(), 0.8 / 5.0_f64.sqrt()];
    let mu = neurons::<f64>(&[&[1.0 / 5.0_f64.sqrt(), b[0], b[1]]]);
    optimal(Hinge, &x, &[1.0, 1.0], 0.5, &mu, 0.2);
}

/// Random problems on the line. For x > 0 and x < 0 the predictions are `h = p |x|`, so that the
/// optimal p is a kink of a convex piecewise linear function.
fn line<L: Loss<f64> + Copy>(loss: L, labels: bool, seed: u64) {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    for case in 0..100 {
        let n = 1 + case % 9;
        let x: Vec<f64> = (0..n).map(|_| rng.random_range(-2.0..2.0)).collect();
        let y: Vec<f64> = (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
        let y: Vec<f64> = y
            .iter()
            .map(|&y| if labels { f64::signum(y) } else { y })
            .collect();
        let lambda = [0.001, 0.01, 0.1][case % 3];
        let (mut points, mut optimum) = (Vec::new(), 0.0);
        for side in [1.0, -1.0] {
            let own: Vec<usize> = (0..n).filter(|&j| side * x[j] > 0.0).collect();
            let cost = |p: f64| {
                let losses = own.iter().map(|&j| loss.value(y[j], p * x[j].abs()));
                losses.sum::<f64>() / n as f64 + 2.0 * lambda * p.abs()
            };
            // The kinks are at h = y, for labels too.
            let kinks = own.iter().map(|&j| y[j] / x[j].abs()).chain([0.0]);
            let best = kinks.min_by(|&p, &q| cost(p).total_cmp(&cost(q))).unwrap();
            optimum += cost(best);
            let r = best.abs().sqrt();
            points.push([r.copysign(best), side * r]);
        }
        let points: Vec<&[f64]> = points.iter().map(|w| &w[..]).collect();
        let x = DMatrix::from_row_slice(1, n, &x);
        optimal(loss, &x, &y, lambda, &neurons::<f64>(&points), optimum);
    }
}

#[test]
fn minima_on_the_line_are_certified() {
    line(Hinge, true, 1);
    line(Quantile(0.5), false, 2);
    line(Quantile(0.2), false, 3);
    line(AbsoluteError, false, 4);
}

#[test]
fn solutions_of_single_precision_near_a_kink() {
    // h = y (1 + 3e-8): the gap is of the order of F - F*, and not of the loss.
    let x = DMatrix::from_element(1, 1, 1.0);
    for distance in [3e-8, -3e-8] {
        let r = f64::sqrt(1.0 + distance);
        let y = DMatrix::from_element(1, 1, 1.0);
        let mut energy = network::<_, _, f64>(Relu, Hinge, &x, &y, 0.1);
        let gap = certify(&mut energy, &neurons::<f64>(&[&[r, r]])).gap();
        assert!((0.0..=1e-7).contains(&gap), "{gap}");
    }
}
