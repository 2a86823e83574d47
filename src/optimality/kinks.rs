//! Dual points at kinks of the risk: subgradients that satisfy the optimality conditions on the
//! particles.
//!
//! At a kink of a loss (`Hinge`, `Quantile`) any slope between the one-sided derivatives is a
//! subgradient. At a minimum one choice satisfies `g(b) = -2 lambda a / |a|` for the direction b of
//! every particle. It is computed as a least-squares problem with bounds. The result is only a
//! candidate: its bound is proved like that of any other dual point.

use nalgebra::{DMatrix, DVector, SymmetricEigen};

use super::dual::DualRisk;
use super::piecewise_linear::OneSidedSlopes;
use crate::numeric::error_bounds::EPS;
use crate::numeric::vector::dot;

/// The largest distance from a kink, relative to the sum of the absolute values of the terms of the
/// prediction: that of a solution in single precision, with a reserve.
const RELATIVE_DISTANCE: f64 = 1.0 / (1 << 20) as f64;

/// The ratio of the distances at which the jump of the slope is measured. The difference of the
/// slopes of a smooth loss is reduced by this ratio; that of a kink is not.
const RATIO: f64 = 1.0 / 16.0;

/// The jump of the slope, relative to it, below which a kink does not matter.
const SMALLEST_JUMP: f64 = 1e-3;

/// Kinks at most, those of the largest `|x_j|` times the jump.
const MAX_KINKS: usize = 1024;

/// Conditions at most, k for each direction.
const MAX_CONDITIONS: usize = 48;

/// Iterations of the least-squares problem at most. Each adds a bound to the active set, or is the
/// last but for rounding.
const ITERATIONS: usize = 200;

/// The smallest singular value that is inverted, squared and relative to the largest.
const CUTOFF: f64 = 1e-14;

/// The entries of u at kinks, with their bounds.
pub(super) struct Kinks {
    entries: Vec<Kink>,
}

#[derive(Debug, Clone, Copy)]
struct Kink {
    /// The index in u, `k x n`.
    index: usize,
    lower: f64,
    upper: f64,
}

/// A condition `g(b) = target` for a unit vector b.
pub(super) struct Condition {
    pub(super) b: Vec<f64>,
    pub(super) target: Vec<f64>,
}

