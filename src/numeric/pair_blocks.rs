//! Sums over pairs of a point w and sources `v_j`, vectorised over the sources of a block.
//!
//! The squares `|w - v_j|^2` are those of differences: `|w|^2 + |v_j|^2 - 2 w.v_j` would cancel for
//! close points. A block stays in the L1 cache while it is used for several points.

use super::packed::{Aligned, line};
use super::simd::{Launch, Simd, SimdKernel, SimdScalar, launch, same, same_mut, with_simd_scalar};
use crate::real::{Real, real};

mod neurons;

/// Sources of a block: 20 kB of coordinates in `R^10` in `f64`.
pub(crate) const BLOCK: usize = 256;

/// Lines of sources that a kernel processes at once.
const TILE: usize = 4;

/// Sources with weights, coordinate by coordinate in blocks of [`BLOCK`].
///
/// The last block is padded to whole tiles with sources at 0 of weight 0.
#[derive(Debug, Clone)]
pub(crate) struct Blocks<T> {
    points: Aligned<T>,
    weights: Aligned<T>,
    /// Whether each block contains weights 0, which includes the padding.
    has_zeros: Vec<bool>,
    dim: usize,
    len: usize,
}

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self {
            points: Aligned::default(),
            weights: Aligned::default(),
            has_zeros: Vec::new(),
            dim: 0,
            len: 0,
        }
    }
}

/// A block of sources in `R^p`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block<'a, T> {
    /// The index of the first source.
    pub(crate) first: usize,
    /// The number of sources without padding.
    pub(crate) len: usize,
    /// Coordinate l of source r is at `l width + r`.
    pub(crate) points: &'a [T],
    /// `width` weights, 0 in the padding.
    pub(crate) weights: &'a [T],
    /// True if a weight is 0.
    pub(crate) has_zeros: bool,
}

/// `len` sources rounded up to whole tiles.
pub(crate) fn padded<T>(len: usize) -> usize {
    len.next_multiple_of(TILE * line::<T>())
}

impl<T: Real> Blocks<T> {
    /// Copies the columns of `points` (`p x len`, `p = dim`) and their weights.
    pub(crate) fn fill(&mut self, points: &[T], weights: &[T], dim: usize) {
        let len = weights.len();
        (self.dim, self.len) = (dim, len);
        self.points.resize(padded::<T>(len) * dim, T::zero());
        self.weights.resize(padded::<T>(len), T::zero());
        let to = self.weights.as_mut_slice();
        to[..len].copy_from_slice(weights);
        to[len..].fill(T::zero());
        self.has_zeros.clear();
        let blocks = to.chunks(BLOCK);
        self.has_zeros
            .extend(blocks.map(|c| c.contains(&T::zero())));
        for first in (0..len).step_by(BLOCK) {
            let count = BLOCK.min(len - first);
            let width = padded::<T>(count);
            let to = &mut self.points.as_mut_slice()[first * dim..][..width * dim];
            let from = &points[first * dim..][..count * dim];
            for (l, to) in to.chunks_exact_mut(width).enumerate() {
                for (r, to) in to[..count].iter_mut().enumerate() {
                    *to = from[r * dim + l];
                }
                to[count..].fill(T::zero());
            }
        }
    }

    /// The blocks in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Block<'_, T>> {
        (0..self.len).step_by(BLOCK).map(|first| {
            let len = BLOCK.min(self.len - first);
            let width = padded::<T>(len);
            Block {
                first,
                len,
                points: &self.points.as_slice()[first * self.dim..][..width * self.dim],
                weights: &self.weights.as_slice()[first..][..width],
                has_zeros: self.has_zeros[first / BLOCK],
            }
        })
    }
}

impl<T> Block<'_, T> {
    /// The number of sources with padding.
    pub(crate) fn width(&self) -> usize {
        self.weights.len()
    }
}

