//! The driver: an energy and an integrator make a flow.

use thiserror::Error;

use crate::energy::Energy;
use crate::error::{MeasureError, ParameterError, ShapeError, StepError};
use crate::integrator::{Integrator, Step};
use crate::measure::EmpiricalMeasure;
use crate::observe::{Observer, StopReason};
use crate::real::{Real, epsilon, real, to_f64};
use crate::state::State;

/// Why a flow cannot start from a measure.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The particles do not have the dimension of the energy's.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The measure was changed into something that is none.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// The energy, or a velocity, at the start is infinite or NaN.
    #[error(
        "the energy at the start must be finite, with finite velocities; found F = {energy}, int |v|^2 dmu = {dissipation}"
    )]
    NonFinite {
        /// `F(mu)`.
        energy: f64,
        /// `int |v|^2 dmu`.
        dissipation: f64,
    },
}

/// The Wasserstein gradient flow `dw_i/dt = -grad_w F'(mu)(w_i)` of an energy `F`, by an integrator with step `dt`.
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
    dt: T,
    /// The last finite state, restored when a step fails.
    kept: Option<State<T>>,
}

impl<E, I, T> ParticleFlow<E, I, T> {
    /// The energy.
    pub fn energy(&self) -> &E {
        &self.energy
    }

    /// The energy, to be changed between steps; mark the state stale then ([`State::measure_mut`]).
    pub fn energy_mut(&mut self) -> &mut E {
        &mut self.energy
    }

    /// The integrator.
    pub fn integrator(&self) -> &I {
        &self.integrator
    }
}

impl<E: Energy<T>, I: Integrator<T>, T: Real> ParticleFlow<E, I, T> {
    /// The flow of `energy` by `integrator` with step `dt`, the first step of an adaptive method.
    ///
    /// # Errors
    /// [`ParameterError`] when `dt` is not positive and finite, or a parameter of the integrator is out of its range.
    pub fn new(energy: E, integrator: I, dt: T) -> Result<Self, ParameterError> {
        if !(dt > T::zero() && dt.is_finite()) {
            return Err(ParameterError {
                name: "dt",
                requirement: "positive and finite",
                value: to_f64(dt),
            });
        }
        integrator.check()?;
        Ok(Self {
            energy,
            integrator,
            dt,
            kept: None,
        })
    }

