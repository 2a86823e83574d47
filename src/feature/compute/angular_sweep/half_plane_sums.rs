//! Sums over half planes, by prefix sums around the circle.

use std::ops::Range;

use crate::activation::Slopes;
use crate::numeric::angular_order::{AngularOrder, Format, QUARTER, dot, widen};
use crate::numeric::double_double::DoubleDouble;
use crate::numeric::parallel::{Parts, each};
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
    let blocks = Parts {
        data: out,
        size: BLOCK * width,
    };
    each(blocks, parallel, &|block, rows: Parts<'_, S>| {
        work(block * BLOCK, rows.data)
    });
}

/// Vectors `v_i` with terms `t_il` in the plane, and the prefix sums of the terms in the order of
/// the angle.
#[derive(Debug)]
pub(super) struct HalfPlaneSums<'a, T> {
    circle: &'a AngularOrder<T>,
    k: usize,
    slopes: Slopes<T>,
    /// `sums[s k + l]`: the sum of the terms before place s.
    sums: &'a [DoubleDouble],
}

/// The interval of the angles of the vectors that are active for one query, extended at its start
/// and shortened at its end by the error bound of the angles; and the places of its ends.
#[derive(Clone, Copy)]
struct Window {
    from: u32,
    to: u32,
    doubt: u32,
    start: usize,
    end: usize,
}

impl<T: Real> Clone for HalfPlaneSums<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Real> Copy for HalfPlaneSums<'_, T> {}

impl<'a, T: Real> HalfPlaneSums<'a, T> {
    /// `term(i, v_i, l)` is `t_il`.
    pub(super) fn new(
        circle: &'a AngularOrder<T>,
        k: usize,
        slopes: Slopes<T>,
        sums: &'a mut Vec<DoubleDouble>,
        term: impl Fn(usize, [f64; 2], usize) -> [f64; 2],
    ) -> Self {
        sums.resize((circle.len() + 1) * k, DoubleDouble::default());
        sums[..k].fill(DoubleDouble::default());
        if k == 1 {
            let mut sum = DoubleDouble::default();
            for (s, &i) in circle.indices().iter().enumerate() {
                sum += term(i as usize, widen(circle.vector(s)), 0);
                sums[s + 1] = sum;
            }
        } else {
            for (s, &i) in circle.indices().iter().enumerate() {
                let v = widen(circle.vector(s));
                for l in 0..k {
                    sums[(s + 1) * k + l] = sums[s * k + l] + term(i as usize, v, l);
                }
            }
        }
        Self {
            circle,
            k,
            slopes,
            sums,
        }
    }

    pub(super) fn is_finite(&self) -> bool {
        let all = &self.sums[self.circle.len() * self.k..];
        all.iter().all(|sum| sum.is_finite())
    }

    /// `out[s k + l] = sum_i s(q_s . v_i) t_il` for the vectors `q_s` of `queries` in the order of
    /// their angle.
    pub(super) fn sweep(&self, queries: &AngularOrder<T>, out: &mut [[f64; 2]]) {
        let half_planes = *self;
        in_blocks(out, self.k, |first, out| {
            if half_planes.k == 1 {
                Self {
                    k: 1,
                    ..half_planes
                }
                .sweep_from(queries, first, out); // specialised to one output
            } else {
                half_planes.sweep_from(queries, first, out);
            }
        });
    }

