//! The passes over panels of samples and blocks of particles, in parallel.

use super::backward::LinearBackward;
use super::blocking::{Blocking, Keep};
use super::forward::LinearForward;
use super::operands::{Operands, Rows, STRIP, Strip};
use super::pointwise::{
    Outputs, Preactivations, ROWS, WeightedFeatures, WeightedValues, derivatives_from_values,
    from_values, values, values_and_derivatives,
};
use super::small_dim::{INPUTS, SmallDimBackward, SmallDimForward};
use crate::activation::Activation;
use crate::numeric::parallel::{Parts, each};
use crate::numeric::simd::{self, Launch, same, same_mut, signs, with_simd_scalar};
use crate::numeric::vector::dot;
use crate::real::Real;

/// Predictions `h` (`k x n`), one task per panel; stores the activations that the blocking selects.
/// `rows` is scratch, `k x padded`.
pub(super) fn forward<T: Real, A: Activation<T>>(
    blocking: &Blocking,
    operands: Operands<'_, T>,
    sigma: &A,
    slopes: Option<(T, T)>,
    rows: &mut [T],
    kept: &mut [T],
    h: &mut [T],
) {
    let kept = Parts {
        data: kept,
        size: blocking.panel * blocking.kept_rows,
    };
    panels(
        blocking,
        operands,
        rows,
        kept,
        h,
        &|lines, h, kept| match slopes {
            Some(slopes) => linear(operands, slopes, lines, h, kept),
            None => general(blocking, operands, sigma, lines, h, kept),
        },
    );
}

/// JVP: derivatives `u` (`k x n`) of the predictions along the field `v` (`p x m`), one task per
/// panel.
pub(super) fn add_jvp<T: Real, A: Activation<T>>(
    blocking: &Blocking,
    operands: Operands<'_, T>,
    sigma: &A,
    v: &[T],
    rows: &mut [T],
    u: &mut [T],
) {
    let field = Operands { w: v, ..operands };
    panels(
        blocking,
        operands,
        rows,
        Parts {
            data: &mut [],
            size: 0,
        },
        u,
        &|lines, u, _| {
            let (n, tile) = (u.len() / operands.k, simd::rows());
            let (mut s, mut ds, mut along) = (
                Rows::<T, ROWS>::new(),
                Rows::<T, ROWS>::new(),
                Rows::<T, ROWS>::new(),
            );
            let (s, ds, along) = (s.of(tile, n), ds.of(tile, n), along.of(tile, n));
            u.fill(T::zero());
            for i in (0..operands.particles()).step_by(tile) {
                products(operands, i, lines, s);
                products(field, i, lines, along);
                values_and_derivatives(sigma, s, ds);
                for (along, &ds) in along.iter_mut().zip(ds.iter()) {
                    *along *= ds;
                }
                combine(field, i, s, u);
                combine(operands, i, along, u);
            }
        },
    );
}

/// Calls `task(lines, rows, kept)` for every panel and writes its rows (`k x samples`) to `out`
/// (`k x n`).
fn panels<T: Real>(
    blocking: &Blocking,
    operands: Operands<'_, T>,
    rows: &mut [T],
    kept: Parts<'_, T>,
    out: &mut [T],
    task: &(impl Fn(&[T], &mut [T], &mut [T]) + Sync),
) {
    let k = operands.k;
    let size = blocking.panel * k;
    let (rows, out) = (Parts { data: rows, size }, Parts { data: out, size });
    type Panel<'a, T> = (Parts<'a, T>, (Parts<'a, T>, Parts<'a, T>));
    let work = |t: usize, (rows, (kept, out)): Panel<'_, T>| {
        let (first, n) = (t * blocking.panel, rows.data.len() / k);
        let samples = operands.panel(first, first + n).samples;
        task(samples, rows.data, kept.data);
        for (l, row) in rows.data.chunks_exact(n).enumerate() {
            for (to, &h) in out.data[l..].iter_mut().step_by(k).zip(row) {
                *to = h;
            }
        }
    };
    each((rows, (kept, out)), blocking.parallel, &work);
}

