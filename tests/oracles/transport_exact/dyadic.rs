//! Dyadic rationals `m 2^e` with exact sums and products, and directed rounding where digits grow.
//!
//! Every finite `f32` and `f64` is one of them, so that inputs and results of the library are
//! represented without error.

use std::cmp::Ordering;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Mul, Neg, Sub};

use num_bigint::{BigInt, Sign};

/// Bits of a rounded mantissa.
const PRECISION: u64 = 256;

/// The number `m 2^e`.
#[derive(Clone)]
pub struct Dyadic {
    m: BigInt,
    e: i64,
}

/// The direction of rounding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Round {
    Down,
    Up,
}

impl Dyadic {
    pub fn zero() -> Self {
        Self {
            m: BigInt::ZERO,
            e: 0,
        }
    }

    pub fn is_zero(&self) -> bool {
        self.m.sign() == Sign::NoSign
    }

    pub fn is_positive(&self) -> bool {
        self.m.sign() == Sign::Plus
    }

    pub fn abs(&self) -> Self {
        match self.m.sign() {
            Sign::Minus => -self,
            _ => self.clone(),
        }
    }

    /// `2^e`.
    pub fn power_of_two(e: i64) -> Self {
        Self {
            m: BigInt::from(1),
            e,
        }
    }

    /// The integer `self / 2^e`, for `e` at most the exponent of this number.
    fn mantissa(&self, e: i64) -> BigInt {
        &self.m << (self.e - e) as u64
    }

    /// The numbers as integer multiples of one power of two, which is returned too.
    pub fn integers(numbers: &[Self]) -> (Vec<BigInt>, Self) {
        let nonzero = numbers.iter().filter(|z| !z.is_zero());
        let e = nonzero.map(|z| z.e).min().unwrap_or(0);
        let integer = |z: &Self| {
            if z.is_zero() {
                BigInt::ZERO
            } else {
                z.mantissa(e)
            }
        };
        (numbers.iter().map(integer).collect(), Self::power_of_two(e))
    }

    /// At most [`PRECISION`] bits, rounded down or up.
    pub fn round(self, direction: Round) -> Self {
        let excess = self.m.bits().saturating_sub(PRECISION);
        if excess == 0 {
            return self;
        }
        let m = match direction {
            Round::Down => self.m >> excess, // a shift of a BigInt rounds down
            Round::Up => -(-self.m >> excess),
        };
        Self {
            m,
            e: self.e + excess as i64,
        }
    }

    /// The square root of a number `>= 0`, rounded.
    pub fn sqrt(&self, direction: Round) -> Self {
        if self.is_zero() {
            return Self::zero();
        }
        let missing = (2 * PRECISION).saturating_sub(self.m.bits()) as i64;
        let shift = missing + (self.e - missing).rem_euclid(2);
        let square = &self.m << shift as u64;
        let mut root = square.sqrt();
        if direction == Round::Up && &root * &root != square {
            root += 1;
        }
        Self {
            m: root,
            e: (self.e - shift) / 2,
        }
        .round(direction)
    }

    /// The power `self^k` of a number `>= 0`, rounded.
    pub fn powi(&self, mut k: u64, direction: Round) -> Self {
        let mut square = self.clone().round(direction);
        let mut power = Self::power_of_two(0);
        while k > 0 {
            if k % 2 == 1 {
                power = (&power * &square).round(direction);
            }
            k /= 2;
            if k > 0 {
                square = (&square * &square).round(direction);
            }
        }
        power
    }

    /// The power `self^q` of a number `>= 0` for `q = k 2^-h > 0`, rounded.
    pub fn powf(&self, q: f64, direction: Round) -> Self {
        let (mut base, mut k) = (self.clone(), q);
        while k.fract() != 0.0 {
            base = base.sqrt(direction);
            k *= 2.0;
        }
        base.powi(k as u64, direction)
    }

    /// The base-10 logarithm of a positive number, for messages.
    fn log10(&self) -> f64 {
        let excess = self.m.bits().saturating_sub(60);
        let leading = u64::try_from(self.m.magnitude() >> excess).unwrap_or(0);
        (leading as f64).log10() + (self.e + excess as i64) as f64 * 2.0_f64.log10()
    }
}

