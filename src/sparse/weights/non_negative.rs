//! Non-negative least squares, and two problems that reduce to it.
//!
//! Source: C. L. Lawson and R. J. Hanson, Solving least squares problems, 1974, chapter 23: NNLS is
//! algorithm 23.10, and the least distance problem is algorithm 23.27.

use nalgebra::{DMatrix, DVector};

/// The relative size of a residual or a diagonal entry that is rounding error.
const TOLERANCE: f64 = 1e-14;

/// `argmin_{x >= 0} |A x - f|`, started from the passive set `start` of entries that are expected
/// to be positive.
///
/// The passive set gains the entry of the steepest descent, and loses those that a step to the
/// unconstrained minimum over the set would make negative. The columns of A are not zero.
pub(super) fn non_negative_least_squares(
    a: &DMatrix<f64>,
    f: &DVector<f64>,
    start: &[usize],
) -> DVector<f64> {
    let n = a.ncols();
    // Unit columns, so that one tolerance serves all of them.
    let lengths = DVector::from_iterator(n, a.column_iter().map(|column| column.norm()));
    let mut a = a.clone();
    for (mut column, &length) in a.column_iter_mut().zip(&lengths) {
        column /= length;
    }
    let (mut x, mut passive) = (DVector::zeros(n), start.to_vec());
    // The solution over `start`, without its negative entries.
    while !passive.is_empty() {
        let Some(target) = least_squares(&a, &passive, f) else {
            passive.pop();
            continue;
        };
        if target.iter().all(|&t| t > 0.0) {
            passive.iter().zip(&target).for_each(|(&i, &t)| x[i] = t);
            break;
        }
        let mut positive = target.iter().map(|&t| t > 0.0);
        passive.retain(|_| positive.next() == Some(true));
    }
    // Entries that left as soon as they entered: rounding may make them do so for ever.
    let mut refused: Vec<usize> = Vec::new();
    // The limit that Lawson and Hanson recommend, 3 n.
    for _ in 0..3 * n + 3 {
        let descent = a.tr_mul(&(f - &a * &x));
        let active = (0..n).filter(|i| !passive.contains(i) && !refused.contains(i));
        let Some(entering) = active
            .max_by(|&i, &j| descent[i].total_cmp(&descent[j]))
            .filter(|&i| descent[i] > TOLERANCE * f.norm())
        else {
            break;
        };
        passive.push(entering);
        refused.push(entering);
        while !passive.is_empty() {
            let Some(target) = least_squares(&a, &passive, f) else {
                passive.pop();
                break;
            };
            let entries = passive.iter().zip(target.iter());
            // The step to the target at which each entry becomes 0.
            let zeros = entries.map(|(&i, &t)| match t > 0.0 {
                true => f64::INFINITY,
                false => x[i] / (x[i] - t),
            });
            let zeros: Vec<f64> = zeros.collect();
            let s = zeros.iter().fold(1.0, |s, &zero| f64::min(s, zero));
            for (&i, &t) in passive.iter().zip(target.iter()) {
                x[i] += s * (t - x[i]);
            }
            let before = passive.len();
            let mut zeros = zeros.into_iter();
            passive.retain(|&i| {
                let remains = zeros.next().is_some_and(|zero| zero > s);
                if !remains {
                    x[i] = 0.0;
                }
                remains
            });
            if s > 0.0 {
                refused.clear();
            }
            if passive.len() == before {
                break;
            }
        }
    }
    x.component_div(&lengths)
}

/// `argmin |A x - f|` over the columns `passive`; `None` if they are dependent up to rounding.
fn least_squares(a: &DMatrix<f64>, passive: &[usize], f: &DVector<f64>) -> Option<DVector<f64>> {
    let k = passive.len();
    if k > a.nrows() {
        return None;
    }
    let qr = a.select_columns(passive).qr();
    let r = qr.r();
    if r.diagonal().iter().any(|r| r.abs() <= TOLERANCE) {
        return None;
    }
    let mut right = f.clone();
    qr.q_tr_mul(&mut right);
    r.solve_upper_triangular(&right.rows(0, k))
}

/// `argmin_{x >= 0} x.H x / 2 - b.x` for a positive definite H; `None` if it is not.
pub(super) fn non_negative_minimum(
    h: &DMatrix<f64>,
    b: &DVector<f64>,
    start: &DVector<f64>,
) -> Option<DVector<f64>> {
    // |L^T x - L^{-1} b|^2 / 2, H = L L^T.
    let factor = h.clone().cholesky()?;
    let l = factor.l();
    let right = l.solve_lower_triangular(b)?;
    let passive: Vec<usize> = (0..b.len()).filter(|&i| start[i] > 0.0).collect();
    Some(non_negative_least_squares(&l.transpose(), &right, &passive))
}

/// The solution of a least distance problem and its multipliers, or a proof that its constraints
/// contradict each other.
pub(super) struct LeastDistance {
    /// `argmin |y|` subject to `G y >= h`; `None` if the constraints contradict each other.
    pub(super) y: Option<DVector<f64>>,
    /// Multipliers `u >= 0` with `G^T u` parallel to `y`; without a solution, `G^T u = 0` and
    /// `h.u > 0` up to rounding.
    pub(super) u: DVector<f64>,
}

/// The residual of the least squares problem below which constraints count as contradictory: a
/// solution of norm `1e9` or more.
const CONTRADICTION: f64 = 1e-9;

/// `min |y|` subject to `G y >= h`, the columns of `columns` being `(G_j, h_j)`, with the
/// multipliers `start` expected to be positive.
pub(super) fn least_distance(columns: &DMatrix<f64>, start: &[usize]) -> LeastDistance {
    let n = columns.nrows() - 1;
    let mut f = DVector::zeros(n + 1);
    f[n] = 1.0;
    let u = non_negative_least_squares(columns, &f, start);
    // |r|^2 = 1 / (1 + |y|^2).
    let r = columns * &u - f;
    let active: Vec<usize> = (0..u.len()).filter(|&j| u[j] > 0.0).collect();
    let y = (r.norm() > CONTRADICTION)
        .then(|| least_norm(&columns.select_columns(&active)))
        .flatten();
    LeastDistance { y, u }
}

/// `min |y|` subject to `G y = h`; `None` if the constraints are dependent.
///
/// The residual `r`, which is parallel to `(y, -1)`, would have few correct digits if `|y|` is
/// large.
fn least_norm(columns: &DMatrix<f64>) -> Option<DVector<f64>> {
    let (n, k) = (columns.nrows() - 1, columns.ncols());
    if k > n {
        return None;
    }
    let h = columns.row(n).transpose();
    let qr = columns.rows(0, n).into_owned().qr();
    Some(qr.q() * qr.r().transpose().solve_lower_triangular(&h)?)
}
