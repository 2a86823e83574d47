//! The law of functions of the distance that are evaluated on slices.

use super::rounding::{max_abs, rounding};
use super::violation::{Violation, require, within};
use crate::real::{Real, to_f64};

/// Squares of a slice: more than one chunk of the sums of interactions, and not a multiple of it.
const LEN: usize = 70;

/// Checks that `radial(s, d)`, if it returns true, is `value` and that `2 d z` is `gradient` at
/// `s = |z|^2`, in every entry of the slices and with the values alone.
pub(super) fn check_radial<T: Real>(
    radial: &dyn Fn(&mut [T], &mut [T]) -> bool,
    z: &[T],
    value: f64,
    gradient: &[T],
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let square = z.iter().fold(T::zero(), |sum, &z| sum + z * z);
    if square == T::zero() {
        return Ok(());
    }
    let (mut s, mut values, mut d) = ([square; LEN], [square; LEN], [T::zero(); LEN]);
    let returned = [
        radial(&mut [], &mut []),
        radial(&mut s, &mut d),
        radial(&mut values, &mut []),
    ];
    let law = "radial returns the same for all arguments";
    let equal = returned.iter().all(|&found| found == returned[0]);
    require(law, equal, || format!("{returned:?}"), &at)?;
    if !returned[0] {
        let unchanged = s.iter().chain(&values).all(|&s| s == square);
        let law = "radial changes nothing if it returns false";
        return require(law, unchanged, || format!("{s:?}"), at);
    }
    let slope = to_f64(d[0]);
    // Factors of a sum of interactions can cancel.
    let size = max_abs(gradient.iter().map(|&x| to_f64(x)));
    let size = size.max(value.abs()) * (1.0 + 1.0 / to_f64(square)).sqrt();
    for r in 0..LEN {
        for found in [s[r], values[r]].map(to_f64) {
            let tolerance = 16.0 * rounding::<T>() * value.abs().max(size);
            within(
                "radial computes value",
                (found - value).abs(),
                tolerance,
                &at,
            )?;
        }
        for (&z, &expected) in z.iter().zip(gradient) {
            let error = (2.0 * to_f64(d[r]) * to_f64(z) - to_f64(expected)).abs();
            let tolerance = 16.0 * rounding::<T>() * size.max((slope * to_f64(z)).abs());
            within("radial computes gradient", error, tolerance, &at)?;
        }
    }
    Ok(())
}
