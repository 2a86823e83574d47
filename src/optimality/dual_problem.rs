//! The lower bounds that dual points give, and the choice of dual points.

use super::bound::Bound;
use super::dual::DualRisk;
use super::dual_bound::{GradientBound, dual_value};
use super::effort::Limits;
use super::kinks::{Condition, Kinks};
use super::maximum::{Maximum, Memory, maximum, relaxation};
use super::piecewise_linear::{OneSidedSlopes, PiecewiseLinearMap};
use super::relaxed_dual::RelaxedProblem;
use crate::measure::EmpiricalMeasure;
use crate::numeric::error_bounds::{EPS, add_up, mul_up, scale_up, sub_up};
use crate::numeric::vector::{columns, norm};

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
const SMALLEST_IMPROVEMENT: f64 = 0.99;

/// The part of the way from the best feasible point to the solution of the restricted problem. The
/// solution itself is far outside while columns are missing.
///
/// Source: W. Ben-Ameur and J. Neto, Acceleration of cutting-plane and column generation algorithms,
/// Networks 49, 2007.
const OUTWARD: f64 = 0.3;

const IDLE: usize = 5;

/// The gap, in units of `EPS F`, that is not improved.
pub(super) const NEGLIGIBLE: f64 = 4.0;

/// The difference of two gaps, in units of the rounding error of F, up to which they are equal.
const EQUAL: f64 = 4.0;

/// The problem of which dual points bound the minimum from below.
pub(super) struct DualProblem<'a, R> {
    pub(super) risk: &'a R,
    /// The samples, `d x n`.
    pub(super) x: &'a [f64],
    pub(super) d: usize,
    pub(super) k: usize,
    pub(super) slopes: OneSidedSlopes,
    /// The measure, if this rank holds all of it.
    pub(super) particles: Option<&'a EmpiricalMeasure<f64>>,
    /// An upper bound of F.
    pub(super) value: f64,
    pub(super) lambda: f64,
    pub(super) budget: f64,
    /// The gap to prove.
    pub(super) target: f64,
    pub(super) limits: Limits,
}

/// The bound that a dual point gives.
pub(super) struct Candidate {
    /// `F - D`, rounded up.
    pub(super) gap: f64,
    /// The gap if the largest `|g|` found is the maximum.
    pub(super) optimistic: f64,
    pub(super) maximum: Maximum,
}

impl<R: DualRisk> DualProblem<'_, R> {
    /// The bound by the multiples of u.
    pub(super) fn bound(&self, u: &[f64], memory: &mut Memory) -> Candidate {
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
    pub(super) fn relaxed_gap(
        &self,
        u: &[f64],
        h: Vec<f64>,
        cost: f64,
        memory: &mut Memory,
    ) -> f64 {
        let mut best = f64::INFINITY;
        if self.k > 1 || self.lambda == 0.0 || self.budget < f64::INFINITY {
            return best;
        }
        let mut problem = RelaxedProblem::new(self.risk, h, cost);
        // The best feasible point, and the point at which B is evaluated.
        let (mut inner, mut u, mut idle) = (vec![0.0; u.len()], u.to_vec(), 0);
        let mut work = relaxation::Work::new();
        for _ in 0..RELAXED_NEURONS {
            let map = PiecewiseLinearMap::new(self.x, &u, self.d, self.k, self.slopes);
            let memory = &mut memory.relaxed_dual;
            let relaxed = relaxation::bound(&map, 0.0, self.limits, memory, &mut work);
            let largest = scale_up(relaxed.upper, map.exponent);
            let gap = self.gap(&map, &u, largest);
            idle = if gap < SMALLEST_IMPROVEMENT * best {
                0
            } else {
                idle + 1
            };
            if gap < best {
                let c = (2.0 * self.lambda / largest).min(1.0);
                inner = u.iter().map(|u| c * u).collect();
                best = gap;
            }
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
            let outer = problem.dual_point();
            let points = inner.iter().zip(&outer);
            u = points.map(|(s, t)| s + OUTWARD * (t - s)).collect();
            if !u.iter().all(|u| u.is_finite()) {
                break;
            }
        }
        best
    }

    /// Replaces `best` by the bounds of subgradients between the one-sided derivatives at kinks.
    /// `rounding` is the rounding error of F.
    pub(super) fn improve_at_kinks(
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
