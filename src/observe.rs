//! Observers: recording and stopping, composable.
//!
//! An observer sees every state of a run and may end it. A tuple of observers shows the state to each, and ends the run
//! with the first reason given.
//!
//! ```
//! use wasserflow::nalgebra::DMatrix;
//! use wasserflow::observe::{Trace, UntilStationary};
//! use wasserflow::{EmpiricalMeasure, Euler, ParticleFlow, PotentialEnergy, StopReason, WeightDecay};
//!
//! let energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1);
//! let mut flow = ParticleFlow::new(energy, Euler, 0.1)?;
//! let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
//!
//! let mut trace = Trace::new();
//! let reason = flow.run(&mut state, 10_000, &mut (&mut trace, UntilStationary::new(1e-6)?))?;
//! assert_eq!(reason, StopReason::Stationary);
//! assert!(reason.converged());
//! assert_eq!(trace.records().len(), state.step() + 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::ops::ControlFlow;

use crate::error::ParameterError;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, to_f64};
use crate::state::State;

/// Why a run stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// The number of steps asked for.
    Steps,
    /// The time asked for.
    Time,
    /// The velocity vanished, up to the tolerance asked for. This is not yet a global minimum.
    Stationary,
    /// The energy reached the target asked for.
    Target,
    /// An observer of the user's asked for it.
    Requested,
}

impl StopReason {
    /// Whether the run reached what it was to find, rather than the end of its budget.
    pub fn converged(self) -> bool {
        matches!(self, Self::Stationary | Self::Target)
    }
}

/// Sees every state of a run, and may end it.
///
/// ```
/// use std::ops::ControlFlow;
/// use wasserflow::{Observer, Real, State, StopReason};
///
/// /// Stops when the particles leave the ball of radius r.
/// struct Escape(f64);
/// impl<T: Real> Observer<T> for Escape {
///     fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
///         if state.measure().points().iter().any(|w| w.to_f64().unwrap_or(f64::NAN).abs() > self.0) {
///             return ControlFlow::Break(StopReason::Requested);
///         }
///         ControlFlow::Continue(())
///     }
/// }
/// # let _: &dyn Observer<f64> = &Escape(1.0);
/// ```
pub trait Observer<T: Real> {
    /// Sees the state; `Break` ends the run for the reason given.
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason>;
}

/// Sees nothing.
impl<T: Real> Observer<T> for () {
    fn observe(&mut self, _: &State<T>) -> ControlFlow<StopReason> {
        ControlFlow::Continue(())
    }
}

macro_rules! forward_observer {
    ($($pointer:ty),*) => {$(
        impl<T: Real, O: Observer<T> + ?Sized> Observer<T> for $pointer {
            fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
                (**self).observe(state)
            }
        }
    )*};
}
forward_observer!(&mut O, Box<O>);

macro_rules! tuple_observer {
    ($($observer:ident $index:tt),*) => {
        /// Each sees the state; the first reason ends the run.
        impl<T: Real, $($observer: Observer<T>),*> Observer<T> for ($($observer,)*) {
            fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
                let verdicts = [$(self.$index.observe(state)),*];
                verdicts.into_iter().find(ControlFlow::is_break).unwrap_or(ControlFlow::Continue(()))
            }
        }
    };
}
tuple_observer!(A 0, B 1);
tuple_observer!(A 0, B 1, C 2);
tuple_observer!(A 0, B 1, C 2, D 3);

/// The observer that calls `f`.
///
/// ```
/// use std::ops::ControlFlow;
/// use wasserflow::{State, StopReason, observe};
///
/// let mut seen = 0;
/// let _count = observe::from_fn(|_: &State<f64>| {
///     seen += 1;
///     if seen < 10 { ControlFlow::Continue(()) } else { ControlFlow::Break(StopReason::Requested) }
/// });
/// ```
pub fn from_fn<T: Real, F: FnMut(&State<T>) -> ControlFlow<StopReason>>(f: F) -> FromFn<F> {
    FromFn(f)
}

