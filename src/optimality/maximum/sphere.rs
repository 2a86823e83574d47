//! `max |g|` over the unit sphere of `R^3`: branch and bound over the cells between the great
//! circles `b.x_j = 0`.
//!
//! Source of the scheme: A. H. Land and A. G. Doig, An automatic method of solving discrete
//! programming problems, 1960.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::space::{
    SpaceDirection, combination, cross, leading_singular_vector, maximise_on_edge, unit,
};
use crate::numeric::error_bounds::{CompensatedSum, EPS};
use crate::numeric::vector::{dot, norm};
use crate::optimality::certificate::Bound;
use crate::optimality::effort::Limits;
use crate::optimality::piecewise_linear::{PiecewiseLinearMap, image_norm};

/// The number of classified circles, over all cells, after which the search stops: the cells then
/// hold at most 1 GiB of indices.
const MAX_CLASSIFIED: usize = 1 << 28;

/// The excess of the bound over the largest value found, in units of `EPS size`, at which the
/// search ends: below the error of the bounds.
const SLACK: f64 = 16.0;

/// The value of `b.x` up to which a circle does not cross a cell: the rounding error of corners and
/// products.
const CROSSING_TOLERANCE: f64 = 16.0 * EPS;

/// The value of `b.x` up to which a corner lies on the circle of a cut.
const CORNER_TOLERANCE: f64 = 4.0 * EPS;

/// The value of `b.(p x q)` up to which b lies on the edge from p to q.
const EDGE_TOLERANCE: f64 = 8.0 * EPS;

/// The result of the search: `2^-e |g| <= upper + error EPS size` on the unit sphere.
pub(super) struct BoundedMaximum {
    pub(super) upper: f64,
    /// The allowance for rounding errors, in units of `EPS size`.
    pub(super) error: f64,
    /// The direction of the largest value found.
    pub(super) maximizer: SpaceDirection,
    /// `Exact`, or `Truncated` if the search stopped early.
    pub(super) bound: Bound,
}

/// The error of the bounds on cells of the given depth, in units of `EPS size`, for k outputs.
///
/// - 4: the scaled samples and coefficients of the map.
/// - 6: the entries of A. Every term enters with slopes of sum at most 2; products and sums have an
///   error of EPS each.
/// - 63: signs. A circle is decided if `b.x_j >= -18 EPS` at the corners. A unit vector of the cell
///   is a combination of them with coefficients of sum at most `sqrt 3`, because all are in one
///   octant. A wrong sign changes `g` by `2 |u_j| |b.x_j|` at most.
/// - `2 k + 32`: `|A b|`, the leading singular vector, and the maxima on edges.
/// - 9 for each cut: its corners are within `1.5 EPS` of an edge, so that a strip of width `3 EPS`
///   may be missed; `g` changes by `3 EPS size` across it, and signs by twice as much.
fn error(k: usize, depth: usize) -> f64 {
    (112 + 2 * k + 9 * depth) as f64
}

/// A convex cell of the sphere.
///
/// On it `g(b) = A b + sum_{j undecided} u_j (s_+ - s_-)/2 |b.x_j|`. `A` (`k x 3`) has the slope
/// `s_+` or `s_-` of every circle that does not cross the cell, and the mean slope of the undecided
/// ones, which may cross it.
struct Cell {
    /// Corners, in order round the cell.
    corners: Vec<SpaceDirection>,
    a: Vec<CompensatedSum>,
    undecided: Vec<u32>,
    /// An upper bound of `|g|` on the cell, up to rounding.
    upper: f64,
    depth: usize,
}

/// Bounds on `|g(b)|` over the unit sphere, from a first value at `start`.
///
/// The cell of the largest bound is cut along the circle with the largest share in it, until no
/// bound exceeds the largest value found, or up to the limits. A cell without undecided
/// circles is maximised in closed form. The arrangement is built only where the maximum may be:
/// `O(n k)` a cell, few cells in practice, all `O(n^2)` at worst.
///
/// A cell whose closed form does not decide, because it is a sliver, is bisected.
pub(super) fn maximum(map: &PiecewiseLinearMap, start: &[f64], limits: Limits) -> BoundedMaximum {
    let mut best = BestOnSphere {
        value: norm(&map.evaluate(start)),
        maximizer: [start[0], start[1], start[2]],
    };
    let (mut heap, mut depth) = (BinaryHeap::new(), 0);
    for octant in 0..8 {
        let mut cell = Cell::octant(map, octant);
        cell.classify(map, &mut best);
        heap.push(cell);
    }
    let (mut cells, mut classified) = (0, 0);
    let (upper, bound) = loop {
        let Some(cell) = heap.pop() else {
            break (best.value, Bound::Exact);
        };
        if cell.upper <= best.value + (SLACK * EPS * map.size).max(limits.tolerance * best.value) {
            break (cell.upper.max(best.value), Bound::Exact);
        }
        if cells >= limits.cells || classified >= MAX_CLASSIFIED || limits.is_late() {
            break (cell.upper, Bound::Truncated);
        }
        cells += 1;
        classified += cell.undecided.len();
        depth = depth.max(cell.depth + 1);
        // A part of two corners is an edge of the other part.
        let parts = cell.cut(map).into_iter();
        for mut part in parts.filter(|part| part.corners.len() > 2) {
            part.classify(map, &mut best);
            if part.upper > best.value {
                heap.push(part);
            }
        }
    };
    BoundedMaximum {
        upper,
        error: error(map.k, depth),
        maximizer: best.maximizer,
        bound,
    }
}

