//! Dual tree: sums over half spaces for `d = 3, 4, 5`, in about `O(N^(2 - 1 / (d - 1)))` for
//! n = m = N instead of `O(N^2)`.
//!
//! With `alpha` and `beta` the slopes of sigma on both sides of 0, both passes are sums over half
//! spaces, as in the [angular sweep](super::angular_sweep):
//!
//! ```text
//! h(x_j) = x_j . H_j,                   H_j = sum_i s(b_i . x_j) c_i a_i b_i
//! da_i = - b_i . G_i,  db_i = - a_i G_i,  G_i = sum_j s(b_i . x_j) g_j x_j
//! ```
//!
//! Samples and particles are the vectors of two trees of directions. A pair of nodes is decided if
//! all inner products of its vectors have one sign, as computed; the sum of a node of the one tree
//! then counts for all vectors of a node of the other one. Undecided pairs are split, and pairs of
//! vectors are evaluated in the end. (Gray and Moore 2001, N-body problems in statistical
//! learning.)
//!
//! Membership of db equals that of the definition, also with ties, underflow and overflow. Sums
//! are in the rounding of T, over nodes: an output has fewer terms than in the plain sum. If none
//! of the slopes is 0, the sum over the one half space is that of all vectors minus the other one,
//! with the rounding error of the former. Every line of outputs has one owner, which decides on the
//! nodes in a fixed order.
//!
//! Pairs that no test decides, such as equal samples on the hyperplane of equal particles, cost as
//! much as in the tiles.

use super::super::workspace::TreeBuffers;
use super::signs::has_masks;
use crate::activation::Slopes;
use crate::numeric::direction_tree::{DirectionTree, MAX_DIM};
use crate::numeric::packed::line;
use crate::numeric::parallel::{Parts, for_each};
use crate::real::Real;

mod caps;
mod half_space_sums;
mod leaf;
mod refine;
mod traversal;

use half_space_sums::{HalfSpaceSums, OUTPUTS};
use traversal::Pass;

/// Rows of a block of outputs.
const BLOCK: usize = 1024;

/// Numbers N such that a tree is faster if `n m >= N (n + 2 m)`, that is, from `n = m = 3 N` on,
/// for d = 3, 4, 5. Each row has those of `f64` and `f32` beside tiles that are pointwise, that are
/// fused, and that are fused with mask registers.
///
/// Measured on one thread, for n = m up to the factor 1.2 on the safe side: benches/README.md, "Small
/// dimensions". The particles count twice, as their tree is built in every step.
const CROSSINGS: [[[f64; 2]; 3]; 3] = [
    [[100.0, 135.0], [400.0, 670.0], [800.0, 1220.0]],
    [[170.0, 300.0], [1650.0, 3400.0], [6700.0, 9600.0]],
    [[300.0, 800.0], [7200.0, 8800.0], [15500.0, 15500.0]],
];

/// Returns true if a dual tree over n samples and m particles in `R^d` is faster than the tiles,
/// which are `fused` if the signs of the preactivations determine all derivatives.
pub(super) fn is_profitable<T: Real>(n: usize, m: usize, d: usize, fused: bool) -> bool {
    if !(3..=MAX_DIM).contains(&d) || n.max(m) > u32::MAX as usize {
        return false;
    }
    let single = usize::from(size_of::<T>() == size_of::<f32>());
    let tiles = usize::from(fused) * (1 + usize::from(has_masks()));
    let crossing = CROSSINGS[d - 3][tiles][single];
    let (n, m) = (n as f64, m as f64);
    n * m >= crossing * (n + 2.0 * m)
}

/// The operands of a dual tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct DualTree<'a, T> {
    pub(super) samples: &'a DirectionTree<T>,
    /// The particles `(a_i, b_i)`, `(k + d) x m`.
    pub(super) w: &'a [T],
    /// The number of outputs.
    pub(super) k: usize,
    /// The slopes of sigma.
    pub(super) slopes: Slopes<T>,
}

