//! Assignment on a stored matrix of costs, after R. Jonker and A. Volgenant, A shortest augmenting path algorithm for
//! dense and sparse linear assignment problems, Computing 38 (1987); but paths are searched from all rows at once.
//!
//! In many dimensions distances are alike: no short list of columns decides, and a row of the matrix is read in less time
//! than its distances are computed. The matrix is in f32 and all of this only a guess, off by rounding; the arcs that
//! rounding cannot rule out are few, and with them the guess is made exact in f64.

use super::cost::{Cost, LANES, Sink};
use super::prices::{Candidates, Prices};
use super::{Solution, repair};
use crate::numeric::simd::{Simd, SimdKernel, dispatch};

/// Numbers in the widest vector of f32.
const WIDTH: usize = 16;
const NONE: usize = usize::MAX;
/// Bids a row, on average, before the rows that are left search paths.
const BIDS: usize = 8;
/// Bytes of the largest matrix, in few dimensions and in many.
const LARGEST: [usize; 2] = [32 << 20, 128 << 20];
/// Dimensions from which on lists of candidates are too short.
const DIMENSIONS: usize = 6;
/// Dimensions from which on distances take most of the time of lists.
const MANY: usize = 32;
/// Arcs within so many roundings of the best go to the lists.
const MARGIN: f64 = 32.0;

/// Whether a matrix is worth its memory.
pub(super) fn is_supported(dim: usize, rows: usize, columns: usize) -> bool {
    dim >= DIMENSIONS
        && rows == columns
        && 4 * rows * columns.next_multiple_of(WIDTH) <= LARGEST[usize::from(dim >= MANY)]
}

/// The optimal plan with its prices; `None` when costs (for a large exponent) leave the range of f32, or rounding led astray.
pub(super) fn solve(cost: &Cost, size: usize) -> Option<Solution> {
    if cost.largest() > f64::from(f32::MAX).sqrt() {
        return None;
    }
    let guess = Guess::new(cost);
    let mut prices = guess.prices(cost, size);
    let (plan, u) = repair::solve(&mut prices, &guess.column)?;
    Some((plan, u, prices.v))
}

/// A complete assignment that is optimal up to rounding in f32, with its prices.
#[derive(Debug)]
struct Guess {
    costs: Matrix,
    v: Vec<f32>,
    column: Vec<usize>,
    row: Vec<usize>,
}

/// The costs `c_ij`, row by row in whole vectors, infinite beyond the last column; and the least of each column.
#[derive(Debug)]
struct Matrix {
    stride: usize,
    c: Vec<f32>,
    least: Vec<f32>,
}

impl Matrix {
    fn new(cost: &Cost) -> Self {
        let columns = cost.columns();
        let stride = columns.next_multiple_of(WIDTH);
        let mut matrix = Self {
            stride,
            c: vec![0.0; cost.rows() * stride],
            least: vec![f32::INFINITY; stride],
        };
        let all: Vec<u32> = (0..cost.rows() as u32).collect();
        cost.visit(&all, &vec![0.0; stride], &mut matrix);
        for row in matrix.c.chunks_exact_mut(stride) {
            row[columns..].fill(f32::INFINITY);
        }
        matrix.least[columns..].fill(f32::NEG_INFINITY);
        matrix
    }

    fn row(&self, i: usize) -> &[f32] {
        &self.c[i * self.stride..][..self.stride]
    }
}

impl Sink for Matrix {
    #[inline(always)]
    fn tile(&mut self, i: usize, j0: usize, c: &[f64; LANES], _: &[f64; LANES]) {
        let c = c.map(|c| c as f32);
        self.c[i * self.stride + j0..][..LANES].copy_from_slice(&c);
        for (least, c) in self.least[j0..][..LANES].iter_mut().zip(c) {
            *least = least.min(c);
        }
    }
}

