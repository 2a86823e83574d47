//! Observers that record a run.

use std::ops::ControlFlow;
use std::path::Path;

use super::{Observer, StopReason};
use crate::io::{self, FileError};
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, to_f64};
use crate::state::State;

/// The scalars of one state, an entry of a [`Trace`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Record<T> {
    /// The number of completed steps.
    pub step: usize,
    /// The time t.
    pub time: T,
    /// The energy `F(mu_t)`.
    pub energy: T,
    /// The dissipation `int |v|^2 dmu_t`.
    pub dissipation: T,
}

/// Records step, time, energy and dissipation of every observed state.
///
/// A run that resumes observes its initial state again, which is recorded once: a record equal to
/// the last one is omitted. A trace can record several runs.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::observe::Trace;
/// use wasserflow::prelude::*;
///
/// let mut flow = ParticleFlow::new(PotentialEnergy::new(WeightDecay::new(0.5)?, 1), Euler, 0.5)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
/// let mut trace = Trace::new();
/// flow.run(&mut state, 1, &mut trace)?; // w = 1, 1/2 with F = w^2 / 2
/// let energies: Vec<_> = trace.records().iter().map(|record| record.energy).collect();
/// assert_eq!(energies, [0.5, 0.125]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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

    /// The records in chronological order.
    pub fn records(&self) -> &[Record<T>] {
        &self.records
    }
}

impl<T: Real> Trace<T> {
    /// The records as a table of comma-separated values, with the columns `step`, `time`, `energy`
    /// and `dissipation`.
    ///
    /// Numbers have the fewest digits that distinguish them from all other `f64`.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::observe::Trace;
    /// use wasserflow::prelude::*;
    ///
    /// let mut trace = Trace::new();
    /// let energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1);
    /// let mut flow = ParticleFlow::new(energy, Euler, 0.5)?;
    /// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
    /// flow.run(&mut state, 1, &mut trace)?;
    /// let table = "step,time,energy,dissipation\n0,0e0,5e-1,1e0\n1,5e-1,1.25e-1,2.5e-1\n";
    /// assert_eq!(trace.to_csv(), table);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_csv(&self) -> String {
        let mut out = String::from("step,time,energy,dissipation\n");
        for record in &self.records {
            out.push_str(&record.step.to_string());
            for value in [record.time, record.energy, record.dissipation] {
                out.push_str(&format!(",{:e}", to_f64(value)));
            }
            out.push('\n');
        }
        out
    }

    /// Writes the table of [`to_csv`](Self::to_csv) to a file, which is replaced atomically.
    ///
    /// # Errors
    /// [`FileError`] if the file cannot be written.
    pub fn write_csv(&self, path: impl AsRef<Path>) -> Result<(), FileError> {
        io::replace(path.as_ref(), self.to_csv().as_bytes())
    }
}

impl<T> Default for Trace<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Real> Observer<T> for Trace<T> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        let record = Record {
            step: state.step(),
            time: state.time(),
            energy: state.energy(),
            dissipation: state.dissipation(),
        };
        if self.records.last() != Some(&record) {
            self.records.push(record);
        }
        ControlFlow::Continue(())
    }
}

/// Records time and measure of every observed state.
///
/// A run that resumes observes its initial state again, which is recorded once: the measure recorded
/// last is omitted if step and time are the same too.
///
/// Every snapshot is a copy of the measure. Wrap the observer in [`Every`](super::Every) or
/// [`LogSpaced`](super::LogSpaced) to limit their number.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::observe::{Every, Snapshots};
/// use wasserflow::prelude::*;
///
/// let mut flow = ParticleFlow::new(PotentialEnergy::new(WeightDecay::new(0.5)?, 1), Euler, 0.5)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
/// let mut snapshots = Every::new(2, Snapshots::new());
/// flow.run(&mut state, 4, &mut snapshots)?;
/// let times: Vec<_> = snapshots.into_inner().taken().iter().map(|&(time, _)| time).collect();
/// assert_eq!(times, [0.0, 1.0, 2.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(deserialize = "T: Real + serde::Deserialize<'de>"))
)]
pub struct Snapshots<T> {
    taken: Vec<(T, EmpiricalMeasure<T>)>,
    /// The step of the last snapshot.
    last: Option<usize>,
}

impl<T> Snapshots<T> {
    /// An empty list of snapshots.
    pub fn new() -> Self {
        Self {
            taken: Vec::new(),
            last: None,
        }
    }

    /// Times and measures in chronological order.
    pub fn taken(&self) -> &[(T, EmpiricalMeasure<T>)] {
        &self.taken
    }

    /// Returns times and measures in chronological order.
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
        let is_last = |(time, measure): &(T, EmpiricalMeasure<T>)| {
            *time == state.time() && measure == state.measure()
        };
        if self.last != Some(state.step()) || !self.taken.last().is_some_and(is_last) {
            self.taken.push((state.time(), state.measure().clone()));
            self.last = Some(state.step());
        }
        ControlFlow::Continue(())
    }
}
