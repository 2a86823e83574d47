//! The driver: a flow is an energy with an integrator.

use std::ops::ControlFlow;

use crate::energy::Energy;
use crate::error::{ParameterError, StepError, assert_size};
use crate::integrator::{Integrator, Schedule, Step};
use crate::measure::EmpiricalMeasure;
use crate::observe::{Observer, StopReason};
use crate::real::{Real, real, to_f64};
use crate::span::{event, span};
use crate::state::{Agreement, State};

mod agreement;
mod attempt;
mod checks;
mod start_error;
mod step_size;

use agreement::{agree, any_stops, end_of_run, fail, is_distributed, local_end, reason};
use attempt::Attempt;
use checks::{check, check_dim, resample};
pub use start_error::StartError;
use step_size::{ENDLESS, MANY_STEPS, SHORT_STEPS, StepSize, check_step, reaches};

/// The Wasserstein gradient flow `dw_i/dt = -grad_w F'(mu)(w_i)` of an energy `F`, by an integrator
/// with step size `dt`, constant or [scheduled](Self::scheduled).
///
/// A failed step, or a failed evaluation, leaves the state as it was before the step. So does a
/// panic in a user-defined component during a step, if the caller catches it: state and flow remain
/// usable. An observer that panics leaves the state after the step that it observes.
///
/// Before every step the flow checks that the state has the dimension of the energy, and
/// [`Energy::check`]. After a modification of the energy, and for a state that was evaluated with
/// another energy, call [`State::invalidate`].
///
/// A stochastic energy is [refreshed](Energy::refresh) for each step: a state is evaluated on the
/// samples of its step. Hence a run resumes bit for bit, also in another flow.
///
/// On [ranks](Energy::ranks) all processes call the same methods. If the observer of any rank stops
/// the run, all ranks stop at that state, with the same reason: the request travels with the scalars
/// of the next step, which is then discarded. An error of one rank is an error on all of them.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// // Two neurons a (b x)_+ learn y = |x| from two samples.
/// let x = DMatrix::from_row_slice(1, 2, &[-1.0, 1.0]);
/// let risk = EmpiricalRisk::new(Square, x, DVector::from_element(2, 1.0))?;
/// let energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?;
/// let mut flow = ParticleFlow::new(energy, Rk4, 0.1)?;
///
/// let start = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[1.0, -1.0, 1.0, 1.0]))?;
/// let mut state = flow.start(start)?;
/// flow.run_until(&mut state, 20.0, &mut ())?;
/// assert_eq!(state.time(), 20.0);
/// assert!(state.energy() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ParticleFlow<E, I, T> {
    energy: E,
    integrator: I,
    dt: StepSize<T>,
    /// The step whose samples the energy holds; `None` if it may hold others.
    samples: Option<usize>,
    /// The state of the next step, which is exchanged with the current one if the step succeeds.
    next: Option<State<T>>,
}

impl<E, I, T> ParticleFlow<E, I, T> {
    /// The energy.
    pub fn energy(&self) -> &E {
        &self.energy
    }

    /// The energy, for modification between steps. Call [`State::invalidate`] afterwards.
    pub fn energy_mut(&mut self) -> &mut E {
        self.samples = None;
        &mut self.energy
    }

    /// The integrator.
    pub fn integrator(&self) -> &I {
        &self.integrator
    }

    /// The energy alone, for example for another integrator.
    ///
    /// As `&mut E` is an energy too, two flows can also use one energy in turn:
    /// `ParticleFlow::new(&mut energy, ..)`.
    pub fn into_energy(self) -> E {
        self.energy
    }
}

impl<E: Energy<T>, I: Integrator<T>, T: Real> ParticleFlow<E, I, T> {
    /// The flow of `energy` by `integrator` with step size `dt` (for an adaptive method, the size
    /// of the first step).
    ///
    /// # Errors
    /// [`ParameterError`] if `dt` is not positive and finite, or a parameter of the integrator is
    /// out of its range.
    pub fn new(energy: E, integrator: I, dt: T) -> Result<Self, ParameterError> {
        Self::with_step_size(energy, integrator, StepSize::fixed(dt)?)
    }

    /// The flow of `energy` by `integrator` with the step sizes of a schedule.
    ///
    /// They depend on the step and the time of the state, so that a run resumes with the same
    /// sizes. A size proposed by an adaptive method has precedence: the schedule then sets that of
    /// the first step. The step to the time of [`run_until`](Self::run_until) is shortened.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    ///
    /// let energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1); // dw/dt = -w
    /// let halved_once = Piecewise::new(0.5, vec![(1, 0.25)])?;
    /// let mut flow = ParticleFlow::scheduled(energy, Euler, halved_once)?;
    /// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
    /// flow.run(&mut state, 3, &mut ())?;
    /// assert_eq!((state.time(), state.measure().particle(0)[0]), (1.0, 0.5 * 0.75 * 0.75));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ParameterError`] if the first size is not positive and finite, or a parameter of the
    /// integrator is out of its range.
    pub fn scheduled(
        energy: E,
        integrator: I,
        schedule: impl Schedule<T> + Send + Sync + 'static,
    ) -> Result<Self, ParameterError> {
        Self::with_step_size(energy, integrator, StepSize::scheduled(schedule)?)
    }

