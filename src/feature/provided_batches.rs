//! A feature map with the provided batch methods, the reference of an override.

use super::FeatureMap;
use crate::error::ParameterError;
use crate::real::Real;

/// A feature map that uses the provided batch methods: the reference for a map that overrides them.
///
/// [`Ridge`](super::Ridge) and [`Radial`](super::Radial) use it for scalars without SIMD kernels.
/// It forwards the sizes, `check`, and the methods of one particle and one sample, `add_value`,
/// `add_vjp` and `add_jvp`, and no other method.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::feature::ProvidedBatches;
///
/// let phi = ProvidedBatches(Ridge::new(Relu, 2));
/// assert_eq!(FeatureMap::<f64>::particle_dim(&phi), 3);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ProvidedBatches<F>(
    /// The feature map.
    pub F,
);

impl<T: Real, F: FeatureMap<T>> FeatureMap<T> for ProvidedBatches<F> {
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
    fn check(&self) -> Result<(), ParameterError> {
        self.0.check()
    }
}
