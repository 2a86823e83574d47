//! Transport on the line: the monotone coupling by the north-west corner rule.
//!
//! It is optimal for a convex cost of `x - y`, because the costs of sorted atoms are a Monge
//! matrix. Source: A. J. Hoffman, On simple linear programming problems, Proc. Symp. Pure Math. 7
//! (1963).

use super::cost::{Cost, Rounding};
use super::grid::{Grid, weighted_median};
use super::masses::Mass;
use super::plan::{Entries, Solution};
use super::problem::Problem;

/// The optimal plan and potentials, in `O(n log n + m log m)`.
///
/// The plan visits the cells of a monotone staircase in the sorted cost matrix. Potentials that
/// make each of these cells tight are feasible by the Monge property: `u_i + v_j` is an alternating
/// sum of the costs of the cells between row i and column j, which exceeds `c_ij` by at most the
/// sum of their errors. Integers represent the potentials, so that only the costs have errors. With
/// the sums of errors P up to each cell, and that up to the cell in the middle of the mass, P_m,
/// each potential is reduced by `|P - P_m|` and the error of its cell, which is feasible by the
/// triangle inequality.
pub(super) fn solve(problem: &mut Problem) -> Solution {
    let (plan, cells) = staircase(problem);
    // Only the costs of these cells matter.
    problem.fit(cells.iter().copied());
    let (x, y) = (&problem.x.points, &problem.y.points);
    let cost = problem.cost();
    let at = |&(i, j): &(usize, usize)| cost.at(i, j);
    let grid = Grid::new(cells.iter().map(at).fold(0.0, f64::max));
    let (mut u, mut v) = (vec![0_i128; x.len()], vec![0_i128; y.len()]);
    let (mut error_of_row, mut error_of_column) = (u.clone(), v.clone());
    let middle = middle_cell(&plan, &cells);
    let mut sum = 0_i128;
    let mut errors = Vec::with_capacity(cells.len());
    for &(i, j) in &cells {
        let (_, rounding) = units(&cost, &grid, x[i], y[j]);
        let error = match rounding {
            0.0 => 0,
            _ => (rounding / grid.unit()).ceil() as i128 + 1,
        };
        sum += error;
        errors.push((sum, error));
    }
    let mut previous = None;
    for (&(i, j), &(sum, error)) in cells.iter().zip(&errors) {
        let (c, _) = units(&cost, &grid, x[i], y[j]);
        let reduction = (sum - errors[middle].0).abs() + error;
        if previous == Some(j) {
            u[i] = c - v[j];
            error_of_row[i] = reduction;
        } else {
            v[j] = c - u[i];
            error_of_column[j] = reduction;
        }
        if previous.is_none() {
            error_of_row[i] = reduction;
        }
        previous = Some(j);
    }
    let median = weighted_median(v.iter().copied(), &problem.y.mass);
    Solution {
        plan,
        u: rounded(u.iter().zip(&error_of_row), &grid, median),
        v: rounded(v.iter().zip(&error_of_column), &grid, -median),
    }
}

/// Potentials in f64, reduced by their errors.
fn rounded<'a>(
    potentials: impl Iterator<Item = (&'a i128, &'a i128)>,
    grid: &Grid,
    shift: i128,
) -> Vec<f64> {
    potentials
        .map(|(u, error)| grid.floor(u + shift - error))
        .collect()
}

/// The cell of the monotone plan that contains the middle of the mass.
fn middle_cell(plan: &Entries, cells: &[(usize, usize)]) -> usize {
    let total: Mass = plan.iter().map(|entry| entry.2).sum();
    let mut below = 0;
    let entry = plan.iter().find(|entry| {
        below += entry.2;
        2 * below >= total
    });
    let cell = entry.map(|&(i, j, _)| (i, j));
    cells.iter().position(|&at| Some(at) == cell).unwrap_or(0)
}

/// The monotone plan, and the cells of its staircase, each in the row or column of the last one.
fn staircase(problem: &Problem) -> (Entries, Vec<(usize, usize)>) {
    let (x, y) = (&problem.x, &problem.y);
    let (rows, columns) = (sorted(&x.points), sorted(&y.points));
    let (mut supply, mut demand) = (x.mass.clone(), y.mass.clone());
    let mut plan = Vec::with_capacity(rows.len() + columns.len());
    let mut cells = Vec::with_capacity(rows.len() + columns.len());
    let (mut r, mut s) = (0, 0);
    loop {
        let (i, j) = (rows[r], columns[s]);
        cells.push((i, j));
        let mass = supply[i].min(demand[j]);
        if mass > 0 {
            plan.push((i, j, mass));
            supply[i] -= mass;
            demand[j] -= mass;
        }
        if supply[i] == 0 && r + 1 < rows.len() {
            r += 1;
        } else if s + 1 < columns.len() {
            s += 1;
        } else {
            return (plan, cells);
        }
    }
}

/// The cost in units of the grid, and a bound of its error.
///
/// For p = 1 and 2 the difference `high + low` of the points is exact, and its powers have an error
/// of some units of the grid.
fn units(cost: &Cost, grid: &Grid, x: f64, y: f64) -> (i128, f64) {
    let (high, low) = crate::numeric::double_double::two_sum(x, -y);
    let (high, low) = if high < 0.0 {
        (-high, -low)
    } else {
        (high, low)
    };
    if high == 0.0 {
        return (0, 0.0);
    }
    let p = cost.power().p;
    if p == 1.0 {
        return (grid.units(high) + grid.units(low), 2.0 * grid.unit());
    }
    if p == 2.0 {
        let square = high * high;
        let rest = high.mul_add(high, -square) + 2.0 * high * low;
        let error = 2.0 * grid.unit() + f64::EPSILON * rest.abs() + low * low;
        return (
            grid.units(square) + grid.units(rest),
            error + f64::MIN_POSITIVE,
        );
    }
    let c = cost.power().cost(high * high);
    (
        grid.units(c),
        grid.unit() + Rounding::of(cost).largest(c, 0.0),
    )
}

/// The indices of the points in ascending order.
fn sorted(points: &[f64]) -> Vec<usize> {
    let mut index: Vec<usize> = (0..points.len()).collect();
    index.sort_by(|&i, &j| points[i].total_cmp(&points[j]));
    index
}
