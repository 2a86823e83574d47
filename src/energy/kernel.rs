//! Positive definite kernels `K(w, v)` on particles.

use crate::error::ParameterError;
use crate::real::{Real, real, to_f64};

mod arc_cosine;

pub use arc_cosine::ArcCosine;

/// A symmetric positive semidefinite kernel `K: R^p x R^p -> R`.
///
/// # Laws
/// - `K(w, v) = K(v, w)`; Gram matrices have no negative eigenvalue.
/// - `gradient` adds `scale grad_w K(w, v)` to `out`: the derivative in the *first* argument.
/// - `value_and_gradient` and `value_and_gradients` are `value` and `gradient` up to rounding.
///
/// ```
/// use wasserflow::prelude::*;
///
/// /// K(w, v) = (w.v)^2, the population risk of quadratic neurons on sign vectors, up to the diagonal.
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
pub trait Kernel<T: Real> {
    /// `p`, the number of coordinates of a point.
    fn dim(&self) -> usize;

    /// `K(w, v)`.
    fn value(&self, w: &[T], v: &[T]) -> T;

    /// `out += scale grad_w K(w, v)`.
    fn gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]);

    /// `K(w, v)`, and `out += scale grad_w K(w, v)`: worth overriding where the two share work.
    #[inline]
    fn value_and_gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) -> T {
        self.gradient(w, v, scale, out);
        self.value(w, v)
    }

    /// `K(w, v)` and both its gradients, `at_w += scales[0] grad_w K(w, v)` and `at_v += scales[1] grad_v K(w, v)`: what a
    /// pair of particles does to each other. Worth overriding where the three share work.
    ///
    /// ```
    /// use wasserflow::prelude::*;
    ///
    /// let (w, v) = ([3.0, 0.0], [1.0, 0.0]);
    /// let (mut at_w, mut at_v) = ([0.0; 2], [0.0; 2]);
    /// assert_eq!(ArcCosine::new(2).value_and_gradients(&w, &v, [1.0, 2.0], &mut at_w, &mut at_v), 1.5);
    /// assert_eq!((at_w, at_v), ([0.5, 0.0], [3.0, 0.0])); // v / 2 and 2 w / 2, at an angle of 0
    /// ```
    #[inline]
    fn value_and_gradients(
        &self,
        w: &[T],
        v: &[T],
        scales: [T; 2],
        at_w: &mut [T],
        at_v: &mut [T],
    ) -> T {
        self.gradient(v, w, scales[1], at_v);
        self.value_and_gradient(w, v, scales[0], at_w)
    }
}

macro_rules! forward_kernel {
    ($($pointer:ty),*) => {$(
        impl<T: Real, K: Kernel<T> + ?Sized> Kernel<T> for $pointer {
            fn dim(&self) -> usize {
                (**self).dim()
            }
            fn value(&self, w: &[T], v: &[T]) -> T {
                (**self).value(w, v)
            }
            fn gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) {
                (**self).gradient(w, v, scale, out);
            }
            fn value_and_gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) -> T {
                (**self).value_and_gradient(w, v, scale, out)
            }
            fn value_and_gradients(&self, w: &[T], v: &[T], scales: [T; 2], at_w: &mut [T], at_v: &mut [T]) -> T {
                (**self).value_and_gradients(w, v, scales, at_w, at_v)
            }
        }
    )*};
}
forward_kernel!(&K, Box<K>);

/// A kernel on neurons `(a, b)` from one on `b`: `K((a, b), (a', b')) = a a' k(b, b')`.
///
/// `Mmd` of `WithOutputWeight(ArcCosine)` is the population risk `E[(h_mu(x) - h_nu(x))^2] / 2`, `x ~ N(0, I)`, of a network `mu`
/// of rectifier neurons `a (b.x)_+` against a teacher `nu`.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let k = WithOutputWeight(ArcCosine::new(2));
/// assert_eq!(k.value(&[2.0, 3.0, 0.0], &[-1.0, 1.0, 0.0]), -3.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WithOutputWeight<K>(
    /// The kernel k on `b`.
    pub K,
);

impl<T: Real, K: Kernel<T>> Kernel<T> for WithOutputWeight<K> {
    fn dim(&self) -> usize {
        1 + self.0.dim()
    }

    fn value(&self, w: &[T], v: &[T]) -> T {
        w[0] * v[0] * self.0.value(&w[1..], &v[1..])
    }

    fn gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) {
        out[0] += scale * v[0] * self.0.value(&w[1..], &v[1..]);
        self.0
            .gradient(&w[1..], &v[1..], scale * w[0] * v[0], &mut out[1..]);
    }

    fn value_and_gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) -> T {
        let aa = w[0] * v[0];
        let k = self
            .0
            .value_and_gradient(&w[1..], &v[1..], scale * aa, &mut out[1..]);
        out[0] += scale * v[0] * k;
        aa * k
    }

    fn value_and_gradients(
        &self,
        w: &[T],
        v: &[T],
        scales: [T; 2],
        at_w: &mut [T],
        at_v: &mut [T],
    ) -> T {
        let aa = w[0] * v[0];
        let k = self.0.value_and_gradients(
            &w[1..],
            &v[1..],
            scales.map(|s| s * aa),
            &mut at_w[1..],
            &mut at_v[1..],
        );
        at_w[0] += scales[0] * v[0] * k;
        at_v[0] += scales[1] * w[0] * k;
        aa * k
    }
}

/// Gaussian kernel `K(w, v) = exp(-|w - v|^2 / (2 s^2))` of bandwidth `s > 0`.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let k = Gaussian::new(1, 1.0)?;
/// assert_eq!(k.value(&[0.0], &[2.0]), f64::exp(-2.0));
/// # Ok::<(), wasserflow::prelude::ParameterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gaussian<T> {
    dim: usize,
    bandwidth: T,
}

impl<T: Real> Gaussian<T> {
    /// The kernel on `R^p`, `p = dim`, of bandwidth `s`.
    ///
    /// # Errors
    /// [`ParameterError`] when the bandwidth is not positive and finite.
    pub fn new(dim: usize, bandwidth: T) -> Result<Self, ParameterError> {
        if bandwidth > T::zero() && bandwidth.is_finite() {
            Ok(Self { dim, bandwidth })
        } else {
            Err(ParameterError {
                name: "bandwidth",
                requirement: "positive and finite",
                value: to_f64(bandwidth),
            })
        }
    }
}

impl<T: Real> Kernel<T> for Gaussian<T> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn value(&self, w: &[T], v: &[T]) -> T {
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
        at_w: &mut [T],
        at_v: &mut [T],
    ) -> T {
        let k = self.value(w, v);
        let [s, t] = scales.map(|scale| scale * k / (self.bandwidth * self.bandwidth));
        for ((at_w, at_v), (&w, &v)) in at_w.iter_mut().zip(at_v).zip(w.iter().zip(v)) {
            *at_w += s * (v - w);
            *at_v += t * (w - v);
        }
        k
    }
}
