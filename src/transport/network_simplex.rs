//! Exact transport of unequal masses by the primal network simplex method on candidate arcs.
//!
//! The basis is a spanning tree that carries the plan. An arc of negative reduced cost enters, its
//! cycle carries as much mass as possible, and a blocking arc leaves. An artificial root absorbs
//! what the initial tree does not balance, at a cost M above all others. Pricing searches the
//! candidate lists block by block; the lists are rebuilt until no arc outside of them is violated
//! either (column generation).
//!
//! The leaving arc is chosen such that the basis remains strongly feasible, which prevents cycling.
//! Source: W. H. Cunningham, A network simplex method, Math. Program. 11 (1976).

use super::plan::{Entries, Solution};
use super::prices::Prices;

/// The null index: no node.
const NONE: u32 = u32::MAX;
/// Rounding error of a reduced cost relative to the largest potential, with a safety factor.
const ROUNDING: f64 = 16.0 * f64::EPSILON;

/// A value `big M + rest` in lexicographic order. A numeric M would absorb the low digits of
/// `rest`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct BigM {
    big: i32,
    rest: f64,
}

/// A node of the spanning tree with the arc to its parent.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// The potential: an arc from a to b has the reduced cost `c - y_a + y_b`, so `u_i = y_i` and
    /// `v_j = -y_j`.
    y: BigM,
    parent: u32,
    /// Whether the arc points to the parent.
    up: bool,
    /// Mass on the arc.
    mass: i64,
    /// Cost of the arc.
    cost: f64,
    /// First child; `next` and `previous` are siblings.
    child: u32,
    next: u32,
    previous: u32,
}

/// The basis: rows, then columns, then the artificial root.
#[derive(Debug)]
struct Tree {
    rows: usize,
    node: Vec<Node>,
    /// The search that last visited a node; see [`common_ancestor`](Self::common_ancestor).
    visited: Vec<u32>,
    searches: u32,
}

/// The optimal plan from `supply` to `demand` with its potentials.
///
/// `start` has one arc for each row, a column with its cost, to which the initial basis assigns the
/// supply of that row.
pub(super) fn solve(
    mut prices: Prices,
    supply: &[i64],
    demand: &[i64],
    start: &[(usize, f64)],
) -> Solution {
    let (n, m) = (supply.len(), demand.len());
    let mut tree = Tree::new(&prices.v, supply, demand, start);
    let rows: Vec<u32> = (0..n as u32).collect();
    loop {
        tree.pivot_until_optimal(&prices);
        let y = tree.numeric_potentials(prices.cost.largest());
        for j in 0..m {
            prices.v[j] = -y[n + j];
        }
        let u = prices.cost.transform(&rows, &prices.v);
        let tolerance = tolerance(y.iter());
        if (0..n).all(|i| u[i] >= y[i] - tolerance) {
            let plan = tree.plan();
            let v = prices.v;
            return Solution { plan, u, v };
        }
        prices.version += 1;
        prices.rebuild(&rows);
    }
}

/// A bound on the rounding error of reduced costs with the potentials `y`.
fn tolerance<'a>(y: impl Iterator<Item = &'a f64>) -> f64 {
    ROUNDING * y.fold(0.0, |largest, y| y.abs().max(largest))
}

