//! Cache blocking of a pass: sizes of panels, blocks and slabs, stored activations, and
//! parallelism.
//!
//! The results depend on the shape and the SIMD level, never on the number of threads.

use super::signs::{FEW, LinearKernel, Signs, sign_rows};
use crate::numeric::packed::line;
use crate::numeric::simd;

/// Maximal number of samples of a panel.
pub(super) const SAMPLES: usize = 256;

/// Samples of a panel that amortise the initialisation of a tile and the horizontal sums of its
/// lanes.
const SHORT: usize = 128;

/// Rows of the tiles that use a line of features while it is in the L1 cache: a multiple of the
/// rows of a tile at every SIMD level.
pub(super) const STRIP: usize = 24;

/// Samples of a panel from [`LONG`] inputs on: the rows of a backward strip stay in the L1 cache.
pub(super) const WIDE_PANEL: usize = 128;

/// Dimension d from which panels have [`WIDE_PANEL`] samples.
const LONG: usize = 24;

/// Features of a block of a backward pass whose lanes are particles: its sums stay in registers.
pub(super) const FEATURES: usize = 8;

/// Vectors of particles of a tile of this pass.
pub(super) const VECTORS: usize = 2;

/// Particles of a tile of this pass.
pub(super) const fn vector_tile<T>() -> usize {
    VECTORS * line::<T>()
}

/// Dimension d from which a forward task has several tiles, which share blocks of features.
const DEEP: usize = 256;

/// Samples of a part of a backward pass, about: the sums of a tile are written once for each part.
const RUN: usize = 2048;

/// Bytes of the particles of a backward task, if they are many: a part of the L2 cache.
const BLOCK: usize = 64 << 10;

/// Particles of a task whose lanes are features, at most: they repay the tables, and their sums stay in
/// the L2 cache.
pub(super) const PARTICLES: usize = 512;

/// Particles of such a task, at least.
const FEW_PARTICLES: usize = 32;

/// Multiplications of a task, at least: about 5 us in `f32`, against 1 us for its start.
pub(super) const TASK: f64 = 3e5;

/// Tasks of a forward pass and of a backward pass that are sufficient: two for each of 64 threads,
/// and one. Large shapes have more.
const TASKS: [f64; 2] = [128.0, 64.0];

/// Bytes of the activations that may be stored between the passes; the others are recomputed.
pub(super) const STORED: usize = 256 << 20;

/// Bytes stored for a panel at most, and for a slab on one thread, if the backward pass follows
/// immediately: a part of the last-level cache.
pub(super) const CACHED: usize = 8 << 20;

/// Multiplications below which one thread is faster: about 50 us of work.
pub(super) const SERIAL: f64 = 2e6;

/// The activations that the forward pass stores for the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// None: the preactivations are recomputed.
    Nothing,
    /// The signs of the preactivations.
    Signs(Signs),
    /// The preactivations.
    Preactivations,
    /// Values and derivatives.
    ValuesAndDerivatives,
}

impl Stored {
    /// Scalars stored for the pairs of `samples` and `particles`.
    pub(super) fn scalars(self, samples: usize, particles: usize) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Signs(word) => {
                samples.div_ceil(word.samples) * particles.div_ceil(word.particles)
            }
            Self::Preactivations => samples * particles,
            Self::ValuesAndDerivatives => 2 * samples * particles,
        }
    }
}

/// Numbers of samples and particles that a pass processes at a time, and what it stores.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blocking {
    /// Samples in whole lines: n rounded up.
    pub(super) padded: usize,
    /// Samples, in whole panels, that run forward and then backward before the next ones.
    pub(super) slab: usize,
    /// Samples of a panel, whole lines.
    pub(super) panel: usize,
    /// Particles of a forward task, whole tiles and whole words of signs. A sum over all particles
    /// is that of the sums over chunks, in order.
    pub(super) chunk: usize,
    /// Particles of a backward task, whole strips, or whole tiles of vectors if lanes are particles.
    pub(super) block: usize,
    /// The stored activations.
    pub(super) stored: Stored,
    /// The activations of the particles `i < stored_particles` are stored.
    pub(super) stored_particles: usize,
    /// True if the work is worth more than one thread.
    pub(super) parallel: bool,
}

