//! Caps of directions, and the test of a line of W nodes or vectors against one of them.
//!
//! A node with cap `(c, r)` is decided for one with cap `(c', r')` if `|c.c'| > sin(r + r')` plus
//! the bound of the rounding errors: all inner products of their vectors then have, as computed,
//! the sign of `c.c'`.

use crate::numeric::direction_tree::{DirectionTree, Level};
use crate::numeric::packed::line;
use crate::numeric::simd::{Simd, SimdScalar, same};
use crate::real::Real;

/// One tree of the pair.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side<'a, E> {
    /// The number of vectors, those that are not zero.
    pub(super) len: usize,
    pub(super) vectors: &'a [E],
    pub(super) units: &'a [E],
    pub(super) nodes: &'a [E],
    pub(super) levels: &'a [Level],
}

impl<'a, E: SimdScalar> Side<'a, E> {
    pub(super) fn new<T: Real>(tree: &'a DirectionTree<T>) -> Self {
        Self {
            len: tree.nonzero(),
            vectors: same(tree.vectors()),
            units: same(tree.units()),
            nodes: same(tree.nodes()),
            levels: tree.levels(),
        }
    }
}

/// A cap on the sphere that contains the directions of a node; the centre is 0 if no test may
/// decide on the node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cap<E, const D: usize> {
    pub(super) centre: [E; D],
    /// The sine and the cosine of its angle.
    pub(super) sin: E,
    pub(super) cos: E,
}

/// A line of nodes or lines of vectors, and the undecided ones among its W.
///
/// The line is stored in the upper 32 bits.
pub(super) type Item = u64;

/// Bits that mark the undecided nodes of a line.
pub(super) const MARKS: u32 = 32;

/// The item of a line with the given marks.
#[inline(always)]
pub(super) fn item(line: usize, marks: u32) -> Item {
    (line as u64) << MARKS | u64::from(marks)
}

/// The marks of the entries that exist among the W of a line, of `count` in total.
#[inline(always)]
pub(super) fn existing(line: usize, width: usize, count: usize) -> u32 {
    let entries = (count - line * width).min(width);
    u32::MAX >> (u32::BITS - entries as u32)
}

/// The signs that a test has determined for the entries of a line, as marks.
#[derive(Clone, Copy)]
pub(super) struct Signs {
    /// All inner products are positive.
    pub(super) inside: u32,
    /// All inner products are negative.
    pub(super) outside: u32,
}

impl Signs {
    #[inline(always)]
    pub(super) fn decided(self) -> u32 {
        self.inside | self.outside
    }
}

/// The signs of `u = c.x` for a line of x where `|u| > t`, and the masks of the positive ones.
#[inline(always)]
pub(super) fn signs<E: SimdScalar, S: Simd<E>, const V: usize, const D: usize>(
    s: S,
    centre: &[S::Vector; D],
    rows: &[[S::Vector; V]],
    t: [S::Vector; V],
) -> ([Option<S::Mask>; V], Signs) {
    let (zero, lanes) = (s.zero(), line::<E>() / V);
    let (mut inside, mut outside) = (0, 0);
    let mut masks = [None; V];
    for v in 0..V {
        let mut u = zero;
        for r in 0..D {
            u = s.mul_add(centre[r], rows[r][v], u);
        }
        let mask = s.less(t[v], u);
        inside |= s.bits(mask) << (v * lanes);
        outside |= s.bits(s.less(s.add(u, t[v]), zero)) << (v * lanes);
        masks[v] = Some(mask);
    }
    (masks, Signs { inside, outside })
}

/// Sums of `K x D` rows in vectors.
pub(super) type Sums<S, E, const D: usize, const K: usize> = [[<S as Simd<E>>::Vector; D]; K];

/// Each scalar in all lanes of a vector.
#[inline(always)]
pub(super) fn splat<E: SimdScalar, S: Simd<E>, const D: usize>(s: S, x: [E; D]) -> [S::Vector; D] {
    let mut vectors = [s.zero(); D];
    for r in 0..D {
        vectors[r] = s.splat(x[r]);
    }
    vectors
}

/// Adds the lanes of `sums` to `totals`.
#[inline(always)]
pub(super) fn add_lanes<E: SimdScalar, S: Simd<E>, const D: usize, const K: usize>(
    s: S,
    sums: &Sums<S, E, D, K>,
    totals: &mut [[E; D]; K],
) {
    for l in 0..K {
        for r in 0..D {
            totals[l][r] += s.reduce_sum(sums[l][r]);
        }
    }
}
