//! Elementary activations on scalars and slices of `f32` and `f64`.

use super::lanes::{Lanes, Vectors};
use super::{Float, Scalar};
use crate::numeric::packed::line;
use crate::numeric::simd::{
    Multiversion, Simd, SimdKernel, dispatch, is_supported, multiversion, same, same_mut,
    with_simd_scalar,
};
use crate::real::Real;

/// An activation in `f32` and `f64`.
pub(crate) trait Elementary {
    /// `(sigma(u), sigma'(u))`
    fn pair<E: Float>(u: E) -> (E, E);

    /// `(u_r, ds_r) <- (sigma(u_r), sigma'(u_r))`; values only if `ds` is empty.
    fn map<E: Float>(u: &mut [E], ds: &mut [E]);
}

/// A function of each lane, and its derivative.
pub(crate) trait Formula {
    /// `(sigma(u), sigma'(u))` in all lanes.
    fn lanes<L: Lanes>(&self, u: L) -> (L, L);
}

/// `(sigma(u), sigma'(u))`, or `None` unless `T` is `f32` or `f64`.
#[inline(always)]
pub(crate) fn pair<A: Elementary, T: Real>(u: T) -> Option<(T, T)> {
    if !is_supported::<T>() {
        return None;
    }
    with_simd_scalar!(T as E => {
        let (s, ds) = A::pair(same::<T, E>(&[u])[0]);
        Some((same(&[s])[0], same(&[ds])[0]))
    })
}

/// `sigma(u)`, or `None` unless `T` is `f32` or `f64`.
#[inline(always)]
pub(crate) fn value<A: Elementary, T: Real>(u: T) -> Option<T> {
    Some(pair::<A, T>(u)?.0)
}

/// `u_r <- sigma(u_r)`, on the best instruction set; returns false unless `T` is `f32` or `f64`.
pub(crate) fn apply<A: Elementary, T: Real>(u: &mut [T]) -> bool {
    apply_with_derivative::<A, T>(u, &mut [])
}

/// `(u_r, ds_r) <- (sigma(u_r), sigma'(u_r))`, as [`apply`]; values only if `ds` is empty.
pub(crate) fn apply_with_derivative<A: Elementary, T: Real>(u: &mut [T], ds: &mut [T]) -> bool {
    if is_supported::<T>() {
        with_simd_scalar!(T as E => A::map::<E>(same_mut(u), same_mut(ds)));
    }
    is_supported::<T>()
}

/// `(sigma(u), sigma'(u))` of a formula, with the fused multiply-adds of [`map`].
#[inline]
pub(crate) fn scalar<E: Float>(formula: &impl Formula, u: E) -> (E, E) {
    multiversion(One { formula, u })
}

struct One<'a, F, E> {
    formula: &'a F,
    u: E,
}

impl<F: Formula, E: Float> Multiversion for One<'_, F, E> {
    type Output = (E, E);

    #[inline(always)]
    fn run<const FUSED: bool>(self) -> (E, E) {
        let (s, ds) = self.formula.lanes(Scalar::<E, FUSED>(self.u));
        (s.0, ds.0)
    }
}

/// `(u_r, ds_r) <- (sigma(u_r), sigma'(u_r))` of a formula; values only if `ds` is empty.
pub(crate) fn map<F: Formula, E: Float>(formula: &F, u: &mut [E], ds: &mut [E]) {
    dispatch(Map { formula, u, ds });
}

struct Map<'a, F, E> {
    formula: &'a F,
    u: &'a mut [E],
    ds: &'a mut [E],
}

impl<F: Formula, E: Float> SimdKernel for Map<'_, F, E> {
    type Scalar = E;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<E>, const R: usize, const V: usize>(self, s: S) {
        if S::GROUP == 1 {
            self.by_groups::<S, 1>(s);
        } else {
            self.by_groups::<S, 4>(s);
        }
    }
}

/// Lines that a group of vectors has at most.
const LINES: usize = 4;

impl<F: Formula, E: Float> Map<'_, F, E> {
    #[inline(always)]
    fn by_groups<S: Simd<E>, const N: usize>(self, s: S) {
        let values_only = self.ds.is_empty();
        let group = N * S::lanes(&s.zero()).len();
        let whole = self.u.len() / group * group;
        let (u, u_rest) = self.u.split_at_mut(whole);
        let (ds, ds_rest) = self.ds.split_at_mut(if values_only { 0 } else { whole });
        if values_only {
            Self::values::<S, N>(self.formula, s, u);
        } else {
            Self::pairs::<S, N>(self.formula, s, u, ds);
        }
        if u_rest.is_empty() {
            return;
        }
        let (mut rest, mut derivatives) = ([[E::zero(); 16]; LINES], [[E::zero(); 16]; LINES]);
        let rest = &mut rest.as_flattened_mut()[..group.min(LINES * line::<E>())];
        let derivatives = &mut derivatives.as_flattened_mut()[..rest.len()];
        rest[..u_rest.len()].copy_from_slice(u_rest);
        Self::pairs::<S, N>(self.formula, s, rest, derivatives);
        u_rest.copy_from_slice(&rest[..u_rest.len()]);
        ds_rest.copy_from_slice(&derivatives[..ds_rest.len()]);
    }

    #[inline(always)]
    fn values<S: Simd<E>, const N: usize>(f: &F, s: S, u: &mut [E]) {
        for u in S::vectors_mut(u).as_chunks_mut::<N>().0 {
            *u = f.lanes(Vectors::new(s, *u)).0.get();
        }
    }

    #[inline(always)]
    fn pairs<S: Simd<E>, const N: usize>(f: &F, s: S, u: &mut [E], ds: &mut [E]) {
        let ds = S::vectors_mut(ds).as_chunks_mut::<N>().0;
        for (u, ds) in S::vectors_mut(u).as_chunks_mut::<N>().0.iter_mut().zip(ds) {
            let (value, derivative) = f.lanes(Vectors::new(s, *u));
            (*u, *ds) = (value.get(), derivative.get());
        }
    }
}
