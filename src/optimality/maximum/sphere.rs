//! `max |g|` over the sphere of `R^3`: the cells that the great circles `b.x_j = 0` cut it into, by branch and bound.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use nalgebra::{Matrix3, SymmetricEigen};

use crate::numeric::error_bounds::{BoundedSum, EPS};
use crate::numeric::vector::dot;
use crate::optimality::linear_form::LinearForm;

/// After so many cells the search ends with the bound that it has, which is then above the maximum.
const CELLS: usize = 1 << 18;

/// A unit vector of `R^3`.
type Direction = [f64; 3];

/// What was found: `upper + error` is above every `|g(b)|`.
pub(super) struct Found {
    pub(super) upper: f64,
    pub(super) error: f64,
    pub(super) at: Direction,
}

/// A convex cell of the sphere.
///
/// On it `g(b) = A b + sum_{j undecided} u_j (s_+ - s_-)/2 |b.x_j|`, where `A` (`k x 3`) has the slope of its side for every
/// circle that passes by, and the mean slope for those that may cross, the undecided.
struct Cell {
    /// Corners, in order round the cell.
    corners: Vec<Direction>,
    a: Vec<BoundedSum>,
    undecided: Vec<u32>,
    /// No `|g(b)|` on the cell is larger, up to rounding.
    upper: f64,
    depth: usize,
}

/// The largest `|g(b)|` on the unit sphere, from a first guess `at`.
///
/// The cell with the largest bound is cut along the circle that matters most there, until no bound is above the largest
/// value found. A cell that nothing crosses is maximised in closed form, so the arrangement has to be built where
/// it matters only: `O(n)` a cell, few cells in practice, all `O(n^2)` of them at worst.
///
/// A cut moves corners by a few EPS, so that cells may leave a gap of that width; `g` changes by `EPS size` across it.
pub(super) fn maximum(form: &LinearForm, at: &[f64]) -> Found {
    let mut best = Best {
        value: length(&form.evaluate(at)),
        at: [at[0], at[1], at[2]],
    };
    let (mut heap, mut deepest) = (BinaryHeap::new(), 0);
    for octant in 0..8 {
        let sign = |axis: usize| if octant >> axis & 1 == 0 { 1.0 } else { -1.0 };
        let corners = vec![
            [sign(0), 0.0, 0.0],
            [0.0, sign(1), 0.0],
            [0.0, 0.0, sign(2)],
        ];
        let mean = 0.5 * (form.slopes.plus + form.slopes.minus);
        let mut a = vec![BoundedSum::default(); 3 * form.k];
        for j in 0..form.len() {
            form.add(&mut a, j, mean);
        }
        let undecided = (0..form.len() as u32).collect();
        let mut cell = Cell {
            corners,
            a,
            undecided,
            upper: f64::INFINITY,
            depth: 0,
        };
        cell.classify(form, &mut best);
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
        if cells == CELLS {
            break cell.upper;
        }
        cells += 1;
        deepest = deepest.max(cell.depth);
        // A part of two corners is an edge of the other.
        for mut part in cell
            .cut(form)
            .into_iter()
            .filter(|part| part.corners.len() > 2)
        {
            part.classify(form, &mut best);
            if part.upper > best.value {
                heap.push(part);
            }
        }
    };
    Found {
        upper,
        error: (64.0 + 16.0 * deepest as f64) * EPS * form.size,
        at: best.at,
    }
}

/// The largest `|g(b)|` so far.
struct Best {
    value: f64,
    at: Direction,
}

impl Best {
    fn offer(&mut self, value: f64, at: Direction) {
        if value > self.value {
            *self = Self { value, at };
        }
    }
}

