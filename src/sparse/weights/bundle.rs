//! A proximal level bundle method for weights, for any convex F.
//!
//! F is bounded from below by its tangents at all factors evaluated, `F(x) >= F(z_j) + g_j.(x -
//! z_j)`. A step projects the best factors z on the set where these bounds are at most the level
//! `F(z) - delta`. If the set is empty, a combination of the tangents proves that the level is
//! below `min F`.
//!
//! Source: U. Brannlund, K. C. Kiwiel and P. O. Lindberg, A descent proximal level bundle method
//! for convex nondifferentiable optimization, Operations Research Letters 17, 1995.

use nalgebra::DMatrix;

use super::non_negative::{LeastDistance, least_distance};
use super::{ROUNDING_UNITS, WeightProblem};
use crate::energy::Energy;
use crate::real::{Real, epsilon, real, to_f64};

/// The share of the target decrease `delta` from which on a step counts as successful.
const SUFFICIENT: f64 = 0.1;

/// The relative violation `-s_i` of `s >= 0` up to which a combination s of slopes bounds F: the
/// accuracy of the multipliers.
const SLOPE_TOLERANCE: f64 = 1e-9;

/// The range of weights for which the lower bound holds in spite of such a violation: weights that
/// alone change F by at most this many times its size.
const RANGE: f64 = 8.0;

/// The smallest decrease that is attempted, in units of the rounding error of F.
const RESOLUTION: f64 = 1e-3;

/// The slope of a factor in units of `F / z` below which F is flat.
const FLAT: f64 = 1e-2;

/// A tangent of F.
#[derive(Debug)]
struct Tangent {
    z: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
    /// The multiplier in the last projection.
    multiplier: f64,
}

impl Tangent {
    /// The value of the tangent at `x`.
    fn at(&self, x: &[f64]) -> f64 {
        let terms = self.gradient.iter().zip(x).zip(&self.z);
        self.value + terms.map(|((g, x), z)| g * (x - z)).sum::<f64>()
    }
}

/// The tangents of F, and what they prove.
#[derive(Debug)]
pub(super) struct Bundle {
    tangents: Vec<Tangent>,
    /// The multipliers of the constraints `z_g >= 0` in the last projection.
    bounds: Vec<f64>,
    /// A lower bound of `min F`.
    lower: f64,
    /// The rounding error of that bound.
    rounding: f64,
    /// The decrease of F that the next step attempts.
    delta: f64,
}

impl Default for Bundle {
    fn default() -> Self {
        Self {
            tangents: Vec::new(),
            bounds: Vec::new(),
            lower: f64::NEG_INFINITY,
            rounding: 0.0,
            delta: f64::INFINITY,
        }
    }
}

impl Bundle {
    /// The unit of slope of each factor: the largest slope of the tangents.
    ///
    /// If the slope of a factor vanishes at all of them, a percent of `F / z` limits the step.
    fn scale(&self, z: &[f64], value: f64) -> Vec<f64> {
        let mean = z.iter().sum::<f64>() / z.len() as f64;
        let slope = |g: usize| {
            let slopes = self.tangents.iter().map(|t| t.gradient[g].abs());
            slopes.fold(0.0, f64::max)
        };
        let largest = (0..z.len()).map(slope).fold(0.0, f64::max);
        let scale = |(g, &z): (usize, &f64)| {
            let scale = (FLAT * value.abs() / z.max(mean))
                .min(largest)
                .max(slope(g));
            if scale > 0.0 { scale } else { 1.0 }
        };
        z.iter().enumerate().map(scale).collect()
    }

    /// The projection of `z` on the level set, in units of `delta` and of the largest slope of each
    /// factor: `x = z + delta y / scale`.
    fn project(&self, z: &[f64], value: f64, scale: &[f64]) -> LeastDistance {
        let (m, cuts) = (z.len(), self.tangents.len());
        let mut columns = DMatrix::zeros(m + 1, cuts + m);
        for (j, tangent) in self.tangents.iter().enumerate() {
            for g in 0..m {
                columns[(g, j)] = -tangent.gradient[g] / scale[g];
            }
            let error = (value - tangent.at(z)).max(0.0);
            columns[(m, j)] = 1.0 - error / self.delta;
        }
        for g in 0..m {
            columns[(g, cuts + g)] = 1.0;
            columns[(m, cuts + g)] = -z[g] * scale[g] / self.delta;
        }
        let multipliers = self.tangents.iter().map(|t| t.multiplier);
        let multipliers = multipliers.chain(self.bounds.iter().copied()).enumerate();
        let start: Vec<usize> = multipliers
            .filter(|&(_, u)| u > 0.0)
            .map(|(i, _)| i)
            .collect();
        least_distance(&columns, &start)
    }

    /// The bound of `F - min F` for a value of F.
    pub(super) fn gap<T: Real>(&self, value: T) -> f64 {
        to_f64(value) - self.lower
    }

    /// The rounding error of the bound.
    pub(super) fn rounding(&self) -> f64 {
        self.rounding
    }

    /// The tangents that prove the lower bound, as pairs of their share and their factors.
    pub(super) fn combination(&self) -> Vec<(f64, &[f64])> {
        let total: f64 = self.tangents.iter().map(|t| t.multiplier).sum();
        let proving = self.tangents.iter().filter(|t| t.multiplier > 0.0);
        proving
            .map(|t| (t.multiplier / total, t.z.as_slice()))
            .collect()
    }

