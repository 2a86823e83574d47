//! The bounds of `max |g|` for d = 3 to 6 against exact arithmetic, at any effort and from the cones of
//! an earlier search.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasserflow::optimality::{Bound, Effort, Search};

use super::exact::{Particles, Problem, exact};
use super::parts::{AnyLoss, Sigma};
use super::problems::{descend, directions, samples};
use super::{Tally, energy, measure};

/// A problem whose gradient at the zero measure is `u = -y` for any given numbers y.
fn problem(case: usize, rng: &mut ChaCha8Rng) -> Problem {
    let d = 3 + case % 4;
    let k = [1, 1, 1, 2, 1, 1, 3, 1][case / 4 % 8];
    let n = match case / 32 % 4 {
        0 => 1 + case / 128 % 4,
        1 => 1 + case / 128 % 8,
        2 => 1 + case / 128 % 12,
        // More than one block of lanes, and more than one chunk of them.
        _ => [17, 70, 24, 33][case / 128 % 4],
    };
    let sigma = [
        Sigma::Relu,
        Sigma::Relu,
        Sigma::Leaky(0.25),
        Sigma::Abs,
        Sigma::Leaky(-0.3),
        Sigma::Identity,
    ][rng.random_range(0..6)];
    let kind = rng.random_range(0..22);
    let x = samples(d, n, kind, false, rng);
    let scale = 10.0_f64.powf(rng.random_range(-3.0..3.0));
    let mut y: Vec<f64> = (0..k * n)
        .map(|_| scale * rng.random_range(-1.0..1.0))
        .collect();
    match rng.random_range(0..5) {
        // Coefficients of one sign, and those that cancel.
        0 => y.iter_mut().for_each(|y| *y = y.abs()),
        1 if n > 1 => (0..k).for_each(|l| {
            y[(n - 1) * k + l] = -(0..n - 1).map(|j| y[j * k + l]).sum::<f64>();
        }),
        2 => y.iter_mut().for_each(|y| *y = (*y / scale * 4.0).round()),
        _ => {}
    }
    Problem {
        d,
        k,
        x,
        y,
        weights: vec![1.0; n],
        sigma,
        loss: Some(AnyLoss::Square),
        lambda: 0.0,
    }
}

/// Directions near b: small changes, and points on the kinks of samples.
fn neighbours(problem: &Problem, b: &[f64], rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let mut found = vec![b.to_vec()];
    for x in problem.x.chunks_exact(problem.d).take(4) {
        let largest = x.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
        let x: Vec<f64> = x.iter().map(|x| x / largest).collect();
        let square: f64 = x.iter().map(|x| x * x).sum();
        let s = x.iter().zip(b).map(|(x, b)| x * b).sum::<f64>() / square;
        if s.is_finite() {
            found.push(b.iter().zip(&x).map(|(b, x)| b - s * x).collect());
        }
    }
    for exponent in [-9.0, -5.0, -2.0, -1.0] {
        let size = 10.0_f64.powf(exponent);
        found.push(
            b.iter()
                .map(|b| b + size * rng.random_range(-1.0..1.0))
                .collect(),
        );
    }
    found
}

/// The number of bounds that met up to the tolerance, beside the tally.
fn run(cases: std::ops::Range<usize>) -> (Tally, usize) {
    let (mut tally, mut tight) = (Tally::default(), 0);
    let mut search = Search::new();
    for case in cases {
        let rng = &mut ChaCha8Rng::seed_from_u64(1_000_000 + case as u64);
        let mut problem = problem(case, rng);
        let directions = directions(&problem, rng);
        let mut zero = Particles::default();
        zero.push(vec![0.0; problem.k + problem.d], 1.0);
        let h = vec![0.0; problem.y.len()];
        tally.problems += 1;
        // Two similar problems, from the cones of an earlier one and of one another.
        for change in [0.0, 1e-3] {
            let tolerance = [0.0, 1e-6, 0.1][rng.random_range(0..3)];
            let cells = [0, 40, 400, 400, 1200][rng.random_range(0..5)];
            search = search.with_effort(Effort::new(tolerance, cells).unwrap());
            for y in &mut problem.y {
                *y *= 1.0 + change * rng.random_range(-1.0..1.0);
            }
            let mut energy = energy::<f64>(&problem);
            let mu = measure(&problem, &zero);
            let certificate = search.certify(&mut *energy, &mu);
            tight += usize::from(certificate.bound() == Some(Bound::Exact));
            let mut bs = directions.clone();
            if let Some(w) = certificate.escape() {
                let b = &w[problem.k..];
                bs.extend(neighbours(&problem, b, rng));
                let u: Vec<f64> = problem.y.iter().map(|y| -y).collect();
                let (square, length) = problem.squared_gradient(&u, b);
                let (lower, _) = certificate.maximum_bounds().unwrap();
                assert!(
                    square >= exact(lower) * exact(lower) * length,
                    "|g| below {lower:e} at {b:?}: {problem:?}"
                );
            }
            tally.check_maximum(&problem, &certificate, &h, &bs);
            if case % 8 == 0 {
                // The gap, for a decay of the order of the maximum.
                let (lower, _) = certificate.maximum_bounds().unwrap();
                problem.lambda = lower * 10.0_f64.powf(rng.random_range(-2.0..0.0));
                let rivals = [descend(&problem, &directions, 2)];
                let certificate = search.certify(&mut *super::energy::<f64>(&problem), &mu);
                tally.check(&problem, &zero, &certificate, &rivals);
                problem.lambda = 0.0;
            }
        }
    }
    (tally, tight)
}

fn run_all(cases: usize) -> (Tally, usize) {
    let half = cases / 2;
    let threads = [0..half, half..cases].map(|cases| std::thread::spawn(move || run(cases)));
    let mut total = (Tally::default(), 0);
    for thread in threads {
        let (tally, tight) = thread.join().expect("no violation");
        total.0.problems += tally.problems;
        total.0.measures += tally.measures;
        total.0.rivals += tally.rivals;
        total.0.gradients += tally.gradients;
        total.1 += tight;
    }
    println!("{total:?}, 0 violations");
    total
}

#[test]
fn no_direction_is_above_the_bound_of_cones() {
    let (tally, tight) = run_all(1536);
    assert!(
        tally.problems >= 1536 && tally.gradients >= 100_000,
        "{tally:?}"
    );
    assert!(2 * tight >= tally.problems, "{tight} of {tally:?}");
}

#[test]
#[ignore = "the large run: minutes"]
fn no_direction_is_above_the_bound_of_cones_in_the_large_run() {
    let (tally, tight) = run_all(12_288);
    assert!(
        tally.problems >= 12_288 && tally.gradients >= 200_000,
        "{tally:?}"
    );
    assert!(2 * tight >= tally.problems, "{tight} of {tally:?}");
}
