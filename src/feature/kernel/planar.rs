//! The planar sweep: sums over half planes for `d = 2`, in `O((n + m) log(n + m))` instead of `O(n m)`.
//!
//! Let `sigma(u) = alpha u` for `u > 0` and `beta u` for `u < 0`. With `s(u)` its slope,
//!
//! ```text
//! h(x_j) = sum_i c_i a_i sigma(b_i . x_j) = x_j . H_j,    H_j = sum_i s(b_i . x_j) c_i a_i b_i
//! da_i = - b_i . G_i,  db_i = - a_i G_i,                  G_i = sum_j s(b_i . x_j) g_j x_j
//! ```
//!
//! and each of these sums runs over the two half planes that a vector bounds: over two windows of the others' angles.
//! So both sets are sorted by angle, running sums are taken once round the circle, and the ends of the windows move
//! on with the vector that asks (a one-dimensional sample with a bias coordinate is a vector of the plane).
//!
//! Whoever lies within rounding of the boundary is settled by the sign of the computed inner product, so membership
//! is that of the plain definition: always, also with ties, underflow and overflow. The running sums carry twice the
//! precision of `f64`; the error of an output is a few units in the last place of the sum of its own terms' sizes,
//! plus `2^-100` of that of all.

use std::ops::Range;

use crate::real::{Real, real, to_f64};

mod circle;
mod twofold;

use circle::{Format, QUARTER, dot, widen};
use twofold::Twofold;

/// The samples of a planar problem in the order of their angle: sorted once, used by every step.
pub(crate) type PlanarOrder<T> = circle::Circle<T>;

/// The slopes of a positively 1-homogeneous activation: `sigma(u) = positive u` for `u > 0`, `negative u` for `u < 0`,
/// and `sigma'(0) = zero`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Slopes {
    pub(crate) negative: f64,
    pub(crate) zero: f64,
    pub(crate) positive: f64,
}

/// Whether `T` is a scalar of the sweep: `f32` or `f64`, whose numbers and formats it knows.
pub(crate) fn suits<T: Real>() -> bool {
    use std::any::TypeId;
    [TypeId::of::<f32>(), TypeId::of::<f64>()].contains(&TypeId::of::<T>())
}

/// Whether a sweep over n samples and m particles is faster than the fused tiles (measured: `benches/planar.rs`).
pub(crate) fn pays(n: usize, m: usize) -> bool {
    let fits = n.max(m) <= u32::MAX as usize;
    fits && n as f64 * m as f64 >= CROSSING * (n as f64 + m as f64)
}

/// The cost of one vector of the sweep over that of one pair of the tiles.
const CROSSING: f64 = 100.0;

/// The buffers of a sweep; nothing is allocated from the second call on a shape on.
#[derive(Debug, Clone)]
pub(crate) struct Planar<T> {
    particles: circle::Circle<T>,
    sums: Vec<Twofold>,
    /// Sums over half planes, in the order of the angle of the vectors that bound them.
    halves: Vec<[f64; 2]>,
}

impl<T> Default for Planar<T> {
    fn default() -> Self {
        Self {
            particles: circle::Circle::default(),
            sums: Vec::new(),
            halves: Vec::new(),
        }
    }
}

impl<T: Real> PlanarOrder<T> {
    /// Sorts the samples `x` (`2 x n`, columns are points).
    pub(crate) fn new(x: &[T]) -> Self {
        let mut order = Self::default();
        order.refill(x);
        order
    }

    /// Sorts other samples in the buffers at hand.
    pub(crate) fn refill(&mut self, x: &[T]) {
        self.sort(x.len() / 2, |j| [x[2 * j], x[2 * j + 1]]);
    }
}

impl<T: Real> Planar<T> {
    /// Sorts the particles `w` (`(k + 2) x m`, each `(a, b)`): before [`predict`](Self::predict) and
    /// [`pull_back`](Self::pull_back), once for both.
    pub(crate) fn sort(&mut self, w: &[T], k: usize) {
        let p = k + 2;
        self.particles
            .sort(w.len() / p, |i| [w[i * p + k], w[i * p + k + 1]]);
    }

