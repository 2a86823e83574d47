//! The traversal of two trees of directions: sums over half spaces for all queries of a range.

use std::ops::Range;

use super::caps::{Cap, Item, Side, item};
use super::leaf::{Leaf, LeafPredictions, LeafVariations};
use super::refine::Refine;
use crate::numeric::direction_tree::{Level, depth};
use crate::numeric::packed::line;
use crate::numeric::parallel::{Parts, for_each};
use crate::numeric::simd::{Launch, SimdScalar, dispatch};

/// Tasks of a traversal, each with its own lists: enough for 64 threads.
const TASKS: usize = 64;

/// What is computed for the queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// `<S_l, x>` for each output l.
    Predictions,
    /// `V_l`, d coordinates for each output l.
    Variations,
}

/// The sums over the half spaces of all queries.
#[derive(Debug)]
pub(super) struct Traversal<'a, E> {
    pub(super) pass: Pass,
    pub(super) dim: usize,
    /// The outputs of a pass, 1 or 4.
    pub(super) outputs: usize,
    pub(super) sources: Side<'a, E>,
    pub(super) queries: Side<'a, E>,
    /// Lines of the weights of the sources.
    pub(super) weights: &'a [E],
    /// The sums of the nodes of the sources, in lines of `outputs d` rows.
    pub(super) sums: &'a [E],
    /// As in [`Leaf`].
    pub(super) sign: E,
    pub(super) slope: E,
    pub(super) boundary: E,
    /// Lists of undecided nodes, [`lists_len`] items.
    pub(super) lists: &'a mut [Item],
    /// Lines of the results of the queries, overwritten.
    pub(super) out: &'a mut [E],
}

/// The items of the lists of all tasks, for given numbers of sources and queries.
///
/// Each node of the queries on a path from the top to a line has a list of at most all lines of a
/// level of the sources. Two items more are the first list, and one that is written but not kept.
pub(super) fn lists_len<E>(sources: usize, queries: usize) -> usize {
    let width = line::<E>();
    let (depth, steps) = (
        depth::<E>(sources),
        depth::<E>(sources).max(depth::<E>(queries)),
    );
    let level = |step: usize| depth.saturating_sub(step + 1) as u32;
    let lines = (0..steps).map(|step| sources.div_ceil(width.pow(level(step) + 2)));
    TASKS * (2 + lines.sum::<usize>())
}

macro_rules! launch {
    ($($scalar:ty),*) => {$(
        impl Launch for Traversal<'_, $scalar> {
            fn launch(self) {
                match (self.dim, self.outputs) {
                    (3, 1) => self.run::<3, 1>(),
                    (4, 1) => self.run::<4, 1>(),
                    (_, 1) => self.run::<5, 1>(),
                    (3, _) => self.run::<3, 4>(),
                    (4, _) => self.run::<4, 4>(),
                    (_, _) => self.run::<5, 4>(),
                }
            }
        }
    )*};
}
launch!(f32, f64);

impl<E: SimdScalar> Traversal<'_, E> {
    /// One task for each range of lines of queries, with its own lists.
    fn run<const D: usize, const K: usize>(self) {
        let rows = match self.pass {
            Pass::Predictions => K,
            Pass::Variations => K * D,
        };
        let stride = rows * line::<E>();
        let lines = self.queries.levels[0].count;
        let per_task = lines.div_ceil(TASKS);
        let lists_len = self.lists.len() / TASKS;
        let Self {
            pass,
            sources,
            queries,
            weights,
            sums,
            sign,
            slope,
            boundary,
            ..
        } = self;
        let task = |t: usize, (out, lists): (Parts<'_, E>, Parts<'_, Item>)| {
            let first = t * per_task;
            let mut task = Task::<E, D, K> {
                pass,
                sources,
                queries,
                weights,
                sums,
                sign,
                slope,
                boundary,
                lines: first..(first + per_task).min(lines),
                out: out.data,
            };
            let (list, rest) = lists.data.split_at_mut(1);
            list[0] = item(0, u32::MAX);
            let top = queries.levels.len() - 1;
            let state = State {
                level: sources.levels.len() - 1,
                expand: false,
                inside: [[E::zero(); D]; K],
            };
            for node in 0..queries.levels[top].count {
                task.descend(top, node, state, list, rest);
            }
        };
        let parts = (
            Parts::new(self.out, per_task * stride),
            Parts::new(self.lists, lists_len),
        );
        for_each(parts, true, &task);
    }
}

