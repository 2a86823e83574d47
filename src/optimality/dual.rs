//! The Fenchel dual problem: convex conjugates of risks, and the best multiple of a dual point.

use std::rc::Rc;
use std::sync::Arc;

use crate::forward::forward;
use crate::loss::Loss;
use crate::numeric::error_bounds::{CompensatedSum, EPS, add_rounded_up};
use crate::numeric::vector::{columns, columns_mut};
use crate::real::{Real, to_f64};
use crate::risk::{EmpiricalRisk, SoftmaxCrossEntropy};

/// A convex risk with its conjugate `R*(u) = sup_h <u, h> - R(h)`, in double precision with bounds
/// on rounding errors.
///
/// Certificates require it of a risk. Arrays are `k x n`, as in [`Risk`](crate::risk::Risk).
///
/// # Laws
/// - `slope` writes the gradient of the risk (a subgradient at kinks) at `h`, up to rounding.
/// - `upper(h, radius) >= R(h')` for every `h'` with `|h'_jl - h_jl| <= radius_j`.
/// - `conjugate(u, c) >= R*(z)` for some `z` with `|z_j - c u_j| <= 2^-48 |c u_j|` for every sample
///   j.
///
/// Hence `-conjugate(u, c) <= R(h) - <z, h>` for every h, after rounding.
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
    /// Writes the gradient `u = grad R(h)`.
    fn slope(&self, h: &[f64], u: &mut [f64]);

    /// An upper bound of R on the box of centre `h` and half-width `radius_j` (one a sample).
    fn upper(&self, h: &[f64], radius: &[f64]) -> f64;

    /// An upper bound of `R*` at `c u`, up to rounding of the point.
    ///
    /// Infinite outside the domain of `R*`; `None` if `R*` is not implemented.
    fn conjugate(&self, u: &[f64], c: f64) -> Option<f64>;
}

forward! {
    impl[R: DualRisk + ?Sized] DualRisk; for &R, &mut R, Box<R>, Rc<R>, Arc<R>; {
        fn slope(&self, h: &[f64], u: &mut [f64]);
        fn upper(&self, h: &[f64], radius: &[f64]) -> f64;
        fn conjugate(&self, u: &[f64], c: f64) -> Option<f64>;
    }
}

/// `R = sum_j c_j sum_l l(y_jl, .)`, so `R*(u) = sum_j c_j sum_l l*(y_jl, u_jl / c_j)` over the
/// samples with `c_j > 0`.
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
        let mut sum = CompensatedSum::default();
        for (i, &h) in h.iter().enumerate() {
            let (c, y) = (to_f64(self.weights()[i / k]), to_f64(y[i]));
            if c == 0.0 {
                continue;
            }
            // A convex function has its maximum over an interval at an end.
            let e = radius[i / k] + EPS * (radius[i / k] + h.abs());
            let loss = |h| Loss::<f64>::value(self.loss(), y, h);
            let (left, right) = (loss(h - e), loss(h + e));
            sum.add(c * if left > right { left } else { right });
        }
        add_rounded_up(sum.value(), 16.0 * EPS * sum.magnitude())
    }

    fn conjugate(&self, u: &[f64], c: f64) -> Option<f64> {
        let (k, y) = (self.targets().nrows(), self.targets().as_slice());
        let (mut sum, mut size) = (CompensatedSum::default(), 0.0);
        for (i, &u) in u.iter().enumerate() {
            let (weight, y) = (to_f64(self.weights()[i / k]), to_f64(y[i]));
            if weight == 0.0 {
                continue;
            }
            let mut v = c * u / weight;
            let mut value = self.loss().conjugate(y, v)?;
            if value == f64::INFINITY {
                // Rounding may leave the domain by an ulp. Its interior lies towards 0.
                v *= 1.0 - 4.0 * EPS;
                value = self.loss().conjugate(y, v)?;
            }
            if value == f64::INFINITY {
                return Some(value);
            }
            sum.add(weight * value);
            size += weight * (value.abs() + v.abs() * (1.0 + v.abs() + y.abs()));
        }
        Some(add_rounded_up(
            sum.value(),
            16.0 * EPS * (size + sum.magnitude()),
        ))
    }
}

