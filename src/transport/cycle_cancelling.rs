//! Optimal assignment from a near-optimal one by cancelling negative cycles; the warm start of
//! assignment problems.
//!
//! Row i is assigned to column s(i), and `u_i = c_i,s(i) - v_s(i)`. An arc with `c_ij - v_j < u_i`
//! is violated. Label correction lowers `v_j` to `c_ij - u_i`, which increases `u` of the row
//! assigned to j and may violate its arcs in turn. These are the labels of the Bellman-Ford method
//! with a first-in-first-out queue on the residual graph. If the parent pointers close a cycle, its
//! cost is negative, and exchanging the columns along it decreases the total cost. At the end no
//! arc is violated beyond the tolerance.
//!
//! Sources: M. Klein, A primal method for minimal cost flows, Manag. Sci. 14 (1967); of the search
//! in the graph of parents, B. V. Cherkassky and A. V. Goldberg, Negative-cycle detection
//! algorithms, Math. Program. 85 (1999).

use std::collections::VecDeque;

use super::certificate::feasible_rows;
use super::plan::Solution;
use super::prices::Prices;

/// The null index: no row.
const NONE: usize = usize::MAX;
/// Scans a row, on average, after which the assignment is considered far from optimal.
const MAX_SCANS: usize = 64;
/// Violations below this multiple of the cost and the potentials of the arc are attributed to
/// rounding.
const TOLERANCE: f64 = 4.0 * f64::EPSILON;

/// The current assignment and the state of the label-correcting search.
#[derive(Debug)]
struct CorrectedAssignment {
    /// The column of each row, s(i).
    column: Vec<usize>,
    /// The row of each column.
    row: Vec<usize>,
    /// The costs `c_i,s(i)`.
    cost: Vec<f64>,
    /// The row that last lowered the price of a column.
    parent: Vec<usize>,
    /// Rows to scan.
    queue: VecDeque<usize>,
    is_queued: Vec<bool>,
}

/// The optimal assignment, starting from row i assigned to `columns[i]`; `None` after too many
/// scans.
pub(super) fn solve(mut prices: Prices, columns: &[usize]) -> Option<Solution> {
    let n = columns.len();
    let own_cost = |(i, &j): (usize, &usize)| prices.cost.at(i, j);
    let mut assignment = CorrectedAssignment {
        column: columns.to_vec(),
        row: vec![NONE; n],
        cost: columns.iter().enumerate().map(own_cost).collect(),
        parent: vec![NONE; n],
        queue: (0..n).collect(),
        is_queued: vec![true; n],
    };
    for (i, &j) in columns.iter().enumerate() {
        assignment.row[j] = i;
    }
    let mut scans = 0;
    while let Some(i) = assignment.queue.pop_front() {
        assignment.is_queued[i] = false;
        assignment.scan(&mut prices, i);
        scans += 1;
        if scans % n == 0 {
            assignment.cancel_cycles(&prices);
        }
        if scans == MAX_SCANS * n {
            return None;
        }
    }
    let pairs = assignment.column.into_iter().enumerate();
    Some(Solution {
        plan: pairs.map(|(i, j)| (i, j, 1)).collect(),
        u: feasible_rows(&prices),
        v: prices.v,
    })
}

impl CorrectedAssignment {
    /// Lowers the prices of the columns whose arcs from row `i` are violated.
    fn scan(&mut self, prices: &mut Prices, i: usize) {
        let v = prices.v[self.column[i]];
        let u = self.cost[i] - v;
        let limit = u - TOLERANCE * (self.cost[i] + v.abs());
        while prices.lists[i].omitted_bound < limit {
            prices.extend(i);
        }
        let arcs = prices.lists[i].arcs.iter();
        for arc in arcs.take_while(|arc| arc.bound < limit) {
            let j = arc.column as usize;
            let v = prices.v[j];
            if arc.cost - v < limit - TOLERANCE * (arc.cost + v.abs()) {
                prices.v[j] = arc.cost - u;
                self.parent[j] = i;
                self.enqueue(self.row[j]);
            }
        }
    }

    /// Adds a row to the queue, once.
    fn enqueue(&mut self, i: usize) {
        if !std::mem::replace(&mut self.is_queued[i], true) {
            self.queue.push_back(i);
        }
    }

    /// Cancels the cycles of the graph of parents: each of their rows is assigned to the column
    /// whose price it lowered.
    fn cancel_cycles(&mut self, prices: &Prices) {
        let n = self.column.len();
        let mut visited_from = vec![NONE; n];
        let mut any = false;
        for start in 0..n {
            let mut i = start;
            while i != NONE && visited_from[i] == NONE {
                visited_from[i] = start;
                i = self.parent[self.column[i]];
            }
            if i == NONE || visited_from[i] != start {
                continue;
            }
            // Along the cycle, the column of each row passes to the parent of that column.
            let (first, mut j) = (i, self.column[i]);
            loop {
                let i = self.parent[j];
                let previous = std::mem::replace(&mut self.column[i], j);
                self.row[j] = i;
                self.cost[i] = prices.cost.at(i, j);
                self.enqueue(i);
                if i == first {
                    break;
                }
                j = previous;
            }
            any = true;
        }
        if any {
            self.parent.fill(NONE);
        }
    }
}
