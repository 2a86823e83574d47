//! Positive definite kernels `K(w, v)` on particles.

use crate::error::ParameterError;
use crate::feature::dot;
use crate::real::{Real, real, to_f64};

/// A symmetric positive semidefinite kernel `K: R^p x R^p -> R`.
///
/// # Laws
/// - `K(w, v) = K(v, w)`; Gram matrices have no negative eigenvalue.
/// - `gradient` adds `scale grad_w K(w, v)` to `out`: the derivative in the *first* argument.
///
/// ```
/// use wasserflow::{Kernel, Real};
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
        }
    )*};
}
forward_kernel!(&K, Box<K>);

/// Arc-cosine kernel `K(w, v) = E[(w.x)_+ (v.x)_+]`, `x ~ N(0, I_d)`.
///
/// `K(w, v) = |w| |v| (sin t + (pi - t) cos t) / (2 pi)`, t the angle between w and v; for x uniform on the unit sphere
/// divide by d. With [`Mmd`](super::Mmd) it gives the population risk of rectifier neurons whose output weights are 1, without
/// sampling; [`Lifted`] adds the output weights. `grad_w K = (|v| sin t w/|w| + (pi - t) v) / (2 pi)`, and 0 at `w = 0`.
///
/// ```
/// use wasserflow::{ArcCosine, Kernel};
///
/// let k = ArcCosine::new(2);
/// assert_eq!(k.value(&[3.0, 0.0], &[1.0, 0.0]), 1.5);      // |w| |v| / 2 for t = 0
/// assert!(k.value(&[1.0, 0.0], &[-1.0, 0.0_f64]).abs() < 1e-16); // 0 for t = pi
/// ```
///
/// Source: Y. Cho and L. Saul, Kernel methods for deep learning, 2009.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArcCosine {
    input_dim: usize,
}

impl ArcCosine {
    /// The kernel on `R^d`, `d = input_dim`.
    pub fn new(input_dim: usize) -> Self {
        Self { input_dim }
    }

    /// `d`.
    pub fn dim(&self) -> usize {
        self.input_dim
    }
}

/// `(|w|, |v|, t)`, or `None` where one of them is 0. The angle is accurate near 0 and pi, where `acos` is not:
/// `tan(t/2) = |w/|w| - v/|v|| / |w/|w| + v/|v||`.
fn norms_and_angle<T: Real>(w: &[T], v: &[T]) -> Option<(T, T, T)> {
    let (p, q) = (dot(w, w).sqrt(), dot(v, v).sqrt());
    if p == T::zero() || q == T::zero() {
        return None;
    }
    let (mut minus, mut plus) = (T::zero(), T::zero());
    for (&w, &v) in w.iter().zip(v) {
        let (w, v) = (w / p, v / q);
        minus += (w - v) * (w - v);
        plus += (w + v) * (w + v);
    }
    Some((p, q, real::<T>(2.0) * minus.sqrt().atan2(plus.sqrt())))
}

impl<T: Real> Kernel<T> for ArcCosine {
    fn dim(&self) -> usize {
        self.input_dim
    }

    fn value(&self, w: &[T], v: &[T]) -> T {
        let Some((p, q, t)) = norms_and_angle(w, v) else { return T::zero() };
        let (sin, cos) = t.sin_cos();
        p * q * (sin + (T::pi() - t) * cos) / T::two_pi()
    }

    fn gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) {
        let Some((p, q, t)) = norms_and_angle(w, v) else { return };
        let (along, across) = (scale * q * t.sin() / (p * T::two_pi()), scale * (T::pi() - t) / T::two_pi());
        for ((out, &w), &v) in out.iter_mut().zip(w).zip(v) {
            *out += along * w + across * v;
        }
    }
}

/// A kernel on neurons `(a, b)` from one on `b`: `K((a, b), (a', b')) = a a' k(b, b')`.
///
/// `Mmd` of `Lifted(ArcCosine)` is the population risk `E[(h_mu(x) - h_nu(x))^2] / 2`, `x ~ N(0, I)`, of a network `mu`
/// of rectifier neurons `a (b.x)_+` against a teacher `nu`.
///
/// ```
/// use wasserflow::{ArcCosine, Kernel, Lifted};
///
/// let k = Lifted(ArcCosine::new(2));
/// assert_eq!(k.value(&[2.0, 3.0, 0.0], &[-1.0, 1.0, 0.0]), -3.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifted<K>(
    /// The kernel k on `b`.
    pub K,
);

impl<T: Real, K: Kernel<T>> Kernel<T> for Lifted<K> {
    fn dim(&self) -> usize {
        1 + self.0.dim()
    }

    fn value(&self, w: &[T], v: &[T]) -> T {
        w[0] * v[0] * self.0.value(&w[1..], &v[1..])
    }

    fn gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) {
        out[0] += scale * v[0] * self.0.value(&w[1..], &v[1..]);
        self.0.gradient(&w[1..], &v[1..], scale * w[0] * v[0], &mut out[1..]);
    }
}

/// Gaussian kernel `K(w, v) = exp(-|w - v|^2 / (2 s^2))` of bandwidth `s > 0`.
///
/// ```
/// use wasserflow::{Gaussian, Kernel};
///
/// let k = Gaussian::new(1, 1.0)?;
/// assert_eq!(k.value(&[0.0], &[2.0]), f64::exp(-2.0));
/// # Ok::<(), wasserflow::ParameterError>(())
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
            Err(ParameterError { name: "bandwidth", requirement: "positive and finite", value: to_f64(bandwidth) })
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
        let s = scale * self.value(w, v) / (self.bandwidth * self.bandwidth);
        for ((out, &w), &v) in out.iter_mut().zip(w).zip(v) {
            *out += s * (v - w);
        }
    }
}
