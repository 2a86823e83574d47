//! Elementary functions in `f32` and `f64`, on several vectors at a time, without branches but for
//! gelu in `f64`, whose common arguments take a shorter way.
//!
//! A formula is written once, for any group of [`Lanes`]. The largest errors found, in units in the
//! last place (`tests/references/elementary.rs`: `f64` against mpmath at 6000 points each, `f32`
//! against `f64` at 430 000):
//!
//! | | `tanh` | sigmoid | `log(1 + exp)` | `erf` | `sin`, `cos` | silu | gelu | `log` |
//! |---|---|---|---|---|---|---|---|---|
//! | `f64` | 1.3 | 1.5 | 0.9 | 0.8 | 0.7 | 1.9 | 2.9 (5.5 without fused multiply-adds) | 0.6 |
//! | `f32` | 1.9 | 2.4 | 1.5 | 1.0 | 0.6 | 2.8 | 5.0 (5.6) | |
//!
//! | derivative of | `tanh` | sigmoid | `erf` | silu |
//! |---|---|---|---|---|
//! | `f64` | 2.3 | 4.1 | 1.5 | 3.5 |
//! | `f32` | 3.8 | 4.1 | 2.2 | |
//!
//! These bounds hold over the whole range of the argument, where the function is normal. The
//! derivatives of silu and gelu have a zero, near which the unit is that of 1. In the far tails of
//! silu and gelu, products with a subnormal factor have only the digits of that
//! factor. NaN maps to NaN, and infinite arguments map to the limits.

use std::f64::consts::{LOG2_E, SQRT_2};

use nalgebra::ComplexField;

mod angle;
mod float;
mod gaussians;
mod lanes;
mod map;
mod nodes;
mod normal;
mod radial;
mod scalar;
mod trigonometric;

pub(crate) use angle::arc_cosines;
pub(crate) use float::Float;
pub(crate) use gaussians::sum_gaussians;
pub(crate) use lanes::Lanes;
pub(crate) use map::{Elementary, Formula, apply, apply_with_derivative, map, pair, scalar, value};
pub(crate) use normal::gelu;
pub(crate) use radial::{exponentials, inverse_roots, powers, sum_exponentials};
pub(crate) use scalar::Scalar;
pub(crate) use trigonometric::{sin_cos, sin_cos_map};

/// `1 / sqrt(2 pi)`.
const FRAC_1_SQRT_2PI: f64 = 0.398_942_280_401_432_7;

/// `c_0 + c_1 x + c_2 x^2 + ..` by Horner's rule: the fewest operations.
#[inline(always)]
fn polynomial<L: Lanes>(c: &[L::Scalar], x: L) -> L {
    let mut sum = x.constant(c[c.len() - 1]);
    for l in (0..c.len() - 1).rev() {
        sum = sum.mul_add(x, x.constant(c[l]));
    }
    sum
}

/// [`polynomial`], in `f64` the even and the odd powers separately if a group of vectors has too
/// few independent operations. The polynomials of `f32` are short.
#[inline(always)]
fn split_polynomial<L: Lanes>(c: &[L::Scalar], x: L) -> L {
    if !(L::FEW_CHAINS && L::Scalar::DOUBLE) || c.len() < 2 {
        return polynomial(c, x);
    }
    let square = x * x;
    let first = every_second(c, c.len() - 1, square);
    let second = every_second(c, c.len() - 2, square);
    if c.len() % 2 == 1 {
        second.mul_add(x, first)
    } else {
        first.mul_add(x, second)
    }
}

/// The sum of `c_last x^(last/2)`, `c_(last-2) x^(last/2-1)`, .. by Horner's rule.
#[inline(always)]
fn every_second<L: Lanes>(c: &[L::Scalar], last: usize, x: L) -> L {
    let mut sum = x.constant(c[last]);
    for l in 0..last / 2 {
        sum = sum.mul_add(x, x.constant(c[last - 2 * l - 2]));
    }
    sum
}

