//! Exact transport of unequal masses by the network simplex method on the candidate arcs.
//!
//! A spanning tree carries the plan; an arc of negative reduced cost enters, the cycle it closes carries as much as it
//! can, and the arc that blocks leaves. An artificial root takes what the first tree leaves over, at a cost above all
//! others. The blocking arc is chosen so that trees stay strongly feasible, which rules out cycling (W. H. Cunningham,
//! A network simplex method, Math. Program. 11 (1976)).

use super::plan::Entries;
use super::prices::Prices;

const NONE: u32 = u32::MAX;

/// A potential `big M + rest`: the artificial cost M is a symbol, never a number that would swallow digits.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
struct Potential {
    big: i32,
    rest: f64,
}

/// A node with the arc to its parent.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// An arc from a to b has the reduced cost `c - y_a + y_b`; so `u_i = y_i`, `v_j = -y_j`.
    y: Potential,
    parent: u32,
    /// Whether the arc points to the parent.
    up: bool,
    mass: i64,
    cost: f64,
    child: u32,
    next: u32,
    previous: u32,
}

/// Rows, then columns, then the artificial root.
#[derive(Debug)]
struct Tree {
    rows: usize,
    node: Vec<Node>,
    mark: Vec<u32>,
    marks: u32,
}

/// The optimal plan `(row, column, mass)` with prices `u` that certify it beside those in `prices`.
///
/// `start` has a column for each row, and the cost of that arc: where the first tree sends the row's mass.
pub(super) fn solve(
    prices: &mut Prices,
    supply: &[i64],
    demand: &[i64],
    start: &[(usize, f64)],
) -> (Entries, Vec<f64>) {
    let (n, m) = (supply.len(), demand.len());
    let mut tree = Tree::stars(&prices.v, supply, demand, start);
    let all: Vec<u32> = (0..n as u32).collect();
    loop {
        tree.pivot_all(prices);
        let y = tree.numbers(prices.cost.largest());
        for j in 0..m {
            prices.v[j] = -y[n + j];
        }
        let u = prices.cost.transform(&all, &prices.v);
        let tolerance = tolerance(&y);
        if (0..n).all(|i| u[i] >= y[i] - tolerance) {
            return (tree.plan(), u);
        }
        prices.version += 1;
        prices.refresh(&all);
    }
}

/// Rounding of reduced costs.
fn tolerance(y: &[f64]) -> f64 {
    16.0 * f64::EPSILON * y.iter().fold(0.0, |size, y| y.abs().max(size))
}

impl Tree {
    /// Each row sends all it has to one column; the root evens out the columns, at costs M that agree with prices `v`.
    fn stars(v: &[f64], supply: &[i64], demand: &[i64], start: &[(usize, f64)]) -> Self {
        let (n, m) = (supply.len(), demand.len());
        let zero = Potential { big: 0, rest: 0.0 };
        let lone = Node {
            y: zero,
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
            node: vec![lone; n + m + 1],
            mark: vec![0; n + m + 1],
            marks: 0,
        };
        let mut excess: Vec<i64> = demand.iter().map(|&c| -c).collect();
        for i in 0..n {
            let (column, cost) = start[i];
            excess[column] += supply[i];
            tree.node[i].cost = cost;
            tree.node[i].mass = supply[i];
            tree.hang(i as u32, (n + column) as u32);
        }
        for j in 0..m {
            let at = n + j;
            tree.node[at].mass = excess[j].abs();
            tree.node[at].up = excess[j] >= 0;
            tree.node[at].y = Potential {
                big: if excess[j] >= 0 { 1 } else { -1 },
                rest: -v[j],
            };
            tree.hang(at as u32, (n + m) as u32);
        }
        for i in 0..n {
            let Node { parent, cost, .. } = tree.node[i];
            let Potential { big, rest } = tree.node[parent as usize].y;
            tree.node[i].y = Potential {
                big,
                rest: cost + rest,
            };
        }
        tree
    }

    fn hang(&mut self, at: u32, parent: u32) {
        let first = std::mem::replace(&mut self.node[parent as usize].child, at);
        if first != NONE {
            self.node[first as usize].previous = at;
        }
        let node = &mut self.node[at as usize];
        (node.parent, node.next, node.previous) = (parent, first, NONE);
    }

    fn unhang(&mut self, at: u32) {
        let Node {
            parent,
            next,
            previous,
            ..
        } = self.node[at as usize];
        match previous {
            NONE => self.node[parent as usize].child = next,
            _ => self.node[previous as usize].next = next,
        }
        if next != NONE {
            self.node[next as usize].previous = previous;
        }
    }

