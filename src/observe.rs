//! Observers: composable callbacks that record a run or stop it.
//!
//! The driver calls an observer with every state of a run, including the initial one. A tuple of
//! observers calls each of them, and stops the run with the first reason returned.
//!
//! ```
//! use wasserflow::nalgebra::DMatrix;
//! use wasserflow::observe::{Trace, UntilStationary};
//! use wasserflow::prelude::*;
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

use crate::forward::forward;
use crate::real::Real;
use crate::state::State;

mod average;
mod checkpoint;
#[cfg(feature = "progress")]
mod progress;
mod record;
mod schedule;
mod until;
mod validation;

pub use average::Average;
pub use checkpoint::Checkpoint;
#[cfg(feature = "progress")]
pub use progress::Progress;
pub use record::{Record, Snapshots, Trace};
pub use schedule::{Every, LogSpaced};
pub use until::{UntilRising, UntilStationary, UntilTarget};
pub use validation::{UntilValidation, ValidationParts};

/// The reason why a run stopped.
///
/// ```
/// use wasserflow::prelude::*;
///
/// assert!(StopReason::Target.converged());
/// assert!(!StopReason::Steps.converged());
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum StopReason {
    /// The requested number of steps was completed.
    Steps,
    /// The requested time was reached.
    Time,
    /// The velocity vanished up to the requested tolerance. The measure need not be a global
    /// minimiser.
    Stationary,
    /// The energy reached the requested target.
    Target,
    /// The energy is certified to be within `gap` of the global minimum, the requested accuracy.
    GloballyOptimal {
        /// An upper bound of `F(mu) - F*`.
        gap: f64,
    },
    /// The energy no longer decreases along the flow, although an additional particle decreases it:
    /// the measure is stationary but not a global minimiser.
    Trapped {
        /// An upper bound of `F(mu) - F*`, infinite if none is available.
        gap: f64,
    },
    /// The validation value no longer improves: the run stops early, before the energy is at its
    /// minimum.
    Validation,
    /// The energy rises: the steps are too long for an explicit method.
    Rising,
    /// A user-defined observer stopped the run.
    Requested,
    /// A file could not be written: [`Checkpoint::error`] contains the reason.
    NotSaved,
}

impl StopReason {
    /// The reason as a number above 0 and the gap, for messages to other ranks.
    pub(crate) fn to_code(self) -> (u8, f64) {
        match self {
            Self::Steps => (1, 0.0),
            Self::Time => (2, 0.0),
            Self::Stationary => (3, 0.0),
            Self::Target => (4, 0.0),
            Self::GloballyOptimal { gap } => (5, gap),
            Self::Trapped { gap } => (6, gap),
            Self::Validation => (7, 0.0),
            Self::Rising => (8, 0.0),
            Self::Requested => (9, 0.0),
            Self::NotSaved => (10, 0.0),
        }
    }

    /// The reason of a code; `None` for 0.
    pub(crate) fn from_code(code: u8, gap: f64) -> Option<Self> {
        Some(match code {
            0 => return None,
            1 => Self::Steps,
            2 => Self::Time,
            3 => Self::Stationary,
            4 => Self::Target,
            5 => Self::GloballyOptimal { gap },
            6 => Self::Trapped { gap },
            7 => Self::Validation,
            8 => Self::Rising,
            10 => Self::NotSaved,
            _ => Self::Requested,
        })
    }

    /// Returns true if the run satisfied a convergence criterion, rather than exhausting its budget
    /// of steps or time.
    pub fn converged(self) -> bool {
        matches!(
            self,
            Self::Stationary | Self::Target | Self::GloballyOptimal { .. }
        )
    }
}

/// A callback for every state of a run, which may stop the run.
///
/// The initial state of a run is observed, then the state after every step; a run that resumes
/// observes its initial state again. `()` is the observer without effect. Tuples of up to 8
/// observers and vectors of observers are observers, and [`from_fn`] makes one of a closure.
///
/// ```
/// use std::ops::ControlFlow;
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// /// Stops a run when the second moment is below a bound.
/// struct UntilConcentrated<T>(T);
/// impl<T: Real> Observer<T> for UntilConcentrated<T> {
///     fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
///         if state.measure().second_moment() < self.0 {
///             return ControlFlow::Break(StopReason::Requested);
///         }
///         ControlFlow::Continue(())
///     }
/// }
///
/// let mut flow = ParticleFlow::new(PotentialEnergy::new(WeightDecay::new(0.5)?, 1), Euler, 0.5)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
/// let reason = flow.run(&mut state, 100, &mut UntilConcentrated(0.1))?; // w = 1, 1/2, 1/4
/// assert_eq!((reason, state.step()), (StopReason::Requested, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an observer",
    note = "wrap a closure in `observe::from_fn`"
)]
pub trait Observer<T: Real> {
    /// Processes a state. `Break` stops the run with the given reason.
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason>;
}

/// The observer without effect.
impl<T: Real> Observer<T> for () {
    fn observe(&mut self, _: &State<T>) -> ControlFlow<StopReason> {
        ControlFlow::Continue(())
    }
}

forward! {
    impl[T: Real, O: Observer<T> + ?Sized] Observer<T>; for &mut O, Box<O>; {
        fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason>;
    }
}

macro_rules! tuple_observer {
    ($($observer:ident $index:tt),*) => {
        /// Calls all observers in order. The first reason returned stops the run.
        impl<T: Real, $($observer: Observer<T>),*> Observer<T> for ($($observer,)*) {
            fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
                let results = [$(self.$index.observe(state)),*];
                results.into_iter().find(ControlFlow::is_break).unwrap_or(ControlFlow::Continue(()))
            }
        }
    };
}
tuple_observer!(A 0);
tuple_observer!(A 0, B 1);
tuple_observer!(A 0, B 1, C 2);
tuple_observer!(A 0, B 1, C 2, D 3);
tuple_observer!(A 0, B 1, C 2, D 3, E 4);
tuple_observer!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple_observer!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple_observer!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

/// Calls all observers in order. The first reason returned stops the run.
impl<T: Real, O: Observer<T>> Observer<T> for Vec<O> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        let first = |stop: ControlFlow<_>, o: &mut O| {
            let next = o.observe(state);
            if stop.is_break() { stop } else { next }
        };
        self.iter_mut().fold(ControlFlow::Continue(()), first)
    }
}

/// The observer that calls the closure `f`.
///
/// ```
/// use std::ops::ControlFlow;
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let mut states = 0;
/// let mut observer = observe::from_fn(|_: &State<f64>| {
///     states += 1;
///     if states == 10 {
///         return ControlFlow::Break(StopReason::Requested);
///     }
///     ControlFlow::Continue(())
/// });
/// let mut flow = ParticleFlow::new(PotentialEnergy::new(WeightDecay::new(0.5)?, 1), Euler, 0.1)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
/// assert_eq!(flow.run(&mut state, 100, &mut observer)?, StopReason::Requested);
/// assert_eq!(state.step(), 9); // the tenth state, after the initial one
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn from_fn<T: Real, F: FnMut(&State<T>) -> ControlFlow<StopReason>>(f: F) -> FromFn<F> {
    FromFn(f)
}

/// The observer of a closure, constructed by [`from_fn`].
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
