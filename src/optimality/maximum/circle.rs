//! `max |g|` over the circle, exactly: `g` is linear on the arcs between the directions where some `b.x_j` changes sign.

use crate::numeric::error_bounds::BoundedSum;
use crate::optimality::linear_form::LinearForm;

/// A unit vector of the plane.
type Direction = [f64; 2];

/// The largest `|g(b)|` on the unit circle and where, up to rounding of the order of `EPS size`.
///
/// On an arc `g(b) = A b`, `A = sum_j sigma'(b.x_j) u_j x_j^T` (`k x 2`): `|A b|` is largest at the leading singular vector
/// of `A` if that lies on the arc, else at an end. `A` changes by one term from arc to arc, and on the opposite arc it is
/// `(s_+ + s_-) sum_j u_j x_j^T - A`, so the sweep goes round half of the circle: `O(n log n + n k)`.
///
/// A sign that rounding misjudges is that of a `b.x_j` of the order of EPS, so it changes `g(b)` by `EPS |u_j|` at most.
pub(super) fn maximum(form: &LinearForm) -> (f64, Direction) {
    let (n, k, slopes) = (form.len(), form.k, form.slopes);
    // Lines b.x_j = 0 by the angle of their upper half, in [0, pi).
    let mut lines: Vec<(f64, usize)> = (0..n)
        .map(|j| (angle(upper_half(form.point(j))), j))
        .collect();
    if slopes.plus == slopes.minus {
        lines.clear();
    }
    lines.sort_unstable_by(|(s, i), (t, j)| s.total_cmp(t).then(i.cmp(j)));

    // A just before the first line, and what A and that of the opposite arc add up to.
    let mut a = vec![BoundedSum::default(); 2 * k];
    let mut both = vec![BoundedSum::default(); 2 * k];
    for j in 0..n {
        let s = if positive_before(form.point(j)) {
            slopes.plus
        } else {
            slopes.minus
        };
        form.add(&mut a, j, s);
        form.add(&mut both, j, slopes.plus + slopes.minus);
    }
    let both: Vec<f64> = both.iter().map(BoundedSum::value).collect();

    let mut best = Best {
        value: 0.0,
        at: [1.0, 0.0],
    };
    let mut here = vec![0.0; 2 * k];
    if lines.is_empty() {
        here.iter_mut()
            .zip(&a)
            .for_each(|(here, a)| *here = a.value());
        best.whole(&here, k);
    }
    for (l, &(_, j)) in lines.iter().enumerate() {
        let x = form.point(j);
        // Across the line j its sign flips.
        let jump = if positive_before(x) {
            slopes.minus - slopes.plus
        } else {
            slopes.plus - slopes.minus
        };
        form.add(&mut a, j, jump);
        let start = upper_half(x);
        let end = match lines.get(l + 1) {
            Some(&(_, next)) => upper_half(form.point(next)),
            None => opposite(upper_half(form.point(lines[0].1))),
        };
        here.iter_mut()
            .zip(&a)
            .for_each(|(here, a)| *here = a.value());
        best.arc(&here, k, start, end);
        here.iter_mut()
            .zip(&both)
            .for_each(|(here, both)| *here = both - *here);
        best.arc(&here, k, opposite(start), opposite(end));
    }
    (best.value, best.at)
}

/// The direction in the upper half plane, of angle in `[0, pi)`, that is orthogonal to x.
fn upper_half(x: &[f64]) -> Direction {
    let e = [-x[1], x[0]];
    if e[1] > 0.0 || (e[1] == 0.0 && e[0] > 0.0) {
        e
    } else {
        opposite(e)
    }
}

/// Whether `b.x > 0` just before the angle 0, where `b = (1, -0)`.
fn positive_before(x: &[f64]) -> bool {
    x[0] > 0.0 || (x[0] == 0.0 && x[1] < 0.0)
}

/// A number that grows with the angle of `e`, a direction in the upper half plane.
fn angle(e: Direction) -> f64 {
    1.0 - e[0] / (e[0].abs() + e[1])
}

fn opposite(e: Direction) -> Direction {
    [-e[0], -e[1]]
}

fn cross(a: Direction, b: Direction) -> f64 {
    a[0] * b[1] - a[1] * b[0]
}

/// The largest `|A b|` so far.
struct Best {
    value: f64,
    at: Direction,
}

/// `A^T A` of a `k x 2` matrix: its entries `(s_00, s_01, s_11)`.
fn gram(a: &[f64], k: usize) -> (f64, f64, f64) {
    let (p, q) = a.split_at(k);
    p.iter().zip(q).fold((0.0, 0.0, 0.0), |(s, t, r), (p, q)| {
        (s + p * p, t + p * q, r + q * q)
    })
}

impl Best {
    fn offer(&mut self, value: f64, at: Direction) {
        if value > self.value {
            *self = Self { value, at };
        }
    }

    /// `|A b|` over the whole circle.
    fn whole(&mut self, a: &[f64], k: usize) {
        let (value, at) = leading(gram(a, k));
        self.offer(value, at);
    }

    /// `|A b|` over the arc from `start` to `end`, at most half of the circle; `end` itself belongs to the next arc.
    fn arc(&mut self, a: &[f64], k: usize, start: Direction, end: Direction) {
        let (s, t, r) = gram(a, k);
        // Nothing on this arc can be larger than the Frobenius norm of A.
        if s + r <= self.value * self.value {
            return;
        }
        let [x, y] = start;
        self.offer(
            (s * x * x + 2.0 * t * x * y + r * y * y).max(0.0).sqrt(),
            start,
        );
        let (value, v) = leading((s, t, r));
        for v in [v, opposite(v)] {
            if cross(start, v) >= 0.0 && cross(v, end) >= 0.0 {
                self.offer(value, v);
            }
        }
    }
}

/// The square root of the larger eigenvalue of a positive semidefinite `2 x 2` matrix, and its unit eigenvector.
fn leading((s, t, r): (f64, f64, f64)) -> (f64, Direction) {
    let half = 0.5 * (s - r);
    let radius = (half * half + t * t).sqrt();
    let v = if half >= 0.0 {
        [half + radius, t]
    } else {
        [t, radius - half]
    };
    let length = (v[0] * v[0] + v[1] * v[1]).sqrt();
    let v = if length > 0.0 {
        [v[0] / length, v[1] / length]
    } else {
        [1.0, 0.0]
    };
    ((0.5 * (s + r) + radius).max(0.0).sqrt(), v)
}
