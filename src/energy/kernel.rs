//! Positive semidefinite kernels `K(w, v)` on the space of particles.

use std::sync::Arc;

use super::interaction::gaussian;
use super::pairs::PairFunction;
use crate::error::{MeasureError, ParameterError, assert_size};
use crate::forward::forward;
use crate::measure::{EmpiricalMeasure, median_distance};
use crate::real::{Real, real, to_f64};

mod arc_cosine;
mod output_weight;

pub use arc_cosine::ArcCosine;
pub use output_weight::WithOutputWeight;

/// A symmetric positive semidefinite kernel `K: R^p x R^p -> R`.
///
/// # Laws
/// - Symmetry: `K(w, v) = K(v, w)`. All Gram matrices are positive semidefinite.
/// - `gradient` adds `scale grad_w K(w, v)` to `out`, the gradient in the *first* argument.
/// - `value_and_gradient` and `value_and_gradients` agree with `value` and `gradient` up to
///   rounding.
/// - If `radial` returns true it agrees with `value` and `gradient`, up to rounding; `arc_cosine`,
///   too.
///
/// # Panics
/// The methods panic if a slice does not have the length `p`.
///
/// ```
/// use wasserflow::prelude::*;
///
/// /// K(w, v) = (w.v)^2, up to its diagonal terms the kernel of quadratic neurons on sign vectors.
/// struct Quadratic(usize);
/// impl<T: Real> Kernel<T> for Quadratic {
///     fn dim(&self) -> usize {
///         self.0
///     }
///     fn value(&self, w: &[T], v: &[T]) -> T {
///         let s = w.iter().zip(v).fold(T::zero(), |s, (&w, &v)| s + w * v);
///         s * s
///     }
///     fn gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) {
///         let s = w.iter().zip(v).fold(T::zero(), |s, (&w, &v)| s + w * v);
///         for (out, &v) in out.iter_mut().zip(v) {
///             *out += scale * (s + s) * v;
///         }
///     }
/// }
/// assert_eq!(Quadratic(2).value(&[1.0, 2.0], &[3.0, 1.0]), 25.0);
/// ```
pub trait Kernel<T: Real>: Sync {
    /// The dimension `p` of a point.
    fn dim(&self) -> usize;

    /// The value `K(w, v)`.
    fn value(&self, w: &[T], v: &[T]) -> T;

    /// Adds the gradient in the first argument: `out += scale grad_w K(w, v)`, `out` in `R^p`.
    fn gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]);

    /// Returns `K(w, v)` and adds `out += scale grad_w K(w, v)`. Override it if the two share work.
    #[inline]
    fn value_and_gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) -> T {
        self.gradient(w, v, scale, out);
        self.value(w, v)
    }

    /// Returns `K(w, v)` and adds both gradients, for the interaction of a pair of particles.
    ///
    /// `grad_w += scales[0] grad_w K(w, v)` and `grad_v += scales[1] grad_v K(w, v)`. Override it
    /// if the three share work.
    ///
    /// ```
    /// use wasserflow::prelude::*;
    ///
    /// let (w, v) = ([3.0, 0.0], [1.0, 0.0]);
    /// let (mut grad_w, mut grad_v) = ([0.0; 2], [0.0; 2]);
    /// let k = ArcCosine::new(2);
    /// assert_eq!(k.value_and_gradients(&w, &v, [1.0, 2.0], &mut grad_w, &mut grad_v), 1.5);
    /// assert_eq!((grad_w, grad_v), ([0.5, 0.0], [3.0, 0.0])); // v / 2 and 2 w / 2, at the angle 0
    /// ```
    #[inline]
    fn value_and_gradients(
        &self,
        w: &[T],
        v: &[T],
        scales: [T; 2],
        grad_w: &mut [T],
        grad_v: &mut [T],
    ) -> T {
        self.gradient(v, w, scales[1], grad_v);
        self.value_and_gradient(w, v, scales[0], grad_w)
    }

    /// Evaluates a function of the distance, `K(w, v) = f(|w - v|^2)`, at many squares: replaces
    /// `s_r` by `f(s_r)` and writes `f'(s_r)` to `d_r`. Provided: returns false and changes nothing,
    /// for other kernels.
    ///
    /// Sums over pairs are then vectorised. An empty `d` requests the values only, and the returned
    /// value does not depend on the arguments. The squares are positive, and large enough to be
    /// accurate: other pairs, those at distance 0 among them, are evaluated by
    /// `value_and_gradient`.
    ///
    /// ```
    /// use wasserflow::prelude::*;
    ///
    /// let (mut s, mut d) = ([2.0, 4.0], [0.0; 2]);
    /// assert!(Gaussian::new(3, 1.0)?.radial(&mut s, &mut d)); // f(s) = exp(-s / 2)
    /// assert!((s[1] - f64::exp(-2.0)).abs() < 1e-16 && d[1] == -0.5 * s[1]);
    /// # Ok::<(), ParameterError>(())
    /// ```
    fn radial(&self, s: &mut [T], d: &mut [T]) -> bool {
        let _ = (s, d);
        false
    }

    /// `Some(l)` for the [`ArcCosine`] kernel of the coordinates from l on, where l is 0 or 1 and
    /// the first coordinate is an output weight if l = 1. Provided: `None`, for other kernels.
    ///
    /// Sums over pairs are then vectorised; they agree with `value_and_gradient` up to rounding. A
    /// custom kernel that equals one of the two (and not a multiple of it) may return it.
    ///
    /// ```
    /// use wasserflow::prelude::*;
    ///
    /// let k = WithOutputWeight(ArcCosine::new(2));
    /// assert_eq!(Kernel::<f64>::arc_cosine(&k), Some(1));
    /// assert_eq!(Gaussian::new(3, 1.0)?.arc_cosine(), None);
    /// # Ok::<(), ParameterError>(())
    /// ```
    fn arc_cosine(&self) -> Option<usize> {
        None
    }
}

