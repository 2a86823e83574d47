//! The certificate of a two-layer network with a 1-homogeneous activation.

use std::any::Any;

use nalgebra::DVector;

use super::dual::{DualRisk, maximise};
use super::linear_form::{LinearForm, SlopePair};
use super::maximum::{Maximum, maximum};
use super::{Bound, Certifiable, Certificate};
use crate::activation::{Activation, Homogeneous};
use crate::energy::{MeanFieldRisk, Potential, WeightDecay};
use crate::feature::{FeatureMap, Ridge, Workspace};
use crate::inputs::Inputs;
use crate::measure::EmpiricalMeasure;
use crate::numeric::error_bounds::{EPS, above};
use crate::numeric::vector::{columns, norm};
use crate::real::{Real, epsilon, real, to_f64};
use crate::risk::Risk;

/// A weight decay, possibly none: `V(w) = lambda |w|^2`.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::optimality::Decay;
///
/// assert_eq!((WeightDecay::new(0.5)?.strength(), ().strength()), (0.5, 0.0));
/// # Ok::<(), wasserflow::prelude::ParameterError>(())
/// ```
pub trait Decay {
    /// The strength `lambda >= 0`.
    fn strength(&self) -> f64;
}

impl Decay for () {
    fn strength(&self) -> f64 {
        0.0
    }
}

impl<T: Real> Decay for WeightDecay<T> {
    fn strength(&self) -> f64 {
        to_f64(self.lambda())
    }
}

/// What the certificate takes from the measure.
struct Network {
    /// Predictions `k x n`.
    h: Vec<f64>,
    /// `sum_i c_i |a_i| |b_i|`.
    mass: f64,
    /// `int |w|^2 dmu`.
    moment: f64,
    /// Particles, over all ranks.
    len: f64,
    /// The relative precision of all that.
    eps: f64,
}

impl<A, R, T, V> Certifiable<T> for MeanFieldRisk<Ridge<A>, R, T, V>
where
    T: Real,
    A: Activation<T> + Activation<f64> + Homogeneous,
    R: Risk<T> + DualRisk,
    V: Potential<T> + Decay,
{
    fn certificate(&mut self, mu: &EmpiricalMeasure<T>, budget: f64) -> Certificate<T> {
        let inputs: &dyn Any = self.risk().inputs();
        let x = match inputs.downcast_ref::<Inputs<f64>>() {
            Some(x) => Ok(x.clone()), // with their order round the circle
            None => Inputs::new(self.risk().inputs().points().map(to_f64)),
        };
        let nu = EmpiricalMeasure::weighted(
            mu.points().map(to_f64),
            DVector::from_iterator(mu.len(), mu.weights().iter().map(|&c| to_f64(c))),
        );
        let (Ok(x), Ok(nu)) = (x, nu) else {
            return Certificate::unknown();
        };
        let (d, k) = (x.dim(), self.features().output_dim());
        let network = self.network(&nu, &x);

        // F(mu), from above: every prediction may be wrong by what its rounding can do.
        let sigma = self.features().activation();
        let slopes = SlopePair {
            plus: sigma.value(1.0),
            minus: -Activation::<f64>::value(sigma, -1.0),
        };
        let rounding = 4.0 * (network.len + d as f64 + 16.0) * network.eps;
        let radius: Vec<f64> = columns(x.points().as_slice(), d)
            .map(|x| rounding * slopes.steepest() * network.mass * norm(x))
            .collect();
        let lambda = self.potential().strength();
        let decay = lambda * network.moment;
        let value = above(
            self.risk().upper(&network.h, &radius),
            decay * (1.0 + rounding),
        );

        // max |g|, and the direction of the new particle.
        let mut u = vec![0.0; network.h.len()];
        self.risk().slope(&network.h, &mut u);
        let homogeneous = sigma.degree() == 1;
        let particles = if self.is_distributed() {
            &[]
        } else {
            nu.points().as_slice()
        };
        let maximum = if homogeneous && u.iter().all(|u| u.is_finite()) {
            let form = LinearForm::new(x.points().as_slice(), &u, d, k, slopes);
            Some(maximum(&form, columns(particles, k + d).map(|w| &w[k..])))
        } else {
            None
        };

        // D = max_c -R*(c u) - budget (|c| max|g| - 2 lambda)_+
        let dual = |bound: f64| {
            let limit = 2.0 * lambda / bound * (1.0 - 4.0 * EPS);
            let limit = if limit.is_nan() { 0.0 } else { limit };
            let (limit, price) = if budget < f64::INFINITY {
                (LARGEST, budget)
            } else {
                (limit.min(LARGEST), 0.0)
            };
            let value = |c: f64| {
                let excess = (c.abs() * bound * (1.0 + 2.0 * EPS) - 2.0 * lambda).max(0.0);
                let fine = if price * excess > 0.0 {
                    price * excess * (1.0 + 4.0 * EPS)
                } else {
                    0.0
                };
                self.risk()
                    .conjugate(&u, c)
                    .map_or(f64::NEG_INFINITY, |s| -above(s, fine))
            };
            maximise(value, limit)
        };
        let Some(maximum) = maximum else {
            // The bound inf R <= F* holds for any activation.
            let gap = above(
                value,
                -self
                    .risk()
                    .conjugate(&u, 0.0)
                    .map_or(f64::NEG_INFINITY, |s| -s),
            );
            return Certificate::new(value, gap, gap, None, 2.0 * lambda, Bound::Estimate, None);
        };
        let gap = above(value, -dual(maximum.upper));
        let estimate = match maximum.bound {
            Bound::Certified => gap,
            Bound::Estimate => above(value, -dual(maximum.value)),
        };
        let escape = (maximum.lower > 2.0 * lambda).then(|| particle(&maximum));
        Certificate::new(
            value,
            gap,
            estimate,
            Some(maximum.value),
            2.0 * lambda,
            maximum.bound,
            escape,
        )
    }
}

