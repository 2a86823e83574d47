//! A custom kernel: that of sigmoid neurons on Gaussian inputs.

use std::f64::consts::TAU;

use wasserflow::prelude::*;

/// The kernel `K(w, v) = E[sigma(w.x) sigma(v.x)]` for `x ~ N(0, I_d)` and the sigmoid
/// `sigma(u) = P(N(0, 1) <= u)`.
///
/// `K(w, v) = 1/4 + arcsin(c) / (2 pi)` with `c = w.v / ((1 + |w|^2) (1 + |v|^2))^(1/2)`: the
/// probability that two Gaussian variables of correlation c are both negative.
///
/// Source: C. Williams, Computing with infinite networks, 1996.
#[derive(Debug, Clone, Copy)]
pub struct ArcSine(pub usize);

/// `w.v`, with four partial sums, so that the compiler can vectorise the loop.
fn dot(w: &[f64], v: &[f64]) -> f64 {
    let ((w, w_rest), (v, v_rest)) = (w.as_chunks::<4>(), v.as_chunks::<4>());
    let mut sums = [0.0; 4];
    for (w, v) in w.iter().zip(v) {
        (0..4).for_each(|l| sums[l] += w[l] * v[l]);
    }
    let rest = w_rest.iter().zip(v_rest).map(|(w, v)| w * v).sum::<f64>();
    rest + sums.iter().sum::<f64>()
}

impl Kernel<f64> for ArcSine {
    fn dim(&self) -> usize {
        self.0
    }

    fn value(&self, w: &[f64], v: &[f64]) -> f64 {
        0.25 + (dot(w, v) / ((1.0 + dot(w, w)) * (1.0 + dot(v, v))).sqrt()).asin() / TAU
    }

    /// `grad_w K = (v - (w.v) w / (1 + |w|^2)) / (2 pi ((1 + |w|^2) (1 + |v|^2) - (w.v)^2)^(1/2))`.
    fn gradient(&self, w: &[f64], v: &[f64], scale: f64, out: &mut [f64]) {
        self.value_and_gradient(w, v, scale, out);
    }

    fn value_and_gradient(&self, w: &[f64], v: &[f64], scale: f64, out: &mut [f64]) -> f64 {
        let (s, ww, vv) = (dot(w, v), 1.0 + dot(w, w), 1.0 + dot(v, v));
        let factor = scale / (TAU * (ww * vv - s * s).sqrt());
        for ((out, w), v) in out.iter_mut().zip(w).zip(v) {
            *out += factor * (v - s / ww * w);
        }
        0.25 + (s / (ww * vv).sqrt()).asin() / TAU
    }
}
