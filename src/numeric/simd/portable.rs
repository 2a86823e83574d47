//! One scalar at a time, without fused multiply-adds, for all processors.

use super::{Simd, SimdScalar};

/// Scalar code; vectorised as far as the compiler does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portable;

/// Implements [`Simd`] for each scalar: a vector is one scalar, and a mask a `bool`.
macro_rules! portable {
    ($($scalar:ty),+; $operations:tt) => {
        $(portable!(@impl $scalar; $operations);)+
    };
    (@impl $scalar:ty; {
        $(fn $op:ident($($x:ident: $of:ty),*) -> $out:ty = $value:expr;)+
    }) => {
        impl Simd<$scalar> for Portable {
            type Vector = $scalar;
            type Mask = bool;
            const FUSED: bool = false;
            const GROUP: usize = 1;
            const MASKED: bool = false;

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
            $(
                #[inline(always)]
                fn $op(self, $($x: $of),*) -> $out {
                    $value
                }
            )+
        }
    };
}

/// [`Simd::lookup`] by selections.
#[inline(always)]
pub(super) fn select_entries<E: Copy, S: Simd<E>>(
    simd: S,
    table: &[E; 16],
    index: S::Vector,
) -> S::Vector {
    let mut entries = table.map(|entry| simd.splat(entry));
    for b in 0..4 {
        let set = simd.has_bit(index, simd.bit(b));
        for e in 0..16 >> (b + 1) {
            entries[e] = simd.select(set, entries[2 * e + 1], entries[2 * e]);
        }
    }
    entries[0]
}

/// [`Simd::lookup_pairs`] by loads.
#[inline(always)]
pub(super) fn load_pairs<E: SimdScalar, S: Simd<E>>(
    table: &[[E; 2]; 1024],
    index: S::Vector,
) -> [S::Vector; 2] {
    let mut pairs = [[E::zero(); 16]; 2];
    for (l, index) in S::lanes(&index).iter().enumerate() {
        [pairs[0][l], pairs[1][l]] = table[index.low_bits() % 1024];
    }
    [S::vectors(&pairs[0])[0], S::vectors(&pairs[1])[0]]
}

portable! {
    f32, f64; {
        fn splat(x: Self::Vector) -> Self::Vector = x;
        fn zero() -> Self::Vector = 0.0;
        fn add(a: Self::Vector, b: Self::Vector) -> Self::Vector = a + b;
        fn sub(a: Self::Vector, b: Self::Vector) -> Self::Vector = a - b;
        fn mul(a: Self::Vector, b: Self::Vector) -> Self::Vector = a * b;
        fn mul_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector = a * b + c;
        fn neg_mul_add(a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector =
            c - a * b;
        fn div(a: Self::Vector, b: Self::Vector) -> Self::Vector = a / b;
        fn sqrt(a: Self::Vector) -> Self::Vector = a.sqrt();
        fn neg(a: Self::Vector) -> Self::Vector = -a;
        fn abs(a: Self::Vector) -> Self::Vector = a.abs();
        fn copy_sign(a: Self::Vector, sign: Self::Vector) -> Self::Vector = a.copysign(sign);
        fn scale(a: Self::Vector, shifted: Self::Vector) -> Self::Vector = {
            let k = shifted.to_bits() << (<Self::Vector>::MANTISSA_DIGITS - 1);
            <Self::Vector>::from_bits(k.wrapping_add(a.to_bits()))
        };
        fn min(a: Self::Vector, b: Self::Vector) -> Self::Vector = if a < b { a } else { b };
        fn max(a: Self::Vector, b: Self::Vector) -> Self::Vector = if a > b { a } else { b };
        fn select_negative(sign: Self::Vector, on: Self::Vector, off: Self::Vector) -> Self::Vector =
            if sign.is_sign_negative() { on } else { off };
        fn reduce_sum(a: Self::Vector) -> Self::Vector = a;
        fn less(a: Self::Vector, b: Self::Vector) -> bool = a < b;
        fn less_equal(a: Self::Vector, b: Self::Vector) -> bool = a <= b;
        fn any(mask: bool) -> bool = mask;
        fn bits(mask: bool) -> u32 = u32::from(mask);
        fn select(mask: bool, on: Self::Vector, off: Self::Vector) -> Self::Vector =
            if mask { on } else { off };
        fn bit(index: usize) -> Self::Vector = <Self::Vector>::from_bits(1 << index);
        fn zip_low(a: Self::Vector, _b: Self::Vector) -> Self::Vector = a;
        fn zip_high(_a: Self::Vector, b: Self::Vector) -> Self::Vector = b;
        fn shift(word: Self::Vector) -> Self::Vector =
            <Self::Vector>::from_bits(word.to_bits() >> 4);
        fn or(a: Self::Vector, b: Self::Vector) -> Self::Vector =
            <Self::Vector>::from_bits(a.to_bits() | b.to_bits());
        fn has_bit(word: Self::Vector, bit: Self::Vector) -> bool =
            word.to_bits() & bit.to_bits() == bit.to_bits();
    }
}
