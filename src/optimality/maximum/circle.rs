//! `max |g|` over the unit circle, arc by arc between the directions at which a `b.x_j` changes
//! sign.

use super::arc::{
    PlaneDirection, gram, leading_singular_vector, maximum_on_arc, opposite, plane_norm,
};
use crate::numeric::error_bounds::CompensatedSum;
use crate::optimality::piecewise_linear::PiecewiseLinearMap;

/// The error of [`maximum`] in units of `EPS size`, for k outputs.
///
/// - 4: the scaled samples and coefficients of the map.
/// - 16: the entries of A. Every term enters A at most twice, with slopes of sum at most 3, and
///   again in the sum with the opposite arc; products and sums have an error of EPS each.
/// - 8: signs. The order of the lines is that of their computed angles, within `2 EPS` of a
///   pseudo-angle, `4 EPS` of the angle. A sign that it decides wrongly belongs to
///   `|b.x_j| <= 4 EPS`, and changes `g` by `8 EPS |u_j|` at most.
/// - 8: the ends of the arcs, within `4 EPS`, and their unit length.
/// - `2 k + 16`: [`maximum_on_arc`].
pub(super) fn error(k: usize) -> f64 {
    (52 + 2 * k) as f64
}

/// The largest `|g(b)|` on the unit circle, and its b.
///
/// On an arc `g(b) = A b`, `A = sum_j sigma'(b.x_j) u_j x_j^T` (`k x 2`): `|A b|` is largest at the
/// leading singular vector of `A` if that lies on the arc, else at an end. `A` changes by one term
/// from arc to arc, and on the opposite arc it is `(s_+ + s_-) sum_j u_j x_j^T - A`. The sweep
/// therefore covers half of the circle: `O(n log n + n k)`.
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
        let v = leading_singular_vector(&arc, k);
        best.update(plane_norm(&arc, k, v), v);
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

    /// `|A b|` over the arc from `start` to `end`, at most half of the circle.
    fn maximise_on_arc(&mut self, a: &[f64], k: usize, start: PlaneDirection, end: PlaneDirection) {
        // The Frobenius norm of A bounds |A b|.
        let (s, _, r) = gram(a, k);
        if s + r > self.value * self.value {
            let (value, b) = maximum_on_arc(a, k, start, end);
            self.update(value, b);
        }
    }
}
