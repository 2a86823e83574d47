//! Backward pass of piecewise linear activations with one output:
//! `G_i = sum_j g_j sigma'(b_i . x_j) x_j` for a block of particles.
//!
//! The signs of the preactivations are sufficient: `sigma(u) = sigma'(u) u`, so
//! `sum_j g_j sigma(b_i . x_j) = b_i . G_i`. Each sum runs over the panels in order, j = 1, .., n;
//! the tiles of a panel are summed separately.

use super::blocking::{Blocking, SAMPLES, Stored};
use super::microkernel::{add_weighted_features, preactivations};
use super::operands::{Operands, Panel, Rows, STRIP};
use crate::activation::Slopes;
use crate::numeric::simd::{Simd, SimdKernel, SimdScalar, launch};

/// `G_i` for one block of particles.
pub(super) struct LinearBackward<'a, E> {
    pub(super) operands: Operands<'a, E>,
    pub(super) blocking: Blocking,
    /// The slopes of sigma, `zero == negative`.
    pub(super) slopes: Slopes<E>,
    /// `g`, 0 beyond the last sample.
    pub(super) g: &'a [E],
    /// The words of sign bits that the forward pass stored, by panels.
    pub(super) words: &'a [E],
    /// The first particle of the block.
    pub(super) first: usize,
    /// Columns `(., G_i)`, `p x particles`: `G_i` is added.
    pub(super) out: &'a mut [E],
}

launch!(LinearBackward);

impl<E: SimdScalar> SimdKernel for LinearBackward<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        let (operands, blocking, slopes) = (self.operands, self.blocking, self.slopes);
        let (d, p) = (operands.d, operands.p());
        let mut sides = Rows::<E, 2>::zeros();
        let mut strip = Rows::<E, STRIP>::zeros();
        let (tiles, _) = strip.0.as_chunks_mut::<R>();
        for first in (0..blocking.padded).step_by(blocking.panel) {
            let last = (first + blocking.panel).min(blocking.padded);
            let n = last - first;
            let (on, off) = sides.first(2, n).split_at_mut(n);
            let samples = on.iter_mut().zip(off.iter_mut()).zip(&self.g[first..last]);
            for ((on, off), &g) in samples {
                (*on, *off) = (slopes.positive * g, slopes.negative * g);
            }
            let sides = [&*on, &*off];
            let panel = operands.panel(first, last);
            let words = &self.words[first * blocking.stored_rows..last * blocking.stored_rows];
            let strips = self.out.chunks_mut(STRIP * p);
            for (i, out) in (self.first..).step_by(STRIP).zip(strips) {
                let tiles = &mut tiles[..out.len().div_ceil(R * p)];
                for (t, i) in tiles.iter_mut().zip((i..).step_by(R)) {
                    match blocking.stored {
                        Stored::Signs { per_word } if i < blocking.stored_particles => {
                            let words = &words[i / per_word * n..][..n];
                            expand::<E, S, R>(s, words, i % per_word, sides, t);
                        }
                        _ => recompute::<E, S, R, V>(s, operands.directions(i), panel, sides, t),
                    }
                }
                add_weighted_features::<E, S, R, V>(s, tiles, panel, d, p, out);
            }
        }
    }
}

/// `t[r][j] = g_j sigma'(b_(i + r) . x_j)`, from the stored signs; `sides` are the values for
/// positive and for other preactivations.
#[inline(always)]
fn expand<E: SimdScalar, S: Simd<E>, const R: usize>(
    s: S,
    words: &[E],
    first: usize,
    sides: [&[E]; 2],
    t: &mut [[E; SAMPLES]; R],
) {
    let words = S::vectors(words);
    let [on, off] = sides.map(|side| &S::vectors(side)[..words.len()]);
    for (r, t) in t.iter_mut().enumerate() {
        let bit = s.bit(first + r);
        for (((t, &word), &on), &off) in S::vectors_mut(t).iter_mut().zip(words).zip(on).zip(off) {
            *t = s.select(s.has_bit(word, bit), on, off);
        }
    }
}

/// `t[r][j] = g_j sigma'(b_(i + r) . x_j)`, from recomputed preactivations.
#[inline(always)]
fn recompute<E: SimdScalar, S: Simd<E>, const R: usize, const V: usize>(
    s: S,
    b: [&[E]; R],
    panel: Panel<'_, E>,
    sides: [&[E]; 2],
    t: &mut [[E; SAMPLES]; R],
) {
    let [on, off] = sides.map(|side| S::vectors(side).as_chunks::<V>().0);
    let lines = on.len();
    preactivations::<E, S, R, V>(
        s,
        b,
        panel.samples,
        lines,
        #[inline(always)]
        |l, u| {
            for v in 0..V {
                for r in 0..R {
                    S::vectors_mut(&mut t[r]).as_chunks_mut::<V>().0[l][v] =
                        s.select_positive(u[r][v], on[l][v], off[l][v]);
                }
            }
        },
    );
}
