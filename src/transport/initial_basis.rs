//! A strongly feasible basis of the network simplex method that is near-optimal if the prices are.
//!
//! A greedy plan exhausts a row or a column with each entry, so that its arcs contain no cycle. The
//! trees of this forest are joined by arcs without mass, from a row of a tree to a column of the
//! tree of the root. The order is that of Dijkstra's algorithm in reduced costs, with the trees as
//! nodes: for a plan and prices that are optimal, the basis is dual feasible as well.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::grid::Grid;
use super::masses::Mass;
use super::prices::Prices;
use super::spanning_tree::{BasisArc, SpanningTree};

/// The basis of the plan that fills the arcs `first` and then the candidate arcs, best first.
pub(super) fn initial_basis(
    prices: &Prices,
    supply: &[Mass],
    demand: &[Mass],
    first: &[(usize, usize)],
    grid: Grid,
) -> SpanningTree {
    let arcs = greedy_plan(prices, supply, demand, first);
    let mut forest = Forest::new(prices, &arcs);
    forest.add_component(Node::Column(0), 0.0);
    loop {
        while let Some(Reverse((distance, i, j))) = forest.heap.pop() {
            forest.join(i, j, f64::from_bits(distance));
        }
        // Without candidates, any row that is not in the tree joins it.
        let Some(i) = forest.row_in_tree.iter().position(|in_tree| !in_tree) else {
            break;
        };
        forest.join(i as u32, 0, 0.0);
    }
    let mut tree = forest.tree;
    tree.complete(grid, demand);
    tree
}

/// A plan each of whose entries exhausts its row or its column.
fn greedy_plan(
    prices: &Prices,
    supply: &[Mass],
    demand: &[Mass],
    first: &[(usize, usize)],
) -> Vec<BasisArc> {
    let mut plan = GreedyPlan {
        prices,
        supply: supply.to_vec(),
        demand: demand.to_vec(),
        arcs: Vec::with_capacity(supply.len() + demand.len()),
    };
    plan.fill_forest(first);
    let mut rows: Vec<usize> = (0..supply.len()).filter(|&i| plan.supply[i] > 0).collect();
    let mut arcs: Vec<(f64, usize, u32)> = Vec::new();
    for &i in &rows {
        let reduced = |column: u32, cost: f64| cost - prices.v[column as usize];
        let list = &prices.lists[i].arcs;
        let least = list.iter().map(|arc| reduced(arc.column, arc.cost));
        let u = least.fold(f64::INFINITY, f64::min);
        arcs.extend(
            list.iter()
                .map(|arc| (reduced(arc.column, arc.cost) - u, i, arc.column)),
        );
    }
    arcs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    for (_, i, j) in arcs {
        plan.fill(i, j as usize);
    }
    rows.retain(|&i| plan.supply[i] > 0);
    // The rest by the north-west corner rule: neighbours in the order are close in space.
    let mut j = 0;
    for i in rows {
        while plan.supply[i] > 0 && j < demand.len() {
            plan.fill(i, j);
            if plan.demand[j] == 0 {
                j += 1;
            }
        }
    }
    plan.arcs
}

/// A plan under construction.
struct GreedyPlan<'a> {
    prices: &'a Prices<'a>,
    /// The remaining supply and demand.
    supply: Vec<Mass>,
    demand: Vec<Mass>,
    arcs: Vec<BasisArc>,
}

