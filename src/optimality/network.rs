//! The certificate of a two-layer network with a 1-homogeneous activation.

use std::any::Any;

use nalgebra::DVector;

use super::certificate::{Bound, Certifiable, Certificate, check_dimension};
use super::dual::DualRisk;
use super::dual_bound::{GradientBound, dual_value};
use super::effort::Limits;
use super::kinks::{Condition, Kinks};
use super::maximum::{Maximum, maximum, relaxation};
use super::piecewise_linear::{OneSidedSlopes, PiecewiseLinearMap};
use super::relaxed_dual::RelaxedProblem;
use super::search::{Memory, Search};
use crate::activation::{Activation, Homogeneous};
use crate::energy::{MeanFieldRisk, Potential, WeightDecay};
use crate::feature::Ridge;
use crate::inputs::Inputs;
use crate::measure::EmpiricalMeasure;
use crate::numeric::error_bounds::{EPS, add_up, mul_up, scale_up, sub_up};
use crate::numeric::vector::{columns, norm};
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

/// The candidates at kinks at most. Each costs a maximum over the sphere.
const CANDIDATES: usize = 8;

/// The excess of `|g|` over `2 lambda`, relative to lambda, up to which a candidate is feasible but
/// for the rounding errors of its choice.
const EXCESS: f64 = 1e-12;

/// The conditions on particles at most, k for each.
const MAX_PARTICLES: usize = 32;

/// Rounds of the relaxed problem at most.
const RELAXED_NEURONS: usize = 24;

/// The factor of the gap below which a round is an improvement, and the rounds without one after
/// which the relaxed problem ends.
const SMALLEST_IMPROVEMENT: f64 = 0.98;
const IDLE: usize = 4;

/// The gap, in units of `EPS F`, that is not improved.
const NEGLIGIBLE: f64 = 4.0;

/// The difference of two gaps, in units of the rounding error of F, up to which they are equal.
const EQUAL: f64 = 4.0;

impl<A, R, T, V> Certifiable<T> for MeanFieldRisk<Ridge<A>, R, T, V>
where
    T: Real,
    A: Activation<T> + Activation<f64> + Homogeneous,
    R: Risk<T> + DualRisk,
    V: Potential<T> + Decay,
{
    fn certificate(&mut self, mu: &EmpiricalMeasure<T>, search: &mut Search) -> Certificate<T> {
        check_dimension(self, mu);
        self.certificate_at(mu, None, search)
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
        Some(self.certificate_at(mu, Some(u), search))
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
        let weights = DVector::from_iterator(mu.len(), mu.weights().iter().map(|&c| to_f64(c)));
        let nu = EmpiricalMeasure::weighted(mu.points().map(to_f64), weights);
        Some((x.ok()?, nu.ok()?))
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
        if !is_given && proof_pays && best.maximum.bound == Bound::Relaxed {
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
        };
        certificate.convert()
    }
}

/// The problem of which dual points bound the minimum from below.
struct DualProblem<'a, R> {
    risk: &'a R,
    /// The samples, `d x n`.
    x: &'a [f64],
    d: usize,
    k: usize,
    slopes: OneSidedSlopes,
    /// The measure, if this rank holds all of it.
    particles: Option<&'a EmpiricalMeasure<f64>>,
    /// An upper bound of F.
    value: f64,
    lambda: f64,
    budget: f64,
    /// The gap to prove.
    target: f64,
    limits: Limits,
}

/// The bound that a dual point gives.
struct Candidate {
    /// `F - D`, rounded up.
    gap: f64,
    /// The gap if the largest `|g|` found is the maximum.
    optimistic: f64,
    maximum: Maximum,
}

