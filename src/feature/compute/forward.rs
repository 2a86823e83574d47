//! Forward pass of piecewise linear activations with one output:
//! `h(x_j) = sum_i c_i a_i sigma(b_i . x_j)` for the samples of one panel.
//!
//! Tiles of R particles by one line of samples, in order of the particles. Long particles are
//! multiplied by blocks of features, as in BLAS: all tiles of a group use one block of the panel
//! before the next is loaded.

use super::blocking::{SAMPLES, WIDE_PANEL};
use super::microkernel::{
    add_products, broadcast, columns, complete_products, depth, leading_features, tile_sums,
};
use super::operands::{Operands, Rows};
use super::signs::{FEW, SIGN_ROWS};
use crate::activation::Slopes;
use crate::numeric::packed::line;
use crate::numeric::simd::{Simd, SimdKernel, SimdScalar, bytes_mut, launch};

/// Rows of a tile if V = 1: their sums with two lines are in registers.
const TILE: usize = 8;

/// Particles that use a block of features while it is in the L2 cache, at most.
const PARTICLES: usize = 64;

/// How signs are stored: not, or in words of one particle or of one sample.
const NOTHING: u8 = 0;
const BY_PARTICLE: u8 = 1;
const BY_SAMPLE: u8 = 2;

/// `h(x_j)` of one panel; stores the signs of the preactivations.
pub(super) struct LinearForward<'a, E> {
    pub(super) operands: Operands<'a, E>,
    /// The slopes of sigma, `zero == negative`.
    pub(super) slopes: Slopes<E>,
    /// The panel, in lines.
    pub(super) lines: &'a [E],
    /// Predictions of the panel, overwritten.
    pub(super) h: &'a mut [E],
    /// Words of signs; those of particles beyond the last word are not stored. For each tile rows of
    /// the words of its particles, for `per_word` samples a row; with at most [`FEW`] inputs and without
    /// mask registers rows of the words of all samples: bit `i % per_word` of row `i / per_word` is
    /// `b_i . x_j > 0`.
    pub(super) words: &'a mut [E],
    /// The signs in one word.
    pub(super) per_word: usize,
}

launch!(LinearForward);

impl<E: SimdScalar> SimdKernel for LinearForward<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        if V == 1 {
            self.tiles::<S, TILE, SIGN_ROWS, V>(s);
        } else {
            self.tiles::<S, R, R, V>(s);
        }
    }
}

