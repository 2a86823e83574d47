//! Risks whose samples can be replaced.

use super::Risk;
use crate::error::RiskError;
use crate::real::Real;

/// A risk whose n samples and targets can be replaced by others, for
/// [`ExpectedRisk`](super::ExpectedRisk).
///
/// # Laws
/// - After a refill the risk is that of the new samples; n, d, k and the sample weights remain.
/// - An error changes nothing.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// /// Draws inputs in place of those of any risk, and keeps the targets.
/// fn shift<R: Refill<f64>>(risk: &mut R) -> Result<(), RiskError> {
///     risk.refill(&mut |j, x, _| x[0] = j as f64)
/// }
/// let mut risk = SoftmaxCrossEntropy::new(DMatrix::zeros(1, 2), vec![0, 1], 2)?;
/// shift(&mut risk)?;
/// assert_eq!(risk.inputs().points().as_slice(), &[0.0, 1.0]);
/// # Ok::<(), RiskError>(())
/// ```
pub trait Refill<T: Real>: Risk<T> {
    /// The target of a sample: a slice of k numbers, or a class.
    type Target: ?Sized;

    /// Replaces all samples: `fill(j, x_j, y_j)` overwrites sample j and its target, which
    /// initially are the previous ones.
    ///
    /// # Errors
    /// [`RiskError`] for the first invalid sample; all samples are then unchanged.
    #[expect(clippy::type_complexity, reason = "a closure of three arguments")]
    fn refill(
        &mut self,
        fill: &mut dyn FnMut(usize, &mut [T], &mut Self::Target),
    ) -> Result<(), RiskError>;
}
