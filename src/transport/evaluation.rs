//! Values of a plan and of potentials in the units of the measures, with bounds of their errors.

use super::certificate::Pairing;
use super::plan::Solution;
use super::power::Power;
use super::problem::Problem;
use crate::numeric::error_bounds::{CompensatedSum, EPS};
use crate::real::{Real, epsilon, real, to_f64};

/// The cost of a plan.
#[derive(Debug)]
pub(super) struct Primal {
    /// `sum_ij pi_ij |x_i - y_j|^p`; it may overflow or underflow.
    pub(super) cost: f64,
    /// An upper bound of the cost in exact arithmetic.
    pub(super) upper: f64,
    /// The root `cost^(1/p)`, without overflow or underflow of the cost.
    pub(super) distance: f64,
}

impl Primal {
    /// Evaluates the plan in units of about its longest distance.
    pub(super) fn new<T: Real>(problem: &Problem, solution: &Solution) -> Self {
        let atoms = || {
            solution
                .plan
                .iter()
                .map(|&(r, s, _)| (problem.rows[r], problem.columns[s]))
        };
        let Some(e) = problem.exponent_of_differences(atoms()) else {
            return Self {
                cost: 0.0,
                upper: 0.0,
                distance: 0.0,
            };
        };
        let p = problem.power.p;
        let square = |(i, j)| problem.differences(i, j, e).map(|z| z * z).sum::<f64>();
        let squares: Vec<f64> = atoms().map(square).collect();
        let power = Power::new(p, squares.iter().copied().fold(0.0, f64::max).sqrt());
        let (mut sum, mut returned) = (CompensatedSum::default(), CompensatedSum::default());
        for (&s, &(.., mass)) in squares.iter().zip(&solution.plan) {
            let (mass, c) = (mass as f64 * problem.quantum, power.cost(s));
            sum.add(mass * c);
            returned.add(to_f64(real::<T>(mass)) * c);
        }
        let (sum, returned) = (sum.value(), returned.value());
        let root = match p {
            1.0 => sum,
            2.0 => sum.sqrt(),
            _ => sum.powf(p.recip()),
        };
        let dim = problem.dim();
        let mass = problem.total as f64 * problem.quantum;
        // 4 EPS for the products with masses and their sum.
        let relative = power.relative_rounding(dim) + 4.0 * EPS + power.rounding_of_units(e);
        let absolute = power.absolute_rounding(dim) * mass;
        let upper = sum.max(returned) * (1.0 + relative) + absolute;
        Self {
            cost: power.in_units(sum, e, 1.0),
            upper: power.in_units(upper, e, 1.0).next_up(),
            distance: power.length(e, root),
        }
    }
}

/// A lower bound of the dual value `sum_i a_i phi_i + sum_j b_j psi_j` in exact arithmetic, in the
/// unit of the measures; not finite if the terms are not.
///
/// The weights are the given ones, where those of the lighter measure are scaled to the mass of the
/// other.
pub(super) fn dual_value<T: Real>(problem: &Problem, phi: &[T], psi: &[T]) -> f64 {
    let (mut difference, mut lighter) = (CompensatedSum::default(), CompensatedSum::default());
    let (mut sum, mut of_phi, mut of_psi) = <(Pairing, Pairing, Pairing)>::default();
    let [a, b] = &problem.weights;
    for (&a, &phi) in a.iter().zip(phi).filter(|(a, _)| **a > 0.0) {
        difference.add(a);
        lighter.add(a);
        sum.add(a, to_f64(phi));
        of_phi.add(a, to_f64(phi));
    }
    for (&b, &psi) in b.iter().zip(psi).filter(|(b, _)| **b > 0.0) {
        difference.add(-b);
        sum.add(b, to_f64(psi));
        of_psi.add(b, to_f64(psi));
    }
    // Scaling multiplies the part of the lighter measure by 1 + |difference| / mass.
    let (part, _) = if difference.value() < 0.0 {
        of_phi
    } else {
        of_psi
    }
    .value();
    let scaling = part * (difference.value().abs() / lighter.value());
    let (value, error) = sum.value();
    let error = error + 16.0 * EPS * scaling.abs();
    let low = value + scaling - error;
    low - 4.0 * EPS * low.abs() - sum.underflow()
}

/// An upper bound of the difference of a cost and a dual value; infinite if it is not finite.
pub(super) fn gap(cost: f64, dual: f64) -> f64 {
    let gap = cost - dual;
    if gap.is_finite() {
        gap.max(0.0) * (1.0 + 4.0 * EPS)
    } else {
        f64::INFINITY
    }
}

/// The number x or the next one of type T above it; infinite if it overflows.
pub(super) fn rounded_up<T: Real>(x: f64) -> T {
    let rounded = real::<T>(x);
    if to_f64(rounded) >= x || !rounded.is_finite() {
        rounded
    } else {
        rounded + spacing(rounded)
    }
}

/// The number x or the next one of type T below it; infinite if it overflows.
pub(super) fn rounded_down<T: Real>(x: f64) -> T {
    -rounded_up::<T>(-x)
}

/// At least the distance of a number to its neighbours.
fn spacing<T: Real>(x: T) -> T {
    let step = x.abs() * epsilon();
    // Conversions from f64 that round to subnormal numbers or 0 occur in f32.
    let least = real(f64::from(f32::from_bits(1)));
    if step > least { step } else { least }
}
