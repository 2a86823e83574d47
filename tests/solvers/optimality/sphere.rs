//! The maximum over the sphere, and the limits of certification.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::optimality::{Bound, Certifiable, Effort, Search, certify};
use wasserflow::prelude::*;
use wasserflow::sparse::insert;

use super::common::{form, matrix, measure, network, residuals};

/// The maximum of the certificate against dense sampling of the sphere, whose error is bounded by
/// the spacing.
fn brute_force<A>(sigma: A, d: usize, k: usize, n: usize, rng: &mut ChaCha8Rng)
where
    A: Activation<f64> + Homogeneous + Copy,
{
    let (x, y) = (matrix(d, n, rng), matrix(k, n, rng));
    let mu = measure(k + d, 4, rng);
    let mut energy = network::<_, _, f64>(sigma, Square, &x, &y, 0.0);
    let certificate = certify(&mut energy, &mu);
    let found = certificate.maximum_bounds().unwrap().1;
    assert_eq!(certificate.bound(), Some(Bound::Exact));
    let u = residuals(&sigma, &mu, &x, &y);
    let size: f64 = (0..n)
        .map(|j| u.column(j).norm() * x.column(j).norm())
        .sum();
    let mut sampled = 0.0_f64;
    let steps = if d == 2 { 20_000 } else { 300 };
    let pi = std::f64::consts::PI;
    for s in 0..steps {
        let t = 2.0 * pi * s as f64 / steps as f64;
        for r in 0..if d == 2 { 1 } else { steps / 2 } {
            let f = pi * (r as f64 + 0.5) / (steps / 2) as f64;
            let b = match d {
                1 => vec![if s % 2 == 0 { 1.0 } else { -1.0 }],
                2 => vec![t.cos(), t.sin()],
                _ => vec![t.cos() * f.sin(), t.sin() * f.sin(), f.cos()],
            };
            sampled = sampled.max(form(&sigma, &u, &x, &DVector::from_vec(b)));
        }
    }
    assert!(
        sampled <= found * (1.0 + 1e-12),
        "sampled {sampled}, found {found}"
    );
    let spacing = if d == 2 { 3e-4 } else { 0.03 };
    assert!(
        found <= sampled + spacing * size,
        "sampled {sampled}, found {found}"
    );
    let b = DVector::from_column_slice(&certificate.escape().unwrap()[k..]);
    assert!(
        (form(&sigma, &u, &x, &b) - found).abs() <= 1e-13 * size,
        "the maximum is attained"
    );
}

#[test]
fn the_maximum_agrees_with_brute_force() {
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    for n in [1, 2, 7, 30] {
        for k in [1, 3] {
            for d in [1, 2, 3] {
                brute_force(Relu, d, k, n, rng);
                brute_force(LeakyRelu(0.3), d, k, n, rng);
                brute_force(Abs, d, k, n, rng);
                brute_force(Identity, d, k, n, rng);
            }
        }
    }
}

#[test]
fn beyond_six_dimensions_the_upper_bound_is_a_relaxation() {
    let rng = &mut ChaCha8Rng::seed_from_u64(8);
    let (x, y) = (matrix(7, 20, rng), matrix(1, 20, rng));
    let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.001);
    let mu = measure(8, 4, rng);
    let certificate = certify(&mut energy, &mu);
    assert_eq!(certificate.bound(), Some(Bound::Relaxed));
    // The proved bound is F* >= 0, or little better.
    let value = energy.value(&mu);
    assert!(certificate.gap() <= value * (1.0 + 1e-12) && certificate.gap() > 0.9 * value);
    assert!(certificate.optimistic_gap() <= certificate.gap());
    // No random direction and no direction of a sample is better than the result.
    let u = residuals(&Relu, &mu, &x, &y);
    let found = certificate.maximum_bounds().unwrap().0;
    for i in 0..2000 {
        let b = if i < 20 {
            x.column(i).into_owned()
        } else {
            matrix(7, 1, rng).column(0).into_owned()
        };
        assert!(form(&Relu, &u, &x, &b.normalize()) <= found * (1.0 + 1e-12));
    }
    assert_eq!(certificate.escape().unwrap().len(), 8);
}

