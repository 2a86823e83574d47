//! `max |A b|` over an arc of the unit circle, for a `k x 2` matrix A.

/// A unit vector of the plane.
pub(super) type PlaneDirection = [f64; 2];

/// The largest `|A b|` on the arc from `start` to `end`, at most half of the circle, and its b.
///
/// `|A b|^2` is a constant plus a cosine of twice the angle. Its maximum is the leading singular
/// vector of A if that lies on the arc, else an end.
///
/// The error is at most `(2 k + 16) EPS |A|`. `|A b|` contributes `(k + 4) EPS |A|`. The singular
/// vector is exact for a matrix `A^T A + E`, `|E| <= (k + 4) EPS |A|^2`: at it, or at the ends if
/// it is taken to lie outside, `|A b|^2` is at most `2 |E|` below its maximum `|A|^2`.
pub(super) fn maximum_on_arc(
    a: &[f64],
    k: usize,
    start: PlaneDirection,
    end: PlaneDirection,
) -> (f64, PlaneDirection) {
    let v = leading_singular_vector(a, k);
    let inside = [v, opposite(v)]
        .into_iter()
        .filter(|&v| cross(start, v) >= 0.0 && cross(v, end) >= 0.0);
    let candidates = [start, end].into_iter().chain(inside);
    candidates
        .map(|b| (plane_norm(a, k, b), b))
        .fold(
            (0.0, start),
            |best, next| if next.0 > best.0 { next } else { best },
        )
}

/// `|A b|`, by the entries of `A b`.
#[inline]
pub(super) fn plane_norm(a: &[f64], k: usize, [x, y]: PlaneDirection) -> f64 {
    let (p, q) = a.split_at(k);
    let entries = p.iter().zip(q).map(|(p, q)| p * x + q * y);
    entries.map(|entry| entry * entry).sum::<f64>().sqrt()
}

/// The unit vector of the largest singular value of A.
pub(super) fn leading_singular_vector(a: &[f64], k: usize) -> PlaneDirection {
    let (s, t, r) = gram(a, k);
    let half = 0.5 * (s - r);
    let radius = (half * half + t * t).sqrt();
    // The form without cancellation.
    let [x, y] = if half >= 0.0 {
        [half + radius, t]
    } else {
        [t, radius - half]
    };
    let length = (x * x + y * y).sqrt();
    if length > 0.0 {
        [x / length, y / length]
    } else {
        [1.0, 0.0]
    }
}

/// `A^T A`: its entries `(s_00, s_01, s_11)`.
pub(super) fn gram(a: &[f64], k: usize) -> (f64, f64, f64) {
    let (p, q) = a.split_at(k);
    p.iter().zip(q).fold((0.0, 0.0, 0.0), |(s, t, r), (p, q)| {
        (s + p * p, t + p * q, r + q * q)
    })
}

pub(super) fn opposite(e: PlaneDirection) -> PlaneDirection {
    [-e[0], -e[1]]
}

fn cross(a: PlaneDirection, b: PlaneDirection) -> f64 {
    a[0] * b[1] - a[1] * b[0]
}
