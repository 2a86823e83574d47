//! Neurons as points of a cone: their distance without the scale that their function does not see.

use nalgebra::{DMatrix, DVector};

use super::{Coupling, TransportError, w2};
use crate::error::ParameterError;
use crate::measure::EmpiricalMeasure;
use crate::real::Real;

/// Each neuron `(a, b)`, a in `R^k` for `outputs` k, balanced: `(t a, b / t)` with `t = (|b| / |a|)^(1/2)`, or 0 where a or b is 0.
///
/// With a 1-homogeneous activation `a sigma(b.x)` stays the same function. The balanced neuron is the point of the cone over the sphere of
/// `R^p` with radius `r = (2 |a| |b|)^(1/2)` and direction `(a / |a|, b / |b|) / 2^(1/2)`; its squared radius is the mass that the
/// measure projects to that direction (the 2-homogeneous projection of L. Chizat and F. Bach, NeurIPS 2018).
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[8.0, 2.0, -1.0, 0.0]))?;
/// let balanced = transport::balanced(&mu, 1)?;
/// assert_eq!(balanced.points().as_slice(), &[4.0, 4.0, 0.0, 0.0]); // 8 * 2 = 4 * 4
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`TransportError::Parameter`] when `outputs` is not between 1 and `p - 1`; [`TransportError::Measure`] when the measure is
/// no longer one.
pub fn balanced<T: Real>(
    mu: &EmpiricalMeasure<T>,
    outputs: usize,
) -> Result<EmpiricalMeasure<T>, TransportError> {
    if !(1..mu.dim()).contains(&outputs) {
        let requirement = "at least 1 and below the dimension of a particle";
        return Err(ParameterError {
            name: "outputs",
            requirement,
            value: outputs as f64,
        }
        .into());
    }
    let norm = |w: &[T]| DVector::from_column_slice(w).norm();
    let mut points = DMatrix::zeros(mu.dim(), mu.len());
    for i in 0..mu.len() {
        let (a, b) = mu.particle(i).split_at(outputs);
        let (size_a, size_b) = (norm(a).sqrt(), norm(b).sqrt());
        if size_a > T::zero() && size_b > T::zero() {
            let (s, t) = (size_b / size_a, size_a / size_b);
            let w = a.iter().map(|&a| a * s).chain(b.iter().map(|&b| b * t));
            points
                .column_mut(i)
                .iter_mut()
                .zip(w)
                .for_each(|(z, w)| *z = w);
        }
    }
    let weights = DVector::from_column_slice(mu.weights());
    Ok(EmpiricalMeasure::weighted(points, weights)?)
}

/// The 2-Wasserstein coupling of neurons `(a, b)`, a in `R^k`, on the cone: that of the [`balanced`] ones, with
///
/// `d^2 = r^2 + r'^2 - 2 r r' cos(angle)`, `r^2 = 2 |a| |b|`, `2 cos(angle) = <a, a'> / (|a| |a'|) + <b, b'> / (|b| |b'|)`.
///
/// It is zero for measures whose neurons are the same functions, with whatever scales, where [`w2`] is not; for balanced neurons
/// both agree. The cone over a sphere is flat, so this metric is Euclidean and the coupling exact. Its square bounds from above the
/// squared Hellinger-Kantorovich (Wasserstein-Fisher-Rao) distance between the projections to the sphere, which is the least over all
/// measures on the cone with these projections (M. Liero, A. Mielke and G. Savare, Invent. Math. 211 (2018)).
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let neuron = |a: f64, b: f64| EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[a, b]));
/// assert_eq!(transport::cone_w2(&neuron(8.0, 2.0)?, &neuron(1.0, 16.0)?, 1)?.distance(), 0.0);
/// // neurons without a common direction: r^2 + r'^2 - 2 r r' cos(angle) with cos(angle) = (-1 + 1) / 2
/// assert_eq!(transport::cone_w2(&neuron(1.0, 1.0)?, &neuron(-1.0, 1.0)?, 1)?.squared_distance(), 4.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`balanced`] and of [`w2`].
pub fn cone_w2<T: Real>(
    mu: &EmpiricalMeasure<T>,
    nu: &EmpiricalMeasure<T>,
    outputs: usize,
) -> Result<Coupling<T>, TransportError> {
    if mu.dim() != nu.dim() {
        return Err(TransportError::Dimension {
            mu: mu.dim(),
            nu: nu.dim(),
        });
    }
    w2(&balanced(mu, outputs)?, &balanced(nu, outputs)?)
}
