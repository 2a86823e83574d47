//! The minimisation of the bound over its multipliers: a barrier method with Newton steps.
//!
//! `Phi(w, theta) - e log det S - f sum_j log(1 - theta_j^2)` is minimised for decreasing `e, f`, in
//! the variables `log w` and `theta`, with `Phi = l.S^-1 l + sum_j p_j^2 / w_j`. With `S = R R^T`,
//! `T = R^-1 X` and `t = R^-1 l`, its Hessian is
//!
//! ```text
//! D + 2 Y^T Y + e (w w^T) o (T^T T)^2,   Y = [ w_j (T_j.t) T_j,  q_j T_j ],   D diagonal,
//! ```
//!
//! with the square entry by entry. The inverse of the first two terms costs `O(n d^2)`; it is the
//! preconditioner of conjugate gradients. Source of the scheme: J. Nocedal and S. J. Wright,
//! Numerical optimization, 2006, chapters 7 and 19.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

use super::proof::Terms;
use crate::optimality::effort::Limits;

/// Newton steps at most, over all barrier parameters.
const STEPS: usize = 120;

/// Newton steps at most for one barrier parameter.
const STEPS_AT_ONE_PARAMETER: usize = 12;

/// Conjugate gradient steps at most for one Newton step.
const CONJUGATE_STEPS: usize = 12;

/// The relative residual of a Newton step, in the norm of the preconditioner.
const FORCING: f64 = 0.1;

/// The barrier terms relative to `Phi`, without and with a start from earlier multipliers.
const COLD_SHARE: f64 = 0.5;
const WARM_SHARE: f64 = 0.1;

/// The factor of earlier w and theta. An optimal S is nearly singular for other data, and steps from
/// bounds of theta to the other side would be short.
const WARM_FACTOR: f64 = 0.9;

/// The factor of the barrier parameters from one to the next.
const DECREASE: f64 = 0.15;

/// The squared Newton decrement, relative to the barrier terms, at which the parameter decreases.
const DECREMENT: f64 = 0.3;

/// The part of the way to the bounds of theta that a step may take.
const FRACTION_TO_BOUNDARY: f64 = 0.95;

/// The largest change of `log w` in one step.
const LARGEST_CHANGE: f64 = 2.0;

/// The halvings of a step at most.
const HALVINGS: usize = 30;

/// The part of the predicted decrease that a step must attain (Armijo).
const SUFFICIENT: f64 = 1e-4;

/// The multipliers of a relaxation: `log w` and `theta`.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::optimality) struct Multipliers {
    pub(super) log_weights: DVector<f64>,
    pub(super) theta: DVector<f64>,
}

impl Multipliers {
    pub(super) fn weights(&self) -> DVector<f64> {
        self.log_weights.map(f64::exp)
    }

    /// `w` proportional to p with `tr sum_j w_j x_j x_j^T = 1/2`, and `theta = 0`.
    fn start(terms: &Terms) -> Self {
        let sum = terms.p.sum();
        Self {
            log_weights: terms.p.map(|p| (0.5 * p / sum).max(f64::MIN_POSITIVE).ln()),
            theta: DVector::zeros(terms.q.len()),
        }
    }
}

/// An evaluation at multipliers.
struct Point {
    multipliers: Multipliers,
    w: DVector<f64>,
    cholesky: Cholesky<f64, Dyn>,
    /// `L^T V^(1/2)`.
    l: DMatrix<f64>,
    /// `Phi`.
    square: f64,
    /// `log det S`.
    log_det: f64,
    /// `sum_j log(1 - theta_j^2)`.
    log_slack: f64,
}

impl Point {
    /// `None` if S is not positive definite.
    fn new(terms: &Terms, multipliers: Multipliers) -> Option<Self> {
        let w = multipliers.weights();
        let cholesky = Cholesky::new(terms.matrix(&w))?;
        let l = terms.weighted_linear(&multipliers.theta);
        let convex: f64 = terms.p.iter().zip(&w).map(|(p, w)| p * (p / w)).sum();
        let square = convex + l.dot(&cholesky.solve(&l));
        let diagonal = cholesky.l_dirty().diagonal();
        let log_det = 2.0 * diagonal.iter().map(|r| r.ln()).sum::<f64>();
        let log_slack = multipliers.theta.iter().map(|t| (-t * t).ln_1p()).sum();
        let point = Self {
            multipliers,
            w,
            cholesky,
            l,
            square,
            log_det,
            log_slack,
        };
        point.square.is_finite().then_some(point)
    }

    fn merit(&self, [e, f]: [f64; 2]) -> f64 {
        self.square - e * self.log_det - f * self.log_slack
    }
}

