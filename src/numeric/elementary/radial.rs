//! Functions of squared distances on slices of `f32` and `f64`.

use super::{Float, Formula, Lanes, Scalar, exp, map, polynomial};
use crate::numeric::simd::{
    Multiversion, is_supported, multiversion, same, same_mut, with_simd_scalar,
};
use crate::real::Real;

/// `log x` of a positive normal x: with `x = 2^k (1 + g)`, `1/sqrt 2 <= 1 + g < sqrt 2`, and
/// `s = g/(2 + g)` as in [`log_1p`](super::log_1p).
#[inline(always)]
pub(crate) fn log<E: Float, const FUSED: bool>(x: E) -> E {
    let (k, m) = x.split();
    let [x, k, m] = [x, k, m].map(Scalar::<E, FUSED>);
    let (half, one, two) = (x.narrow(0.5), x.narrow(1.0), x.narrow(2.0));
    let g = m - one;
    let s = g / (two + g);
    let z = s * s;
    let square = half * g * g;
    let sum = z.mul_add(polynomial(E::LOG, z), square);
    let low = s.mul_add(sum, k * x.constant(E::LN_2[1]));
    k.mul_add(x.constant(E::LN_2[0]), g - (square - low)).0
}

/// `(s_r, d_r) <- (a exp(rate s_r), a rate exp(rate s_r))`; values only if `d` is empty. Returns
/// false unless `T` is `f32` or `f64`.
pub(crate) fn exponentials<T: Real>([a, rate]: [f64; 2], s: &mut [T], d: &mut [T]) -> bool {
    if is_supported::<T>() {
        with_simd_scalar!(T as E => {
            map(&Exponentials { a, rate }, same_mut::<T, E>(s), same_mut(d));
        });
    }
    is_supported::<T>()
}

struct Exponentials {
    a: f64,
    rate: f64,
}

impl Formula for Exponentials {
    #[inline(always)]
    fn lanes<L: Lanes>(&self, s: L) -> (L, L) {
        let rate = s.narrow(self.rate);
        let value = s.narrow(self.a) * exp(rate * s);
        (value, rate * value)
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
                *x = exp(Scalar::<E, FUSED>(*x - self.shift)).0;
                *sum += *x;
            }
        }
        let mut total = E::zero();
        for x in rest {
            *x = exp(Scalar::<E, FUSED>(*x - self.shift)).0;
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
            let base = Scalar::<E, FUSED>(rate)
                .mul_add(Scalar(*s), Scalar(E::one()))
                .0;
            let (f, ratio) = (E::one() / base.sqrt(), rate / base);
            *d1 = E::narrow(-0.5) * ratio * f;
            *d2 = E::narrow(-1.5) * ratio * *d1;
            *d3 = E::narrow(-2.5) * ratio * *d2;
            *s = f;
        }
    }
}

/// Exponents up to this size are those of [`powers`].
const LARGEST_EXPONENT: f64 = 16.0;

/// `s <- b s^(a/2) / a` (`b log(s) / 2` for a = 0) and its derivative
/// `d <- b s^(a/2 - 1) / 2` at positive normal s; values only if `d` is empty.
///
/// Returns false, and changes nothing, unless `T` is `f32` or `f64` and a is of moderate size. If
/// `2 a` is an integer, roots and products have the accuracy of a few roundings. Otherwise the rest
/// of at most 1/8 of the exponent `a/2` is `exp(rest log s)`, whose relative error has
/// `|log s| / 2` more units of rounding.
pub(crate) fn powers<T: Real>([a, b]: [f64; 2], s: &mut [T], d: &mut [T]) -> bool {
    let holds = is_supported::<T>() && a.abs() <= LARGEST_EXPONENT;
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
        let quarters = (2.0 * self.a).round();
        let remainder = 0.25 * (2.0 * self.a - quarters); // s^(a/2) = s^(quarters/4 + remainder)
        let quarters = quarters as i32;
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
            if remainder != 0.0 {
                let remainder = E::narrow(remainder);
                for (x, &s) in power.iter_mut().zip(&*s) {
                    let exponent = Scalar::<E, FUSED>(remainder * log::<E, FUSED>(s));
                    *x *= exp(exponent).0;
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
