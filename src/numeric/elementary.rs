//! Branch-free elementary functions in `f32` and `f64`, so that loops over them are vectorised.
//!
//! With `FUSED` a product and a sum are one fused multiply-add, for code that is compiled for
//! processors with this instruction. The largest errors found, in units in the last place
//! (`tests/elementary.rs`: `f64` against mpmath at 6000 points each, `f32` against `f64` at 4
//! million):
//!
//! | | `tanh` | sigmoid | `log(1 + exp)` | `erf` | `sin`, `cos` | silu | gelu |
//! |---|---|---|---|---|---|---|---|
//! | `f64` | 1.4 | 1.9 | 1.5 | 1.0 | 0.8 | 2.4 | 5.2 |
//! | `f32` | 2.1 | 2.2 | 1.6 | 1.1 | 0.6 | 2.9 | 6.8 |
//!
//! | derivative of | `tanh` | sigmoid | `erf` | silu |
//! |---|---|---|---|---|
//! | `f64` | 2.6 | 3.4 | 1.5 | 2.8 |
//! | `f32` | 3.4 | 4.5 | 2.3 | |
//!
//! These bounds hold over the whole range of the argument, where the function is normal. The
//! derivatives of silu and gelu have a zero, near which the unit is that of 1. In the far tails of
//! silu and gelu, products with a subnormal factor have only the digits of that
//! factor. NaN maps to NaN, and infinite arguments map to the limits.

use nalgebra::ComplexField;

use crate::numeric::double_double::two_sum;

mod float;
mod gaussians;
mod map;
mod radial;

pub(crate) use float::Float;
pub(crate) use gaussians::sum_gaussians;
pub(crate) use map::{Elementary, apply, apply_with_derivative, pair, value};
pub(crate) use radial::{exponentials, inverse_roots, powers, sum_exponentials};

/// `a b + c`
#[inline(always)]
fn fma<E: Float, const FUSED: bool>(a: E, b: E, c: E) -> E {
    if FUSED {
        ComplexField::mul_add(a, b, c)
    } else {
        a * b + c
    }
}

/// `c_0 + c_1 x + c_2 x^2 + ..`, four terms at a time (Estrin's scheme): a short dependency chain.
#[inline(always)]
fn polynomial<E: Float, const FUSED: bool>(c: &[E], x: E) -> E {
    let square = x * x;
    let fourth = square * square;
    let four = |c: &[E]| match *c {
        [a, b, c, d] => fma::<E, FUSED>(fma::<E, FUSED>(d, x, c), square, fma::<E, FUSED>(b, x, a)),
        [a, b, c] => fma::<E, FUSED>(c, square, fma::<E, FUSED>(b, x, a)),
        [a, b] => fma::<E, FUSED>(b, x, a),
        [a] => a,
        _ => E::zero(),
    };
    let mut fours = c.chunks(4).rev();
    let last = fours.next().map_or(E::zero(), four);
    fours.fold(last, |p, c| fma::<E, FUSED>(p, fourth, four(c)))
}

/// The nearest number of the format to a constant.
#[inline(always)]
fn constant<E: Float>(x: f64) -> E {
    E::narrow(x)
}

/// `x`, not below `least`; NaN stays.
#[inline(always)]
fn at_least<E: Float>(x: E, least: E) -> E {
    if x < least { least } else { x }
}

/// `x`, not above `most`; NaN stays.
#[inline(always)]
fn at_most<E: Float>(x: E, most: E) -> E {
    if x > most { most } else { x }
}

/// `(k + SHIFT, p)` with `exp(x + low) = 2^k (1 + p)`, `|x|` at most `TAIL`, `|low|` far below
/// `|x|`.
#[inline(always)]
fn reduced_exp<E: Float, const FUSED: bool>(x: E, low: E) -> (E, E) {
    let shifted = fma::<E, FUSED>(x, constant(std::f64::consts::LOG2_E), E::SHIFT);
    let k = shifted - E::SHIFT;
    let r = fma::<E, FUSED>(-k, E::LN_2[0], x);
    let r = fma::<E, FUSED>(-k, E::LN_2[1], r) + low;
    let q = polynomial::<E, FUSED>(E::EXP, r);
    (shifted, fma::<E, FUSED>(r * r, q, r))
}

