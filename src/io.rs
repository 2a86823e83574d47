//! Files: measures, states and custom values as arrays that NumPy and PyTorch read.
//!
//! ```
//! use wasserflow::io;
//! use wasserflow::nalgebra::DMatrix;
//! use wasserflow::prelude::*;
//!
//! let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[1.0, 2.0, 3.0, 4.0]))?;
//! let path = std::env::temp_dir().join(format!("wasserflow-doc-{}.npz", std::process::id()));
//! io::write(&path, &mu)?;
//! assert_eq!(io::read::<EmpiricalMeasure<f64>>(&path)?, mu);
//! # std::fs::remove_file(path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The extension selects the format, `.npz` or `.safetensors`. In Python the points are the rows of
//! an array of shape `(m, p)`:
//!
//! ```python
//! points = numpy.load("mu.npz")["points"]
//! points = safetensors.torch.load_file("mu.safetensors")["points"]
//! ```
//!
//! Every bit of a scalar is kept. Files are replaced atomically, so that a reader never meets an
//! incomplete one, and have the ordinary mode. Invalid files are refused by a [`FileError`] that
//! contains the path, the requirement and what was found.
//!
//! The module has no dependencies. The crate `safetensors` 0.8 would add 19 crates to a dependent
//! and writes files that only their owner can read; `npyz` 0.9 with `npz` would add 54, among them C
//! code for compressions that these files do not use.

use std::path::Path;

mod archive;
mod array;
mod failure;
mod feature_map;
mod file;
mod measure;
mod npy;
mod safetensors;
mod state;
mod text;
mod zip;

pub use archive::{Archive, Format};
pub use array::{Array, Element, Elements};
pub use failure::{ArchiveError, FileError};
pub use feature_map::Named;
pub(crate) use file::{remove_leftovers, replace};
pub use npy::{read_npy, write_npy};

/// A value that is stored as named arrays with metadata.
///
/// Implement it for a custom type to store that with [`write`](fn@write) and [`read`]:
///
/// ```
/// use wasserflow::io::{Archive, ArchiveError, Archived, Array};
/// use wasserflow::nalgebra::DMatrix;
///
/// #[derive(Debug, PartialEq)]
/// struct Samples {
///     x: DMatrix<f64>,
///     y: Vec<f64>,
/// }
/// impl Archived for Samples {
///     fn to_archive(&self) -> Result<Archive, ArchiveError> {
///         let mut archive = Archive::new();
///         archive.insert("x", Array::from_matrix(&self.x));
///         archive.insert("y", Array::from_vector(self.y.clone()));
///         Ok(archive)
///     }
///     fn from_archive(archive: &Archive) -> Result<Self, ArchiveError> {
///         let (x, y) = (archive.matrix("x")?, archive.vector("y")?);
///         if x.ncols() == y.len() {
///             Ok(Self { x, y })
///         } else {
///             Err(ArchiveError::invalid("array `y`", format!("of length {}", x.ncols()), y.len()))
///         }
///     }
/// }
///
/// let samples = Samples { x: DMatrix::zeros(2, 3), y: vec![0.0; 3] };
/// assert_eq!(Samples::from_archive(&samples.to_archive()?)?, samples);
/// # Ok::<(), ArchiveError>(())
/// ```
pub trait Archived: Sized {
    /// The arrays and the metadata of the value.
    ///
    /// # Errors
    /// [`ArchiveError`] if a part of the value cannot be stored.
    fn to_archive(&self) -> Result<Archive, ArchiveError>;

    /// The value of an archive.
    ///
    /// # Errors
    /// [`ArchiveError`] if a part is missing or not valid.
    fn from_archive(archive: &Archive) -> Result<Self, ArchiveError>;
}

/// Writes a value to a `.npz` or `.safetensors` file.
///
/// The file is replaced atomically. The bytes are written to a temporary file in the same directory
/// and reach the disk before it is renamed, so that a crash leaves the old file or the new one. The
/// mode is 0666 without the bits of the umask.
///
/// # Errors
/// [`FileError`] if the extension is another one, or the value cannot be stored, or the file cannot
/// be written.
pub fn write(path: impl AsRef<Path>, value: &impl Archived) -> Result<(), FileError> {
    let path = path.as_ref();
    let archive = value.to_archive().map_err(FileError::content(path))?;
    archive.write(path)
}

/// Reads a value from a `.npz` or `.safetensors` file; the contents decide which.
///
/// # Errors
/// [`FileError`] if the file cannot be read, is truncated or malformed, or does not contain a valid
/// value of the type.
pub fn read<V: Archived>(path: impl AsRef<Path>) -> Result<V, FileError> {
    let path = path.as_ref();
    V::from_archive(&Archive::read(path)?).map_err(FileError::content(path))
}

/// The key of the version of the arrays and metadata of a file, and the current one.
const VERSION: (&str, &str) = ("wasserflow", "1");

/// An archive with the version and the kind of a value.
fn new_archive(kind: &str) -> Archive {
    let mut archive = Archive::new();
    archive.set_metadata(VERSION.0, VERSION.1);
    archive.set_metadata("kind", kind);
    archive
}

/// Checks that the archive is of the current version, if it has one.
fn check_version(archive: &Archive) -> Result<(), ArchiveError> {
    if archive.require(VERSION.0).is_ok() {
        archive.expect(VERSION.0, VERSION.1)?;
    }
    Ok(())
}