    /// Pivots until no candidate arc has a negative reduced cost.
    fn pivot_all(&mut self, prices: &Prices) {
        let n = self.rows;
        let block = (n as f64).sqrt().ceil() as usize / 3 + 1;
        let (mut i, mut quiet) = (0, 0);
        let mut size = tolerance(&self.node.iter().map(|node| node.y.rest).collect::<Vec<_>>());
        while quiet < n {
            let mut least = Potential {
                big: 0,
                rest: -size,
            };
            let mut enter = None;
            for _ in 0..block {
                let u = self.node[i].y;
                for arc in &prices.lists[i].arcs {
                    let y = self.node[n + arc.column as usize].y;
                    let reduced = Potential {
                        big: y.big - u.big,
                        rest: arc.cost - u.rest + y.rest,
                    };
                    if reduced < least {
                        least = reduced;
                        enter = Some((i as u32, n as u32 + arc.column, arc.cost));
                    }
                }
                i = if i + 1 == n { 0 } else { i + 1 };
            }
            quiet += block;
            if let Some((row, column, cost)) = enter {
                self.pivot(row, column, cost, least);
                size = size.max(16.0 * f64::EPSILON * self.node[row as usize].y.rest.abs());
                quiet = 0;
            }
        }
    }

    /// The arc from `i` to `j` enters the tree.
    fn pivot(&mut self, i: u32, j: u32, cost: f64, reduced: Potential) {
        let join = self.join(i, j);
        // around the cycle i -> j -> join -> i: arcs that lose mass block it; of several, the last one after the join
        let (mut most, mut leave, mut on_row_side) = (i64::MAX, NONE, true);
        let mut at = i;
        while at != join {
            let node = &self.node[at as usize];
            if node.up && node.mass < most {
                (most, leave) = (node.mass, at);
            }
            at = node.parent;
        }
        at = j;
        while at != join {
            let node = &self.node[at as usize];
            if !node.up && node.mass <= most {
                (most, leave, on_row_side) = (node.mass, at, false);
            }
            at = node.parent;
        }
        self.shift_mass(i, join, -most);
        self.shift_mass(j, join, most);
        // the part below the arc that leaves is hung on the arc that enters
        let (mut at, mut parent, mut up) = if on_row_side {
            (i, j, true)
        } else {
            (j, i, false)
        };
        let (mut mass, mut cost) = (most, cost);
        loop {
            let old = self.node[at as usize];
            self.unhang(at);
            self.hang(at, parent);
            let node = &mut self.node[at as usize];
            (node.up, node.mass, node.cost) = (up, mass, cost);
            if at == leave {
                break;
            }
            (parent, at, up, mass, cost) = (at, old.parent, !old.up, old.mass, old.cost);
        }
        let (top, sign) = if on_row_side { (i, 1) } else { (j, -1) };
        let shift = Potential {
            big: sign * reduced.big,
            rest: f64::from(sign) * reduced.rest,
        };
        self.shift_potentials(top, shift);
    }

    /// The lowest common ancestor.
    fn join(&mut self, mut i: u32, mut j: u32) -> u32 {
        self.marks += 1;
        loop {
            for at in [&mut i, &mut j] {
                if *at != NONE {
                    if self.mark[*at as usize] == self.marks {
                        return *at;
                    }
                    self.mark[*at as usize] = self.marks;
                    *at = self.node[*at as usize].parent;
                }
            }
        }
    }

    /// Adds `mass` to the arcs that point up between `at` and `join`, and takes it from those that point down.
    fn shift_mass(&mut self, mut at: u32, join: u32, mass: i64) {
        while at != join {
            let node = &mut self.node[at as usize];
            node.mass += if node.up { mass } else { -mass };
            at = node.parent;
        }
    }

    fn shift_potentials(&mut self, top: u32, shift: Potential) {
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

    /// The potentials as numbers: with M above all costs while the root takes mass, else large enough to be feasible.
    fn numbers(&self, largest_cost: f64) -> Vec<f64> {
        let root = self.node.len() as u32 - 1;
        let unmet = self
            .node
            .iter()
            .any(|node| node.parent == root && node.mass > 0);
        let rest = self.node.iter().map(|node| node.y.rest);
        let (low, high) = rest.fold((0.0, 0.0), |(low, high): (f64, f64), y| {
            (low.min(y), high.max(y))
        });
        let big = high - low + if unmet { largest_cost } else { 0.0 };
        self.node
            .iter()
            .map(|node| f64::from(node.y.big) * big + node.y.rest)
            .collect()
    }

    fn plan(&self) -> Entries {
        let mut plan = Vec::with_capacity(self.node.len());
        for (at, node) in self
            .node
            .iter()
            .enumerate()
            .filter(|(_, node)| node.mass > 0)
        {
            let (i, j) = if at < self.rows {
                (at, node.parent as usize)
            } else {
                (node.parent as usize, at)
            };
            plan.push((i, j - self.rows, node.mass));
        }
        plan
    }
}
