//! The default batch operations of a map that overrides them.

use super::FeatureMap;
use crate::real::Real;

/// A map reduced to its pointwise methods, so that the default batch implementations apply.
///
/// For scalars without a SIMD implementation, which the fused kernels do not support.
pub(super) struct Plain<'a, F>(pub(super) &'a F);

impl<T: Real, F: FeatureMap<T>> FeatureMap<T> for Plain<'_, F> {
    fn particle_dim(&self) -> usize {
        self.0.particle_dim()
    }
    fn input_dim(&self) -> usize {
        self.0.input_dim()
    }
    fn output_dim(&self) -> usize {
        self.0.output_dim()
    }
    fn add_value(&self, w: &[T], x: &[T], scale: T, out: &mut [T]) {
        self.0.add_value(w, x, scale, out);
    }
    fn add_vjp(&self, w: &[T], x: &[T], g: &[T], out: &mut [T]) {
        self.0.add_vjp(w, x, g, out);
    }
    fn add_jvp(&self, w: &[T], x: &[T], v: &[T], scale: T, out: &mut [T]) {
        self.0.add_jvp(w, x, v, scale, out);
    }
}
