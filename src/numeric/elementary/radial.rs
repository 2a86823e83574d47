//! Functions of squared distances on slices of `f32` and `f64`.

use super::{Float, exp, fma, polynomial};
use crate::numeric::simd::{
    Multiversion, is_supported, multiversion, same, same_mut, with_simd_scalar,
};
use crate::real::Real;

/// `log x` of a positive normal x: with `x = 2^k (1 + g)`, `1/sqrt 2 <= 1 + g < sqrt 2`, and
/// `s = g/(2 + g)` as in [`log_1p`](super::log_1p).
#[inline(always)]
pub(crate) fn log<E: Float, const FUSED: bool>(x: E) -> E {
    let (k, m) = x.split();
    let (half, two) = (E::narrow(0.5), E::narrow(2.0));
    let g = m - E::one();
    let s = g / (two + g);
    let z = s * s;
    let square = half * g * g;
    let sum = fma::<E, FUSED>(z, polynomial::<E, FUSED>(E::LOG, z), square);
    let low = fma::<E, FUSED>(s, sum, k * E::LN_2[1]);
    fma::<E, FUSED>(k, E::LN_2[0], g - (square - low))
}

/// `(s_r, d_r) <- (a exp(rate s_r), a rate exp(rate s_r))`; values only if `d` is empty. Returns
/// false unless `T` is `f32` or `f64`.
pub(crate) fn exponentials<T: Real>([a, rate]: [f64; 2], s: &mut [T], d: &mut [T]) -> bool {
    if is_supported::<T>() {
        with_simd_scalar!(T as E => {
            let (s, d) = (same_mut::<T, E>(s), same_mut(d));
            multiversion(Exponentials { a, rate, s, d });
        });
    }
    is_supported::<T>()
}

struct Exponentials<'a, E> {
    a: f64,
    rate: f64,
    s: &'a mut [E],
    d: &'a mut [E],
}

impl<E: Float> Multiversion for Exponentials<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let (a, rate) = (E::narrow(self.a), E::narrow(self.rate));
        for s in &mut *self.s {
            *s = a * exp::<E, FUSED>(rate * *s);
        }
        for (d, &s) in self.d.iter_mut().zip(&*self.s) {
            *d = rate * s;
        }
    }
}

/// `x_r <- exp(x_r - shift)`; returns their sum, or `None` unless `T` is `f32` or `f64`.
pub(crate) fn sum_exponentials<T: Real>(x: &mut [T], shift: T) -> Option<T> {
    if !is_supported::<T>() {
        return None;
    }
    with_simd_scalar!(T as E => {
        let (x, shift) = (same_mut::<T, E>(x), same(&[shift])[0]);
        Some(same(&[multiversion(SumExponentials { x, shift })])[0])
    })
}

struct SumExponentials<'a, E> {
    x: &'a mut [E],
    shift: E,
}

/// Partial sums, a whole number of vectors at every SIMD level.
const PARTS: usize = 32;

impl<E: Float> Multiversion for SumExponentials<'_, E> {
    type Output = E;

    #[inline(always)]
    fn run<const FUSED: bool>(self) -> E {
        let mut sums = [E::zero(); PARTS];
        let (chunks, rest) = self.x.as_chunks_mut::<PARTS>();
        for x in chunks {
            for (x, sum) in x.iter_mut().zip(&mut sums) {
                *x = exp::<E, FUSED>(*x - self.shift);
                *sum += *x;
            }
        }
        let mut total = E::zero();
        for x in rest {
            *x = exp::<E, FUSED>(*x - self.shift);
            total += *x;
        }
        let mut len = PARTS;
        while len > 1 {
            len /= 2;
            for l in 0..len {
                sums[l] += sums[l + len];
            }
        }
        total + sums[0]
    }
}

/// `s <- f` and its first three derivatives, `f(s) = (1 + rate s)^(-1/2)`. Returns false unless
/// `T` is `f32` or `f64`.
pub(crate) fn inverse_roots<T: Real>(rate: f64, s: &mut [T], d: [&mut [T]; 3]) -> bool {
    if is_supported::<T>() {
        with_simd_scalar!(T as E => {
            let (s, d) = (same_mut::<T, E>(s), d.map(same_mut::<T, E>));
            multiversion(InverseRoots { rate, s, d });
        });
    }
    is_supported::<T>()
}

