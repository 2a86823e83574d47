//! The sample points `x_1, .., x_n`, checked once.

use nalgebra::DMatrix;

use crate::error::{RiskError, ShapeError};
use crate::real::{Real, to_f64};

use crate::numeric::angular_order::Circle;
use crate::numeric::packed::Lines;

/// The sample points `x_j` in `R^d`: the columns of a `d x n` matrix, finite, `n >= 1`.
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
    /// Where `refill` writes, so that a refused refill changes nothing. Empty until the first.
    spare: Vec<T>,
    /// The points in lines, for the kernels.
    lines: Lines<T>,
    /// In the plane, the points in the order of their angle, for the planar sweep.
    circle: Circle<T>,
}

impl<T: Real> Inputs<T> {
    /// The columns of `points` (`d x n`).
    ///
    /// # Errors
    /// [`RiskError::Empty`], or [`RiskError::Input`] naming the first coordinate that is not finite.
    pub fn new(points: DMatrix<T>) -> Result<Self, RiskError> {
        let (dim, len) = points.shape();
        if dim == 0 || len == 0 {
            return Err(RiskError::Empty { dim, len });
        }
        check(points.as_slice(), dim)?;
        let mut lines = Lines::default();
        lines.fill(points.as_slice(), dim);
        let mut circle = Circle::default();
        if dim == 2 {
            circle.fill(points.as_slice());
        }
        Ok(Self {
            points,
            spare: Vec::new(),
            lines,
            circle,
        })
    }

    /// The points `x_1, x_2, ..` one after the other, `dim` coordinates each.
    ///
    /// # Errors
    /// As [`Inputs::new`]; [`RiskError::Shape`] when the length is no multiple of `dim`.
    pub fn from_slice(dim: usize, points: &[T]) -> Result<Self, RiskError> {
        if dim == 0 {
            return Err(RiskError::Empty {
                dim,
                len: points.len(),
            });
        }
        let n = points.len() / dim;
        if n * dim != points.len() {
            let what = "length of the points, a multiple of their dimension,";
            return Err(ShapeError {
                what,
                expected: (n + 1) * dim,
                found: points.len(),
            }
            .into());
        }
        Self::new(DMatrix::from_column_slice(dim, n, points))
    }

    /// Replaces every point: `fill(j, x_j)` writes point j, whose slice holds the older points when it is called.
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
    /// [`RiskError::Input`] when a new coordinate is not finite; the points then stay as they were.
    pub fn refill(&mut self, mut fill: impl FnMut(usize, &mut [T])) -> Result<(), RiskError> {
        let d = self.dim();
        self.spare.resize(self.points.len(), T::zero());
        self.spare.copy_from_slice(self.points.as_slice());
        for (j, x) in self.spare.chunks_exact_mut(d).enumerate() {
            fill(j, x);
        }
        check(&self.spare, d)?;
        self.points.as_mut_slice().copy_from_slice(&self.spare);
        self.lines.fill(self.points.as_slice(), d);
        if d == 2 {
            self.circle.fill(&self.spare);
        }
        Ok(())
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
    /// When `j >= n`, as indexing does.
    #[inline]
    pub fn point(&self, j: usize) -> &[T] {
        let d = self.dim();
        &self.points.as_slice()[j * d..(j + 1) * d]
    }

    /// The samples of the plane (`d = 2`) in the order of their angle.
    #[inline]
    pub(crate) fn circle(&self) -> &Circle<T> {
        &self.circle
    }

    /// The samples in lines.
    #[inline]
    pub(crate) fn lines(&self) -> &Lines<T> {
        &self.lines
    }

    /// All samples, `d x n`, one a column.
    #[inline]
    pub fn points(&self) -> &DMatrix<T> {
        &self.points
    }
}

fn check<T: Real>(points: &[T], dim: usize) -> Result<(), RiskError> {
    match points.iter().position(|x| !x.is_finite()) {
        Some(i) => Err(RiskError::Input {
            sample: i / dim,
            coordinate: i % dim,
            value: to_f64(points[i]),
        }),
        None => Ok(()),
    }
}

/// Appends the coordinate 1 to every sample, `x -> (x, 1)`, so that `b.(x, 1) = b'.x + b_{d+1}` has a bias.
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
