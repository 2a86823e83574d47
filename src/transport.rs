//! Exact optimal transport between empirical measures: `W_2`, `W_1`, `W_p`.
//!
//! `W_p^p(mu, nu) = min sum_ij pi_ij |x_i - y_j|^p` over couplings `pi_ij >= 0` with marginals `a_i`, `b_j`.
//!
//! In many dimensions and up to a few thousand equal atoms, the assignment is guessed on a stored matrix of costs in f32 and made
//! exact in f64. Everywhere else one solver does assignment and transport (any weights, any numbers):
//! 1. coarse to fine, centres of groups of neighbours are coupled first and their potentials give prices to the next level;
//! 2. an auction brings the prices near the optimum;
//! 3. shortest paths, many at a time, or the network simplex method make plan and prices exact.
//!
//! It keeps no cost matrix: a row remembers its cheapest columns and a bound on all the others, and computes a row of
//! costs again when that bound no longer settles a question. On the line (d = 1) sorting does it all.
//! Everything is computed in f64, masses are integers, and no step depends on the number of threads.

use thiserror::Error;

use crate::error::{MeasureError, ParameterError};
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, to_f64};

mod auction;
mod cone;
mod cost;
mod coupling;
mod dense;
mod line;
mod paths;
mod plan;
mod prices;
mod problem;
mod repair;
mod simplex;
mod sliced;
mod speed;

pub use cone::{balanced, cone_w2};
use cost::Cost;
pub use coupling::Coupling;
use plan::Entries;
use prices::Prices;
use problem::Problem;
pub use sliced::sliced_w2;
pub use speed::{MetricSpeed, Speed};

/// Candidate arcs a row.
const CANDIDATES: usize = 32;
/// Candidate arcs a row where the optimum is near.
const FEW: usize = 6;

/// Why two measures have no coupling.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The points do not live in one space.
    #[error("measures must live in one space, found dimensions {mu} and {nu}")]
    Dimension {
        /// Coordinates of a point of mu.
        mu: usize,
        /// Coordinates of a point of nu.
        nu: usize,
    },
    /// The total masses are zero or differ by more than rounding.
    #[error("measures must have equal total mass > 0, found {mu} and {nu}")]
    Mass {
        /// The mass of mu.
        mu: f64,
        /// The mass of nu.
        nu: f64,
    },
    /// A measure was written to and is no longer one.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// The exponent is out of its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
}

/// The exact 2-Wasserstein coupling: minimises `sum_ij pi_ij |x_i - y_j|^2`.
///
/// Total masses must agree within rounding and be positive; they need not be 1. Atoms of weight 0 take no part, but have
/// potentials.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(1, 2, &[0.0, 1.0]))?;
/// let nu = EmpiricalMeasure::weighted(DMatrix::from_column_slice(1, 2, &[0.0, 3.0]), DVector::from_vec(vec![0.25, 0.75]))?;
/// let coupling = transport::w2(&mu, &nu)?;
/// assert_eq!(coupling.squared_distance(), 0.25 * 9.0 + 0.5 * 4.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`TransportError`] when dimensions or total masses differ, or a mass is zero.
///
/// # Cost
/// Memory `O((n + m) d)`, and for equal atoms a matrix of costs in f32: up to 32 MiB in 6 dimensions
/// or more, 128 MiB in 32 or more. Time:
/// typically a few passes over all `n m d` differences; `O(n log n)` on the line.
pub fn w2<T: Real>(
    mu: &EmpiricalMeasure<T>,
    nu: &EmpiricalMeasure<T>,
) -> Result<Coupling<T>, TransportError> {
    couple(mu, nu, 2.0, None)
}

/// The exact 1-Wasserstein (Kantorovich-Rubinstein) coupling: minimises `sum_ij pi_ij |x_i - y_j|`. See [`w2`].
///
/// # Errors
/// Those of [`w2`].
pub fn w1<T: Real>(
    mu: &EmpiricalMeasure<T>,
    nu: &EmpiricalMeasure<T>,
) -> Result<Coupling<T>, TransportError> {
    couple(mu, nu, 1.0, None)
}