impl Blocking {
    /// The blocking for n samples and m particles in `R^d` with k outputs.
    ///
    /// Stores as many of the activations `stored` as the memory limits permit. With `slabs`, for
    /// gradients of separable risks, slabs of samples run through both passes, so that the stored
    /// activations stay in the cache. The tasks are enough for `threads` threads.
    pub(super) fn new<T>(
        n: usize,
        m: usize,
        d: usize,
        k: usize,
        stored: Stored,
        slabs: bool,
        threads: usize,
    ) -> Self {
        let (width, bytes, rows) = (line::<T>(), size_of::<T>(), simd::rows());
        let padded = n.next_multiple_of(width);
        let longest = if d >= LONG { WIDE_PANEL } else { SAMPLES };
        let shortest = n.div_ceil(if slabs { 8 } else { 4 });
        let panels = n.div_ceil(shortest.clamp(SHORT, longest));
        let (tile, unit, word) = match stored {
            Stored::Signs(Signs {
                samples,
                particles: 1,
                ..
            }) => (sign_rows(), sign_rows(), samples.max(width)),
            Stored::Signs(Signs { particles, .. }) => (rows, particles, width),
            _ => (rows, 4 * rows, width),
        };
        let mut panel = n.div_ceil(panels).next_multiple_of(word).min(SAMPLES);
        if slabs && 2 * m * panel * bytes > CACHED {
            panel = panel.min(SHORT); // values and derivatives of more particles stay in the cache
        }
        let work = n as f64 * m as f64 * (d + k) as f64;
        let tasks = TASKS.map(|most| (work / TASK).clamp(1.0, most) as usize);
        let chunks = tasks[0].div_ceil(padded.div_ceil(panel));
        let least = if d > DEEP { 4 * tile } else { unit };
        let chunk = m.div_ceil(chunks).max(least).next_multiple_of(unit);
        let parallel = work > SERIAL;
        let kernel = match stored {
            Stored::Signs(signs) => Some(signs.kernel),
            _ => None,
        };
        let threads = if parallel { threads } else { 1 };
        let block = match kernel {
            // These sums run over samples, so the results do not depend on the block.
            Some(LinearKernel::SubsetSums) => {
                let tasks = if parallel { 2 * threads } else { 1 };
                let chunks = tasks.div_ceil(d.div_ceil(FEATURES));
                m.div_ceil(chunks).next_multiple_of(vector_tile::<T>())
            }
            Some(LinearKernel::SubsetRows) => {
                let most = PARTICLES / tile * tile;
                let block = m.div_ceil(threads).max(FEW_PARTICLES);
                block.next_multiple_of(tile).min(most)
            }
            _ => {
                let strip = if kernel.is_some() { FEW * width } else { STRIP };
                let many = (BLOCK / ((k + d) * bytes)).max(192);
                ((m / tasks[1]).min(many) / strip * strip).max(strip)
            }
        };

        let all = m.next_multiple_of(tile);
        let max_scalars = if slabs {
            CACHED / (panel * bytes)
        } else {
            STORED / (padded * bytes)
        };
        let stored_particles = match stored {
            Stored::Nothing => 0,
            Stored::Signs(_) => all,
            Stored::Preactivations => (max_scalars / tile * tile).min(all),
            Stored::ValuesAndDerivatives => (max_scalars / 2 / tile * tile).min(all),
        };

        // Sums run over panels, so the results do not depend on the slab, which may have a panel
        // for each thread.
        let stored_of_panel = stored.scalars(panel, stored_particles) * bytes;
        let panels = (CACHED / stored_of_panel.max(1)).max(threads);
        Self {
            padded,
            slab: if slabs { panels * panel } else { padded },
            panel,
            chunk,
            block,
            stored,
            stored_particles,
            parallel,
        }
    }

