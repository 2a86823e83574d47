//! Register tiles: the inner products of `R` particles and one line of samples, and the sums of features behind them.
//!
//! Every sum has a fixed order, so a result does not depend on which thread computes it.

use pulp::Simd;

use super::lanes::Lane;
use super::layer::Panel;

/// Features that a tile goes through at a time, so that particles and line stay in the first cache.
const DEPTH: usize = 256;

/// `u[r][w] = init + sum_f b[r][f] x[f][w]` for the features in one line `x` (`d x W`).
#[inline(always)]
fn products<E: Lane, S: Simd, const R: usize, const V: usize>(
    s: S,
    b: &[&[E]; R],
    x: &[[E::Vector<S>; V]],
    mut u: [[E::Vector<S>; V]; R],
) -> [[E::Vector<S>; V]; R] {
    let b = b.map(|b| &b[..x.len()]);
    for f in 0..x.len() {
        let x = x[f];
        for r in 0..R {
            let b = E::all(s, b[r][f]);
            for v in 0..V {
                u[r][v] = E::fma(s, b, x[v], u[r][v]);
            }
        }
    }
    u
}

/// Computes `u = b.x` for `R` particles `b` and all samples in `lines` (each line `d x W`), and hands it to
/// `emit(line, u)` while it is in registers. Long products go through `partial` (`R x samples`).
#[inline(always)]
pub(super) fn preactivations<E: Lane, S: Simd, const R: usize, const V: usize>(
    s: S,
    b: [&[E]; R],
    lines: &[E],
    partial: &mut [E],
    mut emit: impl FnMut(usize, &[[E::Vector<S>; V]; R]),
) {
    let d = b[0].len();
    let zero = [[E::all(s, E::zero()); V]; R];
    let (lines, _) = E::view::<S>(lines).as_chunks::<V>();
    let last = (d - 1) / DEPTH * DEPTH;
    if last == 0 {
        for (l, x) in lines.chunks_exact(d).enumerate() {
            emit(l, &products::<E, S, R, V>(s, &b, x, zero));
        }
        return;
    }
    let (partial, _) = E::view_mut::<S>(partial).as_chunks_mut::<V>();
    let (partial, _) = partial.as_chunks_mut::<R>();
    for first in (0..last).step_by(DEPTH) {
        let b = b.map(|b| &b[first..first + DEPTH]);
        for (x, u) in lines.chunks_exact(d).zip(partial.iter_mut()) {
            let init = if first == 0 { zero } else { *u };
            *u = products::<E, S, R, V>(s, &b, &x[first..first + DEPTH], init);
        }
    }
    let b = b.map(|b| &b[last..]);
    for (l, (x, u)) in lines.chunks_exact(d).zip(partial.iter()).enumerate() {
        emit(l, &products::<E, S, R, V>(s, &b, &x[last..], *u));
    }
}

/// Features below which lanes are samples throughout.
const NARROW: usize = 24;

/// `G[r] += sum_j t[r][j] x_j` for the samples of a panel, with `G[r]` the last d of the p entries of column r of `out`.
#[inline(always)]
pub(super) fn sums<E: Lane, S: Simd, const R: usize, const V: usize>(
    s: S,
    t: &[E],
    panel: Panel<'_, E>,
    (d, p): (usize, usize),
    out: &mut [E],
) {
    let (n, samples) = (t.len() / R, panel.x.len() / d);
    let rows: [&[E]; R] = std::array::from_fn(|r| &t[r * n..(r + 1) * n]);
    let mut from = 0;
    if d >= NARROW {
        from = outer::<E, S, R, V>(s, rows.map(|t| &t[..samples]), panel.x, d, |r, f, sums| {
            if let Some(g) = out.get_mut(r * p + p - d + f..(r + 1) * p) {
                for (g, &sum) in E::view_mut::<S>(g).iter_mut().zip(sums) {
                    *g = E::plus(s, *g, sum);
                }
            }
        });
    }
    inner::<E, S, R, V>(s, rows, panel.lines, d, from, |r, f, sum| {
        if let Some(g) = out.get_mut(r * p + p - d + f) {
            *g += sum;
        }
    });
}

/// `g[r][f] += sum_j t[r][j] x[j][f]` for the features that fill whole lines; returns their number.
///
/// Lanes are features: `x` holds the samples one after the other (`d x samples`), `t` is `R x stride`, and
/// `add(r, f, sums)` adds the vectors of sums to row r from feature f on.
#[inline(always)]
pub(super) fn outer<E: Lane, S: Simd, const R: usize, const V: usize>(
    s: S,
    t: [&[E]; R],
    x: &[E],
    d: usize,
    mut add: impl FnMut(usize, usize, &[E::Vector<S>]),
) -> usize {
    let lanes = size_of::<E::Vector<S>>() / size_of::<E>();
    let mut f = 0;
    while f + V * lanes <= d {
        columns::<E, S, R, V>(s, t, &x[f..], d, f, &mut add);
        f += V * lanes;
    }
    f
}

