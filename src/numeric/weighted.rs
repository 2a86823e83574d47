//! Passes over the columns of matrices, each column with a weight: vectorised, in blocks that are
//! shared by threads. The blocks, and thus the sums, depend on the sizes only.

use std::ops::Range;

use nalgebra::DMatrix;

use crate::numeric::packed::line;
use crate::numeric::parallel::{map_blocks, map_blocks_mut};
use crate::numeric::simd::{
    Simd, SimdKernel, SimdScalar, dispatch, is_supported, same, same_mut, with_simd_scalar,
};
use crate::numeric::vector::{axpy, columns, dot};
use crate::real::Real;

/// Fields of a displacement, at most: the stages of the method of Dormand and Prince.
pub(crate) const TERMS: usize = 7;

/// `sum_i c_i <u_i, v_i>` over the columns of `u` and `v`, with `p` entries each.
pub(crate) fn inner<T: Real>(c: &[T], u: &[T], v: &[T], p: usize) -> T {
    sum(map_blocks(c.len(), p, T::zero(), |block| {
        let entries = block.start * p..block.end * p;
        let (c, u, v) = (&c[block], &u[entries.clone()], &v[entries]);
        if is_supported::<T>() {
            with_simd_scalar!(T as E => {
                let (c, u, v): (&[E], &[E], &[E]) = (same(c), same(u), same(v));
                same(&[dispatch(Inner { c, u, v, p })])[0]
            })
        } else {
            plain_inner(c, u, v, p)
        }
    }))
}

/// Writes `w_i + sum_q s_q v_qi` to the columns of `out`, and returns `sum_i c_i |out_i|^2`.
///
/// Reads `w` and `v_q` once and writes `out` once: this is the whole memory traffic of the update of
/// an explicit method. The result equals `out = w`, then `out += s_q v_q` for q in order.
pub(crate) fn displace<T: Real>(
    c: &[T],
    w: &[T],
    terms: &[(T, &DMatrix<T>)],
    p: usize,
    out: &mut [T],
) -> T {
    sum(map_blocks_mut(out, p, T::zero(), |block, out| {
        let (start, c) = (block.start * p, &c[block]);
        if is_supported::<T>() {
            with_simd_scalar!(T as E => {
                let (c, w, out) = (same(c), same(w), same_mut(out));
                let terms = &cast::<T, E>(terms)[..terms.len()];
                same(&[dispatch(Displace { c, w, terms, p, start, out })])[0]
            })
        } else {
            combine(w, &cast(terms)[..terms.len()], start, out);
            plain_inner(c, out, out, p)
        }
    }))
}

/// The terms with the scalar type written as `E`, which must be `T`.
fn cast<'a, T: Real, E: Real>(terms: &[(T, &'a DMatrix<T>)]) -> [(E, &'a [E]); TERMS] {
    let mut cast = [(E::zero(), &[][..]); TERMS];
    for (to, &(s, v)) in cast.iter_mut().zip(terms) {
        *to = (same(&[s])[0], same(v.as_slice()));
    }
    cast
}

fn sum<T: Real>(values: impl IntoIterator<Item = T>) -> T {
    values.into_iter().fold(T::zero(), |sum, value| sum + value)
}

fn plain_inner<T: Real>(c: &[T], u: &[T], v: &[T], p: usize) -> T {
    sum(c
        .iter()
        .zip(columns(u, p).zip(columns(v, p)))
        .map(|(&c, (u, v))| c * dot(u, v)))
}

/// `out = w + sum_q s_q v_q` for the entries from `start` on.
#[inline(always)] // compiled for the instruction set of the caller
fn combine<T: Real>(w: &[T], terms: &[(T, &[T])], start: usize, out: &mut [T]) {
    let entries = start..start + out.len();
    let w = &w[entries.clone()];
    let [(s, v), others @ ..] = terms else {
        return out.copy_from_slice(w);
    };
    for ((out, &w), &v) in out.iter_mut().zip(w).zip(&v[entries.clone()]) {
        *out = w + *s * v;
    }
    for (s, v) in others {
        axpy(*s, &v[entries.clone()], out);
    }
}

/// Entries of a column between two requests of cache lines. Whole groups of [`CHAINS`] vectors at
/// every SIMD level, so that the sums are those of a pass over the whole column.
const PIECE: usize = 256;

/// Bytes between the entries that are requested and those that are processed: a page.
///
/// The prefetchers of a processor do not cross pages, and each of the three streams of a
/// displacement starts again at every page. With requests, an Euler step of 128 x 784 x 1000 in
/// `f64`, whose fields are in the last-level cache, took 7.1 instead of 7.7 ms. Distances from 2 to
/// 8 KiB differ by less than the noise.
const AHEAD: usize = 4 << 10;

/// The entries of consecutive columns with p entries and equal weights: they are one long column.
#[inline(always)]
fn runs<E: Real>(c: &[E], p: usize) -> impl Iterator<Item = (Range<usize>, E)> {
    let mut end = 0;
    c.chunk_by(|a, b| a == b).map(move |run| {
        let start = end;
        end += run.len() * p;
        (start..end, run[0])
    })
}

/// The pieces of a column.
#[inline(always)]
fn pieces(entries: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let Range { start, end } = entries;
    let starts = (start..end).step_by(PIECE);
    starts.map(move |start| start..(start + PIECE).min(end))
}

/// Requests the cache lines at the distance [`AHEAD`] from a piece.
#[inline(always)]
fn request<E: SimdScalar, S: Simd<E>>(s: S, x: &[E], piece: &Range<usize>) {
    for entry in piece.clone().step_by(line::<E>()) {
        if let Some(x) = x.get(entry + AHEAD / size_of::<E>()) {
            s.prefetch(x);
        }
    }
}

struct Inner<'a, E> {
    c: &'a [E],
    u: &'a [E],
    v: &'a [E],
    p: usize,
}

