//! Adversarial problems, and measures of low energy that a false bound would contradict.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use wasserflow::activation::Activation;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::optimality::DualRisk;
use wasserflow::prelude::*;

use super::exact::{Particles, Problem};
use super::parts::{AnyLoss, Sigma};

fn power_of_ten(range: std::ops::Range<f64>, rng: &mut ChaCha8Rng) -> f64 {
    10.0_f64.powf(rng.random_range(range))
}

fn entry(rng: &mut ChaCha8Rng) -> f64 {
    rng.random_range(-1.0..1.0)
}

/// Samples by kind: general, ties, near duplicates, antipodes, origins, collinear, a grid, scales.
pub fn samples(d: usize, n: usize, case: usize, single: bool, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut x: Vec<f64> = (0..d * n).map(|_| entry(rng)).collect();
    let sizes = if single { -8.0..8.0 } else { -60.0..60.0 };
    let far = if single { -18.0..18.0 } else { -300.0..300.0 };
    let distance = power_of_ten(-16.0..-2.0, rng);
    match case % 11 {
        1 => (d..d * n).for_each(|i| x[i] = x[i - d]),
        2 => (d..d * n).for_each(|i| x[i] = x[i % d] + distance * entry(rng)),
        3 => (d..d * n).for_each(|i| x[i] = if rng.random() { x[i - d] } else { -x[i - d] }),
        4 => x[..d * n.div_ceil(2)].fill(0.0),
        5 => {
            for j in 1..n {
                let s = entry(rng) * power_of_ten(-3.0..3.0, rng);
                (0..d).for_each(|r| x[j * d + r] = s * x[r]);
            }
        }
        6 => x.iter_mut().for_each(|x| *x = (2.0 * *x).round()),
        7 => {
            let s = power_of_ten(far, rng);
            x.iter_mut().for_each(|x| *x *= s);
        }
        8 => {
            for x in x.chunks_exact_mut(d) {
                let s = power_of_ten(sizes.clone(), rng);
                x.iter_mut().for_each(|x| *x *= s);
            }
        }
        9 => x
            .iter_mut()
            .for_each(|x| *x *= power_of_ten(sizes.clone(), rng)),
        // Near duplicates around antipodes, at one scale.
        10 => {
            let s = power_of_ten(-20.0..20.0, rng);
            for i in 0..d * n {
                let sign = if (i / d).is_multiple_of(2) { s } else { -s };
                let base = if i < d {
                    x[i]
                } else {
                    x[i % d] / if i >= d { s } else { 1.0 }
                };
                x[i] = sign * (base + if i < d { 0.0 } else { distance * entry(rng) });
            }
        }
        _ => {}
    }
    x
}

/// The dimensions of the problems.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Dimensions {
    /// d = 1 to 5, mostly 2, and up to 3 outputs.
    Low,
    /// d = 7 to 12, and one or two outputs.
    High,
}

