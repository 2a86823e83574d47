//! Weighted point clouds in the solver's units, ordered along a k-d tree and coarsened cell by
//! cell.

use super::masses::Mass;
use super::power::Power;
use crate::numeric::vector::dot;

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
    pub(super) mass: Vec<Mass>,
}

impl Cloud {
    /// A cloud without points.
    pub(super) fn empty(dim: usize) -> Self {
        Self {
            dim,
            points: Vec::new(),
            mass: Vec::new(),
        }
    }

    /// The centre of mass.
    pub(super) fn mean(&self) -> Vec<f64> {
        let total: Mass = self.mass.iter().sum();
        let mut mean = vec![0.0; self.dim];
        for (x, &c) in self.points.chunks_exact(self.dim).zip(&self.mass) {
            let share = c as f64 / total as f64;
            for (mean, x) in mean.iter_mut().zip(x) {
                *mean += share * x;
            }
        }
        mean
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
            let cell = Self {
                dim: self.dim,
                points: x.to_vec(),
                mass: c.to_vec(),
            };
            points.append(&mut cell.mean());
            mass.push(c.iter().sum());
        }
        Self {
            dim: self.dim,
            points,
            mass,
        }
    }
}

/// Potentials that are optimal if `y` is a translation of `x`, for p = 2; otherwise 0.
///
/// With centred points X and Y and the difference s of the means,
/// `|x - y|^2 = |X - Y|^2 + (2 <X, s> + |s|^2) - 2 <Y, s>`.
pub(super) fn potentials_of_means(x: &Cloud, y: &Cloud, power: Power) -> (Vec<f64>, Vec<f64>) {
    if !power.is_square() {
        return (vec![0.0; x.len()], vec![0.0; y.len()]);
    }
    let (m_x, m_y) = (x.mean(), y.mean());
    let s: Vec<f64> = m_x.iter().zip(&m_y).map(|(a, b)| a - b).collect();
    let product = |z: &[f64], mean: &[f64]| -> f64 {
        let terms = z.iter().zip(mean).zip(&s);
        terms.map(|((z, mean), s)| 2.0 * (z - mean) * s).sum()
    };
    let rows = x.points.chunks_exact(x.dim);
    let columns = y.points.chunks_exact(y.dim);
    (
        rows.map(|x| product(x, &m_x) + dot(&s, &s)).collect(),
        columns.map(|y| -product(y, &m_y)).collect(),
    )
}

/// Orders points by the cells of a k-d tree that splits the widest side near the median.
///
/// The left part of a split holds a power of two of points, so that consecutive groups of 4, 16, ..
/// points are cells.
pub(super) fn sort_by_cells<'a>(index: &mut [usize], point: &impl Fn(usize) -> &'a [f64]) {
    if index.len() < 2 {
        return;
    }
    let axis = widest_axis(index, point);
    let half = 1 << (2 * index.len() / 3).ilog2();
    index.select_nth_unstable_by(half, |&i, &j| {
        point(i)[axis].total_cmp(&point(j)[axis]).then(i.cmp(&j))
    });
    let (left, right) = index.split_at_mut(half);
    sort_by_cells(left, point);
    sort_by_cells(right, point);
}

/// The first axis along which the bounding box of the points is widest.
fn widest_axis<'a>(index: &[usize], point: &impl Fn(usize) -> &'a [f64]) -> usize {
    let (mut low, mut high) = (point(index[0]).to_vec(), point(index[0]).to_vec());
    for &i in &index[1..] {
        for ((low, high), &x) in low.iter_mut().zip(&mut high).zip(point(i)) {
            *low = low.min(x);
            *high = high.max(x);
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
