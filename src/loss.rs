//! The loss `l(y, h)` of one prediction.

mod classification;
mod regression;

pub use classification::{Exponential, Hinge, Logistic, SmoothHinge};
pub use regression::{Huber, Quantile, Square};

use crate::error::ParameterError;
use crate::numeric::difference_step;
use crate::real::{Real, real};

/// A loss `l(y, h)`, convex in the prediction `h`.
///
/// It is called once a sample and output and should inline.
///
/// # Laws
/// - Convex in `h`: chords lie above, `derivative` does not decrease.
/// - `derivative` is `dl/dh` wherever that exists, and a subgradient at kinks.
/// - `value_and_derivative = (value, derivative)`; `second_derivative >= 0`.
/// - Fenchel-Young: `l(y, h) + conjugate(y, u) >= u h`, with equality at `u = derivative(y, h)`.
/// - Rounding, which certificates rely on: `value` is accurate to a few units relative to itself, `conjugate` relative
///   to `|l*| + |u| (1 + |u| + |y|)`.
///
/// ```
/// use wasserflow::prelude::*;
///
/// /// Asymmetric least squares.
/// struct Expectile;
/// impl<T: Real> Loss<T> for Expectile {
///     fn value(&self, y: T, h: T) -> T {
///         self.derivative(y, h) * (h - y) / wasserflow::real(2.0)
///     }
///     fn derivative(&self, y: T, h: T) -> T {
///         if h > y { h - y } else { (h - y) * wasserflow::real(9.0) }
///     }
/// }
/// assert_eq!(Expectile.value_and_derivative(1.0, 3.0), (2.0, 2.0));
/// assert_eq!(Expectile.value_and_derivative(3.0, 1.0), (18.0, -18.0));
/// ```
pub trait Loss<T: Real> {
    /// `l(y, h)`.
    fn value(&self, target: T, prediction: T) -> T;

    /// `dl/dh (y, h)`.
    fn derivative(&self, target: T, prediction: T) -> T;

    /// `(l, dl/dh)`: worth overriding where the two share work.
    #[inline]
    fn value_and_derivative(&self, target: T, prediction: T) -> (T, T) {
        (
            self.value(target, prediction),
            self.derivative(target, prediction),
        )
    }

    /// `(l, dl/dh)` for slices of one length: worth overriding where a vectorised form is at hand.
    ///
    /// It equals `value_and_derivative` up to 4 units in the last place.
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

    /// `d^2 l / dh^2 (y, h) >= 0`, 0 at kinks. Provided by a central difference of `derivative`.
    fn second_derivative(&self, target: T, prediction: T) -> T {
        let step = difference_step::<T>() * (T::one() + prediction.abs());
        let rise =
            self.derivative(target, prediction + step) - self.derivative(target, prediction - step);
        (rise / (step * real(2.0))).max(T::zero())
    }

    /// The convex conjugate `l*(y, u) = sup_h u h - l(y, h)`: infinite outside its domain, which holds every slope of the
    /// loss and 0 wherever the loss is bounded below. Then `l*(y, 0) = -inf_h l(y, h)`.
    ///
    /// `None` where it is not known, as provided: then there is no certificate of optimality, and nothing else is lost.
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

    /// Whether the loss is defined at the target `y`; when not, what it must be, as in `"-1 or 1"`.
    ///
    /// # Errors
    /// The requirement. Provided: any finite target is fine.
    fn check_target(&self, target: T) -> Result<(), &'static str> {
        if target.is_finite() {
            Ok(())
        } else {
            Err("finite")
        }
    }

    /// Whether the parameters of the loss itself are in range; asked once by the risk that takes the loss in.
    ///
    /// # Errors
    /// The parameter, its range and what it is. Provided: there are none.
    fn check(&self) -> Result<(), ParameterError> {
        Ok(())
    }
}

impl<T: Real, L: Loss<T> + ?Sized> Loss<T> for &L {
    fn value(&self, target: T, prediction: T) -> T {
        (**self).value(target, prediction)
    }
    fn derivative(&self, target: T, prediction: T) -> T {
        (**self).derivative(target, prediction)
    }
    fn value_and_derivative(&self, target: T, prediction: T) -> (T, T) {
        (**self).value_and_derivative(target, prediction)
    }
    fn values_and_derivatives(
        &self,
        targets: &[T],
        predictions: &[T],
        values: &mut [T],
        derivatives: &mut [T],
    ) {
        (**self).values_and_derivatives(targets, predictions, values, derivatives);
    }
    fn second_derivative(&self, target: T, prediction: T) -> T {
        (**self).second_derivative(target, prediction)
    }
    fn conjugate(&self, target: T, u: T) -> Option<T> {
        (**self).conjugate(target, u)
    }
    fn check_target(&self, target: T) -> Result<(), &'static str> {
        (**self).check_target(target)
    }
    fn check(&self) -> Result<(), ParameterError> {
        (**self).check()
    }
}

/// `value()` where `inside`, infinity elsewhere: a conjugate with its domain.
#[inline]
pub(super) fn on_domain<T: Real>(inside: bool, value: impl FnOnce() -> T) -> Option<T> {
    Some(if inside { value() } else { real(f64::INFINITY) })
}

/// Refuses a parameter that is not positive and finite.
pub(super) fn positive(name: &'static str, value: f64) -> Result<(), ParameterError> {
    if value > 0.0 && value.is_finite() {
        Ok(())
    } else {
        Err(ParameterError {
            name,
            requirement: "positive and finite",
            value,
        })
    }
}
