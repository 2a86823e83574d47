//! The reason why a flow cannot start.

use thiserror::Error;

use crate::error::{EnergyError, MeasureError, ParameterError, ShapeError};

/// The reason why a flow cannot start from a measure.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The particles do not have the dimension that the energy requires, or the parts of the energy
    /// do not fit together.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A parameter of the energy is outside its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// The measure is invalid after a modification of its points or weights.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// The energy or a velocity at the start is infinite or NaN.
    #[error(
        "the energy at the start must be finite, with finite velocities; found F = {energy}, int |v|^2 dmu = {dissipation}"
    )]
    NonFinite {
        /// `F(mu)`.
        energy: f64,
        /// `int |v|^2 dmu`.
        dissipation: f64,
    },
    /// The measure or the energy of another rank is not valid; that rank returns the reason.
    #[error("the measure or the energy of rank {rank} is not valid: it returns the reason")]
    Rank {
        /// The number of the first rank that refused the start.
        rank: usize,
    },
}

impl From<EnergyError> for StartError {
    fn from(error: EnergyError) -> Self {
        match error {
            EnergyError::Shape(error) => Self::Shape(error),
            EnergyError::Parameter(error) => Self::Parameter(error),
        }
    }
}
