//! A progress bar on the terminal.

use std::fmt;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Observer, StopReason};
use crate::error::ParameterError;
use crate::real::{Real, to_f64};
use crate::state::State;

/// The time between two changes of the bar: ten a second are readable.
const PERIOD: Duration = Duration::from_millis(100);

/// The largest number of steps between two readings of the clock. A reading takes 20 to 50 ns, so
/// that it costs less than a nanosecond a step.
const MAX_STRIDE: usize = 64;

/// Steps that take less than this between two readings of the clock are read less often.
const SHORT: Duration = Duration::from_millis(1);

/// The length of the bar of a run to an end time.
const LENGTH: u64 = 1 << 20;

/// Shows the progress of a run on the terminal: steps and time, the energy F, the dissipation
/// `int |v|^2 dmu`, steps a second, and the remaining seconds if the end of the run is known.
///
/// The bar is drawn on standard error, at most ten times a second. Nothing is drawn if standard
/// error is not a terminal. A run begins if the step count does not increase: the bar is then reset.
/// At the end of the run, and when the observer is dropped, the last line remains on the terminal.
/// The remaining time is an estimate by the recent speed.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::observe::Progress;
/// use wasserflow::prelude::*;
///
/// let mut flow = ParticleFlow::new(PotentialEnergy::new(WeightDecay::new(0.5)?, 1), Euler, 0.1)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
/// flow.run(&mut state, 1000, &mut Progress::steps(1000))?;
/// flow.run_until(&mut state, 200.0, &mut Progress::until(200.0)?)?;
/// assert_eq!(state.time(), 200.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Cost: a comparison a step without a terminal; else some nanoseconds a step, and ten times a
/// second the time of drawing a line.
pub struct Progress {
    bar: ProgressBar,
    /// The bar is not drawn. Asking the bar costs a system call.
    is_hidden: bool,
    goal: Goal,
    run: Option<Run>,
}

/// The end of the run.
#[derive(Debug, Clone, Copy)]
enum Goal {
    Steps(usize),
    Time(f64),
    Unknown,
}

#[derive(Debug)]
struct Run {
    start: Instant,
    first: Latest,
    latest: Latest,
    /// The clock was read, and the bar was changed.
    read: Instant,
    shown: Instant,
    /// The clock is read again `stride` steps later, at the step `next`.
    next: usize,
    stride: usize,
    is_complete: bool,
}

/// What is shown of a state.
#[derive(Debug, Clone, Copy)]
struct Latest {
    step: usize,
    time: f64,
    energy: f64,
    dissipation: f64,
}

impl Progress {
    /// The progress of a run of `steps` steps.
    pub fn steps(steps: usize) -> Self {
        Self::new(Goal::Steps(steps))
    }

    /// The progress of a run until `time`.
    ///
    /// # Errors
    /// [`ParameterError`] if the time is NaN. An infinite time is an unknown end.
    pub fn until(time: f64) -> Result<Self, ParameterError> {
        ParameterError::check(!time.is_nan(), "time", "a number", time)?;
        Ok(Self::new(Goal::Time(time)))
    }

    /// The progress of a run that another observer stops.
    pub fn without_end() -> Self {
        Self::new(Goal::Unknown)
    }

    fn new(goal: Goal) -> Self {
        let progress = Self {
            bar: ProgressBar::hidden(),
            is_hidden: true,
            goal,
            run: None,
        };
        progress.with_bar(ProgressBar::no_length())
    }

    /// The same progress on another bar of the crate `indicatif`, such as one of its `MultiProgress`,
    /// or `ProgressBar::hidden()`. Style, length and message of the bar are replaced.
    pub fn with_bar(mut self, bar: ProgressBar) -> Self {
        let (template, length) = match self.goal {
            Goal::Steps(steps) => (KNOWN, Some(steps as u64)),
            Goal::Time(time) if time.is_finite() => (KNOWN, Some(LENGTH)),
            _ => ("{spinner} {msg}", None),
        };
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        match length {
            Some(length) => bar.set_length(length),
            None => bar.unset_length(),
        }
        self.is_hidden = bar.is_hidden();
        self.bar = bar;
        self
    }

    /// Resets the bar for a run from the given state.
    fn begin(&mut self, first: Latest) {
        let now = Instant::now();
        self.bar.reset();
        self.run = Some(Run {
            start: now,
            first,
            latest: first,
            read: now,
            shown: now,
            next: first.step.saturating_add(1),
            stride: 1,
            is_complete: false,
        });
        self.show(now);
    }

    /// Changes the bar.
    fn show(&mut self, now: Instant) {
        let Some(run) = &mut self.run else { return };
        run.shown = now;
        let (first, latest) = (run.first, run.latest);
        let steps = latest.step - first.step;
        let speed = steps as f64 / (now - run.start).as_secs_f64();
        match self.goal {
            Goal::Steps(_) => self.bar.set_position(steps as u64),
            Goal::Time(end) if end.is_finite() => {
                let share = (latest.time - first.time) / (end - first.time);
                self.bar.set_position((share * LENGTH as f64) as u64); // 0 for NaN
            }
            _ => self.bar.tick(),
        }
        let Latest {
            step,
            time,
            energy,
            dissipation,
        } = latest;
        let speed = if steps > 0 && speed.is_finite() {
            format!(", {speed:.0} steps/s")
        } else {
            String::new()
        };
        self.bar.set_message(format!(
            "step {step}, t = {time:.4}, F = {energy:.4e}, dissipation {dissipation:.2e}{speed}"
        ));
    }

    /// Shows the last state of the run, which remains on the terminal.
    fn complete(&mut self) {
        let is_running = self.run.as_ref().is_some_and(|run| !run.is_complete);
        if is_running {
            self.show(Instant::now());
            self.bar.abandon();
        }
        if let Some(run) = &mut self.run {
            run.is_complete = true;
        }
    }
}

/// The line of a run whose end is known.
const KNOWN: &str = "{bar:20} {percent:>3} % {msg}, {eta} left";

impl Run {
    /// Returns the time if the bar is due, and chooses when the clock is read again.
    fn due(&mut self) -> Option<Instant> {
        if self.latest.step < self.next {
            return None;
        }
        let now = Instant::now();
        self.stride = if now - self.read < SHORT {
            (2 * self.stride).min(MAX_STRIDE)
        } else {
            1
        };
        self.next = self.latest.step.saturating_add(self.stride);
        self.read = now;
        (now - self.shown >= PERIOD).then_some(now)
    }
}

impl<T: Real> Observer<T> for Progress {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        if self.is_hidden {
            return ControlFlow::Continue(());
        }
        let latest = Latest {
            step: state.step(),
            time: to_f64(state.time()),
            energy: to_f64(state.energy()),
            dissipation: to_f64(state.dissipation()),
        };
        match &mut self.run {
            Some(run) if latest.step > run.latest.step => {
                run.latest = latest;
                if let Some(now) = run.due() {
                    self.show(now);
                }
            }
            _ => self.begin(latest),
        }
        let Some(run) = &self.run else {
            return ControlFlow::Continue(());
        };
        let is_complete = match self.goal {
            Goal::Steps(steps) => latest.step - run.first.step >= steps,
            Goal::Time(end) => latest.time >= end,
            Goal::Unknown => false,
        };
        if is_complete {
            self.complete();
        }
        ControlFlow::Continue(())
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.complete();
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress")
            .field("goal", &self.goal)
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}
