//! The arc-cosine kernel of degree 1: rectifier neurons on Gaussian inputs.
//!
//! Y. Cho and L. Saul, Kernel methods for deep learning, 2009. Angles close to 0 and pi are
//! computed by the stable formula of W. Kahan, How futile are mindless assessments of roundoff,
//! 2006 ("Mangled angles").

use super::{Kernel, assert_points};
use crate::error::assert_size;
use crate::real::{Real, real};

/// The arc-cosine kernel `K(w, v) = E[(w.x)_+ (v.x)_+]`, `x ~ N(0, I_d)`.
///
/// With the angle t between w and v,
///
/// ```text
/// K(w, v)  = |w| |v| (sin t + (pi - t) cos t) / (2 pi)
/// grad_w K = (|v| sin t w/|w| + (pi - t) v) / (2 pi),   0 for w = 0 or v = 0
/// ```
///
/// For x uniform on the unit sphere divide by d. The energy [`Mmd`](crate::energy::Mmd) of this
/// kernel is the population risk of rectifier neurons with output weight 1, without sampling.
/// [`WithOutputWeight`](crate::energy::WithOutputWeight) adds output weights.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let k = ArcCosine::new(2);
/// assert_eq!(k.value(&[3.0, 0.0], &[1.0, 0.0]), 1.5);      // |w| |v| / 2 for t = 0
/// assert!(k.value(&[1.0, 0.0], &[-1.0, 0.0_f64]).abs() < 1e-16); // 0 for t = pi
/// ```
///
/// Accuracy: with `r = pi - t`, the error of K is below 40 units of rounding of
/// `|w| |v| k^(2/3)`, `k = K / (|w| |v|)`, and that of the gradient below 40 units of
/// `|v| k^(1/3)`: the effect of a rounding of r. This holds for nearly parallel and nearly opposite
/// vectors, and norms from 1e-150 to 1e150 in `f64` (1e-15 to 1e15 in `f32`).
///
/// Cost: in the sums of [`Mmd`](crate::energy::Mmd), which are [vectorised](Kernel::arc_cosine), a
/// pair takes 3.0 ns in `f64` and 1.5 ns in `f32` at d = 2, and 5.2 and 2.7 ns at d = 10, on one
/// thread of a virtual machine of a Zen 4 server. `value_and_gradient` of one pair takes 50 ns.
///
/// Source: Y. Cho and L. Saul, Kernel methods for deep learning, 2009.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ArcCosine {
    input_dim: usize,
}

impl ArcCosine {
    /// The kernel on `R^d`, `d = input_dim`.
    pub fn new(input_dim: usize) -> Self {
        Self { input_dim }
    }

    /// The dimension `d`.
    pub fn dim(&self) -> usize {
        self.input_dim
    }
}

/// `|cos t|` above which the angle is computed by Kahan's formula: closer to 0 and pi the factors
/// `|w| |v| - w.v` and `|w| |v| + w.v` cancel.
const NEARLY_PARALLEL: f64 = 0.9;

/// `pi - t` below which the kernel is summed as a power series, because `sin t` and
/// `(pi - t) cos t` cancel.
const NEARLY_OPPOSITE: f64 = 0.5;

/// Terms of this series: the first one omitted is below `1e-20` of the sum.
const TERMS: usize = 8;

/// The quantities of a pair of neurons at an angle t that the kernel and its gradients share.
#[derive(Debug, Clone, Copy)]
struct Pair<T> {
    /// `|w|^2`
    ww: T,
    /// `|v|^2`
    vv: T,
    /// `w.v = |w| |v| cos t`
    wv: T,
    /// `|w| |v| sin t`, the area of the parallelogram
    area: T,
    /// `pi - t`
    supplement: T,
}

impl<T: Real> Pair<T> {
    /// `None` if w or v is 0.
    #[inline]
    fn new(w: &[T], v: &[T]) -> Option<Self> {
        let [ww, vv, wv] = products(w, v);
        if ww == T::zero() || vv == T::zero() {
            return None;
        }
        let norms = ww.sqrt() * vv.sqrt();
        if wv.abs() < norms * real(NEARLY_PARALLEL) {
            let area = (norms - wv).sqrt() * (norms + wv).sqrt();
            return Some(Self {
                ww,
                vv,
                wv,
                area,
                supplement: area.atan2(-wv),
            });
        }
        // Kahan: tan(t/2) = |w/p - v/q| / |w/p + v/q|, p = |w|, q = |v|.
        let [minus, plus] = unit_distances(w, v, ww.sqrt(), vv.sqrt());
        let acute = real::<T>(2.0) * minus.min(plus).atan2(minus.max(plus));
        let (sin, cos) = acute.sin_cos();
        let (cos, supplement) = if plus < minus {
            (-cos, acute)
        } else {
            (cos, T::pi() - acute)
        };
        Some(Self {
            ww,
            vv,
            wv: norms * cos,
            area: norms * sin,
            supplement,
        })
    }

