//! The median distance of particles, and bandwidths of kernels by the median heuristic.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::testing::CaseRng;

fn cloud(seed: u64, p: usize, m: usize) -> EmpiricalMeasure<f64> {
    let mut rng = CaseRng::new(seed);
    EmpiricalMeasure::uniform(DMatrix::from_fn(p, m, |_, _| rng.uniform(-1.0, 1.0))).unwrap()
}

/// The median of all distances by sorting, for odd and even numbers of pairs.
#[test]
fn the_median_of_all_pairs() {
    for m in [2, 3, 4, 5, 40] {
        let mu = cloud(m as u64, 3, m);
        let mut distances: Vec<f64> = (0..m)
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .map(|(i, j)| (mu.points().column(i) - mu.points().column(j)).norm())
            .collect();
        distances.sort_by(f64::total_cmp);
        let len = distances.len();
        let exact = 0.5 * (distances[(len - 1) / 2] + distances[len / 2]);
        let found = measure::median_distance(&mu, 7).unwrap();
        assert!((found / exact - 1.0).abs() < 1e-15, "{found}, {exact}");
        assert_eq!(found, measure::median_distance(&mu, 8).unwrap());

        let kernel = Gaussian::median_heuristic(&mu, 0).unwrap();
        assert_eq!(kernel.bandwidth(), found);
        let svgd = Gaussian::median_heuristic_svgd(&mu, 0).unwrap();
        let h = 2.0 * svgd.bandwidth().powi(2);
        let liu_wang = found * found / (m as f64).ln();
        assert!((h / liu_wang - 1.0).abs() < 1e-14, "{h}, {liu_wang}");
        // m K = 1 at the median distance.
        let k = svgd.value(&[0.0; 3], &[found, 0.0, 0.0]);
        assert!((m as f64 * k - 1.0).abs() < 1e-12);
    }
}

/// Of many particles the median of a subset: a function of the seed, close to that of all pairs, which
/// for a uniform law on an interval of length 2 is `2 - 2^(1/2)`.
#[test]
fn the_median_of_a_subset() {
    let mu = cloud(1, 1, 6000);
    let medians: Vec<f64> = (0..8)
        .map(|seed| measure::median_distance(&mu, seed).unwrap())
        .collect();
    assert_eq!(medians[3], measure::median_distance(&mu, 3).unwrap());
    assert!(medians.iter().any(|&median| median != medians[0]));
    let exact = 2.0 - 2.0_f64.sqrt();
    for median in medians {
        assert!((median / exact - 1.0).abs() < 0.04, "{median}, {exact}");
    }
}

/// Particles of weight 0 do not count, and distances beyond the range of squares do.
#[test]
fn weights_and_scales() {
    let points = DMatrix::from_row_slice(1, 4, &[0.0, 1.0, 50.0, 5.0]);
    let weights = DVector::from_vec(vec![1.0, 2.0, 0.0, 1e-9]);
    let mu = EmpiricalMeasure::weighted(points, weights).unwrap();
    assert_eq!(measure::median_distance(&mu, 0).unwrap(), 4.0);
    for scale in [1e-300, 1e-170, 1e170, 1e300] {
        let mu = uniform(&[0.0, 3.0 * scale, -3.0 * scale]);
        let found = measure::median_distance(&mu, 0).unwrap();
        assert!((found / (3.0 * scale) - 1.0).abs() < 1e-15, "{found:e}");
    }
    let single = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 2, &[0.0_f32, 2.5]));
    assert_eq!(measure::median_distance(&single.unwrap(), 0).unwrap(), 2.5);
}

fn uniform(points: &[f64]) -> EmpiricalMeasure<f64> {
    EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, points.len(), points)).unwrap()
}

/// One particle, or half of the pairs at one point: typed errors.
#[test]
fn coincident_points_are_an_error() {
    for points in [&[2.0; 5][..], &[1.0, 1.0, 1.0, 1.0, 9.0]] {
        let error = measure::median_distance(&uniform(points), 0).unwrap_err();
        assert!(
            error.to_string().contains("half of the pairs coincide"),
            "{error}"
        );
        Gaussian::median_heuristic(&uniform(points), 0).unwrap_err();
        Gaussian::median_heuristic_svgd(&uniform(points), 0).unwrap_err();
    }
    let error = measure::median_distance(&uniform(&[1.0]), 0).unwrap_err();
    assert!(error.to_string().contains("at least 2, found 1"), "{error}");
    let tiny = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 2, &[0.0_f64, 1e-200]));
    Gaussian::median_heuristic(&tiny.unwrap(), 0).unwrap_err(); // 1 / s^2 overflows
}
