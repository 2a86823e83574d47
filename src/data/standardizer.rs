//! Standardisation of coordinates: mean 0 and standard deviation 1.

use nalgebra::DMatrix;

use super::DataError;
use crate::error::{ParameterError, ShapeError};
use crate::numeric::vector::scaled_norm;
use crate::real::{Real, epsilon, real, to_f64};

/// A coordinate is constant if its values agree up to this many units of the machine epsilon.
///
/// Values that were equal and went through a change of units or a logarithm differ by a few units.
/// Their deviation would be noise, which a division would amplify to size 1.
const CONSTANT: f64 = 16.0;

/// The affine map `z = (x - mean) / deviation` of every coordinate, fitted on the training part.
///
/// The mean and the standard deviation (of the population, with the factor `1/n`) of every
/// coordinate of the samples are 0 and 1 after the map. A constant coordinate `c` has the deviation
/// `|c|`, or 1 if `c = 0`, and is mapped to 0. Coordinates count as constant if they agree up to 16
/// units of the machine epsilon. Targets of a regression are standardised in the same way, as a
/// `k x n` matrix.
///
/// # Laws
/// - `invert(transform(x)) = x` and `transform(invert(z)) = z`, up to rounding relative to
///   `|x| + |mean|`.
/// - Scaling a coordinate by a power of two scales its mean and deviation by it and does not change
///   `z`, bit for bit, as long as no number becomes subnormal.
/// - Means and deviations neither overflow nor underflow, for all finite samples.
///
/// ```
/// use wasserflow::data::Standardizer;
/// use wasserflow::nalgebra::DMatrix;
///
/// let x = DMatrix::from_column_slice(2, 2, &[1e300, 5.0, 3e300, 5.0]);
/// let scale = Standardizer::fit(&x)?;
/// assert_eq!((scale.mean(), scale.deviation()), (&[2e300, 5.0][..], &[1e300, 5.0][..]));
/// let z = scale.transform(&x)?;
/// assert_eq!(z.as_slice(), &[-1.0, 0.0, 1.0, 0.0]);
/// assert_eq!(scale.invert(&z)?, x);
/// # Ok::<(), wasserflow::data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(
        try_from = "Encoded<T>",
        bound(deserialize = "T: Real + serde::Deserialize<'de>")
    )
)]
pub struct Standardizer<T> {
    mean: Vec<T>,
    deviation: Vec<T>,
}

/// The stored fields, which are checked.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
#[serde(rename = "Standardizer")]
struct Encoded<T> {
    mean: Vec<T>,
    deviation: Vec<T>,
}

#[cfg(feature = "serde")]
impl<T: Real> TryFrom<Encoded<T>> for Standardizer<T> {
    type Error = DataError;

    fn try_from(Encoded { mean, deviation }: Encoded<T>) -> Result<Self, DataError> {
        Self::from_parts(mean, deviation)
    }
}

impl<T: Real> Standardizer<T> {
    /// The map of the samples `x` (`d x n`), `d, n >= 1`.
    ///
    /// The mean is corrected by the mean of the differences from it, and the variance is a mean of
    /// squares of differences, so that neither cancels.
    ///
    /// Source: T. F. Chan, G. H. Golub and R. J. LeVeque, Algorithms for computing the sample
    /// variance, The American Statistician 37, 1983.
    ///
    /// # Errors
    /// [`DataError::Empty`] if `d = 0` or `n = 0`; [`DataError::Entry`] for the first entry that is
    /// not finite.
    pub fn fit(x: &DMatrix<T>) -> Result<Self, DataError> {
        check_samples(x)?;
        let mut values = vec![T::zero(); x.ncols()];
        let statistics = (0..x.nrows()).map(|l| {
            values
                .iter_mut()
                .zip(x.row(l).iter())
                .for_each(|(v, &x)| *v = x);
            mean_and_deviation(&mut values)
        });
        let (mean, deviation) = statistics.unzip();
        Ok(Self { mean, deviation })
    }

    /// The map with the given means and deviations, such as those read from a file.
    ///
    /// # Errors
    /// [`DataError::Empty`] for `d = 0`; [`DataError::Shape`] if the lengths differ;
    /// [`DataError::Parameter`] unless the means are finite and the deviations positive and finite.
    pub fn from_parts(mean: Vec<T>, deviation: Vec<T>) -> Result<Self, DataError> {
        let what = "the standardised coordinates";
        if mean.is_empty() {
            return Err(DataError::Empty { what });
        }
        ShapeError::check("number of deviations", mean.len(), deviation.len())?;
        for &mean in &mean {
            ParameterError::check(mean.is_finite(), "mean", "finite", to_f64(mean))?;
        }
        for &deviation in &deviation {
            ParameterError::check_positive("deviation", to_f64(deviation))?;
        }
        Ok(Self { mean, deviation })
    }

