//! Directions of descent: Gauss-Newton by conjugate gradients, or the limited memory of past gradients.

use nalgebra::DMatrix;

use super::hull::Kinks;
use super::proximal::{Point, Proximal};
use super::scratch::Scratch;
use crate::real::{Real, epsilon, real};

/// The Newton direction: `d` minimises `<g, d> + <d, (H + K + shift) d> / 2`, by conjugate gradients.
///
/// `H` is the Gauss-Newton curvature, or that of differences at the point `exact`; `K` is the stiffness across the kinks, by which
/// the iteration is preconditioned. Stops where the residual is below `forcing |g|`, or the curvature is not positive, and returns
/// how negative it was, for a unit direction. `None` where the energy has no curvature.
pub(super) fn newton<T: Real>(
    problem: &mut Proximal<'_, T>,
    exact: Option<&Point<T>>,
    kinks: &Kinks<T>,
    (g, shift, forcing, typical): (&DMatrix<T>, T, T, T),
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
    kinks.relax(typical, &mut z);
    s.copy_from(&z);
    let mut rho = problem.inner(&r, &z);
    let enough = forcing * forcing * rho;
    let mut negative = Some(T::zero());
    for _ in 0..LONGEST {
        if rho <= enough {
            break;
        }
        match exact {
            Some(x) => problem.differ(x, &s, shift, &mut q),
            None => {
                if problem.bend(&s, shift, &mut q).is_none() {
                    negative = None;
                    break;
                }
            }
        }
        *products += 1;
        kinks.stiffen(&s, &mut q);
        let curvature = problem.inner(&s, &q);
        if curvature <= T::zero() || !curvature.is_finite() {
            negative = Some(-curvature / problem.inner(&s, &s));
            break;
        }
        let alpha = rho / curvature;
        d.zip_apply(&s, |d, s| *d += alpha * s);
        r.zip_apply(&q, |r, q| *r -= alpha * q);
        z.copy_from(&r);
        kinks.relax(typical, &mut z);
        let next = problem.inner(&r, &z);
        let beta = next / rho;
        rho = next;
        s.zip_apply(&z, |s, z| *s = z + beta * *s);
    }
    scratch.give([r, s, q, z]);
    negative
}

/// Pairs kept by a [`Memory`].
const PAIRS: usize = 10;

/// The limited memory of J. Nocedal, Updating quasi-Newton matrices with limited storage, 1980 (L-BFGS).
pub(super) struct Memory<T> {
    /// Steps `s`, changes of the gradient `y`, and `1 / <s, y>`, the oldest first.
    pairs: Vec<(DMatrix<T>, DMatrix<T>, T)>,
    /// `<s, y> / <y, y>` of the newest.
    scale: Option<T>,
}

impl<T: Real> Memory<T> {
    pub fn new() -> Self {
        Self { pairs: Vec::new(), scale: None }
    }

    pub fn clear(&mut self, scratch: &mut Scratch<T>) {
        for (s, y, _) in self.pairs.drain(..) {
            scratch.give([s, y]);
        }
        self.scale = None;
    }

    /// Keeps a step and the change of the gradient along it, where its curvature is positive.
    pub fn keep(&mut self, problem: &mut Proximal<'_, T>, s: DMatrix<T>, y: DMatrix<T>, scratch: &mut Scratch<T>) {
        let (sy, yy, ss) = (problem.inner(&s, &y), problem.inner(&y, &y), problem.inner(&s, &s));
        if sy * sy <= epsilon::<T>() * yy * ss || sy <= T::zero() || !sy.is_finite() {
            return scratch.give([s, y]);
        }
        if self.pairs.len() == PAIRS {
            let (s, y, _) = self.pairs.remove(0);
            scratch.give([s, y]);
        }
        self.scale = Some(sy / yy);
        self.pairs.push((s, y, T::one() / sy));
    }

    /// `d = -H g`, with `H` the inverse curvature that the pairs tell; `H = first` without any.
    pub fn direction(&self, problem: &mut Proximal<'_, T>, (g, first): (&DMatrix<T>, T), d: &mut DMatrix<T>) {
        d.copy_from(g);
        d.neg_mut();
        let mut alphas = [T::zero(); PAIRS];
        for (alpha, (s, y, rho)) in alphas.iter_mut().zip(&self.pairs).rev() {
            *alpha = *rho * problem.inner(s, d);
            d.zip_apply(y, |d, y| *d -= *alpha * y);
        }
        *d *= self.scale.unwrap_or(first);
        for (&alpha, (s, y, rho)) in alphas.iter().zip(&self.pairs) {
            let beta = alpha - *rho * problem.inner(y, d);
            d.zip_apply(s, |d, s| *d += beta * s);
        }
    }
}

/// The damping of Levenberg and Marquardt, added to `1/gamma`: it follows how well the model told the decrease.
pub(super) struct Damping<T> {
    pub value: T,
    /// The curvature of the energy along its gradient at the start.
    pub typical: T,
}

impl<T: Real> Damping<T> {
    /// From the decrease found over the one told.
    pub fn follow(&mut self, gain: T) {
        if gain > real(0.75) {
            self.value = (self.value * real(0.1)).max(self.typical * epsilon());
        } else if gain < real(0.25) {
            self.value *= real(4.0);
        }
    }
}