impl Tree {
    /// The initial basis: each row sends its supply to one column, and the root balances the
    /// columns at costs M that agree with the prices `v`.
    fn new(v: &[f64], supply: &[i64], demand: &[i64], start: &[(usize, f64)]) -> Self {
        let (n, m) = (supply.len(), demand.len());
        let isolated = Node {
            y: BigM { big: 0, rest: 0.0 },
            parent: NONE,
            up: true,
            mass: 0,
            cost: 0.0,
            child: NONE,
            next: NONE,
            previous: NONE,
        };
        let mut tree = Self {
            rows: n,
            node: vec![isolated; n + m + 1],
            visited: vec![0; n + m + 1],
            searches: 0,
        };
        let mut excess: Vec<i64> = demand.iter().map(|&c| -c).collect();
        for i in 0..n {
            let (column, cost) = start[i];
            excess[column] += supply[i];
            tree.node[i].cost = cost;
            tree.node[i].mass = supply[i];
            tree.attach(i as u32, (n + column) as u32);
        }
        for j in 0..m {
            let column = &mut tree.node[n + j];
            column.mass = excess[j].abs();
            column.up = excess[j] >= 0;
            column.y = BigM {
                big: if column.up { 1 } else { -1 },
                rest: -v[j],
            };
            tree.attach((n + j) as u32, (n + m) as u32);
        }
        for i in 0..n {
            let Node { parent, cost, .. } = tree.node[i];
            let BigM { big, rest } = tree.node[parent as usize].y;
            let rest = cost + rest;
            tree.node[i].y = BigM { big, rest };
        }
        tree
    }

    /// Makes the subtree of `node` the first child of `parent`.
    fn attach(&mut self, node: u32, parent: u32) {
        let first = std::mem::replace(&mut self.node[parent as usize].child, node);
        if first != NONE {
            self.node[first as usize].previous = node;
        }
        let node = &mut self.node[node as usize];
        (node.parent, node.next, node.previous) = (parent, first, NONE);
    }

    /// Removes `node` from the children of its parent.
    fn detach(&mut self, node: u32) {
        let Node {
            parent,
            next,
            previous,
            ..
        } = self.node[node as usize];
        match previous {
            NONE => self.node[parent as usize].child = next,
            _ => self.node[previous as usize].next = next,
        }
        if next != NONE {
            self.node[next as usize].previous = previous;
        }
    }

    /// Pivots until no candidate arc has a negative reduced cost beyond rounding.
    ///
    /// Block search pricing: the most negative arc of a block of `ceil(sqrt(n)) / 3 + 1` rows
    /// enters.
    fn pivot_until_optimal(&mut self, prices: &Prices) {
        let n = self.rows;
        let block = (n as f64).sqrt().ceil() as usize / 3 + 1;
        let mut tolerance = tolerance(self.node.iter().map(|node| &node.y.rest));
        // The next row, and the number of rows priced since the last pivot.
        let (mut i, mut priced) = (0, 0);
        while priced < n {
            let mut least = BigM {
                big: 0,
                rest: -tolerance,
            };
            let mut entering = None;
            for _ in 0..block {
                let u = self.node[i].y;
                for arc in &prices.lists[i].arcs {
                    let y = self.node[n + arc.column as usize].y;
                    let reduced = BigM {
                        big: y.big - u.big,
                        rest: arc.cost - u.rest + y.rest,
                    };
                    if reduced < least {
                        least = reduced;
                        entering = Some((i as u32, n as u32 + arc.column, arc.cost));
                    }
                }
                i = if i + 1 == n { 0 } else { i + 1 };
            }
            priced += block;
            if let Some((row, column, cost)) = entering {
                self.pivot(row, column, cost, least);
                tolerance = tolerance.max(ROUNDING * self.node[row as usize].y.rest.abs());
                priced = 0;
            }
        }
    }

