//! The format `.npy` of NumPy: a header in the syntax of Python, and the elements.
//!
//! Source: NumPy, `numpy.lib.format`, versions 1.0 to 3.0 of the format.

use std::path::Path;

use super::array::{Array, Elements, size};
use super::failure::{ArchiveError, FileError};
use super::file;
use super::text::Cursor;

const MAGIC: &[u8] = b"\x93NUMPY";

/// The header is padded so that the elements start at a multiple of this.
const ALIGNMENT: usize = 64;

/// Reads a `.npy` file of NumPy, in C or Fortran order.
///
/// ```
/// use wasserflow::io::{Array, read_npy, write_npy};
///
/// let path = std::env::temp_dir().join(format!("wasserflow-doc-{}.npy", std::process::id()));
/// let array = Array::from_vector(vec![1.0 + f64::EPSILON, -0.0]);
/// write_npy(&path, &array)?; // np.load(path)
/// assert_eq!(read_npy(&path)?, array);
/// # std::fs::remove_file(path).unwrap();
/// # Ok::<(), wasserflow::io::FileError>(())
/// ```
///
/// # Errors
/// [`FileError`] if the file cannot be read, or is not an array of little-endian `float32`,
/// `float64` or `int64`.
pub fn read_npy(path: impl AsRef<Path>) -> Result<Array, FileError> {
    let path = path.as_ref();
    decode(&file::read(path)?, "").map_err(FileError::content(path))
}

/// Writes a `.npy` file, which is replaced atomically as by [`io::write`](super::write).
///
/// # Errors
/// [`FileError`] if the file cannot be written.
pub fn write_npy(path: impl AsRef<Path>, array: &Array) -> Result<(), FileError> {
    file::replace(path.as_ref(), &encode(array))
}

/// The elements of a type of NumPy.
fn elements_of(descr: &str) -> Option<Elements> {
    match descr {
        "<f4" => Some(Elements::F32(Vec::new())),
        "<f8" => Some(Elements::F64(Vec::new())),
        "<i8" => Some(Elements::I64(Vec::new())),
        _ => None,
    }
}

/// The bytes of a `.npy` file, version 1.0 unless the header is longer than 64 KiB.
pub(super) fn encode(array: &Array) -> Vec<u8> {
    let descr = match array.elements() {
        Elements::F32(_) => "<f4",
        Elements::F64(_) => "<f8",
        Elements::I64(_) => "<i8",
    };
    let shape: String = array.shape().iter().map(|n| format!("{n}, ")).collect();
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    // Magic, version, length of the header, header, line feed. 64 dimensions of 20 digits fit in
    // version 1.0.
    let start = MAGIC.len() + 4;
    let padded = (start + header.len() + 1).next_multiple_of(ALIGNMENT) - start;
    header.extend(std::iter::repeat_n(' ', padded - 1 - header.len()));
    header.push('\n');

    let mut out = Vec::with_capacity(start + padded);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&[1, 0]);
    out.extend_from_slice(&(padded as u16).to_le_bytes());
    out.extend_from_slice(header.as_bytes());
    array.elements().append_to(&mut out);
    out
}

/// The array of a `.npy` file; `name` is that of the array in an archive, or empty.
pub(super) fn decode(bytes: &[u8], name: &str) -> Result<Array, ArchiveError> {
    let file = if name.is_empty() {
        "the file".to_owned()
    } else {
        format!("member `{name}.npy`")
    };
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| {
        ArchiveError::invalid(&file, "a .npy file", "other first bytes than `\\x93NUMPY`")
    })?;
    let truncated = || ArchiveError::invalid(&file, "complete", format!("{} bytes", bytes.len()));
    let (version, rest) = rest.split_first_chunk().ok_or_else(truncated)?;
    let (length, rest) = match version {
        [1, 0] => {
            let (length, rest) = rest.split_first_chunk().ok_or_else(truncated)?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        [2 | 3, 0] => {
            let (length, rest) = rest.split_first_chunk().ok_or_else(truncated)?;
            let length = usize::try_from(u32::from_le_bytes(*length));
            (length.map_err(|_| truncated())?, rest)
        }
        [major, minor] => {
            let found = format!("{major}.{minor}");
            return Err(ArchiveError::invalid(file, "of version 1.0 to 3.0", found));
        }
    };
    let (header, data) = rest.split_at_checked(length).ok_or_else(truncated)?;
    let (mut elements, is_fortran, shape) = decode_header(header, &file)?;

    let bytes = size(&shape).and_then(|size| size.checked_mul(elements.width()));
    let required = format!("{} of shape {shape:?}", elements.name());
    let found = format!("{} bytes of data", data.len());
    ArchiveError::check(bytes == Some(data.len()), &file, required, found)?;
    elements.fill_from(data);
    let refused = |error: crate::error::ShapeError| {
        ArchiveError::invalid(&file, "an array", error.to_string())
    };
    if is_fortran {
        // The reversed shape in C order is the same sequence of elements.
        let reversed = Array::new(shape.iter().rev().copied().collect(), elements);
        reversed.map(|array| transposed(&array)).map_err(refused)
    } else {
        Array::new(shape, elements).map_err(refused)
    }
}

