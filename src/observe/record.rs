//! Observers that record.

use std::ops::ControlFlow;

use super::{Observer, StopReason};
use crate::measure::EmpiricalMeasure;
use crate::real::Real;
use crate::state::State;

/// One line of a [`Trace`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record<T> {
    /// Steps completed.
    pub step: usize,
    /// The time t.
    pub time: T,
    /// `F(mu_t)`.
    pub energy: T,
    /// `int |v|^2 dmu_t`.
    pub dissipation: T,
}

/// Records step, time, energy and dissipation of every state that it is shown, each step once.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace<T> {
    records: Vec<Record<T>>,
}

impl<T> Trace<T> {
    /// An empty trace.
    pub fn new() -> Self {
        Self {
            records: Vec::new(),
        }
    }

    /// What was recorded, in the order of time.
    pub fn records(&self) -> &[Record<T>] {
        &self.records
    }
}

impl<T> Default for Trace<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Real> Observer<T> for Trace<T> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        if self
            .records
            .last()
            .is_none_or(|last| last.step != state.step())
        {
            let (step, time) = (state.step(), state.time());
            self.records.push(Record {
                step,
                time,
                energy: state.energy(),
                dissipation: state.dissipation(),
            });
        }
        ControlFlow::Continue(())
    }
}

/// Records the measure itself, with its time, each step once. Wrap it in [`Every`](super::Every) or
/// [`LogSpaced`](super::LogSpaced): it clones.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshots<T> {
    taken: Vec<(T, EmpiricalMeasure<T>)>,
    last: Option<usize>,
}

impl<T> Snapshots<T> {
    /// No snapshot yet.
    pub fn new() -> Self {
        Self {
            taken: Vec::new(),
            last: None,
        }
    }

    /// Times and measures, in the order of time.
    pub fn taken(&self) -> &[(T, EmpiricalMeasure<T>)] {
        &self.taken
    }

    /// Times and measures, in the order of time, to keep.
    pub fn into_taken(self) -> Vec<(T, EmpiricalMeasure<T>)> {
        self.taken
    }
}

impl<T> Default for Snapshots<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Real> Observer<T> for Snapshots<T> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        if self.last != Some(state.step()) {
            self.taken.push((state.time(), state.measure().clone()));
            self.last = Some(state.step());
        }
        ControlFlow::Continue(())
    }
}
