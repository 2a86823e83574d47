//! Elementary activations on scalars and slices of `f32` and `f64`.

use std::any::Any;

use super::Float;
use crate::numeric::simd::{Multiversion, multiversion};
use crate::real::Real;

/// An activation without branches, in `f32` and `f64`.
pub(crate) trait Elementary {
    /// `(sigma(u), sigma'(u))`; with `FUSED` products and sums may be one instruction.
    fn pair<E: Float, const FUSED: bool>(u: E) -> (E, E);

    /// `sigma(u)`
    #[inline(always)]
    fn value<E: Float, const FUSED: bool>(u: E) -> E {
        Self::pair::<E, FUSED>(u).0
    }

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

/// `x`, if `B` is `A`.
#[inline(always)]
fn same<A: 'static, B: Copy + 'static>(x: A) -> Option<B> {
    (&x as &dyn Any).downcast_ref().copied()
}

/// `sigma(u)`, if `T` is `f32` or `f64`.
#[inline(always)]
pub(crate) fn value<A: Elementary, T: Real>(u: T) -> Option<T> {
    #[inline(always)]
    fn of<A: Elementary, E: Float, T: Real>(u: T) -> Option<T> {
        let u = same::<T, E>(u)?;
        same(if A::covers(u) {
            A::value::<E, false>(u)
        } else {
            A::beyond(u).0
        })
    }
    of::<A, f64, T>(u).or_else(|| of::<A, f32, T>(u))
}

/// `(sigma(u), sigma'(u))`, if `T` is `f32` or `f64`.
#[inline(always)]
pub(crate) fn pair<A: Elementary, T: Real>(u: T) -> Option<(T, T)> {
    #[inline(always)]
    fn of<A: Elementary, E: Float, T: Real>(u: T) -> Option<(T, T)> {
        let u = same::<T, E>(u)?;
        let (s, ds) = if A::covers(u) {
            A::pair::<E, false>(u)
        } else {
            A::beyond(u)
        };
        Some((same(s)?, same(ds)?))
    }
    of::<A, f64, T>(u).or_else(|| of::<A, f32, T>(u))
}

/// `u_r <- sigma(u_r)`, on the best instruction set; returns false unless `T` is `f32` or `f64`.
pub(crate) fn apply<A: Elementary, T: Real>(u: &mut [T]) -> bool {
    dispatch::<A, f64, T>(u, &mut []) || dispatch::<A, f32, T>(u, &mut [])
}

/// `(u_r, ds_r) <- (sigma(u_r), sigma'(u_r))`, as [`apply`].
pub(crate) fn apply_with_derivative<A: Elementary, T: Real>(u: &mut [T], ds: &mut [T]) -> bool {
    dispatch::<A, f64, T>(u, ds) || dispatch::<A, f32, T>(u, ds)
}

/// Arguments per block; a block with any argument that the formula does not cover is evaluated by
/// `beyond`.
const BLOCK: usize = 1024;

struct Map<'a, A, E, T> {
    u: &'a mut [T],
    ds: &'a mut [T],
    of: std::marker::PhantomData<(A, E)>,
}

impl<A: Elementary, E: Float, T: Real> Multiversion for Map<'_, A, E, T> {
    type Output = ();

    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        let lane = |u: T| same::<T, E>(u).unwrap_or(E::zero());
        let back = |s: E| same::<E, T>(s).unwrap_or(T::zero());
        if self.ds.is_empty() {
            for u in self.u.chunks_mut(BLOCK) {
                if u.iter().all(|&u| A::covers(lane(u))) {
                    for u in u {
                        *u = back(A::value::<E, FUSED>(lane(*u)));
                    }
                } else {
                    for u in u {
                        *u = back(A::beyond(lane(*u)).0);
                    }
                }
            }
            return;
        }
        for (u, ds) in self.u.chunks_mut(BLOCK).zip(self.ds.chunks_mut(BLOCK)) {
            if u.iter().all(|&u| A::covers(lane(u))) {
                for (u, ds) in u.iter_mut().zip(ds) {
                    let (s, t) = A::pair::<E, FUSED>(lane(*u));
                    (*u, *ds) = (back(s), back(t));
                }
            } else {
                for (u, ds) in u.iter_mut().zip(ds) {
                    let (s, t) = A::beyond(lane(*u));
                    (*u, *ds) = (back(s), back(t));
                }
            }
        }
    }
}

#[inline]
fn dispatch<A: Elementary, E: Float, T: Real>(u: &mut [T], ds: &mut [T]) -> bool {
    if same::<T, E>(T::zero()).is_none() {
        return false;
    }
    multiversion(Map {
        u,
        ds,
        of: std::marker::PhantomData::<(A, E)>,
    });
    true
}
