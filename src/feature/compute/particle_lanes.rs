//! Velocities of general activations with one output and many samples: lanes are particles.
//!
//! Both passes run over lines of particles, packed as the samples are. A pass needs no sum over
//! lanes, so panels of few samples are as fast as long ones, and their values and derivatives stay
//! in the cache between the passes. In the backward pass the values and the derivatives are read
//! once, and the sums of a line of particles stay in registers:
//! `S_i = sum_j g_j sigma(u_ij)` and `G_i = sum_j sigma'(u_ij) (g_j x_j)`.

use super::blocking::{CACHED, SERIAL, TASK};
use super::lane_kernels::{LINES, Sums, add_outputs, max_features, preactivations, sum_lanes};
use super::pointwise::values_and_derivatives;
use super::{Neurons, PredictionGradient, Workspace};
use crate::activation::Activation;
use crate::numeric::packed::{WIDE, line};
use crate::numeric::parallel::{Parts, Pieces, for_each, threads};
use crate::numeric::simd::{Launch, same, same_mut, with_simd_scalar};
use crate::numeric::vector::add;
use crate::real::Real;

/// Samples of a panel: the sums of a line of particles are read and written once for each panel.
const PANEL: usize = 64;

/// Samples and inputs of a panel at most if values and derivatives of more samples exceed
/// [`NEAR`]: with more inputs, the sums of the panels would be most of the traffic.
const SHORT: usize = 32;

/// A part of an L2 cache in bytes, the smallest in use for AVX-512.
const NEAR: usize = 1 << 20;

/// Samples from which packing the particles and their velocities is a small part of the time: with
/// fewer inputs than [`WIDE`], and with more, for which the other passes need no sum over lanes.
/// At n = 256, d = 200 they are 7 % faster in `f32`, and 5 to 14 % slower at n = 1000.
const SAMPLES: [usize; 2] = [128, 1000];

/// Inputs at most: at d = 784 the particles of a panel are read from outside the L2 cache.
const INPUTS: usize = 256;

/// Sizes of a velocity; all but `slab` depend on the shape and the SIMD level only.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    d: usize,
    /// The number of lines of particles.
    lines: usize,
    /// Samples of a panel, whole lines.
    panel: usize,
    /// Samples, in whole panels, that run forward and then backward before the next ones.
    slab: usize,
    /// Lines of particles of a forward task, a multiple of [`LINES`].
    chunk: usize,
    /// Lines of particles of a backward task.
    block: usize,
    /// Features of a block.
    width: usize,
    parallel: bool,
}

impl Sizes {
    /// The sizes for n samples and m particles in `R^d`, if the path applies.
    fn new<T>(n: usize, d: usize, m: usize) -> Option<Self> {
        let (w, lines) = (line::<T>(), m.div_ceil(line::<T>()));
        let stored = |samples: usize| 2 * lines * w * samples * size_of::<T>();
        let mut panel = PANEL;
        while panel > w && stored(panel) > CACHED {
            panel /= 2;
        }
        if d <= SHORT && stored(panel) > NEAR {
            panel = panel.min(SHORT);
        }
        let few_samples = n < SAMPLES[usize::from(d >= WIDE)];
        if few_samples || d > INPUTS || stored(panel) > CACHED {
            return None;
        }
        let work = n as f64 * (lines * w) as f64 * (d + 1) as f64;
        let tasks = |most: f64| (work / TASK).clamp(1.0, most) as usize;
        let chunks = tasks(128.0).div_ceil(n.div_ceil(panel));
        let parallel = work > SERIAL;
        let slab = if parallel && threads() > 1 {
            (CACHED / stored(panel)).max(threads())
        } else {
            1
        };
        let width = d.div_ceil(d.div_ceil(max_features()));
        Some(Self {
            d,
            lines,
            panel,
            slab: slab * panel,
            chunk: lines.div_ceil(chunks).next_multiple_of(LINES),
            block: lines.div_ceil(tasks(64.0)),
            width,
            parallel,
        })
    }

    /// Scalars stored for a padded number of samples.
    fn stored<T>(&self, samples: usize) -> usize {
        2 * self.lines * line::<T>() * samples
    }
}