impl<R: DualRisk> DualProblem<'_, R> {
    /// The bound by the multiples of u.
    fn bound(&self, u: &[f64], memory: &mut Memory) -> Candidate {
        let map = PiecewiseLinearMap::new(self.x, u, self.d, self.k, self.slopes);
        let particles = self.particles.map_or(&[][..], |nu| nu.points().as_slice());
        let directions = columns(particles, self.k + self.d).map(|w| &w[self.k..]);

        let pays = |largest: f64| self.gap(&map, u, largest) <= self.target;
        let maximum = maximum(&map, directions, pays, self.limits, memory);
        let proved = self.gap(&map, u, maximum.upper);
        let optimistic = match maximum.bound {
            Bound::Exact => proved,
            _ => self.gap(&map, u, maximum.value).min(proved),
        };
        Candidate {
            gap: proved,
            optimistic,
            maximum,
        }
    }

    /// `F - D` for the multiples of u, rounded up, if `largest` bounds `|g|`.
    fn gap(&self, map: &PiecewiseLinearMap, u: &[f64], largest: f64) -> f64 {
        // |z - c u| <= 2^-48 |c u| + 2^-1022 entry by entry, for the point z of the conjugate.
        let relative = scale_up(mul_up(16.0 * EPS, map.size), map.exponent);
        let lengths = columns(self.x, self.d).map(|x| mul_up(norm(x), 2.0 * f64::MIN_POSITIVE));
        let lipschitz = mul_up((self.k as f64).sqrt(), self.slopes.lipschitz());
        let offset = mul_up(lipschitz, lengths.sum());
        let slope = add_up(largest, relative);
        let bound = GradientBound { slope, offset };
        let lower = dual_value(self.risk, u, bound, self.lambda, self.budget);
        sub_up(self.value, lower)
    }

    /// The least gap of dual points of the relaxed problem, from the predictions `h` of the network
    /// and their cost, for one output.
    fn relaxed_gap(&self, u: &[f64], h: Vec<f64>, cost: f64, memory: &mut Memory) -> f64 {
        let mut best = f64::INFINITY;
        if self.k > 1 || self.lambda == 0.0 || self.budget < f64::INFINITY {
            return best;
        }
        let mut problem = RelaxedProblem::new(self.risk, h, cost);
        let (mut u, mut idle) = (u.to_vec(), 0);
        for _ in 0..RELAXED_NEURONS {
            let map = PiecewiseLinearMap::new(self.x, &u, self.d, self.k, self.slopes);
            let relaxed = relaxation::bound(&map, 0.0, self.limits, &mut memory.relaxed_dual);
            let gap = self.gap(&map, &u, scale_up(relaxed.upper, map.exponent));
            if std::env::var("SHOR").is_ok() {
                eprintln!("gap {}", gap / self.value);
            }
            idle = if gap < SMALLEST_IMPROVEMENT * best {
                0
            } else {
                idle + 1
            };
            best = best.min(gap);
            if idle >= IDLE || best <= NEGLIGIBLE * EPS * self.value || self.limits.is_late() {
                break;
            }
            // |x_j| and the power of two of the slopes return.
            let slope = self.slopes.lipschitz() / map.slopes.lipschitz();
            for gradient in relaxed.gradients {
                let mut column = vec![0.0; u.len()];
                for (&j, y) in map.samples.iter().zip(gradient) {
                    column[j] = -y * norm(&self.x[j * self.d..(j + 1) * self.d]) * slope;
                }
                problem.add(column, 2.0 * self.lambda);
            }
            u = problem.dual_point();
            if !u.iter().all(|u| u.is_finite()) {
                break;
            }
        }
        best
    }

    /// Replaces `best` by the bounds of subgradients between the one-sided derivatives at kinks.
    /// `rounding` is the rounding error of F.
    fn improve_at_kinks(
        &self,
        kinks: &Kinks,
        u: &[f64],
        best: &mut Candidate,
        rounding: f64,
        memory: &mut Memory,
    ) {
        let mut conditions = self.conditions_on_particles();
        if conditions.is_empty() {
            return;
        }
        for _ in 0..CANDIDATES {
            let mut u = u.to_vec();
            kinks.satisfy(&conditions, &mut u, self.x, self.d, self.slopes);
            let mut next = self.bound(&u, memory);
            let maximum = &mut next.maximum;
            let (excess, length) = (maximum.value - 2.0 * self.lambda, norm(&maximum.g));
            let target = maximum.g.iter().map(|g| g / length * 2.0 * self.lambda);
            conditions.push(Condition {
                b: maximum.maximizer.clone(),
                target: target.collect(),
            });
            let feasible = excess <= EXCESS * self.lambda;
            if feasible {
                maximum.lower = maximum.lower.min(2.0 * self.lambda);
            }
            let gap = best.gap.min(next.gap);
            let optimistic = best.optimistic.min(next.optimistic);
            // Of equal bounds, that without a direction of descent.
            let equal = next.optimistic <= best.optimistic + EQUAL * rounding;
            if next.optimistic < best.optimistic
                || (equal && next.maximum.lower < best.maximum.lower)
            {
                *best = next;
            }
            (best.gap, best.optimistic) = (gap, optimistic);
            if feasible || gap <= NEGLIGIBLE * EPS * self.value {
                return;
            }
        }
    }

    /// `g(b) = -2 lambda a / |a|` for the directions of the particles, those of the largest
    /// `c |a| |b|` first.
    fn conditions_on_particles(&self) -> Vec<Condition> {
        let Some(nu) = self.particles.filter(|_| self.lambda > 0.0) else {
            return Vec::new();
        };
        let mut neurons: Vec<(f64, &[f64], &[f64])> = (0..nu.len())
            .map(|i| {
                let (a, b) = nu.particle(i).split_at(self.k);
                (nu.weight(i) * norm(a) * norm(b), a, b)
            })
            .filter(|neuron| neuron.0 > 0.0)
            .collect();
        neurons.sort_by(|(s, ..), (t, ..)| t.total_cmp(s));
        let condition = |&(_, a, b): &(f64, &[f64], &[f64])| {
            let (length_a, length_b) = (norm(a), norm(b));
            Condition {
                b: b.iter().map(|b| b / length_b).collect(),
                target: a
                    .iter()
                    .map(|a| -2.0 * self.lambda * (a / length_a))
                    .collect(),
            }
        };
        neurons
            .iter()
            .take(MAX_PARTICLES.div_ceil(self.k))
            .map(condition)
            .collect()
    }
}

/// The balanced particle `(-g / |g|, b)`, which minimises `F'(mu)(w) = 2 lambda - |g(b)|` over
/// `|w|^2 = 2`.
fn descent_direction(maximum: &Maximum) -> Vec<f64> {
    let length = norm(&maximum.g);
    let a = maximum.g.iter().map(|g| -g / length);
    a.chain(maximum.maximizer.iter().copied()).collect()
}
