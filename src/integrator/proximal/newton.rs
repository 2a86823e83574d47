//! A trust-region Newton method on the active kinks (J. Nocedal and S. Wright, Numerical
//! optimization, 2006, Algorithm 4.1), with a line search along every step.

use nalgebra::DMatrix;

use super::active_set::{ActiveSet, Kink, place};
use super::breakpoints::limits;
use super::objective::{Point, ProximalProblem};
use super::trust_region::{Model, Step};
use crate::numeric::vector::{axpy, column, column_mut};
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

/// The radius of a second-order correction, relative to the step.
const CORRECTION: f64 = 0.1;

/// A residual above this fraction of the last one, or of the least one, counts as stagnant.
const STAGNATION: f64 = 0.9;

/// The loosest and the tightest relative residual of conjugate gradients, and the tightest one in
/// units of the tolerance of the step.
const FORCING: [f64; 2] = [0.1, 1e-6];
const OVERSOLVING: f64 = 0.3;

/// A predicted reduction below this multiple of the rounding error of `P` is negligible if the line
/// search fails: the rounding error is an estimate.
const NEGLIGIBLE: f64 = 1e3;

/// Line searches without progress in a row, after which the method gives up.
const MAX_FAILURES: usize = 6;

/// The method gives up after this number of iterations in a row each of which reduces `P` by less
/// than this fraction of its total decrease, at stagnant residuals: a shorter step is cheaper then.
const MAX_IDLE: usize = 50;
const IDLE_DECREASE: f64 = 2e-10;

/// Trials of a line search, and the factor of the step length after each.
const MAX_TRIALS: usize = 12;
const BACKTRACKING: f64 = 0.25;

/// Descends from `x`, evaluated, to a stationary point of `P`, never to a higher value. Returns
/// whether the residual is at most `tolerance` or the predicted reduction negligible, and the
/// minimum-norm subgradient.
pub(super) fn descend<T: Real>(
    problem: &mut ProximalProblem<'_, T>,
    x: &mut Point<T>,
    tolerance: T,
    iterations: usize,
) -> (bool, DMatrix<T>) {
    let start = x.value;
    let mut active = ActiveSet::new(x.v.ncols());
    let (mut trust, mut last, mut least) = (None, None::<T>, None::<T>);
    let (mut failures, mut idle) = (0, 0);
    let most = problem.work.iterations + iterations;
    loop {
        let mut z = active.identify(problem, x);
        let residual = problem.norm(&z);
        problem.work.residual = residual;
        let converged = residual <= tolerance;
        // Reductions are lost in rounding long before the residual is.
        if least.is_none_or(|least| residual < real::<T>(STAGNATION) * least) {
            (least, idle) = (Some(residual), 0);
        }
        let ends = problem.work.iterations == most || failures == MAX_FAILURES || idle == MAX_IDLE;
        if converged || !residual.is_finite() || ends {
            return (converged, z);
        }
        problem.work.iterations += 1;
        active.release(problem, x, &mut z);
        let along = problem.norm(&z);
        let ratio = last.map_or(T::one(), |last| along / last);
        last = Some(along);
        let forcing = (ratio * ratio).max(real(FORCING[1])).min(real(FORCING[0]));
        let target = (forcing * along).max(real::<T>(OVERSOLVING) * tolerance);
        let model = Model::new(problem, x, &active);
        let mut step = model.minimise(problem, x, &active, &z, trust, target);
        if problem.inner(&z, &step.d) >= T::zero() {
            step.d = &z * (-T::one() / (problem.inv_gamma + T::one()));
            // That of the model with the curvature `1 / gamma + 1`, not of the discarded step.
            step.predicted_reduction = problem.inner(&z, &step.d) * real(-0.5);
        }
        let search = Search {
            active: &active,
            model: &model,
            step: &step,
            z: &z,
            start,
        };
        let before = x.value;
        let (progresses, is_finite) = search.run(problem, x, &mut trust);
        let is_idle = before - x.value <= real::<T>(IDLE_DECREASE) * (start - x.value);
        idle = if is_idle { idle + 1 } else { 0 };
        let negligible = real::<T>(NEGLIGIBLE) * problem.value_rounding(x);
        let is_stuck = !progresses && failures == 0 || idle == MAX_IDLE;
        if is_stuck && is_finite && step.predicted_reduction <= negligible {
            return (true, z);
        }
        failures = if progresses { 0 } else { failures + 1 };
    }
}

/// A line search along a step.
struct Search<'a, T> {
    active: &'a ActiveSet<T>,
    model: &'a Model<T>,
    step: &'a Step<T>,
    /// The subgradient along the kinks.
    z: &'a DMatrix<T>,
    /// `P` at the start.
    start: T,
}

