//! Backward pass of piecewise linear activations by sums over subsets of samples, with features in
//! the lanes (the "method of four Russians": Arlazarov, Dinic, Kronrod and Faradzev 1970).
//!
//! For four consecutive samples, a particle adds one of the 16 sums over their subsets to
//! `sum_(j: b_i . x_j > 0) g_j x_j`; with a slope below 0, the terms of the others are in it too. Its four
//! signs are the index of a row of a table, whose lanes are features: an addition from the L1 cache
//! processes four samples.
//!
//! A task owns a chunk of particles. For each block of features, the tables of a batch of samples serve
//! all its particles; the sums are in the output between the batches. After the last one they are
//! replaced by the velocities, so that weights and velocities pass through memory once.

use std::hint::black_box;

use super::blocking::Blocking;
use super::signs::SIGN_ROWS;
use crate::activation::Slopes;
use crate::numeric::packed::line;
use crate::numeric::simd::{Simd, SimdKernel, SimdScalar, bytes, launch};

/// Samples of a table.
const GROUP: usize = 4;

/// Rows of a table.
const ROWS: usize = 1 << GROUP;

/// Samples whose tables are in the L1 cache at a time; their signs are bits of a `u64`.
const BATCH: usize = 64;

/// Lines of a block of features. (The tables of a batch are 32 KiB.)
const LINES: usize = 2;

/// Scalars of a line at most.
const LINE: usize = 16;

/// Tiles of particles ahead of the current one whose cache lines are requested.
const AHEAD: usize = 2;

/// The velocities `da_i = -S_i`, `db_i = -a_i G_i` with `G_i = sum_j g_j sigma'(b_i . x_j) x_j` and
/// `S_i = <b_i, G_i>`, and `a_i S_i` in `values` unless it is empty, for a chunk of particles.
pub(super) struct SubsetRows<'a, E> {
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
    /// The first particle of the chunk, of a whole tile.
    pub(super) first: usize,
    /// True if the sums are added to those in `out`, which they overwrite otherwise.
    pub(super) add: bool,
    /// False if other samples follow: `out` is `(., G_i)`.
    pub(super) last: bool,
    /// The particles `(a_i, b_i)` of the chunk, `p x particles`.
    pub(super) w: &'a [E],
    pub(super) out: &'a mut [E],
    pub(super) values: &'a mut [E],
}

launch!(SubsetRows);

/// The tables of a batch.
#[repr(align(64))]
struct Tables<X>([X; LINES * ROWS * BATCH / GROUP]);

impl<E: SimdScalar> SimdKernel for SubsetRows<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(mut self, s: S) {
        let lanes = S::lanes(&s.zero()).len();
        let mut tables = Tables([[s.zero(); V]; LINES * ROWS * BATCH / GROUP]);
        let tables = tables.0.as_flattened_mut();
        for feature in (0..self.d).step_by(LINES * V * lanes) {
            macro_rules! width {
                ($($width:literal)+) => {
                    match (self.d - feature).div_ceil(lanes).min(LINES * V) {
                        // Sums of 8 vectors in registers, about, hide the latency of an addition.
                        1 if V == 1 => self.batches::<S, 8, SIGN_ROWS, 1>(s, feature, tables),
                        2 if V == 1 => self.batches::<S, 4, SIGN_ROWS, 2>(s, feature, tables),
                        1 => self.batches::<S, R, R, 1>(s, feature, tables),
                        2 => self.batches::<S, R, R, 2>(s, feature, tables),
                        $(..=$width if const { 1 < V && $width <= LINES * V } => {
                            self.batches::<S, 2, R, $width>(s, feature, tables);
                        })+
                        _ => unreachable!("a block has at most {LINES} lines"),
                    }
                };
            }
            width!(3 4 8 16 32);
        }
    }
}

/// Samples of a panel whose tables are in use, and features.
#[derive(Clone, Copy)]
struct Batch {
    /// The first sample of the panel, and its samples.
    panel: [usize; 2],
    /// The first sample and the samples of the batch.
    samples: [usize; 2],
    /// The first feature of the block.
    feature: usize,
}

