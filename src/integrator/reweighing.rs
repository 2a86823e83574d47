//! The common part of methods that move particles and change their weights by the first variation.

use crate::energy::Energy;
use crate::error::StepError;
use crate::real::Real;
use crate::state::State;

/// Moves the particles by `length v`, and changes their weights by
/// `reweigh(energy, weights, F'(mu)(w_i))`, both at the measure of the state `before`.
pub(super) fn displace_and_reweigh<T: Real>(
    energy: &mut dyn Energy<T>,
    before: &State<T>,
    state: &mut State<T>,
    length: T,
    reweigh: impl FnOnce(&mut dyn Energy<T>, &mut [T], &[T]),
) -> Result<(), StepError> {
    let mu = before.measure();
    let mut stages = state.take_stages(mu.points().shape(), 2);
    let (values, descent) = stages.split_at_mut(1);
    let values = &mut values[0].as_mut_slice()[..mu.len()];
    let is_supported = energy
        .first_variation(mu, mu.points(), values, &mut descent[0])
        .is_some();
    if is_supported {
        state.displace_from(before, &[(length, before.velocity())]);
        reweigh(energy, state.measure_mut().weights_mut(), values);
    }
    state.give_stages(stages);
    if is_supported {
        Ok(())
    } else {
        let what = "the first variation";
        Err(StepError::Unsupported { what })
    }
}