/// A kernel as a function of pairs.
pub(crate) struct OfPair<'a, K: ?Sized>(pub(crate) &'a K);

impl<T: Real, K: Kernel<T> + ?Sized> PairFunction<T> for OfPair<'_, K> {
    fn radial(&self, s: &mut [T], d: &mut [T]) -> bool {
        self.0.radial(s, d)
    }
    fn neurons(&self) -> Option<usize> {
        self.0.arc_cosine().filter(|&first| first <= 1)
    }
    #[inline]
    fn pair(&self, w: &[T], v: &[T], scale: T, _: &mut [T], out: &mut [T]) -> T {
        if out.is_empty() {
            self.0.value(w, v)
        } else {
            self.0.value_and_gradient(w, v, scale, out)
        }
    }
}

/// The methods of a pointer.
macro_rules! forward_kernel {
    ($generics:tt $($pointer:ty),+) => {
forward! {
    impl $generics Kernel<T>; for $($pointer),+; {
        fn dim(&self) -> usize;
        fn value(&self, w: &[T], v: &[T]) -> T;
        fn gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]);
        fn value_and_gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) -> T;
        fn value_and_gradients(
            &self,
            w: &[T],
            v: &[T],
            scales: [T; 2],
            grad_w: &mut [T],
            grad_v: &mut [T]
        ) -> T;
        fn radial(&self, s: &mut [T], d: &mut [T]) -> bool;
        fn arc_cosine(&self) -> Option<usize>;
    }
}
    };
}
forward_kernel!([T: Real, K: Kernel<T> + ?Sized] &K, &mut K, Box<K>);
forward_kernel!([T: Real, K: Kernel<T> + Send + ?Sized] Arc<K>);

/// Asserts that two points, or two gradients, are in `R^p`.
#[inline]
#[track_caller]
fn assert_points<T>(p: usize, w: &[T], v: &[T]) {
    assert_size("length of the first point or gradient", p, w.len());
    assert_size("length of the second point or gradient", p, v.len());
}

/// The Gaussian kernel `K(w, v) = exp(-|w - v|^2 / (2 s^2))` of bandwidth `s > 0`.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let k = Gaussian::new(1, 1.0)?;
/// assert_eq!(k.value(&[0.0], &[2.0]), f64::exp(-2.0));
/// # Ok::<(), wasserflow::prelude::ParameterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(deserialize = "T: Real + serde::Deserialize<'de>"))
)]
pub struct Gaussian<T> {
    dim: usize,
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_bandwidth"))]
    bandwidth: T,
}

#[cfg(feature = "serde")]
fn decode_bandwidth<'de, T: Real + serde::Deserialize<'de>, D: serde::Deserializer<'de>>(
    decoder: D,
) -> Result<T, D::Error> {
    crate::encoding::checked(decoder, |&bandwidth: &T| {
        Gaussian::new(1, bandwidth).map(drop)
    })
}