impl<T: Real> Search<'_, T> {
    /// `v_i + min(t, t_i) d_i` with the limits `t_i`; particles that reach the kinks that limit
    /// them are placed on them.
    fn place(&self, x: &Point<T>, t: T, limits: &[Option<(T, Kink<T>)>]) -> DMatrix<T> {
        let mut v = x.v.clone();
        for (i, limit) in limits.iter().enumerate() {
            let (v, d) = (column_mut(&mut v, i), column(&self.step.d, i));
            let met = limit.as_ref().filter(|(fraction, _)| *fraction <= t);
            axpy(met.map_or(t, |(fraction, _)| *fraction), d, v);
            place(self.active.kept(i).chain(met.map(|(_, kink)| kink)), v);
        }
        v
    }

    /// Armijo backtracking along the step, every particle up to its breakpoint. Returns whether it
    /// made progress, and whether `P` is finite after the whole step.
    fn run(
        &self,
        problem: &mut ProximalProblem<'_, T>,
        x: &mut Point<T>,
        trust: &mut Option<T>,
    ) -> (bool, bool) {
        let Self {
            active, z, step, ..
        } = *self;
        let limits = limits(problem, x, active, z, &step.d);
        let rounding = problem.value_rounding(x);
        let is_limited = problem.mass_of(|i| limits[i].is_some()) > T::zero();
        let (before, full) = (problem.norm(z), problem.norm(&step.d));
        let (mut t, mut is_whole_finite) = (T::one(), false);
        for _ in 0..MAX_TRIALS {
            let mut y = x.clone();
            y.v = self.place(x, t, &limits);
            problem.evaluate(&mut y);
            let is_finite = problem.is_finite(&y);
            let moved = &y.v - &x.v;
            let (expected, length) = (problem.inner(z, &moved), problem.norm(&moved));
            let is_whole = t == T::one();
            is_whole_finite |= is_whole && is_finite;
            let predicted = if is_limited || !is_whole {
                expected * real(-0.5)
            } else {
                step.predicted_reduction
            };
            let is_poor = x.value - y.value < real::<T>(GOOD_RATIO) * predicted;
            // Reductions near the rounding error do not show whether the step is poor.
            let is_visible = predicted > rounding * real(NEGLIGIBLE);
            if is_whole && is_poor && is_visible && is_finite {
                self.correct(problem, x, &mut y, &limits, length, predicted);
            }
            let decreases = y.value < x.value && y.value <= x.value + real::<T>(ARMIJO) * expected;
            // A decrease can be lost in rounding. The gradient along the kinks must fall instead,
            // but for a full step onto kinks.
            let is_level = y.value <= x.value.min(self.start) + rounding;
            let mut gradient = y.gradient.clone();
            active.project(&mut gradient);
            let flattens = problem.norm(&gradient) < before * real(STAGNATION);
            let is_enough = decreases || is_level && (flattens || is_limited && is_whole);
            if is_enough && is_finite {
                let ratio = (x.value - y.value) / predicted;
                *trust = Some(match *trust {
                    _ if !is_whole => t * full,
                    None => real::<T>(FIRST) * length,
                    // The ratio is that of rounding errors.
                    Some(trust) if predicted <= rounding => trust,
                    Some(trust) if ratio < real(POOR_RATIO) => trust.min(full * real(SHRINK)),
                    Some(trust) if ratio > real(GOOD_RATIO) => trust.max(full * real(GROW)),
                    Some(trust) => trust,
                });
                // Without a decrease, added kinks are not progress: they could be released again,
                // without end.
                let progresses = y.value < x.value || !is_limited;
                *x = y;
                return (progresses, is_whole_finite);
            }
            t *= real(BACKTRACKING);
        }
        *trust = Some(trust.unwrap_or(full).min(full) * real(FAILURE));
        (false, is_whole_finite)
    }

    /// Replaces the end `y` of a step from `x` by that of a second, shorter step of the same model,
    /// if `P` is lower there.
    ///
    /// In a curved valley a long step along the floor ends on a wall, and the next step would only
    /// return to the floor. Without the correction the trust region is as short as the floor is
    /// straight. It is the second-order correction of constrained optimization (Nocedal and Wright,
    /// section 18.3), with the steep directions in place of constraints.
    fn correct(
        &self,
        problem: &mut ProximalProblem<'_, T>,
        x: &Point<T>,
        y: &mut Point<T>,
        limits: &[Option<(T, Kink<T>)>],
        length: T,
        predicted: T,
    ) {
        let mut active = self.active.clone();
        for (i, limit) in limits.iter().enumerate() {
            limit.iter().for_each(|(_, kink)| active.insert(i, kink));
        }
        let mut gradient = y.gradient.clone();
        active.project(&mut gradient);
        let trust = Some(length * real(CORRECTION));
        let target = problem.norm(&gradient) * real(FORCING[0]);
        let step = self
            .model
            .minimise(problem, y, &active, &gradient, trust, target);
        if x.value - y.value + step.predicted_reduction <= real::<T>(POOR_RATIO) * predicted {
            return;
        }
        let mut corrected = y.clone();
        corrected.v += step.d;
        for i in 0..limits.len() {
            place(active.kept(i), column_mut(&mut corrected.v, i));
        }
        problem.evaluate(&mut corrected);
        if problem.is_finite(&corrected) && corrected.value < y.value {
            *y = corrected;
        }
    }
}
