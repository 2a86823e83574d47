//! The terms of a relaxation, and its bound with rounding errors.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn, SymmetricEigen};

use super::multipliers::Multipliers;
use super::work::Sizes;
use crate::numeric::error_bounds::{CompensatedSum, EPS};
use crate::numeric::vector::{dot, norm};
use crate::optimality::piecewise_linear::PiecewiseLinearMap;

/// Trials of a lower bound of the smallest eigenvalue of S, from 1/2 down by a factor of 4.
pub(super) const EIGENVALUE_TRIALS: usize = 24;

/// Steps of the power method for a start.
const POWER_STEPS: usize = 16;

/// The terms of a bound: `v.L_0 b + sum_j v.c_j |b.x_j| - sum_j q_j |b.x_j|`, with q for one output
/// only.
#[derive(Clone)]
pub(super) struct Terms {
    /// `L_0^T`, `d x k`.
    linear: DMatrix<f64>,
    /// A bound of the errors of `linear`, `c` and `q` on the unit sphere.
    error: f64,
    /// The samples of the convex terms, `d x n_p`.
    pub(super) convex: DMatrix<f64>,
    /// `c`, `k x n_p`.
    coefficients: DMatrix<f64>,
    /// The samples of the concave terms, `d x n_q`.
    pub(super) concave: DMatrix<f64>,
    /// `q`.
    pub(super) q: DVector<f64>,
    /// The indices of the convex and of the concave terms.
    samples: [Vec<usize>; 2],
    /// `V^(1/2)`, `k x k`, of the density matrix V in place of `v v^T`.
    root: DMatrix<f64>,
    /// `p_j = (c_j.V c_j)^(1/2)`.
    pub(super) p: DVector<f64>,
    /// The basis whose coordinates the terms have; `None` for those of the samples.
    basis: Option<DMatrix<f64>>,
}

impl Terms {
    /// The terms of `sign g` for one output; of `v.g` with `V = I / k` for several.
    pub(super) fn new(map: &PiecewiseLinearMap, sign: f64) -> Self {
        let k = map.k;
        let mean = 0.5 * (map.slopes.plus + map.slopes.minus);
        let half = 0.5 * (map.slopes.plus - map.slopes.minus);
        let mut sums = vec![CompensatedSum::default(); map.d * k];
        let (mut convex, mut concave) = (Vec::new(), Vec::new());
        for j in 0..map.len() {
            map.add_outer(&mut sums, j, sign * mean);
            let c = sign * half * map.coefficient(j)[0];
            if half == 0.0 {
                continue;
            }
            let concaves = k == 1 && c < 0.0;
            if concaves { &mut concave } else { &mut convex }.push(j);
        }
        let q = concave
            .iter()
            .map(|&j| (half * map.coefficient(j)[0]).abs());
        let q = DVector::from_iterator(concave.len(), q);
        let coefficients = DMatrix::from_fn(k, convex.len(), |i, j| {
            sign * half * map.coefficient(convex[j])[i]
        });
        let sums = sums.iter().map(CompensatedSum::value);
        let mut terms = Self {
            linear: DMatrix::from_iterator(k, map.d, sums).transpose(),
            // The entries of L and their sums, c and q: 3 EPS |u_j| for each term. With a reserve.
            error: 16.0 * EPS * map.size,
            convex: columns_at(map, &convex),
            coefficients,
            concave: columns_at(map, &concave),
            q,
            samples: [convex.clone(), concave.clone()],
            root: DMatrix::zeros(k, k),
            p: DVector::zeros(convex.len()),
            basis: None,
        };
        terms.set_density_root(DMatrix::identity(k, k) / (k as f64).sqrt());
        terms
    }

    /// The same terms in the coordinates of an orthonormal basis of the span of the samples.
    ///
    /// Multipliers from these coordinates are valid for the terms themselves, whatever the rounding
    /// errors of the basis.
    pub(super) fn within(&self, basis: &DMatrix<f64>) -> Self {
        Self {
            linear: basis.tr_mul(&self.linear),
            error: self.error,
            convex: basis.tr_mul(&self.convex),
            coefficients: self.coefficients.clone(),
            concave: basis.tr_mul(&self.concave),
            q: self.q.clone(),
            samples: self.samples.clone(),
            root: self.root.clone(),
            p: self.p.clone(),
            basis: Some(basis.clone()),
        }
    }

