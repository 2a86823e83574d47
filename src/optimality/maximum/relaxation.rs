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
//! Every `(w, theta)` gives a bound, so that an approximate minimiser is enough, and its work is
//! limited.

mod model;
mod multipliers;
mod newton;
mod proof;
mod work;

use nalgebra::{DMatrix, SymmetricEigen};

pub(in crate::optimality) use multipliers::Multipliers;
use newton::minimise;
use proof::{EIGENVALUE_TRIALS, Terms};
use work::Sizes;
pub(in crate::optimality) use work::Work;

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
///
/// The work beyond `O(n d k)` is limited. Without enough of it for a single proof the bound is that
/// of the sizes.
pub(in crate::optimality) fn bound(
    map: &PiecewiseLinearMap,
    value: f64,
    limits: Limits,
    memory: &mut Memory,
    work: &mut Work,
) -> Relaxed {
    let basis = basis(map, work);
    let basis = basis.as_ref();
    if map.k > 1 {
        return bound_of_vector(map, basis, value, limits, &mut memory[0], work);
    }
    let sizes = by_sizes(map);
    // The bound of the second sign need not be below that of the first.
    let mut relaxed = Relaxed {
        upper: 0.0,
        directions: Vec::new(),
        gradients: Vec::new(),
    };
    for (sign, memory) in [1.0, -1.0].into_iter().zip(memory) {
        let mut part = if sign > 0.0 { work.split() } else { *work };
        let mut upper = sizes;
        if part.take(conclusion(map)) {
            let terms = Terms::new(map, sign);
            let reduced = basis.map(|basis| terms.within(basis));
            let reduced = reduced.as_ref().unwrap_or(&terms);
            let goal = relaxed.upper.max(value);
            let solve = |start, work: &mut Work| {
                let multipliers = minimise(reduced, start, goal, TOLERANCE, limits, work);
                (terms.proved_bound(&multipliers).0, multipliers)
            };
            let start = memory.take();
            let is_warm = start.is_some();
            let (mut bound, mut multipliers) = solve(start, &mut part);
            if is_warm && bound >= map.size && !limits.is_late() && part.take(conclusion(map)) {
                (bound, multipliers) = solve(None, &mut part);
            }
            upper = upper.min(bound);
            relaxed.directions.extend(reduced.direction(&multipliers));
            let gradient = reduced.gradient(map, sign, &multipliers);
            relaxed.gradients.extend(gradient);
            *memory = Some(multipliers);
        }
        relaxed.upper = relaxed.upper.max(upper);
        if sign > 0.0 {
            work.add(part);
        } else {
            *work = part;
        }
    }
    relaxed
}

/// The operations of one proof, a direction and a gradient.
fn conclusion(map: &PiecewiseLinearMap) -> f64 {
    let sizes = Sizes::new(map.d, map.len(), map.k);
    sizes.proof(EIGENVALUE_TRIALS) + 2.0 * sizes.point()
}

/// An orthonormal basis of the span of fewer samples than coordinates: the multipliers cost less in
/// its coordinates.
fn basis(map: &PiecewiseLinearMap, work: &mut Work) -> Option<DMatrix<f64>> {
    let (d, n) = (map.d, map.len());
    let fits = 0 < n && n < d && work.take(2.0 * Sizes::new(d, n, map.k).basis());
    fits.then(|| DMatrix::from_column_slice(d, n, &map.x).qr().q())
}