/// A convex loss without a conjugate.
#[derive(Clone, Copy)]
struct Quartic;

impl<T: Real> Loss<T> for Quartic {
    fn value(&self, y: T, h: T) -> T {
        (h - y).powi(4)
    }
    fn derivative(&self, y: T, h: T) -> T {
        (h - y).powi(3) * real(4.0)
    }
}

#[test]
fn without_a_conjugate_the_escape_direction_remains() {
    let rng = &mut ChaCha8Rng::seed_from_u64(9);
    let (x, y) = (matrix(2, 9, rng), matrix(1, 9, rng));
    let mut energy = network::<_, _, f64>(Relu, Quartic, &x, &y, 1e-4);
    let mu = measure(3, 3, rng);
    let certificate = certify(&mut energy, &mu);
    assert_eq!(certificate.gap(), f64::INFINITY);
    assert_eq!(certificate.bound(), Some(Bound::Exact));
    let inserted = insert(&mut energy, &mu, certificate.escape().unwrap()).unwrap();
    assert!(energy.value(&inserted) < energy.value(&mu));
}

#[test]
fn a_degree_other_than_one_is_not_certified() {
    let rng = &mut ChaCha8Rng::seed_from_u64(10);
    let (x, y) = (matrix(2, 9, rng), matrix(1, 9, rng));
    let mut energy = network::<_, _, f64>(ReluPower(2), Square, &x, &y, 0.01);
    let mu = measure(3, 3, rng);
    let certificate = certify(&mut energy, &mu);
    assert_eq!(
        (
            certificate.maximum_bounds(),
            certificate.escape(),
            certificate.bound()
        ),
        (None, None, None)
    );
    assert!(
        certificate.gap() >= energy.value(&mu),
        "the only bound is F* >= 0"
    );
}

/// A sum over ranks that all hold the same values.
struct Copies(f64);

impl<T: Real> AllReduce<T> for Copies {
    fn rank(&self) -> usize {
        0
    }
    fn size(&self) -> usize {
        self.0 as usize
    }
    fn sum(&mut self, x: &mut [T]) {
        x.iter_mut().for_each(|x| *x *= real(self.0));
    }
}

#[test]
fn ranks_certify_the_whole_measure() {
    let rng = &mut ChaCha8Rng::seed_from_u64(16);
    for d in [2, 5] {
        let (x, y) = (matrix(d, 10, rng), matrix(1, 10, rng));
        let mu = measure::<f64>(1 + d, 4, rng);
        let mut part = mu.clone();
        part.weights_mut().iter_mut().for_each(|c| *c *= 0.25);
        let mut whole = network::<_, _, f64>(Relu, Square, &x, &y, 0.01);
        let mut ranks = network::<_, _, f64>(Relu, Square, &x, &y, 0.01).distributed(Copies(4.0));
        let (one, all) = (certify(&mut whole, &mu), certify(&mut ranks, &part));
        assert!((one.gap() - all.gap()).abs() < 1e-12, "{one:?} {all:?}");
        assert!((one.maximum_bounds().unwrap().1 - all.maximum_bounds().unwrap().1).abs() < 1e-9);
    }
}

