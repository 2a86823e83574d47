//! Loss functions `l(y, h)` of a target y and a prediction h.

mod classification;
mod regression;

pub use classification::*;
pub use regression::*;

#[cfg(feature = "serde")]
crate::encoding::by_name!(
    Square,
    Huber(f64),
    Quantile(f64),
    Logistic,
    Exponential,
    Hinge,
    SmoothHinge(f64),
);
#[cfg(feature = "serde")]
fn check_setting(loss: &impl Loss<f64>) -> Result<(), ParameterError> {
    loss.check()
}

use std::rc::Rc;
use std::sync::Arc;

use crate::error::ParameterError;
use crate::forward::forward;
use crate::numeric::difference_step;
use crate::real::{Real, real};

/// A loss function `l(y, h)` of a target `y` and a prediction `h`, convex in `h`.
///
/// The methods are called for every sample and output. Mark those of a custom loss `#[inline]`.
///
/// # Laws
/// - Convexity in `h`: chords lie above the graph, and `derivative` is nondecreasing.
/// - `derivative` is `dl/dh` wherever it exists, and a subgradient at kinks.
/// - `value_and_derivative = (value, derivative)`, and `second_derivative >= 0`.
/// - Fenchel-Young inequality: `l(y, h) + conjugate(y, u) >= u h`, with equality at
///   `u = derivative(y, h)`.
/// - Accuracy, which certificates rely on, with `eps` the machine epsilon of `T`. For
///   `|y|, |h|, |u|` up to half the largest scalar, the errors of `value` and `derivative` are at
///   most 4 eps times their absolute values. That of `conjugate` is at most `4 eps (|l*| + |u y|)`.
///   Four of the smallest subnormal numbers are added where a result underflows. A result that
///   exceeds the range of `T` is infinite, not NaN. The second derivatives of the losses of this
///   crate have the relative error 4 eps too.
///
/// ```
/// use wasserflow::prelude::*;
///
/// /// Asymmetric least squares: 9 times the weight for predictions below the target.
/// struct Expectile;
/// impl<T: Real> Loss<T> for Expectile {
///     fn value(&self, y: T, h: T) -> T {
///         self.derivative(y, h) * (h - y) / real(2.0)
///     }
///     fn derivative(&self, y: T, h: T) -> T {
///         if h > y { h - y } else { (h - y) * real(9.0) }
///     }
/// }
/// assert_eq!(Expectile.value_and_derivative(1.0, 3.0), (2.0, 2.0));
/// assert_eq!(Expectile.value_and_derivative(3.0, 1.0), (18.0, -18.0));
/// ```
pub trait Loss<T: Real> {
    /// The loss `l(y, h)`.
    fn value(&self, target: T, prediction: T) -> T;

    /// The derivative `dl/dh (y, h)`.
    fn derivative(&self, target: T, prediction: T) -> T;

    /// The pair `(l, dl/dh)`. Override it if the two share work.
    #[inline]
    fn value_and_derivative(&self, target: T, prediction: T) -> (T, T) {
        (
            self.value(target, prediction),
            self.derivative(target, prediction),
        )
    }

    /// Evaluates `(l, dl/dh)` for slices of equal length.
    ///
    /// Override it if a vectorised implementation exists. Results equal those of
    /// `value_and_derivative` up to 4 units in the last place.
    fn values_and_derivatives(
        &self,
        targets: &[T],
        predictions: &[T],
        values: &mut [T],
        derivatives: &mut [T],
    ) {
        let pairs = targets.iter().zip(predictions);
        for ((&y, &h), (value, derivative)) in pairs.zip(values.iter_mut().zip(derivatives)) {
            (*value, *derivative) = self.value_and_derivative(y, h);
        }
    }

