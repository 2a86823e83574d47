//! `max |g|` over the unit sphere of `R^3`: branch and bound over the cells between the great
//! circles `b.x_j = 0`.
//!
//! Source of the scheme: A. H. Land and A. G. Doig, An automatic method of solving discrete
//! programming problems, 1960.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use nalgebra::{Matrix3, SymmetricEigen, Vector3};

use crate::numeric::error_bounds::{CompensatedSum, EPS};
use crate::numeric::vector::{dot, norm};
use crate::optimality::piecewise_linear::PiecewiseLinearMap;

/// The number of cells after which the search stops with the current bound, which is then above the
/// maximum.
///
/// It limits the work of ill-conditioned problems, at `O(n k)` a cell.
const MAX_CELLS: usize = 1 << 18;

/// The value of `b.x` up to which a circle does not cross a cell: the rounding error of corners and
/// products.
const CROSSING_TOLERANCE: f64 = 16.0 * EPS;

/// The value of `b.x` up to which a corner lies on the circle of a cut.
const CORNER_TOLERANCE: f64 = 4.0 * EPS;

/// The value of `b.(p x q)` up to which b lies on the edge from p to q.
const EDGE_TOLERANCE: f64 = 8.0 * EPS;

/// A unit vector of `R^3`.
type SpaceDirection = [f64; 3];

