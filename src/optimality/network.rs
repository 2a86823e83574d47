//! The certificate of a two-layer network with a 1-homogeneous activation.

use std::any::Any;

use nalgebra::DVector;

use super::certificate::{Bound, Certifiable, Certificate};
use super::dual::{DualRisk, maximise};
use super::maximum::{Maximum, maximum};
use super::piecewise_linear::{OneSidedSlopes, PiecewiseLinearMap};
use crate::activation::{Activation, Homogeneous};
use crate::energy::{MeanFieldRisk, Potential, WeightDecay};
use crate::feature::{FeatureMap, Ridge, Workspace};
use crate::inputs::Inputs;
use crate::measure::EmpiricalMeasure;
use crate::numeric::error_bounds::{EPS, add_rounded_up};
use crate::numeric::vector::{columns, norm};
use crate::real::{Real, epsilon, real, to_f64};
use crate::risk::Risk;

/// A weight decay `V(w) = lambda |w|^2`, possibly zero.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::optimality::Decay;
///
/// assert_eq!((WeightDecay::new(0.5)?.strength(), ().strength()), (0.5, 0.0));
/// # Ok::<(), wasserflow::prelude::ParameterError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a weight decay",
    note = "certificates require `WeightDecay` or no potential"
)]
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

/// The largest multiple `|c|` of the gradient of the risk in the search for a dual point.
///
/// It makes the search interval finite if `max |g|` or `lambda` do not bound c. Any limit leaves
/// the bound valid.
const MAX_MULTIPLE: f64 = 1024.0;

/// Predictions and moments of the measure, over all ranks.
struct NetworkSums {
    /// Predictions `k x n`.
    h: Vec<f64>,
    /// The path norm `sum_i c_i |a_i| |b_i|`.
    path_norm: f64,
    /// The second moment `int |w|^2 dmu`.
    second_moment: f64,
    /// The number of particles.
    len: f64,
    /// The relative rounding unit of these numbers.
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
        self.certificate_at(mu, None, budget)
    }

    fn combined_certificate(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        subgradient: &[(T, EmpiricalMeasure<T>)],
    ) -> Option<Certificate<T>> {
        let mut u = vec![0.0; self.risk().inputs().len() * self.features().output_dim()];
        for (s, nu) in subgradient {
            let (x, nu) = self.in_double_precision(nu)?;
            let h = self.network_sums(&nu, &x).h;
            let mut slope = vec![0.0; h.len()];
            self.risk().slope(&h, &mut slope);
            u.iter_mut()
                .zip(&slope)
                .for_each(|(u, slope)| *u += to_f64(*s) * slope);
        }
        Some(self.certificate_at(mu, Some(u), f64::INFINITY))
    }
}

impl<A, R, T, V> MeanFieldRisk<Ridge<A>, R, T, V>
where
    T: Real,
    A: Activation<T> + Activation<f64> + Homogeneous,
    R: Risk<T> + DualRisk,
    V: Potential<T> + Decay,
{
    /// The inputs and the measure in double precision; `None` if they are not finite.
    fn in_double_precision(
        &self,
        mu: &EmpiricalMeasure<T>,
    ) -> Option<(Inputs<f64>, EmpiricalMeasure<f64>)> {
        let inputs: &dyn Any = self.risk().inputs();
        let x = match inputs.downcast_ref::<Inputs<f64>>() {
            Some(x) => Ok(x.clone()), // with the angular order computed before
            None => Inputs::new(self.risk().inputs().points().map(to_f64)),
        };
        let nu = EmpiricalMeasure::weighted(
            mu.points().map(to_f64),
            DVector::from_iterator(mu.len(), mu.weights().iter().map(|&c| to_f64(c))),
        );
        Some((x.ok()?, nu.ok()?))
    }

    /// The certificate by the dual point `u`, or by `grad R(h_mu)`.
    fn certificate_at(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        u: Option<Vec<f64>>,
        budget: f64,
    ) -> Certificate<T> {
        let Some((x, nu)) = self.in_double_precision(mu) else {
            return Certificate::unknown().round_up();
        };
        let (d, k) = (x.dim(), self.features().output_dim());
        let sums = self.network_sums(&nu, &x);

        // F(mu), rounded up over all predictions within the a priori error of their sums.
        let sigma = self.features().activation();
        let slopes = OneSidedSlopes {
            plus: sigma.value(1.0),
            minus: -Activation::<f64>::value(sigma, -1.0),
        };
        // The a priori relative error of a sum of m inner products of length d. The 16 and the
        // factor 4 are a reserve, which covers the norms and the sums over ranks.
        let rounding = 4.0 * (sums.len + d as f64 + 16.0) * sums.eps;
        let radius: Vec<f64> = columns(x.points().as_slice(), d)
            .map(|x| rounding * slopes.lipschitz() * sums.path_norm * norm(x))
            .collect();
        let lambda = self.potential().strength();
        let decay = lambda * sums.second_moment;
        let risk = self.risk().upper(&sums.h, &radius);
        let value = add_rounded_up(risk, decay * (1.0 + rounding));

        let u = u.unwrap_or_else(|| {
            let mut u = vec![0.0; sums.h.len()];
            self.risk().slope(&sums.h, &mut u);
            u
        });
        let mut certificate = Certificate {
            energy: value,
            gap: f64::INFINITY,
            estimate: f64::INFINITY,
            maximum: None,
            threshold: 2.0 * lambda,
            bound: Bound::Estimate,
            escape: None,
        };
        if sigma.degree() != 1 || !u.iter().all(|u| u.is_finite()) {
            // The bound inf R <= F* holds for any activation.
            let infimum = self
                .risk()
                .conjugate(&u, 0.0)
                .map_or(f64::NEG_INFINITY, |s| -s);
            certificate.gap = add_rounded_up(value, -infimum);
            certificate.estimate = certificate.gap;
            return certificate.round_up();
        }

        let map = PiecewiseLinearMap::new(x.points().as_slice(), &u, d, k, slopes);
        // Starting points from the particles of one rank would make the result depend on the rank.
        let particles = if self.is_distributed() {
            &[]
        } else {
            nu.points().as_slice()
        };
        let maximum = maximum(&map, columns(particles, k + d).map(|w| &w[k..]));
        let gap =
            |bound: f64| add_rounded_up(value, -dual_value(self.risk(), &u, bound, lambda, budget));
        certificate.gap = gap(maximum.upper);
        certificate.estimate = match maximum.bound {
            Bound::Certified => certificate.gap,
            Bound::Estimate => gap(maximum.value),
        };
        certificate.maximum = Some(maximum.value);
        certificate.bound = maximum.bound;
        certificate.escape = (maximum.lower > 2.0 * lambda).then(|| descent_direction(&maximum));
        certificate.round_up()
    }
}