impl<T: Real> DualTree<'_, T> {
    /// Builds the tree of the particles. Required once before [`predict`](Self::predict) and
    /// [`variation`](Self::variation).
    ///
    /// Returns false if the norms of many vectors are so small or large that no test can decide.
    #[must_use]
    pub(super) fn sort(&self, buffers: &mut TreeBuffers<T>) -> bool {
        let (w, k, p) = (self.w, self.k, self.k + self.samples.dim());
        let particles = &mut buffers.particles;
        self.samples.is_regular() && {
            particles.fill_against(self.samples, w.len() / p, |i| &w[i * p + k..(i + 1) * p]);
            particles.is_regular()
        }
    }

    /// `h(x_j) = sum_i c_i a_i sigma(b_i . x_j)` into `out` (`k x n`).
    ///
    /// Returns false, with `out` unspecified, if a sum may overflow or consist of subnormal
    /// numbers.
    #[must_use]
    pub(super) fn predict(&self, c: &[T], out: &mut [T], buffers: &mut TreeBuffers<T>) -> bool {
        let (samples, w, k, d) = (self.samples, self.w, self.k, self.samples.dim());
        let TreeBuffers {
            particles,
            sums,
            results,
            lists,
        } = buffers;
        let p = k + d;
        for first in (0..k).step_by(OUTPUTS) {
            let outputs = OUTPUTS.min(k - first);
            let weight = |i: usize, l: usize| c[i] * w[i * p + first + l];
            let sums = HalfSpaceSums::new(particles, outputs, self.slopes, sums, weight);
            if !sums.is_in_range(samples.largest()) {
                return false;
            }
            sums.run(Pass::Predictions, samples, results, lists);
            let (results, width, rows) = (results.as_slice(), line::<T>(), sums.rows);
            in_blocks(out, k, |start, out| {
                for (j, out) in (start..).zip(out.chunks_exact_mut(k)) {
                    let s = samples.position(j);
                    let out = &mut out[first..first + outputs];
                    if s >= samples.nonzero() {
                        out.fill(T::zero());
                        continue;
                    }
                    let at = s / width * rows * width + s % width;
                    for (l, h) in out.iter_mut().enumerate() {
                        let mut sum = results[at + l * width];
                        if sums.base != T::zero() {
                            let x = samples.vectors()[s / width * d * width + s % width..].iter();
                            let total = sums.total[l][..d].iter().zip(x.step_by(width));
                            sum += sums.base * total.fold(T::zero(), |sum, (&t, &x)| sum + t * x);
                        }
                        *h = sum;
                    }
                }
            });
        }
        true
    }

    /// The linear functional of `g` (`k x n`): `values[i] = sum_j <g_j, a_i sigma(b_i . x_j)>`, and
    /// `descent` (`(k + d) x m`), minus its gradient: `-sum_j g_j sigma(b_i . x_j)` in a,
    /// `-sum_j <g_j, a_i> sigma'(b_i . x_j) x_j` in b. `values` may be empty.
    ///
    /// Returns false, with the outputs unspecified, if a sum may overflow or consist of subnormal
    /// numbers.
    #[must_use]
    pub(super) fn variation(
        &self,
        g: &[T],
        values: &mut [T],
        descent: &mut [T],
        buffers: &mut TreeBuffers<T>,
    ) -> bool {
        let (samples, w, k, d) = (self.samples, self.w, self.k, self.samples.dim());
        let TreeBuffers {
            particles,
            sums,
            results,
            lists,
        } = buffers;
        let p = k + d;
        for first in (0..k).step_by(OUTPUTS) {
            let outputs = OUTPUTS.min(k - first);
            let weight = |j: usize, l: usize| g[j * k + first + l];
            let sums = HalfSpaceSums::new(samples, outputs, self.slopes, sums, weight);
            if !sums.is_in_range(particles.largest()) {
                return false;
            }
            sums.run(Pass::Variations, particles, results, lists);
            let (results, width, rows) = (results.as_slice(), line::<T>(), sums.rows * d);
            in_blocks(descent, p, |start, descent| {
                let particles_of_block = (start..).zip(w[start * p..].chunks_exact(p));
                for ((i, w), v) in particles_of_block.zip(descent.chunks_exact_mut(p)) {
                    let (a, b) = w.split_at(k);
                    let (da, db) = v.split_at_mut(k);
                    if first == 0 {
                        db.fill(T::zero());
                    }
                    let s = particles.position(i);
                    let at = s / width * rows * width + s % width;
                    for l in 0..outputs {
                        let mut db_l = T::zero();
                        for r in 0..d {
                            let half = if s < particles.nonzero() {
                                results[at + (l * d + r) * width] + sums.base * sums.total[l][r]
                            } else {
                                self.slopes.zero * sums.total[l][r]
                            };
                            db_l += b[r] * half;
                            db[r] -= a[first + l] * half;
                        }
                        da[first + l] = -db_l;
                    }
                }
            });
        }
        let particles = w.chunks_exact(p).zip(descent.chunks_exact(p));
        for (value, (w, v)) in values.iter_mut().zip(particles) {
            let products = w[..k].iter().zip(v);
            *value = products.fold(T::zero(), |sum, (&a, &da)| sum - a * da);
        }
        true
    }
}

