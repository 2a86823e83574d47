//! Choice of the algorithm for a transportation problem.

use super::certificate::{polished_potentials, relative_gap};
use super::cloud::potentials_of_means;
use super::cost::Cost;
use super::cost_matrix::CostMatrix;
use super::masses::Mass;
use super::plan::Solution;
use super::prices::Prices;
use super::problem::{Problem, WarmStart};
use super::{auction, cycle_cancelling, dense, line, network_simplex, shortest_paths};

/// Candidate arcs a row of an assignment problem.
const CANDIDATES: usize = 32;
/// Candidate arcs a row of a cold start of the network simplex method. For 1000 to 5000 atoms in
/// the plane 48 was faster than 32 and 64.
const SIMPLEX_CANDIDATES: usize = 48;
/// Candidate arcs a row of the network simplex method when it starts from near-optimal prices.
const WARM_CANDIDATES: usize = 6;
/// Pivots a node, on average, after which a warm start of the network simplex method is considered
/// far from optimal.
const MAX_WARM_PIVOTS: usize = 16;
/// Pivots a node, on average, to improve an assignment in exact arithmetic. If they do not suffice,
/// as for large exponents, the assignment remains and the gap shows its distance from the optimum.
const MAX_IMPROVING_PIVOTS: usize = 64;
/// Duality gap, relative to the cost, above which the potentials are improved in exact arithmetic.
const TOLERANCE: f64 = 1e-11;
/// Units of length that are tried. Each is below the last one by a factor of at least
/// `2^(-300 / p)`, and one is enough unless p is large or distances differ by 2^300.
const MAX_UNITS: usize = 64;

/// The optimal plan and potentials, from `start` if it is near enough.
///
/// Changes the unit of length of the problem if costs of the optimal plan are below the range of
/// f64 in the current one.
pub(super) fn solve(problem: &mut Problem, mut start: Option<WarmStart>) -> Solution {
    if problem.dim() == 1 {
        return line::solve(problem);
    }
    for _ in 1..MAX_UNITS {
        let solution = solve_in_units(problem, start.take());
        if !problem.refine(solution.plan.iter().map(|&(i, j, _)| (i, j))) {
            return solution;
        }
    }
    solve_in_units(problem, None)
}

fn solve_in_units(problem: &Problem, start: Option<WarmStart>) -> Solution {
    let cost = problem.cost();
    let is_finite = |start: &WarmStart| start.u.iter().chain(&start.v).all(|u| u.is_finite());
    let start = start.filter(is_finite);
    let mut solution = start
        .and_then(|start| solve_warm(problem, &cost, start))
        .or_else(|| solve_dense(problem, &cost))
        .unwrap_or_else(|| solve_cold(problem, &cost));
    let (supply, demand) = (&problem.x.mass, &problem.y.mass);
    let gap = |solution: &Solution| relative_gap(&cost, solution, supply, demand);
    if gap(&solution) > TOLERANCE && problem.is_assignment() {
        solution = improve(&cost, solution, supply, demand);
    }
    let before = gap(&solution);
    if before > TOLERANCE {
        let transposed = Cost::new(
            cost.dim(),
            &problem.y.points,
            &problem.x.points,
            cost.power(),
        );
        let v = &solution.v[..cost.columns()];
        let (u, v) = polished_potentials(&cost, &transposed, v);
        let (old_u, old_v) = (
            std::mem::replace(&mut solution.u, u),
            std::mem::replace(&mut solution.v, v),
        );
        if gap(&solution) > before {
            (solution.u, solution.v) = (old_u, old_v);
        }
    }
    solution
}

