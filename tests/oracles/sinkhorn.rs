//! The accelerated Sinkhorn iteration: marginals, comparison with the plain one, warm starts.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::testing::CaseRng;
use wasserflow::transport::SinkhornEnergy;

/// Random points with weights of mass 1, some of them 0; in clusters at distance `gap`.
fn cloud(seed: u64, p: usize, m: usize, gap: f64) -> EmpiricalMeasure<f64> {
    let mut rng = CaseRng::new(seed);
    let points = DMatrix::from_fn(p, m, |l, i| {
        let cluster = if l == 0 && i % 3 == 0 { gap } else { 0.0 };
        cluster + rng.uniform::<f64>(-1.0, 1.0)
    });
    let weights = DVector::from_fn(m, |i, _| {
        if i > 0 && i % 5 == 0 {
            0.0
        } else {
            rng.uniform(0.5, 1.5)
        }
    });
    let mass = weights.sum();
    EmpiricalMeasure::weighted(points, weights / mass).unwrap()
}

fn cost(x: &[f64], y: &[f64]) -> f64 {
    let squares = x.iter().zip(y).map(|(x, y)| (x - y) * (x - y));
    0.5 * squares.sum::<f64>()
}

/// The errors of both marginals of the plan that the potentials define, in `f64`.
fn marginal_errors(
    [mu, nu]: [&EmpiricalMeasure<f64>; 2],
    [f, g]: [&[f64]; 2],
    epsilon: f64,
) -> [f64; 2] {
    let (mut rows, mut columns) = (vec![0.0; mu.len()], vec![0.0; nu.len()]);
    for i in 0..mu.len() {
        for j in 0..nu.len() {
            let exponent = (f[i] + g[j] - cost(mu.particle(i), nu.particle(j))) / epsilon;
            let mass = mu.weight(i) * nu.weight(j);
            let pair = if mass == 0.0 {
                0.0
            } else {
                mass * exponent.exp()
            };
            rows[i] += pair;
            columns[j] += pair;
        }
    }
    let error = |sums: &[f64], mu: &EmpiricalMeasure<f64>| {
        let pairs = sums.iter().zip(mu.weights());
        pairs.map(|(sum, c)| (sum - c).abs()).sum()
    };
    [error(&rows, mu), error(&columns, nu)]
}

fn converted<T: Real>(mu: &EmpiricalMeasure<f64>) -> EmpiricalMeasure<T> {
    let weights = DVector::from_iterator(mu.len(), mu.weights().iter().map(|&c| real(c)));
    EmpiricalMeasure::weighted(mu.points().map(real), weights).unwrap()
}

/// The marginals of the plans in `f64` have at most the reported error, at all sizes and
/// temperatures, and so have those after a stop by the number of iterations.
fn marginals<T: Real + Into<f64>>(tolerance: f64, rounding: f64) {
    let mut seed = 0;
    for (p, m, n) in [(1, 1, 1), (2, 1, 7), (3, 33, 5), (2, 300, 257), (5, 70, 70)] {
        for (epsilon, gap) in [(2.0, 0.0), (0.1, 0.0), (0.1, 9.0), (0.01, 3.0)] {
            for iterations in [1, 3, 400] {
                seed += 1;
                let (mu, nu) = (cloud(seed, p, m, gap), cloud(seed + 999, p, n, -gap));
                let energy = SinkhornEnergy::<T>::half_square(converted(&nu), real(epsilon));
                let energy = energy.unwrap().accuracy(real(tolerance), iterations);
                let mut energy = energy.unwrap();
                let value: f64 = energy.value(&converted(&mu)).into();
                let reported: f64 = energy.marginal_error().into();
                assert!(value >= 0.0 && value.is_finite(), "{value}");
                let [f, g, p] = energy.potentials();
                let [f, g, p] =
                    [f, g, p].map(|x| x.iter().map(|&x| x.into()).collect::<Vec<f64>>());
                let cross = marginal_errors([&mu, &nu], [&f, &g], epsilon);
                let bound = reported * (1.0 + 1e-3) + rounding * (1.0 + gap * gap / epsilon);
                let id = (p.len(), n, epsilon, gap, iterations);
                assert!(
                    cross[0] <= rounding * (1.0 + gap * gap / epsilon),
                    "{id:?}: {cross:?}"
                );
                assert!(cross[1] <= bound, "{id:?}: {cross:?}, {reported:e}");
                if iterations == 400 && epsilon > 0.05 && gap == 0.0 {
                    let own = marginal_errors([&mu, &mu], [&p, &p], epsilon);
                    assert!(own[0] <= bound, "{id:?}: {own:?}, {reported:e}");
                    assert!(reported <= tolerance, "{id:?}: {reported:e}");
                }
            }
        }
    }
}

