//! Elementary activations on scalars and slices of `f32` and `f64`.

use std::marker::PhantomData;

use super::Float;
use crate::numeric::simd::{
    Multiversion, is_supported, multiversion, same, same_mut, with_simd_scalar,
};
use crate::real::Real;

/// An activation without branches, in `f32` and `f64`.
pub(crate) trait Elementary {
    /// `(sigma(u), sigma'(u))`; with `FUSED` products and sums may be one instruction.
    fn pair<E: Float, const FUSED: bool>(u: E) -> (E, E);

    /// Returns true if `pair` is accurate at `u`.
    #[inline(always)]
    fn covers<E: Float>(u: E) -> bool {
        let _ = u;
        true
    }

    /// `(sigma(u), sigma'(u))` at arguments that `pair` does not cover.
    #[inline(always)]
    fn beyond<E: Float>(u: E) -> (E, E) {
        Self::pair::<E, false>(u)
    }
}

/// `sigma(u)`, or `None` unless `T` is `f32` or `f64`.
#[inline(always)]
pub(crate) fn value<A: Elementary, T: Real>(u: T) -> Option<T> {
    Some(pair::<A, T>(u)?.0)
}

/// `(sigma(u), sigma'(u))`, or `None` unless `T` is `f32` or `f64`.
#[inline(always)]
pub(crate) fn pair<A: Elementary, T: Real>(u: T) -> Option<(T, T)> {
    if !is_supported::<T>() {
        return None;
    }
    with_simd_scalar!(T as E => {
        let u = same::<T, E>(&[u])[0];
        let (s, ds) = if A::covers(u) { A::pair::<E, false>(u) } else { A::beyond(u) };
        Some((same(&[s])[0], same(&[ds])[0]))
    })
}

/// `u_r <- sigma(u_r)`, on the best instruction set; returns false unless `T` is `f32` or `f64`.
pub(crate) fn apply<A: Elementary, T: Real>(u: &mut [T]) -> bool {
    apply_with_derivative::<A, T>(u, &mut [])
}

/// `(u_r, ds_r) <- (sigma(u_r), sigma'(u_r))`, as [`apply`]; values only if `ds` is empty.
pub(crate) fn apply_with_derivative<A: Elementary, T: Real>(u: &mut [T], ds: &mut [T]) -> bool {
    if is_supported::<T>() {
        with_simd_scalar!(T as E => {
            let (u, ds) = (same_mut::<T, E>(u), same_mut(ds));
            multiversion(Map { u, ds, sigma: PhantomData::<A> });
        });
    }
    is_supported::<T>()
}

/// Arguments per block; a block with any argument that the formula does not cover is evaluated by
/// `beyond`.
const BLOCK: usize = 1024;

struct Map<'a, A, E> {
    u: &'a mut [E],
    ds: &'a mut [E],
    sigma: PhantomData<A>,
}

impl<A: Elementary, E: Float> Multiversion for Map<'_, A, E> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let values_only = self.ds.is_empty();
        let mut ds = self.ds.chunks_mut(BLOCK);
        for u in self.u.chunks_mut(BLOCK) {
            let ds = ds.next().unwrap_or_default();
            match (values_only, u.iter().all(|&u| A::covers(u))) {
                (true, true) => {
                    for u in u {
                        *u = A::pair::<E, FUSED>(*u).0;
                    }
                }
                (true, false) => {
                    for u in u {
                        *u = A::beyond(*u).0;
                    }
                }
                (false, true) => {
                    for (u, ds) in u.iter_mut().zip(ds) {
                        (*u, *ds) = A::pair::<E, FUSED>(*u);
                    }
                }
                (false, false) => {
                    for (u, ds) in u.iter_mut().zip(ds) {
                        (*u, *ds) = A::beyond(*u);
                    }
                }
            }
        }
    }
}
