//! Fused passes of ridge features `Phi(a, b)(x) = a sigma(b.x)`, organised as in BLIS-like
//! libraries.
//!
//! An evaluation is two passes over packed operands. In the forward pass each task owns a panel of
//! samples and iterates over all particles; in the backward pass each task owns a block of
//! particles and iterates over the panels. So every output has one owner that sums in a fixed
//! order: without a reduction over threads, the results do not depend on their number.
//!
//! The `n x m` preactivations are computed by microkernels in tiles that stay in the L1 cache. For
//! a piecewise linear activation only their signs are stored. For any other activation and a
//! separable risk, a slab of panels runs forward and then backward while its values and derivatives
//! are in the last-level cache, so each is evaluated once. Otherwise values are stored up to a
//! fixed budget, and recomputed beyond it ([`blocking`]).

use super::{PredictionGradient, Workspace};
use crate::activation::{Activation, Slopes};
use crate::inputs::Inputs;
use crate::numeric::simd;
use crate::real::Real;

mod angular_sweep;
mod backward;
mod blocking;
mod forward;
mod microkernel;
mod operands;
mod passes;
mod pointwise;
mod radial;
mod small_dim;

use blocking::{Blocking, Keep};
use operands::{Operands, Panel};
use passes::BackwardInput;
pub(super) use radial::Radials;

/// Dimension d from which loading a stored preactivation is faster than recomputing it.
const DEEP: usize = 64;

