//! Kinetic (underdamped) Langevin dynamics by the BAOAB splitting.

use nalgebra::DMatrix;

use super::{Noise, constant, root_of_product, temperature};
use crate::energy::Energy;
use crate::error::{ParameterError, StepError};
use crate::integrator::{Constant, Integrator, Schedule, Step, check_nonnegative_in};
use crate::real::{Real, real};
use crate::state::State;

/// Kinetic Langevin dynamics at the temperature `tau` with friction `gamma`, by the splitting
/// BAOAB: `dw_i = u_i dt`, `du_i = (v_i - gamma u_i) dt + sqrt(2 gamma tau) dB_i`. Weak order 2, one
/// velocity a step.
///
/// The stationary law of `(w, u)` in a potential V is proportional to
/// `exp(-(V(w) + |u|^2 / 2) / tau)`. A step of size h, with `v_i = -grad_w F'(mu)(w_i)` and
/// independent standard normal `xi_i`, is
///
/// `u += (h/2) v(w)`, `w += (h/2) u`, `u = e^{-gamma h} u + (tau (1 - e^{-2 gamma h}))^(1/2) xi`,
/// `w += (h/2) u`, `u += (h/2) v(w)`.
///
/// The last operation is that of the new points: it is performed at the beginning of the next step,
/// by the velocity that the state then holds. [`momentum`](Self::momentum) returns u. The particles
/// start at rest. At the temperature 0 the motion is that of
/// [`HeavyBall`](crate::integrator::HeavyBall), with another splitting.
///
/// # Accuracy
/// In a quadratic potential of curvature k the stationary variance of w is exactly `tau / k` for
/// every step size `h < 2 / sqrt(k)`, and that of u is `tau (1 - h^2 k / 4)`.
///
/// # Noise and memory
/// The noise is that of [`Langevin`](super::Langevin): the same bits for any number of threads and
/// after a resume. Field 0 is u before the last operation, scalar 0 the size of that step. If the
/// number of particles or their dimension changes, all particles are at rest.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// // V = w^2 at the temperature 0.5: the variances are 0.25 and 0.5 (1 - 0.045).
/// let energy = PotentialEnergy::new(WeightDecay::new(1.0)?, 1);
/// let integrator = KineticLangevin::new(0.5_f64, 1.0, 7)?;
/// let mut flow = ParticleFlow::new(energy, integrator, 0.3)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::zeros(1, 10_000))?)?;
/// flow.run(&mut state, 60, &mut ())?;
/// let bound = 4.42 * f64::sqrt(2.0 / 1e4);
/// assert!((state.measure().second_moment() / 0.25 - 1.0).abs() < bound);
/// let u = flow.integrator().momentum(&state);
/// assert!((u.norm_squared() / 1e4 / 0.4775 - 1.0).abs() < bound);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`Langevin`](super::Langevin).
///
/// Source: B. Leimkuhler and C. Matthews, Rational construction of stochastic numerical methods for
/// molecular sampling, 2013.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct KineticLangevin<S> {
    temperature: S,
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_friction"))]
    friction: f64,
    noise: Noise,
}

#[cfg(feature = "serde")]
fn decode_friction<'de, D: serde::Deserializer<'de>>(decoder: D) -> Result<f64, D::Error> {
    crate::encoding::checked(decoder, |&friction| {
        KineticLangevin::annealed((), friction, 0).map(drop)
    })
}

impl<T: Real> KineticLangevin<Constant<T>> {
    /// The method at the constant temperature `tau > 0` with friction `gamma >= 0`, in units of
    /// 1/time, and the noise of `seed`.
    ///
    /// # Errors
    /// [`ParameterError`] if the temperature is not positive and finite, or the friction is negative
    /// or not finite.
    pub fn new(temperature: T, friction: f64, seed: u64) -> Result<Self, ParameterError> {
        Self::annealed(constant(temperature)?, friction, seed)
    }
}

impl<S> KineticLangevin<S> {
    /// The method at the temperature `tau(s, t) >= 0` of a schedule of the step s and the time t.
    ///
    /// # Errors
    /// [`ParameterError`] if the friction is negative or not finite.
    pub fn annealed(temperature: S, friction: f64, seed: u64) -> Result<Self, ParameterError> {
        ParameterError::check_nonnegative("friction", friction)?;
        let noise = Noise::new(seed);
        Ok(Self {
            temperature,
            friction,
            noise,
        })
    }

    /// Sets the indices of the particles of this process, as
    /// [`Langevin::particles`](super::Langevin::particles).
    #[must_use]
    pub fn particles(mut self, offset: usize, stride: usize) -> Self {
        (self.noise.offset, self.noise.stride) = (offset, stride);
        self
    }

    /// The friction `gamma`.
    pub fn friction(&self) -> f64 {
        self.friction
    }

    /// The order, 2.
    pub fn order(&self) -> u32 {
        2
    }

    /// The momentum `u` (`p x m`) at the points of the state. Zero for a state without steps of
    /// this method.
    pub fn momentum<T: Real>(&self, state: &State<T>) -> DMatrix<T> {
        let (p, m) = state.measure().points().shape();
        let memory = state.memory();
        match (memory.fields.first(), memory.scalars.first()) {
            (Some(u), Some(&dt)) if u.shape() == (p, m) && state.velocity().shape() == (p, m) => {
                let half = dt * real(0.5);
                u.zip_map(state.velocity(), |u, v| u + half * v)
            }
            _ => DMatrix::zeros(p, m),
        }
    }
}

impl<T: Real, S: Schedule<T>> Integrator<T> for KineticLangevin<S> {
    fn order(&self) -> u32 {
        2
    }

    fn step(
        &mut self,
        energy: &mut dyn Energy<T>,
        state: &mut State<T>,
        dt: T,
    ) -> Result<Step<T>, StepError> {
        let tau = temperature(&self.temperature, state)?;
        state.evaluate(energy);
        let step = state.step();
        let (p, m) = state.measure().points().shape();
        let memory = state.memory_mut();
        let fits = memory.fields.first().is_some_and(|u| u.shape() == (p, m));
        let last = if fits { memory.scalars.first() } else { None };
        let half = dt * real(0.5);
        let kick = half + last.map_or(T::zero(), |&last| last * real(0.5));
        memory.field(0, (p, m));
        memory.scalars.clear();
        memory.scalars.push(dt);
        // The field leaves the state for the time of the step, which borrows the velocity as well.
        let mut u = std::mem::replace(&mut memory.fields[0], DMatrix::zeros(0, 0));
        let (mu, v) = state.split_mut();
        u.zip_apply(v, |u, v| *u += kick * v); // the end of the last step, and the first kick
        mu.displace(half, &u);
        // e^{-gamma h} - 1, without cancellation for little friction.
        let damping = (-(real::<T>(self.friction) * dt)).exp_m1();
        u.apply(|u| *u += damping * *u);
        let lost = -damping * (damping + real(2.0)); // 1 - e^{-2 gamma h}
        let deviation = root_of_product(tau, lost);
        self.noise.add(step, deviation, p, u.as_mut_slice());
        mu.displace(half, &u);
        state.memory_mut().fields[0] = u;
        Ok(Step::new(dt))
    }

    fn check(&self) -> Result<(), ParameterError> {
        self.noise.check()?;
        check_nonnegative_in::<T>("friction", self.friction)
    }
}
