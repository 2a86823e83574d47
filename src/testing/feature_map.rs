//! The laws of a feature map: of one particle and sample, and of its batches.

use nalgebra::DMatrix;

use super::case::{Case, Draws};
use super::potential::adds;
use super::slope::{Segment, Slope, along, rounding};
use super::violation::{Violation, holds, within};
use crate::feature::FeatureMap;
use crate::real::{Real, to_f64};

mod batch;
mod plain;

pub use batch::check_batches;
pub use plain::Plain;

/// Checks a feature map: one particle and sample at a time, then all batches.
///
/// - `add_value`, `add_vjp` and `add_jvp` add `scale` times their result to what is there;
/// - `<g, Phi(w + v)(x)> - <g, Phi(w)(x)> = int_0^1 <DPhi(w + t v)(x)^T g, v> dt`, to rounding, across any kinks;
/// - adjoint: `<g, DPhi(w)(x) v> = <DPhi(w)(x)^T g, v>`;
/// - the batches equal the sums that they stand for ([`check_batches`]), as do those of [`Plain`], which the trait provides;
/// - a boxed map equals the map, bit for bit ([`check_same_map`]).
///
/// The map's own sizes p, d, k are used; the case gives n, m and the seed.
///
/// ```
/// use wasserflow::testing::{Case, check_feature_map};
/// use wasserflow::prelude::*;
///
/// let case = Case { n: 13, m: 3, d: 2, k: 1, seed: 1 };
/// assert_eq!(check_feature_map::<f64>(&Ridge::new(Relu, 2), case), Ok(()));
/// ```
///
/// # Errors
/// The first law that fails.
pub fn check_feature_map<T: Real>(phi: &dyn FeatureMap<T>, case: Case) -> Result<(), Violation> {
    let mut draws = case.draws(10);
    for _ in 0..4 {
        check_point(phi, &mut draws, || format!("{case:?}"))?;
    }
    check_batches(phi, case)?;
    check_batches(&Plain(phi), case)?;
    let boxed: Box<dyn FeatureMap<T> + '_> = Box::new(phi);
    check_same_map(phi, &boxed, case)
}

/// The laws at one particle and one sample.
fn check_point<T: Real>(
    phi: &dyn FeatureMap<T>,
    draws: &mut Draws,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let (p, d, k) = (phi.particle_dim(), phi.input_dim(), phi.output_dim());
    let (w, x): (Vec<T>, Vec<T>) = (draws.coordinates(p), draws.coordinates(d));
    let (g, v): (Vec<T>, Vec<T>) = (draws.direction(k), draws.direction(p));
    let at = || format!("w = {w:?}, x = {x:?}, {}", at());

    adds(
        "accumulate adds scale Phi(w)(x)",
        draws,
        k,
        |s, out| phi.add_value(&w, &x, s, out),
        at,
    )?;
    adds(
        "add_jvp adds scale DPhi(w)(x) v",
        draws,
        k,
        |s, out| phi.add_jvp(&w, &x, &v, s, out),
        at,
    )?;
    let pulled = |s: T, out: &mut [T]| {
        let g: Vec<T> = g.iter().map(|&g| s * g).collect();
        phi.add_vjp(&w, &x, &g, out);
    };
    adds(
        "add_vjp adds DPhi(w)(x)^T g, linear in g",
        draws,
        p,
        pulled,
        at,
    )?;

    let mut point = w.clone();
    let mut value = |t: f64| {
        along(&w, t, &v, &mut point);
        let mut out = vec![T::zero(); k];
        phi.add_value(&point, &x, T::one(), &mut out);
        Slope::new(&out, &g, &g)
    };
    let ends = [value(0.0), value(1.0)];
    let mut gradient = vec![T::zero(); p];
    let slope = |t: f64| {
        along(&w, t, &v, &mut point);
        gradient.fill(T::zero());
        phi.add_vjp(&point, &x, &g, &mut gradient);
        Slope::new(&gradient, &v, &point)
    };
    let law = "<g, Phi(w + v)(x)> - <g, Phi(w)(x)> = int_0^1 <DPhi(w + t v)(x)^T g, v> dt";
    let segment = Segment {
        law,
        ends: ends.map(|end| end.value),
        scale: ends[0].scale + ends[1].scale,
        bisections: 100,
    };
    segment.check::<T>(slope, at)?;

    let (mut pushed, mut pulled) = (vec![T::zero(); k], vec![T::zero(); p]);
    phi.add_jvp(&w, &x, &v, T::one(), &mut pushed);
    phi.add_vjp(&w, &x, &g, &mut pulled);
    let (left, right) = (Slope::new(&pushed, &g, &g), Slope::new(&pulled, &v, &w));
    let tolerance = rounding::<T>() * (left.scale + right.scale);
    within(
        "<g, DPhi(w)(x) v> = <DPhi(w)(x)^T g, v>",
        (left.value - right.value).abs(),
        tolerance,
        at,
    )
}

/// Checks that two maps are the same, bit for bit in every method: a pointer to a map and the map itself.
///
/// A pointer that does not forward the provided methods loses the fused batches, and here it shows.
///
/// # Errors
/// The method that differs.
pub fn check_same_map<T: Real>(
    phi: &dyn FeatureMap<T>,
    psi: &dyn FeatureMap<T>,
    case: Case,
) -> Result<(), Violation> {
    let at = || format!("{case:?}");
    let dims = [phi.particle_dim(), phi.input_dim(), phi.output_dim()];
    holds(
        "both maps have the same sizes",
        dims == [psi.particle_dim(), psi.input_dim(), psi.output_dim()],
        at,
    )?;
    let batch = batch::Batch::new(phi, case);
    let law = "accumulate, add_vjp and add_jvp are the same bits";
    holds(law, batch.point(phi) == batch.point(psi), at)?;
    for (law, method) in batch::methods() {
        holds(
            law,
            same_bits(&method(&batch, phi), &method(&batch, psi)),
            at,
        )?;
    }
    Ok(())
}

/// Equal numbers in all places; a NaN equals a NaN.
fn same_bits<T: Real>(a: &[DMatrix<T>], b: &[DMatrix<T>]) -> bool {
    let same = |(&a, &b): (&T, &T)| a == b || (to_f64(a).is_nan() && to_f64(b).is_nan());
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| a.shape() == b.shape() && a.iter().zip(b.iter()).all(same))
}
