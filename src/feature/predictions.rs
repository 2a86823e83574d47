//! Predictions at any samples.

use nalgebra::DMatrix;

use super::{FeatureMap, Workspace};
use crate::error::{ShapeError, is_allocatable};
use crate::inputs::Inputs;
use crate::measure::EmpiricalMeasure;
use crate::real::Real;

/// Predictions `h_mu(x_j)` at any samples, `k x n`: column j is the prediction at `x_j`.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// // Two neurons of weight 1/2 represent |x| / 2.
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[1.0, 1.0, 1.0, -1.0]))?;
/// let h = predict(&Ridge::new(Relu, 1), &mu, &Inputs::from_slice(1, &[-3.0, 5.0])?)?;
/// assert_eq!(h.as_slice(), &[1.5, 2.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ShapeError`] if the dimension of the inputs (`d`) or particles (`p`) is not that of the map,
/// if `k = 0`, or if `k n` predictions do not fit in memory.
///
/// Allocates its result; in a loop use [`FeatureMap::predict`].
pub fn predict<T: Real>(
    features: &(impl FeatureMap<T> + ?Sized),
    mu: &EmpiricalMeasure<T>,
    x: &Inputs<T>,
) -> Result<DMatrix<T>, ShapeError> {
    ShapeError::check("dimension of the inputs", features.input_dim(), x.dim())?;
    let p = features.particle_dim();
    ShapeError::check("dimension of the particles", p, mu.dim())?;
    let k = features.output_dim();
    ShapeError::check("number of outputs of the feature map", k.max(1), k)?;
    if !is_allocatable::<T>(k, x.len()) {
        return Err(ShapeError {
            what: "number of predictions (at most)",
            expected: isize::MAX as usize / size_of::<T>().max(1),
            found: k.saturating_mul(x.len()),
        });
    }
    let mut h = DMatrix::zeros(k, x.len());
    features.predict(mu, x, h.as_mut_slice(), &mut Workspace::default());
    Ok(h)
}
