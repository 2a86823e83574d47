//! Upper bounds of `|g|` on the unit sphere in any dimension, by the Cauchy-Schwarz inequality.
//!
//! With `m = (s_+ + s_-)/2` and `h = (s_+ - s_-)/2` the activation is `sigma(z) = m z + h |z|`. For
//! one output and the sign `s` of g,
//!
//! ```text
//! s g(b) = l_0.b + sum_j c_j |b.x_j|,   l_0 = s m sum_j u_j x_j,   c_j = s h u_j.
//! ```
//!
//! The terms with `c_j = -q_j < 0` are concave, `-|t| <= theta t` for every `|theta| <= 1`. Those with
//! `c_j = p_j > 0` remain. For `w > 0` with `S = I - sum_j w_j x_j x_j^T` positive definite and
//! `l = l_0 + sum_j q_j theta_j x_j`,
//!
//! ```text
//! (l.b + sum_j p_j |b.x_j|)^2 <= (l.S^-1 l + sum_j p_j^2 / w_j) (b.S b + sum_j w_j (b.x_j)^2),
//! ```
//!
//! and the last factor is `|b|^2 = 1`. The least bound over `w` and `theta` is a convex problem. It
//! is the dual of the semidefinite relaxation of N. Z. Shor, Quadratic optimization problems, 1987,
//! in which `(b, b b^T)` becomes `(b, B)`, `B >= b b^T`, `tr B = 1`.
//!
//! For k outputs the same inequality with a unit vector v bounds `v.g(b)`: with `L = m sum_j u_j x_j^T`
//! (`k x d`), `|g|^2` is at most the largest eigenvalue of `L S^-1 L^T + h^2 sum_j u_j u_j^T / w_j`.
//!
//! Every `(w, theta)` gives a bound, so that an approximate minimiser is enough.

mod newton;
mod proof;

use nalgebra::{DMatrix, SymmetricEigen};

pub(in crate::optimality) use newton::Multipliers;
use newton::minimise;
use proof::Terms;

use crate::numeric::error_bounds::EPS;
use crate::optimality::effort::Limits;
use crate::optimality::piecewise_linear::PiecewiseLinearMap;

/// The tolerance of the bound, relative to it: the ratio of the relaxation to the maximum is larger
/// in practice.
const TOLERANCE: f64 = 1e-3;

/// The density matrices V for several outputs at most.
const DENSITIES: usize = 12;

/// The step of `log V`, relative to `T / tr T`.
const DENSITY_STEP: f64 = 4.0;

/// The bound of `2^-e |g|` by the sizes of the terms, for one output by those of one sign.
///
/// On `|z| <= 1`, `sigma` is at most `(max(s_+, -s_-))_+`, and `-sigma` at most `(max(-s_+, s_-))_+`.
pub(super) fn by_sizes(map: &PiecewiseLinearMap) -> f64 {
    if map.k > 1 {
        return map.size;
    }
    let (plus, minus) = (map.slopes.plus, map.slopes.minus);
    let (highest, lowest) = (plus.max(-minus).max(0.0), minus.max(-plus).max(0.0));
    let (mut positive, mut negative) = (0.0, 0.0);
    for u in &map.u {
        if *u > 0.0 {
            positive += u;
        } else {
            negative -= u;
        }
    }
    let largest = f64::max(
        highest * positive + lowest * negative,
        lowest * positive + highest * negative,
    );
    // Sums of positive terms, the 4 EPS of the map, and the length of each x_j, within
    // (d / 4 + 1) EPS of 1: its norm adds d squares in order.
    let rounding = (map.len() + map.d + 16) as f64 * EPS;
    (largest + rounding * map.size).min(map.size)
}

/// The multipliers of the last relaxation: one set for each sign of g for one output, one for
/// several.
pub(in crate::optimality) type Memory = [Option<Multipliers>; 2];

/// The result of a relaxation.
pub(in crate::optimality) struct Relaxed {
    /// An upper bound of `2^-e |g|` on the unit sphere.
    pub(in crate::optimality) upper: f64,
    /// Unit vectors near which `|g|` may be large.
    pub(super) directions: Vec<Vec<f64>>,
    /// The gradients of the bounds with respect to u, for one output.
    pub(in crate::optimality) gradients: Vec<Vec<f64>>,
}

