//! Microkernels on register tiles: inner products of `R` particles with one line of samples, and
//! weighted sums of features.
//!
//! Every sum has a fixed order, so a result does not depend on which thread computes it.

use std::ops::Range;

use super::blocking::SAMPLES;
use super::operands::{Panel, Rows};
use crate::numeric::packed::{line, whole_lines};
use crate::numeric::simd::{Simd, SimdScalar};

/// Bytes of a particle per block of the inner dimension (the `kc` of BLIS), so that the particles
/// of a tile and the line stay in the L1 cache.
const DEPTH: usize = 1024;

/// Ways of the L1 cache, at least.
const WAYS: usize = 8;

/// The `len` entries from `first` on of each row.
#[inline(always)]
pub(super) fn columns<'a, X, const R: usize>(
    rows: &[&'a [X]; R],
    first: usize,
    len: usize,
) -> [&'a [X]; R] {
    let mut columns = [&rows[0][..0]; R];
    for r in 0..R {
        columns[r] = &rows[r][first..][..len];
    }
    columns
}

/// `u[l][r][w] = u[l][r][w] + sum_f b[r][f] x[l][f][w]` for the features in the lines `x[l]`
/// (each `d x W`).
#[inline(always)]
fn products<E: SimdScalar, S: Simd<E>, const R: usize, const V: usize, const L: usize>(
    s: S,
    b: &[&[E]; R],
    x: [&[[S::Vector; V]]; L],
    mut u: [[[S::Vector; V]; R]; L],
) -> [[[S::Vector; V]; R]; L] {
    let (fours, last) = (x[0].len() / 4, x[0].len() % 4);
    let mut x_fours = [&x[0].as_chunks::<4>().0[..0]; L];
    for l in 0..L {
        x_fours[l] = &x[l].as_chunks().0[..fours];
    }
    let mut b_fours = [&b[0].as_chunks::<4>().0[..0]; R];
    for r in 0..R {
        b_fours[r] = &b[r].as_chunks().0[..fours];
    }
    // Many rows have more addresses than there are registers for them.
    for q in 0..fours {
        let (mut x, mut b) = ([&x_fours[0][0]; L], [&b_fours[0][0]; R]);
        for l in 0..L {
            x[l] = &x_fours[l][q];
        }
        for r in 0..R {
            b[r] = &b_fours[r][q];
        }
        for f in 0..4 {
            for r in 0..R {
                let b = s.splat(b[r][f]);
                for l in 0..L {
                    for v in 0..V {
                        u[l][r][v] = s.mul_add(b, x[l][f][v], u[l][r][v]);
                    }
                }
            }
        }
    }
    let b = columns(b, 4 * fours, last);
    for f in 0..last {
        for r in 0..R {
            let b = s.splat(b[r][f]);
            for l in 0..L {
                for v in 0..V {
                    u[l][r][v] = s.mul_add(b, x[l][4 * fours + f][v], u[l][r][v]);
                }
            }
        }
    }
    u
}

/// Lines whose products use a coordinate of a particle once it is loaded, if a line is one vector: with
/// one line, there would be more loads than multiplications.
const PAIR: usize = 2;

/// The lines of a tile on `lines` lines that are processed in pairs.
#[inline(always)]
const fn paired<const V: usize>(lines: usize) -> usize {
    if V == 1 { lines / PAIR * PAIR } else { 0 }
}

/// Features of a block of the inner dimension.
pub(super) const fn depth<E>() -> usize {
    DEPTH / size_of::<E>()
}

/// The features before the last block of the inner dimension, whole blocks.
pub(super) const fn leading_features<E>(d: usize) -> usize {
    (d - 1) / depth::<E>() * depth::<E>()
}

