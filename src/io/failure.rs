//! Errors of files and of what they contain.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::data::DataError;
use crate::error::MeasureError;
use crate::state::StateError;

/// Contents of a file that are not valid, with what is required and what was found.
///
/// ```
/// use wasserflow::io::{Archive, ArchiveError};
///
/// let error = Archive::from_bytes(b"seven..").unwrap_err();
/// assert!(matches!(&error, ArchiveError::Invalid { what, .. } if what == "the size of the file"));
/// assert_eq!(error.to_string(), "the size of the file must be at least 8 bytes, found 7");
/// ```
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// A part of the file, an array, or an entry of the metadata is missing or not valid.
    #[error("{what} must be {required}, found {found}")]
    Invalid {
        /// The part, as in "array `points`".
        what: String,
        /// The requirement, as in "of 2 dimensions".
        required: String,
        /// What was found, shortened.
        found: String,
    },
    /// Points and weights that do not define a measure.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// Parts that do not define a network.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Parts that do not define a state.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The longest text that an error quotes from a file, in characters.
const QUOTED: usize = 60;

impl ArchiveError {
    /// The error that a part of an archive does not satisfy a requirement, for custom
    /// implementations of [`Archived`](super::Archived).
    ///
    /// ```
    /// use wasserflow::io::ArchiveError;
    ///
    /// let error = ArchiveError::invalid("metadata `k`", "positive", 0);
    /// assert_eq!(error.to_string(), "metadata `k` must be positive, found 0");
    /// ```
    pub fn invalid(
        what: impl Into<String>,
        required: impl Into<String>,
        found: impl ToString,
    ) -> Self {
        Self::Invalid {
            what: what.into(),
            required: required.into(),
            found: shortened(&found.to_string()),
        }
    }

    /// Returns an error unless the requirement holds.
    pub(super) fn check(
        holds: bool,
        what: &str,
        required: impl Into<String>,
        found: impl ToString,
    ) -> Result<(), Self> {
        if holds {
            Ok(())
        } else {
            Err(Self::invalid(what, required, found))
        }
    }
}

/// The text without control characters, and with at most `QUOTED` characters.
fn shortened(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(QUOTED)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    if text.chars().nth(QUOTED).is_some() {
        shown.push_str("..");
    }
    shown
}

/// A file that cannot be read or written; the message starts with its path.
///
/// ```
/// use wasserflow::io;
/// use wasserflow::prelude::*;
///
/// let error = io::read::<EmpiricalMeasure<f64>>("missing.npz").unwrap_err();
/// assert!(error.is_not_found());
/// assert!(error.to_string().starts_with("missing.npz: cannot open the file: "));
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system does not complete an operation.
    #[error("{}: cannot {operation}: {source}", .path.display())]
    System {
        /// The path of the file.
        path: PathBuf,
        /// The operation, as in "open the file".
        operation: &'static str,
        /// The reason.
        source: std::io::Error,
    },
    /// The contents of the file are not valid, or the value cannot be stored.
    #[error("{}: {source}", .path.display())]
    Content {
        /// The path of the file.
        path: PathBuf,
        /// The reason.
        source: ArchiveError,
    },
}

impl FileError {
    /// Returns true if the file, or a directory of its path, does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::System { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        match self {
            Self::System { path, .. } | Self::Content { path, .. } => path,
        }
    }

    /// Adds the path and the operation to an error of the system.
    pub(super) fn system(
        path: &Path,
        operation: &'static str,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::System {
            path,
            operation,
            source,
        }
    }

    /// Adds the path to an error of the contents.
    pub(super) fn content(path: &Path) -> impl FnOnce(ArchiveError) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Content { path, source }
    }
}
