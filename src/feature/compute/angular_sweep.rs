//! The planar sweep: sums over half planes for `d = 2`, in `O((n + m) log(n + m))` instead of `O(n m)`.
//!
//! Let `sigma(u) = alpha u` for `u > 0` and `beta u` for `u < 0`. With `s(u)` its slope,
//!
//! ```text
//! h(x_j) = sum_i c_i a_i sigma(b_i . x_j) = x_j . H_j,    H_j = sum_i s(b_i . x_j) c_i a_i b_i
//! da_i = - b_i . G_i,  db_i = - a_i G_i,                  G_i = sum_j s(b_i . x_j) g_j x_j
//! ```
//!
//! and each of these sums runs over the two half planes that a vector bounds: over two windows of the others' angles.
//! So both sets are sorted by angle, running sums are taken once round the circle, and the ends of the windows move
//! on with the vector that asks (a one-dimensional sample with a bias coordinate is a vector of the plane).
//!
//! Whoever lies within rounding of the boundary is settled by the sign of the computed inner product, so membership
//! is that of the plain definition: always, also with ties, underflow and overflow. The running sums carry twice the
//! precision of `f64`; the error of an output is a few units in the last place of the sum of its own terms' sizes,
//! plus `2^-100` of that of all.

use crate::activation::Slopes;
use crate::numeric::angular_order::{Circle, widen};
use crate::real::{Real, real, to_f64};

mod half_plane_sums;

use crate::numeric::double_double::DoubleDouble;
use half_plane_sums::{Members, in_blocks};

/// Whether a sweep over n samples and m particles with one output is faster than the fused tiles.
///
/// Measured: a sweep costs 19 ns a vector at 600 vectors and 25 ns at 20 000; the tiles 0.32 ns a pair on one thread in
/// f64, half of that in f32, and half again on two threads, which pay from about a million pairs on.
pub(crate) fn is_profitable<T: Real>(n: usize, m: usize) -> bool {
    let (n, m) = (n as f64, m as f64);
    let lanes = size_of::<f64>() as f64 / size_of::<T>() as f64;
    let crossing = lanes * if n * m < 1e6 { 64.0 } else { 160.0 };
    n.max(m) <= f64::from(u32::MAX) && n * m >= crossing * (n + m)
}

/// The buffers of a sweep; nothing is allocated from the second call on a shape on.
#[derive(Debug, Clone)]
pub(crate) struct Planar<T> {
    particles: Circle<T>,
    sums: Vec<DoubleDouble>,
    /// Sums over half planes, in the order of the angle of the vectors that bound them.
    halves: Vec<[f64; 2]>,
}

impl<T> Default for Planar<T> {
    fn default() -> Self {
        Self {
            particles: Circle::default(),
            sums: Vec::new(),
            halves: Vec::new(),
        }
    }
}

impl<T: Real> Planar<T> {
    /// Sorts the particles `w` (`(k + 2) x m`, each `(a, b)`): before [`predict`](Self::predict) and
    /// [`add_vjp`](Self::add_vjp), once for both.
    pub(crate) fn sort(&mut self, w: &[T], k: usize) {
        let p = k + 2;
        self.particles
            .sort(w.len() / p, |i| [w[i * p + k], w[i * p + k + 1]]);
    }

    /// `h(x_j) = sum_i c_i a_i sigma(b_i . x_j)` into `out` (`k x n`).
    ///
    /// Returns false, with `out` spoiled, where a running sum overflows; the plain method may still succeed.
    #[must_use]
    pub(crate) fn predict(
        &mut self,
        samples: &Circle<T>,
        (w, c): (&[T], &[T]),
        k: usize,
        slopes: Slopes<T>,
        out: &mut [T],
    ) -> bool {
        let p = k + 2;
        let (particles, sums) = (&self.particles, &mut self.sums);
        let term = |i: usize, b: [f64; 2], l: usize| {
            let ca = to_f64(c[i]) * to_f64(w[i * p + l]);
            b.map(|b| ca * b)
        };
        let members = Members::new(particles, k, slopes, sums, term);
        if !members.is_finite() {
            return false;
        }
        self.halves.resize(samples.len() * k, [0.0; 2]);
        members.sweep(samples, &mut self.halves);
        let halves = &self.halves;
        in_blocks(out, k, |first, out| {
            for (j, out) in (first..).zip(out.chunks_exact_mut(k)) {
                let s = samples.place(j);
                let x = widen(samples.vector(s));
                for (h, half) in out.iter_mut().zip(&halves[s * k..]) {
                    *h = real(x[0] * half[0] + x[1] * half[1]);
                }
            }
        });
        true
    }

    /// The pull-back of `g` (`k x n`): `values[i] = sum_j <g_j, a_i sigma(b_i . x_j)>`, where they are asked for, and
    /// `descent` (`(k + 2) x m`) minus their gradient: `-sum_j g_j sigma(b_i . x_j)` in a,
    /// `-sum_j <g_j, a_i> sigma'(b_i . x_j) x_j` in b.
    ///
    /// Returns false, with the outputs spoiled, where a running sum overflows; the plain method may still succeed.
    #[must_use]
    pub(crate) fn add_vjp(
        &mut self,
        samples: &Circle<T>,
        g: &[T],
        (w, k): (&[T], usize),
        slopes: Slopes<T>,
        values: Option<&mut [T]>,
        descent: &mut [T],
    ) -> bool {
        let p = k + 2;
        let (particles, sums) = (&self.particles, &mut self.sums);
        let term = |j: usize, x: [f64; 2], l: usize| {
            let g = to_f64(g[j * k + l]);
            x.map(|x| g * x)
        };
        let members = Members::new(samples, k, slopes, sums, term);
        if !members.is_finite() {
            return false;
        }
        self.halves.resize(particles.len() * k, [0.0; 2]);
        members.sweep(particles, &mut self.halves);
        let halves = &self.halves;
        in_blocks(descent, p, |first, descent| {
            let particles = (first..).zip(w[first * p..].chunks_exact(p));
            for ((i, w), v) in particles.zip(descent.chunks_exact_mut(p)) {
                let s = self.particles.place(i);
                let b = [to_f64(w[k]), to_f64(w[k + 1])];
                let mut db = [0.0; 2];
                for l in 0..k {
                    let (a, half) = (to_f64(w[l]), halves[s * k + l]);
                    v[l] = real(-(b[0] * half[0] + b[1] * half[1]));
                    db = [db[0] - a * half[0], db[1] - a * half[1]];
                }
                (v[k], v[k + 1]) = (real(db[0]), real(db[1]));
            }
        });
        if let Some(values) = values {
            let particles = w.chunks_exact(p).zip(descent.chunks_exact(p));
            for ((w, v), value) in particles.zip(values) {
                *value = w[..k]
                    .iter()
                    .zip(v)
                    .fold(T::zero(), |sum, (&a, &da)| sum - a * da);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
