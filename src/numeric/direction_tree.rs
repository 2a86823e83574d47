//! Trees over the directions of vectors, with caps that bound the directions of each node.
//!
//! The vectors are ordered by recursive splits at the median of the widest coordinate of their
//! directions (a k-d tree; Bentley 1975), so that every W consecutive ones, a line, are close. A
//! node of level 1 is a line of vectors, a node of level `l + 1` is W consecutive nodes of level l,
//! and W nodes are tested at a time. The depth depends on the number of vectors only, also if
//! their directions are equal.

use std::ops::RangeInclusive;

use crate::numeric::packed::{Aligned, line};
use crate::numeric::parallel::{Parts, for_each};
use crate::real::{Real, real, to_f64};

mod splits;

pub(crate) use splits::MAX_DIM;
use splits::{Entry, TASK, order};

/// Chord of a cap of 45 degrees, `2 sin(pi / 8)`. Two smaller caps span less than a right angle,
/// which the test of two nodes requires.
const MAX_CHORD: f64 = 0.765;

/// The bound of the relative rounding errors of a test in units of the machine epsilon: inner
/// products of unit vectors, their rounding, and that of `b.x` itself are each below d + 3.
pub(crate) fn margin<T: Real>(d: usize) -> f64 {
    8.0 * (d + 2) as f64 * to_f64(T::default_epsilon())
}

/// The norms of vectors that the tests of a tree may decide on. `16 times` the smallest normal
/// number keeps products of coordinates from underflow, a 64th of the largest number from overflow.
fn norm_limits<T: Real>() -> (f64, f64) {
    if size_of::<T>() == size_of::<f32>() {
        let (min, max) = (f32::MIN_POSITIVE, f32::MAX);
        (16.0 * f64::from(min), f64::from(max) / 64.0)
    } else {
        (16.0 * f64::MIN_POSITIVE, f64::MAX / 64.0)
    }
}

/// The number of levels of nodes of a tree of `len` vectors: the last one has at most W nodes.
pub(crate) fn depth<T>(len: usize) -> usize {
    let width = line::<T>();
    let (mut depth, mut count) = (1, len.div_ceil(width));
    while count > width {
        count = count.div_ceil(width);
        depth += 1;
    }
    depth
}

/// The nodes of one level.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Level {
    /// The first line of its nodes among the lines of all nodes.
    pub(crate) first: usize,
    /// The number of nodes.
    pub(crate) count: usize,
}

impl Level {
    /// The lines that contain the nodes.
    pub(crate) fn lines(&self, width: usize) -> usize {
        self.count.div_ceil(width)
    }
}

/// Nonzero vectors in the order of the tree, followed by the zero vectors.
///
/// A vector is regular if its inner products with regular vectors neither underflow nor overflow.
/// The others are last in the order; no test decides on them or their nodes.
#[derive(Debug, Clone)]
pub(crate) struct DirectionTree<T> {
    dim: usize,
    /// The number of regular vectors.
    regular: usize,
    /// The number of nonzero vectors.
    nonzero: usize,
    /// The original index of each vector.
    index: Vec<u32>,
    /// The inverse of `index`.
    position: Vec<u32>,
    /// Lines of nonzero vectors: coordinate r of vector `l W + w` is at `(l d + r) W + w`.
    vectors: Aligned<T>,
    /// Their directions in the same layout, 0 if irregular.
    units: Aligned<T>,
    /// Lines of nodes: d coordinates of the centre of the cap, sine and cosine of its angle. The
    /// centre is 0 if no test may decide on the node.
    nodes: Aligned<T>,
    /// The levels from 1 on; the last one has at most W nodes.
    levels: Vec<Level>,
    /// The smallest and the largest maximum norm of a regular vector.
    norms: (f64, f64),
    entries: Vec<Entry>,
}

impl<T> Default for DirectionTree<T> {
    fn default() -> Self {
        Self {
            dim: 0,
            regular: 0,
            nonzero: 0,
            index: Vec::new(),
            position: Vec::new(),
            vectors: Aligned::default(),
            units: Aligned::default(),
            nodes: Aligned::default(),
            levels: Vec::new(),
            norms: (f64::INFINITY, 0.0),
            entries: Vec::new(),
        }
    }
}

/// The maximum norm.
fn max_norm<T: Real>(v: &[T]) -> f64 {
    v.iter().fold(0.0, |max, &s| to_f64(s).abs().max(max))
}

/// The direction of a vector of maximum norm `norm > 0`.
fn direction<T: Real>(v: &[T], norm: f64) -> [f64; MAX_DIM] {
    let mut unit = [0.0; MAX_DIM];
    let mut squares = 0.0;
    for (unit, &s) in unit.iter_mut().zip(v) {
        *unit = to_f64(s) / norm;
        squares += *unit * *unit;
    }
    let length = squares.sqrt();
    unit.map(|unit| unit / length)
}

