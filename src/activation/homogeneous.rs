//! Positively homogeneous activations, `sigma(s u) = s^k sigma(u)` for `s > 0`.

use super::{Activation, Homogeneous, Slopes};
use crate::error::ParameterError;
use crate::real::{Real, real};

/// Rectified linear unit (ReLU) `sigma(u) = u_+ = max(u, 0)`, of degree 1, `sigma'(0) = 0`.
///
/// ```
/// use wasserflow::prelude::*;
/// assert_eq!(Relu.value_and_derivative(-2.0), (0.0, 0.0));
/// assert_eq!(Relu.value_and_derivative(3.0), (3.0, 1.0));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Relu;

impl<T: Real> Activation<T> for Relu {
    #[inline]
    fn value(&self, u: T) -> T {
        if u > T::zero() { u } else { T::zero() }
    }
    #[inline]
    fn derivative(&self, u: T) -> T {
        if u > T::zero() { T::one() } else { T::zero() }
    }
    #[inline]
    fn slopes(&self) -> Option<Slopes<T>> {
        Some(Slopes {
            negative: T::zero(),
            zero: T::zero(),
            positive: T::one(),
        })
    }
}

impl Homogeneous for Relu {
    fn degree(&self) -> u32 {
        1
    }
}

/// Leaky rectifier `sigma(u) = u` for `u > 0` and `s u` for `u <= 0`, of degree 1, `sigma'(0) = s`.
///
/// ```
/// use wasserflow::prelude::*;
/// assert_eq!(LeakyRelu(0.5).value_and_derivative(-2.0), (-1.0, 0.5));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeakyRelu(
    /// The slope `s` for negative preactivations, finite in the precision `T`.
    pub f64,
);

impl<T: Real> Activation<T> for LeakyRelu {
    #[inline]
    fn value(&self, u: T) -> T {
        if u > T::zero() {
            u
        } else {
            real::<T>(self.0) * u
        }
    }
    #[inline]
    fn derivative(&self, u: T) -> T {
        if u > T::zero() {
            T::one()
        } else {
            real(self.0)
        }
    }
    #[inline]
    fn slopes(&self) -> Option<Slopes<T>> {
        Some(Slopes {
            negative: real(self.0),
            zero: real(self.0),
            positive: T::one(),
        })
    }
    fn check(&self) -> Result<(), ParameterError> {
        ParameterError::check(
            real::<T>(self.0).is_finite(),
            "the slope of the leaky rectifier",
            "finite in the precision of the map",
            self.0,
        )
    }
}

impl Homogeneous for LeakyRelu {
    fn degree(&self) -> u32 {
        1
    }
}

/// Power of the rectifier `sigma(u) = (u_+)^k`, of degree k.
///
/// It has `k - 1` continuous derivatives. `ReluPower(1)` equals [`Relu`]. `ReluPower(0)` is the
/// step function `1[u > 0]`; its derivative is 0, so a flow does not move the input weights. The
/// relative error of `u^k` is at most `k` units of rounding.
///
/// ```
/// use wasserflow::prelude::*;
/// assert_eq!(ReluPower(2).value_and_derivative(3.0), (9.0, 6.0));
/// assert_eq!(ReluPower(2).value_and_derivative(-3.0), (0.0, 0.0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReluPower(
    /// The exponent k, at most [`MAX`](Self::MAX).
    pub u32,
);

impl ReluPower {
    /// The largest exponent that [`Activation::check`] accepts: up to there the relative error of
    /// `u^k` is below 1e-4 in `f32`.
    pub const MAX: u32 = 1024;
}

impl<T: Real> Activation<T> for ReluPower {
    #[inline]
    fn value(&self, u: T) -> T {
        if u > T::zero() {
            power(u, self.0)
        } else {
            T::zero()
        }
    }
    #[inline]
    fn derivative(&self, u: T) -> T {
        if u > T::zero() && self.0 > 0 {
            real::<T>(f64::from(self.0)) * power(u, self.0 - 1)
        } else {
            T::zero()
        }
    }
    fn check(&self) -> Result<(), ParameterError> {
        ParameterError::check(
            self.0 <= Self::MAX,
            "the exponent of the rectifier",
            "at most 1024",
            f64::from(self.0),
        )
    }
}

/// `u^k` by repeated squaring.
#[inline]
fn power<T: Real>(mut u: T, mut k: u32) -> T {
    let mut product = T::one();
    while k > 0 {
        if k & 1 == 1 {
            product *= u;
        }
        u *= u;
        k >>= 1;
    }
    product
}

impl Homogeneous for ReluPower {
    fn degree(&self) -> u32 {
        self.0
    }
}

/// Absolute value `sigma(u) = |u|`, of degree 1, `sigma'(0) = 0`.
///
/// ```
/// use wasserflow::prelude::*;
/// assert_eq!(Abs.value_and_derivative(-2.0), (2.0, -1.0));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Abs;

impl<T: Real> Activation<T> for Abs {
    #[inline]
    fn value(&self, u: T) -> T {
        u.abs()
    }
    #[inline]
    fn derivative(&self, u: T) -> T {
        if u > T::zero() {
            T::one()
        } else if u < T::zero() {
            -T::one()
        } else {
            T::zero()
        }
    }
    #[inline]
    fn slopes(&self) -> Option<Slopes<T>> {
        Some(Slopes {
            negative: -T::one(),
            zero: T::zero(),
            positive: T::one(),
        })
    }
}

impl Homogeneous for Abs {
    fn degree(&self) -> u32 {
        1
    }
}

/// Identity `sigma(u) = u`, of degree 1, for two-layer linear networks.
///
/// ```
/// use wasserflow::prelude::*;
/// assert_eq!(Identity.value_and_derivative(-2.0), (-2.0, 1.0));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Identity;

impl<T: Real> Activation<T> for Identity {
    #[inline]
    fn value(&self, u: T) -> T {
        u
    }
    #[inline]
    fn derivative(&self, _: T) -> T {
        T::one()
    }
    #[inline]
    fn slopes(&self) -> Option<Slopes<T>> {
        Some(Slopes {
            negative: T::one(),
            zero: T::one(),
            positive: T::one(),
        })
    }
}

impl Homogeneous for Identity {
    fn degree(&self) -> u32 {
        1
    }
}
