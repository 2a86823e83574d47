//! Backward: `S_il = sum_j g_jl sigma(b_i . x_j)` and `G_i = sum_j <g_j, a_i> sigma'(b_i . x_j) x_j` for a block of particles.
//!
//! Then `da_i = -S_i`, `db_i = -G_i`, and the value of the linear form is `<a_i, S_i>`. A piecewise linear activation has
//! `sigma(u) = sigma'(u) u`, so with one output `S_i = b_i . G_i / a_i`, and the signs of the preactivations are enough.
//! Panels of samples in order, so each sum runs over j = 1, .., n; the tiles of a panel are summed on their own.

use pulp::Simd;

use super::forward::store;
use super::lanes::{Kernel, Lane};
use super::layer::{Layer, Rows};
use super::plan::{Keep, Plan, SAMPLES};
use super::tile::{dot, inner, outer, preactivations};
use crate::activation::Activation;

/// Features below which lanes are samples throughout.
const NARROW: usize = 24;

/// The block of particles from `first` on.
pub(super) struct Backward<'a, E, A> {
    pub(super) layer: Layer<'a, E, A>,
    pub(super) plan: Plan,
    /// The slopes of a piecewise linear activation with one output.
    pub(super) slopes: Option<(E, E)>,
    /// `g` by panels, each `k x samples` by rows, 0 beyond the last sample.
    pub(super) g: &'a [E],
    /// What the forward pass kept, by panels.
    pub(super) kept: &'a [E],
    pub(super) first: usize,
    /// The velocities of the block, `p x particles`, overwritten.
    pub(super) out: &'a mut [E],
    /// The values of the linear form, overwritten; none where they are not asked for.
    pub(super) values: &'a mut [E],
}

/// What one panel has for all particles.
struct Panel<'a, E> {
    x: &'a [E],
    lines: &'a [E],
    g: &'a [E],
    kept: &'a [E],
    /// `right g` and `left g`, for the piecewise linear.
    sides: [&'a [E]; 2],
    samples: usize,
}

/// Rows of a panel for R particles.
struct Scratch<E, const R: usize> {
    partial: Rows<E, R>,
    values: Rows<E, R>,
    t: Rows<E, R>,
}

impl<E: Lane, A: Activation<E>> Kernel for Backward<'_, E, A> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd, const R: usize, const V: usize>(mut self, s: S) {
        let Layer { k, d, x, lines, .. } = self.layer;
        let Plan { panel, padded, kept_rows, .. } = self.plan;
        let mut scratch = Scratch::<E, R> { partial: Rows::new(), values: Rows::new(), t: Rows::new() };
        let mut sides = Rows::<E, 2>::new();
        self.out.fill(E::zero());
        for first in (0..padded).step_by(panel) {
            let last = (first + panel).min(padded);
            let g = &self.g[first * k..last * k];
            let sides = sides.of(last - first);
            if let Some((left, right)) = self.slopes {
                let (on, off) = sides.split_at_mut(last - first);
                for ((on, off), &g) in on.iter_mut().zip(off).zip(g) {
                    (*on, *off) = (right * g, left * g);
                }
            }
            let (on, off) = sides.split_at(last - first);
            let panel = Panel {
                x: &x[first * d..x.len().min(last * d)],
                lines: &lines[first * d..last * d],
                g,
                kept: &self.kept[first * kept_rows..last * kept_rows],
                sides: [on, off],
                samples: last - first,
            };
            for i in (0..self.particles()).step_by(R) {
                if self.slopes.is_some() {
                    self.slopes_of_tile::<S, R, V>(s, i, &panel, &mut scratch);
                } else {
                    self.derivatives_of_tile::<S, R, V>(s, i, &panel, &mut scratch);
                }
                self.sum_tile::<S, R, V>(s, i, &panel, scratch.t.of(panel.samples));
            }
        }
        self.finish();
    }
}

