//! The laws of a potential.

use super::accumulation::check_accumulation;
use super::case::CaseRng;
use super::derivative::{Segment, displace};
use super::rounding::{Computed, rounding};
use super::violation::{Violation, within};
use crate::energy::Potential;
use crate::real::{Real, to_f64};

/// Checks a potential on `R^p`, at points drawn from `seed`.
///
/// - `V(w + v) - V(w) = int_0^1 <grad V(w + t v), v> dt`, to rounding, also across kinks;
/// - `gradient` adds `scale grad V` to its output, and `curvature` adds `V''(w) v`;
/// - `curvature` is linear, symmetric and positive semidefinite.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::check_potential;
///
/// assert_eq!(check_potential(&WeightDecay::new(0.1)?, 3, 1), Ok(()));
/// # Ok::<(), wasserflow::prelude::ParameterError>(())
/// ```
///
/// # Errors
/// The first law that fails.
pub fn check_potential<T: Real>(
    potential: &dyn Potential<T>,
    p: usize,
    seed: u64,
) -> Result<(), Violation> {
    let mut rng = CaseRng::new(seed);
    let (w, v): (Vec<T>, Vec<T>) = (rng.coordinates(p), rng.direction(p));
    let at = || format!("p = {p}, seed = {seed}");

    let mut point = w.clone();
    let mut value = |t: f64| {
        displace(&w, t, &v, &mut point);
        to_f64(potential.value(&point))
    };
    let ends = [value(0.0), value(1.0)];
    let mut gradient = vec![T::zero(); p];
    let derivative = |t: f64| {
        displace(&w, t, &v, &mut point);
        gradient.fill(T::zero());
        potential.gradient(&point, T::one(), &mut gradient);
        Computed::directional(&gradient, &v, &point)
    };
    let law = "V(w + v) - V(w) = int_0^1 <grad V(w + t v), v> dt";
    Segment::new(law, ends, 100).check::<T>(derivative, at)?;

    let gradient = |scale: T, out: &mut [T]| potential.gradient(&w, scale, out);
    check_accumulation("gradient adds scale grad V(w)", &mut rng, p, gradient, at)?;
    let curvature = |scale: T, out: &mut [T]| {
        let v: Vec<T> = v.iter().map(|&v| scale * v).collect();
        potential.curvature(&w, &v, out);
    };
    let law = "curvature adds V''(w) v, linear in v";
    check_accumulation(law, &mut rng, p, curvature, at)?;

    let u: Vec<T> = rng.direction(p);
    let bilinear = |u: &[T], v: &[T]| {
        let mut out = vec![T::zero(); p];
        potential.curvature(&w, u, &mut out);
        Computed::directional(&out, v, u)
    };
    let (uv, vu, vv) = (bilinear(&u, &v), bilinear(&v, &u), bilinear(&v, &v));
    let tolerance = rounding::<T>() * (uv.scale + vu.scale);
    let law = "<V''(w) u, v> = <u, V''(w) v>";
    within(law, (uv.value - vu.value).abs(), tolerance, at)?;
    let law = "<V''(w) v, v> >= 0";
    within(law, -vv.value, rounding::<T>() * vv.scale, at)
}