    /// `d`, the number of coordinates.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// The mean of every coordinate.
    pub fn mean(&self) -> &[T] {
        &self.mean
    }

    /// The standard deviation of every coordinate, positive.
    pub fn deviation(&self) -> &[T] {
        &self.deviation
    }

    /// `z = (x - mean) / deviation`, `d x n`.
    ///
    /// # Errors
    /// [`DataError::Shape`] if `x` does not have d rows; [`DataError::Empty`] if `n = 0`;
    /// [`DataError::Entry`] for the first entry that is not finite, in `x` or in `z`.
    pub fn transform(&self, x: &DMatrix<T>) -> Result<DMatrix<T>, DataError> {
        let half = real::<T>(0.5);
        self.map(x, |x, mean, deviation| {
            let difference = x - mean;
            if difference.is_finite() {
                difference / deviation
            } else {
                (half * x - half * mean) / deviation / half
            }
        })
    }

    /// `x = mean + deviation z`, `d x n`: the inverse of [`transform`](Self::transform).
    ///
    /// # Errors
    /// As [`transform`](Self::transform).
    pub fn invert(&self, z: &DMatrix<T>) -> Result<DMatrix<T>, DataError> {
        let half = real::<T>(0.5);
        self.map(z, |z, mean, deviation| {
            let x = mean + deviation * z;
            if x.is_finite() {
                x
            } else {
                (half * mean + half * deviation * z) / half
            }
        })
    }

    fn map(&self, x: &DMatrix<T>, f: impl Fn(T, T, T) -> T) -> Result<DMatrix<T>, DataError> {
        ShapeError::check("number of coordinates", self.dim(), x.nrows())?;
        check_samples(x)?;
        let entry = |l: usize, j: usize| f(x[(l, j)], self.mean[l], self.deviation[l]);
        let mapped = DMatrix::from_fn(x.nrows(), x.ncols(), entry);
        check_samples(&mapped)?;
        Ok(mapped)
    }
}

/// Checks that a matrix has entries, all of them finite.
pub(crate) fn check_samples<T: Real>(x: &DMatrix<T>) -> Result<(), DataError> {
    if x.is_empty() {
        return Err(DataError::Empty {
            what: "a matrix of samples",
        });
    }
    match x.iter().position(|x| !x.is_finite()) {
        Some(i) => Err(DataError::Entry {
            sample: i / x.nrows(),
            coordinate: i % x.nrows(),
            value: to_f64(x[i]),
        }),
        None => Ok(()),
    }
}

/// The mean and the standard deviation of finite values, `n >= 1`. Overwrites the values.
fn mean_and_deviation<T: Real>(values: &mut [T]) -> (T, T) {
    let n = real::<T>(values.len() as f64);
    let low = values.iter().fold(values[0], |low, &x| low.min(x));
    let high = values.iter().fold(values[0], |high, &x| high.max(x));
    let largest = low.abs().max(high.abs());
    let half = real::<T>(0.5);
    let constant = if largest > T::zero() {
        largest
    } else {
        T::one()
    };
    if low == high {
        return (low, constant);
    }

    // A power of two that keeps sums and differences in range: large values are scaled by
    // 1 / (4 n) or less, and small ones by 1 / eps, so that differences are not subnormal.
    let max = T::max_value().unwrap_or_else(T::one);
    let mut scale = T::one();
    if largest > max / (real::<T>(4.0) * n) {
        let exponent = (values.len() as f64).log2().ceil() as i32 + 2;
        scale = half.powi(exponent);
    } else if largest < T::one() / (max * epsilon()) {
        scale = T::one() / epsilon();
    }
    values.iter_mut().for_each(|x| *x *= scale);
    let sum = |values: &[T], shift: T| values.iter().fold(T::zero(), |sum, &x| sum + (x - shift));
    let mean = sum(values, T::zero()) / n;
    let mean = mean + sum(values, mean) / n;
    values.iter_mut().for_each(|x| *x -= mean);
    // The mean is rounded relative to its size: for a large offset, that of the differences counts.
    let rest = sum(values, T::zero()) / n;
    values.iter_mut().for_each(|x| *x -= rest);
    let (size, ratio) = scaled_norm(values);
    let deviation = size * (ratio / n.sqrt()) / scale;

    // Rounding can exceed the bounds that hold for the exact mean and deviation.
    let mean = (mean / scale).max(low).min(high);
    let half_range = half * high - half * low;
    let deviation = deviation.min(half_range);
    let noise = real::<T>(0.5 * CONSTANT) * epsilon() * largest;
    if half_range <= noise || deviation == T::zero() {
        (mean, constant)
    } else {
        (mean, deviation)
    }
}
