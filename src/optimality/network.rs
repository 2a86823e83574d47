//! The certificate of a two-layer network with a 1-homogeneous activation.

use std::any::Any;

use nalgebra::DVector;

use super::bound::Bound;
use super::certificate::{Certifiable, Certificate, check_dimension};
use super::dual::DualRisk;
use super::dual_problem::{Candidate, DualProblem, NEGLIGIBLE};
use super::kinks::Kinks;
use super::maximum::Maximum;
use super::piecewise_linear::OneSidedSlopes;
use super::search::Search;
use crate::activation::{Activation, Homogeneous};
use crate::energy::{MeanFieldRisk, Potential, WeightDecay};
use crate::feature::Ridge;
use crate::inputs::Inputs;
use crate::measure::EmpiricalMeasure;
use crate::numeric::error_bounds::{EPS, add_up, mul_up};
use crate::numeric::vector::norm;
use crate::ranks::indicator;
use crate::real::{Real, to_f64};
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

impl<A, R, T, V> Certifiable<T> for MeanFieldRisk<Ridge<A>, R, T, V>
where
    T: Real,
    A: Activation<T> + Activation<f64> + Homogeneous,
    R: Risk<T> + DualRisk,
    V: Potential<T> + Decay,
{
    fn certificate(&mut self, mu: &EmpiricalMeasure<T>, search: &mut Search) -> Certificate<T> {
        check_dimension(self, mu);
        self.certificate_at(mu, None, search).of(search)
    }

    fn combined_certificate(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        subgradient: &[(T, EmpiricalMeasure<T>)],
        search: &mut Search,
    ) -> Option<Certificate<T>> {
        check_dimension(self, mu);
        let mut u = vec![0.0; self.risk().inputs().len() * self.features().output_dim()];
        for (s, nu) in subgradient {
            check_dimension(self, nu);
            let (x, nu) = self.in_double_precision(nu)?;
            let h = self.bounded_predictions(&nu, &x).h;
            let mut slope = vec![0.0; h.len()];
            self.risk().slope(&h, &mut slope);
            let terms = u.iter_mut().zip(&slope);
            terms.for_each(|(u, slope)| *u += to_f64(*s) * slope);
        }
        Some(self.certificate_at(mu, Some(u), search).of(search))
    }
}

impl<A, R, T, V> MeanFieldRisk<Ridge<A>, R, T, V>
where
    T: Real,
    A: Activation<T> + Activation<f64> + Homogeneous,
    R: Risk<T> + DualRisk,
    V: Potential<T> + Decay,
{
    /// The inputs and the measure in double precision; `None` on all ranks if they are not finite on
    /// one of them.
    fn in_double_precision(
        &mut self,
        mu: &EmpiricalMeasure<T>,
    ) -> Option<(Inputs<f64>, EmpiricalMeasure<f64>)> {
        let inputs: &dyn Any = self.risk().inputs();
        let x = match inputs.downcast_ref::<Inputs<f64>>() {
            Some(x) => Ok(x.clone()), // with the angular order computed before
            None => Inputs::new(self.risk().inputs().points().map(to_f64)),
        };
        let weights = DVector::from_iterator(mu.len(), mu.weights().iter().map(|&c| to_f64(c)));
        let nu = EmpiricalMeasure::weighted(mu.points().map(to_f64), weights);
        let result = x.ok().zip(nu.ok());
        let mut failures = [indicator(result.is_none())];
        self.sum_over_ranks(&mut failures);
        result.filter(|_| failures[0] == T::zero())
    }

    /// The certificate by the dual point `u`, or by `grad R(h_mu)`.
    fn certificate_at(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        u: Option<Vec<f64>>,
        search: &mut Search,
    ) -> Certificate<T> {
        let Some((x, nu)) = self.in_double_precision(mu) else {
            return Certificate::unknown().convert();
        };
        let predictions = self.bounded_predictions(&nu, &x);
        let lambda = self.potential().strength();
        let risk = self.risk().upper(&predictions.h, &predictions.radius);
        let value = add_up(risk, mul_up(lambda, predictions.second_moment));

        let is_given = u.is_some();
        let mut u = u.unwrap_or_else(|| {
            let mut u = vec![0.0; predictions.h.len()];
            self.risk().slope(&predictions.h, &mut u);
            u
        });
        let finite = u.iter().all(|u| u.is_finite());
        let sigma = self.features().activation();
        if sigma.degree() != 1 || !finite {
            // The bound inf R <= F* holds for any activation.
            u.fill(0.0);
            let infimum = self.risk().conjugate(&u, 0.0).unwrap_or(f64::INFINITY);
            let gap = add_up(value, infimum);
            let bound = Certificate {
                energy: value,
                gap,
                optimistic: gap,
                threshold: (2.0 * lambda).min(f64::MAX),
                ..Certificate::unknown()
            };
            return bound.convert();
        }
        let problem = DualProblem {
            risk: self.risk(),
            x: x.points().as_slice(),
            d: x.dim(),
            k: self.features().output_dim(),
            slopes: OneSidedSlopes {
                plus: sigma.value(1.0),
                minus: -Activation::<f64>::value(sigma, -1.0),
            },
            // Those of one rank would make the result depend on the rank.
            particles: (!self.is_distributed()).then_some(&nu),
            value,
            lambda,
            budget: search.budget(),
            target: search.target(),
            limits: search.limits(self.is_distributed()),
        };
        let memory = &mut search.memory;
        let mut best = problem.bound(&u, memory);
        if !is_given && (best.gap.is_nan() || best.gap > NEGLIGIBLE * EPS * value) {
            let (h, magnitude) = (&predictions.h, &predictions.magnitude);
            let kinks = Kinks::near(problem.risk, h, magnitude, problem.x);
            if !kinks.is_empty() {
                let exact = problem.risk.upper(h, &vec![0.0; magnitude.len()]);
                let rounding = (risk - exact) + NEGLIGIBLE * EPS * value;
                problem.improve_at_kinks(&kinks, &u, &mut best, rounding, memory);
            }
        }
        let proof_pays = best.optimistic <= problem.target;
        if !is_given && proof_pays && best.maximum.bound != Bound::Exact {
            let cost = mul_up(lambda, predictions.second_moment);
            best.gap = best
                .gap
                .min(problem.relaxed_gap(&u, predictions.h, cost, memory));
            best.optimistic = best.optimistic.min(best.gap);
        }
        let Candidate {
            gap,
            optimistic,
            maximum,
        } = best;
        let escape = (maximum.lower > 2.0 * lambda).then(|| descent_direction(&maximum));
        let certificate = Certificate {
            energy: value,
            gap,
            optimistic,
            maximum: Some((maximum.lower, maximum.upper)),
            threshold: (2.0 * lambda).min(f64::MAX),
            bound: Some(maximum.bound),
            escape,
            ..Certificate::unknown()
        };
        certificate.convert()
    }
}

/// The balanced particle `(-g / |g|, b)`, which minimises `F'(mu)(w) = 2 lambda - |g(b)|` over
/// `|w|^2 = 2`.
fn descent_direction(maximum: &Maximum) -> Vec<f64> {
    let length = norm(&maximum.g);
    let a = maximum.g.iter().map(|g| -g / length);
    a.chain(maximum.maximizer.iter().copied()).collect()
}
