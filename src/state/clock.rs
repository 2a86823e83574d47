//! The clock of a flow: time as a compensated sum of steps, and the number of steps.

use crate::real::Real;

/// The time `t` and the number of steps; the exact sum of the steps is `time - lost`.
///
/// A plain sum of `s` steps is off by up to `s/2` units in the last place, so that a run of a
/// million steps would miss a requested time visibly in single precision.
///
/// Source: W. Kahan, *Further remarks on reducing truncation errors*, 1965.
#[derive(Debug, Clone)]
pub(super) struct Clock<T> {
    pub(super) time: T,
    lost: T,
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
