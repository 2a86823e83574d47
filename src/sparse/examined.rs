//! The common frame of flows that a certificate ends.

use super::frank_wolfe::check_gap;
use crate::error::StepError;
use crate::flow::ParticleFlow;
use crate::integrator::Integrator;
use crate::optimality::{Certifiable, Certificate, Search};
use crate::real::{Real, to_f64};
use crate::state::State;

/// Alternates `examine` and `every` steps of a flow, at most `steps` of them, while the target of the
/// search is `gap`.
///
/// `examine` receives the number of steps taken. It returns the result of the run, or `None` to
/// continue, which it must not if all steps were taken.
pub(super) fn run_examined<E, I, T, X>(
    search: &mut Search,
    (flow, state): (&mut ParticleFlow<E, I, T>, &mut State<T>),
    gap: T,
    (every, steps): (usize, usize),
    mut examine: impl FnMut(
        &mut Search,
        &mut ParticleFlow<E, I, T>,
        &mut State<T>,
        usize,
    ) -> Result<Option<X>, StepError>,
) -> Result<X, StepError>
where
    E: Certifiable<T>,
    I: Integrator<T>,
    T: Real,
{
    check_gap(gap)?;
    let target = search.replace_target(to_f64(gap));
    let mut run = || {
        // Zero steps: validates and evaluates a state that was modified.
        flow.run(state, 0, &mut ())?;
        let mut taken = 0;
        loop {
            if let Some(end) = examine(search, flow, state, taken)? {
                return Ok(end);
            }
            let count = every.max(1).min(steps - taken);
            flow.run(state, count, &mut ())?;
            taken += count;
        }
    };
    let end = run();
    search.replace_target(target);
    end
}

/// An error for a first certificate without a finite gap of a finite F: the run could only use all of
/// its steps.
pub(super) fn check_is_supported<T: Real>(certificate: &Certificate<T>) -> Result<(), StepError> {
    let is_infinite = to_f64(certificate.gap()) == f64::INFINITY;
    if is_infinite && certificate.energy().is_finite() {
        let what = "a finite duality gap (the conjugate of the loss)";
        return Err(StepError::Unsupported { what });
    }
    Ok(())
}