impl Kinks {
    /// The kinks near the predictions `h`, which are sums of terms of the given `magnitude` (one a
    /// sample).
    pub(super) fn near(risk: &impl DualRisk, h: &[f64], magnitude: &[f64], x: &[f64]) -> Self {
        let (n, size) = (magnitude.len(), h.len());
        let (k, d) = (size / n, x.len() / n);
        let interval = |factor: f64| {
            let radius: Vec<f64> = magnitude.iter().map(|m| factor * m).collect();
            let (mut lower, mut upper) = (vec![0.0; size], vec![0.0; size]);
            risk.subdifferential(h, &radius, &mut lower, &mut upper);
            (lower, upper)
        };
        let (lower, upper) = interval(RELATIVE_DISTANCE * RATIO);
        // Smooth losses need no second measurement.
        let jumps = |(lower, upper): (&f64, &f64)| {
            upper - lower > SMALLEST_JUMP * lower.abs().max(upper.abs())
        };
        if !lower.iter().zip(&upper).any(jumps) {
            return Self {
                entries: Vec::new(),
            };
        }
        let (far_lower, far_upper) = interval(RELATIVE_DISTANCE);
        let kink = |index: usize| Kink {
            index,
            lower: lower[index],
            upper: upper[index],
        };
        let mut entries: Vec<Kink> = (0..size)
            .filter(|&i| 2.0 * (upper[i] - lower[i]) > far_upper[i] - far_lower[i])
            .map(kink)
            .collect();
        if entries.len() > MAX_KINKS {
            let weight = |kink: &Kink| {
                let x = &x[kink.index / k * d..][..d];
                (kink.upper - kink.lower) * dot(x, x)
            };
            entries.sort_by(|s, t| weight(t).total_cmp(&weight(s)));
            entries.truncate(MAX_KINKS);
        }
        Self { entries }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Changes the entries of u at kinks, within their bounds, such that the conditions hold as
    /// well as possible, in least squares.
    pub(super) fn satisfy(
        &self,
        conditions: &[Condition],
        u: &mut [f64],
        x: &[f64],
        d: usize,
        slopes: OneSidedSlopes,
    ) {
        let k = u.len() / (x.len() / d);
        let conditions = &conditions[..conditions.len().min(MAX_CONDITIONS.div_ceil(k))];
        let rows = k * conditions.len();
        let feature = |b: &[f64], j: usize| slopes.value(dot(b, &x[j * d..(j + 1) * d]));
        // The unknowns t in [0, 1] are the positions between the bounds; the residual is that of
        // t = 0.
        let mut phi = DMatrix::zeros(rows, self.entries.len());
        let mut t = Vec::with_capacity(self.entries.len());
        for (column, kink) in self.entries.iter().enumerate() {
            let width = kink.upper - kink.lower;
            for (i, condition) in conditions.iter().enumerate() {
                let row = i * k + kink.index % k;
                phi[(row, column)] = width * feature(&condition.b, kink.index / k);
            }
            t.push(((u[kink.index] - kink.lower) / width).clamp(0.0, 1.0));
            u[kink.index] = kink.lower;
        }
        let mut residual = DVector::zeros(rows);
        for (i, condition) in conditions.iter().enumerate() {
            let mut g = vec![0.0; k];
            for (j, u) in u
                .chunks_exact(k)
                .enumerate()
                .filter(|(_, u)| u.iter().any(|&u| u != 0.0))
            {
                let s = feature(&condition.b, j);
                g.iter_mut().zip(u).for_each(|(g, u)| *g += u * s);
            }
            for l in 0..k {
                residual[i * k + l] = condition.target[l] - g[l];
            }
        }
        bounded_least_squares(&phi, residual, &mut t);
        for (kink, t) in self.entries.iter().zip(t) {
            let value = kink.lower + t * (kink.upper - kink.lower);
            u[kink.index] = value.clamp(kink.lower, kink.upper);
        }
    }
}

/// Minimises `|phi t - b|` over `0 <= t <= 1` from the given t.
///
/// Active-set steps: the step of least norm over the free variables, shortened at the first bound.
/// Variables at a bound are free if the gradient and the step point inside.
///
/// Source: P. B. Stark and R. L. Parker, Bounded-variable least-squares: an algorithm and
/// applications, Computational Statistics 10, 1995.
pub(super) fn bounded_least_squares(phi: &DMatrix<f64>, b: DVector<f64>, t: &mut [f64]) {
    let scale = phi.amax();
    let (phi, b) = (phi / scale, b / scale);
    if !phi.iter().chain(b.iter()).all(|entry| entry.is_finite()) {
        return;
    }
    let inside = |t: f64, step: f64| (t > 0.0 || step > 0.0) && (t < 1.0 || step < 0.0);
    for _ in 0..ITERATIONS {
        let residual = &b - &phi * DVector::from_column_slice(t);
        let descent = phi.tr_mul(&residual);
        let mut free: Vec<usize> = (0..t.len()).filter(|&j| inside(t[j], descent[j])).collect();
        let step = loop {
            let step = least_norm_step(&phi.select_columns(&free), &residual);
            let before = free.len();
            let mut steps = step.iter();
            free.retain(|&j| steps.next().is_some_and(|&s| inside(t[j], s)));
            if free.len() == before {
                break step;
            }
        };
        if step.iter().all(|s| s.abs() <= EPS) {
            return;
        }
        let bound = |s: f64| if s > 0.0 { 1.0 } else { 0.0 };
        let distance = |(&j, &s): (&usize, &f64)| (bound(s) - t[j]) / s;
        let distances: Vec<f64> = free.iter().zip(&step).map(distance).collect();
        let length = distances.iter().fold(1.0, |min, &s| f64::min(min, s));
        for ((&j, &s), distance) in free.iter().zip(&step).zip(distances) {
            // The variable that limits the step must reach its bound.
            t[j] = if distance <= length {
                bound(s)
            } else {
                (t[j] + length * s).clamp(0.0, 1.0)
            };
        }
    }
}

/// The vector s of least norm that minimises `|phi s - residual|`, by the eigenvectors of
/// `phi phi^T`. Repeated steps refine it.
fn least_norm_step(phi: &DMatrix<f64>, residual: &DVector<f64>) -> DVector<f64> {
    let eigen = SymmetricEigen::new(phi * phi.transpose());
    let smallest = CUTOFF * eigen.eigenvalues.amax();
    let mut coefficients = eigen.eigenvectors.tr_mul(residual);
    for (coefficient, &value) in coefficients.iter_mut().zip(&eigen.eigenvalues) {
        *coefficient = if value > smallest {
            *coefficient / value
        } else {
            0.0
        };
    }
    phi.tr_mul(&(eigen.eigenvectors * coefficients))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_and_the_residual_is_least() {
        let phi = DMatrix::from_row_slice(2, 3, &[1.0, 2.0, 0.0, 0.0, 1.0, 1.0]);
        // Attained inside; and t = (1, 1, 1), the nearest corner.
        for (b, residual) in [([1.5, 1.0], 0.0), ([4.0, 3.0], 2.0_f64.sqrt())] {
            let (b, mut t) = (DVector::from_column_slice(&b), [0.0; 3]);
            bounded_least_squares(&phi, b.clone(), &mut t);
            let found = (&b - &phi * DVector::from_column_slice(&t)).norm();
            assert!((found - residual).abs() < 1e-12, "{t:?}");
            assert!(t.iter().all(|t| (0.0..=1.0).contains(t)));
        }
    }
}
