//! `max |g|` over the unit sphere for `3 <= d <= 6`: branch and bound over simplicial cones.

mod ascent;
mod cell;
mod concave;
mod lanes;
mod outputs;
mod problem;
mod search;

use std::time::Instant;

use crate::optimality::piecewise_linear::PiecewiseLinearMap;

/// The largest dimension of the search: each one more costs 4 to 10 times as many cones.
pub(super) const MAX_DIMENSION: usize = 6;

/// Limits of a search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// The search ends at `upper <= (1 + tolerance) lower`, or at a difference within rounding.
    pub(super) tolerance: f64,
    /// The number of cones bounded, at which the search ends.
    pub(super) cells: usize,
    /// The time at which the search ends; its result then depends on the speed of the machine.
    pub(super) deadline: Option<Instant>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // Up to rounding: the cost grows with the logarithm of the tolerance at most, and 1e-6
            // saves a tenth.
            tolerance: 0.0,
            // 2 s for 200 samples in 6 dimensions on one core.
            cells: 1 << 18,
            deadline: None,
        }
    }
}

/// The result of a search: `2^-e |g| <= upper + error EPS size` on the unit sphere.
#[derive(Debug, Clone)]
pub(super) struct BoundedMaximum {
    /// Rounding errors of the search are included.
    pub(super) upper: f64,
    /// The allowance for rounding errors, in units of `EPS size`.
    pub(super) error: f64,
    /// The unit vector of the largest value found.
    pub(super) maximizer: Vec<f64>,
    /// The number of cones bounded.
    #[allow(dead_code, reason = "for reports of effort")]
    pub(super) cells: usize,
    /// True if the search ended at its tolerance.
    pub(super) finished: bool,
}

/// Bounds on `|g(b)|` over the unit sphere, from a first value at `start`.
pub(super) fn maximum(map: &PiecewiseLinearMap, start: &[f64], limits: &Limits) -> BoundedMaximum {
    match map.d {
        3 => search::search::<3>(map, start, limits),
        4 => search::search::<4>(map, start, limits),
        5 => search::search::<5>(map, start, limits),
        _ => search::search::<6>(map, start, limits),
    }
}
