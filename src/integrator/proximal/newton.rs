//! An active-set Newton method, for energies with a first variation.
//!
//! Along the active surfaces the objective is smooth. Steps are those of a trust-region Newton
//! method there, shortened particle by particle at breakpoints.

use nalgebra::DMatrix;

use super::active_set::ActiveSet;
use super::breakpoints::{Rays, StepLimits};
use super::column::{axpy, column, column_mut};
use super::objective::{Point, ProximalProblem};
use super::scratch::Scratch;
use super::tolerances::{
    ARMIJO, FORCING_MAX, GOOD_RATIO, INITIAL_DAMPING, Outcome, STAGNATION, Tolerances, UNRESOLVED,
    forcing_term, is_negligible,
};
use super::trust_region::{Model, Subproblem, updated_radius};
use crate::numeric::vector::dot;
use crate::real::{Real, real};

/// Line searches without progress in a row, after which the method gives up.
const MAX_FAILURES: usize = 6;

/// Trials of a line search.
const MAX_TRIALS: usize = 12;

/// The longest step of a released particle, in units of the sampling distance.
const MAX_RELEASE: f64 = 1e3;

/// The second trial step of released particles, relative to the first.
const SHORT_RELEASE: f64 = 0.1;

/// The factors of the step length after its first and later trials.
const BACKTRACKING: [f64; 2] = [0.5, 0.25];

/// The radius for the second-order correction, relative to the step that it corrects.
const TRUST_CORRECTION: f64 = 0.5;

/// Descends from `x`, evaluated, to a stationary point of `P`, never to a higher value.
///
/// Both sides of each kink are sampled at the distance `radius`. `None` if the energy has no first
/// variation.
pub(super) fn descend<T: Real>(
    problem: &mut ProximalProblem<'_, T>,
    x: &mut Point<T>,
    radius: T,
    tolerances: &Tolerances<T>,
    scratch: &mut Scratch<T>,
) -> Option<Outcome<T>> {
    let mut newton = Newton {
        active_set: ActiveSet::new(x.v.ncols()),
        radius,
        model: Model::new(),
        curvature_scale: None,
        trust: None,
        y: Point::take(scratch, x.energy, x.value),
        z: scratch.take(),
        d: scratch.take(),
        start: x.value,
    };
    let outcome = newton.descend(problem, x, tolerances, scratch);
    let Newton { y, z, d, .. } = newton;
    y.give(scratch);
    scratch.give([z, d]);
    outcome
}

struct Newton<T> {
    active_set: ActiveSet<T>,
    /// The distance at which both sides of a kink are sampled.
    radius: T,
    model: Model<T>,
    /// The Gauss-Newton curvature along the gradient at the start.
    curvature_scale: Option<T>,
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
}

impl<T: Real> Newton<T> {
    fn descend(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &mut Point<T>,
        tolerances: &Tolerances<T>,
        scratch: &mut Scratch<T>,
    ) -> Option<Outcome<T>> {
        self.initialise_active_set(problem, x, scratch)?;
        let (mut iterations, mut failures, mut converged, mut last) = (0, 0, false, None::<T>);
        let mut residual;
        loop {
            residual = self.release(problem, x, scratch)?;
            converged = converged || residual <= tolerances.residual;
            if converged
                || !residual.is_finite()
                || iterations == tolerances.iterations
                || failures == MAX_FAILURES
            {
                break;
            }
            iterations += 1;
            let ratio = last.map_or(T::one(), |last| residual / last);
            let slope =
                self.search_direction(problem, x, residual, forcing_term(ratio), scratch)?;
            let unresolved = -slope <= problem.value_rounding(x);
            if unresolved && ratio > real(STAGNATION) && last.is_some() {
                (failures, self.trust, last) = (failures + 1, None, None);
                converged = failures > 1 && self.is_negligible(problem, x, residual);
                continue;
            }
            last = Some(residual);
            let progress = self.line_search(problem, x, slope, scratch)?;
            failures = if progress { 0 } else { failures + 1 };
        }
        converged |= failures == MAX_FAILURES && self.is_negligible(problem, x, residual);
        Some(Outcome {
            converged,
            iterations,
            residual,
        })
    }

    /// Returns true if the decrease of `P` by a gradient step is below its rounding error.
    fn is_negligible(
        &self,
        problem: &mut ProximalProblem<'_, T>,
        x: &Point<T>,
        residual: T,
    ) -> bool {
        let stiffness = problem.inv_gamma + self.curvature_scale.unwrap_or(T::zero());
        is_negligible(residual, stiffness, problem.value_rounding(x))
    }

