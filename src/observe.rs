//! Observers: recording and stopping, composable.
//!
//! An observer sees every state of a run and may end it. A tuple of observers shows the state to each, and ends the run
//! with the first reason given.
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

use crate::real::Real;
use crate::state::State;

mod record;
mod schedule;
mod until;

pub use record::{Record, Snapshots, Trace};
pub use schedule::{Every, LogSpaced};
pub use until::{UntilStationary, UntilTarget};

/// Why a run stopped.
#[derive(Debug, Clone, Copy, PartialEq)]
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
    /// The measure is proved to be within `gap` of the global minimum, as was asked for.
    GloballyOptimal {
        /// The proved bound of `F(mu) - F*`.
        gap: f64,
    },
    /// The energy no longer falls along the flow, and one more particle lowers it: stationary, not a global minimum.
    Trapped {
        /// The proved bound of `F(mu) - F*`, infinite where there is none.
        gap: f64,
    },
    /// An observer of the user's asked for it.
    Requested,
}

impl StopReason {
    /// Whether the run reached what it was to find, rather than the end of its budget.
    pub fn converged(self) -> bool {
        matches!(
            self,
            Self::Stationary | Self::Target | Self::GloballyOptimal { .. }
        )
    }
}

/// Sees every state of a run, and may end it.
///
/// ```
/// use std::ops::ControlFlow;
/// use wasserflow::prelude::*;
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
/// use wasserflow::prelude::*;
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