/// With `u_j = c_j (p_j - e_{y_j})`, `p_j` a probability vector:
/// `R*(u) = sum_j c_j sum_l p_jl log p_jl`, over the samples with `c_j > 0`.
///
/// `slope` and `conjugate` compute the entry of the class `y_j` as minus the sum of the others. In
/// exact arithmetic they are equal; in floating point `p - 1` would cancel.
impl<T: Real> DualRisk for SoftmaxCrossEntropy<T> {
    fn slope(&self, h: &[f64], u: &mut [f64]) {
        let k = h.len() / self.labels().len();
        let samples = columns(h, k).zip(columns_mut(u, k)).zip(self.labels());
        for (((h, u), &y), &c) in samples.zip(self.weights()) {
            let c = to_f64(c);
            if c == 0.0 {
                u.fill(0.0);
                continue;
            }
            let (max, total) = shifted_exponentials(h);
            let mut others = 0.0;
            for l in (0..k).filter(|&l| l != y) {
                u[l] = c * ((h[l] - max).exp() / total);
                others += u[l];
            }
            u[y] = -others;
        }
    }

    fn upper(&self, h: &[f64], radius: &[f64]) -> f64 {
        let k = h.len() / self.labels().len();
        let mut sum = CompensatedSum::default();
        let samples = columns(h, k).zip(radius).zip(self.labels());
        for (((h, &e), &y), &c) in samples.zip(self.weights()) {
            let c = to_f64(c);
            if c == 0.0 {
                continue;
            }
            let (max, total) = shifted_exponentials(h);
            let loss = max - h[y] + total.ln();
            // Both log-sum-exp and h_y change by at most the radius.
            sum.add(c * (loss + 2.0 * e));
            sum.add(c * (4.0 * EPS * (max - h[y] + k as f64)));
        }
        add_rounded_up(sum.value(), 16.0 * EPS * sum.magnitude())
    }

    fn conjugate(&self, u: &[f64], c: f64) -> Option<f64> {
        let k = u.len() / self.labels().len();
        let (mut sum, mut mass) = (CompensatedSum::default(), 0.0);
        let samples = columns(u, k).zip(self.labels());
        for ((u, &y), &weight) in samples.zip(self.weights()) {
            let weight = to_f64(weight);
            if weight == 0.0 {
                continue;
            }
            mass += weight;
            let mut others = 0.0;
            for l in (0..k).filter(|&l| l != y) {
                let p = c * u[l] / weight;
                if p < 0.0 {
                    return Some(f64::INFINITY);
                }
                others += p;
                sum.add(weight * negative_entropy(p));
            }
            // The larger end value of p log p, which is convex, for p = 1 - others up to rounding.
            let error = EPS * k as f64;
            if others > 1.0 + error {
                return Some(f64::INFINITY);
            }
            let low = (1.0 - others - error).max(0.0);
            let high = (1.0 - others + error).min(1.0);
            sum.add(weight * negative_entropy(low).max(negative_entropy(high)));
        }
        Some(add_rounded_up(
            sum.value(),
            16.0 * EPS * (sum.magnitude() + mass),
        ))
    }
}

/// `max_l h_l` and `sum_l exp(h_l - max)`.
fn shifted_exponentials(h: &[f64]) -> (f64, f64) {
    let max = h.iter().fold(f64::NEG_INFINITY, |max, &h| max.max(h));
    (max, h.iter().map(|h| (h - max).exp()).sum())
}

/// `p log p`, 0 at 0.
fn negative_entropy(p: f64) -> f64 {
    if p > 0.0 { p * p.ln() } else { 0.0 }
}

/// The golden section `(3 - sqrt 5) / 2`.
const GOLDEN: f64 = 0.381_966_011_250_105_1;

/// Iterations at most. Golden sections alone reduce `[-1024, 1024]` to a width of `1e-9` in 59.
const ITERATIONS: usize = 64;

/// The relative tolerance of the maximiser. Near a smooth maximum, f is constant to rounding within
/// `sqrt(EPS)`.
const RELATIVE_TOLERANCE: f64 = 1e-9;

