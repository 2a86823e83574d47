//! The sample points `x_1, .., x_n` at which features are evaluated.

use std::sync::OnceLock;

use nalgebra::DMatrix;

use crate::error::{RiskError, ShapeError};
use crate::numeric::angular_order::AngularOrder;
use crate::numeric::direction_tree::DirectionTree;
use crate::numeric::packed::Lines;
use crate::real::{Real, to_f64};

/// The sample points `x_1, .., x_n` in `R^d`: the columns of a finite `d x n` matrix, `d, n >= 1`.
///
/// Coordinates are validated once, at construction or in [`refill`](Self::refill). Feature maps
/// therefore need no checks in their inner loops.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let x = Inputs::from_slice(2, &[1.0, 2.0, 3.0, 4.0])?;
/// assert_eq!((x.dim(), x.len(), x.point(1)), (2, 2, &[3.0, 4.0][..]));
///
/// let bad = Inputs::from_slice(2, &[1.0, f64::INFINITY]).unwrap_err();
/// assert_eq!(bad.to_string(), "sample 0, coordinate 1 must be finite, found inf");
/// # Ok::<(), RiskError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Inputs<T> {
    points: DMatrix<T>,
    /// Receives the new points in `refill` until they are validated, so that an error changes
    /// nothing. Empty before the first refill.
    unchecked: Vec<T>,
    /// The points in the cache-aligned layout of the fused kernels, computed on first use.
    packed: OnceLock<Lines<T>>,
    /// The points sorted by angle, for the angular sweep (`d = 2`), computed on first use.
    angular_order: OnceLock<AngularOrder<T>>,
    /// The tree of their directions, for the dual tree (`d = 3, 4, 5`), built on first use.
    direction_tree: OnceLock<DirectionTree<T>>,
}

impl<T: Real> Inputs<T> {
    /// The columns of `points` (`d x n`) as sample points.
    ///
    /// # Errors
    /// [`RiskError::Empty`] if `d = 0` or `n = 0`; [`RiskError::Input`] with the first non-finite
    /// coordinate.
    pub fn new(points: DMatrix<T>) -> Result<Self, RiskError> {
        let (dim, len) = points.shape();
        if dim == 0 || len == 0 {
            return Err(RiskError::Empty { dim, len });
        }
        check(points.as_slice(), dim)?;
        Ok(Self {
            points,
            unchecked: Vec::new(),
            packed: OnceLock::new(),
            angular_order: OnceLock::new(),
            direction_tree: OnceLock::new(),
        })
    }

    /// The sample points stored contiguously in `points`, `dim` coordinates each.
    ///
    /// # Errors
    /// As [`Inputs::new`]; [`RiskError::Shape`] if the length is not a multiple of `dim`.
    pub fn from_slice(dim: usize, points: &[T]) -> Result<Self, RiskError> {
        let len = points.len();
        if dim == 0 {
            return Err(RiskError::Empty { dim, len });
        }
        let n = len.div_ceil(dim);
        let what = "length of the points, a multiple of their dimension,";
        ShapeError::check(what, n * dim, len)?;
        Self::new(DMatrix::from_column_slice(dim, n, points))
    }

    /// Replaces all points: `fill(j, x_j)` overwrites the slice of point j, which initially holds
    /// the previous point.
    ///
    /// A risk that resamples its minibatch in every step calls this method. It allocates nothing
    /// after its first call.
    ///
    /// ```
    /// use wasserflow::prelude::*;
    ///
    /// let mut x = Inputs::from_slice(1, &[1.0, 2.0])?;
    /// x.refill(|j, x| x[0] = j as f64)?;
    /// assert_eq!(x.point(1), &[1.0]);
    /// # Ok::<(), wasserflow::prelude::RiskError>(())
    /// ```
    ///
    /// # Errors
    /// [`RiskError::Input`] if a new coordinate is not finite; all points are then unchanged.
    pub fn refill(&mut self, fill: impl FnMut(usize, &mut [T])) -> Result<(), RiskError> {
        self.stage(fill)?;
        self.commit();
        Ok(())
    }

