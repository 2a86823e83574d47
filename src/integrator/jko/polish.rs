//! From any state to a stationary point.

use super::solve;
use crate::energy::Energy;
use crate::error::StepError;
use crate::real::{Real, epsilon};
use crate::state::State;

/// What [`polish`] reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Polished<T> {
    /// The size of the shortest subgradient.
    pub residual: T,
    /// Iterations.
    pub iterations: usize,
    /// Velocities computed.
    pub evaluations: usize,
    /// Products with the curvature.
    pub products: usize,
}

/// Descends from the state to a stationary point of the energy, up to rounding.
///
/// # Errors
/// [`StepError::Inner`] when `iterations` were not enough.
pub fn polish<T: Real>(
    energy: &mut dyn Energy<T>,
    state: &mut State<T>,
    iterations: usize,
) -> Result<Polished<T>, StepError> {
    let ending = solve(energy, state, T::zero(), epsilon::<T>(), iterations)?;
    let (iterations, residual) = (ending.iterations, ending.residual);
    if ending.converged {
        Ok(Polished { residual, iterations, evaluations: ending.evaluations, products: ending.products })
    } else {
        Err(StepError::Inner { iterations, residual: crate::real::to_f64(residual) })
    }
}