/// The result of the search: `|g| <= upper + error` on the unit sphere.
pub(super) struct BoundedMaximum {
    pub(super) upper: f64,
    /// The allowance for rounding errors of corners and coefficients.
    pub(super) error: f64,
    /// The direction of the largest value found.
    pub(super) maximizer: SpaceDirection,
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
/// bound exceeds the largest value found, or for [`MAX_CELLS`] cells. A cell without undecided
/// circles is maximised in closed form. The arrangement is built only where the maximum may be:
/// `O(n k)` a cell, few cells in practice, all `O(n^2)` at worst.
///
/// A cut moves corners by a few EPS, so that a strip of that width between cells may be missed; `g`
/// changes by `EPS size` across it. `|A b|` is evaluated as the square root of `b.(A^T A) b`: its
/// error is `EPS size` if `|A b|` is of the order of `size`, and up to `sqrt(EPS) size` if it is
/// much smaller.
pub(super) fn maximum(map: &PiecewiseLinearMap, start: &[f64]) -> BoundedMaximum {
    let mut best = BestOnSphere {
        value: norm(&map.evaluate(start)),
        maximizer: [start[0], start[1], start[2]],
    };
    let (mut heap, mut deepest) = (BinaryHeap::new(), 0);
    for octant in 0..8 {
        let mut cell = Cell::octant(map, octant);
        cell.classify(map, &mut best);
        heap.push(cell);
    }
    let mut cells = 0;
    let upper = loop {
        let Some(cell) = heap.pop() else {
            break best.value;
        };
        if cell.upper <= best.value * (1.0 + 2.0 * EPS) {
            break best.value;
        }
        if cells == MAX_CELLS {
            break cell.upper;
        }
        cells += 1;
        deepest = deepest.max(cell.depth);
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
        // Every cut adds a rounding error to the corners and to A; the factors include a reserve.
        error: (64.0 + 16.0 * deepest as f64) * EPS * map.size,
        maximizer: best.maximizer,
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
        let a: Vec<f64> = self.a.iter().map(CompensatedSum::value).collect();
        let gram = gram(&a, map.k);
        let (largest, v) = leading_singular_vector(&gram);
        if self.undecided.is_empty() {
            self.upper = self.maximise_linear(&gram, largest, v, best);
        } else {
            let corners = self.corners.iter();
            let corners = corners.fold(0.0, |max, v| f64::max(max, image_norm(&gram, *v)));
            self.upper = largest.min(corners / shortest) + remainder;
        }
    }

    /// A lower bound of `|b|` over the convex combinations b of the corners.
    fn shortest_combination(&self) -> f64 {
        let corners = self.corners.iter();
        let sum = corners.fold([0.0; 3], |s, v| [s[0] + v[0], s[1] + v[1], s[2] + v[2]]);
        let middle = unit(sum);
        let corners = self.corners.iter();
        corners.fold(1.0, |min, v| f64::min(min, dot(v, &middle))) - 4.0 * EPS
    }

    /// `max |A b|` on a cell without undecided circles: at the leading singular vector `v` if that
    /// is inside, else on an edge.
    ///
    /// Returns the bound `largest`, the singular value of `v`, if that does not exceed the best
    /// value.
    fn maximise_linear(
        &self,
        gram: &Matrix3<f64>,
        largest: f64,
        v: SpaceDirection,
        best: &mut BestOnSphere,
    ) -> f64 {
        if largest <= best.value {
            return largest;
        }
        let sides = |v: SpaceDirection| {
            let next = self.corners.iter().cycle().skip(1);
            let edges = self.corners.iter().zip(next);
            edges.map(move |(&p, &q)| dot(&cross(p, q), &v))
        };
        // Of v and -v, that on the side of the cell. Its corners may be in either orientation.
        let v = if self.corners.iter().map(|c| dot(c, &v)).sum::<f64>() < 0.0 {
            v.map(|v| -v)
        } else {
            v
        };
        if sides(v).all(|s| s >= -EDGE_TOLERANCE) || sides(v).all(|s| s <= EDGE_TOLERANCE) {
            best.update(largest, v);
            return largest;
        }
        let mut upper = 0.0;
        for (i, &p) in self.corners.iter().enumerate() {
            let (value, v) = maximise_on_edge(gram, p, self.corners[(i + 1) % self.corners.len()]);
            upper = f64::max(upper, value);
            best.update(value, v);
        }
        upper
    }

    /// Cuts the cell along the undecided circle with the largest share in the bound.
    fn cut(self, map: &PiecewiseLinearMap) -> [Self; 2] {
        let mut widest = (f64::NEG_INFINITY, 0);
        for &j in &self.undecided {
            let (plus, minus) = self.extent(map.point(j as usize));
            let share = norm(map.coefficient(j as usize)) * plus.min(minus);
            if share > widest.0 {
                widest = (share, j);
            }
        }
        let (_, j) = widest;
        let half = 0.5 * (map.slopes.plus - map.slopes.minus);
        let others = self.undecided.iter().copied().filter(|&other| other != j);
        let undecided: Vec<u32> = others.collect();
        let part = |corners: Vec<SpaceDirection>, slope: f64| {
            let mut a = self.a.clone();
            map.add_outer(&mut a, j as usize, slope);
            Self {
                corners,
                a,
                undecided: undecided.clone(),
                upper: 0.0,
                depth: self.depth + 1,
            }
        };
        let (plus, minus) = self.split_corners(map.point(j as usize));
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

fn cross(a: SpaceDirection, b: SpaceDirection) -> SpaceDirection {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

/// `s p + t q`.
fn combination(s: f64, p: SpaceDirection, t: f64, q: SpaceDirection) -> SpaceDirection {
    [
        p[0] * s + q[0] * t,
        p[1] * s + q[1] * t,
        p[2] * s + q[2] * t,
    ]
}

fn unit(x: SpaceDirection) -> SpaceDirection {
    let length = norm(&x);
    x.map(|x| x / length)
}

/// `A^T A` of a `k x 3` matrix.
fn gram(a: &[f64], k: usize) -> Matrix3<f64> {
    Matrix3::from_fn(|r, c| dot(&a[r * k..(r + 1) * k], &a[c * k..(c + 1) * k]))
}

/// `|A v|`.
fn image_norm(gram: &Matrix3<f64>, v: SpaceDirection) -> f64 {
    let v = Vector3::from(v);
    v.dot(&(gram * v)).max(0.0).sqrt()
}

/// The largest singular value of A and its unit vector.
fn leading_singular_vector(gram: &Matrix3<f64>) -> (f64, SpaceDirection) {
    let eigen = SymmetricEigen::new(*gram);
    let i = eigen.eigenvalues.imax();
    let v = eigen.eigenvectors.column(i);
    let value = eigen.eigenvalues[i].max(0.0).sqrt();
    (value, unit([v[0], v[1], v[2]]))
}

/// `max |A b|` on the edge from p to q: at the leading direction in its plane if that is on the
/// edge, else at an end.
fn maximise_on_edge(
    gram: &Matrix3<f64>,
    p: SpaceDirection,
    q: SpaceDirection,
) -> (f64, SpaceDirection) {
    let ends = [p, q].map(|v| (image_norm(gram, v), v));
    let mut best = if ends[0].0 >= ends[1].0 {
        ends[0]
    } else {
        ends[1]
    };
    // An orthonormal basis p, r of the plane. Ends equal up to rounding determine none, and need
    // none.
    let cos = dot(&p, &q);
    let across = [q[0] - cos * p[0], q[1] - cos * p[1], q[2] - cos * p[2]];
    let sin = norm(&across);
    if sin <= 4.0 * EPS {
        return best;
    }
    let r = across.map(|x| x / sin);
    let (vp, vr) = (Vector3::from(p), Vector3::from(r));
    let (pp, pr, rr) = (
        vp.dot(&(gram * vp)),
        vp.dot(&(gram * vr)),
        vr.dot(&(gram * vr)),
    );
    // |A (cos f p + sin f r)|^2 = (pp + rr)/2 + ((pp - rr) cos 2f + 2 pr sin 2f) / 2.
    let peak = 0.5 * (2.0 * pr).atan2(pp - rr);
    let square = 0.5 * (pp + rr) + 0.5 * (pp - rr).hypot(2.0 * pr);
    let value = square.max(0.0).sqrt();
    let pi = std::f64::consts::PI;
    for f in [peak, peak + pi, peak - pi] {
        if (0.0..=sin.atan2(cos)).contains(&f) && value > best.0 {
            let (sin, cos) = f.sin_cos();
            best = (value, unit(combination(cos, p, sin, r)));
        }
    }
    best
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
