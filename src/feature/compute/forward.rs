//! Forward pass of piecewise linear activations with one output:
//! `h(x_j) = sum_i c_i a_i sigma(b_i . x_j)` for the samples of one panel.
//!
//! Tiles of R particles by one line of samples, particles in order, so each sum runs over
//! i = 1, .., m.

use super::microkernel::{broadcast, preactivations};
use super::operands::Operands;
use crate::activation::Slopes;
use crate::numeric::simd::{Simd, SimdKernel, SimdScalar, launch};

/// `h(x_j)` of one panel; stores the signs of the preactivations.
pub(super) struct LinearForward<'a, E> {
    pub(super) operands: Operands<'a, E>,
    /// The slopes of sigma, `zero == negative`.
    pub(super) slopes: Slopes<E>,
    /// The panel, in lines.
    pub(super) lines: &'a [E],
    /// Predictions of the panel, overwritten.
    pub(super) h: &'a mut [E],
    /// Rows of words: bit `i % per_word` of row `i / per_word` is `b_i . x_j > 0`. Particles beyond
    /// the last row are not stored.
    pub(super) words: &'a mut [E],
    /// The signs in one word.
    pub(super) per_word: usize,
}

launch!(LinearForward);

impl<E: SimdScalar> SimdKernel for LinearForward<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(mut self, s: S) {
        self.h.fill(E::zero());
        for i in (0..self.operands.particles()).step_by(R) {
            let leaky = self.slopes.negative != E::zero();
            let stored = (i / self.per_word + 1) * self.h.len() <= self.words.len();
            match (leaky, stored) {
                (false, true) => self.tiles::<S, R, V, false, true>(s, i),
                (false, false) => self.tiles::<S, R, V, false, false>(s, i),
                (true, true) => self.tiles::<S, R, V, true, true>(s, i),
                (true, false) => self.tiles::<S, R, V, true, false>(s, i),
            }
        }
    }
}

impl<E: SimdScalar> LinearForward<'_, E> {
    /// Adds the particles of one tile, from i on, to all predictions of the panel.
    #[inline(always)]
    fn tiles<S: Simd<E>, const R: usize, const V: usize, const LEAKY: bool, const STORE: bool>(
        &mut self,
        s: S,
        i: usize,
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
        let row = if STORE { row..row + n } else { 0..0 };
        let (words, _) = S::vectors_mut(&mut self.words[row]).as_chunks_mut::<V>();
        let (h, _) = S::vectors_mut(self.h).as_chunks_mut::<V>();
        let lines = h.len();
        let b = self.operands.directions::<R>(i);
        preactivations::<E, S, R, V>(
            s,
            b,
            self.lines,
            lines,
            #[inline(always)]
            |l, u| {
                for v in 0..V {
                    let mut sum = h[l][v];
                    for r in 0..R {
                        sum = if LEAKY {
                            s.mul_add(s.select_positive(u[r][v], on[r], off[r]), u[r][v], sum)
                        } else {
                            s.mul_add(on[r], s.positive_part(u[r][v]), sum)
                        };
                    }
                    h[l][v] = sum;
                    if STORE {
                        let mut word = if first == 0 { s.zero() } else { words[l][v] };
                        for r in 0..R {
                            let bit = s.select_positive(u[r][v], bits[r], s.zero());
                            word = s.or(word, bit);
                        }
                        words[l][v] = word;
                    }
                }
            },
        );
    }
}
