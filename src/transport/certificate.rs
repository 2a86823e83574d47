//! Feasible potentials and bounds of the values of plans and potentials, in spite of rounding.

use super::cost::{Cost, Rounding, padded};
use super::masses::Mass;
use super::plan::{Entries, Solution};
use super::prices::Prices;
use crate::numeric::error_bounds::{CompensatedSum, EPS};

/// Products below this may have parts that are not representable: `MIN_POSITIVE / EPSILON`.
const SMALL: f64 = 1e-290;

/// A sum of products of masses with costs or potentials.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pairing {
    sum: CompensatedSum,
    /// The sum of the magnitudes of the terms.
    magnitude: f64,
    terms: f64,
    /// The number of products that may have been rounded to subnormal numbers.
    small: f64,
}

impl Pairing {
    /// Adds `mass u`, without rounding of the product.
    pub(super) fn add(&mut self, mass: f64, u: f64) {
        let product = mass * u;
        let rounded = mass.mul_add(u, -product);
        self.sum.add(product);
        self.sum.add(rounded);
        self.magnitude += product.abs() + rounded.abs();
        self.terms += 2.0;
        if product.abs() < SMALL && mass != 1.0 && u != 0.0 {
            self.small += 1.0;
        }
    }

    /// A bound of the error of the sum by underflow.
    pub(super) fn underflow(&self) -> f64 {
        self.small * f64::from_bits(1)
    }

    /// The sum, and a bound of its error without underflow.
    pub(super) fn value(&self) -> (f64, f64) {
        let value = self.sum.value();
        let cancelled = self.terms * EPS;
        let error = EPS * value.abs() + cancelled * cancelled * self.magnitude;
        (value, error)
    }
}

/// The mean cost of a plan of all of `supply`.
pub(super) fn mean_cost(cost: &Cost, plan: &Entries, supply: &[Mass]) -> f64 {
    let total: Mass = supply.iter().sum();
    let term = |&(i, j, mass): &(usize, usize, Mass)| mass as f64 / total as f64 * cost.at(i, j);
    plan.iter().map(term).sum()
}

/// The duality gap of a solution relative to its cost: at least 0, and infinite if it is not
/// finite.
pub(super) fn relative_gap(
    cost: &Cost,
    solution: &Solution,
    supply: &[Mass],
    demand: &[Mass],
) -> f64 {
    let total: Mass = supply.iter().sum();
    let bits = f64::powi(0.5, total.ilog2() as i32);
    // The second part of a mass of more than 53 bits.
    let mut gap = Pairing::default();
    let mut add = |mass: Mass, u: f64| {
        let high = mass as f64;
        gap.add(high * bits, u);
        gap.add((mass - high as Mass) as f64 * bits, u);
    };
    for &(i, j, mass) in &solution.plan {
        add(mass, cost.at(i, j));
    }
    for (&mass, u) in supply.iter().zip(&solution.u) {
        add(mass, -u);
    }
    for (&mass, v) in demand.iter().zip(&solution.v) {
        add(mass, -v);
    }
    let gap = gap.value().0;
    if gap <= 0.0 {
        return 0.0;
    }
    let gap = gap / (mean_cost(cost, &solution.plan, supply) * total as f64 * bits);
    if gap.is_nan() { f64::INFINITY } else { gap }
}

/// Potentials of the rows that are feasible with the prices v in exact arithmetic: lower bounds of
/// `min_j c_ij - v_j`.
///
/// Prices must not have increased since the candidate lists were built. The costs of a row are
/// computed again only if its list does not decide.
pub(super) fn feasible_rows(prices: &Prices) -> Vec<f64> {
    let cost = prices.cost;
    let rounding = Rounding::of(cost);
    let price = |largest: f64, v: &f64| largest.max(v.abs());
    let largest_price = prices.v[..cost.columns()].iter().fold(0.0, price);
    let error = rounding.largest(cost.largest(), largest_price);
    let mut undecided = Vec::new();
    let mut u = Vec::with_capacity(cost.rows());
    for (i, list) in prices.lists.iter().enumerate() {
        let mut least = f64::INFINITY;
        for arc in &list.arcs {
            if arc.bound - error >= least {
                break;
            }
            let reduced = arc.cost - prices.v[arc.column as usize];
            least = least.min(rounding.lower(arc.cost, reduced));
        }
        if least.is_infinite() || least > list.omitted_bound - error {
            undecided.push(i as u32);
        }
        u.push(least);
    }
    if !undecided.is_empty() {
        let least = cost.lower_transform(&undecided, &prices.v);
        for i in undecided {
            u[i as usize] = least[i as usize];
        }
    }
    u
}

/// Feasible potentials that are better where large and small costs meet.
///
/// A row with a nearly tight arc to a far column loses the rounding error of a large cost. If the
/// large price of that column is reduced by this error, then the row does not, and the price of the
/// column recovers as far as the potentials of the rows allow.
pub(super) fn polished_potentials(
    cost: &Cost,
    transposed: &Cost,
    v: &[f64],
) -> (Vec<f64>, Vec<f64>) {
    let error = Rounding::of(cost).largest(1.0, 1.0);
    let reduced = v.iter().map(|v| v - error * v.abs()).collect();
    let mut v = padded(reduced);
    let u = cost.lower_transform(&all(cost), &v);
    let least = transposed.lower_transform(&all(transposed), &padded(u.clone()));
    for (v, least) in v.iter_mut().zip(least) {
        *v = v.max(least);
    }
    (u, v)
}

fn all(cost: &Cost) -> Vec<u32> {
    (0..cost.rows() as u32).collect()
}
