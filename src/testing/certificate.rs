//! Certificates against other measures and against the first variation.

use nalgebra::{DMatrix, DVector};

use super::case::Case;
use super::evaluation::value_scale;
use super::rounding::rounding;
use super::violation::{Violation, require, within};
use crate::measure::EmpiricalMeasure;
use crate::optimality::{Certifiable, Certificate, Search};
use crate::real::{Real, real, to_f64};

/// Directions at which the first variation is compared with the bounds.
const DIRECTIONS: usize = 64;

/// Checks the certificate of an energy at a measure drawn from the case.
///
/// - `F(mu) <= energy()`, and `optimistic_gap() <= gap()`;
/// - `F(mu) - F(nu) <= gap()` for other measures: 0, multiples of `mu`, random ones, and `mu` with
///   more particles along the escape direction;
/// - `lower <= upper` for the bounds of `max |g|`, and `-F'(mu)(w) <= (upper - threshold)_+ s(w)`
///   with `s(w) = max(|w|, |w|^2 / 2)`, at random particles and at the escape direction;
/// - `F'(mu)(w) < 0` at the escape direction, up to rounding;
/// - a second certificate of the same [`Search`] has bounds of the same maximum.
///
/// The third law is that of networks `a sigma(b.x)` with weight decay, and of neurons `(b.x)_+`.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::{Case, check_certificate};
///
/// let case = Case { n: 6, m: 3, d: 2, k: 1, seed: 4 };
/// let risk = EmpiricalRisk::with_outputs(Square, case.inputs(), case.targets())?;
/// let energy = MeanFieldRisk::new(Ridge::new(Relu, 2), risk)?;
/// let mut energy = energy.regularized(WeightDecay::new(0.1)?);
/// assert_eq!(check_certificate::<f64, _>(&mut energy, case), Ok(()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The first law that fails.
///
/// # Panics
/// If a size of the case is 0.
pub fn check_certificate<T: Real, E: Certifiable<T>>(
    energy: &mut E,
    case: Case,
) -> Result<(), Violation> {
    case.assert_sizes();
    let (p, mut rng) = (energy.particle_dim(), case.rng(31));
    let mu = rng.measure::<T>(p, case.m);
    let at = || format!("{case:?}");
    let mut search = Search::new();
    let first = search.certify(energy, &mu);
    let second = search.certify(energy, &mu);

    let value = to_f64(energy.value(&mu));
    let scale = value_scale(energy, &mu);
    let mut others = vec![mu.clone()];
    for factor in [0.0, 0.5, 2.0] {
        let mut other = mu.clone();
        let weights = other.weights_mut().iter_mut();
        weights.for_each(|c| *c *= real(factor));
        others.push(other);
    }
    others.extend((0..3).map(|_| rng.measure::<T>(p, case.m)));
    if let Some(w) = first.escape() {
        for size in [1e-3, 0.1, 1.0] {
            others.extend(with_particle(&mu, w, real(size)));
        }
    }
    let directions: DMatrix<T> = rng.matrix(p, DIRECTIONS);
    for certificate in [&first, &second] {
        let excess = value - to_f64(certificate.energy());
        within("F(mu) <= energy()", excess, rounding::<T>() * scale, at)?;
        let (gap, optimistic) = (certificate.gap(), certificate.optimistic_gap());
        let found = || format!("{optimistic:?} > {gap:?}");
        require("optimistic_gap() <= gap()", optimistic <= gap, found, at)?;
        for nu in &others {
            let difference = value - to_f64(energy.value(nu));
            let tolerance = rounding::<T>() * (scale + value_scale(energy, nu));
            let excess = difference - to_f64(gap);
            within("F(mu) - F(nu) <= gap()", excess.max(-1.0), tolerance, at)?;
        }
        check_bounds(energy, &mu, certificate, &directions, at)?;
    }
    let (Some((lower, _)), Some((_, upper))) = (first.maximum_bounds(), second.maximum_bounds())
    else {
        return Ok(());
    };
    let found = || format!("{lower:?} > {upper:?}");
    require("bounds of one maximum", lower <= upper, found, at)
}

/// `mu` with one more particle; `None` if `w` is not finite.
fn with_particle<T: Real>(
    mu: &EmpiricalMeasure<T>,
    w: &[T],
    weight: T,
) -> Option<EmpiricalMeasure<T>> {
    let m = mu.len();
    let mut points = mu.points().clone().insert_column(m, T::zero());
    points.column_mut(m).copy_from_slice(w);
    let weights = mu.weights().iter().copied().chain([weight]);
    EmpiricalMeasure::weighted(points, DVector::from_iterator(m + 1, weights)).ok()
}

/// The bounds of the maximum against the first variation.
fn check_bounds<T: Real, E: Certifiable<T>>(
    energy: &mut E,
    mu: &EmpiricalMeasure<T>,
    certificate: &Certificate<T>,
    directions: &DMatrix<T>,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let Some((lower, upper)) = certificate.maximum_bounds() else {
        return Ok(());
    };
    let found = || format!("{lower:?} > {upper:?}");
    require("lower <= upper", lower <= upper, found, &at)?;
    let (upper, threshold) = (to_f64(upper), to_f64(certificate.threshold()));
    let mut values = vec![T::zero(); directions.ncols()];
    let mut descent = directions.clone();
    let variation = energy.first_variation(mu, directions, &mut values, &mut descent);
    if variation.is_none() {
        return Ok(());
    }
    let scale = value_scale(energy, mu);
    for (w, &value) in directions.column_iter().zip(&values) {
        let length = to_f64(w.norm());
        let size = length.max(0.5 * length * length);
        let excess = -to_f64(value) - (upper - threshold).max(0.0) * size;
        let tolerance = rounding::<T>() * (scale + upper + threshold) * (1.0 + size);
        within(
            "-F'(mu)(w) <= (upper - threshold) s(w)",
            excess,
            tolerance,
            &at,
        )?;
    }
    if let Some(w) = certificate.escape() {
        let w = DMatrix::from_column_slice(w.len(), 1, w);
        let mut descent = w.clone();
        energy.first_variation(mu, &w, &mut values[..1], &mut descent);
        let value = to_f64(values[0]);
        let tolerance = rounding::<T>() * (scale + upper + threshold);
        within("F'(mu)(escape) < 0", value, tolerance, &at)?;
        let excess = -value - (upper - threshold);
        within("|g(escape)| <= upper", excess, tolerance, &at)?;
    }
    Ok(())
}
