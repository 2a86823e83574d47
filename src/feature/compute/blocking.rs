//! The blocking of a pass: sizes of tiles, panels and tasks, what is kept, and whether threads pay.
//!
//! It depends on the shape and the machine's instructions, never on the number of threads.

use crate::numeric::packed::line;
use crate::numeric::parallel::threads;
use crate::numeric::simd;

/// Most samples of a panel.
pub(super) const SAMPLES: usize = 256;

/// Bytes of the samples of a panel: a part of the second cache.
const PANEL: usize = 192 << 10;

/// Bytes of the particles of a backward task that are many: a part of the second cache.
const BLOCK: usize = 64 << 10;

/// Bytes that a step may keep of the `n x m` preactivations between its passes; what does not fit is computed again.
const KEPT: usize = 256 << 20;

/// Bytes that are kept of a panel at most, and of a slab on one thread, where the backward pass follows at once: a part of the last
/// cache.
pub(super) const CACHED: usize = 8 << 20;

/// Multiplications below which one thread is faster: some 50 us of work.
const ALONE: f64 = 2e6;

/// What the forward pass keeps for the backward one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Nothing: the preactivations are computed again.
    Nothing,
    /// The signs of the preactivations, `signs` of them in a scalar.
    Signs { signs: usize },
    /// The preactivations, or the values where the derivative is a function of the value.
    Values,
    /// Values and derivatives.
    Both,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Blocking {
    /// Samples in whole lines: n rounded up.
    pub(super) padded: usize,
    /// Samples, whole panels, that go forward and then backward before the next ones.
    pub(super) slab: usize,
    /// Samples of a panel, whole lines.
    pub(super) panel: usize,
    /// Particles of a backward task, whole tiles.
    pub(super) block: usize,
    /// What is kept, for the particles `i < kept`.
    pub(super) keep: Keep,
    pub(super) kept: usize,
    /// Scalars kept for each sample.
    pub(super) kept_rows: usize,
    pub(super) parallel: bool,
}

impl Blocking {
    /// The blocking for n samples and m particles in `R^d` with k outputs, keeping what `keep` says as far as it fits; by `slabs`, so
    /// that it stays in the cache, where the gradient can be taken in parts.
    pub(super) fn new<T>([n, m, d, k]: [usize; 4], keep: Keep, slabs: bool) -> Self {
        let (width, bytes, rows) = (line::<T>(), size_of::<T>(), simd::rows());
        let padded = n.next_multiple_of(width);
        let cached = (PANEL / (d * bytes)).clamp(2 * width, SAMPLES);
        // Enough panels for threads, but not so short that setting up a tile and adding up its lanes cost more than
        // going through it.
        let shortest = if d < 24 {
            n.div_ceil(4).clamp(128, SAMPLES)
        } else {
            2 * width
        };
        let shared = n.div_ceil(if slabs { 8 } else { 16 }).max(shortest);
        let panel = shared.min(cached).next_multiple_of(width).min(SAMPLES);
        let block = m
            .div_ceil(16)
            .clamp(rows, (BLOCK / ((k + d) * bytes)).max(192))
            .next_multiple_of(rows);
        let fit = if slabs {
            CACHED / (panel * bytes)
        } else {
            KEPT / (padded * bytes)
        };
        let fit_tiles =
            |scalars: usize| (fit / scalars / rows * rows).min(m.next_multiple_of(rows));
        let (kept_rows, kept) = match keep {
            Keep::Nothing => (0, 0),
            Keep::Signs { signs } => (
                fit.min(m.div_ceil(signs)),
                (fit * signs).min(m.next_multiple_of(rows)),
            ),
            Keep::Values => (fit_tiles(1), fit_tiles(1)),
            Keep::Both => (2 * fit_tiles(2), fit_tiles(2)),
        };
        let parallel = n as f64 * m as f64 * (d + k) as f64 > ALONE;
        // Sums run over panels, so the results do not depend on the slab, which may have a panel for each thread.
        let panels =
            (CACHED / (panel * kept_rows * bytes).max(1)).max(if parallel { threads() } else { 1 });
        let slab = if slabs { panels * panel } else { padded };
        Self {
            padded,
            slab,
            panel,
            block,
            keep,
            kept,
            kept_rows,
            parallel,
        }
    }

    /// The blocking for some of the samples only, whole panels.
    pub(super) fn part(&self, samples: usize) -> Self {
        Self {
            padded: samples,
            ..*self
        }
    }

    /// Scalars kept at a time.
    pub(super) fn kept_len(&self) -> usize {
        self.kept_rows * self.padded.min(self.slab)
    }
}
