//! The computation of the bound on a cone, and of its parts.

use super::blocks::{LANES, SampleColumn, SampleRows};
use super::cell::{Cell, Split};
use super::concave::{ConcaveProblem, inner};
use super::lanes::{chords, edge_errors, extents, products, project, weighted_sum};
use super::leaves::Leaf;
use super::outputs::{OtherParts, value};
use super::problem::{
    CROSSING_TOLERANCE, ConeProblem, bound_from, centre, cover_error, dual_vectors, largest_sum,
};
use crate::numeric::error_bounds::{CompensatedSum, EPS, add_up, mul_up};
use crate::numeric::vector::norm;

/// The longest edge is split at every depth of a multiple of this number, else that of the largest
/// error: cones that are never halved become slivers.
const TURNS: u32 = 8;

/// The same for several outputs, where the bound also requires a small diameter.
const TURNS_OF_OUTPUTS: u32 = 2;

/// The smallest share of an edge that is split off.
const SHORTEST: f64 = 0.2;

/// A part of a cone.
struct Part<const D: usize> {
    v: [[f64; D]; D],
    cover: f64,
    /// The dual vectors of v.
    normals: Option<[[f64; D]; D]>,
    /// The vertex that is not one of the whole.
    side: Option<usize>,
}

/// A bound on a cone.
#[derive(Debug)]
pub(super) struct Evaluated<const D: usize> {
    pub(super) upper: f64,
    /// The cell, if its bound is above the cut.
    pub(super) cell: Option<Box<Cell<D>>>,
    /// A unit vector of the cone and `|g|` there, up to rounding.
    pub(super) candidate: Option<(f64, [f64; D])>,
    pub(super) leaf: Leaf<D>,
}

/// What is computed for a cone and its parts.
#[derive(Debug, Default)]
pub(super) struct ConeWorkspace<const D: usize> {
    /// The samples of the cone, and their coefficients.
    x: SampleRows<D>,
    c: SampleColumn,
    /// The products with the vertices of the cone, and with the new vertex.
    z: SampleRows<D>,
    middle: SampleColumn,
    low: SampleColumn,
    high: SampleColumn,
    positive: SampleColumn,
    concave: ConcaveProblem<D>,
    convex_z: SampleRows<D>,
    convex_c: SampleColumn,
    crossing: Vec<u32>,
    at_y: SampleColumn,
    /// For several outputs, the direction of the bounded component.
    direction: Vec<f64>,
}

impl<const D: usize> ConeWorkspace<D> {
    /// Bounds a cone of its own.
    pub(super) fn evaluate(
        &mut self,
        problem: &ConeProblem<'_, D>,
        cell: &Cell<D>,
        cut: f64,
    ) -> Evaluated<D> {
        self.load(problem, cell);
        let normals = dual_vectors(&cell.v);
        self.bound(
            problem,
            cell,
            Part {
                v: cell.v,
                cover: cell.cover,
                normals,
                side: None,
            },
            cell.y,
            cut,
        )
    }

    /// Splits a cone and bounds its parts.
    pub(super) fn split(
        &mut self,
        problem: &ConeProblem<'_, D>,
        cell: &Cell<D>,
        cut: f64,
    ) -> [Evaluated<D>; 2] {
        self.load(problem, cell);
        let Split { p, q, s } = cell.split;
        let (v, normals) = (cell.v, dual_vectors(&cell.v));
        let m: [f64; D] = std::array::from_fn(|r| (1.0 - s) * v[p][r] + s * v[q][r]);
        let length = inner(&m, &m).sqrt();
        let m = m.map(|m| m / length);
        project(&self.x, &m, &mut self.middle);
        let cover = cell.cover + cover_error(&v) * EPS;
        [(p, q, (1.0 - s) / length), (q, p, s / length)].map(|(side, other, share)| {
            let mut v = v;
            v[side] = m;
            let normals = normals.map(|mut n| {
                // m.n_side = share, m.n_other = rest.
                let rest = inner(&m, &n[other]);
                n[side] = n[side].map(|n| n / share);
                for r in 0..D {
                    n[other][r] -= rest * n[side][r];
                }
                n
            });
            // The maximiser of the bound on the whole, or the nearest point of the common face.
            let mut y = cell.y;
            if let Some(n) = normals {
                let alpha = inner(&n[other], &y);
                if alpha < 0.0 {
                    // Without the vertex `other`.
                    for r in 0..D {
                        y[r] -= alpha * v[other][r];
                    }
                }
            }
            let part = Part {
                v,
                cover,
                normals,
                side: Some(side),
            };
            self.bound(problem, cell, part, y, cut)
        })
    }

