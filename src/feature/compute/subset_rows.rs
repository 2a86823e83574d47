//! Backward pass of piecewise linear activations by sums over subsets of samples, with features in
//! the lanes (the "method of four Russians": Arlazarov, Dinic, Kronrod and Faradzev 1970).
//!
//! For four consecutive samples, a particle adds one of the 16 sums over their subsets to
//! `sum_(j: b_i . x_j > 0) g_j x_j`; with a slope below 0, the terms of the others are in it too. Its four
//! signs are the index of a row of a table, whose lanes are features: an addition from the L1 cache
//! processes four samples.
//!
//! A task owns a chunk of particles. For each block of features, the tables of a batch of samples serve
//! all its particles, whose sums are in the L2 cache between the batches. After the last one their
//! velocities are written, so that weights and velocities pass through memory once.

use std::hint::black_box;

use super::blocking::{Blocking, PARTICLES};
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

/// Memory at the start of a cache line.
#[repr(align(64))]
struct Aligned<X>(X);

/// The scratch memory of a task.
struct Scratch<'a, E, X> {
    /// The tables of a batch.
    tables: &'a mut [X],
    /// The sums of all particles over the samples before the batch, for the features of a block; empty
    /// if there is one batch.
    sums: &'a mut [X],
    /// The products of `b_i` and `G_i` for the features before the block, in lanes.
    products: &'a mut [X],
    /// The factors of `G_i`.
    scales: &'a [E],
}

impl<E: SimdScalar> SimdKernel for SubsetRows<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(mut self, s: S) {
        let lanes = S::lanes(&s.zero()).len();
        let mut tables = Aligned([[s.zero(); V]; LINES * ROWS * BATCH / GROUP]);
        let mut products = Aligned([s.zero(); PARTICLES]);
        let mut scales = [E::one(); PARTICLES];
        if self.last {
            for (scale, w) in scales.iter_mut().zip(self.w.chunks_exact(self.d + 1)) {
                *scale = -w[0];
            }
        }
        let mut sums = &mut [][..];
        let mut several; // a tenth of the pass for few samples
        if self.blocking.padded > BATCH {
            several = Aligned([[s.zero(); V]; LINES * PARTICLES]);
            sums = several.0.as_flattened_mut();
        }
        let scratch = &mut Scratch {
            tables: tables.0.as_flattened_mut(),
            sums,
            products: &mut products.0,
            scales: &scales,
        };
        for feature in (0..self.d).step_by(LINES * V * lanes) {
            macro_rules! width {
                ($($width:literal)+) => {
                    match (self.d - feature).div_ceil(lanes).min(LINES * V) {
                        // Sums of 8 vectors in registers, about, hide the latency of an addition.
                        1 if V == 1 => self.batches::<S, 8, SIGN_ROWS, 1>(s, feature, scratch),
                        2 if V == 1 => self.batches::<S, 4, SIGN_ROWS, 2>(s, feature, scratch),
                        1 => self.batches::<S, R, R, 1>(s, feature, scratch),
                        2 => self.batches::<S, R, R, 2>(s, feature, scratch),
                        $(..=$width if const { 1 < V && $width <= LINES * V } => {
                            self.batches::<S, 2, R, $width>(s, feature, scratch);
                        })+
                        _ => unreachable!("a block has at most {LINES} lines"),
                    }
                };
            }
            width!(3 4 8 16 32);
        }
    }
}

