//! Flows from whose measures conditional gradients continue to a certified minimum.

use super::examined::{check_is_supported, run_examined};
use super::frank_wolfe::{FrankWolfe, Run};
use super::ranks::{on_whole_measure, share};
use crate::error::StepError;
use crate::flow::ParticleFlow;
use crate::integrator::Integrator;
use crate::measure::EmpiricalMeasure;
use crate::observe::StopReason;
use crate::optimality::{Certifiable, Certificate, Search};
use crate::real::Real;
use crate::span::span;
use crate::state::State;

/// Corrective steps at most before the flow continues. From the zero network in the plane,
/// [`FrankWolfe::Corrective`] takes 35 at most to a gap of 1e-9 (the experiment of the book).
const CORRECTIONS: usize = 32;

/// Runs a flow and corrects its measure until a certificate proves `F(mu) - F* <= gap`, at most
/// `steps` steps of the flow.
///
/// The flow moves particles of fixed weights, and may be trapped in a stationary point. In the
/// vector space of measures F is convex: with more atoms and other weights every measure that is
/// not a global minimum can be improved. The method alternates:
///
/// 1. `every` steps of the flow;
/// 2. up to 32 steps of [`FrankWolfe::Corrective`] from its measure: the descent direction of the
///    certificate becomes a new particle, and all weights are optimised, in full after the last of
///    these steps. Particles of weight 0 are removed.
///
/// A certificate is computed at the start, after the steps of the flow, and after each correction.
/// Returns the reason and the last certificate.
///
/// - [`StopReason::GloballyOptimal`]: the certified gap is at most `gap`.
/// - [`StopReason::Stationary`]: the [`optimistic_gap`](Certificate::optimistic_gap) is at most `gap`
///   but the certified one is not, because the effort did not suffice. Or all steps were taken, and
///   the last correction ended without a descent direction, as [`FrankWolfe::run`].
/// - [`StopReason::Steps`]: `steps` steps of the flow and the corrections after them were taken.
///
/// Corrections never increase F. They change number, order and weights of the particles, and
/// [reset the control](State::reset_control) of the integrator; step and time stay. The number of
/// particles is bounded by that of the start plus that of the corrections. A run of `2 every` steps
/// equals two runs of `every` steps.
///
/// # Choice
/// [`run_until_optimal`](super::run_until_optimal()) follows the flow itself, and returns if it is
/// trapped. This method uses the flow only to find particles near the support of a minimum: a loose
/// proximal step suffices, `Jko::new(0.03, 1000)` with a large step size. To a gap of 1e-6 on planar
/// networks of 20 neurons with 15 samples it takes 110 velocities, products and certificates in the
/// median and 141 at most. The flow alone takes 142 and 502. The book lists the measurements.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// // y = |x| at x = -1, 1 needs a neuron on either side. The flow of a single one is trapped.
/// let x = DMatrix::from_row_slice(1, 2, &[-1.0, 1.0]);
/// let risk = EmpiricalRisk::new(Square, x, DVector::from_element(2, 1.0))?;
/// let energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?.regularized(WeightDecay::new(0.1)?);
/// let mut flow = ParticleFlow::new(energy, Jko::new(0.03, 1000), 1e8)?;
/// let one = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[1.0, 1.0]))?;
/// let mut state = flow.start(one)?;
/// let (reason, _) = sparse::run_and_correct(&mut flow, &mut state, 1e-8, 1, 10)?;
/// assert!(matches!(reason, StopReason::GloballyOptimal { gap } if gap <= 1e-8));
/// assert_eq!((state.measure().len(), state.step()), (2, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`StepError`]; the state is then the last finite one.
/// - [`StepError::Parameter`] when `gap` is negative or NaN.
/// - [`StepError::Unsupported`] when the energy does not implement its first variation, or when the
///   first certificate has no finite gap although F is finite
///   ([`run_until_optimal`](super::run_until_optimal())).
/// - [`StepError::Weights`] when the last correction ended although the weights are not proved
///   optimal. After an earlier one the flow continues.
/// - [`StepError::Contradiction`] when the bounds of a certificate contradict each other
///   ([`Certificate::contradiction`]).
///
/// # Ranks
/// As for [`FrankWolfe`]: all ranks call it, the corrections are those of the whole measure, and
/// every rank keeps its [share](EmpiricalMeasure::share) of a corrected one.
///
/// # Cost
/// The steps of the flow, and for a quadratic F about `m + 4` first variations for the first
/// correction of m particles, and three and a certificate for each further one.
///
/// Source: the steps of sliding Frank-Wolfe (Q. Denoyelle, V. Duval, G. Peyre and E. Soubies, 2019)
/// with a flow in place of its local descent; see [`FrankWolfe`].
pub fn run_and_correct<E, I, T>(
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
    run_and_correct_with(&mut Search::new(), flow, state, gap, every, steps)
}

