//! Bounds by relaxations, the search for the maximum, and the limits of the effort.

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::optimality::{Bound, Effort, Search, certify};
use wasserflow::prelude::*;
use wasserflow::sparse::FrankWolfe;

use super::common::{form, matrix, measure, network, residuals};

/// A search that bounds the maximum by relaxations only.
fn relaxed() -> Search {
    Search::new().with_effort(Effort::new(1e-9, 0).unwrap())
}

#[test]
fn relaxations_enclose_the_maximum_of_branch_and_bound() {
    let rng = &mut ChaCha8Rng::seed_from_u64(61);
    for d in [3, 4, 5] {
        for k in [1, 2, 3] {
            for n in [3, 20] {
                let (x, y) = (matrix(d, n, rng), matrix(k, n, rng));
                let mu = measure(k + d, 4, rng);
                let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.01);
                let exact = certify(&mut energy, &mu);
                // Several outputs need more cells than the default effort has.
                assert!(k > 1 || exact.bound() == Some(Bound::Exact));
                let certificate = relaxed().certify(&mut energy, &mu);
                let (lowest, highest) = exact.maximum_bounds().unwrap();
                let (lower, upper) = certificate.maximum_bounds().unwrap();
                assert!(upper >= lowest && lower <= highest, "{d} {k} {n}");
                assert!(
                    lower >= lowest * (1.0 - 1e-9),
                    "the search missed the maximum: {d} {k} {n}: {lower} {lowest}"
                );
                // At least as good as the bound by the sizes of the terms, for one output of one
                // sign.
                let u = residuals(&Relu, &mu, &x, &y);
                let sizes = |sign: f64| -> f64 {
                    let terms = (0..n).filter(|&j| k > 1 || sign * u[(0, j)] > 0.0);
                    terms.map(|j| u.column(j).norm() * x.column(j).norm()).sum()
                };
                let size = f64::max(sizes(1.0), sizes(-1.0));
                assert!(upper <= size * (1.0 + 1e-9), "{upper} {size}");
                assert!(certificate.gap() >= certificate.optimistic_gap());
            }
        }
    }
}

/// `g(b) = a.b` and `g(b) = sum_j u_j |b.e_j|`, with known maxima.
#[test]
fn relaxations_of_linear_and_separable_forms_are_tight() {
    for d in [7, 12] {
        // Identity: the norm of sum_j u_j x_j.
        let rng = &mut ChaCha8Rng::seed_from_u64(d as u64);
        let (x, y) = (matrix(d, 9, rng), matrix(1, 9, rng));
        let zero = EmpiricalMeasure::uniform(DMatrix::zeros(1 + d, 1)).unwrap();
        let mut energy = network::<_, _, f64>(Identity, Square, &x, &y, 1e-3);
        let certificate = certify(&mut energy, &zero);
        let exact = (&x * y.transpose()).norm() / 9.0;
        let (lower, upper) = certificate.maximum_bounds().unwrap();
        assert!(lower <= exact * (1.0 + 1e-12) && exact * (1.0 - 1e-12) <= upper);
        assert!(upper <= exact * (1.0 + 1e-3) && lower >= exact * (1.0 - 1e-9));
        // Abs on an orthonormal basis with c_j > 0: the norm of c.
        let x = DMatrix::identity(d, d);
        let y = DMatrix::from_fn(1, d, |_, j| -1.0 - j as f64);
        let mut energy = network::<_, _, f64>(Abs, Square, &x, &y, 1e-3);
        let certificate = certify(&mut energy, &zero);
        let exact = y.norm() / d as f64;
        let (lower, upper) = certificate.maximum_bounds().unwrap();
        assert!(lower >= exact * (1.0 - 1e-9) && lower <= exact * (1.0 + 1e-12));
        assert!(upper >= exact * (1.0 - 1e-12) && upper <= exact * (1.0 + 1e-3));
    }
}

