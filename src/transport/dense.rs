//! Assignment on a stored cost matrix: augmenting row reduction, then shortest augmenting paths.
//!
//! Source: R. Jonker and A. Volgenant, A shortest augmenting path algorithm for dense and sparse
//! linear assignment problems, Computing 38 (1987). Here each round starts from all free rows.
//!
//! In many dimensions a row of the matrix is read in less time than its distances are computed. The
//! matrix is in f32, so the assignment is optimal up to rounding. The few arcs that rounding cannot
//! exclude become candidates, with which the assignment is made optimal in f64.

use super::cost::Cost;
use super::cost_matrix::CostMatrix;
use super::cycle_cancelling;
use super::plan::Solution;
use super::prices::{CandidateList, Prices};
use crate::numeric::simd::{Simd, SimdKernel, dispatch};

/// The null index: no row or column.
const NONE: usize = usize::MAX;
/// Steps of row reduction a row, on average, after which the free rows are left to shortest paths.
const MAX_REDUCTIONS: usize = 8;
/// Candidates exceed the assigned arc by at most this multiple of the rounding error in f32.
const MARGIN: f64 = 32.0;

/// The optimal assignment; `None` if costs of a large exponent exceed the range of f32, or if
/// rounding errors left the assignment in f32 too far from optimal.
pub(super) fn solve(cost: &Cost, list_size: usize) -> Option<Solution> {
    // The square root leaves room for sums of costs along a path.
    if cost.largest() > f64::from(f32::MAX).sqrt() {
        return None;
    }
    let assignment = ApproximateAssignment::new(cost);
    let prices = assignment.prices(cost, list_size);
    cycle_cancelling::solve(prices, &assignment.column)
}

/// A complete assignment that is optimal up to rounding in f32, with the prices of its columns.
#[derive(Debug)]
struct ApproximateAssignment {
    costs: CostMatrix,
    /// The prices `v_j`, `-inf` in the padding.
    v: Vec<f32>,
    /// The column of each row.
    column: Vec<usize>,
    /// The row of each column.
    row: Vec<usize>,
}

impl ApproximateAssignment {
    fn new(cost: &Cost) -> Self {
        let n = cost.rows();
        let mut costs = CostMatrix::new(cost);
        let v = std::mem::take(&mut costs.least);
        let mut assignment = Self {
            costs,
            v,
            column: vec![NONE; n],
            row: vec![NONE; n],
        };
        let free = assignment.reduce_rows();
        assignment.augment(free);
        assignment
    }

    /// The prices with, for each row, all arcs that may be better than the assigned one in f64.
    fn prices<'a>(&self, cost: &'a Cost<'a>, size: usize) -> Prices<'a> {
        let n = self.column.len();
        let v: Vec<f64> = self.v[..n].iter().map(|&v| f64::from(v)).collect();
        let pairs = self.column.iter().enumerate();
        let u: Vec<f64> = pairs.map(|(i, &j)| cost.at(i, j) - v[j]).collect();
        let largest = |values: &[f64]| values.iter().fold(0.0_f64, |max, z| max.max(z.abs()));
        let rounding = 2.0 * f64::from(f32::EPSILON) * (largest(&u) + largest(&v));
        let lists = u.iter().enumerate().map(|(i, u)| {
            let mut list = CandidateList {
                omitted_bound: u + MARGIN * rounding,
                size,
                ..CandidateList::default()
            };
            let limit = (u + (MARGIN + 1.0) * rounding) as f32;
            let found = &mut |j| list.push(j, cost.at(i, j), v[j]);
            dispatch(Below {
                c: self.costs.row(i),
                v: &self.v,
                limit,
                found,
            });
            list
        });
        let lists = lists.collect();
        Prices::with_lists(cost, v, lists, size)
    }

    /// Augmenting row reduction: assigns each row to its best column, at the price that makes the
    /// second best equal. Returns the rows that remain free.
    fn reduce_rows(&mut self) -> Vec<usize> {
        let n = self.column.len();
        let mut free: Vec<usize> = (0..n).rev().collect();
        let mut remaining = Vec::new();
        for _ in 0..MAX_REDUCTIONS * n {
            let Some(i) = free.pop() else { break };
            let c = self.costs.row(i);
            let (mut j, [least, second]) = dispatch(TwoLeast { c, v: &self.v });
            let is_unique = least < second;
            if is_unique && second.is_finite() {
                self.v[j] -= second - least;
            } else if !is_unique && self.row[j] != NONE {
                // Of several best columns, a free one if possible.
                let is_free_tie = |&k: &usize| self.row[k] == NONE && c[k] - self.v[k] == least;
                j = (0..n).find(is_free_tie).unwrap_or(j);
            }
            let displaced = std::mem::replace(&mut self.row[j], i);
            self.column[i] = j;
            if displaced != NONE {
                self.column[displaced] = NONE;
                if is_unique {
                    free.push(displaced);
                } else {
                    remaining.push(displaced);
                }
            }
        }
        remaining.append(&mut free);
        remaining
    }

