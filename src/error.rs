//! Errors: small values with numbers in them, one a stage. A signature says which can happen.

use thiserror::Error;

/// Two sizes that must agree do not.
///
/// ```
/// use wasserflow::ShapeError;
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

/// A parameter is out of its range.
///
/// ```
/// use wasserflow::ParameterError;
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
    /// The energy lacks something that the integrator needs.
    #[error("the integrator needs {what}, which this energy does not have")]
    Unsupported {
        /// What is missing.
        what: &'static str,
    },
}