impl<T: Real, A: Activation<T>> Neurons<'_, T, A> {
    /// [`velocity`](Self::velocity) with particles in the lanes; `None` if the shape has too many
    /// inputs, outputs or particles, or too few samples.
    pub(super) fn velocity_by_particle_lanes(
        &self,
        c: &[T],
        gradient: &mut PredictionGradient<'_, T>,
        out: &mut [T],
        ws: &mut Workspace<T>,
    ) -> Option<T> {
        let (n, d, m) = (self.x.len(), self.x.dim(), self.particles());
        let sizes = Sizes::new::<T>(n, d, m).filter(|_| self.k == 1)?;
        let Sizes {
            lines, slab, panel, ..
        } = sizes;
        let w = line::<T>();
        let slab = slab.min(n.next_multiple_of(w));
        let chunks = lines.div_ceil(sizes.chunk);
        let lens = [
            lines * w * d,
            lines * w,
            lines * w * (d + 1),
            slab * chunks,
            slab,
            slab * d,
            sizes.stored::<T>(slab),
        ];
        let [b, ca, sums, h, g, gx, stored] = ws.split(lens);
        self.pack_particles(c, b, ca);
        sums.fill(T::zero());
        let (x, samples) = (self.x.points().as_slice(), self.x.packed().samples());
        let mut risk = T::zero();
        for first in (0..n).step_by(slab) {
            let last = (first + slab).min(n);
            let padded = (last - first).next_multiple_of(w);
            let samples = &samples[first * d..(first + padded) * d];
            let stored = &mut stored[..sizes.stored::<T>(padded)];
            let h = &mut h[..padded * chunks];
            self.forward_by_particle_lanes(&sizes, samples, [b, ca], stored, h);
            for start in (first..last).step_by(panel) {
                let end = (start + panel).min(last);
                let (h, g) = (&h[start - first..], &mut g[start - first..]);
                risk += gradient.evaluate(start..end, &h[..end - start], &mut g[..end - start]);
            }
            let (g, gx) = (&g[..last - first], &mut gx[..(last - first) * d]);
            let x = &x[first * d..last * d];
            let panels = x.chunks(panel * d).zip(gx.chunks_mut(panel * d));
            let stored_panels = stored.chunks_mut(sizes.stored::<T>(panel));
            for (((x, gx), g), stored) in panels.zip(g.chunks(panel)).zip(stored_panels) {
                weighted_samples(x, d, sizes.width, g, gx);
                if !gx.iter().all(|gx| gx.is_finite()) {
                    // `g_j x_j` exceeds the range, `g_j sigma' x_j` may not.
                    weigh_derivatives(lines, g, stored);
                    weighted_samples(x, d, sizes.width, &[T::one(); PANEL][..g.len()], gx);
                }
            }
            backward(&sizes, g, gx, stored, sums);
        }
        self.write_velocities(sums, out);
        Some(risk)
    }

    /// `b` in lines of particles (each `d x W`) and `c_i a_i`, 0 beyond the last particle.
    fn pack_particles(&self, c: &[T], b: &mut [T], ca: &mut [T]) {
        let (d, w) = (self.x.dim(), line::<T>());
        b[self.particles() / w * w * d..].fill(T::zero());
        ca[self.particles() / w * w..].fill(T::zero());
        let particles = self.w.chunks(w * (d + 1)).zip(c.chunks(w));
        for ((from, c), (b, ca)) in particles.zip(b.chunks_mut(w * d).zip(ca.chunks_mut(w))) {
            for (r, (from, &c)) in from.chunks_exact(d + 1).zip(c).enumerate() {
                ca[r] = c * from[0];
                for (&from, to) in from[1..].iter().zip(b[r..].iter_mut().step_by(w)) {
                    *to = from;
                }
            }
        }
    }

    /// Predictions of one slab, in `h`, from its packed `samples`; values and derivatives are
    /// stored by panels, and in a panel by lines of particles.
    fn forward_by_particle_lanes(
        &self,
        sizes: &Sizes,
        samples: &[T],
        [b, ca]: [&[T]; 2],
        stored: &mut [T],
        h: &mut [T],
    ) {
        let &Sizes {
            d,
            lines,
            panel,
            chunk,
            ..
        } = sizes;
        let (w, padded, chunks) = (line::<T>(), samples.len() / d, lines.div_ceil(chunk));
        let panels = padded.div_ceil(panel);
        let samples_in = |t: usize| panel.min(padded - (t / chunks * panel).min(padded));
        let first_line = |t: usize| t % chunks * chunk;
        let stored_start = |t: usize| {
            let before = (t / chunks * panel).min(padded);
            2 * w * (before * lines + samples_in(t) * first_line(t))
        };
        let start =
            |t: usize| (t / chunks * panel).min(padded) * chunks + samples_in(t) * (t % chunks);
        let tasks = panels * chunks;
        let pieces = (
            Pieces::new(&mut *h, tasks, start),
            Pieces::new(stored, tasks, stored_start),
        );
        for_each(pieces, sizes.parallel, &|t, (h, stored)| {
            let count = samples_in(t);
            let samples = &samples[t / chunks * panel * d..][..count * d];
            let particles = first_line(t)..(first_line(t) + chunk).min(lines);
            let b = &b[particles.start * w * d..particles.end * w * d];
            let ca = &ca[particles.start * w..particles.end * w];
            let mut vectors = [[T::zero(); 16]; PANEL];
            let vectors = &mut vectors.as_flattened_mut()[..count * w];
            let group = LINES * w;
            let groups = b.chunks(group * d).zip(ca.chunks(group));
            for ((b, ca), stored) in groups.zip(stored.data.chunks_mut(2 * group * count)) {
                preactivations(d, samples, b, stored);
                for line in stored.chunks_exact_mut(2 * w * count) {
                    let (s, ds) = line.split_at_mut(w * count);
                    values_and_derivatives(self.sigma, s, ds);
                }
                add_outputs(ca, stored, vectors);
            }
            sum_lanes(vectors, h.data);
        });
        if chunks == 1 {
            return;
        }
        // The sums of the chunks of a panel are added in order, and moved to the front.
        let mut end = 0;
        for first in (0..padded).step_by(panel) {
            let count = panel.min(padded - first);
            let (sum, rest) = h[first * chunks..][..count * chunks].split_at_mut(count);
            for part in rest.chunks_exact(count) {
                add(part, sum);
            }
            h.copy_within(first * chunks..first * chunks + count, end);
            end += count;
        }
    }

    /// `v_i = -(S_i, a_i G_i)` from the sums of all samples.
    fn write_velocities(&self, sums: &[T], out: &mut [T]) {
        let (d, w) = (self.x.dim(), line::<T>());
        let particles = self.w.chunks(w * (d + 1)).zip(out.chunks_mut(w * (d + 1)));
        for (sums, (w_of_line, out)) in sums.chunks_exact(w * (d + 1)).zip(particles) {
            let columns = w_of_line
                .chunks_exact(d + 1)
                .zip(out.chunks_exact_mut(d + 1));
            for (r, (particle, out)) in columns.enumerate() {
                out[0] = -sums[r];
                for (&sum, out) in sums[w + r..].iter().step_by(w).zip(&mut out[1..]) {
                    *out = -particle[0] * sum;
                }
            }
        }
    }
}