/// `exp(x + low)`, `|low|` far below `|x|`.
#[inline(always)]
fn exp_sum<E: Float, const FUSED: bool>(x: E, low: E) -> E {
    let x = at_most(at_least(x, -E::TAIL), E::TAIL);
    let (shifted, p) = reduced_exp::<E, FUSED>(x, low);
    let [scale, rest] = E::powers(shifted);
    fma::<E, FUSED>(scale, p, scale) * rest
}

/// `exp(x)`
#[inline(always)]
pub(crate) fn exp<E: Float, const FUSED: bool>(x: E) -> E {
    exp_sum::<E, FUSED>(x, E::zero())
}

/// `(exp(x), exp(x) - 1)` for `x <= 0`, both accurate to the last places.
#[inline(always)]
fn exp_and_exp_m1<E: Float, const FUSED: bool>(x: E) -> (E, E) {
    let (shifted, p) = reduced_exp::<E, FUSED>(at_least(x, -E::TAIL), E::zero());
    let [scale, rest] = E::powers(shifted);
    let power = scale * rest;
    let exp = fma::<E, FUSED>(scale, p, scale) * rest;
    (exp, fma::<E, FUSED>(power, p, power - E::one()))
}

/// `(tanh(x), 1 - tanh(x)^2)`.
///
/// With `e = exp(-2 |x|)`, `tanh |x| = (1 - e) / (1 + e)` and `1 - tanh^2 = e (1 + tanh |x|)^2`.
/// The factor `1 - tanh |x|` would lose all digits where `tanh` rounds to 1.
#[inline(always)]
pub(crate) fn tanh<E: Float, const FUSED: bool>(x: E) -> (E, E) {
    let size = x.abs();
    let (e, m) = exp_and_exp_m1::<E, FUSED>(-(size + size));
    // The quotient is the smaller part, so that the rounding of 1 + e does not dominate.
    let (limit, numerator) = if e < constant(0.25) {
        (E::one(), e + e)
    } else {
        (E::zero(), m)
    };
    let t = limit - numerator / (constant::<E>(2.0) + m);
    let sum = E::one() + t;
    (t.copysign(x), e * sum * sum)
}

/// `(s(x), s(x) s(-x))` with `s(x) = 1 / (1 + exp(-x))`.
///
/// With `e = exp(-|x|)`, `s s' = e s(|x|)^2`. The factor `1 - s` would lose all digits where `s`
/// rounds to 1.
#[inline(always)]
pub(crate) fn sigmoid<E: Float, const FUSED: bool>(x: E) -> (E, E) {
    let e = exp::<E, FUSED>(-x.abs());
    let left = x < E::zero();
    let s = if left { e } else { E::one() } / (E::one() + e);
    let large = if left { E::one() - s } else { s };
    (s, e * large * large)
}

/// `(u, v)` for products `u f(u)` and `v g(u)`, where `f` vanishes left of `-TAIL` and `g` on both
/// sides: limits u, so that products with infinite u vanish too.
#[inline(always)]
pub(crate) fn limited<E: Float>(u: E) -> (E, E) {
    let u = at_least(u, -E::TAIL);
    (u, at_most(u, E::TAIL))
}

/// `log(1 + f)` for `0 <= f <= 1`: with `2^k (1 + g) = 1 + f`, `k` 0 or 1, and `s = g/(2 + g)`,
/// `log(1 + g) = g - (g^2/2 - s (g^2/2 + s^2 L(s^2)))`.
#[inline(always)]
fn log_1p<E: Float, const FUSED: bool>(f: E) -> E {
    let (half, two) = (constant::<E>(0.5), constant::<E>(2.0));
    let halve = f > constant(std::f64::consts::SQRT_2 - 1.0);
    let g = if halve { half * (f - E::one()) } else { f };
    let [k_high, k_low] = if halve { E::LN_2 } else { [E::zero(); 2] };
    let s = g / (two + g);
    let z = s * s;
    let square = half * g * g;
    let sum = fma::<E, FUSED>(z, polynomial::<E, FUSED>(E::LOG, z), square);
    k_high + (g - (square - fma::<E, FUSED>(s, sum, k_low)))
}

/// `log(1 + exp(x)) = x_+ + log(1 + exp(-|x|))`
#[inline(always)]
pub(crate) fn softplus<E: Float, const FUSED: bool>(x: E) -> E {
    at_least(x, E::zero()) + log_1p::<E, FUSED>(exp::<E, FUSED>(-x.abs()))
}

