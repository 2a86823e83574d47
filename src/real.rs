//! The scalar: `f32` or `f64`.

use nalgebra::RealField;
use num_traits::ToPrimitive;

/// A real scalar `T`: `f32`, `f64`, or any other `Copy` field of nalgebra.
///
/// An alias, not a hierarchy: it adds nothing to its supertraits and holds for every type that has them.
/// (`num_traits::Float` is not among them: with both bounds `x.sqrt()` would be ambiguous.)
///
/// ```
/// use wasserflow::prelude::*;
///
/// fn half<T: Real>(x: T) -> T {
///     x * real(0.5)
/// }
/// assert_eq!(half(3.0_f32), 1.5);
/// assert_eq!(half(3.0_f64), 1.5);
/// ```
pub trait Real: RealField + Copy + ToPrimitive {}

impl<T: RealField + Copy + ToPrimitive> Real for T {}

/// The scalar nearest to the number `x`: literals and integer sizes in generic code.
///
/// ```
/// assert_eq!(wasserflow::real::<f32>(0.1), 0.1_f32);
/// ```
#[inline]
pub fn real<T: Real>(x: f64) -> T {
    nalgebra::convert(x)
}

/// The number nearest to the scalar `x`, for error messages and statistics (NaN where it has none).
#[inline]
pub(crate) fn to_f64<T: Real>(x: T) -> f64 {
    x.to_f64().unwrap_or(f64::NAN)
}

/// The distance from 1 to the next scalar: the unit of every tolerance.
#[inline]
pub(crate) fn epsilon<T: Real>() -> T {
    T::default_epsilon()
}
