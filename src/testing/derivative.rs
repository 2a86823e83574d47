//! Consistency of values and derivatives: `f(1) - f(0) = int_0^1 f'(t) dt`, also if `f'` jumps.
//!
//! A difference quotient has an error of `eps^(2/3)` and is invalid across kinks. The integral is
//! accurate to rounding, and a kink inside the segment costs a few bisections: the positions of the
//! kinks are not needed.

use super::quadrature::integrate;
use super::rounding::{Computed, rounding};
use super::violation::{Violation, within};
use crate::real::{Real, real};

/// A segment on which the law is checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    law: &'static str,
    ends: [f64; 2],
    scale: f64,
    bisections: usize,
}

impl Segment {
    /// A segment with the values `f(0)` and `f(1)`, and the number of bisections of the first
    /// attempt.
    pub fn new(law: &'static str, ends: [f64; 2], bisections: usize) -> Self {
        let scale = ends[0].abs() + ends[1].abs();
        Self {
            law,
            ends,
            scale,
            bisections,
        }
    }

    /// Adds to the scale of the rounding errors, if `f` is a difference of larger numbers.
    pub fn with_scale(mut self, scale: f64) -> Self {
        self.scale += scale;
        self
    }

    /// Checks `f(1) - f(0) = int_0^1 f'(t) dt`.
    ///
    /// Two jumps that cancel can hide between the nodes of the quadrature. A failure is therefore
    /// confirmed twice, with more pieces, cut elsewhere, and with more bisections. A wrong
    /// derivative fails every time.
    pub fn check<T: Real>(
        self,
        mut derivative: impl FnMut(f64) -> Computed,
        at: impl FnOnce() -> String,
    ) -> Result<(), Violation> {
        /// Pieces, and the factor of the number of bisections, of each attempt.
        const ATTEMPTS: [(usize, usize); 3] = [(1, 1), (7, 8), (59, 64)];
        let [start, end] = self.ends;
        let (mut error, mut tolerance) = (f64::NAN, 0.0);
        for (pieces, factor) in ATTEMPTS {
            let bisections = factor * self.bisections;
            let integral = integrate(
                &mut derivative,
                pieces,
                bisections,
                rounding::<T>(),
                self.scale,
            );
            error = (end - start - integral.value).abs();
            tolerance = rounding::<T>() * integral.scale + integral.error;
            if within(self.law, error, tolerance, String::new).is_ok() {
                return Ok(());
            }
        }
        within(self.law, error, tolerance, at)
    }
}

/// Writes `w + t v` to `out`.
pub(super) fn displace<T: Real>(w: &[T], t: f64, v: &[T], out: &mut [T]) {
    let t = real::<T>(t);
    for ((out, &w), &v) in out.iter_mut().zip(w).zip(v) {
        *out = w + t * v;
    }
}

/// A derivative by finite differences, with its uncertainty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Difference {
    pub derivative: f64,
    pub uncertainty: f64,
}

impl Difference {
    /// The mean of the left and the right difference quotient; `None` at a kink.
    ///
    /// A kink is assumed if the two quotients differ by more than a tenth of the smaller one and
    /// `noise`, the rounding error of a quotient.
    pub fn central(left: f64, right: f64, noise: f64) -> Option<Self> {
        let uncertainty = (right - left).abs();
        let smooth = uncertainty <= 0.1 * left.abs().min(right.abs()) + noise;
        smooth.then_some(Self {
            derivative: 0.5 * (left + right),
            uncertainty,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::violation::Failure;

    fn check(ends: [f64; 2], derivative: impl Fn(f64) -> f64) -> Result<(), Violation> {
        let segment = Segment::new("law", ends, 64);
        segment.check::<f64>(|t| Computed::sum([derivative(t)]), String::new)
    }

    #[test]
    fn smooth_derivatives_are_checked_to_rounding() {
        let ends = [0.0, 3.0_f64.sin()];
        assert_eq!(check(ends, |t| 3.0 * (3.0 * t).cos()), Ok(()));
        let violation = check(ends, |t| 3.0 * (1.0 + 1e-11) * (3.0 * t).cos()).unwrap_err();
        assert!(
            matches!(violation.failure, Failure::Inexact { tolerance, .. } if tolerance < 2e-12)
        );
    }

    #[test]
    fn jumps_and_kinks_at_any_position_are_checked_to_rounding() {
        for j in 0..2000 {
            let s = (j as f64 + 0.123) / 2000.0;
            let jump = |t: f64| if t > s { 1.0 } else { 0.0 };
            assert_eq!(check([0.0, 1.0 - s], jump), Ok(()));
            assert_eq!(
                check([0.0, (1.0 - s).powi(2) / 2.0], |t| (t - s).max(0.0)),
                Ok(())
            );
            check([0.0, 1.0 - s + 1e-9], jump).unwrap_err();
        }
    }
}
