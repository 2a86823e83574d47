//! Scratch memory of the batch methods.

use crate::real::Real;

/// Scratch memory that grows once: nothing is allocated after the first call on a shape.
///
/// What a slice of it holds at first is unspecified. A workspace carries no meaning from one call to the next.
///
/// ```
/// use wasserflow::Workspace;
///
/// let mut ws = Workspace::<f64>::default();
/// let [h, g] = ws.split([3, 5]);
/// assert_eq!((h.len(), g.len()), (3, 5));
/// ```
#[derive(Debug, Clone)]
pub struct Workspace<T> {
    buffer: Vec<T>,
    inner: Option<Box<Workspace<T>>>,
}

impl<T> Default for Workspace<T> {
    fn default() -> Self {
        Self { buffer: Vec::new(), inner: None }
    }
}

impl<T: Real> Workspace<T> {
    /// Disjoint slices of the given lengths, of unspecified content.
    pub fn split<const N: usize>(&mut self, lens: [usize; N]) -> [&mut [T]; N] {
        carve(&mut self.buffer, lens)
    }

    /// As [`split`](Self::split), and a further workspace for what is called while the slices are held.
    pub fn nest<const N: usize>(&mut self, lens: [usize; N]) -> ([&mut [T]; N], &mut Self) {
        (carve(&mut self.buffer, lens), self.inner.get_or_insert_default())
    }
}

fn carve<T: Real, const N: usize>(buffer: &mut Vec<T>, lens: [usize; N]) -> [&mut [T]; N] {
    let total = lens.iter().sum();
    if buffer.len() < total {
        buffer.resize(total, T::zero());
    }
    let mut rest = buffer.as_mut_slice();
    lens.map(|len| {
        let (slice, tail) = std::mem::take(&mut rest).split_at_mut(len);
        rest = tail;
        slice
    })
}
