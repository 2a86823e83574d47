//! Ranks: processes that each hold a part of the particles.

use std::fmt;

use crate::forward::forward;
use crate::real::Real;

/// The sum of vectors over ranks that each hold a part of the particles (an all-reduce).
///
/// # Laws
/// After `sum`, `x[l]` is the sum of the values of `x[l]` on all ranks: the same number, bit for
/// bit, on every rank.
///
/// ```
/// use wasserflow::prelude::*;
///
/// /// Two ranks with the same content.
/// #[derive(Debug)]
/// struct TwoEqualRanks;
/// impl<T: Real> AllReduce<T> for TwoEqualRanks {
///     fn sum(&mut self, x: &mut [T]) {
///         x.iter_mut().for_each(|x| *x += *x);
///     }
/// }
/// let mut x = [1.0, 2.0];
/// TwoEqualRanks.sum(&mut x);
/// assert_eq!(x, [2.0, 4.0]);
/// ```
pub trait AllReduce<T: Real> {
    /// Replaces `x[l]` by its sum over all ranks, for every l.
    fn sum(&mut self, x: &mut [T]);
}

forward! {
    impl[T: Real, R: AllReduce<T> + ?Sized] AllReduce<T>; for &mut R, Box<R>; {
        fn sum(&mut self, x: &mut [T]);
    }
}

/// The ranks of an energy: a single one, at no cost, or those of an all-reduce.
pub(super) struct Ranks<T>(Option<Box<dyn AllReduce<T> + Send>>);

impl<T> Ranks<T> {
    /// A single rank, which holds all particles.
    pub(super) const SINGLE: Self = Self(None);

    /// Returns true if an all-reduce was given.
    pub(super) fn is_distributed(&self) -> bool {
        self.0.is_some()
    }
}

impl<T: Real> Ranks<T> {
    /// The ranks over which `all_reduce` sums.
    pub(super) fn of(all_reduce: impl AllReduce<T> + Send + 'static) -> Self {
        Self(Some(Box::new(all_reduce)))
    }

    /// The all-reduce; `None` for a single rank.
    pub(super) fn all_reduce(&mut self) -> Option<&mut dyn AllReduce<T>> {
        self.0.as_mut().map(|all_reduce| all_reduce as _)
    }

    /// Replaces `x[l]` by its sum over all ranks, for every l.
    pub(super) fn sum(&mut self, x: &mut [T]) {
        if let Some(all_reduce) = &mut self.0 {
            all_reduce.sum(x);
        }
    }

    /// The sum of one scalar over all ranks.
    pub(super) fn sum_scalar(&mut self, x: T) -> T {
        let mut x = [x];
        self.sum(&mut x);
        x[0]
    }
}

impl<T> fmt::Debug for Ranks<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_distributed() {
            "Distributed"
        } else {
            "Single"
        })
    }
}