/// The kernels below on a scalar that is `f32` or `f64`; they panic if it is not.
impl<T: Real> Block<'_, T> {
    /// Writes the squares `|w - v_r|^2` to `squares`; returns their least and largest value.
    pub(crate) fn squares(&self, w: &[T], squares: &mut [T]) -> [T; 2] {
        let mut range = [T::zero(); 2];
        with_simd_scalar!(T as E => {
            let points = same::<T, E>(self.points);
            let (w, squares, range) = (same(w), same_mut(squares), same_mut(&mut range));
            Squares { w, points, squares, range }.launch();
        });
        range
    }

    /// Replaces the squares `s_r` by `p_r - rate s_r`; returns the largest one.
    pub(crate) fn exponents(&self, p: &[T], rate: T, s: &mut [T]) -> T {
        let mut largest = [T::zero()];
        with_simd_scalar!(T as E => {
            let (rate, p) = (same::<T, E>(&[rate])[0], same(p));
            let (s, largest) = (same_mut(s), same_mut(&mut largest));
            Exponents { p, rate, s, largest }.launch();
        });
        largest[0]
    }

    /// Returns `sum_r c_r f_r`, and replaces `g_r` by `c_r g_r` unless `g` is empty.
    pub(crate) fn weigh(&self, values: &[T], g: &mut [T]) -> T {
        let mut sum = [T::zero()];
        with_simd_scalar!(T as E => {
            let weights = same::<T, E>(self.weights);
            let (values, g, sum) = (same(values), same_mut(g), same_mut(&mut sum));
            Weigh { weights, values, g, sum }.launch();
        });
        sum[0]
    }

    /// Adds `scale sum_r g_r (w - v_r)` to `out`.
    pub(crate) fn add_differences(&self, w: &[T], g: &[T], scale: T, out: &mut [T]) {
        with_simd_scalar!(T as E => {
            let (points, scale) = (same::<T, E>(self.points), same(&[scale])[0]);
            let (w, g, out) = (same(w), same(g), same_mut(out));
            Differences { w, points, g, scale, out }.launch();
        });
    }
}

/// The inner products of a vector u at w and vectors `u_r` at the sources.
pub(crate) struct Products<'a, T> {
    pub(crate) w: &'a [T],
    pub(crate) points: &'a [T],
    pub(crate) u: &'a [T],
    pub(crate) vectors: &'a [T],
    /// `<u, u_r>`
    pub(crate) products: &'a mut [T],
    /// `<u_r - u, w - v_r>`
    pub(crate) along: &'a mut [T],
}

impl<T: Real> Products<'_, T> {
    /// Computes the products.
    pub(crate) fn compute(self) {
        with_simd_scalar!(T as E => {
            let (w, u) = (same::<T, E>(self.w), same(self.u));
            let (points, vectors) = (same(self.points), same(self.vectors));
            let (products, along) = (same_mut(self.products), same_mut(self.along));
            Products { w, points, u, vectors, products, along }.launch();
        });
    }
}

impl<E: SimdScalar> SimdKernel for Products<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, simd: S) {
        let width = self.products.len();
        let products = S::vectors_mut(self.products);
        let along = S::vectors_mut(self.along);
        for t in (0..products.len()).step_by(TILE * V) {
            let mut sums = [[[simd.zero(); 2]; V]; TILE];
            let rows = self
                .points
                .chunks_exact(width)
                .zip(self.vectors.chunks_exact(width));
            for ((points, vectors), (&w, &u)) in rows.zip(self.w.iter().zip(self.u)) {
                let points = &S::vectors(points)[t..][..TILE * V];
                let vectors = &S::vectors(vectors)[t..][..TILE * V];
                let (w, u) = (simd.splat(w), simd.splat(u));
                for k in 0..TILE {
                    for v in 0..V {
                        let (at, vector) = (points[k * V + v], vectors[k * V + v]);
                        let [product, along] = sums[k][v];
                        let (z, change) = (simd.sub(w, at), simd.sub(vector, u));
                        sums[k][v] = [
                            simd.mul_add(u, vector, product),
                            simd.mul_add(change, z, along),
                        ];
                    }
                }
            }
            for k in 0..TILE {
                for v in 0..V {
                    [products[t + k * V + v], along[t + k * V + v]] = sums[k][v];
                }
            }
        }
    }
}
launch!(Products);

struct Squares<'a, E> {
    w: &'a [E],
    points: &'a [E],
    squares: &'a mut [E],
    range: &'a mut [E],
}

impl<E: SimdScalar> SimdKernel for Squares<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, simd: S) {
        let width = self.squares.len();
        let out = S::vectors_mut(self.squares);
        let mut extremes: Option<[S::Vector; 2]> = None;
        for t in (0..out.len()).step_by(TILE * V) {
            let mut sums = [[simd.zero(); V]; TILE];
            for (row, &w) in self.points.chunks_exact(width).zip(self.w) {
                let row = &S::vectors(row)[t..][..TILE * V];
                let w = simd.splat(w);
                for k in 0..TILE {
                    for v in 0..V {
                        let z = simd.sub(w, row[k * V + v]);
                        sums[k][v] = simd.mul_add(z, z, sums[k][v]);
                    }
                }
            }
            let out = &mut out[t..][..TILE * V];
            for k in 0..TILE {
                for v in 0..V {
                    let s = sums[k][v];
                    out[k * V + v] = s;
                    let [low, high] = extremes.unwrap_or([s, s]);
                    extremes = Some([simd.min(low, s), simd.max(high, s)]);
                }
            }
        }
        if let Some([low, high]) = extremes {
            let (low, high) = (S::lanes(&low), S::lanes(&high));
            let (mut least, mut largest) = (low[0], high[0]);
            for (&low, &high) in low.iter().zip(high) {
                (least, largest) = (least.min(low), largest.max(high));
            }
            self.range.copy_from_slice(&[least, largest]);
        }
    }
}
launch!(Squares);

