//! ActiveSet: the kinks that particles sit on, and the shortest subgradient across them.

use nalgebra::DMatrix;

use super::objective::{Point, Proximal};
use super::scratch::Scratch;
use crate::numeric::vector::dot;
use crate::real::{Real, epsilon, real};

/// ActiveSet kept a particle: a direction and its sides cost one more first variation each.
const MOST: usize = 4;

/// The kinks that particles are pinned on: for each particle the unit normals of the surfaces across which its gradient jumps.
///
/// A pinned particle moves along its surfaces. There the objective is smooth, so Newton's method is at home; across them 0 must
/// be between the gradients of both sides at a minimum, or the particle is released to the side where the objective falls.
pub(super) struct ActiveSet<T> {
    /// Orthonormal: each is that of its surface within those before it.
    normals: Vec<Vec<Vec<T>>>,
}

impl<T: Real> ActiveSet<T> {
    pub fn new(particles: usize) -> Self {
        Self {
            normals: vec![Vec::new(); particles],
        }
    }

    /// ActiveSet particle `i` on a surface of unit normal `n`, unless it cannot move across it anyway.
    fn pin(&mut self, i: usize, mut n: Vec<T>) {
        for _ in 0..2 {
            for e in &self.normals[i] {
                let s = dot(e, &n);
                n.iter_mut().zip(e).for_each(|(n, &e)| *n -= s * e);
            }
        }
        let size = dot(&n, &n).sqrt();
        if self.normals[i].len() < MOST && size > real(1e-3) {
            n.iter_mut().for_each(|n| *n /= size);
            self.normals[i].push(n);
        }
    }

    /// ActiveSet the particles that have met a kink, on its normal.
    pub fn take(&mut self, normals: impl IntoIterator<Item = Option<Vec<T>>>) {
        for (i, n) in normals.into_iter().enumerate() {
            if let Some(n) = n {
                self.pin(i, n);
            }
        }
    }

    /// Removes the components across the kinks, of one field or of several side by side.
    pub fn project(&self, field: &mut DMatrix<T>) {
        let p = field.nrows();
        for (basis, u) in self
            .normals
            .iter()
            .cycle()
            .zip(field.as_mut_slice().chunks_exact_mut(p))
        {
            for e in basis {
                let s = dot(e, u);
                u.iter_mut().zip(e).for_each(|(u, &e)| *u -= s * e);
            }
        }
    }

    /// Whether any particle, on any rank, has more than `level` active_set.
    fn any(&self, problem: &mut Proximal<'_, T>, level: usize, flags: &mut DMatrix<T>) -> bool {
        problem.any(flags, |i| self.normals[i].len() > level)
    }

