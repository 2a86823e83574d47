//! Double-double arithmetic on vectors of the plane: unevaluated sums `hi + lo` of two `f64`.
//!
//! Error-free additions are TwoSum (D. E. Knuth, The Art of Computer Programming, vol. 2, 4.2.2).

use std::ops::{Add, AddAssign, Neg, Sub};

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
    pub(crate) fn less(self, other: Self) -> Self {
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
        let lo = [
            e[0] + (self.lo[0] + other.lo[0]),
            e[1] + (self.lo[1] + other.lo[1]),
        ];
        Self { hi, lo }
    }
}

impl Neg for DoubleDouble {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        Self {
            hi: self.hi.map(|s| -s),
            lo: self.lo.map(|s| -s),
        }
    }
}

impl Sub for DoubleDouble {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.add(-other)
    }
}

impl AddAssign<[f64; 2]> for DoubleDouble {
    #[inline(always)]
    fn add_assign(&mut self, term: [f64; 2]) {
        *self = *self + term;
    }
}

impl AddAssign for DoubleDouble {
    #[inline(always)]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
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
    fn an_overflow_is_seen_at_the_end() {
        let mut sum = DoubleDouble::default();
        for term in [
            [f64::MAX, 0.0],
            [f64::MAX, 0.0],
            [-f64::MAX, 0.0],
            [-f64::MAX, 0.0],
        ] {
            sum += term;
        }
        assert!(!sum.is_finite());
    }
}