/// The bound for several outputs: a saddle point of `tr V T(w)`, T the matrix of the bound, over
/// weights w and density matrices V.
///
/// For each V the weights are optimal. V follows the exponentiated gradient. Source: K. Tsuda,
/// G. Raetsch and M. K. Warmuth, Matrix exponentiated gradient updates for on-line learning and
/// Bregman projection, JMLR 6, 2005.
fn bound_of_vector(
    map: &PiecewiseLinearMap,
    basis: Option<&DMatrix<f64>>,
    value: f64,
    limits: Limits,
    memory: &mut Option<Multipliers>,
    work: &mut Work,
) -> Relaxed {
    let mut relaxed = Relaxed {
        upper: map.size,
        directions: Vec::new(),
        gradients: Vec::new(),
    };
    if !work.take(conclusion(map)) {
        return relaxed;
    }
    let terms = Terms::new(map, 1.0);
    let mut reduced = basis.map_or_else(|| terms.clone(), |basis| terms.within(basis));
    let mut logarithm = DMatrix::zeros(map.k, map.k);
    let mut start = memory.take();
    for _ in 0..DENSITIES {
        let multipliers = minimise(&reduced, start, 0.0, TOLERANCE, limits, work);
        let (bound, matrix) = terms.proved_bound(&multipliers);
        if bound < relaxed.upper {
            relaxed.upper = bound;
            relaxed.directions = reduced.direction(&multipliers).into_iter().collect();
            *memory = Some(multipliers.clone());
        }
        let trace = matrix.trace();
        // A logarithm that is not finite has no eigenvalues.
        let proceeds = trace.is_finite() && trace > 0.0 && !limits.is_late();
        let is_near = relaxed.upper <= value * (1.0 + limits.tolerance);
        if is_near || !proceeds || !work.take(conclusion(map)) {
            break;
        }
        logarithm += matrix * (DENSITY_STEP / trace);
        let mut eigen = SymmetricEigen::new(logarithm.clone());
        let largest = eigen.eigenvalues.max();
        let mut roots = eigen.eigenvalues.map(|t| (0.5 * (t - largest)).exp());
        roots /= roots.norm();
        eigen.eigenvalues = roots;
        reduced.set_density_root(eigen.recompose());
        start = Some(multipliers);
    }
    relaxed
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
                bound(&map(&x, u, d, k), 0.0, limits, memory, &mut Work::new()).upper
            };
            let (memory, cold) = (&mut Memory::default(), bound(&u, &mut Memory::default()));
            bound(&faint, memory);
            for _ in 0..2 {
                let warm = bound(&u, memory);
                assert!(warm <= 1.01 * cold, "{k} {seed}: {warm} {cold}");
            }
        }
    }

    /// A gradient of 0 leaves no samples, fewer than coordinates.
    #[test]
    fn the_bound_of_a_map_without_samples_is_zero() {
        for (n, k) in [(3, 1), (12, 1), (3, 2), (12, 2)] {
            let map = map(&normals(10 * n, 1), &vec![0.0; k * n], 10, k);
            let (limits, memory) = (Effort::default().limits(), &mut Memory::default());
            assert_eq!(map.len(), 0);
            let upper = bound(&map, 0.0, limits, memory, &mut Work::new()).upper;
            assert_eq!(upper, 0.0, "{n} {k}");
        }
    }

    /// Sizes beyond the limit of work get the bound of the sizes, and those within it one that is
    /// better the more work there is.
    #[test]
    fn the_work_of_large_inputs_is_bounded() {
        let limits = Effort::default().limits();
        let bound = |map: &PiecewiseLinearMap, operations: f64| {
            let work = &mut Work::with_operations(operations);
            let relaxed = bound(map, 0.0, limits, &mut Memory::default(), work);
            let spent = operations - work.left();
            assert!(spent >= 0.0 && spent <= operations);
            (relaxed.upper, spent)
        };
        let (d, n) = (800, 2000);
        let wide = map(&normals(d * n, 1), &normals(n, 2), d, 1);
        assert_eq!(bound(&wide, 1e9), (by_sizes(&wide), 0.0));
        // A proof fits into the limit, and a proof for d = 785, n = 60 000 does not.
        assert!(Work::new().take(2.0 * conclusion(&wide)));
        assert!(!Work::new().split().take(Sizes::new(785, 60_000, 1).point()));

        let (d, n, k) = (64, 20_000, 10);
        let several = map(&normals(d * n, 3), &normals(k * n, 4), d, k);
        assert_eq!(bound(&several, 1e7), (several.size, 0.0));
        let (upper, spent) = bound(&several, 1.5e9);
        assert!(spent > 0.0 && upper < 0.5 * several.size, "{upper} {spent}");
        let values =
            (0..10).map(|j| crate::numeric::vector::norm(&several.evaluate(several.point(j))));
        values.for_each(|value| assert!(value <= upper));

        let (d, n) = (20, 200);
        let small = map(&normals(d * n, 5), &normals(n, 6), d, 1);
        let mut last = by_sizes(&small);
        for operations in [1e4, 2e6, 1e7, 1e9] {
            let (upper, _) = bound(&small, operations);
            assert!(upper <= last * (1.0 + 1e-3), "{operations}: {upper} {last}");
            last = upper;
        }
        assert!(last < 0.5 * by_sizes(&small));
    }

    /// Samples of a subspace: the same bound, and Newton steps at the cost of its dimension.
    #[test]
    fn fewer_samples_than_coordinates_are_reduced_to_their_span() {
        let limits = Effort::default().limits();
        let (small, large, n) = (8, 120, 9);
        for k in [1, 3] {
            let (x, u) = (normals(small * n, 7), normals(k * n, 8));
            let mut padded = vec![0.0; large * n];
            for (padded, x) in padded.chunks_mut(large).zip(x.chunks(small)) {
                // One coordinate is divided into two, of the same length.
                padded[30..30 + small].copy_from_slice(x);
                (padded[30], padded[100]) = (0.6 * x[0], 0.8 * x[0]);
            }
            let bound = |x: &[f64], d| {
                let mut work = Work::new();
                let map = map(x, &u, d, k);
                let before = work.left();
                let memory = &mut Memory::default();
                let relaxed = bound(&map, 0.0, limits, memory, &mut work);
                assert!(relaxed.directions.iter().all(|b| b.len() == d));
                assert_eq!(relaxed.gradients.len(), if k == 1 { 2 } else { 0 });
                (relaxed, (before - work.left()) / conclusion(&map))
            };
            let (low, _) = bound(&x, small);
            let (high, conclusions) = bound(&padded, large);
            assert!((low.upper - high.upper).abs() <= 2e-3 * low.upper);
            for (low, high) in low.gradients.iter().zip(&high.gradients) {
                let pairs = low.iter().zip(high);
                pairs.for_each(|(s, t)| assert!((s - t).abs() <= 0.1, "{s} {t}"));
            }
            let signs = if k == 1 { 2.0 } else { DENSITIES as f64 };
            assert!(conclusions <= 1.2 * signs, "{conclusions}");
        }
    }
}
