//! An optimal assignment from one that is near, with prices that are nearly feasible.
//!
//! Row i holds column s(i) and sets `u_i = c_i,s(i) - v_s(i)`. Where `c_ij - v_j < u_i` for another column, the price `v_j`
//! falls to `c_ij - u_i`, which raises `u` of the row that holds j, and so on. If this comes back to a column that it started from,
//! the rows around that cycle are better off with each other's columns, and take them. Prices `v` only fall and `u` only
//! rise; at the end no arc violates them. (Label-correcting shortest paths, and M. Klein, A primal method for minimal cost
//! flows, Manag. Sci. 14 (1967).)

use std::collections::VecDeque;

use super::plan::Entries;
use super::prices::Prices;

const NONE: usize = usize::MAX;
/// Looks at a row, on average, after which the start was not near.
const LOOKS: usize = 64;

/// The assignment on its way, and what it takes to improve it.
#[derive(Debug)]
struct Repair {
    column: Vec<usize>,
    row: Vec<usize>,
    /// `c_i,s(i)`.
    own: Vec<f64>,
    /// The row that last lowered the price of a column.
    parent: Vec<usize>,
    /// Rows whose arcs are to be looked at.
    queue: VecDeque<usize>,
    queued: Vec<bool>,
}

/// The optimal plan with prices `u` that certify it beside those in `prices`; `None` when `columns` are not near.
pub(super) fn solve(prices: &mut Prices, columns: &[usize]) -> Option<(Entries, Vec<f64>)> {
    let n = columns.len();
    let mut repair = Repair {
        column: columns.to_vec(),
        row: vec![NONE; n],
        own: columns
            .iter()
            .enumerate()
            .map(|(i, &j)| prices.cost.at(i, j))
            .collect(),
        parent: vec![NONE; n],
        queue: (0..n).collect(),
        queued: vec![true; n],
    };
    for (i, &j) in columns.iter().enumerate() {
        repair.row[j] = i;
    }
    let size = repair
        .own
        .iter()
        .chain(&prices.v[..n])
        .fold(0.0, |size: f64, value| size.max(value.abs()));
    let tolerance = 32.0 * f64::EPSILON * size;
    let mut looks = 0;
    while let Some(i) = repair.queue.pop_front() {
        repair.queued[i] = false;
        repair.look(prices, i, tolerance);
        looks += 1;
        if looks % n == 0 {
            repair.turn_cycles(prices);
        }
        if looks == LOOKS * n {
            return None;
        }
    }
    let u = (0..n).map(|i| prices.best_now(i).value).collect();
    Some((
        repair
            .column
            .into_iter()
            .enumerate()
            .map(|(i, j)| (i, j, 1))
            .collect(),
        u,
    ))
}

impl Repair {
    /// Lowers the prices that the arcs of row `i` violate.
    fn look(&mut self, prices: &mut Prices, i: usize, tolerance: f64) {
        let u = self.own[i] - prices.v[self.column[i]];
        let limit = u - tolerance;
        while prices.lists[i].rest < limit {
            prices.extend(i);
        }
        for arc in prices.lists[i]
            .arcs
            .iter()
            .take_while(|arc| arc.bound < limit)
        {
            let j = arc.column as usize;
            if arc.cost - prices.v[j] < limit {
                prices.v[j] = arc.cost - u;
                self.parent[j] = i;
                self.push(self.row[j]);
            }
        }
    }

    fn push(&mut self, i: usize) {
        if !std::mem::replace(&mut self.queued[i], true) {
            self.queue.push_back(i);
        }
    }

    /// Where parents form a cycle, every row on it takes the column whose price it lowered.
    fn turn_cycles(&mut self, prices: &Prices) {
        let n = self.column.len();
        let mut seen = vec![NONE; n];
        let mut turned = false;
        for start in 0..n {
            let mut i = start;
            while i != NONE && seen[i] == NONE {
                seen[i] = start;
                i = self.parent[self.column[i]];
            }
            if i == NONE || seen[i] != start {
                continue;
            }
            // from row to row along the cycle, each hands its column to the parent of that column
            let (first, mut j) = (i, self.column[i]);
            loop {
                let i = self.parent[j];
                let before = std::mem::replace(&mut self.column[i], j);
                self.row[j] = i;
                self.own[i] = prices.cost.at(i, j);
                self.push(i);
                if i == first {
                    break;
                }
                j = before;
            }
            turned = true;
        }
        if turned {
            self.parent.fill(NONE);
        }
    }
}
