//! Mean-field Langevin dynamics: noise of a temperature, with and without momentum.

use crate::error::{ParameterError, StepError};
use crate::real::{Real, real, to_f64};
use crate::state::State;

use super::noise::Noise;
use super::{Constant, Integrator, Schedule, Step, step_from_stale};
use crate::energy::Energy;

mod kinetic;

pub use kinetic::KineticLangevin;

/// The Langevin method (Euler-Maruyama) at the temperature `tau`: `w_i += dt v_i + sqrt(2 tau dt)
/// xi_i` with independent standard normal `xi_i`. Weak and strong order 1.
///
/// In the limit of many particles their law descends the free energy `F(mu) + tau int log mu` in
/// the Wasserstein geometry, `dw_i = -grad F'(mu)(w_i) dt + sqrt(2 tau) dB_i`. In a potential V the
/// stationary density is proportional to `exp(-V / tau)`. The entropy of particles is estimated by
/// [`knn_entropy`](crate::measure::knn_entropy).
///
/// The temperature is a constant, or a [`Schedule`] `tau(s, t)` of the step and the time
/// ([`annealed`](Self::annealed)), which may be 0: the step is then that of
/// [`Euler`](super::Euler), without noise.
///
/// # Noise
/// `xi_i` is a function of the seed, of the step and of the index of the particle: the results are
/// identical, bit for bit, for any number of threads and after a resume. A process that holds a
/// part of the particles declares it by [`particles`](Self::particles). The noise has no memory:
/// the state is as for [`Euler`](super::Euler). Particles of weight 0 are subject to noise too, and
/// the parts of a split particle have independent noise.
///
/// # Accuracy
/// In a quadratic potential of curvature k the stationary variance is
/// `tau / (k (1 - k dt / 2))` instead of `tau / k`: the bias is of order `dt`. The method is stable
/// for `dt < 2 / k`. [`KineticLangevin`] has no bias in this case.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// // V = w^2 / 2 at the temperature 0.2: the stationary law is N(0, 0.2).
/// let energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1);
/// let mut flow = ParticleFlow::new(energy, Langevin::new(0.2_f64, 7)?, 0.1)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::zeros(1, 10_000))?)?;
/// flow.run(&mut state, 100, &mut ())?;
/// let exact = 0.2 / (1.0 - 0.05); // with the bias of dt = 0.1
/// assert!((state.measure().second_moment() / exact - 1.0).abs() < 4.42 * f64::sqrt(2.0 / 1e4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A step fails with [`StepError::Parameter`] if a schedule returns a temperature that is negative
/// or not finite.
///
/// Source: K. Hu, Z. Ren, D. Siska and L. Szpruch, Mean-field Langevin dynamics and energy landscape
/// of neural networks, 2021; L. Chizat, Mean-field Langevin dynamics: exponential convergence and
/// annealing, 2022.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Langevin<S> {
    temperature: S,
    noise: Noise,
}

impl<T: Real> Langevin<Constant<T>> {
    /// The method at the constant temperature `tau > 0`, with the noise of `seed`.
    ///
    /// # Errors
    /// [`ParameterError`] if the temperature is not positive and finite.
    pub fn new(temperature: T, seed: u64) -> Result<Self, ParameterError> {
        Ok(Self::annealed(constant(temperature)?, seed))
    }
}

impl<S> Langevin<S> {
    /// The method at the temperature `tau(s, t) >= 0` of a schedule of the step s and the time t.
    ///
    /// ```
    /// use wasserflow::integrator::from_fn;
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    ///
    /// // The temperature 20 / (s + 1), and no noise after step 80.
    /// let annealed = from_fn(|s, _| if s < 80 { 20.0 / (s as f64 + 1.0) } else { 0.0 });
    /// let energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1);
    /// let mut flow = ParticleFlow::new(energy, Langevin::annealed(annealed, 7), 0.1)?;
    /// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::zeros(1, 5))?)?;
    /// flow.run(&mut state, 100, &mut ())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn annealed(temperature: S, seed: u64) -> Self {
        let noise = Noise::new(seed);
        Self { temperature, noise }
    }

    /// Sets the indices of the particles of this process among all particles: particle i is
    /// `offset + stride i`. The default is `(0, 1)`.
    ///
    /// With the indices that a run of one process has, ranks draw the same noise. A stride of 0
    /// would give all particles the same noise: a flow with this method is then an error.
    #[must_use]
    pub fn particles(mut self, offset: usize, stride: usize) -> Self {
        (self.noise.offset, self.noise.stride) = (offset, stride);
        self
    }

    /// The order, 1.
    pub fn order(&self) -> u32 {
        1
    }
}

/// A constant temperature.
fn constant<T: Real>(temperature: T) -> Result<Constant<T>, ParameterError> {
    ParameterError::check_positive("temperature", to_f64(temperature))?;
    Constant::new(temperature)
}

/// The temperature of a step, which has to be `>= 0` and finite.
fn temperature<T: Real>(
    schedule: &impl Schedule<T>,
    state: &State<T>,
) -> Result<T, ParameterError> {
    let tau = schedule.step_size(state.step(), state.time());
    let holds = tau >= T::zero() && tau.is_finite();
    ParameterError::check(holds, "temperature", ">= 0 and finite", to_f64(tau))?;
    Ok(tau)
}

/// `(x y)^(1/2)` for `x, y >= 0`: also if the product over- or underflows.
fn root_of_product<T: Real>(x: T, y: T) -> T {
    let product = x * y;
    // A subnormal product has fewer digits.
    let is_normal = T::max_value().is_none_or(|max| product * max >= real(4.0));
    if is_normal && product.is_finite() {
        product.sqrt()
    } else {
        x.sqrt() * y.sqrt()
    }
}

impl<T: Real, S: Schedule<T>> Integrator<T> for Langevin<S> {
    fn order(&self) -> u32 {
        1
    }

    in_place_step!(T);

    fn step_from(
        &mut self,
        energy: &mut dyn Energy<T>,
        before: &State<T>,
        state: &mut State<T>,
        dt: T,
    ) -> Result<Step<T>, StepError> {
        if let Some(step) = step_from_stale(self, energy, before, state, dt) {
            return step;
        }
        let tau = temperature(&self.temperature, before)?;
        state.displace_from(before, &[(dt, before.velocity())]);
        let (step, mu) = (before.step(), state.measure_mut());
        let p = mu.dim();
        let deviation = root_of_product(tau + tau, dt);
        self.noise.add(step, deviation, p, mu.points_mut());
        Ok(Step::new(dt))
    }

    fn check(&self) -> Result<(), ParameterError> {
        self.noise.check()
    }
}
