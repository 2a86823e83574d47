//! Activation functions `sigma: R -> R`.
//!
//! At the kink of [`Relu`] and [`LeakyRelu`], `derivative` is the left derivative: a neuron with a
//! preactivation of exactly 0 is inactive. At the kink of [`Abs`] it is 0.

use std::rc::Rc;
use std::sync::Arc;

use crate::error::ParameterError;
use crate::forward::forward;
use crate::real::Real;

mod homogeneous;
mod smooth;

pub use homogeneous::*;
pub use smooth::*;

#[cfg(feature = "serde")]
crate::encoding::by_name!(
    Relu,
    LeakyRelu(f64),
    ReluPower(u32),
    Abs,
    Identity,
    Softplus,
    Tanh,
    Sigmoid,
    Erf,
    Gelu,
    Silu,
    Sine,
);
#[cfg(feature = "serde")]
fn check_setting(sigma: &impl Activation<f64>) -> Result<(), ParameterError> {
    sigma.check()
}

/// An activation function `sigma: R -> R` with its derivative `sigma'`.
///
/// The methods are called in the innermost loops. Mark the methods of a custom activation
/// `#[inline]`: the compiler then vectorises these loops as for a built-in activation.
///
/// # Laws
/// - `derivative` is the derivative of `value` wherever it exists. At a kink it lies between the
///   two one-sided derivatives, endpoints included.
/// - `value_and_derivative(u) = (value(u), derivative(u))`.
/// - For finite `u` the results are finite, unless `sigma(u)` or `sigma'(u)` exceeds the range of
///   `T`.
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
///         real::<T>(3.0) * u * u
///     }
/// }
/// assert_eq!(Cubic.value_and_derivative(2.0), (8.0, 12.0));
/// ```
pub trait Activation<T: Real>: Sync {
    /// The value `sigma(u)`.
    fn value(&self, u: T) -> T;

    /// The derivative `sigma'(u)`.
    fn derivative(&self, u: T) -> T;

    /// The pair `(sigma(u), sigma'(u))`. Override it if the two share work.
    #[inline]
    fn value_and_derivative(&self, u: T) -> (T, T) {
        (self.value(u), self.derivative(u))
    }

    /// Replaces every preactivation of a slice by its activation: `u_r <- sigma(u_r)`.
    ///
    /// The fused kernels call it on slices of a few hundred preactivations. Override it if a
    /// vectorised implementation exists. Results equal those of `value` up to 4 units in the last
    /// place.
    #[inline]
    fn apply(&self, u: &mut [T]) {
        for u in u {
            *u = self.value(*u);
        }
    }

    /// Evaluates `(u_r, ds_r) <- (sigma(u_r), sigma'(u_r))` for two slices of equal length.
    ///
    /// The accuracy and the reason for an override are those of [`apply`](Self::apply).
    #[inline]
    fn apply_with_derivative(&self, u: &mut [T], ds: &mut [T]) {
        for (u, ds) in u.iter_mut().zip(ds) {
            (*u, *ds) = self.value_and_derivative(*u);
        }
    }

    /// The slopes of a positively 1-homogeneous `sigma`, and `None` (provided) for any other.
    ///
    /// The fused kernels then evaluate only the signs of the preactivations.
    #[inline]
    fn slopes(&self) -> Option<Slopes<T>> {
        None
    }

    /// Checks the parameters of the activation. Provided: an activation without parameters.
    ///
    /// Feature maps return the result from [`FeatureMap::check`](crate::feature::FeatureMap::check).
    /// The requirement is on the parameter in the precision `T`, in which it is used.
    ///
    /// ```
    /// use wasserflow::prelude::*;
    ///
    /// assert!(Activation::<f64>::check(&LeakyRelu(1e300)).is_ok());
    /// assert!(Activation::<f32>::check(&LeakyRelu(1e300)).is_err()); // infinite in f32
    /// ```
    ///
    /// # Errors
    /// [`ParameterError`] for the first parameter outside its range.
    fn check(&self) -> Result<(), ParameterError> {
        Ok(())
    }
}

/// The slopes of a positively 1-homogeneous activation, see [`Activation::slopes`].
///
/// `sigma(u) = positive u` for `u > 0`, `sigma(u) = negative u` for `u < 0`, and
/// `sigma'(0) = zero`.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let slopes = Slopes { negative: 0.0, zero: 0.0, positive: 1.0 };
/// assert_eq!(Relu.slopes(), Some(slopes));
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slopes<T> {
    /// `sigma'(u)` for `u < 0`.
    pub negative: T,
    /// `sigma'(0)`.
    pub zero: T,
    /// `sigma'(u)` for `u > 0`.
    pub positive: T,
}

forward! {
    impl[T: Real, A: Activation<T> + ?Sized] Activation<T>; for &A, &mut A, Box<A>; {
        fn value(&self, u: T) -> T;
        fn derivative(&self, u: T) -> T;
        fn value_and_derivative(&self, u: T) -> (T, T);
        fn apply(&self, u: &mut [T]);
        fn apply_with_derivative(&self, u: &mut [T], ds: &mut [T]);
        fn slopes(&self) -> Option<Slopes<T>>;
        fn check(&self) -> Result<(), ParameterError>;
    }
}

/// Positive homogeneity of degree k: `f(s x) = s^k f(x)` for all `s > 0`.
///
/// For an activation, `f = sigma`; for a feature map, `f(w) = Phi(w)`. Functions that rely on
/// homogeneity require this trait, so that any other map is rejected at compile time. The law kit
/// (feature `testing`) measures the property.
///
/// ```
/// use wasserflow::prelude::*;
///
/// assert_eq!(Relu.degree(), 1);
/// assert_eq!(Ridge::new(Relu, 5).degree(), 2); // a (b.x)_+ is homogeneous of degree 2 in (a, b)
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not positively homogeneous",
    note = "certificates and `merge` require a homogeneous activation, such as `Relu`"
)]
pub trait Homogeneous {
    /// The degree k.
    fn degree(&self) -> u32;
}

forward! {
    impl[H: Homogeneous + ?Sized] Homogeneous; for &H, &mut H, Box<H>, Rc<H>, Arc<H>; {
        fn degree(&self) -> u32;
    }
}
