//! The step size of a flow: a constant, or a schedule.

use std::fmt;

use crate::error::ParameterError;
use crate::integrator::{Schedule, Step};
use crate::real::{Real, epsilon, real, to_f64};
use crate::state::State;

/// The size of the steps that no integrator proposes.
pub(super) enum StepSize<T> {
    Fixed(T),
    Scheduled(Box<dyn Schedule<T> + Send + Sync>),
}

impl<T: Real> StepSize<T> {
    /// The constant size `dt`.
    pub(super) fn fixed(dt: T) -> Result<Self, ParameterError> {
        ParameterError::check_positive("dt", to_f64(dt))?;
        Ok(Self::Fixed(dt))
    }

    /// The sizes of a schedule, of which the first one is checked.
    pub(super) fn scheduled(
        schedule: impl Schedule<T> + Send + Sync + 'static,
    ) -> Result<Self, ParameterError> {
        check_scheduled(schedule.step_size(0, T::zero()))?;
        Ok(Self::Scheduled(Box::new(schedule)))
    }

    /// The size of the next step of a state: that which the integrator proposed last, or else that
    /// of the schedule.
    pub(super) fn of(&self, state: &State<T>) -> Result<T, ParameterError> {
        match (state.next(), self) {
            (Some(next), _) => Ok(next),
            (None, Self::Fixed(dt)) => Ok(*dt),
            (None, Self::Scheduled(schedule)) => {
                check_scheduled(schedule.step_size(state.step(), state.time()))
            }
        }
    }
}

fn check_scheduled<T: Real>(dt: T) -> Result<T, ParameterError> {
    ParameterError::check_positive("the step size of the schedule", to_f64(dt))?;
    Ok(dt)
}

impl<T: fmt::Debug> fmt::Debug for StepSize<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(dt) => dt.fmt(f),
            Self::Scheduled(_) => f.write_str("Schedule"),
        }
    }
}

/// Checks `0 < taken <= dt` and that the proposed step size is positive and finite: otherwise a run
/// might never end.
pub(super) fn check_step<T: Real>(step: Step<T>, dt: T) -> Result<(), ParameterError> {
    let (name, requirement) = (
        "the step taken by the integrator",
        "positive and at most the size requested",
    );
    let holds = step.taken > T::zero() && step.taken <= dt;
    ParameterError::check(holds, name, requirement, to_f64(step.taken))?;
    step.next.map_or(Ok(()), |next| {
        ParameterError::check_positive("the step proposed by the integrator", to_f64(next))
    })
}

/// The steps of a run to a finite time, of a size that the integrator chose, that may be short.
pub(super) const SHORT_STEPS: usize = 1_000_000;

/// The number of steps to the requested time from which on a step is short.
pub(super) const MANY_STEPS: f64 = 1e9;

/// The number of fixed steps to the requested time that no machine takes.
pub(super) const ENDLESS: f64 = 1e15;

/// Steps that end within this many units of rounding of the requested time end there exactly.
const ARRIVAL: f64 = 1e3;

/// Returns true if a step of `dt` ends at or beyond the remaining time, up to rounding.
pub(super) fn reaches<T: Real>(dt: T, remaining: T) -> bool {
    dt * (T::one() + real::<T>(ARRIVAL) * epsilon::<T>()) >= remaining
}
