//! Backward pass of piecewise linear activations over all samples, from the signs of the
//! preactivations.

use super::backward::{FewInputs, pack_rows};
use super::blocking::{Blocking, FEATURES, Stored, vector_tile};
use super::operands::Operands;
use super::passes::{Calls, Passes};
use super::signs::{FEW, LinearKernel};
use super::subset_rows::SubsetRows;
use super::subset_sums::{FinishSubsets, SubsetSums, sums_len};
use crate::activation::{Activation, Slopes};
use crate::numeric::parallel::{Parts, Pieces, for_each, threads};
use crate::numeric::simd::{Launch, same, same_mut, with_simd_scalar};
use crate::real::Real;

/// Scratch memory of a backward pass with signs.
pub(super) struct SignScratch<'a, T> {
    /// The sums over chunks of a forward pass.
    pub(super) sums: &'a mut [T],
    /// Words of signs: those of the forward pass, or of one part of the samples.
    pub(super) words: &'a mut [T],
    /// Predictions of one part of the samples.
    pub(super) h: &'a mut [T],
    /// The sums `G_i` of [`SubsetSums`], or the packed features of one part of the samples.
    pub(super) features: &'a mut [T],
}

/// The length of [`SignScratch::features`] for m particles.
pub(super) fn features_len<T>(blocking: &Blocking, d: usize, m: usize) -> usize {
    match kernel(blocking) {
        LinearKernel::FewInputs => FEW * blocking.run(),
        LinearKernel::SubsetSums => sums_len::<T>(d, m),
        LinearKernel::SubsetRows => 0,
    }
}

/// The pass that reads the signs.
fn kernel(blocking: &Blocking) -> LinearKernel {
    match blocking.stored {
        Stored::Signs(signs) => signs.kernel,
        _ => unreachable!("a pass from stored signs"),
    }
}

