//! The dual problem: convex conjugates of risks, and the best multiple of a dual point.

use crate::loss::Loss;
use crate::numeric::error_bounds::{BoundedSum, EPS, above};
use crate::real::{Real, to_f64};
use crate::risk::{EmpiricalRisk, SoftmaxCrossEntropy};

/// A convex risk with its conjugate `R*(u) = sup_h <u, h> - R(h)`, in double precision with the rounding accounted for.
///
/// It is what a certificate asks of a risk. Arrays are `k x n`, as in [`Risk`](crate::risk::Risk).
///
/// # Laws
/// - `slope` writes the gradient of the risk (a subgradient at kinks) at `h`, up to rounding.
/// - `upper(h, radius) >= R(h')` for every `h'` with `|h'_jl - h_jl| <= radius_j`.
/// - `conjugate(u, c) >= R*(z)` for some `z` with `|z_j - c u_j| <= 2^-48 |c u_j|` for every sample j.
///
/// So `-conjugate(u, c)` is, after rounding, below every `R(h) - <z, h>`.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::optimality::DualRisk;
/// use wasserflow::prelude::*;
///
/// let risk = EmpiricalRisk::new(Square, DMatrix::zeros(1, 2), DVector::from_vec(vec![1.0, 3.0]))?;
/// let mut u = [0.0; 2];
/// risk.slope(&[2.0, 2.0], &mut u);
/// assert_eq!(u, [0.5, -0.5]);
/// let r = risk.upper(&[2.0, 2.0], &[0.0; 2]);
/// let s = risk.conjugate(&u, 1.0).unwrap();
/// assert!((r - 0.5).abs() < 1e-12 && (r + s).abs() < 1e-12); // R(h) + R*(u) = <u, h> = 0
/// # Ok::<(), wasserflow::prelude::RiskError>(())
/// ```
pub trait DualRisk {
    /// Writes `u = grad R(h)`.
    fn slope(&self, h: &[f64], u: &mut [f64]);

    /// An upper bound of R on the box of half width `radius_j` (one a sample) round `h`.
    fn upper(&self, h: &[f64], radius: &[f64]) -> f64;

    /// An upper bound of `R*` at `c u`, up to rounding of the point; infinite outside the domain, `None` where `R*` is unknown.
    fn conjugate(&self, u: &[f64], c: f64) -> Option<f64>;
}

impl<R: DualRisk + ?Sized> DualRisk for &mut R {
    fn slope(&self, h: &[f64], u: &mut [f64]) {
        (**self).slope(h, u);
    }
    fn upper(&self, h: &[f64], radius: &[f64]) -> f64 {
        (**self).upper(h, radius)
    }
    fn conjugate(&self, u: &[f64], c: f64) -> Option<f64> {
        (**self).conjugate(u, c)
    }
}

/// `R = sum_j c_j sum_l l(y_jl, .)`, so `R*(u) = sum_j c_j sum_l l*(y_jl, u_jl / c_j)` over the samples with `c_j > 0`.
impl<T: Real, L: Loss<T> + Loss<f64>> DualRisk for EmpiricalRisk<L, T> {
    fn slope(&self, h: &[f64], u: &mut [f64]) {
        let (k, y) = (self.targets().nrows(), self.targets().as_slice());
        for (i, u) in u.iter_mut().enumerate() {
            let c = to_f64(self.weights()[i / k]);
            *u = if c == 0.0 {
                0.0
            } else {
                c * Loss::<f64>::derivative(self.loss(), to_f64(y[i]), h[i])
            };
        }
    }

    fn upper(&self, h: &[f64], radius: &[f64]) -> f64 {
        let (k, y) = (self.targets().nrows(), self.targets().as_slice());
        let mut sum = BoundedSum::default();
        for (i, &h) in h.iter().enumerate() {
            let (c, y) = (to_f64(self.weights()[i / k]), to_f64(y[i]));
            if c == 0.0 {
                continue;
            }
            // A convex function is largest at an end of an interval.
            let e = radius[i / k] + EPS * (radius[i / k] + h.abs());
            let loss = |h| Loss::<f64>::value(self.loss(), y, h);
            let (left, right) = (loss(h - e), loss(h + e));
            sum.add(c * if left > right { left } else { right });
        }
        above(sum.value(), 16.0 * EPS * sum.size())
    }