impl<E: SimdScalar> LinearForward<'_, E> {
    /// All particles, in tiles of R; the words of signs of Q particles are neighbours.
    #[inline(always)]
    fn tiles<S: Simd<E>, const R: usize, const Q: usize, const V: usize>(mut self, s: S) {
        self.h.fill(E::zero());
        let m = self.operands.particles();
        let leading = leading_features::<E>(self.operands.d);
        if leading == 0 {
            for i in (0..m).step_by(R) {
                self.tile::<S, R, Q, V>(s, i, &[]);
            }
            return;
        }
        let (n, lines) = (self.h.len(), self.h.len() / line::<E>());
        let mut partial = Rows::<E, { PARTICLES * WIDE_PANEL / SAMPLES }>::zeros();
        let of_group = PARTICLES / R * R;
        let partial = partial.first(of_group, n);
        let mut packed = Rows::<E, R>::zeros();
        for group in (0..m).step_by(of_group) {
            // All tiles of the group use one block of features before the next is loaded.
            let tiles = (group..(group + of_group).min(m)).step_by(R);
            for first in (0..leading).step_by(depth::<E>()) {
                for (i, rows) in tiles.clone().zip(partial.chunks_exact_mut(R * n)) {
                    let b = [i, i + R].map(|i| self.operands.directions::<R>(i));
                    let b = [b[0], columns(&b[1], first, depth::<E>())];
                    let sums = tile_sums::<E, S, R, V>(rows, lines);
                    add_products::<E, S, R, V>(s, b, self.lines, first, &mut packed, sums);
                }
            }
            for (i, rows) in tiles.zip(partial.chunks_exact_mut(R * n)) {
                let sums = tile_sums::<E, S, R, V>(rows, lines);
                self.tile::<S, R, Q, V>(s, i, sums);
            }
        }
    }

    /// Adds the particles of one tile, from i on, to all predictions of the panel.
    #[inline(always)]
    fn tile<S: Simd<E>, const R: usize, const Q: usize, const V: usize>(
        &mut self,
        s: S,
        i: usize,
        sums: &[[[S::Vector; V]; R]],
    ) {
        let leaky = self.slopes.negative != E::zero();
        let n = self.h.len();
        let by_particle = S::MASKED || self.operands.d > FEW;
        let end = if by_particle {
            (i / Q + 1) * Q * n.div_ceil(self.per_word)
        } else {
            (i / self.per_word + 1) * n
        };
        let stored = end <= self.words.len();
        match (leaky, stored, by_particle) {
            (false, false, _) => self.add::<S, R, Q, V, false, NOTHING>(s, i, sums),
            (true, false, _) => self.add::<S, R, Q, V, true, NOTHING>(s, i, sums),
            (false, true, true) => self.add::<S, R, Q, V, false, BY_PARTICLE>(s, i, sums),
            (true, true, true) => self.add::<S, R, Q, V, true, BY_PARTICLE>(s, i, sums),
            (false, true, false) => self.add::<S, R, Q, V, false, BY_SAMPLE>(s, i, sums),
            (true, true, false) => self.add::<S, R, Q, V, true, BY_SAMPLE>(s, i, sums),
        }
    }

    /// [`tile`](Self::tile), given whether sigma is not 0 below 0 and how signs are stored.
    #[inline(always)]
    fn add<
        S: Simd<E>,
        const R: usize,
        const Q: usize,
        const V: usize,
        const LEAKY: bool,
        const STORE: u8,
    >(
        &mut self,
        s: S,
        i: usize,
        sums: &[[[S::Vector; V]; R]],
    ) {
        let n = self.h.len();
        let ca = self.operands.coefficients::<R>(i, 0);
        let on = broadcast(s, ca.map(|ca| ca * self.slopes.positive));
        let off = broadcast(s, ca.map(|ca| ca * self.slopes.negative));
        let (row, first) = (i / self.per_word * n, i % self.per_word);
        let mut bits = [s.zero(); R];
        if STORE == BY_SAMPLE {
            for r in 0..R {
                bits[r] = s.bit(first + r);
            }
        }
        let (mut words, mut rows) = (&mut [][..], &mut [][..]);
        if STORE == BY_PARTICLE {
            let row = n.div_ceil(self.per_word);
            let (group, first) = (i / Q * Q * row, i % Q);
            rows = bytes_mut(&mut self.words[group + first..group + Q * row]);
        } else if STORE == BY_SAMPLE {
            words = S::vectors_mut(&mut self.words[row..row + n])
                .as_chunks_mut::<V>()
                .0;
        }
        let (h, _) = S::vectors_mut(self.h).as_chunks_mut::<V>();
        let lines = h.len();
        let d = self.operands.d;
        let mut b = [self.operands.directions::<R>(i), [&[][..]; R]];
        if d >= 2 * line::<E>() {
            let leading = leading_features::<E>(d);
            b[1] = columns(&self.operands.directions::<R>(i + R), leading, d - leading);
        }
        complete_products::<E, S, R, V>(
            s,
            b,
            self.lines,
            lines,
            sums,
            #[inline(always)]
            |l, u| {
                for v in 0..V {
                    // Two independent sums halve the latency.
                    let mut sums = [h[l][v], s.zero()];
                    let mut word = if STORE != BY_SAMPLE || first == 0 {
                        s.zero()
                    } else {
                        words[l][v]
                    };
                    for r in 0..R {
                        let (u, sum) = (u[r][v], sums[r % 2]);
                        sums[r % 2] = if LEAKY {
                            s.mul_add(s.select_positive(u, on[r], off[r]), u, sum)
                        } else {
                            s.mul_add(on[r], s.positive_part(u), sum)
                        };
                        if STORE == BY_SAMPLE {
                            word = s.or(word, s.select_positive(u, bits[r], s.zero()));
                        }
                    }
                    h[l][v] = s.add(sums[0], sums[1]);
                    if STORE == BY_SAMPLE {
                        words[l][v] = word;
                    }
                }
                if STORE == BY_PARTICLE {
                    store_signs::<E, S, R, Q, V>(s, u, l, rows);
                }
            },
        );
    }
}

/// Stores the signs of the preactivations `u` of R particles on line l to their words, given as
/// bytes: those of one row after the other, at a distance of Q words.
#[inline(always)]
fn store_signs<E: SimdScalar, S: Simd<E>, const R: usize, const Q: usize, const V: usize>(
    s: S,
    u: &[[S::Vector; V]; R],
    l: usize,
    rows: &mut [u8],
) {
    let (lanes, word) = (S::lanes(&s.zero()).len(), size_of::<E>());
    let part = V * lanes / 8;
    let parts = word / part;
    let row = &mut rows[l / parts * Q * word..][..R * word];
    for r in 0..R {
        let mut bits = 0;
        for v in 0..V {
            bits |= s.bits(s.less(s.zero(), u[r][v])) << (v * lanes);
        }
        row[r * word + l % parts * part..][..part].copy_from_slice(&bits.to_le_bytes()[..part]);
    }
}
