//! Methods that add to their output.

use super::case::CaseRng;
use super::rounding::{max_abs, rounding};
use super::violation::{Violation, within};
use crate::real::{Real, to_f64};

/// Checks that `add(scale, out)` adds to `out` a result that is linear in `scale`.
pub(super) fn check_accumulation<T: Real>(
    law: &'static str,
    rng: &mut CaseRng,
    len: usize,
    mut add: impl FnMut(T, &mut [T]),
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let (before, scale): (Vec<T>, T) = (rng.coordinates(len), rng.uniform(-2.0, 2.0));
    let (mut unit, mut out) = (vec![T::zero(); len], before.clone());
    add(T::one(), &mut unit);
    add(scale, &mut out);
    // Sums inside the method may cancel in some coordinates: all share the scale of the largest.
    let size = max_abs(before.iter().chain(&unit).map(|&x| to_f64(x)));
    for l in 0..len {
        let error = to_f64(out[l]) - to_f64(before[l]) - to_f64(scale) * to_f64(unit[l]);
        let tolerance = 2.0 * rounding::<T>() * size;
        within(law, error.abs(), tolerance, || {
            format!("coordinate {l}, {}", at())
        })?;
    }
    Ok(())
}
