//! The optimal plan on a forest, from the plan of the interior-point method.
//!
//! A plan that is unique is positive on a forest of pairs. Given the forest, the potentials are sums of
//! costs up to a constant for each tree, which `sum_i a_i e^(-phi_i) = sum_j b_j e^(-psi_j)`
//! determines, and the plan follows from the marginals, leaf by leaf. Both are accurate to rounding,
//! also for weights and differences of costs that are small beside the gap of the method. Pairs enter
//! and leave the forest as in the network simplex method.
//!
//! Source: R. K. Ahuja, T. L. Magnanti and J. B. Orlin, Network flows, 1993, chapter 11.

use nalgebra::DMatrix;

/// The part of the smaller marginal from which a pair that is not the largest of its points starts in
/// the forest.
const PART: f64 = 1e-7;
/// Units of rounding of a sum of costs along a path, and of a sum of masses, relative to its terms.
pub(super) const UNITS: f64 = 16.0 * f64::EPSILON;
/// The error of the entries of a point that is divided, relative to its mass, up to which they are
/// those of the forest.
const ACCURACY: f64 = 1e-8;

/// An entry of the plan, with a bound of its rounding error.
#[derive(Debug, Clone, Copy)]
struct Flow {
    value: f64,
    error: f64,
}

/// A point in its tree.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// The first point of the tree; `usize::MAX` before it is known.
    root: usize,
    /// The parent, which is the point itself for a root.
    parent: usize,
    /// The potential up to the constant of the tree.
    base: f64,
    /// The sum of the costs from the root.
    costs: f64,
    potential: f64,
}

/// A forest of the points i of a, and `m + j` of b.
struct Forest<'a> {
    weights: [&'a [f64]; 2],
    cost: &'a DMatrix<f64>,
    /// The pairs `(i, j)` of the forest, and their entries of the plan.
    pairs: Vec<(usize, usize)>,
    flows: Vec<Flow>,
    /// The neighbours of each point, and the numbers of their pairs.
    neighbours: Vec<Vec<(usize, usize)>>,
    nodes: Vec<Node>,
    /// The points, each after its parent.
    order: Vec<usize>,
}

/// The optimal plan on a forest, and its potentials of b.
pub(super) struct Vertex {
    pub(super) plan: DMatrix<f64>,
    pub(super) psi: Vec<f64>,
    /// A bound of the rounding error of the potentials, but for a common constant.
    pub(super) error: f64,
    /// Whether the entries of each point of a are accurate at the scale of its weight.
    pub(super) accurate: Vec<bool>,
}

/// The optimal forest from one of a plan near the optimum; `None` if it is not found.
pub(super) fn optimal_vertex(
    weights: [&[f64]; 2],
    cost: &DMatrix<f64>,
    plan: &DMatrix<f64>,
) -> Option<Vertex> {
    let m = weights[0].len();
    let mut forest = Forest::new(weights, cost, plan);
    if !forest.optimise() {
        return None;
    }
    let mut plan = DMatrix::zeros(plan.nrows(), m);
    for (&(i, j), flow) in forest.pairs.iter().zip(&forest.flows) {
        plan[(j, i)] = flow.value.max(0.0);
    }
    Some(Vertex {
        plan,
        psi: forest.nodes[m..]
            .iter()
            .map(|node| node.potential)
            .collect(),
        error: forest.error(),
        accurate: forest.accurate(),
    })
}

impl<'a> Forest<'a> {
    /// The pairs that carry most of the mass of a plan.
    fn new(weights: [&'a [f64]; 2], cost: &'a DMatrix<f64>, plan: &DMatrix<f64>) -> Self {
        let (m, n) = (weights[0].len(), weights[1].len());
        let (of_a, of_b) = (plan.row_sum(), plan.column_sum());
        let mut pairs: Vec<(f64, usize, usize)> = (0..m)
            .flat_map(|i| (0..n).map(move |j| (i, j)))
            .filter(|&(i, j)| cost[(j, i)].is_finite() && plan[(j, i)] > 0.0)
            .map(|(i, j)| (plan[(j, i)] / of_a[i].min(of_b[j]), i, j))
            .collect();
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut seen, mut group) = (vec![false; m + n], (0..m + n).collect::<Vec<_>>());
        let mut chosen = Vec::new();
        for (part, i, j) in pairs {
            let is_first = !(seen[i] && seen[m + j]);
            (seen[i], seen[m + j]) = (true, true);
            let (a, b) = (root(&mut group, i), root(&mut group, m + j));
            if a != b && (is_first || part > PART) {
                group[a] = b;
                chosen.push((i, j));
            }
        }
        let mut forest = Self {
            weights,
            cost,
            pairs: chosen,
            flows: Vec::new(),
            neighbours: vec![Vec::new(); m + n],
            nodes: Vec::new(),
            order: Vec::with_capacity(m + n),
        };
        forest.evaluate();
        forest
    }