    /// Exchanges the arc from `i` to `j`, of the given cost and reduced cost, for a blocking arc of
    /// its cycle.
    fn pivot(&mut self, i: u32, j: u32, cost: f64, reduced: BigM) {
        let apex = self.common_ancestor(i, j);
        // Arcs that lose mass along the cycle i -> j -> apex -> i block it. Of several with the
        // least mass, the last one after the apex leaves (strong feasibility).
        let (mut step, mut leaving, mut on_row_side) = (i64::MAX, NONE, true);
        let mut at = i;
        while at != apex {
            let node = &self.node[at as usize];
            if node.up && node.mass < step {
                (step, leaving) = (node.mass, at);
            }
            at = node.parent;
        }
        at = j;
        while at != apex {
            let node = &self.node[at as usize];
            if !node.up && node.mass <= step {
                (step, leaving, on_row_side) = (node.mass, at, false);
            }
            at = node.parent;
        }
        self.shift_mass(i, apex, -step);
        self.shift_mass(j, apex, step);
        // The subtree below the leaving arc is reattached by the entering arc, which reverses the
        // path between them.
        let (top, bottom, sign) = if on_row_side { (i, j, 1) } else { (j, i, -1) };
        let (mut at, mut parent, mut up) = (top, bottom, on_row_side);
        let (mut mass, mut cost) = (step, cost);
        loop {
            let old = self.node[at as usize];
            self.detach(at);
            self.attach(at, parent);
            let node = &mut self.node[at as usize];
            (node.up, node.mass, node.cost) = (up, mass, cost);
            if at == leaving {
                break;
            }
            (parent, at, up, mass, cost) = (at, old.parent, !old.up, old.mass, old.cost);
        }
        let shift = BigM {
            big: sign * reduced.big,
            rest: f64::from(sign) * reduced.rest,
        };
        self.shift_potentials(top, shift);
    }

    /// The lowest common ancestor of two nodes.
    fn common_ancestor(&mut self, mut i: u32, mut j: u32) -> u32 {
        self.searches += 1;
        loop {
            for at in [&mut i, &mut j] {
                if *at != NONE {
                    if self.visited[*at as usize] == self.searches {
                        return *at;
                    }
                    self.visited[*at as usize] = self.searches;
                    *at = self.node[*at as usize].parent;
                }
            }
        }
    }

    /// Adds `mass` to the arcs between `at` and its ancestor `apex` that point up, and subtracts it
    /// from the others.
    fn shift_mass(&mut self, mut at: u32, apex: u32, mass: i64) {
        while at != apex {
            let node = &mut self.node[at as usize];
            node.mass += if node.up { mass } else { -mass };
            at = node.parent;
        }
    }

    /// Adds `shift` to the potentials of the subtree of `top`, in depth-first order.
    fn shift_potentials(&mut self, top: u32, shift: BigM) {
        let mut at = top;
        loop {
            let node = &mut self.node[at as usize];
            node.y.big += shift.big;
            node.y.rest += shift.rest;
            if node.child != NONE {
                at = node.child;
                continue;
            }
            loop {
                if at == top {
                    return;
                }
                let node = &self.node[at as usize];
                if node.next != NONE {
                    at = node.next;
                    break;
                }
                at = node.parent;
            }
        }
    }

    /// The potentials with a number for M: the range of their `rest`, and `largest_cost` more while
    /// artificial arcs carry mass.
    fn numeric_potentials(&self, largest_cost: f64) -> Vec<f64> {
        let root = self.node.len() as u32 - 1;
        let is_artificial = |node: &Node| node.parent == root && node.mass > 0;
        let rest = self.node.iter().map(|node| node.y.rest);
        let (low, high) = rest.fold((0.0, 0.0), |(low, high): (f64, f64), y| {
            (low.min(y), high.max(y))
        });
        let mut big = high - low;
        if self.node.iter().any(is_artificial) {
            big += largest_cost;
        }
        let number = |node: &Node| f64::from(node.y.big) * big + node.y.rest;
        self.node.iter().map(number).collect()
    }

    /// The positive entries of the plan.
    fn plan(&self) -> Entries {
        let positive = self
            .node
            .iter()
            .enumerate()
            .filter(|(_, node)| node.mass > 0);
        let entry = |(at, node): (usize, &Node)| {
            let parent = node.parent as usize;
            let (i, j) = if at < self.rows {
                (at, parent)
            } else {
                (parent, at)
            };
            (i, j - self.rows, node.mass)
        };
        positive.map(entry).collect()
    }
}
