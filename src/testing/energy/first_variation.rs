//! The first variation of an energy.

use nalgebra::DMatrix;

use super::Displaced;
use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, real, to_f64};
use crate::testing::case::CaseRng;
use crate::testing::derivative::{Segment, displace};
use crate::testing::evaluation::{evaluate, measure, nan_matrix, velocity_scale};
use crate::testing::rounding::{Computed, rounding};
use crate::testing::violation::{Violation, within};

/// The results of `first_variation`.
struct Variation<T: Real> {
    /// `F(mu)`.
    energy: f64,
    /// `F'(mu)(w_i)`.
    values: Vec<f64>,
    /// `-grad F'(mu)(w_i)`.
    descent: DMatrix<T>,
}

impl<T: Real> Variation<T> {
    /// Evaluates at the points `at` (`p x q`), with outputs filled with NaN before; `None` if the
    /// energy does not implement its first variation.
    fn new(energy: &mut dyn Energy<T>, mu: &EmpiricalMeasure<T>, at: &DMatrix<T>) -> Option<Self> {
        let mut values = vec![real(f64::NAN); at.ncols()];
        let mut descent = nan_matrix(at.nrows(), at.ncols());
        let energy = energy.first_variation(mu, at, &mut values, &mut descent)?;
        let values = values.into_iter().map(to_f64).collect();
        Some(Self {
            energy: to_f64(energy),
            values,
            descent,
        })
    }
}

/// `F'(mu)(w)` at one point `w` (`p x 1`); NaN if the first variation is missing there.
fn value_at<T: Real>(energy: &mut dyn Energy<T>, mu: &EmpiricalMeasure<T>, w: &DMatrix<T>) -> f64 {
    Variation::new(energy, mu, w).map_or(f64::NAN, |variation| variation.values[0])
}

/// Checks that the descent direction of the first variation at the particles is their velocity.
pub(super) fn check_velocities<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let Some(variation) = Variation::new(energy, mu, mu.points()) else {
        return Ok(());
    };
    let (_, v) = evaluate(energy, mu);
    let error = to_f64((variation.descent - v).amax());
    let tolerance = rounding::<T>() * velocity_scale(energy, mu);
    within("v_i = -grad_w F'(mu)(w_i)", error, tolerance, at)
}

/// Checks the values of the first variation, by adding mass at a point and by moving the point.
pub(super) fn check<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    displaced: &Displaced,
    scale: f64,
    rng: &mut CaseRng,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    const POINTS: usize = 3;
    let (p, m) = mu.points().shape();
    let points: DMatrix<T> = rng.matrix(p, POINTS);
    let Some(variation) = Variation::new(energy, mu, &points) else {
        return Ok(());
    };
    let error = (variation.energy - to_f64(energy.value(mu))).abs();
    let law = "first_variation returns F(mu)";
    within(law, error, rounding::<T>() * scale, &at)?;

    // One of the points separately.
    let chosen = rng.index(POINTS);
    let w = points.column(chosen).into_owned();
    let mut point = DMatrix::from_column_slice(p, 1, w.as_slice());
    let start = value_at(energy, mu, &point);
    let size = variation
        .values
        .iter()
        .fold(scale, |max, value| max.max(value.abs()));
    let law = "F'(mu)(w) does not depend on the other points";
    let error = (start - variation.values[chosen]).abs();
    within(law, error, rounding::<T>() * size, &at)?;

    // F(mu + e delta_w) - F(mu) = int_0^e F'(mu + s delta_w)(w) ds, with e = 1/4.
    let mass = 0.25;
    let extended = [mu.points().as_slice(), w.as_slice()].concat();
    let mut heavier = measure(p, extended, [mu.weights(), &[T::zero()]].concat());
    let before = to_f64(energy.value(&heavier));
    heavier.weights_mut()[m] = real(mass);
    let ends = [before, to_f64(energy.value(&heavier))];
    let derivative = |t: f64| {
        heavier.weights_mut()[m] = real(mass * t);
        Computed::sum([mass * value_at(energy, &heavier, &point)])
    };
    let law = "F(mu + e delta_w) - F(mu) = int_0^e F'(mu + s delta_w)(w) ds";
    Segment::new(law, ends, 12)
        .with_scale(scale + size)
        .check::<T>(derivative, &at)?;

    // F'(mu)(w + u) - F'(mu)(w) = int_0^1 <grad F'(mu)(w + t u), u> dt.
    let u: Vec<T> = displaced.direction(rng, p);
    displace(w.as_slice(), 1.0, &u, point.as_mut_slice());
    let ends = [start, value_at(energy, mu, &point)];
    let derivative = |t: f64| {
        displace(w.as_slice(), t, &u, point.as_mut_slice());
        let gradient = Variation::new(energy, mu, &point)
            .map_or(DMatrix::zeros(p, 1), |variation| -variation.descent);
        Computed::directional(gradient.as_slice(), &u, point.as_slice())
    };
    let law = "F'(mu)(w + u) - F'(mu)(w) = int_0^1 <grad F'(mu)(w + t u), u> dt";
    Segment::new(law, ends, 20)
        .with_scale(size)
        .check::<T>(derivative, &at)
}
