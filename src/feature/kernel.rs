//! The fused passes of ridge features `Phi(a, b)(x) = a sigma(b.x)`: products, lanes, blocking and threads.
//!
//! A step is two passes. Forward, each task owns a panel of samples and runs over all particles; backward, each owns a
//! block of particles and runs over all samples. So every output has one owner that sums in a fixed order: there is no
//! reduction over threads, and the results do not depend on their number. The `n x m` preactivations live in tiles in the
//! first cache; of them only signs are kept where the activation is piecewise linear, and values up to a fixed budget else
//! ([`plan`]).

use std::any::TypeId;
use std::marker::PhantomData;

use super::Workspace;
use crate::activation::Activation;
use crate::inputs::Inputs;
use crate::real::Real;

mod backward;
mod forward;
mod lanes;
mod layer;
mod plan;
mod push;
mod threads;
mod tile;

use backward::Backward;
use forward::{General, Linear};
use lanes::{Lane, dispatch, same, same_mut};
use layer::{Layer, Same};
use plan::{Keep, Plan};
use push::Push;
use threads::{Parts, each};

/// Whether the kernels know the scalar.
pub(super) fn suits<T: 'static>() -> bool {
    is::<T, f32>() || is::<T, f64>()
}

fn is<T: 'static, E: 'static>() -> bool {
    TypeId::of::<T>() == TypeId::of::<E>()
}

/// A layer of neurons on samples.
#[derive(Debug)]
pub(super) struct Neurons<'a, T: Real, A> {
    pub(super) sigma: &'a A,
    /// The particles `(a_i, b_i)`, `p x m`.
    pub(super) w: &'a [T],
    /// The outputs k.
    pub(super) k: usize,
    pub(super) x: &'a Inputs<T>,
}

impl<T: Real, A: Activation<T>> Neurons<'_, T, A> {
    /// `h(x_j) = sum_i c_i a_i sigma(b_i . x_j)`, written to `out` (`k x n`).
    pub(super) fn predict(&self, c: &[T], out: &mut [T], ws: &mut Workspace<T>) {
        let plan = self.plan(Keep::Nothing);
        let [zeros, rows] = ws.split([self.x.dim(), self.k * plan.padded]);
        zeros.fill(T::zero());
        self.forward(&plan, self.layer(c, zeros), rows, &mut [], out);
    }

    /// `v_i = -sum_j DPhi(w_i)(x_j)^T g_j` with `g = grad R(h)`, written to `out` (`p x m`); returns `R(h)`.
    pub(super) fn velocity(
        &self,
        c: &[T],
        gradient: &mut dyn FnMut(&[T], &mut [T]) -> T,
        out: &mut [T],
        ws: &mut Workspace<T>,
    ) -> T {
        let (d, n) = (self.x.dim(), self.x.len());
        let keep = match self.slopes() {
            Some(_) => Keep::Signs { signs: lanes::signs::<T>() },
            None => Keep::Values,
        };
        let plan = self.plan(keep);
        let [zeros, rows, h, g, kept] = ws.split([d, self.k * plan.padded, self.k * n, self.k * n, plan.kept_len()]);
        zeros.fill(T::zero());
        self.forward(&plan, self.layer(c, zeros), rows, kept, h);
        let risk = gradient(h, g);
        self.spread(&plan, g, rows);
        self.backward(&plan, self.layer(c, zeros), rows, kept, out, &mut []);
        risk
    }

    /// `values[i] = sum_j <g_j, Phi(w_i)(x_j)>` and `descent_i = -sum_j DPhi(w_i)(x_j)^T g_j`.
    pub(super) fn variation(&self, g: &[T], values: &mut [T], descent: &mut [T], ws: &mut Workspace<T>) {
        let plan = self.plan(Keep::Nothing);
        let [zeros, rows] = ws.split([self.x.dim(), self.k * plan.padded]);
        zeros.fill(T::zero());
        self.spread(&plan, g, rows);
        self.backward(&plan, self.layer(&[], zeros), rows, &[], descent, values);
    }

    /// `u(x_j) = sum_i c_i DPhi(w_i)(x_j) v_i`, written to `out` (`k x n`).
    pub(super) fn push_forward(&self, c: &[T], v: &[T], out: &mut [T], ws: &mut Workspace<T>) {
        let plan = self.plan(Keep::Nothing);
        let [zeros, rows] = ws.split([self.x.dim(), self.k * plan.padded]);
        zeros.fill(T::zero());
        let (layer, sigma) = (self.layer(c, zeros), &Same(self.sigma, PhantomData));
        if is::<T, f32>() {
            push_forward::<f32, _>(&plan, layer.with_lanes(sigma), same(v), same_mut(rows), same_mut(out));
        } else {
            push_forward::<f64, _>(&plan, layer.with_lanes(sigma), same(v), same_mut(rows), same_mut(out));
        }
    }

    fn plan(&self, keep: Keep) -> Plan {
        let m = self.w.len() / (self.k + self.x.dim());
        Plan::new::<T>(self.x.len(), m, self.x.dim(), self.k, keep)
    }

    /// The slopes to the left and right of 0 where the signs of the preactivations are enough.
    fn slopes(&self) -> Option<(T, T)> {
        let slopes = self.sigma.slopes()?;
        (self.k == 1 && slopes.zero == slopes.negative).then_some((slopes.negative, slopes.positive))
    }

    fn layer<'b>(&'b self, c: &'b [T], zeros: &'b [T]) -> Layer<'b, T, A> {
        let (k, d) = (self.k, self.x.dim());
        let (x, lines) = (self.x.points().as_slice(), self.x.lines());
        Layer { sigma: self.sigma, w: self.w, c, k, d, zeros, x, lines }
    }

    /// The panels of `g` (`k x n`), each `k x samples` by rows, 0 beyond the last sample.
    fn spread(&self, plan: &Plan, g: &[T], rows: &mut [T]) {
        let k = self.k;
        for (g, rows) in g.chunks(plan.panel * k).zip(rows.chunks_mut(plan.panel * k)) {
            let n = rows.len() / k;
            for (l, row) in rows.chunks_exact_mut(n).enumerate() {
                row.fill(T::zero());
                for (to, &g) in row.iter_mut().zip(g[l..].iter().step_by(k)) {
                    *to = g;
                }
            }
        }
    }

    fn forward(&self, plan: &Plan, layer: Layer<'_, T, A>, rows: &mut [T], kept: &mut [T], h: &mut [T]) {
        let sigma = &Same(self.sigma, PhantomData);
        if is::<T, f32>() {
            let (rows, kept, h) = (same_mut(rows), same_mut(kept), same_mut(h));
            forward::<f32, _>(plan, layer.with_lanes(sigma), self.slopes_in(), rows, kept, h);
        } else {
            let (rows, kept, h) = (same_mut(rows), same_mut(kept), same_mut(h));
            forward::<f64, _>(plan, layer.with_lanes(sigma), self.slopes_in(), rows, kept, h);
        }
    }

    fn backward(
        &self,
        plan: &Plan,
        layer: Layer<'_, T, A>,
        g: &[T],
        kept: &[T],
        out: &mut [T],
        values: &mut [T],
    ) {
        let sigma = &Same(self.sigma, PhantomData);
        if is::<T, f32>() {
            let (g, kept, out, values) = (same(g), same(kept), same_mut(out), same_mut(values));
            backward::<f32, _>(plan, layer.with_lanes(sigma), self.slopes_in(), g, kept, out, values);
        } else {
            let (g, kept, out, values) = (same(g), same(kept), same_mut(out), same_mut(values));
            backward::<f64, _>(plan, layer.with_lanes(sigma), self.slopes_in(), g, kept, out, values);
        }
    }

    fn slopes_in<E: Lane>(&self) -> Option<(E, E)> {
        self.slopes().map(|(left, right)| (same(&[left])[0], same(&[right])[0]))
    }
}