/// The sums for a range of lines of queries.
struct Task<'a, E, const D: usize, const K: usize> {
    pass: Pass,
    sources: Side<'a, E>,
    queries: Side<'a, E>,
    weights: &'a [E],
    sums: &'a [E],
    sign: E,
    slope: E,
    boundary: E,
    /// The lines of queries.
    lines: Range<usize>,
    /// Their results.
    out: &'a mut [E],
}

/// What the ancestors of a node of the queries have decided.
#[derive(Debug, Clone, Copy)]
struct State<E, const D: usize, const K: usize> {
    /// The level of the undecided nodes of the sources.
    level: usize,
    /// True if these have been tested before.
    expand: bool,
    /// The sums over the nodes in the half spaces of all queries of the node.
    inside: [[E; D]; K],
}

impl<E: SimdScalar, const D: usize, const K: usize> Task<'_, E, D, K> {
    /// Tests the undecided nodes of `list` against node `node` of level `level` of the queries, and
    /// descends to its children.
    fn descend(
        &mut self,
        level: usize,
        node: usize,
        mut state: State<E, D, K>,
        list: &[Item],
        lists: &mut [Item],
    ) {
        let width = line::<E>();
        let size = width.pow(level as u32); // lines of queries of the node
        if node * size >= self.lines.end || (node + 1) * size <= self.lines.start {
            return;
        }
        let cap = self.cap(level, node);
        let (list, lists) = self.refine(&cap, &mut state, list, lists);
        if level == 0 {
            return self.leaf(cap, node, state, list, lists);
        }
        let children = node * width..((node + 1) * width).min(self.queries.levels[level - 1].count);
        for child in children {
            self.descend(level - 1, child, state, list, lists);
        }
    }

    /// The cap of a node of the queries, turned to the half spaces of `sign`.
    fn cap(&self, level: usize, node: usize) -> Cap<E, D> {
        let width = line::<E>();
        let line = self.queries.levels[level].first + node / width;
        let row = |r: usize| self.queries.nodes[(line * (D + 2) + r) * width + node % width];
        Cap {
            centre: std::array::from_fn(|r| self.sign * row(r)),
            sin: row(D),
            cos: row(D + 1),
        }
    }

    /// Tests the nodes of the list, or their children if they have been tested before, and returns
    /// those that are undecided and the remaining memory.
    fn refine<'b>(
        &self,
        cap: &Cap<E, D>,
        state: &mut State<E, D, K>,
        list: &[Item],
        lists: &'b mut [Item],
    ) -> (&'b [Item], &'b mut [Item]) {
        let expand = state.expand && state.level > 0;
        state.level -= usize::from(expand);
        state.expand = true;
        let width = line::<E>();
        let Level { first, count } = self.sources.levels[state.level];
        let lines = count.div_ceil(width);
        let len = dispatch(Refine {
            query: *cap,
            nodes: &self.sources.nodes[first * (D + 2) * width..][..lines * (D + 2) * width],
            sums: &self.sums[first * K * D * width..][..lines * K * D * width],
            count,
            list,
            expand,
            undecided: &mut *lists,
            inside: &mut state.inside,
        });
        let (list, rest) = lists.split_at_mut(len);
        (list, rest)
    }

    /// The results of one line of queries.
    fn leaf<'b>(
        &mut self,
        cap: Cap<E, D>,
        line_of_queries: usize,
        mut state: State<E, D, K>,
        mut list: &'b [Item],
        mut lists: &'b mut [Item],
    ) {
        while state.level > 0 {
            (list, lists) = self.refine(&cap, &mut state, list, lists);
        }
        let width = line::<E>();
        let leaf = Leaf {
            sources: self.sources,
            weights: self.weights,
            cap,
            queries: &self.queries.vectors[line_of_queries * D * width..][..D * width],
            sign: self.sign,
            list,
            inside: state.inside,
            slope: self.slope,
            boundary: self.boundary,
        };
        let place = line_of_queries - self.lines.start;
        match self.pass {
            Pass::Predictions => {
                let out = &mut self.out[place * K * width..][..K * width];
                dispatch(LeafPredictions { leaf, out });
            }
            Pass::Variations => {
                let out = &mut self.out[place * K * D * width..][..K * D * width];
                dispatch(LeafVariations { leaf, out });
            }
        }
    }
}
