//! Exact transport by successive shortest paths, many at a time.
//!
//! Kept all along: prices with `u_i + v_j <= c_ij` everywhere and equality where the plan moves mass. A round grows a
//! forest of shortest paths, in reduced costs, from all rows that still have mass. Turned into prices, its distances
//! make every branch tight, so each tree may send mass along its own path, all in one round. Distances beyond the last
//! one settled are cut off there. (The primal-dual method; one path a round is that of R. Jonker and A. Volgenant,
//! Computing 38 (1987).)

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::cost::{LANES, Sink};
use super::plan::{Entries, Plan};
use super::prices::Prices;

const NONE: u32 = u32::MAX;
/// Arcs of a row that are looked at together; the next ones wait in the heap until their distance comes up.
const CHUNK: usize = 6;

/// A shortest-path forest: rows and columns by distance, in one heap.
#[derive(Debug)]
struct Forest {
    row: Vec<Row>,
    column: Vec<Column>,
    /// Distance (its bits: it is >= 0), then a column j, or a row i as `columns + i` for its next arcs.
    heap: BinaryHeap<Reverse<(u64, u32)>>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    distance: f64,
    /// The column before, or none at a root.
    parent: u32,
    root: u32,
    /// Arcs looked at.
    seen: u32,
}

#[derive(Debug, Clone, Copy)]
struct Column {
    distance: f64,
    /// The row before.
    parent: u32,
    settled: bool,
}

/// The optimal plan `(row, column, mass)` from `supply` to `demand`, with prices `u` that certify it beside those in `prices`.
pub(super) fn solve(
    prices: &mut Prices,
    mut supply: Vec<i64>,
    mut demand: Vec<i64>,
) -> (Entries, Vec<f64>) {
    let mut plan = Plan::new(demand.len());
    let mut u = Vec::with_capacity(supply.len());
    for i in 0..supply.len() {
        let best = prices.best_now(i);
        let j = best.arc.column as usize;
        u.push(best.value);
        let mass = supply[i].min(demand[j]);
        if mass > 0 {
            plan.add(i as u32, j, mass);
            supply[i] -= mass;
            demand[j] -= mass;
        }
    }
    let (n, m) = (supply.len(), demand.len());
    let row = Row {
        distance: f64::INFINITY,
        parent: NONE,
        root: NONE,
        seen: 0,
    };
    let column = Column {
        distance: f64::INFINITY,
        parent: NONE,
        settled: false,
    };
    let mut forest = Forest {
        row: vec![row; n],
        column: vec![column; m],
        heap: BinaryHeap::new(),
    };
    loop {
        let roots: Vec<u32> = (0..n as u32).filter(|&i| supply[i as usize] > 0).collect();
        if roots.is_empty() {
            return (plan.entries(), u);
        }
        forest.row.fill(row);
        forest.column.fill(column);
        forest.heap.clear();
        let (free, end) = forest.grow(prices, &u, &plan, &roots, &demand);
        forest.reprice(prices, &mut u, end);
        for &j in &free {
            forest.send(&mut plan, &mut supply, &mut demand, j as usize);
        }
        forest.renew_lists(prices, end);
    }
}

impl Forest {
    /// Grows until columns with free room are reached, one for most of the trees: those columns, and the distance covered.
    fn grow(
        &mut self,
        prices: &mut Prices,
        u: &[f64],
        plan: &Plan,
        roots: &[u32],
        demand: &[i64],
    ) -> (Vec<u32>, f64) {
        let m = self.column.len();
        let mut free = Vec::new();
        let mut end = 0.0;
        for &i in roots {
            self.reach(prices, u, i as usize, 0.0, NONE, i);
        }
        while let Some(Reverse((distance, at))) = self.heap.pop() {
            end = f64::from_bits(distance);
            let at = at as usize;
            if at >= m {
                let i = at - m;
                if self.row[i].seen as usize == prices.lists[i].arcs.len() {
                    if !free.is_empty() {
                        // enough for this round, which will change prices and so make the list shorter
                        self.heap.push(Reverse((distance, (m + i) as u32)));
                        break;
                    }
                    self.look_at_all(prices, u, i);
                } else {
                    self.look(prices, u, i);
                }
            } else if !self.column[at].settled {
                self.column[at].settled = true;
                let root = self.row[self.column[at].parent as usize].root;
                if demand[at] > 0 {
                    free.push(at as u32);
                    if 4 * free.len() >= 3 * roots.len() {
                        break;
                    }
                }
                for (i, _) in plan.column(at) {
                    if self.row[i as usize].distance == f64::INFINITY {
                        self.reach(prices, u, i as usize, end, at as u32, root);
                    }
                }
            }
        }
        (free, end)
    }