/// The largest `|g(b)|` found.
struct BestOnSphere {
    value: f64,
    maximizer: SpaceDirection,
}

impl BestOnSphere {
    fn update(&mut self, value: f64, maximizer: SpaceDirection) {
        if value > self.value {
            *self = Self { value, maximizer };
        }
    }
}

impl Cell {
    /// One of the eight octants, all circles undecided.
    fn octant(map: &PiecewiseLinearMap, octant: usize) -> Self {
        let sign = |axis: usize| if octant >> axis & 1 == 0 { 1.0 } else { -1.0 };
        let mean = 0.5 * (map.slopes.plus + map.slopes.minus);
        let mut a = vec![CompensatedSum::default(); 3 * map.k];
        for j in 0..map.len() {
            map.add_outer(&mut a, j, mean);
        }
        Self {
            corners: vec![
                [sign(0), 0.0, 0.0],
                [0.0, sign(1), 0.0],
                [0.0, 0.0, sign(2)],
            ],
            a,
            undecided: (0..map.len() as u32).collect(),
            upper: f64::INFINITY,
            depth: 0,
        }
    }

    /// The largest `b.x` and `-b.x` over the corners, at least 0.
    fn extent(&self, x: &[f64]) -> (f64, f64) {
        self.corners
            .iter()
            .map(|v| dot(v, x))
            .fold((0.0, 0.0), |(p, q), z| (f64::max(p, z), f64::max(q, -z)))
    }

    /// Decides the circles that do not cross the cell, and computes the bound.
    ///
    /// Without undecided circles the maximum on the cell is computed, and `best` updated.
    fn classify(&mut self, map: &PiecewiseLinearMap, best: &mut BestOnSphere) {
        let half = 0.5 * (map.slopes.plus - map.slopes.minus);
        let shortest = self.shortest_combination();
        let mut undecided = std::mem::take(&mut self.undecided);
        // A bound of the undecided terms of g.
        let mut remainder = 0.0;
        undecided.retain(|&j| {
            let j = j as usize;
            let (plus, minus) = self.extent(map.point(j));
            if plus.min(minus) <= CROSSING_TOLERANCE || half == 0.0 {
                let slope = if plus >= minus { half } else { -half };
                map.add_outer(&mut self.a, j, slope);
                false
            } else {
                remainder += half.abs() * norm(map.coefficient(j)) * plus.max(minus) / shortest;
                true
            }
        });
        self.undecided = undecided;
        // A sum of positive terms.
        remainder *= 1.0 + (self.undecided.len() + 8) as f64 * EPS;
        let a: Vec<f64> = self.a.iter().map(CompensatedSum::value).collect();
        let (largest, v) = leading_singular_vector(&a, map.k);
        let corners = self.corners.iter().map(|v| image_norm(&a, map.k, v));
        // |A b| is convex: on combinations of the corners it is largest at a corner.
        let linear = largest.min(corners.fold(0.0, f64::max) / shortest);
        self.upper = if !self.undecided.is_empty() {
            linear + remainder
        } else if linear <= best.value {
            linear
        } else {
            linear.min(self.maximise_linear(map, &a, largest, v, best))
        };
    }

    /// A lower bound of `|b|` over the convex combinations b of the corners.
    fn shortest_combination(&self) -> f64 {
        let corners = self.corners.iter();
        let sum = corners.fold([0.0; 3], |s, v| [s[0] + v[0], s[1] + v[1], s[2] + v[2]]);
        let middle = unit(sum);
        let corners = self.corners.iter();
        corners.fold(1.0, |min, v| f64::min(min, dot(v, &middle))) - 4.0 * EPS
    }

