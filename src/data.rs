//! From a file of data to samples and targets: tables, labels, splits, standardisation.
//!
//! Matrices are those of the rest of the crate: columns are samples. Splits are drawn by a seed,
//! with a generator of this crate, so that they need no feature and agree on all platforms.
//!
//! ```
//! use wasserflow::data::{Labels, Split, Standardizer};
//! use wasserflow::nalgebra::DMatrix;
//! use wasserflow::prelude::*;
//!
//! let x = DMatrix::from_fn(2, 10, |l, j| (100 * l + j * j) as f64);
//! let y = Labels::new((0..10).map(|j| if j % 2 == 0 { "even" } else { "odd" }))?;
//!
//! let split = Split::stratified(&y, 0.2, 7)?; // a fifth of every class for the test, seed 7
//! let ([x_train, x_test], [y_train, y_test]) = (split.columns(&x)?, split.labels(&y)?);
//! assert_eq!((x_train.ncols(), x_test.ncols(), y_test.counts()), (8, 2, vec![1, 1]));
//!
//! let scale = Standardizer::fit(&x_train)?; // the test part is not used
//! let risk = EmpiricalRisk::new(Logistic, with_bias(scale.transform(&x_train)?), y_train.signs()?)?;
//! assert_eq!(risk.inputs().dim(), 3);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "csv")]
mod csv;
mod failure;
mod labels;
mod split;
mod standardizer;
mod table;

#[cfg(feature = "csv")]
pub use csv::{CsvReader, read_csv};
pub use failure::{DataError, TableError};
pub use labels::Labels;
pub(crate) use labels::check_classes;
pub use split::Split;
pub use standardizer::Standardizer;
pub(crate) use standardizer::check_samples;
pub use table::Table;