/// The element type, whether the order is that of Fortran, and the shape.
fn decode_header(header: &[u8], file: &str) -> Result<(Elements, bool, Vec<usize>), ArchiveError> {
    let what = format!("the header of {file}");
    let mut cursor = Cursor::new(header, &what)?;
    let (mut elements, mut order, mut shape) = (None, None, None);
    cursor.expect("{")?;
    while !cursor.skip("}") {
        let key = python_string(&mut cursor)?;
        cursor.expect(":")?;
        match &key[..] {
            "descr" => {
                let descr = python_string(&mut cursor)?;
                let found = elements_of(&descr).ok_or_else(|| {
                    let required = "of type <f4, <f8 or <i8 (little-endian)";
                    ArchiveError::invalid(file, required, descr)
                })?;
                elements = Some(found);
            }
            "fortran_order" => {
                order = Some(cursor.skip("True"));
                if order == Some(false) {
                    cursor.expect("False")?;
                }
            }
            "shape" => shape = Some(cursor.numbers("(", ")")?),
            _ => return Err(cursor.refuse("the value of descr, fortran_order or shape")),
        }
        if !cursor.skip(",") {
            cursor.expect("}")?;
            break;
        }
    }
    cursor.end()?;
    match (elements, order, shape) {
        (Some(elements), Some(order), Some(shape)) => Ok((elements, order, shape)),
        _ => {
            let required = "a dictionary of descr, fortran_order and shape";
            Err(ArchiveError::invalid(what, required, "other keys"))
        }
    }
}

fn python_string(cursor: &mut Cursor<'_>) -> Result<String, ArchiveError> {
    cursor.skip_space();
    cursor.string('\'').or_else(|_| cursor.string('"'))
}

/// The array with its dimensions in reverse order.
fn transposed(array: &Array) -> Array {
    fn reordered<T: Copy>(elements: &[T], order: &[usize]) -> Vec<T> {
        order.iter().map(|&at| elements[at]).collect()
    }
    let shape: Vec<usize> = array.shape().iter().rev().copied().collect();
    let order = order(&shape);
    let elements = match array.elements() {
        Elements::F32(x) => Elements::F32(reordered(x, &order)),
        Elements::F64(x) => Elements::F64(reordered(x, &order)),
        Elements::I64(x) => Elements::I64(reordered(x, &order)),
    };
    Array::new(shape, elements).expect("a transposed array has as many elements")
}

/// The places in Fortran order of the elements of a shape, in C order.
fn order(shape: &[usize]) -> Vec<usize> {
    let size = size(shape).unwrap_or(0);
    let strides: Vec<usize> = shape
        .iter()
        .scan(1, |stride, &length| {
            let this = *stride;
            *stride *= length;
            Some(this)
        })
        .collect();
    let (mut index, mut at) = (vec![0; shape.len()], 0);
    let mut order = Vec::with_capacity(size);
    for _ in 0..size {
        order.push(at);
        for l in (0..shape.len()).rev() {
            index[l] += 1;
            at += strides[l];
            if index[l] < shape[l] {
                break;
            }
            at -= strides[l] * shape[l];
            index[l] = 0;
        }
    }
    order
}
