//! The passes over panels of samples and blocks of particles, on threads.

use super::backward::Slopes;
use super::blocking::{Blocking, Keep};
use super::elementwise::{derivatives_from_values, from_values, values, values_and_derivatives};
use super::forward::Linear;
use super::operands::{Operands, Rows, STRIP, Strip};
use super::pointwise::{Combine, Products, ROWS, Sums, Weigh};
use super::small_dim::{INPUTS, SmallDim, SmallDimBackward};
use crate::activation::Activation;
use crate::numeric::parallel::{Parts, each};
use crate::numeric::simd::{self, Launch, same, same_mut, signs, with_simd_scalar};
use crate::numeric::vector::dot;
use crate::real::Real;

/// Predictions `h` (`k x n`), one task a panel; keeps what the blocking says. `rows` is scratch, `k x padded`.
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

/// Derivatives `u` (`k x n`) of the predictions along the field `v` (`p x m`), one task a panel.
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

/// Calls `task(lines, rows, kept)` for every panel and writes its rows (`k x samples`) to `out` (`k x n`).
fn panels<T: Real>(
    blocking: &Blocking,
    operands: Operands<'_, T>,
    rows: &mut [T],
    kept: Parts<'_, T>,
    out: &mut [T],
    task: &(impl Fn(&[T], &mut [T], &mut [T]) + Sync),
) {
    let k = operands.k;
    let (rows, out) = (
        Parts {
            data: rows,
            size: blocking.panel * k,
        },
        Parts {
            data: out,
            size: blocking.panel * k,
        },
    );
    each((rows, (kept, out)), blocking.parallel, &|t,
                                                   (
        rows,
        (kept, out),
    ): (
        Parts<T>,
        (Parts<T>, Parts<T>),
    )| {
        let (first, n) = (t * blocking.panel, rows.data.len() / k);
        task(
            operands.panel(first, first + n).samples,
            rows.data,
            kept.data,
        );
        for (l, row) in rows.data.chunks_exact(n).enumerate() {
            for (to, &h) in out.data[l..].iter_mut().step_by(k).zip(row) {
                *to = h;
            }
        }
    });
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
        let operands = operands.with_lanes();
        if operands.d <= INPUTS {
            SmallDim::<E> { operands, slopes, lines, h }.launch();
        } else {
            Linear::<E> { operands, slopes, lines, h, words, signs: signs::<E>() }.launch();
        }
    });
}

/// One panel of any activation.
fn general<T: Real, A: Activation<T>>(
    blocking: &Blocking,
    operands: Operands<'_, T>,
    sigma: &A,
    lines: &[T],
    h: &mut [T],
    kept: &mut [T],
) {
    let (n, tile) = (h.len() / operands.k, simd::rows());
    let (mut here, mut there) = (Rows::<T, ROWS>::new(), Rows::<T, ROWS>::new());
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
                    let s = there.of(tile, n);
                    s.copy_from_slice(u);
                    s
                };
                values(sigma, s);
                s
            }
            _ => {
                let s = here.of(tile, n);
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
        Products::<E> { operands: operands.with_lanes(), i, lines: same(lines), u: same_mut(u) }.launch();
    });
}

fn combine<T: Real>(operands: Operands<'_, T>, i: usize, values: &[T], h: &mut [T]) {
    with_simd_scalar!(T as E => {
        Combine::<E> { operands: operands.with_lanes(), i, values: same(values), h: same_mut(h) }.launch();
    });
}

/// What the backward pass starts from.
#[derive(Debug, Clone, Copy)]
pub(super) struct BackwardInput<'a, T> {
    /// `g` by panels, each `k x samples` by rows, 0 beyond the last sample.
    pub(super) g: &'a [T],
    /// What the forward pass kept, by panels.
    pub(super) kept: &'a [T],
}

/// Adds `(S_i, G_i)` to `out` (`p x m`), `S_il = sum_j g_jl sigma(b_i . x_j)`, `G_i = sum_j <g_j, a_i> sigma'(b_i . x_j) x_j`; without
/// `a_i` where there is one output, without `S_i` where sigma is piecewise linear. One task a block of particles.
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

/// `da_i = -S_i`, `db_i = -G_i` and `<a_i, S_i>` to `values`, where it is not empty, of the sums in `out`.
pub(super) fn finish<T: Real>(
    blocking: &Blocking,
    operands: Operands<'_, T>,
    linear: bool,
    out: &mut [T],
    values: &mut [T],
) {
    let (k, p) = (operands.k, operands.k + operands.d);
    let of_values = if values.is_empty() { 0 } else { blocking.block };
    let work = (
        Parts {
            data: out,
            size: blocking.block * p,
        },
        Parts {
            data: values,
            size: of_values,
        },
    );
    each(work, blocking.parallel, &|t,
                                    (out, values): (
        Parts<T>,
        Parts<T>,
    )| {
        let w = &operands.w[t * blocking.block * p..][..out.data.len()];
        for (i, (out, w)) in out
            .data
            .chunks_exact_mut(p)
            .zip(w.chunks_exact(p))
            .enumerate()
        {
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
    });
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
        let operands = operands.with_lanes();
        if operands.d <= INPUTS {
            SmallDimBackward::<E> { operands, slopes, g, first, out }.launch();
        } else {
            Slopes::<E> { operands, blocking: *blocking, slopes, g, kept, first, out }.launch();
        }
    });
}

/// One block of any activation: `(S_i, G_i)`, the latter without `a_i` where there is one output.
fn general_block<T: Real, A: Activation<T>>(
    blocking: &Blocking,
    operands: Operands<'_, T>,
    sigma: &A,
    input: BackwardInput<'_, T>,
    block: usize,
    out: &mut [T],
) {
    let (k, p, tile) = (operands.k, operands.k + operands.d, simd::rows());
    let (mut here, mut ds, mut t) = (
        Rows::<T, ROWS>::new(),
        Rows::<T, ROWS>::new(),
        Strip::<T>::new(),
    );
    for first in (0..blocking.padded).step_by(blocking.panel) {
        let last = (first + blocking.panel).min(blocking.padded);
        let n = last - first;
        let (panel, g) = (operands.panel(first, last), &input.g[first * k..last * k]);
        let kept = &input.kept[first * blocking.kept_rows..last * blocking.kept_rows];
        let (here, ds) = (here.of(tile, n), ds.of(tile, n));
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
                            here.copy_from_slice(u);
                            values_and_derivatives(sigma, here, ds);
                            (&*here, &*ds)
                        }
                    }
                    _ => {
                        products(operands, i, panel.samples, here);
                        values_and_derivatives(sigma, here, ds);
                        (&*here, &*ds)
                    }
                };
                with_simd_scalar!(T as E => {
                    let (operands, t) = (operands.with_lanes(), same_mut(t.as_flattened_mut()).as_chunks_mut().0);
                    let (values, derivatives, g, out) = (same(values), same(derivatives), same(g), same_mut(out));
                    Weigh::<E> { operands, i, values, derivatives, g, t, out }.launch();
                });
            }
            with_simd_scalar!(T as E => {
                let rows = (out.len() / p).next_multiple_of(tile);
                let t = same(t.0[..rows].as_flattened()).as_chunks().0;
                Sums::<E> { operands: operands.with_lanes(), panel: panel.with_lanes(), t, out: same_mut(out) }.launch();
            });
        }
    }
}
