//! Sums over half spaces, for positively 1-homogeneous activations in small dimension.

use super::super::Workspace;
use super::angular_sweep::{self, AngularSweep};
use super::dual_tree::{self, DualTree};
use crate::activation::Slopes;
use crate::inputs::Inputs;
use crate::real::Real;

/// A method with less than `n m` operations.
#[derive(Debug)]
pub(super) enum HalfSpaces<'a, T> {
    /// In the plane.
    Sweep(AngularSweep<'a, T>),
    /// For `d = 3, 4, 5`.
    Tree(DualTree<'a, T>),
}

impl<'a, T: Real> HalfSpaces<'a, T> {
    /// The method for the particles `w` with k outputs and the samples x, if one is applicable and
    /// faster than the tiles.
    pub(super) fn new(
        slopes: Option<Slopes<T>>,
        w: &'a [T],
        k: usize,
        x: &'a Inputs<T>,
    ) -> Option<Self> {
        let slopes = slopes?;
        let (n, d) = (x.len(), x.dim());
        let m = w.len() / (k + d);
        if d == 2 && angular_sweep::is_profitable::<T>(n, m) {
            let samples = x.angular_order();
            return Some(Self::Sweep(AngularSweep {
                samples,
                w,
                k,
                slopes,
            }));
        }
        let fused = k == 1 && slopes.zero == slopes.negative;
        if dual_tree::is_profitable::<T>(n, m, d, fused) {
            let samples = x.direction_tree();
            return Some(Self::Tree(DualTree {
                samples,
                w,
                k,
                slopes,
            }));
        }
        None
    }

    /// Sorts the particles. Required once before the other methods, which need not be called if
    /// this one returns false.
    #[must_use]
    pub(super) fn sort(&self, ws: &mut Workspace<T>) -> bool {
        match self {
            Self::Sweep(sweep) => {
                sweep.sort(ws.sweep_buffers());
                true
            }
            Self::Tree(tree) => tree.sort(ws.tree_buffers()),
        }
    }

    /// `h(x_j) = sum_i c_i a_i sigma(b_i . x_j)` into `out` (`k x n`).
    ///
    /// Returns false, with `out` unspecified, if a sum overflows; the sums over tiles may still be
    /// finite.
    #[must_use]
    pub(super) fn predict(&self, c: &[T], out: &mut [T], ws: &mut Workspace<T>) -> bool {
        match self {
            Self::Sweep(sweep) => sweep.predict(c, out, ws.sweep_buffers()),
            Self::Tree(tree) => tree.predict(c, out, ws.tree_buffers()),
        }
    }

    /// The linear functional of `g` and minus its gradient, as
    /// [`Neurons::variation`](super::Neurons::variation); `values` may be empty.
    ///
    /// Returns false, with the outputs unspecified, if a sum overflows; the sums over tiles may
    /// still be finite.
    #[must_use]
    pub(super) fn variation(
        &self,
        g: &[T],
        values: &mut [T],
        descent: &mut [T],
        ws: &mut Workspace<T>,
    ) -> bool {
        match self {
            Self::Sweep(sweep) => sweep.variation(g, values, descent, ws.sweep_buffers()),
            Self::Tree(tree) => tree.variation(g, values, descent, ws.tree_buffers()),
        }
    }
}
