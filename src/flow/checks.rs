//! Checks of the energy and the measure before a step, and the samples of the step.

use crate::energy::Energy;
use crate::error::{EnergyError, ShapeError};
use crate::measure::EmpiricalMeasure;
use crate::real::Real;

/// Replaces the samples of the energy by those of `step`, unless it holds them; returns true if the
/// energy changed.
pub(super) fn resample<T: Real>(
    energy: &mut impl Energy<T>,
    samples: &mut Option<usize>,
    step: usize,
) -> bool {
    if *samples == Some(step) {
        return false;
    }
    *samples = None; // until `refresh` returns, in case that it panics
    let changed = energy.refresh(step);
    *samples = Some(step);
    changed
}

/// Checks the energy, that `mu` has the dimension that it requires, and that it is defined at `mu`.
pub(super) fn check<T, E>(energy: &impl Energy<T>, mu: &EmpiricalMeasure<T>) -> Result<(), E>
where
    T: Real,
    E: From<ShapeError> + From<EnergyError>,
{
    energy.check()?;
    check_dim(energy, mu)?;
    Ok(energy.check_measure(mu)?)
}

/// Checks that the particles of `mu` have the dimension that the energy requires.
pub(super) fn check_dim<T: Real>(
    energy: &impl Energy<T>,
    mu: &EmpiricalMeasure<T>,
) -> Result<(), ShapeError> {
    ShapeError::check(
        "particle dimension of the measure",
        energy.particle_dim(),
        mu.dim(),
    )
}