/// See [`from_fn`].
#[derive(Clone, Copy)]
pub struct FromFn<F>(F);

impl<F> std::fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FromFn")
    }
}

impl<T: Real, F: FnMut(&State<T>) -> ControlFlow<StopReason>> Observer<T> for FromFn<F> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        (self.0)(state)
    }
}

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
        Self { records: Vec::new() }
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
        if self.records.last().is_none_or(|last| last.step != state.step()) {
            let (step, time) = (state.step(), state.time());
            self.records.push(Record { step, time, energy: state.energy(), dissipation: state.dissipation() });
        }
        ControlFlow::Continue(())
    }
}

/// Records the measure itself, with its time, each step once. Wrap it in [`Every`] or [`LogSpaced`]: it clones.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshots<T> {
    taken: Vec<(T, EmpiricalMeasure<T>)>,
    last: Option<usize>,
}

impl<T> Snapshots<T> {
    /// No snapshot yet.
    pub fn new() -> Self {
        Self { taken: Vec::new(), last: None }
    }

    /// Times and measures, in the order of time.
    pub fn taken(&self) -> &[(T, EmpiricalMeasure<T>)] {
        &self.taken
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

/// Shows its observer the steps 0, k, 2k, ..
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Every<O> {
    period: usize,
    observer: O,
}

impl<O> Every<O> {
    /// Shows `observer` every `period`-th step; a period of 0 counts as 1.
    pub fn new(period: usize, observer: O) -> Self {
        Self { period: period.max(1), observer }
    }

    /// The observer.
    pub fn into_inner(self) -> O {
        self.observer
    }
}

impl<T: Real, O: Observer<T>> Observer<T> for Every<O> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        if state.step().is_multiple_of(self.period) { self.observer.observe(state) } else { ControlFlow::Continue(()) }
    }
}

/// Shows its observer the steps 0, 1, 2, 3, .., and from then on steps a factor apart, for log axes.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::observe::{LogSpaced, Trace};
/// use wasserflow::{EmpiricalMeasure, Euler, ParticleFlow, PotentialEnergy, WeightDecay};
///
/// let mut flow = ParticleFlow::new(PotentialEnergy::new(WeightDecay::new(0.5)?, 1), Euler, 0.001)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
/// let mut spaced = LogSpaced::new(2.0, Trace::new())?;
/// flow.run(&mut state, 40, &mut spaced)?;
/// let steps: Vec<_> = spaced.into_inner().records().iter().map(|record| record.step).collect();
/// assert_eq!(steps, [0, 1, 2, 4, 8, 16, 32]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct LogSpaced<O> {
    ratio: f64,
    due: usize,
    observer: O,
}

impl<O> LogSpaced<O> {
    /// Shows `observer` steps that are a factor `ratio > 1` apart.
    ///
    /// # Errors
    /// [`ParameterError`] when `ratio` is not above 1 and finite.
    pub fn new(ratio: f64, observer: O) -> Result<Self, ParameterError> {
        if ratio > 1.0 && ratio.is_finite() {
            Ok(Self { ratio, due: 0, observer })
        } else {
            Err(ParameterError { name: "ratio", requirement: "above 1 and finite", value: ratio })
        }
    }

    /// The observer.
    pub fn into_inner(self) -> O {
        self.observer
    }
}

impl<T: Real, O: Observer<T>> Observer<T> for LogSpaced<O> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        if state.step() < self.due {
            return ControlFlow::Continue(());
        }
        self.due = (state.step() + 1).max((state.step() as f64 * self.ratio) as usize);
        self.observer.observe(state)
    }
}

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
            Err(ParameterError { name: "tolerance", requirement: ">= 0", value: to_f64(tolerance) })
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
            Err(ParameterError { name: "target", requirement: "a number", value: f64::NAN })
        } else {
            Ok(Self { target })
        }
    }
}

impl<T: Real> Observer<T> for UntilTarget<T> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        if state.energy() <= self.target { ControlFlow::Break(StopReason::Target) } else { ControlFlow::Continue(()) }
    }
}
