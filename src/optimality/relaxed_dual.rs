//! Dual points from the relaxed problem: the Fenchel dual in which `max |g|` is replaced by its
//! relaxation.
//!
//! The bound of the relaxation is a convex function `B(u)` of the dual point, positively
//! homogeneous, with the subgradient `y`: the predictions of a relaxed neuron of norm 1. The relaxed
//! problem
//!
//! ```text
//! max -R*(u)  over  B(u) <= 2 lambda
//! ```
//!
//! is the dual of `min R(-sum_i c_i y_i) + 2 lambda sum_i c_i` over `c >= 0` and all relaxed neurons.
//! Neurons are added one by one, and all coefficients are optimal in between: a fully corrective
//! conditional gradient method, from the predictions of the network. Each `u = grad R` of it is a
//! dual point, whose bound is proved like that of any other.

use nalgebra::{Cholesky, DMatrix, DVector};

use super::dual::DualRisk;
use crate::numeric::vector::{dot, norm};

/// Newton steps for the coefficients at most.
const NEWTON_STEPS: usize = 20;

/// The halvings of a step at most.
const HALVINGS: usize = 20;

/// The relative difference of predictions by which a Hessian product is computed: near the cube root
/// of the rounding error of the slopes.
const DIFFERENCE: f64 = 1e-5;

/// The regularisation of the Hessian, relative to its trace.
const REGULARISATION: f64 = 1e-12;

/// The relative decrease at which the coefficients are optimal.
const SMALLEST_DECREASE: f64 = 1e-9;

/// The restricted problem: the columns, their costs and their coefficients.
pub(super) struct RelaxedProblem<'a, R> {
    risk: &'a R,
    /// Predictions, and the cost of one unit of each.
    columns: Vec<(Vec<f64>, f64)>,
    coefficients: Vec<f64>,
}

impl<'a, R: DualRisk> RelaxedProblem<'a, R> {
    /// The problem with the predictions of the network, of the given cost.
    pub(super) fn new(risk: &'a R, predictions: Vec<f64>, cost: f64) -> Self {
        Self {
            risk,
            columns: vec![(predictions, cost)],
            coefficients: vec![1.0],
        }
    }

    /// Adds a column with the coefficient 0.
    pub(super) fn add(&mut self, predictions: Vec<f64>, cost: f64) {
        self.columns.push((predictions, cost));
        self.coefficients.push(0.0);
    }

    /// The predictions at coefficients.
    fn predictions(&self, coefficients: &[f64]) -> Vec<f64> {
        let mut h = vec![0.0; self.columns[0].0.len()];
        for ((column, _), c) in self.columns.iter().zip(coefficients) {
            h.iter_mut().zip(column).for_each(|(h, y)| *h += c * y);
        }
        h
    }

    fn value(&self, coefficients: &[f64]) -> f64 {
        let h = self.predictions(coefficients);
        let costs = self.columns.iter().zip(coefficients);
        let cost: f64 = costs.map(|((_, cost), c)| c * cost).sum();
        self.risk.upper(&h, &vec![0.0; h.len()]) + cost
    }

    /// The gradient of R at the optimal coefficients, by projected Newton steps.
    ///
    /// Source: D. P. Bertsekas, Projected Newton methods for optimization problems with simple
    /// constraints, SIAM J. Control Optim. 20, 1982.
    pub(super) fn dual_point(&mut self) -> Vec<f64> {
        let m = self.columns.len();
        let mut value = self.value(&self.coefficients);
        for _ in 0..NEWTON_STEPS {
            let h = self.predictions(&self.coefficients);
            let u = self.slope(&h);
            let gradient: Vec<f64> = self
                .columns
                .iter()
                .map(|(y, cost)| dot(y, &u) + cost)
                .collect();
            let free: Vec<usize> = (0..m)
                .filter(|&i| self.coefficients[i] > 0.0 || gradient[i] < 0.0)
                .collect();
            let Some(step) = self.newton_step(&h, &u, &gradient, &free) else {
                break;
            };
            let Some((next, lower)) = self.shorten(&free, &step, value) else {
                break;
            };
            let ends = value - lower <= SMALLEST_DECREASE * value.abs();
            (self.coefficients, value) = (next, lower);
            if ends {
                break;
            }
        }
        self.slope(&self.predictions(&self.coefficients))
    }

    fn slope(&self, h: &[f64]) -> Vec<f64> {
        let mut u = vec![0.0; h.len()];
        self.risk.slope(h, &mut u);
        u
    }

    /// The Newton step of the free coefficients; Hessian products are differences of slopes.
    fn newton_step(
        &self,
        h: &[f64],
        u: &[f64],
        gradient: &[f64],
        free: &[usize],
    ) -> Option<DVector<f64>> {
        let q = free.len();
        let mut hessian = DMatrix::zeros(q, q);
        for (c, &j) in free.iter().enumerate() {
            let y = &self.columns[j].0;
            let length = DIFFERENCE * (1.0 + norm(h)) / norm(y).max(f64::MIN_POSITIVE);
            let moved: Vec<f64> = h.iter().zip(y).map(|(h, y)| h + length * y).collect();
            let mut product = self.slope(&moved);
            product
                .iter_mut()
                .zip(u)
                .for_each(|(p, u)| *p = (*p - u) / length);
            for (r, &i) in free.iter().enumerate() {
                hessian[(r, c)] = dot(&self.columns[i].0, &product);
            }
        }
        let shift = REGULARISATION * hessian.trace();
        let symmetric = 0.5 * (&hessian + hessian.transpose()) + DMatrix::identity(q, q) * shift;
        let right = DVector::from_iterator(q, free.iter().map(|&i| -gradient[i]));
        Cholesky::new(symmetric).map(|cholesky| cholesky.solve(&right))
    }

    /// The projected step of the largest length that decreases the value.
    fn shorten(&self, free: &[usize], step: &DVector<f64>, value: f64) -> Option<(Vec<f64>, f64)> {
        let mut length = 1.0;
        for _ in 0..HALVINGS {
            let mut next = self.coefficients.clone();
            for (&i, s) in free.iter().zip(step) {
                next[i] = (next[i] + length * s).max(0.0);
            }
            let lower = self.value(&next);
            if lower < value {
                return Some((next, lower));
            }
            length *= 0.5;
        }
        None
    }
}
