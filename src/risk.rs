//! Convex risks `R(h)` of the predictions at the samples.

use std::ops::Range;

use nalgebra::DVector;

use crate::error::{ParameterError, RiskError, ShapeError, assert_size};
use crate::forward::forward;
use crate::inputs::Inputs;
use crate::loss::Kink;
use crate::numeric::difference_step;
use crate::real::{Real, real, to_f64};

mod empirical;
mod expected;
mod minibatch;
mod refill;
mod sample_rng;
mod softmax;

pub use empirical::EmpiricalRisk;
pub use expected::ExpectedRisk;
pub use minibatch::MinibatchRisk;
pub use refill::Refill;
pub use sample_rng::SampleRng;
pub use softmax::SoftmaxCrossEntropy;

/// A convex risk `R: R^{k n} -> R` of the predictions at n samples.
///
/// Predictions and gradients are `k x n`: output l of sample j is `h[j k + l]`.
///
/// # Laws
/// - Convex: `R((1-t) h + t g) <= (1-t) R(h) + t R(g)`.
/// - `value_and_gradient` writes the gradient of `value` (a subgradient at kinks) and returns the
///   same value.
/// - If separable: the values of `value_and_gradient_range` over consecutive ranges of samples add
///   up to `R(h)`, and their gradients are the parts of `grad R(h)`.
/// - `curvature` is symmetric, positive semidefinite, and the derivative of the gradient wherever
///   that exists.
/// - After `refresh(s)` the risk depends on s only, not on the calls before.
///
/// # Panics
/// The methods panic if a slice does not have the length `k n`, or `k len` for a range of samples.
///
/// ```
/// use wasserflow::prelude::*;
///
/// /// The largest prediction.
/// struct Worst<T> {
///     x: Inputs<T>,
/// }
/// impl<T: Real> Risk<T> for Worst<T> {
///     fn inputs(&self) -> &Inputs<T> {
///         &self.x
///     }
///     fn value(&self, h: &[T]) -> T {
///         h.iter().fold(h[0], |max, &h| max.max(h))
///     }
///     fn value_and_gradient(&self, h: &[T], out: &mut [T]) -> T {
///         let max = self.value(h);
///         out.fill(T::zero());
///         if let Some(j) = h.iter().position(|&h| h == max) {
///             out[j] = T::one();
///         }
///         max
///     }
/// }
/// let risk = Worst { x: Inputs::from_slice(1, &[0.0, 1.0, 2.0])? };
/// let mut g = [0.0; 3];
/// assert_eq!(risk.value_and_gradient(&[1.0, 5.0, 2.0], &mut g), 5.0);
/// assert_eq!(g, [0.0, 1.0, 0.0]);
/// # Ok::<(), wasserflow::prelude::RiskError>(())
/// ```
pub trait Risk<T: Real> {
    /// The samples `x_1, .., x_n` at which predictions are made.
    fn inputs(&self) -> &Inputs<T>;

    /// `k`, the number of outputs of a prediction.
    fn output_dim(&self) -> usize {
        1
    }

    /// `R(h)`.
    fn value(&self, h: &[T]) -> T;

    /// Writes `grad R(h)` to `out` and returns `R(h)`.
    fn value_and_gradient(&self, h: &[T], out: &mut [T]) -> T;

    /// Returns true if `R(h)` is a sum over samples, `R(h) = sum_j R_j(h_j)`.
    ///
    /// A feature map can then evaluate a batch of samples forward and backward while it is in the
    /// cache.
    fn is_separable(&self) -> bool {
        false
    }

    /// The contribution of a range of samples to `R(h)`, with its gradient: reads their predictions
    /// `h` (`k x len`) and writes the gradient there to `out`.
    ///
    /// Override it together with [`is_separable`](Self::is_separable). The default implementation
    /// is that of a risk that is not separable: it requires the range of all samples.
    ///
    /// ```
    /// use wasserflow::nalgebra::{DMatrix, DVector};
    /// use wasserflow::prelude::*;
    ///
    /// let y = DVector::from_vec(vec![1.0, 2.0, 3.0, 4.0]);
    /// let risk = EmpiricalRisk::new(Square, DMatrix::from_element(1, 4, 1.0), y)?;
    /// assert!(risk.is_separable());
    /// let mut g = [0.0; 2];
    /// let last_two = risk.value_and_gradient_range(2..4, &[3.0, 0.0], &mut g);
    /// assert_eq!((last_two, g), (2.0, [0.0, -1.0])); // (0 - 4)^2 / 2 / n
    /// # Ok::<(), wasserflow::error::RiskError>(())
    /// ```
    ///
    /// # Panics
    /// If `samples` is not within `0..n`. The default implementation, if it is not `0..n`.
    fn value_and_gradient_range(&self, samples: Range<usize>, h: &[T], out: &mut [T]) -> T {
        assert_eq!(
            samples,
            0..self.inputs().len(),
            "a risk that is not separable is evaluated at all samples"
        );
        self.value_and_gradient(h, out)
    }

