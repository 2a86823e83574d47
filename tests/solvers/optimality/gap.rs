//! The certified gap is never below the true gap, and small at the optimum.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::optimality::{Bound, certify, certify_within};
use wasserflow::prelude::*;

use super::common::{convert, matrix, measure, network, signs};
use super::convex;

#[test]
fn one_neuron_on_two_samples_is_certified() {
    // x = e_1, e_2 and y > 0: the best network is one neuron with h = y (1 - 4 lambda / |y|).
    fn run<T: Real>(tolerance: f64) {
        let (x, y, lambda) = (
            DMatrix::identity(2, 2),
            DMatrix::from_row_slice(1, 2, &[3.0, 2.0]),
            0.125,
        );
        let mut energy = network::<_, _, T>(Relu, Square, &x, &y, lambda);
        let length = 13.0_f64.sqrt();
        let (h, r) = (length - 4.0 * lambda, (length - 4.0 * lambda).sqrt());
        assert!(h > 0.0);
        let w = [r, r * 3.0 / length, r * 2.0 / length].map(real::<T>);
        let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(3, 1, &w)).unwrap();
        let certificate = certify(&mut energy, &mu);
        let gap = certificate.gap().to_f64().unwrap();
        assert!((0.0..tolerance).contains(&gap), "gap {gap}");
        assert_eq!(certificate.bound(), Some(Bound::Exact));
    }
    run::<f64>(1e-13);
    run::<f32>(1e-6);
}

#[test]
fn the_gap_holds_down_to_rounding() {
    // As above, F* = 2 lambda |y| - 4 lambda^2. Near the optimum F - F* is a few units of rounding.
    let rng = &mut ChaCha8Rng::seed_from_u64(18);
    for case in 0..300 {
        let (a, b) = (rng.random_range(1.0..3.0), rng.random_range(1.0..3.0));
        let (x, y, lambda) = (
            DMatrix::identity(2, 2),
            DMatrix::from_row_slice(1, 2, &[a, b]),
            0.125,
        );
        let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, lambda);
        let length = a.hypot(b);
        let optimum = 2.0 * lambda * length - 4.0 * lambda * lambda;
        let r = (length - 4.0 * lambda).sqrt();
        let size = 10.0_f64.powi(-(case % 12));
        let w = [r, r * a / length, r * b / length]
            .map(|w| w * (1.0 + size * rng.random_range(-1.0..1.0)));
        let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(3, 1, &w)).unwrap();
        let (value, gap) = (energy.value(&mu), certify(&mut energy, &mu).gap());
        assert!(
            gap >= value - optimum - 4.0 * f64::EPSILON,
            "gap {gap}, F - F* {}",
            value - optimum
        );
        assert!(gap <= 10.0 * size + 1e-13, "gap {gap} at distance {size}");
    }
}

#[test]
fn non_finite_measures_are_not_certified() {
    let mut energy = network::<_, _, f64>(
        Relu,
        Square,
        &DMatrix::identity(2, 2),
        &DMatrix::zeros(1, 2),
        0.1,
    );
    for bad in [f64::NAN, f64::INFINITY, 1e200] {
        let mut mu = EmpiricalMeasure::uniform(DMatrix::from_element(3, 2, 1.0)).unwrap();
        mu.points_mut().fill(bad);
        let certificate = certify(&mut energy, &mu);
        assert_eq!(
            (certificate.gap(), certificate.escape()),
            (f64::INFINITY, None),
            "{bad}"
        );
    }
}

