//! Vectors of the plane in twice the precision of `f64`: unevaluated sums `hi + lo` (Knuth's TwoSum).

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

    /// `self - other`, off by one rounding of the difference at most: half the operations of `-`.
    #[inline(always)]
    pub(crate) fn less(self, other: Self) -> Self {
        let hi = [self.hi[0] - other.hi[0], self.hi[1] - other.hi[1]];
        let lo = [self.lo[0] - other.lo[0], self.lo[1] - other.lo[1]];
        Self { hi, lo }
    }

    /// Whether no sum on the way here overflowed (an overflow is never undone).
    pub(crate) fn is_finite(self) -> bool {
        self.rounded().iter().all(|s| s.is_finite())
    }
}

/// `(s, e)` with `s = fl(a + b)` and `s + e = a + b` exactly, for each coordinate.
#[inline(always)]
fn two_sum(a: [f64; 2], b: [f64; 2]) -> ([f64; 2], [f64; 2]) {
    let s = [a[0] + b[0], a[1] + b[1]];
    let t = [s[0] - a[0], s[1] - a[1]];
    let e = [
        (a[0] - (s[0] - t[0])) + (b[0] - t[0]),
        (a[1] - (s[1] - t[1])) + (b[1] - t[1]),
    ];
    (s, e)
}

impl Add<[f64; 2]> for DoubleDouble {
    type Output = Self;

    #[inline(always)]
    fn add(self, term: [f64; 2]) -> Self {
        let (hi, e) = two_sum(self.hi, term);
        let lo = [self.lo[0] + e[0], self.lo[1] + e[1]];
        Self { hi, lo }
    }
}

impl Add for DoubleDouble {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let (hi, e) = two_sum(self.hi, other.hi);
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
