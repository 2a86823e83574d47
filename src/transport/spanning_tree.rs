//! The basis of the network simplex method: a spanning tree of rows and columns that carries a
//! plan.
//!
//! Masses and potentials are integers. The basis is strongly feasible: an arc without mass points
//! to the root. Source: W. H. Cunningham, A network simplex method, Math. Program. 11 (1976).

use super::grid::{Grid, weighted_median};
use super::masses::Mass;
use super::plan::Entries;

/// Rounding error of a reduced cost in f64 relative to its terms, with a safety factor.
const ROUNDING: f64 = 16.0 * f64::EPSILON;
/// The null index: no node.
pub(super) const NONE: u32 = u32::MAX;

/// An arc of the basis, from a row to a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct BasisArc {
    pub(super) row: u32,
    pub(super) column: u32,
    pub(super) cost: f64,
    pub(super) mass: Mass,
}

/// The links of a node.
#[derive(Debug, Clone, Copy)]
struct Links {
    parent: u32,
    /// First child; `next` and `previous` are siblings.
    child: u32,
    next: u32,
    previous: u32,
    /// The number of nodes of the subtree.
    size: u32,
}

/// The arc between a node and its parent.
#[derive(Debug, Clone, Copy)]
struct ParentArc {
    mass: Mass,
    cost: f64,
    /// Whether the arc points to the parent.
    up: bool,
}

/// The basis: rows, then columns.
#[derive(Debug)]
pub(super) struct SpanningTree {
    rows: usize,
    root: u32,
    links: Vec<Links>,
    arc: Vec<ParentArc>,
    grid: Grid,
    /// The potentials `y`, in units of the grid: an arc from i to j has the reduced cost
    /// `c - y_i + y_j`, so `u_i = y_i` and `v_j = -y_j`. Arcs of the tree have reduced cost 0.
    exact: Vec<i128>,
    /// The potentials rounded to f64, for pricing.
    y: Vec<f64>,
    /// Whether pivots update the exact potentials, or only those in f64.
    is_exact: bool,
    /// The search that last visited a node; see [`common_ancestor`](Self::common_ancestor).
    visited: Vec<u32>,
    searches: u32,
}

impl SpanningTree {
    /// The tree of `arcs`, which list a child after its parent; the column `root` is listed by
    /// none.
    pub(super) fn new(rows: usize, columns: usize, root: u32, grid: Grid) -> Self {
        let isolated = Links {
            parent: NONE,
            child: NONE,
            next: NONE,
            previous: NONE,
            size: 1,
        };
        let arc = ParentArc {
            mass: 0,
            cost: 0.0,
            up: true,
        };
        let nodes = rows + columns;
        Self {
            rows,
            root: rows as u32 + root,
            links: vec![isolated; nodes],
            arc: vec![arc; nodes],
            grid,
            exact: vec![0; nodes],
            y: vec![0.0; nodes],
            is_exact: true,
            visited: vec![0; nodes],
            searches: 0,
        }
    }

    /// Adds the row of `arc` below its column.
    pub(super) fn add_row(&mut self, arc: BasisArc) {
        self.add(arc.row, self.rows as u32 + arc.column, true, arc);
    }

    /// Adds the column of `arc` below its row.
    pub(super) fn add_column(&mut self, arc: BasisArc) {
        self.add(self.rows as u32 + arc.column, arc.row, false, arc);
    }

    fn add(&mut self, node: u32, parent: u32, up: bool, arc: BasisArc) {
        self.attach(node, parent);
        let BasisArc { cost, mass, .. } = arc;
        self.arc[node as usize] = ParentArc { mass, cost, up };
    }

    /// The grid of the potentials.
    pub(super) fn grid(&self) -> Grid {
        self.grid
    }

    /// The potentials of rows `u_i = y_i` and columns `v_j = -y_j` as `(u, -v)`.
    pub(super) fn potentials(&self) -> (&[f64], &[f64]) {
        self.y.split_at(self.rows)
    }

    /// Makes the subtree of `node` the first child of `parent`.
    fn attach(&mut self, node: u32, parent: u32) {
        let first = std::mem::replace(&mut self.links[parent as usize].child, node);
        if first != NONE {
            self.links[first as usize].previous = node;
        }
        let node = &mut self.links[node as usize];
        (node.parent, node.next, node.previous) = (parent, first, NONE);
    }

