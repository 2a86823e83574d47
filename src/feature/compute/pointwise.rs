//! Any activation: tiles of preactivations in the first cache, the activation over their rows, and what is done with it.
//!
//! The kernels here know nothing of the activation, which runs between them as a loop over slices.

use super::blocking::SAMPLES;
use super::microkernel::{combine, dot, preactivations, sums};
use super::operands::{Operands, Panel};
use crate::numeric::packed::line;
use crate::numeric::simd::{Simd, SimdKernel, SimdScalar, launch};

/// Rows of a tile at most, on any machine.
pub(super) const ROWS: usize = 12;

/// `u[r][j] = b_{i + r} . x_j` for the samples of a panel.
pub(super) struct Products<'a, E> {
    pub(super) operands: Operands<'a, E>,
    pub(super) i: usize,
    pub(super) lines: &'a [E],
    /// Overwritten.
    pub(super) u: &'a mut [E],
}

launch!(Products, Combine, Weigh, Sums);

impl<E: SimdScalar> SimdKernel for Products<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        let n = self.u.len() / R;
        let lines = n / line::<E>();
        let mut rows = self.u.chunks_exact_mut(n);
        let mut out: [_; R] = std::array::from_fn(|_| {
            &mut S::vectors_mut(rows.next().unwrap_or_default())
                .as_chunks_mut::<V>()
                .0[..lines]
        });
        let b = self.operands.directions::<R>(self.i);
        preactivations::<E, S, R, V>(
            s,
            b,
            self.lines,
            lines,
            #[inline(always)]
            |l, u| {
                for r in 0..R {
                    out[r][l] = u[r];
                }
            },
        );
    }
}

/// `h_l(x_j) += sum_r c_i a_il values[r][j]`, i = `self.i` + r, for all outputs l.
pub(super) struct Combine<'a, E> {
    pub(super) operands: Operands<'a, E>,
    pub(super) i: usize,
    pub(super) values: &'a [E],
    /// `k x samples` by rows.
    pub(super) h: &'a mut [E],
}

impl<E: SimdScalar> SimdKernel for Combine<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        let n = self.values.len() / R;
        for (l, h) in self.h.chunks_exact_mut(n).enumerate() {
            combine::<E, S, R>(s, self.operands.coefficients(self.i, l), self.values, h);
        }
    }
}

/// `S_il += sum_j g_jl values[r][j]` and `t[r][j] = <g_j, a_i> derivatives[r][j]`, i = `self.i` + r.
///
/// With one output `a_i` is left out.
pub(super) struct Weigh<'a, E> {
    pub(super) operands: Operands<'a, E>,
    pub(super) i: usize,
    pub(super) values: &'a [E],
    pub(super) derivatives: &'a [E],
    /// `k x samples` by rows, 0 beyond the last sample.
    pub(super) g: &'a [E],
    /// A row of the longest panel for each particle of the tile.
    pub(super) t: &'a mut [[E; SAMPLES]],
    /// Columns `(S_i, G_i)` of the particles of the tile.
    pub(super) out: &'a mut [E],
}

impl<E: SimdScalar> SimdKernel for Weigh<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        let Operands { k, d, w, .. } = self.operands;
        let (p, n) = (k + d, self.values.len() / R);
        let particles = self
            .out
            .chunks_exact_mut(p)
            .zip(w[self.i * p..].chunks_exact(p));
        let rows = self
            .values
            .chunks_exact(n)
            .zip(self.derivatives.chunks_exact(n));
        for (((out, w), (values, ds)), t) in particles.zip(rows).zip(self.t) {
            for (sum, g) in out.iter_mut().zip(self.g.chunks_exact(n)) {
                *sum += dot::<E, S, V>(s, values, g);
            }
            let mut mixed;
            let q = if k == 1 {
                self.g
            } else {
                mixed = [E::zero(); SAMPLES];
                for (&a, g) in w[..k].iter().zip(self.g.chunks_exact(n)) {
                    for (q, &g) in mixed.iter_mut().zip(g) {
                        *q += a * g;
                    }
                }
                &mixed
            };
            for ((t, &ds), &q) in t.iter_mut().zip(ds).zip(q) {
                *t = ds * q;
            }
        }
    }
}

/// `G_i += sum_j t[r][j] x_j` for the particles of some tiles.
pub(super) struct Sums<'a, E> {
    pub(super) operands: Operands<'a, E>,
    pub(super) panel: Panel<'a, E>,
    /// A row of the longest panel for each particle, whole tiles.
    pub(super) t: &'a [[E; SAMPLES]],
    /// Columns `(., G_i)` of the particles.
    pub(super) out: &'a mut [E],
}

impl<E: SimdScalar> SimdKernel for Sums<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        let Operands { k, d, .. } = self.operands;
        sums::<E, S, R, V>(s, self.t.as_chunks().0, self.panel, (d, k + d), self.out);
    }
}
