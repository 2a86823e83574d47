//! Error types: small values that name the argument, the requirement and the value found.
//!
//! Constructors validate sizes, parameters and data, and return one of the first four types.
//! [`StepError`] reports failures while a flow runs.

use std::fmt::Debug;

use thiserror::Error;

use crate::real::{Real, real};

mod number;
mod step;

pub(crate) use number::Number;
pub use step::StepError;

/// Asserts that two sizes agree, with the message of a [`ShapeError`].
///
/// The seams of methods that are infallible in a step call it: a slice of the wrong length would
/// otherwise be truncated in silence.
#[inline]
#[track_caller]
pub(crate) fn assert_size<S: PartialEq + Debug>(what: &str, expected: S, found: S) {
    if expected != found {
        refuse_size(what, &expected, &found);
    }
}

/// Panics. Not inlined: the message would otherwise be prepared in hot loops.
#[cold]
#[inline(never)]
#[track_caller]
fn refuse_size(what: &str, expected: &dyn Debug, found: &dyn Debug) -> ! {
    panic!("{what} must be {expected:?}, found {found:?}")
}

/// Returns true if `rows x columns` scalars of type `T` are a valid size of an allocation.
pub(crate) fn is_allocatable<T>(rows: usize, columns: usize) -> bool {
    let bytes = rows
        .checked_mul(columns)
        .and_then(|len| len.checked_mul(size_of::<T>().max(1)));
    bytes.is_some_and(|bytes| isize::try_from(bytes).is_ok())
}

/// Two sizes that must agree differ.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let error = ShapeError { what: "input dimension of the risk", expected: 3, found: 2 };
/// assert_eq!(error.to_string(), "input dimension of the risk must be 3, found 2");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{what} must be {expected}, found {found}")]
pub struct ShapeError {
    /// Name of the size.
    pub what: &'static str,
    /// The required size.
    pub expected: usize,
    /// The size of the argument.
    pub found: usize,
}

impl ShapeError {
    /// Returns an error unless `expected == found`.
    pub(crate) fn check(what: &'static str, expected: usize, found: usize) -> Result<(), Self> {
        if expected == found {
            Ok(())
        } else {
            Err(Self {
                what,
                expected,
                found,
            })
        }
    }
}

/// A parameter is outside its range.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let error = ParameterError { name: "dt", requirement: "positive and finite", value: -1.0 };
/// assert_eq!(error.to_string(), "dt must be positive and finite, found -1");
/// let error = ParameterError { value: -1e-320, ..error };
/// assert_eq!(error.to_string(), "dt must be positive and finite, found -1e-320");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("{name} must be {requirement}, found {}", Number(.value))]
pub struct ParameterError {
    /// Name of the parameter.
    pub name: &'static str,
    /// Its range, as in "positive and finite".
    pub requirement: &'static str,
    /// The value given.
    pub value: f64,
}

impl ParameterError {
    /// Returns an error unless the requirement holds.
    ///
    /// ```
    /// use wasserflow::prelude::*;
    ///
    /// let level = 1.5;
    /// let error = ParameterError::check(level < 1.0, "level", "below 1", level).unwrap_err();
    /// assert_eq!(error.to_string(), "level must be below 1, found 1.5");
    /// ```
    ///
    /// # Errors
    /// The error with the given fields.
    pub fn check(
        holds: bool,
        name: &'static str,
        requirement: &'static str,
        value: f64,
    ) -> Result<(), Self> {
        if holds {
            Ok(())
        } else {
            Err(Self {
                name,
                requirement,
                value,
            })
        }
    }

    /// Returns an error unless `0 < value < inf`.
    ///
    /// # Errors
    /// The name and the value of the parameter.
    pub fn check_positive(name: &'static str, value: f64) -> Result<(), Self> {
        Self::check(
            value > 0.0 && value.is_finite(),
            name,
            "positive and finite",
            value,
        )
    }

    /// Returns an error unless `value`, rounded to the precision `T` in which it is used, and its
    /// reciprocal are positive and finite.
    ///
    /// ```
    /// use wasserflow::prelude::*;
    ///
    /// assert!(ParameterError::check_positive_in::<f64>("width", 1e-300).is_ok());
    /// assert!(ParameterError::check_positive_in::<f32>("width", 1e-300).is_err()); // 0 in f32
    /// ```
    ///
    /// # Errors
    /// The name and the value of the parameter.
    pub fn check_positive_in<T: Real>(name: &'static str, value: f64) -> Result<(), Self> {
        let rounded = real::<T>(value);
        let positive = |x: T| x > T::zero() && x.is_finite();
        Self::check(
            positive(rounded) && positive(T::one() / rounded),
            name,
            "positive and finite, and its reciprocal, in the precision of the scalar",
            value,
        )
    }