impl Guess {
    fn new(cost: &Cost) -> Self {
        let n = cost.rows();
        let mut costs = Matrix::new(cost);
        let v = std::mem::take(&mut costs.least);
        let mut guess = Self {
            costs,
            v,
            column: vec![NONE; n],
            row: vec![NONE; n],
        };
        let free = guess.bid();
        guess.augment(free);
        guess
    }

    /// The prices and, for each row, all arcs that may be better than the one guessed.
    fn prices<'a>(&self, cost: &'a Cost<'a>, size: usize) -> Prices<'a> {
        let n = self.column.len();
        let v: Vec<f64> = self.v[..n].iter().map(|&v| f64::from(v)).collect();
        let own: Vec<f64> = self
            .column
            .iter()
            .enumerate()
            .map(|(i, &j)| cost.at(i, j) - v[j])
            .collect();
        let largest = |values: &[f64]| {
            values
                .iter()
                .fold(0.0, |most: f64, value| most.max(value.abs()))
        };
        let rounding = 2.0 * f64::from(f32::EPSILON) * (largest(&own) + largest(&v));
        let lists = own.iter().enumerate().map(|(i, own)| {
            let mut list = Candidates {
                rest: own + MARGIN * rounding,
                size,
                ..Candidates::default()
            };
            let limit = (own + (MARGIN + 1.0) * rounding) as f32;
            let found = &mut |j| list.insert(j, cost.at(i, j), v[j]);
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

    /// Augmenting row reduction: each row takes its best column at the price at which the second best is as good.
    /// Returns the rows that are left.
    fn bid(&mut self) -> Vec<usize> {
        let n = self.column.len();
        let mut free: Vec<usize> = (0..n).rev().collect();
        let mut left = Vec::new();
        for _ in 0..BIDS * n {
            let Some(i) = free.pop() else { break };
            let c = self.costs.row(i);
            let (mut j, [least, second]) = dispatch(TwoLeast { c, v: &self.v });
            let below = least < second;
            if below && second.is_finite() {
                self.v[j] -= second - least;
            } else if !below && self.row[j] != NONE {
                // of several best columns, one that is free
                let tie = |&k: &usize| self.row[k] == NONE && c[k] - self.v[k] == least;
                j = (0..n).find(tie).unwrap_or(j);
            }
            let before = std::mem::replace(&mut self.row[j], i);
            self.column[i] = j;
            if before != NONE {
                self.column[before] = NONE;
                if below {
                    free.push(before)
                } else {
                    left.push(before)
                }
            }
        }
        left.append(&mut free);
        left
    }

    /// Gives a column to each of the rows `free` by shortest paths in reduced costs. A round grows a forest from all of
    /// them; its trees share no row and no column, so that each may end in a path.
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
        let mut forest = Forest::new(self.v.len());
        let (mut root, mut complete) = (vec![0; n], vec![false; n]);
        let (mut settled, mut ends, mut unsettled) =
            (Vec::with_capacity(n), Vec::new(), Vec::new());
        while !roots.is_empty() {
            // prices of the columns that are not settled; -inf for the others
            unsettled.clone_from(&self.v);
            forest.distance.fill(f32::INFINITY);
            settled.clear();
            ends.clear();
            let mut nearest = (0, 0.0);
            for &(i, u) in &roots {
                (root[i], complete[i]) = (i, false);
                nearest = dispatch(forest.relax(self.costs.row(i), &unsettled, -u, i));
            }
            let mut open = (3 * roots.len()).div_ceil(4);
            let end = loop {
                let (j, length) = nearest;
                settled.push(nearest);
                unsettled[j] = f32::NEG_INFINITY;
                forest.distance[j] = f32::INFINITY;
                let tree = root[forest.parent[j] as usize];
                let i = self.row[j];
                if i == NONE {
                    if !std::mem::replace(&mut complete[tree], true) {
                        ends.push(j);
                    }
                    open -= 1;
                    if open == 0 {
                        break length;
                    }
                    nearest = dispatch(Nearest(&forest.distance));
                } else {
                    root[i] = tree;
                    // the arc between i and j has no reduced cost: u_i = c_ij - v_j
                    let c = self.costs.row(i);
                    let shift = length - (c[j] - self.v[j]);
                    nearest = dispatch(forest.relax(c, &unsettled, shift, i));
                }
            };
            for &(j, length) in &settled {
                self.v[j] -= end - length;
            }
            for &end in &ends {
                let mut j = end;
                loop {
                    let i = forest.parent[j] as usize;
                    self.row[j] = i;
                    let before = std::mem::replace(&mut self.column[i], j);
                    if i == root[i] {
                        break;
                    }
                    j = before;
                }
            }
            roots.retain(|&(i, _)| !complete[i]);
            roots.iter_mut().for_each(|(_, u)| *u += end);
        }
    }
}

/// For each column the length of the shortest path to it from a root, infinite once it is settled, and the row before.
#[derive(Debug)]
struct Forest {
    distance: Vec<f32>,
    /// Whole numbers, in lanes of one kind with the distances.
    parent: Vec<f32>,
}

impl Forest {
    fn new(columns: usize) -> Self {
        Self {
            distance: vec![f32::INFINITY; columns],
            parent: vec![0.0; columns],
        }
    }

    /// Shortens distances over the arcs of row `i`, for `shift = distance_i - u_i`.
    fn relax<'a>(&'a mut self, c: &'a [f32], v: &'a [f32], shift: f32, i: usize) -> Relax<'a> {
        Relax {
            c,
            v,
            shift,
            row: i as f32,
            forest: self,
        }
    }
}

