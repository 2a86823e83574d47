//! Wasserstein gradient flows of convex functionals of a measure, by particles.

pub use nalgebra;

mod error;
mod measure;
mod real;

pub use error::{ParameterError, ShapeError, StepError};
pub use measure::{EmpiricalMeasure, MeasureError, init};
pub use real::{Real, real};