    /// A vector in the coordinates of the samples.
    fn lift(&self, a: &[f64]) -> Vec<f64> {
        match &self.basis {
            Some(basis) => (basis * DVector::from_column_slice(a)).as_slice().to_vec(),
            None => a.to_vec(),
        }
    }

    pub(super) fn sizes(&self) -> Sizes {
        let n = self.p.len() + self.q.len();
        Sizes::new(self.convex.nrows(), n, self.linear.ncols())
    }

    /// An estimate of the largest eigenvalue of `sum_j p_j x_j x_j^T`, by the power method.
    pub(super) fn largest_eigenvalue(&self) -> f64 {
        let sum = self.p.sum();
        let mut estimate = 0.0_f64;
        if !self.p.is_empty() {
            let mut v = self.convex.column(self.p.imax()).clone_owned();
            for _ in 0..POWER_STEPS {
                let length = v.norm();
                if length == 0.0 {
                    break;
                }
                v /= length;
                let next = &self.convex * self.convex.tr_mul(&v).component_mul(&self.p);
                estimate = estimate.max(next.norm());
                v = next;
            }
        }
        // Between the trace over d and the trace.
        estimate.max(sum / self.convex.nrows() as f64).min(sum)
    }

    /// Replaces `V^(1/2)`.
    pub(super) fn set_density_root(&mut self, root: DMatrix<f64>) {
        let projected = &root * &self.coefficients;
        for (p, c) in self.p.iter_mut().zip(projected.column_iter()) {
            // A vanishing term would have the weight 0, whose logarithm is infinite.
            *p = c.norm().max(f64::MIN_POSITIVE);
        }
        self.root = root;
    }

    /// `L^T = L_0^T + sum_j q_j theta_j x_j`.
    fn linear_at(&self, theta: &DVector<f64>) -> DMatrix<f64> {
        let mut linear = self.linear.clone();
        if !self.q.is_empty() {
            linear += &self.concave * self.q.component_mul(theta);
        }
        linear
    }

    /// `L^T V^(1/2)`.
    pub(super) fn weighted_linear(&self, theta: &DVector<f64>) -> DMatrix<f64> {
        self.linear_at(theta) * &self.root
    }

    /// The first moment `S^-1 l` of the relaxation, as a unit vector.
    pub(super) fn direction(&self, multipliers: &Multipliers) -> Option<Vec<f64>> {
        let s = Cholesky::new(self.matrix(&multipliers.weights()))?;
        let moments = s.solve(&self.weighted_linear(&multipliers.theta));
        let lengths = moments.column_iter().map(|a| a.norm());
        let longest = lengths
            .enumerate()
            .max_by(|(_, s), (_, t)| s.total_cmp(t))?;
        let b = moments.column(longest.0) / longest.1;
        let b = self.lift(b.as_slice());
        b.iter().all(|b| b.is_finite()).then_some(b)
    }

    /// The gradient of the bound with respect to u, for one output: the predictions of a relaxed
    /// neuron at the samples of the map.
    pub(super) fn gradient(
        &self,
        map: &PiecewiseLinearMap,
        sign: f64,
        multipliers: &Multipliers,
    ) -> Option<Vec<f64>> {
        let mean = 0.5 * (map.slopes.plus + map.slopes.minus);
        let half = 0.5 * (map.slopes.plus - map.slopes.minus);
        let w = multipliers.weights();
        let l = self.linear_at(&multipliers.theta);
        let a = Cholesky::new(self.matrix(&w))?.solve(&l);
        let square = a.dot(&l) + self.p.iter().zip(&w).map(|(p, w)| p * (p / w)).sum::<f64>();
        let a = self.lift(a.as_slice());
        let mut y: Vec<f64> = (0..map.len())
            .map(|j| mean * dot(map.point(j), &a))
            .collect();
        let [convex, concave] = &self.samples;
        for (i, &j) in convex.iter().enumerate() {
            y[j] += half * (self.p[i] / w[i]);
        }
        for (i, &j) in concave.iter().enumerate() {
            y[j] -= half * multipliers.theta[i] * dot(map.point(j), &a);
        }
        y.iter_mut().for_each(|y| *y *= sign / square.sqrt());
        y.iter().all(|y| y.is_finite()).then_some(y)
    }

