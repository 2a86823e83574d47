//! Arithmetic on several SIMD vectors at a time.
//!
//! An elementary function is one long chain of dependent operations, and a processor has a window
//! of two or three such chains. Operations on several vectors alternate in the program, so that
//! the latency of one chain is hidden by the others: `tanh` in `f64` takes half the time.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::Float;
use super::nodes::Nodes;
use crate::numeric::simd::{Simd, SimdScalar};

/// A group of lanes: the arithmetic of one scalar, in all lanes.
pub(crate) trait Lanes:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The scalar of a lane.
    type Scalar: Float;

    /// True if [`mul_add`](Self::mul_add) rounds once.
    const FUSED: bool;

    /// True if the operations of a chain on all vectors of a group are too few to hide the latency.
    const FEW_CHAINS: bool;

    /// `x` in all lanes.
    fn constant(self, x: Self::Scalar) -> Self;
    /// `self b + c`
    fn mul_add(self, b: Self, c: Self) -> Self;
    /// `c - self b`
    fn neg_mul_add(self, b: Self, c: Self) -> Self;
    /// `self^(1/2)`
    fn sqrt(self) -> Self;
    /// `|self|`
    fn abs(self) -> Self;
    /// `|self|` with the sign of `sign`.
    fn copy_sign(self, sign: Self) -> Self;
    /// `self`, not above `most`; NaN stays.
    fn at_most(self, most: Self::Scalar) -> Self;
    /// `self`, not below `least`; NaN stays.
    fn at_least(self, least: Self::Scalar) -> Self;
    /// `self < bound ? on : off`
    fn select_below(self, bound: Self::Scalar, on: Self, off: Self) -> Self;
    /// True if all lanes are below `end`. The lanes are at least `end/2`, of the form `end - k` with
    /// integers k in units of the lowest ten bits, as which `end` has 0.
    fn all_below(self, end: Self::Scalar) -> bool;
    /// `self < 0 ? on : off` by the sign bit, any of them for zeros and NaN.
    fn select_negative(self, on: Self, off: Self) -> Self;
    /// The pairs of the table whose indices are the lowest ten bits of the lanes.
    fn pairs(self, table: &Nodes<Self::Scalar>) -> [Self; 2];
    /// `2^k self` for `shifted = Float::SHIFT + k`: normal numbers and 0, if self is normal.
    fn scale(self, shifted: Self) -> Self;

    /// `2^k` for `self = Float::SHIFT + k`: normal numbers and 0.
    #[inline(always)]
    fn power_of_two(self) -> Self {
        self.narrow(1.0).scale(self)
    }

    /// The nearest number of the format, in all lanes.
    #[inline(always)]
    fn narrow(self, x: f64) -> Self {
        self.constant(Self::Scalar::narrow(x))
    }
}

/// `N` vectors of one instruction set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vectors<E, S: Simd<E>, const N: usize> {
    simd: S,
    v: [S::Vector; N],
}

impl<E, S: Simd<E>, const N: usize> Vectors<E, S, N> {
    #[inline(always)]
    pub(super) fn new(simd: S, v: [S::Vector; N]) -> Self {
        Self { simd, v }
    }

    #[inline(always)]
    pub(super) fn get(self) -> [S::Vector; N] {
        self.v
    }
}

/// Replaces every vector `v` of a group by a value of it, on the instruction set `s`. A counted loop
/// without a closure, which the compiler might not inline.
macro_rules! lanes {
    ($group:ident, $v:ident, $s:ident, $l:ident => $value:expr) => {{
        let $s = $group.simd;
        for $l in 0..N {
            let $v = $group.v[$l];
            $group.v[$l] = $value;
        }
        $group
    }};
}

macro_rules! operator {
    ($($operator:ident::$method:ident = $op:ident;)+) => {$(
        impl<E, S: Simd<E>, const N: usize> $operator for Vectors<E, S, N> {
            type Output = Self;

            #[inline(always)]
            fn $method(mut self, b: Self) -> Self {
                lanes!(self, v, s, l => s.$op(v, b.v[l]))
            }
        }
    )+};
}
operator! {
    Add::add = add;
    Sub::sub = sub;
    Mul::mul = mul;
    Div::div = div;
}

impl<E, S: Simd<E>, const N: usize> Neg for Vectors<E, S, N> {
    type Output = Self;

    #[inline(always)]
    fn neg(mut self) -> Self {
        lanes!(self, v, s, l => s.neg(v))
    }
}

impl<E: Float + SimdScalar, S: Simd<E>, const N: usize> Lanes for Vectors<E, S, N> {
    type Scalar = E;
    const FUSED: bool = S::FUSED;
    // Two multiply-adds in a cycle, with a latency of four cycles, need eight chains.
    const FEW_CHAINS: bool = S::GROUP > 1;

    #[inline(always)]
    fn constant(mut self, x: E) -> Self {
        self.v = [self.simd.splat(x); N];
        self
    }
    #[inline(always)]
    fn mul_add(mut self, b: Self, c: Self) -> Self {
        lanes!(self, v, s, l => s.mul_add(v, b.v[l], c.v[l]))
    }
    #[inline(always)]
    fn neg_mul_add(mut self, b: Self, c: Self) -> Self {
        lanes!(self, v, s, l => s.neg_mul_add(v, b.v[l], c.v[l]))
    }
    #[inline(always)]
    fn sqrt(mut self) -> Self {
        lanes!(self, v, s, l => s.sqrt(v))
    }
    #[inline(always)]
    fn abs(mut self) -> Self {
        lanes!(self, v, s, l => s.abs(v))
    }
    #[inline(always)]
    fn copy_sign(mut self, sign: Self) -> Self {
        lanes!(self, v, s, l => s.copy_sign(v, sign.v[l]))
    }
    #[inline(always)]
    fn at_most(mut self, most: E) -> Self {
        lanes!(self, v, s, l => s.min(s.splat(most), v))
    }
    #[inline(always)]
    fn at_least(mut self, least: E) -> Self {
        lanes!(self, v, s, l => s.max(s.splat(least), v))
    }
    #[inline(always)]
    fn select_below(mut self, bound: E, on: Self, off: Self) -> Self {
        lanes!(self, v, s, l => s.select(s.less(v, s.splat(bound)), on.v[l], off.v[l]))
    }
    #[inline(always)]
    fn all_below(self, end: E) -> bool {
        let (s, mut union) = (self.simd, self.v[0]);
        for l in 1..N {
            union = s.or(union, self.v[l]);
        }
        let below = s.bits(s.less(union, s.splat(end)));
        below.count_ones() as usize == S::lanes(&union).len()
    }
    #[inline(always)]
    fn select_negative(mut self, on: Self, off: Self) -> Self {
        lanes!(self, v, s, l => s.select_negative(v, on.v[l], off.v[l]))
    }
    #[inline(always)]
    fn pairs(self, table: &Nodes<E>) -> [Self; 2] {
        let (mut first, mut second) = (self, self);
        for l in 0..N {
            [first.v[l], second.v[l]] = self.simd.lookup_pairs(table, self.v[l]);
        }
        [first, second]
    }
    #[inline(always)]
    fn scale(mut self, shifted: Self) -> Self {
        lanes!(self, v, s, l => s.scale(v, shifted.v[l]))
    }
}