#[test]
fn extreme_scales_and_degenerate_data_are_harmless() {
    let rng = &mut ChaCha8Rng::seed_from_u64(17);
    for d in [1, 2, 3, 4] {
        for scale in [1e-150, 1e150] {
            let (x, y) = (scale * matrix(d, 5, rng), matrix(1, 5, rng));
            let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.01);
            let mut mu = measure(1 + d, 3, rng);
            mu.points_mut().iter_mut().for_each(|w| *w *= 1e-80);
            let (value, certificate) = (energy.value(&mu), certify(&mut energy, &mu));
            assert!(
                certificate.gap() >= 0.0 && certificate.gap() <= value * (1.0 + 1e-10),
                "{certificate:?}"
            );
        }
        // No data but zeros: the zero network is optimal.
        let (x, y) = (DMatrix::zeros(d, 3), matrix(1, 3, rng));
        let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.01);
        let zero = EmpiricalMeasure::uniform(DMatrix::zeros(1 + d, 1)).unwrap();
        let certificate = certify(&mut energy, &zero);
        assert!(
            certificate.gap() < 1e-14 && certificate.escape().is_none(),
            "{certificate:?}"
        );
        // A grid with many collinear points and shared great circles.
        let x = DMatrix::from_fn(d, 40, |r, j| ((j / 3_usize.pow(r as u32)) % 3) as f64 - 1.0);
        let y = matrix(1, 40, rng);
        let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.001);
        let mu = measure(1 + d, 3, rng);
        let u = residuals(&Relu, &mu, &x, &y);
        let found = certify(&mut energy, &mu).maximum_bounds().unwrap().0;
        for _ in 0..2000 {
            let b = matrix(d, 1, rng).column(0).normalize();
            assert!(form(&Relu, &u, &x, &b) <= found * (1.0 + 1e-12));
        }
    }
}

/// `|g|` on the sphere in 3 to 6 dimensions: random data at a random measure.
fn energy_in(d: usize, n: usize, seed: u64) -> (impl Certifiable<f64>, EmpiricalMeasure<f64>) {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let (x, y) = (matrix(d, n, rng), matrix(1, n, rng));
    let energy = network::<_, _, f64>(Relu, Square, &x, &y, 1e-3);
    (energy, measure(1 + d, 6, rng))
}

#[test]
fn cones_are_exact_and_independent_of_the_number_of_threads() {
    for (d, n) in [(3, 60), (4, 60), (5, 30), (6, 20)] {
        let certificates = [1, 2, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let (mut energy, mu) = energy_in(d, n, 40);
            pool.build().unwrap().install(|| certify(&mut energy, &mu))
        });
        assert_eq!(certificates[0].bound(), Some(Bound::Exact));
        assert!(
            certificates.iter().all(|c| *c == certificates[0]),
            "d = {d}"
        );
    }
}

#[test]
fn cones_of_an_earlier_search_give_the_same_bounds() {
    for (d, n) in [(3, 60), (4, 60), (5, 30)] {
        let (mut energy, mu) = energy_in(d, n, 41);
        let mut search = Search::new();
        for step in 0..4 {
            let mut nu = mu.clone();
            nu.points_mut()
                .iter_mut()
                .for_each(|w| *w *= 1.0 + 1e-3 * f64::from(step));
            let [warm, cold] = [search.certify(&mut energy, &nu), certify(&mut energy, &nu)];
            let (bounds, expected) = (
                warm.maximum_bounds().unwrap(),
                cold.maximum_bounds().unwrap(),
            );
            assert_eq!(warm.bound(), Some(Bound::Exact));
            for (found, expected) in [(bounds.0, expected.0), (bounds.1, expected.1)] {
                let error = (found / expected - 1.0).abs();
                assert!(error <= 1e-11, "d = {d}, step {step}: {found} {expected}");
            }
        }
    }
}

#[test]
fn every_effort_gives_a_valid_bound() {
    let (mut energy, mu) = energy_in(5, 60, 42);
    let (lower, upper) = certify(&mut energy, &mu).maximum_bounds().unwrap();
    assert!(upper <= lower * (1.0 + 1e-11));
    let mut last = f64::INFINITY;
    for cells in [16, 64, 256, 1024, 4096] {
        let mut search = Search::new().with_effort(Effort::new(0.0, cells).unwrap());
        let certificate = search.certify(&mut energy, &mu);
        let (found, bound) = certificate.maximum_bounds().unwrap();
        assert!(found <= upper && bound >= lower && bound <= last * (1.0 + 1e-12));
        last = bound;
    }
    for tolerance in [0.3, 1e-2, 1e-4] {
        let mut search = Search::new().with_effort(Effort::new(tolerance, 1 << 16).unwrap());
        let (found, bound) = search.certify(&mut energy, &mu).maximum_bounds().unwrap();
        assert!(
            found <= upper && bound >= lower && bound <= found * (1.0 + tolerance) * (1.0 + 1e-11)
        );
    }
}