    /// `h(x_j) = sum_i c_i a_i sigma(b_i . x_j)` into `out` (`k x n`).
    ///
    /// Returns false, with `out` spoiled, where a running sum overflows; the plain method may still succeed.
    #[must_use]
    pub(crate) fn predict(
        &mut self,
        samples: &PlanarOrder<T>,
        (w, c): (&[T], &[T]),
        k: usize,
        slopes: Slopes,
        out: &mut [T],
    ) -> bool {
        let p = k + 2;
        let (particles, sums) = (&self.particles, &mut self.sums);
        let term = |i: usize, b: [f64; 2], l: usize| {
            let ca = to_f64(c[i]) * to_f64(w[i * p + l]);
            b.map(|b| ca * b)
        };
        let members = Members::new(particles, k, slopes, sums, term);
        if !members.is_finite() {
            return false;
        }
        self.halves.resize(samples.len() * k, [0.0; 2]);
        members.sweep(samples, &mut self.halves);
        let halves = &self.halves;
        in_blocks(out, k, |first, out| {
            for (j, out) in (first..).zip(out.chunks_exact_mut(k)) {
                let s = samples.place(j);
                let x = widen(samples.vector(s));
                for (h, half) in out.iter_mut().zip(&halves[s * k..]) {
                    *h = real(x[0] * half[0] + x[1] * half[1]);
                }
            }
        });
        true
    }

    /// The pull-back of `g` (`k x n`): `values[i] = sum_j <g_j, a_i sigma(b_i . x_j)>`, where they are asked for, and
    /// `descent` (`(k + 2) x m`) minus their gradient: `-sum_j g_j sigma(b_i . x_j)` in a,
    /// `-sum_j <g_j, a_i> sigma'(b_i . x_j) x_j` in b.
    ///
    /// Returns false, with the outputs spoiled, where a running sum overflows; the plain method may still succeed.
    #[must_use]
    pub(crate) fn pull_back(
        &mut self,
        samples: &PlanarOrder<T>,
        g: &[T],
        (w, k): (&[T], usize),
        slopes: Slopes,
        values: Option<&mut [T]>,
        descent: &mut [T],
    ) -> bool {
        let p = k + 2;
        let (particles, sums) = (&self.particles, &mut self.sums);
        let term = |j: usize, x: [f64; 2], l: usize| {
            let g = to_f64(g[j * k + l]);
            x.map(|x| g * x)
        };
        let members = Members::new(samples, k, slopes, sums, term);
        if !members.is_finite() {
            return false;
        }
        self.halves.resize(particles.len() * k, [0.0; 2]);
        members.sweep(particles, &mut self.halves);
        let halves = &self.halves;
        in_blocks(descent, p, |first, descent| {
            let particles = (first..).zip(w[first * p..].chunks_exact(p));
            for ((i, w), v) in particles.zip(descent.chunks_exact_mut(p)) {
                let s = self.particles.place(i);
                let b = [to_f64(w[k]), to_f64(w[k + 1])];
                let mut db = [0.0; 2];
                for l in 0..k {
                    let (a, half) = (to_f64(w[l]), halves[s * k + l]);
                    v[l] = real(-(b[0] * half[0] + b[1] * half[1]));
                    db = [db[0] - a * half[0], db[1] - a * half[1]];
                }
                (v[k], v[k + 1]) = (real(db[0]), real(db[1]));
            }
        });
        if let Some(values) = values {
            let particles = w.chunks_exact(p).zip(descent.chunks_exact(p));
            for ((w, v), value) in particles.zip(values) {
                *value = w[..k].iter().zip(v).fold(T::zero(), |sum, (&a, &da)| sum - a * da);
            }
        }
        true
    }
}

/// Calls `work(first, rows)` on blocks of rows of `out`, in threads where there are enough of them. Every row has one
/// owner, so the results do not depend on the number of threads.
fn in_blocks<S: Send>(out: &mut [S], width: usize, work: impl Fn(usize, &mut [S]) + Sync) {
    #[cfg(feature = "rayon")]
    if out.len() >= 4 * BLOCK * width && rayon::current_num_threads() > 1 {
        use rayon::prelude::*;
        let blocks = out.par_chunks_mut(BLOCK * width).enumerate();
        return blocks.for_each(|(block, rows)| work(block * BLOCK, rows));
    }
    work(0, out);
}

/// The rows of a block: about 20 us of work.
#[cfg(feature = "rayon")]
const BLOCK: usize = 1024;

/// Vectors `v_i` with terms `t_il` of the plane, and the running sums of these in the order of the angle.
#[derive(Debug)]
struct Members<'a, T> {
    circle: &'a circle::Circle<T>,
    k: usize,
    slopes: Slopes,
    /// `sums[s k + l]`: the sum of the terms before place s.
    sums: &'a [Twofold],
}

/// The arc of the angles of those whom one vector makes active, widened at its start and cut at its end by the doubt
/// about either; and the places of its ends.
#[derive(Clone, Copy)]
struct Window {
    from: u32,
    to: u32,
    doubt: u32,
    start: usize,
    end: usize,
}

impl<T> Clone for Members<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Members<'_, T> {}