/// One panel of a piecewise linear activation.
fn linear<T: Real>(
    operands: Operands<'_, T>,
    slopes: (T, T),
    lines: &[T],
    h: &mut [T],
    words: &mut [T],
) {
    let (left, right) = ([slopes.0], [slopes.1]);
    with_simd_scalar!(T as E => {
        let slopes = (same::<T, E>(&left)[0], same::<T, E>(&right)[0]);
        let (lines, h, words) = (same(lines), same_mut(h), same_mut(words));
        let operands = operands.with_scalar();
        if operands.d <= INPUTS {
            SmallDimForward::<E> { operands, slopes, lines, h }.launch();
        } else {
            LinearForward::<E> { operands, slopes, lines, h, words, signs: signs::<E>() }.launch();
        }
    });
}

/// One panel of a general activation.
fn general<T: Real, A: Activation<T>>(
    blocking: &Blocking,
    operands: Operands<'_, T>,
    sigma: &A,
    lines: &[T],
    h: &mut [T],
    kept: &mut [T],
) {
    let (n, tile) = (h.len() / operands.k, simd::rows());
    let (mut recomputed, mut copy) = (Rows::<T, ROWS>::new(), Rows::<T, ROWS>::new());
    h.fill(T::zero());
    for i in (0..operands.particles()).step_by(tile) {
        let s = match blocking.keep {
            Keep::Both if i < blocking.kept => {
                let (s, ds) = kept[2 * i * n..][..2 * tile * n].split_at_mut(tile * n);
                products(operands, i, lines, s);
                values_and_derivatives(sigma, s, ds);
                s
            }
            Keep::Values if i < blocking.kept => {
                let u = &mut kept[i * n..][..tile * n];
                products(operands, i, lines, u);
                let s = if from_values(sigma) {
                    u
                } else {
                    let s = copy.of(tile, n);
                    s.copy_from_slice(u);
                    s
                };
                values(sigma, s);
                s
            }
            _ => {
                let s = recomputed.of(tile, n);
                products(operands, i, lines, s);
                values(sigma, s);
                s
            }
        };
        combine(operands, i, s, h);
    }
}

fn products<T: Real>(operands: Operands<'_, T>, i: usize, lines: &[T], u: &mut [T]) {
    with_simd_scalar!(T as E => {
        Preactivations::<E> { operands: operands.with_scalar(), i, lines: same(lines), u: same_mut(u) }.launch();
    });
}

fn combine<T: Real>(operands: Operands<'_, T>, i: usize, values: &[T], h: &mut [T]) {
    with_simd_scalar!(T as E => {
        Outputs::<E> { operands: operands.with_scalar(), i, values: same(values), h: same_mut(h) }.launch();
    });
}

/// Input of the backward pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct BackwardInput<'a, T> {
    /// `g` by panels, each `k x samples` by rows, 0 beyond the last sample.
    pub(super) g: &'a [T],
    /// The activations that the forward pass stored, by panels.
    pub(super) kept: &'a [T],
}

/// Adds `(S_i, G_i)` to `out` (`p x m`), one task per block of particles:
/// `S_il = sum_j g_jl sigma(b_i . x_j)` and `G_i = sum_j <g_j, a_i> sigma'(b_i . x_j) x_j`.
///
/// With one output `a_i` is omitted; if sigma is piecewise linear, `S_i` is.
pub(super) fn backward<T: Real, A: Activation<T>>(
    blocking: &Blocking,
    operands: Operands<'_, T>,
    sigma: &A,
    slopes: Option<(T, T)>,
    input: BackwardInput<'_, T>,
    out: &mut [T],
) {
    let work = Parts {
        data: out,
        size: blocking.block * (operands.k + operands.d),
    };
    each(work, blocking.parallel, &|t, out: Parts<T>| match slopes {
        Some(slopes) => linear_block(
            blocking,
            operands,
            slopes,
            input,
            t * blocking.block,
            out.data,
        ),
        None => general_block(
            blocking,
            operands,
            sigma,
            input,
            t * blocking.block,
            out.data,
        ),
    });
}

