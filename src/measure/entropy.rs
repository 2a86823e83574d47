//! The differential entropy of particles, by distances to nearest neighbours.

use std::f64::consts::PI;

use super::EmpiricalMeasure;
use crate::error::{MeasureError, ParameterError};
use crate::numeric::parallel::{Parts, for_each};
use crate::numeric::vector::norm;
use crate::real::{Real, real, to_f64};

/// The Euler-Mascheroni constant, `-psi(1)`.
const EULER: f64 = 0.577_215_664_901_532_9;

/// The entropy `-int rho log rho` of the density from which the particles were drawn, estimated
/// from the distance `eps_i` of each particle to its k-th nearest neighbour (Kozachenko and
/// Leonenko):
///
/// `psi(m) - psi(k) + log c_p + (p/m) sum_i log eps_i`,
///
/// with the digamma function psi and the volume `c_p` of the unit ball of `R^p`. The free energy of
/// mean-field Langevin dynamics is `F(mu) - tau entropy`. Weights have to be equal, of any sum: the
/// estimate is that of `mu / M`.
///
/// The particles have to be independent draws, or nearly so. On a regular grid the estimate is
/// biased: on equidistant points of a circle and k = 1 it exceeds the entropy of the uniform
/// density by `0.577 + log 2`. If a particle has k copies, `eps_i = 0` and the estimate is
/// `-inf`. For smooth densities the standard deviation is of the order of `m^(-1/2)`.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let two = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 2, &[0.0, 0.5_f64]))?;
/// assert!((measure::knn_entropy(&two, 1)? - 1.0).abs() < 1e-15);
/// # Ok::<(), MeasureError>(())
/// ```
///
/// # Errors
/// [`MeasureError::Parameter`] unless `1 <= k < m`, or if the weights differ or are 0; those of
/// [`check`](EmpiricalMeasure::check).
///
/// # Cost
/// `m^2` distances, on all threads.
///
/// Source: L. F. Kozachenko and N. N. Leonenko, Sample estimate of the entropy of a random vector,
/// 1987; A. Kraskov, H. Stoegbauer and P. Grassberger, Estimating mutual information, 2004 (k > 1).
pub fn knn_entropy<T: Real>(mu: &EmpiricalMeasure<T>, k: usize) -> Result<T, MeasureError> {
    let (p, m) = mu.points().shape();
    let requirement = "at least 1 and below the number of particles";
    ParameterError::check((1..m).contains(&k), "k", requirement, k as f64)?;
    mu.check()?;
    let other = mu.weights().iter().find(|&&c| c != mu.weight(0));
    let (requirement, value) = (
        "equal to that of particle 0",
        other.map_or(0.0, |&c| to_f64(c)),
    );
    let name = "weight of a particle";
    ParameterError::check(other.is_none(), name, requirement, value)?;
    ParameterError::check(mu.weight(0) > T::zero(), name, "positive", 0.0)?;

    let mut logarithms = vec![0.0; m];
    let parts = Parts::new(&mut logarithms, 1);
    for_each(parts, m * m >= 1 << 14, &|i, part: Parts<'_, f64>| {
        let w = mu.particle(i);
        let mut difference = vec![T::zero(); p];
        let mut distances: Vec<f64> = Vec::with_capacity(m);
        for j in (0..m).filter(|&j| j != i) {
            for ((z, &w), &v) in difference.iter_mut().zip(w).zip(mu.particle(j)) {
                *z = w - v;
            }
            distances.push(to_f64(norm(&difference)));
        }
        let (_, eps, _) = distances.select_nth_unstable_by(k - 1, f64::total_cmp);
        part.data[0] = eps.ln();
    });
    if logarithms.contains(&f64::NEG_INFINITY) {
        return Ok(real(f64::NEG_INFINITY)); // also if another distance overflows
    }
    let mean = logarithms.iter().sum::<f64>() / m as f64;
    Ok(real(digamma(m) - digamma(k) + ball(p) + p as f64 * mean))
}

/// `psi(n) = -gamma + sum_{j < n} 1/j`.
fn digamma(n: usize) -> f64 {
    (1..n).rev().map(|j| 1.0 / j as f64).sum::<f64>() - EULER
}

/// The logarithm of the volume of the unit ball of `R^p`: `c_p = c_{p-2} 2 pi / p`.
fn ball(p: usize) -> f64 {
    let (first, start) = if p.is_multiple_of(2) {
        (0.0, 2)
    } else {
        (2.0_f64.ln(), 3)
    };
    let factors = (start..=p).step_by(2).map(|d| (2.0 * PI / d as f64).ln());
    first + factors.sum::<f64>()
}