/// One task a panel of samples.
fn forward<E: Lane, A: Activation<E>>(
    plan: &Plan,
    layer: Layer<'_, E, A>,
    slopes: Option<(E, E)>,
    rows: &mut [E],
    kept: &mut [E],
    h: &mut [E],
) {
    let (k, d) = (layer.k, layer.d);
    let signs = match plan.keep {
        Keep::Signs { signs } => signs,
        _ => lanes::signs::<E>(),
    };
    let work = (
        Parts { data: rows, size: plan.panel * k },
        (Parts { data: kept, size: plan.panel * plan.kept_rows }, Parts { data: h, size: plan.panel * k }),
    );
    each(work, plan.parallel, &|t, (rows, (kept, out)): (Parts<E>, (Parts<E>, Parts<E>))| {
        let n = rows.data.len() / k;
        let lines = &layer.lines[t * plan.panel * d..][..n * d];
        match slopes {
            Some(slopes) => dispatch(Linear { layer, slopes, lines, h: rows.data, words: kept.data, signs }),
            None => dispatch(General { layer, lines, h: rows.data, kept: kept.data }),
        }
        gather(k, rows.data, out.data);
    });
}

/// Writes the rows of a panel (`k x samples`) to its samples, k outputs each.
fn gather<E: Lane>(k: usize, rows: &[E], out: &mut [E]) {
    for (l, row) in rows.chunks_exact(rows.len() / k).enumerate() {
        for (to, &h) in out[l..].iter_mut().step_by(k).zip(row) {
            *to = h;
        }
    }
}

/// One task a panel of samples.
fn push_forward<E: Lane, A: Activation<E>>(
    plan: &Plan,
    layer: Layer<'_, E, A>,
    v: &[E],
    rows: &mut [E],
    out: &mut [E],
) {
    let (k, d) = (layer.k, layer.d);
    let work = (Parts { data: rows, size: plan.panel * k }, Parts { data: out, size: plan.panel * k });
    each(work, plan.parallel, &|t, (rows, out): (Parts<E>, Parts<E>)| {
        let lines = &layer.lines[t * plan.panel * d..][..rows.data.len() / k * d];
        dispatch(Push { layer, v, lines, u: rows.data });
        gather(k, rows.data, out.data);
    });
}

/// One task a block of particles.
fn backward<E: Lane, A: Activation<E>>(
    plan: &Plan,
    layer: Layer<'_, E, A>,
    slopes: Option<(E, E)>,
    g: &[E],
    kept: &[E],
    out: &mut [E],
    values: &mut [E],
) {
    let p = layer.k + layer.d;
    let values_of_block = if values.is_empty() { 0 } else { plan.block };
    let work = (Parts { data: out, size: plan.block * p }, Parts { data: values, size: values_of_block });
    each(work, plan.parallel, &|t, (out, values): (Parts<E>, Parts<E>)| {
        let (out, values, first) = (out.data, values.data, t * plan.block);
        dispatch(Backward { layer, plan: *plan, slopes, g, kept, first, out, values });
    });
}

