//! Removal of neurons without effect on the predictions.

use nalgebra::DVector;

use crate::activation::Homogeneous;
use crate::feature::Ridge;
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::dot;
use crate::real::{Real, epsilon, real};

/// The measure without the neurons that do not change the predictions up to rounding.
///
/// Removes the neurons whose weight, output weights or input weights are 0, and those with
/// `c_i |a_i| |b_i|^r <= (eps / m) sum_l c_l |a_l| |b_l|^r`, r the degree of the activation. The
/// sum of all that is removed is therefore below the rounding error of h. At least one particle is
/// kept, possibly of weight zero.
///
/// The norms are square roots of sums of squares: entries beyond `1e+-154` (f64) or `1e+-19` (f32)
/// over- or underflow, and a neuron that matters may then be removed.
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
/// # Panics
/// When the particles of `mu` do not have the dimension of `phi`.
///
/// Cost: `O(m p)`.
pub fn prune<A: Homogeneous, T: Real>(
    phi: &Ridge<A>,
    mu: &EmpiricalMeasure<T>,
) -> EmpiricalMeasure<T> {
    assert_eq!(
        phi.particle_dim(),
        mu.dim(),
        "the particles must have the dimension of the feature map"
    );
    let (k, r) = (phi.output_dim(), phi.activation().degree() as i32);
    let share = |i: usize| {
        let (a, b) = mu.particle(i).split_at(k);
        mu.weight(i) * dot(a, a).sqrt() * dot(b, b).sqrt().powi(r)
    };
    let total = (0..mu.len()).fold(T::zero(), |sum, i| sum + share(i));
    let least = total * epsilon::<T>() / real(mu.len() as f64);
    let kept: Vec<usize> = (0..mu.len()).filter(|&i| share(i) > least).collect();
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
