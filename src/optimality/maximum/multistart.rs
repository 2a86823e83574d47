//! Multistart gradient ascent on the unit sphere: a lower bound of the maximum.

use crate::numeric::splitmix::SplitMix64;
use crate::numeric::vector::{columns, dot, norm};

/// Ascents from each group, from its best candidates.
///
/// The groups are ranked separately: the best of all would be the particles, which are near maxima
/// already.
const ASCENTS: usize = 8;

/// Evaluations an ascent.
const EVALUATIONS: usize = 100;

/// The relative norm of the tangential gradient at which an ascent ends: rounding error of the
/// gradient.
const GRADIENT_TOLERANCE: f64 = 1e-13;

/// The relative step length at which an ascent ends: below the rounding error of a unit vector.
const SMALLEST_STEP: f64 = 1e-16;

/// Unit vectors to start from, in groups.
pub(in crate::optimality) struct StartingPoints {
    dim: usize,
    /// `dim x` (number of points) for each group.
    groups: Vec<Vec<f64>>,
}

impl StartingPoints {
    /// Random directions of a fixed seed.
    pub(in crate::optimality) fn random(dim: usize, count: usize) -> Self {
        let mut starts = Self {
            dim,
            groups: vec![Vec::new()],
        };
        let mut random = SplitMix64::new(0);
        for _ in 0..count {
            let b: Vec<f64> = (0..dim).map(|_| random.normal()).collect();
            starts.push(&b, 1.0);
        }
        starts
    }

    /// Adds a group: an evenly spaced subset of at most `count` of the given directions, and their
    /// opposites.
    pub(in crate::optimality) fn with_directions<'a>(
        mut self,
        directions: impl Iterator<Item = &'a [f64]>,
        count: usize,
    ) -> Self {
        let directions: Vec<&[f64]> = directions.collect();
        self.groups.push(Vec::new());
        let stride = directions.len().div_ceil(count).max(1);
        for b in directions.iter().step_by(stride) {
            self.push(b, 1.0);
            self.push(b, -1.0);
        }
        self
    }

    /// The groups in the order of their addition, the random directions first, `dim x` (number of
    /// points) each.
    pub(super) fn groups(&self) -> impl Iterator<Item = &[f64]> {
        self.groups.iter().map(Vec::as_slice)
    }

    /// Adds `sign b / |b|` to the last group, unless it is undefined.
    fn push(&mut self, b: &[f64], sign: f64) {
        let length = sign * norm(b);
        let defined = length != 0.0 && length.is_finite();
        if let Some(group) = self.groups.last_mut().filter(|_| defined) {
            group.extend(b.iter().map(|b| b / length));
        }
    }
}

/// The point of the largest value of `f` over gradient ascents from the best starting points.
///
/// `f(b, gradient)` returns the value and writes the gradient. `f` is positively 1-homogeneous, so
/// that `b + grad f / f` is a step in its scale; the step is halved if the value does not increase,
/// doubled if it does.
pub(in crate::optimality) fn multistart_ascent(
    starts: &StartingPoints,
    f: impl Fn(&[f64], &mut [f64]) -> f64,
) -> Vec<f64> {
    let d = starts.dim;
    let mut gradient = vec![0.0; d];
    let mut chosen: Vec<(f64, &[f64])> = Vec::new();
    for group in &starts.groups {
        let mut ranked: Vec<(f64, &[f64])> = columns(group, d)
            .map(|b| (f(b, &mut gradient), b))
            .collect();
        ranked.sort_by(|(s, _), (t, _)| t.total_cmp(s));
        chosen.extend(ranked.into_iter().take(ASCENTS));
    }
    let mut best = (f64::NEG_INFINITY, vec![0.0; d]);
    for (value, b) in chosen {
        let (value, b) = ascend(&f, value, b);
        if value > best.0 {
            best = (value, b);
        }
    }
    best.1
}

/// Projected gradient ascent of `f` on the unit sphere from b, `f(b) = value`: the last value and
/// its point.
fn ascend(f: impl Fn(&[f64], &mut [f64]) -> f64, mut value: f64, b: &[f64]) -> (f64, Vec<f64>) {
    let (d, mut b) = (b.len(), b.to_vec());
    let (mut trial, mut gradient, mut trial_gradient) = (vec![0.0; d], vec![0.0; d], vec![0.0; d]);
    let mut step = 1.0;
    f(&b, &mut gradient);
    for _ in 0..EVALUATIONS {
        let (radial, size) = (dot(&gradient, &b), norm(&gradient));
        // The tangential gradient.
        for (g, b) in gradient.iter_mut().zip(&b) {
            *g -= radial * b;
        }
        let tangential = norm(&gradient);
        if tangential <= GRADIENT_TOLERANCE * size || step < SMALLEST_STEP {
            break;
        }
        // Steps longer than the radius gain nothing: the retraction maps them to nearby directions.
        let length = step / value.abs().max(f64::MIN_POSITIVE);
        let length = length.min(1.0 / tangential);
        for ((trial, b), g) in trial.iter_mut().zip(&b).zip(&gradient) {
            *trial = b + length * g;
        }
        let trial_norm = norm(&trial);
        trial.iter_mut().for_each(|b| *b /= trial_norm);
        let trial_value = f(&trial, &mut trial_gradient);
        if trial_value > value {
            value = trial_value;
            std::mem::swap(&mut b, &mut trial);
            gradient.copy_from_slice(&trial_gradient);
            step *= 2.0;
        } else {
            for (g, b) in gradient.iter_mut().zip(&b) {
                *g += radial * b;
            }
            step *= 0.5;
        }
    }
    (value, b)
}
