//! The trust-region subproblem: a quadratic model of the objective along the active surfaces.
//!
//! Steihaug's conjugate gradients (J. Nocedal and S. Wright, Numerical optimization, 2006,
//! Algorithm 7.2; T. Steihaug, The conjugate gradient method and trust regions in large scale
//! optimization, 1983). Their letters `z_j, r_j, d_j, B d_j` are `d, -r, s, q` here, because `z` is
//! the minimum-norm subgradient and `d` the step.

use nalgebra::DMatrix;

use super::active_set::ActiveSet;
use super::objective::{Point, ProximalProblem};
use super::scratch::Scratch;
use super::tolerances::{GOOD_RATIO, POOR_RATIO};
use crate::real::{Real, epsilon, real};

/// Particles of more coordinates have no spectral corrections, which cost a first variation a
/// coordinate.
const MAX_DIMENSION: usize = 32;

/// Iterations of conjugate gradients at most.
const MAX_ITERATIONS: usize = 60;

/// The first radius, relative to the length of the first step.
const FIRST: f64 = 2.0;

/// The radius after a failed line search, relative to the step.
const FAILURE: f64 = 0.0625;

/// The radius after a step with a poor reduction ratio, relative to the step.
const SHRINK: f64 = 0.5;

/// The radius after a step with a good reduction ratio, relative to the step.
const GROW: f64 = 3.0;

/// The Hessian of `P` by differences of velocities, made positive semidefinite particle by
/// particle.
///
/// It is the sum of that of `F''(mu)`, positive semidefinite if `F` is convex in `mu`, and of one
/// block a particle, the Hessian `B_i` of `F'(mu) + |. - w_i|^2 / (2 gamma)`. Negative eigenvalues
/// of `B_i` are replaced by their absolute values: the model uses `|B_i|`.
pub(super) struct Model<T> {
    /// `|B_i| - B_i`; empty without corrections.
    corrections: Vec<DMatrix<T>>,
    /// The decrease of the model by the last step.
    pub predicted_reduction: T,
}

/// The subproblem `min <g, d> + <d, (H + shift) d> / 2` over steps `d` along the active surfaces.
pub(super) struct Subproblem<'a, T> {
    pub x: &'a Point<T>,
    pub active_set: &'a ActiveSet<T>,
    /// `g`.
    pub gradient: &'a DMatrix<T>,
    pub shift: T,
    /// The radius of the trust region, with the corrected Hessian `H` at `x`. `None`: no trust
    /// region, and `H` is the Gauss-Newton curvature.
    pub trust: Option<T>,
    /// The relative residual at which conjugate gradients stop.
    pub forcing: T,
}

impl<T: Real> Model<T> {
    /// A model without corrections.
    pub fn new() -> Self {
        Self {
            corrections: Vec::new(),
            predicted_reduction: T::zero(),
        }
    }

    /// Computes the corrections at `x`, along the active surfaces. `None` if the energy has no
    /// first variation.
    pub fn update_corrections(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &Point<T>,
        active_set: &ActiveSet<T>,
        scratch: &mut Scratch<T>,
    ) -> Option<()> {
        let (p, m) = x.v.shape();
        self.corrections.clear();
        if p > MAX_DIMENSION {
            return Some(());
        }
        let [mut start, mut e] = [(); 2].map(|()| scratch.take());
        start.copy_from(&x.gradient);
        active_set.project(&mut start);
        let (mut at, mut next) = (DMatrix::zeros(p, p * m), DMatrix::zeros(p, p * m));
        let mut values = vec![T::zero(); p * m];
        let steps: Vec<T> =
            x.v.column_iter()
                .map(|v| epsilon::<T>().sqrt() * v.norm().max(epsilon()))
                .collect();
        for l in 0..p {
            e.fill(T::zero());
            e.row_mut(l).fill(T::one());
            active_set.project(&mut e);
            for (i, &h) in steps.iter().enumerate() {
                let mut point = at.column_mut(l * m + i);
                point.copy_from(&x.v.column(i));
                point.axpy(h, &e.column(i), T::one());
            }
        }
        problem.mu.points_mut().copy_from_slice(x.v.as_slice());
        problem.evaluate_particles(&at, &mut values, &mut next)?;
        active_set.project(&mut next);
        for i in 0..m {
            let mut block = DMatrix::zeros(p, p);
            for l in 0..p {
                block.set_column(l, &((next.column(l * m + i) - start.column(i)) / steps[i]));
            }
            self.corrections.push(spectral_correction(&block));
        }
        scratch.give([start, e]);
        Some(())
    }

