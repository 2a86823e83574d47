//! The accelerated Sinkhorn iteration: marginals, comparison with the plain one, sums by blocks,
//! threads, warm starts.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::testing::CaseRng;
use wasserflow::transport::SinkhornEnergy;

mod extremes;

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

/// `-epsilon log sum_j (c_j / M) exp((g_j - |x - y_j|^2 / 2) / epsilon)`, pair by pair.
fn soft_minimum(x: &[f64], nu: &EmpiricalMeasure<f64>, g: &[f64], epsilon: f64) -> f64 {
    let exponent = |j: usize| (g[j] - cost(x, nu.particle(j))) / epsilon + nu.weight(j).ln();
    let exponents: Vec<f64> = (0..nu.len()).map(exponent).collect();
    let largest = exponents.iter().fold(f64::NEG_INFINITY, |a, &b| a.max(b));
    let sum: f64 = exponents.iter().map(|x| (x - largest).exp()).sum();
    -epsilon * (largest + (sum / nu.mass()).ln())
}

/// The value of OT by plain iterations: alternating ones, or for equal measures `p <- (p + T(p)) / 2`,
/// whose rate is at most 1/2.
///
/// The alternating iteration would not do for equal measures: in the third case below, with two
/// clusters, it converges at the rate 0.99997, and after 20 000 iterations the value has an error
/// of 7e-10.
fn plain(mu: &EmpiricalMeasure<f64>, nu: &EmpiricalMeasure<f64>, epsilon: f64) -> f64 {
    let all = |at: &EmpiricalMeasure<f64>, of: &EmpiricalMeasure<f64>, g: &[f64]| {
        let value = |i| soft_minimum(at.particle(i), of, g, epsilon);
        (0..at.len()).map(value).collect::<Vec<_>>()
    };
    let (mut f, mut g) = (vec![0.0; mu.len()], vec![0.0; nu.len()]);
    for iteration in 0.. {
        let new = if mu == nu {
            let of_f = all(mu, nu, &f);
            g.clone_from(&f);
            f.iter()
                .zip(&of_f)
                .map(|(f, new)| 0.5 * (f + new))
                .collect()
        } else {
            g = all(nu, mu, &f);
            all(mu, nu, &g)
        };
        let changes = f.iter().zip(&new).map(|(a, b)| (a - b).abs());
        let change = changes.fold(0.0, f64::max);
        f = new;
        if change < 1e-15 {
            break;
        }
        assert!(iteration < 20_000, "a change of {change:e}");
    }
    let mean = |mu: &EmpiricalMeasure<f64>, f: &[f64]| -> f64 {
        mu.weights().iter().zip(f).map(|(c, f)| c * f).sum()
    };
    mean(mu, &f) + mean(nu, &g)
}

/// The accelerated iterations converge to the values of the plain ones.
#[test]
fn accelerated_iterations_agree_with_the_plain_one() {
    for (p, m, n, epsilon, gap) in [
        (2, 40, 37, 0.2, 0.0),
        (1, 30, 30, 0.05, 0.0),
        (3, 25, 50, 0.3, 4.0),
        (2, 3, 2, 0.02, 1.0),
    ] {
        let (mu, nu) = (cloud(7, p, m, gap), cloud(8, p, n, 0.5 * gap));
        let exact =
            plain(&mu, &nu, epsilon) - 0.5 * (plain(&mu, &mu, epsilon) + plain(&nu, &nu, epsilon));
        for tolerance in [1e-12, 1e-9, 1e-6, 1e-4, 1e-3] {
            let energy = SinkhornEnergy::half_square(nu.clone(), epsilon).unwrap();
            let mut energy = energy.accuracy(tolerance, 20_000).unwrap();
            let value = energy.value(&mu);
            assert!(energy.marginal_error() <= tolerance);
            // The dual value is stationary at the solution, so that its error is quadratic in that of
            // the marginals (0.04 e^2 and less in these cases); sums of 50 numbers have roundings.
            let bound = tolerance * tolerance + 64.0 * f64::EPSILON;
            assert!(
                (value - exact).abs() <= bound,
                "{value}, {exact}, {tolerance}"
            );
        }
    }
}

/// In these cases, two clusters, the residuals of the over-relaxed iteration increase without bound
/// (to infinite potentials or an error of 2), so that the plain iteration has to be used.
#[test]
fn the_plain_iteration_is_used_if_the_relaxed_one_diverges() {
    for (seed, p, m, n, epsilon, gap) in [
        (7, 2, 9, 4, 0.02, 3.0),
        (38, 2, 9, 4, 0.02, 3.0),
        (12, 3, 6, 11, 0.24, 5.0),
        (28, 3, 6, 11, 0.1, 5.0),
        (42, 1, 6, 8, 0.04, 5.0),
    ] {
        let (mu, nu) = (cloud(seed, p, m, gap), cloud(seed + 999, p, n, gap));
        let energy = SinkhornEnergy::half_square(nu.clone(), epsilon).unwrap();
        let mut energy = energy.accuracy(1e-9, 3000).unwrap();
        assert!(energy.value(&mu).is_finite());
        assert!(
            energy.marginal_error() <= 1e-9,
            "{seed}: {:e}",
            energy.marginal_error()
        );
        let [f, g, _] = energy.potentials();
        let [rows, columns] = marginal_errors([&mu, &nu], [f, g], epsilon);
        assert!(
            rows <= 1e-11 && columns <= 1.01e-9,
            "{seed}: {rows:e}, {columns:e}"
        );
    }
}

