//! Sums over half planes, by prefix sums around the circle.

use std::ops::Range;

use crate::activation::Slopes;
use crate::numeric::angular_order::{AngularOrder, Format, QUARTER, dot, widen};
use crate::numeric::double_double::DoubleDouble;
use crate::numeric::parallel::{Parts, for_each};
use crate::real::{Real, to_f64};

/// The rows of a block: about 20 us of work.
const BLOCK: usize = 1024;

/// Calls `work(first, rows)` on blocks of rows of `out`, in parallel from four blocks.
///
/// Every row has one owner, so the results do not depend on the number of threads.
pub(super) fn in_blocks<S: Send>(
    out: &mut [S],
    width: usize,
    work: impl Fn(usize, &mut [S]) + Sync,
) {
    let parallel = out.len() >= 4 * BLOCK * width;
    let blocks = Parts::new(out, BLOCK * width);
    for_each(blocks, parallel, &|block, rows: Parts<'_, S>| {
        work(block * BLOCK, rows.data)
    });
}

/// Vectors `v_i` with terms `t_il` in the plane, and the prefix sums of the terms in the order of
/// the angle.
#[derive(Debug, Clone, Copy)]
pub(super) struct HalfPlaneSums<'a, T> {
    vectors: &'a AngularOrder<T>,
    k: usize,
    slopes: Slopes<T>,
    /// `sums[s k + l]`: the sum of the terms before position s.
    sums: &'a [DoubleDouble],
}

/// The arc of the angles of the vectors that are active for one query, extended at its start and
/// shortened at its end by the error bound of the angles.
#[derive(Clone, Copy)]
struct Arc {
    /// The angle at the start.
    from: u32,
    /// The angle at the end.
    to: u32,
    /// The error bound: vectors up to twice this angle beyond `from` or `to` may be inactive or
    /// active.
    tolerance: u32,
    /// The position of `from`.
    start: usize,
    /// The position of `to`.
    end: usize,
}

impl<'a, T: Real> HalfPlaneSums<'a, T> {
    /// `term(i, v_i, l)` is `t_il`; `sums` is overwritten.
    pub(super) fn new(
        vectors: &'a AngularOrder<T>,
        k: usize,
        slopes: Slopes<T>,
        sums: &'a mut Vec<DoubleDouble>,
        term: impl Fn(usize, [f64; 2], usize) -> [f64; 2],
    ) -> Self {
        sums.resize((vectors.len() + 1) * k, DoubleDouble::default());
        sums[..k].fill(DoubleDouble::default());
        if k == 1 {
            let mut sum = DoubleDouble::default();
            for (s, &i) in vectors.indices().iter().enumerate() {
                sum += term(i as usize, widen(vectors.vector(s)), 0);
                sums[s + 1] = sum;
            }
        } else {
            for (s, &i) in vectors.indices().iter().enumerate() {
                let v = widen(vectors.vector(s));
                for l in 0..k {
                    sums[(s + 1) * k + l] = sums[s * k + l] + term(i as usize, v, l);
                }
            }
        }
        Self {
            vectors,
            k,
            slopes,
            sums,
        }
    }

    /// Returns true if no prefix sum overflowed.
    pub(super) fn is_finite(&self) -> bool {
        let totals = &self.sums[self.vectors.len() * self.k..];
        totals.iter().all(|sum| sum.is_finite())
    }

    /// `out[s k + l] = sum_i s(q_s . v_i) t_il` for the vectors `q_s` of `queries` in the order of
    /// their angle.
    pub(super) fn sweep(&self, queries: &AngularOrder<T>, out: &mut [[f64; 2]]) {
        let half_planes = *self;
        in_blocks(out, self.k, |first, out| {
            if half_planes.k == 1 {
                let one_output = Self {
                    k: 1,
                    ..half_planes
                }; // a constant for the compiler
                one_output.sweep_from(queries, first, out);
            } else {
                half_planes.sweep_from(queries, first, out);
            }
        });
    }

    /// The queries from position `first` on.
    #[inline(always)]
    fn sweep_from(self, queries: &AngularOrder<T>, first: usize, out: &mut [[f64; 2]]) {
        let (vectors, format) = (self.vectors, Format::of::<T>());
        for (s, out) in (first..).zip(out.chunks_exact_mut(self.k)) {
            let q = queries.vector(s);
            match vectors.angle_tolerance(q, format) {
                Some(tolerance) if s < queries.sorted() => {
                    let angle = queries.angle(s);
                    let from = angle.wrapping_sub(QUARTER + tolerance);
                    let to = angle.wrapping_add(QUARTER - tolerance);
                    let arc = Arc {
                        from,
                        to,
                        tolerance,
                        start: vectors.lower_bound(from),
                        end: vectors.lower_bound(to),
                    };
                    for (l, out) in out.iter_mut().enumerate() {
                        *out = self.sum(q, l, arc);
                    }
                }
                _ => {
                    for (l, out) in out.iter_mut().enumerate() {
                        *out = self.sum_by_inner_products(q, l);
                    }
                }
            }
        }
    }