    /// The number m of points of a.
    fn len(&self) -> usize {
        self.weights[0].len()
    }

    /// `a_i e^(-phi)` or `b_j e^(-psi)`.
    fn mass(&self, point: usize, potential: f64) -> f64 {
        let m = self.len();
        let weight = match point.checked_sub(m) {
            None => self.weights[0][point],
            Some(j) => self.weights[1][j],
        };
        weight * (-potential).exp()
    }

    /// Computes potentials and plan.
    fn evaluate(&mut self) {
        let m = self.len();
        self.neighbours.iter_mut().for_each(Vec::clear);
        for (number, &(i, j)) in self.pairs.iter().enumerate() {
            self.neighbours[i].push((m + j, number));
            self.neighbours[m + j].push((i, number));
        }
        let unknown = Node {
            root: usize::MAX,
            parent: 0,
            base: 0.0,
            costs: 0.0,
            potential: 0.0,
        };
        self.nodes.clear();
        self.nodes.resize(self.neighbours.len(), unknown);
        self.order.clear();
        for start in 0..self.nodes.len() {
            if self.nodes[start].root == usize::MAX {
                self.grow(start);
            }
        }
        // From the leaves: what is left of the mass of a point goes to its parent.
        let own = |point: usize| {
            let value = self.mass(point, self.nodes[point].potential);
            let error = UNITS * value;
            Flow { value, error }
        };
        let mut left: Vec<Flow> = (0..self.nodes.len()).map(own).collect();
        let mut flows = vec![left[0]; self.pairs.len()];
        for &point in self.order.iter().rev() {
            let parent = self.nodes[point].parent;
            if parent == point {
                continue;
            }
            let flow = left[point];
            flows[self.number_of(point, parent)] = flow;
            left[parent].value -= flow.value;
            left[parent].error += flow.error;
        }
        for point in 0..self.nodes.len() {
            if let [(_, number)] = self.neighbours[point][..] {
                flows[number] = own(point); // also for a root
            }
        }
        self.flows = flows;
    }

    /// The tree of a point, with its potentials.
    fn grow(&mut self, start: usize) {
        let (m, first) = (self.len(), self.order.len());
        (self.nodes[start].root, self.nodes[start].parent) = (start, start);
        self.order.push(start);
        let mut next = first;
        while let Some(&point) = self.order.get(next) {
            for &(to, number) in &self.neighbours[point] {
                if self.nodes[to].root == usize::MAX {
                    let ((i, j), from) = (self.pairs[number], self.nodes[point]);
                    let cost = self.cost[(j, i)];
                    let (base, costs) = (cost - from.base, cost + from.costs);
                    self.nodes[to] = Node {
                        root: start,
                        parent: point,
                        base,
                        costs,
                        potential: 0.0,
                    };
                    self.order.push(to);
                }
            }
            next += 1;
        }
        let points = &self.order[first..];
        let mass = |of_a: bool| -> f64 {
            let side = points.iter().filter(|&&point| (point < m) == of_a);
            side.map(|&point| self.mass(point, self.nodes[point].base))
                .sum()
        };
        let shift = 0.5 * (mass(true) / mass(false)).ln();
        for &point in points {
            let node = &mut self.nodes[point];
            node.potential = if points.len() == 1 {
                f64::INFINITY
            } else if point < m {
                node.base + shift
            } else {
                node.base - shift
            };
        }
    }

    fn number_of(&self, a: usize, b: usize) -> usize {
        let neighbour = self.neighbours[a].iter().find(|&&(to, _)| to == b);
        neighbour.expect("a pair of the forest").1
    }

    /// The slack of a pair, and the bound of its rounding error. The constant of a tree cancels.
    fn slack(&self, i: usize, j: usize) -> (f64, f64) {
        let (a, b, cost) = (self.nodes[i], self.nodes[self.len() + j], self.cost[(j, i)]);
        if a.root == b.root {
            (cost - a.base - b.base, UNITS * (cost + a.costs + b.costs))
        } else {
            let size = cost + a.potential.abs() + b.potential.abs();
            (cost - a.potential - b.potential, UNITS * size)
        }
    }

