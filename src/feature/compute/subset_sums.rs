//! Backward pass of piecewise linear activations by sums over subsets of samples, for levels with
//! mask registers (the "method of four Russians": Arlazarov, Dinic, Kronrod and Faradzev 1970).
//!
//! For four consecutive samples, a particle adds one of the 16 sums over their subsets to
//! `sum_(j: b_i . x_j > 0) g_j x_j`; with a slope below 0, the terms of the others are in it too. The 16 sums of a feature are computed once for many particles and
//! are a table in one or two registers. The signs of a particle are bits of one word, four of which
//! are the index of an entry, and lanes are particles: one permutation and one addition process four
//! samples. Half or a quarter of the additions are multiplications by 1 and additions, which run on
//! other units, in parallel, and round in the same way.
//!
//! A task owns a block of features and a chunk of particles. Its tables, of a few samples at a time,
//! stay in the L1 cache; the sums over these samples are added to those of the samples before. They
//! have the layout of the registers, and [`FinishSubsets`] transposes them.

use std::hint::black_box;

use super::blocking::{Blocking, FEATURES, VECTORS, vector_tile};
use super::signs::SIGN_ROWS;
use crate::activation::Slopes;
use crate::numeric::simd::{Simd, SimdKernel, SimdScalar, launch};

/// Samples of a table.
const GROUP: usize = 4;

/// Entries of a table.
const ENTRIES: usize = 1 << GROUP;

/// Lanes of a vector at most.
const LINE: usize = 16;

/// Bytes of the tables that are used at a time: half of the L1 cache.
const TABLES: usize = 16 << 10;

/// Scalars of the sums of m particles with d features.
pub(super) fn sums_len<T>(d: usize, m: usize) -> usize {
    d.div_ceil(FEATURES) * FEATURES * m.next_multiple_of(vector_tile::<T>())
}

/// Adds `sum_j g_j sigma'(b_i . x_j) x_jf` to the sums of blocks of features and a chunk of
/// particles.
pub(super) struct SubsetSums<'a, E> {
    /// The samples, `d x n`.
    pub(super) x: &'a [E],
    pub(super) d: usize,
    /// `g`, in whole lines, 0 beyond the last sample.
    pub(super) g: &'a [E],
    pub(super) blocking: Blocking,
    /// The slopes of sigma, `zero == negative`.
    pub(super) slopes: Slopes<E>,
    /// The words of signs that the forward pass stored, by panels.
    pub(super) words: &'a [E],
    /// The first feature of the blocks.
    pub(super) feature: usize,
    /// The number of blocks.
    pub(super) blocks: usize,
    /// The first particle of the chunk.
    pub(super) particle: usize,
    /// True if the sums are added to those in `out`, which they overwrite otherwise.
    pub(super) add: bool,
    /// For each block the sums of whole tiles: for each vector of particles those of all features.
    pub(super) out: &'a mut [E],
}

/// Transposes the sums `G_i`: writes `da_i = -S_i` with `S_i = <b_i, G_i>` and `db_i = -a_i G_i` to the
/// columns of `out`, and `a_i S_i` to `values` unless it is empty.
pub(super) struct FinishSubsets<'a, E> {
    pub(super) d: usize,
    /// The sums of all particles: of [`SubsetSums`], by blocks of features.
    pub(super) sums: &'a [E],
    /// The first particle, of a whole tile.
    pub(super) first: usize,
    /// The particles `(a_i, b_i)` from the first one on, `p x particles`.
    pub(super) w: &'a [E],
    pub(super) out: &'a mut [E],
    pub(super) values: &'a mut [E],
}

launch!(SubsetSums, FinishSubsets);

/// The tables of a block of features for a few samples, in the L1 cache.
#[repr(align(64))]
struct Tables<X>(X);

impl<E: SimdScalar> SimdKernel for SubsetSums<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(mut self, s: S) {
        if !S::MASKED {
            unreachable!("a kernel for levels with mask registers");
        }
        let leaky = self.slopes.negative != E::zero();
        let mut tables = Tables([[E::zero(); ENTRIES]; TABLES / 64]);
        let tables = &mut tables.0[..TABLES / size_of::<[E; ENTRIES]>()];
        let out = std::mem::take(&mut self.out);
        for out in out.chunks_exact_mut(out.len() / self.blocks) {
            macro_rules! block {
                ($($width:literal)+) => {
                    match (FEATURES.min((self.d - self.feature).next_multiple_of(2)), leaky) {
                        $(
                            ($width, false) => self.samples::<S, $width, false>(s, tables, out),
                            ($width, true) => self.samples::<S, $width, true>(s, tables, out),
                        )+
                        _ => unreachable!("a block has at most {FEATURES} features"),
                    }
                };
            }
            block!(2 4 6 8);
            self.feature += FEATURES;
        }
    }
}

