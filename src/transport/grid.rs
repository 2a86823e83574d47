//! Costs in fixed point. Sums and differences of integers are exact, so that potentials do not
//! drift and every decrease of the cost of a plan is real.

/// Bits of the largest cost. Potentials are sums along paths: fewer than 2^36 arcs fit in an
/// `i128`.
const BITS: i32 = 90;
/// `2^64`.
const TWO_64: f64 = 18_446_744_073_709_551_616.0;
/// The least exponent of the unit, so that its reciprocal is finite.
const MIN_EXPONENT: i32 = -1000;

/// Costs as multiples of a unit, rounded down; costs above the cap of about 2^90 units are reduced
/// to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    /// The unit, a power of two.
    unit: f64,
    cap: f64,
}

impl Grid {
    /// The grid whose cap is the least power of two above `largest`.
    pub(super) fn new(largest: f64) -> Self {
        let bits = if largest > 0.0 {
            exponent(largest) + 1
        } else {
            0
        };
        let e = (bits - BITS).max(MIN_EXPONENT);
        Self {
            unit: scaled(1.0, e),
            cap: scaled(1.0, e + BITS),
        }
    }

    pub(super) fn unit(&self) -> f64 {
        self.unit
    }

    pub(super) fn cap(&self) -> f64 {
        self.cap
    }

    /// A cost or price in units.
    pub(super) fn units(&self, c: f64) -> i128 {
        (c.clamp(-self.cap, self.cap) / self.unit).floor() as i128
    }

    /// The number of `units`, rounded down.
    pub(super) fn floor(&self, units: i128) -> f64 {
        let nearest = units as f64;
        if nearest as i128 > units {
            nearest.next_down() * self.unit
        } else {
            nearest * self.unit
        }
    }

    /// The number of `units`, within one rounding of the nearest.
    ///
    /// Two conversions of halves are several times faster than that of an `i128`.
    #[inline]
    pub(super) fn value(&self, units: i128) -> f64 {
        let (high, low) = ((units >> 64) as i64, units as u64);
        ((high as f64) * TWO_64 + low as f64) * self.unit
    }
}

/// The median of potentials with weights `mass`: most of the mass has small potentials relative to
/// it.
pub(super) fn weighted_median(y: impl Iterator<Item = i128>, mass: &[i128]) -> i128 {
    let mut ordered: Vec<(i128, i128)> = y.zip(mass.iter().copied()).collect();
    ordered.sort_unstable();
    let half = mass.iter().sum::<i128>() / 2;
    let mut below = 0;
    for (y, mass) in ordered {
        below += mass;
        if below > half {
            return y;
        }
    }
    0
}

/// The exponent e of a positive number: `2^e <= x < 2^(e + 1)`.
pub(super) fn exponent(x: f64) -> i32 {
    if x >= f64::MIN_POSITIVE {
        (x.to_bits() >> 52) as i32 - 1023
    } else {
        // Subnormal numbers are multiples of 2^-1074.
        63 - 1074 - x.to_bits().leading_zeros() as i32
    }
}

/// `x 2^e` with a single rounding where the result is subnormal.
pub(super) fn scaled(x: f64, e: i32) -> f64 {
    let power = |e: i32| f64::from_bits(((e + 1023) as u64) << 52);
    let e = e.clamp(-2200, 2200);
    if (-1022..=1023).contains(&e) {
        return x * power(e);
    }
    // Overflow and underflow in the first factors are final; the last product rounds.
    let step = if e > 0 { 1000 } else { -900 };
    let mut x = x;
    let mut e = e;
    while !(-900..=1000).contains(&e) {
        x *= power(step);
        e -= step;
    }
    x * power(e)
}
