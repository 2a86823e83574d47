//! Fused passes of ridge features `Phi(a, b)(x) = a sigma(b.x)`, organised as in BLIS-like
//! libraries.
//!
//! An evaluation is two passes over packed operands. In the forward pass each task owns a panel of
//! samples and a chunk of the particles, and the sums of the chunks are added in order. In the
//! backward pass each task owns a block of particles and iterates over the panels. So every sum has
//! one owner and a fixed order. Panels and chunks depend on the shape and the instructions only, and
//! the results not on the number of threads.
//!
//! The `n x m` preactivations are computed by microkernels in tiles that stay in the L1 cache. For
//! a piecewise linear activation only their signs are stored. For any other activation and a
//! separable risk, a slab of panels runs forward and then backward while its values and derivatives
//! are in the last-level cache, so each is evaluated once. Otherwise preactivations are stored up to
//! a memory limit, and recomputed beyond it ([`blocking`]). With one output, a separable risk and
//! many samples, lanes are particles in both passes ([`particle_lanes`]).
//!
//! In small dimension, positively 1-homogeneous activations need fewer than `n m` operations
//! ([`half_spaces`]).

use super::{PredictionGradient, Workspace};
use crate::activation::{Activation, Slopes};
use crate::inputs::Inputs;
use crate::numeric::parallel::threads;
pub(super) use crate::numeric::simd::is_supported;
use crate::real::Real;

mod angular_sweep;
mod backward;
mod blocking;
mod by_signs;
mod dual_tree;
mod forward;
mod half_spaces;
mod lane_kernels;
mod microkernel;
mod operands;
mod particle_lanes;
mod passes;
mod pointwise;
mod radial;
mod signs;
mod small_dim;
mod subset_rows;
mod subset_sums;

use blocking::{Blocking, Stored};
use by_signs::{SignScratch, features_len};
use half_spaces::HalfSpaces;
use operands::{Operands, Panel};
use passes::{Calls, Passes};
pub(super) use radial::Radials;
use signs::Signs;

/// Dimension d from which loading a stored preactivation is faster than recomputing it.
const DEEP: usize = 64;

/// A ridge map with its particles, evaluated on samples.
#[derive(Debug)]
pub(super) struct Neurons<'a, T: Real, A> {
    pub(super) sigma: &'a A,
    /// The particles `(a_i, b_i)`, `p x m`.
    pub(super) w: &'a [T],
    /// The number of outputs k.
    pub(super) k: usize,
    pub(super) x: &'a Inputs<T>,
}

