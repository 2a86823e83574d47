//! Backward pass of piecewise linear activations without mask registers: the signs of a tile of
//! particles are expanded to weights `t_ij = g_j sigma'(b_i . x_j)`, which multiply the samples.
//!
//! From 24 features on, lanes are features and the sums of a panel are added separately; otherwise
//! lanes are samples, and their sums over a run of panels are reduced.

use std::ops::Range;

use super::backward::LinearBackward;
use super::blocking::{Blocking, SAMPLES, STRIP};
use super::microkernel::{add_weighted_features, sample_lane_products};
use super::operands::{Operands, Rows};
use crate::activation::Slopes;
use crate::numeric::packed::{WIDE, whole_lines};
use crate::numeric::simd::{Simd, SimdKernel, SimdScalar, launch};

/// Sums of lanes of a tile, by features.
#[repr(align(64))]
struct Sums<X>(X);

/// [`LinearBackward`] in tiles, for instructions without mask registers and more than `FEW` inputs.
/// A kernel of its own, so that only one of the two is compiled into a function.
pub(super) struct TiledBackward<'a, E>(pub(super) LinearBackward<'a, E>);

launch!(TiledBackward);

impl<E: SimdScalar> SimdKernel for TiledBackward<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        if S::MASKED {
            unreachable!("a kernel for levels without mask registers");
        }
        self.0.tiles::<S, R, V>(s);
    }
}

impl<E: SimdScalar> LinearBackward<'_, E> {
    /// All particles, in tiles of R.
    #[inline(always)]
    fn tiles<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        if !self.add {
            self.out.fill(E::zero());
        }
        if whole_lines::<E>(self.operands.d) == 0 {
            self.sample_lanes::<S, R, V>(s);
        } else {
            self.feature_lanes::<S, R, V>(s);
        }
    }

    /// The words of particle i for the samples of a panel, and its bit.
    #[inline(always)]
    fn words_of(&self, i: usize, samples: Range<usize>) -> (&[E], usize) {
        let (rows, per_word) = (self.blocking.stored_by(1), self.per_word);
        let start = samples.start * rows + i / per_word * samples.len();
        (&self.words[start..][..samples.len()], i % per_word)
    }

    /// Panels, then strips of particles: panels of many features do not stay in the L1 cache.
    #[inline(always)]
    fn feature_lanes<S: Simd<E>, const R: usize, const V: usize>(mut self, s: S) {
        let Operands { d, .. } = self.operands;
        let p = self.operands.p();
        let mut rows = Rows::<E, 2>::zeros();
        let out = std::mem::take(&mut self.out);
        let mut strip = Rows::<E, STRIP>::zeros();
        let (tiles, _) = strip.0.as_chunks_mut::<R>();
        let block = self.blocking.features::<E>(d);
        for first in (0..self.blocking.padded).step_by(self.blocking.panel) {
            let last = (first + self.blocking.panel).min(self.blocking.padded);
            let panel = self.operands.panel(first, last);
            let sides = sides(self.slopes, &self.g[first..last], &mut rows);
            for features in (0..d).step_by(block) {
                let strips = out.chunks_mut(STRIP * p);
                for (i, out) in (self.first..).step_by(STRIP).zip(strips) {
                    let tiles = &mut tiles[..out.len().div_ceil(R * p)];
                    for (t, i) in tiles.iter_mut().zip((i..).step_by(R)) {
                        let (words, bit) = self.words_of(i, first..last);
                        expand::<E, S, R>(s, words, bit, sides, t);
                    }
                    let features = features..(features + block).min(d);
                    add_weighted_features::<E, S, R, V>(s, tiles, panel, [d, p], features, out);
                }
            }
        }
    }

    /// Tiles of particles, then panels: the sums of lanes are reduced once.
    #[inline(always)]
    fn sample_lanes<S: Simd<E>, const R: usize, const V: usize>(mut self, s: S) {
        let Operands { d, .. } = self.operands;
        let (p, Blocking { padded, panel, .. }) = (self.operands.p(), self.blocking);
        let mut rows = Rows::<E, 2>::zeros();
        let mut t = Rows::<E, R>::zeros();
        let mut sums = Sums([[s.zero(); R]; WIDE]);
        let sums = &mut sums.0[..d];
        let tiles = (self.first..).step_by(R);
        let out = std::mem::take(&mut self.out);
        for (i, out) in tiles.zip(out.chunks_mut(R * p)) {
            sums.fill([s.zero(); R]);
            for first in (0..padded).step_by(panel) {
                let last = (first + panel).min(padded);
                let sides = sides(self.slopes, &self.g[first..last], &mut rows);
                let (words, bit) = self.words_of(i, first..last);
                expand::<E, S, R>(s, words, bit, sides, &mut t.0);
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

/// `g_j sigma'` for positive and for other preactivations, for the samples of one panel.
#[inline(always)]
fn sides<'s, E: SimdScalar>(slopes: Slopes<E>, g: &[E], rows: &'s mut Rows<E, 2>) -> [&'s [E]; 2] {
    let (on, off) = rows.first(2, g.len()).split_at_mut(g.len());
    for ((on, off), &g) in on.iter_mut().zip(off.iter_mut()).zip(g) {
        (*on, *off) = (slopes.positive * g, slopes.negative * g);
    }
    [on, off]
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

/// Adds the products `t[r][j] x[j][f]` to the sums of lanes `sums[f R + r]`, for all features.
#[inline(always)]
fn add_sample_lane_sums<E: SimdScalar, S: Simd<E>, const R: usize, const V: usize>(
    s: S,
    t: &[[E; SAMPLES]; R],
    lines: &[E],
    d: usize,
    sums: &mut [[S::Vector; R]],
) {
    let (pairs, last) = sums[..d].as_chunks_mut::<2>();
    for (f, sums) in pairs.iter_mut().enumerate() {
        *sums = sample_lane_products::<E, S, R, V, 2>(s, t, lines, [d, 2 * f], *sums);
    }
    if let Some(sums) = last.first_mut() {
        *sums = sample_lane_products::<E, S, R, V, 1>(s, t, lines, [d, d - 1], [*sums])[0];
    }
}
