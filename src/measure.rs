//! Empirical measures `mu = sum_i c_i delta(w_i)`: particles and their weights.

use nalgebra::{DMatrix, DVector};

use crate::error::{MeasureError, ParameterError, assert_size};
use crate::numeric::parallel::{map_blocks, map_blocks_mut};
use crate::numeric::vector::{all_finite, axpy};
use crate::numeric::weighted;
use crate::real::{Real, real, to_f64};

mod closeness;
mod entropy;
pub mod init;
mod median;
mod share;

pub(crate) use share::gather_columns;

pub use entropy::knn_entropy;
pub use median::median_distance;

/// An empirical measure `mu = sum_i c_i delta(w_i)` of particles `w_i` with weights `c_i`.
///
/// `m >= 1` particles in `R^p`, `p >= 1`, with weights `c_i >= 0`; all numbers are finite.
/// Columns are points: particle i is column i of a `p x m` matrix. The total mass `sum_i c_i` is
/// any number `>= 0`, 0 included. A particle of weight 0 is a probe: it moves with the flow and
/// does not influence it. The weight -0 is 0.
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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(
        try_from = "Unchecked<T>",
        bound(
            serialize = "T: serde::Serialize",
            deserialize = "T: Real + serde::Deserialize<'de>"
        )
    )
)]
pub struct EmpiricalMeasure<T> {
    #[cfg_attr(feature = "serde", serde(with = "crate::encoding::matrix"))]
    points: DMatrix<T>,
    #[cfg_attr(feature = "serde", serde(serialize_with = "serialize_weights"))]
    weights: DVector<T>,
}

/// What a serialised measure contains.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
#[serde(bound(deserialize = "T: Real + serde::Deserialize<'de>"))]
struct Unchecked<T> {
    #[serde(with = "crate::encoding::matrix")]
    points: DMatrix<T>,
    weights: Vec<T>,
}

#[cfg(feature = "serde")]
impl<T: Real> TryFrom<Unchecked<T>> for EmpiricalMeasure<T> {
    type Error = MeasureError;

    fn try_from(unchecked: Unchecked<T>) -> Result<Self, MeasureError> {
        Self::weighted(unchecked.points, DVector::from_vec(unchecked.weights))
    }
}

#[cfg(feature = "serde")]
fn serialize_weights<T: serde::Serialize, S: serde::Serializer>(
    weights: &DVector<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(weights.as_slice())
}

impl<T: Clone> Clone for EmpiricalMeasure<T> {
    fn clone(&self) -> Self {
        Self {
            points: self.points.clone(),
            weights: self.weights.clone(),
        }
    }

    /// Copies into the existing buffers if the shapes agree, without allocation.
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
    /// [`MeasureError`] if `p = 0`, `m = 0`, or a coordinate is not finite.
    pub fn uniform(points: DMatrix<T>) -> Result<Self, MeasureError> {
        // A matrix without rows may have more columns than there is memory for weights.
        let m = if points.is_empty() { 0 } else { points.ncols() };
        let weight = T::one() / real(m.max(1) as f64);
        Self::weighted(points, DVector::from_element(m, weight))
    }

    /// The measure `sum_i c_i delta(w_i)` on the columns of `points` (`p x m`).
    ///
    /// The `weights` `c_i >= 0` may have any sum.
    ///
    /// ```
    /// use wasserflow::nalgebra::{DMatrix, DVector};
    /// use wasserflow::prelude::*;
    ///
    /// let weights = DVector::from_vec(vec![1.0, -1.0]);
    /// let bad = EmpiricalMeasure::weighted(DMatrix::zeros(2, 2), weights);
    /// assert_eq!(bad, Err(MeasureError::Weight { particle: 1, value: -1.0 }));
    /// ```
    ///
    /// # Errors
    /// [`MeasureError`] if `p = 0`, `m = 0`, or a coordinate is not finite; if the number of
    /// weights is not m, or a weight is negative or not finite.
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

    /// Checks that all coordinates are finite and all weights are finite and `>= 0`.
    ///
    /// Methods such as [`points_mut`](Self::points_mut) and [`displace`](Self::displace) do not
    /// preserve this property. A flow checks it in every step.
    ///
    /// # Errors
    /// [`MeasureError::Point`] or [`MeasureError::Weight`], with the first invalid entry.
    pub fn check(&self) -> Result<(), MeasureError> {
        let is_invalid = |w: &T| !w.is_finite();
        let entries = self.points.as_slice();
        let finite = map_blocks(entries.len(), 1, true, |range| all_finite(&entries[range]));
        if finite.contains(&false)
            && let Some(index) = self.points.iter().position(is_invalid)
        {
            let (particle, coordinate) = (index / self.dim(), index % self.dim());
            return Err(MeasureError::Point {
                particle,
                coordinate,
                value: to_f64(self.points[index]),
            });
        }
        self.check_weights()
    }

