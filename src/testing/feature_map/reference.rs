//! The sums that the batch methods of a feature map compute, in `f64` from `add_value` and
//! `add_vjp`.

use super::batch::Batch;
use crate::feature::FeatureMap;
use crate::inputs::Inputs;
use crate::numeric::vector::columns;
use crate::real::{Real, epsilon, real, to_f64};
use crate::testing::rounding::{Computed, max_abs};

/// The sums over particles.
pub(super) struct ParticleSums {
    /// `h_jl = sum_i c_i Phi_l(w_i)(x_j)`.
    pub h: Vec<Computed>,
    /// `u_jl = sum_i c_i DPhi_l(w_i)(x_j) v_i`.
    pub u: Vec<Computed>,
}

impl ParticleSums {
    pub fn new<T: Real>(phi: &dyn FeatureMap<T>, batch: &Batch<T>) -> Self {
        let k = phi.output_dim();
        let mut h = vec![Computed::default(); batch.kn()];
        let mut u = h.clone();
        for (i, v) in columns(batch.v.as_slice(), phi.particle_dim()).enumerate() {
            let (w, c) = (batch.mu.particle(i), to_f64(batch.mu.weight(i)));
            let norm: f64 = v.iter().map(|&v| to_f64(v).abs()).sum();
            for j in 0..batch.x.len() {
                for_each_output(phi, w, batch.x.point(j), |l, value, gradient| {
                    h[j * k + l].add(c * value, c * (value.abs() + magnitude(gradient, w)));
                    let products = gradient.iter().zip(v).map(|(&g, &v)| to_f64(g) * to_f64(v));
                    // A coordinate of a gradient may cancel: all share the scale of the largest.
                    let largest = max_abs(gradient.iter().map(|&g| to_f64(g)));
                    u[j * k + l].add(c * products.sum::<f64>(), c * largest * norm);
                });
            }
        }
        Self { h, u }
    }
}

/// The sums over samples for one particle: the linear form of g.
pub(super) struct SampleSums {
    /// `sum_j <g_j, Phi(w)(x_j)>`.
    pub value: Computed,
    /// `-sum_j DPhi(w)(x_j)^T g_j`.
    pub descent: Vec<Computed>,
}

impl SampleSums {
    /// The sums at `w`; their scales include the change if `w` moves by a few epsilon.
    ///
    /// A preactivation `b.x` may cancel, and its rounding error is then larger than epsilon times
    /// its value. Moving the coordinates of `w` up and down in four patterns measures the effect.
    pub fn new<T: Real>(phi: &dyn FeatureMap<T>, w: &[T], x: &Inputs<T>, g: &[T]) -> Self {
        /// The relative displacement of a coordinate, in units of epsilon.
        const STEP: f64 = 8.0;
        let mut sums = Self::at(phi, w, x, g);
        for pattern in 0..4_usize {
            let moved = |(c, &w): (usize, &T)| {
                let up = (c >> (pattern / 2)) % 2 == pattern % 2;
                w + w * real::<T>(if up { STEP } else { -STEP }) * epsilon::<T>()
            };
            let w: Vec<T> = w.iter().enumerate().map(moved).collect();
            let nearby = Self::at(phi, &w, x, g);
            let widen = |sum: &mut Computed, nearby: &Computed| {
                sum.scale += (nearby.value - sum.value).abs() / (STEP * to_f64(epsilon::<T>()));
            };
            widen(&mut sums.value, &nearby.value);
            for (sum, nearby) in sums.descent.iter_mut().zip(&nearby.descent) {
                widen(sum, nearby);
            }
        }
        sums
    }

    fn at<T: Real>(phi: &dyn FeatureMap<T>, w: &[T], x: &Inputs<T>, g: &[T]) -> Self {
        let k = phi.output_dim();
        let mut value = Computed::default();
        let mut descent = vec![Computed::default(); w.len()];
        for j in 0..x.len() {
            for_each_output(phi, w, x.point(j), |l, phi, gradient| {
                let g = to_f64(g[j * k + l]);
                value.add(g * phi, g.abs() * (phi.abs() + magnitude(gradient, w)));
                for (descent, &r) in descent.iter_mut().zip(gradient) {
                    descent.add(-g * to_f64(r), (g * to_f64(r)).abs());
                }
            });
        }
        // If sigma' is nearly 0, its rounding error is that of sigma: the coordinates of a particle
        // share the largest scale.
        let scale = max_abs(descent.iter().map(|d| d.scale));
        descent.iter_mut().for_each(|d| d.scale = scale);
        Self { value, descent }
    }
}

/// Calls `visit(l, Phi_l(w)(x), grad_w Phi_l(w)(x))` for every output l.
fn for_each_output<T: Real>(
    phi: &dyn FeatureMap<T>,
    w: &[T],
    x: &[T],
    mut visit: impl FnMut(usize, f64, &[T]),
) {
    let (p, k) = (phi.particle_dim(), phi.output_dim());
    let (mut value, mut e) = (vec![T::zero(); k], vec![T::zero(); k]);
    let mut gradient = vec![T::zero(); p];
    phi.add_value(w, x, T::one(), &mut value);
    for l in 0..k {
        gradient.fill(T::zero());
        e[l] = T::one();
        phi.add_vjp(w, x, &e, &mut gradient);
        e[l] = T::zero();
        visit(l, to_f64(value[l]), &gradient);
    }
}

/// `sum_c |a_c b_c|`.
fn magnitude<T: Real>(a: &[T], b: &[T]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| (to_f64(a) * to_f64(b)).abs())
        .sum()
}
