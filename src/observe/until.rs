//! Observers that stop a run.

use std::ops::ControlFlow;

use super::{Observer, StopReason};
use crate::error::ParameterError;
use crate::real::{Real, to_f64};
use crate::state::State;

/// Stops a run when the velocity vanishes: `(int |v|^2 dmu)^(1/2) <= tolerance`.
///
/// At a kink (a rectifier neuron pinned on a data hyperplane) the velocity of a stationary measure need not vanish.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UntilStationary<T> {
    tolerance: T,
}

impl<T: Real> UntilStationary<T> {
    /// Stops at velocities of `L2(mu)` norm `tolerance >= 0`.
    ///
    /// # Errors
    /// [`ParameterError`] when the tolerance is negative or NaN.
    pub fn new(tolerance: T) -> Result<Self, ParameterError> {
        if tolerance >= T::zero() {
            Ok(Self { tolerance })
        } else {
            Err(ParameterError {
                name: "tolerance",
                requirement: ">= 0",
                value: to_f64(tolerance),
            })
        }
    }
}

impl<T: Real> Observer<T> for UntilStationary<T> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        if state.dissipation().sqrt() <= self.tolerance {
            ControlFlow::Break(StopReason::Stationary)
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// Stops a run when the energy reaches a target: `F(mu_t) <= target`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UntilTarget<T> {
    target: T,
}

impl<T: Real> UntilTarget<T> {
    /// Stops at the energy `target`.
    ///
    /// # Errors
    /// [`ParameterError`] when the target is NaN.
    pub fn new(target: T) -> Result<Self, ParameterError> {
        if to_f64(target).is_nan() {
            Err(ParameterError {
                name: "target",
                requirement: "a number",
                value: f64::NAN,
            })
        } else {
            Ok(Self { target })
        }
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
