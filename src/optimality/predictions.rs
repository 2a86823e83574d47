//! Predictions and moments of a network with bounds on their rounding errors, over all ranks.

use super::certificate::round_up;
use crate::activation::{Activation, Homogeneous};
use crate::energy::{MeanFieldRisk, Potential};
use crate::feature::{FeatureMap, Ridge, Workspace};
use crate::inputs::Inputs;
use crate::measure::EmpiricalMeasure;
use crate::numeric::error_bounds::{EPS, TINY, add_up, mul_up};
use crate::numeric::vector::{columns, dot, norm};
use crate::real::{Real, epsilon, real, to_f64};
use crate::risk::Risk;

/// The predictions `h_mu(x_j)` in double precision, and the second moment.
pub(super) struct Predictions {
    /// `k x n`.
    pub(super) h: Vec<f64>,
    /// Bounds of the rounding errors of h, one a sample.
    pub(super) radius: Vec<f64>,
    /// The sum of the absolute values of the terms of h, up to rounding, one a sample.
    pub(super) magnitude: Vec<f64>,
    /// An upper bound of `int |w|^2 dmu`.
    pub(super) second_moment: f64,
}

/// Sums over the particles of one rank, then of all.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    /// The number of particles.
    len: f64,
    /// `sum_i c_i |a_i| |b_i|^r`.
    path_norm: f64,
    /// `sum_i max(1, c_i) max(1, |a_i|) max(1, |b_i|)^r`.
    underflow: f64,
    /// `int |w|^2 dmu`.
    second_moment: f64,
}

/// The roundings of one term `c a sigma(b.x)` that can underflow, apart from the r d of `b.x` that
/// the slope of sigma amplifies: 64 in a power by repeated squaring, the rest in products.
const UNDERFLOWS: f64 = 72.0;

/// The smallest positive number of single precision.
const TINY_F32: f64 = f32::from_bits(1) as f64;

impl<A, R, T, V> MeanFieldRisk<Ridge<A>, R, T, V>
where
    T: Real,
    A: Activation<T> + Activation<f64> + Homogeneous,
    R: Risk<T>,
    V: Potential<T>,
{
    /// Predictions and moments of `nu`, summed over ranks in the precision of T.
    ///
    /// The error of a term `c a sigma(b.x)` of degree r is at most `(r (d + 1) + 4) EPS / 2` times
    /// `c |a| |b|^r |x|^r L`, where L bounds sigma on the unit sphere, and that of a sum of m terms
    /// `m EPS / 2` times the sum of these. As much again is a reserve for sums over at most m ranks,
    /// and `d + k + 16` one for norms and second-order terms. Results that underflow add `2^-1074`
    /// times the other factors. A sigma of degree 0 has a jump: terms whose sign is not determined
    /// may be wrong altogether.
    pub(super) fn bounded_predictions(
        &mut self,
        nu: &EmpiricalMeasure<f64>,
        x: &Inputs<f64>,
    ) -> Predictions {
        let (k, d) = (self.features().output_dim(), x.dim());
        let sigma = self.features().activation();
        let degree = f64::from(sigma.degree());
        let values = [1.0, 0.0, -1.0].map(|z| Activation::<f64>::value(sigma, z).abs());
        let bound = values.into_iter().fold(0.0, f64::max);

        let mut sums = Sums::default();
        for i in 0..nu.len() {
            let (w, c) = (nu.particle(i), nu.weight(i));
            let (a, b) = w.split_at(k);
            let (a, b) = (norm(a), norm(b));
            sums.len += 1.0;
            sums.path_norm += mul_up(mul_up(c, a), power(b, degree));
            sums.underflow += c.max(1.0) * a.max(1.0) * power(b.max(1.0), degree);
            let length = (norm(w) * (1.0 + (k + d + 4) as f64 * EPS)).next_up();
            sums.second_moment += mul_up(mul_up(c, length), length);
        }
        let mut h = vec![0.0; k * x.len()];
        FeatureMap::<f64>::predict(self.features(), nu, x, &mut h, &mut Workspace::default());
        let mut undetermined = if degree == 0.0 {
            undetermined_terms(nu, x, k)
        } else {
            Vec::new()
        };
        let (mut eps, mut tiny) = (EPS, 0.0);
        if self.is_distributed() {
            self.sum_in_t(&mut sums, &mut h, &mut undetermined);
            if to_f64(epsilon::<T>()) > EPS {
                (eps, tiny) = (to_f64(epsilon::<T>()), sums.len * TINY_F32);
            }
        }

        let rounding = (sums.len + degree * (d + 2) as f64 + (d + k + 16) as f64) * eps;
        let lost = (degree * d as f64 + UNDERFLOWS) * TINY;
        let lost = mul_up(mul_up(lost, bound.max(1.0)), sums.underflow);
        let lengths: Vec<f64> = columns(x.points().as_slice(), d).map(norm).collect();
        let magnitude = |&x: &f64| mul_up(mul_up(sums.path_norm, power(x, degree)), bound);
        let magnitude: Vec<f64> = lengths.iter().map(magnitude).collect();
        let radius = |(j, x): (usize, &f64)| {
            let underflow = add_up(mul_up(lost, power(x.max(1.0), degree)), tiny);
            let jumps = undetermined.get(j).map_or(0.0, |&c| mul_up(2.0 * bound, c));
            add_up(add_up(mul_up(rounding, magnitude[j]), underflow), jumps)
        };
        Predictions {
            radius: lengths.iter().enumerate().map(radius).collect(),
            h,
            magnitude,
            second_moment: mul_up(sums.second_moment, 1.0 + rounding),
        }
    }

    /// Sums over all ranks in the precision of T; the bounds are rounded up to T before.
    fn sum_in_t(&mut self, sums: &mut Sums, h: &mut [f64], undetermined: &mut [f64]) {
        let scalars = [sums.path_norm, sums.underflow, sums.second_moment];
        let bounds = scalars.iter().chain(&*undetermined).map(|&x| round_up(x));
        let mut all: Vec<T> = h.iter().map(|&x| real(x)).chain(bounds).collect();
        all.push(real(sums.len));
        self.sum_over_ranks(&mut all);
        let mut all = all.into_iter().map(to_f64);
        let mut next = || all.next().unwrap_or(f64::NAN);
        h.iter_mut().for_each(|h| *h = next());
        [sums.path_norm, sums.underflow, sums.second_moment] = [next(), next(), next()];
        undetermined.iter_mut().for_each(|x| *x = next());
        sums.len = next();
    }
}

/// `x^degree`, without the cost of a power for the usual degree 1.
fn power(x: f64, degree: f64) -> f64 {
    if degree == 1.0 { x } else { x.powf(degree) }
}

/// For every sample, `sum_i c_i |a_i|` over the particles for which rounding may change the sign of
/// `b_i.x_j`.
fn undetermined_terms(nu: &EmpiricalMeasure<f64>, x: &Inputs<f64>, k: usize) -> Vec<f64> {
    let d = x.dim();
    let terms = |x: &[f64]| {
        let mut sum = 0.0;
        for i in 0..nu.len() {
            let (a, b) = nu.particle(i).split_at(k);
            let error = (d + 2) as f64 * EPS * norm(b) * norm(x) + d as f64 * TINY;
            let z = dot(b, x).abs();
            if z.is_nan() || z <= error {
                sum += mul_up(nu.weight(i), norm(a));
            }
        }
        sum * (1.0 + (nu.len() + k + 4) as f64 * EPS)
    };
    columns(x.points().as_slice(), d).map(terms).collect()
}
