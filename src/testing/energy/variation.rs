//! The first variation of an energy.

use nalgebra::{DMatrix, DVector};

use super::super::case::Draws;
use super::super::slope::{Segment, Slope, along, rounding};
use super::super::violation::{Violation, within};
use super::{evaluate, velocity_scale};
use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, real, to_f64};

/// `(F(mu), F'(mu)(w_i), -grad F'(mu)(w_i))`, written over NaN; `None` where the energy does not say.
fn vary<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    at: &DMatrix<T>,
) -> Option<(f64, Vec<f64>, DMatrix<T>)> {
    let mut values = vec![real(f64::NAN); at.ncols()];
    let mut descent = DMatrix::from_element(at.nrows(), at.ncols(), real(f64::NAN));
    let value = energy.first_variation(mu, at, &mut values, &mut descent)?;
    Some((
        to_f64(value),
        values.into_iter().map(to_f64).collect(),
        descent,
    ))
}

/// The descent direction of the first variation at the particles is their velocity.
pub(super) fn velocities<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let Some((_, _, descent)) = vary(energy, mu, mu.points()) else {
        return Ok(());
    };
    let (_, v) = evaluate(energy, mu);
    let error = to_f64((descent - v).amax());
    within(
        "v_i = -grad_w F'(mu)(w_i)",
        error,
        rounding::<T>() * velocity_scale(energy, mu),
        at,
    )
}

/// The values of the first variation, by the mass of a new particle and along a path of it.
pub(super) fn check<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    scale: f64,
    draws: &mut Draws,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    const POINTS: usize = 3;
    let (p, m) = mu.points().shape();
    let points: DMatrix<T> = draws.matrix(p, POINTS);
    let Some((value, values, _)) = vary(energy, mu, &points) else {
        return Ok(());
    };
    let error = (value - to_f64(energy.value(mu))).abs();
    within(
        "first_variation returns F(mu)",
        error,
        rounding::<T>() * scale,
        &at,
    )?;

    // Of the points given, one at a time must give the same.
    let chosen = draws.index(POINTS);
    let w = points.column(chosen).into_owned();
    let mut alone = DMatrix::from_column_slice(p, 1, w.as_slice());
    let first = vary(energy, mu, &alone).map_or(f64::NAN, |(_, values, _)| values[0]);
    let size = values.iter().fold(scale, |max, value| max.max(value.abs()));
    let law = "F'(mu)(w) does not depend on the points beside w";
    within(
        law,
        (first - values[chosen]).abs(),
        rounding::<T>() * size,
        &at,
    )?;

    // F(mu + e delta_w) - F(mu) = int_0^e F'(mu + s delta_w)(w) ds, with e = 1/4.
    let mass = 0.25;
    let extended = DMatrix::from_fn(
        p,
        m + 1,
        |c, i| if i < m { mu.points()[(c, i)] } else { w[c] },
    );
    let weights = DVector::from_fn(m + 1, |i, _| if i < m { mu.weight(i) } else { T::zero() });
    let mut heavier =
        EmpiricalMeasure::weighted(extended, weights).unwrap_or_else(|e| unreachable!("{e}"));
    let start = to_f64(energy.value(&heavier));
    heavier.weights_mut()[m] = real(mass);
    let ends = [start, to_f64(energy.value(&heavier))];
    let slope = |t: f64| {
        heavier.weights_mut()[m] = real(mass * t);
        let value =
            vary(energy, &heavier, &alone).map_or(f64::NAN, |(_, values, _)| mass * values[0]);
        Slope {
            value,
            scale: value.abs(),
        }
    };
    let law = "F(mu + e delta_w) - F(mu) = int_0^e F'(mu + s delta_w)(w) ds";
    Segment {
        law,
        ends,
        scale: scale + size,
        bisections: 12,
    }
    .check::<T>(slope, &at)?;

    // F'(mu)(w + u) - F'(mu)(w) = -int_0^1 <-grad F'(mu)(w + t u), u> dt.
    let u: Vec<T> = draws.direction(p);
    along(w.as_slice(), 1.0, &u, alone.as_mut_slice());
    let last = vary(energy, mu, &alone).map_or(f64::NAN, |(_, values, _)| values[0]);
    let slope = |t: f64| {
        along(w.as_slice(), t, &u, alone.as_mut_slice());
        let gradient =
            vary(energy, mu, &alone).map_or(DMatrix::zeros(p, 1), |(_, _, descent)| -descent);
        Slope::new(gradient.as_slice(), &u, alone.as_slice())
    };
    let law = "F'(mu)(w + u) - F'(mu)(w) = int_0^1 <grad F'(mu)(w + t u), u> dt";
    Segment {
        law,
        ends: [first, last],
        scale: size,
        bisections: 20,
    }
    .check::<T>(slope, &at)
}