    fn reach(
        &mut self,
        prices: &Prices,
        u: &[f64],
        i: usize,
        distance: f64,
        parent: u32,
        root: u32,
    ) {
        self.row[i] = Row {
            distance,
            parent,
            root,
            seen: 0,
        };
        self.look(prices, u, i);
    }

    /// Looks at the next arcs of row `i`.
    #[inline]
    fn look(&mut self, prices: &Prices, u: &[f64], i: usize) {
        let list = &prices.lists[i];
        let Row { distance, seen, .. } = self.row[i];
        let end = (seen as usize + CHUNK).min(list.arcs.len());
        for arc in &list.arcs[seen as usize..end] {
            let j = arc.column as usize;
            let there = distance + (arc.cost - u[i] - prices.v[j]).max(0.0);
            if there < self.column[j].distance {
                self.column[j].distance = there;
                self.column[j].parent = i as u32;
                self.heap.push(Reverse((there.to_bits(), arc.column)));
            }
        }
        self.row[i].seen = end as u32;
        let next = list.arcs.get(end).map_or(list.rest, |arc| arc.bound);
        if next < f64::INFINITY {
            let there = distance + (next - u[i]).max(0.0);
            self.heap
                .push(Reverse((there.to_bits(), (self.column.len() + i) as u32)));
        }
    }

    /// Looks at every column from row `i`, whose list is at its end: costs are computed, nothing is kept.
    fn look_at_all(&mut self, prices: &Prices, u: &[f64], i: usize) {
        let shift = self.row[i].distance - u[i];
        prices.cost.visit(
            &[i as u32],
            &prices.v,
            &mut Relax {
                forest: self,
                shift,
            },
        );
    }

    /// `u_i += (end - distance_i)_+` and `v_j -= (end - distance_j)_+`.
    fn reprice(&self, prices: &mut Prices, u: &mut [f64], end: f64) {
        for (u, row) in u.iter_mut().zip(&self.row) {
            *u += (end - row.distance).max(0.0);
        }
        for (v, column) in prices.v.iter_mut().zip(&self.column) {
            if column.settled {
                *v -= (end - column.distance).max(0.0);
            }
        }
        prices.version += 1;
    }

    /// Sends what fits from the root to the free column `j` along its branch.
    fn send(&self, plan: &mut Plan, supply: &mut [i64], demand: &mut [i64], j: usize) {
        let root = self.row[self.column[j].parent as usize].root as usize;
        let mut mass = supply[root].min(demand[j]);
        let mut i = self.column[j].parent;
        while mass > 0 && self.row[i as usize].parent != NONE {
            let j = self.row[i as usize].parent as usize;
            mass = mass.min(plan.mass(i, j));
            i = self.column[j].parent;
        }
        if mass == 0 {
            return;
        }
        supply[root] -= mass;
        demand[j] -= mass;
        let mut j = j;
        loop {
            let i = self.column[j].parent;
            plan.add(i, j, mass);
            let parent = self.row[i as usize].parent;
            if parent == NONE {
                return;
            }
            j = parent as usize;
            plan.add(i, j, -mass);
        }
    }

    /// Makes the lists again that ended within one and a half times the distance covered.
    fn renew_lists(&mut self, prices: &mut Prices, end: f64) {
        let m = self.column.len();
        let mut rows = Vec::new();
        while let Some(Reverse((distance, at))) = self.heap.pop() {
            if f64::from_bits(distance) > 1.5 * end {
                break;
            }
            if let Some(i) = (at as usize).checked_sub(m)
                && self.row[i].seen as usize == prices.lists[i].arcs.len()
            {
                prices.lists[i].size = prices.size;
                rows.push(i as u32);
            }
        }
        rows.sort_unstable();
        rows.dedup();
        prices.refresh(&rows);
    }
}

/// Shortens distances over the arcs of one row.
struct Relax<'a> {
    forest: &'a mut Forest,
    /// `distance_i - u_i`.
    shift: f64,
}

impl Sink for Relax<'_> {
    #[inline(always)]
    fn tile(&mut self, i: usize, j0: usize, _: &[f64; LANES], b: &[f64; LANES]) {
        let from = self.forest.row[i].distance;
        for (j, &b) in (j0..self.forest.column.len()).zip(b) {
            let there = (self.shift + b).max(from);
            let column = &mut self.forest.column[j];
            if there < column.distance {
                column.distance = there;
                column.parent = i as u32;
                self.forest.heap.push(Reverse((there.to_bits(), j as u32)));
            }
        }
    }
}
