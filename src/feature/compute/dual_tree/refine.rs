//! The test of a level of nodes of the sources against one node of the queries.

use super::caps::{Cap, Item, MARKS, Signs, Sums, add_lanes, existing, item, signs, splat};
use crate::numeric::direction_tree::margin;
use crate::numeric::packed::line;
use crate::numeric::simd::{Simd, SimdKernel, SimdScalar};
use crate::real::real;

/// Tests a level of nodes against one node of the queries.
pub(super) struct Refine<'a, E, const D: usize, const K: usize> {
    pub(super) query: Cap<E, D>,
    /// The lines of the nodes of the level.
    pub(super) nodes: &'a [E],
    /// Their sums, in lines of `K D` rows.
    pub(super) sums: &'a [E],
    /// The number of nodes.
    pub(super) count: usize,
    /// Undecided nodes: of the level above if `expand`, otherwise of this one.
    pub(super) list: &'a [Item],
    pub(super) expand: bool,
    /// Receives the nodes that are still undecided.
    pub(super) undecided: &'a mut [Item],
    /// The sums of the nodes in the half space are added.
    pub(super) inside: &'a mut [[E; D]; K],
}

impl<E: SimdScalar, const D: usize, const K: usize> SimdKernel for Refine<'_, E, D, K> {
    type Scalar = E;
    /// The number of undecided items.
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(mut self, s: S) -> usize {
        let width = line::<E>();
        let Cap { centre, sin, cos } = self.query;
        let cap = Cap {
            centre: splat(s, centre),
            sin: s.splat(sin),
            cos: s.splat(cos),
        };
        let mut totals = [[s.zero(); D]; K];
        let mut len = 0;
        for &item in self.list {
            let (line, mut marks) = ((item >> MARKS) as usize, item as u32);
            if self.expand {
                while marks != 0 {
                    let child = line * width + marks.trailing_zeros() as usize;
                    marks &= marks - 1;
                    let all = existing(child, width, self.count);
                    let (masks, signs) = self.test::<S, V>(s, &cap, child);
                    self.add::<S, V>(s, child, masks, &mut totals);
                    self.keep(child, all & !signs.decided(), &mut len);
                }
            } else {
                let (_, signs) = self.test::<S, V>(s, &cap, line);
                marks &= existing(line, width, self.count);
                self.add_marked(line, marks & signs.inside);
                self.keep(line, marks & !signs.decided(), &mut len);
            }
        }
        add_lanes::<E, S, D, K>(s, &totals, self.inside);
        len
    }
}

impl<E: SimdScalar, const D: usize, const K: usize> Refine<'_, E, D, K> {
    /// Tests the nodes of a line.
    #[inline(always)]
    fn test<S: Simd<E>, const V: usize>(
        &self,
        s: S,
        cap: &Cap<S::Vector, D>,
        line: usize,
    ) -> ([Option<S::Mask>; V], Signs) {
        let (nodes, _) = S::vectors(self.nodes).as_chunks::<V>();
        let rows = &nodes[line * (D + 2)..][..D + 2];
        let margin = s.splat(real(margin::<E>(D)));
        let mut t = [margin; V];
        for v in 0..V {
            t[v] = s.mul_add(rows[D + 1][v], cap.sin, t[v]);
            t[v] = s.mul_add(rows[D][v], cap.cos, t[v]);
        }
        signs(s, &cap.centre, rows, t)
    }

    /// Adds the sums of the masked nodes of a line.
    #[inline(always)]
    fn add<S: Simd<E>, const V: usize>(
        &self,
        s: S,
        line: usize,
        masks: [Option<S::Mask>; V],
        totals: &mut Sums<S, E, D, K>,
    ) {
        let (sums, _) = S::vectors(self.sums).as_chunks::<V>();
        let rows = &sums[line * K * D..][..K * D];
        for v in 0..V {
            let Some(mask) = masks[v] else { continue };
            for l in 0..K {
                for r in 0..D {
                    let term = s.select(mask, rows[l * D + r][v], s.zero());
                    totals[l][r] = s.add(totals[l][r], term);
                }
            }
        }
    }

    /// Adds the sums of the marked nodes of a line.
    #[inline(always)]
    fn add_marked(&mut self, line: usize, mut marks: u32) {
        let width = self::line::<E>();
        let rows = &self.sums[line * K * D * width..][..K * D * width];
        while marks != 0 {
            let b = marks.trailing_zeros() as usize;
            marks &= marks - 1;
            for l in 0..K {
                for r in 0..D {
                    self.inside[l][r] += rows[(l * D + r) * width + b];
                }
            }
        }
    }

    /// Appends the undecided nodes of a line to the list of length `len`.
    #[inline(always)]
    fn keep(&mut self, line: usize, marks: u32, len: &mut usize) {
        // Written in any case: a branch would be unpredictable.
        self.undecided[*len] = item(line, marks);
        *len += usize::from(marks != 0);
    }
}
