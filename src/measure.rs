//! The empirical measure `mu = sum_i c_i delta(w_i)`: particles and their weights.

use nalgebra::{DMatrix, DVector};

use crate::error::MeasureError;
use crate::real::{Real, real, to_f64};

mod closeness;
pub mod init;

/// An empirical measure `mu = sum_i c_i delta(w_i)`: `m >= 1` particles `w_i` in `R^p` with weights `c_i >= 0`.
///
/// Columns are points: particle i is column i of a `p x m` matrix. The total mass `sum_i c_i` is any number `>= 0`;
/// a particle of weight 0 is a probe, which moves with the flow and does not act on it.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[3.0, 4.0, 0.0, 0.0]))?;
/// assert_eq!((mu.dim(), mu.len(), mu.mass()), (2, 2, 1.0));
/// assert_eq!(mu.particle(0), &[3.0, 4.0]);
/// assert_eq!(mu.second_moment(), 12.5); // (25 + 0) / 2
/// # Ok::<(), wasserflow::prelude::MeasureError>(())
/// ```
#[derive(Debug, PartialEq)]
pub struct EmpiricalMeasure<T> {
    points: DMatrix<T>,
    weights: DVector<T>,
}

impl<T: Clone> Clone for EmpiricalMeasure<T> {
    fn clone(&self) -> Self {
        Self {
            points: self.points.clone(),
            weights: self.weights.clone(),
        }
    }

    /// Copies into the buffers at hand: no allocation where the shapes agree.
    fn clone_from(&mut self, source: &Self) {
        if self.points.shape() == source.points.shape() {
            self.points
                .as_mut_slice()
                .clone_from_slice(source.points.as_slice());
            self.weights
                .as_mut_slice()
                .clone_from_slice(source.weights.as_slice());
        } else {
            *self = source.clone();
        }
    }
}

impl<T: Real> EmpiricalMeasure<T> {
    /// The uniform measure `(1/m) sum_i delta(w_i)` on the columns of `points` (`p x m`).
    ///
    /// # Errors
    /// [`MeasureError`] when there is no particle or coordinate, or one is not finite.
    pub fn uniform(points: DMatrix<T>) -> Result<Self, MeasureError> {
        let m = points.ncols();
        Self::weighted(
            points,
            DVector::from_element(m, T::one() / real(m.max(1) as f64)),
        )
    }

    /// The measure `sum_i c_i delta(w_i)` on the columns of `points` (`p x m`) with `weights` `c_i >= 0` of any sum.
    ///
    /// ```
    /// use wasserflow::nalgebra::{DMatrix, DVector};
    /// use wasserflow::prelude::*;
    ///
    /// let bad = EmpiricalMeasure::weighted(DMatrix::zeros(2, 2), DVector::from_vec(vec![1.0, -1.0]));
    /// assert_eq!(bad, Err(MeasureError::Weight { particle: 1, value: -1.0 }));
    /// ```
    ///
    /// # Errors
    /// [`MeasureError`] when there is no particle or coordinate, one is not finite, or a weight is missing, negative or not finite.
    pub fn weighted(points: DMatrix<T>, weights: DVector<T>) -> Result<Self, MeasureError> {
        let (dim, len) = points.shape();
        if dim == 0 || len == 0 {
            return Err(MeasureError::Empty { dim, len });
        }
        if weights.len() != len {
            return Err(MeasureError::Weights {
                expected: len,
                found: weights.len(),
            });
        }
        let mu = Self { points, weights };
        mu.check()?;
        Ok(mu)
    }

    /// Checks what the flow may have broken: every coordinate finite, every weight finite and `>= 0`.
    ///
    /// # Errors
    /// [`MeasureError::Point`] or [`MeasureError::Weight`], naming the first offender.
    pub fn check(&self) -> Result<(), MeasureError> {
        if let Some(index) = self.points.iter().position(|w| !w.is_finite()) {
            let (particle, coordinate) = (index / self.dim(), index % self.dim());
            return Err(MeasureError::Point {
                particle,
                coordinate,
                value: to_f64(self.points[index]),
            });
        }
        match self
            .weights
            .iter()
            .position(|&c| !(c.is_finite() && c >= T::zero()))
        {
            Some(particle) => Err(MeasureError::Weight {
                particle,
                value: to_f64(self.weights[particle]),
            }),
            None => Ok(()),
        }
    }

    /// `p`, the number of coordinates of a particle.
    #[inline]
    pub fn dim(&self) -> usize {
        self.points.nrows()
    }

    /// `m`, the number of particles.
    #[inline]
    #[expect(
        clippy::len_without_is_empty,
        reason = "a measure has at least one particle"
    )]
    pub fn len(&self) -> usize {
        self.points.ncols()
    }

    /// The total mass `sum_i c_i`.
    pub fn mass(&self) -> T {
        self.weights.sum()
    }

    /// The particle `w_i` in `R^p`.
    ///
    /// # Panics
    /// When `i >= m`, as indexing does.
    #[inline]
    pub fn particle(&self, i: usize) -> &[T] {
        let p = self.dim();
        &self.points.as_slice()[i * p..(i + 1) * p]
    }

    /// The weight `c_i`.
    ///
    /// # Panics
    /// When `i >= m`, as indexing does.
    #[inline]
    pub fn weight(&self, i: usize) -> T {
        self.weights[i]
    }

    /// The weights `c_1, .., c_m`.
    #[inline]
    pub fn weights(&self) -> &[T] {
        self.weights.as_slice()
    }

    /// The particles, `p x m`, one a column.
    #[inline]
    pub fn points(&self) -> &DMatrix<T> {
        &self.points
    }

    /// The particles alone, `p x m`.
    #[inline]
    pub fn into_points(self) -> DMatrix<T> {
        self.points
    }

    /// The second moment `int |w|^2 dmu = sum_i c_i |w_i|^2`.
    pub fn second_moment(&self) -> T {
        let mut sum = T::zero();
        for (w, &c) in self.points.column_iter().zip(self.weights.iter()) {
            sum += c * w.norm_squared();
        }
        sum
    }

    /// The coordinates of all particles, one particle after the other, to be written. The flow checks them every step.
    #[inline]
    pub fn points_mut(&mut self) -> &mut [T] {
        self.points.as_mut_slice()
    }

    /// The weights, to be written. The flow checks them every step.
    #[inline]
    pub fn weights_mut(&mut self) -> &mut [T] {
        self.weights.as_mut_slice()
    }

    /// Transports the measure along a field: `w_i += s v_i`, with `v` of shape `p x m`.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    ///
    /// let mut mu = EmpiricalMeasure::uniform(DMatrix::from_element(2, 3, 1.0))?;
    /// mu.displace(0.5, &DMatrix::from_element(2, 3, 4.0));
    /// assert_eq!(mu.particle(2), &[3.0, 3.0]);
    /// # Ok::<(), wasserflow::prelude::MeasureError>(())
    /// ```
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn displace(&mut self, s: T, v: &DMatrix<T>) {
        assert_eq!(
            self.points.shape(),
            v.shape(),
            "a field has one velocity a particle"
        );
        for (w, &v) in self.points.as_mut_slice().iter_mut().zip(v.as_slice()) {
            *w += s * v;
        }
    }
}
