//! The trait [`Real`] of scalars, and conversions to and from `f64`.

use nalgebra::RealField;
use num_traits::ToPrimitive;

/// A real scalar type `T`: `f32`, `f64`, or any other `Copy` real field of nalgebra.
///
/// A trait alias: it has no methods of its own, and is implemented for every type that implements
/// its supertraits. `num_traits::Float` is not one of them: with both bounds, a call such as
/// `x.sqrt()` would be ambiguous.
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

/// Rounds `x` to the nearest scalar of type `T`: for literals and sizes in generic code.
///
/// ```
/// use wasserflow::prelude::*;
///
/// assert_eq!(real::<f32>(0.1), 0.1_f32);
/// ```
#[inline]
pub fn real<T: Real>(x: f64) -> T {
    nalgebra::convert(x)
}

/// Rounds `x` to the nearest `f64`, for error messages and statistics. NaN if `T` cannot convert
/// it.
#[inline]
pub(crate) fn to_f64<T: Real>(x: T) -> f64 {
    x.to_f64().unwrap_or(f64::NAN)
}

/// The machine epsilon of `T`, the distance from 1 to the next larger scalar.
#[inline]
pub(crate) fn epsilon<T: Real>() -> T {
    T::default_epsilon()
}
