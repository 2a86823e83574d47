//! The objective of a proximal step and the points at which it is evaluated.

use nalgebra::DMatrix;

use crate::energy::Energy;
use crate::feature::by_differences;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, real};

/// Rounding errors are estimated as this multiple of `eps` times the size of the terms.
const ROUNDING: f64 = 4.0;

/// Particles of more coordinates have no Hessians, whose spectra cost `O(p^3)` a particle.
const MAX_DIMENSION: usize = 100;

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
    /// Whether products are those with the curvature of the energy, else differences of
    /// velocities. Determined with the first Hessians.
    pub has_curvature: Option<bool>,
    /// The work so far, and the last residual.
    pub work: Polished<T>,
}

/// A point `v` with the values and gradients at it.
#[derive(Clone)]
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

impl<T: Real> ProximalProblem<'_, T> {
    /// Computes value, velocity and gradient at `point.v`.
    pub fn evaluate(&mut self, point: &mut Point<T>) {
        self.move_to(&point.v);
        point.energy = self.energy.velocity(self.mu, &mut point.velocity);
        self.work.evaluations += 1;
        self.complete(point);
    }

    /// Computes value and gradient of `P` from those of `F`.
    pub fn complete(&mut self, point: &mut Point<T>) {
        let step = &point.v - &self.anchor;
        // If gamma is infinite, 0 times an overflowing distance would be NaN.
        point.value = point.energy;
        if self.inv_gamma > T::zero() {
            point.value += real::<T>(0.5) * self.inv_gamma * self.inner(&step, &step);
        }
        point.gradient = step * self.inv_gamma - &point.velocity;
    }

    /// Returns true if value and gradient at the point are finite.
    pub fn is_finite(&mut self, point: &Point<T>) -> bool {
        point.value.is_finite() && self.norm(&point.gradient).is_finite()
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

    /// The mass of the particles, on all ranks, for which a predicate holds.
    pub fn mass_of(&mut self, holds: impl Fn(usize) -> bool) -> T {
        let (p, m) = self.anchor.shape();
        let flag = |l, i| {
            if l == 0 && holds(i) {
                T::one()
            } else {
                T::zero()
            }
        };
        let flags = DMatrix::from_fn(p, m, flag);
        self.inner(&flags, &flags)
    }

    /// `H u` with the Hessian of `P` at `x`, without the remainders of
    /// [`hessians`](Self::hessians).
    pub fn product(&mut self, x: &Point<T>, u: &DMatrix<T>) -> DMatrix<T> {
        self.work.products += 1;
        let mut out = DMatrix::zeros(u.nrows(), u.ncols());
        self.move_to(&x.v);
        if self.has_curvature == Some(true) {
            let _ = self.energy.curvature(self.mu, u, &mut out);
        } else {
            // A forward difference of velocities along u.
            let size = self.norm(u);
            let step = epsilon::<T>().sqrt() * (self.norm(&x.v) + size.min(T::one())) / size;
            self.mu.displace(step, u);
            self.energy.velocity(self.mu, &mut out);
            self.move_to(&x.v);
            out = (&x.velocity - out) / step;
        }
        out + u * self.inv_gamma
    }

    /// The Hessians of the first variation at all particles, one matrix after the other: the part
    /// that the products do not contain, and the part that they contain.
    ///
    /// By differences of the first variation if the energy does not implement them. `None` without
    /// first variation.
    pub fn hessians(&mut self, x: &Point<T>) -> Option<[Vec<T>; 2]> {
        let (p, m) = x.v.shape();
        if p > MAX_DIMENSION {
            return None;
        }
        self.move_to(&x.v);
        let [mut remainder, mut included] = [(); 2].map(|()| vec![T::zero(); p * p * m]);
        let (energy, mu, work) = (&mut *self.energy, &*self.mu, &mut self.work);
        let exact = energy.hessians(mu, &mut remainder, &mut included).is_some();
        work.hessians += usize::from(exact);
        if self.has_curvature.is_none() {
            let mut out = DMatrix::zeros(p, m);
            let curvature = exact && energy.curvature(mu, &x.velocity, &mut out).is_some();
            work.products += usize::from(curvature);
            self.has_curvature = Some(curvature);
        }
        let mut implemented = true;
        if !exact {
            by_differences(mu.points(), &mut remainder, |at, values, descent| {
                implemented &= energy.first_variation(mu, at, values, descent).is_some();
                work.evaluations += usize::from(implemented);
            });
        }
        implemented.then_some([remainder, included])
    }

    /// The rounding error of `P` at `x`: that of its value, and the change of `P` by the rounding
    /// of the points.
    pub fn value_rounding(&mut self, x: &Point<T>) -> T {
        let points = self.norm(&x.v) * self.norm(&x.velocity);
        real::<T>(ROUNDING) * epsilon::<T>() * (x.energy.abs() + x.value.abs() + points)
    }

    /// The rounding error of the gradient of `P` at `x`.
    pub fn gradient_rounding(&mut self, x: &Point<T>) -> T {
        let terms = self.inv_gamma * self.norm(&x.v) + self.norm(&x.velocity);
        real::<T>(ROUNDING) * epsilon::<T>() * terms
    }
}