/// Requests the parts `l`, of `parts` equal ones, of the rows that are read next.
///
/// Rows of a tile are too short for the prefetchers of processors, and too many.
#[inline(always)]
fn prefetch<E, S: Simd<E>, const R: usize>(s: S, rows: &[&[E]; R], l: Range<usize>, parts: usize) {
    let lines = rows[0].len().div_ceil(line::<E>());
    let part = lines.div_ceil(parts);
    for c in l.start * part..(l.end * part).min(lines) {
        for r in 0..R {
            s.prefetch(&rows[r][c * line::<E>()]);
        }
    }
}

/// Adds the products of `R` particles `b` with the samples `x` in lines (each `d x W`) to their
/// `partial` sums, a tile for each line: those of one block of features from `first` on. The rows
/// `next` are prefetched.
///
/// Rows whose distance is nearly a multiple of 4096 bytes share few sets of the L1 cache: more than
/// [`WAYS`] rows are copied to `packed`.
#[inline(always)]
pub(super) fn add_products<E: SimdScalar, S: Simd<E>, const R: usize, const V: usize>(
    s: S,
    [b, next]: [[&[E]; R]; 2],
    x: &[E],
    first: usize,
    packed: &mut Rows<E, R>,
    partial: &mut [[[S::Vector; V]; R]],
) {
    let (d, depth, lines) = (b[0].len(), depth::<E>(), partial.len());
    let (x, _) = S::vectors(x).as_chunks::<V>();
    let mut b = columns(&b, first, depth);
    if R > WAYS {
        let packed = packed.first(R, depth);
        for r in 0..R {
            packed[r * depth..][..depth].copy_from_slice(b[r]);
        }
        for r in 0..R {
            b[r] = &packed[r * depth..][..depth];
        }
    }
    let x = |l: usize| &x[l * d..][first..first + depth];
    if first == 0 {
        partial.fill([[s.zero(); V]; R]);
    }
    let (pairs, others) = partial.split_at_mut(paired::<V>(lines));
    for (l, u) in (0..).step_by(PAIR).zip(pairs.as_chunks_mut().0) {
        prefetch(s, &next, l..l + PAIR, lines);
        *u = products::<E, S, R, V, PAIR>(s, &b, [x(l), x(l + 1)], *u);
    }
    for (l, u) in (paired::<V>(lines)..).zip(others) {
        prefetch(s, &next, l..l + 1, lines);
        [*u] = products::<E, S, R, V, 1>(s, &b, [x(l)], [*u]);
    }
}

/// Computes `u = b.x` for `R` particles `b` and the samples `x` in `lines` lines (each `d x W`),
/// and calls `emit(line, u)` while u is in registers. If there are several blocks of features,
/// `partial` contains the sums of those before the last. The rows `next` are prefetched.
///
/// Callers restrict the output of `emit` to `lines` lines, so that bounds checks are elided.
#[inline(always)]
pub(super) fn complete_products<E: SimdScalar, S: Simd<E>, const R: usize, const V: usize>(
    s: S,
    [b, next]: [[&[E]; R]; 2],
    x: &[E],
    lines: usize,
    partial: &[[[S::Vector; V]; R]],
    mut emit: impl FnMut(usize, &[[S::Vector; V]; R]),
) {
    let d = b[0].len();
    let (x, _) = S::vectors(x).as_chunks::<V>();
    let first = leading_features::<E>(d);
    let b = columns(&b, first, d - first);
    let x = |l: usize| &x[l * d..][first..d];
    let start = |l: usize| partial.get(l).copied().unwrap_or([[s.zero(); V]; R]);
    let paired = paired::<V>(lines);
    for l in (0..paired).step_by(PAIR) {
        prefetch(s, &next, l..l + PAIR, lines);
        let start = [start(l), start(l + 1)];
        let u = products::<E, S, R, V, PAIR>(s, &b, [x(l), x(l + 1)], start);
        emit(l, &u[0]);
        emit(l + 1, &u[1]);
    }
    for l in paired..lines {
        prefetch(s, &next, l..l + 1, lines);
        let [u] = products::<E, S, R, V, 1>(s, &b, [x(l)], [start(l)]);
        emit(l, &u);
    }
}

