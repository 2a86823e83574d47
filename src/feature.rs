//! Feature maps `Phi(w): R^d -> R^k` of a particle `w`, and the batches of them that a flow evaluates.

use nalgebra::DMatrix;

use crate::error::ShapeError;
use crate::inputs::Inputs;
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::{columns, columns_mut, dot};
use crate::real::Real;

mod compute;
mod ridge;
mod workspace;

pub use ridge::{Radial, Ridge};
pub use workspace::Workspace;

/// A feature map `Phi: R^p -> (R^d -> R^k)`: what one particle `w` computes at a sample `x`.
///
/// The first six methods say what the map is, for one particle and one sample; only four have to be written. The batch
/// methods do what a flow needs for all particles and samples. They are correct as they stand, and worth overriding
/// where a batch can be fused. One call does a whole batch, so a boxed map costs nothing.
///
/// # Laws
/// - `add_value` and `add_vjp` add to `out`; the batch methods overwrite theirs.
/// - Adjoint: `<g, DPhi(w)(x) v> = <DPhi(w)(x)^T g, v>`, `add_jvp` on the left and `add_vjp` on the right.
/// - `add_vjp` is the derivative of `add_value`: `<g, Phi(w + e v)(x)> = <g, Phi(w)(x)> + e <DPhi^T g, v> + O(e^2)`.
/// - A batch method equals the provided one up to rounding.
/// - Nothing depends on what `out` or the workspace held before, other than what is added to.
///
/// ```
/// use wasserflow::prelude::*;
///
/// /// Spikes on the line: Phi(a, t)(x) = a exp(-(x - t)^2).
/// struct Bump;
/// impl<T: Real> FeatureMap<T> for Bump {
///     fn particle_dim(&self) -> usize {
///         2
///     }
///     fn input_dim(&self) -> usize {
///         1
///     }
///     fn add_value(&self, w: &[T], x: &[T], scale: T, out: &mut [T]) {
///         let r = x[0] - w[1];
///         out[0] += scale * w[0] * (-r * r).exp();
///     }
///     fn add_vjp(&self, w: &[T], x: &[T], g: &[T], out: &mut [T]) {
///         let r = x[0] - w[1];
///         let e = g[0] * (-r * r).exp();
///         out[0] += e;
///         out[1] += e * w[0] * (r + r);
///     }
/// }
/// let mut h = [0.0];
/// Bump.add_value(&[3.0, 1.0], &[1.0], 2.0, &mut h);
/// assert_eq!(h, [6.0]);
/// ```
pub trait FeatureMap<T: Real> {
    /// `p`, the number of coordinates of a particle.
    fn particle_dim(&self) -> usize;

    /// `d`, the number of coordinates of a sample.
    fn input_dim(&self) -> usize;

    /// `k`, the number of outputs.
    fn output_dim(&self) -> usize {
        1
    }

    /// `out += scale Phi(w)(x)`, with `w` in `R^p`, `x` in `R^d`, `out` in `R^k`.
    fn add_value(&self, w: &[T], x: &[T], scale: T, out: &mut [T]);

    /// `out += DPhi(w)(x)^T g = grad_w <g, Phi(w)(x)>`, with `g` in `R^k`, `out` in `R^p`.
    fn add_vjp(&self, w: &[T], x: &[T], g: &[T], out: &mut [T]);

    /// `out += scale DPhi(w)(x) v`, with `v` in `R^p`, `out` in `R^k`.
    ///
    /// Provided from k calls of `add_vjp`; worth overriding for an integrator that uses curvature.
    fn add_jvp(&self, w: &[T], x: &[T], v: &[T], scale: T, out: &mut [T]) {
        let mut e = vec![T::zero(); out.len()];
        let mut row = vec![T::zero(); v.len()];
        for l in 0..out.len() {
            row.fill(T::zero());
            e[l] = T::one();
            self.add_vjp(w, x, &e, &mut row);
            e[l] = T::zero();
            out[l] += scale * dot(&row, v);
        }
    }

    /// Predictions `h(x_j) = sum_i c_i Phi(w_i)(x_j)`, written to `out[j k + l]` (`k x n`).
    ///
    /// # Panics
    /// When the shapes do not fit the map, as indexing does.
    fn predict(
        &self,
        mu: &EmpiricalMeasure<T>,
        x: &Inputs<T>,
        out: &mut [T],
        ws: &mut Workspace<T>,
    ) {
        let _ = ws;
        let k = self.output_dim();
        out.fill(T::zero());
        for (j, h) in out.chunks_exact_mut(k).enumerate() {
            for i in 0..mu.len() {
                self.add_value(mu.particle(i), x.point(j), mu.weight(i), h);
            }
        }
    }

