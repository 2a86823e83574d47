//! Sliced transport: exact on every line, for clouds too large to couple.

use nalgebra::DMatrix;

use super::{TransportError, w2};
use crate::error::ParameterError;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, real};

/// The sliced distance `SW_2 = (mean_k W_2^2(<t_k, .> mu, <t_k, .> nu))^(1/2)` over the columns `t_k` of `directions`
/// (`d x K`, of any length > 0; each is normalised).
///
/// `SW_2 <= W_2`, by one sort a direction: `O(K (n + m) (d + log(n + m)))`.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[0.0, 0.0, 4.0, 0.0]))?;
/// let nu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[4.0, 1.0, 0.0, 3.0]))?;
/// // along the first axis both are the same
/// let sliced = transport::sliced_w2(&mu, &nu, &DMatrix::identity(2, 2))?;
/// assert_eq!(sliced, f64::sqrt((0.0 + 5.0) / 2.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`w2`], and when there is no direction, or one is zero, not finite or of another dimension.
pub fn sliced_w2<T: Real>(
    mu: &EmpiricalMeasure<T>,
    nu: &EmpiricalMeasure<T>,
    directions: &DMatrix<T>,
) -> Result<T, TransportError> {
    let count = directions.ncols();
    if count == 0 {
        let name = "directions";
        return Err(ParameterError {
            name,
            requirement: "at least one column",
            value: 0.0,
        }
        .into());
    }
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
        if !(norm.is_finite() && norm > T::zero()) {
            let name = "directions";
            return Err(ParameterError {
                name,
                requirement: "finite and not zero, column by column",
                value: k as f64,
            }
            .into());
        }
        let line = |mu: &EmpiricalMeasure<T>| {
            let points = mu.points().tr_mul(&t) / norm;
            let weights = mu.weights().iter().copied();
            let points = DMatrix::from_iterator(1, mu.len(), points.iter().copied());
            EmpiricalMeasure::weighted(points, nalgebra::DVector::from_iterator(mu.len(), weights))
        };
        sum += w2(&line(mu)?, &line(nu)?)?.cost();
    }
    Ok((sum / real(count as f64)).sqrt())
}