impl<E: SimdScalar> SubsetSums<'_, E> {
    /// All samples, a few at a time, for a block of F features.
    #[inline(always)]
    fn samples<S: Simd<E>, const F: usize, const LEAKY: bool>(
        &self,
        s: S,
        tables: &mut [[E; ENTRIES]],
        out: &mut [E],
    ) {
        let Blocking { panel, padded, .. } = self.blocking;
        let word = 8 * size_of::<E>();
        let (tables, _) = tables.as_chunks_mut::<F>();
        let most = tables.len() * GROUP / word * word;
        for start in (0..padded).step_by(panel) {
            let end = (start + panel).min(padded);
            for first in (start..end).step_by(most) {
                let samples = first..(first + most).min(end);
                let tables = &mut tables[..samples.len() / GROUP];
                self.fill::<S, F, LEAKY>(s, first, tables);
                self.tiles::<S, F>(s, [start, end, first], tables, out);
            }
        }
    }

    /// Computes the tables of the samples from `first` on: entry e of a table is the sum of
    /// `g_j sigma'_j x_jf` over the samples j of its group, with the positive slope if e has the bit j.
    ///
    /// Multiplied by the difference of the slopes, the sums would cancel, or be infinite.
    #[inline(always)]
    fn fill<S: Simd<E>, const F: usize, const LEAKY: bool>(
        &self,
        s: S,
        first: usize,
        tables: &mut [[[E; ENTRIES]; F]],
    ) {
        let features = self.feature..(self.feature + F).min(self.d);
        let indices = black_box(indices(s)); // masks in registers, not constants
        let Slopes {
            positive, negative, ..
        } = self.slopes;
        for (j, tables) in (first..).step_by(GROUP).zip(tables) {
            let (mut terms, mut off) = ([[E::zero(); F]; GROUP], [[E::zero(); F]; GROUP]);
            for b in 0..GROUP {
                let (g, sample) = (self.g[j + b], (j + b) * self.d);
                let x = self.x.get(sample + features.start..sample + features.end);
                let x = x.unwrap_or_default(); // beyond the last sample
                weighted(positive * g, x, &mut terms[b]);
                if LEAKY {
                    weighted(negative * g, x, &mut off[b]);
                }
            }
            for f in 0..F {
                let entries = S::vectors_mut(&mut tables[f]);
                for (to, &index) in entries.iter_mut().zip(S::vectors(&indices)) {
                    let mut sum = s.zero();
                    for b in 0..GROUP {
                        let (on, set) = (s.splat(terms[b][f]), s.has_bit(index, s.bit(b)));
                        sum = if LEAKY {
                            s.add(sum, s.select(set, on, s.splat(off[b][f])))
                        } else {
                            s.select(set, s.add(sum, on), sum)
                        };
                    }
                    *to = sum;
                }
            }
        }
    }

    /// Adds the sums over the samples of the tables, of the panel from `start` to `end`, to those of
    /// all tiles.
    #[inline(always)]
    fn tiles<S: Simd<E>, const F: usize>(
        &self,
        s: S,
        [start, end, first]: [usize; 3],
        tables: &[[[E; ENTRIES]; F]],
        out: &mut [E],
    ) {
        let (word, particles) = (8 * size_of::<E>(), self.blocking.stored_particles);
        let rows = (end - start).div_ceil(word);
        let words = &self.words[start / word * particles..][..rows * particles];
        let skip = (first - start) / word * SIGN_ROWS;
        let lanes = S::lanes(&s.zero()).len();
        let add = self.add || first > 0;
        let out = out.chunks_exact_mut(FEATURES * VECTORS * lanes);
        for (i, out) in (self.particle..).step_by(VECTORS * lanes).zip(out) {
            let mut signs = [words; VECTORS];
            for v in 0..VECTORS {
                let i = (i + v * lanes).min(particles - lanes); // beyond the last particle
                signs[v] = &words[i / SIGN_ROWS * SIGN_ROWS * rows + i % SIGN_ROWS + skip..];
            }
            let sums = sums::<E, S, F>(s, signs, tables);
            let (out, _) = S::vectors_mut(out).as_chunks_mut::<FEATURES>();
            for v in 0..VECTORS {
                for f in 0..F {
                    let sum = sums[v][f];
                    out[v][f] = if add { s.add(out[v][f], sum) } else { sum };
                }
            }
        }
    }
}

/// `g x`, of at most F features.
#[inline(always)]
fn weighted<E: SimdScalar, const F: usize>(g: E, x: &[E], terms: &mut [E; F]) {
    if let Some(x) = x.first_chunk::<F>() {
        *terms = std::array::from_fn(|f| g * x[f]);
        return;
    }
    for (term, &x) in terms.iter_mut().zip(x) {
        *term = g * x;
    }
}