impl<E: SimdScalar> SimdKernel for Inner<'_, E> {
    type Scalar = E;
    type Output = E;

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) -> E {
        let (p, u, v, mut sums) = (self.p, self.u, self.v, Sums::zero(s));
        for (entries, c) in runs(self.c, p) {
            if entries.len() < LONG {
                sums.add(s, c, &u[entries.clone()], &v[entries]);
                continue;
            }
            for piece in pieces(entries) {
                request(s, u, &piece);
                request(s, v, &piece);
                sums.add(s, c, &u[piece.clone()], &v[piece]);
            }
        }
        sums.total(s)
    }
}

/// Entries that are displaced before their squares are summed: with two fields, 3 or 6 KiB of the L1
/// cache. With 1024, a pass over data in the L3 cache took 1.1 to 1.3 times as long.
const ENTRIES: usize = 256;

/// Entries of a column from which on the squares are summed as they are written. A later load waits
/// until the line arrives from an outer cache: 0.45 against 0.33 ms for 785 x 1024 entries.
const LONG: usize = 64;

struct Displace<'a, E> {
    /// The weights of the block.
    c: &'a [E],
    w: &'a [E],
    terms: &'a [(E, &'a [E])],
    p: usize,
    /// The first entry of the block in `w` and `v_q`.
    start: usize,
    out: &'a mut [E],
}

impl<E: SimdScalar> SimdKernel for Displace<'_, E> {
    type Scalar = E;
    type Output = E;

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) -> E {
        let (p, mut start, mut sums) = (self.p, self.start, Sums::zero(s));
        let is_long = p >= LONG || self.c.iter().all(|&c| c == self.c[0]);
        if let [(step, v)] = self.terms
            && is_long
        {
            let (w, v) = (&self.w[start..], &v[start..]);
            for (entries, c) in runs(self.c, p) {
                for piece in pieces(entries) {
                    request(s, w, &piece);
                    request(s, v, &piece);
                    request(s, self.out, &piece);
                    let fields = [&w[piece.clone()], &v[piece.clone()]];
                    sums.displace(s, c, fields, *step, &mut self.out[piece]);
                }
            }
            return sums.total(s);
        }
        let group = (ENTRIES / p).max(1);
        for (out, c) in self.out.chunks_mut(group * p).zip(self.c.chunks(group)) {
            combine(self.w, self.terms, start, out);
            start += out.len();
            for (entries, c) in runs(c, p) {
                sums.add(s, c, &out[entries.clone()], &out[entries]);
            }
        }
        sums.total(s)
    }
}

/// Vectors of partial sums: the latency of an addition is four cycles.
const CHAINS: usize = 4;

/// A sum of weighted inner products: partial sums in lanes, and the entries beyond whole vectors.
pub(crate) struct Sums<E, S: Simd<E>> {
    lanes: [S::Vector; CHAINS],
    rest: E,
}

impl<E: SimdScalar, S: Simd<E>> Sums<E, S> {
    #[inline(always)]
    pub(crate) fn zero(s: S) -> Self {
        Self {
            lanes: [s.zero(); CHAINS],
            rest: E::zero(),
        }
    }

