//! The certificate of a population risk: rectifier neurons on Gaussian inputs, in closed form.

use super::maximum::multistart::{Starts, climb};
use super::{Bound, Certifiable, Certificate};
use crate::energy::{ArcCosine, Kernel, Mmd, WithOutputWeight};
use crate::measure::EmpiricalMeasure;
use crate::numeric::error_bounds::{BoundedSum, EPS, above};
use crate::numeric::vector::columns;
use crate::numeric::vector::norm;
use crate::real::{Real, to_f64};

/// The difference `mu - nu` of two networks as signed neurons: `sum_i s_i (b_i.x)_+`.
#[derive(Debug, Default)]
struct Difference {
    weights: Vec<f64>,
    points: Vec<f64>,
}

impl Difference {
    /// Adds `sign sum_i c_i a_i (b_i.x)_+`, where a particle is `(a, b)` with `outer` = 1, or `b` alone, with a = 1.
    fn add<T: Real>(&mut self, mu: &EmpiricalMeasure<T>, sign: f64, outer: usize) {
        for i in 0..mu.len() {
            let (a, b) = mu.particle(i).split_at(outer);
            self.weights.push(
                a.iter()
                    .fold(sign * to_f64(mu.weight(i)), |c, &a| c * to_f64(a)),
            );
            self.points.extend(b.iter().map(|&b| to_f64(b)));
        }
    }

    fn neurons<'a>(&'a self, kernel: &ArcCosine) -> impl Iterator<Item = (f64, &'a [f64])> {
        self.weights
            .iter()
            .copied()
            .zip(columns(&self.points, kernel.dim()))
    }

    /// `E[(b.x)_+ sum_i s_i (b_i.x)_+]`.
    fn witness(&self, kernel: &ArcCosine, b: &[f64]) -> BoundedSum {
        let mut sum = BoundedSum::default();
        for (s, c) in self.neurons(kernel) {
            sum.add(s * kernel.value(b, c));
        }
        sum
    }
}

/// The certificate at `difference = mu - nu`; `signed`: whether an output weight of either sign may be added.
///
/// `F >= 0`, so F itself bounds the gap. The first variation on the sphere is smooth but not finite-dimensional: its extremum
/// is searched, and what follows from it is an estimate.
fn population<T: Real>(
    kernel: &ArcCosine,
    difference: &Difference,
    signed: bool,
) -> Certificate<T> {
    let d = kernel.dim();
    let size: f64 = difference
        .neurons(kernel)
        .map(|(s, b)| s.abs() * norm(b))
        .sum();
    if !size.is_finite() {
        return Certificate::unknown();
    }
    // A kernel value is within a few EPS of |w| |v|; so is a witness of sum_i |s_i| |b_i|.
    let rounding = (d as f64 + 64.0) * EPS;
    let mut product = BoundedSum::default();
    for (s, b) in difference.neurons(kernel) {
        product.add(s * difference.witness(kernel, b).value());
    }
    let value = above(0.5 * product.value().max(0.0), rounding * size * size);

    let slope = |b: &[f64]| difference.witness(kernel, b).value();
    let starts = Starts::random(d).and(difference.neurons(kernel).map(|(_, b)| b));
    let at = climb(&starts, |b, gradient| {
        let r = slope(b);
        let sign = if signed && r > 0.0 { 1.0 } else { -1.0 };
        gradient.fill(0.0);
        for (s, c) in difference.neurons(kernel) {
            kernel.gradient(b, c, sign * s, gradient);
        }
        sign * r
    });
    let r = slope(&at);
    let maximum = if signed { r.abs() } else { -r };
    let escape = (maximum > rounding * size).then(|| {
        let outer = signed.then_some(-r.signum());
        outer.into_iter().chain(at.iter().copied()).collect()
    });
    Certificate::new(
        value,
        value,
        value,
        Some(maximum),
        0.0,
        Bound::Estimate,
        escape,
    )
}

/// Neurons `(w.x)_+` of output weight 1: what is certified is `F* >= 0` alone, against non-negative measures.
impl<T: Real> Certifiable<T> for Mmd<ArcCosine, T> {
    fn certificate(&mut self, mu: &EmpiricalMeasure<T>, _budget: f64) -> Certificate<T> {
        let mut difference = Difference::default();
        difference.add(mu, 1.0, 0);
        difference.add(self.target(), -1.0, 0);
        population(self.kernel(), &difference, false)
    }
}

/// Neurons `a (b.x)_+`: what is certified is `F* >= 0` alone.
impl<T: Real> Certifiable<T> for Mmd<WithOutputWeight<ArcCosine>, T> {
    fn certificate(&mut self, mu: &EmpiricalMeasure<T>, _budget: f64) -> Certificate<T> {
        let mut difference = Difference::default();
        difference.add(mu, 1.0, 1);
        difference.add(self.target(), -1.0, 1);
        population(&self.kernel().0, &difference, true)
    }
}
