//! The active set: the kinks on which particles sit, and the minimum-norm subgradient across them.

use nalgebra::DMatrix;

use super::column::{axpy, column, column_mut, orthogonalise};
use super::objective::{Point, ProximalProblem};
use super::scratch::Scratch;
use crate::numeric::vector::dot;
use crate::real::{Real, epsilon, real};

/// Active surfaces kept a particle: the gradients on both sides of each further one cost a first
/// variation.
const MAX_SURFACES: usize = 4;

/// The least length of a unit normal after orthogonalisation. A surface with a shorter one is
/// parallel to the intersection of the active ones, up to errors of the normals.
const INDEPENDENCE: f64 = 1e-3;

/// Surfaces are released only from particles whose subgradient across them is at least this
/// fraction of the largest one.
const RELEASE_FRACTION: f64 = 0.3;

/// Ratio of the offsets along successive normals, see [`ActiveSet::offset`].
const OFFSET_RATIO: f64 = 0.25;

/// Sweeps of coordinate descent over the multipliers of one particle.
const MAX_SWEEPS: usize = 50;

/// For each particle the unit normals of its active surfaces, across which its gradient jumps.
///
/// A particle moves within its active surfaces, where the objective is smooth and Newton's method
/// applies. At a minimum 0 is between the gradients of both sides of each surface. Otherwise the
/// surface leaves the active set, and the particle moves to the side on which the objective falls.
pub(super) struct ActiveSet<T> {
    /// Orthonormal: each normal is that of its surface within the intersection of those before it.
    normals: Vec<Vec<Vec<T>>>,
}

impl<T: Real> ActiveSet<T> {
    /// The empty set.
    pub fn new(particles: usize) -> Self {
        Self {
            normals: vec![Vec::new(); particles],
        }
    }

    /// Adds a surface of unit normal `n` to particle `i`, unless the active ones imply it.
    fn add(&mut self, i: usize, mut n: Vec<T>) {
        let size = orthogonalise(self.normals[i].iter(), &mut n);
        if self.normals[i].len() < MAX_SURFACES && size > real(INDEPENDENCE) {
            n.iter_mut().for_each(|n| *n /= size);
            self.normals[i].push(n);
        }
    }

    /// Adds to each particle the surface of the given normal, if any.
    pub fn extend(&mut self, normals: impl IntoIterator<Item = Option<Vec<T>>>) {
        for (i, n) in normals.into_iter().enumerate() {
            if let Some(n) = n {
                self.add(i, n);
            }
        }
    }

    /// Projects onto the active surfaces one field, or several side by side.
    pub fn project(&self, field: &mut DMatrix<T>) {
        let p = field.nrows();
        let columns = field.as_mut_slice().chunks_exact_mut(p);
        for (basis, u) in self.normals.iter().cycle().zip(columns) {
            for e in basis {
                axpy(-dot(e, u), e, u);
            }
        }
    }

    /// The norm of the gradient at a point, projected onto the active surfaces; `projected` is
    /// overwritten.
    pub fn projected_norm(
        &self,
        problem: &mut ProximalProblem<'_, T>,
        gradient: &DMatrix<T>,
        projected: &mut DMatrix<T>,
    ) -> T {
        projected.copy_from(gradient);
        self.project(projected);
        problem.norm(projected)
    }

    /// Writes the minimum-norm subgradient `z_i` of every particle, from gradients at the distance
    /// `radius` on both sides of its active surfaces; releases surfaces across which 0 is not
    /// between the gradients.
    ///
    /// Surfaces are released only if `z` is larger across the surfaces than along them. The
    /// `displacement` takes released particles to the side where the objective falls; it is 0 for
    /// all others. Returns whether any particle, on any rank, was released; `None` if the energy
    /// has no first variation.
    pub fn release(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &Point<T>,
        radius: T,
        z: &mut DMatrix<T>,
        displacement: &mut DMatrix<T>,
        scratch: &mut Scratch<T>,
    ) -> Option<bool> {
        let jumps = self.one_sided_gradients(problem, x, radius, z, scratch)?;
        let multipliers: Vec<Vec<T>> = jumps
            .iter()
            .enumerate()
            .map(|(i, jumps)| minimum_norm(column_mut(z, i), jumps, &self.normals[i]))
            .collect();
        let [mut along, mut across] = [(); 2].map(|()| scratch.take());
        along.copy_from(z);
        self.project(&mut along);
        across.copy_from(z);
        across -= &along;
        displacement.fill(T::zero());
        let mut released = false;
        let size_along = problem.norm(&along);
        if problem.norm(&across) > size_along {
            let largest = largest_norm(&across);
            for i in (0..multipliers.len()).filter(|&i| !multipliers[i].is_empty()) {
                let u = column(&across, i);
                if dot(u, u).sqrt() < real::<T>(RELEASE_FRACTION) * largest {
                    continue;
                }
                let normals = std::mem::take(&mut self.normals[i]);
                for (n, &s) in normals.into_iter().zip(&multipliers[i]) {
                    if s > T::zero() && s < T::one() {
                        self.add(i, n);
                        continue;
                    }
                    released = true;
                    let side = if s <= T::zero() { radius } else { -radius };
                    axpy(side, &n, column_mut(displacement, i));
                }
            }
        }
        let released = problem.any_particle(&mut along, |_| released);
        scratch.give([along, across]);
        Some(released)
    }