/// [`run_and_correct`] with the effort, the budget and the memory of a [`Search`].
///
/// During the run the target of the search is `gap`: a proof is attempted when the optimistic gap
/// is at most that. The last certificate is computed with the full effort.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::optimality::{Effort, Search};
/// use wasserflow::prelude::*;
///
/// let x = DMatrix::from_element(1, 1, 1.0);
/// let risk = EmpiricalRisk::new(Square, x, DVector::from_element(1, 3.0))?;
/// let energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?.regularized(WeightDecay::new(0.5)?);
/// let mut flow = ParticleFlow::new(energy, Euler, 0.1)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(2, 1, 1.0))?)?;
/// let mut search = Search::new().with_effort(Effort::new(1e-9, 1000)?);
/// let (reason, _) =
///     sparse::run_and_correct_with(&mut search, &mut flow, &mut state, 1e-8, 5, 50)?;
/// assert!(matches!(reason, StopReason::GloballyOptimal { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`run_and_correct`].
pub fn run_and_correct_with<E, I, T>(
    search: &mut Search,
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
    span!(
        INFO,
        "run and correct",
        gap = crate::real::to_f64(gap),
        every = every,
        steps = steps
    );
    let parts = (&mut *flow, &mut *state);
    let run = run_examined(
        search,
        parts,
        gap,
        (every, steps),
        |search, flow, state, taken| {
            let corrections = if taken == 0 { 0 } else { CORRECTIONS };
            let (run, corrected) = correct(search, flow.energy_mut(), state, gap, corrections);
            if let Some(mu) = corrected {
                *state.measure_mut() = mu;
                state.reset_control();
                flow.run(state, 0, &mut ())?;
            }
            let run = match run {
                Err(StepError::Weights { .. }) if taken < steps => return Ok(None),
                run => run?,
            };
            if taken == 0 {
                check_is_supported(&run.certificate)?;
            }
            let ends = run.certificate.optimistic_gap() <= gap || taken >= steps;
            Ok(ends.then_some(run))
        },
    )?;
    on_whole_measure(flow.energy_mut(), state.measure(), |energy, mu| {
        run.with_full_effort(energy, mu, gap, search)
    })
}

/// Corrective steps from the measure of a state, and the optimal weights after them: the result, and
/// the part of the new measure if it changed.
fn correct<E: Certifiable<T>, T: Real>(
    search: &mut Search,
    energy: &mut E,
    state: &State<T>,
    gap: T,
    corrections: usize,
) -> (Result<Run<T>, StepError>, Option<EmpiricalMeasure<T>>) {
    let (run, whole) = on_whole_measure(energy, state.measure(), |energy, mu| {
        let mut whole = mu.clone();
        let method = FrankWolfe::Corrective;
        let run = method.run_to_target(search, energy, &mut whole, gap, corrections);
        let run = run.and_then(|run| run.with_optimal_weights(energy, &mut whole, gap, search));
        (run, (whole != *mu).then_some(whole))
    });
    (run, whole.map(|whole| share(energy, whole)))
}
