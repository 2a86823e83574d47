//! Kernels of neurons with an output weight.

use super::Kernel;
use crate::real::Real;

/// The kernel `K((a, b), (a', b')) = a a' k(b, b')` of neurons with an output weight `a` in `R`.
///
/// `k` is a kernel on the input weights `b` in `R^d`, and `K` is one on `R^(1 + d)`. The
/// [`Mmd`](crate::energy::Mmd) of `WithOutputWeight(ArcCosine)` is the population risk
/// `E[(h_mu(x) - h_nu(x))^2] / 2`, `x ~ N(0, I)`, of a network `mu` of rectifier neurons
/// `a (b.x)_+` with a teacher network `nu`.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let k = WithOutputWeight(ArcCosine::new(2));
/// assert_eq!(k.value(&[2.0, 3.0, 0.0], &[-1.0, 1.0, 0.0]), -3.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WithOutputWeight<K>(
    /// The kernel k of the input weights `b`.
    pub K,
);

impl<T: Real, K: Kernel<T>> Kernel<T> for WithOutputWeight<K> {
    fn dim(&self) -> usize {
        self.0.dim().saturating_add(1) // no point has usize::MAX coordinates
    }

    fn arc_cosine(&self) -> Option<usize> {
        (self.0.arc_cosine() == Some(0)).then_some(1)
    }

    fn value(&self, w: &[T], v: &[T]) -> T {
        let ((a, b), (c, d)) = (parts(w), parts(v));
        a * c * self.0.value(b, d)
    }

    fn gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) {
        let ((a, b), (c, d), (da, db)) = (parts(w), parts(v), parts_mut(out));
        *da += scale * c * self.0.value(b, d);
        self.0.gradient(b, d, scale * a * c, db);
    }

    fn value_and_gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) -> T {
        let ((a, b), (c, d), (da, db)) = (parts(w), parts(v), parts_mut(out));
        let k = self.0.value_and_gradient(b, d, scale * (a * c), db);
        *da += scale * c * k;
        a * c * k
    }

    fn value_and_gradients(
        &self,
        w: &[T],
        v: &[T],
        scales: [T; 2],
        grad_w: &mut [T],
        grad_v: &mut [T],
    ) -> T {
        let ((a, b), (c, d)) = (parts(w), parts(v));
        let ((da, db), (dc, dd)) = (parts_mut(grad_w), parts_mut(grad_v));
        let k = (self.0).value_and_gradients(b, d, scales.map(|s| s * (a * c)), db, dd);
        *da += scales[0] * c * k;
        *dc += scales[1] * a * k;
        a * c * k
    }
}

/// The message of a point without coordinates.
const OUTPUT_WEIGHT: &str = "length of a point must be at least 1, found 0";

/// The output weight and the input weights of a neuron.
#[inline]
fn parts<T: Copy>(w: &[T]) -> (T, &[T]) {
    let (a, b) = w.split_first().expect(OUTPUT_WEIGHT);
    (*a, b)
}

#[inline]
fn parts_mut<T>(w: &mut [T]) -> (&mut T, &mut [T]) {
    w.split_first_mut().expect(OUTPUT_WEIGHT)
}