    /// Writes the shortest subgradient `z_i` of every particle, from gradients at the distance `radius` on both sides of its
    /// active_set, and releases the active_set across which 0 is not between them. `aside` is where the released should go, in all
    /// other particles 0; returns whether there are any. `None` where the energy has no first variation.
    pub fn release(
        &mut self,
        problem: &mut Proximal<'_, T>,
        x: &Point<T>,
        (radius, z, aside, evaluations): (T, &mut DMatrix<T>, &mut DMatrix<T>, &mut usize),
        scratch: &mut Scratch<T>,
    ) -> Option<bool> {
        z.copy_from(&x.gradient);
        aside.fill(T::zero());
        let [mut at, mut corner, mut side] = [(); 3].map(|()| scratch.take());
        let (p, m) = x.v.shape();
        let mut values = vec![T::zero(); m];
        let mut jumps: Vec<Vec<Vec<T>>> = vec![Vec::new(); m];
        let mut told = Some(());
        let mut level = 0;
        while told.is_some() && self.any(problem, level, &mut at) {
            // One corner of all sides, then from it across one pin after the other.
            problem.mu.points_mut().copy_from_slice(x.v.as_slice());
            if level == 0 {
                self.place(&x.v, |_| radius, &mut at);
                *evaluations += 1;
                told = told.and(problem.probe(&at, &mut values, &mut corner));
            }
            *evaluations += 1;
            self.place(&x.v, |k| if k == level { -radius } else { radius }, &mut at);
            told = told.and(problem.probe(&at, &mut values, &mut side));
            for i in (0..m).filter(|&i| self.normals[i].len() > level) {
                let of = i * p..(i + 1) * p;
                let pair = corner.as_slice()[of.clone()]
                    .iter()
                    .zip(&side.as_slice()[of]);
                jumps[i].push(pair.map(|(&c, &s)| c - s).collect());
            }
            level += 1;
        }
        let mut shares: Vec<Vec<T>> = vec![Vec::new(); m];
        for i in (0..m).filter(|&i| !jumps[i].is_empty()) {
            let of = i * p..(i + 1) * p;
            let z = &mut z.as_mut_slice()[of.clone()];
            z.copy_from_slice(&corner.as_slice()[of]);
            shares[i] = between(z, &jumps[i], &self.normals[i]);
        }
        // Pulls: what of z goes across the active_set.
        at.copy_from(z);
        self.project(&mut at);
        let free = problem.norm(&at);
        side.copy_from(z);
        side -= &at;
        let pull = problem.norm(&side);
        // Along the faces first, as long as there is more to gain.
        let mut released = false;
        if pull > free {
            let largest = problem.largest(&side);
            for i in (0..m).filter(|&i| !shares[i].is_empty()) {
                let of = i * p..(i + 1) * p;
                let pull = &side.as_slice()[of.clone()];
                if dot(pull, pull).sqrt() < real::<T>(0.3) * largest {
                    continue;
                }
                let aside = &mut aside.as_mut_slice()[of];
                let kept = std::mem::take(&mut self.normals[i]);
                for (n, &s) in kept.into_iter().zip(&shares[i]) {
                    if s > T::zero() && s < T::one() {
                        self.pin(i, n);
                        continue;
                    }
                    released = true;
                    let sign = if s <= T::zero() { radius } else { -radius };
                    aside.iter_mut().zip(&n).for_each(|(a, &n)| *a += sign * n);
                }
            }
        }
        let released = told.map(|()| problem.any(&mut at, |_| released));
        scratch.give([at, corner, side]);
        released
    }

    /// `out_i = v_i + sum_k step(k) n_ik`, shorter for the first active_set: the later normals lean over the surfaces of these.
    fn place(&self, v: &DMatrix<T>, step: impl Fn(usize) -> T, out: &mut DMatrix<T>) {
        out.copy_from(v);
        let p = v.nrows();
        for (normals, out) in self
            .normals
            .iter()
            .zip(out.as_mut_slice().chunks_exact_mut(p))
        {
            let mut scale = T::one();
            for (k, n) in normals.iter().enumerate().rev() {
                out.iter_mut()
                    .zip(n)
                    .for_each(|(out, &n)| *out += scale * step(k) * n);
                scale *= real(0.25);
            }
        }
    }
}

/// Shortens `z` to the shortest `z - sum_k s_k j_k` with shares `0 <= s_k <= 1`; returns the shares.
///
/// Where the gradient jumps downwards (a ridge of the objective, not `convex`) the share is 0 or 1: the side that falls more.
fn between<T: Real>(z: &mut [T], jumps: &[Vec<T>], normals: &[Vec<T>]) -> Vec<T> {
    let mut shares = vec![T::zero(); jumps.len()];
    let sweeps = if jumps.len() == 1 { 1 } else { 50 };
    for _ in 0..sweeps {
        let mut moved = T::zero();
        for (k, j) in jumps.iter().enumerate() {
            let square = dot(j, j);
            if square == T::zero() {
                continue;
            }
            let best = if dot(&normals[k], j) > T::zero() {
                (shares[k] + dot(z, j) / square)
                    .max(T::zero())
                    .min(T::one())
            } else {
                // The slopes n.(z + s j) of this side and n.(z + (s - 1) j) of the other, outwards: the lower one.
                let here = dot(&normals[k], z) + shares[k] * dot(&normals[k], j);
                let there = here - dot(&normals[k], j);
                if here <= -there { T::zero() } else { T::one() }
            };
            let change = best - shares[k];
            z.iter_mut().zip(j).for_each(|(z, &j)| *z -= change * j);
            shares[k] = best;
            moved = moved.max(change.abs());
        }
        if moved <= epsilon::<T>() {
            break;
        }
    }
    shares
}
