//! One scalar as a group of lanes.

use std::ops::{Add, Div, Mul, Neg, Sub};

use nalgebra::ComplexField;

use super::nodes::Nodes;
use super::{Float, Lanes};

/// One scalar as a group of one lane; with `FUSED` a product and a sum are one fused multiply-add.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scalar<E, const FUSED: bool>(pub(crate) E);

macro_rules! operator {
    ($($operator:ident::$method:ident)+) => {$(
        impl<E: Float, const FUSED: bool> $operator for Scalar<E, FUSED> {
            type Output = Self;

            #[inline(always)]
            fn $method(self, b: Self) -> Self {
                Self(self.0.$method(b.0))
            }
        }
    )+};
}
operator!(Add::add Sub::sub Mul::mul Div::div);

impl<E: Float, const FUSED: bool> Neg for Scalar<E, FUSED> {
    type Output = Self;

    #[inline(always)]
    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl<E: Float, const FUSED: bool> Lanes for Scalar<E, FUSED> {
    type Scalar = E;
    const FUSED: bool = FUSED;
    const FEW_CHAINS: bool = false;

    #[inline(always)]
    fn constant(self, x: E) -> Self {
        Self(x)
    }
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        Self(if FUSED {
            ComplexField::mul_add(self.0, b.0, c.0)
        } else {
            self.0 * b.0 + c.0
        })
    }
    #[inline(always)]
    fn neg_mul_add(self, b: Self, c: Self) -> Self {
        (-self).mul_add(b, c)
    }
    #[inline(always)]
    fn abs(self) -> Self {
        Self(ComplexField::abs(self.0))
    }
    #[inline(always)]
    fn copy_sign(self, sign: Self) -> Self {
        Self(self.0.copysign(sign.0))
    }
    #[inline(always)]
    fn at_most(self, most: E) -> Self {
        Self(if most < self.0 { most } else { self.0 })
    }
    #[inline(always)]
    fn at_least(self, least: E) -> Self {
        Self(if least > self.0 { least } else { self.0 })
    }
    #[inline(always)]
    fn select_below(self, bound: E, on: Self, off: Self) -> Self {
        if self.0 < bound { on } else { off }
    }
    #[inline(always)]
    fn all_below(self, end: E) -> bool {
        self.0 < end
    }
    #[inline(always)]
    fn select_negative(self, on: Self, off: Self) -> Self {
        if self.0.is_sign_negative() { on } else { off }
    }
    #[inline(always)]
    fn pairs(self, table: &Nodes<E>) -> [Self; 2] {
        let [first, second] = table[self.0.low_bits() % table.len()];
        [Self(first), Self(second)]
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(ComplexField::sqrt(self.0))
    }
    #[inline(always)]
    fn scale(self, shifted: Self) -> Self {
        Self(self.0.times_power_of_two(shifted.0))
    }
}