    /// `max |A b|` on a cell without undecided circles: `largest` if the singular vector `v` is
    /// inside or within rounding of an edge, else the maximum over the edges.
    fn maximise_linear(
        &self,
        map: &PiecewiseLinearMap,
        a: &[f64],
        largest: f64,
        v: SpaceDirection,
        best: &mut BestOnSphere,
    ) -> f64 {
        let mut upper = 0.0;
        for (p, q) in self.edges() {
            let (value, v) = maximise_on_edge(a, map.k, p, q);
            upper = f64::max(upper, value);
            best.update(value, v);
        }
        let sides = |v: SpaceDirection| self.edges().map(move |(p, q)| dot(&cross(p, q), &v));
        // Of v and -v, that on the side of the cell. Its corners may be in either orientation.
        let v = if self.corners.iter().map(|c| dot(c, &v)).sum::<f64>() < 0.0 {
            v.map(|v| -v)
        } else {
            v
        };
        if sides(v).all(|s| s >= -EDGE_TOLERANCE) || sides(v).all(|s| s <= EDGE_TOLERANCE) {
            // A value of g, also if v is outside a cell of short edges.
            best.update(norm(&map.evaluate(&v)), v);
            return largest.max(upper);
        }
        upper
    }

    /// The edges, from corner to corner.
    fn edges(&self) -> impl Iterator<Item = (SpaceDirection, SpaceDirection)> {
        let next = self.corners.iter().cycle().skip(1);
        self.corners.iter().zip(next).map(|(&p, &q)| (p, q))
    }

    /// The direction of the longest edge.
    fn longest_edge(&self) -> SpaceDirection {
        let differences = self
            .edges()
            .map(|(p, q)| [p[0] - q[0], p[1] - q[1], p[2] - q[2]]);
        let longest = differences.fold([0.0; 3], |longest, e| {
            if norm(&e) > norm(&longest) {
                e
            } else {
                longest
            }
        });
        longest.map(|e| e / norm(&longest).max(f64::MIN_POSITIVE))
    }

    /// Cuts the cell along the undecided circle with the largest share in the bound, or through the
    /// middle of its longest edge.
    fn cut(self, map: &PiecewiseLinearMap) -> [Self; 2] {
        let mut widest = (f64::NEG_INFINITY, None);
        for &j in &self.undecided {
            let (plus, minus) = self.extent(map.point(j as usize));
            let share = norm(map.coefficient(j as usize)) * plus.min(minus);
            if share > widest.0 {
                widest = (share, Some(j));
            }
        }
        let j = widest.1;
        let half = 0.5 * (map.slopes.plus - map.slopes.minus);
        let others = self.undecided.iter().copied();
        let undecided: Vec<u32> = others.filter(|&other| Some(other) != j).collect();
        let part = |corners: Vec<SpaceDirection>, slope: f64| {
            let mut a = self.a.clone();
            if let Some(j) = j {
                map.add_outer(&mut a, j as usize, slope);
            }
            Self {
                corners,
                a,
                undecided: undecided.clone(),
                upper: 0.0,
                depth: self.depth + 1,
            }
        };
        let (plus, minus) = match j {
            Some(j) => self.split_corners(map.point(j as usize)),
            None => self.split_corners(&self.longest_edge()),
        };
        [part(plus, half), part(minus, -half)]
    }

    /// The corners of the parts with `b.x >= 0` and `b.x <= 0`.
    fn split_corners(&self, x: &[f64]) -> (Vec<SpaceDirection>, Vec<SpaceDirection>) {
        let (mut plus, mut minus) = (Vec::new(), Vec::new());
        for (i, &p) in self.corners.iter().enumerate() {
            let q = self.corners[(i + 1) % self.corners.len()];
            let (s, t) = (dot(&p, x), dot(&q, x));
            if s >= -CORNER_TOLERANCE {
                plus.push(p);
            }
            if s <= CORNER_TOLERANCE {
                minus.push(p);
            }
            if (s > CORNER_TOLERANCE && t < -CORNER_TOLERANCE)
                || (s < -CORNER_TOLERANCE && t > CORNER_TOLERANCE)
            {
                // The edge crosses the circle.
                let corner = unit(combination(t.abs(), p, s.abs(), q));
                plus.push(corner);
                minus.push(corner);
            }
        }
        (plus, minus)
    }
}

impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Cell {}
impl PartialOrd for Cell {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
/// By the bound, as the heap needs.
impl Ord for Cell {
    fn cmp(&self, other: &Self) -> Ordering {
        self.upper.total_cmp(&other.upper)
    }
}