/// The quotient of two polynomials, evaluated alternately by Horner's rule.
#[inline(always)]
fn quotient<L: Lanes>(numerator: &[L::Scalar], denominator: &[L::Scalar], x: L) -> L {
    let (n, d) = (numerator.len() - 1, denominator.len() - 2);
    let (mut top, mut bottom) = (x.constant(numerator[n]), x.constant(denominator[d + 1]));
    bottom = bottom.mul_add(x, x.constant(denominator[d]));
    for l in (0..n).rev() {
        top = top.mul_add(x, x.constant(numerator[l]));
        bottom = bottom.mul_add(x, x.constant(denominator[l]));
    }
    top / bottom
}

/// `SHIFT + k` and p with `exp(x) = 2^k (1 + p)`, `|x|` at most `TAIL`.
#[inline(always)]
fn reduced_exp<L: Lanes>(x: L) -> (L, L) {
    let shift = x.constant(L::Scalar::SHIFT);
    let shifted = x.mul_add(x.narrow(LOG2_E), shift);
    let (k, [high, rest]) = (shifted - shift, L::Scalar::LN_2);
    let r = k.neg_mul_add(x.constant(high), x);
    let r = k.neg_mul_add(x.constant(rest), r);
    let q = split_polynomial(L::Scalar::EXP, r);
    (shifted, (r * r).mul_add(q, r))
}

/// `exp(x)`
#[inline(always)]
pub(crate) fn exp<L: Lanes>(x: L) -> L {
    let tail = L::Scalar::TAIL;
    let x = x.at_least(-tail).at_most(tail);
    let (shifted, p) = reduced_exp(x);
    // A power that is normal, and the rest.
    let (bits, zero) = (L::Scalar::BITS, L::Scalar::narrow(0.0));
    let toward_1 = x.select_below(zero, x.constant(bits), x.constant(-bits));
    let scale = (shifted + toward_1).power_of_two();
    let [under, over] = L::Scalar::SCALES;
    let rest = x.select_below(zero, x.constant(under), x.constant(over));
    scale.mul_add(p, scale) * rest
}

/// `exp(x)` for `x <= 0`.
#[inline(always)]
fn exp_of_negative<L: Lanes>(x: L) -> L {
    let [under, over] = L::Scalar::SCALES;
    let (shifted, p) = reduced_exp(x.at_least(-L::Scalar::TAIL));
    let scale = x.constant(over).scale(shifted);
    scale.mul_add(p, scale) * x.constant(under)
}

/// `SHIFT - k` and `w = tanh(z)`, `x = k log(2)/2 + z`, `|z|` at most `log(2)/4`, for
/// `0 <= x <= TAIL`.
///
/// With `s = 2^-k`, `exp(-2 x) = s (1 - w)/(1 + w)`: the functions of x are quotients of linear
/// functions of w, and k = 0 does not cancel.
#[inline(always)]
fn reduced_tanh<L: Lanes>(x: L) -> (L, L) {
    let shift = x.constant(L::Scalar::SHIFT);
    let shifted = x.mul_add(x.narrow(-2.0 * LOG2_E), shift);
    let k = shifted - shift;
    let (half, [high, rest]) = (L::Scalar::narrow(0.5), L::Scalar::LN_2);
    let z = k.mul_add(x.constant(half * high), x);
    let z = k.mul_add(x.constant(half * rest), z);
    let square = z * z;
    let w = (z * square).mul_add(split_polynomial(L::Scalar::TANH, square), z);
    (shifted, w)
}