    /// Loads the samples of the cone, and computes their products with its vertices.
    fn load(&mut self, problem: &ConeProblem<'_, D>, cell: &Cell<D>) {
        self.x.clear();
        self.c.clear();
        for &j in &cell.crossing {
            let j = j as usize;
            self.x.push(problem.point(j));
            if problem.k == 1 {
                self.c.push(cell.sign * problem.w[j]);
            }
        }
        products(&self.x, &cell.v, &mut self.z);
    }

    /// The coefficients of `v.g` for v parallel to g at b.
    fn choose_direction(&mut self, problem: &ConeProblem<'_, D>, whole: &Cell<D>, b: &[f64; D]) {
        self.direction = value(problem, &whole.a, &whole.crossing, b);
        let length = norm(&self.direction);
        if length > 0.0 && length.is_finite() {
            self.direction.iter_mut().for_each(|v| *v /= length);
        } else {
            self.direction.fill(0.0);
            self.direction[0] = 1.0;
        }
        self.c.clear();
        for &j in &whole.crossing {
            let terms = self.direction.iter().zip(problem.weight(j as usize));
            self.c.push(terms.map(|(v, w)| v * w).sum());
        }
    }

    /// Bounds the part of the loaded cone in which the vertex `side` is replaced.
    fn bound(
        &mut self,
        problem: &ConeProblem<'_, D>,
        whole: &Cell<D>,
        part: Part<D>,
        start: [f64; D],
        cut: f64,
    ) -> Evaluated<D> {
        let Part {
            v,
            cover,
            normals,
            side,
        } = part;
        let (k, depth) = (problem.k, whole.depth + u32::from(side.is_some()));
        if k > 1 {
            self.choose_direction(problem, whole, &start);
        }
        let (a, tolerated) = self.classify(problem, whole, side, largest_sum(&v));
        let linear: [f64; D] = std::array::from_fn(|r| match k {
            1 => a[r].value(),
            _ => {
                let column = a[r * k..(r + 1) * k].iter().zip(&self.direction);
                column.map(|(a, v)| v * a.value()).sum()
            }
        });
        let chords = chords(&self.convex_z, &self.convex_c);
        let mut y = centre(&v);
        if let Some(n) = normals {
            let mut objective = linear;
            for i in 0..D {
                for r in 0..D {
                    objective[r] += chords[i] * n[i][r];
                }
            }
            let faces = n.map(|n| {
                let length = inner(&n, &n).sqrt();
                n.map(|n| n / length)
            });
            let cut = if k == 1 { cut } else { 0.0 };
            y = self.concave.solve(&objective, Some(&faces), &start, cut);
        } else {
            self.concave.select_tangent(&y);
        }
        // The proof: any multipliers, any y.
        let sum = weighted_sum(&self.concave.x, &self.concave.multipliers);
        let slope: [f64; D] = std::array::from_fn(|r| linear[r] - sum[r].value());
        let values: [f64; D] = std::array::from_fn(|i| inner(&slope, &v[i]) + chords[i]);
        let others =
            (k > 1).then(|| OtherParts::new(problem, &a, &self.crossing, &self.direction, &v, &y));
        // Without rounding errors, for the decisions of the search, and with them.
        let [estimate, upper] = [0.0, problem.vertex_error() + tolerated].map(|error| {
            let along = bound_from(&values, error, &v, &y);
            match &others {
                Some(others) => others.bound(along, error, &v, &y),
                None => along,
            }
        });
        let estimate = estimate.min(whole.estimate);
        // |g(b)| <= |g(b')| + size |b - b'| and |b'| <= 1 + |b - b'|.
        let outside = mul_up(add_up(upper, problem.map.size), cover);
        let upper = add_up(upper, outside).min(whole.upper);
        let leaf = Leaf {
            v,
            sign: whole.sign,
            cover,
        };
        if estimate <= cut {
            return Evaluated {
                upper,
                cell: None,
                candidate: None,
                leaf,
            };
        }
        let length = inner(&y, &y).sqrt();
        let alpha = match normals {
            Some(n) => std::array::from_fn(|i| inner(&n[i], &y).max(0.0)),
            None => [1.0; D],
        };
        let value = match &others {
            Some(others) => others.value,
            None => {
                // What the chords exceed the function by at y.
                project(&self.convex_z, &alpha, &mut self.at_y);
                let mut excess = inner(&alpha, &chords);
                for (c, z) in self.convex_c.blocks.iter().zip(&self.at_y.blocks) {
                    for l in 0..LANES {
                        excess -= c.0[l] * z.0[l].max(0.0);
                    }
                }
                length - excess / length
            }
        };
        let split = self.choose_split(&v, depth, &alpha, k);
        Evaluated {
            upper,
            cell: Some(Box::new(Cell {
                v,
                a,
                crossing: self.crossing.clone(),
                sign: whole.sign,
                y,
                upper,
                estimate,
                cover,
                tolerated,
                depth,
                split,
            })),
            candidate: (length > 0.0).then(|| (value, y.map(|y| y / length))),
            leaf,
        }
    }

