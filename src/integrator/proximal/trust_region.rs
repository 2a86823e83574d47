//! The trust-region subproblem: a quadratic model of the objective along the active kinks.
//!
//! Steihaug's conjugate gradients (J. Nocedal and S. Wright, Numerical optimization, 2006,
//! Algorithm 7.2; T. Steihaug, The conjugate gradient method and trust regions in large scale
//! optimization, 1983). Their letters `z_j, r_j, d_j, B d_j` are `d, -r, s, q` here, because `z` is
//! the minimum-norm subgradient and `d` the step. The preconditioned residual is `y`.

use std::cmp::Ordering;

use nalgebra::{DMatrix, DMatrixView, DVectorView};

use super::active_set::ActiveSet;
use super::objective::{Point, ProximalProblem};
use super::scratch::Scratch;
use crate::real::{Real, real};

/// Particles of more coordinates have no spectral corrections, which cost `O(p^3)` a particle.
const MAX_DIMENSION: usize = 100;

/// Iterations of conjugate gradients at most.
const MAX_ITERATIONS: usize = 100;

/// Eigenvalues of the preconditioner are at least this fraction of their mean: those of a particle
/// that can be scaled without changing the objective vanish.
const LEAST_EIGENVALUE: f64 = 0.1;

/// The Hessian of `P`, made positive semidefinite particle by particle.
///
/// It is the sum of that of `F''(mu)`, positive semidefinite if `F` is convex in `mu`, and of one
/// block a particle, the Hessian `B_i` of `F'(mu) + |. - w_i|^2 / (2 gamma)`. Negative eigenvalues
/// of `B_i` are replaced by their absolute values: the model uses `|B_i|`.
pub(super) struct Model<T> {
    /// What the product lacks of `|B_i|`, one matrix after the other; empty without corrections.
    corrections: Vec<T>,
    /// `|B_i|`.
    blocks: Vec<T>,
    /// The Hessians of the first variation, as the energy splits them.
    remainder: Vec<T>,
    included: Vec<T>,
    /// The shift `1/gamma` of the products.
    shift: T,
    /// Whether products are those with the curvature of the energy, else differences of
    /// velocities.
    has_curvature: Option<bool>,
    p: usize,
    /// Inverses of `|B_i|`, with small eigenvalues raised.
    inverses: Vec<T>,
    /// The decrease of the model by the last step.
    pub predicted_reduction: T,
}

/// The subproblem `min <z, d> + <d, H d> / 2` over steps `d` along the active kinks.
pub(super) struct Subproblem<'a, T> {
    pub x: &'a Point<T>,
    pub active: &'a ActiveSet<T>,
    /// The subgradient along the active kinks.
    pub z: &'a DMatrix<T>,
    /// The radius of the trust region, if there is one.
    pub trust: Option<T>,
    /// The relative residual at which conjugate gradients stop.
    pub forcing: T,
}

impl<T: Real> Model<T> {
    /// A model without corrections.
    pub fn new((p, m): (usize, usize)) -> Self {
        let len = if p <= MAX_DIMENSION { p * p * m } else { 0 };
        Self {
            corrections: Vec::new(),
            blocks: Vec::new(),
            remainder: vec![T::zero(); len],
            included: vec![T::zero(); len],
            shift: T::zero(),
            has_curvature: None,
            p,
            inverses: Vec::new(),
            predicted_reduction: T::zero(),
        }
    }

    /// Computes the model at `x`, along the active kinks.
    pub fn update(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &Point<T>,
        active: &ActiveSet<T>,
        z: &DMatrix<T>,
        q: &mut DMatrix<T>,
    ) {
        problem.move_to(&x.v);
        self.shift = problem.inv_gamma;
        self.corrections.clear();
        self.blocks.clear();
        self.inverses.clear();
        let p = self.p;
        if p > MAX_DIMENSION {
            return;
        }
        let has_hessians = problem.hessians(&mut self.remainder, &mut self.included);
        let has_curvature = *self
            .has_curvature
            .get_or_insert_with(|| has_hessians && problem.has_curvature(z, q));
        if !has_hessians && !problem.difference_hessians(&mut self.remainder) {
            return;
        }
        let blocks = self.remainder.chunks_exact(p * p);
        for (i, (remainder, included)) in blocks.zip(self.included.chunks_exact(p * p)).enumerate()
        {
            let mut block = DMatrix::from_column_slice(p, p, remainder);
            block += DMatrixView::from_slice(included, p, p);
            for l in 0..p {
                block[(l, l)] += self.shift;
            }
            // Projected from both sides: onto the kinks of the particle.
            for _ in 0..2 {
                for column in block.as_mut_slice().chunks_exact_mut(p) {
                    active.project_one(i, column);
                }
                block.transpose_mut();
            }
            let (absolute, inverse) = absolute_value(&block);
            self.inverses.extend_from_slice(inverse.as_slice());
            let present = if has_curvature {
                DMatrix::from_column_slice(p, p, included)
                    + DMatrix::from_diagonal_element(p, p, self.shift)
            } else {
                block
            };
            self.corrections
                .extend(absolute.iter().zip(present.iter()).map(|(&a, &b)| a - b));
            self.blocks.extend_from_slice(absolute.as_slice());
        }
    }

