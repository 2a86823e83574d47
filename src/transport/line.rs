//! Transport on the line: the monotone coupling by the north-west corner rule.
//!
//! It is optimal for a convex cost of `x - y`, because the costs of sorted atoms are a Monge
//! matrix. Source: A. J. Hoffman, On simple linear programming problems, Proc. Symp. Pure Math. 7
//! (1963).

use super::cloud::Cloud;
use super::cost::power;
use super::plan::Solution;

/// The optimal plan and potentials for the cost `|x_i - y_j|^p`, in `O(n log n + m log m)`.
///
/// The plan visits the cells of a monotone staircase in the sorted cost matrix. Potentials that
/// make each of these cells tight are feasible by the Monge property.
pub(super) fn solve(x: &Cloud, y: &Cloud, p: f64) -> Solution {
    let (rows, columns) = (sorted(&x.points), sorted(&y.points));
    let cost = |i: usize, j: usize| power((x.points[i] - y.points[j]).powi(2), p);
    let (mut supply, mut demand) = (x.mass.clone(), y.mass.clone());
    let (mut u, mut v) = (vec![0.0; rows.len()], vec![0.0; columns.len()]);
    let mut plan = Vec::with_capacity(rows.len() + columns.len());
    let (mut r, mut s) = (0, 0);
    v[columns[0]] = cost(rows[0], columns[0]);
    loop {
        let (i, j) = (rows[r], columns[s]);
        let mass = supply[i].min(demand[j]);
        if mass > 0 {
            plan.push((i, j, mass));
            supply[i] -= mass;
            demand[j] -= mass;
        }
        if supply[i] == 0 && r + 1 < rows.len() {
            r += 1;
            u[rows[r]] = cost(rows[r], j) - v[j];
        } else if s + 1 < columns.len() {
            s += 1;
            v[columns[s]] = cost(i, columns[s]) - u[i];
        } else {
            return Solution { plan, u, v };
        }
    }
}

/// The indices of the points in ascending order.
fn sorted(points: &[f64]) -> Vec<usize> {
    let mut index: Vec<usize> = (0..points.len()).collect();
    index.sort_by(|&i, &j| points[i].total_cmp(&points[j]));
    index
}
