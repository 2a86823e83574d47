//! Insertion of a particle along a descent direction.

use nalgebra::DVector;

use crate::energy::Energy;
use crate::error::MeasureError;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, real};

/// Doublings or halvings of r: `2^64` exceeds the ratio of scales of any reasonable problem.
const MAX_DOUBLINGS: usize = 64;

/// The decrease of F, in units of `eps F`, above which it is not rounding error.
const ROUNDING_UNITS: f64 = 8.0;

/// The measure with one more particle `r w`, the scale `r > 0` chosen so that F decreases.
///
/// Returns `None` if no r of the search decreases F by more than its rounding error. The new
/// particle has the mean weight of the others, or 1 if that is 0. Use the
/// [`escape`](crate::optimality::Certificate::escape) of a certificate as `w`.
///
/// The search doubles r, or halves it if `r = 1` does not decrease F. The last step is the vertex
/// of a parabola in `r^2`, which is the exact minimum for a 2-homogeneous map, the square loss and
/// weight decay.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// let x = DMatrix::from_row_slice(1, 2, &[-1.0, 1.0]);
/// let risk = EmpiricalRisk::new(Square, x, DVector::from_vec(vec![0.0, 3.0]))?;
/// let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?;
/// let zero = EmpiricalMeasure::uniform(DMatrix::zeros(2, 1))?;
///
/// let certificate = optimality::certify(&mut energy, &zero);
/// let mu = sparse::insert(&mut energy, &zero, certificate.escape().unwrap()).unwrap();
/// assert_eq!((mu.len(), mu.weight(1)), (2, 1.0));
/// assert!(energy.value(&mu) < 1e-12); // the network 3 (x)_+
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
/// When `w` does not have the dimension of the particles.
///
/// Cost: some 10 evaluations of F.
pub fn insert<T: Real, E: Energy<T> + ?Sized>(
    energy: &mut E,
    mu: &EmpiricalMeasure<T>,
    w: &[T],
) -> Option<EmpiricalMeasure<T>> {
    let (p, m) = mu.points().shape();
    let mean = mu.mass() / real(m as f64);
    let weight = if mean > T::zero() { mean } else { T::one() };
    let mut next = append(mu, w, weight).ok()?;

    let start = energy.value(mu);
    let mut value = |r: T| {
        for (next, &w) in next.points_mut()[m * p..].iter_mut().zip(w) {
            *next = r * w;
        }
        energy.value(&next)
    };
    let (two, half) = (real::<T>(2.0), real::<T>(0.5));
    let (mut r, mut best) = (T::one(), value(T::one()));
    let factor = if best < start { two } else { half };
    for _ in 0..MAX_DOUBLINGS {
        let trial = value(r * factor);
        // Shrinks until F is below its start, then continues as long as F decreases.
        if best < start && (trial >= best || !trial.is_finite()) {
            break;
        }
        (r, best) = (r * factor, trial);
    }
    let (below, above) = (value(r * half), value(r * two));
    let mut candidates = vec![(below, r * half), (above, r * two)];
    if let Some(vertex) = parabola_vertex(below, best, above) {
        let r = r * vertex.sqrt();
        candidates.push((value(r), r));
    }
    for (candidate, at) in candidates {
        if candidate < best {
            (best, r) = (candidate, at);
        }
    }
    value(r);
    let rounding = real::<T>(ROUNDING_UNITS) * epsilon() * start.abs();
    (start - best > rounding).then_some(next)
}

/// The positive minimiser of the parabola through the values at 1/4, 1 and 4, if it exists.
fn parabola_vertex<T: Real>(quarter: T, one: T, four: T) -> Option<T> {
    // Slopes at 5/8 and 5/2, 15/8 apart; `curvature` is half of the second derivative.
    let (left, right) = ((one - quarter) / real(0.75), (four - one) / real(3.0));
    let curvature = (right - left) / real(3.75);
    let vertex = real::<T>(0.625) - left / (curvature * real(2.0));
    (curvature > T::zero() && vertex > T::zero()).then_some(vertex)
}

/// The measure with one more particle `w` of the given weight.
///
/// # Panics
/// When `w` does not have the dimension of the particles.
pub(super) fn append<T: Real>(
    mu: &EmpiricalMeasure<T>,
    w: &[T],
    weight: T,
) -> Result<EmpiricalMeasure<T>, MeasureError> {
    assert_eq!(
        w.len(),
        mu.dim(),
        "the new particle must have the dimension of the measure"
    );
    let m = mu.len();
    let mut points = mu.points().clone().insert_column(m, T::zero());
    points.column_mut(m).copy_from_slice(w);
    let weights = mu.weights().iter().copied().chain([weight]);
    EmpiricalMeasure::weighted(points, DVector::from_iterator(m + 1, weights))
}