    /// Removes `node` from the children of its parent.
    fn detach(&mut self, node: u32) {
        let Links {
            parent,
            next,
            previous,
            ..
        } = self.links[node as usize];
        match previous {
            NONE => self.links[parent as usize].child = next,
            _ => self.links[previous as usize].next = next,
        }
        if next != NONE {
            self.links[next as usize].previous = previous;
        }
    }

    /// Computes the sizes of all subtrees and the potentials of a tree whose arcs were added.
    pub(super) fn complete(&mut self, grid: Grid, demand: &[Mass]) {
        let mut order = vec![self.root];
        while let Some(&at) = order.last()
            && let Some(next) = self.next_in_depth_first_order(at, self.root)
        {
            order.push(next);
        }
        for &at in order[1..].iter().rev() {
            let Links { parent, size, .. } = self.links[at as usize];
            self.links[parent as usize].size += size;
        }
        self.compute_potentials(grid, demand);
    }

    /// Computes all potentials in units of `grid` from the arcs of the tree.
    pub(super) fn compute_potentials(&mut self, grid: Grid, demand: &[Mass]) {
        (self.grid, self.is_exact) = (grid, true);
        self.exact[self.root as usize] = 0;
        let mut at = self.root;
        while let Some(node) = self.next_in_depth_first_order(at, self.root) {
            let (parent, arc) = (self.links[node as usize].parent, self.arc[node as usize]);
            let c = grid.units(arc.cost);
            let y = self.exact[parent as usize];
            self.exact[node as usize] = if arc.up { y + c } else { y - c };
            at = node;
        }
        self.centre_potentials(demand);
    }

    /// Subtracts the median of the potentials of the columns, with weights `demand`, from all of
    /// them.
    pub(super) fn centre_potentials(&mut self, demand: &[Mass]) {
        let median = weighted_median(self.exact[self.rows..].iter().copied(), demand);
        for (y, exact) in self.y.iter_mut().zip(&mut self.exact) {
            *exact -= median;
            *y = self.grid.value(*exact);
        }
    }

    /// The node after `at` in depth-first order within the subtree of `top`.
    #[inline]
    fn next_in_depth_first_order(&self, at: u32, top: u32) -> Option<u32> {
        let child = self.links[at as usize].child;
        if child != NONE {
            return Some(child);
        }
        self.next_after_subtree(at, top)
    }

    /// The first node after the subtree of `at` in that order.
    #[inline]
    fn next_after_subtree(&self, mut at: u32, top: u32) -> Option<u32> {
        while at != top {
            let Links { next, parent, .. } = self.links[at as usize];
            if next != NONE {
                return Some(next);
            }
            at = parent;
        }
        None
    }

    /// Lets pivots update only the potentials in f64, which is faster, until the next call of
    /// [`compute_potentials`](Self::compute_potentials).
    pub(super) fn approximate(&mut self) {
        self.is_exact = false;
    }

    /// Exchanges the arc from row `i` to column `j` for a blocking arc of its cycle if its reduced
    /// cost is negative; returns whether it is. In approximate pivots it has to exceed rounding.
    pub(super) fn pivot(&mut self, i: u32, j: u32, cost: f64) -> bool {
        let j = self.rows as u32 + j;
        let (y_i, y_j) = (self.y[i as usize], self.y[j as usize]);
        let approximate = cost + y_j - y_i;
        let reduced = if self.is_exact {
            self.grid.units(cost) - self.exact[i as usize] + self.exact[j as usize]
        } else if approximate < -ROUNDING * (cost + y_i.abs() + y_j.abs()) {
            -1
        } else {
            0
        };
        if reduced >= 0 {
            return false;
        }
        let apex = self.common_ancestor(i, j);
        // Arcs that lose mass along the cycle i -> j -> apex -> i block it. Of several with the
        // least mass, the last one after the apex leaves, which preserves strong feasibility.
        let (mut step, mut leaving, mut on_row_side) = (Mass::MAX, NONE, true);
        let mut at = i;
        while at != apex {
            let arc = &self.arc[at as usize];
            if arc.up && arc.mass < step {
                (step, leaving) = (arc.mass, at);
            }
            at = self.links[at as usize].parent;
        }
        at = j;
        while at != apex {
            let arc = &self.arc[at as usize];
            if !arc.up && arc.mass <= step {
                (step, leaving, on_row_side) = (arc.mass, at, false);
            }
            at = self.links[at as usize].parent;
        }
        if step > 0 {
            self.shift_mass(i, apex, -step);
            self.shift_mass(j, apex, step);
        }
        // The subtree below the leaving arc is reattached by the entering arc, which reverses the
        // path between them.
        let (top, bottom, sign) = if on_row_side {
            (i, j, 1_i8)
        } else {
            (j, i, -1)
        };
        let size = self.links[leaving as usize].size;
        self.add_size(
            self.links[leaving as usize].parent,
            apex,
            size.wrapping_neg(),
        );
        self.add_size(bottom, apex, size);
        let (mut at, mut parent) = (top, bottom);
        let mut arc = ParentArc {
            mass: step,
            cost,
            up: on_row_side,
        };
        let mut remaining = size;
        loop {
            let above = self.links[at as usize].parent;
            self.detach(at);
            self.attach(at, parent);
            let old_size = std::mem::replace(&mut self.links[at as usize].size, remaining);
            remaining = size - old_size;
            let old = std::mem::replace(&mut self.arc[at as usize], arc);
            if at == leaving {
                break;
            }
            arc = ParentArc { up: !old.up, ..old };
            (parent, at) = (at, above);
        }
        if self.is_exact {
            self.shift_exact_potentials(top, reduced * i128::from(sign));
        } else {
            self.shift_potentials(top, approximate * f64::from(sign));
        }
        true
    }

