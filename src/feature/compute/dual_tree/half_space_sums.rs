//! Sums of weighted vectors over half spaces: sums of the nodes, and their traversal.

use super::caps::Side;
use super::traversal::{Pass, Traversal, lists_len};
use crate::activation::Slopes;
use crate::numeric::direction_tree::{DirectionTree, MAX_DIM, depth};
use crate::numeric::packed::{Aligned, line};
use crate::numeric::simd::{Launch, same, same_mut, with_simd_scalar};
use crate::real::{Real, to_f64};

/// The outputs of one traversal, if the map has more than one.
pub(super) const OUTPUTS: usize = 4;

/// The sums of weighted vectors over half spaces, `base` times the total plus `slope` times the sum
/// over one half space, on the side of the larger slope.
#[derive(Debug)]
pub(super) struct HalfSpaceSums<'a, T> {
    sources: &'a DirectionTree<T>,
    /// Lines of weights, followed by the lines of the sums of the nodes.
    buffer: &'a [T],
    /// Scalars of the weights.
    weights: usize,
    /// The outputs of a traversal: 1 or [`OUTPUTS`].
    pub(super) rows: usize,
    /// -1 if the half spaces are negative, otherwise 1.
    sign: T,
    /// The smaller slope.
    pub(super) base: T,
    /// The larger slope minus `base`.
    slope: T,
    /// The slope at 0 minus `base`.
    boundary: T,
    /// The sum over all vectors.
    pub(super) total: [[T; MAX_DIM]; OUTPUTS],
    /// The largest sum of the sizes of the terms in one coordinate, and the smallest one of an
    /// output that is not 0.
    sizes: (f64, f64),
}

impl<'a, T: Real> HalfSpaceSums<'a, T> {
    /// `weight(i, l)` is that of source i in output l; `buffer` is overwritten.
    pub(super) fn new(
        sources: &'a DirectionTree<T>,
        outputs: usize,
        slopes: Slopes<T>,
        buffer: &'a mut Aligned<T>,
        weight: impl Fn(usize, usize) -> T,
    ) -> Self {
        let (width, d) = (line::<T>(), sources.dim());
        let rows = if outputs == 1 { 1 } else { OUTPUTS };
        let weights = sources.nonzero().div_ceil(width) * rows * width;
        let lines: usize = sources
            .levels()
            .iter()
            .map(|level| level.lines(width))
            .sum();
        // For all vectors, so that nothing is allocated if fewer of them are zero later.
        let all = sources.indices().len().div_ceil(width);
        let nodes = 2 * all.div_ceil(width) + depth::<T>(all);
        buffer.resize((all + nodes * d) * rows * width, T::zero());
        buffer.resize(weights + lines * rows * d * width, T::zero());
        let (weights_of_lines, sums) = buffer.as_mut_slice().split_at_mut(weights);
        weights_of_lines.fill(T::zero());
        sums.fill(T::zero());
        for (s, &i) in sources.indices()[..sources.nonzero()].iter().enumerate() {
            let at = s / width * rows * width + s % width;
            for l in 0..outputs {
                weights_of_lines[at + l * width] = weight(i as usize, l);
            }
        }
        let sizes = add_vectors(sources, rows, weights_of_lines, sums);
        let total = add_nodes(sources, rows, sums);
        let [negative, zero, positive] = [slopes.negative, slopes.zero, slopes.positive];
        let (sign, base, larger) = if negative.abs() > positive.abs() {
            (-T::one(), positive, negative)
        } else {
            (T::one(), negative, positive)
        };
        Self {
            sources,
            buffer: buffer.as_slice(),
            weights,
            rows,
            sign,
            base,
            slope: larger - base,
            boundary: zero - base,
            total,
            sizes,
        }
    }

    /// Returns true if inner products with vectors up to `largest` do not overflow, and the terms
    /// are not so small that underflow exceeds their rounding error.
    pub(super) fn is_in_range(&self, largest: f64) -> bool {
        let (min, max) = if size_of::<T>() == size_of::<f32>() {
            (f64::from(f32::MIN_POSITIVE), f64::from(f32::MAX))
        } else {
            (f64::MIN_POSITIVE, f64::MAX)
        };
        let factor = 16.0 * largest.max(1.0) * (1.0 + to_f64(self.slope.abs() + self.base.abs()));
        self.sizes.0 < max / factor && self.sizes.1 >= min * self.sources.nonzero() as f64
    }