    /// `out = R''(h) u`, the Gauss-Newton curvature.
    ///
    /// The default implementation takes central differences of the gradient and allocates. Override
    /// it for integrators that use curvature.
    fn curvature(&self, h: &[T], u: &[T], out: &mut [T]) {
        assert_size("length of the field", h.len(), u.len());
        assert_size("length of the product", h.len(), out.len());
        let largest = |x: &[T]| x.iter().fold(T::zero(), |max, &x| max.max(x.abs()));
        let size = largest(u);
        out.fill(T::zero());
        if size == T::zero() {
            return;
        }
        let step = difference_step::<T>() * (T::one() + largest(h)) / size;
        let shifted = |s: T| -> Vec<T> { h.iter().zip(u).map(|(&h, &u)| h + s * u).collect() };
        let mut below = vec![T::zero(); h.len()];
        self.value_and_gradient(&shifted(step), out);
        self.value_and_gradient(&shifted(-step), &mut below);
        for (out, below) in out.iter_mut().zip(below) {
            *out = (*out - below) / (step + step);
        }
    }

    /// Visits the kinks of the risk as `(index of the prediction, kink)`, in the order of the
    /// indices: hyperplanes `h[index] = at` across which `dR/dh[index]` jumps.
    ///
    /// Provided: none, for continuously differentiable risks.
    fn kinks(&self, visit: &mut dyn FnMut(usize, Kink<T>)) {
        let _ = visit;
    }

    /// Replaces the samples by those of a step (stochastic risks only); returns true if `R` changed.
    ///
    /// The samples are a function of the seed of the risk and of `step`. They depend neither on
    /// earlier calls nor on the number of threads, and on ranks that hold parts of the particles
    /// they are the same. d and k do not change; n may. A state after `step` steps is evaluated on
    /// these samples, so a run that resumes from it continues as the uninterrupted one. A
    /// [`ParticleFlow`](crate::ParticleFlow) calls this method with the step of the state, once for
    /// each step.
    fn refresh(&mut self, step: usize) -> bool {
        let _ = step;
        false
    }

    /// Checks the parameters of the risk. Provided: a risk without parameters.
    ///
    /// [`Energy::check`](crate::energy::Energy::check) of a mean-field risk calls it, once a step:
    /// it takes `O(1)` operations.
    ///
    /// # Errors
    /// [`ParameterError`] for the first parameter outside its range.
    fn check(&self) -> Result<(), ParameterError> {
        Ok(())
    }
}

forward! {
    impl[T: Real, R: Risk<T> + ?Sized] Risk<T>; for &mut R, Box<R>; {
        fn inputs(&self) -> &Inputs<T>;
        fn output_dim(&self) -> usize;
        fn value(&self, h: &[T]) -> T;
        fn value_and_gradient(&self, h: &[T], out: &mut [T]) -> T;
        fn is_separable(&self) -> bool;
        fn value_and_gradient_range(&self, samples: Range<usize>, h: &[T], out: &mut [T]) -> T;
        fn curvature(&self, h: &[T], u: &[T], out: &mut [T]);
        fn kinks(&self, visit: &mut dyn FnMut(usize, Kink<T>));
        fn refresh(&mut self, step: usize) -> bool;
        fn check(&self) -> Result<(), ParameterError>;
    }
}

/// Asserts that predictions, and a slice of their shape such as the gradient, have `len` entries.
#[inline]
#[track_caller]
fn assert_lengths(len: usize, h: usize, out: usize) {
    assert_size("length of the predictions", len, h);
    assert_size("length of the gradient or product", len, out);
}

/// Asserts that a range of samples is within `0..n`.
#[inline]
#[track_caller]
fn assert_range(samples: &Range<usize>, n: usize) {
    assert!(
        samples.start <= samples.end && samples.end <= n,
        "the range of samples must be within 0..{n}, found {samples:?}"
    );
}

/// `sum_{j < n} f(j)` in blocks of 64, in a fixed order: the rounding error grows like
/// `n / 64 + 64` instead of `n`.
fn sum<T: Real>(n: usize, mut f: impl FnMut(usize) -> T) -> T {
    const BLOCK: usize = 64;
    let mut total = T::zero();
    for start in (0..n).step_by(BLOCK) {
        let mut block = T::zero();
        for j in start..n.min(start + BLOCK) {
            block += f(j);
        }
        total += block;
    }
    total
}

/// `1 / n`.
fn reciprocal<T: Real>(n: usize) -> T {
    T::one() / real(n as f64)
}

/// `c x`, and 0 if `c = 0`: the product would be NaN for the infinite loss of an ignored sample.
#[inline]
fn weighted<T: Real>(c: T, x: T) -> T {
    if c == T::zero() { T::zero() } else { c * x }
}

/// The n sample weights `c`, after validation.
fn checked_weights<T: Real>(n: usize, c: DVector<T>) -> Result<Vec<T>, RiskError> {
    ShapeError::check("number of sample weights", n, c.len())?;
    match c.iter().position(|&c| !(c.is_finite() && c >= T::zero())) {
        Some(sample) => Err(RiskError::Weight {
            sample,
            value: to_f64(c[sample]),
        }),
        None => Ok(c.as_slice().to_vec()),
    }
}