/// Calls `work(first, rows)` on blocks of rows of `out`, in parallel.
fn in_blocks<S: Send>(out: &mut [S], width: usize, work: impl Fn(usize, &mut [S]) + Sync) {
    let blocks = Parts::new(out, BLOCK * width);
    for_each(blocks, true, &|block, rows: Parts<'_, S>| {
        work(block * BLOCK, rows.data)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::simd::SimdScalar;
    use crate::numeric::vector::dot;

    /// All numbers are small integers, hence all sums exact.
    fn check<T: SimdScalar>(n: usize, m: usize, d: usize, k: usize, slopes: [i8; 3]) {
        let [negative, zero, positive] = slopes.map(|s| T::from_subset(&f64::from(s)));
        let slopes = Slopes {
            negative,
            zero,
            positive,
        };
        let integers = |len: usize, seed: usize| -> Vec<T> {
            let hash = |q: usize| (q + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            (0..len)
                .map(|q| T::from_subset(&((hash(q) % 3) as f64 - 1.0)))
                .collect()
        };
        let (mut x, mut w) = (integers(n * d, 1), integers(m * (k + d), 2));
        (x[0], w[k]) = (T::one(), T::one()); // not all vectors are 0
        let (c, g) = (integers(m, 3), integers(n * k, 4));
        let mut samples = DirectionTree::default();
        samples.fill(&x, d);
        let tree = DualTree {
            samples: &samples,
            w: &w,
            k,
            slopes,
        };
        let (mut h, mut v) = (vec![T::zero(); n * k], vec![T::zero(); m * (k + d)]);
        let (mut h_found, mut v_found, mut values) = (h.clone(), v.clone(), vec![T::zero(); m]);
        for (j, x) in x.chunks_exact(d).enumerate() {
            for (i, w) in w.chunks_exact(k + d).enumerate() {
                let (a, b) = w.split_at(k);
                let u = dot(b, x);
                let slope = if u > T::zero() {
                    positive
                } else if u < T::zero() {
                    negative
                } else {
                    zero
                };
                let v = &mut v[i * (k + d)..][..k + d];
                for l in 0..k {
                    h[j * k + l] += c[i] * a[l] * slope * u;
                    v[l] -= g[j * k + l] * slope * u;
                    for r in 0..d {
                        v[k + r] -= g[j * k + l] * a[l] * slope * x[r];
                    }
                }
            }
        }
        let mut buffers = TreeBuffers::default();
        assert!(tree.sort(&mut buffers));
        assert!(tree.predict(&c, &mut h_found, &mut buffers));
        assert!(tree.variation(&g, &mut values, &mut v_found, &mut buffers));
        let what = format!("{n} x {m}, d = {d}, k = {k}, {slopes:?}");
        assert_eq!(h_found, h, "{what}");
        assert_eq!(v_found, v, "{what}");
        for (i, value) in values.into_iter().enumerate() {
            let at = i * (k + d)..i * (k + d) + k;
            assert_eq!(value, -dot(&w[at.clone()], &v[at]), "{what}");
        }
    }

    #[test]
    fn small_sets_are_summed_exactly() {
        for (n, m) in [(1, 1), (1, 90), (90, 1), (70, 65), (7, 1100), (1100, 7)] {
            for (d, k) in [(3, 1), (3, 5), (4, 1), (5, 2)] {
                for slopes in [[0, 0, 1], [-1, 0, 1], [1, 0, 0], [2, 1, 2], [1, 1, -2]] {
                    check::<f32>(n, m, d, k, slopes);
                    check::<f64>(n, m, d, k, slopes);
                }
            }
        }
    }

    #[test]
    fn sums_that_may_overflow_are_reported() {
        let mut samples = DirectionTree::default();
        samples.fill(&[1e-3, 2e-3, -1e-3, 1.0, 1.0, 1.0], 3);
        let tree = DualTree {
            samples: &samples,
            w: &[1e10, 1e300, 1e300, 1.0],
            k: 1,
            slopes: Slopes {
                negative: 0.0,
                zero: 0.0,
                positive: 1.0,
            },
        };
        let mut buffers = TreeBuffers::default();
        assert!(tree.sort(&mut buffers));
        assert!(!tree.predict(&[1.0], &mut [0.0; 2], &mut buffers));
    }
}
