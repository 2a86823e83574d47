//! The 2-Wasserstein distance of Gaussian laws.

use nalgebra::{DMatrix, DVector};

use super::TransportError;
use crate::error::ParameterError;
use crate::real::{Real, epsilon, real, to_f64};

/// The squared 2-Wasserstein distance of `N(a, A)` and `N(b, B)` (Bures):
/// `|a - b|^2 + tr A + tr B - 2 tr (A^{1/2} B A^{1/2})^{1/2}`.
///
/// The covariances are symmetric positive semidefinite matrices, singular ones included. They are
/// symmetric up to rounding, of which the mean with the transpose is used. A negative result, which
/// is due to rounding, is replaced by 0; the absolute error is of the order of the square root of
/// machine epsilon times the traces at singular covariances, and otherwise of machine epsilon.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::transport::gaussian_w2_squared;
///
/// let (a, b) = (DMatrix::from_row_slice(2, 2, &[2.0, 1.0, 1.0, 2.0]), DVector::zeros(2));
/// let c = DMatrix::from_diagonal(&DVector::from_vec(vec![1.0, 3.0]));
/// let distance: f64 = gaussian_w2_squared((&b, &a), (&b, &c))?;
/// assert!((distance - 0.516685226).abs() < 1e-9);
/// # Ok::<(), wasserflow::transport::TransportError>(())
/// ```
///
/// # Errors
/// [`TransportError::Parameter`] if the sizes do not agree or are 0, if an entry is not finite, or
/// if a covariance is not symmetric or not positive semidefinite up to rounding.
///
/// # Cost
/// Two symmetric eigenvalue problems: `O(d^3)`.
///
/// Source: I. Olkin and F. Pukelsheim, The distance between two random vectors with given dispersion
/// matrices, 1982.
pub fn gaussian_w2_squared<T: Real>(
    (a, cov_a): (&DVector<T>, &DMatrix<T>),
    (b, cov_b): (&DVector<T>, &DMatrix<T>),
) -> Result<T, TransportError> {
    let d = a.len();
    for (name, len) in [
        ("length of the second mean", b.len()),
        ("rows of the first covariance", cov_a.nrows()),
        ("columns of the first covariance", cov_a.ncols()),
        ("rows of the second covariance", cov_b.nrows()),
        ("columns of the second covariance", cov_b.ncols()),
    ] {
        let requirement = "the length of the first mean, at least 1";
        ParameterError::check(len == d && d > 0, name, requirement, len as f64)?;
    }
    for mean in [a, b] {
        let invalid = mean.iter().find(|x| !x.is_finite());
        let value = invalid.map_or(0.0, |&x| to_f64(x));
        ParameterError::check(invalid.is_none(), "mean", "finite", value)?;
    }
    // In units of the largest entry: products of covariances then neither overflow nor underflow.
    let largest = cov_a.amax().max(cov_b.amax());
    let scale = if largest > T::zero() && largest.is_finite() {
        largest
    } else {
        T::one()
    };
    let (first, second) = (Spectrum::new(cov_a, scale)?, Spectrum::new(cov_b, scale)?);
    let root = first.root();
    let product = symmetrised(&(&root * &second.matrix * &root));
    let cross = product.symmetric_eigenvalues();
    let cross = cross
        .iter()
        .fold(T::zero(), |sum, &x| sum + x.max(T::zero()).sqrt());
    let traces = first.matrix.trace() + second.matrix.trace();
    let distance = (a - b).norm_squared() + scale * (traces - cross - cross);
    Ok(distance.max(T::zero()))
}

fn symmetrised<T: Real>(matrix: &DMatrix<T>) -> DMatrix<T> {
    (matrix + matrix.transpose()) * real::<T>(0.5)
}

/// A covariance divided by a scale, with its eigenvalues, which are not negative, and eigenvectors.
struct Spectrum<T: Real> {
    matrix: DMatrix<T>,
    values: DVector<T>,
    vectors: DMatrix<T>,
}

impl<T: Real> Spectrum<T> {
    fn new(covariance: &DMatrix<T>, scale: T) -> Result<Self, ParameterError> {
        let invalid = covariance.iter().find(|x| !x.is_finite());
        let value = invalid.map_or(0.0, |&x| to_f64(x));
        ParameterError::check(invalid.is_none(), "entry of a covariance", "finite", value)?;
        let scaled = covariance / scale;
        let size = real::<T>(64.0 * covariance.nrows() as f64);
        let tolerance = size * epsilon::<T>() * scaled.amax();
        let difference = (&scaled - scaled.transpose()).amax();
        let holds = difference <= tolerance;
        let name = "difference of a covariance and its transpose";
        let value = to_f64(difference * scale);
        ParameterError::check(holds, name, "0 up to rounding", value)?;
        let matrix = symmetrised(&scaled);
        let eigen = matrix.clone().symmetric_eigen();
        let lowest = eigen.eigenvalues.min();
        let (holds, value) = (lowest >= -tolerance, to_f64(lowest * scale));
        let name = "least eigenvalue of a covariance";
        ParameterError::check(holds, name, ">= 0 up to rounding", value)?;
        Ok(Self {
            matrix,
            values: eigen.eigenvalues.map(|x| x.max(T::zero())),
            vectors: eigen.eigenvectors,
        })
    }

    /// The symmetric square root.
    fn root(&self) -> DMatrix<T> {
        let roots = DMatrix::from_diagonal(&self.values.map(|x| x.sqrt()));
        &self.vectors * roots * self.vectors.transpose()
    }
}
