//! Exact transport by successive shortest augmenting paths, several in each round (the primal-dual
//! method).
//!
//! Invariants: `u_i + v_j <= c_ij` for all arcs, with equality where the plan moves mass. A round
//! runs Dijkstra's algorithm on the reduced costs of the residual graph, from all rows with
//! remaining supply, and grows one tree from each. Distances added to the potentials make every
//! branch tight, so that each tree augments along its own path. Distances are cut off at the radius
//! of the search, the distance of the last settled column.
//!
//! Source: R. Jonker and A. Volgenant, A shortest augmenting path algorithm for dense and sparse
//! linear assignment problems, Computing 38 (1987), with one path a round.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::certificate::feasible_rows;
use super::cost::{LANES, Sink};
use super::masses::Mass;
use super::plan::{Plan, Solution};
use super::prices::Prices;

/// The null index: no row or column.
const NONE: u32 = u32::MAX;
/// Arcs of a row that are scanned together; the next ones wait in the heap until the search reaches
/// their distance.
const CHUNK: usize = 6;
/// Lists that ended within this multiple of the search radius are rebuilt after the round.
const REBUILD_RADIUS: f64 = 1.5;

/// The shortest-path trees of one round: labels of rows and columns, with one heap for both.
#[derive(Debug)]
struct ShortestPaths {
    row: Vec<RowLabel>,
    column: Vec<ColumnLabel>,
    /// Distances, as the bits of a number `>= 0`, with a column j, or with `columns + i` for the
    /// next arcs of row i.
    heap: BinaryHeap<Reverse<(u64, u32)>>,
}

#[derive(Debug, Clone, Copy)]
struct RowLabel {
    distance: f64,
    /// The preceding column; null at a root.
    parent: u32,
    root: u32,
    /// Number of arcs scanned.
    scanned: u32,
}

impl RowLabel {
    const UNREACHED: Self = Self {
        distance: f64::INFINITY,
        parent: NONE,
        root: NONE,
        scanned: 0,
    };
}

#[derive(Debug, Clone, Copy)]
struct ColumnLabel {
    distance: f64,
    /// The preceding row.
    parent: u32,
    settled: bool,
}

impl ColumnLabel {
    const UNREACHED: Self = Self {
        distance: f64::INFINITY,
        parent: NONE,
        settled: false,
    };
}

/// The optimal plan from `supply` to `demand` with its potentials.
pub(super) fn solve(mut prices: Prices, mut supply: Vec<Mass>, mut demand: Vec<Mass>) -> Solution {
    let (n, m) = (supply.len(), demand.len());
    let mut plan = Plan::new(m);
    let mut u = Vec::with_capacity(n);
    for i in 0..n {
        let best = prices.best(i);
        let j = best.arc.column as usize;
        u.push(best.value);
        let mass = supply[i].min(demand[j]);
        if mass > 0 {
            plan.add(i as u32, j, mass);
            supply[i] -= mass;
            demand[j] -= mass;
        }
    }
    let mut paths = ShortestPaths {
        row: vec![RowLabel::UNREACHED; n],
        column: vec![ColumnLabel::UNREACHED; m],
        heap: BinaryHeap::new(),
    };
    loop {
        let roots: Vec<u32> = (0..n as u32).filter(|&i| supply[i as usize] > 0).collect();
        if roots.is_empty() {
            return Solution {
                plan: plan.entries(),
                u: feasible_rows(&prices),
                v: prices.v,
            };
        }
        paths.row.fill(RowLabel::UNREACHED);
        paths.column.fill(ColumnLabel::UNREACHED);
        paths.heap.clear();
        let (sinks, radius) = paths.search(&prices, &u, &plan, &roots, &demand);
        paths.update_potentials(&mut prices, &mut u, radius);
        for &j in &sinks {
            paths.augment(&mut plan, &mut supply, &mut demand, j as usize);
        }
        paths.rebuild_exhausted_lists(&mut prices, radius);
    }
}

impl ShortestPaths {
    /// Searches for columns with remaining demand, until their number is three quarters of that of
    /// the trees or an exhausted list would require a scan of all columns.
    ///
    /// Returns these columns and the radius of the search.
    fn search(
        &mut self,
        prices: &Prices,
        u: &[f64],
        plan: &Plan,
        roots: &[u32],
        demand: &[Mass],
    ) -> (Vec<u32>, f64) {
        let m = self.column.len();
        let mut sinks = Vec::new();
        let mut radius = 0.0;
        for &i in roots {
            let label = RowLabel {
                distance: 0.0,
                root: i,
                ..RowLabel::UNREACHED
            };
            self.reach_row(prices, u, i as usize, label);
        }
        while let Some(Reverse((distance, node))) = self.heap.pop() {
            radius = f64::from_bits(distance);
            let node = node as usize;
            if node >= m {
                let i = node - m;
                if (self.row[i].scanned as usize) < prices.lists[i].arcs.len() {
                    self.scan_next_arcs(prices, u, i);
                } else if sinks.is_empty() {
                    self.scan_all_columns(prices, u, i);
                } else {
                    // Augmenting now is cheaper than a scan of all columns: it changes prices, and
                    // the rebuilt list then decides more.
                    self.heap.push(Reverse((distance, node as u32)));
                    break;
                }
            } else if !self.column[node].settled {
                self.column[node].settled = true;
                let root = self.row[self.column[node].parent as usize].root;
                if demand[node] > 0 {
                    sinks.push(node as u32);
                    if 4 * sinks.len() >= 3 * roots.len() {
                        break;
                    }
                }
                for (i, _) in plan.column(node) {
                    if self.row[i as usize].distance == f64::INFINITY {
                        let label = RowLabel {
                            distance: radius,
                            parent: node as u32,
                            root,
                            scanned: 0,
                        };
                        self.reach_row(prices, u, i as usize, label);
                    }
                }
            }
        }
        (sinks, radius)
    }