impl<T: Real> Gaussian<T> {
    /// The kernel on `R^p`, `p = dim`, of bandwidth `s`.
    ///
    /// # Errors
    /// [`ParameterError`] if the bandwidth is not positive and finite, or `1/s^2` overflows: the
    /// gradients would be NaN.
    pub fn new(dim: usize, bandwidth: T) -> Result<Self, ParameterError> {
        ParameterError::check_positive("bandwidth", to_f64(bandwidth))?;
        ParameterError::check(
            (T::one() / (bandwidth * bandwidth)).is_finite(),
            "bandwidth",
            "large enough for a finite 1 / bandwidth^2",
            to_f64(bandwidth),
        )?;
        Ok(Self { dim, bandwidth })
    }

    /// The kernel whose bandwidth s is the median distance of the particles of `mu`, the median
    /// heuristic: a standard deviation, of `exp(-|w - v|^2 / (2 s^2))`, without further factors.
    ///
    /// See [`median_distance`](crate::measure::median_distance) for the meaning of `seed`.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    ///
    /// let mu = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 3, &[0.0_f64, 1.0, 5.0]))?;
    /// assert_eq!(Gaussian::median_heuristic(&mu, 0)?.bandwidth(), 4.0);
    /// # Ok::<(), MeasureError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`median_distance`](crate::measure::median_distance) and [`new`](Self::new): if all
    /// points coincide the median is 0.
    pub fn median_heuristic(mu: &EmpiricalMeasure<T>, seed: u64) -> Result<Self, MeasureError> {
        Ok(Self::new(mu.dim(), median_distance(mu, seed)?)?)
    }

    /// The kernel of Stein variational gradient descent with the median heuristic of Liu and Wang:
    /// `exp(-|w - v|^2 / h)` with `h = median^2 / log m`, so `s^2 = median^2 / (2 log m)`.
    ///
    /// m is the number of particles of `mu` of positive weight, also if there are too many for the
    /// exact median. Then `sum_j K(w_i, w_j)` is about 1 for particles at the median distance.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    ///
    /// let mu = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 2, &[0.0_f64, 1.0]))?;
    /// let kernel = Gaussian::median_heuristic_svgd(&mu, 0)?;
    /// assert!((kernel.value(&[0.0], &[1.0]) - 0.5).abs() < 1e-15); // exp(-log 2)
    /// # Ok::<(), MeasureError>(())
    /// ```
    ///
    /// # Errors
    /// As [`median_heuristic`](Self::median_heuristic).
    ///
    /// Source: Q. Liu and D. Wang, Stein variational gradient descent: a general purpose Bayesian
    /// inference algorithm, 2016.
    pub fn median_heuristic_svgd(
        mu: &EmpiricalMeasure<T>,
        seed: u64,
    ) -> Result<Self, MeasureError> {
        let median = median_distance(mu, seed)?;
        let count = mu.weights().iter().filter(|&&c| c > T::zero()).count();
        let factor = (2.0 * (count as f64).ln()).sqrt();
        Ok(Self::new(mu.dim(), median / real(factor))?)
    }

    /// The bandwidth `s`.
    pub fn bandwidth(&self) -> T {
        self.bandwidth
    }
}

impl<T: Real> Kernel<T> for Gaussian<T> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn value(&self, w: &[T], v: &[T]) -> T {
        assert_points(self.dim, w, v);
        let mut r = T::zero();
        for (&w, &v) in w.iter().zip(v) {
            let z = (w - v) / self.bandwidth;
            r += z * z;
        }
        (r * real(-0.5)).exp()
    }

    fn gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) {
        self.value_and_gradient(w, v, scale, out);
    }

    fn value_and_gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) -> T {
        let k = self.value(w, v);
        assert_size("length of the gradient", self.dim, out.len());
        let s = scale * k / (self.bandwidth * self.bandwidth);
        for ((out, &w), &v) in out.iter_mut().zip(w).zip(v) {
            *out += s * (v - w);
        }
        k
    }

    fn value_and_gradients(
        &self,
        w: &[T],
        v: &[T],
        scales: [T; 2],
        grad_w: &mut [T],
        grad_v: &mut [T],
    ) -> T {
        let k = self.value(w, v);
        assert_points(self.dim, grad_w, grad_v);
        let [s, t] = scales.map(|scale| scale * k / (self.bandwidth * self.bandwidth));
        for ((grad_w, grad_v), (&w, &v)) in grad_w.iter_mut().zip(grad_v).zip(w.iter().zip(v)) {
            *grad_w += s * (v - w);
            *grad_v += t * (w - v);
        }
        k
    }
    fn radial(&self, s: &mut [T], d: &mut [T]) -> bool {
        gaussian(T::one(), self.bandwidth, s, d)
    }
}
