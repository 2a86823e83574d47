//! Ascent of `|g|` by a sequence of concave problems.
//!
//! Source: A. L. Yuille and A. Rangarajan, The concave-convex procedure, Neural Comput. 15, 2003.

use super::concave::{ConcaveProblem, inner};
use super::problem::ConeProblem;
use crate::numeric::vector::norm;
use crate::optimality::piecewise_linear::PiecewiseLinearMap;

/// Concave problems of an ascent. The number of linear pieces bounds them too: usually 2 to 10.
const STEPS: usize = 50;

/// The relative increase of `|g|` at which an ascent ends: its rounding error.
const SMALLEST_INCREASE: f64 = 1e-15;

/// The workspace of ascents.
pub(super) struct Ascent<'a, const D: usize> {
    problem: &'a ConeProblem<'a, D>,
    concave: ConcaveProblem<D>,
}

impl<'a, const D: usize> Ascent<'a, D> {
    pub(super) fn new(problem: &'a ConeProblem<'a, D>) -> Self {
        Self {
            problem,
            concave: ConcaveProblem::default(),
        }
    }

    /// Ascends from b, a unit vector: the largest `|g|` and its unit vector.
    ///
    /// With `v = g(b) / |g(b)|`, `v.g` is a sum of convex and of concave terms. The convex ones are
    /// replaced by their tangents at b; the maximum of the rest, found exactly and at kinks too, is
    /// not below `|g(b)|`.
    pub(super) fn climb(&mut self, b: [f64; D]) -> (f64, [f64; D]) {
        let problem = self.problem;
        let mut best = (0.0, b);
        let mut b = b;
        for _ in 0..STEPS {
            let g = problem.map.evaluate(&b);
            let value = norm(&g);
            let ends = value <= best.0 * (1.0 + SMALLEST_INCREASE);
            if value > best.0 {
                best = (value, b);
            }
            if ends {
                break;
            }
            let v: Vec<f64> = g.iter().map(|g| g / value).collect();
            let mut a: [f64; D] = std::array::from_fn(|r| {
                let column = problem.linear[r * problem.k..].iter().zip(&v);
                column.map(|(a, v)| v * a.value()).sum()
            });
            self.concave.clear();
            for j in 0..problem.len() {
                let w = problem.weight(j);
                let c: f64 = v.iter().zip(w).map(|(v, w)| v * w).sum();
                let x = problem.point(j);
                if c < 0.0 {
                    self.concave.push(x, -c);
                } else if inner(&x, &b) > 0.0 {
                    for r in 0..D {
                        a[r] += c * x[r];
                    }
                }
            }
            let y = self.concave.solve(&a, None, &b.map(|b| b * value), 0.0);
            let length = inner(&y, &y).sqrt();
            if length == 0.0 {
                break;
            }
            b = y.map(|y| y / length);
        }
        best
    }
}

/// The best ascent from given directions, in their order, until `stop` returns true.
pub(super) fn best_of<const D: usize>(
    map: &PiecewiseLinearMap,
    starts: &[Vec<f64>],
    stop: impl Fn() -> bool,
) -> (f64, Vec<f64>) {
    let problem = ConeProblem::<D>::new(map);
    let mut ascent = Ascent::new(&problem);
    let axis = std::array::from_fn(|r| f64::from(r == 0));
    let mut best = (f64::NEG_INFINITY, axis);
    for (i, start) in starts.iter().enumerate() {
        if i > 0 && stop() {
            break;
        }
        let next = ascent.climb(std::array::from_fn(|r| start[r]));
        if next.0 > best.0 {
            best = next;
        }
    }
    (best.0.max(0.0), best.1.to_vec())
}
