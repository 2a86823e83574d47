//! The maximum of `|g|` over the unit sphere, `g` a positively 1-homogeneous piecewise linear map.

mod arc;
mod circle;
mod cones;
pub(super) mod multistart;

use multistart::{StartingPoints, multistart_ascent};

use super::certificate::Bound;
use super::piecewise_linear::PiecewiseLinearMap;
use crate::numeric::error_bounds::{EPS, add_up, mul_up, scale, scale_down, scale_up, sub_down};
use crate::numeric::vector::{columns, norm};

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
            bound: Bound::Certified,
        }
    }
}

/// `max |g|` over the unit sphere: bounded for `d <= 6`, searched for `d > 6`.
///
/// `particles` are additional directions for the search to start from.
pub(super) fn maximum<'a>(
    map: &PiecewiseLinearMap,
    particles: impl Iterator<Item = &'a [f64]>,
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
            (right.max(left), evaluation, vec![b], Bound::Certified)
        }
        2 => {
            let (value, b) = circle::maximum(map);
            (value, circle::error(map.k), b.to_vec(), Bound::Certified)
        }
        d => {
            let starts = StartingPoints::random(d)
                .with_directions(particles)
                .with_directions(columns(&map.x, d));
            let b = multistart_ascent(&starts, |b, gradient| map.norm_and_gradient(b, gradient));
            if d <= cones::MAX_DIMENSION {
                let bounded = cones::maximum(map, &b, &cones::Limits::default());
                let bound = if bounded.finished {
                    Bound::Certified
                } else {
                    Bound::Truncated
                };
                (bounded.upper, bounded.error, bounded.maximizer, bound)
            } else {
                (map.size, 0.0, b, Bound::Estimate)
            }
        }
    };
    let g = map.evaluate(&maximizer);
    let value = norm(&g);
    let lower = sub_down(value, mul_up(evaluation * EPS, map.size)).max(0.0);
    let upper = add_up(upper, mul_up(error * EPS, map.size)).min(map.size);
    Maximum {
        value: scale(value, map.exponent),
        g,
        maximizer,
        lower: scale_down(lower, map.exponent),
        upper: scale_up(upper, map.exponent),
        bound,
    }
}
