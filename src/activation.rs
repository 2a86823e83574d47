//! Activations `sigma: R -> R`.
//!
//! At the kink of [`Relu`] and [`LeakyRelu`] the derivative is the one to the left, so that a preactivation of exactly 0 is
//! inactive; at that of [`Abs`] it is 0.

use crate::real::Real;

mod homogeneous;
mod smooth;

pub use homogeneous::{Abs, Identity, LeakyRelu, Relu, ReluPower};
pub(crate) use smooth::sigmoids;
pub use smooth::{Erf, Gelu, Sigmoid, Silu, Sine, Softplus, Tanh};

/// An activation `sigma: R -> R` with its derivative.
///
/// It is called inside the innermost loops and must inline: mark the methods of yours `#[inline]`, and
/// the loops over it are vectorised as those over a built-in one.
///
/// # Laws
/// - `derivative` is the derivative of `value` wherever that exists, and a one-sided one or a value between them at kinks.
/// - `value_and_derivative(u) = (value(u), derivative(u))`.
/// - Finite where `u` is, as far as the function itself is.
///
/// ```
/// use wasserflow::prelude::*;
///
/// #[derive(Debug, Clone, Copy)]
/// struct Cubic;
/// impl<T: Real> Activation<T> for Cubic {
///     #[inline]
///     fn value(&self, u: T) -> T {
///         u * u * u
///     }
///     #[inline]
///     fn derivative(&self, u: T) -> T {
///         (u * u).scale(wasserflow::real(3.0))
///     }
/// }
/// assert_eq!(Cubic.value_and_derivative(2.0), (8.0, 12.0));
/// ```
pub trait Activation<T: Real>: Sync {
    /// `sigma(u)`.
    fn value(&self, u: T) -> T;

    /// `sigma'(u)`.
    fn derivative(&self, u: T) -> T;

    /// `(sigma(u), sigma'(u))`: worth overriding where the two share work.
    #[inline]
    fn value_and_derivative(&self, u: T) -> (T, T) {
        (self.value(u), self.derivative(u))
    }

    /// `u_r <- sigma(u_r)` for a whole slice: worth overriding where a vectorised form is at hand.
    ///
    /// The kernels call it on slices of some hundred preactivations. It equals `value` up to 4 units in the last place.
    #[inline]
    fn apply(&self, u: &mut [T]) {
        for u in u {
            *u = self.value(*u);
        }
    }

    /// `(u_r, ds_r) <- (sigma(u_r), sigma'(u_r))` for slices of one length, as [`apply`](Self::apply).
    #[inline]
    fn apply_with_derivative(&self, u: &mut [T], ds: &mut [T]) {
        for (u, ds) in u.iter_mut().zip(ds) {
            (*u, *ds) = self.value_and_derivative(*u);
        }
    }

    /// The slopes of a piecewise linear `sigma` with its only kink at `sigma(0) = 0`, where it is one: else `None`.
    ///
    /// `sigma(u) = positive u` for `u > 0`, `negative u` for `u < 0`, and `sigma'(0) = zero`. The kernels then need the
    /// signs of the preactivations only.
    #[inline]
    fn slopes(&self) -> Option<Slopes<T>> {
        None
    }

    /// `sigma'(u)` as a function of `s = sigma(u)`, where it is one for every u: else `None`.
    ///
    /// The kernels then keep values and evaluate `sigma` once.
    #[inline]
    fn derivative_from_value(&self, s: T) -> Option<T> {
        let _ = s;
        None
    }
}

/// The slopes of a positively 1-homogeneous activation: `sigma(u) = positive u` for `u > 0`, `negative u` for `u < 0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slopes<T> {
    /// `sigma'` to the left of 0.
    pub negative: T,
    /// `sigma'(0)`.
    pub zero: T,
    /// `sigma'` to the right of 0.
    pub positive: T,
}

impl<T: Real, A: Activation<T> + ?Sized> Activation<T> for &A {
    #[inline]
    fn value(&self, u: T) -> T {
        (**self).value(u)
    }
    #[inline]
    fn derivative(&self, u: T) -> T {
        (**self).derivative(u)
    }
    #[inline]
    fn value_and_derivative(&self, u: T) -> (T, T) {
        (**self).value_and_derivative(u)
    }
    #[inline]
    fn apply(&self, u: &mut [T]) {
        (**self).apply(u);
    }
    #[inline]
    fn apply_with_derivative(&self, u: &mut [T], ds: &mut [T]) {
        (**self).apply_with_derivative(u, ds);
    }
    #[inline]
    fn slopes(&self) -> Option<Slopes<T>> {
        (**self).slopes()
    }
    #[inline]
    fn derivative_from_value(&self, s: T) -> Option<T> {
        (**self).derivative_from_value(s)
    }
}

/// Positive homogeneity of degree k, `f(s x) = s^k f(x)` for every `s > 0`: a promise that the law kit measures.
///
/// For an activation `f = sigma`, for a feature map `f(w) = Phi(w)`. What needs homogeneity asks for it by type, so a
/// map without it does not compile there.
///
/// ```
/// use wasserflow::prelude::*;
///
/// assert_eq!(Relu.degree(), 1);
/// assert_eq!(Ridge::new(Relu, 5).degree(), 2); // a (b.x)_+ is homogeneous of degree 2 in (a, b)
/// ```
pub trait Homogeneous {
    /// The degree k.
    fn degree(&self) -> u32;
}

impl<H: Homogeneous + ?Sized> Homogeneous for &H {
    fn degree(&self) -> u32 {
        (**self).degree()
    }
}
