//! The quadratic model of the objective along the faces, and its minimum within a trust region.

use nalgebra::DMatrix;

use super::active_set::ActiveSet;
use super::objective::{Point, Proximal};
use super::scratch::Scratch;
use crate::real::{Real, epsilon, real};

/// Particles of more coordinates than this get no correction of their Hessian: it costs a first variation a coordinate.
const LARGEST: usize = 32;

/// Conjugate gradients at most.
const LONGEST: usize = 60;

/// The Hessian of `P` by differences of velocities, made positive semidefinite particle by particle.
///
/// It is that of `F''(mu)`, positive semidefinite where `F` is convex in `mu`, and a block a particle, the Hessian `B_i` of
/// `F'(mu) + |. - w_i|^2 / (2 gamma)`. Where `B_i` has negative eigenvalues they count by their size, `|B_i|`.
pub(super) struct Model<T> {
    /// `|B_i| - B_i`, where there are any.
    corrections: Vec<DMatrix<T>>,
    /// The decrease that the model tells for the last direction.
    pub told: T,
    pub evaluations: usize,
    pub products: usize,
}

impl<T: Real> Model<T> {
    pub fn new() -> Self {
        Self {
            corrections: Vec::new(),
            told: T::zero(),
            evaluations: 0,
            products: 0,
        }
    }

    /// Takes the blocks at `x`, along the faces.
    pub fn correct(
        &mut self,
        problem: &mut Proximal<'_, T>,
        (x, active_set): (&Point<T>, &ActiveSet<T>),
        scratch: &mut Scratch<T>,
    ) -> Option<()> {
        let (p, m) = x.v.shape();
        self.corrections.clear();
        if p > LARGEST {
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
                at.column_mut(l * m + i).copy_from(&x.v.column(i));
                at.column_mut(l * m + i).axpy(h, &e.column(i), T::one());
            }
        }
        problem.mu.points_mut().copy_from_slice(x.v.as_slice());
        self.evaluations += 1;
        problem.probe(&at, &mut values, &mut next)?;
        active_set.project(&mut next);
        let block = |i: usize| {
            let mut block = DMatrix::zeros(p, p);
            for l in 0..p {
                block.set_column(l, &((next.column(l * m + i) - start.column(i)) / steps[i]));
            }
            block
        };
        let blocks: Vec<DMatrix<T>> = (0..m).map(block).collect();
        self.corrections.extend(blocks.into_iter().map(excess));
        scratch.give([start, e]);
        Some(())
    }

    /// Minimises `<z, d> + <d, (H + shift) d> / 2` along the faces, by conjugate gradients, up to `forcing |z|` in its residual.
    ///
    /// `H` is the Hessian at `x`, and the direction stays within the trust region of radius `trust`; or else the Gauss-Newton
    /// curvature.
    ///
    /// Source of the way to the edge: T. Steihaug, The conjugate gradient method and trust regions in large scale optimization, 1983.
    pub fn minimise(
        &mut self,
        problem: &mut Proximal<'_, T>,
        (x, trust): (&Point<T>, Option<T>),
        (z, active_set): (&DMatrix<T>, &ActiveSet<T>),
        (shift, forcing): (T, T),
        d: &mut DMatrix<T>,
        scratch: &mut Scratch<T>,
    ) {
        let [mut r, mut s, mut q] = [(); 3].map(|()| scratch.take());
        d.fill(T::zero());
        self.told = T::zero();
        r.copy_from(z);
        r.neg_mut();
        active_set.project(&mut r);
        s.copy_from(&r);
        let mut rho = problem.inner(&r, &r);
        let enough = forcing * forcing * rho;
        for _ in 0..LONGEST {
            if rho <= enough {
                break;
            }
            match trust {
                Some(_) => {
                    problem.differ(x, &s, shift, &mut q);
                    for (i, correction) in self.corrections.iter().enumerate() {
                        q.column_mut(i)
                            .gemv(T::one(), correction, &s.column(i), T::one());
                    }
                }
                None => problem.hessian_product(x, &s, shift, &mut q),
            }
            self.products += 1;
            active_set.project(&mut q);
            let curvature = problem.inner(&s, &q);
            let edge = trust.map(|trust| to_edge(problem, d, &s, trust));
            let alpha = rho / curvature;
            let inside = curvature > T::zero() && edge.is_none_or(|edge| alpha < edge);
            let Some(far) =
                (if inside { Some(alpha) } else { edge }).filter(|_| curvature.is_finite())
            else {
                break;
            };
            d.zip_apply(&s, |d, s| *d += far * s);
            self.told += far * rho - real::<T>(0.5) * far * far * curvature;
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

/// The `far >= 0` with `|d + far s| = trust`, for `<d, s> >= 0`; 0 where `d` is beyond.
fn to_edge<T: Real>(problem: &mut Proximal<'_, T>, d: &DMatrix<T>, s: &DMatrix<T>, trust: T) -> T {
    let (dd, ds, ss) = (
        problem.inner(d, d),
        problem.inner(d, s),
        problem.inner(s, s),
    );
    let left = (trust * trust - dd).max(T::zero());
    let root = (ds * ds + ss * left).sqrt();
    if ds > T::zero() {
        left / (ds + root)
    } else {
        (root - ds) / ss
    }
}

/// `|B| - B` of the symmetric part of a block; 0 where it is not finite.
fn excess<T: Real>(block: DMatrix<T>) -> DMatrix<T> {
    let p = block.nrows();
    let mut out = DMatrix::zeros(p, p);
    if block.iter().all(|b| b.is_finite()) {
        let eigen = ((&block + block.transpose()) * real::<T>(0.5)).symmetric_eigen();
        for (l, &value) in eigen
            .eigenvalues
            .iter()
            .enumerate()
            .filter(|&(_, &value)| value < T::zero())
        {
            let v = eigen.eigenvectors.column(l);
            out.ger(real::<T>(-2.0) * value, &v, &v, T::one());
        }
    }
    out
}
