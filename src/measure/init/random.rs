//! Random initial measures.

use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

use super::{EmpiricalMeasure, uniform};
use crate::error::{MeasureError, ParameterError};
use crate::real::{Real, real};

/// The uniform measure on `m` independent particles, drawn uniformly from the unit sphere of `R^p`.
///
/// ```
/// use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
/// use wasserflow::prelude::*;
///
/// let mu = init::sphere::<f64>(3, 10, &mut ChaCha8Rng::seed_from_u64(7))?;
/// assert!((mu.second_moment() - 1.0).abs() < 1e-14);
/// # Ok::<(), wasserflow::prelude::MeasureError>(())
/// ```
///
/// # Errors
/// [`MeasureError::Empty`] if `p = 0` or `m = 0`; [`MeasureError::Parameter`] if the particles do
/// not fit in memory.
///
/// Source: M. E. Muller, A note on a method for generating points uniformly on n-dimensional
/// spheres, 1959 (normalised Gaussian vectors).
pub fn sphere<T: Real>(
    p: usize,
    m: usize,
    rng: &mut (impl Rng + ?Sized),
) -> Result<EmpiricalMeasure<T>, MeasureError> {
    uniform(p, m, |_, w| w.extend(direction(p, rng).map(real::<T>)))
}

/// The uniform measure on `m` independent particles in `R^p` with coordinates `N(0, std^2)`.
///
/// ```
/// use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
/// use wasserflow::prelude::*;
///
/// let mu = init::gaussian::<f32>(2, 1000, 0.5, &mut ChaCha8Rng::seed_from_u64(7))?;
/// assert!((mu.second_moment() - 2.0 * 0.25).abs() < 0.05);
/// # Ok::<(), wasserflow::prelude::MeasureError>(())
/// ```
///
/// # Errors
/// [`MeasureError`] if `p = 0`, `m = 0`, `std` is negative or not finite, or the particles do not
/// fit in memory.
pub fn gaussian<T: Real>(
    p: usize,
    m: usize,
    std: f64,
    rng: &mut (impl Rng + ?Sized),
) -> Result<EmpiricalMeasure<T>, MeasureError> {
    ParameterError::check_nonnegative("std", std)?;
    uniform(p, m, |_, w| {
        w.extend((0..p).map(|_| real::<T>(std * rng.sample::<f64, _>(StandardNormal))));
    })
}

/// The uniform measure on `m` independent balanced neurons `(a, b)` in `R^(1 + d)`.
///
/// `b` is uniform on the sphere of radius `radius` in `R^d`, and `a` is `radius` or `-radius` with
/// equal probability. The flow of a network of 2-homogeneous neurons preserves the balance
/// `|a| = |b|`, and weight decay drives other neurons towards it.
///
/// ```
/// use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
/// use wasserflow::prelude::*;
///
/// let mu = init::balanced::<f64>(2, 5, 3.0, &mut ChaCha8Rng::seed_from_u64(7))?;
/// assert_eq!((mu.dim(), mu.particle(0)[0].abs()), (3, 3.0));
/// # Ok::<(), wasserflow::prelude::MeasureError>(())
/// ```
///
/// # Errors
/// [`MeasureError`] if `d = 0`, `m = 0`, `radius` is negative or not finite, or the particles do
/// not fit in memory.
pub fn balanced<T: Real>(
    d: usize,
    m: usize,
    radius: f64,
    rng: &mut (impl Rng + ?Sized),
) -> Result<EmpiricalMeasure<T>, MeasureError> {
    ParameterError::check_nonnegative("radius", radius)?;
    if d == 0 {
        return Err(MeasureError::Empty { dim: d, len: m });
    }
    uniform(d.saturating_add(1), m, |_, w| {
        let positive = rng.random_bool(0.5);
        w.push(real(if positive { radius } else { -radius }));
        w.extend(direction(d, rng).map(|b| real::<T>(radius * b)));
    })
}

/// The uniform measure on `m` independent balanced neurons `(a, b)` in `R^(k + d)`, with k outputs.
///
/// `a` is uniform on the sphere of radius `radius` in `R^k`, and `b` on that in `R^d`, so that
/// `|a| = |b|`. For `k = 1` the law is that of [`balanced`], with other numbers for the same seed.
///
/// ```
/// use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
/// use wasserflow::prelude::*;
///
/// let mu = init::balanced_outputs::<f64>(10, 65, 5, 2.0, &mut ChaCha8Rng::seed_from_u64(7))?;
/// assert_eq!((mu.dim(), mu.len()), (75, 5));
/// assert!((mu.second_moment() - 2.0 * 4.0).abs() < 1e-13);
/// # Ok::<(), wasserflow::prelude::MeasureError>(())
/// ```
///
/// # Errors
/// [`MeasureError`] if `k = 0`, `d = 0`, `m = 0`, `radius` is negative or not finite, or the
/// particles do not fit in memory.
pub fn balanced_outputs<T: Real>(
    k: usize,
    d: usize,
    m: usize,
    radius: f64,
    rng: &mut (impl Rng + ?Sized),
) -> Result<EmpiricalMeasure<T>, MeasureError> {
    ParameterError::check_nonnegative("radius", radius)?;
    if k == 0 || d == 0 {
        return Err(MeasureError::Empty { dim: 0, len: m });
    }
    uniform(k.saturating_add(d), m, |_, w| {
        for size in [k, d] {
            w.extend(direction(size, rng).map(|b| real::<T>(radius * b)));
        }
    })
}

/// A uniformly distributed point on the unit sphere of `R^p`, `p >= 1`: a normalised Gaussian
/// vector.
fn direction(p: usize, rng: &mut (impl Rng + ?Sized)) -> impl Iterator<Item = f64> {
    loop {
        let g: Vec<f64> = (0..p).map(|_| rng.sample(StandardNormal)).collect();
        let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
        // Norm 0 has probability 0: only a faulty generator repeats the loop.
        if norm > 0.0 {
            return g.into_iter().map(move |g| g / norm);
        }
    }
}
