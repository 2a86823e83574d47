//! Smooth activations.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use super::Activation;
use crate::numeric::elementary::{self, Elementary, Float, Formula, Lanes};
use crate::real::{Real, real, to_f64};

/// `1 / sqrt(2 pi)`.
const FRAC_1_SQRT_2PI: f64 = 0.398_942_280_401_432_7;

/// Implements [`Activation`] for an elementary function.
///
/// The first closure returns `(sigma(u), sigma'(u))` in vectorised arithmetic, for `f32` and `f64`
/// only. The second does so in the operations of any other scalar.
macro_rules! smooth {
    (
        $sigma:ident, |$u:ident| $pair:expr, |$v:ident| $plain:expr
    ) => {
        impl Formula for $sigma {
            #[inline(always)]
            fn lanes<L: Lanes>(&self, $u: L) -> (L, L) {
                $pair
            }
        }
        impl Elementary for $sigma {
            #[inline(always)]
            fn pair<E: Float>(u: E) -> (E, E) {
                elementary::scalar(&$sigma, u)
            }
            fn map<E: Float>(u: &mut [E], ds: &mut [E]) {
                elementary::map(&$sigma, u, ds);
            }
        }
        smooth!($sigma, |$v| $plain);
    };
    ($sigma:ident, |$v:ident| $plain:expr) => {
        impl<T: Real> Activation<T> for $sigma {
            #[inline]
            fn value(&self, u: T) -> T {
                let plain = |$v: T| $plain.0;
                elementary::value::<$sigma, T>(u).unwrap_or_else(|| plain(u))
            }
            #[inline]
            fn derivative(&self, u: T) -> T {
                Activation::<T>::value_and_derivative(self, u).1
            }
            #[inline]
            fn value_and_derivative(&self, u: T) -> (T, T) {
                let plain = |$v: T| $plain;
                elementary::pair::<$sigma, T>(u).unwrap_or_else(|| plain(u))
            }
            #[inline]
            fn apply(&self, u: &mut [T]) {
                if !elementary::apply::<$sigma, T>(u) {
                    for u in u {
                        *u = self.value(*u);
                    }
                }
            }
            #[inline]
            fn apply_with_derivative(&self, u: &mut [T], ds: &mut [T]) {
                if !elementary::apply_with_derivative::<$sigma, T>(u, ds) {
                    for (u, ds) in u.iter_mut().zip(ds) {
                        (*u, *ds) = self.value_and_derivative(*u);
                    }
                }
            }
        }
    };
}

/// Softplus `sigma(u) = log(1 + exp(u))`, evaluated without overflow; `sigma'` is [`Sigmoid`].
///
/// ```
/// use wasserflow::prelude::*;
/// assert_eq!(Softplus.value(0.0), f64::ln(2.0));
/// assert_eq!(Softplus.value_and_derivative(1e4), (1e4, 1.0));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Softplus;

smooth!(Softplus, |u| elementary::softplus(u), |u| {
    (
        at_least_zero(u) + (-u.abs()).exp().ln_1p(),
        plain_sigmoid(u).0,
    )
});

/// Hyperbolic tangent `sigma(u) = tanh(u)`, `sigma' = 1 - sigma^2`.
///
/// In `f32` and `f64` the errors of value and derivative are below 2.1 and 4.8 units in the
/// last place for every u, in the fused passes too.
///
/// ```
/// use wasserflow::prelude::*;
/// assert_eq!(Tanh.value_and_derivative(0.0), (0.0, 1.0));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tanh;

smooth!(Tanh, |u| elementary::tanh(u), |u| {
    let (s, e) = (u.tanh(), (-(u.abs() + u.abs())).exp());
    let sum = T::one() + s.abs();
    (s, e * sum * sum)
});

