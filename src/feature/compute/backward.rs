//! Backward pass of piecewise linear activations with one output:
//! `G_i = sum_j g_j sigma'(b_i . x_j) x_j` for a block of particles.
//!
//! The signs of the preactivations are sufficient: `sigma(u) = sigma'(u) u`, so
//! `sum_j g_j sigma(b_i . x_j) = b_i . G_i`. Each sum runs over the samples in order, j = 1, .., n, and
//! those of a panel or of a part of it are summed separately. There are three kernels:
//!
//! * sums over subsets of samples, with lanes of particles ([`subset_sums`](super::subset_sums)) or of
//!   features ([`subset_rows`](super::subset_rows));
//! * for at most [`FEW`] inputs and without mask registers [`FewInputs`]: lanes are particles, whose signs
//!   are neighbouring bits of a word.

use super::blocking::Blocking;
use super::operands::Operands;
use super::pointwise::dot;
use super::signs::FEW;
use crate::activation::Slopes;
use crate::numeric::simd::{Simd, SimdKernel, SimdScalar, launch};

/// `G_i` for one block of particles with at most [`FEW`] inputs, without mask registers.
pub(super) struct FewInputs<'a, E> {
    pub(super) operands: Operands<'a, E>,
    pub(super) blocking: Blocking,
    /// The slopes of sigma, `zero == negative`.
    pub(super) slopes: Slopes<E>,
    /// `g`, 0 beyond the last sample.
    pub(super) g: &'a [E],
    /// The features of the samples by rows, [`FEW`] a row.
    pub(super) features: &'a [E],
    /// The words of sign bits that the forward pass stored, by panels.
    pub(super) words: &'a [E],
    /// The signs in one word.
    pub(super) per_word: usize,
    /// The first particle of the block, whole vectors.
    pub(super) first: usize,
    /// True if `G_i` is added to the columns, not written.
    pub(super) add: bool,
    /// Columns `(., G_i)`, `p x particles`.
    pub(super) out: &'a mut [E],
}

/// Replaces the sums `G_i` in `out` by `da_i = -S_i` with `S_i = <b_i, G_i>` and by
/// `db_i = -a_i G_i`, and writes `a_i S_i` to `values` unless it is empty.
pub(super) struct FinishLinear<'a, E> {
    pub(super) p: usize,
    /// The particles `(a_i, b_i)`.
    pub(super) w: &'a [E],
    pub(super) out: &'a mut [E],
    pub(super) values: &'a mut [E],
}

launch!(FewInputs, FinishLinear);

/// Packs the samples `x` (`d x n`) in rows of [`FEW`] features, 0 beyond the last feature and the last
/// sample.
pub(super) fn pack_rows<E: SimdScalar>(x: &[E], d: usize, rows: &mut [E]) {
    rows.fill(E::zero());
    for (x, row) in x.chunks_exact(d).zip(rows.chunks_exact_mut(FEW)) {
        row[..d].copy_from_slice(x);
    }
}

impl<E: SimdScalar> SimdKernel for FinishLinear<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        let lanes = S::lanes(&s.zero()).len();
        let particles = self.out.chunks_exact_mut(self.p);
        for (i, (out, w)) in particles.zip(self.w.chunks_exact(self.p)).enumerate() {
            let ([da, db @ ..], [a, b @ ..]) = (out, w) else {
                continue;
            };
            let whole = b.len() / lanes * lanes;
            let mut sum = dot::<E, S, V>(s, b, db);
            for (&b, &db) in b[whole..].iter().zip(&db[whole..]) {
                sum += b * db;
            }
            if let Some(value) = self.values.get_mut(i) {
                *value = *a * sum;
            }
            *da = -sum;
            let scale = s.splat(-*a);
            for db in S::vectors_mut(db) {
                *db = s.mul(scale, *db);
            }
            for db in &mut db[whole..] {
                *db *= -*a;
            }
        }
    }
}

impl<E: SimdScalar> SimdKernel for FewInputs<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        if S::MASKED {
            unreachable!("a kernel for levels without mask registers");
        }
        if self.slopes.negative == E::zero() {
            self.tiles_of_vectors::<S, V, false>(s);
        } else {
            self.tiles_of_vectors::<S, V, true>(s);
        }
    }
}

