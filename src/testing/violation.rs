//! Violations of a law, and the comparisons that report them.

use std::fmt::{self, Debug, Display, Formatter};

use thiserror::Error;

/// A law that does not hold: what is required, what was found, and where.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::{Failure, Violation, check_activation};
///
/// /// The square, with a derivative that is wrong: 1.
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
/// assert!(matches!(violation.failure, Failure::Inexact { error: 2.0, .. })); // 4 - 0 against 2
/// assert!(violation.to_string().contains("fails: error 2.000e0, tolerance "));
/// ```
#[derive(Debug, Clone, PartialEq, Error)]
#[error("the law `{law}` fails: {failure}, at {at}")]
pub struct Violation {
    /// The law: an equation, an inequality or a condition.
    pub law: &'static str,
    /// How it fails.
    pub failure: Failure,
    /// The point, the case or the index at which it fails.
    pub at: String,
}

/// How a law fails.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure {
    /// An equation or inequality between numbers fails by more than rounding errors explain.
    Inexact {
        /// The absolute error; NaN if a result is NaN.
        error: f64,
        /// The bound on rounding errors, from the epsilon of the scalar.
        tolerance: f64,
    },
    /// A condition is not met.
    Unmet {
        /// What was found instead.
        found: String,
    },
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inexact { error, tolerance } => {
                write!(f, "error {error:.3e}, tolerance {tolerance:.3e}")
            }
            Self::Unmet { found } => write!(f, "found {found}"),
        }
    }
}

/// Absolute errors below this bound are accepted in any precision: near the underflow threshold
/// the subnormal numbers of `f32` lose their relative accuracy.
const UNDERFLOW: f64 = 16.0 * f32::MIN_POSITIVE as f64;

/// Requires `error <= tolerance`; NaN is a violation.
pub(super) fn within(
    law: &'static str,
    error: f64,
    tolerance: f64,
    at: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if error <= tolerance + UNDERFLOW {
        return Ok(());
    }
    Err(Violation {
        law,
        failure: Failure::Inexact { error, tolerance },
        at: at(),
    })
}

/// Requires a condition; `found` describes what was found if it is false.
pub(super) fn require(
    law: &'static str,
    condition: bool,
    found: impl FnOnce() -> String,
    at: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if condition {
        return Ok(());
    }
    Err(Violation {
        law,
        failure: Failure::Unmet { found: found() },
        at: at(),
    })
}

/// Requires that two results are equal, entry by entry.
pub(super) fn identical<X: PartialEq + Debug>(
    law: &'static str,
    found: &[X],
    expected: &[X],
    at: impl FnOnce() -> String,
) -> Result<(), Violation> {
    let len = found.len().max(expected.len());
    let Some(i) = (0..len).find(|&i| found.get(i) != expected.get(i)) else {
        return Ok(());
    };
    let entries = || {
        format!(
            "{:?}, not {:?}, in entry {i}",
            found.get(i),
            expected.get(i)
        )
    };
    require(law, false, entries, at)
}

/// Requires that an operation succeeds; the violation reports its error.
pub(super) fn succeeds<X, E: Display>(
    law: &'static str,
    result: Result<X, E>,
    at: impl FnOnce() -> String,
) -> Result<X, Violation> {
    result.map_err(|error| Violation {
        law,
        failure: Failure::Unmet {
            found: format!("the error: {error}"),
        },
        at: at(),
    })
}