    /// Returns an error unless `0 <= value < inf`.
    ///
    /// # Errors
    /// The name and the value of the parameter.
    pub fn check_nonnegative(name: &'static str, value: f64) -> Result<(), Self> {
        Self::check(
            value >= 0.0 && value.is_finite(),
            name,
            ">= 0 and finite",
            value,
        )
    }
}

/// Parts of an energy that do not fit together, or a parameter outside its range.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// let risk = EmpiricalRisk::new(Square, DMatrix::<f64>::zeros(2, 3), DVector::zeros(3))?;
/// let error = MeanFieldRisk::new(Ridge::new(Relu, 4), risk).unwrap_err();
/// assert_eq!(error.to_string(), "input dimension of the feature map must be 2, found 4");
/// # Ok::<(), RiskError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[non_exhaustive]
pub enum EnergyError {
    /// Two sizes that must agree differ.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A parameter of the activation, the loss or another part is outside its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
}

/// Points and weights that do not define a measure.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// The number of particles m or the dimension p is 0.
    #[error(
        "a measure needs a particle and a coordinate, found {len} particles of dimension {dim}"
    )]
    Empty {
        /// The dimension of a particle, p.
        dim: usize,
        /// The number of particles, m.
        len: usize,
    },
    /// A coordinate is infinite or NaN.
    #[error("particle {particle}, coordinate {coordinate} must be finite, found {}", Number(.value))]
    Point {
        /// Index i of the particle.
        particle: usize,
        /// Index of the coordinate, below p.
        coordinate: usize,
        /// The value found.
        value: f64,
    },
    /// A weight is negative, infinite or NaN.
    #[error("the weight of particle {particle} must be finite and >= 0, found {}", Number(.value))]
    Weight {
        /// Index i of the particle.
        particle: usize,
        /// The value found.
        value: f64,
    },
    /// The number of weights differs from the number of particles.
    #[error("number of weights must be {expected}, found {found}")]
    Weights {
        /// The number of particles, m.
        expected: usize,
        /// The number of weights.
        found: usize,
    },
    /// A parameter of an initial measure is outside its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
}

/// Samples, targets or sample weights that do not define [`Inputs`](crate::Inputs) or a risk.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[non_exhaustive]
pub enum RiskError {
    /// The number of samples n or the dimension d is 0.
    #[error("inputs need a sample and a coordinate, found {len} samples of dimension {dim}")]
    Empty {
        /// The dimension of a sample, d.
        dim: usize,
        /// The number of samples, n.
        len: usize,
    },
    /// A coordinate of a sample is infinite or NaN.
    #[error("sample {sample}, coordinate {coordinate} must be finite, found {}", Number(.value))]
    Input {
        /// Index j of the sample.
        sample: usize,
        /// Index of the coordinate, below d.
        coordinate: usize,
        /// The value found.
        value: f64,
    },
    /// The loss is not defined at a target.
    #[error("sample {sample}, target {output} must be {requirement}, found {}", Number(.value))]
    Target {
        /// Index j of the sample.
        sample: usize,
        /// Index l of the output.
        output: usize,
        /// The targets at which the loss is defined.
        requirement: &'static str,
        /// The value found.
        value: f64,
    },
    /// A sample weight is negative, infinite or NaN.
    #[error("the weight of sample {sample} must be finite and >= 0, found {}", Number(.value))]
    Weight {
        /// Index j of the sample.
        sample: usize,
        /// The value found.
        value: f64,
    },
    /// Minibatches are drawn of a risk that is not a sum over samples.
    #[error("minibatches require a risk that is a sum over samples (`Risk::is_separable`)")]
    NotSeparable,
    /// Two sizes that must agree differ.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A parameter of the loss is outside its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
}

impl From<EnergyError> for RiskError {
    fn from(error: EnergyError) -> Self {
        match error {
            EnergyError::Shape(error) => Self::Shape(error),
            EnergyError::Parameter(error) => Self::Parameter(error),
        }
    }
}
