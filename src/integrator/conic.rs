//! Conic particle descent, which moves particles and their mass.

use super::{Integrator, Step};
use crate::energy::Energy;
use crate::error::{ParameterError, StepError};
use crate::real::{Real, real};
use crate::state::State;

/// Conic (Wasserstein-Fisher-Rao) descent: particles move by `beta`, their weights grow or decay by `alpha`. Order 1.
///
/// `w_i += dt beta v_i`, `c_i *= exp(-4 alpha dt F'(mu)(w_i))`: the mirror retraction of the flow
///
/// `dw_i/dt = -beta grad F'(mu)(w_i)`, `dc_i/dt = -4 alpha c_i F'(mu)(w_i)`,
///
/// along which `-dF/dt = int (beta |v|^2 + 4 alpha F'(mu)^2) dmu`. Weights stay positive; a weight that starts at 0 stays 0. It
/// suits measures without a cone structure of their own, such as spikes to be deconvolved, with the price `lambda` of mass as a
/// constant [`Potential`](crate::energy::Potential). `beta = 0` moves mass only, `alpha = 0` is [`Euler`](super::Euler) with step
/// `beta dt`.
///
/// The energy must give its first variation; a step costs one, besides the velocity of the state.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// // V(w) = |w|^2: the far particle loses mass at the rate 4 V, the one at 0 keeps it.
/// let energy = PotentialEnergy::new(WeightDecay::new(1.0)?, 1);
/// let mut flow = ParticleFlow::new(energy, Conic::new(1.0, 0.0), 0.25)?;
/// let start = EmpiricalMeasure::weighted(DMatrix::from_row_slice(1, 2, &[0.0, 1.0]), DVector::from_element(2, 1.0))?;
/// let mut state = flow.start(start)?;
/// flow.run(&mut state, 1, &mut ())?;
/// assert_eq!(state.measure().weights(), &[1.0, f64::exp(-1.0)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Source: L. Chizat, Sparse optimization on measures with over-parameterized gradient descent (arXiv:1907.10300).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conic {
    alpha: f64,
    beta: f64,
}

impl Conic {
    /// Descent with the rates `alpha >= 0` of mass and `beta >= 0` of motion, in units of `dt`.
    ///
    /// The range is checked where the method enters a flow ([`ParticleFlow::new`](crate::ParticleFlow::new)).
    pub fn new(alpha: f64, beta: f64) -> Self {
        Self { alpha, beta }
    }

    /// 1.
    pub fn order(&self) -> u32 {
        1
    }
}

impl<T: Real> Integrator<T> for Conic {
    fn order(&self) -> u32 {
        1
    }

    fn step(
        &mut self,
        energy: &mut dyn Energy<T>,
        state: &mut State<T>,
        dt: T,
    ) -> Result<Step<T>, StepError> {
        state.evaluate(energy);
        let mut stages = state.take_stages(2);
        let (values, descent) = stages.split_at_mut(1);
        let values = &mut values[0].as_mut_slice()[..state.measure().len()];
        let known = energy.first_variation(
            state.measure(),
            state.measure().points(),
            values,
            &mut descent[0],
        );
        if known.is_some() {
            let rate = dt * real(-4.0 * self.alpha);
            let (mu, v) = state.split_mut();
            for (c, &variation) in mu.weights_mut().iter_mut().zip(&*values) {
                *c *= (rate * variation).exp();
            }
            mu.displace(dt * real(self.beta), v);
        }
        state.give_stages(stages);
        match known {
            Some(_) => Ok(Step {
                taken: dt,
                next: None,
            }),
            None => Err(StepError::Unsupported {
                what: "the first variation",
            }),
        }
    }

    fn check(&self) -> Result<(), ParameterError> {
        for (name, value) in [("alpha", self.alpha), ("beta", self.beta)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(ParameterError {
                    name,
                    requirement: ">= 0 and finite",
                    value,
                });
            }
        }
        Ok(())
    }
}
