//! `max |g|` over the unit sphere for `3 <= d <= 6`: branch and bound over simplicial cones.
//!
//! With `w_j = (s_+ - s_-) u_j`, `g(b) = L b + sum_j w_j (b.x_j)_+`. A cone is the set of
//! `b = sum_i alpha_i v_i`, `alpha_i >= 0`, of d vertices. Let k = 1 and f be g or -g, with
//! coefficients `w_j` of its sign. On the cone
//!
//! - samples whose products `v_i.x_j` have one sign are linear terms, `f(b) = A b + ..`;
//! - a convex term that crosses the cone, `w_j > 0`, is below its chord
//!   `w_j sum_i alpha_i (v_i.x_j)_+`, also a linear function of b;
//! - a concave one, `w_j < 0`, is below `-s_j b.x_j` for every `0 <= s_j <= |w_j|`.
//!
//! So `f(b) <= sum_i alpha_i L_i`, and for any y with `L_i <= r (y.v_i)` for all i, f is at most
//! `r |y|` on the unit vectors of the cone. Any multipliers `s_j` and any y are a proof. The best ones
//! solve a concave problem and its dual: y is its maximiser, and `r = 1`. Only chords make the bound
//! larger than the maximum. Maxima are at kinks of concave terms, where the bound is exact, so that
//! the search ends.
//!
//! A cone whose bound is above the largest value found is split at a point of an edge: that of the
//! largest error of the chords at y, in turns the longest edge. Several outputs: [`outputs`].
//!
//! # Rounding
//! Bounds contain rounding errors by these inequalities: `Problem::vertex_error` for the numbers
//! `L_i`, `cone_bound` for the products with y, `cover_error` for the parts of a cone, and `tolerated`
//! for samples that cross a cone by less than the error of its vertices.
//!
//! Source of the scheme: A. H. Land and A. G. Doig, An automatic method of solving discrete
//! programming problems, 1960; for simplicial cones: H. Tuy, Concave programming under linear
//! constraints, 1964.

mod ascent;
mod blocks;
mod bounding;
mod cell;
mod concave;
mod lanes;
mod leaves;
mod outputs;
mod problem;
mod search;

pub(in crate::optimality) use leaves::Cones;

use super::climb::Climbed;
use super::multistart::StartingPoints;
use crate::numeric::vector::{columns, norm};
use crate::optimality::effort::Limits;
use crate::optimality::piecewise_linear::PiecewiseLinearMap;

/// The largest dimension of the search: each one more costs 4 to 10 times as many cones.
pub(super) const MAX_DIMENSION: usize = 6;

/// Random directions, and particles, that are evaluated.
const CANDIDATES: usize = 128;

/// Ascents from each of them, those of the largest `|g|`.
const ASCENTS: usize = 8;

/// The result of a search.
#[derive(Debug, Clone)]
pub(super) struct BoundedMaximum {
    /// The largest value found.
    pub(super) best: Climbed,
    /// `2^-e |g| <= upper` on the unit sphere, rounding errors included.
    pub(super) upper: f64,
}

/// The largest `|g|` of ascents from `earlier` maximisers, from particles and random directions.
pub(super) fn ascend<'a>(
    map: &PiecewiseLinearMap,
    particles: impl Iterator<Item = &'a [f64]>,
    earlier: &[Vec<f64>],
    limits: Limits,
) -> Climbed {
    let d = map.d;
    let mut starts: Vec<Vec<f64>> = earlier.iter().filter(|b| b.len() == d).cloned().collect();
    let random = StartingPoints::random(d, CANDIDATES).with_directions(particles, CANDIDATES);
    for group in random.groups() {
        let value = |b: &[f64]| norm(&map.evaluate(b));
        let mut ranked: Vec<(f64, &[f64])> = columns(group, d).map(|b| (value(b), b)).collect();
        ranked.sort_by(|(s, _), (t, _)| t.total_cmp(s));
        starts.extend(ranked.iter().take(ASCENTS).map(|(_, b)| b.to_vec()));
    }
    let stop = || limits.is_late();
    let (value, b) = match d {
        3 => ascent::best_of::<3>(map, &starts, stop),
        4 => ascent::best_of::<4>(map, &starts, stop),
        5 => ascent::best_of::<5>(map, &starts, stop),
        _ => ascent::best_of::<6>(map, &starts, stop),
    };
    Climbed { value, b }
}

/// Bounds on `|g(b)|` over the unit sphere, from a first value at `start`.
///
/// The search ends at `upper <= (1 + tolerance) lower` up to rounding, at the given number of cones,
/// or at the deadline; the largest bound is valid in all cases. `memory` holds the cones of an earlier
/// search: with them results differ within the tolerance.
pub(super) fn maximum(
    map: &PiecewiseLinearMap,
    start: &[f64],
    limits: Limits,
    memory: &mut Option<Cones>,
) -> BoundedMaximum {
    match map.d {
        3 => search::search::<3>(map, start, limits, memory),
        4 => search::search::<4>(map, start, limits, memory),
        5 => search::search::<5>(map, start, limits, memory),
        _ => search::search::<6>(map, start, limits, memory),
    }
}
