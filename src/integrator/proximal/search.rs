//! The line search of the bundle method.

use super::bisection::StepFractions;
use super::bundle::Bundle;
use super::direction::DAMPING_GROW;
use super::objective::{Point, ProximalProblem};
use super::scratch::Scratch;
use super::tolerances::{ARMIJO, STAGNATION, UNRESOLVED};
use crate::real::{Real, epsilon, real};

/// Trials of a line search.
const MAX_TRIALS: usize = 40;

/// Trials that bisect for the kinks of single particles, before the step length is halved.
const BISECTIONS: usize = 4;

/// Null steps in a row at most.
const MAX_NULL_STEPS: usize = 8;

/// A step that bisections may still improve is accepted at once if it has this fraction of the
/// expected decrease.
const GOOD_DECREASE: f64 = 0.5;

/// The relative change of the minimum-norm subgradient that makes a null step worth while.
const NULL_STEP_CHANGE: f64 = 1e-3;

/// Steps below this multiple of `eps` times the size of the points are lost in their rounding.
const STEP_ROUNDING: f64 = 8.0;

/// The factor of the damping after a failed line search.
const FAILURE_DAMPING: f64 = 64.0;

/// The least damping after a failed line search, relative to the curvature scale.
const LEAST_FAILURE_DAMPING: f64 = 1e-3;

/// The largest curvature inferred from a shortened step, relative to `-slope / |d|^2`.
const MAX_INFERRED_CURVATURE: f64 = 1e3;

/// Steps shorter than this fraction of the direction return to the Gauss-Newton curvature.
const SHORT_STEP: f64 = 0.1;

/// A gradient that changes by more than this multiple of the stiffness times the displacement has
/// crossed a kink.
const KINK_STIFFNESS: f64 = 100.0;

/// The outcome of a line search.
pub(super) enum Search {
    /// The point has moved.
    SeriousStep,
    /// The point has not moved, but samples of the trials change the minimum-norm subgradient.
    NullStep,
    Failed,
}

impl<T: Real> Bundle<T> {
    /// Armijo backtracking along `d` by halving; `x` becomes the point found.
    ///
    /// The first trials keep the step length 1, and bisect for the kinks of single particles.
    pub fn line_search(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &mut Point<T>,
        y: &mut Point<T>,
        residual: T,
        scratch: &mut Scratch<T>,
    ) -> Search {
        let half: T = real(0.5);
        let slope = self.slope;
        let rounding = self.rounding(problem, x);
        let resolved = real::<T>(STEP_ROUNDING) * epsilon::<T>() * problem.norm(&x.v);
        let mut field = scratch.take();
        field.copy_from(&x.gradient);
        self.subdifferential.project(&mut field);
        let projected = problem.norm(&field);
        let mut steps = StepFractions::new(x.v.ncols());
        let mut outcome = Search::Failed;
        let (mut t, mut observed_rounding) = (T::one(), T::zero());
        self.expected_decrease = -slope;
        for trial in 0..MAX_TRIALS {
            y.v.copy_from(&x.v);
            steps.displace(t, &self.d, &mut y.v);
            problem.evaluate(y);
            let is_finite =
                y.value.is_finite() && problem.inner(&y.gradient, &y.gradient).is_finite();
            let expected = -half * t * slope;
            let decreases =
                is_finite && y.value < x.value && y.value <= x.value - real::<T>(ARMIJO) * expected;
            // If the decrease is lost in rounding, the projected gradient must fall instead.
            let flattens = is_finite
                && !decreases
                && -t * slope <= real::<T>(UNRESOLVED) * rounding
                && y.value <= x.value.min(self.start) + rounding
                && {
                    field.copy_from(&y.gradient);
                    self.subdifferential.project(&mut field);
                    problem.norm(&field) < projected * real(STAGNATION)
                };
            let is_good = decreases && x.value - y.value >= real::<T>(GOOD_DECREASE) * expected;
            if flattens || is_good || decreases && trial >= BISECTIONS {
                self.accept(problem, x, y, t, trial == 0, &steps);
                outcome = Search::SeriousStep;
                break;
            }
            if is_finite {
                steps.bisect(x, y, &self.d, t);
            }
            if trial < BISECTIONS && is_finite {
                continue;
            }
            if is_finite && !decreases && self.null_steps < MAX_NULL_STEPS {
                self.subdifferential.add_kinks(&steps, &x.v, &self.d);
                self.subdifferential.minimum_norm(x, &mut field);
                field -= &self.z;
                if problem.norm(&field) > residual * real(NULL_STEP_CHANGE) {
                    self.null_steps += 1;
                    outcome = Search::NullStep;
                    break;
                }
            }
            field.copy_from(&y.v);
            field -= &x.v;
            let length = problem.norm(&field);
            if is_finite && length >= resolved {
                let slope_y = problem.inner(&y.gradient, &field);
                if slope_y < T::zero() {
                    // The slopes at both ends imply a decrease that the values do not show.
                    observed_rounding = observed_rounding.max(y.value - x.value - slope_y);
                } else if length > self.subdifferential.radius {
                    self.expected_decrease = -problem.inner(&self.z, &field);
                    observed_rounding = T::zero();
                }
            }
            t *= half;
        }
        if matches!(outcome, Search::Failed) {
            self.observed_rounding = self.observed_rounding.max(observed_rounding);
            let least = self.damping.curvature_scale * real(LEAST_FAILURE_DAMPING);
            self.damping.value = (self.damping.value * real(FAILURE_DAMPING)).max(least);
        }
        scratch.give([field]);
        outcome
    }

    /// Moves `x` to `y`, and updates damping and subdifferential by the step.
    fn accept(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &mut Point<T>,
        y: &mut Point<T>,
        t: T,
        full_step: bool,
        steps: &StepFractions<T>,
    ) {
        let slope = self.slope;
        self.full_step = full_step;
        if t < T::one() {
            // The curvature that would have made the step t times as long.
            let size = problem.inner(&self.d, &self.d);
            let excess = (T::one() / t - T::one()).min(real(MAX_INFERRED_CURVATURE));
            let curvature = excess * -slope / size;
            self.damping.value = (self.damping.value * real(DAMPING_GROW)).max(curvature);
            self.exact_hessian &= t > real(SHORT_STEP);
        } else if full_step {
            let predicted_reduction = -slope * real(0.5);
            self.damping
                .update((x.value - y.value) / predicted_reduction);
        }
        let max_curvature = self.stiffness(problem) * real(KINK_STIFFNESS);
        self.subdifferential.update(x, y, max_curvature);
        self.subdifferential.add_kinks(steps, &x.v, &self.d);
        std::mem::swap(x, y);
    }
}