impl GreedyPlan<'_> {
    /// Fills `arcs` such that a plan without cycles is reproduced: arcs at a node without other
    /// arcs come first. Where all nodes have others, any arc comes next.
    fn fill_forest(&mut self, arcs: &[(usize, usize)]) {
        let n = self.supply.len();
        let nodes = n + self.demand.len();
        let ends = |k: usize| [arcs[k / 2].0 as u32, (n + arcs[k / 2].1) as u32];
        let incidence = Incidence::new(nodes, &|k| ends(k)[k % 2], 2 * arcs.len());
        let degree = |node: usize| incidence.of(node as u32).len();
        let mut degree: Vec<usize> = (0..nodes).map(degree).collect();
        let mut is_filled = vec![false; arcs.len()];
        let mut leaves: Vec<usize> = (0..nodes).filter(|&node| degree[node] == 1).collect();
        for next in 0..arcs.len() {
            while let Some(leaf) = leaves.pop() {
                let mut incident = incidence
                    .of(leaf as u32)
                    .map(|k| incidence.arcs[k] as usize / 2);
                if let Some(k) = incident.find(|&k| !is_filled[k]) {
                    self.fill_and_count(arcs, k, &mut is_filled, &mut degree, &mut leaves);
                }
            }
            if !is_filled[next] {
                self.fill_and_count(arcs, next, &mut is_filled, &mut degree, &mut leaves);
            }
        }
    }

    /// Fills arc `k`, and adds the ends that have one other arc to `leaves`.
    fn fill_and_count(
        &mut self,
        arcs: &[(usize, usize)],
        k: usize,
        is_filled: &mut [bool],
        degree: &mut [usize],
        leaves: &mut Vec<usize>,
    ) {
        let (i, j) = arcs[k];
        self.fill(i, j);
        is_filled[k] = true;
        for node in [i, self.supply.len() + j] {
            degree[node] -= 1;
            if degree[node] == 1 {
                leaves.push(node);
            }
        }
    }

    /// Sends as much mass as possible from row `i` to column `j`.
    fn fill(&mut self, i: usize, j: usize) {
        let mass = self.supply[i].min(self.demand[j]);
        if mass > 0 {
            self.supply[i] -= mass;
            self.demand[j] -= mass;
            self.arcs.push(BasisArc {
                row: i as u32,
                column: j as u32,
                cost: self.prices.cost.at(i, j),
                mass,
            });
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Node {
    Row(u32),
    Column(u32),
}

/// The arcs of each node, in compressed rows.
#[derive(Debug)]
struct Incidence {
    start: Vec<u32>,
    arcs: Vec<u32>,
}

impl Incidence {
    /// The indices of the items of each of `nodes` nodes.
    fn new(nodes: usize, node: &dyn Fn(usize) -> u32, items: usize) -> Self {
        let mut start = vec![0; nodes + 1];
        for k in 0..items {
            start[node(k) as usize + 1] += 1;
        }
        for k in 0..nodes {
            start[k + 1] += start[k];
        }
        let mut end = start.clone();
        let mut arcs = vec![0; items];
        for k in 0..items {
            let end = &mut end[node(k) as usize];
            arcs[*end as usize] = k as u32;
            *end += 1;
        }
        Self { start, arcs }
    }

    fn of(&self, node: u32) -> std::ops::Range<usize> {
        self.start[node as usize] as usize..self.start[node as usize + 1] as usize
    }
}

/// The trees of a plan, of which one grows.
struct Forest<'a> {
    prices: &'a Prices<'a>,
    arcs: &'a [BasisArc],
    by_row: Incidence,
    by_column: Incidence,
    /// Candidate arcs: row and reduced cost, and their incidence with columns.
    candidates: Vec<(u32, f64)>,
    candidates_by_column: Incidence,
    row_in_tree: Vec<bool>,
    column_in_tree: Vec<bool>,
    /// Arcs that join a row to the tree, by the distance of that row, as the bits of a number
    /// `>= 0`.
    heap: BinaryHeap<Reverse<(u64, u32, u32)>>,
    tree: SpanningTree,
}

impl<'a> Forest<'a> {
    fn new(prices: &'a Prices<'a>, arcs: &'a [BasisArc]) -> Self {
        let (n, m) = (prices.cost.rows(), prices.cost.columns());
        let mut candidates = Vec::new();
        let mut columns = Vec::new();
        for (i, list) in prices.lists.iter().enumerate() {
            let reduced = list
                .arcs
                .iter()
                .map(|arc| arc.cost - prices.v[arc.column as usize]);
            let u = reduced.clone().fold(f64::INFINITY, f64::min);
            for (arc, reduced) in list.arcs.iter().zip(reduced) {
                candidates.push((i as u32, reduced - u));
                columns.push(arc.column);
            }
        }
        Self {
            prices,
            arcs,
            by_row: Incidence::new(n, &|k| arcs[k].row, arcs.len()),
            by_column: Incidence::new(m, &|k| arcs[k].column, arcs.len()),
            candidates_by_column: Incidence::new(m, &|k| columns[k], columns.len()),
            candidates,
            row_in_tree: vec![false; n],
            column_in_tree: vec![false; m],
            heap: BinaryHeap::new(),
            tree: SpanningTree::new(n, m, 0, Grid::new(1.0)),
        }
    }

    /// Joins the tree of row `i` by an arc without mass to column `j`, unless it was joined before.
    fn join(&mut self, i: u32, j: u32, distance: f64) {
        if self.row_in_tree[i as usize] {
            return;
        }
        self.tree.add_row(BasisArc {
            row: i,
            column: j,
            cost: self.prices.cost.at(i as usize, j as usize),
            mass: 0,
        });
        self.add_component(Node::Row(i), distance);
    }

    /// Adds the tree of the plan with the given root, and schedules the arcs to its columns.
    fn add_component(&mut self, root: Node, distance: f64) {
        match root {
            Node::Row(i) => self.row_in_tree[i as usize] = true,
            Node::Column(j) => self.column_in_tree[j as usize] = true,
        }
        let mut open = vec![root];
        while let Some(node) = open.pop() {
            match node {
                Node::Row(i) => {
                    for k in self.by_row.of(i) {
                        let arc = self.arcs[self.by_row.arcs[k] as usize];
                        if !std::mem::replace(&mut self.column_in_tree[arc.column as usize], true) {
                            self.tree.add_column(arc);
                            open.push(Node::Column(arc.column));
                        }
                    }
                }
                Node::Column(j) => {
                    for k in self.by_column.of(j) {
                        let arc = self.arcs[self.by_column.arcs[k] as usize];
                        if !std::mem::replace(&mut self.row_in_tree[arc.row as usize], true) {
                            self.tree.add_row(arc);
                            open.push(Node::Row(arc.row));
                        }
                    }
                    for k in self.candidates_by_column.of(j) {
                        let (i, reduced) =
                            self.candidates[self.candidates_by_column.arcs[k] as usize];
                        if !self.row_in_tree[i as usize] {
                            let key = (distance + reduced.max(0.0)).to_bits();
                            self.heap.push(Reverse((key, i, j)));
                        }
                    }
                }
            }
        }
    }
}
