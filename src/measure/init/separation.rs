//! The largest cone of directions without particles.

use crate::error::{MeasureError, ParameterError};
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::norm;
use crate::real::{Real, real, to_f64};

/// The largest angle between a direction and the nearest particle, in radians: the covering radius
/// of the directions `w_i / |w_i|` on the circle (p = 2) or the sphere (p = 3).
///
/// It measures how well an initial measure separates the sphere: the global convergence of the flow
/// of 2-homogeneous neurons requires mass in all directions. For m independent uniform directions
/// on the circle its mean is `pi H_m / m`, with the harmonic number `H_m`. Particles of weight 0 are
/// ignored.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let angle: f64 = init::separation(&init::circle(5, 2.0)?)?;
/// assert!((angle - std::f64::consts::PI / 5.0).abs() < 1e-15);
/// # Ok::<(), wasserflow::prelude::MeasureError>(())
/// ```
///
/// # Errors
/// [`MeasureError::Parameter`] if p is not 2 or 3, if all weights are 0, or if a particle with mass
/// is 0 and has no direction; those of [`check`](EmpiricalMeasure::check).
///
/// # Cost
/// `O(m log m)` on the circle. On the sphere all triples of particles, `O(m^3)` to `O(m^4)`: meant
/// for up to some hundred particles.
pub fn separation<T: Real>(mu: &EmpiricalMeasure<T>) -> Result<T, MeasureError> {
    mu.check()?;
    let p = mu.dim();
    ParameterError::check(
        p == 2 || p == 3,
        "dimension of the particles",
        "2 or 3",
        p as f64,
    )?;
    let mut directions: Vec<[f64; 3]> = Vec::new();
    for i in (0..mu.len()).filter(|&i| mu.weight(i) > T::zero()) {
        let w: Vec<f64> = mu.particle(i).iter().map(|&w| to_f64(w)).collect();
        let largest = w.iter().fold(0.0_f64, |max, w| max.max(w.abs()));
        let name = "largest coordinate of a particle with mass";
        ParameterError::check_positive(name, largest)?;
        let scaled: Vec<f64> = w.iter().map(|w| w / largest).collect();
        let length = norm(&scaled);
        let mut unit = [0.0; 3];
        unit.iter_mut()
            .zip(&scaled)
            .for_each(|(u, w)| *u = w / length);
        directions.push(unit);
    }
    let count = directions.len() as f64;
    ParameterError::check(
        count > 0.0,
        "number of particles with mass",
        "at least 1",
        count,
    )?;
    let angle = if p == 2 {
        on_the_circle(&directions)
    } else {
        on_the_sphere(&directions)
    };
    Ok(real(angle))
}

/// Half the largest gap between consecutive angles.
fn on_the_circle(directions: &[[f64; 3]]) -> f64 {
    let mut angles: Vec<f64> = directions.iter().map(|w| w[1].atan2(w[0])).collect();
    angles.sort_by(f64::total_cmp);
    let around = angles[0] + std::f64::consts::TAU - angles[angles.len() - 1];
    let gaps = angles.windows(2).map(|pair| pair[1] - pair[0]);
    0.5 * gaps.fold(around, f64::max)
}

/// The largest distance to the nearest direction, over the points where it can be a local maximum:
/// opposite to a direction, opposite to the middle of two, and equidistant to three.
fn on_the_sphere(directions: &[[f64; 3]]) -> f64 {
    let mut best = 0.0;
    let mut consider = |u: [f64; 3]| {
        let length = norm(&u);
        if length < 1e-14 {
            return; // the three directions are on a great circle, or nearly equal
        }
        let u = u.map(|u| u / length);
        for u in [u, u.map(|u| -u)] {
            let mut nearest = f64::INFINITY;
            for w in directions {
                nearest = angle(&u, w).min(nearest);
                if nearest <= best {
                    break;
                }
            }
            best = nearest.max(best);
        }
    };
    for (i, a) in directions.iter().enumerate() {
        consider(*a);
        for (j, b) in directions[..i].iter().enumerate() {
            consider(std::array::from_fn(|l| a[l] + b[l]));
            let ab: [f64; 3] = std::array::from_fn(|l| b[l] - a[l]);
            for c in &directions[..j] {
                let ac: [f64; 3] = std::array::from_fn(|l| c[l] - a[l]);
                consider(std::array::from_fn(|l| {
                    let (m, n) = ((l + 1) % 3, (l + 2) % 3);
                    ab[m] * ac[n] - ab[n] * ac[m]
                }));
            }
        }
    }
    best
}

/// The angle between two unit vectors, accurate at all angles (W. Kahan).
fn angle(u: &[f64; 3], w: &[f64; 3]) -> f64 {
    let difference: [f64; 3] = std::array::from_fn(|l| u[l] - w[l]);
    let sum: [f64; 3] = std::array::from_fn(|l| u[l] + w[l]);
    2.0 * norm(&difference).atan2(norm(&sum))
}
