//! The line: for a convex cost of `x - y` the monotone coupling is optimal (the north-west corner rule).

use super::auction::Cloud;
use super::cost::power;
use super::plan::Entries;

/// The plan `(row, column, mass)` and prices with `u_i + v_j <= |x_i - y_j|^p`, equal where mass moves, in
/// `O(n log n + m log m)`.
///
/// Walks the staircase of the two sorted sides. Prices that make all its steps tight are feasible because the cost is a
/// Monge matrix in that order.
pub(super) fn solve(x: &Cloud, y: &Cloud, p: f64) -> (Entries, Vec<f64>, Vec<f64>) {
    let (rows, columns) = (order(&x.points), order(&y.points));
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
            return (plan, u, v);
        }
    }
}

fn order(points: &[f64]) -> Vec<usize> {
    let mut index: Vec<usize> = (0..points.len()).collect();
    index.sort_by(|&i, &j| points[i].total_cmp(&points[j]));
    index
}