#[test]
fn the_gap_is_never_below_the_true_gap_for_the_square_loss() {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let (mut tight, mut problems) = (0, 0);
    for case in 0..200 {
        let n = 1 + case % 12;
        let (mut x, y) = (matrix(2, n, rng), matrix(1, n, rng));
        match case % 5 {
            1 => x.row_mut(1).fill(0.0),                                 // collinear
            2 => x.column_mut(n / 2).fill(0.0),                          // a zero input
            3 => x.set_column(0, &(2.0 * x.column(n - 1).into_owned())), // a tie
            4 => x.row_mut(1).fill(1.0),                                 // one dimension and a bias
            _ => {}
        }
        let lambda = [0.001, 0.01, 0.1][case % 3];
        let optimum = convex::square(&x, y.as_slice(), lambda);
        let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, lambda);
        for m in [1, 3, 8] {
            let mu = measure(3, m, rng);
            let (value, certificate) = (energy.value(&mu), certify(&mut energy, &mu));
            assert!(
                certificate.gap() >= value - optimum.value - 1e-8,
                "case {case}"
            );
            assert!((certificate.energy() - value).abs() < 1e-12);
        }
        // The measure of the solver is optimal up to the accuracy of the solver.
        let certificate = certify(&mut energy, &optimum.measure);
        assert!(certificate.gap() < 1e-5, "case {case}: {certificate:?}");
        problems += 1;
        tight += usize::from(certificate.gap() < 1e-7);
    }
    assert!(tight * 10 > problems * 9, "{tight} of {problems}");
}

#[test]
fn the_gap_is_never_below_the_true_gap_for_the_logistic_loss() {
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    for case in 0..16 {
        let n = 1 + case % 8;
        let (x, y) = (matrix(2, n, rng), signs(&matrix(1, n, rng)));
        let lambda = [0.003, 0.03][case % 2];
        let optimum = convex::logistic(&x, y.as_slice(), lambda);
        let mut energy = network::<_, _, f64>(Relu, Logistic, &x, &y, lambda);
        for m in [1, 3, 8] {
            let mu = measure(3, m, rng);
            let (value, certificate) = (energy.value(&mu), certify(&mut energy, &mu));
            assert!(
                certificate.gap() >= value - optimum.value - 1e-7,
                "case {case}"
            );
        }
        let certificate = certify(&mut energy, &optimum.measure);
        assert!(certificate.gap() < 1e-5, "case {case}: {certificate:?}");
    }
}

#[test]
fn single_precision_is_certified_as_well() {
    let rng = &mut ChaCha8Rng::seed_from_u64(4);
    for case in 0..10 {
        let (x, y) = (matrix(2, 1 + case, rng), matrix(1, 1 + case, rng));
        // The rounded problem in double precision.
        let (x, y) = (
            x.map(|x| f64::from(x as f32)),
            y.map(|y| f64::from(y as f32)),
        );
        let lambda = 0.015625;
        let optimum = convex::square(&x, y.as_slice(), lambda);
        let mut energy = network::<_, _, f32>(Relu, Square, &x, &y, lambda);
        let mut double = network::<_, _, f64>(Relu, Square, &x, &y, lambda);
        let mu = measure::<f32>(3, 5, rng);
        let value = double.value(&convert::<f32, f64>(&mu));
        let gap = f64::from(certify(&mut energy, &mu).gap());
        assert!(gap >= value - optimum.value - 1e-8, "case {case}");
        let best = convert::<f64, f32>(&optimum.measure);
        assert!(certify(&mut energy, &best).gap() < 1e-5, "case {case}");
    }
}

