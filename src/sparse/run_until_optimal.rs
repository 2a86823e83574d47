//! Flows that run until a certificate of optimality or of a trap.

use super::frank_wolfe::check_gap;
use super::insert::insert;
use crate::error::StepError;
use crate::flow::ParticleFlow;
use crate::integrator::Integrator;
use crate::observe::StopReason;
use crate::optimality::{Certifiable, Certificate, certify};
use crate::real::{Real, epsilon, real, to_f64};
use crate::state::State;

/// The change of F, in units of `eps F`, up to which the flow is at rest: the rounding error of two
/// evaluations.
const ROUNDING_UNITS: f64 = 4.0;

/// Runs a flow until a certificate proves `F(mu) - F* <= gap`, at most `steps` steps.
///
/// The measure is certified at the start and after every `every` steps. Returns the reason and the
/// last certificate.
///
/// - [`StopReason::GloballyOptimal`]: the certified gap is at most `gap`.
/// - [`StopReason::Trapped`]: the flow is at rest, and [inserting](insert) the descent direction of
///   the certificate decreases F, so that the measure is not a global minimum. At rest means that F
///   changed by at most `4 eps F` in the last `every` steps. This includes the slow start at a
///   saddle point, from which the flow may escape later.
/// - [`StopReason::Steps`]: `steps` steps were taken.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// // y = |x| at x = -1, 1 needs a neuron on either side. A single neuron stays on its side.
/// let x = DMatrix::from_row_slice(1, 2, &[-1.0, 1.0]);
/// let risk = EmpiricalRisk::new(Square, x, DVector::from_element(2, 1.0))?;
/// let energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?.regularized(WeightDecay::new(0.1)?);
/// let mut flow = ParticleFlow::new(energy, Rk4, 0.25)?;
///
/// let one = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[1.0, 1.0]))?;
/// let mut state = flow.start(one)?;
/// let (reason, certificate) =
///     sparse::run_until_optimal(&mut flow, &mut state, 1e-8, 100, 10_000)?;
/// assert!(matches!(reason, StopReason::Trapped { .. }));
/// let w = certificate.escape().unwrap();
/// assert!(w[1] < 0.0); // the other side
///
/// *state.measure_mut() = sparse::insert(flow.energy_mut(), state.measure(), w).unwrap();
/// let (reason, _) = sparse::run_until_optimal(&mut flow, &mut state, 1e-8, 100, 10_000)?;
/// assert!(matches!(reason, StopReason::GloballyOptimal { gap } if gap <= 1e-8));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`StepError`]; the state is then the last finite one. [`StepError::Parameter`] when `gap` is
/// negative or NaN.
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
    check_gap(gap)?;
    // Zero steps: validates and evaluates a state that was modified.
    flow.run(state, 0, &mut ())?;
    let (mut taken, mut at_rest) = (0, false);
    loop {
        let certificate = certify(flow.energy_mut(), state.measure());
        let proved = to_f64(certificate.gap());
        if certificate.gap() <= gap {
            return Ok((StopReason::GloballyOptimal { gap: proved }, certificate));
        }
        if at_rest
            && let Some(w) = certificate.escape()
            && insert(flow.energy_mut(), state.measure(), w).is_some()
        {
            return Ok((StopReason::Trapped { gap: proved }, certificate));
        }
        if taken >= steps {
            return Ok((StopReason::Steps, certificate));
        }
        let (before, count) = (state.energy(), every.max(1).min(steps - taken));
        flow.run(state, count, &mut ())?;
        taken += count;
        // The velocity is not a criterion: it does not vanish for a neuron on a data hyperplane.
        let tolerance = real::<T>(ROUNDING_UNITS) * epsilon::<T>() * state.energy().abs();
        at_rest = (before - state.energy()).abs() <= tolerance;
    }
}
