//! Diagnosis of what limits the steps: jumps of the velocity, the domain of F, or stability.

use crate::error::StepError;
use crate::real::{Real, real, to_f64};
use crate::state::State;

/// Steps between two diagnoses, and trials of one. Their quotient is the cost to smooth flows.
const PERIOD: usize = 2000;
const TRIALS: usize = 32;
/// The factor by which the size of a trial is enlarged, so that most trials are refused.
pub(super) const TRIAL: f64 = 2.0;
/// The least number of trials with a jump, or without a finite result. Measured: 7 to 30 along kinks,
/// at most 1 where the velocity is smooth.
const CUT: usize = 4;
/// The least number of trials beyond the stability limit.
const UNSTABLE: usize = 16;
/// The least fall of F relative to the integral of the dissipation. Measured: 0.96 to 1 where
/// rectifiers only cross kinks, 0 to 0.85 along kinks.
const BALANCE: f64 = 0.9;
/// `dt L` at the limit of stability on the negative real axis, as in DOPRI5.
const STABILITY: f64 = 3.25;
/// Successive equal diagnoses at which a step fails; those of stiffness are a million steps.
const REPEATS: usize = 3;
const STIFF: usize = 1_000_000 / (PERIOD + TRIALS);

/// What limits the step size.
#[derive(Clone, Copy, PartialEq)]
enum Limit {
    Accuracy,
    Jumps,
    Domain,
    Stability,
}

/// What the attempts of one step show.
#[derive(Default)]
pub(super) struct Trial {
    /// Size and error of the last attempt, if finite.
    last: Option<(f64, f64)>,
    is_cut: bool,
    is_outside: bool,
    is_unstable: bool,
}

impl Trial {
    /// Records an attempt.
    pub(super) fn record(&mut self, size: f64, error: f64, stability: f64) {
        // Across a jump the error is of the order of the step, elsewhere of its fifth power.
        self.is_cut |= self
            .last
            .is_some_and(|(longer, larger)| error > larger * (size / longer).powi(2));
        self.is_outside |= !error.is_finite();
        self.is_unstable |= stability > STABILITY;
        self.last = Some((size, error)).filter(|_| error.is_finite());
    }
}

/// What the state stores between steps.
pub(super) struct Controller<T> {
    /// The last error relative to the tolerance.
    pub(super) error: f64,
    /// Steps since the last diagnosis.
    steps: usize,
    /// Trials with a jump, without a finite result, and beyond the stability limit.
    cut: usize,
    outside: usize,
    unstable: usize,
    /// The last diagnosis, and how often it was repeated.
    limit: Limit,
    repeats: usize,
    /// `F` at the last diagnosis; `None` before the first step.
    start: Option<T>,
    /// The integral of the dissipation since then.
    dissipated: T,
}

impl<T: Real> Controller<T> {
    pub(super) fn load(state: &State<T>) -> Self {
        // The memory of another method may contain anything.
        let count = |x: T| (to_f64(x) as usize).min(PERIOD + TRIALS);
        match state.memory().scalars[..] {
            [
                error,
                steps,
                cut,
                outside,
                unstable,
                limit,
                repeats,
                start,
                dissipated,
            ] => Self {
                error: to_f64(error),
                steps: count(steps),
                cut: count(cut),
                outside: count(outside),
                unstable: count(unstable),
                limit: match count(limit) {
                    1 => Limit::Jumps,
                    2 => Limit::Domain,
                    3 => Limit::Stability,
                    _ => Limit::Accuracy,
                },
                repeats: count(repeats),
                start: Some(start),
                dissipated,
            },
            _ => Self {
                error: 1.0,
                steps: 0,
                cut: 0,
                outside: 0,
                unstable: 0,
                limit: Limit::Accuracy,
                repeats: 0,
                start: None,
                dissipated: T::zero(),
            },
        }
    }

    pub(super) fn store(&self, state: &mut State<T>) {
        let count = |x: usize| real::<T>(x as f64);
        let scalars = [
            real(self.error),
            count(self.steps),
            count(self.cut),
            count(self.outside),
            count(self.unstable),
            count(self.limit as usize),
            count(self.repeats),
            self.start.unwrap_or(state.energy()),
            self.dissipated,
        ];
        let stored = &mut state.memory_mut().scalars;
        stored.clear();
        stored.extend(scalars);
    }

    /// Returns true if the next step is a trial.
    pub(super) fn is_trial(&self) -> bool {
        self.steps >= PERIOD
    }

    /// Records an accepted step with `int |v|^2 dmu dt` and the energy at its end, and completes a
    /// diagnosis. `state` still has the time and the energy at the start of the step.
    pub(super) fn record(
        &mut self,
        trial: &Trial,
        dissipated: T,
        state: &State<T>,
        end: T,
    ) -> Result<(), StepError> {
        let start = *self.start.get_or_insert(state.energy());
        if self.is_trial() {
            self.cut += usize::from(trial.is_cut);
            self.outside += usize::from(trial.is_outside);
            self.unstable += usize::from(trial.is_unstable && !trial.is_cut);
        }
        self.dissipated += dissipated;
        self.steps += 1;
        if self.steps < PERIOD + TRIALS {
            return Ok(());
        }

        let is_balanced = start - end >= real::<T>(BALANCE) * self.dissipated;
        let limit = if self.outside >= CUT {
            Limit::Domain
        } else if self.cut >= CUT && !is_balanced {
            Limit::Jumps
        } else if self.unstable >= UNSTABLE {
            Limit::Stability
        } else {
            Limit::Accuracy
        };
        let repeats = if limit == self.limit {
            self.repeats + 1
        } else {
            1
        };
        let (time, size) = (
            to_f64(state.time()),
            trial.last.map_or(0.0, |(size, _)| size),
        );
        match limit {
            Limit::Jumps if repeats >= REPEATS => return Err(StepError::Chatter { time, size }),
            Limit::Domain if repeats >= REPEATS => return Err(non_finite(state)),
            Limit::Stability if repeats >= STIFF => return Err(StepError::Stiff { time, size }),
            _ => {}
        }
        *self = Self {
            error: self.error,
            limit,
            repeats,
            start: Some(end),
            steps: 0,
            cut: 0,
            outside: 0,
            unstable: 0,
            dissipated: T::zero(),
        };
        Ok(())
    }

    /// The error of a step that cannot be shortened further than to `size`.
    pub(super) fn failure(&self, trial: &Trial, state: &State<T>, size: f64) -> StepError {
        if trial.last.is_none() {
            non_finite(state)
        } else {
            let time = to_f64(state.time());
            StepError::Crawl { time, size }
        }
    }
}

fn non_finite<T: Real>(state: &State<T>) -> StepError {
    StepError::NonFinite {
        step: state.step(),
        time: to_f64(state.time()),
    }
}
