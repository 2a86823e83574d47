//! The activation over slices, compiled for the widest instructions wherever the activation is.

use crate::activation::Activation;
use crate::numeric::simd::{Multiversion, multiversion};
use crate::real::Real;

/// `u <- sigma(u)`.
pub(super) fn values<T: Real, A: Activation<T>>(sigma: &A, u: &mut [T]) {
    multiversion(Values { sigma, u });
}

/// `(u, ds) <- (sigma(u), sigma'(u))`.
pub(super) fn values_and_derivatives<T: Real, A: Activation<T>>(
    sigma: &A,
    u: &mut [T],
    ds: &mut [T],
) {
    multiversion(Both { sigma, u, ds });
}

/// `ds <- sigma'` of the values `s = sigma(u)`; false, and nothing done, where `sigma'` is no function of `sigma`.
pub(super) fn derivatives_from_values<T: Real, A: Activation<T>>(
    sigma: &A,
    s: &[T],
    ds: &mut [T],
) -> bool {
    let known = from_values::<T, A>(sigma);
    if known {
        multiversion(FromValues { sigma, s, ds });
    }
    known
}

/// Whether `sigma'` is a function of `sigma`.
#[inline]
pub(super) fn from_values<T: Real, A: Activation<T>>(sigma: &A) -> bool {
    sigma.derivative_from_value(T::zero()).is_some()
}

struct Values<'a, T, A> {
    sigma: &'a A,
    u: &'a mut [T],
}

impl<T: Real, A: Activation<T>> Multiversion for Values<'_, T, A> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        self.sigma.apply(self.u);
    }
}

struct Both<'a, T, A> {
    sigma: &'a A,
    u: &'a mut [T],
    ds: &'a mut [T],
}

impl<T: Real, A: Activation<T>> Multiversion for Both<'_, T, A> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        self.sigma.apply_with_derivative(self.u, self.ds);
    }
}

struct FromValues<'a, T, A> {
    sigma: &'a A,
    s: &'a [T],
    ds: &'a mut [T],
}

impl<T: Real, A: Activation<T>> Multiversion for FromValues<'_, T, A> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        for (ds, &s) in self.ds.iter_mut().zip(self.s) {
            *ds = self.sigma.derivative_from_value(s).unwrap_or(T::zero());
        }
    }
}