struct Exponents<'a, E> {
    p: &'a [E],
    rate: E,
    s: &'a mut [E],
    largest: &'a mut [E],
}
impl<E: SimdScalar> SimdKernel for Exponents<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, simd: S) {
        let minus = simd.splat(-self.rate);
        let mut largest = simd.splat(real(f64::NEG_INFINITY)); // not p - rate s, rounded twice
        for (s, &p) in S::vectors_mut(self.s).iter_mut().zip(S::vectors(self.p)) {
            *s = simd.mul_add(minus, *s, p);
            largest = simd.max(largest, *s);
        }
        let lanes = S::lanes(&largest).iter();
        self.largest[0] = lanes.fold(S::lanes(&largest)[0], |a, &b| a.max(b));
    }
}
launch!(Exponents);

struct Weigh<'a, E> {
    weights: &'a [E],
    values: &'a [E],
    g: &'a mut [E],
    sum: &'a mut [E],
}
impl<E: SimdScalar> SimdKernel for Weigh<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, simd: S) {
        let (c, f) = (S::vectors(self.weights), S::vectors(self.values));
        let mut sums = [[simd.zero(); V]; TILE];
        for (c, f) in c.chunks_exact(TILE * V).zip(f.chunks_exact(TILE * V)) {
            for k in 0..TILE {
                for v in 0..V {
                    sums[k][v] = simd.mul_add(c[k * V + v], f[k * V + v], sums[k][v]);
                }
            }
        }
        for (g, &c) in S::vectors_mut(self.g).iter_mut().zip(c) {
            *g = simd.mul(*g, c);
        }
        let mut total = simd.zero();
        for line in sums {
            for sum in line {
                total = simd.add(total, sum);
            }
        }
        self.sum[0] = simd.reduce_sum(total);
    }
}
launch!(Weigh);

struct Differences<'a, E> {
    w: &'a [E],
    points: &'a [E],
    g: &'a [E],
    scale: E,
    out: &'a mut [E],
}

/// Coordinates that are summed at once: as many chains of multiply-adds.
const CHAINS: usize = 4;

impl<E: SimdScalar> SimdKernel for Differences<'_, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, simd: S) {
        let width = self.g.len();
        let g = S::vectors(self.g);
        for (l, out) in self.out.chunks_mut(CHAINS).enumerate() {
            let first = CHAINS * l;
            let (w, points) = (&self.w[first..], &self.points[first * width..]);
            match out.len() {
                1 => chains::<E, S, 1, V>(simd, g, w, points, self.scale, out),
                2 => chains::<E, S, 2, V>(simd, g, w, points, self.scale, out),
                3 => chains::<E, S, 3, V>(simd, g, w, points, self.scale, out),
                _ => chains::<E, S, CHAINS, V>(simd, g, w, points, self.scale, out),
            }
        }
    }
}
launch!(Differences);

/// [`Differences`] for C coordinates.
#[inline(always)]
fn chains<E: SimdScalar, S: Simd<E>, const C: usize, const V: usize>(
    simd: S,
    g: &[S::Vector],
    w: &[E],
    points: &[E],
    scale: E,
    out: &mut [E],
) {
    let len = g.len() / V * V;
    let width = g.len() * S::lanes(&simd.zero()).len();
    let mut rows: [&[S::Vector]; C] = [&[]; C];
    let mut at = [simd.zero(); C];
    for l in 0..C {
        rows[l] = &S::vectors(&points[l * width..][..width])[..len];
        at[l] = simd.splat(w[l]);
    }
    let mut sums = [[simd.zero(); V]; C];
    for k in (0..len).step_by(V) {
        for v in 0..V {
            let g = g[k + v];
            for l in 0..C {
                sums[l][v] = simd.mul_add(g, simd.sub(at[l], rows[l][k + v]), sums[l][v]);
            }
        }
    }
    for l in 0..C {
        let mut total = sums[l][0];
        for v in 1..V {
            total = simd.add(total, sums[l][v]);
        }
        out[l] += scale * simd.reduce_sum(total);
    }
}
