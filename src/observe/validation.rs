//! Early stopping by a validation value.

use std::fmt;
use std::ops::ControlFlow;

use super::{Observer, StopReason};
use crate::error::ParameterError;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, to_f64};
use crate::state::State;

/// Stops a run when a validation value no longer improves, and keeps the measure of its least
/// value (early stopping).
///
/// The value of a measure, such as the energy on other samples or an error rate, is computed at the
/// steps 0, k, 2k, .. The run stops with [`StopReason::Validation`] at the `patience`-th
/// evaluation in a row that is not below the least value so far; NaN is not. The state is then
/// that of the last step: [`best`](Self::best) is the measure of the least value.
///
/// A run that resumes observes its initial state again, which is evaluated once. If the step count
/// falls, another run has begun: the observer starts anew. On ranks the value has to be the same on
/// all of them, as that of a distributed energy is.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::observe::UntilValidation;
/// use wasserflow::prelude::*;
///
/// // One neuron a (x)_+ at x = 1 learns y = 2; the validation target is 1.
/// let energy = |y| {
///     let x = DMatrix::from_element(1, 1, 1.0);
///     let risk = EmpiricalRisk::new(Square, x, DVector::from_element(1, y)).unwrap();
///     MeanFieldRisk::new(Ridge::new(Relu, 1), risk).unwrap()
/// };
/// let mut flow = ParticleFlow::new(energy(2.0), Euler, 0.1)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(2, 1, 0.5))?)?;
/// let mut validation = energy(1.0);
/// let mut stop = UntilValidation::new(1, 3, |mu: &_| validation.value(mu));
/// let reason = flow.run(&mut state, 100, &mut stop)?;
/// assert_eq!(reason, StopReason::Validation);
/// assert_eq!(stop.best_step(), Some(state.step() - 3));
/// assert!(stop.best_value() < Some(1e-3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Cost: one validation value every k steps; it allocates at the first one.
pub struct UntilValidation<V, T> {
    period: usize,
    patience: usize,
    value: V,
    best: Option<(T, usize, EmpiricalMeasure<T>)>,
    /// Evaluations since the least value, and the step observed last.
    without: usize,
    last: Option<usize>,
}

impl<V, T: fmt::Debug> fmt::Debug for UntilValidation<V, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilValidation")
            .field("period", &self.period)
            .field("patience", &self.patience)
            .field("best", &self.best)
            .finish_non_exhaustive()
    }
}

/// The settings and the progress of [`UntilValidation`], without its value function: for files.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(
        serialize = "T: Real + serde::Serialize",
        deserialize = "T: Real + serde::Deserialize<'de>"
    ))
)]
pub struct ValidationParts<T> {
    /// The steps from one evaluation to the next, at least 1.
    pub period: usize,
    /// The evaluations without improvement that stop the run, at least 1.
    pub patience: usize,
    /// The least value, its step and its measure.
    pub best: Option<(T, usize, EmpiricalMeasure<T>)>,
    /// The evaluations since the least value.
    pub without: usize,
    /// The step observed last.
    pub last: Option<usize>,
}

impl<T: Real, V: FnMut(&EmpiricalMeasure<T>) -> T> UntilValidation<V, T> {
    /// The observer with the progress of another one, which it continues.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::observe::UntilValidation;
    /// use wasserflow::prelude::*;
    ///
    /// let mut flow = ParticleFlow::new(PotentialEnergy::new(WeightDecay::new(0.5)?, 1), Euler, 0.5)?;
    /// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
    /// let value = |mu: &EmpiricalMeasure<f64>| (mu.particle(0)[0] - 0.4).abs(); // w = 1, 1/2, 1/4
    /// let mut stop = UntilValidation::new(1, 3, value);
    /// flow.run(&mut state, 2, &mut stop)?;
    ///
    /// let mut resumed = UntilValidation::from_parts(stop.to_parts(), value)?;
    /// let reason = flow.run(&mut state, 100, &mut resumed)?;
    /// assert_eq!((reason, state.step()), (StopReason::Validation, 4));
    /// assert_eq!(resumed.best_step(), Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ParameterError`] if the period or the patience is 0, the least value is NaN, or its step is
    /// after the last one.
    pub fn from_parts(parts: ValidationParts<T>, value: V) -> Result<Self, ParameterError> {
        let ValidationParts {
            period,
            patience,
            best,
            without,
            last,
        } = parts;
        for (name, count) in [("period", period), ("patience", patience)] {
            ParameterError::check(count > 0, name, "at least 1", count as f64)?;
        }
        if let Some((value, step, _)) = &best {
            let least = to_f64(*value);
            ParameterError::check(!least.is_nan(), "the least value", "a number", least)?;
            let (holds, requirement) = (Some(*step) <= last, "at most the last step");
            let name = "the step of the least value";
            ParameterError::check(holds, name, requirement, *step as f64)?;
        }
        Ok(Self {
            period,
            patience,
            value,
            best,
            without,
            last,
        })
    }

    /// Evaluates `value` at every `period`-th step, and stops after `patience` evaluations without
    /// improvement. A period or patience of 0 is replaced by 1.
    pub fn new(period: usize, patience: usize, value: V) -> Self {
        Self {
            period: period.max(1),
            patience: patience.max(1),
            value,
            best: None,
            without: 0,
            last: None,
        }
    }
}

impl<V, T: Real> UntilValidation<V, T> {
    /// The settings and the progress, for [`from_parts`](Self::from_parts).
    pub fn to_parts(&self) -> ValidationParts<T> {
        ValidationParts {
            period: self.period,
            patience: self.patience,
            best: self.best.clone(),
            without: self.without,
            last: self.last,
        }
    }

    /// The measure of the least validation value; `None` before the first one that is a number.
    pub fn best(&self) -> Option<&EmpiricalMeasure<T>> {
        self.best.as_ref().map(|(_, _, measure)| measure)
    }

    /// The least validation value.
    pub fn best_value(&self) -> Option<T> {
        self.best.as_ref().map(|&(value, ..)| value)
    }

    /// The step of the least validation value.
    pub fn best_step(&self) -> Option<usize> {
        self.best.as_ref().map(|&(_, step, _)| step)
    }

    /// Returns the measure of the least validation value.
    pub fn into_best(self) -> Option<EmpiricalMeasure<T>> {
        self.best.map(|(_, _, measure)| measure)
    }
}

impl<T: Real, V: FnMut(&EmpiricalMeasure<T>) -> T> Observer<T> for UntilValidation<V, T> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        let step = state.step();
        if self.last.is_some_and(|last| step < last) {
            (self.best, self.without, self.last) = (None, 0, None);
        }
        if step.is_multiple_of(self.period) && self.last != Some(step) {
            let value = (self.value)(state.measure());
            let improves = match &self.best {
                Some((best, ..)) => value < *best,
                None => value.partial_cmp(&value).is_some(), // not NaN
            };
            if improves {
                self.without = 0;
                match &mut self.best {
                    Some((best, at, measure)) => {
                        (*best, *at) = (value, step);
                        measure.clone_from(state.measure());
                    }
                    None => self.best = Some((value, step, state.measure().clone())),
                }
            } else {
                self.without = self.without.saturating_add(1);
            }
        }
        self.last = Some(step);
        if self.without >= self.patience {
            ControlFlow::Break(StopReason::Validation)
        } else {
            ControlFlow::Continue(())
        }
    }
}
