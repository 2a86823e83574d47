//! Positive homogeneity of a feature map, for the degree that it declares.

use super::case::Case;
use super::rounding::{Computed, rounding};
use super::violation::{Violation, within};
use crate::activation::Homogeneous;
use crate::feature::FeatureMap;
use crate::real::{Real, real, to_f64};

/// Checks the declared degree k of a feature map, at a particle and a sample drawn from the case.
///
/// - `Phi(s w) = s^k Phi(w)` for `s = 2^e`, `-20 <= e <= 20`: twelve decades;
/// - Euler's identity: `<grad_w <g, Phi(w)(x)>, w> = k <g, Phi(w)(x)>`.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::{Case, check_homogeneity};
///
/// let case = Case { n: 1, m: 1, d: 3, k: 1, seed: 1 };
/// assert_eq!(check_homogeneity::<f32>(&Radial::new(Tanh, 3), case), Ok(()));
/// ```
///
/// # Errors
/// The first law that fails.
///
/// # Panics
/// If a size of the case or of the map is 0.
pub fn check_homogeneity<T: Real>(
    phi: &(impl FeatureMap<T> + Homogeneous),
    case: Case,
) -> Result<(), Violation> {
    case.assert_sizes();
    check(phi, f64::from(phi.degree()), case)
}

fn check<T: Real>(phi: &dyn FeatureMap<T>, degree: f64, case: Case) -> Result<(), Violation> {
    let (p, d, outputs) = (phi.particle_dim(), phi.input_dim(), phi.output_dim());
    let mut rng = case.rng(12);
    let (w, x): (Vec<T>, Vec<T>) = (rng.coordinates(p), rng.coordinates(d));
    let at = |s: T| move || format!("s = {s}, k = {degree}, {case:?}");

    let value = |w: &[T]| {
        let mut out = vec![T::zero(); outputs];
        phi.add_value(w, &x, T::one(), &mut out);
        out
    };
    // <grad_w <g, Phi(w)(x)>, w>.
    let radial_derivative = |g: &[T]| {
        let mut gradient = vec![T::zero(); p];
        phi.add_vjp(&w, &x, g, &mut gradient);
        Computed::directional(&gradient, &w, &w)
    };
    let unit = value(&w);
    for e in -20..=20 {
        // Scaling by a power of 2 is exact: a preactivation at a kink stays there.
        let s = real::<T>(2.0_f64.powi(e));
        let power = to_f64(s).powf(degree);
        let scaled: Vec<T> = w.iter().map(|&w| s * w).collect();
        for (l, (&found, &unit)) in value(&scaled).iter().zip(&unit).enumerate() {
            let mut g = vec![T::zero(); outputs];
            g[l] = T::one();
            let scale = power * (to_f64(unit).abs() + radial_derivative(&g).scale);
            let error = (to_f64(found) - power * to_f64(unit)).abs();
            let law = "Phi(s w)(x) = s^k Phi(w)(x)";
            within(law, error, rounding::<T>() * scale, at(s))?;
        }
    }
    let g: Vec<T> = rng.direction(outputs);
    let (left, right) = (radial_derivative(&g), Computed::directional(&unit, &g, &g));
    let law = "<grad_w <g, Phi(w)(x)>, w> = k <g, Phi(w)(x)>";
    let tolerance = rounding::<T>() * (left.scale + degree * right.scale);
    let error = (left.value - degree * right.value).abs();
    within(law, error, tolerance, at(T::one()))
}