    fn conjugate(&self, u: &[f64], c: f64) -> Option<f64> {
        let (k, y) = (self.targets().nrows(), self.targets().as_slice());
        let (mut sum, mut size) = (BoundedSum::default(), 0.0);
        for (i, &u) in u.iter().enumerate() {
            let (weight, y) = (to_f64(self.weights()[i / k]), to_f64(y[i]));
            if weight == 0.0 {
                continue;
            }
            let mut v = c * u / weight;
            let mut value = self.loss().conjugate(y, v)?;
            if value == f64::INFINITY {
                // Rounding may have led just out of the domain; towards 0 lies its inside.
                v *= 1.0 - 4.0 * EPS;
                value = self.loss().conjugate(y, v)?;
            }
            if value == f64::INFINITY {
                return Some(value);
            }
            sum.add(weight * value);
            size += weight * (value.abs() + v.abs() * (1.0 + v.abs() + y.abs()));
        }
        Some(above(sum.value(), 16.0 * EPS * (size + sum.size())))
    }
}

/// With `u_j = (p_j - e_{y_j}) / n`, `p_j` a probability vector: `R*(u) = (1/n) sum_j sum_l p_jl log p_jl`.
///
/// `slope` and `conjugate` take the entry of the class `y_j` as minus the sum of the others, as it is exactly.
impl<T: Real> DualRisk for SoftmaxCrossEntropy<T> {
    fn slope(&self, h: &[f64], u: &mut [f64]) {
        let (n, k) = (self.labels().len() as f64, h.len() / self.labels().len());
        for ((h, u), &y) in h
            .chunks_exact(k)
            .zip(u.chunks_exact_mut(k))
            .zip(self.labels())
        {
            let max = h.iter().fold(f64::NEG_INFINITY, |max, &h| max.max(h));
            let total: f64 = h.iter().map(|h| (h - max).exp()).sum();
            let mut others = 0.0;
            for l in (0..k).filter(|&l| l != y) {
                u[l] = (h[l] - max).exp() / total / n;
                others += u[l];
            }
            u[y] = -others;
        }
    }

    fn upper(&self, h: &[f64], radius: &[f64]) -> f64 {
        let (n, k) = (self.labels().len() as f64, h.len() / self.labels().len());
        let mut sum = BoundedSum::default();
        for ((h, &e), &y) in h.chunks_exact(k).zip(radius).zip(self.labels()) {
            let max = h.iter().fold(f64::NEG_INFINITY, |max, &h| max.max(h));
            let total: f64 = h.iter().map(|h| (h - max).exp()).sum();
            let loss = max - h[y] + total.ln();
            // Both log-sum-exp and h_y change by at most the radius.
            sum.add((loss + 2.0 * e) / n);
            sum.add(4.0 * EPS * (max - h[y] + k as f64) / n);
        }
        above(sum.value(), 16.0 * EPS * sum.size())
    }

    fn conjugate(&self, u: &[f64], c: f64) -> Option<f64> {
        let (n, k) = (self.labels().len() as f64, u.len() / self.labels().len());
        let mut sum = BoundedSum::default();
        for (u, &y) in u.chunks_exact(k).zip(self.labels()) {
            let mut others = 0.0;
            for l in (0..k).filter(|&l| l != y) {
                let p = c * u[l] * n;
                if p < 0.0 {
                    return Some(f64::INFINITY);
                }
                others += p;
                sum.add(entropy(p) / n);
            }
            // p log p at p = 1 - others, at its largest over what rounding leaves open.
            let error = EPS * k as f64;
            if others > 1.0 + error {
                return Some(f64::INFINITY);
            }
            let (low, high) = (
                (1.0 - others - error).max(0.0),
                (1.0 - others + error).min(1.0),
            );
            sum.add(entropy(low).max(entropy(high)) / n);
        }
        Some(above(sum.value(), 16.0 * EPS * (sum.size() + 1.0)))
    }
}