impl<E: SimdScalar> SubsetRows<'_, E> {
    /// All samples, for a block of features of C vectors, in tiles of P particles; the words of Q
    /// particles are neighbours.
    #[inline(always)]
    fn batches<S: Simd<E>, const P: usize, const Q: usize, const C: usize>(
        &mut self,
        s: S,
        feature: usize,
        tables: &mut [S::Vector],
    ) {
        let Blocking { panel, padded, .. } = self.blocking;
        let (tables, _) = tables.as_chunks_mut::<C>().0.as_chunks_mut::<ROWS>();
        for start in (0..padded).step_by(panel) {
            let panel = panel.min(padded - start);
            for first in (0..panel).step_by(BATCH) {
                let samples = [start + first, BATCH.min(panel - first)];
                let tables = &mut tables[..samples[1] / GROUP];
                let panel = [start, panel];
                let batch = Batch {
                    panel,
                    samples,
                    feature,
                };
                if self.slopes.negative == E::zero() {
                    self.fill::<S, C, false>(s, batch, tables);
                } else {
                    self.fill::<S, C, true>(s, batch, tables);
                }
                let add = self.add || samples[0] > 0;
                let last = self.last && samples[0] + samples[1] == padded;
                match (add, last) {
                    (false, false) => self.tiles::<S, P, Q, C, false, false>(s, batch, tables),
                    (false, true) => self.tiles::<S, P, Q, C, false, true>(s, batch, tables),
                    (true, false) => self.tiles::<S, P, Q, C, true, false>(s, batch, tables),
                    (true, true) => self.tiles::<S, P, Q, C, true, true>(s, batch, tables),
                }
            }
        }
    }

    /// Computes the tables: row e of a table is the sum of `g_j sigma'_j x_j` over the samples j of its
    /// group, with the positive slope if e has the bit j.
    ///
    /// Multiplied by the difference of the slopes, the sums would cancel, or be infinite.
    #[inline(always)]
    fn fill<S: Simd<E>, const C: usize, const LEAKY: bool>(
        &self,
        s: S,
        Batch {
            samples, feature, ..
        }: Batch,
        tables: &mut [[[S::Vector; C]; ROWS]],
    ) {
        let lanes = S::lanes(&s.zero()).len();
        let features = feature..(feature + C * lanes).min(self.d);
        let Slopes {
            positive, negative, ..
        } = self.slopes;
        let mut padded = [E::zero(); LINES * LINE];
        for (j, table) in (samples[0]..).step_by(GROUP).zip(tables) {
            table[0] = [s.zero(); C];
            for b in 0..GROUP {
                let (g, sample) = (self.g[j + b], (j + b) * self.d);
                let x = self.x.get(sample + features.start..sample + features.end);
                let mut x = x.unwrap_or_default(); // beyond the last sample
                for entry in 0..=LINES {
                    let entry = sample + features.end + entry * line::<E>();
                    if let Some(next) = self.x.get(entry) {
                        s.prefetch(next); // the next block of features
                    }
                }
                if x.len() < C * lanes {
                    padded[..x.len()].copy_from_slice(x);
                    padded[x.len()..].fill(E::zero());
                    x = &padded;
                }
                let x = &S::vectors(x)[..C];
                let (on, off) = (s.splat(positive * g), s.splat(negative * g));
                let (rows, others) = table.split_at_mut(1 << b);
                for c in 0..C {
                    let (on, off) = (s.mul(on, x[c]), s.mul(off, x[c]));
                    for (row, other) in rows.iter_mut().zip(&mut *others) {
                        other[c] = s.add(row[c], on);
                        if LEAKY {
                            row[c] = s.add(row[c], off);
                        }
                    }
                }
            }
        }
    }

    /// Adds the sums over the samples of the tables to those of all particles if `ADD`, which they
    /// overwrite otherwise, and replaces these by the velocities if `LAST`.
    #[inline(always)]
    fn tiles<
        S: Simd<E>,
        const P: usize,
        const Q: usize,
        const C: usize,
        const ADD: bool,
        const LAST: bool,
    >(
        &mut self,
        s: S,
        batch: Batch,
        tables: &[[[S::Vector; C]; ROWS]],
    ) {
        let Batch {
            panel: [start, panel],
            samples: [first, samples],
            feature,
        } = batch;
        let (word, p) = (8 * size_of::<E>(), self.d + 1);
        let particles = self.blocking.stored_particles;
        let (rows, skip) = (panel.div_ceil(word), (first - start) / word);
        let words = &self.words[start / word * particles..][..rows * particles];
        let of_batch = samples.div_ceil(word);
        let lanes = S::lanes(&s.zero()).len();
        let features = feature..(feature + C * lanes).min(self.d);
        let (d, len, w) = (self.d, features.len(), self.w);
        let (out, values) = (&mut *self.out, &mut *self.values);
        let count = out.len() / p;
        for tile in (0..count).step_by(P) {
            let i = self.first + tile;
            let words = &words[i / Q * Q * rows + i % Q + skip * Q..];
            let signs = signs::<E, P>(words, of_batch, Q);
            // Lines of `w` are requested in the first batch, those of `out` for the next block in the last
            // one: few at a time. The first line of a row is the last one of the block before.
            if first == 0 {
                let ahead = if LAST { tile + AHEAD * P } else { tile };
                for i in (ahead..count).take(P) {
                    let row = &w[i * p + 1 + feature..][..len];
                    for entry in (line::<E>()..len).step_by(line::<E>()).chain([len - 1]) {
                        s.prefetch(&row[entry]);
                    }
                }
            }
            if LAST {
                for i in (tile..count).take(P) {
                    let next = i * p + features.end;
                    for entry in 1..=LINES {
                        if let Some(entry) = out.get(next + entry * line::<E>()) {
                            s.prefetch(entry);
                        }
                    }
                }
            }
            let sums = sums::<E, S, P, C>(s, signs, tables);
            for r in 0..P.min(count - tile) {
                let row = (tile + r) * p + 1 + feature;
                let (b, db) = (&w[row..row + len], &mut out[row..row + len]);
                let scale = if LAST { -w[(tile + r) * p] } else { E::one() };
                let dot = finish::<E, S, C, ADD, LAST>(s, &sums[r], scale, b, db);
                if LAST {
                    let da = &mut out[(tile + r) * p];
                    *da = if feature == 0 { -dot } else { *da - dot };
                    if features.end == d
                        && let Some(value) = values.get_mut(tile + r)
                    {
                        *value = scale * *da;
                    }
                }
            }
        }
    }
}

