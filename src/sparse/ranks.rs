//! Ranks in sparse methods: sums over ranks, and the rank that owns a new particle.

use nalgebra::DMatrix;

use crate::energy::Energy;
use crate::error::StepError;
use crate::measure::EmpiricalMeasure;
use crate::numeric::splitmix::SplitMix64;
use crate::real::{Real, to_f64};

/// The sum of `x` over all ranks: the law of [`Energy::inner`] for one particle of weight 1.
pub(super) fn sum_over_ranks<T: Real, E: Energy<T> + ?Sized>(energy: &mut E, x: T) -> T {
    let p = energy.particle_dim();
    let (mut u, mut v) = (DMatrix::zeros(p, 1), DMatrix::zeros(p, 1));
    (u[0], v[0]) = (x, T::one());
    // The coordinates 0 and the weight 1 are valid.
    EmpiricalMeasure::uniform(DMatrix::zeros(p, 1))
        .map_or(x, |particle| energy.inner(&particle, &u, &v))
}

/// Returns an error if the particles are distributed over ranks.
pub(super) fn require_one_rank<T: Real, E: Energy<T> + ?Sized>(
    energy: &mut E,
) -> Result<(), StepError> {
    if sum_over_ranks(energy, T::one()) == T::one() {
        Ok(())
    } else {
        Err(StepError::Unsupported {
            what: "all particles on one rank",
        })
    }
}

/// The share of a new particle that this rank holds: 1 on its owner and 0 on other ranks.
///
/// An all-reduce gives ranks no number, so their order is that of a hash of their particles. Bit by
/// bit, the ranks whose bit is 0 remain, if any. Ranks of equal content share the particle.
pub(super) fn share_of_new_particle<T: Real, E: Energy<T> + ?Sized>(
    energy: &mut E,
    mu: &EmpiricalMeasure<T>,
) -> T {
    let numbers = mu.points().iter().chain(mu.weights());
    let mix = |hash: u64, &x: &T| SplitMix64::new(hash ^ to_f64(x).to_bits()).next_u64();
    let hash = numbers.fold(0, mix);
    let mut remains = true;
    let mut count = sum_over_ranks(energy, T::one());
    for bit in 0..u64::BITS {
        if count == T::one() {
            break;
        }
        let selected = remains && hash >> bit & 1 == 0;
        let indicator = if selected { T::one() } else { T::zero() };
        let sum = sum_over_ranks(energy, indicator);
        if sum > T::zero() {
            (remains, count) = (selected, sum);
        }
    }
    if remains { T::one() / count } else { T::zero() }
}