    /// Decides the samples that do not cross the part, and collects the others. `sum` bounds the
    /// coefficients of its unit vectors.
    fn classify(
        &mut self,
        problem: &ConeProblem<'_, D>,
        whole: &Cell<D>,
        side: Option<usize>,
        sum: f64,
    ) -> (Vec<CompensatedSum>, f64) {
        let replaced = side.map(|side| (side, &self.middle));
        extents(&self.z, replaced, &mut self.low, &mut self.high);
        self.positive.clear();
        self.crossing.clear();
        self.concave.clear();
        self.convex_z.clear();
        self.convex_c.clear();
        let (mut a, mut tolerated) = (whole.a.clone(), whole.tolerated);
        for q in 0..whole.crossing.len() {
            let (low, high) = (self.low.get(q), self.high.get(q));
            let c = self.c.get(q);
            if low >= -CROSSING_TOLERANCE || high <= CROSSING_TOLERANCE {
                let positive = high > -low;
                // A convex term is replaced by a linear function or 0, which it may exceed: by its
                // products with the vertices, whose rounding error is below `(D / 2 + 1) EPS`.
                let product = if positive { -low } else { high };
                let outside = product + (0.5 * D as f64 + 1.0) * EPS;
                if outside > 0.0 {
                    let w = problem.weight(whole.crossing[q] as usize);
                    let c = if problem.k == 1 { c.max(0.0) } else { norm(w) };
                    tolerated += outside * sum * c;
                }
                self.positive.push(if positive { c } else { 0.0 });
                if positive && problem.k > 1 {
                    problem.add_outer(&mut a, whole.crossing[q] as usize);
                }
                continue;
            }
            self.positive.push(0.0);
            self.crossing.push(whole.crossing[q]);
            if c < 0.0 {
                self.concave.push(self.x.row(q), -c);
            } else {
                let mut z = self.z.row(q);
                if let Some(side) = side {
                    z[side] = self.middle.get(q);
                }
                self.convex_z.push(z);
                self.convex_c.push(c);
            }
        }
        if problem.k == 1 {
            for (a, sum) in a.iter_mut().zip(weighted_sum(&self.x, &self.positive)) {
                a.add(sum.value());
            }
        }
        (a, tolerated)
    }

    /// The edge of the largest error of the chords at `alpha`, the maximiser of the bound; in
    /// turns the longest edge.
    fn choose_split(&self, v: &[[f64; D]; D], depth: u32, alpha: &[f64; D], k: usize) -> Split {
        let turns = if k == 1 { TURNS } else { TURNS_OF_OUTPUTS };
        if depth % turns != turns - 1 && self.convex_z.len > 0 {
            let errors = edge_errors(&self.convex_z, &self.convex_c, alpha);
            let (mut largest, mut split) = (0.0, None);
            for p in 0..D {
                for q in p + 1..D {
                    let (error, moment) = errors[p][q];
                    if error > largest {
                        largest = error;
                        let s = (moment / error).clamp(SHORTEST, 1.0 - SHORTEST);
                        split = Some(Split { p, q, s });
                    }
                }
            }
            if let Some(split) = split {
                return split;
            }
        }
        let mut longest = (2.0, 0, 1);
        for p in 0..D {
            for q in p + 1..D {
                let cosine = inner(&v[p], &v[q]);
                if cosine < longest.0 {
                    longest = (cosine, p, q);
                }
            }
        }
        let (_, p, q) = longest;
        Split { p, q, s: 0.5 }
    }
}
