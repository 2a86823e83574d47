//! Operations on the rows of the stored cost matrix, in vectors of f32.

use crate::numeric::simd::{Simd, SimdKernel};

/// Labels of the columns: length of the shortest known path from a root, and preceding row.
#[derive(Debug)]
pub(super) struct Forest {
    /// Infinite once the column is settled.
    pub(super) distance: Vec<f32>,
    /// Row numbers, stored as f32 so that they are selected by the masks of the distances.
    pub(super) parent: Vec<f32>,
}

impl Forest {
    /// The relaxation of the arcs of row `i`, for `shift = distance_i - u_i`.
    pub(super) fn relax<'a>(
        &'a mut self,
        c: &'a [f32],
        v: &'a [f32],
        shift: f32,
        i: usize,
    ) -> RelaxStoredRow<'a> {
        RelaxStoredRow {
            c,
            v,
            shift,
            row: i as f32,
            forest: self,
        }
    }
}

/// Relaxes the arcs of one row: `distance_j = min(distance_j, shift + c_j - v_j)`.
pub(super) struct RelaxStoredRow<'a> {
    c: &'a [f32],
    v: &'a [f32],
    shift: f32,
    row: f32,
    forest: &'a mut Forest,
}

impl SimdKernel for RelaxStoredRow<'_> {
    type Scalar = f32;
    /// The nearest unsettled column, with its distance.
    type Output = (usize, f32);

    #[inline(always)]
    fn run<S: Simd<f32>, const R: usize, const V: usize>(self, simd: S) -> (usize, f32) {
        let (c, v) = (S::vectors(self.c), S::vectors(self.v));
        let distance = S::vectors_mut(&mut self.forest.distance);
        let parent = S::vectors_mut(&mut self.forest.parent);
        let (shift, row) = (simd.splat(self.shift), simd.splat(self.row));
        let mut nearest = Least::new(simd);
        for (((&c, &v), distance), parent) in c.iter().zip(v).zip(distance).zip(parent) {
            let length = simd.add(shift, simd.sub(c, v));
            let shorter = simd.less(length, *distance);
            // Rarely true; unconditional writes of both arrays were four times slower.
            if simd.any(shorter) {
                *parent = simd.select(shorter, row, *parent);
                *distance = simd.min(length, *distance);
            }
            nearest.offer(simd, *distance);
        }
        let (j, length, _) = nearest.first();
        (j, length)
    }
}

/// The search for the nearest unsettled column, with its distance.
pub(super) struct Nearest<'a>(pub(super) &'a [f32]);

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

/// The search for the column of least `c_j - v_j`, with the least and the second least value.
pub(super) struct TwoLeast<'a> {
    pub(super) c: &'a [f32],
    pub(super) v: &'a [f32],
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

/// Calls `found` with each column that has `c_j - v_j <= limit`.
pub(super) struct Below<'a> {
    pub(super) c: &'a [f32],
    pub(super) v: &'a [f32],
    pub(super) limit: f32,
    pub(super) found: &'a mut dyn FnMut(usize),
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

/// The least value in each lane, and the index of the vector that held it.
#[derive(Debug)]
struct Least<S: Simd<f32>> {
    least: S::Vector,
    at: S::Vector,
    /// The index of the next vector.
    index: S::Vector,
}

impl<S: Simd<f32>> Least<S> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        Self {
            least: simd.splat(f32::INFINITY),
            at: simd.splat(0.0),
            index: simd.splat(0.0),
        }
    }

    #[inline(always)]
    fn offer(&mut self, simd: S, b: S::Vector) {
        self.at = simd.select(simd.less(b, self.least), self.index, self.at);
        self.least = simd.min(b, self.least);
        self.index = simd.add(self.index, simd.splat(1.0));
    }

    /// The first column that attains the least value, that value, and its lane.
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
