//! Functions of symmetric matrices, by their eigenvalues.

use nalgebra::DMatrix;

use crate::real::{Real, real};

/// `|B|` of a symmetric matrix, and its inverse with eigenvalues below the fraction `least` of their
/// mean raised to it; 0 and 1 if B is 0 or not finite.
pub(crate) fn absolute_value<T: Real>(b: &DMatrix<T>, least: T) -> (DMatrix<T>, DMatrix<T>) {
    let p = b.nrows();
    let (mut absolute, mut inverse) = (DMatrix::zeros(p, p), DMatrix::zeros(p, p));
    if b.iter().all(|b| b.is_finite()) {
        let eigen = ((b + b.transpose()) * real::<T>(0.5)).symmetric_eigen();
        let sizes = eigen.eigenvalues.abs();
        let least = sizes.mean() * least;
        if least > T::zero() {
            for (&size, v) in sizes.iter().zip(eigen.eigenvectors.column_iter()) {
                absolute.ger(size, &v, &v, T::one());
                inverse.ger(T::one() / size.max(least), &v, &v, T::one());
            }
            return (absolute, inverse);
        }
    }
    (absolute, DMatrix::identity(p, p))
}
