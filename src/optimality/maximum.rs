//! The maximum of `|g|` over the unit sphere.

mod circle;
pub(super) mod multistart;
mod sphere;

use multistart::{Starts, climb};

use super::Bound;
use super::linear_form::LinearForm;
use crate::numeric::error_bounds::EPS;
use crate::numeric::vector::norm;

/// `max |g|` over the unit sphere, in the scale of the risk.
#[derive(Debug, Clone)]
pub(super) struct Maximum {
    /// The largest `|g(b)|` found.
    pub(super) value: f64,
    /// Where.
    pub(super) at: Vec<f64>,
    /// `g` there.
    pub(super) g: Vec<f64>,
    /// What `value` is above for certain.
    pub(super) lower: f64,
    /// What no `|g(b)|` is above.
    pub(super) upper: f64,
    pub(super) bound: Bound,
}

/// `max |g|` over the unit sphere: proved for `d <= 3`, searched beyond. `particles` are where to look first.
pub(super) fn maximum<'a>(
    form: &LinearForm,
    particles: impl Iterator<Item = &'a [f64]>,
) -> Maximum {
    let mut at = vec![0.0; form.d];
    at[0] = 1.0;
    if form.len() == 0 || !form.scale.is_finite() || form.size == 0.0 {
        let (upper, bound) = if form.scale.is_finite() {
            (0.0, Bound::Certified)
        } else {
            (f64::INFINITY, Bound::Estimate)
        };
        return Maximum {
            value: 0.0,
            at,
            g: vec![0.0; form.k],
            lower: 0.0,
            upper,
            bound,
        };
    }
    // What all of the following share: rounded unit vectors, slopes rounded by the dual point, signs, sums, norms.
    let mut error = (64.0 + 8.0 * (form.k + form.d) as f64) * EPS * form.size;
    let (upper, bound) = match form.d {
        1 => {
            let (right, left) = (norm(&form.evaluate(&[1.0])), norm(&form.evaluate(&[-1.0])));
            at[0] = if right >= left { 1.0 } else { -1.0 };
            (right.max(left), Bound::Certified)
        }
        2 => {
            let (value, b) = circle::maximum(form);
            at.copy_from_slice(&b);
            (value, Bound::Certified)
        }
        d => {
            let starts = Starts::random(d).and(particles).and(form.x.chunks_exact(d));
            at = climb(&starts, |b, gradient| form.ascent(b, gradient));
            if d == 3 {
                let found = sphere::maximum(form, &at);
                error += found.error;
                at.copy_from_slice(&found.at);
                (found.upper, Bound::Certified)
            } else {
                (form.size, Bound::Estimate)
            }
        }
    };
    let g = form.evaluate(&at);
    let value = norm(&g);
    Maximum {
        value: form.scale * value,
        g,
        at,
        lower: form.scale * (value - error),
        upper: form.scale * (upper.max(value) + error) + f64::MIN_POSITIVE,
        bound,
    }
}