    fn with_step_size(energy: E, integrator: I, dt: StepSize<T>) -> Result<Self, ParameterError> {
        integrator.check()?;
        Ok(Self {
            energy,
            integrator,
            dt,
            samples: None,
            next: None,
        })
    }

    /// Sets the constant step size `dt`; a step size proposed by an adaptive method has precedence.
    ///
    /// # Errors
    /// [`ParameterError`] if `dt` is not positive and finite.
    pub fn set_dt(&mut self, dt: T) -> Result<(), ParameterError> {
        self.dt = StepSize::fixed(dt)?;
        Ok(())
    }

    /// The evaluated state of `mu` at time 0.
    ///
    /// # Errors
    /// [`StartError`] if the particles do not have the dimension that the energy requires, if
    /// [`Energy::check`] fails, or if the energy or a velocity is not finite. On ranks, if that
    /// holds for any rank.
    pub fn start(&mut self, mu: EmpiricalMeasure<T>) -> Result<State<T>, StartError> {
        resample(&mut self.energy, &mut self.samples, 0);
        let checked = check(&self.energy, &mu).and_then(|()| Ok(mu.check()?));
        agree(&mut self.energy, checked, |rank| StartError::Rank { rank })?;
        let mut state = State::new(mu);
        state.evaluate(&mut self.energy);
        if state.is_finite() {
            Ok(state)
        } else {
            let (energy, dissipation) = (to_f64(state.energy()), to_f64(state.dissipation()));
            Err(StartError::NonFinite {
                energy,
                dissipation,
            })
        }
    }