    /// Samples, in whole panels, of a part of a backward pass with signs.
    pub(super) fn run(&self) -> usize {
        let runs = self.padded.div_ceil(RUN);
        let panels = self.padded.div_ceil(self.panel).div_ceil(runs);
        (panels * self.panel).min(self.padded)
    }

    /// The tasks of a forward pass over m particles: chunks of particles for each panel.
    pub(super) fn forward_tasks(&self, m: usize) -> usize {
        self.padded.div_ceil(self.panel) * m.div_ceil(self.chunk)
    }

    /// The first sample, the samples and the first particle of forward task t: panels in order, and
    /// for each of them all chunks.
    pub(super) fn forward_task(&self, t: usize, m: usize) -> (usize, usize, usize) {
        let chunks = m.div_ceil(self.chunk);
        let first = (t / chunks * self.panel).min(self.padded);
        let samples = self.panel.min(self.padded - first);
        (first, samples, t % chunks * self.chunk)
    }

    /// The first of the stored scalars of forward task t: by panels, and in a panel by particles.
    pub(super) fn stored_start(&self, t: usize, m: usize) -> usize {
        let (first, samples, particle) = self.forward_task(t, m);
        let particles = particle.min(self.stored_particles);
        self.stored_by(first) + self.stored.scalars(samples, particles)
    }

    /// The signs in one word.
    pub(super) fn signs_of_word(&self) -> usize {
        match self.stored {
            Stored::Signs(word) => word.samples * word.particles,
            _ => 1,
        }
    }

    /// Scalars stored for `samples` samples, whole panels.
    pub(super) fn stored_by(&self, samples: usize) -> usize {
        self.stored.scalars(samples, self.stored_particles)
    }

    /// Scalars of the sums over the chunks of m particles, k for each sample and chunk.
    pub(super) fn sums_len(&self, k: usize, m: usize) -> usize {
        k * m.div_ceil(self.chunk) * self.padded.min(self.slab)
    }

    /// The blocking for a part of the samples, whole panels.
    pub(super) fn part(&self, samples: usize) -> Self {
        Self {
            padded: samples,
            ..*self
        }
    }

    /// Scalars stored at a time.
    pub(super) fn stored_len(&self) -> usize {
        self.stored_by(self.padded.min(self.slab))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The forward and backward tasks of a gradient, and the particles of a chunk.
    fn tasks<T>([n, d, m]: [usize; 3]) -> [usize; 3] {
        let signs = Signs::new::<T>(n, d);
        let blocking = Blocking::new::<T>(n, m, d, 1, Stored::Signs(signs), false, 64);
        let mut covered = (0, 0);
        for t in 0..blocking.forward_tasks(m) {
            let (first, samples, particle) = blocking.forward_task(t, m);
            assert!(first + samples <= blocking.padded && particle < m);
            covered.0 += samples * blocking.chunk.min(m - particle);
            assert!(blocking.stored_start(t, m) <= blocking.stored_start(t + 1, m));
        }
        covered.1 = blocking.padded * m;
        assert_eq!(covered.0, covered.1, "every pair has one task");
        let last = blocking.stored_start(blocking.forward_tasks(m), m);
        assert_eq!(last, blocking.stored_len());
        let mut backward = m.div_ceil(blocking.block);
        if signs.kernel == LinearKernel::SubsetSums {
            backward *= d.div_ceil(FEATURES);
        }
        [blocking.forward_tasks(m), backward, blocking.chunk]
    }

    #[test]
    fn large_shapes_have_tasks_for_64_threads() {
        for shape in [[1000, 30, 2000], [1000, 100, 2000], [1000, 784, 3000]] {
            for [forward, backward, _] in [tasks::<f32>(shape), tasks::<f64>(shape)] {
                assert!(forward >= 64 && backward >= 63, "{shape:?}");
            }
        }
        for shape in [[1, 5, 1], [17, 9, 100], [32, 64, 256], [128, 784, 1000]] {
            for [forward, backward, chunk] in [tasks::<f32>(shape), tasks::<f64>(shape)] {
                assert!(forward >= 1 && backward >= 1 && chunk >= 1, "{shape:?}");
            }
        }
    }
}
