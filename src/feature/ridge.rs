//! Ridge functions `a sigma(b.x)`, the neurons of a two-layer network.

use nalgebra::DMatrix;

use super::compute::{self, Neurons};
use super::{
    Breakpoint, FeatureMap, PredictionGradient, ProvidedBatches, Workspace, piecewise_linear, sizes,
};
use crate::activation::{Activation, Homogeneous};
use crate::error::{ParameterError, assert_size};
use crate::inputs::Inputs;
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::dot;
use crate::real::Real;

/// Ridge function `Phi(a, b)(x) = a sigma(b.x)`: one hidden neuron, with `a` in `R^k` and `b` in
/// `R^d`.
///
/// A particle is `(a_1, .., a_k, b_1, .., b_d)`, so `p = k + d`. A bias is an additional coordinate
/// of the inputs ([`with_bias`](crate::inputs::with_bias)). If `sigma` is positively homogeneous of
/// degree r, the map is homogeneous of degree `1 + r`: 2 for [`Relu`](crate::Relu).
///
/// ```
/// use wasserflow::prelude::*;
///
/// let phi = Ridge::new(Relu, 2);
/// assert_eq!((phi.particle_dim(), phi.input_dim(), phi.output_dim()), (3, 2, 1));
/// let mut h = [0.0];
/// phi.add_value(&[2.0, 1.0, -1.0], &[5.0, 2.0], 1.0, &mut h);
/// assert_eq!(h, [6.0]); // 2 (5 - 2)_+
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ridge<A> {
    activation: A,
    input_dim: usize,
    output_dim: usize,
}

/// Constructors and dimensions of a map of neurons `(a, b)`.
macro_rules! constructors {
    ($map:ident) => {
        impl<A> $map<A> {
            /// The map with one output (`k = 1`) on inputs in `R^d`, `d = input_dim`.
            pub fn new(activation: A, input_dim: usize) -> Self {
                Self::with_outputs(activation, input_dim, 1)
            }

            /// The map with `k = output_dim` outputs on inputs in `R^d`, `d = input_dim`.
            pub fn with_outputs(activation: A, input_dim: usize, output_dim: usize) -> Self {
                Self {
                    activation,
                    input_dim,
                    output_dim,
                }
            }

            /// The activation `sigma`.
            pub fn activation(&self) -> &A {
                &self.activation
            }

            /// `p = k + d`, or `usize::MAX` if the sum exceeds it: no measure has this dimension.
            pub fn particle_dim(&self) -> usize {
                self.output_dim.saturating_add(self.input_dim)
            }

            /// `d`.
            pub fn input_dim(&self) -> usize {
                self.input_dim
            }

            /// `k`.
            pub fn output_dim(&self) -> usize {
                self.output_dim
            }

            /// Asserts the lengths of a particle, a sample and the outputs of a sample.
            #[inline]
            #[track_caller]
            fn assert_lengths(&self, w: usize, x: usize, outputs: usize) {
                assert_size("length of the particle", self.particle_dim(), w);
                assert_size("length of the sample", self.input_dim, x);
                assert_size("number of outputs", self.output_dim, outputs);
            }
        }
    };
}
pub(super) use constructors;