/// The absolute tolerance of the maximiser, for maximisers near 0.
const ABSOLUTE_TOLERANCE: f64 = 1e-12;

/// The relative distance to the right end of the point that tests whether f increases there.
const END_OFFSET: f64 = 1.0 / 1024.0;

/// The largest value found of a concave `f` on `[-limit, limit]`, by golden section and parabolas
/// (Brent's method).
///
/// Every value of `f` is a valid dual bound, so that the search may stop early. The maximum of a
/// parabola is exact after one step, which covers the square loss. `f` may be `-inf`, except at
/// `min(1, limit)`.
///
/// Source: R. P. Brent, Algorithms for minimization without derivatives, 1973, chapter 5.
pub(super) fn maximise(f: impl Fn(f64) -> f64, limit: f64) -> f64 {
    let start = limit.min(1.0);
    let first = f(start);
    if start == limit {
        // The largest feasible multiple is usually the best: f is concave, and still increases
        // there.
        let before = start * (1.0 - END_OFFSET);
        if limit == 0.0 || f(before) <= first {
            return first;
        }
    }
    let (mut a, mut b) = (-limit, limit);
    // The best point, the second best, and the previous value of w.
    let (mut x, mut w, mut v) = (start, start, start);
    let (mut fx, mut fw, mut fv) = (first, first, first);
    let (mut step, mut previous_step) = (0.0_f64, 0.0_f64);
    for _ in 0..ITERATIONS {
        let middle = 0.5 * (a + b);
        let tolerance = RELATIVE_TOLERANCE * x.abs() + ABSOLUTE_TOLERANCE;
        if (x - middle).abs() <= 2.0 * tolerance - 0.5 * (b - a) {
            break;
        }
        let mut golden = true;
        if previous_step.abs() > tolerance && fw.is_finite() && fv.is_finite() {
            // The vertex x + p / q of the parabola through x, w, v.
            let (r, s) = ((x - w) * (fx - fv), (x - v) * (fx - fw));
            let (p, q) = ((x - v) * s - (x - w) * r, 2.0 * (s - r));
            let (p, q) = if q > 0.0 { (-p, q) } else { (p, -q) };
            if p.abs() < (0.5 * q * previous_step).abs() && p > q * (a - x) && p < q * (b - x) {
                (previous_step, step) = (step, p / q);
                golden = false;
            }
        }
        if golden {
            previous_step = if x < middle { b - x } else { a - x };
            step = GOLDEN * previous_step;
        }
        let t = if step.abs() >= tolerance {
            x + step
        } else {
            x + tolerance.copysign(step)
        };
        let ft = f(t);
        if ft >= fx {
            if t >= x {
                a = x;
            } else {
                b = x;
            }
            (v, fv, w, fw, x, fx) = (w, fw, x, fx, t, ft);
        } else {
            if t < x {
                a = t;
            } else {
                b = t;
            }
            if ft >= fw || w == x {
                (v, fv, w, fw) = (w, fw, t, ft);
            } else if ft >= fv || v == x || v == w {
                (v, fv) = (t, ft);
            }
        }
    }
    // A domain that is a narrow interval about 0 may have been missed.
    fx.max(f(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_parabola_takes_fewer_than_20_evaluations() {
        for maximizer in [-700.0, -0.3, 0.0, 0.7, 1.0, 5.0, 900.0] {
            let count = Cell::new(0);
            let f = |c: f64| {
                count.set(count.get() + 1);
                3.0 - 2.0 * (c - maximizer) * (c - maximizer)
            };
            let value = maximise(f, 1024.0);
            assert!((value - 3.0).abs() < 1e-9, "{maximizer}: {value}");
            assert!(count.get() < 20, "{maximizer}: {} evaluations", count.get());
        }
    }

    #[test]
    fn a_kink_inside_a_bounded_domain_is_maximised() {
        let f = |c: f64| match c {
            0.0..=1.5 => c - 4.0 * (c - 1.2).max(0.0),
            _ => f64::NEG_INFINITY,
        };
        let value = maximise(f, 1024.0);
        assert!((value - 1.2).abs() < 1e-6, "{value}");
    }
}