    /// The state at time 0, evaluated.
    ///
    /// # Errors
    /// [`StartError`] when the particles do not have the dimension of the energy's, or energy or velocities are not finite.
    pub fn start(&mut self, mu: EmpiricalMeasure<T>) -> Result<State<T>, StartError> {
        check::<T, StartError>(&self.energy, &mu)?;
        let mut state = State::new(mu);
        state.evaluate(&mut self.energy);
        if state.is_finite(&mut self.energy) {
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
    /// When `mu` does not have the dimension of the energy's particles, as indexing does.
    pub fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        self.energy.value(mu)
    }

    /// One step: of the size that the integrator proposed last, or else `dt`.
    ///
    /// # Errors
    /// [`StepError`]; the state is then the last finite one, as it was before the step.
    pub fn advance(&mut self, state: &mut State<T>) -> Result<Step<T>, StepError> {
        let dt = state.next().unwrap_or(self.dt);
        self.advance_by(state, dt)
    }

    /// One step of at most `dt`.
    fn advance_by(&mut self, state: &mut State<T>, dt: T) -> Result<Step<T>, StepError> {
        self.ready(state)?;
        let kept = match &mut self.kept {
            Some(kept) => {
                kept.clone_from(state);
                kept
            }
            none => none.insert(state.clone()),
        };
        let mut refreshed = false;
        let step = self
            .integrator
            .step(&mut self.energy, state, dt)
            .and_then(|step| {
                lawful(step, dt)?;
                fits(&self.energy, state.measure())?;
                refreshed = self.energy.refresh();
                if refreshed {
                    state.measure_mut();
                }
                state.evaluate(&mut self.energy);
                if !state.is_finite(&mut self.energy) {
                    return Err(StepError::NonFinite {
                        step: kept.step(),
                        time: to_f64(kept.time()),
                    });
                }
                state.measure().check()?; // a method that moves mass may have made a weight negative
                Ok(step)
            });
        match step {
            Ok(step) => state.complete(step.taken, step.next),
            Err(_) => {
                std::mem::swap(state, kept);
                if refreshed {
                    state.measure_mut(); // velocity and energy are of the samples before
                }
            }
        }
        step
    }

    /// Evaluates a state that was changed from outside, after a check.
    fn ready(&mut self, state: &mut State<T>) -> Result<(), StepError> {
        if state.is_stale() {
            check::<T, StepError>(&self.energy, state.measure())?;
            state.evaluate(&mut self.energy);
            if !state.is_finite(&mut self.energy) {
                state.measure_mut(); // still to be looked at next time
                return Err(StepError::NonFinite {
                    step: state.step(),
                    time: to_f64(state.time()),
                });
            }
        }
        Ok(())
    }

    /// `steps` steps, or fewer when the observer stops them. The observer sees the state given, then every new one.
    ///
    /// # Errors
    /// [`StepError`]; the state is then the last finite one.
    pub fn run(
        &mut self,
        state: &mut State<T>,
        steps: usize,
        observer: &mut (impl Observer<T> + ?Sized),
    ) -> Result<StopReason, StepError> {
        self.ready(state)?;
        let mut verdict = observer.observe(state);
        for _ in 0..steps {
            if let Some(reason) = verdict.break_value() {
                return Ok(reason);
            }
            self.advance(state)?;
            verdict = observer.observe(state);
        }
        Ok(verdict.break_value().unwrap_or(StopReason::Steps))
    }

    /// Steps until exactly `time`, or fewer when the observer stops them. The observer sees the state given, then every new one.
    ///
    /// The last step is shortened. Infinity runs until the observer stops; a time that has passed does nothing.
    ///
    /// # Errors
    /// [`StepError`]; the state is then the last finite one. [`StepError::Parameter`] when `time` is NaN.
    pub fn run_until(
        &mut self,
        state: &mut State<T>,
        time: T,
        observer: &mut (impl Observer<T> + ?Sized),
    ) -> Result<StopReason, StepError> {
        if to_f64(time).is_nan() {
            return Err(ParameterError {
                name: "time",
                requirement: "a number",
                value: f64::NAN,
            }
            .into());
        }
        self.ready(state)?;
        let mut verdict = observer.observe(state);
        while state.time() < time {
            if let Some(reason) = verdict.break_value() {
                return Ok(reason);
            }
            let (dt, remaining) = (state.next().unwrap_or(self.dt), state.remaining(time));
            if reaches(dt, remaining) {
                let step = self.advance_by(state, remaining)?;
                if step.taken == remaining {
                    // A proposal made from a shortened step must not be shorter for it.
                    state.arrive(time, step.next.map(|next| next.max(dt)));
                }
            } else {
                self.advance_by(state, dt)?;
            }
            verdict = observer.observe(state);
        }
        Ok(verdict.break_value().unwrap_or(StopReason::Time))
    }
}

/// Whether a flow of `energy` may hold `mu`.
fn check<T, E>(energy: &impl Energy<T>, mu: &EmpiricalMeasure<T>) -> Result<(), E>
where
    T: Real,
    E: From<ShapeError> + From<MeasureError>,
{
    fits(energy, mu)?;
    Ok(mu.check()?)
}

/// Whether the particles of `mu` have the dimension of the energy's.
fn fits<T: Real>(energy: &impl Energy<T>, mu: &EmpiricalMeasure<T>) -> Result<(), ShapeError> {
    ShapeError::check(
        "particle dimension of the measure",
        energy.particle_dim(),
        mu.dim(),
    )
}

/// Whether an integrator kept its law, `0 < taken <= dt`, and proposes a step that can be taken: else a run might never end.
fn lawful<T: Real>(step: Step<T>, dt: T) -> Result<(), ParameterError> {
    if !(step.taken > T::zero() && step.taken <= dt) {
        let (name, requirement) = (
            "the step taken by the integrator",
            "positive and at most what was asked for",
        );
        return Err(ParameterError {
            name,
            requirement,
            value: to_f64(step.taken),
        });
    }
    match step.next {
        Some(next) if !(next > T::zero() && next.is_finite()) => {
            let (name, requirement) =
                ("the step proposed by the integrator", "positive and finite");
            Err(ParameterError {
                name,
                requirement,
                value: to_f64(next),
            })
        }
        _ => Ok(()),
    }
}

/// Whether a step of `dt` ends at or beyond what remains, up to rounding.
fn reaches<T: Real>(dt: T, remaining: T) -> bool {
    dt * (T::one() + real::<T>(1e3) * epsilon::<T>()) >= remaining
}