/// The bound of the relaxation; `value` is the largest value found.
pub(in crate::optimality) fn bound(
    map: &PiecewiseLinearMap,
    value: f64,
    limits: Limits,
    memory: &mut Memory,
) -> Relaxed {
    if map.k > 1 {
        return bound_of_vector(map, value, limits, &mut memory[0]);
    }
    // The bound of the second sign need not be below that of the first.
    let mut relaxed = Relaxed {
        upper: 0.0,
        directions: Vec::new(),
        gradients: Vec::new(),
    };
    for (sign, memory) in [1.0, -1.0].into_iter().zip(memory) {
        let terms = Terms::new(map, sign);
        let goal = relaxed.upper.max(value);
        let solve = |start| {
            let multipliers = minimise(&terms, start, goal, TOLERANCE, limits);
            (terms.proved_bound(&multipliers).0, multipliers)
        };
        let start = memory.take();
        let is_warm = start.is_some();
        let (mut upper, mut multipliers) = solve(start);
        if is_warm && upper >= map.size && !limits.is_late() {
            (upper, multipliers) = solve(None);
        }
        let upper = upper.min(map.size);
        relaxed.upper = relaxed.upper.max(upper);
        relaxed.directions.extend(terms.direction(&multipliers));
        relaxed
            .gradients
            .extend(terms.gradient(map, sign, &multipliers));
        *memory = Some(multipliers);
    }
    relaxed
}

/// The bound for several outputs: a saddle point of `tr V T(w)`, T the matrix of the bound, over
/// weights w and density matrices V.
///
/// For each V the weights are optimal. V follows the exponentiated gradient. Source: K. Tsuda,
/// G. Raetsch and M. K. Warmuth, Matrix exponentiated gradient updates for on-line learning and
/// Bregman projection, JMLR 6, 2005.
fn bound_of_vector(
    map: &PiecewiseLinearMap,
    value: f64,
    limits: Limits,
    memory: &mut Option<Multipliers>,
) -> Relaxed {
    let mut terms = Terms::new(map, 1.0);
    let (mut upper, mut directions) = (map.size, Vec::new());
    let mut logarithm = DMatrix::zeros(map.k, map.k);
    let mut start = memory.take();
    for _ in 0..DENSITIES {
        let multipliers = minimise(&terms, start, 0.0, TOLERANCE, limits);
        let (bound, matrix) = terms.proved_bound(&multipliers);
        if bound < upper {
            upper = bound;
            directions = terms.direction(&multipliers).into_iter().collect();
            *memory = Some(multipliers.clone());
        }
        let trace = matrix.trace();
        // A logarithm that is not finite has no eigenvalues.
        let proceeds = trace.is_finite() && trace > 0.0;
        if upper <= value * (1.0 + limits.tolerance) || !proceeds || limits.is_late() {
            break;
        }
        logarithm += matrix * (DENSITY_STEP / trace);
        let mut eigen = SymmetricEigen::new(logarithm.clone());
        let largest = eigen.eigenvalues.max();
        let mut roots = eigen.eigenvalues.map(|t| (0.5 * (t - largest)).exp());
        roots /= roots.norm();
        eigen.eigenvalues = roots;
        terms.set_density_root(eigen.recompose());
        start = Some(multipliers);
    }
    Relaxed {
        upper,
        directions,
        gradients: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::splitmix::SplitMix64;
    use crate::optimality::effort::Effort;
    use crate::optimality::piecewise_linear::OneSidedSlopes;

    fn map(x: &[f64], u: &[f64], d: usize, k: usize) -> PiecewiseLinearMap {
        let slopes = OneSidedSlopes {
            plus: 1.0,
            minus: 0.0,
        };
        PiecewiseLinearMap::new(x, u, d, k, slopes)
    }

    fn normals(count: usize, seed: u64) -> Vec<f64> {
        let mut random = SplitMix64::new(seed);
        (0..count).map(|_| random.normal()).collect()
    }

    /// The memory of a map in which some coefficients are negligible, for one in which they are not.
    #[test]
    fn a_poor_memory_is_not_worse_than_none() {
        let (d, n) = (10, 12);
        let limits = Effort::default().limits();
        for (k, seed) in [1, 3].into_iter().flat_map(|k| (0..8).map(move |s| (k, s))) {
            let (x, u) = (normals(d * n, seed), normals(k * n, 100 + seed));
            let mut faint = u.clone();
            faint[..3 * k].iter_mut().for_each(|u| *u *= 1e-250);
            let bound = |u: &[f64], memory: &mut Memory| {
                bound(&map(&x, u, d, k), 0.0, limits, memory).upper
            };
            let (memory, cold) = (&mut Memory::default(), bound(&u, &mut Memory::default()));
            bound(&faint, memory);
            for _ in 0..2 {
                let warm = bound(&u, memory);
                assert!(warm <= 1.01 * cold, "{k} {seed}: {warm} {cold}");
            }
        }
    }
}
