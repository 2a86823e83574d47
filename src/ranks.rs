//! Ranks: processes that share the particles or the samples of an energy.

use std::fmt;
use std::ops::Range;

use crate::forward::forward;
use crate::real::{Real, real, to_f64};

#[cfg(feature = "mpi")]
mod mpi;

#[cfg(feature = "mpi")]
pub use self::mpi::{MpiRanks, MpiRanksError};

/// The ranks of a computation and the sum of vectors over them (an all-reduce).
///
/// A rank is a process, or a thread, that holds a part of the particles or of the samples. All
/// ranks call the same methods in the same order, with vectors of the same length.
/// `()` is a single rank.
///
/// # Laws
/// - `rank() < size()`, and the ranks have different numbers. Both are constant.
/// - After `sum`, `x[l]` is the sum of the values of `x[l]` on all ranks: the same number, bit for
///   bit, on every rank.
/// - `gather` returns the same vector on every rank, and does not change a bit of a number.
/// - With a single rank, `sum` and `gather` do not change a number.
///
/// A rank that panics or ends early has to end the others, which otherwise wait for it for ever.
///
/// ```
/// use wasserflow::prelude::*;
///
/// /// One of two ranks with the same content.
/// #[derive(Debug)]
/// struct Twin(usize);
/// impl<T: Real> AllReduce<T> for Twin {
///     fn rank(&self) -> usize {
///         self.0
///     }
///     fn size(&self) -> usize {
///         2
///     }
///     fn sum(&mut self, x: &mut [T]) {
///         x.iter_mut().for_each(|x| *x += *x);
///     }
/// }
/// let mut x = [1.0, 2.0];
/// Twin(0).sum(&mut x);
/// assert_eq!(x, [2.0, 4.0]);
/// ```
pub trait AllReduce<T: Real> {
    /// The number of this rank, below [`size`](Self::size).
    fn rank(&self) -> usize;

    /// The number of ranks, `>= 1`.
    fn size(&self) -> usize;

    /// Replaces `x[l]` by its sum over all ranks, for every l.
    fn sum(&mut self, x: &mut [T]);

    /// The vectors of all ranks, one after the other in the order of the ranks (an all-gather).
    /// Their lengths may differ.
    ///
    /// ```
    /// use wasserflow::prelude::*;
    /// use wasserflow::testing::Rank;
    ///
    /// let threads = Rank::group(2).into_iter().zip([vec![1.0, -0.0], vec![2.0]]);
    /// let threads: Vec<_> = threads
    ///     .map(|(mut rank, x)| std::thread::spawn(move || rank.gather(&x)))
    ///     .collect();
    /// for thread in threads {
    ///     assert_eq!(thread.join().unwrap(), [1.0, -0.0, 2.0]);
    /// }
    /// ```
    ///
    /// Provided: two sums, or three if a number is -0, of the total length. An implementation of a
    /// message-passing library sends each number once.
    fn gather(&mut self, x: &[T]) -> Vec<T> {
        gather_by_sums(self, x)
    }

    /// The share of this rank r of `len` items: `floor(len r / size) .. floor(len (r + 1) / size)`.
    ///
    /// The shares of all ranks are contiguous and in order, and their lengths differ by at most 1.
    /// With more ranks than items some are empty.
    ///
    /// ```
    /// use wasserflow::prelude::*;
    /// use wasserflow::testing::Rank;
    ///
    /// let shares: Vec<_> = Rank::<f64>::group(3).iter().map(|rank| rank.share(8)).collect();
    /// assert_eq!(shares, [0..2, 2..5, 5..8]);
    /// ```
    fn share(&self, len: usize) -> Range<usize> {
        let size = self.size().max(1);
        let rank = self.rank().min(size - 1);
        // At most `len`, which is a usize.
        let before = |rank: usize| (len as u128 * rank as u128 / size as u128) as usize;
        before(rank)..before(rank + 1)
    }
}

/// 64 bits are sent as this number of digits of [`DIGIT_BITS`], each exact in any scalar.
pub(crate) const DIGITS: usize = 4;
const DIGIT_BITS: usize = 16;

/// 64 bits as digits.
pub(crate) fn to_digits<T: Real>(bits: u64) -> [T; DIGITS] {
    std::array::from_fn(|place| real(f64::from((bits >> (place * DIGIT_BITS)) as u16)))
}

/// The 64 bits of digits.
pub(crate) fn from_digits<T: Real>(digits: &[T]) -> u64 {
    let digits = digits.iter().rev().map(|&digit| to_f64(digit) as u64);
    digits.fold(0, |bits, digit| bits << DIGIT_BITS | digit)
}