    /// Adds `c <u, v>`.
    #[inline(always)]
    pub(crate) fn add(&mut self, s: S, c: E, u: &[E], v: &[E]) {
        let weight = s.splat(c);
        let (whole, products) = (S::vectors(u), S::vectors(v));
        let (groups, last) = whole.as_chunks::<CHAINS>();
        let (others, last_others) = products.as_chunks::<CHAINS>();
        for (u, v) in groups.iter().zip(others) {
            for l in 0..CHAINS {
                self.lanes[l] = s.mul_add(weight, s.mul(u[l], v[l]), self.lanes[l]);
            }
        }
        for (sum, (&u, &v)) in self.lanes.iter_mut().zip(last.iter().zip(last_others)) {
            *sum = s.mul_add(weight, s.mul(u, v), *sum);
        }
        let end = size_of_val(whole) / size_of::<E>();
        self.rest += c * dot(&u[end..], &v[end..]);
    }

    /// Writes `x = w + step v` to `out`, and adds `c |x|^2`.
    #[inline(always)]
    fn displace(&mut self, s: S, c: E, [w, v]: [&[E]; 2], step: E, out: &mut [E]) {
        let (weight, factor) = (s.splat(c), s.splat(step));
        let (whole, others) = (S::vectors(w), S::vectors(v));
        let end = size_of_val(whole) / size_of::<E>();
        let (groups, last) = whole.as_chunks::<CHAINS>();
        let (others, last_others) = others.as_chunks::<CHAINS>();
        let (results, last_results) = S::vectors_mut(out).as_chunks_mut::<CHAINS>();
        for ((w, v), out) in groups.iter().zip(others).zip(results) {
            for l in 0..CHAINS {
                let x = s.add(w[l], s.mul(factor, v[l]));
                out[l] = x;
                self.lanes[l] = s.mul_add(weight, s.mul(x, x), self.lanes[l]);
            }
        }
        let ends = last.iter().zip(last_others).zip(last_results);
        for (((&w, &v), out), sum) in ends.zip(&mut self.lanes) {
            let x = s.add(w, s.mul(factor, v));
            *out = x;
            *sum = s.mul_add(weight, s.mul(x, x), *sum);
        }
        let mut rest = E::zero();
        for ((out, &w), &v) in out[end..].iter_mut().zip(&w[end..]).zip(&v[end..]) {
            *out = w + step * v;
            rest += *out * *out;
        }
        self.rest += c * rest;
    }

    #[inline(always)]
    pub(crate) fn total(self, s: S) -> E {
        let [a, b, c, d] = self.lanes;
        s.reduce_sum(s.add(s.add(a, b), s.add(c, d))) + self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::{epsilon, real};

    /// Weighted sums are those of the definition, whatever columns have equal weights.
    fn check<T: Real>(p: usize, m: usize, weight: impl Fn(usize) -> f64) {
        let entry = |i: usize, k: f64| real::<T>((k * (i + 1) as f64).sin());
        let matrix = |k: f64| DMatrix::from_fn(p, m, |r, i| entry(r + p * i, k));
        let c: Vec<T> = (0..m).map(|i| real(weight(i))).collect();
        let (w, v, step) = (matrix(0.7), matrix(1.3), entry(1, 0.2));
        let near = |found: T, expected: T, size: T| {
            assert!(
                (found - expected).abs() <= epsilon::<T>() * size,
                "p = {p}, m = {m}: {found}, not {expected}"
            );
        };
        let size = sum(c.iter().map(|&c| c * real(p as f64)));
        let size = size * real((1.0 + (p * m) as f64).sqrt()); // as rounding errors of the sums
        let expected = plain_inner(&c, w.as_slice(), v.as_slice(), p);
        near(inner(&c, w.as_slice(), v.as_slice(), p), expected, size);
        for terms in [&[(step, &v)][..], &[(step, &v), (step, &w)]] {
            let mut out = vec![T::zero(); p * m];
            let moment = displace(&c, w.as_slice(), terms, p, &mut out);
            near(moment, plain_inner(&c, &out, &out, p), size);
            for (i, &x) in out.iter().enumerate() {
                let start = w.as_slice()[i];
                let x_i = terms
                    .iter()
                    .fold(start, |x, (s, v)| x + *s * v.as_slice()[i]);
                assert_eq!(x, x_i, "entry {i} of {p} x {m}");
            }
        }
    }

    #[test]
    fn sums_are_those_of_the_definition() {
        for p in [1, 3, 11, 16, 63, 64, 65, 101, 257, 785] {
            for m in [1, 2, 7, 50, 600] {
                for period in [1, 2, 3, 1000] {
                    let weight = |i: usize| 1.0 + (i / 2 % period) as f64;
                    check::<f32>(p, m, weight);
                    check::<f64>(p, m, weight);
                }
            }
        }
    }
}
