//! The minimum-norm point of the convex hull of a few vectors.
//!
//! The algorithm of Mitchell, Dem'yanov and Malozemov: weight moves, by exact line search, from the
//! support vector farthest along `z` to the vertex least far along it.
//!
//! Source: B. Mitchell, V. Dem'yanov and V. Malozemov, Finding the point of a polyhedron closest to
//! the origin, 1974.

use crate::numeric::vector::dot;
use crate::real::{Real, epsilon, real};

/// Exchanges of weight at most, per vertex.
const MAX_EXCHANGES: usize = 100;

/// Optimality gaps below this multiple of `eps` times the largest squared norm are rounding.
const GAP_ROUNDING: f64 = 4.0;

/// Writes the shortest vector of the convex hull of `vertices` to `z`, and returns the weights of
/// the convex combination. There is at least one vertex.
pub(super) fn minimum_norm_point<T: Real>(vertices: &[&[T]], z: &mut [T]) -> Vec<T> {
    let mut weights = vec![T::zero(); vertices.len()];
    weights[0] = T::one();
    z.copy_from_slice(vertices[0]);
    let squares = vertices.iter().map(|v| dot(v, v));
    let largest = squares.reduce(T::max).unwrap_or(T::zero());
    for _ in 0..MAX_EXCHANGES * vertices.len() {
        let first = dot(vertices[0], z);
        let (mut low, mut high) = ((first, 0), (first, 0));
        if weights[0] == T::zero() {
            high.0 = -largest;
        }
        for s in 1..vertices.len() {
            let along = dot(vertices[s], z);
            if along < low.0 {
                low = (along, s);
            }
            if weights[s] > T::zero() && along > high.0 {
                high = (along, s);
            }
        }
        let gap = high.0 - low.0;
        let ((_, low), (_, high)) = (low, high);
        if low == high || gap <= real::<T>(GAP_ROUNDING) * epsilon::<T>() * largest {
            break;
        }
        let (u, v) = (vertices[high], vertices[low]);
        let square = u.iter().zip(v).fold(T::zero(), |sum, (&u, &v)| {
            let e = u - v;
            sum + e * e
        });
        let step = (gap / square).min(weights[high]);
        for (z, (&u, &v)) in z.iter_mut().zip(u.iter().zip(v)) {
            *z += step * (v - u);
        }
        weights[high] -= step;
        weights[low] += step;
    }
    weights
}