/// The exact p-Wasserstein coupling, `p >= 1` finite: minimises `sum_ij pi_ij |x_i - y_j|^p`. See [`w2`].
///
/// # Errors
/// Those of [`w2`], and [`TransportError::Parameter`] when p is out of range.
pub fn wp<T: Real>(
    mu: &EmpiricalMeasure<T>,
    nu: &EmpiricalMeasure<T>,
    p: T,
) -> Result<Coupling<T>, TransportError> {
    let p = to_f64(p);
    if !(p >= 1.0 && p.is_finite()) {
        return Err(ParameterError {
            name: "p",
            requirement: "at least 1 and finite",
            value: p,
        }
        .into());
    }
    couple(mu, nu, p, None)
}

/// The optimal coupling, from one that is thought to be near, where there is one.
fn couple<T: Real>(
    mu: &EmpiricalMeasure<T>,
    nu: &EmpiricalMeasure<T>,
    p: f64,
    near: Option<&Coupling<T>>,
) -> Result<Coupling<T>, TransportError> {
    let problem = Problem::new(mu, nu, p)?;
    let (x, y) = (&problem.x, &problem.y);
    if problem.dim() == 1 {
        let (plan, u, v) = line::solve(x, y, p);
        return Ok(Coupling::new(&problem, mu, nu, &plan, &u, &v));
    }
    let cost = Cost::new(problem.dim(), &x.points, &y.points, p);
    let by_matrix = problem.is_assignment() && dense::is_supported(problem.dim(), x.len(), y.len());
    let solved = near.and_then(|near| update(&problem, &cost, near));
    let solved = solved.or_else(|| {
        if by_matrix {
            dense::solve(&cost, CANDIDATES)
        } else {
            None
        }
    });
    let (plan, u, v) = solved.unwrap_or_else(|| {
        let mut prices = Prices::new(
            &cost,
            auction::coarse_prices(x, y, p, CANDIDATES),
            CANDIDATES,
        );
        auction::ascend(&mut prices, &x.mass, &y.mass);
        let (plan, u) = if problem.is_assignment() {
            paths::solve(&mut prices, x.mass.clone(), y.mass.clone())
        } else {
            let start = prices.best_columns();
            simplex::solve(&mut prices, &x.mass, &y.mass, &start)
        };
        (plan, u, prices.v)
    });
    Ok(Coupling::new(&problem, mu, nu, &plan, &u, &v[..y.len()]))
}

/// A plan with prices `(u, v)` that certify it.
type Solution = (Entries, Vec<f64>, Vec<f64>);

/// The optimal plan and prices from a coupling that is near; `None` when it is not.
fn update<T: Real>(
    problem: &Problem,
    cost: &Cost,
    near: &Coupling<T>,
) -> Option<(Entries, Vec<f64>, Vec<f64>)> {
    let (x, y) = (&problem.x, &problem.y);
    let (u, v) = problem.prices(near.potentials());
    let columns = problem.assignment(near.plan());
    if problem.is_assignment() {
        let columns = columns?;
        // How far costs are off tells which arcs may come in. Prices give way over the whole cloud (of size 1), so by as
        // much more as that is longer than the way of an atom.
        let mean = |value: &dyn Fn(usize, usize) -> f64| {
            columns
                .iter()
                .enumerate()
                .map(|(i, &j)| value(i, j))
                .sum::<f64>()
                / x.len() as f64
        };
        let way = mean(&|i, j| cost.at(i, j)).sqrt();
        let off = mean(&|i, j| (cost.at(i, j) - u[i] - v[j]).abs());
        let margin = if off > 0.0 {
            2.0 * off * (4.0 + 1.0 / way)
        } else {
            0.0
        };
        let margin = if margin.is_finite() { margin } else { off };
        let mut prices = Prices::near(cost, v, &columns, margin, CANDIDATES);
        let (plan, u) = repair::solve(&mut prices, &columns)?;
        return Some((plan, u, prices.v));
    }
    let mut prices = Prices::new(cost, v, FEW);
    let start = match columns {
        Some(columns) => columns
            .into_iter()
            .enumerate()
            .map(|(i, j)| (j, cost.at(i, j)))
            .collect(),
        None => prices.best_columns(),
    };
    let (plan, u) = simplex::solve(&mut prices, &x.mass, &y.mass, &start);
    Some((plan, u, prices.v))
}
