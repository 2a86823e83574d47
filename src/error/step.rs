//! Failures of a step or a run.

use thiserror::Error;

use super::{EnergyError, MeasureError, Number, ParameterError, ShapeError};

/// A failure while a flow runs; the state keeps the last finite measure.
///
/// The variants [`Measure`](Self::Measure), [`Shape`](Self::Shape) and
/// [`Parameter`](Self::Parameter) report invalid input at run time: a state or an energy that was
/// modified between steps, and the arguments of the run itself.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[non_exhaustive]
pub enum StepError {
    /// A particle, its velocity or the energy became infinite or NaN: the step is too long for
    /// this energy, or the flow reaches the boundary of its domain.
    #[error(
        "the result of step {step} from time {} is not finite: \
         reduce the step size, or use an adaptive or proximal integrator", Number(.time)
    )]
    NonFinite {
        /// The number of steps completed before the failed one.
        step: usize,
        /// The time at which the step began, which is that of the state kept.
        time: f64,
    },
    /// The inner solver of an implicit step did not reach its tolerance.
    #[error(
        "the inner solver stopped after {iterations} iterations with residual {}: \
         reduce the step size or increase the tolerance", Number(.residual)
    )]
    Inner {
        /// The number of iterations performed.
        iterations: usize,
        /// The remaining residual, in the unit that the integrator documents.
        residual: f64,
    },
    /// The weights of given particles are not proved optimal: the first variation is not that of F,
    /// F is not convex in the weights, or its rounding errors are too large.
    #[error(
        "the weights are not proved optimal after {iterations} iterations, F - min F <= {}: \
         check that F is convex and F' its derivative, request a larger gap, or rescale the data",
        Number(.residual)
    )]
    Weights {
        /// The number of iterations performed.
        iterations: usize,
        /// The bound of `F - min F` that was reached; infinite if F may be unbounded below.
        residual: f64,
    },
    /// F is smaller than a lower bound of its minimum: the loss violates its laws.
    #[error(
        "F is smaller by {} than a lower bound of its minimum, which is a contradiction: \
         the conjugate of the loss is wrong, or the loss is not convex", Number(.excess)
    )]
    Contradiction {
        /// The lower bound minus F, [`Certificate::contradiction`].
        ///
        /// [`Certificate::contradiction`]: crate::optimality::Certificate::contradiction
        excess: f64,
    },
    /// Chattering of an adaptive explicit method: particles slide along a kink of the energy, which
    /// limits the steps.
    #[error(
        "chattering at time {}: particles slide along kinks, which limits the steps to {}: \
         use a proximal integrator", Number(.time), Number(.size)
    )]
    Chatter {
        /// The time at which chattering was detected, which is that of the state kept.
        time: f64,
        /// The last step size.
        size: f64,
    },
    /// Stiffness: an adaptive explicit method remains at the limit of its stability.
    #[error(
        "stiff at time {}: steps of {} are limited by stability, not by accuracy: \
         use a proximal integrator", Number(.time), Number(.size)
    )]
    Stiff {
        /// The time at which stiffness was detected, which is that of the state kept.
        time: f64,
        /// The last step size.
        size: f64,
    },
    /// The steps are too short to reach the requested time, or to move the particles.
    #[error(
        "no progress at time {} with steps of {}: use longer steps, a larger tolerance, \
         or a proximal integrator", Number(.time), Number(.size)
    )]
    Crawl {
        /// The time of the state kept.
        time: f64,
        /// The last step size.
        size: f64,
    },
    /// The energy does not implement an operation that the method requires.
    #[error("the method requires {what}, which this energy does not provide")]
    Unsupported {
        /// The missing operation.
        what: &'static str,
    },
    /// The measure of the state is not valid.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// The particles of the state do not have the dimension of the energy, or the parts of the
    /// energy no longer fit together.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A parameter of the run, such as its final time, or of the energy is outside its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// The measure or the energy of another rank is not valid; that rank returns the reason.
    #[error("the measure or the energy of rank {rank} is not valid: it returns the reason")]
    Rank {
        /// The number of the first rank that refused the step.
        rank: usize,
    },
}

impl From<EnergyError> for StepError {
    fn from(error: EnergyError) -> Self {
        match error {
            EnergyError::Shape(error) => Self::Shape(error),
            EnergyError::Parameter(error) => Self::Parameter(error),
        }
    }
}
