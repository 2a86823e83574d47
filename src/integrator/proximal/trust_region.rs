//! The trust-region subproblem: a quadratic model of the objective along the active kinks.
//!
//! Steihaug's conjugate gradients (J. Nocedal and S. Wright, Numerical optimization, 2006,
//! Algorithm 7.2; T. Steihaug, The conjugate gradient method and trust regions in large scale
//! optimization, 1983). Their letters `z_j, r_j, d_j, B d_j` are `d, -r, s, q` here, because `z` is
//! the minimum-norm subgradient and `d` the step. The preconditioned residual is `y`.

use std::cmp::Ordering;

use nalgebra::DMatrix;

use super::active_set::ActiveSet;
use super::objective::{Point, ProximalProblem};
use crate::numeric::symmetric::absolute_value;
use crate::real::{Real, real};

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
    /// Of each particle, what the product lacks of `|B_i|`, and the inverse of `|B_i|` with small
    /// eigenvalues raised. Empty without Hessians.
    blocks: Vec<(DMatrix<T>, DMatrix<T>)>,
}

/// The solution of a subproblem.
pub(super) struct Step<T> {
    pub d: DMatrix<T>,
    /// The decrease of the model.
    pub predicted_reduction: T,
}

impl<T: Real> Model<T> {
    /// The model at `x`, along the active kinks.
    pub fn new(problem: &mut ProximalProblem<'_, T>, x: &Point<T>, active: &ActiveSet<T>) -> Self {
        let [remainder, included] = problem.hessians(x).unwrap_or_default();
        let p = x.v.nrows();
        let shift = DMatrix::from_diagonal_element(p, p, problem.inv_gamma);
        let parts = remainder
            .chunks_exact(p * p)
            .zip(included.chunks_exact(p * p));
        let block = |(i, (remainder, included))| {
            let included = DMatrix::from_column_slice(p, p, included) + &shift;
            let mut block = DMatrix::from_column_slice(p, p, remainder) + &included;
            // Projected from both sides: onto the kinks of the particle.
            for _ in 0..2 {
                active.project_particle(i, &mut block);
                block.transpose_mut();
            }
            let (absolute, inverse) = absolute_value(&block, real(LEAST_EIGENVALUE));
            let is_included = problem.has_curvature == Some(true);
            (
                absolute - if is_included { included } else { block },
                inverse,
            )
        };
        Self {
            blocks: parts.enumerate().map(block).collect(),
        }
    }

    /// The approximate solution of `min <z, d> + <d, H d> / 2` over steps `d` along the active
    /// kinks, `|d| <= trust`, with products at `x`. `z` is the subgradient along the kinks.
    ///
    /// Conjugate gradients stop if the residual is at most `target`, or at the boundary, also along
    /// directions of negative curvature.
    pub fn minimise(
        &self,
        problem: &mut ProximalProblem<'_, T>,
        x: &Point<T>,
        active: &ActiveSet<T>,
        z: &DMatrix<T>,
        trust: Option<T>,
        target: T,
    ) -> Step<T> {
        let mut d = DMatrix::zeros(z.nrows(), z.ncols());
        let mut predicted_reduction = T::zero();
        let mut r = -z;
        let mut s = self.precondition(active, &r);
        let mut rho = problem.inner(&r, &s);
        for _ in 0..MAX_ITERATIONS {
            let descends = rho.partial_cmp(&T::zero()) == Some(Ordering::Greater);
            if !descends || problem.norm(&r) <= target {
                break;
            }
            let mut q = problem.product(x, &s);
            for (i, (correction, _)) in self.blocks.iter().enumerate() {
                q.column_mut(i)
                    .gemv(T::one(), correction, &s.column(i), T::one());
            }
            active.project(&mut q);
            let curvature = problem.inner(&s, &q);
            let tau = trust.map(|trust| boundary_step(problem, &d, &s, trust));
            let alpha = rho / curvature;
            let inside = curvature > T::zero() && tau.is_none_or(|tau| alpha < tau);
            let step = if inside { Some(alpha) } else { tau };
            let Some(step) = step.filter(|_| curvature.is_finite()) else {
                break;
            };
            d += &s * step;
            predicted_reduction += step * rho - real::<T>(0.5) * step * step * curvature;
            if !inside {
                break;
            }
            r -= q * alpha;
            let y = self.precondition(active, &r);
            let next = problem.inner(&r, &y);
            s = y + s * (next / rho);
            rho = next;
        }
        Step {
            d,
            predicted_reduction,
        }
    }

    /// `y = |B|^-1 r` along the active kinks, the preconditioner of the conjugate gradients.
    fn precondition(&self, active: &ActiveSet<T>, r: &DMatrix<T>) -> DMatrix<T> {
        let mut y = r.clone();
        for (i, (_, inverse)) in self.blocks.iter().enumerate() {
            y.column_mut(i)
                .gemv(T::one(), inverse, &r.column(i), T::zero());
        }
        active.project(&mut y);
        y
    }
}

/// The `tau >= 0` with `|d + tau s| = trust`, for `<d, s> >= 0`; 0 if `d` is outside.
fn boundary_step<T: Real>(
    problem: &mut ProximalProblem<'_, T>,
    d: &DMatrix<T>,
    s: &DMatrix<T>,
    trust: T,
) -> T {
    let [dd, ds, ss] = [(d, d), (d, s), (s, s)].map(|(u, v)| problem.inner(u, v));
    let left = (trust * trust - dd).max(T::zero());
    let root = (ds * ds + ss * left).sqrt();
    if ds > T::zero() {
        left / (ds + root)
    } else {
        (root - ds) / ss
    }
}
