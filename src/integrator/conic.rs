//! Conic particle descent, which moves particles and their mass.

use super::reweighing::displace_and_reweigh;
use super::{Integrator, Step, check_nonnegative_in, step_from_stale};
use crate::energy::Energy;
use crate::error::{ParameterError, StepError};
use crate::real::{Real, real};
use crate::state::State;

/// Conic (Wasserstein-Fisher-Rao) particle descent, of positions at the rate `beta` and of weights
/// at the rate `alpha`. Order 1.
///
/// `w_i += dt beta v_i`, `c_i *= exp(-4 alpha dt F'(mu)(w_i))`: the mirror retraction of the flow
///
/// `dw_i/dt = -beta grad F'(mu)(w_i)`, `dc_i/dt = -4 alpha c_i F'(mu)(w_i)`,
///
/// along which `-dF/dt = int (beta |v|^2 + 4 alpha F'(mu)^2) dmu`. A weight `c_i > 0` stays
/// positive unless it underflows to 0; a weight 0 stays 0, and its particle carries no mass again.
/// In `f64` a particle of weight 1 underflows once `int 4 alpha F'(mu)(w_i) dt` exceeds 745, in
/// `f32` 103. `beta = 0` moves mass only, `alpha = 0` is [`Euler`](super::Euler) with the step
/// `beta dt`.
///
/// The method is meant for measures without the cone structure of homogeneous features, such as
/// spikes to be deconvolved. The price `lambda` of mass is then a constant
/// [`Potential`](crate::energy::Potential).
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// // V(w) = |w|^2: the particle at 1 loses mass at the rate 4 V, the one at 0 keeps it.
/// let energy = PotentialEnergy::new(WeightDecay::new(1.0)?, 1);
/// let mut flow = ParticleFlow::new(energy, Conic::new(1.0, 0.0), 0.25)?;
/// let points = DMatrix::from_row_slice(1, 2, &[0.0, 1.0]);
/// let start = EmpiricalMeasure::weighted(points, DVector::from_element(2, 1.0))?;
/// let mut state = flow.start(start)?;
/// flow.run(&mut state, 1, &mut ())?;
/// assert_eq!(state.measure().weights(), &[1.0, f64::exp(-1.0)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A step fails with [`StepError::Unsupported`] if the energy has no first variation.
///
/// # Cost
/// One first variation a step, besides the velocity of the state.
///
/// Source: L. Chizat, Sparse optimization on measures with over-parameterized gradient descent
/// (arXiv:1907.10300).
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Conic {
    alpha: f64,
    beta: f64,
}

#[cfg(feature = "serde")]
checked_fields!(Conic {
    alpha: f64,
    beta: f64
});

impl Conic {
    /// The method with the rates `alpha >= 0` of mass and `beta >= 0` of motion, which multiply
    /// `dt`.
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

impl<T: Real> Integrator<T> for Conic {
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
        let rate = dt * real(-4.0 * self.alpha);
        displace_and_reweigh(
            energy,
            before,
            state,
            dt * real(self.beta),
            |_, weights, values| {
                for (c, &variation) in weights.iter_mut().zip(values) {
                    // A weight 0 stays 0, also if the exponential is infinite.
                    if *c > T::zero() {
                        *c *= (rate * variation).exp();
                    }
                }
            },
        )?;
        Ok(Step::new(dt))
    }

    fn check(&self) -> Result<(), ParameterError> {
        check_nonnegative_in::<T>("alpha", self.alpha)?;
        check_nonnegative_in::<T>("beta", self.beta)
    }
}
