//! The laws of a risk.

use super::case::CaseRng;
use super::derivative::{Difference, Segment, displace};
use super::rounding::{Computed, max_abs, rounding};
use super::violation::{Violation, require, succeeds, within};
use crate::real::{Real, epsilon, real, to_f64};
use crate::risk::Risk;

/// Bound on the predictions at which a risk is checked.
const PREDICTIONS: f64 = 3.0;

/// Bound on the predictions of single samples: in `f32` and `f64`, `1 + exp(-h)` rounds to 1 within
/// it.
const WIDE: f64 = 40.0;

/// Checks a risk at predictions drawn from `seed`.
///
/// - `value_and_gradient` returns `value`, and does not depend on the previous content of `out`;
/// - for a separable risk, the parts over ranges of samples sum to the risk, and their gradients
///   form its gradient; the parts of single samples are consistent with their gradients relative
///   to their own size, also at predictions up to 40, where a loss has a tail;
/// - `check` accepts the parameters;
/// - `R(g) - R(h) = int_0^1 <grad R(h + t (g - h)), g - h> dt`, to rounding, also across kinks;
/// - convex: `R((1-t) h + t g) <= (1-t) R(h) + t R(g)`, `<grad R(g) - grad R(h), g - h> >= 0`;
/// - `curvature` is symmetric, positive semidefinite, and the derivative of the gradient away from
///   kinks.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
/// use wasserflow::testing::check_risk;
///
/// let (x, y) = (DMatrix::from_element(1, 3, 1.0), DVector::from_element(3, 2.0));
/// assert_eq!(check_risk(&EmpiricalRisk::new(Square, x, y)?, 1), Ok(()));
/// # Ok::<(), wasserflow::prelude::RiskError>(())
/// ```
///
/// # Errors
/// The first law that fails.
pub fn check_risk<T: Real>(risk: &dyn Risk<T>, seed: u64) -> Result<(), Violation> {
    let kn = risk.output_dim() * risk.inputs().len();
    let mut rng = CaseRng::new(seed);
    let h: Vec<T> = (0..kn)
        .map(|_| rng.uniform(-PREDICTIONS, PREDICTIONS))
        .collect();
    let v: Vec<T> = rng.direction(kn);
    let mut g = h.clone();
    displace(&h, 1.0, &v, &mut g);
    let at = || format!("k n = {kn}, seed = {seed}");
    succeeds("the parameters are valid", risk.check(), at)?;

    let mut out = vec![real(f64::NAN); kn];
    let value = to_f64(risk.value(&h));
    let error = (to_f64(risk.value_and_gradient(&h, &mut out)) - value).abs();
    let law = "value_and_gradient(h) returns value(h)";
    within(law, error, rounding::<T>() * value.abs(), at)?;
    if risk.is_separable() {
        check_parts(risk, &h, value, &out, at)?;
        check_samples(risk, &mut rng, at)?;
    }

    let mut point = h.clone();
    let mut derivative = |t: f64| {
        displace(&h, t, &v, &mut point);
        risk.value_and_gradient(&point, &mut out);
        Computed::directional(&out, &v, &point)
    };
    let ends = [value, to_f64(risk.value(&g))];
    let law = "R(g) - R(h) = int_0^1 <grad R(h + t (g - h)), g - h> dt";
    Segment::new(law, ends, 40).check::<T>(&mut derivative, at)?;

    let (start, end) = (derivative(0.0), derivative(1.0));
    let tolerance = rounding::<T>() * (ends[0].abs() + ends[1].abs() + start.scale + end.scale);
    let law = "<grad R(g) - grad R(h), g - h> >= 0";
    within(law, start.value - end.value, tolerance, at)?;
    for t in [0.25, 0.5, 0.75] {
        displace(&h, t, &v, &mut point);
        let law = "R((1-t) h + t g) <= (1-t) R(h) + t R(g)";
        let excess = to_f64(risk.value(&point)) - (1.0 - t) * ends[0] - t * ends[1];
        within(law, excess, tolerance, at)?;
    }
    check_curvature(risk, &h, &v, &rng.direction::<T>(kn), at)
}