#[test]
fn the_potentials_have_the_reported_marginals() {
    marginals::<f64>(1e-9, 1e-12);
    marginals::<f64>(1e-3, 1e-12);
    marginals::<f32>(1e-4, 1e-5);
}

/// `(F, f)` by the plain iteration, pair by pair.
fn plain(mu: &EmpiricalMeasure<f64>, nu: &EmpiricalMeasure<f64>, epsilon: f64) -> f64 {
    let soft_minimum = |x: &[f64], nu: &EmpiricalMeasure<f64>, g: &[f64]| {
        let exponent = |j: usize| (g[j] - cost(x, nu.particle(j))) / epsilon + nu.weight(j).ln();
        let exponents: Vec<f64> = (0..nu.len()).map(exponent).collect();
        let largest = exponents.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
        let sum: f64 = exponents.iter().map(|x| (x - largest).exp()).sum();
        -epsilon * (largest + sum.ln())
    };
    let all = |at: &EmpiricalMeasure<f64>, of: &EmpiricalMeasure<f64>, g: &[f64]| {
        let value = |i| soft_minimum(at.particle(i), of, g);
        (0..at.len()).map(value).collect::<Vec<_>>()
    };
    let (mut f, mut g) = (vec![0.0; mu.len()], vec![0.0; nu.len()]);
    for _ in 0..20_000 {
        g = all(nu, mu, &f);
        let new = all(mu, nu, &g);
        let change = f
            .iter()
            .zip(&new)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        f = new;
        if change < 1e-13 {
            break;
        }
    }
    let mean = |mu: &EmpiricalMeasure<f64>, f: &[f64]| -> f64 {
        mu.weights().iter().zip(f).map(|(c, f)| c * f).sum()
    };
    mean(mu, &f) + mean(nu, &g)
}

/// The accelerated iterations converge to the potentials of the plain one.
#[test]
fn accelerated_iterations_agree_with_the_plain_one() {
    for (p, m, n, epsilon, gap) in [
        (2, 40, 37, 0.2, 0.0),
        (1, 30, 30, 0.05, 0.0),
        (3, 25, 50, 0.3, 4.0),
        (2, 3, 2, 0.02, 1.0),
    ] {
        let (mu, nu) = (cloud(7, p, m, gap), cloud(8, p, n, 0.5 * gap));
        let energy = SinkhornEnergy::half_square(nu.clone(), epsilon).unwrap();
        let mut energy = energy.accuracy(1e-12, 20_000).unwrap();
        let value = energy.value(&mu);
        assert!(energy.marginal_error() <= 1e-12);
        let exact =
            plain(&mu, &nu, epsilon) - 0.5 * (plain(&mu, &mu, epsilon) + plain(&nu, &nu, epsilon));
        // The plain iteration stops at changes of 1e-13, at rates of up to 0.9999.
        assert!((value - exact).abs() < 1e-8, "{value}, {exact}");
    }
}

/// Warm starts give the same results up to the tolerance, after steps, new sizes and new weights.
#[test]
fn warm_starts() {
    let nu = cloud(1, 2, 40, 2.0);
    let new = || {
        let energy = SinkhornEnergy::half_square(nu.clone(), 0.1).unwrap();
        energy.accuracy(1e-12, 20_000).unwrap()
    };
    let mut warm = new().warm_started();
    assert!(warm.marginal_error().is_infinite());
    assert!(warm.potentials().iter().all(|x| x.is_empty()));
    let moved = |mu: &EmpiricalMeasure<f64>, step: f64| {
        let mut mu = mu.clone();
        mu.points_mut()
            .iter_mut()
            .for_each(|x| *x += step * *x * *x);
        mu
    };
    let mu = cloud(2, 2, 50, 0.0);
    for mu in [
        mu.clone(),
        moved(&mu, 0.05),
        moved(&mu, 3.0),
        cloud(4, 2, 9, 0.0),
        mu,
    ] {
        let mut v = [mu.points().clone(), mu.points().clone()];
        let values = [
            warm.velocity(&mu, &mut v[0]),
            new().velocity(&mu, &mut v[1]),
        ];
        assert!((values[0] - values[1]).abs() < 1e-10, "{values:?}");
        assert!((&v[0] - &v[1]).amax() < 1e-9);
    }
    // Without warm starts the values do not depend on previous evaluations.
    let (mu, mut cold) = (cloud(2, 2, 50, 0.0), new());
    let first = cold.value(&mu);
    cold.value(&moved(&mu, 1.0));
    assert_eq!(cold.value(&mu), first);
}
