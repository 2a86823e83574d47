//! The lower bound of the minimum by weak duality: the best multiple of a dual point.

use super::dual::DualRisk;
use crate::numeric::error_bounds::{add_up, div_down, mul_up, sub_down, sub_up};

/// The largest multiple `|c|` of the gradient of the risk in the search for a dual point.
///
/// It makes the search interval finite if `max |g|` or `lambda` do not bound c. Any limit leaves
/// the bound valid.
const MAX_MULTIPLE: f64 = 1024.0;

/// An upper bound of `|g|` for the multiples of a dual point:
/// `|g_z| <= |c| slope + offset` on the unit sphere for every z that may stand for `c u`.
#[derive(Debug, Clone, Copy)]
pub(super) struct GradientBound {
    pub(super) slope: f64,
    pub(super) offset: f64,
}

impl GradientBound {
    /// `(|g_z| - 2 lambda)_+` for `c u`, rounded up; 0 for c = 0, where `z = 0`.
    fn excess(self, c: f64, lambda: f64) -> f64 {
        if c == 0.0 {
            return 0.0;
        }
        let largest = add_up(mul_up(c.abs(), self.slope), self.offset);
        sub_up(largest, 2.0 * lambda).max(0.0)
    }

    /// The largest `|c|` with `|g_z| <= 2 lambda`, rounded down.
    fn feasible(self, lambda: f64) -> f64 {
        let room = sub_down((2.0 * lambda).min(f64::MAX), self.offset).max(0.0);
        if room == 0.0 {
            return 0.0;
        }
        div_down(room, self.slope).min(MAX_MULTIPLE)
    }
}

/// The dual value `D = max_c [ -R*(c u) - budget (|g_{c u}| - 2 lambda)_+ ]`, rounded down.
///
/// For an infinite budget the penalty is the constraint `|g_{c u}| <= 2 lambda`.
pub(super) fn dual_value(
    risk: &impl DualRisk,
    u: &[f64],
    bound: GradientBound,
    lambda: f64,
    budget: f64,
) -> f64 {
    let (limit, budget) = if budget < f64::INFINITY {
        (MAX_MULTIPLE, budget)
    } else {
        (bound.feasible(lambda), 0.0)
    };
    let value = |c: f64| {
        let penalty = mul_up(budget, bound.excess(c, lambda));
        risk.conjugate(u, c)
            .map_or(f64::NEG_INFINITY, |s| -add_up(s, penalty))
    };
    maximise(value, limit)
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
fn maximise(f: impl Fn(f64) -> f64, limit: f64) -> f64 {
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
        // A step of one tolerance must not leave the feasible multiples.
        let t = t.clamp(-limit, limit);
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
