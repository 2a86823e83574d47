//! Weighted point clouds in the solver's units, ordered along a k-d tree and coarsened cell by
//! cell.

use crate::measure::EmpiricalMeasure;
use crate::real::{Real, to_f64};

/// Number of points up to which a cloud is not coarsened.
const COARSEST: usize = 64;
/// Points of a k-d cell that become one point of the next coarser level.
const CELL: usize = 4;

/// Points with integer masses; neighbours in the order are close in space.
#[derive(Debug, Clone)]
pub(super) struct Cloud {
    pub(super) dim: usize,
    /// One point after the other, `dim` coordinates each.
    pub(super) points: Vec<f64>,
    /// Masses in units of the quantum of mass.
    pub(super) mass: Vec<i64>,
}

impl Cloud {
    /// The atoms of positive mass relative to `centre`, with their indices in the measure.
    ///
    /// `by_cells` sorts them along a k-d tree, and otherwise they keep the order of the measure.
    pub(super) fn new<T: Real>(
        mu: &EmpiricalMeasure<T>,
        mass: &[i64],
        centre: &[f64],
        by_cells: bool,
    ) -> (Self, Vec<usize>) {
        let mut index: Vec<usize> = (0..mu.len()).filter(|&i| mass[i] > 0).collect();
        if by_cells {
            sort_by_cells(&mut index, &|i| mu.particle(i));
        }
        let mut points = Vec::with_capacity(index.len() * mu.dim());
        for &i in &index {
            let coordinates = mu.particle(i).iter().zip(centre);
            points.extend(coordinates.map(|(&w, centre)| to_f64(w) - centre));
        }
        let cloud = Self {
            dim: mu.dim(),
            points,
            mass: index.iter().map(|&i| mass[i]).collect(),
        };
        (cloud, index)
    }

    pub(super) fn len(&self) -> usize {
        self.mass.len()
    }

    /// The point of index `i`.
    pub(super) fn point(&self, i: usize) -> &[f64] {
        &self.points[i * self.dim..][..self.dim]
    }

    /// Whether the cloud is small enough to be the coarsest level.
    pub(super) fn is_coarsest(&self) -> bool {
        self.len() <= COARSEST
    }

    /// The next coarser level: each k-d cell of [`CELL`] points is replaced by its centre of mass.
    pub(super) fn coarsen(&self) -> Self {
        if self.is_coarsest() {
            return self.clone();
        }
        let mut mass = Vec::with_capacity(self.len().div_ceil(CELL));
        let mut points = Vec::with_capacity(mass.capacity() * self.dim);
        let cells = self.points.chunks(CELL * self.dim);
        for (x, c) in cells.zip(self.mass.chunks(CELL)) {
            let sum: i64 = c.iter().sum();
            let start = points.len();
            points.resize(start + self.dim, 0.0);
            for (x, &c) in x.chunks_exact(self.dim).zip(c) {
                let share = c as f64 / sum as f64;
                for (z, x) in points[start..].iter_mut().zip(x) {
                    *z += share * x;
                }
            }
            mass.push(sum);
        }
        Self {
            dim: self.dim,
            points,
            mass,
        }
    }
}

/// Orders points by the cells of a k-d tree that splits the widest side near the median.
///
/// The left part of a split holds a power of two of points, so that consecutive groups of 4, 16, ..
/// points are cells.
fn sort_by_cells<'a, T: Real>(index: &mut [usize], point: &impl Fn(usize) -> &'a [T]) {
    if index.len() < 2 {
        return;
    }
    let axis = widest_axis(index, point);
    let half = 1 << (2 * index.len() / 3).ilog2();
    index.select_nth_unstable_by(half, |&i, &j| {
        let order = point(i)[axis].partial_cmp(&point(j)[axis]);
        order.unwrap_or(std::cmp::Ordering::Equal).then(i.cmp(&j))
    });
    let (left, right) = index.split_at_mut(half);
    sort_by_cells(left, point);
    sort_by_cells(right, point);
}

/// The first axis along which the bounding box of the points is widest.
fn widest_axis<'a, T: Real>(index: &[usize], point: &impl Fn(usize) -> &'a [T]) -> usize {
    let (mut low, mut high) = (point(index[0]).to_vec(), point(index[0]).to_vec());
    for &i in &index[1..] {
        for ((low, high), &x) in low.iter_mut().zip(&mut high).zip(point(i)) {
            if x < *low {
                *low = x;
            }
            if x > *high {
                *high = x;
            }
        }
    }
    let mut axis = 0;
    for k in 1..low.len() {
        if high[k] - low[k] > high[axis] - low[axis] {
            axis = k;
        }
    }
    axis
}
