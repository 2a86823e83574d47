//! The laws of an energy.

use nalgebra::DMatrix;

use super::case::{Case, Draws};
use super::convexity::mixture;
use super::slope::{Segment, Slope, along, rounding};
use super::violation::{Violation, holds, within};
use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, real, to_f64};

mod second;
mod variation;

/// Checks an energy at a measure drawn from the case, whose m and seed are used.
///
/// - `velocity` returns `F(mu)` and does not depend on what its output held;
/// - `F(mu_1) - F(mu_0) = -int_0^1 sum_i c_i <v_i(mu_t), u_i> dt` along `w_i + t u_i`, to rounding, across any kinks: so
///   `v = -m grad G` for equal weights, and `c_i v_i = -dF/dw_i` for any;
/// - permuting particles, sharing the weight of each between clones, and adding probes of weight 0 changes nothing;
/// - `first_variation`, where there is one, is `dF(mu + e delta_w)/de`, with its descent direction, and that of the particles
///   is their velocity;
/// - `curvature`, where there is one, is symmetric and positive semidefinite in `inner`;
/// - `inner(u, v) = sum_i c_i <u_i, v_i>`;
/// - a boxed energy equals the energy, bit for bit.
///
/// ```
/// use wasserflow::testing::{Case, check_energy};
/// use wasserflow::prelude::*;
///
/// let mut f = PotentialEnergy::new(WeightDecay::new(0.1)?, 3);
/// assert_eq!(check_energy::<f64>(&mut f, Case { n: 1, m: 5, d: 3, k: 1, seed: 1 }), Ok(()));
/// # Ok::<(), wasserflow::prelude::ParameterError>(())
/// ```
///
/// # Errors
/// The first law that fails.
pub fn check_energy<T: Real>(energy: &mut dyn Energy<T>, case: Case) -> Result<(), Violation> {
    let mu = case.measure::<T>(energy.particle_dim());
    let mut draws = case.draws(14);
    let at = || format!("{case:?}");

    let (value, velocity) = evaluate(energy, &mu);
    let scale = natural_scale(energy, &mu);
    let error = (to_f64(energy.value(&mu)) - value).abs();
    within("velocity returns F(mu)", error, rounding::<T>() * scale, at)?;
    let finite = value.is_finite() && velocity.iter().all(|v| v.is_finite());
    holds("F(mu) and its velocities are numbers", finite, at)?;

    slope(energy, &mu, scale, &mut draws, at)?;
    let mut other = draws.clone();
    generic(&mu, &mut draws, |mu| {
        invariance(energy, mu, &mut other.clone(), at)
    })?;
    generic(&mu, &mut other, |mu| variation::velocities(energy, mu, at))?;
    variation::check(energy, &mu, scale, &mut draws, at)?;
    second::check(energy, &mu, &mut draws, at)?;
    boxed(energy, &mu, at)
}

/// `F(mu)` and the velocities, written over NaN.
pub(super) fn evaluate<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
) -> (f64, DMatrix<T>) {
    let mut out = DMatrix::from_element(mu.dim(), mu.len(), real(f64::NAN));
    (to_f64(energy.velocity(mu, &mut out)), out)
}

/// The size of the numbers that F is made of, as it shows in `F(mu)`, `F(0 mu)` and `F(2 mu)`.
///
/// A discrepancy is a difference of larger numbers: near 0 it is known to epsilon times those.
pub(super) fn natural_scale<T: Real>(energy: &mut dyn Energy<T>, mu: &EmpiricalMeasure<T>) -> f64 {
    let sizes = [0.0, 1.0, 2.0].map(|s| to_f64(energy.value(&scaled(mu, s))).abs());
    sizes.iter().filter(|size| size.is_finite()).sum()
}

/// The measure with its weights multiplied by `s`.
pub(super) fn scaled<T: Real>(mu: &EmpiricalMeasure<T>, s: f64) -> EmpiricalMeasure<T> {
    let mut scaled = mu.clone();
    scaled.weights_mut().iter_mut().for_each(|c| *c *= real(s));
    scaled
}

/// Tries a law at `mu` and, where it fails, at two measures at a relative distance of `sqrt(eps)`: it must fail at all.
///
/// A kink that rounding can cross is a few epsilon wide. A law that is wrong is wrong nearby, too.
pub(super) fn generic<T: Real>(
    mu: &EmpiricalMeasure<T>,
    draws: &mut Draws,
    mut law: impl FnMut(&EmpiricalMeasure<T>) -> Result<(), Violation>,
) -> Result<(), Violation> {
    let mut verdict = law(mu);
    for _ in 0..2 {
        if verdict.is_err() {
            let mut nearby = mu.clone();
            for w in nearby.points_mut() {
                *w += epsilon::<T>().sqrt() * draws.uniform(-1.0, 1.0);
            }
            verdict = law(&nearby);
        }
    }
    verdict
}