/// The signs of P particles as bits of integers, from `rows` rows of words at a distance of `stride`.
#[inline(always)]
fn signs<E: SimdScalar, const P: usize>(words: &[E], rows: usize, stride: usize) -> [u64; P] {
    let mut signs = [0; P];
    for row in 0..rows {
        let words = bytes(&words[row * stride..][..P]);
        for (signs, word) in signs.iter_mut().zip(words.chunks_exact(size_of::<E>())) {
            let mut bits = [0; 8];
            bits[..size_of::<E>()].copy_from_slice(word);
            *signs |= u64::from_le_bytes(bits) << (8 * size_of::<E>() * row);
        }
    }
    signs
}

/// The sums of the rows of all tables that the signs of P particles select.
#[inline(always)]
fn sums<E: SimdScalar, S: Simd<E>, const P: usize, const C: usize>(
    s: S,
    mut signs: [u64; P],
    tables: &[[[S::Vector; C]; ROWS]],
) -> [[S::Vector; C]; P] {
    // Rotated by the size of a row, an index is its offset after one `and`. (`black_box`: the compiler
    // would use vectors, and extract every index.)
    let shift = size_of::<[S::Vector; C]>().ilog2();
    let mut sums = [[s.zero(); C]; P];
    for signs in &mut signs {
        *signs = black_box(signs.rotate_left(shift));
    }
    for table in tables {
        for r in 0..P {
            let row = &table[(signs[r] >> shift) as usize % ROWS];
            signs[r] = signs[r].rotate_right(GROUP as u32);
            for c in 0..C {
                sums[r][c] = s.add(sums[r][c], row[c]);
            }
        }
    }
    sums
}

/// Adds `sums` to `db` if `ADD`, and overwrites it otherwise; if `LAST`, multiplies by the scale and
/// returns `<b, db>` before.
#[inline(always)]
fn finish<E: SimdScalar, S: Simd<E>, const C: usize, const ADD: bool, const LAST: bool>(
    s: S,
    sums: &[S::Vector; C],
    scale: E,
    b: &[E],
    db: &mut [E],
) -> E {
    let lanes = S::lanes(&s.zero()).len();
    let (mut dot, mut rest) = (s.zero(), E::zero());
    for c in 0..C {
        let (mut sum, first) = (sums[c], c * lanes);
        if first + lanes <= db.len() {
            let db = &mut S::vectors_mut(&mut db[first..first + lanes])[0];
            if ADD {
                sum = s.add(*db, sum);
            }
            if LAST {
                dot = s.mul_add(S::vectors(&b[first..first + lanes])[0], sum, dot);
                sum = s.mul(s.splat(scale), sum);
            }
            *db = sum;
            continue;
        }
        for f in first..db.len() {
            let mut sum = S::lanes(&sum)[f - first];
            if ADD {
                sum += db[f];
            }
            if LAST {
                rest += b[f] * sum;
                sum *= scale;
            }
            db[f] = sum;
        }
        break;
    }
    if LAST { s.reduce_sum(dot) + rest } else { rest }
}