/// The gradient and the Hessian of the merit at a point.
struct Model {
    gradient: DVector<f64>,
    /// `D`, with the diagonal of the third term.
    preconditioner_diagonal: DVector<f64>,
    diagonal: DVector<f64>,
    /// `Y`, one for each output.
    y: Vec<DMatrix<f64>>,
    /// `T` of the convex terms, with columns scaled by `w_j^(1/2)`.
    t: DMatrix<f64>,
    e: f64,
    capacitance: Option<Cholesky<f64, Dyn>>,
}

impl Model {
    fn new(terms: &Terms, point: &Point, [e, f]: [f64; 2]) -> Self {
        let lower = point.cholesky.l();
        let whiten = |x: &DMatrix<f64>| {
            let mut t = x.clone();
            lower.solve_lower_triangular_mut(&mut t);
            t
        };
        let (mut t, t_concave) = (whiten(&terms.convex), whiten(&terms.concave));
        let mut whitened = point.l.clone();
        lower.solve_lower_triangular_mut(&mut whitened);
        let (m, n) = (terms.p.len(), terms.p.len() + terms.q.len());
        let mut model = Self {
            gradient: DVector::zeros(n),
            preconditioner_diagonal: DVector::zeros(n),
            diagonal: DVector::zeros(n),
            y: vec![DMatrix::zeros(terms.convex.nrows(), n); point.l.ncols()],
            t: DMatrix::zeros(0, 0),
            e,
            capacitance: None,
        };
        for j in 0..m {
            let (p, w) = (terms.p[j], point.w[j]);
            let mut column = t.column_mut(j);
            let (slopes, size) = (whitened.tr_mul(&column), column.norm_squared());
            let (convex, matrix) = (p * (p / w), w * (slopes.norm_squared() + e * size));
            model.gradient[j] = matrix - convex;
            model.diagonal[j] = matrix + convex;
            model.preconditioner_diagonal[j] = matrix + convex + e * (w * size) * (w * size);
            for (y, slope) in model.y.iter_mut().zip(&slopes) {
                y.column_mut(j).axpy(w * slope, &column, 0.0);
            }
            column *= w.sqrt();
        }
        for i in 0..terms.q.len() {
            let (q, theta) = (terms.q[i], point.multipliers.theta[i]);
            let column = t_concave.column(i);
            let slack = 1.0 - theta * theta;
            model.gradient[m + i] = 2.0 * (q * column.dot(&whitened.column(0)) + f * theta / slack);
            let diagonal = 2.0 * f * (1.0 + theta * theta) / (slack * slack);
            model.diagonal[m + i] = diagonal;
            model.preconditioner_diagonal[m + i] = diagonal;
            model.y[0].column_mut(m + i).axpy(q, &column, 0.0);
        }
        model.t = t;
        let [y] = &model.y[..] else {
            // For several outputs the preconditioner is the diagonal.
            for (j, diagonal) in model.preconditioner_diagonal.iter_mut().enumerate() {
                let columns = model.y.iter().map(|y| y.column(j).norm_squared());
                *diagonal += 2.0 * columns.sum::<f64>();
            }
            return model;
        };
        let mut scaled = y.clone();
        for (mut column, d) in scaled.column_iter_mut().zip(&model.preconditioner_diagonal) {
            column /= *d;
        }
        let d = terms.convex.nrows();
        let mut capacitance = DMatrix::identity(d, d) * 0.5;
        capacitance.gemm(1.0, &scaled, &y.transpose(), 1.0);
        model.capacitance = Cholesky::new(capacitance);
        model
    }

    /// The Hessian product.
    fn multiply(&self, v: &DVector<f64>) -> DVector<f64> {
        let mut out = self.diagonal.component_mul(v);
        for y in &self.y {
            out.gemv_tr(2.0, y, &(y * v), 1.0);
        }
        let m = self.t.ncols();
        if self.e > 0.0 && m > 0 {
            let mut scaled = self.t.clone();
            for (mut column, v) in scaled.column_iter_mut().zip(v) {
                column *= *v;
            }
            let matrix = &scaled * self.t.transpose();
            let product = matrix * &self.t;
            for j in 0..m {
                out[j] += self.e * product.column(j).dot(&self.t.column(j));
            }
        }
        out
    }

    /// The inverse of the first two terms, with the diagonal of the third.
    fn precondition(&self, v: &DVector<f64>) -> DVector<f64> {
        let mut out = v.component_div(&self.preconditioner_diagonal);
        if let (Some(capacitance), [y]) = (&self.capacitance, &self.y[..]) {
            let correction = capacitance.solve(&(y * &out));
            let mut product = y.tr_mul(&correction);
            product.component_div_assign(&self.preconditioner_diagonal);
            out -= product;
        }
        out
    }

