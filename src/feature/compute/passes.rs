//! The passes over panels of samples and blocks of particles, in parallel.

use std::ops::Range;

use super::backward::FinishLinear;
use super::blocking::{Blocking, STRIP, Stored};
use super::forward::LinearForward;
use super::operands::{Operands, ROWS, Rows};
use super::pointwise::{
    Outputs, Preactivations, WeightedFeatures, WeightedValues, values, values_and_derivatives,
};
use super::small_dim::{INPUTS, SmallDimBackward, SmallDimForward};
use crate::activation::{Activation, Slopes};
use crate::numeric::parallel::{Parts, Pieces, for_each};
use crate::numeric::simd::{
    self, Launch, Multiversion, multiversion, same, same_mut, with_simd_scalar,
};
use crate::numeric::vector::{add, dot};
use crate::real::Real;

/// Additions below which the sums over chunks are added by one thread.
const ADDITIONS: usize = 1 << 16;

/// Whether a backward pass is the first and the last one over parts of the samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Calls {
    pub(super) first: bool,
    pub(super) last: bool,
}

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

    /// Predictions `h` (`k x n`), one task per panel and chunk of particles; stores the activations
    /// that the blocking selects. `sums` is scratch.
    pub(super) fn forward(&self, sums: &mut [T], stored: &mut [T], h: &mut [T]) {
        let part = |particles| self.operands.particles_in(particles);
        let per_word = self.blocking.signs_of_word();
        self.panels(sums, stored, h, &|particles, lines, h, stored| {
            let operands = part(particles);
            match self.slopes {
                Some(slopes) => linear_panel(operands, slopes, lines, h, (stored, per_word)),
                None => self.general_panel(operands, lines, h, stored),
            }
        });
    }

    /// JVP: derivatives `u` (`k x n`) of the predictions along the field `v` (`p x m`), one task
    /// per panel and chunk of particles. `sums` is scratch.
    pub(super) fn jvp(&self, v: &[T], sums: &mut [T], u: &mut [T]) {
        let (all, sigma) = (self.operands, self.sigma);
        let field = Operands { w: v, ..all };
        self.panels(sums, &mut [], u, &|particles, lines, u, _| {
            let operands = all.particles_in(particles.clone());
            let field = field.particles_in(particles);
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

    /// Calls `task(particles, lines, sums, stored)` for every panel and chunk of particles, adds the
    /// sums (`k x samples`) over the chunks in order, and writes them to `out` (`k x n`).
    fn panels(
        &self,
        sums: &mut [T],
        stored: &mut [T],
        out: &mut [T],
        task: &(impl Fn(Range<usize>, &[T], &mut [T], &mut [T]) + Sync),
    ) {
        let (Operands { k, .. }, blocking) = (self.operands, self.blocking);
        let m = self.operands.particles();
        let (tasks, chunks) = (blocking.forward_tasks(m), m.div_ceil(blocking.chunk));
        let start = |t: usize| {
            let (first, samples, particle) = blocking.forward_task(t, m);
            k * (first * chunks + samples * (particle / blocking.chunk))
        };
        let stored_start = |t: usize| blocking.stored_start(t, m);
        let pieces = (
            Pieces::new(&mut sums[..start(tasks)], tasks, start),
            Pieces::new(stored, tasks, stored_start),
        );
        for_each(pieces, blocking.parallel, &|t, (sums, stored)| {
            let (first, samples, particle) = blocking.forward_task(t, m);
            let lines = self.operands.panel(first, first + samples).samples;
            let particles = particle..(particle + blocking.chunk).min(m);
            task(particles, lines, sums.data, stored.data);
        });
        let (sums, out) = (
            Parts::new(&mut sums[..start(tasks)], k * blocking.panel * chunks),
            Parts::new(out, k * blocking.panel),
        );
        let additions = k * blocking.padded * chunks;
        for_each((sums, out), additions > ADDITIONS, &|_, (sums, out)| {
            let n = sums.data.len() / (k * chunks);
            let (sum, chunks) = sums.data.split_at_mut(k * n);
            for chunk in chunks.chunks_exact(k * n) {
                add(chunk, sum);
            }
            for (l, row) in sum.chunks_exact(n).enumerate() {
                for (to, &h) in out.data[l..].iter_mut().step_by(k).zip(row) {
                    *to = h;
                }
            }
        });
    }

    /// One panel of a general activation.
    fn general_panel(&self, operands: Operands<'_, T>, lines: &[T], h: &mut [T], stored: &mut [T]) {
        let sigma = self.sigma;
        let (n, tile) = (h.len() / operands.k, simd::rows());
        let mut scratch = Rows::<T, ROWS>::zeros();
        h.fill(T::zero());
        for i in (0..operands.particles()).step_by(tile) {
            let fits = |rows: usize| rows * n <= stored.len();
            let s = match self.blocking.stored {
                Stored::ValuesAndDerivatives if fits(2 * (i + tile)) => {
                    let (s, ds) = stored[2 * i * n..][..2 * tile * n].split_at_mut(tile * n);
                    preactivations(operands, i, lines, s);
                    values_and_derivatives(sigma, s, ds);
                    s
                }
                Stored::Preactivations if fits(i + tile) => {
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
    /// stored, by panels. The first of the `calls` with parts of the samples sets the sums to 0
    /// before, and the last one replaces them after: see [`Finish`].
    pub(super) fn backward(
        &self,
        g: &[T],
        stored: &[T],
        calls: Calls,
        values: &mut [T],
        out: &mut [T],
    ) {
        if calls.first {
            out.fill(T::zero());
        }
        self.blocks(calls.last, values, out, &|first, out| match self.slopes {
            Some(slopes) => with_simd_scalar!(T as E => {
                let slopes = same::<_, Slopes<E>>(&[slopes])[0];
                let (operands, g, out) = (self.operands.with_scalar::<E>(), same(g), same_mut(out));
                SmallDimBackward { operands, slopes, g, first, out }.launch();
            }),
            None => self.general_block(g, stored, first, out),
        });
    }

    /// Calls `task(first, out)` for all blocks of particles, and replaces the sums after the `last`
    /// call.
    pub(super) fn blocks(
        &self,
        last: bool,
        values: &mut [T],
        out: &mut [T],
        task: &(impl Fn(usize, &mut [T]) + Sync),
    ) {
        let (p, block) = (self.operands.p(), self.blocking.block);
        let values_block = if values.is_empty() { 0 } else { block };
        let blocks = (Parts::new(out, block * p), Parts::new(values, values_block));
        for_each(blocks, self.blocking.parallel, &|t, (out, values)| {
            let (first, out) = (t * block, out.data);
            task(first, out);
            let (k, w, values) = (self.operands.k, &self.operands.w[first * p..], values.data);
            match self.slopes {
                _ if !last => {}
                None => multiversion(Finish {
                    k,
                    p,
                    w,
                    out,
                    values,
                }),
                Some(_) => with_simd_scalar!(T as E => {
                    let (w, out, values) = (same::<_, E>(w), same_mut(out), same_mut(values));
                    FinishLinear { p, w, out, values }.launch();
                }),
            }
        });
    }

    /// One block of a general activation, particles from `block` on: `(S_i, G_i)`; with one output
    /// `G_i` omits `a_i`.
    fn general_block(&self, g: &[T], stored: &[T], block: usize, out: &mut [T]) {
        let (operands, sigma, blocking) = (self.operands, self.sigma, &self.blocking);
        let (k, p, tile) = (operands.k, operands.p(), simd::rows());
        // Zeroed only if activations are recomputed: this would be a tenth of the pass.
        let mut recomputed = None;
        let mut strip = Rows::<T, STRIP>::zeros();
        for first in (0..blocking.padded).step_by(blocking.panel) {
            let last = (first + blocking.panel).min(blocking.padded);
            let n = last - first;
            let (panel, g) = (operands.panel(first, last), &g[first * k..last * k]);
            let stored = &stored[blocking.stored_by(first)..blocking.stored_by(last)];
            for (i, out) in (block..).step_by(STRIP).zip(out.chunks_mut(STRIP * p)) {
                let tiles = out.chunks_mut(tile * p).zip(strip.0.chunks_exact_mut(tile));
                for (i, (out, t)) in (i..).step_by(tile).zip(tiles) {
                    let is_stored = i < blocking.stored_particles;
                    let (values, derivatives) = match blocking.stored {
                        Stored::ValuesAndDerivatives if is_stored => {
                            stored[2 * i * n..][..2 * tile * n].split_at(tile * n)
                        }
                        kind => {
                            let rows = || [(); 2].map(|()| Rows::<T, ROWS>::zeros());
                            let [s, ds] = recomputed.get_or_insert_with(rows);
                            let (s, ds) = (s.first(tile, n), ds.first(tile, n));
                            if kind == Stored::Preactivations && is_stored {
                                s.copy_from_slice(&stored[i * n..][..tile * n]);
                            } else {
                                preactivations(operands, i, panel.samples, s);
                            }
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

/// One panel and chunk of particles of a piecewise linear activation.
fn linear_panel<T: Real>(
    operands: Operands<'_, T>,
    slopes: Slopes<T>,
    lines: &[T],
    h: &mut [T],
    (words, per_word): (&mut [T], usize),
) {
    with_simd_scalar!(T as E => {
        let slopes = same::<_, Slopes<E>>(&[slopes])[0];
        let (lines, h, words) = (same(lines), same_mut(h), same_mut(words));
        let operands = operands.with_scalar::<E>();
        if operands.d <= INPUTS {
            SmallDimForward { operands, slopes, lines, h }.launch();
        } else {
            LinearForward { operands, slopes, lines, h, words, per_word }.launch();
        }
    });
}

/// Replaces the sums in `out` by `da_i = -S_i` and `db_i = -G_i`, and writes `<a_i, S_i>` to
/// `values` unless it is empty.
struct Finish<'a, T> {
    k: usize,
    p: usize,
    /// The particles `(a_i, b_i)`.
    w: &'a [T],
    out: &'a mut [T],
    values: &'a mut [T],
}

impl<T: Real> Multiversion for Finish<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let particles = self.out.chunks_exact_mut(self.p);
        for (i, (out, w)) in particles.zip(self.w.chunks_exact(self.p)).enumerate() {
            let ((da, db), (a, _)) = (out.split_at_mut(self.k), w.split_at(self.k));
            if let Some(value) = self.values.get_mut(i) {
                *value = dot(a, da);
            }
            for da in da.iter_mut() {
                *da = -*da;
            }
            let scale = if self.k == 1 { -a[0] } else { -T::one() };
            for db in db.iter_mut() {
                *db *= scale;
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
