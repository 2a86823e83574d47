//! Unit vectors of `R^3`, and `|A b|` of a `k x 3` matrix on them.

use nalgebra::{Matrix3, SymmetricEigen};

use super::arc::maximum_on_arc;
use crate::numeric::error_bounds::EPS;
use crate::numeric::vector::{dot, norm};
use crate::optimality::piecewise_linear::image_norm;

/// A unit vector of `R^3`.
pub(super) type SpaceDirection = [f64; 3];

pub(super) fn cross(a: SpaceDirection, b: SpaceDirection) -> SpaceDirection {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

/// `s p + t q`.
pub(super) fn combination(s: f64, p: SpaceDirection, t: f64, q: SpaceDirection) -> SpaceDirection {
    [
        p[0] * s + q[0] * t,
        p[1] * s + q[1] * t,
        p[2] * s + q[2] * t,
    ]
}

pub(super) fn unit(x: SpaceDirection) -> SpaceDirection {
    let length = norm(&x);
    x.map(|x| x / length)
}

/// The largest singular value of a `k x 3` matrix and its unit vector.
pub(super) fn leading_singular_vector(a: &[f64], k: usize) -> (f64, SpaceDirection) {
    let gram = Matrix3::from_fn(|r, c| dot(&a[r * k..(r + 1) * k], &a[c * k..(c + 1) * k]));
    let eigen = SymmetricEigen::new(gram);
    let i = eigen.eigenvalues.imax();
    let v = eigen.eigenvectors.column(i);
    let value = eigen.eigenvalues[i].max(0.0).sqrt();
    (value, unit([v[0], v[1], v[2]]))
}

/// `max |A b|` on the edge from p to q, and its b.
pub(super) fn maximise_on_edge(
    a: &[f64],
    k: usize,
    p: SpaceDirection,
    q: SpaceDirection,
) -> (f64, SpaceDirection) {
    // An orthonormal basis p, r of the plane. Ends equal up to rounding determine none, and need
    // none.
    let cos = dot(&p, &q);
    let across = [q[0] - cos * p[0], q[1] - cos * p[1], q[2] - cos * p[2]];
    let sin = norm(&across);
    if sin <= 4.0 * EPS {
        return (image_norm(a, k, &p), p);
    }
    let r = across.map(|x| x / sin);
    let image = |v: SpaceDirection| {
        (0..k).map(move |l| a[l] * v[0] + a[k + l] * v[1] + a[2 * k + l] * v[2])
    };
    let plane: Vec<f64> = image(p).chain(image(r)).collect();
    let (value, [s, t]) = maximum_on_arc(&plane, k, [1.0, 0.0], [cos, sin]);
    (value, unit(combination(s, p, t, r)))
}
