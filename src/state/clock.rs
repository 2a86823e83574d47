//! The clock of a flow: time as a compensated sum of steps, and the number of steps.

use crate::error::ParameterError;
use crate::real::{Real, to_f64};

/// The time `t` and the number of steps; the exact sum of the steps is `time - lost`.
///
/// A plain sum of `s` steps is off by up to `s/2` units in the last place, so that a run of a
/// million steps would miss a requested time visibly in single precision.
///
/// Source: W. Kahan, *Further remarks on reducing truncation errors*, 1965.
#[derive(Debug, Clone)]
pub(super) struct Clock<T> {
    pub(super) time: T,
    pub(super) lost: T,
    pub(super) step: usize,
}

impl<T: Real> Clock<T> {
    /// Time 0 before the first step.
    pub(super) fn new() -> Self {
        Self {
            time: T::zero(),
            lost: T::zero(),
            step: 0,
        }
    }

    /// The clock of given parts.
    pub(super) fn from_parts(time: T, lost: T, step: usize) -> Result<Self, ParameterError> {
        for (name, value) in [("time of the state", time), ("lost part of the time", lost)] {
            ParameterError::check(value.is_finite(), name, "finite", to_f64(value))?;
        }
        Ok(Self { time, lost, step })
    }

    /// Completes a step of size `dt`.
    pub(super) fn advance(&mut self, dt: T) {
        let step = dt - self.lost;
        let time = self.time + step;
        self.lost = (time - self.time) - step;
        self.time = time;
        self.step += 1;
    }

    /// `time - t`, to full precision.
    pub(super) fn remaining(&self, time: T) -> T {
        (time - self.time) + self.lost
    }

    /// Sets the time to exactly `time`.
    pub(super) fn set(&mut self, time: T) {
        (self.time, self.lost) = (time, T::zero());
    }
}