/// After conditional gradients that stop when their search returns no better atom, the maximum of
/// branch and bound may be larger.
#[test]
fn the_search_reaches_the_maximum_near_an_optimum() {
    let (mut found, mut total) = (0, 0);
    for (d, n) in [(4, 40), (4, 80), (5, 30), (5, 50)] {
        for seed in 0..2 {
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            let (x, y) = (matrix(d, n, rng), matrix(1, n, rng));
            let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 1e-2);
            let mut mu = EmpiricalMeasure::uniform(DMatrix::zeros(1 + d, 1)).unwrap();
            let search = &mut relaxed();
            let run = FrankWolfe::Sliding.run_with(search, &mut energy, &mut mu, 1e-9, 60);
            let (_, certificate) = run.unwrap();
            let (lower, _) = certificate.maximum_bounds().unwrap();
            let exact = certify(&mut energy, &mu);
            let (lowest, _) = exact.maximum_bounds().unwrap();
            println!("d = {d}, n = {n}: {lower:.9}, branch and bound {lowest:.9}");
            total += 1;
            found += usize::from(lower >= lowest * (1.0 - 1e-9));
        }
    }
    assert_eq!(found, total);
}

#[test]
fn a_search_reuses_its_memory_with_valid_bounds() {
    let rng = &mut ChaCha8Rng::seed_from_u64(62);
    for (d, k) in [(8, 1), (9, 2)] {
        let (x, y) = (matrix(d, 40, rng), matrix(k, 40, rng));
        let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.02);
        let mut flow = ParticleFlow::new(&mut energy, Euler, 0.2).unwrap();
        let mut state = flow
            .start(EmpiricalMeasure::uniform(0.3 * matrix(k + d, 20, rng)).unwrap())
            .unwrap();
        let mut search = Search::new();
        for _ in 0..6 {
            flow.run(&mut state, 50, &mut ()).unwrap();
            let warm = search.certify(flow.energy_mut(), state.measure());
            let cold = certify(flow.energy_mut(), state.measure());
            let ((l, u), (m, v)) = (
                warm.maximum_bounds().unwrap(),
                cold.maximum_bounds().unwrap(),
            );
            assert!(l <= v && m <= u);
            assert!((u - v).abs() <= 0.01 * v, "{d} {k}: {u} {v}");
            assert!(l >= m * (1.0 - 1e-9), "{d} {k}: {l} {m}");
            // Another energy leaves a memory of other data.
            let (x, y) = (matrix(d + 1, 7, rng), matrix(k, 7, rng));
            let mut other = network::<_, _, f64>(Relu, Square, &x, &y, 0.02);
            search.certify(&mut other, &measure(k + d + 1, 3, rng));
        }
    }
}

#[test]
fn limits_of_the_effort_leave_valid_bounds() {
    let rng = &mut ChaCha8Rng::seed_from_u64(63);
    for d in [3, 5, 9] {
        let (x, y) = (matrix(d, 60, rng), matrix(1, 60, rng));
        let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.01);
        let mu = measure(1 + d, 4, rng);
        let u = residuals(&Relu, &mu, &x, &y);
        let efforts = [
            Effort::new(0.0, 1).unwrap(),
            Effort::new(0.5, 1 << 16).unwrap(),
            Effort::default().with_time_limit(Duration::ZERO),
        ];
        for effort in efforts {
            let start = Instant::now();
            let certificate = Search::new().with_effort(effort).certify(&mut energy, &mu);
            let (lower, upper) = certificate.maximum_bounds().unwrap();
            assert!(start.elapsed() < Duration::from_secs(10));
            assert!(lower <= upper);
            if effort.time_limit().is_none() && effort.cells() > 1 && d < 7 {
                assert!(upper <= 1.5 * lower * (1.0 + 1e-9), "{lower} {upper}");
                assert_eq!(certificate.bound(), Some(Bound::Exact));
            }
            for _ in 0..500 {
                let b = DVector::from_column_slice(matrix(d, 1, rng).as_slice()).normalize();
                assert!(form(&Relu, &u, &x, &b) <= upper * (1.0 + 1e-12));
            }
        }
        // A target that cannot be proved: bounds of little cost, and the same direction.
        let full = certify(&mut energy, &mu);
        let mut search = Search::new().with_target(0.0).unwrap();
        let cheap = search.certify(&mut energy, &mu);
        assert!(cheap.escape().is_some() && full.gap() <= cheap.gap());
        assert!(cheap.maximum_bounds().unwrap().1 >= full.maximum_bounds().unwrap().0);
    }
}