fn length(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

fn cross(a: Direction, b: Direction) -> Direction {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

fn unit(x: Direction) -> Direction {
    let l = length(&x);
    x.map(|x| x / l)
}

impl Cell {
    /// The largest `b.x` and `-b.x` over the corners.
    fn extent(&self, x: &[f64]) -> (f64, f64) {
        self.corners
            .iter()
            .map(|v| dot(v, x))
            .fold((0.0, 0.0), |(p, q), z| (f64::max(p, z), f64::max(q, -z)))
    }

    /// Decides the circles that pass by and bounds `|g|`; a cell that nothing crosses is done: its value goes to `best`.
    fn classify(&mut self, form: &LinearForm, best: &mut Best) {
        let half = 0.5 * (form.slopes.plus - form.slopes.minus);
        // |b| of a convex combination b of the corners is at least this.
        let middle = unit(
            self.corners
                .iter()
                .fold([0.0; 3], |s, v| [s[0] + v[0], s[1] + v[1], s[2] + v[2]]),
        );
        let shortest = self
            .corners
            .iter()
            .fold(1.0, |min, v| f64::min(min, dot(v, &middle)))
            - 4.0 * EPS;
        let mut undecided = std::mem::take(&mut self.undecided);
        let mut rest = 0.0;
        undecided.retain(|&j| {
            let j = j as usize;
            let (plus, minus) = self.extent(form.point(j));
            if plus.min(minus) <= 16.0 * EPS || half == 0.0 {
                form.add(&mut self.a, j, if plus >= minus { half } else { -half });
                false
            } else {
                rest += half.abs() * length(form.slope(j)) * plus.max(minus) / shortest;
                true
            }
        });
        self.undecided = undecided;
        let a: Vec<f64> = self.a.iter().map(BoundedSum::value).collect();
        let gram = gram(&a, form.k);
        let (norm, top) = leading(&gram);
        if self.undecided.is_empty() {
            self.upper = self.exact(&gram, norm, top, best);
        } else {
            let corners = self
                .corners
                .iter()
                .fold(0.0, |max, v| f64::max(max, form_at(&gram, *v)));
            self.upper = norm.min(corners / shortest) + rest;
        }
    }

    /// `max |A b|` on the cell: at the leading singular vector if that is inside, else on an edge.
    fn exact(&self, gram: &Matrix3<f64>, norm: f64, top: Direction, best: &mut Best) -> f64 {
        if norm <= best.value {
            return norm;
        }
        let sides = |v: Direction| {
            let next = self.corners.iter().cycle().skip(1);
            self.corners
                .iter()
                .zip(next)
                .map(move |(&p, &q)| dot(&cross(p, q), &v))
        };
        // Of the two signs, that on the side of the cell. Its corners go round it in either sense.
        let v = if self.corners.iter().map(|c| dot(c, &top)).sum::<f64>() < 0.0 {
            top.map(|v| -v)
        } else {
            top
        };
        if sides(v).all(|s| s >= -8.0 * EPS) || sides(v).all(|s| s <= 8.0 * EPS) {
            best.offer(norm, v);
            return norm;
        }
        let mut upper = 0.0;
        for (i, &p) in self.corners.iter().enumerate() {
            let (value, v) = edge(gram, p, self.corners[(i + 1) % self.corners.len()]);
            upper = f64::max(upper, value);
            best.offer(value, v);
        }
        upper
    }

    /// Cuts along the undecided circle with the largest share in the bound.
    fn cut(self, form: &LinearForm) -> [Self; 2] {
        let share = |j: u32| {
            let (plus, minus) = self.extent(form.point(j as usize));
            length(form.slope(j as usize)) * plus.min(minus)
        };
        let mut widest = (f64::NEG_INFINITY, 0);
        for &j in &self.undecided {
            let share = share(j);
            if share > widest.0 {
                widest = (share, j);
            }
        }
        let x = form.point(widest.1 as usize);
        let mut parts = [Vec::new(), Vec::new()];
        for (i, &p) in self.corners.iter().enumerate() {
            let q = self.corners[(i + 1) % self.corners.len()];
            let (s, t) = (dot(&p, x), dot(&q, x));
            if s >= -4.0 * EPS {
                parts[0].push(p);
            }
            if s <= 4.0 * EPS {
                parts[1].push(p);
            }
            if (s > 4.0 * EPS && t < -4.0 * EPS) || (s < -4.0 * EPS && t > 4.0 * EPS) {
                let (s, t) = (s.abs(), t.abs());
                let c = unit([
                    p[0] * t + q[0] * s,
                    p[1] * t + q[1] * s,
                    p[2] * t + q[2] * s,
                ]);
                parts[0].push(c);
                parts[1].push(c);
            }
        }
        let half = 0.5 * (form.slopes.plus - form.slopes.minus);
        let (mut a, depth) = ([self.a.clone(), self.a], self.depth + 1);
        form.add(&mut a[0], widest.1 as usize, half);
        form.add(&mut a[1], widest.1 as usize, -half);
        let undecided: Vec<u32> = self
            .undecided
            .into_iter()
            .filter(|&j| j != widest.1)
            .collect();
        let ([c, d], [a, b]) = (parts, a);
        [
            Self {
                corners: c,
                a,
                undecided: undecided.clone(),
                upper: 0.0,
                depth,
            },
            Self {
                corners: d,
                a: b,
                undecided,
                upper: 0.0,
                depth,
            },
        ]
    }
}

/// `A^T A` of a `k x 3` matrix.
fn gram(a: &[f64], k: usize) -> Matrix3<f64> {
    Matrix3::from_fn(|r, c| dot(&a[r * k..(r + 1) * k], &a[c * k..(c + 1) * k]))
}

/// `|A v|`.
fn form_at(gram: &Matrix3<f64>, v: Direction) -> f64 {
    let v = nalgebra::Vector3::from(v);
    v.dot(&(gram * v)).max(0.0).sqrt()
}

/// The largest singular value of A and its singular vector.
fn leading(gram: &Matrix3<f64>) -> (f64, Direction) {
    let eigen = SymmetricEigen::new(*gram);
    let i = eigen.eigenvalues.imax();
    let v = eigen.eigenvectors.column(i);
    (
        eigen.eigenvalues[i].max(0.0).sqrt(),
        unit([v[0], v[1], v[2]]),
    )
}

/// `max |A b|` on the edge from p to q: its leading direction in the plane of the edge if that is on it, else an end.
fn edge(gram: &Matrix3<f64>, p: Direction, q: Direction) -> (f64, Direction) {
    let ends = [p, q].map(|v| (form_at(gram, v), v));
    let mut best = if ends[0].0 >= ends[1].0 {
        ends[0]
    } else {
        ends[1]
    };
    // An orthonormal basis p, r of the plane; for ends that are equal up to rounding any r will do.
    let along = dot(&p, &q);
    let across = [
        q[0] - along * p[0],
        q[1] - along * p[1],
        q[2] - along * p[2],
    ];
    let reach = length(&across);
    if reach <= 4.0 * EPS {
        return best;
    }
    let r = across.map(|x| x / reach);
    let (vp, vr) = (nalgebra::Vector3::from(p), nalgebra::Vector3::from(r));
    let (s, t, w) = (
        vp.dot(&(gram * vp)),
        vp.dot(&(gram * vr)),
        vr.dot(&(gram * vr)),
    );
    // |A (cos f p + sin f r)|^2 = (s + w)/2 + ((s - w) cos 2f + 2 t sin 2f) / 2.
    let peak = 0.5 * (2.0 * t).atan2(s - w);
    let (width, value) = (
        reach.atan2(along),
        (0.5 * (s + w) + 0.5 * (s - w).hypot(2.0 * t))
            .max(0.0)
            .sqrt(),
    );
    for f in [
        peak,
        peak + std::f64::consts::PI,
        peak - std::f64::consts::PI,
    ] {
        if (0.0..=width).contains(&f) && value > best.0 {
            let (sin, cos) = f.sin_cos();
            best = (
                value,
                unit([
                    cos * p[0] + sin * r[0],
                    cos * p[1] + sin * r[1],
                    cos * p[2] + sin * r[2],
                ]),
            );
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
impl Ord for Cell {
    fn cmp(&self, other: &Self) -> Ordering {
        self.upper.total_cmp(&other.upper)
    }
}