/// `exp(-x^2 / d)`, d a power of two: the square is split into two parts.
#[inline(always)]
fn gauss<E: Float, const FUSED: bool>(x: E, d: f64) -> E {
    let x = at_most(x.abs(), (E::TAIL * constant(d)).sqrt());
    let (head, scale) = (x.head(), constant::<E>(-1.0 / d));
    exp_sum::<E, FUSED>(scale * head * head, scale * (x - head) * (x + head))
}

/// `exp(x^2) erfc(x)` for `0 <= x <= TAIL^(1/2)`.
#[inline(always)]
fn erfc_scaled<E: Float, const FUSED: bool>(x: E) -> E {
    let t = (x - E::ERFC_CENTRE) / (x + E::ERFC_CENTRE);
    polynomial::<E, FUSED>(E::ERFC, t) / fma::<E, FUSED>(constant(2.0), x, E::one())
}

/// `(erf(x), exp(-x^2))`
#[inline(always)]
pub(crate) fn erf<E: Float, const FUSED: bool>(x: E) -> (E, E) {
    let size = x.abs();
    let bell = gauss::<E, FUSED>(x, 1.0);
    let near = fma::<E, FUSED>(size, polynomial::<E, FUSED>(E::ERF, size * size), size);
    let scaled = erfc_scaled::<E, FUSED>(at_most(size, constant(6.0)));
    let far = fma::<E, FUSED>(-bell, scaled, E::one());
    let erf = if size > E::one() { far } else { near };
    (erf.copysign(x), bell)
}

/// `(P(N <= x), exp(-x^2/2))` for `N ~ N(0, 1)`, accurate to all digits in the left tail too.
#[inline(always)]
pub(crate) fn normal<E: Float, const FUSED: bool>(x: E) -> (E, E) {
    let bell = gauss::<E, FUSED>(x, 2.0);
    let size = at_most(x.abs(), (constant::<E>(2.0) * E::TAIL).sqrt());
    let scaled = erfc_scaled::<E, FUSED>(size * constant(std::f64::consts::FRAC_1_SQRT_2));
    let tail = constant::<E>(0.5) * bell * scaled;
    (if x < E::zero() { tail } else { E::one() - tail }, bell)
}

/// Largest `|x|` for which [`sin_cos`] is accurate.
pub(crate) const SIN_COS_MAX: f64 = 1e6;

/// `(sin x, cos x)` for `|x| <= SIN_COS_MAX`: `x = k pi/2 + r`, `|r|` at most `pi/4`.
#[inline(always)]
pub(crate) fn sin_cos<E: Float, const FUSED: bool>(x: E) -> (E, E) {
    // pi/2 in parts of 33 bits, whose multiples are exact, and the rest.
    const PARTS: [f64; 4] = [
        1.5707963267341256,
        6.077100506303966e-11,
        2.0222662487111665e-21,
        8.4784276603689e-32,
    ];
    let wide = x.widen();
    let shifted = wide * std::f64::consts::FRAC_2_PI + f64::SHIFT;
    let k = shifted - f64::SHIFT;
    let (r, low) = if E::DOUBLE {
        let (r, e) = two_sum(wide - k * PARTS[0], -k * PARTS[1]);
        let (r, f) = two_sum(r, -k * PARTS[2]);
        two_sum(r, (e + f) - k * PARTS[3])
    } else {
        ((wide - k * PARTS[0]) - k * PARTS[1], 0.0)
    };
    let z = r * r;
    let sin = r + fma::<f64, FUSED>(r * z, polynomial::<f64, FUSED>(E::SIN, z), low);
    let (half, square) = (0.5 * z, z * z);
    let c = 1.0 - half;
    let rest = fma::<f64, FUSED>(square, polynomial::<f64, FUSED>(E::COS, z), -(r * low));
    let cos = c + (((1.0 - c) - half) + rest);
    // (sin, cos), (cos, -sin), (-sin, -cos), (-cos, sin) for k = 0, 1, 2, 3 modulo 4
    let k = shifted.to_bits();
    let (s, c) = if k & 1 == 0 { (sin, cos) } else { (cos, sin) };
    let flip = |x: f64, k: u64| f64::from_bits(x.to_bits() ^ ((k & 2) << 62));
    let (sin, cos) = (E::narrow(flip(s, k)), E::narrow(flip(c, k.wrapping_add(1))));
    (if x == E::zero() { x } else { sin }, cos)
}
