//! Angular sweep: sums over half planes for `d = 2`, in `O((n + m) log(n + m))` instead of
//! `O(n m)`.
//!
//! Let `sigma(u) = alpha u` for `u > 0` and `beta u` for `u < 0`. With `s(u)` its slope,
//!
//! ```text
//! h(x_j) = sum_i c_i a_i sigma(b_i . x_j) = x_j . H_j,    H_j = sum_i s(b_i . x_j) c_i a_i b_i
//! da_i = - b_i . G_i,  db_i = - a_i G_i,                  G_i = sum_j s(b_i . x_j) g_j x_j
//! ```
//!
//! and each of these sums runs over the two half planes that a vector bounds, that is, over two
//! intervals of angles. So both sets are sorted by angle, prefix sums are computed once around the
//! circle, and the ends of the intervals advance with the query vector. (A one-dimensional sample
//! with a bias coordinate is a vector of the plane.)
//!
//! Vectors within rounding of the boundary are classified by the sign of the computed inner
//! product. So membership equals that of the definition, also with ties, underflow and overflow.
//! The prefix sums are in double-double arithmetic; the error of an output is a few units in the
//! last place of the sum of the absolute values of its own terms, plus `2^-100` of that of all
//! terms.

use crate::activation::Slopes;
use crate::feature::workspace::SweepBuffers;
use crate::numeric::angular_order::{AngularOrder, widen};
use crate::real::{Real, real, to_f64};

mod half_plane_sums;

use half_plane_sums::{HalfPlaneSums, in_blocks};

/// Returns true if a sweep over n samples and m particles with one output is faster than the tiles.
///
/// Measured: a sweep costs 19 ns per vector at 600 vectors and 25 ns at 20 000. The tiles cost
/// 0.32 ns per pair on one thread in `f64`, half of that in `f32`, and half again on two threads,
/// which are faster from about a million pairs.
pub(super) fn is_profitable<T: Real>(n: usize, m: usize) -> bool {
    let (n, m) = (n as f64, m as f64);
    let lanes_per_f64_lane = size_of::<f64>() as f64 / size_of::<T>() as f64;
    let crossing = lanes_per_f64_lane * if n * m < 1e6 { 64.0 } else { 160.0 };
    n.max(m) <= f64::from(u32::MAX) && n * m >= crossing * (n + m)
}

/// The operands of a sweep.
#[derive(Debug, Clone, Copy)]
pub(super) struct AngularSweep<'a, T> {
    pub(super) samples: &'a AngularOrder<T>,
    /// The particles `(a_i, b_i)`, `(k + 2) x m`.
    pub(super) w: &'a [T],
    /// The number of outputs.
    pub(super) k: usize,
    /// The slopes of sigma.
    pub(super) slopes: Slopes<T>,
}

