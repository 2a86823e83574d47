//! A simplicial cone, its samples, and its bound.

use std::cmp::Ordering;

use super::leaves::Leaf;
use crate::numeric::error_bounds::CompensatedSum;

/// A simplicial cone, the combinations of D vertices with coefficients of at least 0.
#[derive(Debug, Clone)]
pub(super) struct Cell<const D: usize> {
    /// Unit vectors, all in one orthant.
    pub(super) v: [[f64; D]; D],
    /// The linear part of g on the cone: L and the samples of positive products, `k x D`.
    pub(super) a: Vec<CompensatedSum>,
    /// Samples whose products with the vertices have both signs.
    pub(super) crossing: Vec<u32>,
    /// For one output, the sign s of the bounded function `s g`.
    pub(super) sign: f64,
    /// The maximiser of the bound.
    pub(super) y: [f64; D],
    /// An upper bound of `|g|`, rounding errors included.
    pub(super) upper: f64,
    /// The same without rounding errors.
    pub(super) estimate: f64,
    /// The largest distance of a unit vector of the first cone to this part and the others.
    pub(super) cover: f64,
    /// `sum_j c_j max_i |v_i.x_j|` over the convex samples that cross the cone within the tolerance.
    pub(super) tolerated: f64,
    pub(super) depth: u32,
    pub(super) split: Split,
}

/// The point at which an edge is split: `(1 - s) v_p + s v_q`, in a unit of length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Split {
    pub(super) p: usize,
    pub(super) q: usize,
    pub(super) s: f64,
}

impl<const D: usize> PartialEq for Cell<D> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl<const D: usize> Eq for Cell<D> {}
impl<const D: usize> PartialOrd for Cell<D> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
/// By the bound, as the heap needs.
impl<const D: usize> Ord for Cell<D> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.upper.total_cmp(&other.upper)
    }
}

impl<const D: usize> Cell<D> {
    /// The cone without its bound.
    pub(super) fn leaf(&self) -> Leaf<D> {
        Leaf {
            v: self.v,
            sign: self.sign,
            cover: self.cover,
        }
    }
}