    /// The second derivative `d^2 l / dh^2 (y, h) >= 0`, and 0 at kinks.
    ///
    /// Provided: a central difference of `derivative`.
    fn second_derivative(&self, target: T, prediction: T) -> T {
        let step = difference_step::<T>() * (T::one() + prediction.abs());
        let rise =
            self.derivative(target, prediction + step) - self.derivative(target, prediction - step);
        (rise / (step * real(2.0))).max(T::zero())
    }

    /// The kink of the loss as a function of the prediction, if it has one; `None` (provided) if it
    /// is continuously differentiable.
    ///
    /// Proximal steps use it. A loss with kinks that does not implement it slows them down.
    ///
    /// ```
    /// use wasserflow::loss::Kink;
    /// use wasserflow::prelude::*;
    ///
    /// assert_eq!(Hinge.kink(1.0), Some(Kink { at: 1.0, left: -1.0, right: 0.0 }));
    /// assert_eq!(Loss::<f64>::kink(&Square, 1.0), None);
    /// ```
    fn kink(&self, target: T) -> Option<Kink<T>> {
        let _ = target;
        None
    }

    /// The convex conjugate `l*(y, u) = sup_h [u h - l(y, h)]`, infinite outside its domain.
    ///
    /// The domain contains every slope of the loss. If the loss is bounded below, it also contains
    /// 0, and `l*(y, 0) = -inf_h l(y, h)`.
    ///
    /// `None` (provided) if it is not implemented. Optimality certificates are then unavailable;
    /// nothing else depends on it.
    ///
    /// ```
    /// use wasserflow::prelude::*;
    ///
    /// let (y, h): (f64, f64) = (1.0, 4.0);
    /// let (l, u) = Square.value_and_derivative(y, h);
    /// assert_eq!(Square.conjugate(y, u), Some(u * h - l));
    /// ```
    #[inline]
    fn conjugate(&self, target: T, u: T) -> Option<T> {
        let _ = (target, u);
        None
    }

    /// Checks that the loss is defined at a target. Provided: every finite target is valid.
    ///
    /// # Errors
    /// The requirement on a target, as in `"-1 or 1"`.
    fn check_target(&self, target: T) -> Result<(), &'static str> {
        if target.is_finite() {
            Ok(())
        } else {
            Err("finite")
        }
    }

    /// Checks the parameters of the loss. Provided: a loss without parameters.
    ///
    /// The requirement is on the parameter in the precision `T`, in which it is used.
    /// [`EmpiricalRisk`](crate::EmpiricalRisk) calls it once, when it is constructed.
    ///
    /// # Errors
    /// [`ParameterError`] for the first parameter outside its range.
    fn check(&self) -> Result<(), ParameterError> {
        Ok(())
    }
}

/// A kink of a convex loss, where its slope rises from `left` to `right`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kink<T> {
    /// The prediction `h` at the kink.
    pub at: T,
    /// The left derivative there.
    pub left: T,
    /// The right derivative there.
    pub right: T,
}

forward! {
    impl[T: Real, L: Loss<T> + ?Sized] Loss<T>; for &L, &mut L, Box<L>, Rc<L>, Arc<L>; {
        fn value(&self, target: T, prediction: T) -> T;
        fn derivative(&self, target: T, prediction: T) -> T;
        fn value_and_derivative(&self, target: T, prediction: T) -> (T, T);
        fn values_and_derivatives(
            &self,
            targets: &[T],
            predictions: &[T],
            values: &mut [T],
            derivatives: &mut [T]
        );
        fn second_derivative(&self, target: T, prediction: T) -> T;
        fn kink(&self, target: T) -> Option<Kink<T>>;
        fn conjugate(&self, target: T, u: T) -> Option<T>;
        fn check_target(&self, target: T) -> Result<(), &'static str>;
        fn check(&self) -> Result<(), ParameterError>;
    }
}

/// A conjugate: `value()` inside its domain, infinity outside.
#[inline]
fn on_domain<T: Real>(inside: bool, value: impl FnOnce() -> T) -> Option<T> {
    Some(if inside { value() } else { real(f64::INFINITY) })
}