/// [`AllReduce::gather`] by sums, in which every rank fills its own section of a vector of zeros.
fn gather_by_sums<T: Real>(ranks: &mut (impl AllReduce<T> + ?Sized), x: &[T]) -> Vec<T> {
    let (rank, size) = (ranks.rank(), ranks.size());
    if size <= 1 {
        return x.to_vec();
    }
    let is_negative_zero = |x: &T| *x == T::zero() && x.is_sign_negative();
    // The lengths in digits, and the number of ranks with a number -0: a sum would change its sign.
    let mut head = vec![T::zero(); size * DIGITS + 1];
    head[rank * DIGITS..][..DIGITS].copy_from_slice(&to_digits::<T>(x.len() as u64));
    if x.iter().any(is_negative_zero) {
        head[size * DIGITS] = T::one();
    }
    ranks.sum(&mut head);
    let lengths = || {
        head[..size * DIGITS]
            .chunks_exact(DIGITS)
            .map(|x| from_digits(x) as usize)
    };
    let start: usize = lengths().take(rank).sum();
    let mut all = vec![T::zero(); lengths().sum()];
    all[start..][..x.len()].copy_from_slice(x);
    ranks.sum(&mut all);
    if head[size * DIGITS] > T::zero() {
        let mut signs = vec![T::zero(); all.len()];
        for (sign, x) in signs[start..].iter_mut().zip(x) {
            *sign = indicator(is_negative_zero(x));
        }
        ranks.sum(&mut signs);
        for (x, sign) in all.iter_mut().zip(signs) {
            if sign > T::zero() {
                *x = -T::zero();
            }
        }
    }
    all
}

/// A single rank, at no cost.
impl<T: Real> AllReduce<T> for () {
    fn rank(&self) -> usize {
        0
    }
    fn size(&self) -> usize {
        1
    }
    fn sum(&mut self, _: &mut [T]) {}
    fn gather(&mut self, x: &[T]) -> Vec<T> {
        x.to_vec()
    }
}

forward! {
    impl[T: Real, R: AllReduce<T> + ?Sized] AllReduce<T>; for &mut R, Box<R>; {
        fn rank(&self) -> usize;
        fn size(&self) -> usize;
        fn sum(&mut self, x: &mut [T]);
        fn gather(&mut self, x: &[T]) -> Vec<T>;
        fn share(&self, len: usize) -> Range<usize>;
    }
}

/// The ranks if there are several, so that a single rank takes the code without messages.
pub(crate) fn several<'a, T: Real, R: AllReduce<T> + 'a>(
    ranks: &'a mut R,
) -> Option<&'a mut (dyn AllReduce<T> + 'a)> {
    if ranks.size() > 1 { Some(ranks) } else { None }
}

/// The sum of one scalar over all ranks.
pub(crate) fn sum_scalar<T: Real>(ranks: &mut (impl AllReduce<T> + ?Sized), x: T) -> T {
    let mut x = [x];
    ranks.sum(&mut x);
    x[0]
}

/// 1 for true and 0 for false, to be summed over ranks.
pub(crate) fn indicator<T: Real>(holds: bool) -> T {
    if holds { T::one() } else { T::zero() }
}

/// The ranks of an energy: a single one, at no cost, or those of an all-reduce.
pub(crate) struct Ranks<T>(Option<Box<dyn AllReduce<T> + Send>>);

impl<T> Ranks<T> {
    /// A single rank, which holds all particles.
    pub(crate) const SINGLE: Self = Self(None);

    /// Returns true if there is more than one rank.
    pub(crate) fn is_distributed(&self) -> bool {
        self.0.is_some()
    }
}

impl<T: Real> Ranks<T> {
    /// The ranks over which `all_reduce` sums.
    pub(crate) fn of(all_reduce: impl AllReduce<T> + Send + 'static) -> Self {
        Self((all_reduce.size() > 1).then(|| Box::new(all_reduce) as _))
    }

    /// The all-reduce; `None` for a single rank.
    pub(crate) fn all_reduce(&mut self) -> Option<&mut dyn AllReduce<T>> {
        self.0.as_mut().map(|all_reduce| all_reduce as _)
    }

    /// Replaces `x[l]` by its sum over all ranks, for every l.
    pub(crate) fn sum(&mut self, x: &mut [T]) {
        if let Some(all_reduce) = &mut self.0 {
            all_reduce.sum(x);
        }
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
