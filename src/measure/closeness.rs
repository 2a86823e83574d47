//! Approximate equality of measures, particle by particle in storage order.

use approx::{AbsDiffEq, RelativeEq};

use super::EmpiricalMeasure;
use crate::real::Real;

/// Approximate equality: the same shape, and coordinates and weights equal up to `epsilon`.
///
/// Particles are compared in storage order. For a comparison that is invariant under permutations,
/// use the Wasserstein distance of [`transport`](crate::transport).
///
/// ```
/// use approx::assert_abs_diff_eq;
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_element(2, 3, 1.0))?;
/// let mut nu = mu.clone();
/// nu.points_mut()[0] += 1e-9;
/// assert_abs_diff_eq!(mu, nu, epsilon = 1e-8);
/// # Ok::<(), wasserflow::prelude::MeasureError>(())
/// ```
impl<T: Real> AbsDiffEq for EmpiricalMeasure<T> {
    type Epsilon = T;

    fn default_epsilon() -> T {
        <T as AbsDiffEq>::default_epsilon()
    }

    fn abs_diff_eq(&self, other: &Self, epsilon: T) -> bool {
        self.entries_equal(other, |u, v| u.abs_diff_eq(v, epsilon))
    }
}

/// Approximate equality: the same shape, and coordinates and weights equal up to `epsilon` or up to
/// the relative error `max_relative`.
impl<T: Real> RelativeEq for EmpiricalMeasure<T> {
    fn default_max_relative() -> T {
        <T as RelativeEq>::default_max_relative()
    }

    fn relative_eq(&self, other: &Self, epsilon: T, max_relative: T) -> bool {
        self.entries_equal(other, |u, v| u.relative_eq(v, epsilon, max_relative))
    }
}

impl<T: Real> EmpiricalMeasure<T> {
    /// Returns true if the shapes agree and `equal` holds for all pairs of entries.
    fn entries_equal(&self, other: &Self, equal: impl Fn(&T, &T) -> bool) -> bool {
        let points = self.points.iter().zip(&other.points);
        let weights = self.weights.iter().zip(&other.weights);
        self.points.shape() == other.points.shape()
            && points.chain(weights).all(|(u, v)| equal(u, v))
    }
}
