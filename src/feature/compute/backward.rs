//! Backward pass of piecewise linear activations with one output:
//! `G_i = sum_j g_j sigma'(b_i . x_j) x_j` for a block of particles.
//!
//! The signs of the preactivations are sufficient: `sigma(u) = sigma'(u) u`, so
//! `sum_j g_j sigma(b_i . x_j) = b_i . G_i`. Each sum runs over the panels in order, j = 1, .., n.
//! From 24 features on, those of a panel are summed separately, otherwise those of a run of panels.

use std::ops::Range;

use super::blocking::{Blocking, SAMPLES, STRIP, Stored};
use super::microkernel::{add_sample_lane_sums, add_weighted_features, preactivations};
use super::operands::{Operands, Panel, Rows};
use crate::activation::Slopes;
use crate::numeric::packed::{WIDE, whole_lines};
use crate::numeric::simd::{Simd, SimdKernel, SimdScalar, launch};

/// Samples after which the sums of lanes are reduced and added to the outputs.
const RUN: usize = 4096;

/// Sums of lanes of a tile, by features.
#[repr(align(64))]
struct Sums<X>(X);

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
        if whole_lines::<E>(self.operands.d) == 0 {
            self.sample_lanes::<S, R, V>(s);
        } else {
            self.feature_lanes::<S, R, V>(s);
        }
    }
}

impl<E: SimdScalar> LinearBackward<'_, E> {
    /// Panels, then strips of particles: panels of many features do not stay in the L1 cache.
    #[inline(always)]
    fn feature_lanes<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        let Operands { d, .. } = self.operands;
        let p = self.operands.p();
        let mut rows = Rows::<E, 2>::zeros();
        let mut strip = Rows::<E, STRIP>::zeros();
        let (tiles, _) = strip.0.as_chunks_mut::<R>();
        // Signs are expanded for each block of features; recomputation would be repeated.
        let end = self.first + self.out.len() / p;
        let block = if end <= self.blocking.stored_particles {
            self.blocking.features::<E>(d)
        } else {
            d
        };
        for first in (0..self.blocking.padded).step_by(self.blocking.panel) {
            let last = (first + self.blocking.panel).min(self.blocking.padded);
            let panel = self.operands.panel(first, last);
            let sides = sides(self.slopes, &self.g[first..last], &mut rows);
            for features in (0..d).step_by(block) {
                let strips = self.out.chunks_mut(STRIP * p);
                for (i, out) in (self.first..).step_by(STRIP).zip(strips) {
                    let tiles = &mut tiles[..out.len().div_ceil(R * p)];
                    for (t, i) in tiles.iter_mut().zip((i..).step_by(R)) {
                        let inputs = (self.operands, self.blocking, self.words);
                        weights::<E, S, R, V>(s, inputs, i, first..last, sides, t);
                    }
                    let features = features..(features + block).min(d);
                    add_weighted_features::<E, S, R, V>(s, tiles, panel, [d, p], features, out);
                }
            }
        }
    }

    /// Tiles of particles, then panels: the sums of lanes are reduced once in [`RUN`] samples.
    #[inline(always)]
    fn sample_lanes<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        let Operands { d, .. } = self.operands;
        let (p, Blocking { padded, panel, .. }) = (self.operands.p(), self.blocking);
        let mut rows = Rows::<E, 2>::zeros();
        let mut t = Rows::<E, R>::zeros();
        let mut sums = Sums([[s.zero(); R]; WIDE]);
        let sums = &mut sums.0[..d];
        let tiles = (self.first..).step_by(R);
        for (i, out) in tiles.zip(self.out.chunks_mut(R * p)) {
            for run in (0..padded).step_by(RUN / panel * panel) {
                sums.fill([s.zero(); R]);
                let end = (run + RUN / panel * panel).min(padded);
                for first in (run..end).step_by(panel) {
                    let last = (first + panel).min(end);
                    let sides = sides(self.slopes, &self.g[first..last], &mut rows);
                    let inputs = (self.operands, self.blocking, self.words);
                    weights::<E, S, R, V>(s, inputs, i, first..last, sides, &mut t.0);
                    let lines = self.operands.panel(first, last).samples;
                    add_sample_lane_sums::<E, S, R, V>(s, &t.0, lines, d, sums);
                }
                for (r, out) in out.chunks_exact_mut(p).enumerate() {
                    for (g, sums) in out[p - d..].iter_mut().zip(sums.iter()) {
                        *g += s.reduce_sum(sums[r]);
                    }
                }
            }
        }
    }
}

/// `g_j sigma'` for positive and for other preactivations, for the samples of one panel.
#[inline(always)]
fn sides<'s, E: SimdScalar>(slopes: Slopes<E>, g: &[E], rows: &'s mut Rows<E, 2>) -> [&'s [E]; 2] {
    let (on, off) = rows.first(2, g.len()).split_at_mut(g.len());
    for ((on, off), &g) in on.iter_mut().zip(off.iter_mut()).zip(g) {
        (*on, *off) = (slopes.positive * g, slopes.negative * g);
    }
    [on, off]
}

/// `t[r][j] = g_j sigma'(b_(i + r) . x_j)` for the samples of one panel, from the stored signs or
/// from recomputed preactivations.
#[inline(always)]
fn weights<E: SimdScalar, S: Simd<E>, const R: usize, const V: usize>(
    s: S,
    (operands, blocking, words): (Operands<'_, E>, Blocking, &[E]),
    i: usize,
    samples: Range<usize>,
    sides: [&[E]; 2],
    t: &mut [[E; SAMPLES]; R],
) {
    match blocking.stored {
        Stored::Signs { per_word } if i < blocking.stored_particles => {
            let start = samples.start * blocking.stored_rows + i / per_word * samples.len();
            let words = &words[start..][..samples.len()];
            expand::<E, S, R>(s, words, i % per_word, sides, t);
        }
        _ => {
            let panel = operands.panel(samples.start, samples.end);
            recompute::<E, S, R, V>(s, operands.directions(i), panel, sides, t);
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