/// `p log p`.
fn entropy(p: f64) -> f64 {
    if p > 0.0 { p * p.ln() } else { 0.0 }
}

/// The largest value that a concave `f` was found to take on `[-limit, limit]`, by golden section and parabolas (Brent).
///
/// Any value serves as a bound, so the search may end early. A parabola is found at once: for the square loss this is the
/// closed form. `f` may be `-inf`, not at `min(1, limit)`.
///
/// Source: R. P. Brent, Algorithms for minimization without derivatives, 1973, chapter 5.
pub(super) fn maximise(f: impl Fn(f64) -> f64, limit: f64) -> f64 {
    const GOLDEN: f64 = 0.381_966_011_250_105_1;
    let start = limit.min(1.0);
    let first = f(start);
    if start == limit {
        // The best multiple is mostly the largest one allowed: f still rises there, and it is concave.
        let before = start * (1.0 - 1.0 / 1024.0);
        if limit == 0.0 || f(before) <= first {
            return first;
        }
    }
    let (mut a, mut b) = (-limit, limit);
    let (mut x, mut w, mut v) = (start, start, start);
    let (mut fx, mut fw, mut fv) = (first, first, first);
    let (mut step, mut last) = (0.0_f64, 0.0_f64);
    for _ in 0..64 {
        let middle = 0.5 * (a + b);
        let tolerance = 1e-9 * x.abs() + 1e-12;
        if (x - middle).abs() <= 2.0 * tolerance - 0.5 * (b - a) {
            break;
        }
        let mut golden = true;
        if last.abs() > tolerance && fw.is_finite() && fv.is_finite() {
            // The vertex x + p / q of the parabola through x, w, v.
            let (r, s) = ((x - w) * (fx - fv), (x - v) * (fx - fw));
            let (p, q) = ((x - v) * s - (x - w) * r, 2.0 * (s - r));
            let (p, q) = if q > 0.0 { (-p, q) } else { (p, -q) };
            if p.abs() < (0.5 * q * last).abs() && p > q * (a - x) && p < q * (b - x) {
                (last, step) = (step, p / q);
                golden = false;
            }
        }
        if golden {
            last = if x < middle { b - x } else { a - x };
            step = GOLDEN * last;
        }
        let t = if step.abs() >= tolerance {
            x + step
        } else {
            x + tolerance.copysign(step)
        };
        let ft = f(t);
        if ft >= fx {
            if t >= x {
                a = x
            } else {
                b = x
            }
            (v, fv, w, fw, x, fx) = (w, fw, x, fx, t, ft);
        } else {
            if t < x {
                a = t
            } else {
                b = t
            }
            if ft >= fw || w == x {
                (v, fv, w, fw) = (w, fw, t, ft);
            } else if ft >= fv || v == x || v == w {
                (v, fv) = (t, ft);
            }
        }
    }
    // A narrow peak at 0 may have been missed.
    fx.max(f(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn the_best_multiple_is_found() {
        for best in [-700.0, -0.3, 0.0, 0.7, 1.0, 5.0, 900.0] {
            let count = Cell::new(0);
            let found = maximise(
                |c: f64| {
                    count.set(count.get() + 1);
                    3.0 - 2.0 * (c - best) * (c - best)
                },
                1024.0,
            );
            assert!((found - 3.0).abs() < 1e-9, "{best}: {found}");
            assert!(count.get() < 20, "{best}: {} evaluations", count.get());
        }
    }

    #[test]
    fn a_domain_and_a_kink_are_no_obstacle() {
        let f = |c: f64| {
            if (0.0..=1.5).contains(&c) {
                c - 4.0 * (c - 1.2).max(0.0)
            } else {
                f64::NEG_INFINITY
            }
        };
        let found = maximise(f, 1024.0);
        assert!((found - 1.2).abs() < 1e-6, "{found}");
    }

    #[test]
    fn a_bound_at_the_end_costs_two_evaluations() {
        let count = Cell::new(0);
        let f = |c: f64| {
            count.set(count.get() + 1);
            c
        };
        assert_eq!(maximise(f, 0.5), 0.5);
        assert_eq!(count.get(), 2);
    }
}