    /// `<u, |B_i| u>`; 0 without corrections.
    pub fn curvature(&self, i: usize, u: &[T]) -> T {
        let p = self.p;
        match self.blocks.chunks_exact(p * p).nth(i) {
            Some(block) => {
                let u = DVectorView::from_slice(u, p);
                (DMatrixView::from_slice(block, p, p) * u).dot(&u)
            }
            None => T::zero(),
        }
    }

    /// `q = H s` along the active kinks.
    fn product(
        &self,
        problem: &mut ProximalProblem<'_, T>,
        x: &Point<T>,
        active: &ActiveSet<T>,
        s: &DMatrix<T>,
        q: &mut DMatrix<T>,
    ) {
        problem.products += 1;
        if self.has_curvature == Some(true) {
            let _ = problem.energy.curvature(problem.mu, s, q);
        } else {
            problem.difference_product(x, s, q);
        }
        q.zip_apply(s, |q, s| *q += self.shift * s);
        let p = self.p;
        for (i, correction) in self.corrections.chunks_exact(p * p).enumerate() {
            let correction = DMatrixView::from_slice(correction, p, p);
            q.column_mut(i)
                .gemv(T::one(), &correction, &s.column(i), T::one());
        }
        active.project(q);
    }

    /// Writes to `d` the approximate solution of the subproblem by preconditioned conjugate
    /// gradients.
    ///
    /// They stop at the boundary, also along directions of negative curvature.
    pub fn minimise(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        subproblem: &Subproblem<'_, T>,
        d: &mut DMatrix<T>,
        scratch: &mut Scratch<T>,
    ) {
        let Subproblem {
            x,
            active,
            z,
            trust,
            forcing,
        } = *subproblem;
        let [mut r, mut s, mut q, mut y] = [(); 4].map(|()| scratch.take());
        d.fill(T::zero());
        self.predicted_reduction = T::zero();
        r.copy_from(z);
        r.neg_mut();
        let target = forcing * forcing * problem.inner(&r, &r);
        self.precondition(active, &r, &mut y);
        let mut rho = problem.inner(&r, &y);
        s.copy_from(&y);
        for _ in 0..MAX_ITERATIONS {
            if problem.inner(&r, &r) <= target
                || rho.partial_cmp(&T::zero()) != Some(Ordering::Greater)
            {
                break;
            }
            self.product(problem, x, active, &s, &mut q);
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
            self.precondition(active, &r, &mut y);
            let next = problem.inner(&r, &y);
            let beta = next / rho;
            rho = next;
            s.zip_apply(&y, |s, y| *s = y + beta * *s);
        }
        scratch.give([r, s, q, y]);
    }

    /// `y = |B|^-1 r` along the active kinks, the preconditioner of the conjugate gradients.
    fn precondition(&self, active: &ActiveSet<T>, r: &DMatrix<T>, y: &mut DMatrix<T>) {
        y.copy_from(r);
        let p = self.p;
        for (i, inverse) in self.inverses.chunks_exact(p * p).enumerate() {
            let inverse = DMatrixView::from_slice(inverse, p, p);
            y.column_mut(i)
                .gemv(T::one(), &inverse, &r.column(i), T::zero());
        }
        active.project(y);
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

/// `|B|` of a symmetric block, and its inverse with eigenvalues below a fraction of the mean raised
/// to it; 0 and 1 if it is not finite.
fn absolute_value<T: Real>(block: &DMatrix<T>) -> (DMatrix<T>, DMatrix<T>) {
    let p = block.nrows();
    let (mut out, mut inverse) = (DMatrix::zeros(p, p), DMatrix::zeros(p, p));
    if block.iter().all(|b| b.is_finite()) {
        let eigen = ((block + block.transpose()) * real::<T>(0.5)).symmetric_eigen();
        let mean = eigen
            .eigenvalues
            .iter()
            .fold(T::zero(), |sum, e| sum + e.abs())
            / real(p as f64);
        if mean > T::zero() {
            let pairs = eigen
                .eigenvalues
                .iter()
                .zip(eigen.eigenvectors.column_iter());
            for (&value, v) in pairs {
                out.ger(value.abs(), &v, &v, T::one());
                let raised = value.abs().max(mean * real(LEAST_EIGENVALUE));
                inverse.ger(T::one() / raised, &v, &v, T::one());
            }
            return (out, inverse);
        }
    }
    (out, DMatrix::identity(p, p))
}
