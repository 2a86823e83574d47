//! The objective of a proximal step and the points at which it is evaluated.

use nalgebra::DMatrix;

use super::scratch::Scratch;
use crate::energy::Energy;
use crate::feature::by_differences;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, real};

/// Rounding errors are estimated as this multiple of `eps` times the size of the terms.
const ROUNDING: f64 = 4.0;

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
    /// Products with the Hessian.
    pub products: usize,
    /// Hessians of the first variation at all particles.
    pub hessians: usize,
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

    /// Returns true if value and gradient are finite.
    pub fn is_finite(&self, problem: &mut ProximalProblem<'_, T>) -> bool {
        self.value.is_finite() && problem.norm(&self.gradient).is_finite()
    }
}

impl<T: Real> ProximalProblem<'_, T> {
    /// Computes value, velocity and gradient at `point.v`.
    pub fn evaluate(&mut self, point: &mut Point<T>) {
        self.move_to(&point.v);
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

    /// Moves the measure to the points `v`.
    pub fn move_to(&mut self, v: &DMatrix<T>) {
        self.mu.points_mut().copy_from_slice(v.as_slice());
    }

    /// `<u, v>` in `L2(mu)`.
    pub fn inner(&mut self, u: &DMatrix<T>, v: &DMatrix<T>) -> T {
        self.energy.inner(self.mu, u, v)
    }

    /// `|u|` in `L2(mu)`.
    pub fn norm(&mut self, u: &DMatrix<T>) -> T {
        self.inner(u, u).sqrt()
    }

    /// The mass of the particles, on all ranks, for which a predicate holds; `flags` is
    /// overwritten.
    pub fn mass_of(&mut self, flags: &mut DMatrix<T>, mut holds: impl FnMut(usize) -> bool) -> T {
        flags.fill(T::zero());
        for i in 0..flags.ncols() {
            if holds(i) {
                flags[(0, i)] = T::one();
            }
        }
        self.inner(flags, flags)
    }

    /// `out = H u` with the Hessian of `F` at `x`, the point of the measure, by a forward
    /// difference of velocities along `u`.
    pub fn difference_product(&mut self, x: &Point<T>, u: &DMatrix<T>, out: &mut DMatrix<T>) {
        let size = self.norm(u);
        let step = epsilon::<T>().sqrt() * (self.norm(&x.v) + size.min(T::one())) / size;
        self.move_to(&x.v);
        self.mu.displace(step, u);
        self.energy.velocity(self.mu, out);
        self.move_to(&x.v);
        out.zip_apply(&x.velocity, |out, v| *out = (v - *out) / step);
    }

    /// Computes the Hessians of the first variation at the particles, if the energy implements
    /// them.
    pub fn hessians(&mut self, remainder: &mut [T], included: &mut [T]) -> bool {
        let result = self.energy.hessians(self.mu, remainder, included);
        self.hessians += usize::from(result.is_some());
        result.is_some()
    }

    /// Returns true if the energy implements its curvature; `out` is overwritten.
    pub fn has_curvature(&mut self, u: &DMatrix<T>, out: &mut DMatrix<T>) -> bool {
        let implemented = self.energy.curvature(self.mu, u, out).is_some();
        self.products += usize::from(implemented);
        implemented
    }

    /// The Hessians of the first variation at the particles by differences, if it is implemented.
    pub fn difference_hessians(&mut self, out: &mut [T]) -> bool {
        let Self {
            energy,
            mu,
            evaluations,
            ..
        } = self;
        let mut implemented = true;
        by_differences(mu.points(), out, |at, values, descent| {
            implemented = implemented && energy.first_variation(mu, at, values, descent).is_some();
            *evaluations += usize::from(implemented);
        });
        implemented
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
