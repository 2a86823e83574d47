//! Arrays of a file: a shape and elements in C order.

use nalgebra::DMatrix;

use super::failure::ArchiveError;
use crate::error::ShapeError;
use crate::real::Real;

/// The most dimensions of an array, that of NumPy 2.
const MAX_DIMENSIONS: usize = 64;

/// The elements of an array, of one of the three types that files contain.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Elements {
    /// Single precision: `float32`, `torch.float32`.
    F32(Vec<f32>),
    /// Double precision: `float64`, `torch.float64`.
    F64(Vec<f64>),
    /// Integers: `int64`, `torch.int64`.
    I64(Vec<i64>),
}

impl Elements {
    /// The name of the type in NumPy and PyTorch.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::F32(_) => "float32",
            Self::F64(_) => "float64",
            Self::I64(_) => "int64",
        }
    }

    /// The number of elements.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::F32(x) => x.len(),
            Self::F64(x) => x.len(),
            Self::I64(x) => x.len(),
        }
    }

    /// The bytes of an element.
    pub(super) fn width(&self) -> usize {
        match self {
            Self::F32(_) => 4,
            Self::F64(_) | Self::I64(_) => 8,
        }
    }

    /// Appends the bytes of the elements, little-endian.
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        out.reserve(self.len() * self.width());
        match self {
            Self::F32(x) => out.extend(x.iter().flat_map(|x| x.to_le_bytes())),
            Self::F64(x) => out.extend(x.iter().flat_map(|x| x.to_le_bytes())),
            Self::I64(x) => out.extend(x.iter().flat_map(|x| x.to_le_bytes())),
        }
    }

    /// Replaces the elements by those of the given bytes, little-endian, whose number is a multiple
    /// of the width.
    pub(super) fn fill_from(&mut self, bytes: &[u8]) {
        match self {
            Self::F32(x) => *x = words(bytes).map(f32::from_le_bytes).collect(),
            Self::F64(x) => *x = words(bytes).map(f64::from_le_bytes).collect(),
            Self::I64(x) => *x = words(bytes).map(i64::from_le_bytes).collect(),
        }
    }
}

/// The bytes in groups of N.
fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks().0.iter().copied()
}

mod sealed {
    use super::Elements;

    pub trait Sealed: Sized {
        /// The elements of an array.
        fn store(elements: Vec<Self>) -> Elements;
        /// The elements in this type, if it represents all of them.
        fn load(elements: &Elements) -> Option<Vec<Self>>;
        /// The name of the type.
        const NAME: &'static str;
    }
}
use sealed::Sealed;

/// The scalars that files contain, `f32` and `f64`.
///
/// A file of `f32` can be read as `f64`, which is exact. The reverse is refused: it would round.
pub trait Element: Real + Sealed {}

impl Sealed for f32 {
    fn store(elements: Vec<Self>) -> Elements {
        Elements::F32(elements)
    }
    fn load(elements: &Elements) -> Option<Vec<Self>> {
        match elements {
            Elements::F32(x) => Some(x.clone()),
            _ => None,
        }
    }
    const NAME: &'static str = "float32";
}
impl Element for f32 {}

impl Sealed for f64 {
    fn store(elements: Vec<Self>) -> Elements {
        Elements::F64(elements)
    }
    fn load(elements: &Elements) -> Option<Vec<Self>> {
        match elements {
            Elements::F64(x) => Some(x.clone()),
            Elements::F32(x) => Some(x.iter().map(|&x| x.into()).collect()),
            Elements::I64(_) => None,
        }
    }
    const NAME: &'static str = "float64";
}
impl Element for f64 {}

/// The name of the scalar type T in NumPy.
pub(super) fn scalar_name<T: Element>() -> &'static str {
    T::NAME
}

/// An array of a file: a shape and elements in C order, as in NumPy and PyTorch.
///
/// Matrices of this crate are `p x m` and column-major, with points as columns. In a file they have
/// the shape `(m, p)` in C order: the same bytes, and row i is particle i.
///
/// ```
/// use wasserflow::io::Array;
/// use wasserflow::nalgebra::DMatrix;
///
/// let w = DMatrix::from_column_slice(2, 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]); // three points
/// let array = Array::from_matrix(&w);
/// assert_eq!(array.shape(), [3, 2]);
/// assert_eq!(array.to_matrix::<f64>()?, w);
/// # Ok::<(), wasserflow::io::ArchiveError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    elements: Elements,
}