/// Continues from an almost optimal solution in exact arithmetic.
fn improve(cost: &Cost, solution: Solution, supply: &[Mass], demand: &[Mass]) -> Solution {
    let arcs: Vec<(usize, usize)> = solution.plan.iter().map(|&(i, j, _)| (i, j)).collect();
    let v = solution.v[..cost.columns()].to_vec();
    let prices = Prices::new(cost, v, WARM_CANDIDATES);
    let max_pivots = MAX_IMPROVING_PIVOTS * (supply.len() + demand.len());
    network_simplex::solve(prices, supply, demand, &arcs, max_pivots).unwrap_or(solution)
}

/// Solves an assignment problem on a stored cost matrix, if that is profitable and within the range
/// of f32.
fn solve_dense(problem: &Problem, cost: &Cost) -> Option<Solution> {
    let supported = CostMatrix::is_supported(problem.dim(), cost.rows(), cost.columns());
    if problem.is_assignment() && supported {
        let potentials = potentials_of_means(&problem.x, &problem.y, cost.power());
        dense::solve(cost, potentials, CANDIDATES)
    } else {
        None
    }
}

/// Solves without a start: near-optimal prices by auction, then an exact method.
fn solve_cold(problem: &Problem, cost: &Cost) -> Solution {
    let (x, y) = (&problem.x, &problem.y);
    let is_assignment = problem.is_assignment();
    let size = if is_assignment {
        CANDIDATES
    } else {
        SIMPLEX_CANDIDATES
    };
    let v = auction::coarse_prices(x, y, cost.power(), size);
    let mut prices = Prices::new(cost, v, size);
    let arcs = auction::epsilon_scaling(&mut prices, &x.mass, &y.mass, !is_assignment);
    if is_assignment {
        return shortest_paths::solve(prices, x.mass.clone(), y.mass.clone());
    }
    let solution = network_simplex::solve(prices, &x.mass, &y.mass, &arcs, usize::MAX);
    solution.expect("the number of pivots is not limited")
}

/// Solves from `start`; `None` if the solution is not near it.
fn solve_warm(problem: &Problem, cost: &Cost, start: WarmStart) -> Option<Solution> {
    let (supply, demand) = (&problem.x.mass, &problem.y.mass);
    if problem.is_assignment() {
        let columns = columns_of_rows(problem, &start.arcs)?;
        let margin = warm_margin(cost, &columns, &start);
        let prices = Prices::around_assignment(cost, start.v, &columns, margin, CANDIDATES);
        return cycle_cancelling::solve(prices, &columns);
    }
    let prices = Prices::new(cost, start.v, WARM_CANDIDATES);
    let max_pivots = MAX_WARM_PIVOTS * (supply.len() + demand.len());
    network_simplex::solve(prices, supply, demand, &start.arcs, max_pivots)
}

/// The column of each row, if the arcs are an assignment.
fn columns_of_rows(problem: &Problem, arcs: &[(usize, usize)]) -> Option<Vec<usize>> {
    let mut columns = vec![None; problem.x.len()];
    let mut is_assigned = vec![false; problem.y.len()];
    for &(i, j) in arcs {
        if columns[i].replace(j).is_some() || std::mem::replace(&mut is_assigned[j], true) {
            return None;
        }
    }
    columns.into_iter().collect()
}

/// The reduced cost, relative to the assigned arc, up to which arcs are candidates for an improved
/// assignment.
///
/// The mean violation of complementary slackness measures how far the start is from optimal. Price
/// changes accumulate across the cloud, of size 1, so the margin grows with the ratio of that size
/// to the mean distance between assigned atoms. A margin that is too small costs time, not
/// exactness.
fn warm_margin(cost: &Cost, columns: &[usize], start: &WarmStart) -> f64 {
    let mean = |value: &dyn Fn(usize, usize) -> f64| {
        let values = columns.iter().enumerate().map(|(i, &j)| value(i, j));
        values.sum::<f64>() / columns.len() as f64
    };
    let distance = mean(&|i, j| cost.at(i, j)).sqrt();
    let violation = mean(&|i, j| (cost.at(i, j) - start.u[i] - start.v[j]).abs());
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
