//! Assignment on a stored cost matrix: augmenting row reduction, then shortest augmenting paths.
//!
//! Source: R. Jonker and A. Volgenant, A shortest augmenting path algorithm for dense and sparse
//! linear assignment problems, Computing 38 (1987). Here each round starts from all free rows.
//!
//! In many dimensions a row of the matrix is read in less time than its distances are computed. The
//! matrix is in f32, so the assignment is optimal up to rounding. The few arcs that rounding cannot
//! exclude become candidates, with which the assignment is made optimal in f64.

use super::cost::{Cost, padded};
use super::cost_matrix::CostMatrix;
use super::cycle_cancelling;
use super::plan::Solution;
use super::prices::{CandidateList, Prices};
use super::stored_rows::{Below, Forest, Nearest, TwoLeast};
use crate::numeric::simd::dispatch;

/// The null index: no row or column.
const NONE: usize = usize::MAX;
/// Steps of row reduction a row, on average, after which the free rows are left to shortest paths.
const MAX_REDUCTIONS: usize = 8;
/// Candidates exceed the assigned arc by at most this multiple of the rounding error in f32.
const MARGIN: f64 = 32.0;
/// Arcs a row, on average, that rounding cannot exclude. More occur if some distances are much
/// longer than most, and then costs in f32 decide little.
const MAX_CANDIDATES: usize = 256;

/// The optimal assignment, from given potentials; `None` if costs of a large exponent exceed the
/// range of f32, or if rounding errors left the assignment in f32 too far from optimal.
pub(super) fn solve(
    cost: &Cost,
    potentials: (Vec<f64>, Vec<f64>),
    list_size: usize,
) -> Option<Solution> {
    // The square root leaves room for sums of costs along a path.
    if cost.largest() > f64::from(f32::MAX).sqrt() {
        return None;
    }
    let assignment = ApproximateAssignment::new(cost, potentials);
    let prices = assignment.prices(cost, list_size)?;
    cycle_cancelling::solve(prices, &assignment.column)
}

/// A complete assignment that is optimal up to rounding in f32, with the prices of its columns.
#[derive(Debug)]
struct ApproximateAssignment {
    /// The initial potentials of rows and columns.
    initial: (Vec<f64>, Vec<f64>),
    /// The costs reduced by the initial potentials.
    costs: CostMatrix,
    /// The changes of the prices, `-inf` in the padding.
    v: Vec<f32>,
    /// The column of each row.
    column: Vec<usize>,
    /// The row of each column.
    row: Vec<usize>,
}

impl ApproximateAssignment {
    fn new(cost: &Cost, initial: (Vec<f64>, Vec<f64>)) -> Self {
        let n = cost.rows();
        let mut costs = CostMatrix::new(cost, &initial.0, &padded(initial.1.clone()));
        let v = std::mem::take(&mut costs.least);
        let mut assignment = Self {
            initial,
            costs,
            v,
            column: vec![NONE; n],
            row: vec![NONE; n],
        };
        let free = assignment.reduce_rows();
        assignment.augment(free);
        assignment
    }

    /// The prices with, for each row, all arcs that may be better than the assigned one in f64;
    /// `None` if their number exceeds [`MAX_CANDIDATES`] a row on average.
    fn prices<'a>(&self, cost: &'a Cost<'a>, size: usize) -> Option<Prices<'a>> {
        let n = self.column.len();
        let (initial_u, initial_v) = &self.initial;
        let changes: Vec<f64> = self.v[..n].iter().map(|&v| f64::from(v)).collect();
        let v: Vec<f64> = initial_v
            .iter()
            .zip(&changes)
            .map(|(v, change)| v + change)
            .collect();
        let pairs = self.column.iter().enumerate();
        let u: Vec<f64> = pairs.map(|(i, &j)| cost.at(i, j) - v[j]).collect();
        let reduced: Vec<f64> = u
            .iter()
            .zip(initial_u)
            .map(|(u, initial)| u - initial)
            .collect();
        let largest = |values: &[f64]| values.iter().fold(0.0_f64, |max, z| max.max(z.abs()));
        let rounding = 2.0 * f64::from(f32::EPSILON) * (largest(&reduced) + largest(&changes));
        let (mut lists, mut arcs) = (Vec::with_capacity(n), 0);
        for (i, u) in u.iter().enumerate() {
            let mut list = CandidateList::below(u + MARGIN * rounding, size);
            let limit = (reduced[i] + (MARGIN + 1.0) * rounding) as f32;
            let found = &mut |j| list.push(j, cost.at(i, j), v[j]);
            dispatch(Below {
                c: self.costs.row(i),
                v: &self.v,
                limit,
                found,
            });
            arcs += list.arcs.len();
            if arcs > MAX_CANDIDATES * n {
                return None;
            }
            lists.push(list);
        }
        Some(Prices::with_lists(cost, v, lists, size))
    }