impl<E: SimdScalar> FewInputs<'_, E> {
    /// All particles, in tiles of P vectors, given whether sigma is not 0 below 0.
    #[inline(always)]
    fn tiles_of_vectors<S: Simd<E>, const P: usize, const LEAKY: bool>(self, s: S) {
        let (d, p) = (self.operands.d, self.operands.p());
        let (panel, rows) = (self.blocking.panel, self.blocking.stored_by(1));
        let (x, _) = self.features[..FEW * self.g.len()].as_chunks::<FEW>();
        let lanes = S::lanes(&s.zero()).len();
        let tiles = self.out.chunks_mut(P * lanes * p);
        for (i, out) in (self.first..).step_by(P * lanes).zip(tiles) {
            let mut bits = [s.zero(); P];
            let mut row = [0; P];
            for v in 0..P {
                let i = i + v * lanes;
                bits[v] = lane_bits(s, i % self.per_word);
                row[v] = (i / self.per_word).min(rows - 1); // beyond the last particle
            }
            let mut totals = [[s.zero(); FEW]; P];
            for (start, x) in (0..).step_by(panel).zip(x.chunks(panel)) {
                let mut words = [&self.words[..0]; P];
                for v in 0..P {
                    words[v] = &self.words[start * rows + row[v] * x.len()..][..x.len()];
                }
                let g = &self.g[start..][..x.len()];
                let sums = sums::<E, S, P, LEAKY>(s, self.slopes, (words, bits), x, g);
                for v in 0..P {
                    for f in 0..FEW {
                        totals[v][f] = s.add(totals[v][f], sums[v][f]);
                    }
                }
            }
            let positive = s.splat(if LEAKY {
                E::one()
            } else {
                self.slopes.positive
            });
            for v in 0..P {
                for f in 0..FEW {
                    totals[v][f] = s.mul(positive, totals[v][f]);
                }
            }
            for (sums, out) in totals.iter().zip(out.chunks_mut(lanes * p)) {
                write_lanes::<E, S, FEW>(sums, out, p, p - d, self.add);
            }
        }
    }
}

/// Writes the lanes of `sums`, or adds them, to the columns of `out` (`p x particles`), from row
/// `first` on: at most F rows.
#[inline(always)]
fn write_lanes<E: SimdScalar, S: Simd<E>, const F: usize>(
    sums: &[S::Vector; F],
    out: &mut [E],
    p: usize,
    first: usize,
    add: bool,
) {
    for (l, out) in out.chunks_exact_mut(p).enumerate() {
        let out = &mut out[first..];
        if add {
            write_lane::<E, S, F>(sums, l, out, |out, sum| *out += sum);
        } else {
            write_lane::<E, S, F>(sums, l, out, |out, sum| *out = sum);
        }
    }
}

/// `write(out[f], sums[f][l])` for all entries of `out`, at most F.
#[inline(always)]
fn write_lane<E: SimdScalar, S: Simd<E>, const F: usize>(
    sums: &[S::Vector; F],
    l: usize,
    out: &mut [E],
    write: impl Fn(&mut E, E),
) {
    if let Some(out) = out.first_chunk_mut::<F>() {
        for f in 0..F {
            write(&mut out[f], S::lanes(&sums[f])[l]);
        }
        return;
    }
    for f in 0..out.len() {
        write(&mut out[f], S::lanes(&sums[f])[l]);
    }
}

/// The vector whose lane l has the bit pattern `1 << (first + l)`.
#[inline(always)]
fn lane_bits<E: SimdScalar, S: Simd<E>>(s: S, first: usize) -> S::Vector {
    let mut bits = [E::zero(); 16];
    let lanes = S::lanes(&s.zero()).len();
    for l in 0..lanes {
        bits[l] = S::lanes(&s.bit(first + l))[0];
    }
    S::vectors(&bits)[0]
}

/// `sum_j g_j sigma'(b_i . x_j) x_jf` for the samples of one panel, the particles i in the lanes of
/// P vectors, and all features; without the slope of the positive side if sigma is 0 below 0.
#[inline(always)]
fn sums<E: SimdScalar, S: Simd<E>, const P: usize, const LEAKY: bool>(
    s: S,
    slopes: Slopes<E>,
    (words, bits): ([&[E]; P], [S::Vector; P]),
    x: &[[E; FEW]],
    g: &[E],
) -> [[S::Vector; FEW]; P] {
    let (on, off) = (s.splat(slopes.positive), s.splat(slopes.negative));
    let mut sums = [[s.zero(); FEW]; P];
    let mut rows = [&words[0][..0]; P];
    for v in 0..P {
        rows[v] = &words[v][..x.len()];
    }
    for ((j, x), &g) in x.iter().enumerate().zip(g) {
        let g = s.splat(g);
        for v in 0..P {
            let mask = s.has_bit(s.splat(rows[v][j]), bits[v]);
            let t = if LEAKY {
                s.mul(s.select(mask, on, off), g)
            } else {
                s.select(mask, g, s.zero())
            };
            for f in 0..FEW {
                sums[v][f] = s.mul_add(t, s.splat(x[f]), sums[v][f]);
            }
        }
    }
    sums
}
