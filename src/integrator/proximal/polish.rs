//! From any state to a stationary point.

use super::solve;
use crate::energy::Energy;
use crate::error::StepError;
use crate::real::{Real, epsilon, to_f64};
use crate::state::State;

/// What [`polish`] reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Polished<T> {
    /// The `L2(mu)` norm of the shortest subgradient.
    pub residual: T,
    /// Iterations.
    pub iterations: usize,
    /// Velocities computed.
    pub evaluations: usize,
    /// Products with the curvature.
    pub products: usize,
}

/// Descends from the state to a stationary point of `F`, up to rounding: a [`Jko`](super::Jko) step with `gamma` infinite.
///
/// The clock stays. At kinks a stationary point has 0 in the convex hull of the gradients around it; its velocity need not vanish.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// // One neuron a (b x)_+ at x = 1, y = 2: a b = 2.
/// let risk = EmpiricalRisk::new(Square, DMatrix::from_element(1, 1, 1.0), DVector::from_element(1, 2.0))?;
/// let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?;
/// let mut state = State::new(EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[1.0, 1.5]))?);
/// polish(&mut energy, &mut state, 100)?;
/// assert!(state.energy() < 1e-28);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`StepError::Inner`] when `iterations` were not enough, or the descent got stuck; the state is then the lowest point found.
pub fn polish<T: Real>(
    energy: &mut dyn Energy<T>,
    state: &mut State<T>,
    iterations: usize,
) -> Result<Polished<T>, StepError> {
    let ending = solve(energy, state, T::zero(), epsilon::<T>(), iterations)?;
    let (iterations, residual) = (ending.iterations, ending.residual);
    if ending.converged {
        Ok(Polished {
            residual,
            iterations,
            evaluations: ending.evaluations,
            products: ending.products,
        })
    } else {
        Err(StepError::Inner {
            iterations,
            residual: to_f64(residual),
        })
    }
}