/// `F(mu_1) - F(mu_0) = -int_0^1 sum_i c_i <v_i(mu_t), u_i> dt`.
fn slope<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    scale: f64,
    draws: &mut Draws,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let u: Vec<T> = draws
        .direction(mu.points().len())
        .into_iter()
        .map(|u: T| u * real(0.25))
        .collect();
    let mut moved = mu.clone();
    let mut value = |t: f64| {
        along(mu.points().as_slice(), t, &u, moved.points_mut());
        to_f64(energy.value(&moved))
    };
    let ends = [value(0.0), value(1.0)];
    let slope = |t: f64| {
        along(mu.points().as_slice(), t, &u, moved.points_mut());
        let (_, mut gradient) = evaluate(energy, &moved);
        for (mut v, &c) in gradient.column_iter_mut().zip(mu.weights()) {
            v *= -c;
        }
        Slope::new(gradient.as_slice(), &u, moved.points().as_slice())
    };
    let law = "F(mu_1) - F(mu_0) = -int_0^1 sum_i c_i <v_i(mu_t), u_i> dt";
    Segment {
        law,
        ends,
        scale,
        bisections: 12,
    }
    .check::<T>(slope, at)
}

/// Clones, probes and permutations.
fn invariance<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    draws: &mut Draws,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let m = mu.len();
    let (value, v) = evaluate(energy, mu);
    let scale = natural_scale(energy, mu);
    let size = velocity_scale(energy, mu);

    let mut order: Vec<usize> = (0..m).collect();
    for i in (1..m).rev() {
        order.swap(i, draws.index(i + 1));
    }
    let mut permuted = mu.clone();
    for (i, &from) in order.iter().enumerate() {
        permuted.points_mut()[i * mu.dim()..(i + 1) * mu.dim()].copy_from_slice(mu.particle(from));
        permuted.weights_mut()[i] = mu.weight(from);
    }
    let share = [0.0, 0.25, 0.5][draws.index(3)];
    let clones = mixture(mu, 1.0 - share, mu, share);
    let probes = mixture(mu, 1.0, mu, 0.0);
    let twice: Vec<usize> = (0..m).chain(0..m).collect();
    for (law, other, from) in [
        ("permuting particles changes nothing", permuted, &order),
        (
            "cloning particles, with their weights shared, changes nothing",
            clones,
            &twice,
        ),
        (
            "a probe of weight 0 moves as the particle beside it and does not act",
            probes,
            &twice,
        ),
    ] {
        let (found, moved) = evaluate(energy, &other);
        within(law, (found - value).abs(), rounding::<T>() * scale, || {
            format!("F, {}", at())
        })?;
        for (i, &from) in from.iter().enumerate() {
            let error = (moved.column(i) - v.column(from)).amax();
            within(law, to_f64(error), rounding::<T>() * size, || {
                format!("particle {i}, {}", at())
            })?;
        }
    }
    Ok(())
}

/// The size of the numbers that the velocities are made of, as [`natural_scale`].
pub(super) fn velocity_scale<T: Real>(energy: &mut dyn Energy<T>, mu: &EmpiricalMeasure<T>) -> f64 {
    let sizes = [0.0, 1.0, 2.0].map(|s| to_f64(evaluate(energy, &scaled(mu, s)).1.amax()));
    sizes.iter().filter(|size| size.is_finite()).sum()
}

/// A box forwards every method.
fn boxed<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let plain = everything(energy, mu);
    let mut boxed: Box<dyn Energy<T> + '_> = Box::new(energy);
    holds(
        "a boxed energy is the same bits",
        everything(&mut boxed, mu) == plain,
        at,
    )
}

/// All that an energy says at a measure. Needs finite numbers.
fn everything<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
) -> Vec<Option<Vec<T>>> {
    let (value, v) = evaluate(energy, mu);
    let (mut values, mut descent) = (vec![T::zero(); mu.len()], v.clone());
    let varied = energy.first_variation(mu, mu.points(), &mut values, &mut descent);
    let mut bent = v.clone();
    let curved = energy.curvature(mu, &v, &mut bent);
    vec![
        Some(vec![
            real(energy.particle_dim() as f64),
            real(value),
            energy.value(mu),
            energy.inner(mu, &v, mu.points()),
        ]),
        Some(v.as_slice().to_vec()),
        varied.map(|value| [&[value], values.as_slice(), descent.as_slice()].concat()),
        curved.map(|()| bent.as_slice().to_vec()),
    ]
}
