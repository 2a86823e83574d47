//! Forward pass of piecewise linear activations with one output:
//! `h(x_j) = sum_i c_i a_i sigma(b_i . x_j)` for the samples of one panel.
//!
//! Tiles of R particles by one line of samples, particles in order, so each
//! sum runs over i = 1, .., m.

use super::microkernel::{all, preactivations};
use super::operands::Operands;
use crate::numeric::simd::{Simd, SimdKernel, SimdScalar, launch};

/// `sigma(u) = right u` for `u > 0`, `left u` else; stores the signs of the preactivations.
pub(super) struct LinearForward<'a, E> {
    pub(super) operands: Operands<'a, E>,
    pub(super) slopes: (E, E),
    /// The panel, in lines.
    pub(super) lines: &'a [E],
    /// Predictions of the panel, overwritten.
    pub(super) h: &'a mut [E],
    /// Rows of words: bit `i % signs` of row `i / signs` is `b_i . x_j > 0`. Particles beyond the
    /// last row are not stored.
    pub(super) words: &'a mut [E],
    pub(super) signs: usize,
}

launch!(LinearForward);

impl<E: SimdScalar> SimdKernel for LinearForward<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(mut self, s: S) {
        self.h.fill(E::zero());
        for i in (0..self.operands.particles()).step_by(R) {
            let row = i / self.signs * self.h.len();
            let stores = row + self.h.len() <= self.words.len();
            match (self.slopes.0 == E::zero(), stores) {
                (true, true) => self.tiles::<S, R, V, false, true>(s, i),
                (true, false) => self.tiles::<S, R, V, false, false>(s, i),
                (false, true) => self.tiles::<S, R, V, true, true>(s, i),
                (false, false) => self.tiles::<S, R, V, true, false>(s, i),
            }
        }
    }
}

impl<E: SimdScalar> LinearForward<'_, E> {
    #[inline(always)]
    fn tiles<S: Simd<E>, const R: usize, const V: usize, const LEAKY: bool, const STORE: bool>(
        &mut self,
        s: S,
        i: usize,
    ) {
        let n = self.h.len();
        let ca = self.operands.coefficients::<R>(i, 0);
        let on = all(s, ca.map(|ca| ca * self.slopes.1));
        let off = all(s, ca.map(|ca| ca * self.slopes.0));
        let (row, first) = (i / self.signs * n, i % self.signs);
        let mut bits = [s.bit(first); R];
        for r in 1..R {
            bits[r] = s.bit(first + r);
        }
        let words: &mut [E] = if STORE {
            &mut self.words[row..row + n]
        } else {
            &mut []
        };
        let (words, _) = S::vectors_mut(words).as_chunks_mut::<V>();
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