    /// The direction of the truncated Newton step, and minus the slope along it.
    fn direction(&self) -> (DVector<f64>, f64) {
        let mut step = DVector::zeros(self.gradient.len());
        let mut residual = -&self.gradient;
        let mut z = self.precondition(&residual);
        let mut direction = z.clone();
        let mut size = residual.dot(&z);
        let first = size;
        for _ in 0..CONJUGATE_STEPS {
            let product = self.multiply(&direction);
            let curvature = direction.dot(&product);
            if curvature.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) {
                break;
            }
            let length = size / curvature;
            step.axpy(length, &direction, 1.0);
            residual.axpy(-length, &product, 1.0);
            z = self.precondition(&residual);
            let next = residual.dot(&z);
            if next <= FORCING * FORCING * first {
                break;
            }
            direction = &z + direction * (next / size);
            size = next;
        }
        let decrease = -self.gradient.dot(&step);
        (step, decrease)
    }
}

/// Multipliers of a bound near the least one.
///
/// Stops if the bound is at most `goal (1 + limits.tolerance)`, or near its minimum up to the
/// relative `tolerance`, or at the time limit.
pub(super) fn minimise(
    terms: &Terms,
    start: Option<Multipliers>,
    goal: f64,
    tolerance: f64,
    limits: Limits,
) -> Multipliers {
    let (m, n) = (terms.p.len(), terms.q.len());
    let d = terms.convex.nrows();
    let start = start
        .filter(|start| start.log_weights.len() == m && start.theta.len() == n)
        .and_then(|mut start| {
            start.theta *= WARM_FACTOR;
            start.log_weights.add_scalar_mut(WARM_FACTOR.ln());
            Point::new(terms, start)
        });
    let cold = Point::new(terms, Multipliers::start(terms));
    // For other data the earlier multipliers may be far off, and the steps of their logarithms are
    // short.
    let warm = match (&start, &cold) {
        (Some(start), Some(cold)) => start.square <= cold.square,
        (start, _) => start.is_some(),
    };
    let Some(mut point) = (if warm { start } else { cold }) else {
        return Multipliers::start(terms);
    };
    let goal = goal * (1.0 + limits.tolerance);
    let barrier = |square: f64| {
        // The excess over the minimum is e d + 2 f n at most.
        [0.5 * square / d as f64, 0.25 * square / n.max(1) as f64]
    };
    let mut share = if warm { WARM_SHARE } else { COLD_SHARE };
    let mut steps = 0;
    loop {
        let parameters = barrier(point.square).map(|b| share * b);
        let last = share <= 2.0 * tolerance;
        let count = if last { STEPS } else { STEPS_AT_ONE_PARAMETER };
        for _ in 0..count {
            if point.square <= goal * goal || steps >= STEPS || limits.is_late() {
                return point.multipliers;
            }
            steps += 1;
            let model = Model::new(terms, &point, parameters);
            let (step, decrease) = model.direction();
            let Some(next) = line_search(terms, &point, &step, decrease, parameters) else {
                break;
            };
            point = next;
            let weight = parameters[0] * d as f64 + 2.0 * parameters[1] * n as f64;
            if decrease <= DECREMENT * weight {
                break;
            }
        }
        if last {
            return point.multipliers;
        }
        share = (share * DECREASE).max(2.0 * tolerance);
    }
}

/// The next point along a direction; `None` if the merit does not decrease.
fn line_search(
    terms: &Terms,
    point: &Point,
    step: &DVector<f64>,
    decrease: f64,
    parameters: [f64; 2],
) -> Option<Point> {
    let m = terms.p.len();
    let mut length = 1.0_f64;
    for (j, &s) in step.iter().enumerate() {
        let room = if j < m {
            LARGEST_CHANGE
        } else {
            let theta = point.multipliers.theta[j - m];
            FRACTION_TO_BOUNDARY * (1.0 - theta * s.signum())
        };
        if s.abs() * length > room {
            length = room / s.abs();
        }
    }
    let merit = point.merit(parameters);
    for _ in 0..HALVINGS {
        let moved = Multipliers {
            log_weights: &point.multipliers.log_weights + step.rows(0, m) * length,
            theta: &point.multipliers.theta + step.rows(m, step.len() - m) * length,
        };
        if let Some(next) = Point::new(terms, moved)
            && next.merit(parameters) <= merit - SUFFICIENT * length * decrease
        {
            return Some(next);
        }
        length *= 0.5;
    }
    None
}
