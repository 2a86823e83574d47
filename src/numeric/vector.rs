//! Vectors as slices: inner product, overflow-safe Euclidean norm, columns of a matrix.

use nalgebra::DMatrix;

use crate::real::Real;

/// The inner product `<u, v>`, summed in order.
#[inline(always)] // compiled for the instruction set of the caller
pub(crate) fn dot<T: Real>(u: &[T], v: &[T]) -> T {
    let mut sum = T::zero();
    for (&u, &v) in u.iter().zip(v) {
        sum += u * v;
    }
    sum
}

/// The sum of all entries, as 16 partial sums.
#[inline(always)] // compiled for the instruction set of the caller
pub(crate) fn long_sum<T: Real>(x: &[T]) -> T {
    let (x, rest) = x.as_chunks::<16>();
    let mut sums = [T::zero(); 16];
    for x in x {
        add(x, &mut sums);
    }
    sums.iter().chain(rest).fold(T::zero(), |sum, &x| sum + x)
}

/// True if all entries are finite.
#[inline]
pub(crate) fn all_finite<T: Real>(v: &[T]) -> bool {
    // Without branches inside a block, so that it is vectorised.
    let is_finite = |block: &[T]| block.iter().fold(true, |all, v| all & v.is_finite());
    v.chunks(1024).all(is_finite)
}

/// The Euclidean norm `|v|`; the squares neither overflow nor underflow.
///
/// Sums the squares directly if their sum is well inside the range of `T`, and otherwise scales by
/// the largest entry. NaN if an entry is NaN.
#[inline]
pub(crate) fn norm<T: Real>(v: &[T]) -> T {
    let squares = dot(v, v);
    // Above 1 / (max eps^2) the squares that underflow are far below the rounding error of their
    // sum.
    let eps = T::default_epsilon();
    let in_range = T::max_value().is_some_and(|max| squares * (max * eps * eps) > T::one());
    if in_range && squares.is_finite() {
        return squares.sqrt();
    }
    if squares.partial_cmp(&squares).is_none() {
        return squares; // `max` below would discard a NaN
    }
    let (largest, ratio) = scaled_norm(v);
    if largest.is_finite() {
        largest * ratio
    } else {
        largest
    }
}

/// The Euclidean norm of a finite vector as a product, `|v| = s r`, where s is the largest entry
/// in magnitude and `1 <= r <= n^(1/2)`; `(0, 0)` for the zero vector.
///
/// Unlike their product, both factors are representable and accurate for all finite vectors.
pub(crate) fn scaled_norm<T: Real>(v: &[T]) -> (T, T) {
    let largest = v.iter().fold(T::zero(), |max, v| max.max(v.abs()));
    if largest == T::zero() {
        return (largest, largest);
    }
    let square = |v: T| (v / largest) * (v / largest);
    let sum = v.iter().fold(T::zero(), |sum, &v| sum + square(v));
    (largest, sum.sqrt())
}

/// `y += x`.
#[inline]
pub(crate) fn add<T: Real>(x: &[T], y: &mut [T]) {
    y.iter_mut().zip(x).for_each(|(y, &x)| *y += x);
}

/// `y += a x`.
#[inline]
pub(crate) fn axpy<T: Real>(a: T, x: &[T], y: &mut [T]) {
    y.iter_mut().zip(x).for_each(|(y, &x)| *y += a * x);
}

/// Column `i` of a field.
pub(crate) fn column<T>(field: &DMatrix<T>, i: usize) -> &[T] {
    let p = field.nrows();
    &field.as_slice()[i * p..(i + 1) * p]
}

/// Column `i` of a field, mutable.
pub(crate) fn column_mut<T>(field: &mut DMatrix<T>, i: usize) -> &mut [T] {
    let p = field.nrows();
    &mut field.as_mut_slice()[i * p..(i + 1) * p]
}

/// The columns of a column-major matrix with `rows` rows.
#[inline]
pub(crate) fn columns<T>(matrix: &[T], rows: usize) -> impl Iterator<Item = &[T]> {
    matrix.chunks_exact(rows)
}

/// The mutable columns of a column-major matrix with `rows` rows.
#[inline]
pub(crate) fn columns_mut<T>(matrix: &mut [T], rows: usize) -> impl Iterator<Item = &mut [T]> {
    matrix.chunks_exact_mut(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_at_all_scales() {
        for exponent in -1074..1021 {
            let s = f64::powi(2.0, exponent / 2) * f64::powi(2.0, exponent - exponent / 2);
            assert_eq!(
                norm(&[3.0 * s, 0.0, -4.0 * s]),
                5.0 * s,
                "f64, 2^{exponent}"
            );
        }
        for exponent in -149..125 {
            let s = f32::powi(2.0, exponent / 2) * f32::powi(2.0, exponent - exponent / 2);
            assert_eq!(
                norm(&[3.0 * s, 0.0, -4.0 * s]),
                5.0 * s,
                "f32, 2^{exponent}"
            );
        }
        assert_eq!(norm::<f64>(&[]), 0.0);
        assert_eq!(norm(&[0.0, f64::NEG_INFINITY]), f64::INFINITY);
        assert!(norm(&[0.0, f64::NAN]).is_nan() && norm(&[f32::NAN, f32::INFINITY]).is_nan());
        assert_eq!(norm(&[1e200, 1e-200]), 1e200);
        assert_eq!(scaled_norm(&[-5e-324, 5e-324]), (5e-324, 2.0_f64.sqrt()));
        assert_eq!(scaled_norm(&[f64::MAX; 4]), (f64::MAX, 2.0));
        assert_eq!(scaled_norm(&[0.0]), (0.0, 0.0));
    }
}
