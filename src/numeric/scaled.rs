//! Non-negative numbers with a separate exponent: products of norms neither over- nor underflow.

use std::cmp::Ordering;

use super::vector::norm;
use crate::real::{Real, real, to_f64};

/// `value 2^exponent >= 0`, with `value` in `[1, 2]` up to rounding, or 0.
///
/// Products, quotients and powers are exact up to the rounding of `value`, at any exponent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scaled<T> {
    value: T,
    exponent: i64,
}

impl<T: Real> Scaled<T> {
    /// The number `x >= 0`, finite.
    pub(crate) fn new(x: T) -> Self {
        Self {
            value: x,
            exponent: 0,
        }
        .normalised()
    }

    /// The Euclidean norm of a finite vector.
    pub(crate) fn norm(v: &[T]) -> Self {
        Self::norm_and_direction(v).0
    }

    /// The Euclidean norm `|v|` of a finite vector and `v / |v|`, which is 0 for `v = 0`.
    pub(crate) fn norm_and_direction(v: &[T]) -> (Self, Vec<T>) {
        let largest = v.iter().fold(T::zero(), |max, v| max.max(v.abs()));
        let exponent = Self::new(largest).exponent;
        let mut direction: Vec<T> = v.iter().map(|&v| shift(v, -exponent)).collect();
        let value = norm(&direction);
        if value > T::zero() {
            direction.iter_mut().for_each(|v| *v /= value);
        }
        (Self { value, exponent }.normalised(), direction)
    }

    fn normalised(self) -> Self {
        if self.value == T::zero() {
            return Self {
                value: self.value,
                exponent: 0,
            };
        }
        let exponent = to_f64(self.value).log2().floor() as i64;
        Self {
            value: shift(self.value, -exponent),
            exponent: self.exponent.saturating_add(exponent),
        }
    }

    pub(crate) fn times(self, other: Self) -> Self {
        Self {
            value: self.value * other.value,
            exponent: self.exponent + other.exponent,
        }
        .normalised()
    }

    /// The product with `2^exponent`.
    pub(crate) fn times_power_of_two(self, exponent: i64) -> Self {
        Self {
            exponent: self.exponent + exponent,
            ..self
        }
    }

    /// The quotient by a positive number.
    pub(crate) fn over(self, other: Self) -> Self {
        Self {
            value: self.value / other.value,
            exponent: self.exponent - other.exponent,
        }
        .normalised()
    }

    /// The power of an exponent `n >= 0`, by repeated squaring.
    pub(crate) fn powi(self, mut n: u32) -> Self {
        let (mut power, mut square) = (Self::new(T::one()), self);
        while n > 0 {
            if n % 2 == 1 {
                power = power.times(square);
            }
            square = square.times(square);
            n /= 2;
        }
        power
    }

    /// The root of an order `n >= 1`.
    pub(crate) fn root(self, n: u32) -> Self {
        let (order, n) = (f64::from(n), i64::from(n));
        let remainder = real::<T>(f64::exp2(self.exponent.rem_euclid(n) as f64 / order));
        Self {
            value: self.value.powf(real(1.0 / order)) * remainder,
            exponent: self.exponent.div_euclid(n),
        }
        .normalised()
    }

    /// The quotient by `2^exponent`; 0 or infinity if it is out of range.
    pub(crate) fn relative_to(self, exponent: i64) -> T {
        shift(self.value, self.exponent.saturating_sub(exponent))
    }

    /// The number itself; 0 or infinity if it is out of range.
    pub(crate) fn get(self) -> T {
        self.relative_to(0)
    }

    /// The order of the numbers.
    pub(crate) fn total_cmp(self, other: Self) -> Ordering {
        let key = |x: Self| (x.value > T::zero()).then_some((x.exponent, to_f64(x.value)));
        key(self)
            .partial_cmp(&key(other))
            .unwrap_or(Ordering::Equal)
    }

    /// The largest exponent of some numbers, and 0 if all are 0.
    pub(crate) fn largest_exponent(numbers: impl Iterator<Item = Self>) -> i64 {
        let positive = numbers.filter(|x| x.value > T::zero());
        positive.map(|x| x.exponent).max().unwrap_or(0)
    }
}

/// `x 2^exponent`. Two factors, because `2^1074`, which normalises the least subnormal number, is
/// not finite.
fn shift<T: Real>(x: T, exponent: i64) -> T {
    if x == T::zero() {
        return x;
    }
    let exponent = exponent.clamp(-4096, 4096) as i32;
    let power = |n: i32| real::<T>(f64::exp2(f64::from(n)));
    x * power(exponent / 2) * power(exponent - exponent / 2)
}