impl<T: Real> DirectionTree<T> {
    /// Builds the tree of the columns of `x` (`d x n`).
    pub(crate) fn fill(&mut self, x: &[T], d: usize) {
        let (min, max) = norm_limits::<T>();
        self.build(x.len() / d, d, min..=max, |j| &x[j * d..][..d]);
    }

    /// Builds the tree of `len < 2^32` vectors, to be tested against those of `other`. Allocates
    /// nothing if at least as many were in the tree before.
    pub(crate) fn fill_against<'v>(
        &mut self,
        other: &Self,
        len: usize,
        vector: impl Fn(usize) -> &'v [T] + Sync,
    ) {
        let ((min, max), (smallest, largest)) = (norm_limits::<T>(), other.norms);
        let min = (min / smallest).max(min);
        let max = (max / largest).min(max);
        self.build(len, other.dim, min..=max, vector);
    }

    fn build<'v>(
        &mut self,
        len: usize,
        d: usize,
        regular: RangeInclusive<f64>,
        vector: impl Fn(usize) -> &'v [T] + Sync,
    ) {
        self.dim = d;
        self.collect(len, regular, &vector);
        order(&mut self.entries, d, line::<T>());
        let (index, entries) = (&mut self.index, &self.entries);
        for (index, entry) in index.iter_mut().zip(entries) {
            *index = entry.index;
        }
        self.position.resize(len, 0);
        for (s, &i) in self.index.iter().enumerate() {
            self.position[i as usize] = s as u32;
        }
        self.pack(&vector);
        self.bound();
    }

    /// Writes the regular vectors to `entries`, and the original indices of the others to the end
    /// of `index`.
    fn collect<'v>(
        &mut self,
        len: usize,
        regular: RangeInclusive<f64>,
        vector: &(impl Fn(usize) -> &'v [T] + Sync),
    ) {
        self.entries.clear();
        self.entries.reserve(len);
        self.index.clear();
        self.index.reserve(len);
        let (mut min, mut max) = (f64::INFINITY, 0.0_f64);
        for i in 0..len {
            let v = vector(i);
            let norm = max_norm(v);
            if regular.contains(&norm) {
                (min, max) = (min.min(norm), max.max(norm));
                let direction = direction(v, norm).map(|s| s as f32);
                let index = i as u32;
                self.entries.push(Entry { direction, index });
            } else if norm > 0.0 {
                self.index.push(i as u32);
            }
        }
        self.norms = (min, max);
        (self.regular, self.nonzero) = (self.entries.len(), self.entries.len() + self.index.len());
        if self.nonzero < len {
            let zero = |&i: &usize| max_norm(vector(i)) == 0.0;
            self.index.extend((0..len).filter(zero).map(|i| i as u32));
        }
        let others = self.index.len();
        self.index.resize(len, 0);
        self.index.rotate_left(others);
    }

    /// Copies the nonzero vectors and their directions to lines.
    fn pack<'v>(&mut self, vector: &(impl Fn(usize) -> &'v [T] + Sync)) {
        let (width, d, regular) = (line::<T>(), self.dim, self.regular);
        // For all vectors, so that nothing is allocated if fewer of them are zero later.
        let len = self.index.len().div_ceil(width) * d * width;
        self.vectors.resize(len, T::zero());
        self.units.resize(len, T::zero());
        let used = self.nonzero.div_ceil(width) * d * width;
        self.vectors.resize(used, T::zero());
        self.units.resize(used, T::zero());
        let index = &self.index[..self.nonzero];
        let task = TASK / width * d * width;
        let vectors = Parts::new(self.vectors.as_mut_slice(), task);
        let units = Parts::new(self.units.as_mut_slice(), task);
        type Pair<'a, T> = (Parts<'a, T>, Parts<'a, T>);
        for_each(
            (vectors, units),
            true,
            &|t, (vectors, units): Pair<'_, T>| {
                vectors.data.fill(T::zero());
                units.data.fill(T::zero());
                let first = t * (task / d);
                for (s, &i) in index.iter().enumerate().skip(first).take(task / d) {
                    let v = vector(i as usize);
                    let at = (s - first) / width * d * width + (s - first) % width;
                    for (to, &v) in vectors.data[at..].iter_mut().step_by(width).zip(v) {
                        *to = v;
                    }
                    if s < regular {
                        let unit = direction(v, max_norm(v));
                        let rows = units.data[at..].iter_mut().step_by(width);
                        for (to, &unit) in rows.zip(&unit[..d]) {
                            *to = real(unit);
                        }
                    }
                }
            },
        );
    }

    /// Computes the caps of all nodes from the directions of their vectors.
    fn bound(&mut self) {
        let (width, d, regular, nonzero) = (line::<T>(), self.dim, self.regular, self.nonzero);
        let stride = (d + 2) * width;
        for len in [self.index.len(), nonzero] {
            self.levels.clear();
            let mut first = 0;
            for level in 0..depth::<T>(len) {
                let count = len.div_ceil(width.pow(level as u32 + 1));
                self.levels.push(Level { first, count });
                first += count.div_ceil(width);
            }
            self.nodes.resize(first * stride, T::zero()); // first for all, as in `pack`
        }
        let units = self.units.as_slice();
        let mut size = width;
        let mut rest = self.nodes.as_mut_slice();
        for &Level { count, .. } in &self.levels {
            let lines = count.div_ceil(width);
            let (nodes, tail) = rest.split_at_mut(lines * stride);
            rest = tail;
            let task = TASK.div_ceil(size * width);
            for_each(Parts::new(nodes, task * stride), true, &|t,
                                                               nodes: Parts<
                '_,
                T,
            >| {
                for (l, nodes) in (t * task..).zip(nodes.data.chunks_exact_mut(stride)) {
                    nodes.fill(T::zero());
                    for node in (l * width..count).take(width) {
                        let vectors = node * size..((node + 1) * size).min(nonzero);
                        if vectors.end > regular {
                            continue;
                        }
                        let lines = &units[node * size * d..]
                            [..(size * d).min(units.len() - node * size * d)];
                        let Some((centre, chord)) = cap(lines, vectors.len(), d) else {
                            continue;
                        };
                        let rows = nodes[node % width..].iter_mut().step_by(width);
                        let angle = [
                            chord * (1.0 - 0.25 * chord * chord).sqrt(),
                            1.0 - 0.5 * chord * chord,
                        ];
                        for (to, &s) in rows.zip(centre[..d].iter().chain(&angle)) {
                            *to = real(s);
                        }
                    }
                }
            });
            size *= width;
        }
    }

    /// Returns true if tests can decide on most vectors.
    pub(crate) fn is_regular(&self) -> bool {
        16 * (self.nonzero - self.regular) <= self.nonzero && self.regular > 0
    }

    /// The number of vectors that are not zero, which occupy the first positions.
    pub(crate) fn nonzero(&self) -> usize {
        self.nonzero
    }

    /// The largest maximum norm of a regular vector.
    pub(crate) fn largest(&self) -> f64 {
        self.norms.1
    }

    /// The original indices by position.
    pub(crate) fn indices(&self) -> &[u32] {
        &self.index
    }

    /// The position of the vector of original index `i`.
    #[inline]
    pub(crate) fn position(&self, i: usize) -> usize {
        self.position[i] as usize
    }

    /// d, the dimension of the vectors.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// The lines of the vectors.
    pub(crate) fn vectors(&self) -> &[T] {
        self.vectors.as_slice()
    }

    /// The lines of their directions.
    pub(crate) fn units(&self) -> &[T] {
        self.units.as_slice()
    }

    /// The lines of the nodes.
    pub(crate) fn nodes(&self) -> &[T] {
        self.nodes.as_slice()
    }

    /// The levels of nodes, from level 1 on.
    pub(crate) fn levels(&self) -> &[Level] {
        &self.levels
    }
}

