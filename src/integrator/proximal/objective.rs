//! The objective of a proximal step and the points at which it is evaluated.

use nalgebra::DMatrix;

use super::scratch::Scratch;
use super::tolerances::ROUNDING;
use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, real};

/// A gradient step moves the points by at most this fraction of their size, plus the residual.
const GRADIENT_STEP_FRACTION: f64 = 0.1;

/// The objective `P(v) = F(v) + |v - w|^2 / (2 gamma)`, with `|u|^2 = sum_i c_i |u_i|^2`; plain
/// `F` if `1/gamma = 0`.
pub(super) struct ProximalProblem<'a, T> {
    pub energy: &'a mut dyn Energy<T>,
    /// Carries the weights; its points are those of the last evaluation.
    pub mu: &'a mut EmpiricalMeasure<T>,
    /// `w`, the start of the step.
    pub anchor: DMatrix<T>,
    /// `1 / gamma`.
    pub inv_gamma: T,
    /// Velocities and first variations computed, without those of products.
    pub evaluations: usize,
    /// Products with the Hessian or the Gauss-Newton curvature.
    pub products: usize,
}

/// A point `v` with the values and gradients at it.
pub(super) struct Point<T> {
    pub v: DMatrix<T>,
    /// `-grad F`, of the energy alone.
    pub velocity: DMatrix<T>,
    /// `grad P = (v - w) / gamma - velocity`, in the inner product of `L2(mu)`.
    pub gradient: DMatrix<T>,
    /// `F(v)`.
    pub energy: T,
    /// `P(v)`.
    pub value: T,
}

impl<T: Real> Point<T> {
    /// A point with fields of unspecified content, and the values of another one.
    pub fn take(scratch: &mut Scratch<T>, energy: T, value: T) -> Self {
        Self {
            v: scratch.take(),
            velocity: scratch.take(),
            gradient: scratch.take(),
            energy,
            value,
        }
    }

    /// Returns the fields to the pool.
    pub fn give(self, scratch: &mut Scratch<T>) {
        scratch.give([self.v, self.velocity, self.gradient]);
    }
}

