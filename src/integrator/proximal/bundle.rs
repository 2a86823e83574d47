//! The state of the bundle method, and the steps that its loop and its line search share.

use nalgebra::DMatrix;

use super::direction::{Damping, NewtonSystem};
use super::objective::{Point, ProximalProblem};
use super::scratch::Scratch;
use super::subdifferential::Subdifferential;
use super::tolerances::{FORCING_MAX, is_negligible};
use crate::real::{Real, real};

/// Increases of the shift by negative curvature, after which the Gauss-Newton curvature is used.
const MAX_SHIFTS: usize = 6;

/// The factor of the damping after a direction of negative curvature.
const SHIFT_GROW: f64 = 2.0;

/// The factor of the sampling radius when the residual is below the tolerance.
const RADIUS_SHRINK: f64 = 0.01;

/// Bisections between samples when the radius shrinks: `2^-7` is just below its factor.
const BISECTIONS: usize = 7;

/// The state of the bundle method.
pub(super) struct Bundle<T> {
    pub subdifferential: Subdifferential<T>,
    pub damping: Damping<T>,
    /// Whether Newton systems use the Hessian, and not the Gauss-Newton curvature.
    pub exact_hessian: bool,
    /// Whether the last line search accepted its first trial.
    pub full_step: bool,
    /// The rounding error of `P` observed in failed line searches.
    pub observed_rounding: T,
    /// The expected decrease of the last line search.
    pub expected_decrease: T,
    /// Null steps in a row.
    pub null_steps: usize,
    /// The relative residual of conjugate gradients.
    pub forcing: T,
    /// `P` at the start.
    pub start: T,
    /// The minimum-norm subgradient.
    pub z: DMatrix<T>,
    /// The search direction.
    pub d: DMatrix<T>,
    /// Its slope `<z, d>`.
    pub slope: T,
}

impl<T: Real> Bundle<T> {
    /// The state at the start `x`; gradients within `radius` are sampled.
    pub fn new(
        problem: &mut ProximalProblem<'_, T>,
        x: &Point<T>,
        radius: T,
        scratch: &mut Scratch<T>,
    ) -> Self {
        Self {
            subdifferential: Subdifferential::new(x.v.ncols(), radius),
            damping: Damping::new(problem, x, scratch),
            exact_hessian: false,
            full_step: false,
            observed_rounding: T::zero(),
            expected_decrease: T::zero(),
            null_steps: 0,
            forcing: real(FORCING_MAX),
            start: x.value,
            z: scratch.take(),
            d: scratch.take(),
            slope: T::zero(),
        }
    }

    /// Drops all samples and starts again from `radius`.
    pub fn restart(&mut self, radius: T) {
        self.subdifferential = Subdifferential::new(self.z.ncols(), radius);
    }

    /// `1/gamma` plus the curvature of the energy.
    pub fn stiffness(&self, problem: &ProximalProblem<'_, T>) -> T {
        problem.inv_gamma + self.damping.curvature_scale
    }

    /// The rounding error of `P` at `x`, estimated or observed.
    pub fn rounding(&self, problem: &mut ProximalProblem<'_, T>, x: &Point<T>) -> T {
        problem.value_rounding(x).max(self.observed_rounding)
    }

    /// Returns true if the decrease of `P` by a gradient step is below its rounding error.
    pub fn is_negligible(
        &self,
        problem: &mut ProximalProblem<'_, T>,
        x: &Point<T>,
        residual: T,
    ) -> bool {
        is_negligible(residual, self.stiffness(problem), self.rounding(problem, x))
    }

    /// Computes a search direction `d` and its slope `< 0`: a damped Newton direction, or a
    /// gradient step after a `failed` line search and if the Newton direction does not descend.
    ///
    /// Negative curvature increases the damping.
    pub fn update_direction(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &Point<T>,
        residual: T,
        failed: bool,
        scratch: &mut Scratch<T>,
    ) {
        if !failed {
            self.update_newton_direction(problem, x, scratch);
            self.slope = problem.inner(&self.z, &self.d);
            if self.slope < T::zero() {
                return;
            }
        }
        self.slope = problem.gradient_step(x, &self.z, residual, &mut self.d);
    }

    fn update_newton_direction(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &Point<T>,
        scratch: &mut Scratch<T>,
    ) {
        for shifts in 0..=MAX_SHIFTS {
            self.exact_hessian &= shifts < MAX_SHIFTS;
            let shift = problem.inv_gamma + self.damping.value;
            let system = NewtonSystem {
                x,
                subdifferential: &self.subdifferential,
                gradient: &self.z,
                exact_hessian: self.exact_hessian,
                shift,
                scale: shift + self.damping.curvature_scale,
                forcing: self.forcing,
            };
            let Some(negative) = system.solve(problem, &mut self.d, scratch) else {
                break;
            };
            self.damping.value = real::<T>(SHIFT_GROW) * (self.damping.value + negative);
        }
    }

    /// Shrinks the sampling radius, not below `least`, and the distances of all samples by
    /// bisection.
    pub fn shrink_radius(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &mut Point<T>,
        y: &mut Point<T>,
        least: T,
        scratch: &mut Scratch<T>,
    ) {
        let radius = (self.subdifferential.radius * real(RADIUS_SHRINK)).max(least);
        if self.subdifferential.has_samples(problem, x, scratch) {
            let mut moved = Point::take(scratch, x.energy, x.value);
            moved.v.copy_from(&x.v);
            moved.gradient.copy_from(&x.gradient);
            for _ in 0..BISECTIONS {
                y.v.copy_from(&moved.v);
                self.subdifferential.move_to_means(&mut y.v);
                problem.evaluate(y);
                self.subdifferential.replace_by_means(&mut moved, y);
            }
            problem.evaluate(&mut moved);
            // It may be a little higher than `x`, which was one end of each bisection.
            if moved.value <= self.start {
                std::mem::swap(x, &mut moved);
            }
            moved.give(scratch);
        }
        self.subdifferential.radius = radius;
    }
}
