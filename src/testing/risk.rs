//! The laws of a risk.

use super::case::Draws;
use super::loss::smooth;
use super::slope::{Segment, Slope, along, rounding};
use super::violation::{Violation, within};
use crate::real::{Real, epsilon, real, to_f64};
use crate::risk::Risk;

/// Checks a risk at predictions drawn from `seed`.
///
/// - `value_and_gradient` returns `value`, and what it writes does not depend on what was there;
/// - its parts over runs of samples, where there are any, make up the risk and its gradient;
/// - `R(g) - R(h) = int_0^1 <grad R(h + t (g - h)), g - h> dt`, to rounding, across any kinks;
/// - convex: `R((1-t) h + t g) <= (1-t) R(h) + t R(g)`, `<grad R(g) - grad R(h), g - h> >= 0`;
/// - `curvature` is symmetric, positive semidefinite, and the derivative of the gradient wherever that has one.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::testing::check_risk;
/// use wasserflow::prelude::*;
///
/// let risk = EmpiricalRisk::new(Square, DMatrix::from_element(1, 3, 1.0), DVector::from_element(3, 2.0))?;
/// assert_eq!(check_risk(&risk, 1), Ok(()));
/// # Ok::<(), wasserflow::prelude::RiskError>(())
/// ```
///
/// # Errors
/// The first law that fails.
pub fn check_risk<T: Real>(risk: &dyn Risk<T>, seed: u64) -> Result<(), Violation> {
    let kn = risk.output_dim() * risk.inputs().len();
    let mut draws = Draws::new(seed);
    let h: Vec<T> = (0..kn).map(|_| draws.uniform(-3.0, 3.0)).collect();
    let v: Vec<T> = draws.direction(kn);
    let mut g = h.clone();
    along(&h, 1.0, &v, &mut g);
    let at = |what: &'static str| move || format!("{what}, k n = {kn}, seed = {seed}");

    let mut out = vec![real(f64::NAN); kn];
    let value = to_f64(risk.value(&h));
    let error = (to_f64(risk.value_and_gradient(&h, &mut out)) - value).abs();
    within(
        "value_and_gradient(h) returns value(h)",
        error,
        rounding::<T>() * value.abs(),
        at("h"),
    )?;

    if risk.is_separable() {
        parts(risk, &h, (value, &out), at("h"))?;
    }

    let mut point = h.clone();
    let mut slope = |t: f64| {
        along(&h, t, &v, &mut point);
        risk.value_and_gradient(&point, &mut out);
        Slope::new(&out, &v, &point)
    };
    let ends = [value, to_f64(risk.value(&g))];
    let law = "R(g) - R(h) = int_0^1 <grad R(h + t (g - h)), g - h> dt";
    Segment {
        law,
        ends,
        scale: 0.0,
        bisections: 40,
    }
    .check::<T>(&mut slope, at("from h to g"))?;

    let (start, end) = (slope(0.0), slope(1.0));
    let scale = rounding::<T>() * (ends[0].abs() + ends[1].abs() + start.scale + end.scale);
    within(
        "<grad R(g) - grad R(h), g - h> >= 0",
        start.value - end.value,
        scale,
        at("from h to g"),
    )?;
    for t in [0.25, 0.5, 0.75] {
        along(&h, t, &v, &mut point);
        let above = to_f64(risk.value(&point)) - (1.0 - t) * ends[0] - t * ends[1];
        within(
            "R((1-t) h + t g) <= (1-t) R(h) + t R(g)",
            above,
            scale,
            at("from h to g"),
        )?;
    }
    curvature(risk, &h, &v, &draws.direction::<T>(kn), at("h"))
}

/// Runs of 1, 2, 3, .. samples.
fn parts<T: Real>(
    risk: &dyn Risk<T>,
    h: &[T],
    (value, g): (f64, &[T]),
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let (k, n) = (risk.output_dim(), risk.inputs().len());
    let mut out = vec![real(f64::NAN); h.len()];
    let (mut sum, mut first, mut run) = (0.0, 0, 1);
    while first < n {
        let last = (first + run).min(n);
        let (of, samples) = (k * first..k * last, first..last);
        let part = risk.value_and_gradient_range(samples, &h[of.clone()], &mut out[of]);
        sum += to_f64(part);
        (first, run) = (last, run + 1);
    }
    let law = "R(h) is the sum of its parts over samples";
    within(law, (sum - value).abs(), rounding::<T>() * value.abs(), &at)?;
    let largest = g.iter().fold(0.0_f64, |max, &g| max.max(to_f64(g).abs()));
    for (i, (&part, &g)) in out.iter().zip(g).enumerate() {
        let law = "grad R(h) is made of its parts over samples";
        within(
            law,
            (to_f64(part) - to_f64(g)).abs(),
            rounding::<T>() * largest,
            || format!("{}, prediction {i}", at()),
        )?;
    }
    Ok(())
}

fn curvature<T: Real>(
    risk: &dyn Risk<T>,
    h: &[T],
    u: &[T],
    v: &[T],
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let kn = h.len();
    let curved = |u: &[T]| -> Vec<f64> {
        let mut out = vec![real(f64::NAN); kn];
        risk.curvature(h, u, &mut out);
        out.into_iter().map(to_f64).collect()
    };
    let (cu, cv) = (curved(u), curved(v));
    let size = |x: &[f64]| x.iter().fold(0.0_f64, |max, x| max.max(x.abs()));

    let step = to_f64(epsilon::<T>().cbrt());
    let gradient = |t: f64| -> Vec<f64> {
        let (mut point, mut out) = (h.to_vec(), vec![T::zero(); kn]);
        along(h, t, u, &mut point);
        risk.value_and_gradient(&point, &mut out);
        out.into_iter().map(to_f64).collect()
    };
    let [left, here, right] = [-step, 0.0, step].map(gradient);
    let noise = 100.0 * step * step * (size(&left) + size(&cu)) * (1.0 + to_f64(real::<T>(3.0)));
    let mut kinks = false;
    for i in 0..kn {
        match smooth(
            (here[i] - left[i]) / step,
            (right[i] - here[i]) / step,
            noise,
        ) {
            Some((exact, doubt)) => {
                let law = "R''(h) u is the derivative of grad R along u";
                within(law, (cu[i] - exact).abs(), noise + doubt, || {
                    format!("{}, prediction {i}", at())
                })?;
            }
            None => kinks = true,
        }
    }

    let inner = |c: &[f64], u: &[T]| {
        let terms = c.iter().zip(u).map(|(c, &u)| c * to_f64(u));
        terms.fold((0.0, 0.0), |(sum, scale), x| (sum + x, scale + x.abs()))
    };
    let ((uu, scale_uu), (uv, scale_uv), (vu, scale_vu)) =
        (inner(&cu, u), inner(&cu, v), inner(&cv, u));
    // A curvature by differences is symmetric up to eps^(2/3).
    let relative = 100.0 * step * step;
    within("<R''(h) u, u> >= 0", -uu, relative * scale_uu, &at)?;
    let tolerance = if kinks {
        f64::INFINITY
    } else {
        relative * (scale_uv + scale_vu) + noise * kn as f64
    };
    within(
        "<R''(h) u, v> = <u, R''(h) v>",
        (uv - vu).abs(),
        tolerance,
        &at,
    )
}
