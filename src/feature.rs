//! Feature maps `Phi(w): R^d -> R^k` of a particle `w`, and the batch operations that a flow needs.

use std::rc::Rc;
use std::sync::Arc;

use nalgebra::DMatrix;

use crate::error::{ParameterError, assert_size};
use crate::forward::forward;
use crate::inputs::Inputs;
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::{columns, columns_mut, dot};
use crate::real::Real;

mod breakpoint;
mod compute;
mod hessian;
mod piecewise_linear;
mod prediction_gradient;
mod predictions;
mod provided_batches;
mod radial;
mod ridge;
mod sizes;
mod workspace;

pub use breakpoint::Breakpoint;
pub(crate) use hessian::by_differences;
pub use prediction_gradient::PredictionGradient;
pub use predictions::predict;
pub use provided_batches::ProvidedBatches;
pub use radial::Radial;
pub use ridge::Ridge;
use sizes::sizes;
pub use workspace::Workspace;

/// A feature map `Phi: R^p -> (R^d -> R^k)`: the function of a sample `x` that one particle `w`
/// represents.
///
/// The first six methods define the map for one particle and one sample; four of them are required.
/// The batch methods evaluate all particles at all samples. Their default implementations are
/// correct; override them to fuse the loops over particles and samples. One call evaluates a whole
/// batch, so dynamic dispatch has no measurable cost.
///
/// # Laws
/// - `add_value`, `add_vjp` and `add_jvp` add to `out`; the batch methods overwrite their outputs.
/// - Adjoint: `<g, DPhi(w)(x) v> = <DPhi(w)(x)^T g, v>`, with `add_jvp` on the left and `add_vjp`
///   on the right.
/// - `add_vjp` is the derivative of `add_value`:
///   `<g, Phi(w + e v)(x)> = <g, Phi(w)(x)> + e <DPhi^T g, v> + O(e^2)`.
/// - A batch method equals its default implementation up to rounding.
/// - No result depends on the previous content of `out` (unless the method adds to it) or of the
///   workspace.
///
/// # Panics
/// The methods panic if a slice, a measure or a matrix does not have the documented shape, or if
/// the number of outputs is 0.
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

    /// Adds the value: `out += scale Phi(w)(x)`, with `w` in `R^p`, `x` in `R^d`, `out` in `R^k`.
    fn add_value(&self, w: &[T], x: &[T], scale: T, out: &mut [T]);

    /// Adds the vector-Jacobian product: `out += DPhi(w)(x)^T g = grad_w <g, Phi(w)(x)>`, with `g`
    /// in `R^k`, `out` in `R^p`.
    fn add_vjp(&self, w: &[T], x: &[T], g: &[T], out: &mut [T]);

    /// Adds the Jacobian-vector product: `out += scale DPhi(w)(x) v`, with `v` in `R^p`, `out` in
    /// `R^k`.
    ///
    /// The default implementation calls `add_vjp` k times and allocates. Override it if the map is
    /// used with an integrator that requires curvature.
    fn add_jvp(&self, w: &[T], x: &[T], v: &[T], scale: T, out: &mut [T]) {
        assert_size("length of the direction", self.particle_dim(), v.len());
        assert_size("number of outputs", self.output_dim(), out.len());
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
    /// If the shapes do not match the map.
    fn predict(
        &self,
        mu: &EmpiricalMeasure<T>,
        x: &Inputs<T>,
        out: &mut [T],
        ws: &mut Workspace<T>,
    ) {
        let _ = ws;
        sizes(self).assert_predict(mu.points(), x, out.len());
        let k = self.output_dim();
        out.fill(T::zero());
        for (j, h) in out.chunks_exact_mut(k).enumerate() {
            for i in 0..mu.len() {
                self.add_value(mu.particle(i), x.point(j), mu.weight(i), h);
            }
        }
    }

    /// Velocities `v_i = -sum_j DPhi(w_i)(x_j)^T g_j`, `g = grad R(h)`, written to `out` (`p x m`);
    /// returns `R(h)`.
    ///
    /// Forward pass, gradient of the risk, backward pass. For a separable risk the gradient may be
    /// evaluated for consecutive ranges of samples that together cover `0..n`, in order and each
    /// sample once. An implementation can then run both passes on a batch of samples while its
    /// activations are in the cache, without recomputation. For any other risk the gradient is
    /// evaluated once, for `0..n`.
    ///
    /// ```
    /// use wasserflow::feature::PredictionGradient;
    /// use wasserflow::nalgebra::{DMatrix, DVector};
    /// use wasserflow::prelude::*;
    ///
    /// let x = DMatrix::from_row_slice(1, 3, &[-1.0, 0.5, 2.0]);
    /// let risk = EmpiricalRisk::new(Square, x, DVector::from_vec(vec![1.0, 0.0, -1.0]))?;
    /// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[0.5, 2.0]))?;
    ///
    /// let (phi, mut v) = (Ridge::new(Tanh, 1), DMatrix::zeros(2, 1));
    /// let mut evaluate =
    ///     |samples, h: &[f64], g: &mut [f64]| risk.value_and_gradient_range(samples, h, g);
    /// let gradient = &mut PredictionGradient::new(risk.is_separable(), &mut evaluate);
    /// let value = phi.velocity(&mu, risk.inputs(), gradient, &mut v, &mut Workspace::default());
    ///
    /// let mut energy = MeanFieldRisk::new(phi, risk)?;
    /// assert!((value - energy.value(&mu)).abs() < 1e-15);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// If the shapes do not match the map.
    fn velocity(
        &self,
        mu: &EmpiricalMeasure<T>,
        x: &Inputs<T>,
        gradient: &mut PredictionGradient<'_, T>,
        out: &mut DMatrix<T>,
        ws: &mut Workspace<T>,
    ) -> T {
        sizes(self).assert_velocity(mu.points(), x, out);
        let kn = self.output_dim() * x.len();
        let ([h, g, values], ws) = ws.nest([kn, kn, mu.len()]);
        self.predict(mu, x, h, ws);
        let risk = gradient.evaluate(0..x.len(), h, g);
        self.variation(mu.points(), x, g, values, out, ws);
        risk
    }

    /// The linear functional of `g` (`k x n`) at any points `w` (`p x q`):
    /// `values[i] = sum_j <g_j, Phi(w_i)(x_j)>` and its descent direction
    /// `descent_i = -sum_j DPhi(w_i)(x_j)^T g_j`.
    ///
    /// # Panics
    /// If the shapes do not match the map.
    fn variation(
        &self,
        w: &DMatrix<T>,
        x: &Inputs<T>,
        g: &[T],
        values: &mut [T],
        descent: &mut DMatrix<T>,
        ws: &mut Workspace<T>,
    ) {
        sizes(self).assert_variation(w, x, g.len(), values.len(), descent);
        let (p, k) = (self.particle_dim(), self.output_dim());
        let [phi] = ws.split([k]);
        let points = columns(w.as_slice(), p).zip(columns_mut(descent.as_mut_slice(), p));
        for ((w, v), value) in points.zip(values) {
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
    /// If the shapes do not match the map.
    fn jvp(
        &self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        x: &Inputs<T>,
        out: &mut [T],
        ws: &mut Workspace<T>,
    ) {
        let _ = ws;
        sizes(self).assert_jvp(mu.points(), v, x, out.len());
        let (p, k) = (self.particle_dim(), self.output_dim());
        out.fill(T::zero());
        for (j, u) in out.chunks_exact_mut(k).enumerate() {
            for (i, v) in columns(v.as_slice(), p).enumerate() {
                self.add_jvp(mu.particle(i), x.point(j), v, mu.weight(i), u);
            }
        }
    }

    /// Visits the kinks of `w -> <g_j, Phi(w)(x_j)>` that the segments from `w_i` to `w_i + v_i`
    /// meet: the breakpoints along `v` (`p x q`), of the map at the points `w` (`p x q`).
    ///
    /// A kink is a hyperplane `<n, w> = c` across which the gradient jumps by a multiple of its
    /// normal `n`. Those with `|<n, w_i> - c| <= |<n, v_i>| + margin s` are visited at least, with
    /// `s` the size of the terms of the left side ([`Breakpoint::scale`]). With `v = 0` these are
    /// the kinks on which the points lie, up to rounding.
    ///
    /// Provided: none, for maps that are continuously differentiable in `w`. A map with kinks that
    /// does not override this method is treated as such.
    fn breakpoints(
        &self,
        w: &DMatrix<T>,
        v: &DMatrix<T>,
        x: &Inputs<T>,
        g: &[T],
        margin: T,
        visit: &mut dyn FnMut(&Breakpoint<'_, T>),
    ) {
        let _ = (margin, visit);
        sizes(self).assert_breakpoints(w, v, x, g.len());
    }

    /// The Hessians of the linear functional of `g` (`k x n`) at any points `w` (`p x q`):
    /// `sum_j grad_w^2 <g_j, Phi(w_i)(x_j)>`, each `p x p`, written one after the other to `out`.
    ///
    /// Provided: differences of [`variation`](Self::variation) at `p q` points. Allocates.
    ///
    /// # Panics
    /// If the shapes do not match the map.
    fn hessians(
        &self,
        w: &DMatrix<T>,
        x: &Inputs<T>,
        g: &[T],
        out: &mut [T],
        ws: &mut Workspace<T>,
    ) {
        sizes(self).assert_hessians(w, x, g.len(), out.len());
        by_differences(w, out, |at, values, descent| {
            self.variation(at, x, g, values, descent, ws);
        });
    }

    /// Checks the parameters of the map. Provided: a map without parameters.
    ///
    /// [`MeanFieldRisk`](crate::MeanFieldRisk) calls it at construction and in
    /// [`Energy::check`](crate::energy::Energy::check), once a step: it takes `O(1)` operations.
    ///
    /// # Errors
    /// [`ParameterError`] for the first parameter outside its range.
    fn check(&self) -> Result<(), ParameterError> {
        Ok(())
    }
}

forward! {
    impl[T: Real, F: FeatureMap<T> + ?Sized] FeatureMap<T>; for &F, &mut F, Box<F>, Rc<F>, Arc<F>; {
        fn particle_dim(&self) -> usize;
        fn input_dim(&self) -> usize;
        fn output_dim(&self) -> usize;
        fn add_value(&self, w: &[T], x: &[T], scale: T, out: &mut [T]);
        fn add_vjp(&self, w: &[T], x: &[T], g: &[T], out: &mut [T]);
        fn add_jvp(&self, w: &[T], x: &[T], v: &[T], scale: T, out: &mut [T]);
        fn predict(
            &self,
            mu: &EmpiricalMeasure<T>,
            x: &Inputs<T>,
            out: &mut [T],
            ws: &mut Workspace<T>
        );
        fn velocity(
            &self,
            mu: &EmpiricalMeasure<T>,
            x: &Inputs<T>,
            gradient: &mut PredictionGradient<'_, T>,
            out: &mut DMatrix<T>,
            ws: &mut Workspace<T>
        ) -> T;
        fn variation(
            &self,
            w: &DMatrix<T>,
            x: &Inputs<T>,
            g: &[T],
            values: &mut [T],
            descent: &mut DMatrix<T>,
            ws: &mut Workspace<T>
        );
        fn jvp(
            &self,
            mu: &EmpiricalMeasure<T>,
            v: &DMatrix<T>,
            x: &Inputs<T>,
            out: &mut [T],
            ws: &mut Workspace<T>
        );
        fn breakpoints(
            &self,
            w: &DMatrix<T>,
            v: &DMatrix<T>,
            x: &Inputs<T>,
            g: &[T],
            margin: T,
            visit: &mut dyn FnMut(&Breakpoint<'_, T>)
        );
        fn hessians(
            &self,
            w: &DMatrix<T>,
            x: &Inputs<T>,
            g: &[T],
            out: &mut [T],
            ws: &mut Workspace<T>
        );
        fn check(&self) -> Result<(), ParameterError>;
    }
}
