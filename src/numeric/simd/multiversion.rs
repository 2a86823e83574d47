//! Scalar code, compiled for every instruction set.

use super::{Simd, SimdKernel, dispatch};

/// Scalar code that is compiled once for each instruction set, so that its loops are vectorised.
pub(crate) trait Multiversion {
    type Output;

    /// `FUSED` is true if the instruction set has fused multiply-adds.
    fn run<const FUSED: bool>(self) -> Self::Output;
}

/// Runs scalar code, compiled for the best instruction set of this processor.
#[inline]
pub(crate) fn multiversion<F: Multiversion>(code: F) -> F::Output {
    dispatch(Versions(code))
}

/// The kernel that runs scalar code.
struct Versions<F>(F);

impl<F: Multiversion> SimdKernel for Versions<F> {
    type Scalar = f32;
    type Output = F::Output;

    #[inline(always)]
    fn run<S: Simd<f32>, const R: usize, const V: usize>(self, _: S) -> F::Output {
        if S::FUSED {
            self.0.run::<true>()
        } else {
            self.0.run::<false>()
        }
    }
}
