//! The objective of a proximal step and its points.

use nalgebra::DMatrix;

use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, real};

/// The objective `P(v) = F(v) + |v - w|^2 / (2 gamma)`, with `|u|^2 = sum_i c_i |u_i|^2`; plain `F` where `1/gamma = 0`.
pub(super) struct Proximal<'a, T> {
    pub energy: &'a mut dyn Energy<T>,
    /// Carries the weights; its points are those evaluated last.
    pub mu: &'a mut EmpiricalMeasure<T>,
    /// `w`, where the step starts.
    pub anchor: DMatrix<T>,
    /// `1 / gamma`.
    pub rate: T,
}

/// A point `v` with all that is known there.
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

impl<T: Real> Proximal<'_, T> {
    /// Fills in what is known at `point.v`.
    pub fn evaluate(&mut self, point: &mut Point<T>) {
        self.mu.points_mut().copy_from_slice(point.v.as_slice());
        point.energy = self.energy.velocity(self.mu, &mut point.velocity);
        self.complete(point);
    }

    /// Value and gradient of `P` from energy and velocity.
    pub fn complete(&mut self, point: &mut Point<T>) {
        let Point {
            v,
            velocity,
            gradient,
            ..
        } = point;
        gradient.copy_from(v);
        *gradient -= &self.anchor;
        let half: T = real(0.5);
        let squared = self.energy.inner(self.mu, gradient, gradient);
        // With gamma infinite there is no distance, however far.
        point.value = if self.rate > T::zero() {
            point.energy + half * self.rate * squared
        } else {
            point.energy
        };
        for (g, &v) in gradient.as_mut_slice().iter_mut().zip(velocity.as_slice()) {
            *g = self.rate * *g - v;
        }
    }

    /// The part of `P` that is a particle's own, and its gradient, at any points: `F'(mu) + |. - w_i|^2 / (2 gamma)` with the measure
    /// as it is. Column `k m + i` of `at` is the k-th point of particle i. `None` where the energy has no first variation.
    pub fn probe(
        &mut self,
        at: &DMatrix<T>,
        values: &mut [T],
        gradient: &mut DMatrix<T>,
    ) -> Option<()> {
        self.energy.first_variation(self.mu, at, values, gradient)?;
        let p = at.nrows();
        let half = real::<T>(0.5) * self.rate;
        let anchors = self.anchor.as_slice();
        let points = at
            .as_slice()
            .chunks_exact(p)
            .zip(gradient.as_mut_slice().chunks_exact_mut(p));
        for ((value, (at, gradient)), w) in values
            .iter_mut()
            .zip(points)
            .zip(anchors.chunks_exact(p).cycle())
        {
            for ((g, &v), &w) in gradient.iter_mut().zip(at).zip(w) {
                let far = v - w;
                *value += half * far * far;
                *g = self.rate * far - *g;
            }
        }
        Some(())
    }

    /// Whether something is so for any particle, on any rank; `flags` is written over.
    pub fn any(&mut self, flags: &mut DMatrix<T>, mut of: impl FnMut(usize) -> bool) -> bool {
        flags.fill(T::zero());
        for i in 0..flags.ncols() {
            if of(i) {
                flags[(0, i)] = T::one();
            }
        }
        self.inner(flags, flags) > T::zero()
    }

    /// The largest `|u_i|`, over the particles at hand.
    pub fn largest(&self, u: &DMatrix<T>) -> T {
        u.column_iter().fold(T::zero(), |max, u| max.max(u.norm()))
    }

    /// `<u, v>` in `L2(mu)`.
    pub fn inner(&mut self, u: &DMatrix<T>, v: &DMatrix<T>) -> T {
        self.energy.inner(self.mu, u, v)
    }

    /// `|u|` in `L2(mu)`.
    pub fn norm(&mut self, u: &DMatrix<T>) -> T {
        self.inner(u, u).sqrt()
    }

    /// `out = (C + shift) u` with the Gauss-Newton curvature `C` of `F` at `x`; the Hessian where the energy has no curvature.
    pub fn hessian_product(
        &mut self,
        x: &Point<T>,
        u: &DMatrix<T>,
        shift: T,
        out: &mut DMatrix<T>,
    ) {
        self.mu.points_mut().copy_from_slice(x.v.as_slice());
        match self.energy.curvature(self.mu, u, out) {
            Some(()) => out.zip_apply(u, |out, u| *out += shift * u),
            None => self.differ(x, u, shift, out),
        }
    }

    /// `out = (H + shift) u` with the Hessian `H` of `F` at `x`, by a difference of velocities along `u`.
    pub fn differ(&mut self, x: &Point<T>, u: &DMatrix<T>, shift: T, out: &mut DMatrix<T>) {
        let size = self.norm(u);
        let step = epsilon::<T>().sqrt() * (self.norm(&x.v) + size.min(T::one())) / size;
        self.mu.points_mut().copy_from_slice(x.v.as_slice());
        self.mu.displace(step, u);
        self.energy.velocity(self.mu, out);
        for ((out, &v), &u) in out
            .as_mut_slice()
            .iter_mut()
            .zip(x.velocity.as_slice())
            .zip(u.as_slice())
        {
            *out = (v - *out) / step + shift * u;
        }
    }

    /// The length of a gradient step: below `gamma`, and the points move by a tenth of their size where the gradient is small.
    pub fn gradient_step_length(&mut self, x: &Point<T>, residual: T) -> T {
        let size = self.norm(&x.v);
        T::one() / (self.rate + residual / (real::<T>(0.1) * size + residual))
    }

    /// What rounding may change in `P` at `x`: in its value, and by that of the points.
    pub fn noise(&mut self, x: &Point<T>) -> T {
        let points = self.norm(&x.v) * self.norm(&x.velocity);
        real::<T>(4.0) * epsilon::<T>() * (x.energy.abs() + x.value.abs() + points)
    }

    /// The rounding level of the gradient of `P` at `x`.
    pub fn rounding(&mut self, x: &Point<T>) -> T {
        real::<T>(4.0) * epsilon::<T>() * (self.rate * self.norm(&x.v) + self.norm(&x.velocity))
    }
}

/// What a descent is to reach.
pub(super) struct Tolerances<T> {
    /// The size of the shortest subgradient.
    pub residual: T,
    /// The radius within which subgradients are gathered in the end.
    pub radius: T,
    pub iterations: usize,
}

/// How a descent ended.
pub(super) struct Outcome<T> {
    pub converged: bool,
    pub iterations: usize,
    pub evaluations: usize,
    pub products: usize,
    pub residual: T,
}
