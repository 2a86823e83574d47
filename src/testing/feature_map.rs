//! The laws of a feature map: of one particle and one sample, and of its batch methods.

use super::accumulation::check_accumulation;
use super::case::{Case, CaseRng};
use super::derivative::{Segment, displace};
use super::rounding::{Computed, rounding};
use super::violation::{Violation, identical, within};
use crate::feature::FeatureMap;
use crate::real::{Real, to_f64};

mod batch;
mod batches;
mod reference;

pub use crate::feature::ProvidedBatches;
pub use batches::check_batches;

/// Checks a feature map: one particle and one sample at a time, then all batch methods.
///
/// - `add_value`, `add_vjp` and `add_jvp` add `scale` times their result to the output;
/// - `<g, Phi(w + v)(x)> - <g, Phi(w)(x)> = int_0^1 <DPhi(w + t v)(x)^T g, v> dt`, to rounding,
///   also across kinks;
/// - adjoint: `<g, DPhi(w)(x) v> = <DPhi(w)(x)^T g, v>`;
/// - the batch methods equal sums over particles and samples ([`check_batches`]), and so do the
///   provided ones ([`ProvidedBatches`]);
/// - a boxed map equals the map, bit for bit ([`check_same_map`]).
///
/// The map determines p, d and k; the case gives n, m and the seed.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::{Case, check_feature_map};
///
/// let case = Case { n: 13, m: 3, d: 2, k: 1, seed: 1 };
/// assert_eq!(check_feature_map::<f64>(&Ridge::new(Relu, 2), case), Ok(()));
/// ```
///
/// # Errors
/// The first law that fails.
///
/// # Panics
/// If a size of the case or of the map is 0.
pub fn check_feature_map<T: Real>(phi: &dyn FeatureMap<T>, case: Case) -> Result<(), Violation> {
    case.assert_sizes();
    const POINTS: usize = 4;
    let mut rng = case.rng(10);
    for _ in 0..POINTS {
        check_point(phi, &mut rng, || format!("{case:?}"))?;
    }
    check_batches(phi, case)?;
    check_batches(&ProvidedBatches(phi), case)?;
    let boxed: Box<dyn FeatureMap<T> + '_> = Box::new(phi);
    check_same_map(phi, &boxed, case)
}

/// The laws at one particle and one sample.
fn check_point<T: Real>(
    phi: &dyn FeatureMap<T>,
    rng: &mut CaseRng,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let (p, d, k) = (phi.particle_dim(), phi.input_dim(), phi.output_dim());
    let (w, x): (Vec<T>, Vec<T>) = (rng.coordinates(p), rng.coordinates(d));
    let (g, v): (Vec<T>, Vec<T>) = (rng.direction(k), rng.direction(p));
    let at = || format!("w = {w:?}, x = {x:?}, {}", at());

    let add_value = |s: T, out: &mut [T]| phi.add_value(&w, &x, s, out);
    check_accumulation("add_value adds scale Phi(w)(x)", rng, k, add_value, at)?;
    let add_jvp = |s: T, out: &mut [T]| phi.add_jvp(&w, &x, &v, s, out);
    check_accumulation("add_jvp adds scale DPhi(w)(x) v", rng, k, add_jvp, at)?;
    let add_vjp = |s: T, out: &mut [T]| {
        let g: Vec<T> = g.iter().map(|&g| s * g).collect();
        phi.add_vjp(&w, &x, &g, out);
    };
    let law = "add_vjp adds DPhi(w)(x)^T g, linear in g";
    check_accumulation(law, rng, p, add_vjp, at)?;

    let mut point = w.clone();
    let mut value = |t: f64| {
        displace(&w, t, &v, &mut point);
        let mut out = vec![T::zero(); k];
        phi.add_value(&point, &x, T::one(), &mut out);
        Computed::directional(&out, &g, &g)
    };
    let (start, end) = (value(0.0), value(1.0));
    let mut gradient = vec![T::zero(); p];
    let derivative = |t: f64| {
        displace(&w, t, &v, &mut point);
        gradient.fill(T::zero());
        phi.add_vjp(&point, &x, &g, &mut gradient);
        Computed::directional(&gradient, &v, &point)
    };
    let law = "<g, Phi(w + v)(x)> - <g, Phi(w)(x)> = int_0^1 <DPhi(w + t v)(x)^T g, v> dt";
    let segment = Segment::new(law, [start.value, end.value], 100);
    let segment = segment.with_scale(start.scale + end.scale);
    segment.check::<T>(derivative, at)?;

    let (mut jvp, mut vjp) = (vec![T::zero(); k], vec![T::zero(); p]);
    phi.add_jvp(&w, &x, &v, T::one(), &mut jvp);
    phi.add_vjp(&w, &x, &g, &mut vjp);
    let left = Computed::directional(&jvp, &g, &g);
    let right = Computed::directional(&vjp, &v, &w);
    let law = "<g, DPhi(w)(x) v> = <DPhi(w)(x)^T g, v>";
    let tolerance = rounding::<T>() * (left.scale + right.scale);
    within(law, (left.value - right.value).abs(), tolerance, at)
}

/// Checks that all methods of two maps give the same results, bit for bit: of a map and a pointer
/// to it.
///
/// A pointer type that does not forward the provided methods loses the overridden ones. This check
/// detects it.
///
/// # Errors
/// The method that differs.
///
/// # Panics
/// If a size of the case or of the map is 0.
pub fn check_same_map<T: Real>(
    phi: &dyn FeatureMap<T>,
    psi: &dyn FeatureMap<T>,
    case: Case,
) -> Result<(), Violation> {
    case.assert_sizes();
    let at = || format!("{case:?}");
    let sizes = |phi: &dyn FeatureMap<T>| [phi.particle_dim(), phi.input_dim(), phi.output_dim()];
    let law = "both maps have the same p, d and k";
    identical(law, &sizes(psi), &sizes(phi), at)?;
    let batch = batch::Batch::new(phi, case);
    let law = "add_value, add_jvp and add_vjp return the same results, bit for bit";
    identical(law, &batch.point(psi), &batch.point(phi), at)?;
    // NaN equals NaN here: as `None`.
    let number = |&x: &T| if to_f64(x).is_nan() { None } else { Some(x) };
    for (law, method) in batch::methods() {
        let results = |phi| -> Vec<Option<T>> {
            method(&batch, phi)
                .iter()
                .flat_map(|matrix| matrix.iter().map(number))
                .collect()
        };
        identical(law, &results(psi), &results(phi), at)?;
    }
    Ok(())
}