    /// `K(w, v) = (|w| |v| sin t + (pi - t) w.v) / (2 pi)`.
    #[inline]
    fn value(&self) -> T {
        let sum = if self.supplement < real(NEARLY_OPPOSITE) {
            self.series()
        } else {
            self.area + self.supplement * self.wv
        };
        sum / T::two_pi()
    }

    /// `|w| |v| (sin r - r cos r)` for small `r = pi - t`, by Horner's rule for the power series
    /// `sin r - r cos r = sum_{k >= 1} 2 k (-1)^(k+1) r^(2k+1) / (2k+1)!`.
    fn series(&self) -> T {
        let r = self.supplement;
        let (mut factorial, mut sum) = (1.0, T::zero());
        let coefficients: [f64; TERMS] = std::array::from_fn(|k| {
            let k = (k + 1) as f64;
            factorial *= -2.0 * k * (2.0 * k + 1.0); // (-1)^k (2k+1)!
            -2.0 * k / factorial
        });
        for coefficient in coefficients.into_iter().rev() {
            sum = sum * r * r + real(coefficient);
        }
        self.ww.sqrt() * self.vv.sqrt() * sum * r * r * r
    }

    /// The coefficients of `w` and `v` in
    /// `scale grad_w K = scale (|w| |v| sin t w/|w|^2 + (pi - t) v) / (2 pi)`.
    #[inline]
    fn gradient(&self, scale: T) -> [T; 2] {
        let scale = scale / T::two_pi();
        [scale * self.area / self.ww, scale * self.supplement]
    }

    /// The quantities of the pair `(v, w)`.
    #[inline]
    fn swapped(self) -> Self {
        Self {
            ww: self.vv,
            vv: self.ww,
            ..self
        }
    }
}

/// `(w.w, v.v, w.v)`, each as four interleaved partial sums, which the compiler vectorises.
#[inline]
fn products<T: Real>(w: &[T], v: &[T]) -> [T; 3] {
    const PARTS: usize = 4;
    let mut sums = [[T::zero(); PARTS]; 3];
    let ((w, w_rest), (v, v_rest)) = (w.as_chunks::<PARTS>(), v.as_chunks::<PARTS>());
    for (w, v) in w.iter().zip(v) {
        for l in 0..PARTS {
            sums[0][l] += w[l] * w[l];
            sums[1][l] += v[l] * v[l];
            sums[2][l] += w[l] * v[l];
        }
    }
    for (l, (&w, &v)) in w_rest.iter().zip(v_rest).enumerate() {
        sums[0][l] += w * w;
        sums[1][l] += v * v;
        sums[2][l] += w * v;
    }
    sums.map(|[a, b, c, d]| (a + b) + (c + d))
}

/// `|w/p - v/q|` and `|w/p + v/q|`.
fn unit_distances<T: Real>(w: &[T], v: &[T], p: T, q: T) -> [T; 2] {
    let (mut minus, mut plus) = (T::zero(), T::zero());
    for (&w, &v) in w.iter().zip(v) {
        let (w, v) = (w / p, v / q);
        minus += (w - v) * (w - v);
        plus += (w + v) * (w + v);
    }
    [minus.sqrt(), plus.sqrt()]
}

/// `out += a w + b v`.
#[inline]
fn add_combination<T: Real>(out: &mut [T], [a, b]: [T; 2], w: &[T], v: &[T]) {
    for ((out, &w), &v) in out.iter_mut().zip(w).zip(v) {
        *out += a * w + b * v;
    }
}

impl<T: Real> Kernel<T> for ArcCosine {
    fn dim(&self) -> usize {
        self.input_dim
    }

    fn arc_cosine(&self) -> Option<usize> {
        Some(0)
    }

    fn value(&self, w: &[T], v: &[T]) -> T {
        assert_points(self.input_dim, w, v);
        Pair::new(w, v).map_or(T::zero(), |pair| pair.value())
    }

    fn gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) {
        self.value_and_gradient(w, v, scale, out);
    }

    fn value_and_gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) -> T {
        assert_points(self.input_dim, w, v);
        assert_size("length of the gradient", self.input_dim, out.len());
        let Some(pair) = Pair::new(w, v) else {
            return T::zero();
        };
        add_combination(out, pair.gradient(scale), w, v);
        pair.value()
    }

    fn value_and_gradients(
        &self,
        w: &[T],
        v: &[T],
        scales: [T; 2],
        grad_w: &mut [T],
        grad_v: &mut [T],
    ) -> T {
        assert_points(self.input_dim, w, v);
        assert_points(self.input_dim, grad_w, grad_v);
        let Some(pair) = Pair::new(w, v) else {
            return T::zero();
        };
        add_combination(grad_w, pair.gradient(scales[0]), w, v);
        add_combination(grad_v, pair.swapped().gradient(scales[1]), v, w);
        pair.value()
    }
}
