//! One scalar at a time, without fused multiply-adds, for all processors.

use super::Simd;

/// Scalar code; vectorised as far as the compiler does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portable;

impl Portable {
    #[inline(never)]
    pub(super) fn vectorize<O>(self, code: impl FnOnce() -> O) -> O {
        code()
    }
}

macro_rules! portable {
    ($scalar:ty) => {
        impl Simd<$scalar> for Portable {
            type Vector = [$scalar; 1];
            type Mask = bool;

            #[inline(always)]
            fn vectors(x: &[$scalar]) -> &[[$scalar; 1]] {
                x.as_chunks().0
            }
            #[inline(always)]
            fn vectors_mut(x: &mut [$scalar]) -> &mut [[$scalar; 1]] {
                x.as_chunks_mut().0
            }
            #[inline(always)]
            fn splat(self, x: $scalar) -> [$scalar; 1] {
                [x]
            }
            #[inline(always)]
            fn zero(self) -> [$scalar; 1] {
                [0.0]
            }
            #[inline(always)]
            fn add(self, [a]: [$scalar; 1], [b]: [$scalar; 1]) -> [$scalar; 1] {
                [a + b]
            }
            #[inline(always)]
            fn sub(self, [a]: [$scalar; 1], [b]: [$scalar; 1]) -> [$scalar; 1] {
                [a - b]
            }
            #[inline(always)]
            fn mul(self, [a]: [$scalar; 1], [b]: [$scalar; 1]) -> [$scalar; 1] {
                [a * b]
            }
            #[inline(always)]
            fn mul_add(
                self,
                [a]: [$scalar; 1],
                [b]: [$scalar; 1],
                [c]: [$scalar; 1],
            ) -> [$scalar; 1] {
                [a * b + c]
            }
            #[inline(always)]
            fn min(self, [a]: [$scalar; 1], [b]: [$scalar; 1]) -> [$scalar; 1] {
                [a.min(b)]
            }
            #[inline(always)]
            fn max(self, [a]: [$scalar; 1], [b]: [$scalar; 1]) -> [$scalar; 1] {
                [a.max(b)]
            }
            #[inline(always)]
            fn reduce_sum(self, [a]: [$scalar; 1]) -> $scalar {
                a
            }
            #[inline(always)]
            fn less(self, [a]: [$scalar; 1], [b]: [$scalar; 1]) -> bool {
                a < b
            }
            #[inline(always)]
            fn less_equal(self, [a]: [$scalar; 1], [b]: [$scalar; 1]) -> bool {
                a <= b
            }
            #[inline(always)]
            fn any(self, mask: bool) -> bool {
                mask
            }
            #[inline(always)]
            fn select(self, mask: bool, on: [$scalar; 1], off: [$scalar; 1]) -> [$scalar; 1] {
                if mask { on } else { off }
            }
            #[inline(always)]
            fn bit(self, index: usize) -> [$scalar; 1] {
                [<$scalar>::from_bits(1 << index)]
            }
            #[inline(always)]
            fn or(self, [a]: [$scalar; 1], [b]: [$scalar; 1]) -> [$scalar; 1] {
                [<$scalar>::from_bits(a.to_bits() | b.to_bits())]
            }
            #[inline(always)]
            fn has_bit(self, [word]: [$scalar; 1], [bit]: [$scalar; 1]) -> bool {
                word.to_bits() & bit.to_bits() == bit.to_bits()
            }
        }
    };
}
portable!(f32);
portable!(f64);