    /// Checks that all weights are finite and `>= 0`.
    pub(crate) fn check_weights(&self) -> Result<(), MeasureError> {
        let invalid = |&c: &T| !(c.is_finite() && c >= T::zero());
        match self.weights.iter().position(invalid) {
            Some(particle) => Err(MeasureError::Weight {
                particle,
                value: to_f64(self.weights[particle]),
            }),
            None => Ok(()),
        }
    }

    /// The dimension `p` of a particle.
    #[inline]
    pub fn dim(&self) -> usize {
        self.points.nrows()
    }

    /// The number `m` of particles.
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

    /// The probability measure of the same particles, with the weights `c_i / sum_j c_j`.
    ///
    /// The new weights have a sum of 1 up to rounding. Weights below the smallest positive number
    /// times the largest weight become 0; the sum neither overflows nor underflows. Weights that
    /// were normalised in another precision have a sum that differs from 1 by its rounding, and
    /// optimal [`transport`](crate::transport) requires equal masses.
    ///
    /// ```
    /// use wasserflow::nalgebra::{DMatrix, DVector};
    /// use wasserflow::prelude::*;
    ///
    /// let weights = DVector::from_vec(vec![3e300, 1e300]);
    /// let mu = EmpiricalMeasure::weighted(DMatrix::zeros(1, 2), weights)?.normalised()?;
    /// assert_eq!(mu.weights(), &[0.75, 0.25]);
    /// # Ok::<(), wasserflow::prelude::MeasureError>(())
    /// ```
    ///
    /// # Errors
    /// [`MeasureError::Parameter`] if all weights are 0; those of [`check`](Self::check).
    pub fn normalised(&self) -> Result<Self, MeasureError> {
        self.check()?;
        let largest = self.weights.max();
        ParameterError::check_positive("total mass", to_f64(largest))?;
        let scaled = &self.weights / largest;
        // In f64, so that in f32 the sum is accurate for any number of weights.
        let sum: f64 = scaled.iter().map(|&c| to_f64(c)).sum();
        Ok(Self {
            points: self.points.clone(),
            weights: scaled / real::<T>(sum),
        })
    }

    /// The particle `w_i` in `R^p`.
    ///
    /// # Panics
    /// If `i >= m`, as indexing does.
    #[inline]
    pub fn particle(&self, i: usize) -> &[T] {
        let (p, m) = self.points.shape();
        assert!(i < m, "index {i} of a particle must be below {m}"); // i p may overflow
        &self.points.as_slice()[i * p..][..p]
    }

    /// The weight `c_i`.
    ///
    /// # Panics
    /// If `i >= m`, as indexing does.
    #[inline]
    pub fn weight(&self, i: usize) -> T {
        self.weights[i]
    }

    /// The weights `c_1, .., c_m`.
    #[inline]
    pub fn weights(&self) -> &[T] {
        self.weights.as_slice()
    }

    /// The particles as the columns of a `p x m` matrix.
    #[inline]
    pub fn points(&self) -> &DMatrix<T> {
        &self.points
    }

    /// Returns the particles as the columns of a `p x m` matrix, and drops the weights.
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

    /// Mutable access to the coordinates of all particles, particle i at `i p .. (i + 1) p`.
    ///
    /// The values are not validated here; a flow calls [`check`](Self::check) in every step.
    #[inline]
    pub fn points_mut(&mut self) -> &mut [T] {
        self.points.as_mut_slice()
    }

    /// Mutable access to the weights `c_1, .., c_m`.
    ///
    /// The values are not validated here; a flow calls [`check`](Self::check) in every step.
    #[inline]
    pub fn weights_mut(&mut self) -> &mut [T] {
        self.weights.as_mut_slice()
    }

    /// Displaces the particles along a vector field: `w_i += s v_i`, with `v` of shape `p x m`.
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
    /// If `v` does not have the shape `p x m`.
    pub fn displace(&mut self, s: T, v: &DMatrix<T>) {
        assert_size("shape of the field", self.points.shape(), v.shape());
        let v = v.as_slice();
        map_blocks_mut(self.points.as_mut_slice(), 1, (), |entries, w| {
            axpy(s, &v[entries], w);
        });
    }

    /// Becomes `from` with its particles displaced by `sum_q s_q v_q`; returns
    /// `sum_i c_i |w_i|^2`. Does not allocate if the shapes agree.
    ///
    /// # Panics
    /// If a field does not have the shape of `from`.
    pub(crate) fn displace_from(&mut self, from: &Self, terms: &[(T, &DMatrix<T>)]) -> T {
        if self.points.shape() != from.points.shape() {
            self.clone_from(from);
        }
        self.weights.copy_from(&from.weights);
        for (_, v) in terms {
            assert_size("shape of the field", from.points.shape(), v.shape());
        }
        weighted::displace(
            self.weights.as_slice(),
            from.points.as_slice(),
            terms,
            from.dim(),
            self.points.as_mut_slice(),
        )
    }
}