/// `(tanh(x), 1 - tanh(x)^2)`.
///
/// With w and s of [`reduced_tanh`], `tanh |x| = ((1 - s) + (1 + s) w)/((1 + s) + (1 - s) w)`, and
/// `1 - tanh |x| = 2 s (1 - w)/((1 + s) + (1 - s) w)`.
#[inline(always)]
pub(crate) fn tanh<L: Lanes>(x: L) -> (L, L) {
    let (size, tail) = (
        x.abs(),
        L::Scalar::narrow(0.5) * L::Scalar::TAIL + L::Scalar::narrow(1.0),
    );
    let (shifted, w) = reduced_tanh(size.at_most(tail));
    let (one, four) = (x.narrow(1.0), x.narrow(4.0));
    // 4 s, raised by `BITS` so that it is normal where the derivative underflows.
    let [under, over] = L::Scalar::SCALES;
    let raised = (four * x.constant(over)).scale(shifted);
    let (less, more) = (
        raised.neg_mul_add(x.constant(under), four),
        raised.mul_add(x.constant(under), four),
    );
    let (numerator, denominator) = (w.mul_add(more, less), w.mul_add(less, more));
    let reciprocal = one / denominator;
    let small = w.neg_mul_add(raised, raised) * reciprocal;
    // Near 1 the complement is small, so that its rounding does not count. In `f32` a second
    // division takes no longer than a product, and saves a rounding.
    let near = if L::FUSED && L::Scalar::DOUBLE {
        numerator * reciprocal
    } else {
        numerator / denominator
    };
    let far = small.neg_mul_add(x.constant(under + under), one);
    let t = size.select_below(L::Scalar::narrow(0.7), near, far);
    let derivative = small.mul_add(t, small) * x.constant(under + under);
    (t.copy_sign(x), derivative)
}

/// `(s(x), s(x) s(-x))` with `s(x) = 1 / (1 + exp(-x))`.
///
/// With w and s of [`reduced_tanh`] at `|x|/2`, `s(|x|) = (1 + w)/((1 + s) + (1 - s) w)` and
/// `s(-|x|) = s (1 - w)/((1 + s) + (1 - s) w)`.
#[inline(always)]
pub(crate) fn sigmoid<L: Lanes>(x: L) -> (L, L) {
    let size = x.abs().at_most(L::Scalar::TAIL);
    let (shifted, w) = reduced_tanh(size * x.narrow(0.5));
    let one = x.narrow(1.0);
    let [under, over] = L::Scalar::SCALES;
    let s = x.constant(over).scale(shifted) * x.constant(under);
    let more = one + w;
    let less = w.neg_mul_add(s, s);
    let reciprocal = one / (more + less);
    let (large, small) = (more * reciprocal, less * reciprocal);
    let value = x.select_below(L::Scalar::narrow(0.0), small, large);
    (value, large * small)
}

/// `(u, v)` for products `u f(u)` and `v g(u)`, where `f` vanishes left of `-TAIL` and `g` on both
/// sides: limits u, so that products with infinite u vanish too.
#[inline(always)]
pub(crate) fn limited<L: Lanes>(u: L) -> (L, L) {
    let u = u.at_least(-L::Scalar::TAIL);
    (u, u.at_most(L::Scalar::TAIL))
}

/// `log(1 + f)` for `0 <= f <= 1`: with `2^k (1 + g) = 1 + f`, `k` 0 or 1, and `s = g/(2 + g)`,
/// `log(1 + g) = g - (g^2/2 - s (g^2/2 + s^2 L(s^2)))`.
#[inline(always)]
fn log_1p<L: Lanes>(f: L) -> L {
    let (half, one, two, zero) = (f.narrow(0.5), f.narrow(1.0), f.narrow(2.0), f.narrow(0.0));
    let threshold = L::Scalar::narrow(SQRT_2 - 1.0);
    let [high, low] = L::Scalar::LN_2;
    let high = f.select_below(threshold, zero, f.constant(high));
    let low = f.select_below(threshold, zero, f.constant(low));
    let g = f.select_below(threshold, f, half * (f - one));
    let s = g / (two + g);
    let z = s * s;
    let square = half * g * g;
    let sum = z.mul_add(split_polynomial(L::Scalar::LOG, z), square);
    high + (g - (square - s.mul_add(sum, low)))
}

/// `(log(1 + exp(x)), 1 / (1 + exp(-x)))`, the first as `x_+ + log(1 + exp(-|x|))`.
#[inline(always)]
pub(crate) fn softplus<L: Lanes>(x: L) -> (L, L) {
    let (zero, one) = (L::Scalar::narrow(0.0), x.narrow(1.0));
    let e = exp_of_negative(-x.abs());
    let sigmoid = x.select_below(zero, e, one) / (one + e);
    (x.at_least(zero) + log_1p(e), sigmoid)
}

