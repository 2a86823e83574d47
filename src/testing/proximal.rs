//! The laws of a proximal step, `mu+ = argmin_nu F(nu) + W2^2(mu, nu) / (2 gamma)`.

use nalgebra::DMatrix;

use super::case::Case;
use super::evaluation::evaluate;
use super::problems::smooth_network;
use super::ranks::{Dealing, Rank, on_every_rank};
use super::rounding::rounding;
use super::violation::{Violation, succeeds, within};
use crate::energy::{Energy, WeightDecay};
use crate::error::StepError;
use crate::integrator::{Integrator, Jko};
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, real, to_f64};
use crate::state::State;

/// Checks a proximal integrator by [`check_proximal_step`], for gamma from 1e-6 to 1e6.
///
/// The energy is a smooth network with weight decay, drawn from `seed`. The tolerance is
/// `1e-4 + 10 sqrt(eps)`. Without weight decay the minimum may lie at infinity, and a step of 1e6
/// would end far out.
///
/// # Errors
/// The first law that fails; an error of a step is a violation.
pub fn check_jko<T: Real, I: Integrator<T>>(
    make: impl Fn() -> I,
    seed: u64,
) -> Result<(), Violation> {
    let (n, m, d, k) = (5, 3, 2, 1);
    let case = Case { n, m, d, k, seed };
    let mu = case.measure(k + d);
    let tolerance = 1e-4 + 10.0 * to_f64(epsilon::<T>().sqrt());
    for decade in (-6..=6).step_by(2) {
        let decay = WeightDecay::new(real(0.05)).unwrap_or_else(|e| unreachable!("{e}"));
        let mut energy = smooth_network(case).regularized(decay);
        let gamma = real::<T>(10.0_f64.powi(decade));
        check_proximal_step(&mut make(), &mut energy, &mu, gamma, tolerance)?;
    }
    Ok(())
}

/// Checks one proximal step of length `gamma` from `mu`, with the particles `w_i` before the step
/// and `w_i+` after it.
///
/// - descent: `F(mu+) + sum_i c_i |w_i+ - w_i|^2 / (2 gamma) <= F(mu)`;
/// - stationarity: `w_i+ - w_i = gamma v_i(mu+)` in `L2(mu)`, up to `tolerance` times the larger of
///   the norm of the displacement and `gamma |v(mu)|`;
/// - as gamma vanishes the step is Euler's: checked if the relative change of the velocity is below
///   a thousandth.
///
/// If the step is shorter than `gamma`, the laws hold for the gamma `taken`. The coupling of the
/// particles before and after the step need not be optimal. The sum above is an upper bound of
/// `W2^2`, so the descent law holds for `W2^2` as well.
///
/// # Errors
/// The first law that fails; an error of the step is a violation.
///
/// # Panics
/// If `mu` does not have the dimension that the energy requires.
pub fn check_proximal_step<T: Real>(
    integrator: &mut dyn Integrator<T>,
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    gamma: T,
    tolerance: f64,
) -> Result<(), Violation> {
    let mut state = State::new(mu.clone());
    state.evaluate(energy);
    let (f_before, v_before) = (to_f64(state.energy()), state.velocity().clone());
    let step = integrator.step(energy, &mut state, gamma);
    let step = succeeds("a proximal step exists", step, || {
        format!("gamma = {gamma}")
    })?;
    let (gamma, at) = (step.taken, || format!("gamma = {}", step.taken));
    let moved = state.measure().clone();
    let (f_after, v_after) = evaluate(energy, &moved);

    let mut norm = |field: &DMatrix<T>| to_f64(energy.inner(mu, field, field)).sqrt();
    let displacement = moved.points() - mu.points();
    let (length, size) = (
        norm(&displacement),
        norm(moved.points()) + norm(mu.points()),
    );
    // The rounding error of the particles, and of their displacement.
    let particle_error = 4.0 * to_f64(epsilon::<T>()) * size;
    let law = "F(mu+) + sum_i c_i |w_i+ - w_i|^2 / (2 gamma) <= F(mu)";
    let cost = length * length / (2.0 * to_f64(gamma));
    let cost_error = (length + particle_error) * particle_error / to_f64(gamma);
    let slack = rounding::<T>() * f_before.abs() + cost_error;
    within(law, f_after + cost - f_before, slack, at)?;

    let explicit_length = norm(&(&v_before * gamma));
    let residual = norm(&(&displacement - &v_after * gamma));
    let noise = rounding::<T>() * explicit_length + particle_error;
    let allowed = tolerance * explicit_length.max(length) + noise;
    within("w_i+ - w_i = gamma v_i(mu+)", residual, allowed, at)?;

    let change = norm(&(&v_after - &v_before));
    if change <= 1e-3 * norm(&v_before) {
        let law = "w_i+ = w_i + gamma v_i(mu) as gamma vanishes";
        let error = norm(&(&displacement - &v_before * gamma));
        let allowed = 2.0 * change * to_f64(gamma) + tolerance * explicit_length + noise;
        within(law, error, allowed, at)?;
    }
    Ok(())
}

