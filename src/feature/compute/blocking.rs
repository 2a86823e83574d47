//! Cache blocking of a pass: sizes of panels, blocks and slabs, stored activations, and
//! parallelism.
//!
//! The results depend on the shape and the SIMD level, never on the number of threads.

use crate::numeric::packed::line;
use crate::numeric::parallel::threads;
use crate::numeric::simd;

/// Maximal number of samples of a panel.
pub(super) const SAMPLES: usize = 256;

/// Samples of a panel that amortise the initialisation of a tile and the horizontal sums of its
/// lanes.
const SHORT: usize = 128;

/// Bytes of the samples of a panel: a part of the L2 cache.
const PANEL: usize = 192 << 10;

/// Bytes of the particles of a backward task, if they are many: a part of the L2 cache.
const BLOCK: usize = 64 << 10;

/// Bytes of the `n x m` preactivations that may be stored between the passes; the others are
/// recomputed.
const STORED: usize = 256 << 20;

/// Bytes stored for a panel at most, and for a slab on one thread, if the backward pass follows
/// immediately: a part of the last-level cache.
pub(super) const CACHED: usize = 8 << 20;

/// Multiplications below which one thread is faster: about 50 us of work.
const SERIAL: f64 = 2e6;

/// The activations that the forward pass stores for the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// None: the preactivations are recomputed.
    Nothing,
    /// The signs of the preactivations, `per_word` bits in each scalar.
    Signs { per_word: usize },
    /// The preactivations.
    Preactivations,
    /// Values and derivatives.
    ValuesAndDerivatives,
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
    /// Particles of a backward task, whole tiles.
    pub(super) block: usize,
    /// The stored activations.
    pub(super) stored: Stored,
    /// The activations of the particles `i < stored_particles` are stored.
    pub(super) stored_particles: usize,
    /// Scalars stored per sample.
    pub(super) stored_rows: usize,
    /// True if the work is worth more than one thread.
    pub(super) parallel: bool,
}

impl Blocking {
    /// The blocking for n samples and m particles in `R^d` with k outputs.
    ///
    /// Stores as many of the activations `stored` as the memory limits permit. With `slabs`, for
    /// gradients of separable risks, slabs of samples run through both passes, so that the stored
    /// activations stay in the cache.
    pub(super) fn new<T>(
        n: usize,
        m: usize,
        d: usize,
        k: usize,
        stored: Stored,
        slabs: bool,
    ) -> Self {
        let (width, bytes, rows) = (line::<T>(), size_of::<T>(), simd::rows());
        let padded = n.next_multiple_of(width);
        let cached = (PANEL / (d * bytes)).clamp(2 * width, SAMPLES);
        // Enough panels for the threads.
        let short = n.div_ceil(4).clamp(SHORT, SAMPLES);
        let shortest = if d < 24 { short } else { 2 * width };
        let shared = n.div_ceil(if slabs { 8 } else { 16 }).max(shortest);
        let mut panel = shared.min(cached).next_multiple_of(width).min(SAMPLES);
        if slabs && 2 * m * panel * bytes > CACHED {
            panel = panel.min(SHORT); // values and derivatives of more particles stay in the cache
        }
        let many = (BLOCK / ((k + d) * bytes)).max(192);
        let block = m.div_ceil(16).clamp(rows, many).next_multiple_of(rows);

        let all = m.next_multiple_of(rows);
        let max_rows = if slabs {
            CACHED / (panel * bytes)
        } else {
            STORED / (padded * bytes)
        };
        let whole_tiles = |scalars: usize| (max_rows / scalars / rows * rows).min(all);
        let (stored_rows, stored_particles) = match stored {
            Stored::Nothing => (0, 0),
            Stored::Signs { per_word } => {
                let words = max_rows.min(m.div_ceil(per_word));
                (words, (max_rows * per_word).min(all))
            }
            Stored::Preactivations => (whole_tiles(1), whole_tiles(1)),
            Stored::ValuesAndDerivatives => (2 * whole_tiles(2), whole_tiles(2)),
        };

        let parallel = n as f64 * m as f64 * (d + k) as f64 > SERIAL;
        // Sums run over panels, so the results do not depend on the slab, which may have a panel
        // for each thread.
        let tasks = if parallel { threads() } else { 1 };
        let panels = (CACHED / (panel * stored_rows * bytes).max(1)).max(tasks);
        Self {
            padded,
            slab: if slabs { panels * panel } else { padded },
            panel,
            block,
            stored,
            stored_particles,
            stored_rows,
            parallel,
        }
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
        self.stored_rows * self.padded.min(self.slab)
    }
}