    /// `I - sum_j w_j x_j x_j^T`.
    pub(super) fn matrix(&self, w: &DVector<f64>) -> DMatrix<f64> {
        let d = self.convex.nrows();
        let mut scaled = self.convex.clone();
        for (mut column, w) in scaled.column_iter_mut().zip(w) {
            column *= *w;
        }
        let mut s = DMatrix::identity(d, d);
        s.gemm(-1.0, &scaled, &self.convex.transpose(), 1.0);
        // One of the two triangles for both.
        for r in 0..d {
            for c in 0..r {
                s[(c, r)] = s[(r, c)];
            }
        }
        s
    }

    /// An upper bound of the terms over unit vectors b and v, rounding errors included, and the
    /// matrix of which it is the largest eigenvalue; infinite if the multipliers give none.
    ///
    /// All numbers are exact but for the following, with `S` the computed matrix.
    /// - `|S - (I - sum_j w_j x_j x_j^T)| <= eta = (n + 8) EPS (1 + sum_j w_j |x_j|^2)`: the error
    ///   of every entry is at most `(n + 2) EPS` times the same sum of absolute values, and a
    ///   matrix `|x| |x|^T` has the norm `|x|^2`. Hence
    ///   `b.S b + sum_j w_j (b.x_j)^2 <= 1 + eta`.
    /// - With `R = L^T - S A`, `L S^-1 L^T = A^T L^T + A^T R + R^T S^-1 R` for any A, and the last
    ///   term is at most `|R|^2 / alpha` for a lower bound `alpha` of the eigenvalues of S. The
    ///   computed R has an error of at most `(d + 4) EPS (|L| + |S| |A|)`, in Frobenius norms.
    /// - `sum_j c_j c_j^T / w_j` has an error of at most `(n + 8) EPS` times its trace.
    /// - The error of L changes the bound by as much.
    pub(super) fn proved_bound(&self, multipliers: &Multipliers) -> (f64, DMatrix<f64>) {
        let (d, k) = self.linear.shape();
        let none = (f64::INFINITY, DMatrix::identity(k, k));
        let w = multipliers.weights();
        let theta = multipliers.theta.map(|t| t.clamp(-1.0, 1.0));
        let of_samples = (self.p.len() + self.q.len() + 8) as f64 * EPS;
        let of_coordinates = (d + k + 4) as f64 * EPS;
        let l = self.linear_at(&theta);
        let s = self.matrix(&w);
        let eta = of_samples * (1.0 + w.sum() * (1.0 + of_samples + of_coordinates));
        let Some((cholesky, smallest)) = factorise(&s) else {
            return none;
        };
        let mut a = cholesky.solve(&l);
        // One step of refinement.
        a += cholesky.solve(&(&l - &s * &a));
        let (size_l, size_a) = (norm(l.as_slice()), norm(a.as_slice()));
        let residual = norm((&l - &s * &a).as_slice())
            + of_coordinates * (size_l + norm(s.as_slice()) * size_a);
        let mut scaled = self.coefficients.clone();
        for (mut column, w) in scaled.column_iter_mut().zip(&w) {
            column /= *w;
        }
        let convex = &scaled * self.coefficients.transpose();
        let error = of_coordinates * size_l * size_a
            + residual * size_a
            + residual * residual / smallest
            + of_samples * convex.trace();
        let total = a.tr_mul(&l) + convex;
        let total = 0.5 * (&total + total.transpose());
        let square = (largest_eigenvalue(&total) + error) * (1.0 + eta);
        // `max` would return 0 for NaN.
        if !square.is_finite() {
            return none;
        }
        let sizes = self.q.sum() + norm(self.linear.as_slice());
        let bound = square.max(0.0).sqrt() * (1.0 + 64.0 * EPS)
            + self.error
            + (of_samples + of_coordinates) * sizes;
        if bound.is_finite() {
            (bound, total)
        } else {
            none
        }
    }
}

