//! Descent to a stationary point.

use super::objective::Polished;
use super::solve::{Goal, solve};
use crate::energy::Energy;
use crate::error::StepError;
use crate::real::{Real, epsilon, to_f64};
use crate::state::State;

/// Descends from the state to a stationary point of `F`, up to rounding: a [`Jko`](super::Jko) step
/// with `gamma` infinite.
///
/// Seeks `v` with 0 in the subdifferential of `F` at `v`. Where `F` is smooth, the velocity
/// `-grad F` vanishes there. At a kink the velocity need not vanish: 0 is in the convex hull of the
/// gradients around the point. `F` is not convex in the particles, so the point need not be a
/// minimum. It is never higher than the start, up to the rounding of `F`.
///
/// Positions move; weights and time stay. The tolerance of the residual is `eps` times the speed
/// `(int |velocity|^2 dmu)^(1/2)` at the start, or its rounding error if that is larger. At most
/// `iterations` iterations are done; with a loss with kinks, for all relaxed problems together.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// // One neuron a (b x)_+ at x = 1, y = 2: a b = 2.
/// let (x, y) = (DMatrix::from_element(1, 1, 1.0), DVector::from_element(1, 2.0));
/// let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), EmpiricalRisk::new(Square, x, y)?)?;
/// let start = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[1.0, 1.5]))?;
/// let mut state = State::new(start);
/// polish(&mut energy, &mut state, 100)?;
/// assert!(state.energy() < 1e-28);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`StepError::Inner`] if the residual is above its tolerance after `iterations`, or if the line
/// search fails repeatedly. The state is then evaluated at the last accepted point, which is not
/// higher than the start. [`StepError::NonFinite`] if the energy, a particle or a velocity at the
/// start is not finite; the state is then unchanged.
///
/// # Cost
/// [`Polished`] counts velocities, products and Hessians. Memory: fields of the shape of the
/// points, four `p x p` matrices a particle, and the state's scratch fields.
///
/// Source: see [`Jko`](super::Jko).
pub fn polish<T: Real>(
    energy: &mut dyn Energy<T>,
    state: &mut State<T>,
    iterations: usize,
) -> Result<Polished<T>, StepError> {
    state.evaluate(energy);
    if !state.is_finite() {
        return Err(StepError::NonFinite {
            step: state.step(),
            time: to_f64(state.time()),
        });
    }
    let goal = Goal {
        inv_gamma: T::zero(),
        tolerance: epsilon(),
        iterations,
    };
    solve(energy, state, &goal).map(|(_, polished)| polished)
}
