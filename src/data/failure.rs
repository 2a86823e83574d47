//! Errors of tables, labels, splits and standardisation.

use thiserror::Error;

use crate::error::{MeasureError, Number, ParameterError, ShapeError};

/// Samples, labels or parts of them that do not define a problem.
///
/// ```
/// use wasserflow::data::{DataError, Labels};
///
/// let error = Labels::new(["a", "a", "a"]).unwrap_err();
/// assert_eq!(error, DataError::Classes { found: 1 });
/// assert_eq!(error.to_string(), "labels must have at least 2 classes, found 1");
/// ```
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum DataError {
    /// A set of samples or of indices is empty.
    #[error("{what} must contain at least one sample")]
    Empty {
        /// Name of the set.
        what: &'static str,
    },
    /// An entry is infinite or NaN.
    #[error("sample {sample}, coordinate {coordinate} must be finite, found {}", Number(.value))]
    Entry {
        /// Index j of the sample.
        sample: usize,
        /// Index of the coordinate.
        coordinate: usize,
        /// The value found.
        value: f64,
    },
    /// Fewer than two classes.
    #[error("labels must have at least 2 classes, found {found}")]
    Classes {
        /// The number of classes.
        found: usize,
    },
    /// A class has too few samples.
    #[error("class {class:?} must have at least {required} samples, found {found}")]
    Class {
        /// Name of the class.
        class: String,
        /// The smallest number of samples that the operation accepts.
        required: usize,
        /// The number of samples.
        found: usize,
    },
    /// Two classes have the same name.
    #[error("names of classes must differ, found {class:?} twice")]
    Twice {
        /// The name.
        class: String,
    },
    /// A label that is not in the list of classes.
    #[error("the label of sample {sample} must be one of the classes, found {label:?}")]
    Label {
        /// Index j of the sample.
        sample: usize,
        /// The label found.
        label: String,
    },
    /// An index of a sample or of a class is out of range, or listed twice.
    #[error("{what} must be {requirement}, found {found}")]
    Index {
        /// Name of the index.
        what: &'static str,
        /// The indices that are valid.
        requirement: &'static str,
        /// The index found.
        found: usize,
    },
    /// Two sizes that must agree differ.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The measure of a network is not valid.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// A parameter, such as the fraction of the test part, is outside its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// A table cannot be read.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// A table that cannot be read, or a column that does not contain what is requested.
///
/// Lines and columns are counted from 1. A line is that of the file, the header included, at which
/// the row begins; a row of [`Table::new`](super::Table::new) has the line of its position.
///
/// ```
/// use wasserflow::data::{Table, TableError};
///
/// let table = Table::new(&["height", "weight"], &[["1.80", "75"], ["1.65", "?"]])?;
/// let error = table.numbers::<f64>(&["height", "weight"]).unwrap_err();
/// assert_eq!(error.to_string(), "line 2, column 2 \"weight\": the value is missing");
/// # Ok::<(), TableError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TableError {
    /// The source cannot be read, or its text is not valid UTF-8.
    #[error("line {line}: {message}")]
    Read {
        /// The line.
        line: u64,
        /// The message of the reader.
        message: String,
    },
    /// The table contains no column or no row.
    #[error("a table needs a column and a row, found {columns} columns and {rows} rows")]
    Empty {
        /// The number of columns.
        columns: usize,
        /// The number of rows.
        rows: usize,
    },
    /// A row has too few or too many values.
    #[error("line {line}: the number of values must be {expected}, found {found}")]
    Row {
        /// The line.
        line: u64,
        /// The number of columns.
        expected: usize,
        /// The number of values.
        found: usize,
    },
    /// The name of a column is empty, or that of another column.
    #[error("column {column}: the name must be unique and not empty, found {name:?}")]
    Name {
        /// The column.
        column: usize,
        /// The name found.
        name: String,
    },
    /// A column that is requested is not in the table.
    #[error("column {name:?} must be one of the columns of the table")]
    Unknown {
        /// The name requested.
        name: String,
    },
    /// A value is missing: empty, `?`, `NA`, `N/A`, `NaN` or `null`.
    #[error("line {line}, column {column} {name:?}: the value is missing")]
    Missing {
        /// The line.
        line: u64,
        /// The column.
        column: usize,
        /// The name of the column.
        name: String,
    },
    /// A value is not a finite number in the precision of the scalar.
    #[error("line {line}, column {column} {name:?}: a finite number is required, found {text:?}")]
    Number {
        /// The line.
        line: u64,
        /// The column.
        column: usize,
        /// The name of the column.
        name: String,
        /// The text found.
        text: String,
    },
}
