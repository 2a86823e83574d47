//! Casts between a generic scalar and the concrete type that it stands for.

use std::any::TypeId;

use super::SimdScalar;

/// Evaluates `$body` with `$e` as `f32` or `f64`, whichever the scalar `$t` is.
macro_rules! with_simd_scalar {
    ($t:ty as $e:ident => $body:expr) => {
        if std::any::TypeId::of::<$t>() == std::any::TypeId::of::<f32>() {
            type $e = f32;
            $body
        } else {
            type $e = f64;
            $body
        }
    };
}
pub(crate) use with_simd_scalar;

/// Returns true if `T` has a SIMD implementation: `f32` or `f64`.
#[inline(always)]
pub(crate) fn is_supported<T: 'static>() -> bool {
    TypeId::of::<T>() == TypeId::of::<f32>() || TypeId::of::<T>() == TypeId::of::<f64>()
}

/// The slice with its type written as `E`.
///
/// # Panics
/// If `E` is not `T`.
#[inline(always)]
#[expect(
    unsafe_code,
    reason = "stable Rust has no safe cast of slices of equal types"
)]
pub(crate) fn same<T: 'static, E: 'static>(x: &[T]) -> &[E] {
    assert!(TypeId::of::<T>() == TypeId::of::<E>());
    // SAFETY: `T` and `E` are one type, by the assertion, so pointer, length and validity are those
    // of `x`. The result borrows `x`: both lifetimes are the same.
    unsafe { std::slice::from_raw_parts(x.as_ptr().cast(), x.len()) }
}

/// As [`same`], mutable.
#[inline(always)]
#[expect(unsafe_code, reason = "as in `same`")]
pub(crate) fn same_mut<T: 'static, E: 'static>(x: &mut [T]) -> &mut [E] {
    assert!(TypeId::of::<T>() == TypeId::of::<E>());
    // SAFETY: as in `same`; `x` is reborrowed uniquely for the lifetime of the result.
    unsafe { std::slice::from_raw_parts_mut(x.as_mut_ptr().cast(), x.len()) }
}

/// The bytes of the scalars, which may have any values.
#[inline(always)]
#[expect(unsafe_code, reason = "as in `same`")]
pub(crate) fn bytes_mut<E: SimdScalar>(x: &mut [E]) -> &mut [u8] {
    // SAFETY: `E` is `f32` or `f64`: it has no padding, all bit patterns are valid, and bytes have no
    // alignment. `x` is reborrowed uniquely for the lifetime of the result, of the same size.
    unsafe { std::slice::from_raw_parts_mut(x.as_mut_ptr().cast(), size_of_val(x)) }
}

/// As [`bytes_mut`], shared.
#[inline(always)]
#[expect(unsafe_code, reason = "as in `same`")]
pub(crate) fn bytes<E: SimdScalar>(x: &[E]) -> &[u8] {
    // SAFETY: as in `bytes_mut`.
    unsafe { std::slice::from_raw_parts(x.as_ptr().cast(), size_of_val(x)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_scalars() {
        let mut x = [0.0_f64, 1.5];
        bytes_mut(&mut x)[..8].copy_from_slice(&(-2.5_f64).to_ne_bytes());
        assert_eq!(x, [-2.5, 1.5]);
        assert_eq!(bytes(&x[1..]), 1.5_f64.to_ne_bytes());
        assert_eq!(bytes_mut(&mut [0.0_f32; 3]).len(), 12);
    }

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
