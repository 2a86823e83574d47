//! The activation gelu.
//!
//! With the node c next to `x >= 0`, `h = x - c` and `z = h (c + h/2)`, the density of `N ~ N(0, 1)`
//! is `p(x) = p(c) exp(-z)`, and with `y = z^2 + 2 h^2 + h^4/20`
//!
//! `P(N <= -x) = P(N <= -c) - p(c) exp(-z/2) h (1 + y/24 + y^2/1920 + ..)`:
//!
//! the integral of p from c to x, by powers of the distance from the centre `c + h/2`, of which the
//! odd ones vanish. Since `h <= 1/256`, a few terms suffice, and no digits are cancelled. This takes
//! half of the operations of the formula for all arguments.

use nalgebra::ComplexField;

use super::nodes::{DISTANCE, LEN, Nodes};
use super::{Float, Lanes, gaussian_tail};

/// Arguments below are next to a node.
const NEAR: f64 = (LEN as f64 - 0.5) * DISTANCE;

/// `(exp(-z/2) - 1)/z` for `|z| <= 1/32 + 2^-17`, error `2^-58.3` relative to `1/z`.
const HALF_EXP: [f64; 6] = [
    -0.5,
    0.125,
    -0.02083333333250098,
    0.0026041666666146448,
    -0.000260418938437324,
    2.1701530874446594e-05,
];

/// `1 + y/24 + y^2/1920`; the next term is below `2^-53` of the tail.
const MEAN: [f64; 3] = [1.0, 1.0 / 24.0, 1.0 / 1920.0];

/// `(x P(N <= x), P(N <= x) + x p(x))`, p the density of `N ~ N(0, 1)`.
#[inline(always)]
pub(crate) fn gelu<L: Lanes>(x: L) -> (L, L) {
    match L::Scalar::NODES {
        Some(nodes) => by_nodes(x, nodes),
        None => everywhere(x),
    }
}

/// As [`gelu`], with a table.
///
/// Each lane has the same result whatever the others are: if one is far from all nodes, both
/// formulas are evaluated in all lanes.
#[inline(always)]
fn by_nodes<L: Lanes>(x: L, nodes: &Nodes<L::Scalar>) -> (L, L) {
    let (size, shift) = (x.abs(), L::Scalar::SHIFT * L::Scalar::narrow(DISTANCE));
    let shifted = size + x.constant(shift);
    let c = shifted - x.constant(shift);
    let [density, tail] = near([c, size - c], shifted.pairs(nodes));
    let distribution = x.select_negative(tail, x.narrow(1.0) - tail);
    let (value, derivative) = (x * distribution, x.mul_add(density, distribution));
    if shifted.all_below(shift + L::Scalar::narrow(LEN as f64 * DISTANCE)) {
        return (value, derivative);
    }
    let (far, bound) = (everywhere(x), L::Scalar::narrow(NEAR));
    (
        size.select_below(bound, value, far.0),
        size.select_below(bound, derivative, far.1),
    )
}

/// As [`gelu`], without a table: the value is `x_+ - |x| P(N <= -|x|)`, and the derivative
/// `D = P(N <= -|x|) - |x| p(x)` if x is negative, and `1 - D` otherwise.
#[inline(always)]
fn everywhere<L: Lanes>(x: L) -> (L, L) {
    // `|x| p(x)` rounds to 0 beyond.
    let bound = L::Scalar::narrow(2.0) * L::Scalar::TAIL + L::Scalar::narrow(8.0);
    let size = x.abs().at_most(bound.sqrt());
    let [density, tail] = gaussian_tail(size);
    let value = size.neg_mul_add(tail, x.at_least(-L::Scalar::narrow(0.0)));
    let slope = size.neg_mul_add(density, tail);
    (value, x.select_negative(slope, x.narrow(1.0) - slope))
}

/// `(p(c + h), P(N <= -c - h))`, with both numbers at c.
#[inline(always)]
fn near<L: Lanes>([c, h]: [L; 2], [density, tail]: [L; 2]) -> [L; 2] {
    let (w, z) = (h * h, h * h.mul_add(h.narrow(0.5), c));
    let e = z * polynomial(&HALF_EXP, z); // exp(-z/2) - 1
    let rest = density * e;
    let y = w.mul_add(w.mul_add(h.narrow(1.0 / 20.0), h.narrow(2.0)), z * z);
    let step = h * polynomial(&MEAN, y);
    [
        rest.mul_add(e + h.narrow(2.0), density),
        (density + rest).neg_mul_add(step, tail),
    ]
}

/// `c_0 + c_1 x + c_2 x^2 + ..` by Horner's rule.
#[inline(always)]
fn polynomial<L: Lanes>(c: &[f64], x: L) -> L {
    let mut sum = x.narrow(c[c.len() - 1]);
    for l in (0..c.len() - 1).rev() {
        sum = sum.mul_add(x, x.narrow(c[l]));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::elementary::Scalar;

    /// At all nodes and between them, where the two formulas have no operation in common.
    #[test]
    fn both_formulas_agree() {
        for k in 0..2 * LEN - 1 {
            for x in [0.5, -0.5].map(|half| Scalar::<f64, true>(half * k as f64 * DISTANCE)) {
                let ((value, slope), expected) = (gelu(x), everywhere(x));
                let error = (value.0 - expected.0.0).abs() / expected.0.0.abs().max(1e-300);
                let size = if x.0 > -2.0 { 1.0 } else { expected.1.0.abs() };
                let slope_error = (slope.0 - expected.1.0).abs() / size;
                assert!(
                    error.max(slope_error) < 4.0 * f64::EPSILON,
                    "{x:?}: {error:e}, {slope_error:e}"
                );
            }
        }
    }
}
