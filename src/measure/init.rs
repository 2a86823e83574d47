//! Starts of a flow: random and regular measures.
//!
//! Random starts draw in `f64` from the generator given and round, so that a run in `f32` starts from the measure of
//! the run in `f64`. With a generator of a fixed algorithm (ChaCha, PCG) and a fixed seed they are the same everywhere, up to the
//! last digit of `ln` and `exp`.

use nalgebra::{DMatrix, DVector};

use super::EmpiricalMeasure;
use crate::error::{MeasureError, ParameterError};
use crate::real::{Real, real};

#[cfg(feature = "rand")]
mod random;

#[cfg(feature = "rand")]
pub use random::{balanced, gaussian, sphere};

/// The regular grid of `points` points on each axis of the box `[low, high]^p`: `points^p` particles, cell centres.
///
/// Coordinates are `low + (high - low) (i + 1/2) / points`; the first axis runs fastest.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let mu = init::grid::<f64>(2, 2, 0.0, 1.0)?;
/// assert_eq!(mu.points().as_slice(), &[0.25, 0.25, 0.75, 0.25, 0.25, 0.75, 0.75, 0.75]);
/// # Ok::<(), wasserflow::prelude::MeasureError>(())
/// ```
///
/// # Errors
/// [`MeasureError`] when there is no point or axis, a bound is not finite, or there are more points than an index can count.
pub fn grid<T: Real>(
    p: usize,
    points: usize,
    low: f64,
    high: f64,
) -> Result<EmpiricalMeasure<T>, MeasureError> {
    if p == 0 || points == 0 {
        return Err(MeasureError::Empty {
            dim: p,
            len: points,
        });
    }
    let count = u32::try_from(p)
        .ok()
        .and_then(|p| points.checked_pow(p))
        .and_then(|m| m.checked_mul(p).map(|_| m));
    let Some(m) = count.filter(|&m| {
        m.checked_mul(p * size_of::<T>())
            .is_some_and(|bytes| bytes < isize::MAX as usize)
    }) else {
        let (name, requirement) = ("points^p", "a number of particles that fits in memory");
        return Err(ParameterError {
            name,
            requirement,
            value: (points as f64).powf(p as f64),
        }
        .into());
    };
    let centre = |i: usize| real(low + (high - low) * (i as f64 + 0.5) / points as f64);
    EmpiricalMeasure::uniform(DMatrix::from_fn(p, m, |axis, i| {
        centre(i / points.pow(axis as u32) % points)
    }))
}

/// `m` points at equal angles `2 pi i / m` on the circle of radius `radius` in the plane.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let mu = init::circle::<f64>(4, 2.0)?;
/// assert!((mu.particle(1)[1] - 2.0).abs() < 1e-15);
/// # Ok::<(), wasserflow::prelude::MeasureError>(())
/// ```
///
/// # Errors
/// [`MeasureError`] when `m = 0` or the radius is not finite.
pub fn circle<T: Real>(m: usize, radius: f64) -> Result<EmpiricalMeasure<T>, MeasureError> {
    EmpiricalMeasure::uniform(DMatrix::from_fn(2, m, |axis, i| {
        let (sin, cos) = (std::f64::consts::TAU * i as f64 / m as f64).sin_cos();
        real(radius * if axis == 0 { cos } else { sin })
    }))
}

/// The symmetrised start `(mu + S mu) / 2`, `S(a, b) = (-a, b)` on the first `k` coordinates: ridge neurons then predict 0.
///
/// Particles `m` to `2m - 1` are the mirrored ones; weights are halved, so the mass stays.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let mu = init::symmetrised(&EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[3.0, 4.0]))?, 1)?;
/// assert_eq!((mu.particle(0), mu.particle(1), mu.mass()), (&[3.0, 4.0][..], &[-3.0, 4.0][..], 1.0));
/// # Ok::<(), wasserflow::prelude::MeasureError>(())
/// ```
///
/// # Errors
/// [`MeasureError::Parameter`] when `k` exceeds the dimension of a particle.
pub fn symmetrised<T: Real>(
    mu: &EmpiricalMeasure<T>,
    k: usize,
) -> Result<EmpiricalMeasure<T>, MeasureError> {
    let (p, m) = mu.points().shape();
    if k > p {
        return Err(ParameterError {
            name: "k",
            requirement: "at most the dimension of a particle",
            value: k as f64,
        }
        .into());
    }
    let mirrored = |l: usize, i: usize| {
        if i >= m && l < k {
            -mu.points()[(l, i % m)]
        } else {
            mu.points()[(l, i % m)]
        }
    };
    let weights = DVector::from_fn(2 * m, |i, _| mu.weight(i % m) * real(0.5));
    EmpiricalMeasure::weighted(DMatrix::from_fn(p, 2 * m, mirrored), weights)
}
