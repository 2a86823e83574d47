//! The passes over panels of samples and blocks of particles, on threads.

use super::backward::Slopes;
use super::elementwise::{derivatives_from_values, from_values, values, values_and_derivatives};
use super::forward::Linear;
use super::general::{Combine, Products, ROWS, Sums, Weigh};
use super::lanes::{self, Launch, same, same_mut, signs, with_lanes};
use super::layer::{Layer, Rows, STRIP, Strip};
use super::narrow::{INPUTS, Narrow, NarrowSlopes};
use super::plan::{Keep, Plan};
use super::threads::{Parts, each};
use crate::activation::Activation;
use crate::feature::dot;
use crate::real::Real;

/// Predictions `h` (`k x n`), one task a panel; keeps what the plan says. `rows` is scratch, `k x padded`.
pub(super) fn forward<T: Real, A: Activation<T>>(
    plan: &Plan,
    layer: Layer<'_, T>,
    sigma: &A,
    slopes: Option<(T, T)>,
    rows: &mut [T],
    kept: &mut [T],
    h: &mut [T],
) {
    let kept = Parts {
        data: kept,
        size: plan.panel * plan.kept_rows,
    };
    panels(plan, layer, rows, kept, h, &|lines, h, kept| match slopes {
        Some(slopes) => linear(layer, slopes, lines, h, kept),
        None => general(plan, layer, sigma, lines, h, kept),
    });
}

/// Derivatives `u` (`k x n`) of the predictions along the field `v` (`p x m`), one task a panel.
pub(super) fn push_forward<T: Real, A: Activation<T>>(
    plan: &Plan,
    layer: Layer<'_, T>,
    sigma: &A,
    v: &[T],
    rows: &mut [T],
    u: &mut [T],
) {
    let field = Layer { w: v, ..layer };
    panels(
        plan,
        layer,
        rows,
        Parts {
            data: &mut [],
            size: 0,
        },
        u,
        &|lines, u, _| {
            let (n, tile) = (u.len() / layer.k, lanes::rows());
            let (mut s, mut ds, mut along) = (
                Rows::<T, ROWS>::new(),
                Rows::<T, ROWS>::new(),
                Rows::<T, ROWS>::new(),
            );
            let (s, ds, along) = (s.of(tile, n), ds.of(tile, n), along.of(tile, n));
            u.fill(T::zero());
            for i in (0..layer.particles()).step_by(tile) {
                products(layer, i, lines, s);
                products(field, i, lines, along);
                values_and_derivatives(sigma, s, ds);
                for (along, &ds) in along.iter_mut().zip(ds.iter()) {
                    *along *= ds;
                }
                combine(field, i, s, u);
                combine(layer, i, along, u);
            }
        },
    );
}

/// Calls `task(lines, rows, kept)` for every panel and writes its rows (`k x samples`) to `out` (`k x n`).
fn panels<T: Real>(
    plan: &Plan,
    layer: Layer<'_, T>,
    rows: &mut [T],
    kept: Parts<'_, T>,
    out: &mut [T],
    task: &(impl Fn(&[T], &mut [T], &mut [T]) + Sync),
) {
    let k = layer.k;
    let (rows, out) = (
        Parts {
            data: rows,
            size: plan.panel * k,
        },
        Parts {
            data: out,
            size: plan.panel * k,
        },
    );
    each((rows, (kept, out)), plan.parallel, &|t,
                                               (
        rows,
        (kept, out),
    ): (
        Parts<T>,
        (Parts<T>, Parts<T>),
    )| {
        let (first, n) = (t * plan.panel, rows.data.len() / k);
        task(layer.panel(first, first + n).samples, rows.data, kept.data);
        for (l, row) in rows.data.chunks_exact(n).enumerate() {
            for (to, &h) in out.data[l..].iter_mut().step_by(k).zip(row) {
                *to = h;
            }
        }
    });
}

/// One panel of a piecewise linear activation.
fn linear<T: Real>(layer: Layer<'_, T>, slopes: (T, T), lines: &[T], h: &mut [T], words: &mut [T]) {
    let (left, right) = ([slopes.0], [slopes.1]);
    with_lanes!(T as E => {
        let slopes = (same::<T, E>(&left)[0], same::<T, E>(&right)[0]);
        let (lines, h, words) = (same(lines), same_mut(h), same_mut(words));
        let layer = layer.with_lanes();
        if layer.d <= INPUTS {
            Narrow::<E> { layer, slopes, lines, h }.launch();
        } else {
            Linear::<E> { layer, slopes, lines, h, words, signs: signs::<E>() }.launch();
        }
    });
}

/// One panel of any activation.
fn general<T: Real, A: Activation<T>>(
    plan: &Plan,
    layer: Layer<'_, T>,
    sigma: &A,
    lines: &[T],
    h: &mut [T],
    kept: &mut [T],
) {
    let (n, tile) = (h.len() / layer.k, lanes::rows());
    let (mut here, mut there) = (Rows::<T, ROWS>::new(), Rows::<T, ROWS>::new());
    h.fill(T::zero());
    for i in (0..layer.particles()).step_by(tile) {
        let s = match plan.keep {
            Keep::Both if i < plan.kept => {
                let (s, ds) = kept[2 * i * n..][..2 * tile * n].split_at_mut(tile * n);
                products(layer, i, lines, s);
                values_and_derivatives(sigma, s, ds);
                s
            }
            Keep::Values if i < plan.kept => {
                let u = &mut kept[i * n..][..tile * n];
                products(layer, i, lines, u);
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
                products(layer, i, lines, s);
                values(sigma, s);
                s
            }
        };
        combine(layer, i, s, h);
    }
}

