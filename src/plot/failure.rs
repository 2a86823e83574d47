//! Errors of figures.

use std::path::PathBuf;

use thiserror::Error;

use crate::error::{Number, ParameterError, ShapeError};
use crate::io::FileError;

/// Data or options of a figure that cannot be drawn.
///
/// ```
/// use wasserflow::plot::{BLUE, Figure, PlotError};
///
/// let error = Figure::new().line([[0.0, 1.0], [1.0, f64::NAN]], BLUE).svg().unwrap_err();
/// assert!(matches!(error, PlotError::Value { index: 1, .. }));
/// assert_eq!(error.to_string(), "point 1 of a line must be finite, found NaN");
/// ```
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum PlotError {
    /// A coordinate or a size is infinite or NaN.
    #[error("point {index} of {series} must be finite, found {}", Number(.value))]
    Value {
        /// The kind of the series, as in "a line".
        series: &'static str,
        /// The index of the point, counted over all lines of a series.
        index: usize,
        /// The value found.
        value: f64,
    },
    /// A figure, a panel or a series does not contain data.
    #[error("{what} must contain data")]
    Empty {
        /// The part of the figure.
        what: &'static str,
    },
    /// The data or the options of an axis are not valid for it.
    #[error("the {axis} axis must {requirement}")]
    Axis {
        /// `x` or `y`.
        axis: &'static str,
        /// The requirement, as in "contain a positive value".
        requirement: &'static str,
    },
    /// A width, a radius, an opacity or a size is outside its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// Points are not in the plane, or two sizes that must agree differ.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A function or a network cannot be evaluated in the window.
    #[error("the function cannot be evaluated: {reason}")]
    Function {
        /// The error of the function.
        reason: String,
    },
    /// The picture cannot be encoded.
    #[error("the picture cannot be encoded: {reason}")]
    Encoding {
        /// The error of the encoder.
        reason: String,
    },
}

/// A figure that cannot be written to a file.
///
/// ```
/// use wasserflow::plot::{BLUE, Figure, SaveError};
///
/// let error = Figure::new().line([[0.0, 1.0], [1.0, 2.0]], BLUE).save("figure.bmp").unwrap_err();
/// assert!(matches!(error, SaveError::Extension { .. }));
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The figure cannot be drawn.
    #[error(transparent)]
    Figure(#[from] PlotError),
    /// The extension of the path is not that of an enabled format.
    #[error("{}: the extension must be {required}", .path.display())]
    Extension {
        /// The path of the file.
        path: PathBuf,
        /// The extensions, with the features that enable them.
        required: &'static str,
    },
    /// The file cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
}
