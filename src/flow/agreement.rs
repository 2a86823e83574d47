//! Agreement of ranks: on errors, and on the end of a run.

use std::ops::ControlFlow;

use crate::energy::Energy;
use crate::observe::StopReason;
use crate::ranks::{DIGITS, from_digits, indicator, to_digits};
use crate::real::{Real, real, to_f64};

/// Returns true if particles or samples are distributed over ranks.
pub(super) fn is_distributed<T: Real>(energy: &mut impl Energy<T>) -> bool {
    energy.ranks().is_some() || energy.sample_ranks().is_some()
}

/// The number of ranks for which `holds` is true, on all ranks. A single rank sends no message.
fn count<T: Real>(energy: &mut impl Energy<T>, holds: bool) -> T {
    let mut sum = [indicator(holds)];
    if let Some(ranks) = energy.ranks() {
        ranks.sum(&mut sum);
    }
    if let Some(ranks) = energy.sample_ranks() {
        ranks.sum(&mut sum);
    }
    sum[0]
}

/// The vectors of all ranks, in their order.
fn gather<T: Real>(energy: &mut impl Energy<T>, x: &[T]) -> Vec<T> {
    let mut all = x.to_vec();
    if let Some(ranks) = energy.ranks() {
        all = ranks.gather(&all);
    }
    if let Some(ranks) = energy.sample_ranks() {
        all = ranks.gather(&all);
    }
    all
}

/// Returns the error of this rank, or else that of the first other rank that has one, so that no
/// rank waits for one that has stopped.
pub(super) fn agree<T: Real, E>(
    energy: &mut impl Energy<T>,
    checked: Result<(), E>,
    other: impl Fn(usize) -> E,
) -> Result<(), E> {
    if count(energy, checked.is_err()) > T::zero() {
        return fail(energy, checked, other);
    }
    Ok(())
}

/// The error of this rank or of another one, after the ranks have exchanged that one has failed.
pub(super) fn fail<T: Real, E>(
    energy: &mut impl Energy<T>,
    checked: Result<(), E>,
    other: impl Fn(usize) -> E,
) -> Result<(), E> {
    if !is_distributed(energy) {
        return checked;
    }
    let failures = gather(energy, &[indicator(checked.is_err())]);
    let first = failures.iter().position(|&failed| failed > T::zero());
    checked?;
    first.map_or(Ok(()), |rank| Err(other(rank)))
}

/// The reason of the observer of a single rank; on ranks its request travels with the next step.
pub(super) fn local_end<T: Real>(
    energy: &mut impl Energy<T>,
    control: ControlFlow<StopReason>,
) -> Option<StopReason> {
    control.break_value().filter(|_| !is_distributed(energy))
}

/// The end of a run on ranks, with the reason of the first rank that requested it.
pub(super) fn end_of_run<T: Real, S>(
    energy: &mut impl Energy<T>,
    control: ControlFlow<StopReason>,
) -> ControlFlow<StopReason, S> {
    ControlFlow::Break(reason(energy, control).unwrap_or(StopReason::Requested))
}

/// Returns true if any rank requests the end of the run.
pub(super) fn any_stops<T: Real>(
    energy: &mut impl Energy<T>,
    control: ControlFlow<StopReason>,
) -> bool {
    is_distributed(energy) && count(energy, control.is_break()) > T::zero()
}

/// The reason of the first rank that requests the end of the run, the same on all ranks.
pub(super) fn reason<T: Real>(
    energy: &mut impl Energy<T>,
    control: ControlFlow<StopReason>,
) -> Option<StopReason> {
    let own = control.break_value();
    if !is_distributed(energy) {
        return own;
    }
    let (code, gap) = own.map_or((0, 0.0), StopReason::to_code);
    let mut message = vec![real::<T>(f64::from(code))];
    message.extend(to_digits::<T>(gap.to_bits()));
    let all = gather(energy, &message);
    let mut reasons = all.chunks_exact(1 + DIGITS).map(|x| {
        let gap = f64::from_bits(from_digits(&x[1..]));
        StopReason::from_code(to_f64(x[0]) as u8, gap)
    });
    reasons.find_map(|reason| reason)
}
