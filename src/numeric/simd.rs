//! Vector operations on `f32` and `f64`, dispatched at run time to the widest instruction set.
//!
//! | level | processors | vector | tile `R x V` |
//! |---|---|---|---|
//! | `Avx512` | x86-64 with AVX-512 F, BW, CD, DQ and VL | 64 bytes | 12 x 1 |
//! | `Avx2` | x86-64 with AVX2, FMA, BMI1, BMI2, F16C and LZCNT | 32 bytes | 6 x 2 |
//! | `Neon` | AArch64 | 16 bytes | 6 x 4 |
//! | `Portable` | all others | one scalar | 2 x 16 (`f32`), 2 x 8 (`f64`) |
//!
//! A tile is what a microkernel keeps in registers: `R` rows of `V` vectors, where `V` vectors are
//! one line of 64 bytes. A value of a level is constructed only after its instructions have been
//! detected, so all operations are safe to call. Every operation has a fixed order of evaluation.
//! Results differ between levels only in the fused multiply-adds (`Portable` rounds twice) and in
//! the grouping of sums.

use std::fmt::Debug;

use crate::real::Real;

mod best;
#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
mod level;
mod multiversion;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod same_type;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use multiversion::{Multiversion, multiversion};
use portable::{load_pairs, select_entries};
pub(crate) use same_type::{bytes, bytes_mut, is_supported, same, same_mut, with_simd_scalar};

/// Vectors of `E` on one instruction set. A value proves that the processor supports it.
pub(crate) trait Simd<E>: Copy {
    /// True if [`mul_add`](Self::mul_add) is one instruction.
    const FUSED: bool;
    /// True if masks are registers of bits, and [`lookup`](Self::lookup) is one instruction.
    const MASKED: bool;

    /// Vectors that long chains of operations process at a time; 1 if a vector is one scalar.
    const GROUP: usize;
    /// Lanes in memory order, aligned as one `E`.
    type Vector: Copy + Debug;
    /// A truth value for each lane.
    type Mask: Copy;

    /// The slice as vectors, without the remainder.
    fn vectors(x: &[E]) -> &[Self::Vector];
    /// As [`vectors`](Self::vectors), mutable.
    fn vectors_mut(x: &mut [E]) -> &mut [Self::Vector];

    /// The lanes of the vector.
    fn lanes(vector: &Self::Vector) -> &[E];

