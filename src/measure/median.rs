//! The median distance of particles, for bandwidths of kernels.

use super::EmpiricalMeasure;
use crate::error::{MeasureError, ParameterError};
use crate::numeric::splitmix::SplitMix64;
use crate::numeric::vector::norm;
use crate::real::{Real, real, to_f64};

/// The particles of which all distances are computed, at most: 2e6 pairs.
const PARTICLES: usize = 2048;

/// The median of the distances `|w_i - w_j|` over the pairs `i < j` of particles of positive weight.
///
/// Weights are otherwise ignored. It is exact for at most 2048 particles; of more, 2048 are drawn
/// without replacement, as a function of `seed` alone. Of an even number of distances it is the mean
/// of the two in the middle.
///
/// The "median heuristic" of kernel methods uses it as the bandwidth of a kernel:
/// [`Gaussian::median_heuristic`](crate::energy::Gaussian::median_heuristic), or
/// `InverseMultiquadric::new(median_distance(&mu, seed)?)`.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 3, &[0.0_f64, 1.0, 5.0]))?;
/// assert_eq!(measure::median_distance(&mu, 0)?, 4.0); // of 1, 4 and 5
/// let point = EmpiricalMeasure::uniform(DMatrix::from_element(1, 3, 2.0_f64))?;
/// assert!(measure::median_distance(&point, 0).is_err());
/// # Ok::<(), MeasureError>(())
/// ```
///
/// # Errors
/// [`MeasureError::Parameter`] if the median is 0, as for particles that coincide, or if it overflows,
/// or if fewer than two particles have positive weight; those of [`check`](EmpiricalMeasure::check).
///
/// # Cost
/// At most 2e6 distances, and as many numbers of memory.
///
/// Source: A. Gretton, K. Borgwardt, M. Rasch, B. Schoelkopf and A. Smola, A kernel two-sample test,
/// 2012.
pub fn median_distance<T: Real>(mu: &EmpiricalMeasure<T>, seed: u64) -> Result<T, MeasureError> {
    mu.check()?;
    let mut particles: Vec<usize> = massive(mu).collect();
    let (requirement, count) = ("at least 2", particles.len());
    let name = "number of particles of positive weight";
    ParameterError::check(count >= 2, name, requirement, count as f64)?;
    if count > PARTICLES {
        // The first steps of the shuffle of Fisher and Yates.
        let mut rng = SplitMix64::new(seed);
        for i in 0..PARTICLES {
            particles.swap(i, i + rng.index(count - i));
        }
        particles.truncate(PARTICLES);
    }
    let count = particles.len();
    let mut distances = Vec::with_capacity(count * (count - 1) / 2);
    let mut z = vec![0.0; mu.dim()];
    for (l, &i) in particles.iter().enumerate() {
        for &j in &particles[..l] {
            for ((z, &w), &v) in z.iter_mut().zip(mu.particle(i)).zip(mu.particle(j)) {
                *z = to_f64(w) - to_f64(v);
            }
            distances.push(norm(&z));
        }
    }
    let middle = distances.len() / 2;
    let is_odd = distances.len() % 2 == 1;
    let (below, &mut upper, _) = distances.select_nth_unstable_by(middle, f64::total_cmp);
    let lower = below.iter().copied().fold(0.0, f64::max);
    let median = if is_odd {
        upper
    } else {
        0.5 * lower + 0.5 * upper
    };
    let rounded: T = real(median);
    let holds = rounded > T::zero() && rounded.is_finite();
    let requirement = "positive and finite: half of the pairs coincide";
    let requirement = if median > 0.0 {
        "positive and finite"
    } else {
        requirement
    };
    ParameterError::check(holds, "median distance", requirement, median)?;
    Ok(rounded)
}

/// The particles of positive weight.
fn massive<T: Real>(mu: &EmpiricalMeasure<T>) -> impl Iterator<Item = usize> {
    (0..mu.len()).filter(|&i| mu.weight(i) > T::zero())
}
