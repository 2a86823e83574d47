//! Exact transport by the primal network simplex method on candidate arcs.
//!
//! The basis is a [`SpanningTree`] that carries the plan. An arc of negative reduced cost enters,
//! its cycle carries as much mass as possible, and a blocking arc leaves. Pricing searches the
//! candidate lists block by block. Violated arcs outside of them are added at the end, and pivoting
//! continues, until all arcs are feasible (column generation).
//!
//! The method ends. Costs, masses and potentials are integers, and an arc enters only if its exact
//! reduced cost is negative. A pivot either decreases the cost of the plan, or decreases the sum of
//! the potentials at the same plan of a strongly feasible basis; in both cases no basis recurs
//! (W. H. Cunningham, A network simplex method, Math. Program. 11 (1976)). Each round adds at least
//! one of the `n m` arcs, and each finer grid is finer by at least [`FINER`].

use super::certificate::mean_cost;
use super::cost::{LANES, Rounding, Sink};
use super::grid::Grid;
use super::initial_basis::initial_basis;
use super::masses::Mass;
use super::plan::Solution;
use super::prices::{CandidateList, Prices, Select};
use super::spanning_tree::SpanningTree;

/// Arcs that may be added to a list in one round.
const ADDED: usize = 16;
/// The largest cost that is represented, relative to the mean cost of the plan. The grid has 2^90
/// steps, so that costs are resolved to 2^-44 of the mean.
const RANGE: f64 = (1u64 << 46) as f64;
/// Approximate pivots a node, on average, in one round; rounding errors might prevent an end.
const APPROXIMATE_PIVOTS: usize = 256;
/// A grid is replaced if the new one is finer by this factor.
const FINER: f64 = 256.0;

/// A candidate arc of a row.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    cost: f64,
    column: u32,
}

/// The optimal plan from `supply` to `demand` with its potentials; `None` after `max_pivots`.
///
/// The initial basis sends mass along the arcs `first`, and then along candidate arcs.
pub(super) fn solve(
    mut prices: Prices,
    supply: &[Mass],
    demand: &[Mass],
    first: &[(usize, usize)],
    max_pivots: usize,
) -> Option<Solution> {
    let cost = prices.cost;
    let (n, m) = (cost.rows(), cost.columns());
    let mut tree = initial_basis(&prices, supply, demand, first, Grid::new(cost.largest()));
    let candidate = |list: &CandidateList| {
        let arcs = list.arcs.iter();
        arcs.map(|arc| Candidate {
            cost: arc.cost,
            column: arc.column,
        })
        .collect()
    };
    let mut lists: Vec<Vec<Candidate>> = prices.lists.iter().map(candidate).collect();
    prices.lists.clear();
    let rows: Vec<u32> = (0..n as u32).collect();
    let mut pivots = 0;
    loop {
        // Most pivots in f64, and the others in exact arithmetic.
        tree.approximate();
        let limit = APPROXIMATE_PIVOTS * (n + m);
        pivots += pivot_until_optimal(&mut tree, &lists, limit.min(max_pivots - pivots));
        tree.compute_potentials(tree.grid(), demand);
        pivots += pivot_until_optimal(&mut tree, &lists, max_pivots - pivots);
        if pivots == max_pivots {
            return None;
        }
        tree.centre_potentials(demand);
        let (u, y) = tree.potentials();
        for (v, y) in prices.v[..m].iter_mut().zip(y) {
            *v = -y;
        }
        let mut pass = Pass {
            rounding: Rounding::of(cost),
            least: vec![f64::INFINITY; n],
            violated: u.iter().map(|&u| CandidateList::below(u, ADDED)).collect(),
        };
        cost.visit(&rows, &prices.v, &mut pass);
        if add_arcs(&mut lists, &pass.violated) {
            continue;
        }
        let plan = tree.plan();
        let largest = plan
            .iter()
            .fold(0.0, |largest: f64, &(i, j, _)| largest.max(cost.at(i, j)));
        let grid = Grid::new(largest.max(RANGE * mean_cost(cost, &plan, supply)));
        if FINER * grid.cap() <= tree.grid().cap() && grid.unit() < tree.grid().unit() {
            tree.compute_potentials(grid, demand);
            continue;
        }
        return Some(Solution {
            plan,
            u: pass.least,
            v: prices.v,
        });
    }
}

/// Pivots until no candidate arc has a negative reduced cost, at most `max_pivots` times; returns
/// their number.
///
/// Block search pricing: the most negative arc of a block of rows enters. Reduced costs in f64 with
/// the rounded potentials select the arc, and [`SpanningTree::pivot`] verifies it.
fn pivot_until_optimal(
    tree: &mut SpanningTree,
    lists: &[Vec<Candidate>],
    max_pivots: usize,
) -> usize {
    let mut pivots = 0;
    let n = lists.len();
    let block = (n as f64).sqrt().ceil() as usize / 5 + 1;
    // The next row, and the number of rows priced since the last pivot.
    let (mut i, mut priced) = (0, 0);
    while priced < n && pivots < max_pivots {
        let (u, y) = tree.potentials();
        let mut least = 0.0;
        let mut entering = None;
        for _ in 0..block {
            for arc in &lists[i] {
                let reduced = arc.cost + y[arc.column as usize] - u[i];
                if reduced < least {
                    least = reduced;
                    entering = Some((i as u32, *arc));
                }
            }
            i = if i + 1 == n { 0 } else { i + 1 };
        }
        priced += block;
        if let Some((row, Candidate { cost, column })) = entering
            && tree.pivot(row, column, cost)
        {
            priced = 0;
            pivots += 1;
        }
    }
    pivots
}

/// Adds the arcs that are not listed yet; returns whether there are any.
fn add_arcs(lists: &mut [Vec<Candidate>], violated: &[CandidateList]) -> bool {
    let mut any = false;
    for (list, violated) in lists.iter_mut().zip(violated) {
        for arc in &violated.arcs {
            if list.iter().all(|listed| listed.column != arc.column) {
                list.push(Candidate {
                    cost: arc.cost,
                    column: arc.column,
                });
                any = true;
            }
        }
    }
    any
}

/// One pass over all arcs: lower bounds of the row minima, and the most violated arcs.
struct Pass {
    rounding: Rounding,
    least: Vec<f64>,
    violated: Vec<CandidateList>,
}

impl Sink for Pass {
    #[inline(always)]
    fn tile(&mut self, i: usize, j0: usize, c: &[f64; LANES], b: &[f64; LANES]) {
        let least = &mut self.least[i];
        let bounds: [f64; LANES] = std::array::from_fn(|l| self.rounding.lower(c[l], b[l]));
        for b in bounds {
            *least = if b < *least { b } else { *least };
        }
        Select(&mut self.violated).tile(i, j0, c, b);
    }
}