/// `min R + 2 lambda sum_b |a_b|` over output weights `a_b` in `R^k` of fixed directions b, by
/// accelerated proximal gradient.
fn group_lasso(
    x: &DMatrix<f64>,
    y: &DMatrix<f64>,
    directions: &[f64],
    lambda: f64,
) -> (f64, EmpiricalMeasure<f64>) {
    let ((k, n), m) = (y.shape(), directions.len());
    let features = DMatrix::from_fn(m, n, |i, j| {
        (directions[i].cos() * x[(0, j)] + directions[i].sin() * x[(1, j)]).max(0.0)
    });
    let smooth = features.norm_squared() / n as f64;
    let mut a = DMatrix::<f64>::zeros(k, m);
    let (mut z, mut t) = (a.clone(), 1.0_f64);
    let value = |a: &DMatrix<f64>| {
        (a * &features - y).norm_squared() / (2.0 * n as f64)
            + 2.0 * lambda * a.column_iter().map(|a| a.norm()).sum::<f64>()
    };
    let mut last = value(&a);
    for _ in 0..20_000 {
        let gradient = (&z * &features - y) * features.transpose() / n as f64;
        let mut next = &z - gradient / smooth;
        for mut column in next.column_iter_mut() {
            let length = column.norm();
            column *= if length > 0.0 {
                (1.0 - 2.0 * lambda / smooth / length).max(0.0)
            } else {
                0.0
            };
        }
        let now = value(&next);
        let s = if now > last {
            1.0
        } else {
            0.5 * (1.0 + (1.0 + 4.0 * t * t).sqrt())
        };
        z = if now > last {
            next.clone()
        } else {
            &next + (&next - &a) * ((t - 1.0) / s)
        };
        (a, t, last) = (next, s, now);
    }
    let kept: Vec<usize> = (0..m).filter(|&i| a.column(i).norm() > 0.0).collect();
    let points = DMatrix::from_fn(k + 2, kept.len(), |r, i| {
        let (a, b) = (a.column(kept[i]), directions[kept[i]]);
        let root = a.norm().sqrt();
        if r < k {
            a[r] / root
        } else {
            root * if r == k { b.cos() } else { b.sin() }
        }
    });
    (
        last,
        EmpiricalMeasure::weighted(points, DVector::from_element(kept.len(), 1.0)).unwrap(),
    )
}

#[test]
fn several_outputs_are_certified() {
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    let directions: Vec<f64> = (0..200)
        .map(|i| std::f64::consts::TAU * f64::from(i) / 200.0)
        .collect();
    for n in [1, 4, 9] {
        let (x, y) = (matrix(2, n, rng), matrix(3, n, rng));
        let lambda = 0.02;
        // The optimum over fixed directions is slightly above the global one.
        let (value, best) = group_lasso(&x, &y, &directions, lambda);
        let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, lambda);
        let certificate = certify(&mut energy, &best);
        assert!((certificate.energy() - value).abs() < 1e-10);
        assert!(certificate.gap() < 5e-3, "n = {n}: {certificate:?}");
        for m in [1, 5] {
            let mu = measure(5, m, rng);
            let gap = certify(&mut energy, &mu).gap();
            assert!(gap >= energy.value(&mu) - value, "n = {n}");
            assert!(gap <= energy.value(&mu), "F* >= 0");
        }
    }
}

#[test]
fn without_weight_decay_the_energy_itself_is_the_bound() {
    let rng = &mut ChaCha8Rng::seed_from_u64(6);
    for d in [1, 2, 3, 7] {
        let (x, y) = (matrix(d, 12, rng), matrix(1, 12, rng));
        let mu = measure(1 + d, 6, rng);
        let risk = EmpiricalRisk::new(Square, x.clone(), y.row(0).transpose()).unwrap();
        let mut energy = MeanFieldRisk::new(Ridge::new(Relu, d), risk).unwrap();
        let (value, gap) = (energy.value(&mu), certify(&mut energy, &mu).gap());
        assert!(
            gap >= value && gap <= value * (1.0 + 1e-12) + 1e-15,
            "d = {d}: F {value}, gap {gap}"
        );
    }
}

