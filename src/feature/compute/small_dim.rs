//! Passes in small dimension, `d <= 2`, for piecewise linear activations and one output: all in
//! registers, with preactivations recomputed in the backward pass.

use super::operands::Operands;
use crate::activation::Slopes;
use crate::numeric::packed::line;
use crate::numeric::simd::{Simd, SimdKernel, SimdScalar, launch};

/// Maximal number of inputs.
pub(super) const INPUTS: usize = 2;

/// Samples after which the partial sums in vectors are reduced and added to the outputs.
const RUN: usize = 4096;

/// `h(x_j) = sum_i c_i a_i sigma(b_i . x_j)` for the samples of one panel.
pub(super) struct SmallDimForward<'a, E> {
    pub(super) operands: Operands<'a, E>,
    /// The slopes of sigma, `zero == negative`.
    pub(super) slopes: Slopes<E>,
    /// The panel, in lines.
    pub(super) lines: &'a [E],
    /// Overwritten.
    pub(super) h: &'a mut [E],
}

launch!(SmallDimForward, SmallDimBackward);

impl<E: SimdScalar> SimdKernel for SmallDimForward<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        let leaky = self.slopes.negative != E::zero();
        match (self.operands.d, leaky) {
            (1, false) => self.lines::<S, V, 1, false>(s),
            (1, true) => self.lines::<S, V, 1, true>(s),
            (_, false) => self.lines::<S, V, 2, false>(s),
            (_, true) => self.lines::<S, V, 2, true>(s),
        }
    }
}

impl<E: SimdScalar> SmallDimForward<'_, E> {
    /// Two lines at a time, so that four independent sums hide the latency.
    #[inline(always)]
    fn lines<S: Simd<E>, const V: usize, const D: usize, const LEAKY: bool>(self, s: S) {
        let Self {
            operands, slopes, ..
        } = self;
        let (lines, _) = S::vectors(self.lines).as_chunks::<V>();
        let (h, _) = S::vectors_mut(self.h).as_chunks_mut::<V>();
        let (pairs, last) = lines.as_chunks::<D>().0.as_chunks::<2>();
        let (h_of_pairs, h_of_last) = h.as_chunks_mut::<2>();
        for (x, h) in pairs.iter().zip(h_of_pairs) {
            predict::<E, S, V, D, 2, LEAKY>(s, &operands, slopes, x, h);
        }
        if let (Some(&x), Some(h)) = (last.first(), h_of_last.first_mut()) {
            let h = std::array::from_mut(h);
            predict::<E, S, V, D, 1, LEAKY>(s, &operands, slopes, &[x], h);
        }
    }
}

/// The predictions for `L` lines `x`.
#[inline(always)]
fn predict<E, S, const V: usize, const D: usize, const L: usize, const LEAKY: bool>(
    s: S,
    operands: &Operands<'_, E>,
    slopes: Slopes<E>,
    x: &[[[S::Vector; V]; D]; L],
    h: &mut [[S::Vector; V]; L],
) where
    E: SimdScalar,
    S: Simd<E>,
{
    let mut sums = [[s.zero(); V]; L];
    let (on, off) = (s.splat(slopes.positive), s.splat(slopes.negative));
    for (w, &c) in operands.w.chunks_exact(D + 1).zip(operands.c) {
        let ca = s.splat(c * w[0]);
        for l in 0..L {
            let u = preactivation::<E, S, V, D>(s, &w[1..], &x[l]);
            for v in 0..V {
                let value = if LEAKY {
                    s.mul(s.select_positive(u[v], on, off), u[v])
                } else {
                    s.positive_part(u[v])
                };
                sums[l][v] = s.mul_add(ca, value, sums[l][v]);
            }
        }
    }
    for l in 0..L {
        for v in 0..V {
            let sum = sums[l][v];
            h[l][v] = if LEAKY { sum } else { s.mul(on, sum) };
        }
    }
}

/// `u = b.x` for one particle and one line.
#[inline(always)]
fn preactivation<E: SimdScalar, S: Simd<E>, const V: usize, const D: usize>(
    s: S,
    b: &[E],
    x: &[[S::Vector; V]; D],
) -> [S::Vector; V] {
    let mut u = [s.zero(); V];
    for f in 0..D {
        let b = s.splat(b[f]);
        for v in 0..V {
            u[v] = s.mul_add(b, x[f][v], u[v]);
        }
    }
    u
}

