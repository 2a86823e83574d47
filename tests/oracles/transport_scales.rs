//! Transport at all scales of coordinates, masses and exponents: the distance is right and the gap
//! is a bound.

use nalgebra::{DMatrix, DVector};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasserflow::prelude::*;
use wasserflow::transport::{self, Coupling};

type Measure = EmpiricalMeasure<f64>;

fn uniform(dim: usize, points: &[f64]) -> Measure {
    Measure::uniform(DMatrix::from_column_slice(dim, points.len() / dim, points)).unwrap()
}

fn weighted(dim: usize, points: &[f64], weights: &[f64]) -> Measure {
    let points = DMatrix::from_column_slice(dim, weights.len(), points);
    Measure::weighted(points, DVector::from_column_slice(weights)).unwrap()
}

fn assert_close(found: f64, right: f64, tolerance: f64) {
    assert!(
        (found - right).abs() <= tolerance * right,
        "{found} instead of {right}"
    );
}

/// `cost - gap <= W_p^p <= cost (1 + 1e-12)` with the known value.
fn assert_bounds(coupling: &Coupling<f64>, right: f64) {
    let (cost, gap) = (coupling.cost(), coupling.gap());
    assert!(cost - gap <= right, "{cost} - {gap} > {right}");
    assert!(right <= cost * (1.0 + 1e-12), "{right} > {cost}");
}

/// Translation by `(3 s, 4 s)` costs `5 s` for every p and every scale s.
#[test]
fn a_translation_at_all_scales_and_exponents() {
    let cloud = [0.0, 0.0, 1.0, 2.0, 4.0, 1.0, 2.0, 7.0];
    for scale in [1e-310, 1e-165, 1e-23, 1.0, 1e20, 1e155, 1e300] {
        for p in [1.0, 1.5, 2.0, 3.0, 40.0, 100.0, 182.0, 1000.0] {
            let scaled = |z: &f64| scale * z;
            let x: Vec<f64> = cloud.iter().map(scaled).collect();
            let moved = cloud
                .iter()
                .enumerate()
                .map(|(k, z)| z + if k % 2 == 0 { 3.0 } else { 4.0 });
            let y: Vec<f64> = moved.map(|z| scale * z).collect();
            let coupling = transport::wp(&uniform(2, &x), &uniform(2, &y), p).unwrap();
            // Coordinates of size 1e-310 are multiples of 5e-324, so that they have 13 digits.
            let tolerance = if scale < 1e-300 { 1e-12 } else { 1e-14 };
            assert_close(coupling.distance(), 5.0 * scale, tolerance);
            assert!(coupling.gap() >= 0.0, "scale {scale}, p {p}");
            if coupling.cost().is_infinite() {
                assert_eq!(coupling.gap(), f64::INFINITY);
            }
        }
    }
}

/// In f32 the distance is representable where the cost 25e40 or 25e-46 is not.
#[test]
fn single_precision_beyond_the_range_of_squares() {
    for scale in [1e-23_f32, 1e20] {
        let point = |x: f32, y: f32| {
            let points = DMatrix::from_column_slice(2, 1, &[x * scale, y * scale]);
            EmpiricalMeasure::uniform(points).unwrap()
        };
        let coupling = transport::w2(&point(1.0, 1.0), &point(4.0, 5.0)).unwrap();
        assert!((coupling.distance() / (5.0 * scale) - 1.0).abs() <= 4.0 * f32::EPSILON);
    }
}

/// `(sum_i x_i^p / 4)^(1/p)` with x = 1, 2, 3, 54: the last one dominates.
#[test]
fn large_exponents_on_the_line() {
    let (mu, nu) = (uniform(1, &[1.0, 2.0, 3.0, 54.0]), uniform(1, &[0.0; 4]));
    for p in [40.0, 100.0, 182.0, 1000.0, 1e4] {
        let coupling = transport::wp(&mu, &nu, p).unwrap();
        assert_close(coupling.distance(), 54.0 * 0.25_f64.powf(1.0 / p), 1e-14);
    }
    // A distance of .4 to the power 900 underflows.
    let coupling = transport::wp(&uniform(1, &[0.0]), &uniform(1, &[0.4]), 900.0).unwrap();
    assert_close(coupling.distance(), 0.4, 1e-14);
}

/// With p = 1000, distances below half of the diameter have costs below 1e-301 of the largest.
#[test]
fn a_large_exponent_in_a_large_cloud() {
    let points: Vec<f64> = (0..40).flat_map(|k| [f64::from(k), 0.0]).collect();
    let moved: Vec<f64> = (0..40)
        .flat_map(|k| [f64::from(k), 1.0 + f64::from(k) * 1e-3])
        .collect();
    let coupling = transport::wp(&uniform(2, &points), &uniform(2, &moved), 1000.0).unwrap();
    let costs = (0..40).map(|k| (1.0 + f64::from(k) * 1e-3).powf(1000.0) / 40.0);
    let right = costs.sum::<f64>().powf(1e-3);
    assert_close(coupling.distance(), right, 1e-12);
}

/// A mass of 1e-20 moves from 1e12 to the other atom of nu, and as much from 0 to -1e12: the
/// quantum of mass is below 1e-20.
#[test]
fn a_small_mass_that_moves_far() {
    let mu = weighted(2, &[0.0, 0.0, 1e12, 0.0], &[1.0, 1e-20]);
    let nu = weighted(2, &[0.5, 0.0, -1e12, 0.0], &[1.0, 1e-20]);
    let coupling = transport::w2(&mu, &nu).unwrap();
    // 1/4 + 2 1e-20 (1e12)^2, up to 1e-8. Directly it would be twice the second term.
    assert_close(coupling.cost(), 0.25 + 2e4, 1e-10);
    assert_bounds(&coupling, 0.25 + 2e4);
}

