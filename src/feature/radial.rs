//! Radial ridge functions `a |b| sigma(b.x / |b|)`, 2-homogeneous for every activation.

use nalgebra::DMatrix;

use super::compute::{self, Neurons, Radials};
use super::ridge::{constructors, sizes_and_batches};
use super::{
    Breakpoint, FeatureMap, PredictionGradient, ProvidedBatches, Workspace, piecewise_linear, sizes,
};
use crate::activation::{Activation, Homogeneous};
use crate::error::{ParameterError, assert_size};
use crate::inputs::Inputs;
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::{dot, norm};
use crate::real::Real;

/// Radial ridge function `Phi(a, b)(x) = a |b| sigma(b.x / |b|)`: homogeneous of degree 2 for every
/// `sigma`.
///
/// As smooth as `sigma` except at `b = 0`, where value and derivative are defined as 0.
/// `Radial<Relu>` equals `Ridge<Relu>`. A particle is `(a_1, .., a_k, b_1, .., b_d)`, so
/// `p = k + d`.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let phi = Radial::new(Tanh, 2);
/// assert_eq!(phi.degree(), 2);
/// let mut h = [0.0];
/// phi.add_value(&[1.0, 0.0, 2.0], &[7.0, 0.5], 1.0, &mut h);
/// assert!((h[0] - 2.0 * 0.5_f64.tanh()).abs() < 1e-15);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Radial<A> {
    activation: A,
    input_dim: usize,
    output_dim: usize,
}

constructors!(Radial);

impl<A> Homogeneous for Radial<A> {
    fn degree(&self) -> u32 {
        2
    }
}

impl<T: Real, A: Activation<T>> FeatureMap<T> for Radial<A> {
    sizes_and_batches!(radials);

    fn add_value(&self, w: &[T], x: &[T], scale: T, out: &mut [T]) {
        self.assert_lengths(w.len(), x.len(), out.len());
        let (a, b) = w.split_at(self.output_dim);
        let r = norm(b);
        if r == T::zero() {
            return;
        }
        let s = scale * r * self.activation.value(dot(b, x) / r);
        for (out, &a) in out.iter_mut().zip(a) {
            *out += a * s;
        }
    }

    fn add_vjp(&self, w: &[T], x: &[T], g: &[T], out: &mut [T]) {
        self.assert_lengths(w.len(), x.len(), g.len());
        assert_size("length of the product", w.len(), out.len());
        let (a, b) = w.split_at(self.output_dim);
        let (da, db) = out.split_at_mut(self.output_dim);
        let r = norm(b);
        if r == T::zero() {
            return;
        }
        // With e = b/|b| and u = e.x:  d/db |b| sigma(u) = sigma(u) e + sigma'(u) (x - u e).
        let u = dot(b, x) / r;
        let (s, ds) = self.activation.value_and_derivative(u);
        for (da, &g) in da.iter_mut().zip(g) {
            *da += g * (r * s);
        }
        let q = dot(g, a);
        let (along, across) = (q * (s - ds * u) / r, q * ds);
        for ((db, &b), &x) in db.iter_mut().zip(b).zip(x) {
            *db += along * b + across * x;
        }
    }

    fn add_jvp(&self, w: &[T], x: &[T], v: &[T], scale: T, out: &mut [T]) {
        self.assert_lengths(w.len(), x.len(), out.len());
        assert_size("length of the direction", w.len(), v.len());
        let (a, b) = w.split_at(self.output_dim);
        let (da, db) = v.split_at(self.output_dim);
        let r = norm(b);
        if r == T::zero() {
            return;
        }
        let u = dot(b, x) / r;
        let (s, ds) = self.activation.value_and_derivative(u);
        let slope = (s - ds * u) / r * dot(b, db) + ds * dot(x, db);
        for ((out, &a), &da) in out.iter_mut().zip(a).zip(da) {
            *out += scale * (da * (r * s) + a * slope);
        }
    }
}

impl<A> Radial<A> {
    /// The map with the particles `w` and the samples `x`.
    fn radials<'a, T: Real>(&'a self, w: &'a DMatrix<T>, x: &'a Inputs<T>) -> Radials<'a, T, A> {
        Radials(Neurons {
            sigma: &self.activation,
            w: w.as_slice(),
            k: self.output_dim,
            x,
        })
    }
}