    #[inline(always)]
    fn sweep_from(self, queries: &AngularOrder<T>, first: usize, out: &mut [[f64; 2]]) {
        let (circle, format) = (self.circle, Format::of::<T>());
        for (s, out) in (first..).zip(out.chunks_exact_mut(self.k)) {
            let q = queries.vector(s);
            match circle.angle_tolerance(q, format) {
                Some(doubt) if s < queries.sorted() => {
                    let angle = queries.angle(s);
                    let from = angle.wrapping_sub(QUARTER + doubt);
                    let to = angle.wrapping_add(QUARTER - doubt);
                    let window = Window {
                        from,
                        to,
                        doubt,
                        start: circle.lower_bound(from),
                        end: circle.lower_bound(to),
                    };
                    for (l, out) in out.iter_mut().enumerate() {
                        *out = self.sum(q, l, window);
                    }
                }
                _ => {
                    for (l, out) in out.iter_mut().enumerate() {
                        *out = self.sum_all(q, l);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn before(&self, place: usize, l: usize) -> DoubleDouble {
        self.sums[place * self.k + l]
    }

    /// `sum_i s(q . v_i) t_il`, by the window of the active vectors.
    #[inline(always)]
    fn sum(&self, q: [T; 2], l: usize, window: Window) -> [f64; 2] {
        let circle = self.circle;
        let Window {
            from,
            to,
            doubt,
            start,
            end,
        } = window;
        let mut active = self.before(end, l);
        if from > to {
            active += self.before(circle.sorted(), l); // wraps around
        }
        let doubtful =
            circle.intersects(start, from, 2 * doubt) | circle.intersects(end, to, 2 * doubt);
        if doubtful | (circle.sorted() < circle.nonzero()) {
            return self.sum_doubtful(q, l, window);
        }
        self.weigh(active.less(self.before(start, l)), None, l)
    }

    /// The same, if some vectors are near the boundary or subnormal.
    #[cold]
    #[inline(never)]
    fn sum_doubtful(&self, q: [T; 2], l: usize, window: Window) -> [f64; 2] {
        let circle = self.circle;
        let width = 2 * window.doubt;
        let from = window.from.wrapping_add(width + 1); // active from this angle on, for certain
        let mut active = self.before(window.end, l) - self.before(circle.lower_bound(from), l);
        if from > window.to {
            active += self.before(circle.sorted(), l);
        }
        let mut zero = DoubleDouble::default();
        let doubtful = [window.from, window.to].map(|angle| circle.arc(angle, width));
        let subnormal = circle.sorted()..circle.nonzero();
        for places in doubtful.into_iter().flatten().chain([subnormal]) {
            let (positive, on_boundary) = self.classify(q, l, places);
            active += positive;
            zero += on_boundary;
        }
        self.weigh(active, Some(zero), l)
    }

    /// `sum_i s(q . v_i) t_il`, one inner product at a time.
    #[cold]
    #[inline(never)]
    fn sum_all(&self, q: [T; 2], l: usize) -> [f64; 2] {
        let (active, zero) = if q == [T::zero(); 2] {
            (DoubleDouble::default(), self.before(self.circle.len(), l))
        } else {
            self.classify(q, l, 0..self.circle.nonzero())
        };
        self.weigh(active, Some(zero), l)
    }

    /// The sums over the places with `q . v > 0` and with `q . v = 0`, as computed.
    fn classify(&self, q: [T; 2], l: usize, places: Range<usize>) -> (DoubleDouble, DoubleDouble) {
        let (mut active, mut zero) = (DoubleDouble::default(), DoubleDouble::default());
        let Range { start: mut s, end } = places;
        while s < end {
            let v = self.circle.vector(s);
            let mut next = s + 1;
            let mut stride = 1;
            // Equal vectors are adjacent in the order of the angle.
            while next + stride <= end.min(self.circle.sorted())
                && self.circle.vector(next + stride - 1) == v
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

    /// The sum over all vectors, weighted by the slopes.
    #[inline(always)]
    fn weigh(&self, active: DoubleDouble, zero: Option<DoubleDouble>, l: usize) -> [f64; 2] {
        let Slopes {
            negative,
            zero: kink,
            positive,
        } = self.slopes;
        let [negative, kink, positive] = [negative, kink, positive].map(to_f64);
        let mut sum = active.rounded().map(|s| positive * s);
        if (negative != 0.0) | (kink != 0.0) {
            let zero = zero.unwrap_or_default();
            let rest = self.before(self.circle.len(), l) - active - zero;
            let (zero, rest) = (zero.rounded(), rest.rounded());
            for r in 0..2 {
                sum[r] += negative * rest[r] + kink * zero[r];
            }
        }
        sum
    }
}
