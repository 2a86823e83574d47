//! Stopping criteria.

use std::ops::ControlFlow;

use super::{Observer, StopReason};
use crate::error::ParameterError;
use crate::real::{Real, to_f64};
use crate::state::State;

/// Stops a run when the [slope](State::slope) is small: `(int |v|^2 dmu)^(1/2) <= tolerance`.
///
/// The velocity of a stationary measure need not vanish at a kink of the energy, for example if a
/// rectifier neuron lies on the hyperplane `b.x_j = 0` of a sample. After a step of
/// [`Jko`](crate::integrator::Jko) the slope is that of the minimum-norm subgradient, which vanishes there.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::observe::UntilStationary;
/// use wasserflow::prelude::*;
///
/// let mut flow = ParticleFlow::new(PotentialEnergy::new(WeightDecay::new(0.5)?, 1), Euler, 0.5)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
/// let reason = flow.run(&mut state, 100, &mut UntilStationary::new(0.25)?)?; // v = -1, -1/2, -1/4
/// assert_eq!((reason, state.step()), (StopReason::Stationary, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UntilStationary<T> {
    tolerance: T,
}

impl<T: Real> UntilStationary<T> {
    /// Stops when the slope is at most `tolerance >= 0`.
    ///
    /// # Errors
    /// [`ParameterError`] if the tolerance is negative or NaN.
    pub fn new(tolerance: T) -> Result<Self, ParameterError> {
        let holds = tolerance >= T::zero();
        ParameterError::check(holds, "tolerance", ">= 0", to_f64(tolerance))?;
        Ok(Self { tolerance })
    }
}

impl<T: Real> Observer<T> for UntilStationary<T> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        if state.slope() <= self.tolerance {
            ControlFlow::Break(StopReason::Stationary)
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// Stops a run when the energy reaches a target: `F(mu_t) <= target`.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::observe::UntilTarget;
/// use wasserflow::prelude::*;
///
/// let mut flow = ParticleFlow::new(PotentialEnergy::new(WeightDecay::new(0.5)?, 1), Euler, 0.5)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
/// let reason = flow.run(&mut state, 100, &mut UntilTarget::new(0.2)?)?; // F = 1/2, 1/8
/// assert_eq!((reason, state.step()), (StopReason::Target, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UntilTarget<T> {
    target: T,
}

impl<T: Real> UntilTarget<T> {
    /// Stops when the energy is at most `target`.
    ///
    /// # Errors
    /// [`ParameterError`] if the target is NaN.
    pub fn new(target: T) -> Result<Self, ParameterError> {
        let value = to_f64(target);
        ParameterError::check(!value.is_nan(), "target", "a number", value)?;
        Ok(Self { target })
    }
}

impl<T: Real> Observer<T> for UntilTarget<T> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        if state.energy() <= self.target {
            ControlFlow::Break(StopReason::Target)
        } else {
            ControlFlow::Continue(())
        }
    }
}