impl<T: Real> ProximalProblem<'_, T> {
    /// Computes value, velocity and gradient at `point.v`.
    pub fn evaluate(&mut self, point: &mut Point<T>) {
        self.mu.points_mut().copy_from_slice(point.v.as_slice());
        point.energy = self.energy.velocity(self.mu, &mut point.velocity);
        self.evaluations += 1;
        self.complete(point);
    }

    /// Computes value and gradient of `P` from those of `F`.
    pub fn complete(&mut self, point: &mut Point<T>) {
        let Point {
            v,
            velocity,
            gradient,
            ..
        } = point;
        gradient.copy_from(v);
        *gradient -= &self.anchor;
        let squared = self.energy.inner(self.mu, gradient, gradient);
        // If gamma is infinite, 0 times an overflowing distance would be NaN.
        point.value = if self.inv_gamma > T::zero() {
            point.energy + real::<T>(0.5) * self.inv_gamma * squared
        } else {
            point.energy
        };
        for (g, &v) in gradient.as_mut_slice().iter_mut().zip(velocity.as_slice()) {
            *g = self.inv_gamma * *g - v;
        }
    }

    /// Values and gradients of `F'(mu)(.) + |. - w_i|^2 / (2 gamma)`, the objective of particle `i`
    /// with `mu` fixed at its current points.
    ///
    /// Column `k m + i` of `at` is the k-th point of particle i. `None` if the energy has no first
    /// variation.
    pub fn evaluate_particles(
        &mut self,
        at: &DMatrix<T>,
        values: &mut [T],
        gradient: &mut DMatrix<T>,
    ) -> Option<()> {
        self.energy.first_variation(self.mu, at, values, gradient)?;
        self.evaluations += 1;
        let p = at.nrows();
        let half = real::<T>(0.5) * self.inv_gamma;
        let anchors = self.anchor.as_slice().chunks_exact(p).cycle();
        let gradients = gradient.as_mut_slice().chunks_exact_mut(p);
        let points = at.as_slice().chunks_exact(p).zip(gradients);
        for ((value, (at, gradient)), w) in values.iter_mut().zip(points).zip(anchors) {
            for ((g, &v), &w) in gradient.iter_mut().zip(at).zip(w) {
                let displacement = v - w;
                *value += half * displacement * displacement;
                *g = self.inv_gamma * displacement - *g;
            }
        }
        Some(())
    }

    /// Returns true if the predicate holds for any particle of positive weight, on any rank;
    /// `flags` is overwritten.
    pub fn any_particle(
        &mut self,
        flags: &mut DMatrix<T>,
        mut predicate: impl FnMut(usize) -> bool,
    ) -> bool {
        flags.fill(T::zero());
        for i in 0..flags.ncols() {
            if predicate(i) {
                flags[(0, i)] = T::one();
            }
        }
        self.inner(flags, flags) > T::zero()
    }

    /// `<u, v>` in `L2(mu)`.
    pub fn inner(&mut self, u: &DMatrix<T>, v: &DMatrix<T>) -> T {
        self.energy.inner(self.mu, u, v)
    }

    /// `|u|` in `L2(mu)`.
    pub fn norm(&mut self, u: &DMatrix<T>) -> T {
        self.inner(u, u).sqrt()
    }

    /// `out = (C + shift) u` with the Gauss-Newton curvature `C` of `F` at `x`, or with the Hessian
    /// if the energy has no curvature.
    pub fn gauss_newton_product(
        &mut self,
        x: &Point<T>,
        u: &DMatrix<T>,
        shift: T,
        out: &mut DMatrix<T>,
    ) {
        self.mu.points_mut().copy_from_slice(x.v.as_slice());
        match self.energy.curvature(self.mu, u, out) {
            Some(()) => {
                self.products += 1;
                out.zip_apply(u, |out, u| *out += shift * u);
            }
            None => self.hessian_product(x, u, shift, out),
        }
    }

    /// `out = (H + shift) u` with the Hessian `H` of `F` at `x`, by a forward difference of
    /// velocities along `u`.
    pub fn hessian_product(
        &mut self,
        x: &Point<T>,
        u: &DMatrix<T>,
        shift: T,
        out: &mut DMatrix<T>,
    ) {
        let size = self.norm(u);
        let step = epsilon::<T>().sqrt() * (self.norm(&x.v) + size.min(T::one())) / size;
        self.mu.points_mut().copy_from_slice(x.v.as_slice());
        self.mu.displace(step, u);
        self.energy.velocity(self.mu, out);
        self.products += 1;
        let velocity = x.velocity.as_slice();
        for ((out, &v), &u) in out
            .as_mut_slice()
            .iter_mut()
            .zip(velocity)
            .zip(u.as_slice())
        {
            *out = (v - *out) / step + shift * u;
        }
    }

    /// Writes to `d` a step along the negative subgradient `z` of norm `residual`; returns its
    /// slope `<z, d>`.
    ///
    /// The step length is at most `gamma`, and the points move by at most a tenth of their size
    /// plus the residual.
    pub fn gradient_step(
        &mut self,
        x: &Point<T>,
        z: &DMatrix<T>,
        residual: T,
        d: &mut DMatrix<T>,
    ) -> T {
        let limit = real::<T>(GRADIENT_STEP_FRACTION) * self.norm(&x.v) + residual;
        let length = T::one() / (self.inv_gamma + residual / limit);
        d.copy_from(z);
        *d *= -length;
        -residual * residual * length
    }

    /// The rounding error of `P` at `x`: that of its value, and the change of `P` by the rounding
    /// of the points.
    pub fn value_rounding(&mut self, x: &Point<T>) -> T {
        let points = self.norm(&x.v) * self.norm(&x.velocity);
        real::<T>(ROUNDING) * epsilon::<T>() * (x.energy.abs() + x.value.abs() + points)
    }

    /// The rounding error of the gradient of `P` at `x`.
    pub fn gradient_rounding(&mut self, x: &Point<T>) -> T {
        real::<T>(ROUNDING)
            * epsilon::<T>()
            * (self.inv_gamma * self.norm(&x.v) + self.norm(&x.velocity))
    }
}
