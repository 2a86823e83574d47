//! The maximum of `|g|` over the unit sphere, `g` a positively 1-homogeneous piecewise linear map.

mod circle;
pub(super) mod multistart;
mod sphere;

use multistart::{StartingPoints, multistart_ascent};

use super::certificate::Bound;
use super::piecewise_linear::PiecewiseLinearMap;
use crate::numeric::error_bounds::EPS;
use crate::numeric::vector::{columns, norm};

/// Bounds on `max |g|` over the unit sphere.
#[derive(Debug, Clone)]
pub(super) struct Maximum {
    /// The largest `|g(b)|` found.
    pub(super) value: f64,
    /// The unit vector b of `value`.
    pub(super) maximizer: Vec<f64>,
    /// `g(maximizer) / r`, r the scale of the map.
    pub(super) g: Vec<f64>,
    /// A lower bound of `|g(maximizer)|`, rounding errors included.
    pub(super) lower: f64,
    /// An upper bound of `|g|`, rounding errors included.
    pub(super) upper: f64,
    /// The kind of bound behind `value`. `upper` is valid for either kind.
    pub(super) bound: Bound,
}

impl Maximum {
    /// The maximum of `g = 0`, or of a map that is not finite.
    fn degenerate(map: &PiecewiseLinearMap) -> Self {
        let (upper, bound) = if map.scale.is_finite() {
            (0.0, Bound::Certified)
        } else {
            (f64::INFINITY, Bound::Estimate)
        };
        let mut maximizer = vec![0.0; map.d];
        maximizer[0] = 1.0;
        Self {
            value: 0.0,
            maximizer,
            g: vec![0.0; map.k],
            lower: 0.0,
            upper,
            bound,
        }
    }
}

/// `max |g|` over the unit sphere: bounded for `d <= 3`, searched for `d > 3`.
///
/// `particles` are additional directions for the search to start from.
pub(super) fn maximum<'a>(
    map: &PiecewiseLinearMap,
    particles: impl Iterator<Item = &'a [f64]>,
) -> Maximum {
    if map.len() == 0 || !map.scale.is_finite() || map.size == 0.0 {
        return Maximum::degenerate(map);
    }
    // An allowance for the errors common to all cases: normalised samples, the dual point, signs,
    // sums and norms. Each is a small multiple of (k + d) EPS size; the factors are bounds with a
    // reserve, not sharp.
    let mut error = (64.0 + 8.0 * (map.k + map.d) as f64) * EPS * map.size;
    let (upper, maximizer, bound) = match map.d {
        1 => {
            let [right, left] = [1.0, -1.0].map(|b| norm(&map.evaluate(&[b])));
            let b = if right >= left { 1.0 } else { -1.0 };
            (right.max(left), vec![b], Bound::Certified)
        }
        2 => {
            let (value, b) = circle::maximum(map);
            (value, b.to_vec(), Bound::Certified)
        }
        d => {
            let starts = StartingPoints::random(d)
                .with_directions(particles)
                .with_directions(columns(&map.x, d));
            let b = multistart_ascent(&starts, |b, gradient| map.norm_and_gradient(b, gradient));
            if d == 3 {
                let bounded = sphere::maximum(map, &b);
                error += bounded.error;
                let b = bounded.maximizer.to_vec();
                (bounded.upper, b, Bound::Certified)
            } else {
                (map.size, b, Bound::Estimate)
            }
        }
    };
    let g = map.evaluate(&maximizer);
    let value = norm(&g);
    Maximum {
        value: map.scale * value,
        g,
        maximizer,
        lower: map.scale * (value - error),
        upper: map.scale * (upper.max(value) + error) + f64::MIN_POSITIVE,
        bound,
    }
}
