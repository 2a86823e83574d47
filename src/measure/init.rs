//! Initial measures of a flow: random and regular ones.
//!
//! Random initial measures are drawn in `f64` and then rounded, so that a run in `f32` starts
//! from the same measure as the run in `f64`. With a generator of a fixed algorithm (ChaCha, PCG)
//! and a fixed seed they agree on all platforms, up to the last digit of `ln` and `exp`.

use nalgebra::{DMatrix, DVector};

use super::EmpiricalMeasure;
use crate::error::{MeasureError, ParameterError};
use crate::real::{Real, real};

mod blocks;
#[cfg(feature = "rand")]
mod random;
mod separation;

pub use blocks::in_blocks;
#[cfg(feature = "rand")]
pub use random::{balanced, balanced_outputs, gaussian, sphere};
pub use separation::separation;

/// The uniform measure on a regular grid in the box `[low, high]^p`: `m = points^p` particles.
///
/// The particles are the centres of `points` cells along each axis, with the coordinates
/// `low + (high - low) (i + 1/2) / points`, `0 <= i < points`. The first axis varies fastest.
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
/// [`MeasureError`] if `p = 0`, `points = 0`, a bound is not finite, or the particles do not fit in
/// memory.
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
    let count = u32::try_from(p).ok().and_then(|p| points.checked_pow(p));
    let Some(m) = count else {
        return Err(too_large("points^p", (points as f64).powf(p as f64)).into());
    };
    let centre = |i: usize| real::<T>(low + (high - low) * (i as f64 + 0.5) / points as f64);
    let coordinate = |axis, i| centre(i / points.pow(axis as u32) % points);
    uniform(p, m, |i, w| {
        w.extend((0..p).map(|axis| coordinate(axis, i)))
    })
}

/// The uniform measure on `m` equidistant points of a circle in the plane, `p = 2`.
///
/// Particle i is `radius (cos t_i, sin t_i)` at the angle `t_i = 2 pi i / m`.
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
/// [`MeasureError`] if `m = 0`, the radius is not finite, or the particles do not fit in memory.
pub fn circle<T: Real>(m: usize, radius: f64) -> Result<EmpiricalMeasure<T>, MeasureError> {
    uniform(2, m, |i, w| {
        let (sin, cos) = (std::f64::consts::TAU * i as f64 / m as f64).sin_cos();
        w.extend([radius * cos, radius * sin].map(real::<T>));
    })
}

/// The uniform measure on `m` particles in `R^p`: `append(i, w)` appends the coordinates of
/// particle i to `w`. Sizes that do not fit in memory are an error, before anything is computed.
fn uniform<T: Real>(
    p: usize,
    m: usize,
    mut append: impl FnMut(usize, &mut Vec<T>),
) -> Result<EmpiricalMeasure<T>, MeasureError> {
    if p == 0 || m == 0 {
        return Err(MeasureError::Empty { dim: p, len: m });
    }
    let mut points = Vec::new();
    p.checked_mul(m)
        .and_then(|len| points.try_reserve_exact(len).ok())
        .ok_or_else(|| too_large("m p", m as f64 * p as f64))?;
    for i in 0..m {
        append(i, &mut points);
    }
    EmpiricalMeasure::uniform(DMatrix::from_vec(p, m, points))
}

/// The error of a size that does not fit in memory.
fn too_large(name: &'static str, value: f64) -> ParameterError {
    ParameterError {
        name,
        requirement: "a number that fits in memory",
        value,
    }
}

/// The symmetrised measure `(mu + S mu) / 2`, with the reflection `S(a, b) = (-a, b)`, `a` in
/// `R^k`.
///
/// A network of ridge neurons `a sigma(b.x)` then predicts exactly 0. Particles `m` to `2m - 1`
/// are the reflected ones. All weights are halved, so the mass is preserved.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[3.0, 4.0]))?;
/// let nu = init::symmetrised(&mu, 1)?;
/// assert_eq!(nu.points().as_slice(), &[3.0, 4.0, -3.0, 4.0]);
/// assert_eq!(nu.mass(), 1.0);
/// # Ok::<(), wasserflow::prelude::MeasureError>(())
/// ```
///
/// # Errors
/// [`MeasureError::Parameter`] if `k` exceeds the dimension of a particle.
pub fn symmetrised<T: Real>(
    mu: &EmpiricalMeasure<T>,
    k: usize,
) -> Result<EmpiricalMeasure<T>, MeasureError> {
    let (p, m) = mu.points().shape();
    ParameterError::check(k <= p, "k", "at most the dimension of a particle", k as f64)?;
    let coordinate = |l: usize, i: usize| {
        let w = mu.points()[(l, i % m)];
        if i >= m && l < k { -w } else { w }
    };
    let weights = DVector::from_fn(2 * m, |i, _| mu.weight(i % m) * real(0.5));
    EmpiricalMeasure::weighted(DMatrix::from_fn(p, 2 * m, coordinate), weights)
}