/// The same far atom in both measures does not move; the others are those of the near problem.
#[test]
fn a_far_atom_does_not_spoil_the_others() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for n in [40, 200] {
        let mut cloud = || {
            (0..2 * n)
                .map(|_| rng.random_range(-1.0..1.0))
                .collect::<Vec<f64>>()
        };
        let (x, y) = (cloud(), cloud());
        let weights: Vec<f64> = (0..n).map(|k| f64::from(1 + k % 5)).collect();
        for equal in [true, false] {
            let measure = |points: &[f64], weights: &[f64]| match equal {
                true => weighted(2, points, &vec![1.0; weights.len()]),
                false => weighted(2, points, weights),
            };
            let near = transport::w2(&measure(&x, &weights), &measure(&y, &weights)).unwrap();
            for far in [1e6, 1e7, 1e8] {
                let with = |points: &[f64]| {
                    let weights = [&weights[..], &[2.0]].concat();
                    measure(&[points, &[far, far]].concat(), &weights)
                };
                let coupling = transport::w2(&with(&x), &with(&y)).unwrap();
                assert_close(coupling.cost(), near.cost(), 1e-9);
                assert_bounds(&coupling, near.cost() * (1.0 + 1e-12));
            }
        }
    }
}

/// Integer points with large p, against the assignment of largest distances.
#[test]
fn large_exponents_of_weighted_integer_points() {
    // Unit weights 4 against 2 + 2 at the same points, of which one mass 1 moves by (1, 1).
    let mu = weighted(2, &[0.0, 0.0, 9.0, 9.0], &[3.0, 1.0]);
    let nu = weighted(2, &[0.0, 0.0, 1.0, 1.0, 9.0, 9.0], &[2.0, 1.0, 1.0]);
    for p in [1.0, 3.0, 40.0, 100.0, 182.0, 1000.0] {
        let coupling = transport::wp(&mu, &nu, p).unwrap();
        assert_close(coupling.distance(), 2.0_f64.sqrt(), 1e-12);
    }
}

/// `update` equals a cold start from any coupling: shrunk, grown, translated, collapsed and
/// permuted clouds, other weights and sizes.
#[test]
fn updates_from_unrelated_problems() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut problems: Vec<(Measure, Measure)> = Vec::new();
    for equal in [true, false] {
        for n in [4, 30] {
            let mut cloud = |side: i32| {
                let points: Vec<f64> = (0..2 * n)
                    .map(|_| f64::from(rng.random_range(-9..10)))
                    .collect();
                let weights: Vec<f64> = (0..n)
                    .map(|k| f64::from(1 + (k as i32 * side) % 3))
                    .collect();
                match equal {
                    true => weighted(2, &points, &vec![1.0; n]),
                    false => weighted(2, &points, &weights),
                }
            };
            let (mu, nu) = (cloud(1), cloud(2));
            if mu.mass() != nu.mass() {
                continue;
            }
            for scale in [1.0, 0.1, 1e-7, 1e7, 1e-160, 0.0] {
                for offset in [0.0, 1e3, -1e8] {
                    let map = |measure: &Measure| {
                        let mut measure = measure.clone();
                        measure
                            .points_mut()
                            .iter_mut()
                            .for_each(|z| *z = scale * (*z + offset));
                        measure
                    };
                    problems.push((map(&mu), map(&nu)));
                }
            }
        }
    }
    for p in [1.0, 2.0, 3.0] {
        for (mu, nu) in &problems {
            let near = transport::wp(mu, nu, p).unwrap();
            for (mu, nu) in &problems {
                let cold = transport::wp(mu, nu, p).unwrap();
                let warm = near.update(mu, nu).unwrap();
                assert!((warm.distance() - cold.distance()).abs() <= 1e-11 * cold.distance());
                assert!(warm.cost() - warm.gap() <= cold.cost());
            }
        }
    }
}

/// Weights that are equal up to rounding are an assignment problem, whose plan has one entry for
/// each atom.
#[test]
fn weights_that_are_equal_up_to_rounding() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut cloud = || {
        (0..400)
            .map(|_| rng.random_range(-1.0..1.0))
            .collect::<Vec<f64>>()
    };
    let (x, y) = (cloud(), cloud());
    let weights: Vec<f64> = (0..200)
        .map(|k| {
            if k % 2 == 0 {
                0.005
            } else {
                0.005_f64.next_up()
            }
        })
        .collect();
    let coupling = transport::w2(&weighted(2, &x, &weights), &uniform(2, &y)).unwrap();
    assert_eq!(coupling.plan().len(), 200);
    let right = transport::w2(&uniform(2, &x), &uniform(2, &y)).unwrap();
    assert_close(coupling.cost(), right.cost(), 1e-14);
    assert!(coupling.gap() <= 1e-12 * coupling.cost());
}

/// An assignment that has one column for each row, but not a permutation, does not start `update`.
#[test]
fn an_update_from_a_plan_without_permutation() {
    let mu = uniform(2, &[0.0, 0.0, 1.0, 0.0]);
    let points = [0.0, 1.0, 1.0, 2.0];
    let near = transport::w2(&mu, &weighted(2, &points, &[1.0, 0.0])).unwrap();
    let coupling = near.update(&mu, &uniform(2, &points)).unwrap();
    assert_eq!(coupling.cost(), 2.5); // (1 + 4) / 2
}