    /// The sum of the terms before a position.
    #[inline(always)]
    fn before(&self, position: usize, l: usize) -> DoubleDouble {
        self.sums[position * self.k + l]
    }

    /// `sum_i s(q . v_i) t_il`, by the arc of the active vectors.
    #[inline(always)]
    fn sum(&self, q: [T; 2], l: usize, arc: Arc) -> [f64; 2] {
        let (vectors, width) = (self.vectors, 2 * arc.tolerance);
        let mut active = self.before(arc.end, l);
        if arc.from > arc.to {
            active += self.before(vectors.sorted(), l); // wraps around
        }
        let near_boundary = vectors.intersects(arc.start, arc.from, width)
            | vectors.intersects(arc.end, arc.to, width);
        if near_boundary | (vectors.sorted() < vectors.nonzero()) {
            return self.sum_near_boundary(q, l, arc);
        }
        self.weighted_by_slopes(active.fast_difference(self.before(arc.start, l)), None, l)
    }

    /// [`sum`](Self::sum) if some vectors are near the boundary or subnormal.
    #[cold]
    #[inline(never)]
    fn sum_near_boundary(&self, q: [T; 2], l: usize, arc: Arc) -> [f64; 2] {
        let (vectors, width) = (self.vectors, 2 * arc.tolerance);
        // From this angle on, vectors are active for any rounding.
        let from = arc.from.wrapping_add(width + 1);
        let mut active = self.before(arc.end, l) - self.before(vectors.lower_bound(from), l);
        if from > arc.to {
            active += self.before(vectors.sorted(), l);
        }
        let mut zero = DoubleDouble::default();
        let near_boundary = [arc.from, arc.to].map(|angle| vectors.arc(angle, width));
        let subnormal = vectors.sorted()..vectors.nonzero();
        for positions in near_boundary.into_iter().flatten().chain([subnormal]) {
            let (positive, on_boundary) = self.classify(q, l, positions);
            active += positive;
            zero += on_boundary;
        }
        self.weighted_by_slopes(active, Some(zero), l)
    }

    /// `sum_i s(q . v_i) t_il`, one inner product at a time.
    #[cold]
    #[inline(never)]
    fn sum_by_inner_products(&self, q: [T; 2], l: usize) -> [f64; 2] {
        let (active, zero) = if q == [T::zero(); 2] {
            (DoubleDouble::default(), self.before(self.vectors.len(), l))
        } else {
            self.classify(q, l, 0..self.vectors.nonzero())
        };
        self.weighted_by_slopes(active, Some(zero), l)
    }

    /// The sums over the positions with `q . v > 0` and with `q . v = 0`, as computed.
    fn classify(
        &self,
        q: [T; 2],
        l: usize,
        positions: Range<usize>,
    ) -> (DoubleDouble, DoubleDouble) {
        let (mut active, mut zero) = (DoubleDouble::default(), DoubleDouble::default());
        let Range { start: mut s, end } = positions;
        while s < end {
            let v = self.vectors.vector(s);
            let mut next = s + 1;
            let mut stride = 1;
            // Equal vectors are adjacent in the order of the angle.
            while next + stride <= end.min(self.vectors.sorted())
                && self.vectors.vector(next + stride - 1) == v
            {
                next += stride;
                stride *= 2;
            }
            let u = dot(q, v);
            if u > T::zero() {
                active += self.before(next, l) - self.before(s, l);
            } else if u == T::zero() {
                zero += self.before(next, l) - self.before(s, l);
            }
            s = next;
        }
        (active, zero)
    }

    /// The sum over all vectors, weighted by the slopes: `active` is the sum over `q . v > 0`, and
    /// `zero` over `q . v = 0`.
    #[inline(always)]
    fn weighted_by_slopes(
        &self,
        active: DoubleDouble,
        zero: Option<DoubleDouble>,
        l: usize,
    ) -> [f64; 2] {
        let s = self.slopes;
        let [negative, at_zero, positive] = [s.negative, s.zero, s.positive].map(to_f64);
        let mut sum = active.rounded().map(|s| positive * s);
        if (negative != 0.0) | (at_zero != 0.0) {
            let zero = zero.unwrap_or_default();
            let inactive = self.before(self.vectors.len(), l) - active - zero;
            let (zero, inactive) = (zero.rounded(), inactive.rounded());
            for r in 0..2 {
                sum[r] += negative * inactive[r] + at_zero * zero[r];
            }
        }
        sum
    }
}