impl<'a, T: Real> Members<'a, T> {
    /// `term(i, v_i, l)` is `t_il`.
    fn new(
        circle: &'a circle::Circle<T>,
        k: usize,
        slopes: Slopes,
        sums: &'a mut Vec<Twofold>,
        term: impl Fn(usize, [f64; 2], usize) -> [f64; 2],
    ) -> Self {
        sums.resize((circle.len() + 1) * k, Twofold::default());
        sums[..k].fill(Twofold::default());
        if k == 1 {
            let mut sum = Twofold::default();
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

    fn is_finite(&self) -> bool {
        let all = &self.sums[self.circle.len() * self.k..];
        all.iter().all(|sum| sum.is_finite())
    }

    /// `out[s k + l] = sum_i s(q_s . v_i) t_il` for the vectors `q_s` of `queries` in the order of their angle.
    fn sweep(&self, queries: &circle::Circle<T>, out: &mut [[f64; 2]]) {
        let members = *self;
        in_blocks(out, self.k, |first, out| {
            if members.k == 1 {
                Self { k: 1, ..members }.sweep_from(queries, first, out); // a loop of its own
            } else {
                members.sweep_from(queries, first, out);
            }
        });
    }

    #[inline(always)]
    fn sweep_from(self, queries: &circle::Circle<T>, first: usize, out: &mut [[f64; 2]]) {
        let (circle, format) = (self.circle, Format::of::<T>());
        for (s, out) in (first..).zip(out.chunks_exact_mut(self.k)) {
            let q = queries.vector(s);
            match circle.doubt(q, format) {
                Some(doubt) if s < queries.sorted() => {
                    let angle = queries.angle(s);
                    let from = angle.wrapping_sub(QUARTER + doubt);
                    let to = angle.wrapping_add(QUARTER - doubt);
                    let window = Window {
                        from,
                        to,
                        doubt,
                        start: circle.seek(from),
                        end: circle.seek(to),
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
    fn before(&self, place: usize, l: usize) -> Twofold {
        self.sums[place * self.k + l]
    }

    /// `sum_i s(q . v_i) t_il`, by the window of the active.
    #[inline(always)]
    fn sum(&self, q: [T; 2], l: usize, window: Window) -> [f64; 2] {
        let circle = self.circle;
        let Window { from, to, doubt, start, end } = window;
        let mut active = self.before(end, l);
        if from > to {
            active += self.before(circle.sorted(), l); // once round
        }
        let doubtful = circle.meets(start, from, 2 * doubt) | circle.meets(end, to, 2 * doubt);
        if doubtful | (circle.sorted() < circle.nonzero()) {
            return self.sum_doubtful(q, l, window);
        }
        self.weigh(active.less(self.before(start, l)), None, l)
    }

    /// The same where some members are near the boundary or subnormal.
    #[cold]
    #[inline(never)]
    fn sum_doubtful(&self, q: [T; 2], l: usize, window: Window) -> [f64; 2] {
        let circle = self.circle;
        let width = 2 * window.doubt;
        let from = window.from.wrapping_add(width + 1); // from here on they are surely active
        let mut active = self.before(window.end, l) - self.before(circle.seek(from), l);
        if from > window.to {
            active += self.before(circle.sorted(), l);
        }
        let mut zero = Twofold::default();
        let doubtful = [window.from, window.to].map(|angle| circle.arc(angle, width));
        let subnormal = circle.sorted()..circle.nonzero();
        for places in doubtful.into_iter().flatten().chain([subnormal]) {
            let (more, none) = self.settle(q, l, places);
            active += more;
            zero += none;
        }
        self.weigh(active, Some(zero), l)
    }

    /// `sum_i s(q . v_i) t_il`, one inner product at a time.
    #[cold]
    #[inline(never)]
    fn sum_all(&self, q: [T; 2], l: usize) -> [f64; 2] {
        let (active, zero) = if q == [T::zero(); 2] {
            (Twofold::default(), self.before(self.circle.len(), l))
        } else {
            self.settle(q, l, 0..self.circle.nonzero())
        };
        self.weigh(active, Some(zero), l)
    }

    /// The sums over those places where `q . v > 0` and where `q . v = 0`, as computed.
    fn settle(&self, q: [T; 2], l: usize, places: Range<usize>) -> (Twofold, Twofold) {
        let (mut active, mut zero) = (Twofold::default(), Twofold::default());
        let Range { start: mut s, end } = places;
        while s < end {
            let v = self.circle.vector(s);
            let mut next = s + 1;
            let mut stride = 1;
            // In the order of the angle equal vectors lie side by side.
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

    /// The sum over all, weighed with the slopes.
    #[inline(always)]
    fn weigh(&self, active: Twofold, zero: Option<Twofold>, l: usize) -> [f64; 2] {
        let Slopes {
            negative,
            zero: kink,
            positive,
        } = self.slopes;
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

#[cfg(test)]
mod tests;