    /// Velocities `v_i = -sum_j DPhi(w_i)(x_j)^T g_j` with `g = grad R(h)`, written to `out` (`p x m`); returns `R(h)`.
    ///
    /// `gradient(h, g)` is called once: it reads the predictions `h` (`k x n`), writes `g = grad R(h)` and returns `R(h)`.
    ///
    /// # Panics
    /// When the shapes do not fit the map, as indexing does.
    fn velocity(
        &self,
        mu: &EmpiricalMeasure<T>,
        x: &Inputs<T>,
        gradient: &mut dyn FnMut(&[T], &mut [T]) -> T,
        out: &mut DMatrix<T>,
        ws: &mut Workspace<T>,
    ) -> T {
        let kn = self.output_dim() * x.len();
        let ([h, g, values], ws) = ws.nest([kn, kn, mu.len()]);
        self.predict(mu, x, h, ws);
        let risk = gradient(h, g);
        self.variation(mu.points(), x, g, values, out, ws);
        risk
    }

    /// As [`velocity`](Self::velocity), for a risk that is a sum over samples.
    ///
    /// `gradient(first, h, g)` is called for runs of samples, all in order: it reads the predictions of those from `first` on, writes `g`
    /// there and returns their part of `R(h)`. So a batch may go forward and backward over samples that fit in the cache, and
    /// evaluate each feature once. [`Risk::value_and_gradient_at`](crate::risk::Risk::value_and_gradient_at) is such a gradient.
    ///
    /// ```
    /// use wasserflow::nalgebra::{DMatrix, DVector};
    /// use wasserflow::prelude::*;
    ///
    /// let x = DMatrix::from_row_slice(1, 3, &[-1.0, 0.5, 2.0]);
    /// let risk = EmpiricalRisk::new(Square, x, DVector::from_vec(vec![1.0, 0.0, -1.0]))?;
    /// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[0.5, 2.0]))?;
    /// let (phi, mut ws) = (Ridge::new(Tanh, 1), Workspace::default());
    /// let (mut v, mut u) = (DMatrix::zeros(2, 1), DMatrix::zeros(2, 1));
    /// let whole = phi.velocity(&mu, risk.inputs(), &mut |h, g| risk.value_and_gradient(h, g), &mut v, &mut ws);
    /// let part = &mut |first: usize, h: &[f64], g: &mut [f64]| risk.value_and_gradient_at(first, h, g).unwrap();
    /// let by_samples = phi.velocity_by_samples(&mu, risk.inputs(), part, &mut u, &mut ws);
    /// assert!((whole - by_samples).abs() < 1e-15 && (v - u).amax() < 1e-15);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// When the shapes do not fit the map, as indexing does.
    fn velocity_by_samples(
        &self,
        mu: &EmpiricalMeasure<T>,
        x: &Inputs<T>,
        gradient: &mut GradientAt<'_, T>,
        out: &mut DMatrix<T>,
        ws: &mut Workspace<T>,
    ) -> T {
        self.velocity(mu, x, &mut |h, g| gradient(0, h, g), out, ws)
    }

    /// The linear form of `g` (`k x n`) at any points `w` (`p x q`):
    /// `values[i] = sum_j <g_j, Phi(w_i)(x_j)>` and its descent direction `descent_i = -sum_j DPhi(w_i)(x_j)^T g_j`.
    ///
    /// # Panics
    /// When the shapes do not fit the map, as indexing does.
    fn variation(
        &self,
        w: &DMatrix<T>,
        x: &Inputs<T>,
        g: &[T],
        values: &mut [T],
        descent: &mut DMatrix<T>,
        ws: &mut Workspace<T>,
    ) {
        let (p, k) = (self.particle_dim(), self.output_dim());
        let [phi] = ws.split([k]);
        for ((w, v), value) in columns(w.as_slice(), p)
            .zip(columns_mut(descent.as_mut_slice(), p))
            .zip(values)
        {
            *value = T::zero();
            v.fill(T::zero());
            for (j, g) in columns(g, k).enumerate() {
                phi.fill(T::zero());
                self.add_value(w, x.point(j), T::one(), phi);
                *value += dot(g, phi);
                self.add_vjp(w, x.point(j), g, v);
            }
            for v in v {
                *v = -*v;
            }
        }
    }

