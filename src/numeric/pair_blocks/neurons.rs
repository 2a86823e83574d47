//! Sources that are neurons, by the directions of their input weights.

use super::{BLOCK, Blocks, padded};
use crate::numeric::vector::norm;
use crate::real::Real;

impl<T: Real> Blocks<T> {
    /// Copies the neurons `(a, b)` in the columns of `points` (`p x len`, `p = dim`) as the
    /// directions `b/|b|`, with weights `c a |b|`; b are the coordinates from `first` on, 0 or 1,
    /// and `a = 1` for `first = 0`. Directions of weight 0 are 0.
    pub(crate) fn fill_neurons(&mut self, points: &[T], c: &[T], dim: usize, first: usize) {
        let (len, d) = (c.len(), dim - first);
        (self.dim, self.len) = (d, len);
        self.points.resize(padded::<T>(len) * d, T::zero());
        self.weights.resize(padded::<T>(len), T::zero());
        let (to, weights) = (self.points.as_mut_slice(), self.weights.as_mut_slice());
        to.fill(T::zero());
        weights.fill(T::zero());
        self.has_zeros.clear();
        self.has_zeros.resize(len.div_ceil(BLOCK), true);
        for (j, (&c, point)) in c.iter().zip(points.chunks_exact(dim)).enumerate() {
            let (a, b) = point.split_at(first);
            let size = norm(b);
            if c == T::zero() || size == T::zero() {
                continue;
            }
            weights[j] = c * a.first().map_or(size, |&a| a * size);
            let start = j / BLOCK * BLOCK;
            let width = padded::<T>(BLOCK.min(len - start));
            let to = to[start * d..][..width * d].iter_mut();
            for (to, &b) in to.skip(j - start).step_by(width).zip(b) {
                *to = b / size;
            }
        }
    }
}
