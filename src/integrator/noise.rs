//! Standard normal numbers keyed on the step, the particle and the coordinate.

use crate::error::ParameterError;
use crate::numeric::parallel::{Parts, for_each};
use crate::real::{Real, real};
use crate::risk::SampleRng;

/// The stream of the noise, apart from the samples that a risk draws by the same seed.
const STREAM: u64 = 0x6c61_6e67_6576_696e;
/// Particles of one task.
const PARTICLES: usize = 64;
/// The number of coordinates from which threads are used, about 50 microseconds of work.
const PARALLEL: usize = 2048;

/// The noise of all particles, of which this process holds `offset, offset + stride, ..`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Noise {
    pub(super) seed: u64,
    pub(super) offset: usize,
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_stride"))]
    pub(super) stride: usize,
}

#[cfg(feature = "serde")]
fn decode_stride<'de, D: serde::Deserializer<'de>>(decoder: D) -> Result<usize, D::Error> {
    crate::encoding::checked(decoder, |&stride| check_stride(stride))
}

/// A stride of 0 would give all particles of the process the same noise.
fn check_stride(stride: usize) -> Result<(), ParameterError> {
    ParameterError::check(stride > 0, "stride of the particles", "at least 1", 0.0)
}

impl Noise {
    pub(super) fn new(seed: u64) -> Self {
        let (offset, stride) = (0, 1);
        Self {
            seed,
            offset,
            stride,
        }
    }

    /// Checks that the particles have different indices.
    pub(super) fn check(&self) -> Result<(), ParameterError> {
        check_stride(self.stride)
    }

    /// `x_i += s xi_i` with independent `xi_i ~ N(0, I)`, for particles in `R^p`.
    ///
    /// The numbers are drawn in `f64` and are a function of the seed, the step and the index of the
    /// particle among all.
    pub(super) fn add<T: Real>(&self, step: usize, s: T, p: usize, x: &mut [T]) {
        if s == T::zero() {
            return;
        }
        let parallel = x.len() >= PARALLEL;
        let parts = Parts::new(x, p * PARTICLES);
        for_each(parts, parallel, &|task, part: Parts<'_, T>| {
            for (l, x) in part.data.chunks_exact_mut(p).enumerate() {
                let local = task * PARTICLES + l;
                let index = self.offset.wrapping_add(local.wrapping_mul(self.stride));
                let mut rng = SampleRng::new(self.seed, STREAM, step, index);
                for x in x {
                    *x += s * real(rng.normal());
                }
            }
        });
    }
}