/// `G_i = sum_j g_j sigma'(b_i . x_j) x_j` for one block of particles.
pub(super) struct SmallDimBackward<'a, E> {
    pub(super) operands: Operands<'a, E>,
    /// The slopes of sigma, `zero == negative`.
    pub(super) slopes: Slopes<E>,
    /// `g`, 0 beyond the last sample.
    pub(super) g: &'a [E],
    /// The first particle of the block.
    pub(super) first: usize,
    /// Columns `(., G_i)`, `p x particles`: `G_i` is added.
    pub(super) out: &'a mut [E],
}

impl<E: SimdScalar> SimdKernel for SmallDimBackward<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        let leaky = self.slopes.negative != E::zero();
        match (self.operands.d, leaky) {
            (1, false) => self.particles::<S, V, 1, 6, false>(s),
            (1, true) => self.particles::<S, V, 1, 6, true>(s),
            (_, false) => self.particles::<S, V, 2, 4, false>(s),
            (_, true) => self.particles::<S, V, 2, 4, true>(s),
        }
    }
}

impl<E: SimdScalar> SmallDimBackward<'_, E> {
    /// `Q` particles at a time, so that their sums stay in registers.
    #[inline(always)]
    fn particles<S: Simd<E>, const V: usize, const D: usize, const Q: usize, const LEAKY: bool>(
        self,
        s: S,
    ) {
        let p = D + 1;
        let w = &self.operands.w[self.first * p..][..self.out.len()];
        let run = RUN / line::<E>();
        let (lines, _) = S::vectors(self.operands.x.samples).as_chunks::<V>();
        let (g, _) = S::vectors(self.g).as_chunks::<V>();
        for (x, g) in lines.as_chunks::<D>().0.chunks(run).zip(g.chunks(run)) {
            let (mut tiles, mut sums) = (w.chunks_exact(Q * p), self.out.chunks_exact_mut(Q * p));
            for (w, out) in tiles.by_ref().zip(sums.by_ref()) {
                tile::<E, S, V, D, Q, LEAKY>(s, self.slopes, w, x, g, out);
            }
            let rest = sums.into_remainder().chunks_exact_mut(p);
            for (w, out) in tiles.remainder().chunks_exact(p).zip(rest) {
                tile::<E, S, V, D, 1, LEAKY>(s, self.slopes, w, x, g, out);
            }
        }
    }
}

/// `Q` particles `w` of [`SmallDimBackward`] and the lines `x` with `g`.
#[inline(always)]
fn tile<E, S, const V: usize, const D: usize, const Q: usize, const LEAKY: bool>(
    s: S,
    slopes: Slopes<E>,
    w: &[E],
    x: &[[[S::Vector; V]; D]],
    g: &[[S::Vector; V]],
    out: &mut [E],
) where
    E: SimdScalar,
    S: Simd<E>,
{
    let zero = s.zero();
    let (on, off) = (s.splat(slopes.positive), s.splat(slopes.negative));
    let mut b = [[zero; D]; Q];
    for q in 0..Q {
        for f in 0..D {
            b[q][f] = s.splat(w[q * (D + 1) + 1 + f]);
        }
    }
    let mut sums = [[zero; D]; Q];
    for (x, g) in x.iter().zip(g) {
        for v in 0..V {
            for q in 0..Q {
                let mut u = zero;
                for f in 0..D {
                    u = s.mul_add(b[q][f], x[f][v], u);
                }
                let t = if LEAKY {
                    s.mul(s.select_positive(u, on, off), g[v])
                } else {
                    s.select_positive(u, g[v], zero)
                };
                for f in 0..D {
                    sums[q][f] = s.mul_add(t, x[f][v], sums[q][f]);
                }
            }
        }
    }
    for q in 0..Q {
        for f in 0..D {
            let sum = s.reduce_sum(sums[q][f]);
            out[q * (D + 1) + 1 + f] += if LEAKY { sum } else { slopes.positive * sum };
        }
    }
}