/// Logistic sigmoid `sigma(u) = 1 / (1 + exp(-u))`, evaluated without overflow,
/// `sigma' = sigma (1 - sigma)`.
///
/// In `f32` and `f64` the errors of value and derivative are below 2.4 and 4.6 units in the last
/// place for every u, in the fused passes too.
///
/// ```
/// use wasserflow::prelude::*;
/// assert_eq!(Sigmoid.value_and_derivative(0.0), (0.5, 0.25));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sigmoid;

smooth!(Sigmoid, |u| elementary::sigmoid(u), |u| {
    plain_sigmoid(u)
});

/// `(s(u), s(u) s(-u))` for the logistic sigmoid `s`, without overflow and without cancellation.
#[inline]
fn plain_sigmoid<T: Real>(u: T) -> (T, T) {
    let e = (-u.abs()).exp();
    let large = T::one() / (T::one() + e);
    let s = if u < T::zero() { e * large } else { large };
    (s, e * large * large)
}

/// `max(u, 0)`; NaN stays.
#[inline]
fn at_least_zero<T: Real>(u: T) -> T {
    if u < T::zero() { T::zero() } else { u }
}

/// Error function `sigma(u) = erf(u) = 2/sqrt(pi) int_0^u exp(-t^2) dt`.
///
/// ```
/// use wasserflow::prelude::*;
/// let (s, ds) = Erf.value_and_derivative(0.0_f64);
/// assert_eq!(s, 0.0);
/// assert!((ds - 2.0 / std::f64::consts::PI.sqrt()).abs() < 1e-15);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erf;

smooth!(
    Erf,
    |u| {
        let (s, bell) = elementary::erf(u);
        (s, u.narrow(FRAC_2_SQRT_PI) * bell)
    },
    |u| (
        real(libm::erf(to_f64(u))),
        real::<T>(FRAC_2_SQRT_PI) * (-u * u).exp()
    )
);

/// Gaussian error linear unit (GELU) `sigma(u) = u P(N <= u)`, `N ~ N(0, 1)`.
///
/// The exact function, not its approximation by `tanh`. Its derivative is
/// `P(N <= u) + u exp(-u^2 / 2) / sqrt(2 pi)`. The error of the value is below 5.6 units in the last
/// place, the left tail included.
///
/// ```
/// use wasserflow::prelude::*;
/// assert_eq!(Gelu.value_and_derivative(0.0), (0.0, 0.5));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gelu;

smooth!(Gelu, |u| elementary::gelu(u), |u| {
    let cdf: T = real(0.5 * libm::erfc(-to_f64(u) * FRAC_1_SQRT_2));
    (
        u * cdf,
        cdf + u * (real::<T>(FRAC_1_SQRT_2PI) * (real::<T>(-0.5) * u * u).exp()),
    )
});

/// Sigmoid linear unit (SiLU, swish) `sigma(u) = u s(u)`, `s(u) = 1 / (1 + exp(-u))`.
///
/// Its derivative is `s(u) + u s(u) (1 - s(u))`.
///
/// ```
/// use wasserflow::prelude::*;
/// assert_eq!(Silu.value_and_derivative(0.0), (0.0, 0.5));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Silu;

smooth!(
    Silu,
    |u| {
        let (s, ds) = elementary::sigmoid(u);
        let (u, v) = elementary::limited(u);
        (u * s, s + v * ds)
    },
    |u| {
        let (s, ds) = plain_sigmoid(u);
        (u * s, s + u * ds)
    }
);

/// Sine `sigma(u) = sin(u)`, for Fourier features; `sigma' = cos(u)`.
///
/// ```
/// use wasserflow::prelude::*;
/// assert_eq!(Sine.value_and_derivative(0.0), (0.0, 1.0));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sine;

impl Elementary for Sine {
    #[inline(always)]
    fn pair<E: Float>(u: E) -> (E, E) {
        elementary::sin_cos(u)
    }
    fn map<E: Float>(u: &mut [E], ds: &mut [E]) {
        elementary::sin_cos_map(u, ds);
    }
}

smooth!(Sine, |u| u.sin_cos());