/// The dual value `D = max_c [ -R*(c u) - budget (|c| bound - 2 lambda)_+ ]`, `bound >= max |g|`;
/// rounded down.
///
/// For an infinite budget the penalty is the constraint `|c| bound <= 2 lambda`.
fn dual_value(risk: &impl DualRisk, u: &[f64], bound: f64, lambda: f64, budget: f64) -> f64 {
    let feasible = 2.0 * lambda / bound * (1.0 - 4.0 * EPS);
    let feasible = if feasible.is_nan() { 0.0 } else { feasible };
    let (limit, budget) = if budget < f64::INFINITY {
        (MAX_MULTIPLE, budget)
    } else {
        (feasible.min(MAX_MULTIPLE), 0.0)
    };
    let value = |c: f64| {
        let excess = (c.abs() * bound * (1.0 + 2.0 * EPS) - 2.0 * lambda).max(0.0);
        // 0 times an infinite bound is 0.
        let penalty = if budget * excess > 0.0 {
            budget * excess * (1.0 + 4.0 * EPS)
        } else {
            0.0
        };
        risk.conjugate(u, c)
            .map_or(f64::NEG_INFINITY, |s| -add_rounded_up(s, penalty))
    };
    maximise(value, limit)
}

/// The balanced particle `(-g / |g|, b)`, which minimises `F'(mu)(w) = 2 lambda - |g(b)|` over
/// `|w|^2 = 2`.
fn descent_direction(maximum: &Maximum) -> Vec<f64> {
    let length = norm(&maximum.g);
    let a = maximum.g.iter().map(|g| -g / length);
    a.chain(maximum.maximizer.iter().copied()).collect()
}

impl<A, R, T, V> MeanFieldRisk<Ridge<A>, R, T, V>
where
    T: Real,
    A: Activation<T> + Activation<f64>,
    R: Risk<T>,
{
    /// Predictions and moments in double precision, summed over ranks in the precision of T.
    fn network_sums(&mut self, nu: &EmpiricalMeasure<f64>, x: &Inputs<f64>) -> NetworkSums {
        let k = self.features().output_dim();
        let mut h = vec![0.0; k * x.len()];
        FeatureMap::<f64>::predict(self.features(), nu, x, &mut h, &mut Workspace::default());
        let (mut path_norm, mut second_moment) = (0.0, 0.0);
        for i in 0..nu.len() {
            let (a, b) = nu.particle(i).split_at(k);
            let (a, b) = (norm(a), norm(b));
            path_norm += nu.weight(i) * a * b;
            second_moment += nu.weight(i) * (a * a + b * b);
        }
        let mut sums = NetworkSums {
            h,
            path_norm,
            second_moment,
            len: nu.len() as f64,
            eps: EPS,
        };
        if self.is_distributed() {
            let scalars = [sums.path_norm, sums.second_moment, sums.len];
            let all = sums.h.iter().chain(&scalars);
            let mut all: Vec<T> = all.map(|&x| real(x)).collect();
            self.sum_over_ranks(&mut all);
            let all: Vec<f64> = all.into_iter().map(to_f64).collect();
            let (h, scalars) = all.split_at(sums.h.len());
            sums.h.copy_from_slice(h);
            [sums.path_norm, sums.second_moment, sums.len] = [scalars[0], scalars[1], scalars[2]];
            sums.eps = EPS.max(to_f64(epsilon::<T>()));
        }
        sums
    }
}
