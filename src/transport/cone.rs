//! Distances between ridge neurons that do not depend on how a neuron distributes its scale over
//! its layers.

use nalgebra::DVector;

use super::{Coupling, TransportError, w2};
use crate::error::ParameterError;
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::scaled_norm;
use crate::real::{Real, epsilon};

/// Balanced neurons: each `(a, b)`, a in `R^k` for `outputs` k, becomes `(t a, b / t)` with
/// `t = (|b| / |a|)^(1/2)`.
///
/// If a or b is 0, so is the balanced neuron. The norms neither overflow nor underflow: the
/// balanced neuron of `(1e200, 1e-200)` is `(1, 1)`. For a 1-homogeneous activation the function
/// `a sigma(b.x)` does not change. The balanced neuron is the point of the cone over the sphere of
/// `R^p` with radius `r = (2 |a| |b|)^(1/2)` and direction `(a / |a|, b / |b|) / 2^(1/2)`. Its
/// squared radius is the mass that the 2-homogeneous projection of the measure puts on that
/// direction (L. Chizat and F. Bach, NeurIPS 2018).
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
/// [`TransportError::Parameter`] if `outputs` is not between 1 and `p - 1`;
/// [`TransportError::Measure`] if `mu` is invalid, or if a coordinate of a balanced neuron
/// overflows.
pub fn balanced<T: Real>(
    mu: &EmpiricalMeasure<T>,
    outputs: usize,
) -> Result<EmpiricalMeasure<T>, TransportError> {
    let holds = (1..mu.dim()).contains(&outputs);
    let requirement = "at least 1 and below the dimension of a particle";
    ParameterError::check(holds, "outputs", requirement, outputs as f64)?;
    mu.check()?;
    let mut points = mu.points().clone_owned();
    for mut w in points.column_iter_mut() {
        let (a, b) = w.as_mut_slice().split_at_mut(outputs);
        // |a| = s_a r_a and |b| = s_b r_b: both parts have norm (s_a s_b)^(1/2) (r_a r_b)^(1/2).
        let ((s_a, r_a), (s_b, r_b)) = (scaled_norm(a), scaled_norm(b));
        if s_a > T::zero() && s_b > T::zero() {
            let (size, t) = (geometric_mean(s_a, s_b), (r_b / r_a).sqrt());
            a.iter_mut().for_each(|a| *a = *a / s_a * (size * t));
            b.iter_mut().for_each(|b| *b = *b / s_b * (size / t));
        } else {
            w.fill(T::zero());
        }
    }
    let weights = DVector::from_column_slice(mu.weights());
    Ok(EmpiricalMeasure::weighted(points, weights)?)
}

/// `(s t)^(1/2)` for `s, t > 0`: the root of the product if that is well inside the range of `T`,
/// so that the mean of 8 and 2 is 4, and otherwise the product of the roots.
fn geometric_mean<T: Real>(s: T, t: T) -> T {
    let (product, eps) = (s * t, epsilon::<T>());
    let in_range = T::max_value().is_some_and(|max| product * (max * eps * eps) > T::one());
    if in_range && product.is_finite() {
        product.sqrt()
    } else {
        s.sqrt() * t.sqrt()
    }
}

/// The optimal 2-Wasserstein coupling of neurons `(a, b)`, a in `R^k`, for the metric of the cone
/// over the sphere,
///
/// `d^2 = r^2 + r'^2 - 2 r r' cos(angle)`, `r^2 = 2 |a| |b|`,
/// `2 cos(angle) = <a, a'> / (|a| |a'|) + <b, b'> / (|b| |b'|)`.
///
/// It is the coupling of the [`balanced`] neurons, in which this metric is Euclidean. Its cost is
/// zero for measures whose neurons differ only in the scales of their layers, and [`w2`] is not.
/// For balanced neurons both agree.
///
/// The squared distance is an upper bound on the squared Hellinger-Kantorovich
/// (Wasserstein-Fisher-Rao) distance between the projections to the sphere. The latter is the least
/// over all measures on the cone with these projections (M. Liero, A. Mielke and G. Savare, Invent.
/// Math. 211 (2018)).
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let neuron = |a, b| EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[a, b]));
/// let coupling = transport::cone_w2(&neuron(8.0, 2.0)?, &neuron(1.0, 16.0)?, 1)?;
/// assert_eq!(coupling.distance(), 0.0);
/// // Orthogonal neurons: r^2 + r'^2 - 2 r r' cos(angle) with cos(angle) = (-1 + 1) / 2.
/// let coupling = transport::cone_w2(&neuron(1.0, 1.0)?, &neuron(-1.0, 1.0)?, 1)?;
/// assert_eq!(coupling.squared_distance(), 4.0);
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
