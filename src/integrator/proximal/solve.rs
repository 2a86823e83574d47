//! The solution of a proximal problem: kinks of the loss, inexact steps, shorter steps.

use nalgebra::DMatrix;

use super::active_set::ActiveSet;
use super::newton::{self, Outcome, Tolerances};
use super::objective::{Point, ProximalProblem};
use super::scratch::Scratch;
use crate::energy::Energy;
use crate::error::StepError;
use crate::real::{Real, epsilon, real, to_f64};
use crate::state::State;

/// An inexact step is accepted if the residual is at most this fraction of `|v - w| / gamma`
/// (the relative criterion of M. Solodov and B. Svaiter, A hybrid projection-proximal point
/// algorithm, 1999).
const INEXACTNESS: f64 = 0.1;

/// The factor of `gamma` if a step is not accepted.
const SHORTENING: f64 = 0.125;

/// Steps of fewer units of rounding of the points are not tried.
const RESOLUTION: f64 = 1e3;

/// Step sizes tried at most.
const MAX_SIZES: usize = 20;

/// The first width of the relaxation of the kinks of the loss, relative to the mean distance of the
/// predictions from the kinks, and the factor of the width after each update of the multipliers.
const WIDTH: f64 = 0.3;
const NARROWING: f64 = 0.3;

/// Updates of the multipliers at most.
const MAX_UPDATES: usize = 40;

/// The relative tolerance of the first relaxed problem, and its factor after each update.
const LOOSE: f64 = 0.1;

/// The residual and the work of [`polish`](super::polish()).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Polished<T> {
    /// The `L2(mu)` norm of the minimum-norm subgradient, `>= 0`.
    pub residual: T,
    /// Iterations of the solver.
    pub iterations: usize,
    /// Velocities and first variations computed, without those of products.
    pub evaluations: usize,
    /// Products with the Hessian; one by differences of velocities costs a velocity.
    pub products: usize,
    /// Hessians of the first variation at all particles. One of a ridge map with k outputs costs k
    /// velocities if the activation is piecewise linear, else p.
    pub hessians: usize,
}

/// What a step is to reach.
pub(super) struct Goal<T> {
    /// `1 / gamma`; 0 for a minimum of `F`.
    pub inv_gamma: T,
    /// The residual, relative to the speed `|velocity|` at the start.
    pub tolerance: T,
    /// Iterations at most, for each size of the step.
    pub iterations: usize,
}

/// The size of the step taken, as `1 / gamma`, and the work.
pub(super) struct Solution<T> {
    pub inv_gamma: T,
    pub polished: Polished<T>,
}

/// Moves the state to a stationary point of `P`, or takes a shorter step that is one.
///
/// On failure the state is at the last accepted point.
pub(super) fn solve<T: Real>(
    energy: &mut dyn Energy<T>,
    state: &mut State<T>,
    goal: &Goal<T>,
) -> Result<Solution<T>, StepError> {
    state.evaluate(energy);
    let shape = state.measure().points().shape();
    let mut scratch = Scratch::new(shape, state.take_stages(0));
    let mut w = scratch.take();
    w.copy_from(state.measure().points());
    let mut x = Point::take(&mut scratch, state.energy(), state.energy());
    x.v.copy_from(&w);
    x.velocity.copy_from(state.velocity());

    let relaxed = Relaxed(&mut *energy);
    let mut problem = ProximalProblem {
        energy: &mut *relaxed.0,
        mu: state.measure_mut(),
        anchor: w,
        inv_gamma: goal.inv_gamma,
        evaluations: 0,
        products: 0,
        hessians: 0,
    };
    problem.complete(&mut x);
    let mut solver = Solver {
        start: x.value,
        speed: problem.norm(&x.velocity),
        goal,
        z: scratch.take(),
        iterations: 0,
    };
    let result = solver.solve(&mut problem, &mut x, &mut scratch);
    let slope = solver.slope(&mut problem, &mut x, &mut scratch);

    let ProximalProblem {
        anchor: w,
        inv_gamma,
        evaluations,
        products,
        hessians,
        ..
    } = problem;
    state
        .measure_mut()
        .points_mut()
        .copy_from_slice(x.v.as_slice());
    let Solver { z, iterations, .. } = solver;
    drop(relaxed);
    state.adopt(energy, &mut x.velocity, x.energy);
    state.set_slope(slope);
    x.give(&mut scratch);
    scratch.give([w, z]);
    state.give_stages(scratch.into_fields());
    let (accepted, residual) = result;
    if !accepted {
        return Err(StepError::Inner {
            iterations,
            residual: to_f64(residual),
        });
    }
    let polished = Polished {
        residual,
        iterations,
        evaluations,
        products,
        hessians,
    };
    Ok(Solution {
        inv_gamma,
        polished,
    })
}

/// An energy whose kinks of the loss are relaxed during the step. They are restored when this is
/// dropped, also if a user-defined loss panics.
struct Relaxed<'a, T: Real>(&'a mut dyn Energy<T>);

impl<T: Real> Drop for Relaxed<'_, T> {
    fn drop(&mut self) {
        self.0.relax(None);
    }
}

struct Solver<'a, T> {
    goal: &'a Goal<T>,
    /// `F(w)`.
    start: T,
    /// `|velocity(w)|`.
    speed: T,
    /// The minimum-norm subgradient.
    z: DMatrix<T>,
    iterations: usize,
}

