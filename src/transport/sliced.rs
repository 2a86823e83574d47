//! Sliced Wasserstein distance, for clouds that are too large for optimal transport in R^d.

use nalgebra::{DMatrix, DVector};

use super::{TransportError, w2};
use crate::error::ParameterError;
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::{norm, scaled_norm};
use crate::real::{Real, real};

/// The sliced distance `SW_2 = (mean_k W_2^2(<t_k, .> mu, <t_k, .> nu))^(1/2)` over the columns
/// `t_k` of `directions`.
///
/// `directions` is `d x K`; its columns have any positive length and are normalised. `SW_2 <= W_2`.
/// Projections are rounded to `T`, with an error relative to the largest coordinate.
/// Source: N. Bonneel, J. Rabin, G. Peyre and H. Pfister, Sliced and Radon Wasserstein barycenters
/// of measures, J. Math. Imaging Vis. 51 (2015).
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[0.0, 0.0, 4.0, 0.0]))?;
/// let nu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[4.0, 1.0, 0.0, 3.0]))?;
/// // The projections to the first axis are equal.
/// let sliced = transport::sliced_w2(&mu, &nu, &DMatrix::identity(2, 2))?;
/// let expected = f64::sqrt((0.0 + 5.0) / 2.0);
/// assert!((sliced - expected).abs() <= 1e-15 * expected);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`w2`]. [`TransportError::Parameter`] if `directions` is empty, has another number of
/// rows than the points have coordinates, or has a column that is zero or not finite: the value is
/// the index of that column.
///
/// # Cost
/// One sort a direction: `O(K (n + m) (d + log(n + m)))`.
pub fn sliced_w2<T: Real>(
    mu: &EmpiricalMeasure<T>,
    nu: &EmpiricalMeasure<T>,
    directions: &DMatrix<T>,
) -> Result<T, TransportError> {
    if mu.dim() != nu.dim() {
        return Err(TransportError::Dimension {
            mu: mu.dim(),
            nu: nu.dim(),
        });
    }
    let (rows, count) = directions.shape();
    let requirement = "of as many rows as the points have coordinates";
    ParameterError::check(rows == mu.dim(), "directions", requirement, rows as f64)?;
    ParameterError::check(count > 0, "directions", "at least one column", 0.0)?;
    let mut distances = Vec::with_capacity(count);
    for (k, t) in directions.column_iter().enumerate() {
        let (size, ratio) = scaled_norm(t.as_slice());
        let holds = size > T::zero() && t.iter().all(|t| t.is_finite());
        let requirement = "finite and not zero, column by column";
        ParameterError::check(holds, "directions", requirement, k as f64)?;
        // First by the largest entry: the norm itself may overflow, or be inaccurate if subnormal.
        let t = t.map(|t| t / size / ratio);
        let projected = |mu: &EmpiricalMeasure<T>| {
            let points = mu.points().tr_mul(&t);
            let points = DMatrix::from_row_slice(1, mu.len(), points.as_slice());
            EmpiricalMeasure::weighted(points, DVector::from_column_slice(mu.weights()))
        };
        distances.push(w2(&projected(mu)?, &projected(nu)?)?.distance());
    }
    // The norm of the distances, because their squares may overflow or underflow.
    Ok(norm(&distances) / real::<T>(count as f64).sqrt())
}
