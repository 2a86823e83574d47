//! Microkernels on register tiles: inner products of `R` particles with one line of samples, and
//! weighted sums of features.
//!
//! Every sum has a fixed order, so a result does not depend on which thread computes it.

use super::blocking::SAMPLES;
use super::operands::{Panel, Rows};
use crate::numeric::packed::{line, whole_lines};
use crate::numeric::simd::{Simd, SimdScalar};

/// Bytes of a particle per block of the inner dimension (the `kc` of BLIS), so that the particles
/// of a tile and the line stay in the L1 cache.
const DEPTH: usize = 1024;

/// The `len` entries from `first` on of each row.
#[inline(always)]
fn columns<'a, X, const R: usize>(rows: &[&'a [X]; R], first: usize, len: usize) -> [&'a [X]; R] {
    let mut columns = [&rows[0][..0]; R];
    for r in 0..R {
        columns[r] = &rows[r][first..][..len];
    }
    columns
}

/// `u[r][w] = init + sum_f b[r][f] x[f][w]` for the features in one line `x` (`d x W`).
#[inline(always)]
fn products<E: SimdScalar, S: Simd<E>, const R: usize, const V: usize>(
    s: S,
    b: &[&[E]; R],
    x: &[[S::Vector; V]],
    mut u: [[S::Vector; V]; R],
) -> [[S::Vector; V]; R] {
    let b = columns(b, 0, x.len());
    for f in 0..x.len() {
        let x = x[f];
        for r in 0..R {
            let b = s.splat(b[r][f]);
            for v in 0..V {
                u[r][v] = s.mul_add(b, x[v], u[r][v]);
            }
        }
    }
    u
}

/// Computes `u = b.x` for `R` particles `b` and the samples `x` in `lines` lines (each `d x W`),
/// and calls `emit(line, u)` while u is in registers. Long products are accumulated in rows of
/// partial sums.
///
/// Callers restrict the output of `emit` to `lines` lines, so that bounds checks are elided.
#[inline(always)]
pub(super) fn preactivations<E: SimdScalar, S: Simd<E>, const R: usize, const V: usize>(
    s: S,
    b: [&[E]; R],
    x: &[E],
    lines: usize,
    mut emit: impl FnMut(usize, &[[S::Vector; V]; R]),
) {
    let d = b[0].len();
    let zero = [[s.zero(); V]; R];
    let (x, _) = S::vectors(x).as_chunks::<V>();
    let depth = DEPTH / size_of::<E>();
    let last = (d - 1) / depth * depth;
    if last == 0 {
        for l in 0..lines {
            emit(l, &products::<E, S, R, V>(s, &b, &x[l * d..][..d], zero));
        }
        return;
    }
    let mut partial = Rows::<E, R>::zeros();
    let (partial, _) = S::vectors_mut(partial.0.as_flattened_mut()).as_chunks_mut::<V>();
    let partial = &mut partial.as_chunks_mut::<R>().0[..lines];
    for first in (0..last).step_by(depth) {
        let b = columns(&b, first, depth);
        for (x, u) in x.chunks_exact(d).zip(partial.iter_mut()) {
            let init = if first == 0 { zero } else { *u };
            *u = products::<E, S, R, V>(s, &b, &x[first..first + depth], init);
        }
    }
    let b = columns(&b, last, d - last);
    for l in 0..lines {
        let x = &x[l * d..][last..d];
        emit(l, &products::<E, S, R, V>(s, &b, x, partial[l]));
    }
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
    d: usize,
    p: usize,
    out: &mut [E],
) {
    let (mut f, width, whole) = (0, line::<E>(), whole_lines::<E>(d));
    while f < whole {
        for (t, out) in tiles.iter().zip(out.chunks_mut(R * p)) {
            let sums = feature_lane_sums::<E, S, R, V>(s, t, panel.features, whole, f);
            // A counted loop, so that the sums stay in registers.
            for r in 0..R.min(out.len() / p) {
                let g = S::vectors_mut(&mut out[r * p + p - d + f..][..width]);
                for v in 0..V {
                    g[v] = s.add(g[v], sums[r][v]);
                }
            }
        }
        f += width;
    }
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
/// are features.
#[inline(always)]
fn feature_lane_sums<E: SimdScalar, S: Simd<E>, const R: usize, const V: usize>(
    s: S,
    t: &[[E; SAMPLES]; R],
    features: &[E],
    whole: usize,
    f: usize,
) -> [[S::Vector; V]; R] {
    let width = line::<E>();
    let mut sums = [[s.zero(); V]; R];
    let groups = features.chunks_exact(width * whole).take(SAMPLES / width);
    for (l, x) in groups.enumerate() {
        let (x, _) = S::vectors(&x[f * width..][..width * width]).as_chunks::<V>();
        let x = &x[..width];
        let mut rows = [&t[0][..]; R];
        for r in 0..R {
            rows[r] = &t[r][l * width..][..width];
        }
        for j in 0..width {
            for r in 0..R {
                let t = s.splat(rows[r][j]);
                for v in 0..V {
                    sums[r][v] = s.mul_add(t, x[j][v], sums[r][v]);
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
    let mut sums = [[s.zero(); F]; R];
    let lines = lines.chunks_exact(d).take(SAMPLES / line::<E>());
    for (l, x) in lines.enumerate() {
        let x = &x[f..f + F];
        for v in 0..V {
            for r in 0..R {
                let t = S::vectors(&t[r]).as_chunks::<V>().0[l][v];
                for f in 0..F {
                    sums[r][f] = s.mul_add(t, x[f][v], sums[r][f]);
                }
            }
        }
    }
    let mut totals = [[E::zero(); F]; R];
    for r in 0..R {
        for f in 0..F {
            totals[r][f] = s.reduce_sum(sums[r][f]);
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

/// `<x, y>`, both in whole lines of `V` vectors.
#[inline(always)]
pub(super) fn dot<E: SimdScalar, S: Simd<E>, const V: usize>(s: S, x: &[E], y: &[E]) -> E {
    // At least four independent sums hide the latency of a multiply-add.
    if V < 4 {
        independent_sums::<E, S, 4>(s, x, y)
    } else {
        independent_sums::<E, S, V>(s, x, y)
    }
}

/// `<x, y>` as `N` independent sums.
#[inline(always)]
fn independent_sums<E: SimdScalar, S: Simd<E>, const N: usize>(s: S, x: &[E], y: &[E]) -> E {
    let (x, x_rest) = S::vectors(x).as_chunks::<N>();
    let (y, y_rest) = S::vectors(y).as_chunks::<N>();
    let mut sums = [s.zero(); N];
    for (x, y) in x.iter().zip(y) {
        for v in 0..N {
            sums[v] = s.mul_add(x[v], y[v], sums[v]);
        }
    }
    let mut sum = s.zero();
    for (&x, &y) in x_rest.iter().zip(y_rest) {
        sum = s.mul_add(x, y, sum);
    }
    for v in 0..N {
        sum = s.add(sum, sums[v]);
    }
    s.reduce_sum(sum)
}
