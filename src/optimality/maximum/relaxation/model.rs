//! The barrier function of a relaxation at multipliers, its gradient and its Hessian.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

use super::multipliers::Multipliers;
use super::proof::Terms;
use super::work::{Sizes, Work};

/// Conjugate gradient steps at most for one Newton step.
const CONJUGATE_STEPS: usize = 12;

/// The relative residual of a Newton step, in the norm of the preconditioner.
const FORCING: f64 = 0.1;

/// An evaluation at multipliers.
pub(super) struct Point {
    pub(super) multipliers: Multipliers,
    w: DVector<f64>,
    cholesky: Cholesky<f64, Dyn>,
    /// `L^T V^(1/2)`.
    l: DMatrix<f64>,
    /// `Phi`.
    pub(super) square: f64,
    /// `log det S`.
    log_det: f64,
    /// `sum_j log(1 - theta_j^2)`.
    log_slack: f64,
}

impl Point {
    /// `None` if S is not positive definite.
    pub(super) fn new(terms: &Terms, multipliers: Multipliers) -> Option<Self> {
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

    pub(super) fn merit(&self, [e, f]: [f64; 2]) -> f64 {
        self.square - e * self.log_det - f * self.log_slack
    }
}

/// The gradient and the Hessian of the merit at a point.
pub(super) struct Model {
    gradient: DVector<f64>,
    /// `D`, with the diagonal of the third term.
    preconditioner_diagonal: DVector<f64>,
    diagonal: DVector<f64>,
    /// `Y`, for one output.
    y: DMatrix<f64>,
    /// `w_j^(1/2) T_j.t_i` for several outputs: with these factors, the columns of t are those of Y.
    slopes: DMatrix<f64>,
    /// `T` of the convex terms, with columns scaled by `w_j^(1/2)`.
    t: DMatrix<f64>,
    e: f64,
    capacitance: Option<Cholesky<f64, Dyn>>,
}

impl Model {
    pub(super) fn new(terms: &Terms, point: &Point, [e, f]: [f64; 2]) -> Self {
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
        let k = point.l.ncols();
        let mut model = Self {
            gradient: DVector::zeros(n),
            preconditioner_diagonal: DVector::zeros(n),
            diagonal: DVector::zeros(n),
            y: DMatrix::zeros(terms.convex.nrows(), if k == 1 { n } else { 0 }),
            slopes: DMatrix::zeros(if k == 1 { 0 } else { m }, k),
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
            if k == 1 {
                model.y.column_mut(j).axpy(w * slopes[0], &column, 0.0);
            } else {
                let factors = slopes.transpose() * w.sqrt();
                model.slopes.row_mut(j).copy_from(&factors);
                // The preconditioner is the diagonal.
                let squares = factors.norm_squared() * (w * size);
                model.preconditioner_diagonal[j] += 2.0 * squares;
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
            model.y.column_mut(m + i).axpy(q, &column, 0.0);
        }
        model.t = t;
        if k > 1 {
            return model;
        }
        let mut scaled = model.y.clone();
        for (mut column, d) in scaled.column_iter_mut().zip(&model.preconditioner_diagonal) {
            column /= *d;
        }
        let d = terms.convex.nrows();
        let mut capacitance = DMatrix::identity(d, d) * 0.5;
        capacitance.gemm(1.0, &scaled, &model.y.transpose(), 1.0);
        model.capacitance = Cholesky::new(capacitance);
        model
    }

    /// The Hessian product.
    fn multiply(&self, v: &DVector<f64>) -> DVector<f64> {
        let mut out = self.diagonal.component_mul(v);
        let m = self.t.ncols();
        if self.y.ncols() > 0 {
            out.gemv_tr(2.0, &self.y, &(&self.y * v), 1.0);
        } else {
            let mut scaled = self.slopes.clone();
            for (mut row, v) in scaled.row_iter_mut().zip(v) {
                row *= *v;
            }
            let products = self.t.tr_mul(&(&self.t * scaled));
            for j in 0..m {
                out[j] += 2.0 * products.row(j).dot(&self.slopes.row(j));
            }
        }
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
        if let Some(capacitance) = &self.capacitance {
            let correction = capacitance.solve(&(&self.y * &out));
            let mut product = self.y.tr_mul(&correction);
            product.component_div_assign(&self.preconditioner_diagonal);
            out -= product;
        }
        out
    }

    /// The direction of the truncated Newton step, and minus the slope along it.
    pub(super) fn direction(&self, sizes: Sizes, work: &mut Work) -> (DVector<f64>, f64) {
        let mut step = DVector::zeros(self.gradient.len());
        let mut residual = -&self.gradient;
        let mut z = self.precondition(&residual);
        let mut direction = z.clone();
        let mut size = residual.dot(&z);
        let first = size;
        for _ in 0..CONJUGATE_STEPS {
            if !work.take(sizes.product()) {
                break;
            }
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