/// `g_j x_j` for the samples of a panel, by blocks of `width` features.
fn weighted_samples<T: Real>(x: &[T], d: usize, width: usize, g: &[T], out: &mut [T]) {
    for (block, out) in out.chunks_mut(width * g.len()).enumerate() {
        let first = block * width;
        let width = out.len() / g.len();
        for ((x, &g), out) in x.chunks_exact(d).zip(g).zip(out.chunks_exact_mut(width)) {
            for (&x, out) in x[first..].iter().zip(out) {
                *out = g * x;
            }
        }
    }
}

/// `sigma'(u_ij) <- g_j sigma'(u_ij)` in the values and derivatives of a panel.
fn weigh_derivatives<T: Real>(lines: usize, g: &[T], stored: &mut [T]) {
    for stored in stored.chunks_exact_mut(stored.len() / lines) {
        let (_, ds) = stored.split_at_mut(stored.len() / 2);
        for (ds, &g) in ds.chunks_exact_mut(line::<T>()).zip(g) {
            for ds in ds {
                *ds *= g;
            }
        }
    }
}

/// Adds `(S_i, G_i)` of a slab to `sums`, by lines of particles (each `(1 + d) x W`).
fn backward<T: Real>(sizes: &Sizes, g: &[T], gx: &[T], stored: &[T], sums: &mut [T]) {
    let &Sizes {
        d,
        lines,
        panel,
        block,
        width,
        ..
    } = sizes;
    let w = line::<T>();
    let blocks = Parts::new(sums, block * w * (d + 1));
    for_each(blocks, sizes.parallel, &|t, sums| {
        let panels = g.chunks(panel).zip(gx.chunks(panel * d));
        for ((g, gx), stored) in panels.zip(stored.chunks(2 * lines * w * panel)) {
            let stored = &stored[stored.len() / lines * block * t..];
            let stored_line = 2 * w * g.len().next_multiple_of(w);
            with_simd_scalar!(T as E => {
                let (g, gx, stored) = (same::<_, E>(g), same(gx), same(stored));
                let sums = same_mut(sums.data);
                Sums { d, width, g, gx, stored, stored_line, sums }.launch();
            });
        }
    });
}
