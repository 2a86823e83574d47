//! `max |g|` over the unit circle, arc by arc between the directions at which a `b.x_j` changes
//! sign.

use crate::numeric::error_bounds::CompensatedSum;
use crate::optimality::piecewise_linear::PiecewiseLinearMap;

/// A unit vector of the plane.
type PlaneDirection = [f64; 2];

/// The largest `|g(b)|` on the unit circle, and its b.
///
/// On an arc `g(b) = A b`, `A = sum_j sigma'(b.x_j) u_j x_j^T` (`k x 2`): `|A b|` is largest at the
/// leading singular vector of `A` if that lies on the arc, else at an end. `A` changes by one term
/// from arc to arc, and on the opposite arc it is `(s_+ + s_-) sum_j u_j x_j^T - A`. The sweep
/// therefore covers half of the circle: `O(n log n + n k)`.
///
/// A sign that rounding decides wrongly belongs to a `b.x_j` of the order of EPS, and changes
/// `g(b)` by `EPS |u_j|` at most. `|A b|` is evaluated as the square root of `b.(A^T A) b`: its
/// error is `EPS size` if `|A b|` is of the order of `size`, and up to `sqrt(EPS) size` if it is
/// much smaller.
pub(super) fn maximum(map: &PiecewiseLinearMap) -> (f64, PlaneDirection) {
    let (n, k, slopes) = (map.len(), map.k, map.slopes);
    // The lines b.x_j = 0, sorted by the angle of their upper half, in [0, pi). A linear sigma has
    // none.
    let mut lines: Vec<(f64, usize)> = (0..n)
        .map(|j| (pseudo_angle(upper_half(map.point(j))), j))
        .collect();
    if slopes.plus == slopes.minus {
        lines.clear();
    }
    lines.sort_unstable_by(|(s, i), (t, j)| s.total_cmp(t).then(i.cmp(j)));

    // A just before the first line, and the sum of A and that of the opposite arc.
    let mut a = vec![CompensatedSum::default(); 2 * k];
    let mut both = vec![CompensatedSum::default(); 2 * k];
    for j in 0..n {
        let s = if positive_before_zero(map.point(j)) {
            slopes.plus
        } else {
            slopes.minus
        };
        map.add_outer(&mut a, j, s);
        map.add_outer(&mut both, j, slopes.plus + slopes.minus);
    }
    let (mut both_values, mut arc) = (vec![0.0; 2 * k], vec![0.0; 2 * k]);
    write_values(&both, &mut both_values);

    let mut best = BestOnCircle {
        value: 0.0,
        maximizer: [1.0, 0.0],
    };
    if lines.is_empty() {
        write_values(&a, &mut arc);
        let (value, b) = leading_singular_vector(gram(&arc, k));
        best.update(value, b);
    }
    for (l, &(_, j)) in lines.iter().enumerate() {
        let x = map.point(j);
        // The sign of b.x_j changes at its line.
        let jump = if positive_before_zero(x) {
            slopes.minus - slopes.plus
        } else {
            slopes.plus - slopes.minus
        };
        map.add_outer(&mut a, j, jump);
        let start = upper_half(x);
        let end = match lines.get(l + 1) {
            Some(&(_, next)) => upper_half(map.point(next)),
            None => opposite(upper_half(map.point(lines[0].1))),
        };
        write_values(&a, &mut arc);
        best.maximise_on_arc(&arc, k, start, end);
        for (a, both) in arc.iter_mut().zip(&both_values) {
            *a = both - *a;
        }
        best.maximise_on_arc(&arc, k, opposite(start), opposite(end));
    }
    (best.value, best.maximizer)
}

fn write_values(sums: &[CompensatedSum], out: &mut [f64]) {
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = sum.value();
    }
}

/// The direction in the upper half plane, of angle in `[0, pi)`, that is orthogonal to x.
fn upper_half(x: &[f64]) -> PlaneDirection {
    let e = [-x[1], x[0]];
    if e[1] > 0.0 || (e[1] == 0.0 && e[0] > 0.0) {
        e
    } else {
        opposite(e)
    }
}

/// Returns true if `b.x > 0` just before the angle 0, where `b = (1, -0)`.
fn positive_before_zero(x: &[f64]) -> bool {
    x[0] > 0.0 || (x[0] == 0.0 && x[1] < 0.0)
}

/// A number that increases with the angle of `e`, a direction in the upper half plane.
fn pseudo_angle(e: PlaneDirection) -> f64 {
    1.0 - e[0] / (e[0].abs() + e[1])
}

fn opposite(e: PlaneDirection) -> PlaneDirection {
    [-e[0], -e[1]]
}

fn cross(a: PlaneDirection, b: PlaneDirection) -> f64 {
    a[0] * b[1] - a[1] * b[0]
}

/// `A^T A` of a `k x 2` matrix: its entries `(s_00, s_01, s_11)`.
fn gram(a: &[f64], k: usize) -> (f64, f64, f64) {
    let (p, q) = a.split_at(k);
    p.iter().zip(q).fold((0.0, 0.0, 0.0), |(s, t, r), (p, q)| {
        (s + p * p, t + p * q, r + q * q)
    })
}

/// The largest `|A b|` found.
struct BestOnCircle {
    value: f64,
    maximizer: PlaneDirection,
}

impl BestOnCircle {
    fn update(&mut self, value: f64, maximizer: PlaneDirection) {
        if value > self.value {
            *self = Self { value, maximizer };
        }
    }

    /// `|A b|` over the arc from `start` to `end`, at most half of the circle. `end` itself belongs
    /// to the next arc.
    fn maximise_on_arc(&mut self, a: &[f64], k: usize, start: PlaneDirection, end: PlaneDirection) {
        let (s, t, r) = gram(a, k);
        // The Frobenius norm of A bounds |A b|.
        if s + r <= self.value * self.value {
            return;
        }
        let [x, y] = start;
        let square = s * x * x + 2.0 * t * x * y + r * y * y;
        self.update(square.max(0.0).sqrt(), start);
        let (value, v) = leading_singular_vector((s, t, r));
        for v in [v, opposite(v)] {
            if cross(start, v) >= 0.0 && cross(v, end) >= 0.0 {
                self.update(value, v);
            }
        }
    }
}

/// The largest singular value of A and its unit vector, from `A^T A`.
fn leading_singular_vector((s, t, r): (f64, f64, f64)) -> (f64, PlaneDirection) {
    let half = 0.5 * (s - r);
    let radius = (half * half + t * t).sqrt();
    // The form without cancellation.
    let [x, y] = if half >= 0.0 {
        [half + radius, t]
    } else {
        [t, radius - half]
    };
    let length = (x * x + y * y).sqrt();
    let v = if length > 0.0 {
        [x / length, y / length]
    } else {
        [1.0, 0.0]
    };
    ((0.5 * (s + r) + radius).max(0.0).sqrt(), v)
}
