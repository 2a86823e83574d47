//! A step that is completed or undone.

use crate::error::StepError;
use crate::real::{Real, to_f64};
use crate::state::State;

/// A modification of the state that is complete, or that is undone when the value is dropped: by an
/// error or by a panic of a user-defined component.
pub(super) struct Attempt<'a, T: Real> {
    pub(super) state: &'a mut State<T>,
    before: &'a mut State<T>,
    /// The energy is not that of the velocity in `before`.
    pub(super) energy_changed: bool,
    complete: bool,
}

impl<'a, T: Real> Attempt<'a, T> {
    /// Copies the state to `kept`, which allocates once.
    pub(super) fn new(state: &'a mut State<T>, kept: &'a mut Option<State<T>>) -> Self {
        let before = kept.get_or_insert_with(|| state.clone());
        before.clone_from(state);
        Self {
            state,
            before,
            energy_changed: false,
            complete: false,
        }
    }

    /// Keeps the modified state.
    pub(super) fn complete(mut self) {
        self.complete = true;
        if !self.before.has_memory_like(self.state) {
            self.before.clone_from(self.state); // allocates for the memory of the integrator, once
        }
    }

    /// The error of a state that is not finite.
    pub(super) fn non_finite(&self) -> StepError {
        StepError::NonFinite {
            step: self.before.step(),
            time: to_f64(self.before.time()),
        }
    }
}

impl<T: Real> Drop for Attempt<'_, T> {
    fn drop(&mut self) {
        if !self.complete {
            std::mem::swap(self.state, self.before);
            if self.energy_changed {
                self.state.invalidate(); // its velocity is that of the previous minibatch
            }
        }
    }
}
