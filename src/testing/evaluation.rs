//! Evaluations of an energy with the scales of their rounding errors, and modified measures.

use nalgebra::{DMatrix, DVector};

use super::case::CaseRng;
use super::violation::Violation;
use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, real, to_f64};

/// `F(mu)` and the velocities; the output is filled with NaN before.
pub(super) fn evaluate<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
) -> (f64, DMatrix<T>) {
    let mut out = nan_matrix(mu.dim(), mu.len());
    (to_f64(energy.velocity(mu, &mut out)), out)
}

/// A matrix filled with NaN, to detect entries that are not written.
pub(super) fn nan_matrix<T: Real>(rows: usize, columns: usize) -> DMatrix<T> {
    DMatrix::from_element(rows, columns, real(f64::NAN))
}

/// The scale of the rounding error of `F(mu)`: `|F(0)| + |F(mu)| + |F(2 mu)|`.
///
/// A value can be a difference of larger numbers: a discrepancy near 0 is accurate to epsilon times
/// these. They do not cancel in all three values.
pub(super) fn value_scale<T: Real>(energy: &mut dyn Energy<T>, mu: &EmpiricalMeasure<T>) -> f64 {
    scale(mu, |mu| to_f64(energy.value(mu)).abs())
}

/// The scale of the rounding error of the velocities, as [`value_scale`].
pub(super) fn velocity_scale<T: Real>(energy: &mut dyn Energy<T>, mu: &EmpiricalMeasure<T>) -> f64 {
    scale(mu, |mu| to_f64(evaluate(energy, mu).1.amax()))
}

/// The sum of a size at `0`, `mu` and `2 mu`, without those that overflow.
fn scale<T: Real>(
    mu: &EmpiricalMeasure<T>,
    mut size: impl FnMut(&EmpiricalMeasure<T>) -> f64,
) -> f64 {
    let sizes = [0.0, 1.0, 2.0].map(|s| size(&scaled(mu, s)));
    sizes.iter().filter(|size| size.is_finite()).sum()
}

/// `s mu`: the weights are multiplied by `s`.
pub(super) fn scaled<T: Real>(mu: &EmpiricalMeasure<T>, s: f64) -> EmpiricalMeasure<T> {
    let mut scaled = mu.clone();
    scaled.weights_mut().iter_mut().for_each(|c| *c *= real(s));
    scaled
}

/// `s mu + t nu`: the particles of both.
pub(super) fn mixture<T: Real>(
    mu: &EmpiricalMeasure<T>,
    s: f64,
    nu: &EmpiricalMeasure<T>,
    t: f64,
) -> EmpiricalMeasure<T> {
    let (mu, nu) = (scaled(mu, s), scaled(nu, t));
    let points = [mu.points().as_slice(), nu.points().as_slice()].concat();
    let weights = [mu.weights(), nu.weights()].concat();
    measure(mu.dim(), points, weights)
}

/// The measure with points `p x m`, column by column, and m weights.
pub(super) fn measure<T: Real>(p: usize, points: Vec<T>, weights: Vec<T>) -> EmpiricalMeasure<T> {
    let points = DMatrix::from_vec(p, weights.len(), points);
    EmpiricalMeasure::weighted(points, DVector::from_vec(weights))
        .unwrap_or_else(|e| unreachable!("{e}"))
}

/// Checks a law at `mu`; a failure must be confirmed at two measures at a relative distance of
/// `sqrt(eps)`.
///
/// Rounding can decide on which side of a kink a preactivation lies, and a correct method may then
/// use either one-sided derivative. Such points are a few epsilon wide. A method that is wrong
/// fails nearby as well.
pub(super) fn confirm_nearby<T: Real>(
    mu: &EmpiricalMeasure<T>,
    rng: &mut CaseRng,
    mut law: impl FnMut(&EmpiricalMeasure<T>) -> Result<(), Violation>,
) -> Result<(), Violation> {
    let mut result = law(mu);
    for _ in 0..2 {
        if result.is_err() {
            let mut nearby = mu.clone();
            for w in nearby.points_mut() {
                *w += epsilon::<T>().sqrt() * rng.uniform(-1.0, 1.0);
            }
            result = law(&nearby);
        }
    }
    result
}
