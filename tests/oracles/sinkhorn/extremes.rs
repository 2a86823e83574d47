//! Distant clouds, small temperatures, blocks without mass: finite results with the errors that are
//! reported.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::transport::SinkhornEnergy;

use super::{cloud, converted, marginal_errors};

fn line<T: Real>(points: &[f64], weights: &[f64]) -> EmpiricalMeasure<T> {
    let points = DMatrix::from_fn(1, points.len(), |_, i| real(points[i]));
    let weights = DVector::from_fn(weights.len(), |i, _| real(weights[i]));
    EmpiricalMeasure::weighted(points, weights).unwrap()
}

/// Particles of weight 0 that fill the first blocks have velocities: those of the same points with
/// mass. Also as points of the target.
fn blocks_of_zeros<T: Real + Into<f64>>() {
    for (zeros, massive) in [(255, 1), (256, 1), (257, 2), (600, 3)] {
        let count = zeros + massive;
        let points: Vec<f64> = (0..count).map(|i| (i as f64 * 0.7).sin()).collect();
        let weight = |i| if i < zeros { 0.0 } else { 1.0 / massive as f64 };
        let weights: Vec<f64> = (0..count).map(weight).collect();
        let padded = line::<T>(&points, &weights);
        let alone = line::<T>(&points[zeros..], &weights[zeros..]);
        let other = line::<T>(&[0.0, 1.0], &[0.5, 0.5]);

        let run = |mu: &EmpiricalMeasure<T>, nu: &EmpiricalMeasure<T>, at: &EmpiricalMeasure<T>| {
            let mut energy = SinkhornEnergy::half_square(nu.clone(), real(0.5)).unwrap();
            let mut values = vec![T::zero(); at.len()];
            let mut v = at.points().clone();
            let value = energy.first_variation(mu, at.points(), &mut values, &mut v);
            let v: Vec<f64> = v.iter().map(|&v| v.into()).collect();
            (value.unwrap().into(), v)
        };
        let near = |(a, u): (f64, Vec<f64>), (b, v): (f64, Vec<f64>)| {
            assert!((a - b).abs() < 1e-5, "{count}: {a} {b}");
            for (u, v) in u.iter().zip(&v) {
                assert!((u - v).abs() < 1e-4, "{count}: {u} {v}");
            }
        };
        near(run(&padded, &other, &padded), run(&alone, &other, &padded));
        near(run(&other, &padded, &padded), run(&other, &alone, &padded));
        let mut energy = SinkhornEnergy::half_square(other, real(0.5)).unwrap();
        let mut v = padded.points().clone();
        energy.velocity(&padded, &mut v);
        assert!(v.iter().all(|v| v.is_finite()), "{count}");
    }
}

#[test]
fn blocks_without_mass() {
    blocks_of_zeros::<f64>();
    blocks_of_zeros::<f32>();
}

/// Far clouds, at small temperatures: F is half the squared distance of the means, plus at most the
/// variances, and the reported error contains that of the potentials divided by epsilon.
#[test]
fn far_clouds_and_the_error_of_rounding() {
    let [x, y, a, b] = [[0.0, 1.0], [0.0, 0.75], [0.375, 0.625], [0.5, 0.5]];
    for (distance, epsilon) in [(1e2, 1.0), (1e4, 1.0), (1e6, 1e-3), (1e9, 1.0), (1e12, 1.0)] {
        let far = |x: [f64; 2]| x.map(|x| x + distance);
        let mut energy = SinkhornEnergy::half_square(line(&far(y), &b), epsilon).unwrap();
        let mut v = DMatrix::zeros(1, 2);
        let value: f64 = energy.velocity(&line(&x, &a), &mut v);
        let exact = 0.5 * (distance + 0.375 - 0.625_f64).powi(2);
        assert!(
            (value - exact).abs() < 0.5 + 1e-13 * exact,
            "{value:e} {exact:e}"
        );
        for v in v.iter() {
            assert!((v - distance).abs() < 2.0 + 1e-13 * distance, "{v:e}");
        }
        let [f, g, _] = energy.potentials();
        // One unit of rounding of the potentials is a relative error of the plan.
        let size = f[0].abs() + g[0].abs();
        let unit = f64::EPSILON * size / epsilon;
        assert!(energy.marginal_error() >= unit, "{distance:e}: {unit:e}");
        assert!(size < 2.1 * exact + 10.0, "{distance:e}: {size:e}");
    }
}

/// The plans of potentials in `f32`, computed in `f64`, have at most the reported errors; so has
/// that of `OT(mu, mu)` after any number of iterations.
#[test]
fn reported_errors_contain_those_of_rounding() {
    let mut seed = 0;
    for (p, m, n) in [(1, 1, 1), (2, 1, 3), (2, 5, 7), (3, 20, 33)] {
        for epsilon in [1e-4, 1e-3, 1e-2, 0.1, 1.0] {
            for iterations in [1, 2, 3, 5, 1000] {
                seed += 1;
                let single = [cloud(seed, p, m, 0.0), cloud(seed + 999, p, n, 0.0)];
                let single = single.map(|mu| converted::<f32>(&mu));
                let [mu, nu] = single.each_ref().map(|mu| {
                    let weights = mu.weights().iter().map(|&c| c.into());
                    let weights = DVector::from_iterator(mu.len(), weights);
                    EmpiricalMeasure::weighted(mu.points().map(Into::into), weights).unwrap()
                });
                let epsilon = f64::from(epsilon as f32);
                let energy = SinkhornEnergy::half_square(single[1].clone(), epsilon as f32);
                let mut energy = energy.unwrap().accuracy(1e-5, iterations).unwrap();
                energy.value(&single[0]);
                let exact = |x: &[f32]| x.iter().map(|&x| x.into()).collect::<Vec<f64>>();
                let [f, g, p] = energy.potentials().map(exact);
                let cross = marginal_errors([&mu, &nu], [&f, &g], epsilon);
                let own = marginal_errors([&mu, &mu], [&p, &p], epsilon);
                let reported = f64::from(energy.marginal_error());
                let largest = cross[0].max(cross[1]).max(own[0]);
                // The masses in `f32` are not exactly 1.
                let id = (f.len(), g.len(), epsilon, iterations);
                assert!(
                    largest <= reported * 1.001 + 2e-6,
                    "{id:?}: {largest:e} {reported:e}"
                );
            }
        }
    }
}

/// A warm start at a distant measure, or one whose cost overflows, is not used; and the constant by
/// which f and g may differ does not grow.
#[test]
fn warm_starts_after_distant_measures() {
    let target = || line::<f64>(&[1.0, 2.0], &[0.5, 0.5]);
    let mu = line(&[0.0, 1.0], &[0.5, 0.5]);
    for far in [3.0, 100.0, 1e6, 1e200] {
        let mut energy = SinkhornEnergy::half_square(target(), 1e-3)
            .unwrap()
            .warm_started();
        let first = energy.value(&mu);
        assert!((first - 0.5).abs() < 1e-9);
        for _ in 0..3 {
            energy.value(&line(&[far, -far], &[0.5, 0.5]));
            if far == 1e200 {
                assert!(energy.marginal_error().is_infinite());
            }
            let value = energy.value(&mu);
            assert!((value - 0.5).abs() < 1e-9, "{far:e}: {value}");
            assert!(energy.marginal_error() <= 1e-9);
            let largest = energy
                .potentials()
                .map(|x| DVector::from_row_slice(x).amax());
            assert!(largest.iter().all(|&x| x < 3.0), "{far:e}: {largest:?}");
        }
    }
}