impl<T: Real, A: Activation<T>> Passes<'_, T, A> {
    /// [`backward`](Self::backward) from the signs of the preactivations of a piecewise linear
    /// activation, for the samples `x` (`d x n`). Signs that are not `stored` are computed for one
    /// part of the samples after the other.
    pub(super) fn backward_by_signs(
        &self,
        (x, g): (&[T], &[T]),
        stored: bool,
        scratch: &mut SignScratch<'_, T>,
        values: &mut [T],
        out: &mut [T],
    ) {
        let Some(slopes) = self.slopes else { return };
        let (blocking, d) = (self.blocking, self.operands.d);
        let (padded, run, kernel) = (blocking.padded, blocking.run(), kernel(&blocking));
        let SignScratch {
            sums,
            words,
            h,
            features,
        } = scratch;
        for first in (0..padded).step_by(run) {
            let last = (first + run).min(padded);
            let (part, g) = (self.part(first, last), &g[first..last]);
            let words = if stored {
                &words[blocking.stored_by(first)..blocking.stored_by(last)]
            } else {
                let words = &mut words[..blocking.stored_by(last - first)];
                part.forward(sums, words, &mut h[..last - first]);
                words
            };
            let x = &x[first * d..(last * d).min(x.len())];
            let calls = Calls {
                first: first == 0,
                last: last == padded,
            };
            match kernel {
                LinearKernel::SubsetSums => {
                    part.subset_sums(slopes, (x, g), words, calls, features);
                }
                LinearKernel::SubsetRows => {
                    part.subset_rows(slopes, (x, g), words, calls, values, out);
                }
                LinearKernel::FewInputs => {
                    let rows = &mut features[..FEW * g.len()];
                    with_simd_scalar!(T as E => pack_rows::<E>(same(x), d, same_mut(rows)));
                    part.few_inputs(slopes, (g, words, rows), calls, values, out);
                }
            }
        }
        if kernel == LinearKernel::SubsetSums {
            self.finish_subsets(features, values, out);
        }
    }

    /// Sums over subsets of samples, one task per block of features and chunk of particles.
    fn subset_sums(
        &self,
        slopes: Slopes<T>,
        (x, g): (&[T], &[T]),
        words: &[T],
        calls: Calls,
        sums: &mut [T],
    ) {
        let (blocking, d, m) = (self.blocking, self.operands.d, self.operands.particles());
        let (blocks, chunks) = (d.div_ceil(FEATURES), m.div_ceil(blocking.block));
        let of_block = sums.len() / blocks;
        let of_task = blocks.div_ceil(if blocking.parallel { 8 * threads() } else { 1 });
        let of_task = if chunks == 1 { of_task } else { 1 };
        let tasks = blocks.div_ceil(of_task) * chunks;
        let first_block = |t: usize| (t / chunks * of_task).min(blocks);
        let start = |t: usize| first_block(t) * of_block + t % chunks * blocking.block * FEATURES;
        let pieces = Pieces::new(sums, tasks, start);
        for_each(pieces, blocking.parallel, &|t, piece| {
            with_simd_scalar!(T as E => {
                let slopes = same::<_, Slopes<E>>(&[slopes])[0];
                let (x, g, words, out) = (same(x), same(g), same(words), same_mut(piece.data));
                let feature = first_block(t) * FEATURES;
                let blocks = first_block(t + chunks) - first_block(t);
                let (particle, add) = (t % chunks * blocking.block, !calls.first);
                SubsetSums {
                    x, d, g, blocking, slopes, words, feature, blocks, particle, add, out,
                }.launch();
            });
        });
    }

    /// Velocities by sums over subsets of samples, one task per chunk of particles.
    fn subset_rows(
        &self,
        slopes: Slopes<T>,
        (x, g): (&[T], &[T]),
        words: &[T],
        calls: Calls,
        values: &mut [T],
        out: &mut [T],
    ) {
        let (blocking, Operands { d, w, .. }) = (self.blocking, self.operands);
        let (p, block) = (self.operands.p(), blocking.block);
        let values_block = if values.is_empty() { 0 } else { block };
        let blocks = (Parts::new(out, block * p), Parts::new(values, values_block));
        for_each(blocks, blocking.parallel, &|t, (out, values)| {
            with_simd_scalar!(T as E => {
                let slopes = same::<_, Slopes<E>>(&[slopes])[0];
                let (x, g, words) = (same(x), same(g), same(words));
                let (first, add, last) = (t * block, !calls.first, calls.last);
                let w = same(&w[first * p..][..out.data.len()]);
                let (out, values) = (same_mut(out.data), same_mut(values.data));
                SubsetRows {
                    x, d, g, blocking, slopes, words, first, add, last, w, out, values,
                }.launch();
            });
        });
    }

    /// Velocities from the sums over subsets, one task per block of particles.
    fn finish_subsets(&self, sums: &[T], values: &mut [T], out: &mut [T]) {
        let (blocking, Operands { d, w, .. }) = (self.blocking, self.operands);
        let p = self.operands.p();
        let block = self.operands.particles().div_ceil(4 * threads());
        let block = block.next_multiple_of(vector_tile::<T>());
        let values_block = if values.is_empty() { 0 } else { block };
        let blocks = (Parts::new(out, block * p), Parts::new(values, values_block));
        for_each(blocks, blocking.parallel, &|t, (out, values)| {
            with_simd_scalar!(T as E => {
                let first = t * block;
                let (sums, w) = (same::<_, E>(sums), same(&w[first * p..]));
                let (out, values) = (same_mut(out.data), same_mut(values.data));
                FinishSubsets { d, sums, first, w, out, values }.launch();
            });
        });
    }

    /// Velocities with few inputs, one task per block of particles.
    fn few_inputs(
        &self,
        slopes: Slopes<T>,
        (g, words, features): (&[T], &[T], &[T]),
        calls: Calls,
        values: &mut [T],
        out: &mut [T],
    ) {
        let (per_word, add) = (self.blocking.signs_of_word(), !calls.first);
        self.blocks(calls.last, values, out, &|first, out| {
            with_simd_scalar!(T as E => {
                let slopes = same::<_, Slopes<E>>(&[slopes])[0];
                let (operands, blocking) = (self.operands.with_scalar::<E>(), self.blocking);
                let (g, words, features, out) = (same(g), same(words), same(features), same_mut(out));
                FewInputs {
                    operands, blocking, slopes, g, features, words, per_word, first, add, out,
                }.launch();
            });
        });
    }
}
