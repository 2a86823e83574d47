//! Numbers in messages.

use std::fmt::{Display, Formatter, Result};

/// A number in decimal or, outside of `[1e-5, 1e16)`, in scientific notation.
///
/// Decimals of subnormal numbers have more than 300 digits.
pub(crate) struct Number<'a>(pub(crate) &'a f64);

impl Display for Number<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let x = *self.0;
        if x == 0.0 || !x.is_finite() || (1e-5..1e16).contains(&x.abs()) {
            write!(f, "{x}")
        } else {
            write!(f, "{x:e}")
        }
    }
}
