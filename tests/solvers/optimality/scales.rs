//! Insertion, pruning and merging over the whole range of exponents.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::sparse::{insert, merge, prune, reweigh};

use super::common::{matrix, network};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn particles<T: Real>(p: usize, points: &[f64]) -> EmpiricalMeasure<T> {
    let m = points.len() / p;
    let points = points.iter().map(|&w| real(w)).collect();
    let weights = DVector::from_element(m, T::one());
    EmpiricalMeasure::weighted(DMatrix::from_vec(p, m, points), weights).unwrap()
}

/// Samples -s and 2 s with targets y/2 and y: on the ray `r (1, 1)` with `q = r^2`,
/// `F = (q 2 s - y)^2 / 4 + y^2 / 16 + 2 lambda q`, with the slope `-s y + 2 lambda` at 0.
#[test]
fn insertion_finds_the_scale_of_the_problem() {
    fn run<T: Real>(s: f64, y: f64, tolerance: f64) {
        let (x, targets) = (
            DMatrix::from_row_slice(1, 2, &[-s, 2.0 * s]),
            DMatrix::from_row_slice(1, 2, &[0.5 * y, y]),
        );
        let lambda = s * y / 6.6 / 2.0; // max |g| = s y is 6.6 times 2 lambda
        let mut energy = network::<_, _, T>(Relu, Square, &x, &targets, lambda);
        let zero = particles(2, &[0.0, 0.0]);
        let mu = insert(&mut energy, &zero, &[T::one(), T::one()])
            .unwrap_or_else(|| panic!("scale {s:e}, targets {y:e}: nothing inserted"));
        // 2 s q = y - 2 lambda / s = y (1 - 1 / 6.6).
        let expected = (y / s * (1.0 - 1.0 / 6.6) / 2.0).sqrt();
        let r = mu.particle(1)[0].to_f64().unwrap();
        assert!(
            (r - expected).abs() < tolerance * expected,
            "scale {s:e}, targets {y:e}: {r:e}, not {expected:e}"
        );
        assert!(energy.value(&mu) < energy.value(&zero));
    }
    for s in [1e-300, 1e-150, 1e-20, 1e-8, 1.0, 1e8, 1e20, 1e150] {
        run::<f64>(s, 1.0, 1e-11);
    }
    for s in [1e-20, 1.0, 1e20] {
        run::<f64>(s, 1e-100, 1e-11);
        run::<f64>(s, 1e100, 1e-11);
    }
    for s in [1e-30, 1e-20, 1e-8, 1.0, 1e8, 1e18] {
        run::<f32>(s, 1.0, 1e-4);
    }
}

/// A decrease of 1e-24 beside F = 1/2 is below the rounding error of F, and proved by the slope.
#[test]
fn a_decrease_below_rounding_is_proved_by_the_first_variation() {
    // Two samples at x = 1 with targets 1 + 1e-12 and -1 + 1e-12: F = 1/2, F'(0)(1, 1) = -1e-12.
    let x = DMatrix::from_row_slice(1, 2, &[1.0, 1.0]);
    let y = DMatrix::from_row_slice(1, 2, &[1.0 + 1e-12, -1.0 + 1e-12]);
    let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.0);
    let zero = particles(2, &[0.0, 0.0]);
    let mu = insert(&mut energy, &zero, &[1.0, 1.0]).expect("F'(mu)(w) = -1e-12");
    let h = mu.particle(1)[0] * mu.particle(1)[1];
    assert!((h - 1e-12).abs() < 1e-15, "{h:e}"); // the mean target, up to its rounding error
    // In the other direction F increases, and at the minimum the slope is rounding error.
    assert_eq!(insert(&mut energy, &zero, &[-1.0, 1.0]), None);
    let exact = DMatrix::from_row_slice(1, 2, &[0.1, 0.2]);
    let mut energy = network::<_, _, f64>(Relu, Square, &x, &exact, 0.0);
    let best = reweigh(&mut energy, &particles(2, &[1.0, 1.0])).unwrap();
    assert_eq!(insert(&mut energy, &best, &[1.0, 1.0]), None);
}

/// An energy without the first variation: the radial derivative of F decides.
#[test]
fn insertion_by_velocities() {
    struct Plain<E>(E);
    impl<E: Energy<f64>> Energy<f64> for Plain<E> {
        fn particle_dim(&self) -> usize {
            self.0.particle_dim()
        }
        fn value(&mut self, mu: &EmpiricalMeasure<f64>) -> f64 {
            self.0.value(mu)
        }
        fn velocity(&mut self, mu: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
            self.0.velocity(mu, out)
        }
    }
    let (x, y) = (
        DMatrix::from_element(1, 1, 1e-9),
        DMatrix::from_element(1, 1, 3.0),
    );
    let mut energy = Plain(network::<_, _, f64>(Relu, Square, &x, &y, 0.0));
    let mu = insert(&mut energy, &particles(2, &[0.0, 0.0]), &[1.0, 1.0]).unwrap();
    assert!(energy.value(&mu) < 1e-20);
}