impl<T: Real, A: Activation<T>> Neurons<'_, T, A> {
    /// `h(x_j) = sum_i c_i a_i sigma(b_i . x_j)`, written to `out` (`k x n`).
    pub(super) fn predict(&self, c: &[T], out: &mut [T], ws: &mut Workspace<T>) {
        if let Some(half_spaces) = self.half_spaces()
            && half_spaces.sort(ws)
            && half_spaces.predict(c, out, ws)
        {
            return;
        }
        let (passes, rows) = self.passes_without_storage(c, ws);
        passes.forward(rows, &mut [], out);
    }

    /// `v_i = -sum_j DPhi(w_i)(x_j)^T g_j` with `g = grad R(h)`, written to `out` (`p x m`);
    /// returns `R(h)`.
    pub(super) fn velocity(
        &self,
        c: &[T],
        gradient: &mut PredictionGradient<'_, T>,
        out: &mut [T],
        ws: &mut Workspace<T>,
    ) -> T {
        let (d, n) = (self.x.dim(), self.x.len());
        let half_spaces = self.half_spaces();
        if let Some(half_spaces) = &half_spaces {
            let ([h, g], ws) = ws.nest([self.k * n, self.k * n]);
            if half_spaces.sort(ws) && half_spaces.predict(c, h, ws) {
                let risk = gradient.evaluate(0..n, h, g);
                if !half_spaces.variation(g, &mut [], out, ws) {
                    self.variation_by_tiles(g, &mut [], out, ws);
                }
                return risk;
            }
        }
        if self.has_signs() {
            return self.velocity_by_signs(c, gradient, out, ws);
        }
        let slabs = gradient.is_separable() && self.slopes().is_none() && half_spaces.is_none();
        if slabs && let Some(risk) = self.velocity_by_particle_lanes(c, gradient, out, ws) {
            return risk;
        }
        let stored = match self.slopes() {
            Some(_) => Stored::Nothing,
            None if slabs => Stored::ValuesAndDerivatives,
            None if 2 * n * c.len() * size_of::<T>() <= blocking::CACHED => {
                Stored::ValuesAndDerivatives
            }
            None if d >= DEEP => Stored::Preactivations,
            None => Stored::Nothing,
        };
        let blocking = self.blocking(stored, slabs);
        let chunk = if slabs {
            blocking.panel
        } else {
            blocking.padded
        };
        self.velocity_by_slabs(blocking, chunk, c, gradient, out, ws)
    }

    /// Predictions and signs, the gradient of all samples, and velocities from the signs.
    fn velocity_by_signs(
        &self,
        c: &[T],
        gradient: &mut PredictionGradient<'_, T>,
        out: &mut [T],
        ws: &mut Workspace<T>,
    ) -> T {
        let (d, n, m) = (self.x.dim(), self.x.len(), self.particles());
        let blocking = self.blocking_with_signs();
        let (padded, run) = (blocking.padded, blocking.run());
        let keep = blocking.stored_len() * size_of::<T>() <= blocking::STORED;
        let words = blocking.part(if keep { padded } else { run }).stored_len();
        let sums = blocking.sums_len(1, m);
        let features = features_len::<T>(&blocking, d, m);
        let lens = [d, sums, padded, padded, words, features];
        let [zeros, sums, h, g, words, features] = ws.split(lens);
        let passes = self.passes(blocking, c, zeros);
        passes.forward(sums, if keep { &mut *words } else { &mut [] }, &mut h[..n]);
        let risk = gradient.evaluate(0..n, &h[..n], &mut g[..n]);
        g[n..].fill(T::zero());
        let scratch = &mut SignScratch {
            sums,
            words,
            h,
            features,
        };
        let samples = (self.x.points().as_slice(), &*g);
        passes.backward_by_signs(samples, keep, scratch, &mut [], out);
        risk
    }

    /// Runs forward and backward through one slab of samples after the other, with the gradient of
    /// `chunk` samples at a time.
    fn velocity_by_slabs(
        &self,
        blocking: Blocking,
        chunk: usize,
        c: &[T],
        gradient: &mut PredictionGradient<'_, T>,
        out: &mut [T],
        ws: &mut Workspace<T>,
    ) -> T {
        let (k, n, slab) = (self.k, self.x.len(), blocking.slab.min(blocking.padded));
        let (len, sums) = (k * slab, blocking.sums_len(k, self.particles()));
        let lens = [self.x.dim(), sums, len, len, blocking.stored_len()];
        let [zeros, rows, h, g, stored] = ws.split(lens);
        let passes = self.passes(blocking, c, zeros);
        let mut risk = T::zero();
        for first in (0..blocking.padded).step_by(slab) {
            let last = (first + slab).min(blocking.padded);
            let part = passes.part(first, last);
            let stored = &mut stored[..part.blocking.stored_len()];
            let len = k * (last.min(n) - first);
            let (h, g) = (&mut h[..len], &mut g[..len]);
            part.forward(rows, stored, h);
            let chunks = h.chunks(k * chunk).zip(g.chunks_mut(k * chunk));
            for ((h, g), first) in chunks.zip((first..).step_by(chunk)) {
                risk += gradient.evaluate(first..first + h.len() / k, h, g);
            }
            let rows = &mut rows[..k * (last - first)];
            part.pack_gradient(g, rows);
            let calls = Calls {
                first: first == 0,
                last: last == blocking.padded,
            };
            part.backward(rows, stored, calls, &mut [], out);
        }
        risk
    }

    /// `values[i] = sum_j <g_j, Phi(w_i)(x_j)>` and `descent_i = -sum_j DPhi(w_i)(x_j)^T g_j`.
    pub(super) fn variation(
        &self,
        g: &[T],
        values: &mut [T],
        descent: &mut [T],
        ws: &mut Workspace<T>,
    ) {
        if let Some(half_spaces) = self.half_spaces()
            && half_spaces.sort(ws)
            && half_spaces.variation(g, values, descent, ws)
        {
            return;
        }
        self.variation_by_tiles(g, values, descent, ws);
    }

    /// [`variation`](Self::variation) without sums over half spaces; `values` may be empty.
    fn variation_by_tiles(
        &self,
        g: &[T],
        values: &mut [T],
        descent: &mut [T],
        ws: &mut Workspace<T>,
    ) {
        if self.has_signs() {
            let (d, n, m) = (self.x.dim(), self.x.len(), self.particles());
            let blocking = self.blocking_with_signs();
            let (part, padded) = (blocking.part(blocking.run()), blocking.padded);
            let (run, words, sums) = (part.padded, part.stored_len(), part.sums_len(1, m));
            let features = features_len::<T>(&blocking, d, m);
            let lens = [d, sums, run, padded, words, features];
            let [zeros, sums, h, rows, words, features] = ws.split(lens);
            let (to, rest) = rows.split_at_mut(n);
            to.copy_from_slice(g);
            rest.fill(T::zero());
            let scratch = &mut SignScratch {
                sums,
                words,
                h,
                features,
            };
            let samples = (self.x.points().as_slice(), &*rows);
            let passes = self.passes(blocking, &[], zeros);
            return passes.backward_by_signs(samples, false, scratch, values, descent);
        }
        let (passes, rows) = self.passes_without_storage(&[], ws);
        let rows = &mut rows[..self.k * passes.blocking.padded];
        passes.pack_gradient(g, rows);
        let calls = Calls {
            first: true,
            last: true,
        };
        passes.backward(rows, &[], calls, values, descent);
    }

    /// `u(x_j) = sum_i c_i DPhi(w_i)(x_j) v_i`, written to `out` (`k x n`).
    pub(super) fn jvp(&self, c: &[T], v: &[T], out: &mut [T], ws: &mut Workspace<T>) {
        let (passes, rows) = self.passes_without_storage(c, ws);
        passes.jvp(v, rows, out);
    }

    /// The sums over half spaces, if they are applicable and profitable.
    fn half_spaces(&self) -> Option<HalfSpaces<'_, T>> {
        HalfSpaces::new(self.sigma.slopes(), self.w, self.k, self.x)
    }

    /// m, the number of particles.
    fn particles(&self) -> usize {
        self.w.len() / (self.k + self.x.dim())
    }

    fn blocking(&self, stored: Stored, slabs: bool) -> Blocking {
        let (n, d) = (self.x.len(), self.x.dim());
        Blocking::new::<T>(n, self.particles(), d, self.k, stored, slabs, threads())
    }

    /// The slopes of sigma, if the signs of the preactivations determine the derivatives.
    fn slopes(&self) -> Option<Slopes<T>> {
        let slopes = self.sigma.slopes()?;
        (self.k == 1 && slopes.zero == slopes.negative).then_some(slopes)
    }

    /// True if velocities are computed from the signs of the preactivations.
    fn has_signs(&self) -> bool {
        self.slopes().is_some() && self.x.dim() > small_dim::INPUTS
    }

    /// The blocking if the signs of the preactivations are stored.
    fn blocking_with_signs(&self) -> Blocking {
        let signs = Signs::new::<T>(self.x.len(), self.x.dim());
        self.blocking(Stored::Signs(signs), false)
    }

    /// The passes over all samples with weights `c`; overwrites the d entries of `zeros`.
    fn passes<'b>(
        &'b self,
        blocking: Blocking,
        c: &'b [T],
        zeros: &'b mut [T],
    ) -> Passes<'b, T, A> {
        zeros.fill(T::zero());
        let operands = Operands {
            w: self.w,
            c,
            k: self.k,
            d: self.x.dim(),
            zeros,
            x: Panel {
                samples: self.x.packed().samples(),
                features: self.x.packed().features(),
            },
        };
        Passes {
            blocking,
            operands,
            sigma: self.sigma,
            slopes: self.slopes(),
        }
    }

    /// The passes without stored activations, and their scratch rows.
    fn passes_without_storage<'b>(
        &'b self,
        c: &'b [T],
        ws: &'b mut Workspace<T>,
    ) -> (Passes<'b, T, A>, &'b mut [T]) {
        // Predictions have the same bits with and without signs.
        let blocking = if self.has_signs() {
            self.blocking_with_signs()
        } else {
            self.blocking(Stored::Nothing, false)
        };
        let sums = blocking.sums_len(self.k, self.particles());
        let [zeros, rows] = ws.split([self.x.dim(), sums]);
        (self.passes(blocking, c, zeros), rows)
    }
}
