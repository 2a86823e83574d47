//! Initial measures that are drawn in blocks, each with a key of its own.

use nalgebra::{DMatrix, DVector};

use super::{EmpiricalMeasure, too_large};
use crate::error::{MeasureError, ParameterError};
use crate::numeric::splitmix::SplitMix64;
use crate::ranks::AllReduce;
use crate::real::{Real, real};

/// The number of particles of a block. A rank draws at most one block more than its share.
const BLOCK: usize = 1024;

/// The share of a rank of the uniform measure on m particles, which are drawn in blocks of 1024.
///
/// `draw(key, len)` draws a block of `len` particles with a generator of the seed `key`, which is a
/// hash of `seed` and the number of the block. A rank draws the blocks of its
/// [share](AllReduce::share) only. So the start is the same, bit for bit, for any number of ranks,
/// and no rank holds all particles. All weights are `1/m`; those of `draw` are ignored.
///
/// ```
/// use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
/// use wasserflow::prelude::*;
/// use wasserflow::testing::Rank;
///
/// let draw = |key, len| init::sphere(3, len, &mut ChaCha8Rng::seed_from_u64(key));
/// let whole = init::in_blocks(&(), 3000, 7, draw)?;
/// assert_eq!((whole.len(), whole.weight(0)), (3000, 1.0 / 3000.0));
/// for rank in Rank::<f64>::group(2) {
///     assert_eq!(init::in_blocks(&rank, 3000, 7, draw)?, whole.share(&rank));
/// }
/// # Ok::<(), wasserflow::prelude::MeasureError>(())
/// ```
///
/// A rank without a share holds a particle of weight -0, as in [`EmpiricalMeasure::share`].
///
/// # Errors
/// - Those of `draw`.
/// - [`MeasureError::Empty`] if m = 0; [`MeasureError::Parameter`] if the share does not fit in
///   memory, or a block does not have `len` particles of the dimension of the first block.
pub fn in_blocks<T: Real>(
    ranks: &(impl AllReduce<T> + ?Sized),
    m: usize,
    seed: u64,
    mut draw: impl FnMut(u64, usize) -> Result<EmpiricalMeasure<T>, MeasureError>,
) -> Result<EmpiricalMeasure<T>, MeasureError> {
    if m == 0 {
        return Err(MeasureError::Empty { dim: 0, len: 0 });
    }
    let share = ranks.share(m);
    // An empty share draws the particle that stands for it.
    let start = share.start.min(m - 1);
    let range = start..share.end.max(start + 1);
    let (mut points, mut dim) = (Vec::new(), None);
    for block in range.start / BLOCK..=(range.end - 1) / BLOCK {
        let first = block * BLOCK;
        let len = BLOCK.min(m - first);
        let key = SplitMix64::keyed([seed, block as u64, 0, 0]).next_u64();
        let drawn = draw(key, len)?;
        let p = *dim.get_or_insert(drawn.dim());
        let requirement = "that of the block";
        let found = drawn.len() as f64;
        ParameterError::check(
            drawn.len() == len,
            "number of particles drawn",
            requirement,
            found,
        )?;
        let requirement = "that of the first block";
        let found = drawn.dim() as f64;
        ParameterError::check(
            drawn.dim() == p,
            "dimension of the particles drawn",
            requirement,
            found,
        )?;
        if points.is_empty() {
            p.checked_mul(range.len())
                .and_then(|len| points.try_reserve_exact(len).ok())
                .ok_or_else(|| too_large("m p", m as f64 * p as f64))?;
        }
        let (from, to) = (range.start.max(first), range.end.min(first + len));
        points.extend_from_slice(&drawn.points().as_slice()[(from - first) * p..(to - first) * p]);
    }
    let weight = if share.is_empty() {
        -T::zero()
    } else {
        T::one() / real(m as f64)
    };
    let points = DMatrix::from_vec(dim.unwrap_or(0), range.len(), points);
    let weights = DVector::from_element(range.len(), weight);
    EmpiricalMeasure::weighted(points, weights)
}