/// Computes `u = b.x` as [`complete_products`], all blocks of features of one tile.
#[inline(always)]
pub(super) fn preactivations<E: SimdScalar, S: Simd<E>, const R: usize, const V: usize>(
    s: S,
    b: [&[E]; R],
    x: &[E],
    lines: usize,
    emit: impl FnMut(usize, &[[S::Vector; V]; R]),
) {
    let leading = leading_features::<E>(b[0].len());
    if leading == 0 {
        return complete_products::<E, S, R, V>(s, [b, [&[]; R]], x, lines, &[], emit);
    }
    let (mut partial, mut packed) = (Rows::<E, R>::zeros(), Rows::<E, R>::zeros());
    let partial = tile_sums::<E, S, R, V>(partial.0.as_flattened_mut(), lines);
    for first in (0..leading).step_by(depth::<E>()) {
        add_products::<E, S, R, V>(s, [b, [&[]; R]], x, first, &mut packed, partial);
    }
    complete_products::<E, S, R, V>(s, [b, [&[]; R]], x, lines, partial, emit);
}

/// Partial sums of a tile on `lines` lines, in the memory of its rows.
#[inline(always)]
pub(super) fn tile_sums<E, S: Simd<E>, const R: usize, const V: usize>(
    rows: &mut [E],
    lines: usize,
) -> &mut [[[S::Vector; V]; R]] {
    let (vectors, _) = S::vectors_mut(rows).as_chunks_mut::<V>();
    &mut vectors.as_chunks_mut::<R>().0[..lines]
}

/// `G[r] += sum_j t[r][j] x_j` for the samples of a panel and the particles r of all tiles, with
/// `G[r]` the last d of the p entries of column r of `out`.
///
/// All tiles use one line of features before the next is loaded.
#[inline(always)]
pub(super) fn add_weighted_features<E: SimdScalar, S: Simd<E>, const R: usize, const V: usize>(
    s: S,
    tiles: &[[[E; SAMPLES]; R]],
    panel: Panel<'_, E>,
    [d, p]: [usize; 2],
    out: &mut [E],
) {
    let (width, whole) = (line::<E>(), whole_lines::<E>(d));
    for f in (0..whole).step_by(width) {
        for (r, (t, out)) in tiles.iter().zip(out.chunks_mut(R * p)).enumerate() {
            for out in out.chunks_exact(p) {
                s.prefetch(&out[p - d + f + width - 1]);
            }
            let next = r == 0 && f + width < whole;
            let sums = feature_lane_sums::<E, S, R, V>(s, t, panel.features, whole, f, next);
            // A counted loop, so that the sums stay in registers.
            for r in 0..R.min(out.len() / p) {
                let g = S::vectors_mut(&mut out[r * p + p - d + f..][..width]);
                for v in 0..V {
                    g[v] = s.add(g[v], sums[r][v]);
                }
            }
        }
    }
    let mut f = whole;
    while f + 2 <= d {
        for (t, out) in tiles.iter().zip(out.chunks_mut(R * p)) {
            let sums = sample_lane_sums::<E, S, R, V, 2>(s, t, panel.samples, d, f);
            for (sums, g) in sums.iter().zip(out.chunks_exact_mut(p)) {
                g[p - d + f] += sums[0];
                g[p - d + f + 1] += sums[1];
            }
        }
        f += 2;
    }
    if f < d {
        for (t, out) in tiles.iter().zip(out.chunks_mut(R * p)) {
            let sums = sample_lane_sums::<E, S, R, V, 1>(s, t, panel.samples, d, f);
            for (sums, g) in sums.iter().zip(out.chunks_exact_mut(p)) {
                g[p - 1] += sums[0];
            }
        }
    }
}

