//! Fields to work in, all of one shape.

use nalgebra::DMatrix;

use crate::real::Real;

/// A pool of `p x m` fields: allocates only when it is empty.
pub(super) struct Scratch<T> {
    shape: (usize, usize),
    fields: Vec<DMatrix<T>>,
}

impl<T: Real> Scratch<T> {
    /// A pool that starts from `fields`, all of the given shape.
    pub fn new(shape: (usize, usize), fields: Vec<DMatrix<T>>) -> Self {
        Self { shape, fields }
    }

    /// A field of unspecified content.
    pub fn take(&mut self) -> DMatrix<T> {
        self.fields
            .pop()
            .unwrap_or_else(|| DMatrix::zeros(self.shape.0, self.shape.1))
    }

    /// Gives fields back.
    pub fn give(&mut self, fields: impl IntoIterator<Item = DMatrix<T>>) {
        self.fields.extend(fields);
    }

    /// All fields.
    pub fn into_fields(self) -> Vec<DMatrix<T>> {
        self.fields
    }
}
