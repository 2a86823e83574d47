//! Stopping criteria.

use std::ops::ControlFlow;

use super::{Observer, StopReason};
use crate::error::ParameterError;
use crate::real::{Real, epsilon, to_f64};
use crate::state::State;

/// Stops a run when the [slope](State::slope) is small: `(int |v|^2 dmu)^(1/2) <= tolerance`.
///
/// The velocity of a stationary measure need not vanish at a kink of the energy, for example if a
/// rectifier neuron lies on the hyperplane `b.x_j = 0` of a sample. After a step of
/// [`Jko`](crate::integrator::Jko) the slope is that of the minimum-norm subgradient, which vanishes there.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::observe::UntilStationary;
/// use wasserflow::prelude::*;
///
/// let mut flow = ParticleFlow::new(PotentialEnergy::new(WeightDecay::new(0.5)?, 1), Euler, 0.5)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
/// let reason = flow.run(&mut state, 100, &mut UntilStationary::new(0.25)?)?; // v = -1, -1/2, -1/4
/// assert_eq!((reason, state.step()), (StopReason::Stationary, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(deserialize = "T: Real + serde::Deserialize<'de>"))
)]
pub struct UntilStationary<T> {
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_tolerance"))]
    tolerance: T,
}

#[cfg(feature = "serde")]
fn decode_tolerance<'de, T: Real + serde::Deserialize<'de>, D: serde::Deserializer<'de>>(
    decoder: D,
) -> Result<T, D::Error> {
    crate::encoding::checked(decoder, |&tolerance: &T| {
        UntilStationary::new(tolerance).map(drop)
    })
}

impl<T: Real> UntilStationary<T> {
    /// Stops when the slope is at most `tolerance >= 0`.
    ///
    /// # Errors
    /// [`ParameterError`] if the tolerance is negative, infinite or NaN.
    pub fn new(tolerance: T) -> Result<Self, ParameterError> {
        ParameterError::check_nonnegative("tolerance", to_f64(tolerance))?;
        Ok(Self { tolerance })
    }
}

impl<T: Real> Observer<T> for UntilStationary<T> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        if state.slope() <= self.tolerance {
            ControlFlow::Break(StopReason::Stationary)
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// Stops a run when the energy reaches a target: `F(mu_t) <= target`.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::observe::UntilTarget;
/// use wasserflow::prelude::*;
///
/// let mut flow = ParticleFlow::new(PotentialEnergy::new(WeightDecay::new(0.5)?, 1), Euler, 0.5)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
/// let reason = flow.run(&mut state, 100, &mut UntilTarget::new(0.2)?)?; // F = 1/2, 1/8
/// assert_eq!((reason, state.step()), (StopReason::Target, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(deserialize = "T: Real + serde::Deserialize<'de>"))
)]
pub struct UntilTarget<T> {
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_target"))]
    target: T,
}

#[cfg(feature = "serde")]
fn decode_target<'de, T: Real + serde::Deserialize<'de>, D: serde::Deserializer<'de>>(
    decoder: D,
) -> Result<T, D::Error> {
    crate::encoding::checked(decoder, |&target: &T| UntilTarget::new(target).map(drop))
}

impl<T: Real> UntilTarget<T> {
    /// Stops when the energy is at most `target`.
    ///
    /// # Errors
    /// [`ParameterError`] if the target is infinite or NaN.
    pub fn new(target: T) -> Result<Self, ParameterError> {
        let holds = target.is_finite();
        ParameterError::check(holds, "target", "finite", to_f64(target))?;
        Ok(Self { target })
    }
}

impl<T: Real> Observer<T> for UntilTarget<T> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        if state.energy() <= self.target {
            ControlFlow::Break(StopReason::Target)
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// Stops a run when the energy rises above its running minimum:
/// `F(mu_t) > F_min + (factor - 1) |F_min| + eps^(1/2) |F_0|`, `F_min = min_{s <= t} F(mu_s)`.
///
/// A gradient flow decreases `F`. Explicit steps that are too long increase it, often without end,
/// and a run that diverges slowly is finite at its end. [`StepError::NonFinite`] is not a test for
/// that. The reason is then [`StopReason::Rising`], at the first state above the bound.
///
/// `F_0` is the energy at the first state observed. Its term, with the machine epsilon `eps`, is
/// above the rounding of `F`, and above the oscillations at rest of an adaptive method with its
/// default tolerances. An observer that is used for a second run starts anew: if the step count is less than the last one observed,
/// or if the energy at that step has changed.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::observe::UntilRising;
/// use wasserflow::prelude::*;
///
/// // dw/dt = -w: a step of 3 multiplies w by -2, and F = w^2 / 2 by 4.
/// let mut flow = ParticleFlow::new(PotentialEnergy::new(WeightDecay::new(0.5)?, 1), Euler, 3.0)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
/// let reason = flow.run(&mut state, 100, &mut UntilRising::new(10.0)?)?; // F = 1/2, 2, 8
/// assert_eq!((reason, state.step()), (StopReason::Rising, 2));
/// assert!(!reason.converged());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`StepError::NonFinite`]: crate::error::StepError::NonFinite
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(deserialize = "T: Real + serde::Deserialize<'de>"))
)]
pub struct UntilRising<T> {
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_factor"))]
    factor: T,
    /// `|F_0|` and `F_min`, and the step and the energy observed last.
    run: Option<(T, T, usize, T)>,
}

#[cfg(feature = "serde")]
fn decode_factor<'de, T: Real + serde::Deserialize<'de>, D: serde::Deserializer<'de>>(
    decoder: D,
) -> Result<T, D::Error> {
    crate::encoding::checked(decoder, |&factor: &T| UntilRising::new(factor).map(drop))
}

impl<T: Real> UntilRising<T> {
    /// Stops when the energy exceeds `factor >= 1` times its running minimum, if that is positive.
    ///
    /// # Errors
    /// [`ParameterError`] if the factor is below 1, infinite or NaN.
    pub fn new(factor: T) -> Result<Self, ParameterError> {
        let holds = factor >= T::one() && factor.is_finite();
        ParameterError::check(holds, "factor", "at least 1 and finite", to_f64(factor))?;
        Ok(Self { factor, run: None })
    }
}

impl<T: Real> Observer<T> for UntilRising<T> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        let (step, energy) = (state.step(), state.energy());
        let continues = |&(_, _, last, before): &(T, T, usize, T)| {
            step > last || (step == last && energy == before)
        };
        let (scale, least) = match self.run.filter(continues) {
            Some((scale, least, ..)) => (scale, least.min(energy)),
            None => (energy.abs(), energy),
        };
        self.run = Some((scale, least, step, energy));
        let allowed = (self.factor - T::one()) * least.abs() + epsilon::<T>().sqrt() * scale;
        if energy - least > allowed {
            ControlFlow::Break(StopReason::Rising)
        } else {
            ControlFlow::Continue(())
        }
    }
}
