//! The laws of a proximal step, `mu+ = argmin F(mu) + W2^2(mu, mu_k) / (2 gamma)`.

use super::energy::evaluate;
use super::slope::rounding;
use super::violation::{Violation, within};
use crate::energy::Energy;
use crate::integrator::Integrator;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, to_f64};
use crate::state::State;

/// Checks one proximal step of length `gamma` from `mu`. With `w_i` before and `w_i+` after:
///
/// - descent: `F(mu+) + sum_i c_i |w_i+ - w_i|^2 / (2 gamma) <= F(mu)`;
/// - stationary: `w_i+ - w_i = gamma v_i(mu+)` in `L2(mu)`, up to `tolerance` times the first displacement `gamma |v(mu)|`
///   (or the displacement itself, where that is larger);
/// - as gamma vanishes it is Euler's step: checked where `gamma |v|` moves the velocity by less than a thousandth.
///
/// `taken` is the gamma of these laws when the step is shorter than asked for.
///
/// # Errors
/// The first law that fails; an error of the step is a violation.
pub fn check_jko<T: Real>(
    integrator: &mut dyn Integrator<T>,
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    gamma: T,
    tolerance: f64,
) -> Result<(), Violation> {
    let mut state = State::new(mu.clone());
    state.evaluate(energy);
    let (before, v) = (to_f64(state.energy()), state.velocity().clone());
    let step = integrator.step(energy, &mut state, gamma).map_err(|e| Violation {
        law: "a proximal step can be taken",
        error: f64::NAN,
        tolerance: 0.0,
        at: format!("gamma = {gamma}: {e}"),
    })?;
    let (gamma, at) = (step.taken, || format!("gamma = {}", step.taken));
    let moved = state.measure().clone();
    let (after, v_after) = evaluate(energy, &moved);

    let mut norm = |field: &nalgebra::DMatrix<T>| to_f64(energy.inner(mu, field, field)).sqrt();
    let path = moved.points() - mu.points();
    let (length, size) = (norm(&path), norm(moved.points()));
    // Points are known to rounding, and so is their displacement.
    let blur = 4.0 * to_f64(epsilon::<T>()) * size;
    let cost = length * length / (2.0 * to_f64(gamma));
    let slack = rounding::<T>() * before.abs() + length * blur / to_f64(gamma);
    within("F(mu+) + sum_i c_i |w_i+ - w_i|^2 / (2 gamma) <= F(mu)", after + cost - before, slack, at)?;

    let (first, last) = (norm(&(&v * gamma)), norm(&(&path - &v_after * gamma)));
    let law = "w_i+ - w_i = gamma v_i(mu+)";
    let noise = rounding::<T>() * to_f64(gamma) * norm(&v_after);
    within(law, last, tolerance * first.max(length) + noise + blur, at)?;

    let change = norm(&(&v_after - &v));
    if change <= 1e-3 * norm(&v) {
        let error = norm(&(&path - &v * gamma));
        let tolerance = (2.0 * change * to_f64(gamma)).max(tolerance * first) + blur;
        within("w_i+ = w_i + gamma v_i(mu) as gamma vanishes", error, tolerance, at)?;
    }
    Ok(())
}