impl<T: Real> AngularSweep<'_, T> {
    /// Sorts the particles by the angle of b. Required once before [`predict`](Self::predict) and
    /// [`variation`](Self::variation).
    pub(super) fn sort(&self, buffers: &mut SweepBuffers<T>) {
        let (w, k, p) = (self.w, self.k, self.k + 2);
        let direction = |i| [w[i * p + k], w[i * p + k + 1]];
        buffers.particles.sort(w.len() / p, direction);
    }

    /// `h(x_j) = sum_i c_i a_i sigma(b_i . x_j)` into `out` (`k x n`).
    ///
    /// Returns false, with `out` unspecified, if a prefix sum overflows; the sums over tiles may
    /// still be finite.
    #[must_use]
    pub(super) fn predict(&self, c: &[T], out: &mut [T], buffers: &mut SweepBuffers<T>) -> bool {
        let (samples, w, k, p) = (self.samples, self.w, self.k, self.k + 2);
        let term = |i: usize, b: [f64; 2], l: usize| {
            let ca = to_f64(c[i]) * to_f64(w[i * p + l]);
            b.map(|b| ca * b)
        };
        let (particles, sums) = (&buffers.particles, &mut buffers.sums);
        let half_planes = HalfPlaneSums::new(particles, k, self.slopes, sums, term);
        if !half_planes.is_finite() {
            return false;
        }
        buffers.halves.resize(samples.len() * k, [0.0; 2]);
        half_planes.sweep(samples, &mut buffers.halves);
        let halves = &buffers.halves;
        in_blocks(out, k, |first, out| {
            for (j, out) in (first..).zip(out.chunks_exact_mut(k)) {
                let s = samples.position(j);
                let x = widen(samples.vector(s));
                for (h, half) in out.iter_mut().zip(&halves[s * k..]) {
                    *h = real(x[0] * half[0] + x[1] * half[1]);
                }
            }
        });
        true
    }

    /// The linear functional of `g` (`k x n`): `values[i] = sum_j <g_j, a_i sigma(b_i . x_j)>`, and
    /// `descent` (`(k + 2) x m`), minus its gradient: `-sum_j g_j sigma(b_i . x_j)` in a,
    /// `-sum_j <g_j, a_i> sigma'(b_i . x_j) x_j` in b. `values` may be empty.
    ///
    /// Returns false, with the outputs unspecified, if a prefix sum overflows; the sums over tiles
    /// may still be finite.
    #[must_use]
    pub(super) fn variation(
        &self,
        g: &[T],
        values: &mut [T],
        descent: &mut [T],
        buffers: &mut SweepBuffers<T>,
    ) -> bool {
        let (samples, w, k, p) = (self.samples, self.w, self.k, self.k + 2);
        let (order, sums) = (&buffers.particles, &mut buffers.sums);
        let term = |j: usize, x: [f64; 2], l: usize| {
            let g = to_f64(g[j * k + l]);
            x.map(|x| g * x)
        };
        let half_planes = HalfPlaneSums::new(samples, k, self.slopes, sums, term);
        if !half_planes.is_finite() {
            return false;
        }
        buffers.halves.resize(order.len() * k, [0.0; 2]);
        half_planes.sweep(order, &mut buffers.halves);
        let halves = &buffers.halves;
        in_blocks(descent, p, |first, descent| {
            let particles = (first..).zip(w[first * p..].chunks_exact(p));
            for ((i, w), v) in particles.zip(descent.chunks_exact_mut(p)) {
                let s = order.position(i);
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
        let particles = w.chunks_exact(p).zip(descent.chunks_exact(p));
        for (value, (w, v)) in values.iter_mut().zip(particles) {
            let products = w[..k].iter().zip(v);
            *value = products.fold(T::zero(), |sum, (&a, &da)| sum - a * da);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::angular_order::dot;

    const RELU: Slopes<f64> = Slopes {
        negative: 0.0,
        zero: 0.0,
        positive: 1.0,
    };

    fn angular_order(x: &[f64]) -> AngularOrder<f64> {
        let mut order = AngularOrder::default();
        order.fill(x);
        order
    }

    /// With terms `2^j` every sum is exact; its binary digits indicate the active samples.
    #[test]
    fn membership_is_the_computed_sign() {
        // A lattice: parallel and orthogonal vectors, equal vectors, and zeros of both signs.
        let x: Vec<f64> = (0..80).map(|r| 0.1 * f64::from(r * r % 7 - 3)).collect();
        let b: Vec<f64> = (0..80).map(|r| -0.3 * f64::from(r * 5 % 7 - 3)).collect();
        let (samples, queries, mut sums) = (angular_order(&x), angular_order(&b), Vec::new());
        let term = |j: usize, _: [f64; 2], _: usize| [2_f64.powi(j as i32), 0.0];
        let half_planes = HalfPlaneSums::new(&samples, 1, RELU, &mut sums, term);
        let mut halves = vec![[0.0; 2]; 40];
        half_planes.sweep(&queries, &mut halves);
        for (i, b) in b.as_chunks::<2>().0.iter().enumerate() {
            let samples = x.as_chunks().0.iter().zip(0..);
            let active = samples.filter(|&(&x, _)| dot(*b, x) > 0.0);
            let sum: f64 = active.map(|(_, j)| 2_f64.powi(j)).sum();
            assert_eq!(halves[queries.position(i)][0], sum, "particle {i}");
        }
    }

    #[test]
    fn an_overflow_of_the_sums_is_reported() {
        let sweep = AngularSweep {
            samples: &angular_order(&[1e-300, 1e-300, 2e-300, -1e-300]),
            w: &[1.0, 1e308, 1e308, 1.0, 1e308, 1e307],
            k: 1,
            slopes: RELU,
        };
        let mut buffers = SweepBuffers::default();
        sweep.sort(&mut buffers);
        assert!(!sweep.predict(&[1.0, 1.0], &mut [0.0; 2], &mut buffers));
    }
}
