//! The explicit Euler method.

use super::{Integrator, Step, step_from_stale};
use crate::energy::Energy;
use crate::error::StepError;
use crate::real::Real;
use crate::state::State;

/// The explicit Euler method, `w_i += dt v_i`, which is gradient descent. Order 1.
///
/// A step costs one velocity, that of the state, which every method evaluates. It lowers the energy
/// if `dt < 2 / L`, with the Lipschitz constant `L` of the velocity.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1); // dw/dt = -w
/// let mut flow = ParticleFlow::new(energy, Euler, 0.5)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 8.0))?)?;
/// flow.run(&mut state, 2, &mut ())?;
/// assert_eq!(state.measure().particle(0), &[2.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Euler;

impl Euler {
    /// The order, 1.
    pub fn order(&self) -> u32 {
        1
    }
}

impl<T: Real> Integrator<T> for Euler {
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
        state.displace_from(before, &[(dt, before.velocity())]);
        Ok(Step::new(dt))
    }
}
