//! Parallel loops over independent tasks, each of which owns a part of the output.

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
