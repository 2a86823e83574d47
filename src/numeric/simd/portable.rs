//! One scalar at a time, without fused multiply-adds, for all processors.

use super::Simd;

/// Scalar code; vectorised as far as the compiler does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portable;

macro_rules! portable {
    ($scalar:ty) => {
        impl Simd<$scalar> for Portable {
            type Vector = $scalar;
            type Mask = bool;

            #[inline(always)]
            fn vectors(x: &[$scalar]) -> &[$scalar] {
                x
            }
            #[inline(always)]
            fn vectors_mut(x: &mut [$scalar]) -> &mut [$scalar] {
                x
            }
            #[inline(always)]
            fn lanes(vector: &$scalar) -> &[$scalar] {
                std::slice::from_ref(vector)
            }
            #[inline(always)]
            fn splat(self, x: $scalar) -> $scalar {
                x
            }
            #[inline(always)]
            fn zero(self) -> $scalar {
                0.0
            }
            #[inline(always)]
            fn add(self, a: $scalar, b: $scalar) -> $scalar {
                a + b
            }
            #[inline(always)]
            fn sub(self, a: $scalar, b: $scalar) -> $scalar {
                a - b
            }
            #[inline(always)]
            fn mul(self, a: $scalar, b: $scalar) -> $scalar {
                a * b
            }
            #[inline(always)]
            fn mul_add(self, a: $scalar, b: $scalar, c: $scalar) -> $scalar {
                a * b + c
            }
            #[inline(always)]
            fn min(self, a: $scalar, b: $scalar) -> $scalar {
                a.min(b)
            }
            #[inline(always)]
            fn max(self, a: $scalar, b: $scalar) -> $scalar {
                a.max(b)
            }
            #[inline(always)]
            fn reduce_sum(self, a: $scalar) -> $scalar {
                a
            }
            #[inline(always)]
            fn less(self, a: $scalar, b: $scalar) -> bool {
                a < b
            }
            #[inline(always)]
            fn less_equal(self, a: $scalar, b: $scalar) -> bool {
                a <= b
            }
            #[inline(always)]
            fn any(self, mask: bool) -> bool {
                mask
            }
            #[inline(always)]
            fn select(self, mask: bool, on: $scalar, off: $scalar) -> $scalar {
                if mask { on } else { off }
            }
            #[inline(always)]
            fn bit(self, index: usize) -> $scalar {
                <$scalar>::from_bits(1 << index)
            }
            #[inline(always)]
            fn or(self, a: $scalar, b: $scalar) -> $scalar {
                <$scalar>::from_bits(a.to_bits() | b.to_bits())
            }
            #[inline(always)]
            fn has_bit(self, word: $scalar, bit: $scalar) -> bool {
                word.to_bits() & bit.to_bits() == bit.to_bits()
            }
        }
    };
}
portable!(f32);
portable!(f64);