    /// The points of the path between two points of a tree.
    fn path(&self, from: usize, to: usize) -> Vec<usize> {
        let up = |mut point: usize| {
            let mut points = vec![point];
            while self.nodes[point].parent != point {
                point = self.nodes[point].parent;
                points.push(point);
            }
            points
        };
        let (mut a, mut b) = (up(from), up(to));
        while a.len() > 1 && b.len() > 1 && a[a.len() - 2] == b[b.len() - 2] {
            a.pop();
            b.pop();
        }
        b.pop(); // the common point
        a.extend(b.iter().rev());
        a
    }

    /// Exchanges pairs until the plan and the slacks are not negative; returns false if there are too
    /// many exchanges.
    fn optimise(&mut self) -> bool {
        let m = self.len();
        for _ in 0..4 * self.nodes.len() + 16 {
            let flows = self.flows.iter().enumerate();
            let negative = flows.filter(|(_, flow)| flow.value < -flow.error);
            let least = negative.min_by(|a, b| a.1.value.total_cmp(&b.1.value));
            if let Some((number, _)) = least {
                self.pairs.swap_remove(number);
                self.evaluate();
                continue;
            }
            let mut least = (0.0, 0, 0);
            for (j, i) in self.finite_pairs() {
                let (slack, error) = self.slack(i, j);
                if slack < -error && slack < least.0 {
                    least = (slack, i, j);
                }
            }
            let (slack, i, j) = least;
            if slack == 0.0 {
                return true;
            }
            if self.nodes[i].root == self.nodes[m + j].root {
                // Every second pair of the path loses what the new one receives.
                let path = self.path(i, m + j);
                let losing = path
                    .chunks_exact(2)
                    .map(|pair| self.number_of(pair[0], pair[1]));
                let value = |&number: &usize| self.flows[number].value;
                let Some(leaving) = losing.min_by(|a, b| value(a).total_cmp(&value(b))) else {
                    return false;
                };
                self.pairs[leaving] = (i, j);
            } else {
                self.pairs.push((i, j));
            }
            self.evaluate();
        }
        false
    }

    /// The indices `(j, i)` of finite costs.
    fn finite_pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<'a> {
        let (cost, n) = (self.cost, self.cost.nrows());
        let all = (0..cost.ncols()).flat_map(move |i| (0..n).map(move |j| (j, i)));
        all.filter(move |&index| cost[index].is_finite())
    }

    /// A bound of the rounding error of the potentials of b, but for a common constant. The constants of
    /// several trees have errors of their own, those of masses of sum 1.
    fn error(&self) -> f64 {
        let nodes = &self.nodes[self.len()..];
        let connected = nodes.iter().filter(|node| node.potential.is_finite());
        let size = |node: &Node| node.costs + node.potential.abs();
        let largest = connected.clone().map(size).fold(0.0, f64::max);
        let mut trees = connected.map(|node| node.root);
        let first = trees.next();
        let constants = f64::from(trees.any(|root| Some(root) != first));
        UNITS * (largest + constants)
    }

    /// Whether the entries of each point of a are determined: it does not belong to a cycle of pairs
    /// of slack 0, and its mass is not a small difference of those of others.
    fn accurate(&self) -> Vec<bool> {
        let m = self.len();
        let is_small = |i: usize| {
            let mass = self.mass(i, self.nodes[i].potential);
            let entries = &self.neighbours[i];
            entries.len() < 2
                || entries
                    .iter()
                    .all(|&(_, number)| self.flows[number].error <= ACCURACY * mass)
        };
        let mut accurate: Vec<bool> = (0..m).map(is_small).collect();
        for (j, i) in self.finite_pairs() {
            let (slack, error) = self.slack(i, j);
            let in_tree = self.nodes[i].root == self.nodes[m + j].root;
            let is_new = !self.neighbours[i].iter().any(|&(to, _)| to == m + j);
            if in_tree && is_new && slack <= error {
                for point in self.path(i, m + j) {
                    if point < m {
                        accurate[point] = false;
                    }
                }
            }
        }
        accurate
    }
}

/// The representative of a group, with shorter paths.
fn root(group: &mut [usize], mut point: usize) -> usize {
    while group[point] != point {
        group[point] = group[group[point]];
        point = group[point];
    }
    point
}
