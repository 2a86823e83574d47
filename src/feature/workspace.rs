//! Scratch memory of the batch operations.

use super::compute::Planar;
use crate::numeric::packed::{Aligned, line};
use crate::real::Real;

/// Scratch memory of the batch operations: nothing is allocated after the first call on a shape.
///
/// The initial content of its slices is unspecified. Nothing is carried from one call to the next, so that one workspace
/// serves any maps and shapes in turn.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let mut ws = Workspace::<f64>::default();
/// let [h, g] = ws.split([3, 5]);
/// assert_eq!((h.len(), g.len()), (3, 5));
/// ```
#[derive(Debug, Clone)]
pub struct Workspace<T> {
    buffer: Aligned<T>,
    inner: Option<Box<Workspace<T>>>,
    planar: Planar<T>,
}

impl<T> Default for Workspace<T> {
    fn default() -> Self {
        Self {
            buffer: Aligned::default(),
            inner: None,
            planar: Planar::default(),
        }
    }
}

impl<T: Real> Workspace<T> {
    /// Returns disjoint slices of the given lengths with unspecified content.
    pub fn split<const N: usize>(&mut self, lens: [usize; N]) -> [&mut [T]; N] {
        carve(&mut self.buffer, lens)
    }

    /// The buffers of the angular sweep (`d = 2`).
    pub(super) fn planar(&mut self) -> &mut Planar<T> {
        &mut self.planar
    }

    /// Like [`split`](Self::split), with a second workspace for operations called while the slices are in use.
    pub fn nest<const N: usize>(&mut self, lens: [usize; N]) -> ([&mut [T]; N], &mut Self) {
        (
            carve(&mut self.buffer, lens),
            self.inner.get_or_insert_default(),
        )
    }
}

/// Splits the buffer into slices that start at cache lines.
fn carve<T: Real, const N: usize>(buffer: &mut Aligned<T>, lens: [usize; N]) -> [&mut [T]; N] {
    let whole = lens.map(|len| len.next_multiple_of(line::<T>()));
    let total = whole.iter().sum();
    if buffer.len() < total {
        buffer.resize(total, T::zero());
    }
    let mut rest = buffer.as_mut_slice();
    let mut lens = lens.into_iter();
    whole.map(|whole| {
        let (slice, tail) = std::mem::take(&mut rest).split_at_mut(whole);
        rest = tail;
        &mut slice[..lens.next().unwrap_or(whole)]
    })
}
