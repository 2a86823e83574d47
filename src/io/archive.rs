//! Archives: named arrays with metadata, in one of two formats.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use nalgebra::DMatrix;

use super::array::{Array, Element};
use super::failure::{ArchiveError, FileError};
use super::file;
use super::text::{Cursor, quote};
use super::{npy, safetensors, zip};

/// The file formats of an [`Archive`].
///
/// ```
/// use wasserflow::io::Format;
///
/// assert_eq!(Format::of("mu.npz")?, Format::Npz);
/// assert!(Format::of("mu.txt").is_err());
/// # Ok::<(), wasserflow::io::FileError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// `.safetensors`: a header in JSON and the elements. Without a checksum.
    Safetensors,
    /// `.npz` of NumPy: a ZIP archive without compression of one `.npy` file an array, with a
    /// checksum of each. At most 4 GiB.
    Npz,
}

impl Format {
    /// The format of the extension of a path, `.safetensors` or `.npz`.
    ///
    /// # Errors
    /// [`FileError::Content`] for any other extension.
    pub fn of(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("safetensors") => Ok(Self::Safetensors),
            Some("npz") => Ok(Self::Npz),
            other => {
                let (what, required) = ("the extension", "`safetensors` or `npz`");
                let error = ArchiveError::invalid(what, required, other.unwrap_or("none"));
                Err(FileError::content(path)(error))
            }
        }
    }
}

/// Arrays by name, with metadata: what a file contains.
///
/// In memory an archive is a map. In a file it is read by NumPy, PyTorch and JAX; see the page
/// *Files* of the book.
///
/// ```
/// use wasserflow::io::{Archive, Array, Format};
///
/// let mut archive = Archive::new();
/// archive.insert("bias", Array::from_vector(vec![0.5_f32, -0.0]));
/// archive.set_metadata("activation", "Relu");
/// for format in [Format::Safetensors, Format::Npz] {
///     let read = Archive::from_bytes(&archive.to_bytes(format)?)?;
///     assert_eq!(read, archive);
///     assert!(read.vector::<f32>("bias")?[1].is_sign_negative());
///     assert_eq!(read.require("activation")?, "Relu");
/// }
/// # Ok::<(), wasserflow::io::ArchiveError>(())
/// ```
///
/// Bytes that are not a valid file are refused by an [`ArchiveError`]. Reading does not allocate
/// more than a few times the size of the file, whatever sizes it states.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Archive {
    arrays: BTreeMap<String, Array>,
    metadata: BTreeMap<String, String>,
}

/// The member of an `.npz` file that contains the metadata, an object of strings.
const METADATA: &str = "metadata.json";

impl Archive {
    /// The archive without arrays and metadata.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an array, and returns the previous one of that name.
    pub fn insert(&mut self, name: impl Into<String>, array: Array) -> Option<Array> {
        self.arrays.insert(name.into(), array)
    }

    /// The array of a name, if there is one.
    pub fn get(&self, name: &str) -> Option<&Array> {
        self.arrays.get(name)
    }

    /// The array of a name.
    ///
    /// # Errors
    /// [`ArchiveError::Invalid`] if it is missing.
    pub fn array(&self, name: &str) -> Result<&Array, ArchiveError> {
        self.get(name).ok_or_else(|| {
            let names: Vec<_> = self.arrays.keys().map(String::as_str).collect();
            let found = match &names[..] {
                [] => "no array".to_owned(),
                names => format!("only {}", names.join(", ")),
            };
            ArchiveError::invalid(format!("array `{name}`"), "in the file", found)
        })
    }

    /// Names and arrays in the order of the names.
    pub fn arrays(&self) -> impl Iterator<Item = (&str, &Array)> {
        self.arrays.iter().map(|(name, array)| (&name[..], array))
    }

    /// The matrix whose columns are the rows of an array, as [`Array::to_matrix`].
    ///
    /// # Errors
    /// [`ArchiveError::Invalid`] unless there is such an array of two dimensions and type T.
    pub fn matrix<T: Element>(&self, name: &str) -> Result<DMatrix<T>, ArchiveError> {
        self.array(name)?.matrix_named(&format!("array `{name}`"))
    }

    /// The scalars of an array of one dimension, as [`Array::to_vector`].
    ///
    /// # Errors
    /// [`ArchiveError::Invalid`] unless there is such an array of one dimension and type T.
    pub fn vector<T: Element>(&self, name: &str) -> Result<Vec<T>, ArchiveError> {
        self.array(name)?.vector_named(&format!("array `{name}`"))
    }

    /// The scalar of an array without dimensions.
    ///
    /// # Errors
    /// [`ArchiveError::Invalid`] unless there is such an array of type T.
    pub fn scalar<T: Element>(&self, name: &str) -> Result<T, ArchiveError> {
        self.array(name)?.scalar_named(&format!("array `{name}`"))
    }

    /// The integer of an array without dimensions.
    ///
    /// # Errors
    /// [`ArchiveError::Invalid`] unless there is such an array of type `int64`.
    pub fn integer(&self, name: &str) -> Result<i64, ArchiveError> {
        self.array(name)?.integer_named(&format!("array `{name}`"))
    }