/// `sum_j t[r][j] x[j][f]` for one line of features from f on, as a sum of outer products: lanes
/// are features. With `next`, the following line is prefetched.
#[inline(always)]
fn feature_lane_sums<E: SimdScalar, S: Simd<E>, const R: usize, const V: usize>(
    s: S,
    t: &[[E; SAMPLES]; R],
    features: &[E],
    whole: usize,
    f: usize,
    next: bool,
) -> [[S::Vector; V]; R] {
    let width = line::<E>();
    let mut sums = [[s.zero(); V]; R];
    let groups = features.chunks_exact(width * whole).take(SAMPLES / width);
    for (l, x) in groups.enumerate() {
        if next {
            for x in x[(f + width) * width..][..width * width].chunks_exact(width) {
                s.prefetch(&x[0]);
            }
        }
        let (x, _) = S::vectors(&x[f * width..][..width * width]).as_chunks::<V>();
        let (fours, _) = x[..width].as_chunks::<4>();
        let mut rows = [&t[0].as_chunks::<4>().0[..0]; R];
        for r in 0..R {
            rows[r] = &t[r][l * width..][..width].as_chunks().0[..fours.len()];
        }
        // With single samples, the compiler may load the weights of all rows before the features.
        for (q, x) in fours.iter().enumerate() {
            for j in 0..4 {
                for r in 0..R {
                    let t = s.splat(rows[r][q][j]);
                    for v in 0..V {
                        sums[r][v] = s.mul_add(t, x[j][v], sums[r][v]);
                    }
                }
            }
        }
    }
    sums
}

/// `sum_j t[r][j] x[j][f]` for `F` features from f on, as inner products: lanes are samples.
#[inline(always)]
fn sample_lane_sums<E: SimdScalar, S: Simd<E>, const R: usize, const V: usize, const F: usize>(
    s: S,
    t: &[[E; SAMPLES]; R],
    lines: &[E],
    d: usize,
    f: usize,
) -> [[E; F]; R] {
    let (lines, _) = S::vectors(lines).as_chunks::<V>();
    let lines = lines.chunks_exact(d).take(SAMPLES / line::<E>());
    let mut sums = [[s.zero(); R]; F];
    for (l, x) in lines.enumerate() {
        let x = &x[f..f + F];
        for v in 0..V {
            for r in 0..R {
                let t = S::vectors(&t[r]).as_chunks::<V>().0[l][v];
                for f in 0..F {
                    sums[f][r] = s.mul_add(t, x[f][v], sums[f][r]);
                }
            }
        }
    }
    let mut totals = [[E::zero(); F]; R];
    for r in 0..R {
        for f in 0..F {
            totals[r][f] = s.reduce_sum(sums[f][r]);
        }
    }
    totals
}

/// Vectors with `c[r]` in all lanes.
#[inline(always)]
pub(super) fn broadcast<E: SimdScalar, S: Simd<E>, const R: usize>(
    s: S,
    c: [E; R],
) -> [S::Vector; R] {
    let mut vectors = [s.zero(); R];
    for r in 0..R {
        vectors[r] = s.splat(c[r]);
    }
    vectors
}

/// `y += sum_r c[r] x[r]`, with the rows r of `x` one after the other.
#[inline(always)]
pub(super) fn combine<E: SimdScalar, S: Simd<E>, const R: usize>(
    s: S,
    c: [E; R],
    x: &[E],
    y: &mut [E],
) {
    let n = y.len();
    let c = broadcast(s, c);
    let y = S::vectors_mut(y);
    let mut rows = [S::vectors(&x[..n]); R];
    for r in 0..R {
        rows[r] = &S::vectors(&x[r * n..(r + 1) * n])[..y.len()];
    }
    for v in 0..y.len() {
        let mut sum = y[v];
        for r in 0..R {
            sum = s.mul_add(c[r], rows[r][v], sum);
        }
        y[v] = sum;
    }
}