struct Relax<'a> {
    c: &'a [f32],
    v: &'a [f32],
    shift: f32,
    row: f32,
    forest: &'a mut Forest,
}

impl SimdKernel for Relax<'_> {
    type Scalar = f32;
    /// The nearest column, with its distance.
    type Output = (usize, f32);

    #[inline(always)]
    fn run<S: Simd<f32>, const R: usize, const V: usize>(self, simd: S) -> (usize, f32) {
        let (c, v) = (S::vectors(self.c), S::vectors(self.v));
        let distance = S::vectors_mut(&mut self.forest.distance);
        let parent = S::vectors_mut(&mut self.forest.parent);
        let (shift, row) = (simd.splat(self.shift), simd.splat(self.row));
        let mut nearest = Least::new(simd);
        for (((&c, &v), distance), parent) in c.iter().zip(v).zip(distance).zip(parent) {
            let there = simd.add(shift, simd.sub(c, v));
            let shorter = simd.less(there, *distance);
            // seldom any: two streams of writes for nothing would take four times as long
            if simd.any(shorter) {
                *parent = simd.select(shorter, row, *parent);
                *distance = simd.min(there, *distance);
            }
            nearest.offer(simd, *distance);
        }
        let (j, length, _) = nearest.first();
        (j, length)
    }
}

/// The nearest column, with its distance.
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

/// The column of least `c_j - v_j`, with the least and the second least.
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

/// Finds the columns with `c_j - v_j <= limit`.
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

/// The least of the values in each lane, and which vector it was in.
#[derive(Debug)]
struct Least<S: Simd<f32>> {
    least: S::Vector,
    at: S::Vector,
    place: S::Vector,
}

impl<S: Simd<f32>> Least<S> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        Self {
            least: simd.splat(f32::INFINITY),
            at: simd.splat(0.0),
            place: simd.splat(0.0),
        }
    }

    #[inline(always)]
    fn offer(&mut self, simd: S, b: S::Vector) {
        self.at = simd.select(simd.less(b, self.least), self.place, self.at);
        self.least = simd.min(b, self.least);
        self.place = simd.add(self.place, simd.splat(1.0));
    }

    /// The first column of the least value, that value, and its lane.
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