/// An upper bound of the largest eigenvalue of a symmetric matrix.
///
/// `(lambda + beta) I - T` is positive semidefinite up to the error of its factorisation. If that
/// fails, the Frobenius norm is a bound.
fn largest_eigenvalue(t: &DMatrix<f64>) -> f64 {
    let k = t.nrows();
    let size = norm(t.as_slice()) * (1.0 + (k + 4) as f64 * EPS);
    if k == 1 {
        return t[0];
    }
    if !size.is_finite() {
        return f64::INFINITY;
    }
    let unit = (k + 4) as f64 * EPS * size;
    let shift = SymmetricEigen::new(t.clone()).eigenvalues.max() + 16.0 * unit;
    let shifted = DMatrix::identity(k, k) * shift - t;
    match Cholesky::new(shifted) {
        Some(_) => (shift + 2.0 * k as f64 * unit).min(size),
        None => size,
    }
}

/// The samples of the given indices, `d x` (number of indices).
fn columns_at(map: &PiecewiseLinearMap, indices: &[usize]) -> DMatrix<f64> {
    let mut x = DMatrix::zeros(map.d, indices.len());
    for (mut column, &j) in x.column_iter_mut().zip(indices) {
        column.copy_from_slice(map.point(j));
    }
    x
}

/// A factorisation of S, and a proved lower bound of its smallest eigenvalue.
///
/// If the Cholesky factorisation of `S - alpha I` succeeds in floating point, the smallest eigenvalue
/// of S is at least `alpha - (d + 3) EPS (tr S + d)`. Source: S. M. Rump, Verification of positive
/// definiteness, BIT 46, 2006.
fn factorise(s: &DMatrix<f64>) -> Option<(Cholesky<f64, Dyn>, f64)> {
    let d = s.nrows();
    let error = (d + 3) as f64 * EPS * (s.trace().abs() + d as f64);
    let mut alpha = 0.5;
    for _ in 0..EIGENVALUE_TRIALS {
        let shifted = s - DMatrix::identity(d, d) * alpha;
        if Cholesky::new(shifted).is_some() {
            let smallest = alpha - error;
            let cholesky = Cholesky::new(s.clone()).filter(|_| smallest > 0.5 * alpha)?;
            return Some((cholesky, smallest));
        }
        alpha *= 0.25;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimality::piecewise_linear::OneSidedSlopes;

    fn map(u: &[f64], k: usize) -> PiecewiseLinearMap {
        let x: Vec<f64> = (0..7 * u.len() / k).map(|i| (i as f64).sin()).collect();
        let slopes = OneSidedSlopes {
            plus: 1.0,
            minus: 0.0,
        };
        PiecewiseLinearMap::new(&x, u, 7, k, slopes)
    }

    fn multipliers(log_weights: &[f64]) -> Multipliers {
        Multipliers {
            log_weights: DVector::from_column_slice(log_weights),
            theta: DVector::zeros(0),
        }
    }

    /// A coefficient that underflows over a weight that underflows is NaN; so is infinity times 0.
    #[test]
    fn multipliers_without_a_number_give_no_bound() {
        let underflowing = map(&[1e300, 1e-300], 1);
        let several = map(&[1.0, 0.0, 0.5, 1.0], 2);
        let unbounded = [[-1.5, -1e4], [-1.5, f64::NAN], [1e4, -1.5], [-1e4, -1.5]];
        for map in [&underflowing, &several] {
            let terms = Terms::new(map, 1.0);
            let (bound, _) = terms.proved_bound(&multipliers(&[-1.5, -1.5]));
            assert!(bound.is_finite() && bound >= 0.5 * map.size);
            for log_weights in unbounded {
                let (bound, matrix) = terms.proved_bound(&multipliers(&log_weights));
                assert_eq!(bound, f64::INFINITY, "{log_weights:?}");
                assert!(matrix.iter().all(|t| t.is_finite()));
            }
        }
    }
}
