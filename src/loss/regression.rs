//! Regression losses: functions of the residual `h - y` for finite targets.

use super::{Kink, Loss, on_domain};
use crate::error::ParameterError;
use crate::real::{Real, real};

/// Square loss `l(y, h) = (h - y)^2 / 2`; with the factor 1/2, `dl/dh = h - y`.
///
/// ```
/// use wasserflow::prelude::*;
/// assert_eq!(Square.value_and_derivative(1.0, 4.0), (4.5, 3.0));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Square;

impl<T: Real> Loss<T> for Square {
    #[inline]
    fn value(&self, target: T, prediction: T) -> T {
        let r = prediction - target;
        r * (r * real(0.5))
    }
    #[inline]
    fn derivative(&self, target: T, prediction: T) -> T {
        prediction - target
    }
    #[inline]
    fn second_derivative(&self, _: T, _: T) -> T {
        T::one()
    }
    /// `l* = u^2 / 2 + u y` for all u.
    #[inline]
    fn conjugate(&self, target: T, u: T) -> Option<T> {
        Some(u * (u * real(0.5) + target))
    }
}

/// Huber loss with threshold `t > 0`.
///
/// With `r = h - y`, `l(y, h) = r^2 / 2` for `|r| <= t` and `t (|r| - t/2)` for `|r| > t`.
///
/// ```
/// use wasserflow::prelude::*;
/// assert_eq!(Huber(1.0).value_and_derivative(0.0, 0.5), (0.125, 0.5));
/// assert_eq!(Huber(1.0).value_and_derivative(0.0, -3.0), (2.5, -1.0));
/// ```
///
/// Source: P. J. Huber, Robust estimation of a location parameter, 1964.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Huber(
    /// The threshold `t` from which on the loss is linear. `t` and `1/t` are positive and finite in
    /// the precision `T`.
    pub f64,
);

impl<T: Real> Loss<T> for Huber {
    #[inline]
    fn value(&self, target: T, prediction: T) -> T {
        let r = (prediction - target).abs();
        let (t, half) = (real::<T>(self.0), real::<T>(0.5));
        if r <= t {
            r * (r * half)
        } else {
            t * (r - t * half)
        }
    }
    #[inline]
    fn derivative(&self, target: T, prediction: T) -> T {
        let (r, t) = (prediction - target, real::<T>(self.0));
        if r > t {
            t
        } else if r < -t {
            -t
        } else {
            r
        }
    }
    #[inline]
    fn second_derivative(&self, target: T, prediction: T) -> T {
        if (prediction - target).abs() < real(self.0) {
            T::one()
        } else {
            T::zero()
        }
    }
    /// `l* = u^2 / 2 + u y` for `|u| <= t`.
    #[inline]
    fn conjugate(&self, target: T, u: T) -> Option<T> {
        on_domain(u.abs() <= real(self.0), || u * (u * real(0.5) + target))
    }
    fn check(&self) -> Result<(), ParameterError> {
        ParameterError::check_positive_in::<T>("the threshold of the Huber loss", self.0)
    }
}

/// Quantile (pinball) loss at the level `q` in (0, 1).
///
/// With `r = y - h`, `l(y, h) = q r` for `r >= 0` and `(q - 1) r` for `r < 0`; the subgradient at
/// `r = 0` is 0. The q-quantile of the target minimises its expectation. `2 Quantile(0.5)` is the
/// absolute error.
///
/// ```
/// use wasserflow::prelude::*;
/// assert_eq!(Quantile(0.75).value_and_derivative(2.0, 0.0), (1.5, -0.75));
/// assert_eq!(Quantile(0.75).value_and_derivative(0.0, 2.0), (0.5, 0.25));
/// ```
///
/// Source: R. Koenker and G. Bassett, Regression quantiles, 1978.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantile(
    /// The level `q`, `0 < q < 1` in the precision `T`.
    pub f64,
);

impl Quantile {
    /// The slopes `(q, 1 - q)`, each rounded once: in `f32`, `1 - q` of the rounded `q` is off by
    /// up to 3e-8, which is large beside `1 - q` for `q` near 1.
    fn slopes<T: Real>(self) -> (T, T) {
        (real(self.0), real(1.0 - self.0))
    }
}

impl<T: Real> Loss<T> for Quantile {
    #[inline]
    fn value(&self, target: T, prediction: T) -> T {
        let (r, (below, above)) = (target - prediction, self.slopes::<T>());
        if r < T::zero() { above * -r } else { below * r }
    }
    #[inline]
    fn derivative(&self, target: T, prediction: T) -> T {
        let (below, above) = self.slopes::<T>();
        if prediction < target {
            -below
        } else if prediction > target {
            above
        } else {
            // Reached at the kink, and if an argument is NaN: then `value` is NaN too.
            T::zero()
        }
    }
    #[inline]
    fn second_derivative(&self, _: T, _: T) -> T {
        T::zero()
    }
    fn kink(&self, target: T) -> Option<Kink<T>> {
        let q = real::<T>(self.0);
        Some(Kink {
            at: target,
            left: -q,
            right: T::one() - q,
        })
    }
    /// `l* = u y` for `-q <= u <= 1 - q`.
    #[inline]
    fn conjugate(&self, target: T, u: T) -> Option<T> {
        let (below, above) = self.slopes::<T>();
        on_domain(u >= -below && u <= above, || u * target)
    }
    fn check(&self) -> Result<(), ParameterError> {
        let (below, above) = self.slopes::<T>();
        ParameterError::check(
            below > T::zero() && above > T::zero(),
            "the level of the quantile loss",
            "between 0 and 1 in the precision of the risk",
            self.0,
        )
    }
}
