//! The layer: particles `(a_i, b_i)` with weights `c_i`, as the kernels read them.

use super::lanes::{self, Lane};
use super::plan::SAMPLES;
use crate::activation::Activation;
use crate::real::Real;

/// Particles and samples of a pass.
#[derive(Debug)]
pub(super) struct Layer<'a, T, A> {
    pub(super) sigma: &'a A,
    /// The particles, `p x m`, p = k + d.
    pub(super) w: &'a [T],
    /// Their weights; none where they do not enter.
    pub(super) c: &'a [T],
    /// Outputs k and inputs d.
    pub(super) k: usize,
    pub(super) d: usize,
    /// d zeros: what stands in for particles beyond the last.
    pub(super) zeros: &'a [T],
    /// The samples, `d x n`, and in lines.
    pub(super) x: &'a [T],
    pub(super) lines: &'a [T],
}

impl<T, A> Clone for Layer<'_, T, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, A> Copy for Layer<'_, T, A> {}

impl<'a, T: Real, A> Layer<'a, T, A> {
    pub(super) fn particles(&self) -> usize {
        self.w.len() / (self.k + self.d)
    }

    /// `b_i .. b_{i + R - 1}`, 0 beyond the last.
    #[inline(always)]
    pub(super) fn directions<const R: usize>(&self, i: usize) -> [&'a [T]; R] {
        let p = self.k + self.d;
        std::array::from_fn(|r| match self.w.get((i + r) * p + self.k..(i + r + 1) * p) {
            Some(b) => b,
            None => self.zeros,
        })
    }

    /// Output l of `c_i a_i`, .., 0 beyond the last.
    #[inline(always)]
    pub(super) fn coefficients<const R: usize>(&self, i: usize, l: usize) -> [T; R] {
        let p = self.k + self.d;
        std::array::from_fn(|r| match self.w.get((i + r) * p + l) {
            Some(&a) => self.c[i + r] * a,
            None => T::zero(),
        })
    }

    /// The same with lanes: `E` is `T`.
    pub(super) fn with_lanes<E: Lane>(&self, sigma: &'a Same<'a, A, T>) -> Layer<'a, E, Same<'a, A, T>> {
        Layer {
            sigma,
            w: lanes::same(self.w),
            c: lanes::same(self.c),
            k: self.k,
            d: self.d,
            zeros: lanes::same(self.zeros),
            x: lanes::same(self.x),
            lines: lanes::same(self.lines),
        }
    }
}

/// An activation of `T` as one of `E`, which is `T` itself.
#[derive(Debug)]
pub(super) struct Same<'a, A, T>(pub(super) &'a A, pub(super) std::marker::PhantomData<fn(T) -> T>);

impl<E: Lane, T: Real, A: Activation<T>> Activation<E> for Same<'_, A, T> {
    #[inline(always)]
    fn value(&self, u: E) -> E {
        cast(self.0.value(cast(u)))
    }

    #[inline(always)]
    fn derivative(&self, u: E) -> E {
        cast(self.0.derivative(cast(u)))
    }

    #[inline(always)]
    fn value_and_derivative(&self, u: E) -> (E, E) {
        let (s, ds) = self.0.value_and_derivative(cast(u));
        (cast(s), cast(ds))
    }

    #[inline(always)]
    fn derivative_from_value(&self, s: E) -> Option<E> {
        self.0.derivative_from_value(cast(s)).map(cast)
    }
}

#[inline(always)]
fn cast<T: Real, E: Real>(x: T) -> E {
    lanes::same::<T, E>(std::slice::from_ref(&x))[0]
}

/// `R` rows of a panel, on the stack.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Rows<T, const R: usize>([[T; SAMPLES]; R]);

impl<T: Real, const R: usize> Rows<T, R> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self([[T::zero(); SAMPLES]; R])
    }

    /// The rows of a panel of n samples, one after the other.
    #[inline(always)]
    pub(super) fn of(&mut self, n: usize) -> &mut [T] {
        &mut self.0.as_flattened_mut()[..R * n]
    }
}