    /// `x` in all lanes.
    fn splat(self, x: E) -> Self::Vector;
    /// The vector of zeros.
    fn zero(self) -> Self::Vector;
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a b + c`, rounded once if [`FUSED`](Self::FUSED).
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// `c - a b`, rounded as [`mul_add`](Self::mul_add).
    fn neg_mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// `a^(1/2)`
    fn sqrt(self, a: Self::Vector) -> Self::Vector;
    /// `-a`
    fn neg(self, a: Self::Vector) -> Self::Vector;
    /// `|a|`
    fn abs(self, a: Self::Vector) -> Self::Vector;
    /// `|a|` with the sign of `sign`.
    fn copy_sign(self, a: Self::Vector, sign: Self::Vector) -> Self::Vector;
    /// `2^k a`, a normal number or 0, for `1.5 2^52 + k` in `f64` and `1.5 2^23 + k` in `f32`, and
    /// normal a.
    fn scale(self, a: Self::Vector, shifted: Self::Vector) -> Self::Vector;
    /// The smaller lanes; `b` if it is NaN.
    fn min(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The larger lanes; `b` if it is NaN.
    fn max(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The lanes of `on` where `sign` has its sign bit, else those of `off`.
    fn select_negative(
        self,
        sign: Self::Vector,
        on: Self::Vector,
        off: Self::Vector,
    ) -> Self::Vector;
    /// The sum of the lanes: the upper half is added to the lower one until one lane is left.
    fn reduce_sum(self, a: Self::Vector) -> E;

    /// `a < b`
    fn less(self, a: Self::Vector, b: Self::Vector) -> Self::Mask;
    /// `a <= b`
    fn less_equal(self, a: Self::Vector, b: Self::Vector) -> Self::Mask;
    /// True if any lane of the mask is true.
    fn any(self, mask: Self::Mask) -> bool;
    /// The mask as bits, the first lane in the lowest one.
    fn bits(self, mask: Self::Mask) -> u32;
    /// `mask ? on : off`
    fn select(self, mask: Self::Mask, on: Self::Vector, off: Self::Vector) -> Self::Vector;

    /// The vector whose lanes have the bit pattern `1 << index`.
    fn bit(self, index: usize) -> Self::Vector;
    /// The union of the bit patterns.
    fn or(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// True in the lanes of `word` that have the bit `bit`.
    fn has_bit(self, word: Self::Vector, bit: Self::Vector) -> Self::Mask;

    /// The first half of `a_0, b_0, a_1, b_1, ..`
    fn zip_low(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// The second half of `a_0, b_0, a_1, b_1, ..`
    fn zip_high(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// The bit patterns shifted by four bits to the right.
    fn shift(self, word: Self::Vector) -> Self::Vector;

    /// The entries of the table whose indices are the lowest four bits of the lanes.
    #[inline(always)]
    fn lookup(self, table: &[E; 16], index: Self::Vector) -> Self::Vector
    where
        E: Copy,
    {
        select_entries(self, table, index)
    }

    /// The pairs of the table whose indices are the lowest ten bits of the lanes.
    #[inline(always)]
    fn lookup_pairs(self, table: &[[E; 2]; 1024], index: Self::Vector) -> [Self::Vector; 2]
    where
        E: SimdScalar,
    {
        load_pairs::<E, Self>(table, index)
    }

    /// Requests the cache line of `x`; a hint without effect on results.
    #[inline(always)]
    fn prefetch(self, x: &E) {
        let _ = x;
    }

    /// `max(u, 0)`
    #[inline(always)]
    fn positive_part(self, u: Self::Vector) -> Self::Vector {
        self.max(u, self.zero())
    }

    /// `u > 0 ? on : off`
    #[inline(always)]
    fn select_positive(self, u: Self::Vector, on: Self::Vector, off: Self::Vector) -> Self::Vector {
        self.select(self.less(self.zero(), u), on, off)
    }
}

/// A kernel that is compiled once for each instruction set, for tiles of `R` rows by `V` vectors.
pub(crate) trait SimdKernel {
    type Scalar: SimdScalar;
    type Output;

    fn run<S: Simd<Self::Scalar>, const R: usize, const V: usize>(self, simd: S) -> Self::Output;
}

/// `f32` or `f64`.
pub(crate) trait SimdScalar: Real {
    /// Runs the kernel on the best instruction set of this processor.
    fn dispatch<K: SimdKernel<Scalar = Self>>(kernel: K) -> K::Output;

    /// The bit pattern, as far as `usize` has bits.
    fn low_bits(self) -> usize;
}

/// Runs the kernel on the best instruction set of this processor.
#[inline]
pub(crate) fn dispatch<K: SimdKernel>(kernel: K) -> K::Output {
    K::Scalar::dispatch(kernel)
}

/// `R`, the rows of a tile on this processor.
pub(crate) fn rows() -> usize {
    dispatch(Rows)
}

/// The kernel that returns `R`.
struct Rows;

impl SimdKernel for Rows {
    type Scalar = f32;
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd<f32>, const R: usize, const V: usize>(self, _: S) -> usize {
        R
    }
}

/// A kernel for one scalar type, compiled in this crate and not again for every activation.
pub(crate) trait Launch {
    /// Runs the kernel on the best instruction set of this processor.
    fn launch(self);
}

macro_rules! launch {
    ($($kernel:ident),*) => {$(
        impl crate::numeric::simd::Launch for $kernel<'_, f32> {
            fn launch(self) {
                crate::numeric::simd::dispatch(self);
            }
        }
        impl crate::numeric::simd::Launch for $kernel<'_, f64> {
            fn launch(self) {
                crate::numeric::simd::dispatch(self);
            }
        }
    )*};
}
pub(crate) use launch;

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "aarch64")]
    use super::neon::Neon;
    use super::portable::Portable;
    #[cfg(target_arch = "x86_64")]
    use super::x86::{Avx2, Avx512};
    use super::*;

    /// Compares every operation with scalar arithmetic, lane by lane.
    macro_rules! check {
        ($name:ident, $scalar:ident, $bits:ident) => {
            fn $name<S: Simd<$scalar>>(simd: S) {
                let (max, inf) = (<$scalar>::MAX, <$scalar>::INFINITY);
                let list = [
                    0.0, -0.0, 1.0, -1.0, 0.1, -2.5, max, -max, 3e-30, inf, 7.0, 1.1, -inf, 1e30,
                ];
                let cycle = |from: usize, step: usize| -> Vec<$scalar> {
                    let entry = |l| list[(from + step * l) % list.len()];
                    (0..16).map(entry).collect()
                };
                let if_else = |is, on, off| if is { on } else { off };
                for from in 0..list.len() {
                    let [x, y, z] = [cycle(from, 1), cycle(from / 2, 3), cycle(3, 5)];
                    let [a, b, c] = [&x, &y, &z].map(|x| S::vectors(x)[0]);
                    let lanes = S::lanes(&a).len();
                    let (zero, one, bit) = (simd.zero(), simd.splat(1.0), simd.bit(from));
                    let (less, less_equal) = (simd.less(a, b), simd.less_equal(a, b));
                    let has_bit = simd.has_bit(a, bit);
                    // Adding 0 removes the sign of a zero, which depends on the level.
                    let unsigned = |v| simd.add(v, zero);
                    type Expected<'a> = &'a dyn Fn(usize) -> $scalar;
                    let zipped = |x: &[$scalar], y: &[$scalar], l: usize| [x, y][l % 2][l / 2];
                    let table = std::array::from_fn(|e| cycle(e, 0)[0]);
                    let operations: [(&str, S::Vector, Expected<'_>); 25] = [
                        ("zero", zero, &|_| 0.0),
                        ("splat", simd.splat(x[0]), &|_| x[0]),
                        ("add", simd.add(a, b), &|l| x[l] + y[l]),
                        ("sub", simd.sub(a, b), &|l| x[l] - y[l]),
                        ("mul", simd.mul(a, b), &|l| x[l] * y[l]),
                        ("mul_add", simd.mul_add(a, b, c), &|l| {
                            if_else(S::FUSED, x[l].mul_add(y[l], z[l]), x[l] * y[l] + z[l])
                        }),
                        ("div", simd.div(a, b), &|l| x[l] / y[l]),
                        ("sqrt", simd.sqrt(a), &|l| x[l].sqrt()),
                        ("neg", simd.neg(a), &|l| -x[l]),
                        ("abs", simd.abs(a), &|l| x[l].abs()),
                        ("copy_sign", simd.copy_sign(a, b), &|l| x[l].copysign(y[l])),
                        ("min", unsigned(simd.min(a, b)), &|l| x[l].min(y[l]) + 0.0),
                        ("max", unsigned(simd.max(a, b)), &|l| x[l].max(y[l]) + 0.0),
                        ("positive_part", unsigned(simd.positive_part(a)), &|l| {
                            x[l].max(0.0) + 0.0
                        }),
                        ("select_positive", simd.select_positive(a, b, c), &|l| {
                            if_else(x[l] > 0.0, y[l], z[l])
                        }),
                        ("select_negative", simd.select_negative(a, b, c), &|l| {
                            if_else(x[l].is_sign_negative(), y[l], z[l])
                        }),
                        ("less", simd.select(less, b, c), &|l| {
                            if_else(x[l] < y[l], y[l], z[l])
                        }),
                        ("less_equal", simd.select(less_equal, b, c), &|l| {
                            if_else(x[l] <= y[l], y[l], z[l])
                        }),
                        ("bit", bit, &|_| <$scalar>::from_bits(1 << from)),
                        ("or", simd.or(a, bit), &|l| {
                            <$scalar>::from_bits(x[l].to_bits() | 1 << from)
                        }),
                        ("zip_low", simd.zip_low(a, b), &|l| zipped(&x, &y, l)),
                        ("zip_high", simd.zip_high(a, b), &|l| {
                            zipped(&x, &y, lanes + l)
                        }),
                        ("shift", simd.shift(a), &|l| {
                            <$scalar>::from_bits(x[l].to_bits() >> 4)
                        }),
                        ("lookup", simd.lookup(&table, a), &|l| {
                            table[(x[l].to_bits() & 15) as usize]
                        }),
                        ("has_bit", simd.select(has_bit, one, zero), &|l| {
                            (x[l].to_bits() >> from & 1) as _
                        }),
                    ];
                    for (name, v, expected) in operations {
                        for (l, &v) in S::lanes(&v).iter().enumerate() {
                            let (e, [x, y, z]) = (expected(l), [x[l], y[l], z[l]]);
                            let equal = v.to_bits() == e.to_bits() || v.is_nan() && e.is_nan();
                            assert!(equal, "{name}({x}, {y}, {z}) = {v}, not {e}");
                        }
                    }
                    assert_eq!(simd.any(less), (0..lanes).any(|l| x[l] < y[l]));
                    let bits = (0..lanes).fold(0, |bits, l| bits | u32::from(x[l] < y[l]) << l);
                    assert_eq!(simd.bits(less), bits);
                    assert_eq!(simd.any(less_equal), (0..lanes).any(|l| x[l] <= y[l]));
                }
                let pairs = std::array::from_fn(|k| [k as $scalar, -0.5 * k as $scalar]);
                for k in 0..1024 {
                    let entry = |l| {
                        let bits = (0.1 as $scalar).to_bits();
                        <$scalar>::from_bits(bits + (k + 131 * l) as $bits)
                    };
                    let index: Vec<$scalar> = (0..16).map(entry).collect();
                    let found = simd.lookup_pairs(&pairs, S::vectors(&index)[0]);
                    for (l, index) in index[..S::lanes(&found[0]).len()].iter().enumerate() {
                        let found = [S::lanes(&found[0])[l], S::lanes(&found[1])[l]];
                        assert_eq!(found, pairs[(index.to_bits() % 1024) as usize]);
                    }
                }
                let terms: Vec<$scalar> = (0..16).map(|l| 0.1 + 0.7 * l as $scalar).collect();
                let a = S::vectors(&terms)[0];
                let mut halves = S::lanes(&a).to_vec();
                while halves.len() > 1 {
                    let upper = halves.split_off(halves.len() / 2);
                    halves = halves.iter().zip(upper).map(|(a, b)| a + b).collect();
                }
                assert_eq!(simd.reduce_sum(a), halves[0]);
                let shifted = simd.splat(1.5 / <$scalar>::EPSILON - 5.0);
                let power = simd.scale(simd.splat(1.25), shifted);
                assert_eq!(S::lanes(&power)[0], 1.25 / 32.0);
                let power = simd.neg_mul_add(power, simd.splat(32.0), simd.splat(3.0));
                assert_eq!(S::lanes(&power)[0], 1.75);
            }
        };
    }
    check!(check_f32, f32, u32);
    check!(check_f64, f64, u64);

    #[test]
    fn every_level_computes_as_scalar_arithmetic() {
        fn check<S: Simd<f32> + Simd<f64>>(level: Option<S>) {
            if let Some(simd) = level {
                check_f32(simd);
                check_f64(simd);
            }
        }
        check(Some(Portable));
        #[cfg(target_arch = "x86_64")]
        check(Avx2::detect());
        #[cfg(target_arch = "x86_64")]
        check(Avx512::detect());
        #[cfg(target_arch = "aarch64")]
        check(Neon::detect());
    }
}