    /// Assigns the rows `free` by shortest augmenting paths in reduced costs.
    ///
    /// A round grows a tree from each free row, until it has reached as many free columns as three
    /// quarters of the trees. The trees are disjoint, so that each may augment along its path.
    fn augment(&mut self, free: Vec<usize>) {
        let n = self.column.len();
        let least = |i| {
            dispatch(TwoLeast {
                c: self.costs.row(i),
                v: &self.v,
            })
            .1[0]
        };
        let mut roots: Vec<(usize, f32)> = free.into_iter().map(|i| (i, least(i))).collect();
        let mut forest = Forest {
            distance: vec![f32::INFINITY; self.v.len()],
            parent: vec![0.0; self.v.len()],
        };
        let (mut root, mut is_complete) = (vec![0; n], vec![false; n]);
        let (mut settled, mut ends, mut unsettled) =
            (Vec::with_capacity(n), Vec::new(), Vec::new());
        while !roots.is_empty() {
            // The prices of unsettled columns; -inf for the others.
            unsettled.clone_from(&self.v);
            forest.distance.fill(f32::INFINITY);
            settled.clear();
            let mut nearest = (0, 0.0);
            for &(i, u) in &roots {
                (root[i], is_complete[i]) = (i, false);
                nearest = dispatch(forest.relax(self.costs.row(i), &unsettled, -u, i));
            }
            let mut open = (3 * roots.len()).div_ceil(4);
            let radius = loop {
                let (j, length) = nearest;
                settled.push(nearest);
                unsettled[j] = f32::NEG_INFINITY;
                forest.distance[j] = f32::INFINITY;
                let tree = root[forest.parent[j] as usize];
                let i = self.row[j];
                if i == NONE {
                    if !std::mem::replace(&mut is_complete[tree], true) {
                        ends.push(j);
                    }
                    open -= 1;
                    if open == 0 {
                        break length;
                    }
                    nearest = dispatch(Nearest(&forest.distance));
                } else {
                    root[i] = tree;
                    // The assigned arc has reduced cost zero: u_i = c_ij - v_j.
                    let c = self.costs.row(i);
                    let shift = length - (c[j] - self.v[j]);
                    nearest = dispatch(forest.relax(c, &unsettled, shift, i));
                }
            };
            for &(j, length) in &settled {
                self.v[j] -= radius - length;
            }
            for mut j in ends.drain(..) {
                loop {
                    let i = forest.parent[j] as usize;
                    self.row[j] = i;
                    let previous = std::mem::replace(&mut self.column[i], j);
                    if i == root[i] {
                        break;
                    }
                    j = previous;
                }
            }
            roots.retain(|&(i, _)| !is_complete[i]);
            roots.iter_mut().for_each(|(_, u)| *u += radius);
        }
    }
}

/// Labels of the columns: length of the shortest known path from a root, and preceding row.
#[derive(Debug)]
struct Forest {
    /// Infinite once the column is settled.
    distance: Vec<f32>,
    /// Row numbers, stored as f32 so that they are selected by the masks of the distances.
    parent: Vec<f32>,
}

impl Forest {
    /// The relaxation of the arcs of row `i`, for `shift = distance_i - u_i`.
    fn relax<'a>(
        &'a mut self,
        c: &'a [f32],
        v: &'a [f32],
        shift: f32,
        i: usize,
    ) -> RelaxStoredRow<'a> {
        RelaxStoredRow {
            c,
            v,
            shift,
            row: i as f32,
            forest: self,
        }
    }
}

/// Relaxes the arcs of one row: `distance_j = min(distance_j, shift + c_j - v_j)`.
struct RelaxStoredRow<'a> {
    c: &'a [f32],
    v: &'a [f32],
    shift: f32,
    row: f32,
    forest: &'a mut Forest,
}

