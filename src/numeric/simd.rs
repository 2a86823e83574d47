//! Lanes: the vector operations of the kernels, in `f32` and `f64`, on the widest instructions that the machine has.

use std::any::TypeId;

use pulp::{Arch, Simd, WithSimd};

use crate::numeric::packed::line;
use crate::real::Real;

/// A kernel, compiled once for each set of instructions: `R` particles by one line of `V` vectors fill its registers.
pub(crate) trait Kernel {
    type Scalar: Lane;
    type Output;
    fn run<S: Simd, const R: usize, const V: usize>(self, s: S) -> Self::Output;
}

/// Carries a kernel with its tile shape into the function that has the instructions enabled.
struct Tiled<K, S, const R: usize, const V: usize>(K, S);

impl<K: Kernel, S: Simd, const R: usize, const V: usize> WithSimd for Tiled<K, S, R, V> {
    type Output = K::Output;

    #[inline(always)]
    fn with_simd<Q: Simd>(self, _: Q) -> K::Output {
        self.0.run::<S, R, V>(self.1)
    }
}

/// A kernel of one scalar, compiled in this crate once and not in each that brings an activation.
pub(crate) trait Launch {
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

/// Runs a kernel with the widest instructions that the machine has.
#[inline]
pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    match Arch::new() {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        Arch::V4(s) => Simd::vectorize(s, Tiled::<_, _, 12, 1>(kernel, s)),
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        Arch::V3(s) => Simd::vectorize(s, Tiled::<_, _, 6, 2>(kernel, s)),
        #[cfg(target_arch = "aarch64")]
        Arch::Neon(s) => Simd::vectorize(s, Tiled::<_, _, 6, 4>(kernel, s)),
        _ => scalar(kernel),
    }
}

/// One lane at a time, as far as the compiler does not join them: a line is `W` "vectors".
#[inline(never)]
fn scalar<K: Kernel>(kernel: K) -> K::Output {
    match line::<K::Scalar>() {
        8 => kernel.run::<_, 2, 8>(pulp::Scalar::new()),
        _ => kernel.run::<_, 2, 16>(pulp::Scalar::new()),
    }
}

/// `R`, the particles of a tile on this machine.
pub(crate) fn rows() -> usize {
    struct Rows;
    impl Kernel for Rows {
        type Scalar = f32;
        type Output = usize;
        fn run<S: Simd, const R: usize, const V: usize>(self, _: S) -> usize {
            R
        }
    }
    dispatch(Rows)
}

/// The signs kept in one scalar: those of whole tiles.
pub(crate) fn signs<T>() -> usize {
    8 * size_of::<T>() / rows() * rows()
}

/// A scalar with lanes.
pub(crate) trait Lane: Real {
    /// A vector of it.
    type Vector<S: Simd>: Copy + Send + Sync;

