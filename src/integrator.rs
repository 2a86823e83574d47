//! Integrators: one step of the flow `dw_i/dt = v_i`; schedules of the step size.

use crate::energy::Energy;
use crate::error::{ParameterError, StepError};
use crate::forward::forward;
use crate::real::{Real, real};
use crate::state::State;

/// Implements `Deserialize` for an integrator: its fields, if [`Integrator::check`] holds in double
/// precision. The constructor of a flow checks them in the precision of the flow.
#[cfg(feature = "serde")]
macro_rules! checked_fields {
    ($name:ident { $($field:ident: $type:ty),+ }) => {
        const _: () = {
            mod fields {
                #[derive(serde::Deserialize)]
                pub(super) struct $name {
                    $(pub(super) $field: $type),+
                }
            }
            impl<'de> serde::Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(decoder: D) -> Result<Self, D::Error> {
                    let fields = fields::$name::deserialize(decoder)?;
                    let integrator = Self { $($field: fields.$field),+ };
                    $crate::integrator::Integrator::<f64>::check(&integrator)
                        .map_err(serde::de::Error::custom)?;
                    Ok(integrator)
                }
            }
        };
    };
}

/// [`Integrator::step`] of a method that implements [`Integrator::step_from`]: from a copy of the
/// evaluated state. A provided `step` would call the provided `step_from`, and be called by it.
macro_rules! in_place_step {
    ($scalar:ident) => {
        fn step(
            &mut self,
            energy: &mut dyn $crate::energy::Energy<$scalar>,
            state: &mut $crate::state::State<$scalar>,
            dt: $scalar,
        ) -> Result<$crate::integrator::Step<$scalar>, $crate::error::StepError> {
            state.evaluate(energy);
            let before = state.take_before();
            let step = self.step_from(energy, &before, state, dt);
            state.give_before(before);
            step
        }
    };
}

mod birth_death;
mod conic;
mod dormand_prince;
mod euler;
mod heavy_ball;
mod langevin;
mod noise;
mod proximal;
mod reweighing;
mod runge_kutta;
mod schedule;
mod svgd;

pub use birth_death::BirthDeath;
pub use conic::Conic;
pub use dormand_prince::DormandPrince;
pub use euler::Euler;
pub use heavy_ball::HeavyBall;
pub use langevin::{KineticLangevin, Langevin};
pub use proximal::{Jko, Polished, polish};
pub use runge_kutta::{Heun, Rk4};
pub use schedule::{
    Constant, Cosine, InverseSqrt, Piecewise, Schedule, ScheduleFn, WarmUp, from_fn,
};
pub use svgd::Svgd;

#[cfg(feature = "serde")]
crate::encoding::by_name!(Euler, Heun, Rk4);

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step<T> {
    /// The step size taken, `0 < taken <= dt`.
    pub taken: T,
    /// The proposed size of the next step, for adaptive methods. The state stores it.
    pub next: Option<T>,
}

impl<T> Step<T> {
    /// A step of size `taken`, without a proposal for the next one.
    pub fn new(taken: T) -> Self {
        Self { taken, next: None }
    }
}

/// A one-step method for the flow `dw_i/dt = -grad_w F'(mu)(w_i)`.
///
/// # Laws
/// - `step` moves [`State::measure_mut`] from `t` to `t + taken`, `0 < taken <= dt`. The driver
///   advances the clock.
/// - The error at a fixed time is `O(dt^order)` if the velocity is smooth.
/// - A particle of weight 0 moves with its velocity, as a probe.
/// - Everything that a method carries from step to step is in [`State::memory_mut`], so that a run
///   resumes bit for bit. Buffers may live in the integrator.
/// - Scalars over particles are computed by [`Energy::inner`], so that ranks agree on every
///   decision.
/// - After an error or a panic the content of the state is unspecified: the driver restores the
///   state before the step.
///
/// ```
/// use wasserflow::prelude::*;
///
/// /// Euler with a step size that is halved until the energy decreases.
/// struct Halving;
/// impl<T: Real> Integrator<T> for Halving {
///     fn order(&self) -> u32 {
///         1
///     }
///     fn step(&mut self, energy: &mut dyn Energy<T>, state: &mut State<T>, dt: T) -> Result<Step<T>, StepError> {
///         state.evaluate(energy);
///         let (start, mut taken) = (state.clone(), dt);
///         for _ in 0..60 {
///             let (mu, v) = state.split_mut();
///             mu.displace(taken, v);
///             state.evaluate(energy);
///             if state.energy() <= start.energy() {
///                 return Ok(Step::new(taken));
///             }
///             state.clone_from(&start);
///             taken *= wasserflow::real(0.5);
///         }
///         Err(StepError::Inner { iterations: 60, residual: f64::NAN })
///     }
/// }
/// # let _: &dyn Integrator<f64> = &Halving;
/// ```
pub trait Integrator<T: Real> {
    /// The order of the method: the exponent of `dt` in the error at a fixed time. The law kit
    /// checks it; flows do not use it.
    fn order(&self) -> u32;