    /// Computes the results of all queries, in lines of `rows` or `rows d` rows.
    pub(super) fn run(
        &self,
        pass: Pass,
        queries: &DirectionTree<T>,
        results: &mut Aligned<T>,
        lists: &mut Vec<u64>,
    ) {
        let (width, d) = (line::<T>(), queries.dim());
        let rows = match pass {
            Pass::Predictions => self.rows,
            Pass::Variations => self.rows * d,
        };
        results.resize(
            queries.indices().len().div_ceil(width) * rows * width,
            T::zero(),
        );
        results.resize(queries.nonzero().div_ceil(width) * rows * width, T::zero());
        let lens = [self.sources, queries].map(|tree| (tree.indices().len(), tree.nonzero()));
        let items = lists_len::<T>(lens[0].0, lens[1].0).max(lists_len::<T>(lens[0].1, lens[1].1));
        lists.resize(items, 0);
        let (weights, sums) = self.buffer.split_at(self.weights);
        with_simd_scalar!(T as E => {
            let scalars = [self.sign, self.slope, self.boundary];
            let [sign, slope, boundary] = [0, 1, 2].map(|r| same::<T, E>(&scalars)[r]);
            Traversal::<E> {
                pass,
                dim: d,
                outputs: self.rows,
                sources: Side::new(self.sources),
                queries: Side::new(queries),
                weights: same(weights),
                sums: same(sums),
                sign,
                slope,
                boundary,
                lists,
                out: same_mut(results.as_mut_slice()),
            }
            .launch();
        });
    }
}

/// The sums of the nodes of level 1, each of one line of vectors, and the sizes of the terms.
fn add_vectors<T: Real>(
    sources: &DirectionTree<T>,
    rows: usize,
    weights: &[T],
    sums: &mut [T],
) -> (f64, f64) {
    let (width, d) = (line::<T>(), sources.dim());
    let mut sizes = [[0.0_f64; MAX_DIM]; OUTPUTS];
    let lines = sources.vectors().chunks_exact(d * width);
    for (node, (vectors, weights)) in lines.zip(weights.chunks_exact(rows * width)).enumerate() {
        let sums = &mut sums[node / width * rows * d * width..][..rows * d * width];
        for (l, weights) in weights.chunks_exact(width).enumerate() {
            for (r, vectors) in vectors.chunks_exact(width).enumerate() {
                let (mut sum, mut size) = (T::zero(), 0.0);
                for (&weight, &v) in weights.iter().zip(vectors) {
                    sum += weight * v;
                    size += to_f64(weight * v).abs();
                }
                sums[(l * d + r) * width + node % width] = sum;
                sizes[l][r] += size;
            }
        }
    }
    let of_outputs = sizes.map(|sizes| sizes.into_iter().fold(0.0, f64::max));
    let largest = sizes.as_flattened().iter().sum(); // NaN if a term is
    let nonzero = of_outputs.into_iter().filter(|&size| size > 0.0);
    (largest, nonzero.fold(f64::INFINITY, f64::min))
}

/// The sums of the nodes of the other levels from those of their children, and the total.
fn add_nodes<T: Real>(
    sources: &DirectionTree<T>,
    rows: usize,
    sums: &mut [T],
) -> [[T; MAX_DIM]; OUTPUTS] {
    let (width, d) = (line::<T>(), sources.dim());
    let stride = rows * d * width;
    let add = |row: &[T]| row.iter().fold(T::zero(), |sum, &s| sum + s);
    let mut levels = sources.levels();
    while let [children, parents, ..] = levels {
        let (lower, upper) = sums.split_at_mut(parents.first * stride);
        let lines = lower[children.first * stride..].chunks_exact(stride);
        for (node, line) in lines.enumerate() {
            let parent = &mut upper[node / width * stride..][..stride];
            for (r, row) in line.chunks_exact(width).enumerate() {
                parent[r * width + node % width] = add(row);
            }
        }
        levels = &levels[1..];
    }
    let mut total = [[T::zero(); MAX_DIM]; OUTPUTS];
    let top = levels.first().map_or(0, |level| level.first);
    for (r, row) in sums[top * stride..][..stride]
        .chunks_exact(width)
        .enumerate()
    {
        total[r / d][r % d] = add(row);
    }
    total
}
