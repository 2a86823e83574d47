//! Backward pass of piecewise linear activations with one output:
//! `G_i = sum_j g_j sigma'(b_i . x_j) x_j` for a block of particles.
//!
//! The signs of the preactivations are sufficient: `sigma(u) = sigma'(u) u`, so
//! `sum_j g_j sigma(b_i . x_j) = b_i . G_i`. Lanes are particles, so that no sum over lanes is
//! needed; the signs of the particles of a vector are neighbouring bits of a word. Each sum runs
//! over the panels in order, j = 1, .., n, and those of a panel are summed separately.
//!
//! With mask registers, the products `g_j x_j` are computed once for all particles and added where
//! the sign is positive. Half of these additions are multiplications by 1 and additions: they run
//! on other units, in parallel, and round in the same way.

use std::hint::black_box;

use super::blocking::Blocking;
use super::operands::Operands;
use super::pointwise::dot;
use super::signs::{FEW, has_particle_lanes};
use crate::activation::Slopes;
use crate::numeric::simd::{self, Simd, SimdKernel, SimdScalar, launch};

/// Features of a block at most with 32 registers of one line: the sums of one vector of particles
/// stay in registers. (The compiler does not unroll the loop over 24 of them.)
const MOST: usize = 20;

/// `G_i` for one block of particles.
pub(super) struct LinearBackward<'a, E> {
    pub(super) operands: Operands<'a, E>,
    pub(super) blocking: Blocking,
    /// The slopes of sigma, `zero == negative`.
    pub(super) slopes: Slopes<E>,
    /// `g`, 0 beyond the last sample.
    pub(super) g: &'a [E],
    /// The samples as packed by [`PackFeatures`], all blocks of features.
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

/// Packs one block of features, samples by rows: `g_j x_jf`, or `x_jf` if products are not
/// computed once for all particles.
pub(super) struct PackFeatures<'a, E> {
    /// The samples, `d x n`.
    pub(super) x: &'a [E],
    pub(super) d: usize,
    /// `g`, in whole lines.
    pub(super) g: &'a [E],
    /// True if sigma is not 0 below 0.
    pub(super) leaky: bool,
    /// The first feature of the block.
    pub(super) first: usize,
    /// Overwritten; 0 beyond the last sample and the last feature.
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

launch!(LinearBackward, PackFeatures, FinishLinear);

/// Features of a block, even: blocks of d features are of almost equal size.
pub(super) fn block_width(d: usize) -> usize {
    let most = simd::dispatch(MostFeatures);
    d.div_ceil(d.div_ceil(most)).next_multiple_of(2)
}

/// Scalars of the packed features, if they are used, of a padded number of samples.
pub(super) fn packed_len(d: usize, samples: usize) -> usize {
    if !has_particle_lanes(d) {
        return 0;
    }
    let width = block_width(d);
    let whole = (d - 1) / width * width;
    samples * (whole + (d - whole).next_multiple_of(2))
}

/// The kernel that returns the maximal number of features of a block.
struct MostFeatures;

impl SimdKernel for MostFeatures {
    type Scalar = f32;
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd<f32>, const R: usize, const V: usize>(self, _: S) -> usize {
        if V == 1 { MOST } else { R }
    }
}

impl<E: SimdScalar> SimdKernel for PackFeatures<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, _: S) {
        let width = self.out.len() / self.g.len();
        let features = self.first..(self.first + width).min(self.d);
        let products = S::MASKED && !self.leaky;
        let mut rows = self.out.chunks_exact_mut(width);
        let samples = self.x.chunks_exact(self.d).zip(self.g);
        // In this order no row is taken after the last sample.
        for ((x, &g), to) in samples.zip(rows.by_ref()) {
            let x = &x[features.clone()];
            let g = if products { g } else { E::one() };
            for (to, &x) in to.iter_mut().zip(x) {
                *to = g * x;
            }
            to[x.len()..].fill(E::zero());
        }
        for to in rows {
            to.fill(E::zero());
        }
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

impl<E: SimdScalar> SimdKernel for LinearBackward<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        match (V, self.operands.d <= FEW) {
            (1, true) => self.either::<S, FEW, FEW>(s),
            (1, false) => self.either::<S, MOST, 1>(s),
            _ => self.either::<S, R, V>(s),
        }
    }
}

