//! Positive homogeneity of a feature map, against the degree that it declares.

use super::case::Case;
use super::slope::{Slope, rounding};
use super::violation::{Violation, within};
use crate::activation::Homogeneous;
use crate::feature::FeatureMap;
use crate::real::{Real, real, to_f64};

/// Checks a feature map against its declared degree k, at particles and samples drawn from the case.
///
/// - `Phi(s w) = s^k Phi(w)` for `s = 2^e`, `-20 <= e <= 20`: twelve decades;
/// - Euler's identity: `<grad_w <g, Phi(w)(x)>, w> = k <g, Phi(w)(x)>`.
///
/// ```
/// use wasserflow::testing::{Case, check_homogeneity};
/// use wasserflow::prelude::*;
///
/// let case = Case { n: 1, m: 1, d: 3, k: 1, seed: 1 };
/// assert_eq!(check_homogeneity::<f32>(&Radial::new(Tanh, 3), case), Ok(()));
/// ```
///
/// # Errors
/// The first law that fails.
pub fn check_homogeneity<T: Real>(
    phi: &(impl FeatureMap<T> + Homogeneous),
    case: Case,
) -> Result<(), Violation> {
    check(phi, f64::from(phi.degree()), case)
}

fn check<T: Real>(phi: &dyn FeatureMap<T>, degree: f64, case: Case) -> Result<(), Violation> {
    let (p, d, outputs) = (phi.particle_dim(), phi.input_dim(), phi.output_dim());
    let mut draws = case.draws(12);
    let (w, x): (Vec<T>, Vec<T>) = (draws.coordinates(p), draws.coordinates(d));
    let at = |s: T| move || format!("s = {s}, k = {degree}, {case:?}");

    let value = |w: &[T]| {
        let mut out = vec![T::zero(); outputs];
        phi.add_value(w, &x, T::one(), &mut out);
        out
    };
    let gradient = |w: &[T], g: &[T]| {
        let mut out = vec![T::zero(); p];
        phi.add_vjp(w, &x, g, &mut out);
        out
    };
    let unit = value(&w);
    for e in -20..=20 {
        // A power of 2 scales without rounding: a kink stays where it is.
        let s = real::<T>(2.0_f64.powi(e));
        let scaled: Vec<T> = w.iter().map(|&w| s * w).collect();
        for (l, (&large, &unit)) in value(&scaled).iter().zip(&unit).enumerate() {
            let power = to_f64(s).powf(degree);
            let mut g = vec![T::zero(); outputs];
            g[l] = T::one();
            let slope = Slope::new(&gradient(&w, &g), &w, &w);
            let tolerance = rounding::<T>() * power * (to_f64(unit).abs() + slope.scale);
            let error = (to_f64(large) - power * to_f64(unit)).abs();
            within("Phi(s w)(x) = s^k Phi(w)(x)", error, tolerance, at(s))?;
        }
    }
    let g: Vec<T> = draws.direction(outputs);
    let (left, right) = (
        Slope::new(&gradient(&w, &g), &w, &w),
        Slope::new(&unit, &g, &g),
    );
    let tolerance = rounding::<T>() * (left.scale + degree * right.scale);
    let error = (left.value - degree * right.value).abs();
    within(
        "<grad_w <g, Phi(w)(x)>, w> = k <g, Phi(w)(x)>",
        error,
        tolerance,
        at(T::one()),
    )
}