/// Turns the sums in `out` into `da_i = -S_i` and `db_i = -G_i`, and writes `<a_i, S_i>` to
/// `values` unless it is empty.
pub(super) fn finish<T: Real>(
    blocking: &Blocking,
    operands: Operands<'_, T>,
    linear: bool,
    out: &mut [T],
    values: &mut [T],
) {
    let (k, p) = (operands.k, operands.k + operands.d);
    let of_values = if values.is_empty() { 0 } else { blocking.block };
    let blocks = (
        Parts {
            data: out,
            size: blocking.block * p,
        },
        Parts {
            data: values,
            size: of_values,
        },
    );
    let work = |t: usize, (out, values): (Parts<'_, T>, Parts<'_, T>)| {
        let w = operands.w[t * blocking.block * p..].chunks_exact(p);
        for (i, (out, w)) in out.data.chunks_exact_mut(p).zip(w).enumerate() {
            let ((da, db), (a, b)) = (out.split_at_mut(k), w.split_at(k));
            if linear {
                da[0] = dot(b, db);
            }
            if let Some(value) = values.data.get_mut(i) {
                *value = dot(a, da);
            }
            for da in da.iter_mut() {
                *da = -*da;
            }
            let scale = if k == 1 { -a[0] } else { -T::one() };
            for db in db.iter_mut() {
                *db *= scale;
            }
        }
    };
    each(blocks, blocking.parallel, &work);
}

/// One block of a piecewise linear activation: `G_i / a_i`.
fn linear_block<T: Real>(
    blocking: &Blocking,
    operands: Operands<'_, T>,
    slopes: (T, T),
    input: BackwardInput<'_, T>,
    first: usize,
    out: &mut [T],
) {
    let (left, right) = ([slopes.0], [slopes.1]);
    with_simd_scalar!(T as E => {
        let slopes = (same::<T, E>(&left)[0], same::<T, E>(&right)[0]);
        let (g, kept, out) = (same(input.g), same(input.kept), same_mut(out));
        let operands = operands.with_scalar();
        if operands.d <= INPUTS {
            SmallDimBackward::<E> { operands, slopes, g, first, out }.launch();
        } else {
            LinearBackward::<E> { operands, blocking: *blocking, slopes, g, kept, first, out }.launch();
        }
    });
}

/// One block of a general activation: `(S_i, G_i)`; with one output `G_i` omits `a_i`.
fn general_block<T: Real, A: Activation<T>>(
    blocking: &Blocking,
    operands: Operands<'_, T>,
    sigma: &A,
    input: BackwardInput<'_, T>,
    block: usize,
    out: &mut [T],
) {
    let (k, p, tile) = (operands.k, operands.k + operands.d, simd::rows());
    let (mut s, mut ds, mut t) = (
        Rows::<T, ROWS>::new(),
        Rows::<T, ROWS>::new(),
        Strip::<T>::new(),
    );
    for first in (0..blocking.padded).step_by(blocking.panel) {
        let last = (first + blocking.panel).min(blocking.padded);
        let n = last - first;
        let (panel, g) = (operands.panel(first, last), &input.g[first * k..last * k]);
        let kept = &input.kept[first * blocking.kept_rows..last * blocking.kept_rows];
        let (s, ds) = (s.of(tile, n), ds.of(tile, n));
        for (i, out) in out.chunks_mut(STRIP * p).enumerate() {
            let i = block + i * STRIP;
            for ((i, out), t) in (i..)
                .step_by(tile)
                .zip(out.chunks_mut(tile * p))
                .zip(t.0.chunks_exact_mut(tile))
            {
                let (values, derivatives) = match blocking.keep {
                    Keep::Both if i < blocking.kept => {
                        kept[2 * i * n..][..2 * tile * n].split_at(tile * n)
                    }
                    Keep::Values if i < blocking.kept => {
                        let u = &kept[i * n..][..tile * n];
                        if derivatives_from_values(sigma, u, ds) {
                            (u, &*ds)
                        } else {
                            s.copy_from_slice(u);
                            values_and_derivatives(sigma, s, ds);
                            (&*s, &*ds)
                        }
                    }
                    _ => {
                        products(operands, i, panel.samples, s);
                        values_and_derivatives(sigma, s, ds);
                        (&*s, &*ds)
                    }
                };
                with_simd_scalar!(T as E => {
                    let (operands, t) = (operands.with_scalar(), same_mut(t.as_flattened_mut()).as_chunks_mut().0);
                    let (values, derivatives, g, out) = (same(values), same(derivatives), same(g), same_mut(out));
                    WeightedValues::<E> { operands, i, values, derivatives, g, t, out }.launch();
                });
            }
            with_simd_scalar!(T as E => {
                let rows = (out.len() / p).next_multiple_of(tile);
                let t = same(t.0[..rows].as_flattened()).as_chunks().0;
                WeightedFeatures::<E> { operands: operands.with_scalar(), panel: panel.with_scalar(), t, out: same_mut(out) }.launch();
            });
        }
    }
}