impl From<f64> for Dyadic {
    /// Exact.
    fn from(x: f64) -> Self {
        assert!(x.is_finite(), "{x} is not a number of the line");
        if x == 0.0 {
            return Self::zero();
        }
        let bits = x.to_bits();
        let exponent = ((bits >> 52) & 0x7ff) as i64;
        let fraction = bits & ((1 << 52) - 1);
        let (m, e) = if exponent == 0 {
            (fraction, -1074)
        } else {
            (fraction | 1 << 52, exponent - 1075)
        };
        let zeros = m.trailing_zeros();
        let m = BigInt::from(m >> zeros);
        Self {
            m: if x < 0.0 { -m } else { m },
            e: e + i64::from(zeros),
        }
    }
}

impl From<BigInt> for Dyadic {
    fn from(m: BigInt) -> Self {
        Self { m, e: 0 }
    }
}

impl fmt::Debug for Dyadic {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.is_zero() {
            return write!(f, "0");
        }
        let log = self.log10();
        let sign = if self.is_positive() { "" } else { "-" };
        let mantissa = 10.0_f64.powf(log - log.floor());
        write!(f, "{sign}{mantissa:.12}e{}", log.floor())
    }
}

impl Neg for &Dyadic {
    type Output = Dyadic;
    fn neg(self) -> Dyadic {
        Dyadic {
            m: -&self.m,
            e: self.e,
        }
    }
}

impl Add for &Dyadic {
    type Output = Dyadic;
    fn add(self, other: &Dyadic) -> Dyadic {
        match (self.is_zero(), other.is_zero()) {
            (true, _) => other.clone(),
            (_, true) => self.clone(),
            _ => {
                let e = self.e.min(other.e);
                let m = match self.e.cmp(&other.e) {
                    Ordering::Equal => &self.m + &other.m,
                    Ordering::Less => &self.m + other.mantissa(e),
                    Ordering::Greater => self.mantissa(e) + &other.m,
                };
                Dyadic { m, e }
            }
        }
    }
}

impl Sub for &Dyadic {
    type Output = Dyadic;
    fn sub(self, other: &Dyadic) -> Dyadic {
        self + &-other
    }
}

impl Mul for &Dyadic {
    type Output = Dyadic;
    fn mul(self, other: &Dyadic) -> Dyadic {
        Dyadic {
            m: &self.m * &other.m,
            e: self.e + other.e,
        }
    }
}

impl Sum for Dyadic {
    fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
        terms.fold(Self::zero(), |sum, term| &sum + &term)
    }
}

impl PartialEq for Dyadic {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Dyadic {}

impl PartialOrd for Dyadic {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Dyadic {
    fn cmp(&self, other: &Self) -> Ordering {
        let signs = self.m.sign().cmp(&other.m.sign());
        if signs != Ordering::Equal || self.is_zero() {
            return signs;
        }
        // Different leading digits decide without alignment.
        let top = |z: &Self| z.m.bits() as i64 + z.e;
        match top(self).cmp(&top(other)) {
            Ordering::Equal => {
                let e = self.e.min(other.e);
                self.mantissa(e).cmp(&other.mantissa(e))
            }
            order if self.is_positive() => order,
            order => order.reverse(),
        }
    }
}

#[test]
fn rounding_is_directed() {
    let two = Dyadic::from(2.0);
    let (low, high) = (two.sqrt(Round::Down), two.sqrt(Round::Up));
    assert!(&low * &low < two && two < &high * &high);
    assert!(&high - &low < Dyadic::power_of_two(-250));
    assert_eq!(Dyadic::from(6.25).sqrt(Round::Up), Dyadic::from(2.5));
    let third = Dyadic::from(1.0 / 3.0);
    let (low, high) = (third.powi(1000, Round::Down), third.powi(1000, Round::Up));
    assert!(low < high && &(&high - &low) * &Dyadic::power_of_two(240) < low);
    assert_eq!(
        Dyadic::from(16.0).powf(1.75, Round::Down),
        Dyadic::from(128.0)
    );
    let tiny = Dyadic::from(5e-324);
    assert_eq!(&(&Dyadic::from(1e300) + &tiny) - &Dyadic::from(1e300), tiny);
    assert_eq!(format!("{:?}", Dyadic::from(-1.5)), "-1.500000000000e0");
    assert!(Dyadic::from(-2.0) < Dyadic::from(-1.0) && Dyadic::from(-1.0) < Dyadic::zero());
}