    /// Adds to the active set the kinks at which particles start: those that steepest descent meets
    /// within the sampling distance.
    fn initialise_active_set(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &mut Point<T>,
        scratch: &mut Scratch<T>,
    ) -> Option<()> {
        let p = x.v.nrows();
        self.d.copy_from(&x.gradient);
        for d in self.d.as_mut_slice().chunks_exact_mut(p) {
            let size = dot(d, d).sqrt();
            let scale = if size > T::zero() {
                -self.radius / size
            } else {
                T::zero()
            };
            d.iter_mut().for_each(|d| *d *= scale);
        }
        let mut limits = self.step_limits(problem, x, false, scratch)?;
        if problem.any_particle(&mut self.y.v, |i| limits.normals[i].is_some()) {
            for (fraction, normal) in limits.fractions.iter_mut().zip(&limits.normals) {
                if normal.is_none() {
                    *fraction = T::zero();
                }
            }
            self.place(x, T::one(), &limits.fractions);
            problem.evaluate(&mut self.y);
            if self.y.value <= self.start + problem.value_rounding(x) {
                std::mem::swap(x, &mut self.y);
            }
            self.active_set.extend(limits.normals);
        }
        Some(())
    }

    /// The part of `d` that each particle takes.
    fn step_limits(
        &self,
        problem: &mut ProximalProblem<'_, T>,
        x: &Point<T>,
        joint: bool,
        scratch: &mut Scratch<T>,
    ) -> Option<StepLimits<T>> {
        let rays = Rays {
            x,
            d: &self.d,
            active_set: &self.active_set,
            joint,
            radius: self.radius,
        };
        rays.step_limits(problem, scratch)
    }

    /// `y_i = x_i + min(t, t_i) d_i` with the fractions `t_i`.
    fn place(&mut self, x: &Point<T>, t: T, fractions: &[T]) {
        self.y.v.copy_from(&x.v);
        for (i, &fraction) in fractions.iter().enumerate() {
            let y = column_mut(&mut self.y.v, i);
            axpy(fraction.min(t), column(&self.d, i), y);
        }
    }

    /// Computes the minimum-norm subgradient `z` at `x` and returns its norm; moves particles off
    /// kinks that leave the active set.
    fn release(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &mut Point<T>,
        scratch: &mut Scratch<T>,
    ) -> Option<T> {
        let mut displacement = scratch.take();
        let (set, z) = (&mut self.active_set, &mut self.z);
        let released = set.release(problem, x, self.radius, z, &mut displacement, scratch)?;
        let residual = problem.norm(&self.z);
        if released {
            self.move_released(problem, x, &displacement);
        }
        scratch.give([displacement]);
        Some(residual)
    }

    /// Moves released particles to the side where `P` falls: by a gradient step, a tenth of it, or
    /// the `displacement`, which is as short as the sampling distance.
    fn move_released(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &mut Point<T>,
        displacement: &DMatrix<T>,
    ) {
        let stiffness = problem.inv_gamma + self.curvature_scale.unwrap_or(T::one());
        self.d.copy_from(displacement);
        for (mut d, z) in self.d.column_iter_mut().zip(self.z.column_iter()) {
            let (slope, square) = (d.dot(&z), d.dot(&d));
            if square > T::zero() {
                let length = -slope / (stiffness * square);
                d *= length.max(T::one()).min(real(MAX_RELEASE));
            }
        }
        for t in [T::one(), real(SHORT_RELEASE)] {
            self.y.v.copy_from(&x.v);
            self.y.v.zip_apply(&self.d, |y, d| *y += t * d);
            problem.evaluate(&mut self.y);
            if self.y.value <= x.value {
                std::mem::swap(x, &mut self.y);
                return;
            }
        }
        self.y.v.copy_from(&x.v);
        self.y.v += displacement;
        problem.evaluate(&mut self.y);
        if self.y.value <= self.start + problem.value_rounding(x) {
            std::mem::swap(x, &mut self.y);
        }
    }

    /// Computes a search direction `d` along the active surfaces; returns its slope `<z, d> < 0`.
    ///
    /// The first one is a damped Gauss-Newton direction (Levenberg-Marquardt for the square loss),
    /// all others solve the trust-region subproblem. If neither descends, `d` is a gradient step.
    fn search_direction(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &Point<T>,
        residual: T,
        forcing: T,
        scratch: &mut Scratch<T>,
    ) -> Option<T> {
        let curvature_scale = self.curvature_scale.unwrap_or_else(|| {
            problem.gauss_newton_product(x, &self.z, T::zero(), &mut self.d);
            (problem.inner(&self.z, &self.d) / (residual * residual)).abs()
        });
        self.curvature_scale = Some(curvature_scale);
        let mut shift = problem.inv_gamma;
        if self.trust.is_some() {
            self.model
                .update_corrections(problem, x, &self.active_set, scratch)?;
        } else {
            shift += curvature_scale * real(INITIAL_DAMPING);
        }
        let subproblem = Subproblem {
            x,
            active_set: &self.active_set,
            gradient: &self.z,
            shift,
            trust: self.trust,
            forcing,
        };
        self.model
            .minimise(problem, &subproblem, &mut self.d, scratch);
        let slope = problem.inner(&self.z, &self.d);
        if slope < T::zero() {
            return Some(slope);
        }
        Some(problem.gradient_step(x, &self.z, residual, &mut self.d))
    }

