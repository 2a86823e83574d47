//! The solution of a proximal problem by one or both solvers.

use super::descent;
use super::newton;
use super::objective::{Point, ProximalProblem};
use super::scratch::Scratch;
use super::tolerances::{Outcome, Tolerances};
use crate::energy::Energy;
use crate::error::StepError;
use crate::real::{Real, epsilon, real, to_f64};
use crate::state::State;

/// The least radius within which gradients are sampled, in units of `eps` times the size of the
/// points: closer ones are not distinct.
const RADIUS_ROUNDING: f64 = 8.0;

/// Both sides of a kink are sampled at this distance at least, in units of `eps` times the size of
/// the points, so that rounding does not mix the sides.
const SIDE_ROUNDING: f64 = 1e3;

/// That least distance is itself at most this fraction of the length of the step.
const SIDE_FRACTION: f64 = 1e-3;

/// The first sampling radius of the second solver, relative to the length of the step.
const SAMPLING_FRACTION: f64 = 0.01;

/// The residual and the work of [`polish`](super::polish()).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Polished<T> {
    /// The `L2(mu)` norm of the minimum-norm subgradient, `>= 0`.
    pub residual: T,
    /// Iterations of both solvers, `<=` the number passed.
    pub iterations: usize,
    /// Velocities and first variations computed, without those of products.
    pub evaluations: usize,
    /// Products with the Gauss-Newton curvature or the Hessian; one by differences of velocities
    /// costs a velocity.
    pub products: usize,
}

/// Moves the state to a stationary point of `P`, with `inv_gamma = 1/gamma`.
///
/// The residual is relative to the speed `|velocity|` at the start. On failure the state is at the
/// last accepted point.
pub(super) fn solve<T: Real>(
    energy: &mut dyn Energy<T>,
    state: &mut State<T>,
    inv_gamma: T,
    tolerance: T,
    iterations: usize,
) -> Result<Polished<T>, StepError> {
    state.evaluate(energy);
    let shape = state.measure().points().shape();
    let mut scratch = Scratch::new(shape, state.take_stages(0));
    let mut w = scratch.take();
    w.copy_from(state.measure().points());
    let mut x = Point::take(&mut scratch, state.energy(), state.energy());
    x.v.copy_from(&w);
    x.velocity.copy_from(state.velocity());

    let mut problem = ProximalProblem {
        energy: &mut *energy,
        mu: state.measure_mut(),
        anchor: w,
        inv_gamma,
        evaluations: 0,
        products: 0,
    };
    problem.complete(&mut x);
    let speed = problem.norm(&x.velocity);
    let size = match problem.norm(&x.v) {
        size if size == T::zero() => T::one(),
        size => size,
    };
    // How far a step may move the points.
    let reach = if inv_gamma > T::zero() {
        size.min(speed / inv_gamma)
    } else {
        size
    };
    let tolerances = Tolerances {
        residual: (tolerance * speed).max(problem.gradient_rounding(&x)),
        radius: (tolerance * reach).max(real::<T>(RADIUS_ROUNDING) * epsilon::<T>() * size),
        iterations,
    };
    let resolved = real::<T>(SIDE_ROUNDING) * epsilon::<T>() * problem.norm(&x.v);
    let side = resolved.min(reach * real(SIDE_FRACTION));
    let radius = tolerances.radius.max(side);
    let first = newton::descend(&mut problem, &mut x, radius, &tolerances, &mut scratch);
    let outcome = match first {
        Some(outcome) if outcome.converged || outcome.iterations == iterations => outcome,
        first => {
            let used = first.map_or(0, |outcome| outcome.iterations);
            let tolerances = Tolerances {
                iterations: iterations - used,
                ..tolerances
            };
            let radius = real::<T>(SAMPLING_FRACTION) * reach;
            let outcome = descent::descend(&mut problem, &mut x, radius, &tolerances, &mut scratch);
            Outcome {
                iterations: used + outcome.iterations,
                ..outcome
            }
        }
    };

    let ProximalProblem {
        anchor: w,
        evaluations,
        products,
        ..
    } = problem;
    let points = state.measure_mut().points_mut();
    points.copy_from_slice(x.v.as_slice());
    state.adopt(energy, &mut x.velocity, x.energy);
    x.give(&mut scratch);
    scratch.give([w]);
    state.give_stages(scratch.into_fields());
    if outcome.converged {
        Ok(Polished {
            residual: outcome.residual,
            iterations: outcome.iterations,
            evaluations,
            products,
        })
    } else {
        Err(StepError::Inner {
            iterations: outcome.iterations,
            residual: to_f64(outcome.residual),
        })
    }
}