/// The problem of a number. For single precision all of its data are numbers of single precision.
pub fn problem(case: usize, dimensions: Dimensions, single: bool, rng: &mut ChaCha8Rng) -> Problem {
    let softmax = case % 13 == 7;
    let (d, k) = match dimensions {
        Dimensions::Low => (
            [1, 2, 2, 3, 1, 2, 2, 3, 2, 4, 2, 5][case % 12],
            [1, 1, 1, 2, 1, 3][case / 12 % 6],
        ),
        Dimensions::High => (7 + case % 6, 1 + case / 6 % 2),
    };
    let k = if softmax { rng.random_range(2..4) } else { k };
    let n = if softmax {
        [1, 2, 4][case % 3]
    } else {
        1 + case / 5 % 7
    };
    let loss = [
        AnyLoss::Square,
        AnyLoss::Logistic,
        AnyLoss::Huber(0.7),
        AnyLoss::Hinge,
        AnyLoss::Quantile([0.3, 0.5, 1e-9][case % 3]),
        AnyLoss::SmoothHinge([0.5, 2.0_f64.powi(-40), 1024.0][case % 3]),
        AnyLoss::Square,
        AnyLoss::Absolute(1.0),
        AnyLoss::Exponential,
    ][rng.random_range(0..9)];
    let sigma = [
        Sigma::Relu,
        Sigma::Relu,
        Sigma::Leaky(0.25),
        Sigma::Abs,
        Sigma::Relu,
        Sigma::Identity,
        Sigma::Leaky(-0.3),
        Sigma::Relu,
        Sigma::Power([2, 3, 1, 0, 7][case % 5]),
    ][rng.random_range(0..9)];
    let kind = rng.random_range(0..22);
    let x = samples(d, n, kind, single, rng);
    // Near duplicates whose slopes at zero cancel, so that g is much smaller than its terms.
    let cancelling = kind % 11 == 2 && !case.is_multiple_of(3) && n > 1 && !softmax;
    let (loss, sigma) = if cancelling {
        (AnyLoss::Square, Sigma::Relu)
    } else {
        (loss, sigma)
    };
    let sizes = if single { -15.0..15.0 } else { -140.0..140.0 };
    let scale = match case % 5 {
        0 => power_of_ten(sizes, rng),
        1 => 0.0,
        _ => 1.0,
    };
    let y: Vec<f64> = if softmax {
        (0..n).map(|_| rng.random_range(0..k) as f64).collect()
    } else if loss.is_classification() {
        (0..n * k)
            .map(|_| if rng.random() { 1.0 } else { -1.0 })
            .collect()
    } else {
        (0..n * k)
            .map(|i| {
                scale
                    * if i % 2 == 0 {
                        1.0 + entry(rng)
                    } else {
                        -1.0 - entry(rng)
                    }
            })
            .collect()
    };
    let mut y = y;
    if cancelling {
        for l in 0..k {
            y[(n - 1) * k + l] = -(0..n - 1).map(|j| y[j * k + l]).sum::<f64>();
        }
    }
    let equal = softmax || cancelling || !case.is_multiple_of(4);
    let weights = (0..n).map(|j| match (equal, j % 3) {
        (true, _) => 1.0 / n as f64,
        (false, 0) => power_of_ten(-12.0..12.0, rng),
        (false, 1) => 0.0,
        _ => 1.0,
    });
    let mut problem = Problem {
        d,
        k,
        weights: weights.collect(),
        x,
        y,
        sigma,
        loss: (!softmax).then_some(loss),
        lambda: 0.0,
    };
    if single {
        for numbers in [&mut problem.x, &mut problem.y, &mut problem.weights] {
            round_to_single(numbers);
        }
    }
    // Relative to the largest |g| at zero, so that the optimum is neither zero nor far away.
    let mut u = vec![0.0; k * n];
    risk(&problem).slope(&vec![0.0; k * n], &mut u);
    let largest = directions(&problem, rng).iter().fold(0.0, |max, b| {
        f64::max(max, norm(&gradient(&problem, &u, b)))
    });
    problem.lambda = match case % 7 {
        0 => 0.0,
        1 => power_of_ten(if single { -30.0..30.0 } else { -300.0..300.0 }, rng),
        _ => 0.5 * largest / power_of_ten(-0.2..3.0, rng),
    };
    if !problem.lambda.is_finite() {
        problem.lambda = 1.0;
    }
    if single {
        problem.lambda = f64::from((problem.lambda as f32).min(f32::MAX));
    }
    problem
}

pub fn round_to_single(numbers: &mut [f64]) {
    numbers.iter_mut().for_each(|x| *x = f64::from(*x as f32));
}

/// The risk of a problem in double precision.
pub fn risk(problem: &Problem) -> Box<dyn DualRisk> {
    let n = problem.len();
    let x = DMatrix::from_column_slice(problem.d, n, &problem.x);
    match problem.loss {
        Some(loss) => {
            let y = DMatrix::from_column_slice(problem.k, n, &problem.y);
            let risk = EmpiricalRisk::with_outputs(loss, x, y).unwrap();
            Box::new(risk.sample_weights(problem.weights.clone()).unwrap())
        }
        None => {
            let labels = problem.y.iter().map(|&y| y as usize).collect();
            Box::new(SoftmaxCrossEntropy::new(x, labels, problem.k).unwrap())
        }
    }
}

pub fn norm(v: &[f64]) -> f64 {
    DVector::from_column_slice(v).norm()
}

fn feature(problem: &Problem, b: &[f64], j: usize) -> f64 {
    let x = &problem.x[j * problem.d..(j + 1) * problem.d];
    problem
        .sigma
        .value(b.iter().zip(x).map(|(b, x)| b * x).sum())
}

