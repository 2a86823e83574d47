//! Damped Newton directions by preconditioned conjugate gradients.
//!
//! J. Nocedal and S. Wright, Numerical optimization, 2006, Algorithm 5.3, with their letters, but
//! `d, -r, s, q, z` for `x, r, p, A p, y`.

use nalgebra::DMatrix;

use super::objective::{Point, ProximalProblem};
use super::scratch::Scratch;
use super::subdifferential::Subdifferential;
use super::tolerances::{GOOD_RATIO, INITIAL_DAMPING, POOR_RATIO};
use crate::real::{Real, epsilon, real};

/// Iterations of conjugate gradients at most.
const MAX_ITERATIONS: usize = 200;

/// The factor of the damping after a step with a good reduction ratio.
const DAMPING_SHRINK: f64 = 0.1;

/// The factor of the damping after a step with a poor reduction ratio, or a shortened one.
pub(super) const DAMPING_GROW: f64 = 4.0;

/// The Newton system: minimise `<g, d> + <d, (H + K + shift) d> / 2`.
///
/// `K` is the stiffness across the kinks of the subdifferential estimate; the iteration is
/// preconditioned by it.
pub(super) struct NewtonSystem<'a, T> {
    pub x: &'a Point<T>,
    pub subdifferential: &'a Subdifferential<T>,
    /// `g`.
    pub gradient: &'a DMatrix<T>,
    /// `H`: the Hessian at `x` if true, the Gauss-Newton curvature otherwise.
    pub exact_hessian: bool,
    pub shift: T,
    /// The scale of `H + shift`, against which the preconditioner weighs `K`.
    pub scale: T,
    /// The relative residual at which conjugate gradients stop.
    pub forcing: T,
}

impl<T: Real> NewtonSystem<'_, T> {
    /// Writes the approximate solution to `d`.
    ///
    /// Stops at a direction of non-positive curvature; returns then minus the curvature of a unit
    /// vector along it, or 0 if it is not finite.
    pub fn solve(
        &self,
        problem: &mut ProximalProblem<'_, T>,
        d: &mut DMatrix<T>,
        scratch: &mut Scratch<T>,
    ) -> Option<T> {
        let [mut r, mut s, mut q, mut z] = [(); 4].map(|()| scratch.take());
        d.fill(T::zero());
        r.copy_from(self.gradient);
        r.neg_mut();
        z.copy_from(&r);
        self.subdifferential.precondition(self.scale, &mut z);
        s.copy_from(&z);
        let mut rho = problem.inner(&r, &z);
        let target = self.forcing * self.forcing * rho;
        let mut negative_curvature = None;
        for _ in 0..MAX_ITERATIONS {
            if rho <= target {
                break;
            }
            if self.exact_hessian {
                problem.hessian_product(self.x, &s, self.shift, &mut q);
            } else {
                problem.gauss_newton_product(self.x, &s, self.shift, &mut q);
            }
            self.subdifferential.add_stiffness_product(&s, &mut q);
            let curvature = problem.inner(&s, &q);
            if curvature <= T::zero() || !curvature.is_finite() {
                negative_curvature = Some(if curvature.is_finite() {
                    -curvature / problem.inner(&s, &s)
                } else {
                    T::zero()
                });
                break;
            }
            let alpha = rho / curvature;
            d.zip_apply(&s, |d, s| *d += alpha * s);
            r.zip_apply(&q, |r, q| *r -= alpha * q);
            z.copy_from(&r);
            self.subdifferential.precondition(self.scale, &mut z);
            let next = problem.inner(&r, &z);
            let beta = next / rho;
            rho = next;
            s.zip_apply(&z, |s, z| *s = z + beta * *s);
        }
        scratch.give([r, s, q, z]);
        negative_curvature
    }
}

/// Levenberg-Marquardt damping, added to `1/gamma` and controlled by the reduction ratio.
///
/// Source: D. Marquardt, An algorithm for least-squares estimation of nonlinear parameters, 1963.
pub(super) struct Damping<T> {
    pub value: T,
    /// The curvature of the energy along its gradient at the start.
    pub curvature_scale: T,
}

impl<T: Real> Damping<T> {
    /// A hundredth of the curvature along the gradient at `x`.
    pub fn new(
        problem: &mut ProximalProblem<'_, T>,
        x: &Point<T>,
        scratch: &mut Scratch<T>,
    ) -> Self {
        let mut product = scratch.take();
        problem.gauss_newton_product(x, &x.gradient, T::zero(), &mut product);
        let along = problem.inner(&x.gradient, &product);
        let square = problem.inner(&x.gradient, &x.gradient);
        scratch.give([product]);
        let curvature_scale = if square > T::zero() {
            (along / square).abs()
        } else {
            T::zero()
        };
        Self {
            value: curvature_scale * real(INITIAL_DAMPING),
            curvature_scale,
        }
    }

    /// Updates the damping after a full step.
    pub fn update(&mut self, reduction_ratio: T) {
        if reduction_ratio > real(GOOD_RATIO) {
            let least = self.curvature_scale * epsilon();
            self.value = (self.value * real(DAMPING_SHRINK)).max(least);
        } else if reduction_ratio < real(POOR_RATIO) {
            self.value *= real(DAMPING_GROW);
        }
    }
}
