//! Smooth activations.

use super::{Activation, log1p_exp, sigmoid_pair};
use crate::real::{Real, real, to_f64};

/// `1 / sqrt(2 pi)`.
const FRAC_1_SQRT_2PI: f64 = 0.398_942_280_401_432_7;

/// Softplus `sigma(u) = log(1 + exp(u))`, without overflow; `sigma' = ` [`Sigmoid`].
///
/// ```
/// use wasserflow::{Activation, Softplus};
/// assert_eq!(Softplus.value(0.0), f64::ln(2.0));
/// assert_eq!(Softplus.value_and_derivative(1e4), (1e4, 1.0));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Softplus;

impl<T: Real> Activation<T> for Softplus {
    #[inline]
    fn value(&self, u: T) -> T {
        log1p_exp(u)
    }
    #[inline]
    fn derivative(&self, u: T) -> T {
        sigmoid_pair(u).0
    }
}

/// Hyperbolic tangent `sigma(u) = tanh(u)`, `sigma' = 1 - sigma^2`.
///
/// ```
/// use wasserflow::{Activation, Tanh};
/// assert_eq!(Tanh.value_and_derivative(0.0), (0.0, 1.0));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tanh;

impl<T: Real> Activation<T> for Tanh {
    #[inline]
    fn value(&self, u: T) -> T {
        u.tanh()
    }
    #[inline]
    fn derivative(&self, u: T) -> T {
        Activation::<T>::value_and_derivative(self, u).1
    }
    #[inline]
    fn value_and_derivative(&self, u: T) -> (T, T) {
        let s = u.tanh();
        (s, (T::one() - s) * (T::one() + s))
    }
    #[inline]
    fn derivative_from_value(&self, s: T) -> Option<T> {
        Some((T::one() - s) * (T::one() + s))
    }
}

/// Logistic sigmoid `sigma(u) = 1 / (1 + exp(-u))`, without overflow; `sigma' = sigma (1 - sigma)`.
///
/// ```
/// use wasserflow::{Activation, Sigmoid};
/// assert_eq!(Sigmoid.value_and_derivative(0.0), (0.5, 0.25));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sigmoid;

impl<T: Real> Activation<T> for Sigmoid {
    #[inline]
    fn value(&self, u: T) -> T {
        sigmoid_pair(u).0
    }
    #[inline]
    fn derivative(&self, u: T) -> T {
        let (s, r) = sigmoid_pair(u);
        s * r
    }
    #[inline]
    fn value_and_derivative(&self, u: T) -> (T, T) {
        let (s, r) = sigmoid_pair(u);
        (s, s * r)
    }
    #[inline]
    fn derivative_from_value(&self, s: T) -> Option<T> {
        Some(s * (T::one() - s))
    }
}

/// Error function `sigma(u) = erf(u) = 2/sqrt(pi) int_0^u exp(-t^2) dt`.
///
/// ```
/// use wasserflow::{Activation, Erf};
/// let (s, ds) = Erf.value_and_derivative(0.0_f64);
/// assert_eq!(s, 0.0);
/// assert!((ds - 2.0 / std::f64::consts::PI.sqrt()).abs() < 1e-15);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erf;

impl<T: Real> Activation<T> for Erf {
    #[inline]
    fn value(&self, u: T) -> T {
        real(libm::erf(to_f64(u)))
    }
    #[inline]
    fn derivative(&self, u: T) -> T {
        real::<T>(std::f64::consts::FRAC_2_SQRT_PI) * (-u * u).exp()
    }
}

/// Gaussian error linear unit `sigma(u) = u P(N <= u)`, `N ~ N(0, 1)`; the exact one, not the tanh approximation.
///
/// ```
/// use wasserflow::{Activation, Gelu};
/// assert_eq!(Gelu.value_and_derivative(0.0), (0.0, 0.5));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gelu;

impl<T: Real> Activation<T> for Gelu {
    #[inline]
    fn value(&self, u: T) -> T {
        u * normal_cdf(u)
    }
    #[inline]
    fn derivative(&self, u: T) -> T {
        Activation::<T>::value_and_derivative(self, u).1
    }
    #[inline]
    fn value_and_derivative(&self, u: T) -> (T, T) {
        let cdf = normal_cdf(u);
        let density = real::<T>(FRAC_1_SQRT_2PI) * (real::<T>(-0.5) * u * u).exp();
        (u * cdf, cdf + u * density)
    }
}

/// `P(N <= u)` for `N ~ N(0, 1)`, to full relative precision in the left tail.
#[inline]
fn normal_cdf<T: Real>(u: T) -> T {
    real(0.5 * libm::erfc(-to_f64(u) * std::f64::consts::FRAC_1_SQRT_2))
}

/// Sigmoid linear unit (swish) `sigma(u) = u / (1 + exp(-u))`.
///
/// ```
/// use wasserflow::{Activation, Silu};
/// assert_eq!(Silu.value_and_derivative(0.0), (0.0, 0.5));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Silu;

impl<T: Real> Activation<T> for Silu {
    #[inline]
    fn value(&self, u: T) -> T {
        u * sigmoid_pair(u).0
    }
    #[inline]
    fn derivative(&self, u: T) -> T {
        Activation::<T>::value_and_derivative(self, u).1
    }
    #[inline]
    fn value_and_derivative(&self, u: T) -> (T, T) {
        let (s, r) = sigmoid_pair(u);
        (u * s, s + u * s * r)
    }
}

/// Sine `sigma(u) = sin(u)`: Fourier features.
///
/// ```
/// use wasserflow::{Activation, Sine};
/// assert_eq!(Sine.value_and_derivative(0.0), (0.0, 1.0));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sine;

impl<T: Real> Activation<T> for Sine {
    #[inline]
    fn value(&self, u: T) -> T {
        u.sin()
    }
    #[inline]
    fn derivative(&self, u: T) -> T {
        u.cos()
    }
    #[inline]
    fn value_and_derivative(&self, u: T) -> (T, T) {
        u.sin_cos()
    }
}
