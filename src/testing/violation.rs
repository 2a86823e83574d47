//! What a check returns when a law does not hold.

use thiserror::Error;

/// A law that does not hold: the law as an equation, by how much it fails, and where.
///
/// ```
/// use wasserflow::testing::{Violation, check_activation};
/// use wasserflow::prelude::*;
///
/// /// Says that its derivative is 1.
/// struct Square;
/// impl<T: Real> Activation<T> for Square {
///     fn value(&self, u: T) -> T {
///         u * u
///     }
///     fn derivative(&self, _: T) -> T {
///         T::one()
///     }
/// }
/// let violation: Violation = check_activation(&Square, 0.0, 2.0).unwrap_err();
/// assert_eq!(violation.law, "sigma(b) - sigma(a) = int_a^b sigma'(u) du");
/// assert_eq!(violation.error, 2.0); // 4 - 0 against 2
/// assert!(violation.tolerance < 1e-11);
/// ```
#[derive(Debug, Clone, PartialEq, Error)]
#[error("the law `{law}` fails by {error:.3e} where {tolerance:.3e} is allowed, at {at}")]
pub struct Violation {
    /// The law, as an equation.
    pub law: &'static str,
    /// By how much it fails; NaN where a number was none.
    pub error: f64,
    /// What rounding may do, from the epsilon of the scalar.
    pub tolerance: f64,
    /// The point, the case or the index at which it fails.
    pub at: String,
}

/// Below this, in any precision, is underflow: numbers of `f32` have lost their digits.
const UNDERFLOW: f64 = 16.0 * f32::MIN_POSITIVE as f64;

/// `error <= tolerance`; NaN is a violation.
pub(super) fn within(
    law: &'static str,
    error: f64,
    tolerance: f64,
    at: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if error <= tolerance + UNDERFLOW {
        Ok(())
    } else {
        Err(Violation {
            law,
            error,
            tolerance,
            at: at(),
        })
    }
}

/// A law without a number in it.
pub(super) fn holds(
    law: &'static str,
    holds: bool,
    at: impl FnOnce() -> String,
) -> Result<(), Violation> {
    within(law, if holds { 0.0 } else { 1.0 }, 0.0, at)
}
