//! Local maxima of `|g|` on the unit sphere by the convex-concave procedure: a lower bound of the
//! maximum.
//!
//! Let v be the unit vector of `g(b)`, and `v.g = sum_j (v.u_j) (m b.x_j + h |b.x_j|)` as in the
//! relaxation. Replacing the convex terms, of `c_j = h v.u_j > 0`, by their tangents at b gives a
//! concave minorant of `v.g` that is equal to it at b,
//!
//! ```text
//! l.b' - sum_j q_j |b'.x_j|,   q_j = (-c_j)_+,   l = sum_j (m (v.u_j) + (c_j)_+ sign(b.x_j)) x_j.
//! ```
//!
//! Its maximum over the unit ball is `min |l + sum_j q_j theta_j x_j|` over `|theta_j| <= 1`, and the
//! maximiser is the direction of the vector of least norm. Maxima of `|g|` lie on concave kinks
//! `b.x_j = 0`, where gradient steps stall; the least norm is the exact condition there, for
//! staying on a kink and for leaving it. Every step increases `|g|`.
//!
//! Source: A. L. Yuille and A. Rangarajan, The concave-convex procedure, Neural Computation 15, 2003.

use nalgebra::{Cholesky, DMatrix, DVector};

use super::multistart::StartingPoints;
use crate::numeric::vector::{columns, dot, norm};
use crate::optimality::effort::Limits;
use crate::optimality::piecewise_linear::PiecewiseLinearMap;

/// Steps of one climb at most.
const STEPS: usize = 60;

/// The relative increase of `|g|` at which a climb ends: near the rounding error of `|g|`.
const SMALLEST_INCREASE: f64 = 1e-14;

/// Sweeps over all concave terms in one step at most.
const SWEEPS: usize = 40;

/// Sweeps over the terms on kinks for each sweep over all.
const SWEEPS_ON_KINKS: usize = 4;

/// The change of `q theta`, relative to `|l|`, at which the least norm is attained.
const SMALLEST_CHANGE: f64 = 1e-15;

/// Random directions at most.
const RANDOM: usize = 512;

/// Particles and samples at most, with their opposites.
const GIVEN: usize = 128;

/// Climbs from random directions at least.
const LEAST_RANDOM_CLIMBS: usize = 32;

/// The estimated probability of a new local maximum at which the search stops.
const UNSEEN: f64 = 0.02;

/// The number of climbs times `n d k` at most: some tenths of a second.
const WORK: usize = 1 << 22;

/// Climbs that are always permitted.
const LEAST_CLIMBS: usize = 16;

/// The relative difference up to which two climbs ended at the same value.
const SAME_VALUE: f64 = 1e-9;

/// A unit vector and its `|g|`.
#[derive(Debug, Clone)]
pub(super) struct Climbed {
    pub(super) value: f64,
    pub(super) b: Vec<f64>,
}

/// The largest value over climbs from the `earlier` maximisers, from particles and samples, from
/// their opposites, and from random directions of a fixed seed.
///
/// Random directions are used until the probability that one more climb ends at a local maximum
/// that no random climb has found is estimated to be at most [`UNSEEN`]: the share of the maxima
/// that were found once, in the number of climbs. The work is limited for large data.
///
/// Source of the estimate: I. J. Good, The population frequencies of species and the estimation of
/// population parameters, Biometrika 40, 1953.
pub(super) fn search<'a>(
    map: &PiecewiseLinearMap,
    particles: impl Iterator<Item = &'a [f64]>,
    earlier: &[Vec<f64>],
    limits: Limits,
) -> Climbed {
    let d = map.d;
    let starts = StartingPoints::random(d, RANDOM)
        .with_directions(particles, GIVEN)
        .with_directions(columns(&map.x, d), GIVEN);
    let mut groups = starts.groups();
    let random = groups.next().unwrap_or(&[]);
    let given = groups.flat_map(|group| columns(group, d));
    let earlier = earlier.iter().map(Vec::as_slice);
    let climbs = (WORK / (map.len() * d * map.k).max(1)).max(LEAST_CLIMBS);
    let mut best = Climbed {
        value: f64::NEG_INFINITY,
        b: vec![0.0; d],
    };
    let mut taken = 0;
    for b in earlier.filter(|b| b.len() == d).chain(given) {
        if taken >= climbs / 2 || limits.is_late() {
            break;
        }
        taken += 1;
        best.replace_if_larger(climb(map, b));
    }
    // The values of the maxima found, and how often.
    let mut maxima: Vec<(f64, usize)> = Vec::new();
    for (i, b) in columns(random, d).enumerate() {
        let once = maxima.iter().filter(|(_, count)| *count == 1).count();
        let saturated = i >= LEAST_RANDOM_CLIMBS && once as f64 <= UNSEEN * i as f64;
        if saturated || taken >= climbs || (limits.is_late() && best.value >= 0.0) {
            break;
        }
        taken += 1;
        let next = climb(map, b);
        let same = |value: f64| (value - next.value).abs() <= SAME_VALUE * next.value;
        match maxima.iter_mut().find(|(value, _)| same(*value)) {
            Some((_, count)) => *count += 1,
            None => maxima.push((next.value, 1)),
        }
        best.replace_if_larger(next);
    }
    best
}

impl Climbed {
    pub(super) fn replace_if_larger(&mut self, next: Self) {
        if next.value > self.value {
            *self = next;
        }
    }
}