/// One tile of [`outer`], `C` vectors of features wide.
#[inline(always)]
fn columns<E: Lane, S: Simd, const R: usize, const C: usize>(
    s: S,
    t: [&[E]; R],
    x: &[E],
    d: usize,
    f: usize,
    add: &mut impl FnMut(usize, usize, &[E::Vector<S>]),
) {
    let lanes = size_of::<E::Vector<S>>() / size_of::<E>();
    let mut sums = [[E::all(s, E::zero()); C]; R];
    for j in 0..t[0].len() {
        let (x, _) = E::view::<S>(&x[j * d..j * d + C * lanes]).as_chunks::<C>();
        let x = x[0];
        for r in 0..R {
            let t = E::all(s, t[r][j]);
            for v in 0..C {
                sums[r][v] = E::fma(s, t, x[v], sums[r][v]);
            }
        }
    }
    for r in 0..R {
        add(r, f, &sums[r]);
    }
}

/// `sums[r] = sum_j t[r][j] x[f][j]` for the features f from `from` to d - 1, handed to `add(r, f, sum)`.
///
/// Lanes are samples: `lines` is the layout of the samples in lines, `t` is `R x samples`.
#[inline(always)]
pub(super) fn inner<E: Lane, S: Simd, const R: usize, const V: usize>(
    s: S,
    t: [&[E]; R],
    lines: &[E],
    d: usize,
    from: usize,
    mut add: impl FnMut(usize, usize, E),
) {
    let mut f = from;
    while f + 2 <= d {
        pair::<E, S, R, V, 2>(s, t, lines, d, f, &mut add);
        f += 2;
    }
    if f < d {
        pair::<E, S, R, V, 1>(s, t, lines, d, f, &mut add);
    }
}

/// `F` features of [`inner`].
#[inline(always)]
fn pair<E: Lane, S: Simd, const R: usize, const V: usize, const F: usize>(
    s: S,
    t: [&[E]; R],
    lines: &[E],
    d: usize,
    from: usize,
    add: &mut impl FnMut(usize, usize, E),
) {
    let (lines, _) = E::view::<S>(lines).as_chunks::<V>();
    let t = t.map(|t| E::view::<S>(t).as_chunks::<V>().0);
    let t = t.map(|t| &t[..lines.len() / d]);
    let mut sums = [[E::all(s, E::zero()); F]; R];
    for (l, x) in lines.chunks_exact(d).enumerate() {
        let x: [[E::Vector<S>; V]; F] = std::array::from_fn(|f| x[from + f]);
        for v in 0..V {
            for r in 0..R {
                for f in 0..F {
                    sums[r][f] = E::fma(s, t[r][l][v], x[f][v], sums[r][f]);
                }
            }
        }
    }
    for r in 0..R {
        for f in 0..F {
            add(r, from + f, E::total(s, sums[r][f]));
        }
    }
}

/// `y += sum_r c[r] x[r]`, with the rows r of `x` one after the other.
#[inline(always)]
pub(super) fn combine<E: Lane, S: Simd, const R: usize>(s: S, c: [E; R], x: &[E], y: &mut [E]) {
    let n = y.len();
    let x: [&[E::Vector<S>]; R] = std::array::from_fn(|r| E::view::<S>(&x[r * n..(r + 1) * n]));
    let c = c.map(|c| E::all(s, c));
    let y = E::view_mut::<S>(y);
    let x = x.map(|x| &x[..y.len()]);
    for v in 0..y.len() {
        let mut sum = y[v];
        for r in 0..R {
            sum = E::fma(s, c[r], x[r][v], sum);
        }
        y[v] = sum;
    }
}

/// `<x, y>`, both in whole lines.
#[inline(always)]
pub(super) fn dot<E: Lane, S: Simd, const V: usize>(s: S, x: &[E], y: &[E]) -> E {
    let (x, _) = E::view::<S>(x).as_chunks::<V>();
    let (y, _) = E::view::<S>(y).as_chunks::<V>();
    let mut sums = [E::all(s, E::zero()); V];
    for (x, y) in x.iter().zip(y) {
        for v in 0..V {
            sums[v] = E::fma(s, x[v], y[v], sums[v]);
        }
    }
    let mut sum = sums[0];
    for v in 1..V {
        sum = E::plus(s, sum, sums[v]);
    }
    E::total(s, sum)
}