/// Checks a separable risk over consecutive ranges of 1, 2, 3, .. samples.
fn check_parts<T: Real>(
    risk: &dyn Risk<T>,
    h: &[T],
    value: f64,
    g: &[T],
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let (k, n) = (risk.output_dim(), risk.inputs().len());
    let mut out = vec![real(f64::NAN); h.len()];
    let (mut sum, mut first, mut run) = (0.0, 0, 1);
    while first < n {
        let last = (first + run).min(n);
        let (samples, entries) = (first..last, k * first..k * last);
        let part = risk.value_and_gradient_range(samples, &h[entries.clone()], &mut out[entries]);
        sum += to_f64(part);
        (first, run) = (last, run + 1);
    }
    let empty = risk.value_and_gradient_range(0..0, &[], &mut []);
    let law = "the part of a separable risk over an empty range of samples is 0";
    require(law, empty == T::zero(), || format!("{empty}"), &at)?;
    let law = "R(h) is the sum of its parts over ranges of samples";
    within(law, (sum - value).abs(), rounding::<T>() * value.abs(), &at)?;
    let largest = max_abs(g.iter().map(|&g| to_f64(g)));
    for (i, (&part, &g)) in out.iter().zip(g).enumerate() {
        let law = "grad R(h) consists of the gradients of its parts";
        let error = (to_f64(part) - to_f64(g)).abs();
        within(law, error, rounding::<T>() * largest, || {
            format!("{}, entry {i}", at())
        })?;
    }
    Ok(())
}

/// Checks parts of single samples, at predictions up to [`WIDE`].
///
/// In the sum over all samples the largest losses hide a relative error of the smallest.
fn check_samples<T: Real>(
    risk: &dyn Risk<T>,
    rng: &mut CaseRng,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    /// Number of samples that are checked.
    const SAMPLES: usize = 6;
    let (k, n) = (risk.output_dim(), risk.inputs().len());
    let (mut out, mut point) = (vec![real(f64::NAN); k], vec![T::zero(); k]);
    for _ in 0..SAMPLES {
        let j = (rng.uniform::<f64>(0.0, n as f64) as usize).min(n - 1);
        let h: Vec<T> = (0..k).map(|_| rng.uniform(-WIDE, WIDE)).collect();
        let v: Vec<T> = rng.direction(k);
        let mut part = |t: f64| {
            displace(&h, t, &v, &mut point);
            let value = risk.value_and_gradient_range(j..j + 1, &point, &mut out);
            (to_f64(value), Computed::directional(&out, &v, &point))
        };
        let ends = [part(0.0).0, part(1.0).0];
        if ends.iter().all(|end| end.is_finite()) {
            let law = "R_j(g) - R_j(h) = int_0^1 <grad R_j(h + t (g - h)), g - h> dt";
            let at = || format!("sample {j}, {}", at());
            Segment::new(law, ends, 40).check::<T>(|t| part(t).1, at)?;
        }
    }
    Ok(())
}

/// Checks `curvature` along two directions, against differences of the gradient.
fn check_curvature<T: Real>(
    risk: &dyn Risk<T>,
    h: &[T],
    u: &[T],
    v: &[T],
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let kn = h.len();
    let curvature = |u: &[T]| -> Vec<f64> {
        let mut out = vec![real(f64::NAN); kn];
        risk.curvature(h, u, &mut out);
        out.into_iter().map(to_f64).collect()
    };
    let (cu, cv) = (curvature(u), curvature(v));

    let step = to_f64(epsilon::<T>().cbrt());
    let gradient = |t: f64| -> Vec<f64> {
        let (mut point, mut out) = (h.to_vec(), vec![T::zero(); kn]);
        displace(h, t, u, &mut point);
        risk.value_and_gradient(&point, &mut out);
        out.into_iter().map(to_f64).collect()
    };
    let [left, centre, right] = [-step, 0.0, step].map(gradient);
    // Finite differences have an error of the order eps^(2/3).
    let relative = 100.0 * step * step;
    let size = |x: &[f64]| max_abs(x.iter().copied());
    let noise = relative * (size(&left) + size(&cu)) * (1.0 + PREDICTIONS);
    let mut kinks = false;
    for i in 0..kn {
        let quotients = [(centre[i] - left[i]) / step, (right[i] - centre[i]) / step];
        let Some(difference) = Difference::central(quotients[0], quotients[1], noise) else {
            kinks = true;
            continue;
        };
        let law = "R''(h) u is the derivative of grad R along u";
        let error = (cu[i] - difference.derivative).abs();
        let tolerance = noise + difference.uncertainty;
        within(law, error, tolerance, || format!("{}, entry {i}", at()))?;
    }

    let inner = |c: &[f64], u: &[T]| Computed::sum(c.iter().zip(u).map(|(c, &u)| c * to_f64(u)));
    let (cu_u, cu_v, cv_u) = (inner(&cu, u), inner(&cu, v), inner(&cv, u));
    let law = "<R''(h) u, u> >= 0";
    within(law, -cu_u.value, relative * cu_u.scale, &at)?;
    // A curvature by finite differences is not symmetric across a kink: then only NaN is rejected.
    let tolerance = if kinks {
        f64::INFINITY
    } else {
        relative * (cu_v.scale + cv_u.scale) + noise * kn as f64
    };
    let error = (cu_v.value - cv_u.value).abs();
    within("<R''(h) u, v> = <u, R''(h) v>", error, tolerance, &at)
}
