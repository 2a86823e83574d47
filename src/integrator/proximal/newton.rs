//! A trust-region Newton method on the active kinks (J. Nocedal and S. Wright, Numerical
//! optimization, 2006, Algorithm 4.1), with a line search along every step.

use nalgebra::DMatrix;

use super::active_set::{ActiveSet, place};
use super::basis::{axpy, column, column_mut};
use super::breakpoints::{Limit, limits};
use super::objective::{Point, ProximalProblem};
use super::scratch::Scratch;
use super::trust_region::{Model, Subproblem};
use crate::real::{Real, real};

/// Sufficient decrease of a line search, relative to the expected decrease (J. Nocedal and
/// S. Wright, Numerical optimization, 2006, section 3.1).
const ARMIJO: f64 = 1e-4;

/// Reduction ratio above which the quadratic model is trusted more (Nocedal and Wright,
/// Algorithm 4.1).
const GOOD_RATIO: f64 = 0.75;

/// Reduction ratio below which the quadratic model is trusted less (Nocedal and Wright,
/// Algorithm 4.1).
const POOR_RATIO: f64 = 0.25;

/// The first radius of the trust region, relative to the length of the first step.
const FIRST: f64 = 2.0;

/// The radius after a poor reduction ratio, a good one, and a failed line search, relative to the
/// step (Nocedal and Wright, Algorithm 4.1, with other constants).
const SHRINK: f64 = 0.5;
const GROW: f64 = 3.0;
const FAILURE: f64 = 0.0625;

/// A residual above this fraction of the last one counts as stagnant.
const STAGNATION: f64 = 0.9;

/// An expected decrease below this multiple of the rounding error of `P` is not visible in values
/// of `P`; the gradients decide then.
const UNRESOLVED: f64 = 4.0;

/// The loosest and the tightest relative residual of conjugate gradients.
const FORCING: [f64; 2] = [0.1, 1e-6];

/// A predicted reduction below this multiple of the rounding error of `P` is negligible if the
/// method gives up: the rounding error is an estimate.
const NEGLIGIBLE: f64 = 1e3;

/// Line searches without progress in a row, after which the method gives up.
const MAX_FAILURES: usize = 6;

/// The method gives up if this number of iterations reduces `P` by less than this fraction of its
/// total decrease: a shorter step is cheaper then.
const STALL_ITERATIONS: usize = 50;
const STALL_DECREASE: f64 = 1e-8;

/// Trials of a line search.
const MAX_TRIALS: usize = 12;

/// The factors of the step length after its first and later trials.
const BACKTRACKING: [f64; 2] = [0.5, 0.25];

/// When the solver stops.
pub(super) struct Tolerances<T> {
    /// The `L2(mu)` norm of the minimum-norm subgradient.
    pub residual: T,
    /// The maximum number of iterations.
    pub iterations: usize,
}

/// How the solver ended.
pub(super) struct Outcome<T> {
    pub converged: bool,
    pub iterations: usize,
    pub residual: T,
}

/// Descends from `x`, evaluated, to a stationary point of `P`, never to a higher value. Writes the
/// minimum-norm subgradient there to `z`.
pub(super) fn descend<T: Real>(
    problem: &mut ProximalProblem<'_, T>,
    x: &mut Point<T>,
    tolerances: &Tolerances<T>,
    z: &mut DMatrix<T>,
    scratch: &mut Scratch<T>,
) -> Outcome<T> {
    let shape = x.v.shape();
    let mut newton = Newton {
        active: ActiveSet::new(shape.1),
        model: Model::new(shape),
        trust: None,
        y: Point::take(scratch, x.energy, x.value),
        z: scratch.take(),
        d: scratch.take(),
        start: x.value,
        is_finite: true,
    };
    let outcome = newton.descend(problem, x, tolerances, scratch);
    let Newton { y, z: last, d, .. } = newton;
    z.copy_from(&last);
    y.give(scratch);
    scratch.give([last, d]);
    outcome
}

struct Newton<T> {
    active: ActiveSet<T>,
    model: Model<T>,
    /// The radius of the trust region, after the first step.
    trust: Option<T>,
    /// The trial point.
    y: Point<T>,
    /// The minimum-norm subgradient.
    z: DMatrix<T>,
    /// The search direction.
    d: DMatrix<T>,
    /// `P` at the start.
    start: T,
    /// Whether the first trial of the last line search was finite.
    is_finite: bool,
}

