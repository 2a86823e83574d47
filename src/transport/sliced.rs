//! Sliced Wasserstein distance, for clouds that are too large for optimal transport in R^d.

use nalgebra::{DMatrix, DVector};

use super::{TransportError, w2};
use crate::error::ParameterError;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, real};

/// The sliced distance `SW_2 = (mean_k W_2^2(<t_k, .> mu, <t_k, .> nu))^(1/2)` over the columns
/// `t_k` of `directions`.
///
/// `directions` is `d x K`; its columns have any positive length and are normalised. `SW_2 <= W_2`.
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
/// assert_eq!(sliced, f64::sqrt((0.0 + 5.0) / 2.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`w2`]. [`TransportError::Parameter`] if `directions` is empty or has a column that is
/// zero or not finite. [`TransportError::Dimension`] if the directions have another dimension than
/// the points.
///
/// # Cost
/// One sort a direction: `O(K (n + m) (d + log(n + m)))`.
pub fn sliced_w2<T: Real>(
    mu: &EmpiricalMeasure<T>,
    nu: &EmpiricalMeasure<T>,
    directions: &DMatrix<T>,
) -> Result<T, TransportError> {
    let count = directions.ncols();
    ParameterError::check(count > 0, "directions", "at least one column", 0.0)?;
    if directions.nrows() != mu.dim() {
        return Err(TransportError::Dimension {
            mu: mu.dim(),
            nu: directions.nrows(),
        });
    }
    if mu.dim() != nu.dim() {
        return Err(TransportError::Dimension {
            mu: mu.dim(),
            nu: nu.dim(),
        });
    }
    let mut sum = T::zero();
    for (k, t) in directions.column_iter().enumerate() {
        let norm = t.norm();
        let (holds, requirement) = (
            norm.is_finite() && norm > T::zero(),
            "finite and not zero, column by column",
        );
        ParameterError::check(holds, "directions", requirement, k as f64)?;
        let projected = |mu: &EmpiricalMeasure<T>| {
            let points = mu.points().tr_mul(&t) / norm;
            let points = DMatrix::from_row_slice(1, mu.len(), points.as_slice());
            EmpiricalMeasure::weighted(points, DVector::from_column_slice(mu.weights()))
        };
        sum += w2(&projected(mu)?, &projected(nu)?)?.cost();
    }
    Ok((sum / real(count as f64)).sqrt())
}
