//! The multipliers of a relaxation.

use nalgebra::DVector;

/// The multipliers of a relaxation: `log w` and `theta`.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::optimality) struct Multipliers {
    pub(super) log_weights: DVector<f64>,
    pub(super) theta: DVector<f64>,
}

impl Multipliers {
    pub(super) fn weights(&self) -> DVector<f64> {
        self.log_weights.map(f64::exp)
    }
}
