//! Double-double arithmetic on vectors of the plane: unevaluated sums `hi + lo` of two `f64`.
//!
//! Error-free additions are TwoSum (D. E. Knuth, The Art of Computer Programming, vol. 2, 4.2.2).

use std::ops::{Add, AddAssign, Sub};

/// A vector `hi + lo` of the plane, `|lo|` about `2^-53 |hi|`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DoubleDouble {
    hi: [f64; 2],
    lo: [f64; 2],
}

impl DoubleDouble {
    /// The nearest vector of `f64`.
    #[inline(always)]
    pub(crate) fn rounded(self) -> [f64; 2] {
        [self.hi[0] + self.lo[0], self.hi[1] + self.lo[1]]
    }

    /// `self - other` with an error of at most one rounding of the difference, in half the
    /// operations of `-`.
    #[inline(always)]
    pub(crate) fn fast_difference(self, other: Self) -> Self {
        let hi = [self.hi[0] - other.hi[0], self.hi[1] - other.hi[1]];
        let lo = [self.lo[0] - other.lo[0], self.lo[1] - other.lo[1]];
        Self { hi, lo }
    }

    /// Returns true if no partial sum overflowed; an infinity or NaN persists in later sums.
    pub(crate) fn is_finite(self) -> bool {
        self.rounded().iter().all(|s| s.is_finite())
    }
}

/// Knuth's TwoSum: `(s, e)` with `s = fl(a + b)` and `s + e = a + b` exactly, without overflow.
#[inline(always)]
pub(crate) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let s = a + b;
    let t = s - a;
    (s, (a - (s - t)) + (b - t))
}

/// [`two_sum`] of each coordinate.
#[inline(always)]
fn two_sums(a: [f64; 2], b: [f64; 2]) -> ([f64; 2], [f64; 2]) {
    let (s0, e0) = two_sum(a[0], b[0]);
    let (s1, e1) = two_sum(a[1], b[1]);
    ([s0, s1], [e0, e1])
}

impl Add<[f64; 2]> for DoubleDouble {
    type Output = Self;

    #[inline(always)]
    fn add(self, term: [f64; 2]) -> Self {
        let (hi, e) = two_sums(self.hi, term);
        let lo = [self.lo[0] + e[0], self.lo[1] + e[1]];
        Self { hi, lo }
    }
}

impl Add for DoubleDouble {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let (hi, e) = two_sums(self.hi, other.hi);
        let lo = |r: usize| e[r] + (self.lo[r] + other.lo[r]);
        Self {
            hi,
            lo: [lo(0), lo(1)],
        }
    }
}

impl Sub for DoubleDouble {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        let [hi, lo] = [other.hi, other.lo].map(|v| v.map(|s| -s));
        self.add(Self { hi, lo })
    }
}

impl<V> AddAssign<V> for DoubleDouble
where
    Self: Add<V, Output = Self>,
{
    #[inline(always)]
    fn add_assign(&mut self, term: V) {
        *self = *self + term;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_terms_survive_large_ones() {
        let mut sum = DoubleDouble::default();
        for term in [[1e16, -1e16], [1.0, 1.0], [-1e16, 1e16], [1e-9, -1e-9]] {
            sum += term;
        }
        assert_eq!(sum.rounded(), [1.0 + 1e-9, 1.0 - 1e-9]);
        assert_eq!((sum - sum).rounded(), [0.0, 0.0]);
    }

    #[test]
    fn an_overflow_persists() {
        let mut sum = DoubleDouble::default();
        for term in [f64::MAX, f64::MAX, -f64::MAX, -f64::MAX] {
            sum += [term, 0.0];
        }
        assert!(!sum.is_finite());
    }
}