    /// Writes to `z` the gradient on the positive sides of all active surfaces of each particle,
    /// and returns its jumps: this gradient minus that on the negative side of one surface.
    ///
    /// Particles without active surfaces have no jumps; their `z_i` is the gradient at `x`.
    fn one_sided_gradients(
        &self,
        problem: &mut ProximalProblem<'_, T>,
        x: &Point<T>,
        radius: T,
        z: &mut DMatrix<T>,
        scratch: &mut Scratch<T>,
    ) -> Option<Vec<Vec<Vec<T>>>> {
        z.copy_from(&x.gradient);
        let [mut at, mut positive, mut negative] = [(); 3].map(|()| scratch.take());
        let m = x.v.ncols();
        let mut values = vec![T::zero(); m];
        let mut jumps: Vec<Vec<Vec<T>>> = vec![Vec::new(); m];
        let mut level = 0;
        while problem.any_particle(&mut at, |i| self.normals[i].len() > level) {
            if level == 0 {
                problem.mu.points_mut().copy_from_slice(x.v.as_slice());
                self.offset(&x.v, |_| radius, &mut at);
                problem.evaluate_particles(&at, &mut values, &mut positive)?;
            }
            self.offset(&x.v, |k| if k == level { -radius } else { radius }, &mut at);
            problem.evaluate_particles(&at, &mut values, &mut negative)?;
            for i in (0..m).filter(|&i| self.normals[i].len() > level) {
                let pair = column(&positive, i).iter().zip(column(&negative, i));
                jumps[i].push(pair.map(|(&g, &h)| g - h).collect());
                column_mut(z, i).copy_from_slice(column(&positive, i));
            }
            level += 1;
        }
        scratch.give([at, positive, negative]);
        Some(jumps)
    }

    /// `out_i = v_i + sum_k r_k step(k) n_ik`, with `r_k = 1` for the last normal and a quarter of
    /// the next one for each before it.
    ///
    /// The normal of surface k has components along the earlier, orthogonalised ones. Equal offsets
    /// along these could take the particle to the other side of surface k.
    fn offset(&self, v: &DMatrix<T>, step: impl Fn(usize) -> T, out: &mut DMatrix<T>) {
        out.copy_from(v);
        for (i, normals) in self.normals.iter().enumerate() {
            let mut ratio = T::one();
            for (k, n) in normals.iter().enumerate().rev() {
                axpy(ratio * step(k), n, column_mut(out, i));
                ratio *= real(OFFSET_RATIO);
            }
        }
    }
}

/// The largest `|u_i|` over the particles of this rank.
fn largest_norm<T: Real>(u: &DMatrix<T>) -> T {
    u.column_iter().fold(T::zero(), |max, u| max.max(u.norm()))
}

/// Replaces `z` by the shortest `z - sum_k s_k j_k` with multipliers `0 <= s_k <= 1`, which are
/// returned; by cyclic coordinate descent.
///
/// If the gradient jumps downwards along its normal, the surface is a concave kink (a ridge of the
/// objective): the multiplier is then 0 or 1, the side on which the objective falls faster.
fn minimum_norm<T: Real>(z: &mut [T], jumps: &[Vec<T>], normals: &[Vec<T>]) -> Vec<T> {
    let mut multipliers = vec![T::zero(); jumps.len()];
    let sweeps = if jumps.len() == 1 { 1 } else { MAX_SWEEPS };
    for _ in 0..sweeps {
        let mut largest_change = T::zero();
        for (k, j) in jumps.iter().enumerate() {
            let square = dot(j, j);
            if square == T::zero() {
                continue;
            }
            let jump = dot(&normals[k], j);
            let best = if jump > T::zero() {
                (multipliers[k] + dot(z, j) / square)
                    .max(T::zero())
                    .min(T::one())
            } else {
                // The slopes along the normal on both sides, positive and negative.
                let positive = dot(&normals[k], z) + multipliers[k] * jump;
                let negative = positive - jump;
                if positive <= -negative {
                    T::zero()
                } else {
                    T::one()
                }
            };
            let change = best - multipliers[k];
            axpy(-change, j, z);
            multipliers[k] = best;
            largest_change = largest_change.max(change.abs());
        }
        if largest_change <= epsilon::<T>() {
            break;
        }
    }
    multipliers
}
