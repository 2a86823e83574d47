//! The laws of an interaction.

use nalgebra::{DMatrix, DVector};

use super::accumulation::check_accumulation;
use super::case::CaseRng;
use super::derivative::{Segment, displace};
use super::radial::check_radial;
use super::rounding::{Computed, max_abs, rounding};
use super::violation::{Violation, require, within};
use crate::energy::{ConditionallyPositive, Interaction};
use crate::real::{Real, real, to_f64};

/// Checks an interaction on `R^p`, at differences drawn from `seed`.
///
/// - `W(-z) = W(z)`;
/// - `W(z + u) - W(z) = int_0^1 <grad W(z + t u), u> dt`, to rounding, on segments that do not
///   meet 0;
/// - `gradient` adds `scale grad W` to its output, and nothing at `z = 0`;
/// - `value_and_gradient` agrees with `value` and `gradient`;
/// - `is_singular` is true exactly if `W(0)` is not finite;
/// - `radial`, if it returns true, agrees with `value` and `gradient`.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::check_interaction;
///
/// assert_eq!(check_interaction::<f64>(&PowerLaw::new(1.5, -1.0)?, 3, 1), Ok(()));
/// # Ok::<(), ParameterError>(())
/// ```
///
/// # Errors
/// The first law that fails.
pub fn check_interaction<T: Real>(
    interaction: &dyn Interaction<T>,
    p: usize,
    seed: u64,
) -> Result<(), Violation> {
    let mut rng = CaseRng::new(seed);
    let mut z: Vec<T> = rng.coordinates(p);
    let u: Vec<T> = rng
        .direction(p)
        .into_iter()
        .map(|u: T| u * real(0.25))
        .collect();
    // At a distance of at least 1/4 from 0 along the segment.
    if let Some(z) = z.first_mut() {
        *z += real(if *z < T::zero() { -0.5 } else { 0.5 });
    }
    let at = || format!("p = {p}, seed = {seed}");

    let minus: Vec<T> = z.iter().map(|&z| -z).collect();
    let [value, mirrored] = [&z, &minus].map(|z| to_f64(interaction.value(z)));
    let tolerance = rounding::<T>() * value.abs();
    within("W(-z) = W(z)", (mirrored - value).abs(), tolerance, at)?;

    let mut point = z.clone();
    let mut along = |t: f64| {
        displace(&z, t, &u, &mut point);
        to_f64(interaction.value(&point))
    };
    let ends = [along(0.0), along(1.0)];
    let mut gradient = vec![T::zero(); p];
    let derivative = |t: f64| {
        displace(&z, t, &u, &mut point);
        gradient.fill(T::zero());
        interaction.gradient(&point, T::one(), &mut gradient);
        Computed::directional(&gradient, &u, &point)
    };
    let law = "W(z + u) - W(z) = int_0^1 <grad W(z + t u), u> dt";
    Segment::new(law, ends, 100)
        .with_scale(1.0)
        .check::<T>(derivative, at)?;

    let law = "gradient adds scale grad W(z)";
    let add = |scale: T, out: &mut [T]| interaction.gradient(&z, scale, out);
    check_accumulation(law, &mut rng, p, add, at)?;
    let law = "value_and_gradient adds scale grad W(z)";
    let add = |scale: T, out: &mut [T]| {
        interaction.value_and_gradient(&z, scale, out);
    };
    check_accumulation(law, &mut rng, p, add, at)?;
    let (mut single, mut both) = (vec![T::zero(); p], vec![T::zero(); p]);
    interaction.gradient(&z, T::one(), &mut single);
    let returned = to_f64(interaction.value_and_gradient(&z, T::one(), &mut both));
    let law = "value_and_gradient returns value";
    within(law, (returned - value).abs(), tolerance, at)?;
    for (&single, &both) in single.iter().zip(&both) {
        let (single, both) = (to_f64(single), to_f64(both));
        let law = "value_and_gradient adds gradient";
        within(
            law,
            (single - both).abs(),
            rounding::<T>() * single.abs(),
            at,
        )?;
    }

    let radial = |s: &mut [T], d: &mut [T]| interaction.radial(s, d);
    check_radial(&radial, &z, value, &single, at)?;

    let zero = vec![T::zero(); p];
    let mut out = single.clone();
    interaction.gradient(&zero, T::one(), &mut out);
    let found = || format!("{out:?} instead of {single:?}");
    require("gradient adds nothing at z = 0", out == single, found, at)?;
    let law = "is_singular is true exactly if W(0) is not finite";
    let value = interaction.value(&zero);
    let holds = value.is_finite() != interaction.is_singular();
    require(law, holds, || format!("W(0) = {value}"), at)
}

/// Checks a conditionally positive definite kernel `W(w - v)` at m points of `R^p` drawn from
/// `seed`: the laws of [`check_interaction`], and `sum_ij c_i c_j W(w_i - w_j) >= 0` for all
/// weights of sum 0.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::check_conditionally_positive;
///
/// assert_eq!(check_conditionally_positive::<f64>(&Riesz::new(1.0)?, 2, 6, 1), Ok(()));
/// # Ok::<(), ParameterError>(())
/// ```
///
/// # Errors
/// The first law that fails.
///
/// # Panics
/// If m is 0.
pub fn check_conditionally_positive<T: Real>(
    kernel: &dyn ConditionallyPositive<T>,
    p: usize,
    m: usize,
    seed: u64,
) -> Result<(), Violation> {
    assert!(m > 0, "m must be at least 1, found 0");
    check_interaction(&kernel, p, seed)?;
    let mut rng = CaseRng::new(seed);
    let points: Vec<Vec<T>> = (0..m).map(|_| rng.coordinates(p)).collect();
    let gram = DMatrix::from_fn(m, m, |i, j| {
        let z: Vec<T> = points[i]
            .iter()
            .zip(&points[j])
            .map(|(&w, &v)| w - v)
            .collect();
        to_f64(kernel.value(&z))
    });
    let size = max_abs(gram.iter().copied());
    // On vectors of sum 0, by the orthogonal projection.
    let ones = DVector::from_element(m, (m as f64).sqrt().recip());
    let projection = DMatrix::identity(m, m) - &ones * ones.transpose();
    let lowest = (&projection * gram * &projection)
        .symmetric_eigenvalues()
        .min();
    let law = "sum_ij c_i c_j W(w_i - w_j) >= 0 for weights of sum 0";
    let tolerance = rounding::<T>() * size * m as f64;
    within(law, -lowest, tolerance, || {
        format!("p = {p}, m = {m}, seed = {seed}")
    })
}