impl<T: Real> Solver<'_, T> {
    /// Solves the problem, or one with a shorter `gamma`. Returns whether the point is accepted,
    /// and its residual.
    fn solve(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &mut Point<T>,
        scratch: &mut Scratch<T>,
    ) -> (bool, T) {
        let mut residual = T::zero();
        let resolution = real::<T>(RESOLUTION) * epsilon::<T>() * problem.norm(&x.v);
        for _ in 0..MAX_SIZES {
            let outcome = self.minimise(problem, x, scratch);
            residual = outcome.residual;
            if outcome.converged || self.is_inexact_step(problem, x, residual, scratch) {
                return (true, residual);
            }
            if problem.inv_gamma == T::zero() || !residual.is_finite() {
                break;
            }
            if let Some(residual) = self.shortened(problem, x, scratch) {
                return (true, residual);
            }
            problem.inv_gamma /= real(SHORTENING);
            if self.speed <= problem.inv_gamma * resolution {
                break;
            }
            problem.complete(x);
            if x.value > self.start || x.value.partial_cmp(&self.start).is_none() {
                x.v.copy_from(&problem.anchor);
                problem.evaluate(x);
            }
        }
        (false, residual)
    }

    /// The norm of the minimum-norm subgradient of `F` at the point.
    fn slope(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &mut Point<T>,
        scratch: &mut Scratch<T>,
    ) -> T {
        let mut work = scratch.take();
        x.gradient.copy_from(&x.velocity);
        x.gradient.neg_mut();
        ActiveSet::new(x.v.ncols()).identify(problem, x, &mut self.z, &mut work);
        scratch.give([work]);
        problem.norm(&self.z)
    }

    /// Returns true if the point is an inexact step: its residual is small relative to the step,
    /// and `P` is not above the start.
    fn is_inexact_step(
        &self,
        problem: &mut ProximalProblem<'_, T>,
        x: &Point<T>,
        residual: T,
        scratch: &mut Scratch<T>,
    ) -> bool {
        let mut step = scratch.take();
        step.copy_from(&x.v);
        step -= &problem.anchor;
        let length = problem.norm(&step);
        scratch.give([step]);
        x.value <= self.start
            && length > T::zero()
            && residual <= real::<T>(INEXACTNESS) * length * problem.inv_gamma
    }

    /// Reduces `gamma` to the size of which the point is the best step, if it is an inexact step of
    /// that size; returns its residual.
    ///
    /// With the subgradient `f` of `F`, the residual `|f + (v - w) / gamma|` is least for
    /// `1/gamma = -<f, v - w> / |v - w|^2`.
    fn shortened(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &mut Point<T>,
        scratch: &mut Scratch<T>,
    ) -> Option<T> {
        let mut step = scratch.take();
        step.copy_from(&x.v);
        step -= &problem.anchor;
        let square = problem.inner(&step, &step);
        let fitted = problem.inv_gamma - problem.inner(&self.z, &step) / square;
        let inv_gamma = fitted.max(problem.inv_gamma);
        let shift = inv_gamma - problem.inv_gamma;
        step *= shift;
        step += &self.z;
        let residual = problem.norm(&step);
        scratch.give([step]);
        let before = std::mem::replace(&mut problem.inv_gamma, inv_gamma);
        if inv_gamma.is_finite() {
            problem.complete(x);
            if self.is_inexact_step(problem, x, residual, scratch) {
                return Some(residual);
            }
        }
        problem.inv_gamma = before;
        None
    }

    /// Minimises `P` from `x`: once, or for a loss with kinks as a sequence of problems whose kinks
    /// are relaxed, by the method of multipliers.
    fn minimise(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &mut Point<T>,
        scratch: &mut Scratch<T>,
    ) -> Outcome<T> {
        let rounding = problem.gradient_rounding(x);
        let mut tolerances = Tolerances {
            residual: (self.goal.tolerance * self.speed).max(rounding),
            iterations: self.goal.iterations,
        };
        problem.move_to(&x.v);
        let mut width = real::<T>(WIDTH);
        if problem.energy.relax(Some((problem.mu, width))).is_none() {
            let outcome = newton::descend(problem, x, &tolerances, &mut self.z, scratch);
            self.iterations += outcome.iterations;
            return outcome;
        }
        let tight = tolerances.residual;
        let mut loose = self.speed * real(LOOSE);
        let mut best = Point::take(scratch, x.energy, x.value);
        best.v.copy_from(&x.v);
        let mut outcome = Outcome {
            converged: false,
            iterations: 0,
            residual: T::zero(),
        };
        for _ in 0..MAX_UPDATES {
            tolerances.residual = tight.max(loose);
            loose *= real(LOOSE);
            width *= real(NARROWING);
            problem.evaluate(x);
            outcome = newton::descend(problem, x, &tolerances, &mut self.z, scratch);
            self.iterations += outcome.iterations;
            tolerances.iterations -= outcome.iterations;
            problem.move_to(&x.v);
            let gap = problem.energy.relax(Some((problem.mu, width)));
            let gap = gap.unwrap_or(T::zero());
            if x.value + gap <= best.value {
                best.value = x.value + gap;
                best.v.copy_from(&x.v);
            }
            let resolved =
                gap <= self.goal.tolerance * (self.start - x.value).max(self.start.abs());
            outcome.converged &= tolerances.residual <= tight && resolved;
            if outcome.converged || tolerances.iterations == 0 {
                break;
            }
        }
        problem.energy.relax(None);
        // The last point can be higher than an earlier one, by the gap.
        x.v.copy_from(&best.v);
        best.give(scratch);
        problem.evaluate(x);
        outcome
    }
}
