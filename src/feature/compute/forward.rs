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
use super::signs::SIGN_ROWS;
use crate::activation::Slopes;
use crate::numeric::packed::line;
use crate::numeric::simd::{Simd, SimdKernel, SimdScalar, bytes_mut, launch};

/// Tiles that use a block of features while it is in the L2 cache.
const GROUP: usize = 4;

/// `h(x_j)` of one panel; stores the signs of the preactivations.
pub(super) struct LinearForward<'a, E> {
    pub(super) operands: Operands<'a, E>,
    /// The slopes of sigma, `zero == negative`.
    pub(super) slopes: Slopes<E>,
    /// The panel, in lines.
    pub(super) lines: &'a [E],
    /// Predictions of the panel, overwritten.
    pub(super) h: &'a mut [E],
    /// Words of signs; those of particles beyond the last word are not stored. With mask registers,
    /// rows of the words of [`SIGN_ROWS`] particles, for `per_word` samples a row; otherwise rows of
    /// the words of all samples: bit `i % per_word` of row `i / per_word` is `b_i . x_j > 0`.
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
            self.tiles::<S, SIGN_ROWS, V>(s);
        } else {
            self.tiles::<S, R, V>(s);
        }
    }
}

impl<E: SimdScalar> LinearForward<'_, E> {
    /// All particles, in tiles of R.
    #[inline(always)]
    fn tiles<S: Simd<E>, const R: usize, const V: usize>(mut self, s: S) {
        self.h.fill(E::zero());
        let m = self.operands.particles();
        let leading = leading_features::<E>(self.operands.d);
        if leading == 0 {
            for i in (0..m).step_by(R) {
                self.tile::<S, R, V>(s, i, &[]);
            }
            return;
        }
        let (n, lines) = (self.h.len(), self.h.len() / line::<E>());
        let mut partial = Rows::<E, { GROUP * SIGN_ROWS * WIDE_PANEL / SAMPLES }>::zeros();
        let partial = partial.first(GROUP * R, n);
        let mut packed = Rows::<E, R>::zeros();
        for group in (0..m).step_by(GROUP * R) {
            // All tiles of the group use one block of features before the next is loaded.
            let tiles = group..(group + GROUP * R).min(m);
            for first in (0..leading).step_by(depth::<E>()) {
                for (i, rows) in tiles
                    .clone()
                    .step_by(R)
                    .zip(partial.chunks_exact_mut(R * n))
                {
                    let b = [i, i + R].map(|i| self.operands.directions::<R>(i));
                    let b = [b[0], columns(&b[1], first, depth::<E>())];
                    let sums = tile_sums::<E, S, R, V>(rows, lines);
                    add_products::<E, S, R, V>(s, b, self.lines, first, &mut packed, sums);
                }
            }
            for (i, rows) in tiles.step_by(R).zip(partial.chunks_exact_mut(R * n)) {
                let sums = tile_sums::<E, S, R, V>(rows, lines);
                self.tile::<S, R, V>(s, i, sums);
            }
        }
    }

    /// Adds the particles of one tile, from i on, to all predictions of the panel.
    #[inline(always)]
    fn tile<S: Simd<E>, const R: usize, const V: usize>(
        &mut self,
        s: S,
        i: usize,
        sums: &[[[S::Vector; V]; R]],
    ) {
        let leaky = self.slopes.negative != E::zero();
        let n = self.h.len();
        let end = if S::MASKED {
            (i + R) * n.div_ceil(self.per_word)
        } else {
            (i / self.per_word + 1) * n
        };
        let stored = end <= self.words.len();
        match (leaky, stored) {
            (false, true) => self.add::<S, R, V, false, true>(s, i, sums),
            (false, false) => self.add::<S, R, V, false, false>(s, i, sums),
            (true, true) => self.add::<S, R, V, true, true>(s, i, sums),
            (true, false) => self.add::<S, R, V, true, false>(s, i, sums),
        }
    }

    /// [`tile`](Self::tile), given whether sigma is not 0 below 0 and whether signs are stored.
    #[inline(always)]
    fn add<S: Simd<E>, const R: usize, const V: usize, const LEAKY: bool, const STORE: bool>(
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
        let mut bits = [s.bit(first); R];
        for r in 1..R {
            bits[r] = s.bit(first + r);
        }
        let (mut words, mut rows) = (&mut [][..], &mut [][..]);
        if STORE && S::MASKED {
            let row = n.div_ceil(self.per_word);
            rows = bytes_mut(&mut self.words[i * row..(i + R) * row]);
        } else if STORE {
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
                    let mut word = if !STORE || S::MASKED || first == 0 {
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
                        if !S::MASKED {
                            word = s.or(word, s.select_positive(u, bits[r], s.zero()));
                        }
                    }
                    h[l][v] = s.add(sums[0], sums[1]);
                    if STORE && !S::MASKED {
                        words[l][v] = word;
                    }
                }
                if STORE && S::MASKED {
                    store_signs(s, u, l, rows);
                }
            },
        );
    }
}

/// Stores the signs of the preactivations `u` of R particles on line l, one vector, to their words,
/// given as bytes: those of one row after the other.
#[inline(always)]
fn store_signs<E: SimdScalar, S: Simd<E>, const R: usize, const V: usize>(
    s: S,
    u: &[[S::Vector; V]; R],
    l: usize,
    rows: &mut [u8],
) {
    let part = S::lanes(&s.zero()).len() / 8;
    let parts = size_of::<E>() / part;
    let row = &mut rows[l / parts * R * size_of::<E>()..][..R * size_of::<E>()];
    for r in 0..R {
        let bits = s.bits(s.less(s.zero(), u[r][0])).to_le_bytes();
        row[r * size_of::<E>() + l % parts * part..][..part].copy_from_slice(&bits[..part]);
    }
}
