//! Compensated summation and directed rounding in double precision, with a priori error bounds.

use crate::numeric::double_double::two_sum;

/// The unit of the error bounds, `2^-52`: twice the largest relative rounding error of one
/// operation.
pub(crate) const EPS: f64 = f64::EPSILON;

/// A compensated sum: `value` is within `EPS magnitude` of the exact sum of fewer than `10^7`
/// terms.
///
/// The errors of the additions are summed beside the sum. With `u = EPS / 2` the error is at most
/// `u |sum| + (n u)^2 magnitude` to leading order, whatever cancels.
///
/// Source: T. Ogita, S. M. Rump and S. Oishi, Accurate sum and dot product, SIAM J. Sci. Comput.
/// 26, 2005 (Sum2, Proposition 4.5); TwoSum: D. E. Knuth, The Art of Computer Programming 2,
/// section 4.2.2.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct CompensatedSum {
    sum: f64,
    /// The sum of the rounding errors.
    correction: f64,
    /// `sum |x|`.
    magnitude: f64,
}

impl CompensatedSum {
    /// Adds `x`.
    #[inline]
    pub(crate) fn add(&mut self, x: f64) {
        let (sum, error) = two_sum(self.sum, x);
        self.correction += error;
        self.sum = sum;
        self.magnitude += x.abs();
    }

    /// The sum.
    #[inline]
    pub(crate) fn value(&self) -> f64 {
        let corrected = self.sum + self.correction;
        // An infinite term makes `sum` infinite and `correction` NaN.
        if corrected.is_nan() {
            self.sum
        } else {
            corrected
        }
    }

    /// `sum |x|`, up to rounding.
    #[inline]
    pub(crate) fn magnitude(&self) -> f64 {
        self.magnitude
    }
}

/// `x + error` rounded up: at least the exact sum, for any sign of `x` and `error >= 0`.
#[inline]
pub(crate) fn add_rounded_up(x: f64, error: f64) -> f64 {
    let sum = x + error;
    sum + 2.0 * EPS * (sum.abs() + error) + f64::MIN_POSITIVE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancellation_does_not_lose_small_terms() {
        let mut sum = CompensatedSum::default();
        for x in [1e16, 1.0, -1e16, 1e-3, 3.0, -3.0] {
            sum.add(x);
        }
        assert_eq!(sum.value(), 1.0 + 1e-3);
        assert_eq!(sum.magnitude(), 2e16 + 7.0 + 1e-3);
        sum.add(f64::INFINITY);
        assert_eq!(sum.value(), f64::INFINITY);
    }

    #[test]
    fn add_rounded_up_exceeds_the_exact_sum() {
        for x in [-1.0, 0.0, 1e-300, 1e300] {
            assert!(add_rounded_up(x, 0.0) > x);
            assert!(add_rounded_up(x, 1e-20) > x);
        }
    }
}