/// Neurons `s a (b.x / s)_+` compute the same function for every s.
#[test]
fn pruning_and_merging_keep_h_at_every_scale() {
    fn run<T: Real>(largest: i32, tolerance: f64) {
        let rng = &mut ChaCha8Rng::seed_from_u64(45);
        for _ in 0..200 {
            let (d, k) = (2, rng.random_range(1..=2));
            let p = k + d;
            let directions = matrix(p, 3, rng);
            let mut points = Vec::new();
            for i in 0..6 {
                // Two neurons of each direction of b, of outputs of size 1.
                let s = f64::powi(2.0, rng.random_range(-largest..=largest));
                let (a, b) = (directions.column(i % 3), directions.column(i % 3));
                let factor = 1.0 + i as f64;
                points.extend(a.rows(0, k).iter().map(|a| factor * a * s));
                points.extend(b.rows(k, d).iter().map(|b| b / s));
            }
            // Without effect: no output, no input, and a share of eps^2.
            let none = vec![0.0; p];
            points.extend(
                none.iter()
                    .enumerate()
                    .map(|(i, _)| f64::from(u8::from(i < k))),
            );
            points.extend(
                none.iter()
                    .enumerate()
                    .map(|(i, _)| f64::from(u8::from(i >= k))),
            );
            let eps = T::default_epsilon().to_f64().unwrap();
            points.extend(directions.column(0).iter().map(|w| w * eps));
            let mu = particles::<T>(p, &points);
            let phi = Ridge::with_outputs(Relu, d, k);
            let pruned = prune(&phi, &mu);
            assert_eq!(pruned.len(), 6);
            let merged = merge(&phi, &pruned, T::zero());
            assert_eq!(merged.len(), 3);
            let x = Inputs::new(matrix(d, 5, rng).map(|x| real::<T>(x))).unwrap();
            let h = |mu| predict(&phi, mu, &x).unwrap();
            let (before, after) = (h(&mu), h(&merged));
            // The terms of h are of size 6 * 6 * |a| |b| |x| <= 200.
            let error = (before - after).amax().to_f64().unwrap();
            assert!(error < 200.0 * tolerance, "{error:e}");
            // Balanced neurons of size |a| |b|.
            let scale = real::<T>(200.0);
            assert!(merged.points().iter().all(|w| w.abs() < scale));
        }
    }
    run::<f64>(900, 1e-15);
    run::<f32>(100, 1e-6);
}

#[test]
fn neurons_of_extreme_scales_are_kept() {
    let phi = Ridge::new(Relu, 1);
    assert_eq!(prune(&phi, &particles::<f32>(2, &[1e-23, 1e23])).len(), 1);
    for points in [
        vec![1e-170, 1e170],
        vec![1e-300, 1e300],
        vec![1e155, 1e-150, 1.0, -1.0],
        vec![1e300, 1e300, 1e300, -1e300],
        vec![1e-300, 1e-300, 1e-300, -1e-300],
        vec![f64::MAX, f64::MAX, -f64::MAX, -f64::MAX],
        vec![5e-324, 5e-324],
    ] {
        let mu = particles::<f64>(2, &points);
        let share = points[0].abs().log2() + points[1].abs().log2();
        let nu = prune(&phi, &mu);
        assert_eq!(nu, mu, "{points:?}, log2 share {share}");
        assert_eq!(merge(&phi, &nu, 0.0), mu, "{points:?}");
    }
    // 1e-20 (1e20 x)_+ twice is 2 (x)_+; 1e155 1e-150 and 3e-150 1e155 are 4e5 (x)_+.
    for (points, product) in [
        ([1e-170, 1e170, 1e-170, 1e170], 2.0),
        ([1e155, 1e-150, 3e-150, 1e155], 4e5),
        ([1e-200, 1e190, 1e-200, 1e190], 2e-10),
    ] {
        let one = merge(&phi, &particles::<f64>(2, &points), 0.0);
        assert_eq!((one.len(), one.weight(0)), (1, 2.0));
        let (a, b) = (one.particle(0)[0], one.particle(0)[1]);
        assert!((2.0 * a * b - product).abs() < 1e-14 * product);
        assert!((a - b).abs() < 1e-14 * a, "balanced: {a} {b}");
    }
    // A merged neuron below the normal range would not be accurate: h at x = 1e250 is 2e-150.
    let tiny = particles::<f64>(2, &[1e-200, 1e-200, 1e-200, 1e-200]);
    assert_eq!(merge(&phi, &tiny, 0.0).len(), 1);
    let tiniest = particles::<f64>(2, &[1e-320, 1e-300, 1e-320, 1e-300]);
    assert_eq!(merge(&phi, &tiniest, 0.0).len(), 2);
}

/// Weight decay after a merge, relative to the bound of the documentation.
#[test]
fn weight_decay_after_merging() {
    let rng = &mut ChaCha8Rng::seed_from_u64(46);
    let mut largest = 0.0_f64;
    for _ in 0..2000 {
        let m = rng.random_range(2..=5);
        let (mut points, mut weights) = (Vec::new(), Vec::new());
        for _ in 0..m {
            points.extend([rng.random_range(-2.0..2.0), rng.random_range(0.01..2.0)]);
            weights.push(rng.random_range(0.1..2.0));
        }
        let points = DMatrix::from_vec(2, m, points);
        let mu = EmpiricalMeasure::weighted(points, DVector::from_vec(weights)).unwrap();
        let (mass, before) = (mu.mass(), mu.second_moment());
        let least = mu.weights().iter().fold(f64::INFINITY, |c, &d| c.min(d));
        let after = |degree: u32| match degree {
            1 => merge(&Ridge::new(Relu, 1), &mu, 0.0),
            _ => merge(&Ridge::new(ReluPower(degree), 1), &mu, 0.0),
        };
        for r in [1, 2, 3] {
            let merged = after(r);
            assert_eq!(merged.len(), 1);
            assert!((merged.mass() - mass).abs() < 1e-14 * mass);
            let bound = (mass / least).powf(f64::from(r - 1) / f64::from(r + 1));
            let ratio = merged.second_moment() / before;
            assert!(
                ratio <= bound * (1.0 + 1e-14),
                "degree {r}: {ratio} {bound}"
            );
            largest = largest.max(ratio);
        }
    }
    assert!(
        largest > 1.1,
        "degrees above 1 may raise weight decay: {largest}"
    );
}
