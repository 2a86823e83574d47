//! Observers that show another one some of the steps.

use std::ops::ControlFlow;

use super::{Observer, StopReason};
use crate::error::ParameterError;
use crate::real::Real;
use crate::state::State;

/// Shows its observer the steps 0, k, 2k, ..
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Every<O> {
    period: usize,
    observer: O,
}

impl<O> Every<O> {
    /// Shows `observer` every `period`-th step; a period of 0 counts as 1.
    pub fn new(period: usize, observer: O) -> Self {
        Self {
            period: period.max(1),
            observer,
        }
    }

    /// The observer.
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

/// Shows its observer the steps 0, 1, 2, 3, .., and from then on steps a factor apart, for log axes.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::observe::{LogSpaced, Trace};
/// use wasserflow::prelude::*;
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
            Ok(Self {
                ratio,
                due: 0,
                observer,
            })
        } else {
            Err(ParameterError {
                name: "ratio",
                requirement: "above 1 and finite",
                value: ratio,
            })
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
