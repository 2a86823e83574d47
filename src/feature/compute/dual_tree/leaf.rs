//! Sums over the lines of sources that are undecided for one line of queries.
//!
//! The sources of a line are tested against the cap of the queries one by one, and those that
//! remain are multiplied with W queries at a time.

use super::caps::{Cap, Item, MARKS, Side, Sums, add_lanes, existing, signs, splat};
use crate::numeric::direction_tree::margin;
use crate::numeric::packed::line;
use crate::numeric::simd::{Simd, SimdKernel, SimdScalar};
use crate::real::real;

/// Undecided sources that are collected before they are multiplied with the queries: 2 KiB.
const UNDECIDED: usize = 512;

/// Sums over the undecided lines of vectors for the W queries of one line.
pub(super) struct Leaf<'a, E, const D: usize, const K: usize> {
    pub(super) sources: Side<'a, E>,
    /// Lines of K weights of the sources, 0 beyond the last one.
    pub(super) weights: &'a [E],
    /// The cap of the queries.
    pub(super) cap: Cap<E, D>,
    /// The line of the queries.
    pub(super) queries: &'a [E],
    /// -1 for sums over the negative half spaces, otherwise 1.
    pub(super) sign: E,
    /// Undecided nodes of level 1, which are lines of vectors.
    pub(super) list: &'a [Item],
    /// `K D` sums over the vectors that the nodes of the queries have decided on.
    pub(super) inside: [[E; D]; K],
    /// The factor of the sums over a half space.
    pub(super) slope: E,
    /// The factor on its boundary, if it is not 0.
    pub(super) boundary: E,
}

/// The sums over pairs of vectors, W queries at a time.
trait Pairs<E, const D: usize, const K: usize> {
    /// Adds the terms of the source x with its weights.
    fn add(&mut self, x: [E; D], weights: [E; K]);
}

impl<E: SimdScalar, const D: usize, const K: usize> Leaf<'_, E, D, K> {
    /// Adds the undecided sources to `pairs` and the other ones inside to `inside`.
    #[inline(always)]
    fn visit<S: Simd<E>, const V: usize>(&mut self, s: S, pairs: &mut impl Pairs<E, D, K>) {
        let (units, _) = S::vectors(self.sources.units).as_chunks::<V>();
        let width = line::<E>();
        let centre = splat(s, self.cap.centre);
        let t = [s.splat(self.cap.sin + real(margin::<E>(D))); V];
        let mut totals = [[s.zero(); D]; K];
        let (mut undecided, mut len) = ([0; UNDECIDED], 0);
        for &item in self.list {
            let (first, mut nodes) = ((item >> MARKS) as usize * width, item as u32);
            while nodes != 0 {
                let line = first + nodes.trailing_zeros() as usize;
                nodes &= nodes - 1;
                let (masks, signs) = signs(s, &centre, &units[line * D..][..D], t);
                self.add::<S, V>(s, line, masks, &mut totals);
                let marks = existing(line, width, self.sources.len) & !signs.decided();
                // Without a branch: which sources are undecided is unpredictable.
                for b in 0..width {
                    undecided[len % UNDECIDED] = (line * width + b) as u32;
                    len += (marks >> b & 1) as usize;
                }
                if len > UNDECIDED - width {
                    self.multiply(&undecided[..len], pairs);
                    len = 0;
                }
            }
        }
        self.multiply(&undecided[..len], pairs);
        add_lanes::<E, S, D, K>(s, &totals, &mut self.inside);
    }

    /// Adds the sources to `pairs`.
    #[inline(always)]
    fn multiply(&self, sources: &[u32], pairs: &mut impl Pairs<E, D, K>) {
        let width = line::<E>();
        for &source in sources {
            let (line, b) = (source as usize / width, source as usize % width);
            let rows = &self.sources.vectors[line * D * width + b..][..(D - 1) * width + 1];
            let weights = &self.weights[line * K * width + b..][..(K - 1) * width + 1];
            let (mut x, mut weight) = ([E::zero(); D], [E::zero(); K]);
            for r in 0..D {
                x[r] = rows[r * width];
            }
            for l in 0..K {
                weight[l] = weights[l * width];
            }
            pairs.add(x, weight);
        }
    }

    /// Adds the terms of the masked sources of a line.
    #[inline(always)]
    fn add<S: Simd<E>, const V: usize>(
        &self,
        s: S,
        line: usize,
        masks: [Option<S::Mask>; V],
        totals: &mut Sums<S, E, D, K>,
    ) {
        let (vectors, _) = S::vectors(self.sources.vectors).as_chunks::<V>();
        let (weights, _) = S::vectors(self.weights).as_chunks::<V>();
        let (rows, weights) = (&vectors[line * D..][..D], &weights[line * K..][..K]);
        for v in 0..V {
            let Some(mask) = masks[v] else { continue };
            for l in 0..K {
                let weight = s.select(mask, weights[l][v], s.zero());
                for r in 0..D {
                    totals[l][r] = s.mul_add(weight, rows[r][v], totals[l][r]);
                }
            }
        }
    }

    /// The coordinates of the queries, multiplied by `sign`.
    #[inline(always)]
    fn queries<S: Simd<E>, const V: usize>(&self, s: S) -> [[S::Vector; V]; D] {
        let (rows, _) = S::vectors(self.queries).as_chunks::<V>();
        let sign = s.splat(self.sign);
        let mut queries = [[s.zero(); V]; D];
        for r in 0..D {
            for v in 0..V {
                queries[r][v] = s.mul(sign, rows[r][v]);
            }
        }
        queries
    }
}

