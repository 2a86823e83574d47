//! Classification losses: functions of the margin `y h` for labels `y` in {-1, 1}.

use super::{Kink, Loss, on_domain};
use crate::activation::{Activation, Sigmoid, Softplus};
use crate::error::ParameterError;
use crate::real::{Real, real};

/// Returns an error unless the target is -1 or 1.
fn check_label<T: Real>(target: T) -> Result<(), &'static str> {
    if target.abs() == T::one() {
        Ok(())
    } else {
        Err("-1 or 1")
    }
}

/// The positive part `r_+`. It propagates NaN, which `max` would replace by 0.
#[inline]
fn positive_part<T: Real>(r: T) -> T {
    if r < T::zero() { T::zero() } else { r }
}

/// `p log p` for `p > 0`, and its limit 0 at 0.
#[inline]
fn x_log_x<T: Real>(p: T) -> T {
    if p > T::zero() { p * p.ln() } else { T::zero() }
}

/// Logistic loss `l(y, h) = log(1 + exp(-y h))`, `y` in {-1, 1}, evaluated without overflow.
///
/// ```
/// use wasserflow::prelude::*;
/// assert_eq!(Logistic.value_and_derivative(1.0, 0.0), (f64::ln(2.0), -0.5));
/// assert_eq!(Logistic.value_and_derivative(1.0, -1e4), (1e4, -1.0));
/// assert!(Loss::<f64>::check_target(&Logistic, 0.5).is_err());
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Logistic;

impl<T: Real> Loss<T> for Logistic {
    #[inline]
    fn value(&self, target: T, prediction: T) -> T {
        Softplus.value(-target * prediction)
    }
    #[inline]
    fn derivative(&self, target: T, prediction: T) -> T {
        -target * Sigmoid.value(-target * prediction)
    }
    #[inline]
    fn value_and_derivative(&self, target: T, prediction: T) -> (T, T) {
        let (value, slope) = Softplus.value_and_derivative(-target * prediction);
        (value, -target * slope)
    }
    fn values_and_derivatives(
        &self,
        targets: &[T],
        predictions: &[T],
        values: &mut [T],
        derivatives: &mut [T],
    ) {
        for ((u, &y), &h) in values.iter_mut().zip(targets).zip(predictions) {
            *u = -y * h;
        }
        Softplus.apply_with_derivative(values, derivatives);
        for (derivative, &y) in derivatives.iter_mut().zip(targets) {
            *derivative *= -y;
        }
    }
    #[inline]
    fn second_derivative(&self, _: T, prediction: T) -> T {
        Sigmoid.derivative(prediction)
    }
    /// With `p = -u y`: `l* = p log p + (1 - p) log(1 - p)` for `0 <= p <= 1`.
    #[inline]
    fn conjugate(&self, target: T, u: T) -> Option<T> {
        let p = -u * target;
        let q = T::one() - p;
        on_domain(p >= T::zero() && q >= T::zero(), || {
            x_log_x(p) + if q > T::zero() { q * (-p).ln_1p() } else { q }
        })
    }
    fn check_target(&self, target: T) -> Result<(), &'static str> {
        check_label(target)
    }
}

/// Exponential loss `l(y, h) = exp(-y h)`, `y` in {-1, 1}.
///
/// It overflows for margins below about -709 in `f64` and -88 in `f32`. A flow that reaches such a
/// margin fails with [`StepError::NonFinite`](crate::error::StepError::NonFinite).
///
/// ```
/// use wasserflow::prelude::*;
/// assert_eq!(Exponential.value_and_derivative(-1.0, 0.0), (1.0, 1.0));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exponential;

impl<T: Real> Loss<T> for Exponential {
    #[inline]
    fn value(&self, target: T, prediction: T) -> T {
        (-target * prediction).exp()
    }
    #[inline]
    fn derivative(&self, target: T, prediction: T) -> T {
        -target * (-target * prediction).exp()
    }
    #[inline]
    fn value_and_derivative(&self, target: T, prediction: T) -> (T, T) {
        let e = (-target * prediction).exp();
        (e, -target * e)
    }
    #[inline]
    fn second_derivative(&self, target: T, prediction: T) -> T {
        (-target * prediction).exp()
    }
    /// With `p = -u y`: `l* = p (log p - 1)` for `p > 0`, and 0 for `p = 0`.
    #[inline]
    fn conjugate(&self, target: T, u: T) -> Option<T> {
        let p = -u * target;
        on_domain(p >= T::zero(), || {
            if p == T::zero() {
                T::zero()
            } else {
                p * (p.ln() - T::one())
            }
        })
    }
    fn check_target(&self, target: T) -> Result<(), &'static str> {
        check_label(target)
    }
}