/// Samples whose tables are in use, and features.
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
        scratch: &mut Scratch<'_, E, S::Vector>,
    ) {
        let Blocking { panel, padded, .. } = self.blocking;
        for start in (0..padded).step_by(panel) {
            let panel = panel.min(padded - start);
            for first in (0..panel).step_by(BATCH) {
                let samples = [start + first, BATCH.min(panel - first)];
                let panel = [start, panel];
                let batch = Batch {
                    panel,
                    samples,
                    feature,
                };
                let (tables, _) = scratch.tables.as_chunks_mut::<C>().0.as_chunks_mut();
                let tables = &mut tables[..samples[1] / GROUP];
                if self.slopes.negative == E::zero() {
                    self.fill::<S, C, false>(s, batch, tables);
                } else {
                    self.fill::<S, C, true>(s, batch, tables);
                }
                if samples[0] + samples[1] == padded {
                    self.tiles::<S, P, Q, C, true>(s, batch, scratch);
                } else {
                    self.tiles::<S, P, Q, C, false>(s, batch, scratch);
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

    /// Adds the sums over the samples of the tables to those of all particles, and writes the result
    /// to the output if they are the `LAST` ones.
    #[inline(always)]
    fn tiles<S: Simd<E>, const P: usize, const Q: usize, const C: usize, const LAST: bool>(
        &mut self,
        s: S,
        batch: Batch,
        scratch: &mut Scratch<'_, E, S::Vector>,
    ) {
        let Batch {
            panel: [start, panel],
            samples: [first, samples],
            feature,
        } = batch;
        let (tables, _) = scratch.tables.as_chunks::<C>().0.as_chunks();
        let (tables, (sums, _)) = (&tables[..samples / GROUP], scratch.sums.as_chunks_mut());
        let (word, p) = (8 * size_of::<E>(), self.d + 1);
        let particles = self.blocking.stored_particles;
        let (rows, skip) = (panel.div_ceil(word), (first - start) / word);
        let words = &self.words[start / word * particles..][..rows * particles];
        let of_batch = samples.div_ceil(word);
        let count = self.out.len() / p;
        for tile in (0..count).step_by(P) {
            let i = self.first + tile;
            let words = &words[i / Q * Q * rows + i % Q + skip * Q..];
            let signs = signs::<E, P>(words, of_batch, Q);
            let ahead = if LAST { AHEAD * P } else { 0 };
            for i in tile + ahead..tile + ahead + P {
                let row = i * p + 1 + feature;
                if first == 0 {
                    request(s, self.w, row);
                }
                if LAST {
                    request(s, self.out, row);
                }
            }
            let mut total = selected_sums::<E, S, P, C>(s, signs, tables);
            let sums: &mut [[S::Vector; C]] = match sums.is_empty() {
                true => &mut [],
                false => &mut sums[tile..tile + P],
            };
            for r in 0..P {
                for c in 0..C {
                    if first > 0 {
                        total[r][c] = s.add(sums[r][c], total[r][c]);
                    }
                    if !LAST {
                        sums[r][c] = total[r][c];
                    }
                }
            }
            if !LAST {
                continue;
            }
            for r in 0..P.min(count - tile) {
                let scale = scratch.scales[tile + r];
                let products = &mut scratch.products[tile + r];
                self.finish(s, tile + r, feature, &total[r], scale, products);
            }
        }
    }

    /// Writes the velocities of particle i of the chunk, or the sums if other samples follow, for a
    /// block of features with these sums.
    #[inline(always)]
    fn finish<S: Simd<E>, const C: usize>(
        &mut self,
        s: S,
        i: usize,
        feature: usize,
        sums: &[S::Vector; C],
        scale: E,
        products: &mut S::Vector,
    ) {
        let (p, width) = (self.d + 1, C * S::lanes(&s.zero()).len());
        let (row, len) = (i * p + 1 + feature, width.min(self.d - feature));
        let (b, db) = (&self.w[row..row + len], &mut self.out[row..row + len]);
        if feature == 0 {
            *products = s.zero();
        }
        if len == width {
            write::<E, S, C>(s, sums, (scale, self.add), b, db, products);
        } else {
            let mut padded = [[E::zero(); LINES * LINE]; 2];
            padded[0][..len].copy_from_slice(b);
            padded[1][..len].copy_from_slice(db);
            let [b, padded] = &mut padded;
            write::<E, S, C>(s, sums, (scale, self.add), b, padded, products);
            db.copy_from_slice(&padded[..len]);
        }
        if self.last && feature + len == self.d {
            let da = -s.reduce_sum(*products);
            self.out[i * p] = da;
            if let Some(value) = self.values.get_mut(i) {
                *value = scale * da;
            }
        }
    }
}

/// Adds `sums` to `db` if `add`, or overwrites it, and multiplies by the scale; adds the products with
/// `b` before.
#[inline(always)]
fn write<E: SimdScalar, S: Simd<E>, const C: usize>(
    s: S,
    sums: &[S::Vector; C],
    (scale, add): (E, bool),
    b: &[E],
    db: &mut [E],
    products: &mut S::Vector,
) {
    let (b, db) = (&S::vectors(b)[..C], &mut S::vectors_mut(db)[..C]);
    for c in 0..C {
        let sum = if add { s.add(db[c], sums[c]) } else { sums[c] };
        *products = s.mul_add(b[c], sum, *products);
        db[c] = s.mul(s.splat(scale), sum);
    }
}

/// Requests the cache lines of a block of features from `row` on. (The first one is the last one of the
/// block before.)
#[inline(always)]
fn request<E: SimdScalar, S: Simd<E>>(s: S, x: &[E], row: usize) {
    if let Some(x) = x.get(row..row + LINES * line::<E>()) {
        for l in 1..=LINES {
            s.prefetch(&x[l * line::<E>() - 1]);
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
fn selected_sums<E: SimdScalar, S: Simd<E>, const P: usize, const C: usize>(
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
