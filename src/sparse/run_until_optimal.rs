//! Flows that run until a certificate of optimality or of a trap.

use nalgebra::DMatrix;

use super::examined::{check_is_supported, run_examined};
use super::insert::insert;
use crate::error::StepError;
use crate::flow::ParticleFlow;
use crate::integrator::Integrator;
use crate::numeric::vector::norm;
use crate::observe::StopReason;
use crate::optimality::{Certifiable, Certificate, Search};
use crate::real::{Real, epsilon, real, to_f64};
use crate::span::span;
use crate::state::State;

/// The change of F, in units of `eps F`, up to which F is at rest: the rounding error of two
/// evaluations.
const ROUNDING_UNITS: f64 = 4.0;

/// The growth of particles, relative to that of the particle to be inserted, up to which particles
/// are at rest.
const GROWTH: f64 = 1e-2;

/// Runs a flow until a certificate proves `F(mu) - F* <= gap`, at most `steps` steps.
///
/// The measure is certified at the start and after every `every` steps. Returns the reason and the
/// last certificate.
///
/// - [`StopReason::GloballyOptimal`]: the certified gap is at most `gap`.
/// - [`StopReason::Trapped`]: the flow is at rest, and [inserting](insert) the descent direction
///   `w` of the certificate decreases F, so that the measure is not a global minimum.
/// - [`StopReason::Steps`]: `steps` steps were taken.
///
/// # Rest
/// At rest means that in the last `every` steps, which took the time T,
///
/// - F changed by at most `4 eps F`, and
/// - particles grew by at most a hundredth of the growth of the inserted particle. With the size
///   `s_i = sqrt(c_i) |w_i|` and its relative growth `r_i = (s_i(t) / s_i(t - T) - 1)_+`, the
///   condition is `(sum_i r_i^2)^(1/2) <= 0.01 min(k T, 1)`, `k = |grad F'(mu)(w)| / |w|`.
///
/// The second condition distinguishes rest from the slow start at a saddle point, where small
/// particles grow exponentially with rates up to k and F is constant to rounding. It does not
/// exclude saddle points that the flow leaves with a rate below `k / 100`. Steps so short that this
/// growth is below `eps` a step are never at rest. The velocity is not a criterion: it does not
/// vanish for a neuron on a data hyperplane.
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
/// [`StepError`]; the state is then the last finite one.
/// - [`StepError::Parameter`] when `gap` is negative or NaN.
/// - [`StepError::Unsupported`] when the first certificate has no finite gap although F is finite:
///   the loss does not implement its [`conjugate`](crate::loss::Loss::conjugate), or is unbounded
///   below. The run could only use all of its steps.
/// - [`StepError::Contradiction`] when the bounds of a certificate contradict each other
///   ([`Certificate::contradiction`]).
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
    run_until_optimal_with(&mut Search::new(), flow, state, gap, every, steps)
}

/// [`run_until_optimal`] with the effort, the budget and the memory of a [`Search`].
///
/// During the run the target of the search is `gap`: a proof is attempted when the optimistic gap is
/// at most that. The last certificate is computed with the full effort. Bounds of one measure are a
/// start for those of the next.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::optimality::{Effort, Search};
/// use wasserflow::prelude::*;
///
/// let x = DMatrix::from_element(1, 1, 1.0);
/// let risk = EmpiricalRisk::new(Square, x, DVector::from_element(1, 3.0))?;
/// let energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?.regularized(WeightDecay::new(0.5)?);
/// let mut flow = ParticleFlow::new(energy, Rk4, 0.25)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(2, 1, 1.0))?)?;
/// let mut search = Search::new().with_effort(Effort::new(1e-9, 1000)?);
/// let (reason, _) =
///     sparse::run_until_optimal_with(&mut search, &mut flow, &mut state, 1e-8, 100, 10_000)?;
/// assert!(matches!(reason, StopReason::GloballyOptimal { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`run_until_optimal`].
pub fn run_until_optimal_with<E, I, T>(
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
        "run until optimal",
        gap = to_f64(gap),
        every = every,
        steps = steps
    );
    let mut before = None;
    let parts = (&mut *flow, &mut *state);
    let (reason, certificate) = run_examined(
        search,
        parts,
        gap,
        (every, steps),
        |search, flow, state, taken| {
            let certificate = search
                .certify(flow.energy_mut(), state.measure())
                .consistent()?;
            let proved = to_f64(certificate.gap());
            if certificate.gap() <= gap {
                return Ok(Some((
                    StopReason::GloballyOptimal { gap: proved },
                    certificate,
                )));
            }
            if taken == 0 {
                check_is_supported(&certificate)?;
            }
            if let (Some(w), Some(before)) = (certificate.escape(), &before)
                && is_at_rest(flow.energy_mut(), before, state, w)
                && insert(flow.energy_mut(), state.measure(), w).is_some()
            {
                return Ok(Some((StopReason::Trapped { gap: proved }, certificate)));
            }
            if taken >= steps {
                return Ok(Some((StopReason::Steps, certificate)));
            }
            before = Some(state.clone());
            Ok(None)
        },
    )?;
    if certificate.optimistic_gap() <= gap {
        return Ok((reason, certificate));
    }
    // Without a proof its bounds are those of little cost.
    let certificate = search
        .certify(flow.energy_mut(), state.measure())
        .consistent()?;
    let proved = to_f64(certificate.gap());
    let reason = match reason {
        StopReason::Trapped { .. } => StopReason::Trapped { gap: proved },
        reason => reason,
    };
    Ok((reason, certificate))
}

/// Returns true if the flow is at rest between two states. `w` is the particle to be inserted.
fn is_at_rest<T: Real, E: Certifiable<T>>(
    energy: &mut E,
    before: &State<T>,
    after: &State<T>,
    w: &[T],
) -> bool {
    let change = (before.energy() - after.energy()).abs();
    if change > real::<T>(ROUNDING_UNITS) * epsilon::<T>() * after.energy().abs() {
        return false;
    }
    let mu = after.measure();
    let at = DMatrix::from_column_slice(w.len(), 1, w);
    let (mut value, mut descent) = ([T::zero()], at.clone());
    // An energy without the first variation: its time scale is unknown.
    let rate = energy
        .first_variation(mu, &at, &mut value, &mut descent)
        .map_or(real(f64::INFINITY), |_| norm(descent.as_slice()) / norm(w));
    let mut growth = DMatrix::zeros(mu.dim(), mu.len());
    for (i, (&c, &earlier)) in mu
        .weights()
        .iter()
        .zip(before.measure().weights())
        .enumerate()
    {
        if c > T::zero() {
            let size = c.sqrt() * norm(mu.particle(i));
            let earlier = earlier.sqrt() * norm(before.measure().particle(i));
            let relative = if size > earlier {
                (size - earlier) / earlier
            } else {
                T::zero()
            };
            // `inner` sums c_i times the square over the particles of all ranks.
            growth[(0, i)] = relative.min(T::one()) / c.sqrt();
        }
    }
    let time = (rate * (after.time() - before.time())).min(T::one());
    let limit = real::<T>(GROWTH) * time;
    // Shorter steps do not resolve this growth: positions would not change by rounding.
    let steps = real::<T>((after.step() - before.step()) as f64);
    limit >= epsilon::<T>() * steps && energy.inner(mu, &growth, &growth).sqrt() <= limit
}
