//! The maximum of `|g|` over the unit sphere, `g` a positively 1-homogeneous piecewise linear map.

mod arc;
mod circle;
mod climb;
pub(super) mod cones;
pub(super) mod multistart;
pub(super) mod relaxation;

use super::bound::Bound;
use super::effort::Limits;
use super::piecewise_linear::PiecewiseLinearMap;
use crate::numeric::error_bounds::{EPS, add_up, mul_up, scale, scale_down, scale_up, sub_down};
use crate::numeric::vector::norm;

/// What one maximisation leaves for the next.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    /// The best directions.
    pub(super) maximizers: Vec<Vec<f64>>,
    /// The cones of the last branch and bound.
    pub(super) cones: Option<cones::Cones>,
    /// The multipliers of the relaxation.
    pub(super) relaxation: relaxation::Memory,
    /// Those at the last dual point of the relaxed problem.
    pub(super) relaxed_dual: relaxation::Memory,
}

/// Bounds on `max |g|` over the unit sphere.
#[derive(Debug, Clone)]
pub(super) struct Maximum {
    /// The largest `|g(b)|` found, up to rounding.
    pub(super) value: f64,
    /// The unit vector b of `value`.
    pub(super) maximizer: Vec<f64>,
    /// `2^-e g(maximizer)`, e the exponent of the map.
    pub(super) g: Vec<f64>,
    /// A lower bound of `|g(maximizer)|`, rounding errors included, at least 0.
    pub(super) lower: f64,
    /// An upper bound of `|g|`, rounding errors included.
    pub(super) upper: f64,
    /// The search behind these bounds, which are valid for every kind.
    pub(super) bound: Bound,
}

impl Maximum {
    /// The maximum of `g = 0`.
    fn zero(map: &PiecewiseLinearMap) -> Self {
        let mut maximizer = vec![0.0; map.d];
        maximizer[0] = 1.0;
        Self {
            value: 0.0,
            maximizer,
            g: vec![0.0; map.k],
            lower: 0.0,
            upper: 0.0,
            bound: Bound::Exact,
        }
    }
}

/// Bounds on `max |g|` over the unit sphere: exact for `d <= 6`, by a relaxation for `d > 6`.
///
/// `particles` are additional directions for the search to start from. `pays(value)` returns true if
/// a proof that the maximum is about `value` is of use; otherwise only cheap bounds are computed.
pub(super) fn maximum<'a>(
    map: &PiecewiseLinearMap,
    particles: impl Iterator<Item = &'a [f64]>,
    pays: impl Fn(f64) -> bool,
    limits: Limits,
    memory: &mut Memory,
) -> Maximum {
    if map.len() == 0 {
        return Maximum::zero(map);
    }
    // The error of `evaluate` at a unit vector, which has a length within `(d + 2) EPS` of 1; and
    // of the norm of k numbers. In units of EPS size.
    let evaluation = (2 * map.d + map.k + 12) as f64;
    let (upper, error, maximizer, bound) = match map.d {
        1 => {
            let [right, left] = [1.0, -1.0].map(|b| norm(&map.evaluate(&[b])));
            let b = if right >= left { 1.0 } else { -1.0 };
            (right.max(left), evaluation, vec![b], Bound::Exact)
        }
        2 => {
            let (value, b) = circle::maximum(map);
            (value, circle::error(map.k), b.to_vec(), Bound::Exact)
        }
        d => {
            let small = d <= cones::MAX_DIMENSION && limits.cells > 0;
            let mut best = if small {
                cones::ascend(map, particles, &memory.maximizers, limits)
            } else {
                climb::search(map, particles, &memory.maximizers, limits)
            };
            let pays = pays(scale(best.value, map.exponent));
            let (mut upper, mut bound) = (relaxation::by_sizes(map), Bound::Relaxed);
            if small && pays {
                let bounded = cones::maximum(map, &best.b, limits, &mut memory.cones);
                best = bounded.best;
                upper = upper.min(bounded.upper);
                bound = Bound::Truncated; // unless the bounds meet
            }
            let meets = meet(best.value, upper, map, limits);
            if pays && !meets && !limits.is_late() {
                let work = &mut relaxation::Work::new();
                let memory = &mut memory.relaxation;
                let relaxed = relaxation::bound(map, best.value, limits, memory, work);
                for b in relaxed.directions {
                    best.replace_if_larger(climb::climb(map, &b));
                }
                upper = upper.min(relaxed.upper);
            }
            memory.maximizers = vec![best.b.clone()];
            (upper, 0.0, best.b, bound)
        }
    };
    let g = map.evaluate(&maximizer);
    let value = norm(&g);
    let lower = sub_down(value, mul_up(evaluation * EPS, map.size)).max(0.0);
    let upper = add_up(upper, mul_up(error * EPS, map.size)).min(map.size);
    let bound = if meet(value, upper, map, limits) {
        Bound::Exact
    } else {
        bound
    };
    Maximum {
        value: scale(value, map.exponent),
        g,
        maximizer,
        lower: scale_down(lower, map.exponent),
        upper: scale_up(upper, map.exponent),
        bound,
    }
}

/// The rounding errors, in units of `EPS size`, up to which bounds meet. Those of cones are below 64
/// units for one output, and were found up to 540 for ten outputs and two slopes.
const ROUNDING: f64 = 1024.0;

/// Bounds that meet up to the tolerance and rounding are exact, whatever their source.
fn meet(value: f64, upper: f64, map: &PiecewiseLinearMap, limits: Limits) -> bool {
    upper <= value * (1.0 + limits.tolerance) + ROUNDING * EPS * map.size
}