    /// Labels row `i` and scans its first arcs.
    fn reach_row(&mut self, prices: &Prices, u: &[f64], i: usize, label: RowLabel) {
        self.row[i] = label;
        self.scan_next_arcs(prices, u, i);
    }

    /// Relaxes the next arcs of row `i`, and schedules those that follow.
    #[inline]
    fn scan_next_arcs(&mut self, prices: &Prices, u: &[f64], i: usize) {
        let list = &prices.lists[i];
        let RowLabel {
            distance, scanned, ..
        } = self.row[i];
        let end = (scanned as usize + CHUNK).min(list.arcs.len());
        for arc in &list.arcs[scanned as usize..end] {
            let j = arc.column as usize;
            let length = distance + (arc.cost - u[i] - prices.v[j]).max(0.0);
            self.relax(i, j, length);
        }
        self.row[i].scanned = end as u32;
        let next = list
            .arcs
            .get(end)
            .map_or(list.omitted_bound, |arc| arc.bound);
        if next < f64::INFINITY {
            let length = distance + (next - u[i]).max(0.0);
            let node = (self.column.len() + i) as u32;
            self.heap.push(Reverse((length.to_bits(), node)));
        }
    }

    /// Relaxes the arcs from row `i` to all columns after its list is exhausted; the computed costs
    /// are not stored.
    fn scan_all_columns(&mut self, prices: &Prices, u: &[f64], i: usize) {
        let shift = self.row[i].distance - u[i];
        let mut relax = RelaxTiles { paths: self, shift };
        prices.cost.visit(&[i as u32], &prices.v, &mut relax);
    }

    /// Lowers the distance of column `j` to `length`, via row `i`, if that is shorter.
    #[inline(always)]
    fn relax(&mut self, i: usize, j: usize, length: f64) {
        let column = &mut self.column[j];
        if length < column.distance {
            column.distance = length;
            column.parent = i as u32;
            self.heap.push(Reverse((length.to_bits(), j as u32)));
        }
    }

    /// Updates the potentials: `u_i += (radius - distance_i)_+`, `v_j -= (radius - distance_j)_+`.
    fn update_potentials(&self, prices: &mut Prices, u: &mut [f64], radius: f64) {
        for (u, row) in u.iter_mut().zip(&self.row) {
            *u += (radius - row.distance).max(0.0);
        }
        for (v, column) in prices.v.iter_mut().zip(&self.column) {
            if column.settled {
                *v -= (radius - column.distance).max(0.0);
            }
        }
        prices.version += 1;
    }

    /// Augments the plan along the path from the root to column `sink` by the bottleneck mass,
    /// which may be zero.
    fn augment(&self, plan: &mut Plan, supply: &mut [Mass], demand: &mut [Mass], sink: usize) {
        let mut i = self.column[sink].parent;
        let root = self.row[i as usize].root as usize;
        let mut mass = supply[root].min(demand[sink]);
        while mass > 0 && self.row[i as usize].parent != NONE {
            let j = self.row[i as usize].parent as usize;
            mass = mass.min(plan.mass(i, j));
            i = self.column[j].parent;
        }
        if mass == 0 {
            return;
        }
        supply[root] -= mass;
        demand[sink] -= mass;
        let mut j = sink;
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

    /// Rebuilds the lists that were exhausted within [`REBUILD_RADIUS`] times the radius of the
    /// search.
    fn rebuild_exhausted_lists(&mut self, prices: &mut Prices, radius: f64) {
        let m = self.column.len();
        let mut rows = Vec::new();
        while let Some(Reverse((distance, node))) = self.heap.pop() {
            if f64::from_bits(distance) > REBUILD_RADIUS * radius {
                break;
            }
            if let Some(i) = (node as usize).checked_sub(m)
                && self.row[i].scanned as usize == prices.lists[i].arcs.len()
            {
                prices.lists[i].size = prices.size;
                rows.push(i as u32);
            }
        }
        rows.sort_unstable();
        rows.dedup();
        prices.rebuild(&rows);
    }
}

/// Relaxes the arcs of one row to whole tiles of columns.
struct RelaxTiles<'a> {
    paths: &'a mut ShortestPaths,
    /// `distance_i - u_i`.
    shift: f64,
}

impl Sink for RelaxTiles<'_> {
    #[inline(always)]
    fn tile(&mut self, i: usize, j0: usize, _: &[f64; LANES], b: &[f64; LANES]) {
        let distance = self.paths.row[i].distance;
        for (j, &b) in (j0..self.paths.column.len()).zip(b) {
            self.paths.relax(i, j, (self.shift + b).max(distance));
        }
    }
}
