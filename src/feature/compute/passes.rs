//! The passes over panels of samples and blocks of particles, in parallel.

use super::backward::LinearBackward;
use super::blocking::{Blocking, Stored};
use super::forward::LinearForward;
use super::operands::{Operands, ROWS, Rows, STRIP};
use super::pointwise::{
    Outputs, Preactivations, WeightedFeatures, WeightedValues, values, values_and_derivatives,
};
use super::small_dim::{INPUTS, SmallDimBackward, SmallDimForward};
use crate::activation::{Activation, Slopes};
use crate::numeric::parallel::{Parts, for_each};
use crate::numeric::simd::{self, Launch, same, same_mut, signs_per_scalar, with_simd_scalar};
use crate::numeric::vector::dot;
use crate::real::Real;

/// The passes of a ridge map over its operands.
#[derive(Debug)]
pub(super) struct Passes<'a, T, A> {
    pub(super) blocking: Blocking,
    pub(super) operands: Operands<'a, T>,
    pub(super) sigma: &'a A,
    /// The slopes of sigma, if the signs of the preactivations determine the derivatives: it is
    /// piecewise linear with `zero == negative`, and the map has one output.
    pub(super) slopes: Option<Slopes<T>>,
}

impl<T: Real, A: Activation<T>> Passes<'_, T, A> {
    /// The same passes over the padded samples from `first` to `last`, whole panels.
    pub(super) fn part(&self, first: usize, last: usize) -> Self {
        Self {
            blocking: self.blocking.part(last - first),
            operands: self.operands.part(first, last),
            ..*self
        }
    }

    /// Predictions `h` (`k x n`), one task per panel; stores the activations that the blocking
    /// selects. `rows` is scratch, `k x padded`.
    pub(super) fn forward(&self, rows: &mut [T], stored: &mut [T], h: &mut [T]) {
        let stored = Parts::new(stored, self.blocking.panel * self.blocking.stored_rows);
        self.panels(rows, stored, h, &|lines, h, stored| match self.slopes {
            Some(slopes) => self.linear_panel(slopes, lines, h, stored),
            None => self.general_panel(lines, h, stored),
        });
    }

    /// JVP: derivatives `u` (`k x n`) of the predictions along the field `v` (`p x m`), one task
    /// per panel. `rows` is scratch, `k x padded`.
    pub(super) fn jvp(&self, v: &[T], rows: &mut [T], u: &mut [T]) {
        let (operands, sigma) = (self.operands, self.sigma);
        let field = Operands { w: v, ..operands };
        let nothing = Parts::new(&mut [], 0);
        self.panels(rows, nothing, u, &|lines, u, _| {
            let (n, tile) = (u.len() / operands.k, simd::rows());
            let mut s = Rows::<T, ROWS>::zeros();
            let mut ds = Rows::<T, ROWS>::zeros();
            let mut along = Rows::<T, ROWS>::zeros();
            let [s, ds, along] = [&mut s, &mut ds, &mut along].map(|rows| rows.first(tile, n));
            u.fill(T::zero());
            for i in (0..operands.particles()).step_by(tile) {
                preactivations(operands, i, lines, s);
                preactivations(field, i, lines, along);
                values_and_derivatives(sigma, s, ds);
                for (along, &ds) in along.iter_mut().zip(ds.iter()) {
                    *along *= ds;
                }
                add_outputs(field, i, s, u);
                add_outputs(operands, i, along, u);
            }
        });
    }

    /// Calls `task(lines, rows, stored)` for every panel and writes its rows (`k x samples`) to
    /// `out` (`k x n`).
    fn panels(
        &self,
        rows: &mut [T],
        stored: Parts<'_, T>,
        out: &mut [T],
        task: &(impl Fn(&[T], &mut [T], &mut [T]) + Sync),
    ) {
        type Panel<'a, T> = (Parts<'a, T>, (Parts<'a, T>, Parts<'a, T>));
        let (k, panel) = (self.operands.k, self.blocking.panel);
        let process = |t: usize, (rows, (stored, out)): Panel<'_, T>| {
            let (first, n) = (t * panel, rows.data.len() / k);
            let samples = self.operands.panel(first, first + n).samples;
            task(samples, rows.data, stored.data);
            for (l, row) in rows.data.chunks_exact(n).enumerate() {
                for (to, &h) in out.data[l..].iter_mut().step_by(k).zip(row) {
                    *to = h;
                }
            }
        };
        let (rows, out) = (Parts::new(rows, panel * k), Parts::new(out, panel * k));
        for_each((rows, (stored, out)), self.blocking.parallel, &process);
    }

    /// One panel of a piecewise linear activation.
    fn linear_panel(&self, slopes: Slopes<T>, lines: &[T], h: &mut [T], words: &mut [T]) {
        with_simd_scalar!(T as E => {
            let slopes = same::<_, Slopes<E>>(&[slopes])[0];
            let (lines, h, words) = (same(lines), same_mut(h), same_mut(words));
            let operands = self.operands.with_scalar::<E>();
            if operands.d <= INPUTS {
                SmallDimForward { operands, slopes, lines, h }.launch();
            } else {
                let per_word = signs_per_scalar::<E>();
                LinearForward { operands, slopes, lines, h, words, per_word }.launch();
            }
        });
    }

    /// One panel of a general activation.
    fn general_panel(&self, lines: &[T], h: &mut [T], stored: &mut [T]) {
        let (operands, sigma, blocking) = (self.operands, self.sigma, &self.blocking);
        let (n, tile) = (h.len() / operands.k, simd::rows());
        let mut scratch = Rows::<T, ROWS>::zeros();
        h.fill(T::zero());
        for i in (0..operands.particles()).step_by(tile) {
            let s = match blocking.stored {
                Stored::ValuesAndDerivatives if i < blocking.stored_particles => {
                    let (s, ds) = stored[2 * i * n..][..2 * tile * n].split_at_mut(tile * n);
                    preactivations(operands, i, lines, s);
                    values_and_derivatives(sigma, s, ds);
                    s
                }
                Stored::Preactivations if i < blocking.stored_particles => {
                    let u = &mut stored[i * n..][..tile * n];
                    preactivations(operands, i, lines, u);
                    let s = scratch.first(tile, n);
                    s.copy_from_slice(u);
                    values(sigma, s);
                    s
                }
                _ => {
                    let s = scratch.first(tile, n);
                    preactivations(operands, i, lines, s);
                    values(sigma, s);
                    s
                }
            };
            add_outputs(operands, i, s, h);
        }
    }

    /// Adds `(S_i, G_i)` to `out` (`p x m`), one task per block of particles:
    /// `S_il = sum_j g_jl sigma(b_i . x_j)` and `G_i = sum_j <g_j, a_i> sigma'(b_i . x_j) x_j`.
    ///
    /// With one output `a_i` is omitted; if sigma is piecewise linear, `S_i` is. `g` is packed by
    /// [`pack_gradient`](Self::pack_gradient); `stored` are the activations that the forward pass
    /// stored, by panels.
    pub(super) fn backward(&self, g: &[T], stored: &[T], out: &mut [T]) {
        let block = self.blocking.block;
        let blocks = Parts::new(out, block * self.operands.p());
        let task = |t: usize, out: Parts<'_, T>| match self.slopes {
            Some(slopes) => self.linear_block(slopes, g, stored, t * block, out.data),
            None => self.general_block(g, stored, t * block, out.data),
        };
        for_each(blocks, self.blocking.parallel, &task);
    }

    /// Replaces the sums in `out` by `da_i = -S_i` and `db_i = -G_i`, and writes `<a_i, S_i>` to
    /// `values` unless it is empty.
    pub(super) fn finish(&self, out: &mut [T], values: &mut [T]) {
        let (k, p, block) = (self.operands.k, self.operands.p(), self.blocking.block);
        let task = |t: usize, (out, values): (Parts<'_, T>, Parts<'_, T>)| {
            let w = self.operands.w[t * block * p..].chunks_exact(p);
            for (i, (out, w)) in out.data.chunks_exact_mut(p).zip(w).enumerate() {
                let ((da, db), (a, b)) = (out.split_at_mut(k), w.split_at(k));
                if self.slopes.is_some() {
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
        let values_block = if values.is_empty() { 0 } else { block };
        let blocks = (Parts::new(out, block * p), Parts::new(values, values_block));
        for_each(blocks, self.blocking.parallel, &task);
    }

    /// One block of a piecewise linear activation, particles from `first` on: `G_i` without `a_i`.
    fn linear_block(&self, slopes: Slopes<T>, g: &[T], words: &[T], first: usize, out: &mut [T]) {
        with_simd_scalar!(T as E => {
            let slopes = same::<_, Slopes<E>>(&[slopes])[0];
            let (g, words, out) = (same(g), same(words), same_mut(out));
            let (operands, blocking) = (self.operands.with_scalar::<E>(), self.blocking);
            if operands.d <= INPUTS {
                SmallDimBackward { operands, slopes, g, first, out }.launch();
            } else {
                LinearBackward { operands, blocking, slopes, g, words, first, out }.launch();
            }
        });
    }

    /// One block of a general activation, particles from `block` on: `(S_i, G_i)`; with one output
    /// `G_i` omits `a_i`.
    fn general_block(&self, g: &[T], stored: &[T], block: usize, out: &mut [T]) {
        let (operands, sigma, blocking) = (self.operands, self.sigma, &self.blocking);
        let (k, p, tile) = (operands.k, operands.p(), simd::rows());
        let mut s = Rows::<T, ROWS>::zeros();
        let mut ds = Rows::<T, ROWS>::zeros();
        let mut strip = Rows::<T, STRIP>::zeros();
        for first in (0..blocking.padded).step_by(blocking.panel) {
            let last = (first + blocking.panel).min(blocking.padded);
            let n = last - first;
            let (panel, g) = (operands.panel(first, last), &g[first * k..last * k]);
            let stored = &stored[first * blocking.stored_rows..last * blocking.stored_rows];
            let (s, ds) = (s.first(tile, n), ds.first(tile, n));
            for (i, out) in (block..).step_by(STRIP).zip(out.chunks_mut(STRIP * p)) {
                let tiles = out.chunks_mut(tile * p).zip(strip.0.chunks_exact_mut(tile));
                for (i, (out, t)) in (i..).step_by(tile).zip(tiles) {
                    let (values, derivatives) = match blocking.stored {
                        Stored::ValuesAndDerivatives if i < blocking.stored_particles => {
                            stored[2 * i * n..][..2 * tile * n].split_at(tile * n)
                        }
                        Stored::Preactivations if i < blocking.stored_particles => {
                            s.copy_from_slice(&stored[i * n..][..tile * n]);
                            values_and_derivatives(sigma, s, ds);
                            (&*s, &*ds)
                        }
                        _ => {
                            preactivations(operands, i, panel.samples, s);
                            values_and_derivatives(sigma, s, ds);
                            (&*s, &*ds)
                        }
                    };
                    with_simd_scalar!(T as E => {
                        let (operands, out) = (operands.with_scalar::<E>(), same_mut(out));
                        let (values, derivatives, g) = (same(values), same(derivatives), same(g));
                        let (t, _) = same_mut(t.as_flattened_mut()).as_chunks_mut();
                        WeightedValues { operands, i, values, derivatives, g, t, out }.launch();
                    });
                }
                with_simd_scalar!(T as E => {
                    let (operands, panel) = (operands.with_scalar::<E>(), panel.with_scalar());
                    let rows = (out.len() / p).next_multiple_of(tile);
                    let (t, _) = same(strip.0[..rows].as_flattened()).as_chunks();
                    WeightedFeatures { operands, panel, t, out: same_mut(out) }.launch();
                });
            }
        }
    }

    /// Packs `g` (`k x n`) in panels, each `k x samples` by rows, with 0 beyond the last sample.
    pub(super) fn pack_gradient(&self, g: &[T], rows: &mut [T]) {
        let k = self.operands.k;
        let panels = rows.chunks_mut(self.blocking.panel * k);
        for (g, rows) in g.chunks(self.blocking.panel * k).zip(panels) {
            let n = rows.len() / k;
            for (l, row) in rows.chunks_exact_mut(n).enumerate() {
                row.fill(T::zero());
                for (to, &g) in row.iter_mut().zip(g[l..].iter().step_by(k)) {
                    *to = g;
                }
            }
        }
    }
}

/// `u[r][j] = b_(i + r) . x_j` for one tile and one panel.
fn preactivations<T: Real>(operands: Operands<'_, T>, i: usize, lines: &[T], u: &mut [T]) {
    with_simd_scalar!(T as E => {
        let (operands, lines, u) = (operands.with_scalar::<E>(), same(lines), same_mut(u));
        Preactivations { operands, i, lines, u }.launch();
    });
}

/// `h_l(x_j) += sum_r c_i a_il values[r][j]`, i running over one tile.
fn add_outputs<T: Real>(operands: Operands<'_, T>, i: usize, values: &[T], h: &mut [T]) {
    with_simd_scalar!(T as E => {
        let (operands, values, h) = (operands.with_scalar::<E>(), same(values), same_mut(h));
        Outputs { operands, i, values, h }.launch();
    });
}
