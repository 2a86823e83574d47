//! Scratch memory of the batch operations.

use crate::numeric::angular_order::AngularOrder;
use crate::numeric::direction_tree::DirectionTree;
use crate::numeric::double_double::DoubleDouble;
use crate::numeric::packed::{Aligned, line};
use crate::real::Real;

/// Scratch memory of the batch operations: nothing is allocated after the first call on a shape.
///
/// The initial content of its slices is unspecified. No result depends on previous calls, so that
/// one workspace serves any maps and shapes in turn.
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
    sweep: SweepBuffers<T>,
    tree: TreeBuffers<T>,
}

impl<T> Default for Workspace<T> {
    fn default() -> Self {
        Self {
            buffer: Aligned::default(),
            inner: None,
            sweep: SweepBuffers::default(),
            tree: TreeBuffers::default(),
        }
    }
}

impl<T: Real> Workspace<T> {
    /// Returns disjoint slices of the given lengths with unspecified content.
    ///
    /// # Panics
    /// If the slices do not fit in memory.
    pub fn split<const N: usize>(&mut self, lens: [usize; N]) -> [&mut [T]; N] {
        split_at_lines(&mut self.buffer, lens)
    }

    /// The buffers of the angular sweep (`d = 2`).
    pub(super) fn sweep_buffers(&mut self) -> &mut SweepBuffers<T> {
        &mut self.sweep
    }

    /// The buffers of the dual tree (`d = 3, 4, 5`).
    pub(super) fn tree_buffers(&mut self) -> &mut TreeBuffers<T> {
        &mut self.tree
    }

    /// Like [`split`](Self::split), with a second workspace for operations called while the slices
    /// are in use.
    ///
    /// # Panics
    /// If the slices do not fit in memory.
    pub fn nest<const N: usize>(&mut self, lens: [usize; N]) -> ([&mut [T]; N], &mut Self) {
        let inner = self.inner.get_or_insert_default();
        (split_at_lines(&mut self.buffer, lens), inner)
    }
}

/// Splits the buffer into slices that start at cache lines.
fn split_at_lines<T: Real, const N: usize>(
    buffer: &mut Aligned<T>,
    lens: [usize; N],
) -> [&mut [T]; N] {
    let padded = |len: usize| len.next_multiple_of(line::<T>());
    // Lengths that overflow would wrap, and the slices below would be empty.
    let limit = isize::MAX as usize / size_of::<T>().max(1) / 2;
    let within = |total: &usize| *total <= limit;
    let total = lens.iter().try_fold(0_usize, |total, &len| {
        let len = Some(len).filter(within)?;
        total.checked_add(padded(len)).filter(within)
    });
    let total = total.unwrap_or_else(|| panic!("slices of lengths {lens:?} exceed the memory"));
    if buffer.len() < total {
        buffer.resize(total, T::zero());
    }
    let mut rest = buffer.as_mut_slice();
    lens.map(|len| {
        let (slice, tail) = std::mem::take(&mut rest).split_at_mut(padded(len));
        rest = tail;
        &mut slice[..len]
    })
}

/// The buffers of an angular sweep; the second and later calls with a shape do not allocate.
#[derive(Debug, Clone)]
pub(super) struct SweepBuffers<T> {
    /// The particles in the order of the angle of b.
    pub(super) particles: AngularOrder<T>,
    /// Prefix sums around the circle.
    pub(super) sums: Vec<DoubleDouble>,
    /// Sums over half planes, in the order of the angle of the vectors that bound them.
    pub(super) halves: Vec<[f64; 2]>,
}

impl<T> Default for SweepBuffers<T> {
    fn default() -> Self {
        Self {
            particles: AngularOrder::default(),
            sums: Vec::new(),
            halves: Vec::new(),
        }
    }
}

/// The buffers of a dual tree; the second and later calls with a shape do not allocate.
#[derive(Debug, Clone)]
pub(super) struct TreeBuffers<T> {
    /// The tree of the particles b.
    pub(super) particles: DirectionTree<T>,
    /// Weights of the sources and sums of their nodes.
    pub(super) sums: Aligned<T>,
    /// Results of the queries, in the order of their tree.
    pub(super) results: Aligned<T>,
    /// Lists of undecided nodes.
    pub(super) lists: Vec<u64>,
}

impl<T> Default for TreeBuffers<T> {
    fn default() -> Self {
        Self {
            particles: DirectionTree::default(),
            sums: Aligned::default(),
            results: Aligned::default(),
            lists: Vec::new(),
        }
    }
}