impl SimdKernel for RelaxStoredRow<'_> {
    type Scalar = f32;
    /// The nearest unsettled column, with its distance.
    type Output = (usize, f32);

    #[inline(always)]
    fn run<S: Simd<f32>, const R: usize, const V: usize>(self, simd: S) -> (usize, f32) {
        let (c, v) = (S::vectors(self.c), S::vectors(self.v));
        let distance = S::vectors_mut(&mut self.forest.distance);
        let parent = S::vectors_mut(&mut self.forest.parent);
        let (shift, row) = (simd.splat(self.shift), simd.splat(self.row));
        let mut nearest = Least::new(simd);
        for (((&c, &v), distance), parent) in c.iter().zip(v).zip(distance).zip(parent) {
            let length = simd.add(shift, simd.sub(c, v));
            let shorter = simd.less(length, *distance);
            // Rarely true; unconditional writes of both arrays were four times slower.
            if simd.any(shorter) {
                *parent = simd.select(shorter, row, *parent);
                *distance = simd.min(length, *distance);
            }
            nearest.offer(simd, *distance);
        }
        let (j, length, _) = nearest.first();
        (j, length)
    }
}

/// The search for the nearest unsettled column, with its distance.
struct Nearest<'a>(&'a [f32]);

impl SimdKernel for Nearest<'_> {
    type Scalar = f32;
    type Output = (usize, f32);

    #[inline(always)]
    fn run<S: Simd<f32>, const R: usize, const V: usize>(self, simd: S) -> (usize, f32) {
        let mut nearest = Least::new(simd);
        for &distance in S::vectors(self.0) {
            nearest.offer(simd, distance);
        }
        let (j, length, _) = nearest.first();
        (j, length)
    }
}

/// The search for the column of least `c_j - v_j`, with the least and the second least value.
struct TwoLeast<'a> {
    c: &'a [f32],
    v: &'a [f32],
}

impl SimdKernel for TwoLeast<'_> {
    type Scalar = f32;
    type Output = (usize, [f32; 2]);

    #[inline(always)]
    fn run<S: Simd<f32>, const R: usize, const V: usize>(self, simd: S) -> (usize, [f32; 2]) {
        let mut nearest = Least::new(simd);
        let mut second = simd.splat(f32::INFINITY);
        for (&c, &v) in S::vectors(self.c).iter().zip(S::vectors(self.v)) {
            let b = simd.sub(c, v);
            second = simd.min(second, simd.max(nearest.least, b));
            nearest.offer(simd, b);
        }
        let (j, least, lane) = nearest.first();
        let others = S::lanes(&nearest.least)
            .iter()
            .enumerate()
            .filter(|&(l, _)| l != lane)
            .map(|(_, &b)| b);
        (
            j,
            [
                least,
                S::lanes(&second)
                    .iter()
                    .copied()
                    .chain(others)
                    .fold(f32::INFINITY, f32::min),
            ],
        )
    }
}

/// Calls `found` with each column that has `c_j - v_j <= limit`.
struct Below<'a> {
    c: &'a [f32],
    v: &'a [f32],
    limit: f32,
    found: &'a mut dyn FnMut(usize),
}

impl SimdKernel for Below<'_> {
    type Scalar = f32;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<f32>, const R: usize, const V: usize>(self, simd: S) {
        let limit = simd.splat(self.limit);
        let lanes = S::lanes(&limit).len();
        for (q, (&c, &v)) in S::vectors(self.c)
            .iter()
            .zip(S::vectors(self.v))
            .enumerate()
        {
            let below = simd.less_equal(simd.sub(c, v), limit);
            if simd.any(below) {
                for j in q * lanes..(q + 1) * lanes {
                    if self.c[j] - self.v[j] <= self.limit {
                        (self.found)(j);
                    }
                }
            }
        }
    }
}

/// The least value in each lane, and the index of the vector that held it.
#[derive(Debug)]
struct Least<S: Simd<f32>> {
    least: S::Vector,
    at: S::Vector,
    /// The index of the next vector.
    index: S::Vector,
}

impl<S: Simd<f32>> Least<S> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        Self {
            least: simd.splat(f32::INFINITY),
            at: simd.splat(0.0),
            index: simd.splat(0.0),
        }
    }

    #[inline(always)]
    fn offer(&mut self, simd: S, b: S::Vector) {
        self.at = simd.select(simd.less(b, self.least), self.index, self.at);
        self.least = simd.min(b, self.least);
        self.index = simd.add(self.index, simd.splat(1.0));
    }

    /// The first column that attains the least value, that value, and its lane.
    #[inline(always)]
    fn first(&self) -> (usize, f32, usize) {
        let (least, at) = (S::lanes(&self.least), S::lanes(&self.at));
        let mut best = (usize::MAX, f32::INFINITY, 0);
        for (l, (&b, &q)) in least.iter().zip(at).enumerate() {
            let j = q as usize * least.len() + l;
            if b < best.1 || (b == best.1 && j < best.0) {
                best = (j, b, l);
            }
        }
        best
    }
}