struct InverseRoots<'a, E> {
    rate: f64,
    s: &'a mut [E],
    d: [&'a mut [E]; 3],
}

impl<E: Float> Multiversion for InverseRoots<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let rate = E::narrow(self.rate);
        let [d1, d2, d3] = self.d;
        let derivatives = d1.iter_mut().zip(d2).zip(d3);
        for (s, ((d1, d2), d3)) in self.s.iter_mut().zip(derivatives) {
            let base = fma::<E, FUSED>(rate, *s, E::one());
            let (f, ratio) = (E::one() / base.sqrt(), rate / base);
            *d1 = E::narrow(-0.5) * ratio * f;
            *d2 = E::narrow(-1.5) * ratio * *d1;
            *d3 = E::narrow(-2.5) * ratio * *d2;
            *s = f;
        }
    }
}

/// Multiples of 1/2 up to this size are exponents of [`powers`].
const LARGEST_EXPONENT: f64 = 16.0;

/// `s <- b s^(a/2) / a` (`b log(s) / 2` for a = 0) and its derivative
/// `d <- b s^(a/2 - 1) / 2` at positive normal s; values only if `d` is empty.
///
/// Returns false, and changes nothing, unless `T` is `f32` or `f64` and `2 a` is an integer of
/// moderate size: roots and products then have the accuracy of a few roundings.
pub(crate) fn powers<T: Real>([a, b]: [f64; 2], s: &mut [T], d: &mut [T]) -> bool {
    let holds = is_supported::<T>() && (2.0 * a).fract() == 0.0 && a.abs() <= LARGEST_EXPONENT;
    if holds {
        with_simd_scalar!(T as E => {
            let (s, d) = (same_mut::<T, E>(s), same_mut(d));
            multiversion(Powers { a, b, s, d });
        });
    }
    holds
}

struct Powers<'a, E> {
    a: f64,
    b: f64,
    s: &'a mut [E],
    d: &'a mut [E],
}

/// Squares that are processed at once.
const CHUNK: usize = 64;

impl<E: Float> Multiversion for Powers<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let quarters = (2.0 * self.a) as i32; // s^(a/2) = s^(quarters/4)
        let (whole, rest) = (quarters.div_euclid(4), quarters.rem_euclid(4));
        let half = E::narrow(0.5 * self.b);
        let factor = E::narrow(if self.a == 0.0 {
            0.5 * self.b
        } else {
            self.b / self.a
        });
        let mut d = self.d.chunks_mut(CHUNK);
        for s in self.s.chunks_mut(CHUNK) {
            // s^(a/2 - 1) and s^(a/2)
            let (mut lower, mut power) = ([E::one(); CHUNK], [E::one(); CHUNK]);
            if rest & 2 != 0 {
                for (x, &s) in power.iter_mut().zip(&*s) {
                    *x = s.sqrt();
                }
            }
            if rest & 1 != 0 {
                for (x, &s) in power.iter_mut().zip(&*s) {
                    *x *= s.sqrt().sqrt();
                }
            }
            for _ in 1..whole {
                for (x, &s) in power.iter_mut().zip(&*s) {
                    *x *= s;
                }
            }
            for _ in whole..0 {
                for (x, &s) in power.iter_mut().zip(&*s) {
                    *x /= s;
                }
            }
            for ((lower, power), &s) in lower.iter_mut().zip(&mut power).zip(&*s) {
                if whole > 0 {
                    (*lower, *power) = (*power, *power * s);
                } else {
                    *lower = *power / s;
                }
            }
            if let Some(d) = d.next() {
                for (d, &lower) in d.iter_mut().zip(&lower) {
                    *d = half * lower;
                }
            }
            if self.a == 0.0 {
                for s in s.iter_mut() {
                    *s = factor * log::<E, FUSED>(*s);
                }
            } else {
                for (s, &power) in s.iter_mut().zip(&power) {
                    *s = factor * power;
                }
            }
        }
    }
}