    /// The first half of [`refill`](Self::refill): writes new points beside the current ones and
    /// validates them.
    pub(crate) fn stage(&mut self, mut fill: impl FnMut(usize, &mut [T])) -> Result<(), RiskError> {
        let d = self.dim();
        self.unchecked.resize(self.points.len(), T::zero());
        self.unchecked.copy_from_slice(self.points.as_slice());
        for (j, x) in self.unchecked.chunks_exact_mut(d).enumerate() {
            fill(j, x);
        }
        check(&self.unchecked, d)
    }

    /// The second half of [`refill`](Self::refill), after a [`stage`](Self::stage) without error.
    pub(crate) fn commit(&mut self) {
        self.points.as_mut_slice().copy_from_slice(&self.unchecked);
        self.update_layouts();
    }

    /// Replaces point j by point `samples[j]` of other inputs of the same dimension.
    pub(crate) fn select(&mut self, from: &Self, samples: &[usize]) {
        let d = self.dim();
        for (x, &j) in self.points.as_mut_slice().chunks_exact_mut(d).zip(samples) {
            x.copy_from_slice(from.point(j));
        }
        self.update_layouts();
    }

    /// Rebuilds the layouts of the kernels from new points.
    fn update_layouts(&mut self) {
        let d = self.dim();
        // Only layouts that have been requested are rebuilt, in their existing buffers.
        if let Some(packed) = self.packed.get_mut() {
            packed.fill(self.points.as_slice(), d);
        }
        if let Some(order) = self.angular_order.get_mut() {
            order.fill(self.points.as_slice());
        }
        if let Some(tree) = self.direction_tree.get_mut() {
            tree.fill(self.points.as_slice(), d);
        }
    }

    /// `d`, the number of coordinates of a sample.
    #[inline]
    pub fn dim(&self) -> usize {
        self.points.nrows()
    }

    /// `n`, the number of samples.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "there is at least one sample")]
    pub fn len(&self) -> usize {
        self.points.ncols()
    }

    /// The sample `x_j`.
    ///
    /// # Panics
    /// If `j >= n`, as indexing does.
    #[inline]
    pub fn point(&self, j: usize) -> &[T] {
        let (d, n) = self.points.shape();
        assert!(j < n, "index {j} of a sample must be below {n}"); // j d may overflow
        &self.points.as_slice()[j * d..][..d]
    }

    /// The samples sorted by angle (`d = 2` only).
    pub(crate) fn angular_order(&self) -> &AngularOrder<T> {
        debug_assert_eq!(self.dim(), 2, "angles are defined in the plane");
        self.angular_order.get_or_init(|| {
            let mut order = AngularOrder::default();
            order.fill(self.points.as_slice());
            order
        })
    }

    /// The tree of the directions of the samples.
    pub(crate) fn direction_tree(&self) -> &DirectionTree<T> {
        self.direction_tree.get_or_init(|| {
            let mut tree = DirectionTree::default();
            tree.fill(self.points.as_slice(), self.dim());
            tree
        })
    }

    /// The samples in the cache-aligned layout of the fused kernels.
    pub(crate) fn packed(&self) -> &Lines<T> {
        self.packed.get_or_init(|| {
            let mut packed = Lines::default();
            packed.fill(self.points.as_slice(), self.dim());
            packed
        })
    }

    /// All samples as the columns of a `d x n` matrix.
    #[inline]
    pub fn points(&self) -> &DMatrix<T> {
        &self.points
    }
}

/// Returns an error for the first coordinate that is not finite.
fn check<T: Real>(points: &[T], dim: usize) -> Result<(), RiskError> {
    let Some(i) = points.iter().position(|x| !x.is_finite()) else {
        return Ok(());
    };
    Err(RiskError::Input {
        sample: i / dim,
        coordinate: i % dim,
        value: to_f64(points[i]),
    })
}

/// Appends the coordinate 1 to every sample, `x -> (x, 1)`, to represent neurons with a bias.
///
/// For `b = (b', beta)` in `R^(d+1)` the preactivation is `b.(x, 1) = b'.x + beta`. Maps a `d x n`
/// matrix to a `(d + 1) x n` matrix. Panics if the result does not fit in memory.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let x = with_bias(DMatrix::from_column_slice(1, 2, &[5.0, 6.0]));
/// assert_eq!(x.as_slice(), &[5.0, 1.0, 6.0, 1.0]);
/// ```
pub fn with_bias<T: Real>(x: DMatrix<T>) -> DMatrix<T> {
    let d = x.nrows();
    x.insert_row(d, T::one())
}
