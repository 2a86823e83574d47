//! Directed rounding and compensated summation in double precision, with stated error bounds.
//!
//! A bound is computed by functions `_up` (at least the exact result) and `_down` (at most the exact
//! result). They are correct for subnormal results and for overflow, and propagate NaN.

use crate::numeric::double_double::two_sum;

/// The unit of the error bounds, `2^-52`: twice the largest relative rounding error of one
/// operation.
pub(crate) const EPS: f64 = f64::EPSILON;

/// The smallest positive number, `2^-1074`: twice the largest error of an operation whose result
/// is subnormal.
pub(crate) const TINY: f64 = f64::from_bits(1);

/// `x + y`, rounded up: the exact sum if that is a number, else the next number above.
#[inline]
pub(crate) fn add_up(x: f64, y: f64) -> f64 {
    let (sum, error) = two_sum(x, y);
    // The error of a sum that overflows is not a number.
    if error <= 0.0 && error > f64::NEG_INFINITY {
        sum
    } else {
        sum.next_up()
    }
}

/// `x - y`, rounded up.
#[inline]
pub(crate) fn sub_up(x: f64, y: f64) -> f64 {
    add_up(x, -y)
}

/// `x - y`, rounded down.
#[inline]
pub(crate) fn sub_down(x: f64, y: f64) -> f64 {
    -add_up(y, -x)
}

/// `x y` for `x, y >= 0`, rounded up; 0 if one of them is 0, even if the other is infinite.
#[inline]
pub(crate) fn mul_up(x: f64, y: f64) -> f64 {
    if x == 0.0 || y == 0.0 {
        0.0
    } else {
        (x * y).next_up()
    }
}

/// `x / y` for `x >= 0` and `y > 0`, rounded down.
#[inline]
pub(crate) fn div_down(x: f64, y: f64) -> f64 {
    (x / y).next_down().max(0.0)
}

/// `2^e x`, rounded to nearest, once.
#[inline]
pub(crate) fn scale(x: f64, e: i32) -> f64 {
    if (-1022..=1023).contains(&e) {
        x * f64::from_bits(((1023 + e) as u64) << 52)
    } else {
        libm::scalbn(x, e)
    }
}

/// `2^e x`, rounded up.
#[inline]
pub(crate) fn scale_up(x: f64, e: i32) -> f64 {
    let y = scale(x, e);
    if scale(y, -e) >= x { y } else { y.next_up() }
}

/// `2^e x`, rounded down.
#[inline]
pub(crate) fn scale_down(x: f64, e: i32) -> f64 {
    -scale_up(-x, e)
}

/// A compensated sum of n terms with an error bound.
///
/// The errors of the additions are summed beside the sum. With `u = EPS / 2` the error is at most
/// `u |sum| + (n u)^2 magnitude` to first order, whatever cancels.
///
/// Source: T. Ogita, S. M. Rump and S. Oishi, Accurate sum and dot product, SIAM J. Sci. Comput.
/// 26, 2005 (Sum2, Proposition 4.5); TwoSum: D. E. Knuth, The Art of Computer Programming 2,
/// section 4.2.2.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct CompensatedSum {
    sum: f64,
    /// The sum of the rounding errors.
    correction: f64,
}

impl CompensatedSum {
    /// Adds `x`.
    #[inline]
    pub(crate) fn add(&mut self, x: f64) {
        let (sum, error) = two_sum(self.sum, x);
        self.correction += error;
        self.sum = sum;
    }

    /// The sum times `s`, a sign or another power of two.
    #[inline]
    pub(crate) fn scaled(&self, s: f64) -> Self {
        Self {
            sum: s * self.sum,
            correction: s * self.correction,
        }
    }

    /// The sum; infinite or NaN if a term is not finite or a partial sum overflows.
    #[inline]
    pub(crate) fn value(&self) -> f64 {
        self.sum + self.correction
    }

    /// An upper bound of the exact sum of `terms` terms with `sum |x| <= magnitude`, each of them
    /// with an error of which `errors` bounds the sum; infinite if the sum overflows.
    pub(crate) fn upper(&self, terms: usize, magnitude: f64, errors: f64) -> f64 {
        let (value, n) = (self.value(), terms as f64 * EPS);
        if !value.is_finite() {
            return f64::INFINITY;
        }
        let rounding = EPS * value.abs() + (n * n) * magnitude + TINY;
        let upper = add_up(value, add_up(errors, rounding));
        if upper.is_nan() { f64::INFINITY } else { upper }
    }
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
        assert!((1.0 + 1e-3..1.0 + 1e-3 + 1e-13).contains(&sum.upper(6, 3e16, 0.0)));
        for x in [1e308, 1e308, -1e308, -1e308] {
            sum.add(x);
        }
        assert_eq!(sum.upper(10, f64::MAX, 0.0), f64::INFINITY);
    }

    #[test]
    fn directed_rounding_at_all_scales() {
        assert_eq!(add_up(1.0, 2.0), 3.0);
        for (x, y) in [(1.0, 1e-30), (1e300, 1e-300), (-1.0, 1e-30), (1.0, TINY)] {
            assert_eq!(add_up(x, y), x.next_up());
            assert_eq!(sub_down(x, y), x.next_down());
            assert_eq!((sub_up(x, y), sub_down(x, -y)), (x, x));
        }
        assert_eq!(add_up(f64::MAX, f64::MAX), f64::INFINITY);
        assert_eq!(add_up(-f64::MAX, -f64::MAX), -f64::MAX);
        assert!(add_up(f64::INFINITY, f64::NEG_INFINITY).is_nan());
        assert_eq!(
            (mul_up(1e-200, 1e-200), mul_up(0.0, f64::INFINITY)),
            (TINY, 0.0)
        );
        assert_eq!((div_down(TINY, 2.0), div_down(1.0, TINY)), (0.0, f64::MAX));
        assert_eq!(
            (scale_up(3.0, -1075), scale_down(3.0, -1075)),
            (2.0 * TINY, TINY)
        );
        assert_eq!(
            (scale_up(1.0, 2000), scale_down(1.0, 2000)),
            (f64::INFINITY, f64::MAX)
        );
        assert_eq!(scale_up(TINY, 1074), 1.0);
    }
}