/// `sum_j u_j sigma(b.x_j)`.
pub fn gradient(problem: &Problem, u: &[f64], b: &[f64]) -> Vec<f64> {
    let mut g = vec![0.0; problem.k];
    for (j, u) in u.chunks_exact(problem.k).enumerate() {
        let s = feature(problem, b, j);
        g.iter_mut().zip(u).for_each(|(g, u)| *g += u * s);
    }
    g
}

/// Unit vectors: axes, samples, normals of samples, random ones.
pub fn directions(problem: &Problem, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let d = problem.d;
    let mut found: Vec<Vec<f64>> = Vec::new();
    let mut push = |b: Vec<f64>| {
        let largest = b.iter().fold(0.0_f64, |max, b| max.max(b.abs()));
        let b: Vec<f64> = b.iter().map(|b| b / largest).collect();
        let length = norm(&b);
        if length.is_finite() && length > 0.0 {
            found.push(b.iter().map(|b| b / length).collect());
            found.push(b.iter().map(|b| -b / length).collect());
        }
    };
    for r in 0..d {
        push((0..d).map(|s| f64::from(r == s)).collect());
    }
    if d > 1 {
        push((0..d).map(|_| entry(rng)).collect());
    }
    for x in problem.x.chunks_exact(d) {
        if d > 1 {
            push(x.to_vec());
        }
        if d == 2 {
            push(vec![-x[1], x[0]]);
        }
        if d == 3 {
            let y = &problem.x[..3];
            push(vec![
                x[1] * y[2] - x[2] * y[1],
                x[2] * y[0] - x[0] * y[2],
                x[0] * y[1] - x[1] * y[0],
            ]);
        }
    }
    found
}

/// A measure of low energy: atoms in the directions of the largest `|g|`, and their best weights one
/// after another.
pub fn descend(problem: &Problem, directions: &[Vec<f64>], atoms: usize) -> Particles {
    let (d, k, n) = (problem.d, problem.k, problem.len());
    let risk = risk(problem);
    let mut mu = Particles::default();
    let mut h = vec![0.0; k * n];
    let mut u = h.clone();
    let image = |w: &[f64]| -> Vec<f64> {
        let terms = (0..n).map(|j| feature(problem, &w[k..], j));
        terms
            .flat_map(|s| w[..k].iter().map(move |a| a * s))
            .collect()
    };
    for _ in 0..atoms {
        risk.slope(&h, &mut u);
        let best = directions
            .iter()
            .map(|b| (norm(&gradient(problem, &u, b)), b))
            .max_by(|(s, _), (t, _)| s.total_cmp(t));
        let Some((length, b)) = best.filter(|(length, _)| *length > 0.0 && length.is_finite())
        else {
            break;
        };
        let a = gradient(problem, &u, b).into_iter().map(|g| -g / length);
        let w: Vec<f64> = a.chain(b.iter().copied()).collect();
        mu.push(w, 0.0);
        for _ in 0..2 {
            for i in 0..mu.weights.len() {
                let w = &mu.points[i * (k + d)..(i + 1) * (k + d)];
                let (s, cost) = (
                    image(w),
                    problem.lambda * w.iter().map(|w| w * w).sum::<f64>(),
                );
                let old = mu.weights[i];
                let rest: Vec<f64> = h.iter().zip(&s).map(|(h, s)| h - old * s).collect();
                let mut rises = |t: f64| {
                    let h: Vec<f64> = rest.iter().zip(&s).map(|(h, s)| h + t * s).collect();
                    risk.slope(&h, &mut u);
                    let slope: f64 = u.iter().zip(&s).map(|(u, s)| u * s).sum();
                    let slope = slope + cost;
                    slope >= 0.0 || slope.is_nan()
                };
                mu.weights[i] = largest_without_rise(&mut rises);
                let t = mu.weights[i];
                h.iter_mut()
                    .zip(rest)
                    .zip(&s)
                    .for_each(|((h, r), s)| *h = r + t * s);
            }
        }
    }
    mu
}

/// The largest t up to which a convex function decreases, by bisection of the exponent, then of the
/// number.
fn largest_without_rise(rises: &mut impl FnMut(f64) -> bool) -> f64 {
    let (mut low, mut high) = (-1000, 1000);
    if rises(2.0_f64.powi(low)) {
        return 0.0;
    }
    while high - low > 1 {
        let middle = (low + high) / 2;
        if rises(2.0_f64.powi(middle)) {
            high = middle;
        } else {
            low = middle;
        }
    }
    let (mut low, mut high) = (2.0_f64.powi(low), 2.0_f64.powi(high));
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if rises(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    low
}
