//! The kinds of proof of an upper bound.

/// The proof behind the upper bound of [`Certificate::maximum_bounds`](super::Certificate::maximum_bounds).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Bound {
    /// The bounds agree up to the tolerance of the [`Effort`](super::Effort) and rounding, for d > 2 at
    /// most `2^10` units of `2^-52 sum_j |u_j| |x_j|` (times the largest slope).
    Exact,
    /// Branch and bound ended at the limit of its effort. The bounds differ by a ratio.
    Truncated,
    /// The upper bound is that of a relaxation. The bounds differ by a ratio.
    Relaxed,
}
