//! Errors: small values with numbers in them, one a stage. A signature says which can happen.

use thiserror::Error;

/// Two sizes that must agree do not.
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
    /// The size in question.
    pub what: &'static str,
    /// What it must be.
    pub expected: usize,
    /// What it is.
    pub found: usize,
}

impl ShapeError {
    /// Whether two sizes that must agree do.
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

/// A parameter is out of its range.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let error = ParameterError { name: "dt", requirement: "positive and finite", value: -1.0 };
/// assert_eq!(error.to_string(), "dt must be positive and finite, found -1");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("{name} must be {requirement}, found {value}")]
pub struct ParameterError {
    /// The parameter.
    pub name: &'static str,
    /// Its range.
    pub requirement: &'static str,
    /// What was given.
    pub value: f64,
}

/// Why points and weights are not a measure.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// There is no particle (`m = 0`) or a particle has no coordinate (`p = 0`).
    #[error(
        "a measure needs at least one particle of at least one coordinate, found {dim} x {len}"
    )]
    Empty {
        /// Coordinates a particle, p.
        dim: usize,
        /// Particles, m.
        len: usize,
    },
    /// A coordinate is infinite or NaN.
    #[error("particle {particle}, coordinate {coordinate} must be finite, found {value}")]
    Point {
        /// The particle i.
        particle: usize,
        /// Its coordinate.
        coordinate: usize,
        /// What was found.
        value: f64,
    },
    /// A weight is negative, infinite or NaN.
    #[error("the weight of particle {particle} must be finite and >= 0, found {value}")]
    Weight {
        /// The particle i.
        particle: usize,
        /// What was found.
        value: f64,
    },
    /// The weights are not one a particle.
    #[error("weights must be one for each of {expected} particles, found {found}")]
    Weights {
        /// Particles, m.
        expected: usize,
        /// Weights found.
        found: usize,
    },
    /// A parameter of a start is out of its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
}

/// Why samples are refused: by [`Inputs`](crate::Inputs), or by a risk on them.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[non_exhaustive]
pub enum RiskError {
    /// There is no sample (`n = 0`) or a sample has no coordinate (`d = 0`).
    #[error("a risk needs at least one sample of at least one coordinate, found {dim} x {len}")]
    Empty {
        /// Coordinates a sample, d.
        dim: usize,
        /// Samples, n.
        len: usize,
    },
    /// A coordinate of a sample is infinite or NaN.
    #[error("sample {sample}, coordinate {coordinate} must be finite, found {value}")]
    Input {
        /// The sample j.
        sample: usize,
        /// Its coordinate.
        coordinate: usize,
        /// What was found.
        value: f64,
    },
    /// A target is not one that the loss accepts.
    #[error("sample {sample}, target {output} must be {requirement}, found {value}")]
    Target {
        /// The sample j.
        sample: usize,
        /// The output l.
        output: usize,
        /// What the loss accepts.
        requirement: &'static str,
        /// What was found.
        value: f64,
    },
    /// A sample weight is negative, infinite or NaN.
    #[error("the weight of sample {sample} must be finite and >= 0, found {value}")]
    Weight {
        /// The sample j.
        sample: usize,
        /// What was found.
        value: f64,
    },
    /// Two sizes that must agree do not.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A parameter of the loss is out of its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
}

/// A step of the flow failed; the state keeps the last finite measure.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[non_exhaustive]
pub enum StepError {
    /// A particle, its velocity or the energy became infinite or NaN: the step is too long for this energy.
    #[error(
        "step {step} from time {time} is not finite: take a shorter step or an adaptive or proximal integrator"
    )]
    NonFinite {
        /// The step that failed: the number of steps completed before it.
        step: usize,
        /// The time at which it began, which is that of the state kept.
        time: f64,
    },
    /// The inner solver of an implicit step, or the step-size search of an adaptive one, did not reach its tolerance.
    #[error(
        "inner iteration stopped after {iterations} iterations with residual {residual}: take a shorter step or a larger tolerance"
    )]
    Inner {
        /// Iterations spent.
        iterations: usize,
        /// What was left, in the unit that the integrator documents.
        residual: f64,
    },
    /// An explicit adaptive method crawls along a kink: its step is cut again and again, where particles slide on a kink of the energy.
    #[error(
        "chatter at time {time}: steps are cut to {size} at kinks, again and again: take a proximal integrator"
    )]
    Chatter {
        /// The time at which it was noticed, which is that of the state kept.
        time: f64,
        /// The step to which the last one was cut.
        size: f64,
    },
    /// The energy lacks something that the integrator needs.
    #[error("the integrator needs {what}, which this energy does not have")]
    Unsupported {
        /// What is missing.
        what: &'static str,
    },
    /// The state was given a measure that is none.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// The state was given particles of another dimension.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A parameter of the run is out of its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
}