/// Checks that a proximal step of a distributed energy is that of the whole measure: the minimum of
/// `P = F + W2^2 / (2 gamma)`, and the step taken, agree on every rank to a relative error of 1e-9,
/// for 2, 3 and 7 ranks. (F alone varies to first order with the tolerance of a step.)
///
/// `make(None)` is the energy on one rank, `make(Some(rank))` that of one of several ranks. Rank r
/// of s holds the particles `r, r + s, r + 2 s, ..`.
///
/// The ranks add predictions in another order. A very long step amplifies this rounding, and can
/// end at another minimum: the law is one of moderate steps.
///
/// ```
/// use wasserflow::testing::problems::teacher_student;
/// use wasserflow::testing::{Case, check_distributed_step};
///
/// let case = Case { n: 10, m: 9, d: 2, k: 1, seed: 1 };
/// let mu = case.measure(3);
/// let law = check_distributed_step(|rank| {
///     let (energy, _) = teacher_student::<f64>(2, 3, 10, 1).unwrap();
///     match rank {
///         Some(rank) => energy.distributed(rank),
///         None => energy,
///     }
/// }, &mu, 1.0);
/// assert_eq!(law, Ok(()));
/// ```
///
/// # Errors
/// The first law that fails; an error of a step is a violation.
pub fn check_distributed_step<T: Real, E: Energy<T>>(
    make: impl Fn(Option<Rank<T>>) -> E + Sync,
    mu: &EmpiricalMeasure<T>,
    gamma: T,
) -> Result<(), Violation> {
    let step = |rank: Option<Rank<T>>, mu: EmpiricalMeasure<T>| {
        let mut energy = make(rank);
        let mut state = State::new(mu.clone());
        let step = Jko::default().step(&mut energy, &mut state, gamma)?;
        let displacement = state.measure().points() - mu.points();
        let square = to_f64(energy.inner(&mu, &displacement, &displacement));
        let taken = to_f64(step.taken);
        Ok::<_, StepError>([to_f64(state.energy()) + square / (2.0 * taken), taken])
    };
    let at = || format!("gamma = {gamma}");
    let whole = succeeds("a proximal step exists", step(None, mu.clone()), at)?;
    for ranks in [2, 3, 7] {
        let part = |rank: usize| Dealing::InTurn.part(mu, rank, ranks);
        let results = on_every_rank(Rank::group(ranks), |index, rank| {
            step(Some(rank), part(index))
        });
        for (rank, result) in results.into_iter().enumerate() {
            let at = || format!("rank {rank} of {ranks}, gamma = {gamma}");
            let found = succeeds("a proximal step exists on every rank", result, at)?;
            let law =
                "the minimum of P and the step taken on a rank are those of the whole measure";
            for (found, whole) in found.into_iter().zip(whole) {
                let tolerance = 1e-9f64.max(rounding::<T>()) * whole.abs();
                within(law, (found - whole).abs(), tolerance, at)?;
            }
        }
    }
    Ok(())
}
