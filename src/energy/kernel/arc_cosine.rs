//! The kernel of rectifier neurons on Gaussian inputs.

use super::Kernel;
use crate::real::{Real, real};

/// Arc-cosine kernel `K(w, v) = E[(w.x)_+ (v.x)_+]`, `x ~ N(0, I_d)`.
///
/// `K(w, v) = |w| |v| (sin t + (pi - t) cos t) / (2 pi)`, t the angle between w and v; for x uniform on the unit sphere
/// divide by d. With [`Mmd`](crate::energy::Mmd) it gives the population risk of rectifier neurons whose output weights are 1, without
/// sampling; [`WithOutputWeight`](crate::energy::WithOutputWeight) adds the output weights. `grad_w K = (|v| sin t w/|w| + (pi - t) v) / (2 pi)`, and 0 at `w = 0`.
///
/// ```
/// use wasserflow::prelude::*;
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

/// Two neurons at an angle t: `s = w.v`, `area = |w| |v| sin t`, `rest = pi - t`.
#[derive(Debug, Clone, Copy)]
struct Pair<T> {
    ww: T,
    vv: T,
    s: T,
    area: T,
    rest: T,
}

impl<T: Real> Pair<T> {
    /// `None` where one of them is 0.
    #[inline]
    fn new(w: &[T], v: &[T]) -> Option<Self> {
        let [ww, vv, s] = products(w, v);
        if ww == T::zero() || vv == T::zero() {
            return None;
        }
        let norms = ww.sqrt() * vv.sqrt();
        if s.abs() < norms * real(0.9) {
            let area = (norms - s).sqrt() * (norms + s).sqrt();
            return Some(Self {
                ww,
                vv,
                s,
                area,
                rest: area.atan2(-s),
            });
        }
        // Near 0 and pi the differences cancel: `tan(t/2) = |w/p - v/q| / |w/p + v/q|`, p = |w|, q = |v|.
        let [minus, plus] = unit_distances(w, v, ww.sqrt(), vv.sqrt());
        let small = real::<T>(2.0) * minus.min(plus).atan2(minus.max(plus));
        let (sin, cos) = small.sin_cos();
        let (cos, rest) = if plus < minus {
            (-cos, small)
        } else {
            (cos, T::pi() - small)
        };
        Some(Self {
            ww,
            vv,
            s: norms * cos,
            area: norms * sin,
            rest,
        })
    }

    /// `K(w, v) = (|w| |v| sin t + (pi - t) w.v) / (2 pi)`.
    #[inline]
    fn value(&self) -> T {
        let sum = if self.rest < real(0.5) {
            self.opposite()
        } else {
            self.area + self.rest * self.s
        };
        sum / T::two_pi()
    }

    /// `|w| |v| (sin r - r cos r)`, `r = pi - t`, where these cancel: `2 k (-1)^(k+1) r^(2k+1) / (2k+1)!` over k.
    fn opposite(&self) -> T {
        let r = self.rest;
        let (mut factorial, mut sum) = (1.0, T::zero());
        let terms: [f64; 8] = std::array::from_fn(|k| {
            let k = (k + 1) as f64;
            factorial *= -2.0 * k * (2.0 * k + 1.0);
            -2.0 * k / factorial
        });
        for term in terms.into_iter().rev() {
            sum = sum * r * r + real(term);
        }
        self.ww.sqrt() * self.vv.sqrt() * sum * r * r * r
    }

    /// The factors of `w` and `v` in `scale grad_w K = scale (|w| |v| sin t w/|w|^2 + (pi - t) v) / (2 pi)`.
    #[inline]
    fn gradient(&self, scale: T) -> [T; 2] {
        let scale = scale / T::two_pi();
        [scale * self.area / self.ww, scale * self.rest]
    }

    /// The same with the roles of `w` and `v` swapped.
    #[inline]
    fn swapped(self) -> Self {
        Self {
            ww: self.vv,
            vv: self.ww,
            ..self
        }
    }
}

/// `(w.w, v.v, w.v)`, each in four sums in turn, so that lanes can share them.
#[inline]
fn products<T: Real>(w: &[T], v: &[T]) -> [T; 3] {
    const LANES: usize = 4;
    let mut sums = [[T::zero(); LANES]; 3];
    let ((w, w_rest), (v, v_rest)) = (w.as_chunks::<LANES>(), v.as_chunks::<LANES>());
    for (w, v) in w.iter().zip(v) {
        for l in 0..LANES {
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
fn add<T: Real>(out: &mut [T], [a, b]: [T; 2], w: &[T], v: &[T]) {
    for ((out, &w), &v) in out.iter_mut().zip(w).zip(v) {
        *out += a * w + b * v;
    }
}

impl<T: Real> Kernel<T> for ArcCosine {
    fn dim(&self) -> usize {
        self.input_dim
    }

    fn value(&self, w: &[T], v: &[T]) -> T {
        Pair::new(w, v).map_or(T::zero(), |pair| pair.value())
    }

    fn gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) {
        self.value_and_gradient(w, v, scale, out);
    }

    fn value_and_gradient(&self, w: &[T], v: &[T], scale: T, out: &mut [T]) -> T {
        let Some(pair) = Pair::new(w, v) else {
            return T::zero();
        };
        add(out, pair.gradient(scale), w, v);
        pair.value()
    }

    fn value_and_gradients(
        &self,
        w: &[T],
        v: &[T],
        scales: [T; 2],
        at_w: &mut [T],
        at_v: &mut [T],
    ) -> T {
        let Some(pair) = Pair::new(w, v) else {
            return T::zero();
        };
        add(at_w, pair.gradient(scales[0]), w, v);
        add(at_v, pair.swapped().gradient(scales[1]), v, w);
        pair.value()
    }
}
