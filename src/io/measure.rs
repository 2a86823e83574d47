//! Measures in archives.

use nalgebra::DVector;

use super::archive::Archive;
use super::array::{Array, Element};
use super::failure::ArchiveError;
use super::{Archived, check_version, new_archive};
use crate::measure::EmpiricalMeasure;

/// The arrays `points`, `(m, p)`, and `weights`, `(m)`.
///
/// A file without `weights` is the uniform measure; other arrays are ignored. So the file of a
/// state, or one that was written by NumPy or PyTorch, is also that of a measure. The numbers are
/// validated as by [`EmpiricalMeasure::weighted`].
impl<T: Element> Archived for EmpiricalMeasure<T> {
    fn to_archive(&self) -> Result<Archive, ArchiveError> {
        let mut archive = new_archive("measure");
        insert(&mut archive, self);
        Ok(archive)
    }

    fn from_archive(archive: &Archive) -> Result<Self, ArchiveError> {
        check_version(archive)?;
        let points = archive.matrix(POINTS)?;
        let measure = match archive.get(WEIGHTS) {
            Some(_) => Self::weighted(points, DVector::from_vec(archive.vector(WEIGHTS)?)),
            None => Self::uniform(points),
        };
        Ok(measure?)
    }
}

pub(super) const POINTS: &str = "points";
pub(super) const WEIGHTS: &str = "weights";

/// Adds the arrays of a measure.
pub(super) fn insert<T: Element>(archive: &mut Archive, mu: &EmpiricalMeasure<T>) {
    archive.insert(POINTS, Array::from_matrix(mu.points()));
    archive.insert(WEIGHTS, Array::from_vector(mu.weights().to_vec()));
}
