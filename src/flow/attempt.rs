//! A step that is completed or discarded.

use crate::error::StepError;
use crate::real::{Real, to_f64};
use crate::state::State;

/// A step from the state `before` to the state `next`, which replaces it when the step is complete.
/// After an error, or a panic of a user-defined component, `before` is as it was.
pub(super) struct Attempt<'a, T: Real> {
    pub(super) before: &'a mut State<T>,
    pub(super) next: &'a mut State<T>,
    /// The energy is not that of the velocity in `before`.
    pub(super) energy_changed: bool,
}

impl<'a, T: Real> Attempt<'a, T> {
    /// The content of `next` is unspecified; its buffers are reused.
    pub(super) fn new(before: &'a mut State<T>, next: &'a mut Option<State<T>>) -> Self {
        let next = next.get_or_insert_with(|| before.clone());
        Self {
            before,
            next,
            energy_changed: false,
        }
    }

    /// Keeps the next state.
    pub(super) fn complete(mut self) {
        self.energy_changed = false;
        self.before.exchange(self.next);
        if !self.next.has_memory_like(self.before) {
            self.next.clone_from(self.before); // allocates for the memory of the integrator, once
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
        if self.energy_changed {
            self.before.invalidate(); // its velocity is that of the previous minibatch
        }
    }
}