impl<T: Real> Newton<T> {
    fn descend(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &mut Point<T>,
        tolerances: &Tolerances<T>,
        scratch: &mut Scratch<T>,
    ) -> Outcome<T> {
        let (mut iterations, mut failures, mut last) = (0, 0, None::<T>);
        let (mut checkpoint, mut lost) = (x.value, T::zero());
        loop {
            self.active.identify(problem, x, &mut self.z, &mut self.d);
            let residual = problem.norm(&self.z);
            let converged = residual <= tolerances.residual;
            if converged
                || !residual.is_finite()
                || iterations == tolerances.iterations
                || failures == MAX_FAILURES
            {
                return Outcome {
                    converged,
                    iterations,
                    residual,
                };
            }
            iterations += 1;
            if iterations.is_multiple_of(STALL_ITERATIONS) {
                let total = self.start - x.value;
                if checkpoint - x.value <= real::<T>(STALL_DECREASE) * total {
                    return Outcome {
                        converged: false,
                        iterations,
                        residual,
                    };
                }
                checkpoint = x.value;
            }
            self.active.release(problem, x, &mut self.z, &mut self.d);
            let along = problem.norm(&self.z);
            let ratio = last.map_or(T::one(), |last| along / last);
            last = Some(along);
            let forcing = (ratio * ratio).max(real(FORCING[1])).min(real(FORCING[0]));
            let (model, active) = (&mut self.model, &self.active);
            model.update(problem, x, active, &self.z, &mut self.d);
            let subproblem = Subproblem {
                x,
                active,
                z: &self.z,
                trust: self.trust,
                forcing,
            };
            model.minimise(problem, &subproblem, &mut self.d, scratch);
            let mut slope = problem.inner(&self.z, &self.d);
            if slope >= T::zero() {
                self.d.copy_from(&self.z);
                self.d *= -T::one() / (problem.inv_gamma + T::one());
                slope = problem.inner(&self.z, &self.d);
            }
            let progress = self.line_search(problem, x, slope, scratch);
            if progress {
                failures = 0;
                continue;
            }
            // The first failure in a row: later ones have a shrunken trust region.
            if failures == 0 {
                lost = if self.is_finite {
                    self.model.predicted_reduction / problem.value_rounding(x)
                } else {
                    real(f64::INFINITY)
                };
            }
            failures += 1;
            let limit = if failures == MAX_FAILURES {
                NEGLIGIBLE
            } else {
                1.0
            };
            if lost <= real(limit) {
                return Outcome {
                    converged: true,
                    iterations,
                    residual,
                };
            }
        }
    }

    /// `y_i = x_i + min(t, t_i) d_i` with the limits `t_i`; particles that reach the kinks that
    /// limit them are placed on them.
    fn place(&mut self, x: &Point<T>, t: T, limits: &[Limit<T>]) {
        self.y.v.copy_from(&x.v);
        for (i, limit) in limits.iter().enumerate() {
            let y = column_mut(&mut self.y.v, i);
            axpy(limit.fraction.min(t), column(&self.d, i), y);
            let met = limit.kink.iter().filter(|_| limit.fraction <= t);
            place(self.active.kept(i).chain(met), y);
        }
    }

    /// Armijo backtracking along `d`, every particle up to its breakpoint; returns whether it made
    /// progress.
    fn line_search(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &mut Point<T>,
        slope: T,
        scratch: &mut Scratch<T>,
    ) -> bool {
        let limits = limits(problem, x, &self.active, &self.model, &self.z, &self.d);
        let rounding = problem.value_rounding(x);
        let mut step = scratch.take();
        let limited = problem.mass_of(&mut step, |i| limits[i].kink.is_some()) > T::zero();
        let before = problem.norm(&self.z);
        let (mut t, mut reduction_ratio) = (T::one(), None);
        for _ in 0..MAX_TRIALS {
            self.place(x, t, &limits);
            problem.evaluate(&mut self.y);
            step.copy_from(&self.y.v);
            step -= &x.v;
            let expected = problem.inner(&self.z, &step);
            let is_finite = self.y.is_finite(problem);
            if t == T::one() {
                self.is_finite = is_finite;
            }
            let y = &self.y;
            let decreases = y.value < x.value && y.value <= x.value + real::<T>(ARMIJO) * expected;
            let is_level = y.value <= x.value.min(self.start) + rounding;
            // If the decrease is lost in rounding, the gradient along the kinks must fall instead.
            let mut flattens = false;
            if is_level && -t * slope <= real::<T>(UNRESOLVED) * rounding {
                step.copy_from(&y.gradient);
                self.active.project(&mut step);
                flattens = problem.norm(&step) < before * real(STAGNATION);
            }
            // A full step onto kinks is accepted without a decrease.
            let adds = is_level && limited && t == T::one();
            if is_finite && (decreases || flattens || adds) {
                let predicted = if limited || t < T::one() {
                    expected * real(-0.5)
                } else {
                    self.model.predicted_reduction
                };
                reduction_ratio = Some((x.value - y.value) / predicted);
                break;
            }
            t *= real(BACKTRACKING[usize::from(t < T::one())]);
        }
        step.copy_from(&self.y.v);
        step -= &x.v;
        let (full, length) = (problem.norm(&self.d), problem.norm(&step));
        scratch.give([step]);
        self.trust = Some(match (reduction_ratio, self.trust) {
            (None, trust) => trust.unwrap_or(full).min(full) * real(FAILURE),
            (Some(_), _) if t < T::one() => t * full,
            (Some(_), None) => real::<T>(FIRST) * length,
            (Some(ratio), Some(trust)) if ratio < real(POOR_RATIO) => {
                trust.min(full * real(SHRINK))
            }
            (Some(ratio), Some(trust)) if ratio > real(GOOD_RATIO) => trust.max(full * real(GROW)),
            (Some(_), trust) => trust.unwrap_or(full),
        });
        if reduction_ratio.is_none() {
            return false;
        }
        std::mem::swap(x, &mut self.y);
        // Without a decrease, added kinks are not progress: they could be released again, without
        // end. `y` is now the previous point.
        x.value < self.y.value || !limited
    }
}