impl<E: Lane, A: Activation<E>> Backward<'_, E, A> {
    #[inline(always)]
    fn particles(&self) -> usize {
        self.out.len() / (self.layer.k + self.layer.d)
    }

    /// `t[r][j] = g_j sigma'(b_i . x_j)`, of the signs that were kept or of the preactivations.
    #[inline(always)]
    fn slopes_of_tile<S: Simd, const R: usize, const V: usize>(
        &self,
        s: S,
        i: usize,
        panel: &Panel<'_, E>,
        scratch: &mut Scratch<E, R>,
    ) {
        let (n, i) = (panel.samples, self.first + i);
        let [on, off] = panel.sides.map(|side| E::view::<S>(side));
        let t = scratch.t.of(n);
        match self.plan.keep {
            Keep::Signs { signs } if i < self.plan.kept => {
                let words = E::view::<S>(&panel.kept[i / signs * n..][..n]);
                for (r, t) in t.chunks_exact_mut(n).enumerate() {
                    let bit = E::bit(s, i % signs + r);
                    for (((t, &word), &on), &off) in E::view_mut::<S>(t).iter_mut().zip(words).zip(on).zip(off) {
                        *t = E::pick(s, word, bit, on, off);
                    }
                }
            }
            _ => {
                let mut rows = t.chunks_exact_mut(n);
                let mut t: [_; R] = std::array::from_fn(|_| {
                    E::view_mut::<S>(rows.next().unwrap_or_default()).as_chunks_mut::<V>().0
                });
                let ((on, _), (off, _)) = (on.as_chunks::<V>(), off.as_chunks::<V>());
                let b = self.layer.directions::<R>(i);
                preactivations::<E, S, R, V>(s, b, panel.lines, scratch.partial.of(n), |l, u| {
                    for v in 0..V {
                        for r in 0..R {
                            t[r][l][v] = E::choose(s, u[r][v], on[l][v], off[l][v]);
                        }
                    }
                });
            }
        }
    }

    /// `t[r][j] = <g_j, a> sigma'(b_i . x_j)` (`a` left out with one output), and `S_il += sum_j g_jl sigma(b_i . x_j)`.
    #[inline(always)]
    fn derivatives_of_tile<S: Simd, const R: usize, const V: usize>(
        &mut self,
        s: S,
        i: usize,
        panel: &Panel<'_, E>,
        scratch: &mut Scratch<E, R>,
    ) {
        let (n, k, p) = (panel.samples, self.layer.k, self.layer.k + self.layer.d);
        let sigma = self.layer.sigma;
        let (values, t) = (scratch.values.of(n), scratch.t.of(n));
        let global = self.first + i;
        let kept = self.plan.keep == Keep::Values && global < self.plan.kept;
        if kept {
            values.copy_from_slice(&panel.kept[global * n..(global + R) * n]);
        } else {
            let b = self.layer.directions::<R>(global);
            store::<E, S, R, V>(s, b, panel.lines, scratch.partial.of(n), values);
        }
        if kept && sigma.derivative_from_value(E::zero()).is_some() {
            for (t, &value) in t.iter_mut().zip(values.iter()) {
                *t = sigma.derivative_from_value(value).unwrap_or(E::zero());
            }
        } else {
            for (t, value) in t.iter_mut().zip(values.iter_mut()) {
                (*value, *t) = sigma.value_and_derivative(*value);
            }
        }
        let columns = self.out[i * p..].chunks_exact_mut(p);
        let particles = self.layer.w[global * p..].chunks_exact(p);
        let rows = values.chunks_exact(n).zip(t.chunks_exact_mut(n));
        for (((value, t), column), w) in rows.zip(columns).zip(particles) {
            for (sum, g) in column.iter_mut().zip(panel.g.chunks_exact(n)) {
                *sum += dot::<E, S, V>(s, value, g);
            }
            if k == 1 {
                for (t, &g) in t.iter_mut().zip(panel.g) {
                    *t *= g;
                }
            } else {
                let mut q = [E::zero(); SAMPLES];
                for (&a, g) in w[..k].iter().zip(panel.g.chunks_exact(n)) {
                    for (q, &g) in q.iter_mut().zip(g) {
                        *q += a * g;
                    }
                }
                for (t, &q) in t.iter_mut().zip(&q) {
                    *t *= q;
                }
            }
        }
    }

    /// `G_i += sum_j t[r][j] x_j`.
    #[inline(always)]
    fn sum_tile<S: Simd, const R: usize, const V: usize>(&mut self, s: S, i: usize, panel: &Panel<'_, E>, t: &[E]) {
        let Layer { k, d, .. } = self.layer;
        let (p, n, samples) = (k + d, panel.samples, panel.x.len() / d);
        let rows: [&[E]; R] = std::array::from_fn(|r| &t[r * n..(r + 1) * n]);
        let particles = (self.particles() - i).min(R);
        let out = &mut self.out[i * p..(i + particles) * p];
        let mut from = 0;
        if d >= NARROW {
            from = outer::<E, S, R, V>(s, rows.map(|t| &t[..samples]), panel.x, d, |r, f, sums| {
                if r < particles {
                    let column = E::view_mut::<S>(&mut out[r * p + k + f..]);
                    for (sum, &add) in column.iter_mut().zip(sums) {
                        *sum = E::plus(s, *sum, add);
                    }
                }
            });
        }
        inner::<E, S, R, V>(s, rows, panel.lines, d, from, |r, f, sum| {
            if r < particles {
                out[r * p + k + f] += sum;
            }
        });
    }

    /// `da = -S`, `db = -G` and `<a, S>`, of the sums.
    #[inline(always)]
    fn finish(&mut self) {
        let (k, p) = (self.layer.k, self.layer.k + self.layer.d);
        let particles = self.layer.w[self.first * p..].chunks_exact(p);
        for (i, (out, w)) in self.out.chunks_exact_mut(p).zip(particles).enumerate() {
            let ((da, db), (a, b)) = (out.split_at_mut(k), w.split_at(k));
            if self.slopes.is_some() {
                da[0] = E::zero();
                for (&b, &g) in b.iter().zip(db.iter()) {
                    da[0] += b * g;
                }
            }
            if let Some(value) = self.values.get_mut(i) {
                *value = E::zero();
                for (&a, &s) in a.iter().zip(da.iter()) {
                    *value += a * s;
                }
            }
            for da in da.iter_mut() {
                *da = -*da;
            }
            let scale = if k == 1 { -a[0] } else { -E::one() };
            for db in db.iter_mut() {
                *db *= scale;
            }
        }
    }
}