/// No multiple of the slopes beyond this one is tried.
const LARGEST: f64 = 1024.0;

/// The balanced particle `(-g / |g|, b)`, at which `F'(mu)(w) = 2 lambda - |g(b)|` is lowest among those of `|w|^2 = 2`.
fn particle(maximum: &Maximum) -> Vec<f64> {
    let length = norm(&maximum.g);
    maximum
        .g
        .iter()
        .map(|g| -g / length)
        .chain(maximum.at.iter().copied())
        .collect()
}

impl<A, R, T, V> MeanFieldRisk<Ridge<A>, R, T, V>
where
    T: Real,
    A: Activation<T> + Activation<f64>,
    R: Risk<T>,
{
    /// Predictions and moments in double precision, summed over ranks in the precision of T.
    fn network(&mut self, nu: &EmpiricalMeasure<f64>, x: &Inputs<f64>) -> Network {
        let k = self.features().output_dim();
        let mut h = vec![0.0; k * x.len()];
        FeatureMap::<f64>::predict(self.features(), nu, x, &mut h, &mut Workspace::default());
        let (mut mass, mut moment) = (0.0, 0.0);
        for i in 0..nu.len() {
            let (a, b) = nu.particle(i).split_at(k);
            let (a, b) = (norm(a), norm(b));
            mass += nu.weight(i) * a * b;
            moment += nu.weight(i) * (a * a + b * b);
        }
        let mut network = Network {
            h,
            mass,
            moment,
            len: nu.len() as f64,
            eps: EPS,
        };
        if self.is_distributed() {
            let scalars = [network.mass, network.moment, network.len];
            let mut all: Vec<T> = network.h.iter().chain(&scalars).map(|&x| real(x)).collect();
            self.sum_over_ranks(&mut all);
            let all: Vec<f64> = all.into_iter().map(to_f64).collect();
            let (h, scalars) = all.split_at(network.h.len());
            network.h.copy_from_slice(h);
            [network.mass, network.moment, network.len] = [scalars[0], scalars[1], scalars[2]];
            network.eps = EPS.max(to_f64(epsilon::<T>()));
        }
        network
    }
}