/// The scalars whose bit patterns are 0, 1, .., 15.
#[inline(always)]
fn indices<E: SimdScalar, S: Simd<E>>(s: S) -> [E; ENTRIES] {
    let mut indices = [E::zero(); ENTRIES];
    for e in 0..ENTRIES {
        for b in 0..GROUP {
            if e >> b & 1 == 1 {
                indices[e] = S::lanes(&s.or(s.splat(indices[e]), s.bit(b)))[0];
            }
        }
    }
    indices
}

/// The sums of the entries of all tables that the signs select, the particles i in the lanes of the
/// vectors, and F features.
#[inline(always)]
fn sums<E: SimdScalar, S: Simd<E>, const F: usize>(
    s: S,
    signs: [&[E]; VECTORS],
    tables: &[[[E; ENTRIES]; F]],
) -> [[S::Vector; F]; VECTORS] {
    let one = s.splat(black_box(E::one())); // not a constant: the compiler would add instead
    let fused = size_of::<E>() / 2; // measured: a half in f32, a quarter in f64
    let mut sums = [[s.zero(); F]; VECTORS];
    for (row, tables) in tables.chunks(8 * size_of::<E>() / GROUP).enumerate() {
        let mut index = [s.zero(); VECTORS];
        for v in 0..VECTORS {
            index[v] = S::vectors(&signs[v][row * SIGN_ROWS..])[0];
        }
        for table in tables {
            for f in 0..F {
                for v in 0..VECTORS {
                    let (term, sum) = (s.lookup(&table[f], index[v]), sums[v][f]);
                    sums[v][f] = if f % fused == 0 {
                        s.mul_add(one, term, sum)
                    } else {
                        s.add(sum, term)
                    };
                }
            }
            for v in 0..VECTORS {
                index[v] = s.shift(index[v]);
            }
        }
    }
    sums
}

impl<E: SimdScalar> SimdKernel for FinishSubsets<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        if !S::MASKED {
            unreachable!("a kernel for levels with mask registers");
        }
        let (d, p) = (self.d, self.d + 1);
        let lanes = S::lanes(&s.zero()).len();
        let of_block = self.sums.len() / d.div_ceil(FEATURES);
        let particles = self.w.chunks(p * lanes).zip(self.out.chunks_mut(p * lanes));
        for (i, (w, out)) in (0..).step_by(lanes).zip(particles) {
            let (mut dots, mut scales) = ([s.zero(); LINE], [s.zero(); LINE]);
            let mut rest = [E::zero(); LINE];
            for (scale, w) in scales.iter_mut().zip(w.chunks_exact(p)) {
                *scale = s.splat(-w[0]);
            }
            for feature in (0..d).step_by(lanes) {
                let features = lanes.min(d - feature);
                // The sums of one line of features, transposed by perfect shuffles.
                let mut g = [s.zero(); LINE];
                for f in [0, FEATURES] {
                    if f < features {
                        let block = (feature + f) / FEATURES * of_block;
                        let sums = &self.sums[block + (self.first + i) * FEATURES..];
                        // All rows: those beyond the last feature are not read.
                        g[f..f + FEATURES].copy_from_slice(&S::vectors(sums)[..FEATURES]);
                    }
                }
                transpose::<E, S>(s, &mut g[..lanes]);
                let first = 1 + feature;
                let particles = w.chunks_exact(p).zip(out.chunks_exact_mut(p));
                for (l, (w, out)) in particles.enumerate() {
                    let (b, out) = (
                        &w[first..first + features],
                        &mut out[first..first + features],
                    );
                    if let ([b], [out]) = (S::vectors(b), S::vectors_mut(out)) {
                        dots[l] = s.mul_add(*b, g[l], dots[l]);
                        *out = s.mul(scales[l], g[l]);
                        continue;
                    }
                    for ((out, &b), &g) in out.iter_mut().zip(b).zip(S::lanes(&g[l])) {
                        rest[l] += b * g;
                        *out = -w[0] * g;
                    }
                }
            }
            let particles = w.chunks_exact(p).zip(out.chunks_exact_mut(p));
            for (l, (w, out)) in particles.enumerate() {
                let sum = s.reduce_sum(dots[l]) + rest[l];
                out[0] = -sum;
                if let Some(value) = self.values.get_mut(i + l) {
                    *value = w[0] * sum;
                }
            }
        }
    }
}

/// Transposes as many vectors as a vector has lanes, by perfect shuffles.
#[inline(always)]
fn transpose<E: SimdScalar, S: Simd<E>>(s: S, rows: &mut [S::Vector]) {
    let half = rows.len() / 2;
    for _ in 0..rows.len().ilog2() {
        let mut before = [s.zero(); LINE];
        before[..2 * half].copy_from_slice(rows);
        for r in 0..half {
            let (a, b) = (before[r], before[r + half]);
            rows[2 * r] = s.zip_low(a, b);
            rows[2 * r + 1] = s.zip_high(a, b);
        }
    }
}
