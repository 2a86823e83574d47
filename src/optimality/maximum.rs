//! The maximum of `|g|` over the unit sphere, `g` a positively 1-homogeneous piecewise linear map.

mod arc;
mod circle;
pub(super) mod multistart;
pub(super) mod relaxation;
mod space;
mod sphere;

use multistart::{StartingPoints, multistart_ascent};

use super::certificate::Bound;
use super::effort::Limits;
use super::piecewise_linear::PiecewiseLinearMap;
use super::search::Memory;
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
            bound: Bound::Exact,
        }
    }
}

/// Bounds on `max |g|` over the unit sphere: exact for `d <= 3`, by a relaxation for `d > 3`.
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
            let starts = StartingPoints::random(d)
                .with_directions(particles)
                .with_directions(columns(&map.x, d));
            let b = multistart_ascent(&starts, |b, gradient| map.norm_and_gradient(b, gradient));
            let value = norm(&map.evaluate(&b));
            let pays = pays(scale(value, map.exponent));
            if d == 3 && limits.cells > 0 && pays {
                let bounded = sphere::maximum(map, &b, limits);
                let b = bounded.maximizer.to_vec();
                (bounded.upper, bounded.error, b, bounded.bound)
            } else if pays {
                let upper = relaxation::bound(map, value, limits, &mut memory.relaxation);
                let upper = upper.min(relaxation::by_sizes(map));
                (upper, 0.0, b, Bound::Relaxed)
            } else {
                (relaxation::by_sizes(map), 0.0, b, Bound::Relaxed)
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
