//! Scores of predictions `h` of targets `y`, both `k x n` and finite.

use nalgebra::DMatrix;

use crate::error::ParameterError;
use crate::numeric::vector::scaled_norm;
use crate::real::{Real, to_f64};

/// `(1/(k n)) sum |h - y|^2`.
pub(super) fn mean_squared_error<T: Real>(h: &DMatrix<T>, y: &DMatrix<T>) -> f64 {
    let errors: Vec<f64> = h
        .iter()
        .zip(y)
        .map(|(&h, &y)| to_f64(h) - to_f64(y))
        .collect();
    let mean = errors.iter().map(|e| e * e).sum::<f64>() / errors.len() as f64;
    if mean.is_finite() {
        return mean;
    }
    // The sum overflows, but the mean may not.
    let (largest, ratio) = scaled_norm(&errors);
    let root_mean_square = largest * (ratio / (errors.len() as f64).sqrt());
    if largest.is_finite() {
        root_mean_square * root_mean_square
    } else {
        largest
    }
}

/// `1 - sum_j (h_j - y_j)^2 / sum_j (y_j - mean y)^2`, the mean over the outputs.
pub(super) fn r_squared<T: Real>(h: &DMatrix<T>, y: &DMatrix<T>) -> Result<f64, ParameterError> {
    let (k, n) = y.shape();
    let mut total = 0.0;
    for l in 0..k {
        let row = |matrix: &DMatrix<T>| -> Vec<f64> {
            matrix.row(l).iter().map(|&x| to_f64(x)).collect()
        };
        let (h, mut y) = (row(h), row(y));
        let requirement = "different for at least two samples";
        let varies = y.iter().any(|&target| target != y[0]);
        ParameterError::check(varies, "target", requirement, y[0])?;
        // Numbers of size 1 at most: differences and their sums neither overflow nor underflow.
        let size = h.iter().chain(&y).fold(0.0, |max: f64, x| max.max(x.abs()));
        let errors: Vec<f64> = h.iter().zip(&y).map(|(h, y)| h / size - y / size).collect();
        y.iter_mut().for_each(|y| *y /= size);
        let mean = y.iter().sum::<f64>() / n as f64;
        y.iter_mut().for_each(|y| *y -= mean);
        let ((e, e_ratio), (t, t_ratio)) = (scaled_norm(&errors), scaled_norm(&y));
        let quotient = e / t * (e_ratio / t_ratio);
        total += 1.0 - quotient * quotient;
    }
    Ok(total / k as f64)
}