    /// Sets an entry of the metadata.
    pub fn set_metadata(&mut self, key: impl Into<String>, value: impl ToString) {
        self.metadata.insert(key.into(), value.to_string());
    }

    /// Keys and values of the metadata in the order of the keys.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        self.metadata
            .iter()
            .map(|(key, value)| (&key[..], &value[..]))
    }

    /// An entry of the metadata.
    ///
    /// # Errors
    /// [`ArchiveError::Invalid`] if it is missing.
    pub fn require(&self, key: &str) -> Result<&str, ArchiveError> {
        let value = self.metadata.get(key).map(|value| &value[..]);
        value.ok_or_else(|| ArchiveError::invalid(named(key), "in the file", "no such entry"))
    }

    /// An entry of the metadata, parsed.
    ///
    /// ```
    /// use wasserflow::io::Archive;
    ///
    /// let mut archive = Archive::new();
    /// archive.set_metadata("k", 10);
    /// assert_eq!(archive.parse::<usize>("k", "a natural number")?, 10);
    /// # Ok::<(), wasserflow::io::ArchiveError>(())
    /// ```
    ///
    /// # Errors
    /// [`ArchiveError::Invalid`] if it is missing, or is not what is `required`.
    pub fn parse<V: FromStr>(&self, key: &str, required: &str) -> Result<V, ArchiveError> {
        let value = self.require(key)?;
        let refused = |_| ArchiveError::invalid(named(key), required, value);
        value.parse().map_err(refused)
    }

    /// Checks that an entry of the metadata has a value.
    ///
    /// # Errors
    /// [`ArchiveError::Invalid`] if it has another one, or is missing.
    pub fn expect(&self, key: &str, required: &str) -> Result<(), ArchiveError> {
        let found = self.require(key)?;
        let quoted = format!("`{required}`");
        ArchiveError::check(found == required, &named(key), quoted, found)
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// [`ArchiveError::Invalid`] if an array has the name `__metadata__` in a `.safetensors` file,
    /// or an `.npz` file would have more than 4 GiB or 65 000 arrays.
    pub fn to_bytes(&self, format: Format) -> Result<Vec<u8>, ArchiveError> {
        match format {
            Format::Safetensors => safetensors::encode(&self.arrays, &self.metadata),
            Format::Npz => {
                let arrays = self.arrays.iter();
                let member = |(name, array)| (format!("{name}.npy"), npy::encode(array));
                let mut members: Vec<_> = arrays.map(member).collect();
                if !self.metadata.is_empty() {
                    members.push((METADATA.to_owned(), self.metadata_json().into_bytes()));
                }
                zip::encode(&members)
            }
        }
    }

    fn metadata_json(&self) -> String {
        let mut out = String::from("{");
        for (at, (key, value)) in self.metadata.iter().enumerate() {
            out.push_str(if at == 0 { "" } else { ", " });
            quote(key, &mut out);
            out.push_str(": ");
            quote(value, &mut out);
        }
        out.push('}');
        out
    }

    /// The archive of the bytes of a file, of either format.
    ///
    /// # Errors
    /// [`ArchiveError::Invalid`] if the bytes are not a complete file of `float32`, `float64` and
    /// `int64` arrays.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ArchiveError> {
        if zip::is_zip(bytes) {
            Self::from_npz(bytes)
        } else {
            let (arrays, metadata) = safetensors::decode(bytes)?;
            Ok(Self { arrays, metadata })
        }
    }

    fn from_npz(bytes: &[u8]) -> Result<Self, ArchiveError> {
        let (mut archive, mut has_metadata) = (Self::new(), false);
        for (member, contents) in zip::decode(bytes)? {
            let known = if member == METADATA {
                let mut cursor = Cursor::new(contents, METADATA)?;
                archive.metadata = safetensors::decode_strings(&mut cursor)?;
                cursor.end()?;
                std::mem::replace(&mut has_metadata, true)
            } else {
                let name = member.strip_suffix(".npy").ok_or_else(|| {
                    let what = format!("ZIP member `{member}`");
                    ArchiveError::invalid(what, "a .npy file or metadata.json", "another name")
                })?;
                archive.insert(name, npy::decode(contents, name)?).is_some()
            };
            ArchiveError::check(!known, "the names of the ZIP members", "unique", member)?;
        }
        Ok(archive)
    }

    /// Reads a `.safetensors` or `.npz` file; its contents decide which.
    ///
    /// # Errors
    /// [`FileError`] if the file cannot be read or is not valid.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        Self::from_bytes(&file::read(path)?).map_err(FileError::content(path))
    }

    /// Writes a `.safetensors` or `.npz` file, as [`io::write`](super::write) does.
    ///
    /// # Errors
    /// [`FileError`] if the file cannot be written, or has another extension.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), FileError> {
        let path = path.as_ref();
        let bytes = self.to_bytes(Format::of(path)?);
        file::replace(path, &bytes.map_err(FileError::content(path))?)
    }
}

/// The name of an entry of the metadata in errors.
fn named(key: &str) -> String {
    format!("metadata `{key}`")
}