/// Steps of the convex-concave procedure from a unit vector.
pub(super) fn climb(map: &PiecewiseLinearMap, b: &[f64]) -> Climbed {
    let mut theta = vec![f64::NAN; map.len()];
    let mut best = Climbed {
        value: norm(&map.evaluate(b)),
        b: b.to_vec(),
    };
    for _ in 0..STEPS {
        let Some(b) = step(map, &best.b, &mut theta) else {
            break;
        };
        let value = norm(&map.evaluate(&b));
        let ends = value <= best.value * (1.0 + SMALLEST_INCREASE);
        best.replace_if_larger(Climbed { value, b });
        if ends {
            break;
        }
    }
    best
}

/// The maximiser of the minorant at b; `None` if its maximum is 0. `theta` is a start, NaN if
/// unknown, and the multipliers of the result.
fn step(map: &PiecewiseLinearMap, b: &[f64], theta: &mut [f64]) -> Option<Vec<f64>> {
    let mean = 0.5 * (map.slopes.plus + map.slopes.minus);
    let half = 0.5 * (map.slopes.plus - map.slopes.minus);
    let g = map.evaluate(b);
    let length = norm(&g);
    let v: Vec<f64> = if length > 0.0 {
        g.iter().map(|g| g / length).collect()
    } else {
        (0..map.k).map(|i| f64::from(i == 0)).collect()
    };
    let mut l = vec![0.0; map.d];
    let mut concave = Vec::new();
    for (j, theta) in theta.iter_mut().enumerate() {
        let x = map.point(j);
        let (z, coefficient) = (dot(b, x), dot(&v, map.coefficient(j)));
        let c = half * coefficient;
        let sign = if z >= 0.0 { 1.0 } else { -1.0 };
        let slope = mean * coefficient + c.max(0.0) * sign;
        add(&mut l, slope, x);
        if c < 0.0 {
            if theta.is_nan() {
                *theta = -sign;
            }
            concave.push((j, -c));
        }
    }
    let a = least_norm(map, l, &concave, theta);
    let length = norm(&a);
    (length > 0.0 && length.is_finite()).then(|| a.iter().map(|a| a / length).collect())
}

fn add(a: &mut [f64], s: f64, x: &[f64]) {
    for (a, x) in a.iter_mut().zip(x) {
        *a += s * x;
    }
}

/// The vector of least norm `l + sum_j q_j theta_j x_j` over `|theta_j| <= 1`, for unit vectors
/// `x_j` and pairs `(j, q_j)`.
///
/// Coordinate descent; the terms strictly inside their bounds, on kinks, are then solved exactly.
fn least_norm(
    map: &PiecewiseLinearMap,
    l: Vec<f64>,
    concave: &[(usize, f64)],
    theta: &mut [f64],
) -> Vec<f64> {
    let scale = norm(&l);
    let mut a = l;
    for &(j, q) in concave {
        add(&mut a, q * theta[j], map.point(j));
    }
    let sweep = |a: &mut Vec<f64>, theta: &mut [f64], terms: &[(usize, f64)]| {
        let mut change = 0.0_f64;
        for &(j, q) in terms {
            let x = map.point(j);
            let next = (theta[j] - dot(a, x) / q).clamp(-1.0, 1.0);
            let difference = q * (next - theta[j]);
            if difference != 0.0 {
                add(a, difference, x);
                theta[j] = next;
                change = change.max(difference.abs());
            }
        }
        change
    };
    for _ in 0..SWEEPS {
        if sweep(&mut a, theta, concave) <= SMALLEST_CHANGE * scale {
            break;
        }
        let kinks: Vec<(usize, f64)> = concave
            .iter()
            .copied()
            .filter(|&(j, _)| theta[j].abs() < 1.0)
            .collect();
        for _ in 0..SWEEPS_ON_KINKS {
            sweep(&mut a, theta, &kinks);
        }
        solve_on_kinks(map, &mut a, theta, &kinks);
    }
    a
}

/// Moves the multipliers on kinks such that a is orthogonal to their samples, as far as their bounds
/// permit.
fn solve_on_kinks(
    map: &PiecewiseLinearMap,
    a: &mut [f64],
    theta: &mut [f64],
    kinks: &[(usize, f64)],
) {
    let m = kinks.len();
    if m == 0 || m >= map.d {
        return;
    }
    let x = DMatrix::from_fn(map.d, m, |r, i| map.point(kinks[i].0)[r]);
    let Some(gram) = Cholesky::new(x.tr_mul(&x)) else {
        return;
    };
    let step = gram.solve(&-x.tr_mul(&DVector::from_column_slice(a)));
    let room = |(&(j, q), &s): (&(usize, f64), &f64)| {
        let change = s / q;
        if change == 0.0 {
            1.0
        } else {
            ((1.0_f64.copysign(change) - theta[j]) / change).min(1.0)
        }
    };
    let length = kinks.iter().zip(&step).map(room).fold(1.0, f64::min);
    if !(length > 0.0 && step.iter().all(|s| s.is_finite())) {
        return;
    }
    for (&(j, q), s) in kinks.iter().zip(&step) {
        add(a, length * s, map.point(j));
        theta[j] = (theta[j] + length * s / q).clamp(-1.0, 1.0);
    }
}
