//! The certificate of a population risk: rectifier neurons on Gaussian inputs, in closed form.

use super::bound::Bound;
use super::certificate::{Certifiable, Certificate, check_dimension};
use super::maximum::multistart::{StartingPoints, multistart_ascent};
use super::search::Search;
use crate::energy::{ArcCosine, Kernel, Mmd, WithOutputWeight};
use crate::measure::EmpiricalMeasure;
use crate::numeric::error_bounds::{CompensatedSum, EPS, TINY, add_up, mul_up, sub_down};
use crate::numeric::vector::{columns, norm};
use crate::ranks::AllReduce;
use crate::real::{Real, to_f64};

/// Starting points of the search, of each kind.
const CANDIDATES: usize = 64;

/// The difference `mu - nu` of two networks as one network of signed weights,
/// `sum_i s_i (b_i.x)_+`.
#[derive(Debug, Default)]
struct SignedNetwork {
    /// `s_i`.
    weights: Vec<f64>,
    /// `b_i`, column by column.
    points: Vec<f64>,
}

impl SignedNetwork {
    /// `mu - nu`, for particles `(a, b)` with `outputs` = 1, or `b` with `outputs` = 0 and a = 1.
    fn difference<T: Real>(
        mu: &EmpiricalMeasure<T>,
        nu: &EmpiricalMeasure<T>,
        outputs: usize,
    ) -> Self {
        let mut network = Self::default();
        for (measure, sign) in [(mu, 1.0), (nu, -1.0)] {
            for i in 0..measure.len() {
                let (a, b) = measure.particle(i).split_at(outputs);
                let c = sign * to_f64(measure.weight(i));
                network
                    .weights
                    .push(a.iter().fold(c, |c, &a| c * to_f64(a)));
                network.points.extend(b.iter().map(|&b| to_f64(b)));
            }
        }
        network
    }

    fn neurons<'a>(&'a self, kernel: &ArcCosine) -> impl Iterator<Item = (f64, &'a [f64])> {
        let weights = self.weights.iter().copied();
        weights.zip(columns(&self.points, kernel.dim()))
    }

    /// The witness function `E[(b.x)_+ sum_i s_i (b_i.x)_+]`, which is the first variation.
    fn witness(&self, kernel: &ArcCosine, b: &[f64]) -> f64 {
        let mut sum = CompensatedSum::default();
        for (s, c) in self.neurons(kernel) {
            sum.add(s * kernel.value(b, c));
        }
        sum.value()
    }
}

/// The certificate at `difference = mu - nu`. `signed` permits new neurons of either sign.
///
/// As `F >= 0`, F itself bounds the gap. The first variation on the sphere is smooth, and its
/// extremum has no closed form: it is searched, and bounded by the Cauchy-Schwarz inequality.
fn population<T: Real>(
    kernel: &ArcCosine,
    difference: &SignedNetwork,
    signed: bool,
) -> Certificate<T> {
    let d = kernel.dim();
    let neurons = difference.neurons(kernel);
    let size: f64 = neurons.map(|(s, b)| s.abs() * norm(b)).sum();
    if !size.is_finite() {
        return Certificate::unknown().convert();
    }
    // A kernel value is within (d + 64) EPS of |w| |v|, a bound with a reserve. So is a witness of
    // size |b|. What underflows is below TINY times the other factors.
    let rounding = (d as f64 + 64.0) * EPS;
    let (mut square, mut weights, mut lost) = (CompensatedSum::default(), 1.0, 0.0);
    for (s, b) in difference.neurons(kernel) {
        square.add(s * difference.witness(kernel, b));
        weights += s.abs();
        lost += mul_up(4.0 * TINY, norm(b).max(1.0));
    }
    let square = square.value();
    if !square.is_finite() {
        return Certificate::unknown().convert();
    }
    let underflow = mul_up(mul_up(4.0 * TINY, weights), weights);
    let size = add_up(size * (1.0 + rounding), lost);
    let error = add_up(mul_up(mul_up(rounding, size), size), mul_up(size, lost));
    let value = add_up(0.5 * square.max(0.0), add_up(error, underflow));

    let starts = StartingPoints::random(d, CANDIDATES)
        .with_directions(difference.neurons(kernel).map(|(_, b)| b), CANDIDATES);
    let b = multistart_ascent(&starts, |b, gradient| {
        let r = difference.witness(kernel, b);
        let sign = if signed && r > 0.0 { 1.0 } else { -1.0 };
        gradient.fill(0.0);
        for (s, c) in difference.neurons(kernel) {
            kernel.gradient(b, c, sign * s, gradient);
        }
        sign * r
    });
    let r = difference.witness(kernel, &b);
    let maximum = if signed { r.abs() } else { -r };
    // A lower bound of the descent.
    let lower = sub_down(maximum, mul_up(rounding, size)).max(0.0);
    let escape = (lower > 0.0).then(|| {
        let a = signed.then_some(-r.signum());
        a.into_iter().chain(b).collect()
    });
    Certificate {
        energy: value,
        gap: value,
        optimistic: value,
        // The witness is at most |(b.x)_+| |h_mu - h_nu| = (1/2)^(1/2) (2 F)^(1/2) for |b| = 1, in
        // the norm of L^2.
        maximum: Some((lower, value.sqrt().next_up())),
        threshold: 0.0,
        bound: Some(Bound::Relaxed),
        escape,
        ..Certificate::unknown()
    }
    .convert()
}

/// Neurons `(w.x)_+` of output weight 1. Only `F* >= 0` is proved, among non-negative measures.
impl<T: Real, R: AllReduce<T>> Certifiable<T> for Mmd<ArcCosine, T, R> {
    fn certificate(&mut self, mu: &EmpiricalMeasure<T>, _: &mut Search) -> Certificate<T> {
        check_dimension(self, mu);
        let mu = &*self.whole(mu);
        if mu.check().is_err() {
            return Certificate::unknown().convert();
        }
        let difference = SignedNetwork::difference(mu, self.target(), 0);
        population(self.kernel(), &difference, false)
    }
}

/// Neurons `a (b.x)_+`. Only `F* >= 0` is proved.
impl<T: Real, R: AllReduce<T>> Certifiable<T> for Mmd<WithOutputWeight<ArcCosine>, T, R> {
    fn certificate(&mut self, mu: &EmpiricalMeasure<T>, _: &mut Search) -> Certificate<T> {
        check_dimension(self, mu);
        let mu = &*self.whole(mu);
        if mu.check().is_err() {
            return Certificate::unknown().convert();
        }
        let difference = SignedNetwork::difference(mu, self.target(), 1);
        population(&self.kernel().0, &difference, true)
    }
}
