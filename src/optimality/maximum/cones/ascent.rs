//! Ascent of `|g|` by a sequence of concave problems.
//!
//! Source: A. L. Yuille and A. Rangarajan, The concave-convex procedure, Neural Comput. 15, 2003.

use super::concave::{ConcaveProblem, inner};
use super::problem::Problem;
use crate::numeric::vector::norm;

/// Concave problems of an ascent. The number of linear pieces bounds them too: usually 2 to 10.
const STEPS: usize = 50;

/// The workspace of ascents.
pub(super) struct Ascent<'a, const D: usize> {
    problem: &'a Problem<'a, D>,
    concave: ConcaveProblem<D>,
}

impl<'a, const D: usize> Ascent<'a, D> {
    pub(super) fn new(problem: &'a Problem<'a, D>) -> Self {
        Self {
            problem,
            concave: ConcaveProblem::default(),
        }
    }

    /// Ascends from b, a unit vector.
    ///
    /// With `v = g(b) / |g(b)|`, `v.g` is a sum of convex and of concave terms. The convex ones are
    /// replaced by their tangents at b; the maximum of the rest, found exactly and at kinks too, is
    /// not below `|g(b)|`.
    pub(super) fn climb(&mut self, b: &mut [f64; D], mut found: impl FnMut(&[f64; D])) {
        let problem = self.problem;
        let mut value = 0.0;
        for _ in 0..STEPS {
            let g = problem.map.evaluate(b);
            let length = norm(&g);
            if length <= value * (1.0 + 1e-15) || length == 0.0 {
                break;
            }
            value = length;
            found(b);
            let mut a = [0.0; D];
            let direction: Vec<f64> = g.iter().map(|g| g / length).collect();
            for (r, a) in a.iter_mut().enumerate() {
                for l in 0..problem.k {
                    *a += direction[l] * problem.linear[r * problem.k + l].value();
                }
            }
            self.concave.clear();
            for j in 0..problem.len() {
                let w = problem.weight(j);
                let c: f64 = direction.iter().zip(w).map(|(v, w)| v * w).sum();
                let x = problem.point(j);
                if c < 0.0 {
                    self.concave.push(x, -c);
                } else if inner(&x, b) > 0.0 {
                    for r in 0..D {
                        a[r] += c * x[r];
                    }
                }
            }
            let start = b.map(|b| b * value);
            let y = self.concave.solve(&a, None, &start, 0.0);
            let length = inner(&y, &y).sqrt();
            if length == 0.0 {
                break;
            }
            *b = y.map(|y| y / length);
        }
    }
}
