//! The proximal step of Jordan, Kinderlehrer and Otto.

use super::{Integrator, Step};
use crate::energy::Energy;
use crate::error::{ParameterError, StepError};
use crate::real::{Real, epsilon, real, to_f64};
use crate::state::State;

mod descent;
mod direction;
mod hull;
mod polish;
mod proximal;
mod scratch;

use descent::{Goal, descend, rounding};
pub use polish::{Polished, polish};
use proximal::{Point, Proximal};
use scratch::Scratch;

/// The JKO step: `mu+ = argmin_nu F(nu) + W2^2(nu, mu) / (2 gamma)` with `gamma = dt`. Order 1, stable for every `dt`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jko {
    tolerance: f64,
    iterations: usize,
}

impl Jko {
    /// The method with relative `tolerance > 0` and at most `iterations >= 1` iterations a step.
    ///
    /// The range is checked where the method enters a flow ([`ParticleFlow::new`](crate::ParticleFlow::new)).
    pub fn new(tolerance: f64, iterations: usize) -> Self {
        Self { tolerance, iterations }
    }

    /// 1.
    pub fn order(&self) -> u32 {
        1
    }
}

/// `tolerance = 1e-6`, 1000 iterations.
impl Default for Jko {
    fn default() -> Self {
        Self::new(1e-6, 1000)
    }
}

impl<T: Real> Integrator<T> for Jko {
    fn order(&self) -> u32 {
        1
    }

    fn step(&mut self, energy: &mut dyn Energy<T>, state: &mut State<T>, dt: T) -> Result<Step<T>, StepError> {
        let ending = solve(energy, state, T::one() / dt, real(self.tolerance), self.iterations)?;
        if ending.converged {
            Ok(Step { taken: dt, next: None })
        } else {
            Err(StepError::Inner { iterations: ending.iterations, residual: to_f64(ending.residual) })
        }
    }

    fn check(&self) -> Result<(), ParameterError> {
        if !(self.tolerance > 0.0 && self.tolerance.is_finite()) {
            let requirement = "positive and finite";
            return Err(ParameterError { name: "tolerance", requirement, value: self.tolerance });
        }
        if self.iterations == 0 {
            return Err(ParameterError { name: "iterations", requirement: "at least 1", value: 0.0 });
        }
        Ok(())
    }
}

/// Moves the state to the proximal point, `rate = 1/gamma`.
fn solve<T: Real>(
    energy: &mut dyn Energy<T>,
    state: &mut State<T>,
    rate: T,
    tolerance: T,
    iterations: usize,
) -> Result<descent::Ending<T>, StepError> {
    state.evaluate(energy);
    let shape = state.measure().points().shape();
    let mut scratch = Scratch::new(shape, state.take_stages(0));
    let (mut w, mut x) = (
        scratch.take(),
        Point {
            v: scratch.take(),
            velocity: scratch.take(),
            gradient: scratch.take(),
            energy: state.energy(),
            value: state.energy(),
        },
    );
    w.copy_from(state.measure().points());
    x.v.copy_from(&w);
    x.velocity.copy_from(state.velocity());

    let mut problem = Proximal { energy: &mut *energy, mu: state.measure_mut(), anchor: w, rate };
    problem.complete(&mut x);
    let speed = problem.norm(&x.velocity);
    let mass = problem.mu.mass();
    let mut scale = problem.norm(&x.v);
    let _ = mass;
    if scale == T::zero() {
        scale = T::one();
    }
    let reach = if rate > T::zero() { scale.min(speed / rate) } else { scale };
    let floor = rounding(&mut problem, &x);
    let goal = Goal {
        residual: (tolerance * speed).max(floor),
        radius: (tolerance * reach).max(real::<T>(8.0) * epsilon::<T>() * scale),
        iterations,
    };
    let ending = descend(&mut problem, &mut x, real::<T>(0.01) * reach, &goal, &mut scratch);

    let w = problem.anchor;
    state.measure_mut().points_mut().copy_from_slice(x.v.as_slice());
    state.evaluated(energy, &mut x.velocity, x.energy);
    scratch.give([w, x.v, x.velocity, x.gradient]);
    state.give_stages(scratch.into_fields());
    Ok(ending)
}