    /// Adds to the trial point a Newton step with its gradient and the Hessian at `x`, if that
    /// lowers `P`: it follows the curvature of a valley.
    fn second_order_correction(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &Point<T>,
        scratch: &mut Scratch<T>,
    ) {
        let mut correction = scratch.take();
        let subproblem = Subproblem {
            x,
            active_set: &self.active_set,
            gradient: &self.y.gradient,
            shift: problem.inv_gamma,
            trust: Some(real::<T>(TRUST_CORRECTION) * problem.norm(&self.d)),
            forcing: real(FORCING_MAX),
        };
        self.model
            .minimise(problem, &subproblem, &mut correction, scratch);
        let mut corrected = Point::take(scratch, x.energy, x.value);
        corrected.v.copy_from(&self.y.v);
        corrected.v += &correction;
        problem.evaluate(&mut corrected);
        if corrected.value < self.y.value {
            std::mem::swap(&mut self.y, &mut corrected);
        }
        corrected.give(scratch);
        scratch.give([correction]);
    }

    /// Armijo backtracking along `d`, every particle up to its breakpoint; returns whether it made
    /// progress.
    fn line_search(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &mut Point<T>,
        slope: T,
        scratch: &mut Scratch<T>,
    ) -> Option<bool> {
        let limits = self.step_limits(problem, x, true, scratch)?;
        let rounding = problem.value_rounding(x);
        let [mut step, mut projected] = [(); 2].map(|()| scratch.take());
        let limited = problem.any_particle(&mut step, |i| limits.fractions[i] < T::one());
        let adds_surfaces = problem.any_particle(&mut step, |i| limits.normals[i].is_some());
        let before = self
            .active_set
            .projected_norm(problem, &x.gradient, &mut projected);
        let (mut t, mut reduction_ratio) = (T::one(), None);
        for _ in 0..MAX_TRIALS {
            self.place(x, t, &limits.fractions);
            problem.evaluate(&mut self.y);
            let y = &self.y;
            step.copy_from(&y.v);
            step -= &x.v;
            let expected = problem.inner(&self.z, &step);
            let is_finite =
                y.value.is_finite() && problem.inner(&y.gradient, &y.gradient).is_finite();
            let decreases = y.value < x.value && y.value <= x.value + real::<T>(ARMIJO) * expected;
            let is_level = y.value <= x.value.min(self.start) + rounding;
            // If the decrease is lost in rounding, the projected gradient must fall instead.
            let flattens = is_level
                && -t * slope <= real::<T>(UNRESOLVED) * rounding
                && self
                    .active_set
                    .projected_norm(problem, &y.gradient, &mut projected)
                    < before * real(STAGNATION);
            // A full step that adds active surfaces is accepted without a decrease.
            let adds = is_level && adds_surfaces && t == T::one();
            if is_finite && (decreases || flattens || adds) {
                let predicted_reduction = if limited || t < T::one() {
                    expected * real(-0.5)
                } else {
                    self.model.predicted_reduction
                };
                reduction_ratio = Some((x.value - y.value) / predicted_reduction);
                break;
            }
            t *= real(BACKTRACKING[usize::from(t < T::one())]);
        }
        let (full, length) = (problem.norm(&self.d), problem.norm(&step));
        scratch.give([step, projected]);
        let is_fair = reduction_ratio.is_some_and(|ratio| ratio < real(GOOD_RATIO));
        if is_fair && !limited && t == T::one() && self.trust.is_some() {
            let predicted_reduction = self.model.predicted_reduction;
            self.second_order_correction(problem, x, scratch);
            reduction_ratio = Some((x.value - self.y.value) / predicted_reduction);
        }
        self.trust = Some(match reduction_ratio {
            Some(_) if t < T::one() => t * full,
            ratio => updated_radius(ratio, self.trust, full, length),
        });
        if reduction_ratio.is_none() {
            return Some(false);
        }
        std::mem::swap(x, &mut self.y);
        let reached = limits.normals.into_iter().zip(limits.fractions);
        self.active_set
            .extend(reached.map(|(n, fraction)| n.filter(|_| fraction <= t)));
        // Without a decrease, added surfaces are not progress: they could be released again,
        // without end. `y` is now the previous point.
        Some(x.value < self.y.value || !adds_surfaces)
    }
}
