//! A feature map without its own batches.

use crate::feature::FeatureMap;
use crate::real::Real;

/// A map that leaves every batch to the trait: the plain reference of the map inside, whose batches may be fused.
///
/// It forwards what a particle computes at a sample (sizes, `add_value`, `add_vjp`, `add_jvp`) and nothing else.
///
/// ```
/// use wasserflow::testing::Plain;
/// use wasserflow::prelude::*;
///
/// let phi = Plain(Ridge::new(Relu, 2));
/// assert_eq!(FeatureMap::<f64>::particle_dim(&phi), 3);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Plain<F>(
    /// The map.
    pub F,
);

impl<T: Real, F: FeatureMap<T>> FeatureMap<T> for Plain<F> {
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