    /// The derivative of the predictions along a field `v` (`p x m`):
    /// `u(x_j) = sum_i c_i DPhi(w_i)(x_j) v_i`, written to `out[j k + l]` (`k x n`).
    ///
    /// # Panics
    /// When the shapes do not fit the map, as indexing does.
    fn jvp(
        &self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        x: &Inputs<T>,
        out: &mut [T],
        ws: &mut Workspace<T>,
    ) {
        let _ = ws;
        let (p, k) = (self.particle_dim(), self.output_dim());
        out.fill(T::zero());
        for (j, u) in out.chunks_exact_mut(k).enumerate() {
            for (i, v) in columns(v.as_slice(), p).enumerate() {
                self.add_jvp(mu.particle(i), x.point(j), v, mu.weight(i), u);
            }
        }
    }
}

/// The gradient of a risk by runs of samples: `(first, h, g)`, see [`FeatureMap::velocity_by_samples`].
pub type GradientAt<'a, T> = dyn FnMut(usize, &[T], &mut [T]) -> T + 'a;

/// Pointers forward every method, the provided ones too: else a box would silently lose the fused path.
macro_rules! forward_feature_map {
    ($($pointer:ty),*) => {$(
        impl<T: Real, F: FeatureMap<T> + ?Sized> FeatureMap<T> for $pointer {
            fn particle_dim(&self) -> usize {
                (**self).particle_dim()
            }
            fn input_dim(&self) -> usize {
                (**self).input_dim()
            }
            fn output_dim(&self) -> usize {
                (**self).output_dim()
            }
            fn add_value(&self, w: &[T], x: &[T], scale: T, out: &mut [T]) {
                (**self).add_value(w, x, scale, out);
            }
            fn add_vjp(&self, w: &[T], x: &[T], g: &[T], out: &mut [T]) {
                (**self).add_vjp(w, x, g, out);
            }
            fn add_jvp(&self, w: &[T], x: &[T], v: &[T], scale: T, out: &mut [T]) {
                (**self).add_jvp(w, x, v, scale, out);
            }
            fn predict(&self, mu: &EmpiricalMeasure<T>, x: &Inputs<T>, out: &mut [T], ws: &mut Workspace<T>) {
                (**self).predict(mu, x, out, ws);
            }
            fn velocity(
                &self,
                mu: &EmpiricalMeasure<T>,
                x: &Inputs<T>,
                gradient: &mut dyn FnMut(&[T], &mut [T]) -> T,
                out: &mut DMatrix<T>,
                ws: &mut Workspace<T>,
            ) -> T {
                (**self).velocity(mu, x, gradient, out, ws)
            }
            fn velocity_by_samples(
                &self,
                mu: &EmpiricalMeasure<T>,
                x: &Inputs<T>,
                gradient: &mut GradientAt<'_, T>,
                out: &mut DMatrix<T>,
                ws: &mut Workspace<T>,
            ) -> T {
                (**self).velocity_by_samples(mu, x, gradient, out, ws)
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
                (**self).variation(w, x, g, values, descent, ws);
            }
            fn jvp(
                &self,
                mu: &EmpiricalMeasure<T>,
                v: &DMatrix<T>,
                x: &Inputs<T>,
                out: &mut [T],
                ws: &mut Workspace<T>,
            ) {
                (**self).jvp(mu, v, x, out, ws);
            }
        }
    )*};
}
forward_feature_map!(&F, Box<F>, std::sync::Arc<F>);

/// Predictions `h_mu(x_j)` at any samples, `k x n`: column j is the prediction at `x_j`.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[1.0, 1.0, 1.0, -1.0]))?; // (|x|) / 2
/// let h = predict(&Ridge::new(Relu, 1), &mu, &Inputs::from_slice(1, &[-3.0, 5.0])?)?;
/// assert_eq!(h.as_slice(), &[1.5, 2.5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ShapeError`] when the map does not take the inputs (`d`) or the particles (`p`), or has no output.
///
/// Allocates its result; in a loop use [`FeatureMap::predict`].
pub fn predict<T: Real>(
    features: &(impl FeatureMap<T> + ?Sized),
    mu: &EmpiricalMeasure<T>,
    x: &Inputs<T>,
) -> Result<DMatrix<T>, ShapeError> {
    ShapeError::check("dimension of the inputs", features.input_dim(), x.dim())?;
    ShapeError::check(
        "dimension of the particles",
        features.particle_dim(),
        mu.dim(),
    )?;
    let k = features.output_dim();
    if k == 0 {
        return Err(ShapeError {
            what: "number of outputs of the feature map",
            expected: 1,
            found: 0,
        });
    }
    let mut h = DMatrix::zeros(k, x.len());
    features.predict(mu, x, h.as_mut_slice(), &mut Workspace::default());
    Ok(h)
}
