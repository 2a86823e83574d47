//! Work arrays of one shape.

use nalgebra::DMatrix;

use crate::real::Real;

/// A pool of `p x m` fields, which allocates only when it is empty.
pub(super) struct Scratch<T> {
    shape: (usize, usize),
    fields: Vec<DMatrix<T>>,
}

impl<T: Real> Scratch<T> {
    /// A pool that starts with `fields`, all of the given shape.
    pub fn new(shape: (usize, usize), fields: Vec<DMatrix<T>>) -> Self {
        Self { shape, fields }
    }

    /// A field of unspecified content.
    pub fn take(&mut self) -> DMatrix<T> {
        self.fields
            .pop()
            .unwrap_or_else(|| DMatrix::zeros(self.shape.0, self.shape.1))
    }

    /// Returns fields to the pool.
    pub fn give(&mut self, fields: impl IntoIterator<Item = DMatrix<T>>) {
        self.fields.extend(fields);
    }

    /// All fields of the pool.
    pub fn into_fields(self) -> Vec<DMatrix<T>> {
        self.fields
    }
}
