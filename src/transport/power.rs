//! The ground cost as a function of a squared distance.

use super::grid::{exponent, scaled};

/// Larger costs are reduced to this, so that sums of costs do not overflow. They occur only after
/// the unit of length was reduced to that of an almost optimal plan, which then avoids them.
pub(super) const CAP: f64 = 1e120;
/// Exponents above this use a unit of length that is not a power of two: `2^p` would overflow.
const LARGE: f64 = 64.0;

/// The largest exponent of a single factor of [`Power::in_units`].
const MAX_FACTOR: f64 = 500.0;

/// The cost `min((s / t^2)^(p/2), CAP)` of a squared distance s.
#[derive(Debug, Clone, Copy)]
pub(super) struct Power {
    pub(super) p: f64,
    /// `1 / t^2`: 1 unless p is large.
    inverse: f64,
    /// `t = length 2^exponent`, with a length between 1 and 2.
    length: f64,
    exponent: i32,
}

impl Power {
    /// The p-th power of distances, in units of about `largest` if p is large.
    pub(super) fn new(p: f64, largest: f64) -> Self {
        let is_scaled = p > LARGE && largest > 0.0 && largest.is_finite();
        let t = if is_scaled { largest } else { 1.0 };
        let exponent = exponent(t);
        Self {
            p,
            inverse: (t * t).recip(),
            length: scaled(t, -exponent),
            exponent,
        }
    }

    pub(super) fn is_square(self) -> bool {
        self.p == 2.0
    }

    /// The cost of a squared distance.
    #[inline(always)]
    pub(super) fn cost(self, s: f64) -> f64 {
        let c = if self.p == 2.0 {
            s
        } else if self.p == 1.0 {
            s.sqrt()
        } else {
            (s * self.inverse).powf(0.5 * self.p)
        };
        c.min(CAP)
    }

    /// Whether [`in_units`](Self::in_units) multiplies by a power of two.
    pub(super) fn is_exact(self, e: i32) -> bool {
        self.length == 1.0 && (f64::from(e + self.exponent) * self.p).fract() == 0.0
    }

    /// A bound of the relative rounding error of [`in_units`](Self::in_units) without underflow.
    pub(super) fn rounding_of_units(self, e: i32) -> f64 {
        if self.is_exact(e) {
            0.0
        } else {
            8.0 * f64::EPSILON * (self.p / MAX_FACTOR).ceil()
        }
    }

    /// A cost `c` of distances that are multiples of `2^e`: `c (t 2^e)^p`, or divided by it if
    /// `sign` is -1.
    ///
    /// Overflows or underflows only if the result does: large powers are split in factors.
    pub(super) fn in_units(self, c: f64, e: i32, sign: f64) -> f64 {
        let factors = (self.p / MAX_FACTOR).ceil();
        let p = self.p / factors;
        let exponent = sign * f64::from(e + self.exponent) * p;
        // Exact for one factor of an integer p.
        let (whole, rest) = (exponent.floor(), exponent - exponent.floor());
        let factor = self.length.powf(sign * p) * rest.exp2();
        let mut product = c;
        for _ in 0..factors as u32 {
            product = scaled(product * factor, whole.clamp(-1e6, 1e6) as i32);
        }
        product
    }

    /// The distance of which `root` is the p-th root of the cost, for distances that are multiples
    /// of `2^e`.
    pub(super) fn length(self, e: i32, root: f64) -> f64 {
        scaled(root * self.length, e + self.exponent)
    }

    /// A bound of the relative rounding error of a cost between points of `dim` coordinates.
    ///
    /// Each square has three roundings and the sum has `dim`, of `EPSILON / 2` each. The power
    /// multiplies a relative error by p / 2, and adds an error of its own, of at most 2 units in
    /// the last place, unless p = 2. Underflow of squares is relative to this error if s is at
    /// least `dim 2^-1000`.
    pub(super) fn relative_rounding(self, dim: usize) -> f64 {
        let square = 0.5 * dim as f64 + 3.0;
        let power = if self.is_square() { 1.0 } else { 4.0 };
        (0.5 * self.p * square + power) * f64::EPSILON
    }

    /// A bound of the absolute rounding error of a cost by underflow.
    pub(super) fn absolute_rounding(self, dim: usize) -> f64 {
        self.cost(dim as f64 * scaled(1.0, -1000)) + f64::MIN_POSITIVE
    }
}
