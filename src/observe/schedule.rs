//! Observers that forward a subset of the steps to another observer.

use std::ops::ControlFlow;

use super::{Observer, StopReason};
use crate::error::ParameterError;
use crate::real::Real;
use crate::state::State;

/// Forwards the steps 0, k, 2k, .. to another observer.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::observe::{Every, Trace};
/// use wasserflow::prelude::*;
///
/// let mut flow = ParticleFlow::new(PotentialEnergy::new(WeightDecay::new(0.5)?, 1), Euler, 0.1)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
/// let mut every = Every::new(10, Trace::new());
/// flow.run(&mut state, 25, &mut every)?;
/// let steps: Vec<_> = every.into_inner().records().iter().map(|record| record.step).collect();
/// assert_eq!(steps, [0, 10, 20]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Every<O> {
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_period"))]
    period: usize,
    observer: O,
}

#[cfg(feature = "serde")]
fn decode_period<'de, D: serde::Deserializer<'de>>(decoder: D) -> Result<usize, D::Error> {
    crate::encoding::checked(decoder, |&period: &usize| {
        ParameterError::check(period > 0, "period", "at least 1", 0.0)
    })
}

impl<O> Every<O> {
    /// Forwards every `period`-th step to `observer`. A period of 0 is replaced by 1.
    pub fn new(period: usize, observer: O) -> Self {
        Self {
            period: period.max(1),
            observer,
        }
    }

    /// Returns the wrapped observer.
    pub fn into_inner(self) -> O {
        self.observer
    }
}

impl<T: Real, O: Observer<T>> Observer<T> for Every<O> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        if state.step().is_multiple_of(self.period) {
            self.observer.observe(state)
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// Forwards logarithmically spaced steps to another observer.
///
/// After step s the next one is `max(s + 1, floor(ratio s))`: all steps at first, then steps whose
/// quotient is about `ratio`. If the step count falls, a second run has begun: its first state is
/// forwarded, and the sequence begins anew.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::observe::{LogSpaced, Trace};
/// use wasserflow::prelude::*;
///
/// let energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1);
/// let mut flow = ParticleFlow::new(energy, Euler, 0.001)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
/// let mut spaced = LogSpaced::new(2.0, Trace::new())?;
/// flow.run(&mut state, 40, &mut spaced)?;
/// let steps: Vec<_> = spaced.into_inner().records().iter().map(|record| record.step).collect();
/// assert_eq!(steps, [0, 1, 2, 4, 8, 16, 32]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LogSpaced<O> {
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_ratio"))]
    ratio: f64,
    /// The next step to forward.
    next: usize,
    /// The steps forwarded and observed last.
    forwarded: Option<usize>,
    last: usize,
    observer: O,
}

#[cfg(feature = "serde")]
fn decode_ratio<'de, D: serde::Deserializer<'de>>(decoder: D) -> Result<f64, D::Error> {
    crate::encoding::checked(decoder, |&ratio| LogSpaced::new(ratio, ()).map(drop))
}

impl<O> LogSpaced<O> {
    /// Forwards steps with the quotient `ratio > 1` to `observer`.
    ///
    /// # Errors
    /// [`ParameterError`] if `ratio` is not above 1 and finite.
    pub fn new(ratio: f64, observer: O) -> Result<Self, ParameterError> {
        let holds = ratio > 1.0 && ratio.is_finite();
        ParameterError::check(holds, "ratio", "above 1 and finite", ratio)?;
        Ok(Self {
            ratio,
            next: 0,
            forwarded: None,
            last: 0,
            observer,
        })
    }

    /// Returns the wrapped observer.
    pub fn into_inner(self) -> O {
        self.observer
    }
}

impl<T: Real, O: Observer<T>> Observer<T> for LogSpaced<O> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        let step = state.step();
        let restarts = step < self.last || self.forwarded == Some(step);
        self.last = step;
        if step < self.next && !restarts {
            return ControlFlow::Continue(());
        }
        self.forwarded = Some(step);
        self.next = step
            .saturating_add(1)
            .max((step as f64 * self.ratio) as usize);
        self.observer.observe(state)
    }
}