/// The sizes and the batch methods of [`FeatureMap`]. These are fused if the scalar has a SIMD
/// implementation, and the default ones otherwise.
macro_rules! sizes_and_batches {
    ($neurons:ident) => {
        fn particle_dim(&self) -> usize {
            self.particle_dim()
        }

        fn input_dim(&self) -> usize {
            self.input_dim
        }

        fn output_dim(&self) -> usize {
            self.output_dim
        }

        fn predict(
            &self,
            mu: &EmpiricalMeasure<T>,
            x: &Inputs<T>,
            out: &mut [T],
            ws: &mut Workspace<T>,
        ) {
            if !compute::is_supported::<T>() {
                return ProvidedBatches(self).predict(mu, x, out, ws);
            }
            sizes::<T, _>(self).assert_predict(mu.points(), x, out.len());
            self.$neurons(mu.points(), x).predict(mu.weights(), out, ws);
        }

        fn velocity(
            &self,
            mu: &EmpiricalMeasure<T>,
            x: &Inputs<T>,
            gradient: &mut PredictionGradient<'_, T>,
            out: &mut DMatrix<T>,
            ws: &mut Workspace<T>,
        ) -> T {
            if !compute::is_supported::<T>() {
                return ProvidedBatches(self).velocity(mu, x, gradient, out, ws);
            }
            sizes::<T, _>(self).assert_velocity(mu.points(), x, out);
            self.$neurons(mu.points(), x)
                .velocity(mu.weights(), gradient, out.as_mut_slice(), ws)
        }

        fn variation(
            &self,
            w: &DMatrix<T>,
            x: &Inputs<T>,
            g: &[T],
            values: &mut [T],
            descent: &mut DMatrix<T>,
            ws: &mut Workspace<T>,
        ) {
            if !compute::is_supported::<T>() {
                return ProvidedBatches(self).variation(w, x, g, values, descent, ws);
            }
            sizes::<T, _>(self).assert_variation(w, x, g.len(), values.len(), descent);
            self.$neurons(w, x)
                .variation(g, values, descent.as_mut_slice(), ws);
        }

        fn jvp(
            &self,
            mu: &EmpiricalMeasure<T>,
            v: &DMatrix<T>,
            x: &Inputs<T>,
            out: &mut [T],
            ws: &mut Workspace<T>,
        ) {
            if !compute::is_supported::<T>() {
                return ProvidedBatches(self).jvp(mu, v, x, out, ws);
            }
            sizes::<T, _>(self).assert_jvp(mu.points(), v, x, out.len());
            self.$neurons(mu.points(), x)
                .jvp(mu.weights(), v.as_slice(), out, ws);
        }

        fn breakpoints(
            &self,
            w: &DMatrix<T>,
            v: &DMatrix<T>,
            x: &Inputs<T>,
            g: &[T],
            margin: T,
            visit: &mut dyn FnMut(&Breakpoint<'_, T>),
        ) {
            sizes::<T, _>(self).assert_breakpoints(w, v, x, g.len());
            if let Some(slopes) = self.activation.slopes() {
                piecewise_linear::breakpoints(slopes, [w, v], x, g, margin, visit);
            }
        }

        fn hessians(
            &self,
            w: &DMatrix<T>,
            x: &Inputs<T>,
            g: &[T],
            out: &mut [T],
            ws: &mut Workspace<T>,
        ) {
            sizes::<T, _>(self).assert_hessians(w, x, g.len(), out.len());
            if self.activation.slopes().is_some() {
                piecewise_linear::hessians(self, w, x, g, out, ws);
            } else {
                ProvidedBatches(self).hessians(w, x, g, out, ws);
            }
        }

        fn check(&self) -> Result<(), ParameterError> {
            self.activation.check()
        }
    };
}
pub(super) use sizes_and_batches;

constructors!(Ridge);

impl<A: Homogeneous> Homogeneous for Ridge<A> {
    fn degree(&self) -> u32 {
        self.activation.degree().saturating_add(1)
    }
}

impl<T: Real, A: Activation<T>> FeatureMap<T> for Ridge<A> {
    sizes_and_batches!(neurons);

    fn add_value(&self, w: &[T], x: &[T], scale: T, out: &mut [T]) {
        self.assert_lengths(w.len(), x.len(), out.len());
        let (a, b) = w.split_at(self.output_dim);
        let s = scale * self.activation.value(dot(b, x));
        for (out, &a) in out.iter_mut().zip(a) {
            *out += a * s;
        }
    }

    fn add_vjp(&self, w: &[T], x: &[T], g: &[T], out: &mut [T]) {
        self.assert_lengths(w.len(), x.len(), g.len());
        assert_size("length of the product", w.len(), out.len());
        let (a, b) = w.split_at(self.output_dim);
        let (da, db) = out.split_at_mut(self.output_dim);
        let (s, ds) = self.activation.value_and_derivative(dot(b, x));
        for (da, &g) in da.iter_mut().zip(g) {
            *da += g * s;
        }
        let r = dot(g, a) * ds;
        for (db, &x) in db.iter_mut().zip(x) {
            *db += r * x;
        }
    }

    fn add_jvp(&self, w: &[T], x: &[T], v: &[T], scale: T, out: &mut [T]) {
        self.assert_lengths(w.len(), x.len(), out.len());
        assert_size("length of the direction", w.len(), v.len());
        let (a, b) = w.split_at(self.output_dim);
        let (da, db) = v.split_at(self.output_dim);
        let (s, ds) = self.activation.value_and_derivative(dot(b, x));
        let r = ds * dot(db, x);
        for ((out, &a), &da) in out.iter_mut().zip(a).zip(da) {
            *out += scale * (da * s + a * r);
        }
    }
}

impl<A> Ridge<A> {
    /// The map with the particles `w` and the samples `x`.
    fn neurons<'a, T: Real>(&'a self, w: &'a DMatrix<T>, x: &'a Inputs<T>) -> Neurons<'a, T, A> {
        Neurons {
            sigma: &self.activation,
            w: w.as_slice(),
            k: self.output_dim,
            x,
        }
    }
}