/// `2^BITS exp(-x^2 / d)`, d = 1 or 2, for `0 <= x <= (d (TAIL + 4))^(1/2)`; any number if x is NaN,
/// since its digits are added to the exponent.
///
/// A multiple of `d log 2` is subtracted from the square before it is rounded, or from the sum of
/// two numbers. This leaves `|y| <= d log(2)/2`, and coefficients are scaled by powers of two, so
/// that y is not.
#[inline(always)]
fn raised_gauss<L: Lanes>(size: L, d: f64) -> L {
    let shift = size.constant(L::Scalar::SHIFT);
    let shifted = (size * size).mul_add(size.narrow(-LOG2_E / d), shift);
    let k = shifted - shift;
    let [high, rest] = L::Scalar::LN_2.map(|part| size.constant(part * L::Scalar::narrow(d)));
    let y = if L::FUSED {
        size.mul_add(size, k * high)
    } else {
        let multiple = size * size.constant(L::Scalar::SPLIT);
        let head = multiple - (multiple - size); // half of the digits (Dekker)
        k.mul_add(high, head * head) + (size - head) * (size + head)
    };
    let y = k.mul_add(rest, y);
    let [_, over] = L::Scalar::SCALES;
    let mut factor = over * L::Scalar::narrow(1.0 / (d * d));
    let mut coefficients = [L::Scalar::narrow(0.0); 10];
    for (to, &c) in coefficients.iter_mut().zip(L::Scalar::EXP) {
        *to = c * factor;
        factor *= L::Scalar::narrow(-1.0 / d);
    }
    let q = split_polynomial(&coefficients[..L::Scalar::EXP.len()], y);
    let (one, first) = (
        size.constant(over),
        size.constant(over * L::Scalar::narrow(-1.0 / d)),
    );
    // exp(-y/d) = 1 - y/d + q y^2. The first form has fewer operations, the second fewer roundings.
    let power = if L::FUSED {
        y.mul_add(y.mul_add(q, first), one)
    } else {
        (y * y).mul_add(q, first * y) + one
    };
    power.scale(shifted)
}

/// `scale exp(x^2/2) P(N <= -x)`, `N ~ N(0, 1)`, for `0 <= x <= (2 TAIL + 8)^(1/2)` and a power of 2.
#[inline(always)]
fn mills_ratio<L: Lanes>(x: L, scale: L::Scalar) -> L {
    let [numerator, denominator] = L::Scalar::MILLS;
    let mut scaled = [scale; 10];
    for (to, &c) in scaled.iter_mut().zip(numerator) {
        *to *= c;
    }
    quotient(&scaled[..numerator.len()], denominator, x)
}

/// `(erf(x), exp(-x^2))`
#[inline(always)]
pub(crate) fn erf<L: Lanes>(x: L) -> (L, L) {
    let size = x.abs().at_most(L::Scalar::TAIL.sqrt());
    let bell = raised_gauss(size, 1.0) * x.constant(L::Scalar::SCALES[0]);
    let bell = size.mul_add(x.narrow(0.0), bell); // NaN stays
    let near = size.mul_add(split_polynomial(L::Scalar::ERF, size * size), size);
    let ratio = mills_ratio(size * x.narrow(SQRT_2), L::Scalar::narrow(1.0));
    let far = (bell + bell).neg_mul_add(ratio, x.narrow(1.0));
    let erf = size.select_below(L::Scalar::narrow(1.0), near, far);
    (erf.copy_sign(x), bell)
}

/// `(p(x), P(N <= -x))` for `0 <= x <= (2 TAIL + 8)^(1/2)`, p the density of `N ~ N(0, 1)`.
#[inline(always)]
fn gaussian_tail<L: Lanes>(x: L) -> [L; 2] {
    let (bell, [under, _]) = (raised_gauss(x, 2.0), L::Scalar::SCALES);
    let density = bell * x.constant(L::Scalar::narrow(FRAC_1_SQRT_2PI) * under);
    [density, bell * mills_ratio(x, under)]
}
