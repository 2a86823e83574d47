//! Running a flow until its end is proved.

use super::insert;
use crate::error::{ParameterError, StepError};
use crate::flow::ParticleFlow;
use crate::integrator::Integrator;
use crate::observe::StopReason;
use crate::optimality::{Certifiable, Certificate, certify};
use crate::real::{Real, epsilon, real, to_f64};
use crate::state::State;

/// Runs a flow for at most `steps` steps, certifies its measure at the start and after `every` steps, and stops with a reason.
///
/// - [`StopReason::GloballyOptimal`]: the certified gap is at most `gap`.
/// - [`StopReason::Trapped`]: the flow has come to rest and the measure is no global minimum. At rest means that `F` changed by
///   no more than its own rounding, `4 eps F`, in the last `every` steps; no global minimum, that F falls when the escape direction is
///   [inserted](insert).
/// - [`StopReason::Steps`]: neither, yet.
///
/// The last certificate comes with the reason.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// // y = |x| at x = -1, 1 needs a neuron on either side. One alone cannot turn.
/// let data = || EmpiricalRisk::new(Square, DMatrix::from_row_slice(1, 2, &[-1.0, 1.0]), DVector::from_element(2, 1.0));
/// let energy = MeanFieldRisk::new(Ridge::new(Relu, 1), data()?)?.regularized(WeightDecay::new(0.1)?);
/// let mut flow = ParticleFlow::new(energy, Rk4, 0.25)?;
///
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[1.0, 1.0]))?)?;
/// let (reason, certificate) = sparse::run_until_optimal(&mut flow, &mut state, 1e-8, 100, 10_000)?;
/// assert!(matches!(reason, StopReason::Trapped { .. }));
/// assert!(certificate.escape().unwrap()[1] < 0.0); // it looks the other way
///
/// *state.measure_mut() = sparse::insert(flow.energy_mut(), state.measure(), certificate.escape().unwrap()).unwrap();
/// let (reason, _) = sparse::run_until_optimal(&mut flow, &mut state, 1e-8, 100, 10_000)?;
/// assert!(matches!(reason, StopReason::GloballyOptimal { gap } if gap <= 1e-8));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`StepError`]; the state is then the last finite one. [`StepError::Parameter`] when `gap` is negative or NaN.
pub fn run_until_optimal<E, I, T>(
    flow: &mut ParticleFlow<E, I, T>,
    state: &mut State<T>,
    gap: T,
    every: usize,
    steps: usize,
) -> Result<(StopReason, Certificate<T>), StepError>
where
    E: Certifiable<T>,
    I: Integrator<T>,
    T: Real,
{
    if gap < T::zero() || to_f64(gap).is_nan() {
        return Err(ParameterError {
            name: "gap",
            requirement: ">= 0",
            value: to_f64(gap),
        }
        .into());
    }
    // No step: checks and evaluates a state that was changed.
    flow.run(state, 0, &mut ())?;
    let (mut taken, mut resting) = (0, false);
    loop {
        let certificate = certify(flow.energy_mut(), state.measure());
        let proved = to_f64(certificate.gap());
        if certificate.gap() <= gap {
            return Ok((StopReason::GloballyOptimal { gap: proved }, certificate));
        }
        let escapes = |flow: &mut ParticleFlow<E, I, T>, w| {
            insert(flow.energy_mut(), state.measure(), w).is_some()
        };
        if resting && certificate.escape().is_some_and(|w| escapes(flow, w)) {
            return Ok((StopReason::Trapped { gap: proved }, certificate));
        }
        if taken >= steps {
            return Ok((StopReason::Steps, certificate));
        }
        let (before, count) = (state.energy(), every.max(1).min(steps - taken));
        flow.run(state, count, &mut ())?;
        taken += count;
        // Not by the velocity: that of a neuron on a data hyperplane never vanishes.
        resting = (before - state.energy()).abs()
            <= real::<T>(4.0) * epsilon::<T>() * state.energy().abs();
    }
}