    /// Augmenting row reduction: assigns each row to its best column, at the price that makes the
    /// second best equal. Returns the rows that remain free.
    fn reduce_rows(&mut self) -> Vec<usize> {
        let n = self.column.len();
        let mut free: Vec<usize> = (0..n).rev().collect();
        let mut remaining = Vec::new();
        for _ in 0..MAX_REDUCTIONS * n {
            let Some(i) = free.pop() else { break };
            let c = self.costs.row(i);
            let (mut j, [least, second]) = dispatch(TwoLeast { c, v: &self.v });
            let is_unique = least < second;
            if is_unique && second.is_finite() {
                self.v[j] -= second - least;
            } else if !is_unique && self.row[j] != NONE {
                // Of several best columns, a free one if possible.
                let is_free_tie = |&k: &usize| self.row[k] == NONE && c[k] - self.v[k] == least;
                j = (0..n).find(is_free_tie).unwrap_or(j);
            }
            let displaced = std::mem::replace(&mut self.row[j], i);
            self.column[i] = j;
            if displaced != NONE {
                self.column[displaced] = NONE;
                if is_unique {
                    free.push(displaced);
                } else {
                    remaining.push(displaced);
                }
            }
        }
        remaining.append(&mut free);
        remaining
    }

    /// Assigns the rows `free` by shortest augmenting paths in reduced costs.
    ///
    /// A round grows a tree from each free row, until it has reached as many free columns as three
    /// quarters of the trees. The trees are disjoint, so that each may augment along its path.
    fn augment(&mut self, free: Vec<usize>) {
        let n = self.column.len();
        let least = |i| {
            dispatch(TwoLeast {
                c: self.costs.row(i),
                v: &self.v,
            })
            .1[0]
        };
        let mut roots: Vec<(usize, f32)> = free.into_iter().map(|i| (i, least(i))).collect();
        let mut forest = Forest {
            distance: vec![f32::INFINITY; self.v.len()],
            parent: vec![0.0; self.v.len()],
        };
        let (mut root, mut is_complete) = (vec![0; n], vec![false; n]);
        let (mut settled, mut ends, mut unsettled) =
            (Vec::with_capacity(n), Vec::new(), Vec::new());
        while !roots.is_empty() {
            // The prices of unsettled columns; -inf for the others.
            unsettled.clone_from(&self.v);
            forest.distance.fill(f32::INFINITY);
            settled.clear();
            let mut nearest = (0, 0.0);
            for &(i, u) in &roots {
                (root[i], is_complete[i]) = (i, false);
                nearest = dispatch(forest.relax(self.costs.row(i), &unsettled, -u, i));
            }
            let mut open = (3 * roots.len()).div_ceil(4);
            let radius = loop {
                let (j, length) = nearest;
                settled.push(nearest);
                unsettled[j] = f32::NEG_INFINITY;
                forest.distance[j] = f32::INFINITY;
                let tree = root[forest.parent[j] as usize];
                let i = self.row[j];
                if i == NONE {
                    if !std::mem::replace(&mut is_complete[tree], true) {
                        ends.push(j);
                    }
                    open -= 1;
                    if open == 0 {
                        break length;
                    }
                    nearest = dispatch(Nearest(&forest.distance));
                } else {
                    root[i] = tree;
                    // The assigned arc has reduced cost zero: u_i = c_ij - v_j.
                    let c = self.costs.row(i);
                    let shift = length - (c[j] - self.v[j]);
                    nearest = dispatch(forest.relax(c, &unsettled, shift, i));
                }
            };
            for &(j, length) in &settled {
                self.v[j] -= radius - length;
            }
            for mut j in ends.drain(..) {
                loop {
                    let i = forest.parent[j] as usize;
                    self.row[j] = i;
                    let previous = std::mem::replace(&mut self.column[i], j);
                    if i == root[i] {
                        break;
                    }
                    j = previous;
                }
            }
            roots.retain(|&(i, _)| !is_complete[i]);
            roots.iter_mut().for_each(|(_, u)| *u += radius);
        }
    }
}
