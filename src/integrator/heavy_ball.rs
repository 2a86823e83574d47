//! The heavy ball: gradient descent with momentum, as a flow of second order in time.

use nalgebra::DMatrix;

use super::{Integrator, Step, check_nonnegative_in, step_from_stale};
use crate::energy::Energy;
use crate::error::{ParameterError, StepError};
use crate::real::{Real, real};
use crate::state::State;

/// The heavy ball with friction `gamma`: `dw_i/dt = u_i`,
/// `du_i/dt = -gamma u_i - grad_w F'(mu)(w_i)`. Order 2, one velocity a step.
///
/// The particles start at rest. Along the flow `H = F + int |u|^2 dmu / 2` decreases at the rate
/// `dH/dt = -gamma int |u|^2 dmu`. F itself may rise. On a quadratic of curvature s the motion is a
/// damped oscillation. It is critically damped at `gamma = 2 sqrt(s)`, with the decay rate
/// `sqrt(s)`; that of the gradient flow is s.
///
/// A step of size `dt` is the symmetric splitting
///
/// `u *= e^{-gamma dt/2}`, `u += (dt/2) v(w)`, `w += dt u`, `u += (dt/2) v(w)`,
/// `u *= e^{-gamma dt/2}`
///
/// with `v_i = -grad_w F'(mu)(w_i)`. The last two operations are those of the new points: they are
/// performed at the beginning of the next step, by the velocity that the state then holds. So a
/// stochastic energy is evaluated once a step, too. [`momentum`](Self::momentum) returns u. On a
/// quadratic the step is stable for `dt < 2 / sqrt(s)`, at any friction.
///
/// With constant steps it is the momentum method `z <- beta z + v`, `w += eta z` of deep learning
/// at `eta = dt^2` and `beta = e^{-gamma dt}`, up to the factor `(1 + beta) / 2` of `eta`.
///
/// # Memory
/// Field 0 is u after `w += dt u`, scalar 0 the size of that step. If the number of particles or
/// their dimension changes, all particles are at rest.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// // w'' = -w' / 5 - w: a damped oscillation through w = 0.
/// let energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1);
/// let mut flow = ParticleFlow::new(energy, HeavyBall::new(0.2)?, 0.01)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
/// flow.run_until(&mut state, 3.0, &mut ())?;
/// let omega = f64::sqrt(1.0 - 0.01); // sqrt(s - gamma^2 / 4)
/// let exact = f64::exp(-0.3) * ((3.0 * omega).cos() + 0.1 / omega * (3.0 * omega).sin());
/// assert!((state.measure().particle(0)[0] - exact).abs() < 1e-4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Source: B. T. Polyak, Some methods of speeding up the convergence of iteration methods, 1964;
/// G. Strang, On the construction and comparison of difference schemes, 1968 (the splitting).
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HeavyBall {
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_friction"))]
    friction: f64,
}

#[cfg(feature = "serde")]
fn decode_friction<'de, D: serde::Deserializer<'de>>(decoder: D) -> Result<f64, D::Error> {
    crate::encoding::checked(decoder, |&friction| HeavyBall::new(friction).map(drop))
}

impl HeavyBall {
    /// The method with friction `gamma >= 0`, in units of 1/time.
    ///
    /// # Errors
    /// [`ParameterError`] if the friction is negative or not finite.
    pub fn new(friction: f64) -> Result<Self, ParameterError> {
        ParameterError::check_nonnegative("friction", friction)?;
        Ok(Self { friction })
    }

    /// The friction `gamma`.
    pub fn friction(&self) -> f64 {
        self.friction
    }

    /// The order, 2.
    pub fn order(&self) -> u32 {
        2
    }

    /// The momentum `u` (`p x m`) at the points of the state: the derivative `dw_i/dt`.
    ///
    /// Zero for a state without steps of this method. `int |u|^2 dmu / 2` is
    /// [`Energy::inner`]`(mu, u, u) / 2`.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    ///
    /// let energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1); // w'' = -w
    /// let mut flow = ParticleFlow::new(energy, HeavyBall::new(0.0)?, 0.5)?;
    /// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
    /// flow.advance(&mut state)?;
    /// let u = flow.integrator().momentum(&state);
    /// // w = 1 - 0.125 and u = -0.25 (1 + w)
    /// assert_eq!((state.measure().particle(0)[0], u[0]), (0.875, -0.25 * 1.875));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn momentum<T: Real>(&self, state: &State<T>) -> DMatrix<T> {
        let shape = state.measure().points().shape();
        let (Some(u), Some(&dt)) = (
            state.memory().fields.first(),
            state.memory().scalars.first(),
        ) else {
            return DMatrix::zeros(shape.0, shape.1);
        };
        if u.shape() != shape || state.velocity().shape() != shape {
            return DMatrix::zeros(shape.0, shape.1);
        }
        let half = dt * real(0.5);
        let damping = self.damping(half);
        u.zip_map(state.velocity(), |u, v| damping * (u + half * v))
    }

    /// `e^{-gamma t}`.
    fn damping<T: Real>(&self, t: T) -> T {
        (-(real::<T>(self.friction) * t)).exp()
    }
}

impl<T: Real> Integrator<T> for HeavyBall {
    fn order(&self) -> u32 {
        2
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
        let (v, memory) = (before.velocity(), before.memory());
        // The field leaves the state, which is displaced by it.
        let field = state.memory_mut().field(0, v.shape());
        let mut u = std::mem::replace(field, DMatrix::zeros(0, 0));
        let mut half_last = T::zero();
        match (memory.fields.first(), memory.scalars.first()) {
            (Some(last), Some(&dt)) if last.shape() == v.shape() => {
                u.copy_from(last);
                half_last = dt * real(0.5);
            }
            _ => u.fill(T::zero()),
        }
        let half = dt * real(0.5);
        let damping = [self.damping(half_last), self.damping(half)];
        u.zip_apply(v, |u, v| {
            let end = damping[0] * (*u + half_last * v); // of the last step
            *u = damping[1] * end + half * v;
        });
        state.displace_points_from(before, &[(dt, &u)]);
        let control = state.memory_mut();
        control.fields.truncate(1);
        control.fields[0] = u;
        let others = memory.fields.get(1..).unwrap_or_default(); // of another method
        control.fields.extend_from_slice(others);
        control.scalars.clear();
        control.scalars.push(dt);
        Ok(Step::new(dt))
    }

    fn check(&self) -> Result<(), ParameterError> {
        check_nonnegative_in::<T>("friction", self.friction)
    }
}