impl<E: SimdScalar> LinearBackward<'_, E> {
    /// [`blocks`](Self::blocks), given whether sigma is not 0 below 0.
    #[inline(always)]
    fn either<S: Simd<E>, const F: usize, const P: usize>(self, s: S) {
        if self.slopes.negative == E::zero() {
            self.blocks::<S, F, P, false>(s);
        } else {
            self.blocks::<S, F, P, true>(s);
        }
    }

    /// All blocks of features, of at most F, with tiles of P vectors of particles.
    #[inline(always)]
    fn blocks<S: Simd<E>, const F: usize, const P: usize, const LEAKY: bool>(mut self, s: S) {
        let samples = self.g.len();
        let width = block_width(self.operands.d);
        let blocks = self.features.chunks(width * samples);
        for (first, x) in (0..).step_by(width).zip(blocks) {
            macro_rules! block {
                ($($width:literal)+) => {
                    match x.len() / samples {
                        $($width if $width <= F => {
                            self.block::<S, $width, P, LEAKY>(s, first, x.as_chunks().0);
                        })+
                        _ => unreachable!("a block has at most {F} features, an even number"),
                    }
                };
            }
            block!(2 4 6 8 10 12 14 16 18 20);
        }
    }

    /// The block of features `x` from `first` on.
    #[inline(always)]
    fn block<S: Simd<E>, const F: usize, const P: usize, const LEAKY: bool>(
        &mut self,
        s: S,
        first: usize,
        x: &[[E; F]],
    ) {
        let (d, p) = (self.operands.d, self.operands.p());
        let (panel, rows) = (self.blocking.panel, self.blocking.stored_rows);
        let lanes = S::lanes(&s.zero()).len();
        let tiles = self.out.chunks_mut(P * lanes * p);
        for (i, out) in (self.first..).step_by(P * lanes).zip(tiles) {
            let mut bits = [s.zero(); P];
            let (mut row, mut shifts) = ([0; P], [0; P]);
            for v in 0..P {
                let i = i + v * lanes;
                shifts[v] = i % self.per_word;
                bits[v] = lane_bits(s, shifts[v]);
                row[v] = (i / self.per_word).min(rows - 1); // beyond the last particle
            }
            let mut totals = [[s.zero(); F]; P];
            for (start, x) in (0..).step_by(panel).zip(x.chunks(panel)) {
                let mut words = [&self.words[..0]; P];
                for v in 0..P {
                    words[v] = &self.words[start * rows + row[v] * x.len()..][..x.len()];
                }
                let g = &self.g[start..][..x.len()];
                let signs = (words, bits, shifts);
                let sums = sums::<E, S, F, P, LEAKY>(s, self.slopes, signs, x, g);
                for v in 0..P {
                    for f in 0..F {
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
                for f in 0..F {
                    totals[v][f] = s.mul(positive, totals[v][f]);
                }
            }
            for (sums, out) in totals.iter().zip(out.chunks_mut(lanes * p)) {
                for (l, out) in out.chunks_exact_mut(p).enumerate() {
                    let out = &mut out[p - d + first..];
                    if self.add {
                        write_lane::<E, S, F>(sums, l, out, |out, sum| *out += sum);
                    } else {
                        write_lane::<E, S, F>(sums, l, out, |out, sum| *out = sum);
                    }
                }
            }
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
/// P vectors, and F features; without the slope of the positive side if sigma is 0 below 0.
#[inline(always)]
fn sums<E: SimdScalar, S: Simd<E>, const F: usize, const P: usize, const LEAKY: bool>(
    s: S,
    slopes: Slopes<E>,
    (words, bits, shifts): ([&[E]; P], [S::Vector; P], [usize; P]),
    x: &[[E; F]],
    g: &[E],
) -> [[S::Vector; F]; P] {
    let (on, off) = (s.splat(slopes.positive), s.splat(slopes.negative));
    let one = s.splat(black_box(E::one())); // not a constant: the compiler would add instead
    let mut sums = [[s.zero(); F]; P];
    let mut rows = [&words[0][..0]; P];
    for v in 0..P {
        rows[v] = &words[v][..x.len()];
    }
    for ((j, x), &g) in x.iter().enumerate().zip(g) {
        for v in 0..P {
            let mask = s.lanes_with_bit(rows[v][j], bits[v], shifts[v]);
            if S::MASKED && !LEAKY {
                for f in 0..F {
                    let sum = sums[v][f];
                    let with = if f % 2 == 0 {
                        s.add(sum, s.splat(x[f]))
                    } else {
                        s.mul_add(one, s.splat(x[f]), sum)
                    };
                    sums[v][f] = s.select(mask, with, sum);
                }
                continue;
            }
            let g = s.splat(g);
            let t = if LEAKY {
                s.mul(s.select(mask, on, off), g)
            } else {
                s.select(mask, g, s.zero())
            };
            for f in 0..F {
                sums[v][f] = s.mul_add(t, s.splat(x[f]), sums[v][f]);
            }
        }
    }
    sums
}