    /// Writes to `d` the approximate solution of the subproblem by conjugate gradients.
    ///
    /// They stop at the boundary of the trust region, also along directions of negative curvature.
    pub fn minimise(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        subproblem: &Subproblem<'_, T>,
        d: &mut DMatrix<T>,
        scratch: &mut Scratch<T>,
    ) {
        let Subproblem {
            x,
            active_set,
            shift,
            trust,
            forcing,
            ..
        } = *subproblem;
        let [mut r, mut s, mut q] = [(); 3].map(|()| scratch.take());
        d.fill(T::zero());
        self.predicted_reduction = T::zero();
        r.copy_from(subproblem.gradient);
        r.neg_mut();
        active_set.project(&mut r);
        s.copy_from(&r);
        let mut rho = problem.inner(&r, &r);
        let target = forcing * forcing * rho;
        for _ in 0..MAX_ITERATIONS {
            if rho <= target {
                break;
            }
            if trust.is_some() {
                problem.hessian_product(x, &s, shift, &mut q);
                for (i, correction) in self.corrections.iter().enumerate() {
                    let mut q = q.column_mut(i);
                    q.gemv(T::one(), correction, &s.column(i), T::one());
                }
            } else {
                problem.gauss_newton_product(x, &s, shift, &mut q);
            }
            active_set.project(&mut q);
            let curvature = problem.inner(&s, &q);
            let tau = trust.map(|trust| boundary_step(problem, d, &s, trust));
            let alpha = rho / curvature;
            let inside = curvature > T::zero() && tau.is_none_or(|tau| alpha < tau);
            let step = if inside { Some(alpha) } else { tau };
            let Some(step) = step.filter(|_| curvature.is_finite()) else {
                break;
            };
            d.zip_apply(&s, |d, s| *d += step * s);
            self.predicted_reduction += step * rho - real::<T>(0.5) * step * step * curvature;
            if !inside {
                break;
            }
            r.zip_apply(&q, |r, q| *r -= alpha * q);
            let next = problem.inner(&r, &r);
            let beta = next / rho;
            rho = next;
            s.zip_apply(&r, |s, r| *s = r + beta * *s);
        }
        scratch.give([r, s, q]);
    }
}

/// The radius of the trust region after a full step, from the reduction ratio (Nocedal and Wright,
/// Algorithm 4.1, with other constants); without a ratio if the line search failed.
///
/// `full` is `|d|`. The step of the given `length` is shorter if breakpoints limit it.
pub(super) fn updated_radius<T: Real>(
    reduction_ratio: Option<T>,
    trust: Option<T>,
    full: T,
    length: T,
) -> T {
    match (reduction_ratio, trust) {
        (None, trust) => trust.unwrap_or(full).min(full) * real(FAILURE),
        (Some(_), None) => real::<T>(FIRST) * length,
        (Some(ratio), Some(trust)) if ratio < real(POOR_RATIO) => (full * real(SHRINK)).min(trust),
        (Some(ratio), Some(trust)) if ratio > real(GOOD_RATIO) => trust.max(real::<T>(GROW) * full),
        (Some(_), Some(trust)) => trust,
    }
}

/// The `tau >= 0` with `|d + tau s| = trust`, for `<d, s> >= 0`; 0 if `d` is outside.
fn boundary_step<T: Real>(
    problem: &mut ProximalProblem<'_, T>,
    d: &DMatrix<T>,
    s: &DMatrix<T>,
    trust: T,
) -> T {
    let dd = problem.inner(d, d);
    let ds = problem.inner(d, s);
    let ss = problem.inner(s, s);
    let left = (trust * trust - dd).max(T::zero());
    let root = (ds * ds + ss * left).sqrt();
    if ds > T::zero() {
        left / (ds + root)
    } else {
        (root - ds) / ss
    }
}

/// `|B| - B` of the symmetric part of a block; 0 if it is not finite.
fn spectral_correction<T: Real>(block: &DMatrix<T>) -> DMatrix<T> {
    let p = block.nrows();
    let mut out = DMatrix::zeros(p, p);
    if block.iter().all(|b| b.is_finite()) {
        let eigen = ((block + block.transpose()) * real::<T>(0.5)).symmetric_eigen();
        for (&value, v) in eigen
            .eigenvalues
            .iter()
            .zip(eigen.eigenvectors.column_iter())
        {
            if value < T::zero() {
                out.ger(real::<T>(-2.0) * value, &v, &v, T::one());
            }
        }
    }
    out
}