impl Array {
    /// The array of a shape, with its elements in C order: the last index varies fastest.
    ///
    /// ```
    /// use wasserflow::io::{Array, Elements};
    ///
    /// let labels = Array::new(vec![3], Elements::I64(vec![0, 2, 1]))?;
    /// assert_eq!(labels.shape(), [3]);
    /// assert!(Array::new(vec![2, 2], Elements::I64(vec![0, 2, 1])).is_err());
    /// # Ok::<(), wasserflow::prelude::ShapeError>(())
    /// ```
    ///
    /// # Errors
    /// [`ShapeError`] if the number of elements is not the product of the shape, or the shape has
    /// more than 64 dimensions.
    pub fn new(shape: Vec<usize>, elements: Elements) -> Result<Self, ShapeError> {
        let dimensions = shape.len().min(MAX_DIMENSIONS);
        ShapeError::check("number of dimensions", dimensions, shape.len())?;
        // A product beyond the address space is not the length of a vector.
        let expected = size(&shape).unwrap_or(usize::MAX);
        ShapeError::check("number of elements", expected, elements.len())?;
        Ok(Self { shape, elements })
    }

    /// The array of shape `(columns, rows)` of a matrix: row i of the array is column i.
    pub fn from_matrix<T: Element>(matrix: &DMatrix<T>) -> Self {
        Self {
            shape: vec![matrix.ncols(), matrix.nrows()],
            elements: T::store(matrix.as_slice().to_vec()),
        }
    }

    /// The array of shape `(n)` of n scalars.
    pub fn from_vector<T: Element>(vector: Vec<T>) -> Self {
        Self {
            shape: vec![vector.len()],
            elements: T::store(vector),
        }
    }

    /// The array of shape `()` of one scalar.
    pub fn from_scalar<T: Element>(scalar: T) -> Self {
        Self {
            shape: Vec::new(),
            elements: T::store(vec![scalar]),
        }
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements in C order.
    pub fn elements(&self) -> &Elements {
        &self.elements
    }

    /// The matrix whose columns are the rows of an array of two dimensions, `rows x columns` for
    /// the shape `(columns, rows)`.
    ///
    /// # Errors
    /// [`ArchiveError::Invalid`] if the array does not have two dimensions, or its elements are not
    /// of type T. An array of `f32` is converted to `f64`.
    pub fn to_matrix<T: Element>(&self) -> Result<DMatrix<T>, ArchiveError> {
        self.matrix_named("the array")
    }

    /// The scalars of an array of one dimension.
    ///
    /// # Errors
    /// [`ArchiveError::Invalid`] if the array does not have one dimension, or its elements are not
    /// of type T. An array of `f32` is converted to `f64`.
    pub fn to_vector<T: Element>(&self) -> Result<Vec<T>, ArchiveError> {
        self.vector_named("the array")
    }

    /// The matrix of an array with the given name in errors.
    pub(super) fn matrix_named<T: Element>(&self, what: &str) -> Result<DMatrix<T>, ArchiveError> {
        let elements = self.load(what)?;
        match self.shape[..] {
            [columns, rows] => Ok(DMatrix::from_vec(rows, columns, elements)),
            _ => Err(self.refused(what, "of 2 dimensions")),
        }
    }

    /// The scalars of an array with the given name in errors.
    pub(super) fn vector_named<T: Element>(&self, what: &str) -> Result<Vec<T>, ArchiveError> {
        if self.shape.len() == 1 {
            self.load(what)
        } else {
            Err(self.refused(what, "of 1 dimension"))
        }
    }

    /// The scalar of an array with the given name in errors.
    pub(super) fn scalar_named<T: Element>(&self, what: &str) -> Result<T, ArchiveError> {
        match (self.shape.len(), &self.load::<T>(what)?[..]) {
            (0, [x]) => Ok(*x),
            _ => Err(self.refused(what, "of 0 dimensions")),
        }
    }

    /// The integer of an array with the given name in errors.
    pub(super) fn integer_named(&self, what: &str) -> Result<i64, ArchiveError> {
        match (self.shape.len(), &self.elements) {
            (0, Elements::I64(x)) if x.len() == 1 => Ok(x[0]),
            _ => Err(self.refused(what, "int64 of 0 dimensions")),
        }
    }

    fn load<T: Element>(&self, what: &str) -> Result<Vec<T>, ArchiveError> {
        T::load(&self.elements)
            .ok_or_else(|| ArchiveError::invalid(what, T::NAME, self.elements.name()))
    }

    fn refused(&self, what: &str, required: &str) -> ArchiveError {
        let found = format!("{} of shape {:?}", self.elements.name(), self.shape);
        ArchiveError::invalid(what, required, found)
    }
}

/// The number of elements of a shape; `None` if it exceeds the range of `usize`.
pub(super) fn size(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1_usize, |size, &length| size.checked_mul(length))
}