fn products<T: Real>(layer: Layer<'_, T>, i: usize, lines: &[T], u: &mut [T]) {
    with_lanes!(T as E => {
        Products::<E> { layer: layer.with_lanes(), i, lines: same(lines), u: same_mut(u) }.launch();
    });
}

fn combine<T: Real>(layer: Layer<'_, T>, i: usize, values: &[T], h: &mut [T]) {
    with_lanes!(T as E => {
        Combine::<E> { layer: layer.with_lanes(), i, values: same(values), h: same_mut(h) }.launch();
    });
}

/// What the backward pass starts from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a, T> {
    /// `g` by panels, each `k x samples` by rows, 0 beyond the last sample.
    pub(super) g: &'a [T],
    /// What the forward pass kept, by panels.
    pub(super) kept: &'a [T],
}

/// Adds `(S_i, G_i)` to `out` (`p x m`), `S_il = sum_j g_jl sigma(b_i . x_j)`, `G_i = sum_j <g_j, a_i> sigma'(b_i . x_j) x_j`; without
/// `a_i` where there is one output, without `S_i` where sigma is piecewise linear. One task a block of particles.
pub(super) fn backward<T: Real, A: Activation<T>>(
    plan: &Plan,
    layer: Layer<'_, T>,
    sigma: &A,
    slopes: Option<(T, T)>,
    given: Given<'_, T>,
    out: &mut [T],
) {
    let work = Parts {
        data: out,
        size: plan.block * (layer.k + layer.d),
    };
    each(work, plan.parallel, &|t, out: Parts<T>| match slopes {
        Some(slopes) => linear_block(plan, layer, slopes, given, t * plan.block, out.data),
        None => general_block(plan, layer, sigma, given, t * plan.block, out.data),
    });
}

/// `da_i = -S_i`, `db_i = -G_i` and `<a_i, S_i>` to `values`, where it is not empty, of the sums in `out`.
pub(super) fn finish<T: Real>(
    plan: &Plan,
    layer: Layer<'_, T>,
    linear: bool,
    out: &mut [T],
    values: &mut [T],
) {
    let (k, p) = (layer.k, layer.k + layer.d);
    let of_values = if values.is_empty() { 0 } else { plan.block };
    let work = (
        Parts {
            data: out,
            size: plan.block * p,
        },
        Parts {
            data: values,
            size: of_values,
        },
    );
    each(work, plan.parallel, &|t,
                                (out, values): (
        Parts<T>,
        Parts<T>,
    )| {
        let w = &layer.w[t * plan.block * p..][..out.data.len()];
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
    plan: &Plan,
    layer: Layer<'_, T>,
    slopes: (T, T),
    given: Given<'_, T>,
    first: usize,
    out: &mut [T],
) {
    let (left, right) = ([slopes.0], [slopes.1]);
    with_lanes!(T as E => {
        let slopes = (same::<T, E>(&left)[0], same::<T, E>(&right)[0]);
        let (g, kept, out) = (same(given.g), same(given.kept), same_mut(out));
        let layer = layer.with_lanes();
        if layer.d <= INPUTS {
            NarrowSlopes::<E> { layer, slopes, g, first, out }.launch();
        } else {
            Slopes::<E> { layer, plan: *plan, slopes, g, kept, first, out }.launch();
        }
    });
}

/// One block of any activation: `(S_i, G_i)`, the latter without `a_i` where there is one output.
fn general_block<T: Real, A: Activation<T>>(
    plan: &Plan,
    layer: Layer<'_, T>,
    sigma: &A,
    given: Given<'_, T>,
    block: usize,
    out: &mut [T],
) {
    let (k, p, tile) = (layer.k, layer.k + layer.d, lanes::rows());
    let (mut here, mut ds, mut t) = (
        Rows::<T, ROWS>::new(),
        Rows::<T, ROWS>::new(),
        Strip::<T>::new(),
    );
    for first in (0..plan.padded).step_by(plan.panel) {
        let last = (first + plan.panel).min(plan.padded);
        let n = last - first;
        let (panel, g) = (layer.panel(first, last), &given.g[first * k..last * k]);
        let kept = &given.kept[first * plan.kept_rows..last * plan.kept_rows];
        let (here, ds) = (here.of(tile, n), ds.of(tile, n));
        for (i, out) in out.chunks_mut(STRIP * p).enumerate() {
            let i = block + i * STRIP;
            for ((i, out), t) in (i..)
                .step_by(tile)
                .zip(out.chunks_mut(tile * p))
                .zip(t.0.chunks_exact_mut(tile))
            {
                let (values, derivatives) = match plan.keep {
                    Keep::Both if i < plan.kept => {
                        kept[2 * i * n..][..2 * tile * n].split_at(tile * n)
                    }
                    Keep::Values if i < plan.kept => {
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
                        products(layer, i, panel.samples, here);
                        values_and_derivatives(sigma, here, ds);
                        (&*here, &*ds)
                    }
                };
                with_lanes!(T as E => {
                    let (layer, t) = (layer.with_lanes(), same_mut(t.as_flattened_mut()).as_chunks_mut().0);
                    let (values, derivatives, g, out) = (same(values), same(derivatives), same(g), same_mut(out));
                    Weigh::<E> { layer, i, values, derivatives, g, t, out }.launch();
                });
            }
            with_lanes!(T as E => {
                let rows = (out.len() / p).next_multiple_of(tile);
                let t = same(t.0[..rows].as_flattened()).as_chunks().0;
                Sums::<E> { layer: layer.with_lanes(), panel: panel.with_lanes(), t, out: same_mut(out) }.launch();
            });
        }
    }
}
