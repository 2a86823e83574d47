//! Sums in double precision whose rounding is bounded.

/// The unit of the error bounds, `2^-52`: twice the rounding error of one operation.
pub(crate) const EPS: f64 = f64::EPSILON;

/// A sum that carries its own rounding error along.
///
/// `value` is within `EPS size` of the exact sum of fewer than `10^7` terms, whatever cancels.
///
/// Source: D. E. Knuth, The Art of Computer Programming 2, section 4.2.2 (the error of an addition is a number).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct BoundedSum {
    high: f64,
    low: f64,
    /// `sum |x|`.
    size: f64,
}

impl BoundedSum {
    /// Adds `x`.
    #[inline]
    pub(crate) fn add(&mut self, x: f64) {
        let sum = self.high + x;
        let z = sum - self.high;
        self.low += (self.high - (sum - z)) + (x - z);
        self.high = sum;
        self.size += x.abs();
    }

    /// The sum.
    #[inline]
    pub(crate) fn value(&self) -> f64 {
        let sum = self.high + self.low;
        // Infinite terms leave an infinite `high` and a NaN `low`.
        if sum.is_nan() { self.high } else { sum }
    }

    /// `sum |x|`, up to rounding.
    #[inline]
    pub(crate) fn size(&self) -> f64 {
        self.size
    }
}

/// A number that is at least `x + error`, for any sign of `x`.
#[inline]
pub(crate) fn above(x: f64, error: f64) -> f64 {
    let sum = x + error;
    sum + 2.0 * EPS * (sum.abs() + error) + f64::MIN_POSITIVE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancellation_leaves_no_error_behind() {
        let mut sum = BoundedSum::default();
        for x in [1e16, 1.0, -1e16, 1e-3, 3.0, -3.0] {
            sum.add(x);
        }
        assert_eq!(sum.value(), 1.0 + 1e-3);
        assert_eq!(sum.size(), 2e16 + 7.0 + 1e-3);
    }

    #[test]
    fn an_infinite_term_makes_an_infinite_sum() {
        let mut sum = BoundedSum::default();
        for x in [1.0, f64::INFINITY, 2.0] {
            sum.add(x);
        }
        assert_eq!(sum.value(), f64::INFINITY);
    }

    #[test]
    fn above_is_above() {
        for x in [-1.0, 0.0, 1e-300, 1e300] {
            assert!(above(x, 0.0) > x);
            assert!(above(x, 1e-20) > x);
        }
    }
}