    /// Raises the lower bound of F to the one that the multipliers prove: the minimum of their
    /// combination of tangents over `x >= 0`, if its slope is not negative up to rounding. `reach`
    /// is the size of F, and `unit` its relative rounding error.
    fn raise_bound(&mut self, scale: &[f64], reach: f64, unit: f64) {
        let total: f64 = self.tangents.iter().map(|t| t.multiplier).sum();
        let combine = |f: &dyn Fn(&Tangent) -> f64| {
            let terms = self.tangents.iter().map(|t| t.multiplier / total * f(t));
            terms.sum::<f64>()
        };
        let zero = vec![0.0; scale.len()];
        let mut bound = combine(&|t| t.at(&zero));
        let mut magnitude = combine(&|t| t.value.abs());
        for (g, &scale) in scale.iter().enumerate() {
            let slope = combine(&|t| t.gradient[g]);
            if slope.is_nan() || slope < -SLOPE_TOLERANCE * scale {
                return;
            }
            bound += slope.min(0.0) * RANGE * reach / scale;
            magnitude += combine(&|t| t.gradient[g].abs() * t.z[g]);
        }
        // Tangents at very large factors prove nothing.
        if bound > self.lower && unit * magnitude <= unit.sqrt() * reach {
            (self.lower, self.rounding) = (bound, unit * magnitude);
        }
    }

    /// Removes tangents without a multiplier, the lowest at `z` first, until `3 m + 20` are left.
    fn limit(&mut self, z: &[f64]) {
        let limit = 3 * z.len() + 20;
        if self.tangents.len() > limit {
            let key = |t: &Tangent| {
                if t.multiplier > 0.0 {
                    f64::INFINITY
                } else {
                    t.at(z)
                }
            };
            self.tangents.sort_by(|s, t| key(t).total_cmp(&key(s)));
            self.tangents.truncate(limit);
        }
    }
}

impl<T: Real, E: Energy<T> + ?Sized> WeightProblem<'_, T, E> {
    /// At most `steps` steps, until the gap is below the rounding error. Returns their number.
    pub(super) fn bundle(&mut self, bundle: &mut Bundle, steps: usize) -> usize {
        let double = |x: &[T]| x.iter().map(|&x| to_f64(x)).collect::<Vec<f64>>();
        let unit = ROUNDING_UNITS * to_f64(epsilon::<T>());
        let m = self.z.len();
        bundle.bounds.resize(m, 0.0);
        let tangent = |problem: &Self, value: T| Tangent {
            z: double(&problem.z),
            value: to_f64(value),
            gradient: double(&problem.gradient),
            multiplier: 0.0,
        };
        bundle.tangents.push(tangent(self, self.value));
        for step in 0..steps {
            let (z, value) = (double(&self.z), to_f64(self.value));
            let gap = bundle.gap(self.value);
            if gap <= self.rounding().max(bundle.rounding) {
                return step;
            }
            let scale = bundle.scale(&z, value);
            let slopes = z.iter().zip(&scale).map(|(z, scale)| z * scale);
            let reach = slopes.fold(value.abs(), f64::max);
            if bundle.delta == f64::INFINITY {
                bundle.delta = reach.max(f64::MIN_POSITIVE);
            }
            bundle.delta = bundle.delta.min(0.5 * gap);
            if bundle.delta < RESOLUTION * unit * reach {
                return step; // below the resolution of the tangents
            }
            let LeastDistance { y, u } = bundle.project(&z, value, &scale);
            for (tangent, &u) in bundle.tangents.iter_mut().zip(&u) {
                tangent.multiplier = u;
            }
            bundle.bounds = u.iter().skip(bundle.tangents.len()).copied().collect();
            let Some(y) = y else {
                bundle.raise_bound(&scale, reach, unit);
                bundle.delta *= 0.5;
                continue;
            };
            let coordinate = |g: usize| {
                let x = z[g] + bundle.delta * y[g] / scale[g];
                if bundle.bounds[g] > 0.0 {
                    0.0
                } else {
                    x.max(0.0)
                }
            };
            let x: Vec<f64> = (0..m).map(coordinate).collect();
            let model = bundle.tangents.iter().map(|t| t.at(&x));
            if model.fold(f64::NEG_INFINITY, f64::max) > value - SUFFICIENT * bundle.delta {
                bundle.delta *= 0.5; // rounding of the projection: a tangent at x would add nothing
                continue;
            }
            let (best, gradient) = (self.z.clone(), self.gradient.clone());
            self.z = x.into_iter().map(real).collect();
            let next = self.evaluate().unwrap_or(self.value);
            if !next.is_finite() || self.gradient.iter().any(|g| !g.is_finite()) {
                (self.z, self.gradient) = (best, gradient);
                bundle.delta *= 0.25;
                continue;
            }
            bundle.tangents.push(tangent(self, next));
            let decrease = to_f64(self.value - next);
            if decrease > 0.0 {
                self.value = next;
            } else {
                (self.z, self.gradient) = (best, gradient);
            }
            if decrease > SUFFICIENT * bundle.delta && bundle.lower == f64::NEG_INFINITY {
                bundle.delta *= 2.0;
            }
            bundle.limit(&z);
        }
        steps
    }
}