#[test]
fn a_norm_budget_bounds_the_energy_of_teachers_of_that_norm() {
    let rng = &mut ChaCha8Rng::seed_from_u64(7);
    for d in [1, 2, 3] {
        for k in [1, 3] {
            let (x, y) = (matrix(d, 10, rng), matrix(k, 10, rng));
            let risk = EmpiricalRisk::with_outputs(Square, x, 3.0 * y).unwrap();
            let mut energy = MeanFieldRisk::new(Ridge::with_outputs(Relu, d, k), risk).unwrap();
            let norm = |nu: &EmpiricalMeasure<f64>| -> f64 {
                let neurons = nu.points().column_iter().zip(nu.weights());
                neurons
                    .map(|(w, c)| c * w.rows(0, k).norm() * w.rows(k, d).norm())
                    .sum()
            };
            let mu = measure(k + d, 3, rng);
            let value = energy.value(&mu);
            let mut bounds = Vec::new();
            for budget in [0.0, 0.01, 0.1, 1.0, 10.0, 1e6] {
                let gap = certify_within(&mut energy, &mu, budget).gap();
                for _ in 0..20 {
                    let mut nu = measure(k + d, 3, rng);
                    let scale = (budget / norm(&nu)).min(1e6);
                    nu.weights_mut().iter_mut().for_each(|c| *c *= scale);
                    assert!(
                        gap >= value - energy.value(&nu) - 1e-12,
                        "d = {d}, k = {k}, budget {budget}"
                    );
                }
                bounds.push(gap);
            }
            // The zero network satisfies every budget; the gap grows with the budget; F* >= 0.
            let zero = EmpiricalMeasure::uniform(DMatrix::zeros(k + d, 1)).unwrap();
            assert!(bounds[0] >= value - energy.value(&zero), "{bounds:?}");
            assert!(
                bounds.windows(2).all(|b| b[0] <= b[1] + 1e-6 * value),
                "{bounds:?}"
            );
            assert!(bounds[5] <= value * (1.0 + 1e-12));
        }
    }
}

/// Fenchel-Young, with equality at the slope, and the supremum by brute force.
fn conjugate<L: Loss<f64> + Loss<f32>>(loss: L, targets: &[f64]) {
    let grid: Vec<f64> = (-400..=400).map(|i| f64::from(i) / 50.0).collect();
    for &y in targets {
        for &h in &grid {
            let (l, u): (f64, f64) = loss.value_and_derivative(y, h);
            let s = Loss::<f64>::conjugate(&loss, y, u).unwrap();
            assert!(
                (l + s - u * h).abs() <= 1e-13 * (1.0 + l.abs() + (u * h).abs()),
                "y {y}, h {h}: l {l}, u {u}, l* {s}"
            );
            let (l, u): (f32, f32) = loss.value_and_derivative(y as f32, h as f32);
            let s = Loss::<f32>::conjugate(&loss, y as f32, u).unwrap();
            assert!(
                (l + s - u * h as f32).abs() <= 1e-5 * (1.0 + l.abs() + (u * h as f32).abs()),
                "y {y}, h {h}"
            );
        }
        for u in (-40..=40).map(|i| f64::from(i) / 10.0) {
            let s = Loss::<f64>::conjugate(&loss, y, u).unwrap();
            let sup = grid
                .iter()
                .map(|&h| u * h - Loss::<f64>::value(&loss, y, h))
                .fold(f64::NEG_INFINITY, f64::max);
            assert!(s >= sup - 1e-12, "y {y}, u {u}: l* {s}, sup {sup}");
            // The supremum over the grid, if attained inside; outside the domain it is unbounded.
            let far = [-1e6, 1e6].map(|h| u * h - Loss::<f64>::value(&loss, y, h));
            assert_eq!(
                s == f64::INFINITY,
                far[0].max(far[1]) > 1e3,
                "y {y}, u {u}: l* {s}, far {far:?}"
            );
        }
    }
}

#[test]
fn conjugates_of_the_losses() {
    conjugate(Square, &[-1.0, 0.0, 2.5]);
    conjugate(Huber(0.7), &[-1.0, 0.0, 2.5]);
    conjugate(Quantile(0.3), &[-1.0, 0.0, 2.5]);
    conjugate(Logistic, &[-1.0, 1.0]);
    conjugate(Exponential, &[-1.0, 1.0]);
    conjugate(Hinge, &[-1.0, 1.0]);
    conjugate(SmoothHinge(0.5), &[-1.0, 1.0]);
}