/// Returns true if `T` has a SIMD implementation.
pub(super) fn is_supported<T: 'static>() -> bool {
    simd::is::<T, f32>() || simd::is::<T, f64>()
}

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
        if let Some(slopes) = self.sweep_slopes() {
            let sweep = ws.sweep();
            sweep.sort(self.w, self.k);
            if sweep.predict(self.x.angular_order(), (self.w, c), self.k, slopes, out) {
                return;
            }
        }
        let blocking = self.blocking(Keep::Nothing, false);
        let [zeros, rows] = ws.split([self.x.dim(), self.k * blocking.padded]);
        zeros.fill(T::zero());
        passes::forward(
            &blocking,
            self.operands(c, zeros),
            self.sigma,
            self.slopes(),
            rows,
            &mut [],
            out,
        );
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
        if let Some(slopes) = self.sweep_slopes() {
            let ([h, g], ws) = ws.nest([self.k * n, self.k * n]);
            ws.sweep().sort(self.w, self.k);
            if ws
                .sweep()
                .predict(self.x.angular_order(), (self.w, c), self.k, slopes, h)
            {
                let risk = gradient.evaluate(0..n, h, g);
                if !ws.sweep().add_vjp(
                    self.x.angular_order(),
                    g,
                    (self.w, self.k),
                    slopes,
                    None,
                    out,
                ) {
                    self.variation_by_tiles(g, &mut [], out, ws);
                }
                return risk;
            }
        }
        let from_values = pointwise::from_values::<T, A>(self.sigma);
        let slabs =
            gradient.is_separable() && self.slopes().is_none() && self.sweep_slopes().is_none();
        let keep = match self.slopes() {
            Some(_) if d <= small_dim::INPUTS => Keep::Nothing,
            Some(_) => Keep::Signs {
                signs: simd::signs::<T>(),
            },
            None if from_values => Keep::Values,
            None if slabs => Keep::Both,
            None if 2 * n * c.len() * size_of::<T>() <= blocking::CACHED => Keep::Both,
            None if d >= DEEP => Keep::Values,
            None => Keep::Nothing,
        };
        let blocking = self.blocking(keep, slabs);
        let batch = if slabs {
            blocking.panel
        } else {
            blocking.padded
        };
        self.slabs(&blocking, batch, c, gradient, out, ws)
    }

    /// Runs forward and backward through one slab of samples after the other, with the gradient of
    /// `batch` samples at a time.
    fn slabs(
        &self,
        blocking: &Blocking,
        batch: usize,
        c: &[T],
        gradient: &mut PredictionGradient<'_, T>,
        out: &mut [T],
        ws: &mut Workspace<T>,
    ) -> T {
        let (k, n, slab) = (self.k, self.x.len(), blocking.slab.min(blocking.padded));
        let lens = [
            self.x.dim(),
            k * slab,
            k * slab,
            k * slab,
            blocking.kept_len(),
        ];
        let [zeros, rows, h, g, kept] = ws.split(lens);
        zeros.fill(T::zero());
        let (operands, sigma, slopes) = (self.operands(c, zeros), self.sigma, self.slopes());
        let mut risk = T::zero();
        out.fill(T::zero());
        for first in (0..blocking.padded).step_by(slab) {
            let last = (first + slab).min(blocking.padded);
            let (blocking, operands) = (blocking.part(last - first), operands.part(first, last));
            let len = k * (last.min(n) - first);
            let (rows, kept) = (
                &mut rows[..k * blocking.padded],
                &mut kept[..blocking.kept_len()],
            );
            let (h, g) = (&mut h[..len], &mut g[..len]);
            passes::forward(&blocking, operands, sigma, slopes, rows, kept, h);
            let batches = h.chunks(k * batch).zip(g.chunks_mut(k * batch));
            for ((h, g), first) in batches.zip((first..).step_by(batch)) {
                risk += gradient.evaluate(first..first + h.len() / k, h, g);
            }
            self.pack(&blocking, g, rows);
            passes::backward(
                &blocking,
                operands,
                sigma,
                slopes,
                BackwardInput { g: rows, kept },
                out,
            );
        }
        passes::finish(blocking, operands, slopes.is_some(), out, &mut []);
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
        if let Some(slopes) = self.sweep_slopes() {
            ws.sweep().sort(self.w, self.k);
            let (w, values) = ((self.w, self.k), Some(&mut *values));
            if ws
                .sweep()
                .add_vjp(self.x.angular_order(), g, w, slopes, values, descent)
            {
                return;
            }
        }
        self.variation_by_tiles(g, values, descent, ws);
    }

    fn variation_by_tiles(
        &self,
        g: &[T],
        values: &mut [T],
        descent: &mut [T],
        ws: &mut Workspace<T>,
    ) {
        let blocking = self.blocking(Keep::Nothing, false);
        let [zeros, rows] = ws.split([self.x.dim(), self.k * blocking.padded]);
        zeros.fill(T::zero());
        self.pack(&blocking, g, rows);
        let input = BackwardInput { g: rows, kept: &[] };
        let operands = self.operands(&[], zeros);
        descent.fill(T::zero());
        passes::backward(
            &blocking,
            operands,
            self.sigma,
            self.slopes(),
            input,
            descent,
        );
        passes::finish(
            &blocking,
            operands,
            self.slopes().is_some(),
            descent,
            values,
        );
    }

    /// `u(x_j) = sum_i c_i DPhi(w_i)(x_j) v_i`, written to `out` (`k x n`).
    pub(super) fn add_jvp(&self, c: &[T], v: &[T], out: &mut [T], ws: &mut Workspace<T>) {
        let blocking = self.blocking(Keep::Nothing, false);
        let [zeros, rows] = ws.split([self.x.dim(), self.k * blocking.padded]);
        zeros.fill(T::zero());
        passes::add_jvp(&blocking, self.operands(c, zeros), self.sigma, v, rows, out);
    }

    /// The slopes of the activation if the angular sweep is applicable and profitable.
    fn sweep_slopes(&self) -> Option<Slopes<T>> {
        let m = self.w.len() / (self.k + self.x.dim());
        if self.x.dim() == 2 && angular_sweep::is_profitable::<T>(self.x.len(), m) {
            self.sigma.slopes()
        } else {
            None
        }
    }

    fn blocking(&self, keep: Keep, slabs: bool) -> Blocking {
        let m = self.w.len() / (self.k + self.x.dim());
        Blocking::new::<T>([self.x.len(), m, self.x.dim(), self.k], keep, slabs)
    }

    /// The slopes to the left and right of 0, if the signs of the preactivations determine the
    /// derivatives.
    fn slopes(&self) -> Option<(T, T)> {
        let slopes = self.sigma.slopes()?;
        (self.k == 1 && slopes.zero == slopes.negative)
            .then_some((slopes.negative, slopes.positive))
    }

    fn operands<'b>(&'b self, c: &'b [T], zeros: &'b [T]) -> Operands<'b, T> {
        let (k, d) = (self.k, self.x.dim());
        let x = Panel {
            samples: self.x.packed().samples(),
            features: self.x.packed().features(),
        };
        Operands {
            w: self.w,
            c,
            k,
            d,
            zeros,
            x,
        }
    }

    /// Packs `g` (`k x n`) in panels, each `k x samples` by rows, with 0 beyond the last sample.
    fn pack(&self, blocking: &Blocking, g: &[T], rows: &mut [T]) {
        let k = self.k;
        for (g, rows) in g
            .chunks(blocking.panel * k)
            .zip(rows.chunks_mut(blocking.panel * k))
        {
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
