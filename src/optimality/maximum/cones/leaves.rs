//! The cones that one search leaves for the next.

/// Cones kept at most: 20 MiB for `d = 6`.
const MAX_LEAVES: usize = 1 << 16;

/// The samples of the kept cones, in those of a search from the start, up to which they are used.
///
/// Measured for changes of 0.1 %: 0.7 of the cones, and of the time for n = 200 (a ratio of 1.6), but
/// the same time for n = 1000 (a ratio of 3).
const LARGEST_RATIO: usize = 2;

/// A cone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaf<const D: usize> {
    pub(super) v: [[f64; D]; D],
    pub(super) sign: f64,
    pub(super) cover: f64,
}

/// Cones that cover the space, with both signs of g for one output.
///
/// After a small change of g nearly the same cones are decided, and the bounds of larger ones are
/// not computed again. The bounds are valid for any g, because the cones cover the space.
#[derive(Debug, Clone)]
pub(in crate::optimality) struct Cones {
    d: usize,
    k: usize,
    /// `v`, the sign and the error of the cover: `d^2 + 2` numbers for a cone.
    numbers: Vec<f64>,
    /// The samples of all cones that were split in a search from the start: its work.
    pub(super) samples: usize,
}

impl Cones {
    /// The cones, if they are of this dimension and number of outputs, and a search that starts from
    /// them is cheaper: all n samples may cross each of them, but only few those of a search from the
    /// start.
    pub(super) fn leaves<const D: usize>(&self, k: usize, n: usize) -> Option<Vec<Leaf<D>>> {
        let parts = self.numbers.chunks_exact(self.d * self.d + 2);
        if (self.d, self.k) != (D, k) || parts.len() * n > LARGEST_RATIO * self.samples {
            return None;
        }
        let leaf = |part: &[f64]| Leaf {
            v: std::array::from_fn(|i| std::array::from_fn(|r| part[i * D + r])),
            sign: part[D * D],
            cover: part[D * D + 1],
        };
        Some(parts.map(leaf).collect())
    }
}

/// The cones that a search has decided.
#[derive(Debug, Default)]
pub(super) struct Leaves<const D: usize> {
    numbers: Vec<f64>,
    len: usize,
}

impl<const D: usize> Leaves<D> {
    pub(super) fn push(&mut self, leaf: &Leaf<D>) {
        self.len += 1;
        if self.len <= MAX_LEAVES {
            self.numbers.extend(leaf.v.as_flattened());
            self.numbers.extend([leaf.sign, leaf.cover]);
        }
    }

    /// The cones, unless they are too many.
    pub(super) fn into_memory(self, k: usize, samples: usize) -> Option<Cones> {
        (self.len <= MAX_LEAVES).then_some(Cones {
            d: D,
            k,
            numbers: self.numbers,
            samples,
        })
    }
}