/// After the over-relaxed iteration diverged the rate is estimated again. With plain iterations from
/// there on, the cases took 1259, 977, 2093, more than 3000, 2548 and more than 3000 iterations.
#[test]
fn the_rate_is_estimated_again_after_a_divergence() {
    for (seed, p, m, n, epsilon, gap, iterations) in [
        (3, 2, 9, 4, 0.04, 5.0, 350),
        (8, 2, 9, 4, 0.04, 5.0, 260),
        (43, 3, 6, 11, 0.04, 5.0, 450),
        (52, 1, 6, 8, 0.1, 5.0, 550),
        (16, 1, 6, 8, 0.02, 3.0, 750),
        (23, 1, 6, 8, 0.24, 5.0, 720),
    ] {
        let (mu, nu) = (cloud(seed, p, m, gap), cloud(seed + 999, p, n, gap));
        let energy = SinkhornEnergy::half_square(nu.clone(), epsilon).unwrap();
        let mut energy = energy.accuracy(1e-9, iterations).unwrap();
        assert!(energy.value(&mu).is_finite());
        let error = energy.marginal_error();
        assert!(error <= 1e-9, "{seed}, {epsilon}: {error:e}");
        let [f, g, _] = energy.potentials();
        let [rows, columns] = marginal_errors([&mu, &nu], [f, g], epsilon);
        assert!(
            rows <= 1e-11 && columns <= 1.01e-9,
            "{seed}: {rows:e}, {columns:e}"
        );
    }
}

/// The potential f is the soft minimum of g in every dimension, for sources that are a part of a
/// block, a whole one or several, with the sums of given shifts and those by the largest exponent.
fn soft_minima<T: Real + Into<f64>>() {
    for p in [1, 2, 3, 4, 7] {
        for (m, n) in [
            (1, 1),
            (5, 31),
            (33, 32),
            (7, 33),
            (40, 255),
            (3, 256),
            (9, 257),
            (65, 600),
        ] {
            for (epsilon, iterations) in [(0.5, 1), (0.5, 4), (0.05, 4), (1e-3, 1)] {
                let (mu, nu) = (cloud(p as u64, p, m, 0.0), cloud(n as u64, p, n, 1.0));
                let [mu, nu] = [mu, nu].map(|mu| converted::<T>(&mu));
                let energy = SinkhornEnergy::half_square(nu.clone(), real(epsilon)).unwrap();
                let epsilon: f64 = energy.epsilon().into();
                let mut energy = energy.accuracy(real(1e-5), iterations).unwrap();
                energy.value(&mu);
                let exact = |x: &[T]| x.iter().map(|&x| x.into()).collect::<Vec<f64>>();
                let [f, g, _] = energy.potentials().map(exact);
                let weights = DVector::from_vec(exact(nu.weights()));
                let points = nu.points().map(Into::into);
                let nu = EmpiricalMeasure::weighted(points, weights).unwrap();
                for (i, f) in f.iter().enumerate() {
                    let x = exact(mu.particle(i));
                    let expected = soft_minimum(&x, &nu, &g, epsilon);
                    let costs = (0..n).map(|j| cost(&x, nu.particle(j)) + g[j].abs());
                    let size = costs.fold(0.0, f64::max) + 8.0 * epsilon;
                    let rounding: f64 = T::default_epsilon().into();
                    let error = (f - expected).abs();
                    let id = (p, m, n, epsilon, iterations);
                    assert!(
                        error <= 4.0 * rounding * size,
                        "{id:?}: {f}, {expected}, {size}"
                    );
                }
            }
        }
    }
}

#[test]
fn potentials_are_soft_minima() {
    soft_minima::<f64>();
    soft_minima::<f32>();
}

/// The bits of all results are those of one thread.
fn bits_over_threads<T: Real>() {
    for p in [1, 2, 3, 4, 7] {
        let [mu, nu] = [cloud(1, p, 700, 0.0), cloud(2, p, 601, 1.0)].map(|mu| converted::<T>(&mu));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.unwrap().install(|| {
                let energy = SinkhornEnergy::half_square(nu.clone(), real(0.1)).unwrap();
                let mut energy = energy.accuracy(real(1e-5), 7).unwrap();
                let mut v = mu.points().clone();
                let value = energy.velocity(&mu, &mut v);
                let potentials = energy.potentials().map(<[T]>::to_vec);
                (value, energy.marginal_error(), v, potentials)
            })
        };
        let expected = run(1);
        for threads in [2, 5] {
            assert!(run(threads) == expected, "p = {p}, {threads} threads");
        }
    }
}

#[test]
fn results_do_not_depend_on_the_threads() {
    bits_over_threads::<f64>();
    bits_over_threads::<f32>();
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