/// Predictions: `h_l = slope <S_l, x>` with `S_l` the sum of `ca_l b` over the half space of x.
pub(super) struct LeafPredictions<'a, E, const D: usize, const K: usize> {
    pub(super) leaf: Leaf<'a, E, D, K>,
    /// K rows of the line, overwritten.
    pub(super) out: &'a mut [E],
}

impl<E: SimdScalar, const D: usize, const K: usize> SimdKernel for LeafPredictions<'_, E, D, K> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(mut self, s: S) {
        let x = self.leaf.queries::<S, V>(s);
        let sums = [[s.zero(); V]; K];
        let mut pairs = PredictionPairs::<E, S, V, D, K> { s, x, sums };
        self.leaf.visit::<S, V>(s, &mut pairs);
        let PredictionPairs { x, sums, .. } = pairs;
        let scale = s.splat(self.leaf.slope * self.leaf.sign);
        let (out, _) = S::vectors_mut(self.out).as_chunks_mut::<V>();
        for l in 0..K {
            for v in 0..V {
                let mut sum = sums[l][v];
                for r in 0..D {
                    sum = s.mul_add(s.splat(self.leaf.inside[l][r]), x[r][v], sum);
                }
                out[l][v] = s.mul(scale, sum);
            }
        }
    }
}

/// `sum ca_l (b.x)_+` over pairs.
struct PredictionPairs<E: SimdScalar, S: Simd<E>, const V: usize, const D: usize, const K: usize> {
    s: S,
    x: [[S::Vector; V]; D],
    sums: [[S::Vector; V]; K],
}

impl<E: SimdScalar, S: Simd<E>, const V: usize, const D: usize, const K: usize> Pairs<E, D, K>
    for PredictionPairs<E, S, V, D, K>
{
    #[inline(always)]
    fn add(&mut self, b: [E; D], ca: [E; K]) {
        let s = self.s;
        for v in 0..V {
            let mut u = s.zero();
            for r in 0..D {
                u = s.mul_add(self.x[r][v], s.splat(b[r]), u);
            }
            let u = s.positive_part(u);
            for l in 0..K {
                self.sums[l][v] = s.mul_add(u, s.splat(ca[l]), self.sums[l][v]);
            }
        }
    }
}

/// Variations: `G_l = slope V_l + boundary Z_l` with `V_l` and `Z_l` the sums of `g_l x` over the
/// half space of b and its boundary, as decided by the computed inner products.
pub(super) struct LeafVariations<'a, E, const D: usize, const K: usize> {
    pub(super) leaf: Leaf<'a, E, D, K>,
    /// `K D` rows of the line, overwritten.
    pub(super) out: &'a mut [E],
}

impl<E: SimdScalar, const D: usize, const K: usize> SimdKernel for LeafVariations<'_, E, D, K> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        if self.leaf.boundary == E::zero() {
            self.sums::<S, V, false>(s);
        } else {
            self.sums::<S, V, true>(s);
        }
    }
}

impl<E: SimdScalar, const D: usize, const K: usize> LeafVariations<'_, E, D, K> {
    #[inline(always)]
    fn sums<S: Simd<E>, const V: usize, const BOUNDARY: bool>(mut self, s: S) {
        let b = self.leaf.queries::<S, V>(s);
        let (slope, boundary) = (s.splat(self.leaf.slope), s.splat(self.leaf.boundary));
        let sums = [[[s.zero(); V]; D]; K];
        let slopes = [slope, boundary];
        let mut pairs = VariationPairs::<E, S, V, D, K, BOUNDARY> { s, b, slopes, sums };
        self.leaf.visit::<S, V>(s, &mut pairs);
        let sums = pairs.sums;
        let (out, _) = S::vectors_mut(self.out).as_chunks_mut::<V>();
        for l in 0..K {
            for r in 0..D {
                let inside = s.splat(self.leaf.inside[l][r]);
                for v in 0..V {
                    out[l * D + r][v] = if BOUNDARY {
                        s.mul_add(slope, inside, sums[l][r][v])
                    } else {
                        s.mul(slope, s.add(inside, sums[l][r][v]))
                    };
                }
            }
        }
    }
}

/// `sum g_l x` over the pairs with `b.x > 0`. With `BOUNDARY`, `slope` times this sum plus
/// `boundary` times that over `b.x = 0`.
struct VariationPairs<
    E: SimdScalar,
    S: Simd<E>,
    const V: usize,
    const D: usize,
    const K: usize,
    const BOUNDARY: bool,
> {
    s: S,
    b: [[S::Vector; V]; D],
    /// `slope` and `boundary`.
    slopes: [S::Vector; 2],
    sums: [[[S::Vector; V]; D]; K],
}

impl<E, S, const V: usize, const D: usize, const K: usize, const BOUNDARY: bool> Pairs<E, D, K>
    for VariationPairs<E, S, V, D, K, BOUNDARY>
where
    E: SimdScalar,
    S: Simd<E>,
{
    #[inline(always)]
    fn add(&mut self, x: [E; D], g: [E; K]) {
        let s = self.s;
        let x = splat(s, x);
        for v in 0..V {
            // Not fused: the signs are those of the definition of the map.
            let mut u = s.mul(self.b[0][v], x[0]);
            for r in 1..D {
                u = s.add(u, s.mul(self.b[r][v], x[r]));
            }
            for l in 0..K {
                let (mut on, mut off) = (s.splat(g[l]), s.zero());
                if BOUNDARY {
                    let [slope, boundary] = self.slopes;
                    off = s.select(s.less(u, off), off, s.mul(boundary, on));
                    on = s.mul(slope, on);
                }
                let weight = s.select_positive(u, on, off);
                for r in 0..D {
                    self.sums[l][r][v] = s.mul_add(weight, x[r], self.sums[l][r][v]);
                }
            }
        }
    }
}
