//! The column of one particle in a `p x m` field.

use nalgebra::DMatrix;

use crate::numeric::vector::dot;
use crate::real::Real;

/// Column `i`.
pub(super) fn column<T: Real>(field: &DMatrix<T>, i: usize) -> &[T] {
    let p = field.nrows();
    &field.as_slice()[i * p..(i + 1) * p]
}

/// Column `i`, mutable.
pub(super) fn column_mut<T: Real>(field: &mut DMatrix<T>, i: usize) -> &mut [T] {
    let p = field.nrows();
    &mut field.as_mut_slice()[i * p..(i + 1) * p]
}

/// `y += a x`.
pub(super) fn axpy<T: Real>(a: T, x: &[T], y: &mut [T]) {
    y.iter_mut().zip(x).for_each(|(y, &x)| *y += a * x);
}

/// `|u - v|`.
pub(super) fn distance<T: Real>(u: &[T], v: &[T]) -> T {
    u.iter()
        .zip(v)
        .fold(T::zero(), |sum, (&u, &v)| sum + (u - v) * (u - v))
        .sqrt()
}

/// Removes from `n` its components along an orthonormal `basis`; returns `|n|` after that.
///
/// Gram-Schmidt, applied twice: after one pass rounding may leave a component as large as `n`.
pub(super) fn orthogonalise<'a, T: Real>(
    basis: impl Iterator<Item = &'a Vec<T>> + Clone,
    n: &mut [T],
) -> T {
    for _ in 0..2 {
        for e in basis.clone() {
            axpy(-dot(e, n), e, n);
        }
    }
    dot(n, n).sqrt()
}
