//! Removal of neurons without effect on the predictions.

use nalgebra::DVector;

use super::check_dim;
use crate::activation::Homogeneous;
use crate::feature::Ridge;
use crate::measure::EmpiricalMeasure;
use crate::numeric::scaled::Scaled;
use crate::real::{Real, epsilon, real};

/// The measure without the neurons that do not change the predictions up to rounding.
///
/// Removes the neurons whose weight, output weights or input weights are 0, and those with
/// `c_i |a_i| |b_i|^r <= (eps / m) sum_l c_l |a_l| |b_l|^r`, r the degree of the activation. The
/// sum of all that is removed is therefore below the rounding error of the terms of h. At least one
/// particle is kept, possibly of weight zero. The products are compared at any scale: `(1e-170,
/// 1e170)` has the share 1.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let points = DMatrix::from_column_slice(2, 3, &[1.0, 1.0, 3.0, 0.0, 0.0, 2.0]);
/// let mu = EmpiricalMeasure::uniform(points)?;
/// let nu = sparse::prune(&Ridge::new(Relu, 1), &mu);
/// assert_eq!((nu.len(), nu.particle(0), nu.weight(0)), (1, &[1.0, 1.0][..], 1.0 / 3.0));
/// # Ok::<(), wasserflow::prelude::MeasureError>(())
/// ```
///
/// A measure with a point or weight that is not valid is returned as it is.
///
/// # Panics
/// When the particles of `mu` do not have the dimension of `phi`.
///
/// Cost: `O(m p)`.
pub fn prune<A: Homogeneous, T: Real>(
    phi: &Ridge<A>,
    mu: &EmpiricalMeasure<T>,
) -> EmpiricalMeasure<T> {
    check_dim(phi.particle_dim(), mu.dim());
    if mu.check().is_err() {
        return mu.clone();
    }
    let (k, r) = (phi.output_dim(), phi.activation().degree());
    let share = |i: usize| {
        let (a, b) = mu.particle(i).split_at(k);
        let product = Scaled::norm(a).times(Scaled::norm(b).powi(r));
        Scaled::new(mu.weight(i)).times(product)
    };
    let shares: Vec<Scaled<T>> = (0..mu.len()).map(share).collect();
    // In units of the largest share up to a power of two, so that their sum is finite.
    let unit = Scaled::largest_exponent(shares.iter().copied());
    let shares: Vec<T> = shares.iter().map(|share| share.relative_to(unit)).collect();
    let total = shares.iter().fold(T::zero(), |sum, &share| sum + share);
    let least = total * epsilon::<T>() / real(mu.len() as f64);
    let kept: Vec<usize> = (0..mu.len()).filter(|&i| shares[i] > least).collect();
    select(mu, &kept, |i| mu.weight(i))
}

/// The particles `kept` with new weights; the first particle if none is kept. Returns `mu` if a
/// weight is not valid.
pub(super) fn select<T: Real>(
    mu: &EmpiricalMeasure<T>,
    kept: &[usize],
    weight: impl Fn(usize) -> T,
) -> EmpiricalMeasure<T> {
    let kept = if kept.is_empty() { &[0] } else { kept };
    let weights = DVector::from_iterator(kept.len(), kept.iter().map(|&i| weight(i)));
    EmpiricalMeasure::weighted(mu.points().select_columns(kept), weights)
        .unwrap_or_else(|_| mu.clone())
}
