//! Backward pass of piecewise linear activations over all samples, from the signs of the
//! preactivations.

use super::backward::{LinearBackward, PackFeatures, block_width, packed_len};
use super::blocking::Blocking;
use super::passes::{Calls, Passes};
use super::signs::{has_particle_lanes, signs_per_scalar};
use super::tiled_backward::TiledBackward;
use crate::activation::{Activation, Slopes};
use crate::numeric::parallel::{Parts, for_each};
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
    /// The packed features of one part of the samples.
    pub(super) features: &'a mut [T],
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
        let (
            Blocking {
                padded,
                stored_rows,
                ..
            },
            d,
        ) = (self.blocking, self.operands.d);
        let run = self.blocking.run();
        for first in (0..padded).step_by(run) {
            let last = (first + run).min(padded);
            let (part, g) = (self.part(first, last), &g[first..last]);
            let SignScratch {
                sums,
                words,
                h,
                features,
            } = scratch;
            let words = if stored {
                &words[first * stored_rows..last * stored_rows]
            } else {
                let words = &mut words[..(last - first) * stored_rows];
                part.forward(sums, words, &mut h[..last - first]);
                words
            };
            let x = &x[first * d..(last * d).min(x.len())];
            let features = &mut features[..packed_len(d, last - first)];
            part.pack_features(slopes, x, g, features);
            let calls = Calls {
                first: first == 0,
                last: last == padded,
            };
            let add = !calls.first;
            part.blocks(calls.last, values, out, &|first, out| {
                with_simd_scalar!(T as E => {
                    let slopes = same::<_, Slopes<E>>(&[slopes])[0];
                    let (operands, blocking) = (part.operands.with_scalar::<E>(), part.blocking);
                    let (g, words, features) = (same(g), same(words), same(features));
                    let (per_word, out) = (signs_per_scalar::<E>(), same_mut(out));
                    let kernel = LinearBackward {
                        operands, blocking, slopes, g, features, words, per_word, first, add, out,
                    };
                    if has_particle_lanes(d) {
                        kernel.launch();
                    } else {
                        TiledBackward(kernel).launch();
                    }
                });
            });
        }
    }

    /// Packs the samples `x` for [`LinearBackward`], one task per block of features.
    fn pack_features(&self, slopes: Slopes<T>, x: &[T], g: &[T], features: &mut [T]) {
        let d = self.operands.d;
        let width = block_width(d);
        let blocks = Parts::new(features, width * g.len());
        for_each(blocks, self.blocking.parallel, &|t, block| {
            with_simd_scalar!(T as E => {
                let (x, g, out) = (same::<_, E>(x), same(g), same_mut(block.data));
                let (leaky, first) = (slopes.negative != T::zero(), t * width);
                PackFeatures { x, d, g, leaky, first, out }.launch();
            });
        });
    }
}
