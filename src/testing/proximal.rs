//! The laws of a proximal step, `mu+ = argmin F(mu) + W2^2(mu, mu_k) / (2 gamma)`.

use nalgebra::DMatrix;

use super::case::Case;
use super::energy::evaluate;
use super::problems::smooth_network;
use super::slope::rounding;
use super::violation::{Violation, within};
use crate::energy::{Energy, WeightDecay};
use crate::integrator::Integrator;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, real, to_f64};
use crate::state::State;

/// Checks a proximal integrator by [`check_proximal_step`], on a smooth network with weight decay drawn from `seed`, for gamma from
/// 1e-6 to 1e6.
///
/// The tolerance is `1e-4 + 10 sqrt(eps)`. Without weight decay the minimum may lie at infinity, and a step of 1e6 far out.
///
/// # Errors
/// The first law that fails; an error of a step is a violation.
pub fn check_jko<T: Real, I: Integrator<T>>(
    make: impl Fn() -> I,
    seed: u64,
) -> Result<(), Violation> {
    let case = Case {
        n: 5,
        m: 3,
        d: 2,
        k: 1,
        seed,
    };
    let mu = case.measure(3);
    for decade in (-6..=6).step_by(2) {
        let decay = WeightDecay::new(real(0.05)).unwrap_or_else(|e| unreachable!("{e}"));
        let mut energy = smooth_network(case).regularized(decay);
        let (gamma, tolerance) = (
            real::<T>(10.0_f64.powi(decade)),
            1e-4 + 10.0 * to_f64(epsilon::<T>().sqrt()),
        );
        check_proximal_step(&mut make(), &mut energy, &mu, gamma, tolerance)?;
    }
    Ok(())
}

/// Checks one proximal step of length `gamma` from `mu`. With `w_i` before and `w_i+` after:
///
/// - descent: `F(mu+) + sum_i c_i |w_i+ - w_i|^2 / (2 gamma) <= F(mu)`;
/// - stationary: `w_i+ - w_i = gamma v_i(mu+)` in `L2(mu)`, up to `tolerance` times the larger of the displacement and
///   `gamma |v(mu)|`;
/// - as gamma vanishes it is Euler's step: checked where the velocity changes by less than a thousandth.
///
/// `taken` is the gamma of these laws when the step is shorter than asked for. The identity between the particles before and
/// after need not be the optimal transport: the sum above is an upper bound of `W2^2`, so descent holds with `W2^2` too.
///
/// # Errors
/// The first law that fails; an error of the step is a violation.
pub fn check_proximal_step<T: Real>(
    integrator: &mut dyn Integrator<T>,
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    gamma: T,
    tolerance: f64,
) -> Result<(), Violation> {
    let mut state = State::new(mu.clone());
    state.evaluate(energy);
    let (before, v) = (to_f64(state.energy()), state.velocity().clone());
    let step = integrator
        .step(energy, &mut state, gamma)
        .map_err(|e| Violation {
            law: "a proximal step can be taken",
            error: f64::NAN,
            tolerance: 0.0,
            at: format!("gamma = {gamma}: {e}"),
        })?;
    let (gamma, at) = (step.taken, || format!("gamma = {}", step.taken));
    let moved = state.measure().clone();
    let (after, v_after) = evaluate(energy, &moved);

    let mut norm = |field: &DMatrix<T>| to_f64(energy.inner(mu, field, field)).sqrt();
    let path = moved.points() - mu.points();
    let (length, size) = (norm(&path), norm(moved.points()) + norm(mu.points()));
    // Points are known to rounding, and so is their displacement.
    let blur = 4.0 * to_f64(epsilon::<T>()) * size;
    let cost = length * length / (2.0 * to_f64(gamma));
    let slack = rounding::<T>() * before.abs() + (length + blur) * blur / to_f64(gamma);
    within(
        "F(mu+) + sum_i c_i |w_i+ - w_i|^2 / (2 gamma) <= F(mu)",
        after + cost - before,
        slack,
        at,
    )?;

    let (first, last) = (norm(&(&v * gamma)), norm(&(&path - &v_after * gamma)));
    let noise = rounding::<T>() * first + blur;
    within(
        "w_i+ - w_i = gamma v_i(mu+)",
        last,
        tolerance * first.max(length) + noise,
        at,
    )?;

    let change = norm(&(&v_after - &v));
    if change <= 1e-3 * norm(&v) {
        let error = norm(&(&path - &v * gamma));
        let bound = 2.0 * change * to_f64(gamma) + tolerance * first + noise;
        within(
            "w_i+ = w_i + gamma v_i(mu) as gamma vanishes",
            error,
            bound,
            at,
        )?;
    }
    Ok(())
}