    /// The slice as vectors; a remainder is left out.
    fn view<S: Simd>(x: &[Self]) -> &[Self::Vector<S>];
    fn view_mut<S: Simd>(x: &mut [Self]) -> &mut [Self::Vector<S>];
    fn all<S: Simd>(s: S, x: Self) -> Self::Vector<S>;
    /// `a b + c`, rounded once where the machine can.
    fn fma<S: Simd>(
        s: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;
    fn plus<S: Simd>(s: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    fn times<S: Simd>(s: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// `u_+`.
    fn positive<S: Simd>(s: S, u: Self::Vector<S>) -> Self::Vector<S>;
    /// `u > 0 ? on : off`.
    fn choose<S: Simd>(
        s: S,
        u: Self::Vector<S>,
        on: Self::Vector<S>,
        off: Self::Vector<S>,
    ) -> Self::Vector<S>;
    /// The sum over the lanes.
    fn total<S: Simd>(s: S, a: Self::Vector<S>) -> Self;
    /// Bit `bit` of the word, set in every lane, to be used by `mark` and `pick`.
    fn bit<S: Simd>(s: S, bit: usize) -> Self::Vector<S>;
    /// Sets the bit in the lanes of `word` where `u > 0`.
    fn mark<S: Simd>(
        s: S,
        word: Self::Vector<S>,
        bit: Self::Vector<S>,
        u: Self::Vector<S>,
    ) -> Self::Vector<S>;
    /// `on` in the lanes of `word` where the bit is set, `off` elsewhere.
    fn pick<S: Simd>(
        s: S,
        word: Self::Vector<S>,
        bit: Self::Vector<S>,
        on: Self::Vector<S>,
        off: Self::Vector<S>,
    ) -> Self::Vector<S>;
}

macro_rules! lane {
    ($t:ty, $bits:ty, $vector:ident, $view:ident, $view_mut:ident, $splat:ident, $mul_add:ident,
     $add:ident, $mul:ident, $max:ident, $greater:ident, $sum:ident, $to_bits:ident, $from_bits:ident,
     $splat_bits:ident, $or:ident, $and:ident, $equal:ident, $select_bits:ident, $select:ident) => {
        impl Lane for $t {
            type Vector<S: Simd> = S::$vector;

            #[inline(always)]
            fn view<S: Simd>(x: &[Self]) -> &[S::$vector] {
                S::$view(x).0
            }
            #[inline(always)]
            fn view_mut<S: Simd>(x: &mut [Self]) -> &mut [S::$vector] {
                S::$view_mut(x).0
            }
            #[inline(always)]
            fn all<S: Simd>(s: S, x: Self) -> S::$vector {
                s.$splat(x)
            }
            #[inline(always)]
            fn fma<S: Simd>(s: S, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
                s.$mul_add(a, b, c)
            }
            #[inline(always)]
            fn plus<S: Simd>(s: S, a: S::$vector, b: S::$vector) -> S::$vector {
                s.$add(a, b)
            }
            #[inline(always)]
            fn times<S: Simd>(s: S, a: S::$vector, b: S::$vector) -> S::$vector {
                s.$mul(a, b)
            }
            #[inline(always)]
            fn positive<S: Simd>(s: S, u: S::$vector) -> S::$vector {
                s.$max(u, s.$splat(0.0))
            }
            #[inline(always)]
            fn choose<S: Simd>(s: S, u: S::$vector, on: S::$vector, off: S::$vector) -> S::$vector {
                s.$select(s.$greater(u, s.$splat(0.0)), on, off)
            }
            #[inline(always)]
            fn total<S: Simd>(s: S, a: S::$vector) -> Self {
                s.$sum(a)
            }
            #[inline(always)]
            fn bit<S: Simd>(s: S, bit: usize) -> S::$vector {
                s.$from_bits(s.$splat_bits(1 << bit))
            }
            #[inline(always)]
            fn mark<S: Simd>(s: S, word: S::$vector, bit: S::$vector, u: S::$vector) -> S::$vector {
                let on = s.$select_bits(
                    s.$greater(u, s.$splat(0.0)),
                    s.$to_bits(bit),
                    s.$splat_bits(0),
                );
                s.$from_bits(s.$or(s.$to_bits(word), on))
            }
            #[inline(always)]
            fn pick<S: Simd>(
                s: S,
                word: S::$vector,
                bit: S::$vector,
                on: S::$vector,
                off: S::$vector,
            ) -> S::$vector {
                let bit = s.$to_bits(bit);
                s.$select(s.$equal(s.$and(s.$to_bits(word), bit), bit), on, off)
            }
        }
    };
}
lane!(
    f32,
    u32,
    f32s,
    as_simd_f32s,
    as_mut_simd_f32s,
    splat_f32s,
    mul_add_e_f32s,
    add_f32s,
    mul_f32s,
    max_f32s,
    greater_than_f32s,
    reduce_sum_f32s,
    transmute_u32s_f32s,
    transmute_f32s_u32s,
    splat_u32s,
    or_u32s,
    and_u32s,
    equal_u32s,
    select_u32s,
    select_f32s
);
lane!(
    f64,
    u64,
    f64s,
    as_simd_f64s,
    as_mut_simd_f64s,
    splat_f64s,
    mul_add_e_f64s,
    add_f64s,
    mul_f64s,
    max_f64s,
    greater_than_f64s,
    reduce_sum_f64s,
    transmute_u64s_f64s,
    transmute_f64s_u64s,
    splat_u64s,
    or_u64s,
    and_u64s,
    equal_u64s,
    select_u64s,
    select_f64s
);

/// Runs `$body` with `$e` as `f32` or `f64`, whichever the scalar `$t` is.
macro_rules! with_lanes {
    ($t:ty as $e:ident => $body:expr) => {
        if simd::is::<$t, f32>() {
            type $e = f32;
            $body
        } else {
            type $e = f64;
            $body
        }
    };
}
pub(crate) use with_lanes;

/// Whether the types are the same one.
#[inline(always)]
pub(crate) fn is<T: 'static, E: 'static>() -> bool {
    TypeId::of::<T>() == TypeId::of::<E>()
}

/// The slice as one of `E`, where `E` is `T` itself.
#[inline(always)]
pub(crate) fn same<T: 'static, E: 'static>(x: &[T]) -> &[E] {
    assert!(TypeId::of::<T>() == TypeId::of::<E>());
    // SAFETY: the types are the same one, so this is the identity on the slice and its lifetime.
    #[expect(
        unsafe_code,
        reason = "the fast path of a generic scalar: stable Rust has no safe cast of slices by type"
    )]
    unsafe {
        std::slice::from_raw_parts(x.as_ptr().cast(), x.len())
    }
}

/// As [`same`], to be written.
#[inline(always)]
pub(crate) fn same_mut<T: 'static, E: 'static>(x: &mut [T]) -> &mut [E] {
    assert!(TypeId::of::<T>() == TypeId::of::<E>());
    // SAFETY: as in `same`; the borrow is unique and passed on.
    #[expect(unsafe_code, reason = "as in `same`")]
    unsafe {
        std::slice::from_raw_parts_mut(x.as_mut_ptr().cast(), x.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_type_is_the_same_slice() {
        let mut x = [1.0_f32, 2.0, 3.0];
        assert_eq!(same::<f32, f32>(&x).as_ptr(), x.as_ptr());
        same_mut::<f32, f32>(&mut x)[1] = 5.0;
        assert_eq!(x, [1.0, 5.0, 3.0]);
    }

    #[test]
    #[should_panic(expected = "TypeId")]
    fn another_type_is_refused() {
        let _ = same::<f32, u32>(&[1.0_f32]);
    }
}