    /// The lowest common ancestor of two nodes.
    fn common_ancestor(&mut self, mut i: u32, mut j: u32) -> u32 {
        if self.searches == u32::MAX {
            self.visited.fill(0);
            self.searches = 0;
        }
        self.searches += 1;
        loop {
            for at in [&mut i, &mut j] {
                if *at != NONE {
                    if self.visited[*at as usize] == self.searches {
                        return *at;
                    }
                    self.visited[*at as usize] = self.searches;
                    *at = self.links[*at as usize].parent;
                }
            }
        }
    }

    /// Adds `mass` to the arcs between `at` and its ancestor `apex` that point up, and subtracts it
    /// from the others.
    fn shift_mass(&mut self, mut at: u32, apex: u32, mass: Mass) {
        while at != apex {
            let arc = &mut self.arc[at as usize];
            arc.mass += if arc.up { mass } else { -mass };
            at = self.links[at as usize].parent;
        }
    }

    /// Adds `count` to the sizes of the subtrees of the nodes between `at` and its ancestor `apex`.
    fn add_size(&mut self, mut at: u32, apex: u32, count: u32) {
        while at != apex {
            let links = &mut self.links[at as usize];
            links.size = links.size.wrapping_add(count);
            at = links.parent;
        }
    }

    /// Adds `shift` to the potentials of the subtree of `top` relative to those of the others.
    fn shift_exact_potentials(&mut self, top: u32, shift: i128) {
        let grid = self.grid;
        self.visit_smaller_part(top, |tree, at, sign| {
            tree.exact[at] += shift * i128::from(sign);
            tree.y[at] = grid.value(tree.exact[at]);
        });
    }

    /// The same for the potentials in f64.
    fn shift_potentials(&mut self, top: u32, shift: f64) {
        self.visit_smaller_part(top, |tree, at, sign| tree.y[at] += shift * f64::from(sign));
    }

    /// Calls `change` for the nodes of the subtree of `top`, with 1, or for all others, with -1.
    #[inline(always)]
    fn visit_smaller_part(&mut self, top: u32, mut change: impl FnMut(&mut Self, usize, i8)) {
        let is_small = 2 * self.links[top as usize].size as usize <= self.links.len();
        let (first, sign) = if is_small { (top, 1) } else { (self.root, -1) };
        let mut next = Some(first);
        while let Some(at) = next {
            if at == top && !is_small {
                next = self.next_after_subtree(at, first);
            } else {
                change(self, at as usize, sign);
                next = self.next_in_depth_first_order(at, first);
            }
        }
    }

    /// The arcs of the tree.
    pub(super) fn arcs(&self) -> impl Iterator<Item = BasisArc> + '_ {
        let nodes = 0..self.links.len() as u32;
        nodes.filter(|&at| at != self.root).map(|at| {
            let parent = self.links[at as usize].parent;
            let ParentArc { mass, cost, up } = self.arc[at as usize];
            let (row, column) = if up { (at, parent) } else { (parent, at) };
            BasisArc {
                row,
                column: column - self.rows as u32,
                cost,
                mass,
            }
        })
    }

    /// The positive entries of the plan.
    pub(super) fn plan(&self) -> Entries {
        let positive = self.arcs().filter(|arc| arc.mass > 0);
        positive
            .map(|arc| (arc.row as usize, arc.column as usize, arc.mass))
            .collect()
    }
}