/// Hinge loss `l(y, h) = (1 - y h)_+`, `y` in {-1, 1}, with the subgradient 0 at the kink
/// `y h = 1`.
///
/// ```
/// use wasserflow::prelude::*;
/// assert_eq!(Hinge.value_and_derivative(1.0, -1.0), (2.0, -1.0));
/// assert_eq!(Hinge.value_and_derivative(1.0, 1.0), (0.0, 0.0));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hinge;

impl<T: Real> Loss<T> for Hinge {
    #[inline]
    fn value(&self, target: T, prediction: T) -> T {
        positive_part(T::one() - target * prediction)
    }
    #[inline]
    fn derivative(&self, target: T, prediction: T) -> T {
        if target * prediction < T::one() {
            -target
        } else {
            T::zero()
        }
    }
    #[inline]
    fn second_derivative(&self, _: T, _: T) -> T {
        T::zero()
    }
    fn kink(&self, target: T) -> Option<Kink<T>> {
        Some(Kink {
            at: target,
            left: (-target).min(T::zero()),
            right: (-target).max(T::zero()),
        })
    }
    /// `l* = u y` for `-1 <= u y <= 0`.
    #[inline]
    fn conjugate(&self, target: T, u: T) -> Option<T> {
        let p = -u * target;
        on_domain(p >= T::zero() && p <= T::one(), || -p)
    }
    fn check_target(&self, target: T) -> Result<(), &'static str> {
        check_label(target)
    }
}

/// Smoothed hinge loss of width `s > 0`, for labels `y` in {-1, 1}.
///
/// With `r = (1 - y h)_+`, `l(y, h) = r^2 / (2 s)` for `r <= s` and `r - s/2` for `r > s`. A
/// parabola replaces the kink of the hinge loss: `Hinge - s/2 <= SmoothHinge(s) <= Hinge`.
///
/// ```
/// use wasserflow::prelude::*;
/// assert_eq!(SmoothHinge(1.0).value_and_derivative(1.0, 0.5), (0.125, -0.5));
/// assert_eq!(SmoothHinge(1.0).value_and_derivative(1.0, -2.0), (2.5, -1.0));
/// ```
///
/// Source: S. Shalev-Shwartz and T. Zhang, Stochastic dual coordinate ascent methods, 2013.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SmoothHinge(
    /// The width `s` of the parabola. `s` and `1/s` are positive and finite in the precision `T`.
    pub f64,
);

impl<T: Real> Loss<T> for SmoothHinge {
    #[inline]
    fn value(&self, target: T, prediction: T) -> T {
        let r = positive_part(T::one() - target * prediction);
        let (s, half) = (real::<T>(self.0), real::<T>(0.5));
        if r <= s {
            r * (r / s) * half
        } else {
            r - s * half
        }
    }
    #[inline]
    fn derivative(&self, target: T, prediction: T) -> T {
        let r = positive_part(T::one() - target * prediction);
        let slope = r / real(self.0);
        let slope = if slope > T::one() { T::one() } else { slope };
        -target * slope
    }
    #[inline]
    fn second_derivative(&self, target: T, prediction: T) -> T {
        let (r, s) = (T::one() - target * prediction, real::<T>(self.0));
        if r > T::zero() && r < s {
            T::one() / s
        } else {
            T::zero()
        }
    }
    /// With `p = -u y`: `l* = s p^2 / 2 - p` for `0 <= p <= 1`.
    #[inline]
    fn conjugate(&self, target: T, u: T) -> Option<T> {
        let p = -u * target;
        on_domain(p >= T::zero() && p <= T::one(), || {
            p * (p * real(0.5 * self.0) - T::one())
        })
    }
    fn check_target(&self, target: T) -> Result<(), &'static str> {
        check_label(target)
    }
    fn check(&self) -> Result<(), ParameterError> {
        ParameterError::check_positive_in::<T>("the width of the smoothed hinge loss", self.0)
    }
}
