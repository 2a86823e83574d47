//! Convexity of an energy along mixtures of measures.

use nalgebra::DMatrix;

use super::case::Case;
use super::evaluation::{mixture, value_scale};
use super::rounding::{Computed, rounding};
use super::violation::{Violation, within};
use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, to_f64};

/// Checks that an energy is convex in the measure, for two measures drawn from the case.
///
/// - `F((1-t) mu + t nu) <= (1-t) F(mu) + t F(nu)` for mixtures of the measures, not of their
///   particles;
/// - `F(nu) >= F(mu) + int F'(mu) d(nu - mu)`, if the energy implements its first variation.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::{Case, check_convexity};
///
/// let mut f = PotentialEnergy::new(WeightDecay::new(0.1)?, 3);
/// assert_eq!(check_convexity::<f64>(&mut f, Case { n: 1, m: 5, d: 3, k: 1, seed: 1 }), Ok(()));
/// # Ok::<(), wasserflow::prelude::ParameterError>(())
/// ```
///
/// # Errors
/// The first law that fails.
///
/// # Panics
/// If a size of the case is 0.
pub fn check_convexity<T: Real>(energy: &mut dyn Energy<T>, case: Case) -> Result<(), Violation> {
    case.assert_sizes();
    let (p, mut rng) = (energy.particle_dim(), case.rng(13));
    let mu = rng.measure::<T>(p, case.m);
    let nu = rng.measure::<T>(p, case.m.div_ceil(2));
    let at = |t: f64| move || format!("t = {t}, {case:?}");
    let (f_mu, f_nu) = (to_f64(energy.value(&mu)), to_f64(energy.value(&nu)));
    let scale = value_scale(energy, &mu) + value_scale(energy, &nu);
    for t in [0.0625, 0.25, 0.5, 0.75, 0.9375] {
        let law = "F((1-t) mu + t nu) <= (1-t) F(mu) + t F(nu)";
        let value = to_f64(energy.value(&mixture(&mu, 1.0 - t, &nu, t)));
        let excess = value - (1.0 - t) * f_mu - t * f_nu;
        within(law, excess, rounding::<T>() * scale, at(t))?;
    }

    let Some(over_mu) = integrate_variation(energy, &mu, &mu) else {
        return Ok(());
    };
    let Some(over_nu) = integrate_variation(energy, &mu, &nu) else {
        return Ok(());
    };
    let law = "F(nu) >= F(mu) + int F'(mu) d(nu - mu)";
    let excess = f_mu + over_nu.value - over_mu.value - f_nu;
    let tolerance = rounding::<T>() * (scale + over_mu.scale + over_nu.scale);
    within(law, excess, tolerance, at(1.0))
}

/// `int F'(mu) dnu`.
fn integrate_variation<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    nu: &EmpiricalMeasure<T>,
) -> Option<Computed> {
    let mut values = vec![T::zero(); nu.len()];
    let mut descent = DMatrix::zeros(nu.dim(), nu.len());
    energy.first_variation(mu, nu.points(), &mut values, &mut descent)?;
    let terms = values.iter().zip(nu.weights());
    Some(Computed::sum(
        terms.map(|(&value, &c)| to_f64(c) * to_f64(value)),
    ))
}
