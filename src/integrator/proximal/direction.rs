//! Newton directions by conjugate gradients.

use nalgebra::DMatrix;

use super::hull::Kinks;
use super::objective::{Point, Proximal};
use super::scratch::Scratch;
use crate::real::{Real, epsilon, real};

/// The Newton direction: `d` minimises `<g, d> + <d, (H + K + shift) d> / 2`, by conjugate gradients.
///
/// `H` is the Gauss-Newton curvature at `x`, or the Hessian where `exact`; `K` is the stiffness across the kinks, by which
/// the iteration is preconditioned. Stops where the residual is below `forcing |g|`, or the curvature is not positive, and returns
/// then how negative it was, for a unit direction.
pub(super) fn newton<T: Real>(
    problem: &mut Proximal<'_, T>,
    (x, exact): (&Point<T>, bool),
    kinks: &Kinks<T>,
    (g, shift, forcing, curvature_scale): (&DMatrix<T>, T, T, T),
    d: &mut DMatrix<T>,
    scratch: &mut Scratch<T>,
    products: &mut usize,
) -> Option<T> {
    const LONGEST: usize = 200;
    let [mut r, mut s, mut q, mut z] = [(); 4].map(|()| scratch.take());
    d.fill(T::zero());
    r.copy_from(g);
    r.neg_mut();
    z.copy_from(&r);
    kinks.relax(curvature_scale, &mut z);
    s.copy_from(&z);
    let mut rho = problem.inner(&r, &z);
    let enough = forcing * forcing * rho;
    let mut negative = None;
    for _ in 0..LONGEST {
        if rho <= enough {
            break;
        }
        if exact {
            problem.differ(x, &s, shift, &mut q);
        } else {
            problem.hessian_product(x, &s, shift, &mut q);
        }
        *products += 1;
        kinks.stiffen(&s, &mut q);
        let curvature = problem.inner(&s, &q);
        if curvature <= T::zero() || !curvature.is_finite() {
            negative = Some(if curvature.is_finite() {
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
        kinks.relax(curvature_scale, &mut z);
        let next = problem.inner(&r, &z);
        let beta = next / rho;
        rho = next;
        s.zip_apply(&z, |s, z| *s = z + beta * *s);
    }
    scratch.give([r, s, q, z]);
    negative
}

/// The damping of Levenberg and Marquardt, added to `1/gamma`: it follows how well the model told the decrease.
pub(super) struct Damping<T> {
    pub value: T,
    /// The curvature of the energy along its gradient at the start.
    pub curvature_scale: T,
}

impl<T: Real> Damping<T> {
    /// A hundredth of the curvature along the gradient, to begin with.
    pub fn new(problem: &mut Proximal<'_, T>, x: &Point<T>, scratch: &mut Scratch<T>) -> Self {
        let mut bent = scratch.take();
        problem.hessian_product(x, &x.gradient, T::zero(), &mut bent);
        let (along, square) = (
            problem.inner(&x.gradient, &bent),
            problem.inner(&x.gradient, &x.gradient),
        );
        scratch.give([bent]);
        let curvature_scale = if square > T::zero() {
            (along / square).abs()
        } else {
            T::zero()
        };
        Self {
            value: curvature_scale * real(0.01),
            curvature_scale,
        }
    }

    /// From the decrease found over the one told.
    pub fn follow(&mut self, gain: T) {
        if gain > real(0.75) {
            self.value = (self.value * real(0.1)).max(self.curvature_scale * epsilon());
        } else if gain < real(0.25) {
            self.value *= real(4.0);
        }
    }
}
