//! Transport distances to a target measure as energies of a flow.

use crate::error::{EnergyError, MeasureError, ParameterError, ShapeError};
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, to_f64};

mod distinct;
mod hellinger_kantorovich;
mod sinkhorn;
mod sliced;
mod wasserstein;

pub use hellinger_kantorovich::HellingerKantorovichEnergy;
pub use sinkhorn::SinkhornEnergy;
pub use sliced::SlicedW2Energy;
pub use wasserstein::W2Energy;

/// Returns an error unless the target is a measure of positive mass.
fn check_target<T: Real>(target: &EmpiricalMeasure<T>) -> Result<(), MeasureError> {
    target.check()?;
    ParameterError::check_positive("mass of the target", to_f64(target.mass()))?;
    Ok(())
}

/// Returns an error unless `mu` has the dimension and the mass of the target.
fn check_measure<T: Real>(
    mu: &EmpiricalMeasure<T>,
    target: &EmpiricalMeasure<T>,
) -> Result<(), EnergyError> {
    let what = "particle dimension of the measure";
    ShapeError::check(what, target.dim(), mu.dim())?;
    Ok(crate::energy::check_mass(mu, target)?)
}
