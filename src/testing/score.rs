//! The laws of a score and of a radial kernel.

use super::case::CaseRng;
use super::derivative::{Segment, displace};
use super::rounding::{Computed, max_abs, rounding};
use super::violation::{Violation, identical, within};
use crate::energy::{RadialKernel, Score};
use crate::real::{Real, real, to_f64};

/// Checks a score on `R^p`, at points drawn from `seed`.
///
/// - `<s(w + u) - s(w), e> = int_0^1 <D s(w + t u) u, e> dt` for a direction e, to rounding;
/// - `<D s(w) u, e> = <u, D s(w) e>`: a score is a gradient;
/// - both methods overwrite their output.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::check_score;
///
/// /// The score of `exp(-|w|^4 / 4)`: s(w) = -|w|^2 w.
/// struct Quartic;
/// impl Score<f64> for Quartic {
///     fn score(&self, w: &[f64], out: &mut [f64]) {
///         let square: f64 = w.iter().map(|w| w * w).sum();
///         out.iter_mut().zip(w).for_each(|(out, w)| *out = -square * w);
///     }
///     fn hessian_product(&self, w: &[f64], v: &[f64], out: &mut [f64]) {
///         let square: f64 = w.iter().map(|w| w * w).sum();
///         let along: f64 = w.iter().zip(v).map(|(w, v)| w * v).sum();
///         for ((out, w), v) in out.iter_mut().zip(w).zip(v) {
///             *out = -square * v - 2.0 * along * w;
///         }
///     }
/// }
/// assert_eq!(check_score(&Quartic, 3, 1), Ok(()));
/// ```
///
/// # Errors
/// The first law that fails.
pub fn check_score<T: Real>(score: &dyn Score<T>, p: usize, seed: u64) -> Result<(), Violation> {
    let mut rng = CaseRng::new(seed);
    let [w, u, e]: [Vec<T>; 3] = [rng.coordinates(p), rng.direction(p), rng.direction(p)];
    let at = || format!("p = {p}, seed = {seed}");
    let product = |w: &[T], v: &[T], before: f64| {
        let mut out = vec![real(before); p];
        score.hessian_product(w, v, &mut out);
        out
    };
    let value = |w: &[T], before: f64| {
        let mut out = vec![real(before); p];
        score.score(w, &mut out);
        out
    };
    identical("score overwrites out", &value(&w, 1.0), &value(&w, 0.0), at)?;
    let law = "hessian_product overwrites out";
    identical(law, &product(&w, &u, 1.0), &product(&w, &u, 0.0), at)?;

    let [mut start, mut point] = [(); 2].map(|()| w.clone());
    let mut along = |t: f64| {
        displace(&w, t, &u, &mut start);
        Computed::directional(&value(&start, 0.0), &e, &start)
    };
    let ends = [along(0.0), along(1.0)];
    let derivative = |t: f64| {
        displace(&w, t, &u, &mut point);
        Computed::directional(&product(&point, &u, 0.0), &e, &point)
    };
    let law = "<s(w + u) - s(w), e> = int_0^1 <D s(w + t u) u, e> dt";
    Segment::new(law, ends.map(|end| end.value), 100)
        .with_scale(ends[0].scale + ends[1].scale)
        .check::<T>(derivative, at)?;
    let bilinear = |u: &[T], e: &[T]| Computed::directional(&product(&w, u, 0.0), e, &w);
    let (ue, eu) = (bilinear(&u, &e), bilinear(&e, &u));
    let tolerance = rounding::<T>() * (ue.scale + eu.scale);
    let law = "<D s(w) u, e> = <u, D s(w) e>";
    within(law, (ue.value - eu.value).abs(), tolerance, at)
}

/// Checks the derivatives of a radial kernel, on an interval of squared distances drawn from `seed`.
///
/// - each function is the derivative of the one before, by its integral, to rounding;
/// - f and its derivatives have alternating signs: f is completely monotone, as a radial kernel is
///   that is positive definite in every dimension (Schoenberg);
/// - `slice_derivatives` agrees with `derivatives`.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::check_radial_kernel;
///
/// assert_eq!(check_radial_kernel(&InverseMultiquadric::new(0.5)?, 1), Ok(()));
/// # Ok::<(), ParameterError>(())
/// ```
///
/// # Errors
/// The first law that fails.
pub fn check_radial_kernel<T: Real>(
    kernel: &dyn RadialKernel<T>,
    seed: u64,
) -> Result<(), Violation> {
    const LAWS: [&str; 3] = [
        "the second function is the derivative of the first",
        "the third function is the derivative of the second",
        "the fourth function is the derivative of the third",
    ];
    let mut rng = CaseRng::new(seed);
    // Multiples of 1/64, 0 included.
    let a = rng.index(129) as f64 / 64.0;
    let length = (1 + rng.index(128)) as f64 / 64.0;
    let at = || format!("[{a}, {}], seed = {seed}", a + length);
    let derivatives = |t: f64| kernel.derivatives(real(a + t * length)).map(to_f64);
    let ends = [derivatives(0.0), derivatives(1.0)];
    for (order, law) in LAWS.into_iter().enumerate() {
        let derivative = |t: f64| Computed::sum([derivatives(t)[order + 1] * length]);
        Segment::new(law, [ends[0][order], ends[1][order]], 12).check::<T>(derivative, at)?;
    }
    let tolerance = rounding::<T>() * max_abs(ends[0]);
    for (order, &value) in ends[0].iter().enumerate() {
        let sign = if order.is_multiple_of(2) { 1.0 } else { -1.0 };
        within("f is completely monotone", -sign * value, tolerance, at)?;
    }
    let mut slices = [[T::zero(); 9]; 4];
    let [s, d1, d2, d3] = &mut slices;
    s.fill(real(a));
    kernel.slice_derivatives(s, [d1, d2, d3]);
    for (slice, expected) in slices.iter().zip(ends[0]) {
        for &found in slice {
            let (error, tolerance) = ((to_f64(found) - expected).abs(), 4.0 * tolerance);
            within(
                "slice_derivatives agrees with derivatives",
                error,
                tolerance,
                at,
            )?;
        }
    }
    Ok(())
}