    /// `F(mu)`.
    ///
    /// # Panics
    /// If `mu` does not have the dimension that the energy requires.
    pub fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        let p = self.energy.particle_dim();
        assert_size("particle dimension of the measure", p, mu.dim());
        self.energy.value(mu)
    }

    /// Takes one step, of the size that the integrator proposed last or else `dt`, which may be that
    /// of a schedule.
    ///
    /// # Errors
    /// [`StepError`]; the state is then as before the step.
    pub fn advance(&mut self, state: &mut State<T>) -> Result<Step<T>, StepError> {
        let dt = self.dt.of(state)?;
        match self.step(state, dt, ControlFlow::Continue(()))? {
            ControlFlow::Continue(step) => Ok(step),
            ControlFlow::Break(_) => Err(StepError::Unsupported {
                what: "the same calls on all ranks",
            }),
        }
    }

    /// Takes one step of at most `dt`. On ranks the step is undone if the observer of any rank stops
    /// the run; `control` is that of this one.
    fn step(
        &mut self,
        state: &mut State<T>,
        dt: T,
        control: ControlFlow<StopReason>,
    ) -> Result<ControlFlow<StopReason, Step<T>>, StepError> {
        span!(TRACE, "step", step = state.step(), dt = to_f64(dt));
        let distributed = is_distributed(&mut self.energy);
        self.prepare(state)?;
        let end = state.time() + dt;
        ParameterError::check(end.is_finite(), "time + dt", "finite", to_f64(end))?;
        let Self {
            energy,
            integrator,
            samples,
            next,
            ..
        } = self;
        let mut attempt = Attempt::new(state, next);
        attempt.before.request(control.is_break());
        let step = match integrator.step_from(energy, attempt.before, attempt.next, dt) {
            Err(_) if any_stops(energy, control) => return Ok(end_of_run(energy, control)),
            step => step?,
        };
        check_step(step, dt)?;
        check_dim(energy, attempt.next.measure())?;
        let start = attempt.before.step();
        attempt.energy_changed = true; // until `refresh` returns, in case that it panics
        attempt.energy_changed = resample(energy, samples, start + 1);
        if attempt.energy_changed {
            attempt.next.invalidate();
        }
        attempt.next.evaluate(energy);
        let agreement = if distributed {
            attempt.next.agreement(energy)
        } else {
            Agreement::default()
        };
        if agreement.stop {
            resample(energy, samples, start);
            attempt.energy_changed = false; // again the energy of the state before the step
            return Ok(end_of_run(energy, control));
        }
        if !attempt.next.is_finite() {
            energy.check()?; // the samples of the new step may be invalid
            return Err(attempt.non_finite());
        }
        if agreement.is_invalid || !distributed {
            // An integrator may have made a weight negative.
            let checked = attempt
                .next
                .measure()
                .check_weights()
                .map_err(StepError::from);
            fail(energy, checked, |rank| StepError::Rank { rank })?;
        }
        attempt.next.complete(step.taken, step.next);
        event!(
            TRACE,
            "completed",
            taken = to_f64(step.taken),
            energy = to_f64(attempt.next.energy()),
            dissipation = to_f64(attempt.next.dissipation())
        );
        attempt.complete();
        Ok(ControlFlow::Continue(step))
    }

    /// Checks the state and the energy, and evaluates a state that was modified between steps.
    fn prepare(&mut self, state: &mut State<T>) -> Result<(), StepError> {
        // The energy may have been modified since the last step: ranks agree that it is valid.
        let is_modified = self.samples != Some(state.step());
        resample(&mut self.energy, &mut self.samples, state.step());
        let mut checked = check(&self.energy, state.measure());
        if !state.is_stale() && !is_modified {
            return checked;
        }
        if state.is_stale() {
            checked = checked.and_then(|()| Ok(state.measure().check()?));
        }
        agree(&mut self.energy, checked, |rank| StepError::Rank { rank })?;
        if !state.is_stale() {
            return Ok(());
        }
        let attempt = Attempt::new(state, &mut self.next);
        attempt.next.clone_from(attempt.before);
        attempt.next.evaluate(&mut self.energy);
        if !attempt.next.is_finite() {
            return Err(attempt.non_finite()); // stale again, so that the next call checks again
        }
        attempt.complete();
        Ok(())
    }

    /// Takes `steps` steps, or fewer if the observer stops the run. The observer is called for the
    /// initial state and after every step.
    ///
    /// # Errors
    /// [`StepError`]; the state is then as before the step that failed.
    pub fn run(
        &mut self,
        state: &mut State<T>,
        steps: usize,
        observer: &mut (impl Observer<T> + ?Sized),
    ) -> Result<StopReason, StepError> {
        span!(INFO, "run", step = state.step(), steps = steps);
        self.prepare(state)?;
        let mut control = observer.observe(state);
        for _ in 0..steps {
            if let Some(reason) = local_end(&mut self.energy, control) {
                return Ok(stopped(reason, state));
            }
            let dt = self.dt.of(state)?;
            if let ControlFlow::Break(reason) = self.step(state, dt, control)? {
                return Ok(stopped(reason, state));
            }
            control = observer.observe(state);
        }
        let reason = reason(&mut self.energy, control).unwrap_or(StopReason::Steps);
        Ok(stopped(reason, state))
    }

    /// Runs until exactly `time`, or until the observer stops the run. The observer is called for
    /// the initial state and after every step.
    ///
    /// The last step is shortened. With `time` infinite only the observer ends the run; a time in
    /// the past takes no step.
    ///
    /// A run to a finite time ends: at most a million steps whose size the integrator chose may be
    /// shorter than `1e-9` times the remaining time, and no fixed step than `1e-15` times.
    ///
    /// # Errors
    /// [`StepError`]; the state is then as before the step that failed. [`StepError::Crawl`] if the
    /// steps are as short as above. [`StepError::Parameter`] if `time` is NaN.
    pub fn run_until(
        &mut self,
        state: &mut State<T>,
        time: T,
        observer: &mut (impl Observer<T> + ?Sized),
    ) -> Result<StopReason, StepError> {
        ParameterError::check(!to_f64(time).is_nan(), "time", "a number", f64::NAN)?;
        span!(INFO, "run", step = state.step(), until = to_f64(time));
        self.prepare(state)?;
        let mut control = observer.observe(state);
        let mut short = 0;
        while state.time() < time {
            if let Some(reason) = local_end(&mut self.energy, control) {
                return Ok(stopped(reason, state));
            }
            let (dt, remaining) = (self.dt.of(state)?, state.remaining(time));
            let arrives = reaches(dt, remaining);
            let step = match self.step(state, if arrives { remaining } else { dt }, control)? {
                ControlFlow::Continue(step) => step,
                ControlFlow::Break(reason) => return Ok(stopped(reason, state)),
            };
            if arrives && step.taken == remaining {
                // The last step was shortened only to arrive at `time`: the proposal is not
                // reduced by that.
                state.arrive(time, step.next.map(|next| next.max(dt)));
            }
            short += match (
                step.next.is_some() || step.taken < dt,
                remaining / step.taken,
            ) {
                (true, steps) if steps > real(MANY_STEPS) => 1,
                (false, steps) if steps > real(ENDLESS) => SHORT_STEPS + 1,
                _ => 0,
            };
            if short > SHORT_STEPS && remaining.is_finite() {
                let (time, size) = (to_f64(state.time()), to_f64(step.taken));
                return Err(StepError::Crawl { time, size });
            }
            control = observer.observe(state);
        }
        let reason = reason(&mut self.energy, control).unwrap_or(StopReason::Time);
        Ok(stopped(reason, state))
    }
}

/// Emits the reason for the end of a run.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables))]
fn stopped<T: Real>(reason: StopReason, state: &State<T>) -> StopReason {
    event!(
        INFO,
        "stopped",
        reason = tracing::field::debug(reason),
        step = state.step(),
        time = to_f64(state.time()),
        energy = to_f64(state.energy())
    );
    reason
}
