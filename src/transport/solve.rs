//! Choice of the algorithm for a transportation problem.

use super::cost::Cost;
use super::cost_matrix::CostMatrix;
use super::plan::Solution;
use super::prices::Prices;
use super::problem::{Problem, WarmStart};
use super::{auction, cycle_cancelling, dense, line, network_simplex, shortest_paths};

/// Candidate arcs a row of a cold start, and of an assignment problem.
const CANDIDATES: usize = 32;
/// Candidate arcs a row of the network simplex method when it starts from near-optimal prices.
const WARM_CANDIDATES: usize = 6;

/// The optimal plan and potentials, from `start` if it is near enough.
pub(super) fn solve(problem: &Problem, start: Option<WarmStart>) -> Solution {
    let (x, y, p) = (&problem.x, &problem.y, problem.p);
    if problem.dim() == 1 {
        return line::solve(x, y, p);
    }
    let cost = Cost::new(problem.dim(), &x.points, &y.points, p);
    start
        .and_then(|start| solve_warm(problem, &cost, start))
        .or_else(|| solve_dense(problem, &cost))
        .unwrap_or_else(|| solve_cold(problem, &cost))
}

/// Solves an assignment problem on a stored cost matrix, if that is profitable and within the range
/// of f32.
fn solve_dense(problem: &Problem, cost: &Cost) -> Option<Solution> {
    let supported = CostMatrix::is_supported(problem.dim(), cost.rows(), cost.columns());
    if problem.is_assignment() && supported {
        dense::solve(cost, CANDIDATES)
    } else {
        None
    }
}

/// Solves without a start: near-optimal prices by auction, then an exact method.
fn solve_cold(problem: &Problem, cost: &Cost) -> Solution {
    let (x, y) = (&problem.x, &problem.y);
    let v = auction::coarse_prices(x, y, problem.p, CANDIDATES);
    let mut prices = Prices::new(cost, v, CANDIDATES);
    auction::epsilon_scaling(&mut prices, &x.mass, &y.mass);
    if problem.is_assignment() {
        shortest_paths::solve(prices, x.mass.clone(), y.mass.clone())
    } else {
        let arcs = prices.best_columns();
        network_simplex::solve(prices, &x.mass, &y.mass, &arcs)
    }
}

/// Solves from `start`; `None` if an assignment problem is not near it.
fn solve_warm(problem: &Problem, cost: &Cost, start: WarmStart) -> Option<Solution> {
    if problem.is_assignment() {
        let columns = start.columns?;
        let margin = warm_margin(cost, &columns, &start.u, &start.v);
        let prices = Prices::around_assignment(cost, start.v, &columns, margin, CANDIDATES);
        return cycle_cancelling::solve(prices, &columns);
    }
    let mut prices = Prices::new(cost, start.v, WARM_CANDIDATES);
    let arcs = match start.columns {
        Some(columns) => {
            let arc = |(i, j)| (j, cost.at(i, j));
            columns.into_iter().enumerate().map(arc).collect()
        }
        None => prices.best_columns(),
    };
    let (supply, demand) = (&problem.x.mass, &problem.y.mass);
    Some(network_simplex::solve(prices, supply, demand, &arcs))
}

/// The reduced cost, relative to the assigned arc, up to which arcs are candidates for an improved
/// assignment.
///
/// The mean violation of complementary slackness measures how far the start is from optimal. Price
/// changes accumulate across the cloud, of size 1, so the margin grows with the ratio of that size
/// to the mean distance between assigned atoms. A margin that is too small costs time, not
/// exactness.
fn warm_margin(cost: &Cost, columns: &[usize], u: &[f64], v: &[f64]) -> f64 {
    let mean = |value: &dyn Fn(usize, usize) -> f64| {
        let values = columns.iter().enumerate().map(|(i, &j)| value(i, j));
        values.sum::<f64>() / columns.len() as f64
    };
    let distance = mean(&|i, j| cost.at(i, j)).sqrt();
    let violation = mean(&|i, j| (cost.at(i, j) - u[i] - v[j]).abs());
    let margin = if violation > 0.0 {
        2.0 * violation * (4.0 + 1.0 / distance)
    } else {
        0.0
    };
    if margin.is_finite() {
        margin
    } else {
        violation
    }
}