/// The centre of the `len` directions in `lines` and the length of the longest chord to one of
/// them, rounded up. `None` if the cap exceeds 45 degrees.
fn cap<T: Real>(lines: &[T], len: usize, d: usize) -> Option<([f64; MAX_DIM], f64)> {
    let width = line::<T>();
    let lines = || (0..len).step_by(width).zip(lines.chunks_exact(d * width));
    let mut centre = [0.0; MAX_DIM];
    for (first, line) in lines() {
        let count = width.min(len - first);
        for (centre, row) in centre.iter_mut().zip(line.chunks_exact(width)) {
            *centre += row[..count].iter().fold(0.0, |sum, &s| sum + to_f64(s));
        }
    }
    let length = centre.iter().fold(0.0, |sum, s| sum + s * s).sqrt();
    if length < 0.5 * len as f64 {
        return None;
    }
    // The chords are those to the centre as it is stored.
    let centre = centre.map(|s| to_f64(real::<T>(s / length)));
    let mut longest = 0.0_f64;
    for (first, line) in lines() {
        for w in 0..width.min(len - first) {
            let square = |r: usize| {
                let distance = to_f64(line[r * width + w]) - centre[r];
                distance * distance
            };
            longest = longest.max((0..d).map(square).sum());
        }
    }
    let chord = longest.sqrt() + margin::<T>(d);
    (chord < MAX_CHORD).then_some((centre, chord))
}
