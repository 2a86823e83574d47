//! Birth and death of particles: weights grow where the first variation is below its mean.

use super::reweighing::displace_and_reweigh;
use super::{Integrator, Step, check_nonnegative_in, step_from_stale};
use crate::energy::Energy;
use crate::error::{ParameterError, StepError};
use crate::real::{Real, real};
use crate::state::State;

/// Birth-death dynamics of the weights at the rate `alpha`, with motion at the rate `beta`. Order 1.
///
/// `dc_i/dt = -alpha c_i (F'(mu)(w_i) - int F'(mu) dmu / M)`, `dw_i/dt = -beta grad F'(mu)(w_i)`:
/// particles multiply where F' is below its mean and die out above it, and the mass M is constant.
/// Along the flow `-dF/dt = beta int |v|^2 dmu + alpha M Var(F')`, with the variance of F' under
/// `mu / M`. [`Conic`](super::Conic) is the flow without conservation of mass, at `alpha = 4`.
///
/// A step is `c_i *= exp(-alpha dt F'(mu)(w_i))`, normalised to the mass M, and
/// `w_i += dt beta v_i`.
/// With `beta = 0` and a fixed potential it is exact for every step size. A weight 0 stays 0. The
/// method is deterministic: it changes weights instead of duplicating particles at random.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// // V = w^2 at w = 0, 1: the weights are proportional to exp(-V t).
/// let energy = PotentialEnergy::new(WeightDecay::new(1.0)?, 1);
/// let mut flow = ParticleFlow::new(energy, BirthDeath::new(1.0, 0.0), 0.25)?;
/// let points = DMatrix::from_row_slice(1, 2, &[0.0, 1.0]);
/// let mut state = flow.start(EmpiricalMeasure::uniform(points)?)?;
/// flow.run(&mut state, 8, &mut ())?;
/// let exact = 1.0 / (1.0 + f64::exp(-2.0));
/// assert!((state.measure().weight(0) - exact).abs() < 1e-15);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A step fails with [`StepError::Unsupported`] if the energy has no first variation.
///
/// # Cost
/// One first variation a step, besides the velocity of the state.
///
/// Source: G. Rotskoff, S. Jelassi, J. Bruna and E. Vanden-Eijnden, Global convergence of neuron
/// birth-death dynamics, 2019.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BirthDeath {
    alpha: f64,
    beta: f64,
}

#[cfg(feature = "serde")]
checked_fields!(BirthDeath {
    alpha: f64,
    beta: f64
});

impl BirthDeath {
    /// The method with the rates `alpha >= 0` of birth and death and `beta >= 0` of motion, which
    /// multiply `dt`.
    ///
    /// [`ParticleFlow::new`](crate::ParticleFlow::new) checks the ranges.
    pub fn new(alpha: f64, beta: f64) -> Self {
        Self { alpha, beta }
    }

    /// The order, 1.
    pub fn order(&self) -> u32 {
        1
    }
}

impl<T: Real> Integrator<T> for BirthDeath {
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
        let rate = dt * real(self.alpha);
        displace_and_reweigh(
            energy,
            before,
            state,
            dt * real(self.beta),
            |energy, weights, values| {
                reweigh(energy, weights, values, rate);
            },
        )?;
        Ok(Step::new(dt))
    }

    fn check(&self) -> Result<(), ParameterError> {
        check_nonnegative_in::<T>("alpha", self.alpha)?;
        check_nonnegative_in::<T>("beta", self.beta)
    }
}

/// `c_i *= M exp(-rate f_i) / sum_j c_j exp(-rate f_j)`, over all ranks.
fn reweigh<T: Real>(energy: &mut dyn Energy<T>, weights: &mut [T], f: &[T], rate: T) {
    // A constant in F' cancels. With its minimum as reference no exponential overflows.
    let massive = weights.iter().zip(f).filter(|&(&c, _)| c > T::zero());
    let lowest = massive.fold(real(f64::INFINITY), |least: T, (_, &f)| least.min(f));
    let mut all = [weights.iter().fold(T::zero(), |sum, &c| sum + c), lowest];
    if let Some(ranks) = energy.ranks() {
        let parts = ranks.gather(&all);
        let both = |[mass, lowest]: [T; 2], part: &[T]| [mass + part[0], lowest.min(part[1])];
        all = parts.chunks_exact(2).fold([T::zero(), lowest], both);
    }
    let [mass, lowest] = all;
    if mass <= T::zero() {
        return;
    }
    let mut grown = [T::zero()];
    for (c, &f) in weights.iter_mut().zip(f) {
        if *c > T::zero() {
            *c *= (rate * (lowest - f)).exp();
        }
        grown[0] += *c;
    }
    if let Some(ranks) = energy.ranks() {
        ranks.sum(&mut grown);
    }
    weights.iter_mut().for_each(|c| *c *= mass / grown[0]);
}