    /// Takes one step of at most `dt > 0` from `state`.
    ///
    /// # Errors
    /// [`StepError`] if the step cannot be taken.
    ///
    /// # Panics
    /// If the state does not have the dimension that the energy requires.
    fn step(
        &mut self,
        energy: &mut dyn Energy<T>,
        state: &mut State<T>,
        dt: T,
    ) -> Result<Step<T>, StepError>;

    /// Takes the same step of the state `before`, and leaves its result in `state`, of which the
    /// previous content does not count. A flow calls this method, with an evaluated state `before`.
    ///
    /// The default implementation is a copy and a [`step`](Self::step). Override it to update the
    /// particles in one pass over memory, as the explicit methods of this crate do.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    ///
    /// # Panics
    /// As [`step`](Self::step).
    fn step_from(
        &mut self,
        energy: &mut dyn Energy<T>,
        before: &State<T>,
        state: &mut State<T>,
        dt: T,
    ) -> Result<Step<T>, StepError> {
        state.clone_from(before);
        self.step(energy, state, dt)
    }

    /// Validates the parameters of the method; called once by
    /// [`ParticleFlow::new`](crate::ParticleFlow::new).
    ///
    /// # Errors
    /// [`ParameterError`] with the parameter, its range and its value. The default implementation
    /// accepts.
    fn check(&self) -> Result<(), ParameterError> {
        Ok(())
    }
}

/// [`Integrator::step_from`] of a state that is not evaluated; `None` for one that is.
fn step_from_stale<T: Real>(
    method: &mut impl Integrator<T>,
    energy: &mut dyn Energy<T>,
    before: &State<T>,
    state: &mut State<T>,
    dt: T,
) -> Option<Result<Step<T>, StepError>> {
    before.is_stale().then(|| {
        state.clone_from(before);
        method.step(energy, state, dt)
    })
}

/// Returns an error unless the value is positive and finite in the scalar `T` that uses it.
fn check_positive_in<T: Real>(name: &'static str, value: f64) -> Result<(), ParameterError> {
    let rounded = real::<T>(value);
    let holds = rounded > T::zero() && rounded.is_finite();
    let requirement = "positive and finite in the precision of the flow";
    ParameterError::check(holds, name, requirement, value)
}

/// Returns an error unless the value is >= 0, and finite in the scalar `T` that uses it.
fn check_nonnegative_in<T: Real>(name: &'static str, value: f64) -> Result<(), ParameterError> {
    let holds = value >= 0.0 && real::<T>(value).is_finite();
    let requirement = ">= 0 and finite in the precision of the flow";
    ParameterError::check(holds, name, requirement, value)
}

forward! {
    impl[T: Real, I: Integrator<T> + ?Sized] Integrator<T>; for &mut I, Box<I>; {
        fn order(&self) -> u32;
        fn step(&mut self, energy: &mut dyn Energy<T>, state: &mut State<T>, dt: T) -> Result<Step<T>, StepError>;
        fn step_from(
            &mut self,
            energy: &mut dyn Energy<T>,
            before: &State<T>,
            state: &mut State<T>,
            dt: T
        ) -> Result<Step<T>, StepError>;
        fn check(&self) -> Result<(), ParameterError>;
    }
}
