//! Convexity of an energy along mixtures of measures.

use nalgebra::{DMatrix, DVector};

use super::case::Case;
use super::energy::natural_scale;
use super::slope::rounding;
use super::violation::{Violation, within};
use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, real, to_f64};

/// Checks that an energy is convex in the measure, on two measures drawn from the case.
///
/// - `F((1-t) mu + t nu) <= (1-t) F(mu) + t F(nu)`, the mixture of the measures, not of their particles;
/// - `F(nu) >= F(mu) + int F'(mu) d(nu - mu)`, where the energy has a first variation.
///
/// ```
/// use wasserflow::testing::{Case, check_convexity};
/// use wasserflow::prelude::*;
///
/// let mut f = PotentialEnergy::new(WeightDecay::new(0.1)?, 3);
/// assert_eq!(check_convexity::<f64>(&mut f, Case { n: 1, m: 5, d: 3, k: 1, seed: 1 }), Ok(()));
/// # Ok::<(), wasserflow::prelude::ParameterError>(())
/// ```
///
/// # Errors
/// The first law that fails.
pub fn check_convexity<T: Real>(energy: &mut dyn Energy<T>, case: Case) -> Result<(), Violation> {
    let p = energy.particle_dim();
    let mut draws = case.draws(13);
    let (mu, nu) = (
        draws.measure::<T>(p, case.m),
        draws.measure::<T>(p, case.m.div_ceil(2)),
    );
    let at = |t: f64| move || format!("t = {t}, {case:?}");
    let (start, end) = (to_f64(energy.value(&mu)), to_f64(energy.value(&nu)));
    let scale = natural_scale(energy, &mu) + natural_scale(energy, &nu);
    for t in [0.0625, 0.25, 0.5, 0.75, 0.9375] {
        let between = to_f64(energy.value(&mixture(&mu, 1.0 - t, &nu, t)));
        let law = "F((1-t) mu + t nu) <= (1-t) F(mu) + t F(nu)";
        within(
            law,
            between - (1.0 - t) * start - t * end,
            rounding::<T>() * scale,
            at(t),
        )?;
    }

    let (Some((here, scale_here)), Some((there, scale_there))) =
        (integrate(energy, &mu, &mu), integrate(energy, &mu, &nu))
    else {
        return Ok(());
    };
    let tolerance = rounding::<T>() * (scale + scale_here + scale_there);
    within(
        "F(nu) >= F(mu) + int F'(mu) d(nu - mu)",
        start + there - here - end,
        tolerance,
        at(1.0),
    )
}

/// `s mu + t nu`: the particles of both.
pub(super) fn mixture<T: Real>(
    mu: &EmpiricalMeasure<T>,
    s: f64,
    nu: &EmpiricalMeasure<T>,
    t: f64,
) -> EmpiricalMeasure<T> {
    let (m, total) = (mu.len(), mu.len() + nu.len());
    let points = DMatrix::from_fn(mu.dim(), total, |c, i| {
        if i < m {
            mu.points()[(c, i)]
        } else {
            nu.points()[(c, i - m)]
        }
    });
    let weight = |i: usize| {
        if i < m {
            real::<T>(s) * mu.weight(i)
        } else {
            real::<T>(t) * nu.weight(i - m)
        }
    };
    let mixture = EmpiricalMeasure::weighted(points, DVector::from_fn(total, |i, _| weight(i)));
    mixture.unwrap_or_else(|e| unreachable!("{e}"))
}

/// `int F'(mu) dnu`, and the sum of the absolute values of its terms.
fn integrate<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    nu: &EmpiricalMeasure<T>,
) -> Option<(f64, f64)> {
    let mut values = vec![T::zero(); nu.len()];
    let mut descent = DMatrix::zeros(nu.dim(), nu.len());
    energy.first_variation(mu, nu.points(), &mut values, &mut descent)?;
    let terms = values
        .iter()
        .zip(nu.weights())
        .map(|(&value, &c)| to_f64(c) * to_f64(value));
    Some(terms.fold((0.0, 0.0), |(sum, scale), x| (sum + x, scale + x.abs())))
}
