//! Parallel loops over independent tasks, each of which owns a part of the output.

use std::ops::Range;

/// Work that consists of independent tasks.
pub(crate) trait Work: Send + Sized {
    /// The number of tasks.
    fn len(&self) -> usize;
    /// The first `at` tasks, and the remaining ones.
    fn split(self, at: usize) -> (Self, Self);
}

/// A slice in parts of `size` (the last may be shorter), one per task.
#[derive(Debug)]
pub(crate) struct Parts<'a, T> {
    pub(crate) data: &'a mut [T],
    pub(crate) size: usize,
}

impl<'a, T> Parts<'a, T> {
    pub(crate) fn new(data: &'a mut [T], size: usize) -> Self {
        Self { data, size }
    }
}

impl<T: Send> Work for Parts<'_, T> {
    fn len(&self) -> usize {
        self.data.len().div_ceil(self.size.max(1))
    }

    fn split(self, at: usize) -> (Self, Self) {
        let at = (at * self.size).min(self.data.len());
        let (left, right) = self.data.split_at_mut(at);
        (Self::new(left, self.size), Self::new(right, self.size))
    }
}

/// A slice in parts of any sizes: that of task t starts at `start(t)`.
#[derive(Debug)]
pub(crate) struct Pieces<'a, T, F> {
    pub(crate) data: &'a mut [T],
    tasks: Range<usize>,
    start: F,
}

impl<'a, T, F: Fn(usize) -> usize> Pieces<'a, T, F> {
    /// The parts of `tasks` tasks; `start` does not decrease.
    pub(crate) fn new(data: &'a mut [T], tasks: usize, start: F) -> Self {
        Self {
            data,
            tasks: 0..tasks,
            start,
        }
    }
}

impl<T: Send, F: Fn(usize) -> usize + Copy + Send> Work for Pieces<'_, T, F> {
    fn len(&self) -> usize {
        self.tasks.len()
    }

    fn split(self, at: usize) -> (Self, Self) {
        let (start, Range { start: first, end }) = (self.start, self.tasks);
        let middle = first + at;
        let len = start(middle) - start(first);
        let (left, right) = self.data.split_at_mut(len.min(self.data.len()));
        let part = |data, tasks| Self { data, tasks, start };
        (part(left, first..middle), part(right, middle..end))
    }
}

/// Two parts of each task; the first component determines the number of tasks.
impl<A: Work, B: Work> Work for (A, B) {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn split(self, at: usize) -> (Self, Self) {
        let ((a, c), (b, d)) = (self.0.split(at), self.1.split(at));
        ((a, b), (c, d))
    }
}

/// Calls `task(t, part)` for every task t, on the threads of the current pool if `parallel`.
///
/// A task owns its part, so the results do not depend on the number of threads.
pub(crate) fn for_each<W: Work>(work: W, parallel: bool, task: &(impl Fn(usize, W) + Sync)) {
    #[cfg(feature = "rayon")]
    if parallel && rayon::current_num_threads() > 1 {
        return fork_join(work, 0, task);
    }
    let _ = parallel;
    let mut remaining = work;
    for t in 0..remaining.len() {
        let (part, rest) = remaining.split(1);
        task(t, part);
        remaining = rest;
    }
}

/// Entries of a matrix from which a pass over it is divided into [`BLOCKS`]: about 50 us of work.
const LARGE: usize = 1 << 17;

/// Blocks of a pass over a large matrix.
const BLOCKS: usize = 32;

/// The values of `f(items)` for consecutive blocks of `items` items with `size` entries each: one
/// block, or up to [`BLOCKS`] in parallel if there are many entries. The others are `fill`.
///
/// The blocks depend on the sizes only.
pub(crate) fn map_blocks<V: Copy + Send>(
    items: usize,
    size: usize,
    fill: V,
    f: impl Fn(Range<usize>) -> V + Sync,
) -> [V; BLOCKS] {
    let parallel = items * size >= LARGE;
    map_parts(&mut [(); 0], items, 0, parallel, fill, |items, _| f(items))
}

/// As [`map_blocks`] for the items of a slice, `size` entries each: calls `f(items, entries)`.
pub(crate) fn map_blocks_mut<T: Send, V: Copy + Send>(
    x: &mut [T],
    size: usize,
    fill: V,
    f: impl Fn(Range<usize>, &mut [T]) -> V + Sync,
) -> [V; BLOCKS] {
    let (items, parallel) = (x.len() / size, x.len() >= LARGE);
    map_parts(x, items, size, parallel, fill, f)
}

fn map_parts<T: Send, V: Copy + Send>(
    x: &mut [T],
    items: usize,
    size: usize,
    parallel: bool,
    fill: V,
    f: impl Fn(Range<usize>, &mut [T]) -> V + Sync,
) -> [V; BLOCKS] {
    let block = items.div_ceil(if parallel { BLOCKS } else { 1 }).max(1);
    let mut values = [fill; BLOCKS];
    let parts = (
        Parts::new(&mut values[..items.div_ceil(block)], 1),
        Parts::new(x, block * size),
    );
    for_each(parts, parallel, &|t, (value, x)| {
        value.data[0] = f(t * block..((t + 1) * block).min(items), x.data);
    });
    values
}

/// The number of threads of the current pool.
pub(crate) fn threads() -> usize {
    #[cfg(feature = "rayon")]
    return rayon::current_num_threads();
    #[cfg(not(feature = "rayon"))]
    1
}

/// [`for_each`] in parallel; the first task has the number `first`.
#[cfg(feature = "rayon")]
fn fork_join<W: Work>(work: W, first: usize, task: &(impl Fn(usize, W) + Sync)) {
    match work.len() {
        0 => {}
        1 => task(first, work),
        len => {
            let (left, right) = work.split(len / 2);
            let middle = first + len / 2;
            rayon::join(
                || fork_join(left, first, task),
                || fork_join(right, middle, task),
            );
        }
    }
}
