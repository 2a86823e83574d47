//! Insertion of a particle along a descent direction.

use nalgebra::{DMatrix, DVector};

use super::check_dim;
use super::ranks::{owns_new_particle, sum_over_ranks};
use crate::energy::Energy;
use crate::error::MeasureError;
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::dot;
use crate::ranks::indicator;
use crate::real::{Real, epsilon, real, to_f64};

/// Interpolations for the zero of the slope; the map of a quadratic F takes two.
const INTERPOLATIONS: usize = 40;

/// The decrease of F, in units of `eps F`, above which it is not rounding error.
const ROUNDING_UNITS: f64 = 8.0;

/// The slope, in units of its measured rounding error, above which its sign is certain.
const SLOPE_UNITS: f64 = 8.0;

/// The measure with one more particle `r w`, the scale `r > 0` chosen so that F decreases.
///
/// The new particle has the mean weight of the others, or 1 if that is 0. Use the
/// [`escape`](crate::optimality::Certificate::escape) of a certificate as `w`.
///
/// The scale is chosen by the sign of the first variation `s(r) = F'(mu_r)(r w)` at the measure
/// `mu_r` that contains the particle. As F is convex in the weight of the particle, `s(r) < 0`
/// proves `F(mu_r) < F(mu)`, also if the decrease is below the rounding error of F. The search
/// covers all powers of two, from the smallest to the largest number of type `T`, so that neither
/// the scale of the inputs nor that of the targets matters. The result is the largest r before the
/// first change of sign that the search meets, which is the minimum along the ray for a
/// 2-homogeneous map with weight decay.
///
/// Returns `None` if
/// - `s(r)` is not negative at any r of the search, or
/// - the computed F does not decrease by more than its rounding error, and the sign of `s` is not
///   certain: it is below 8 times its rounding error, or the energy does not implement its first
///   variation (the search then uses the radial derivative `-<v, w>` of F).
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// let x = DMatrix::from_row_slice(1, 2, &[-1.0, 1.0]);
/// let risk = EmpiricalRisk::new(Square, x, DVector::from_vec(vec![0.0, 3.0]))?;
/// let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?;
/// let zero = EmpiricalMeasure::uniform(DMatrix::zeros(2, 1))?;
///
/// let certificate = optimality::certify(&mut energy, &zero);
/// let mu = sparse::insert(&mut energy, &zero, certificate.escape().unwrap()).unwrap();
/// assert_eq!((mu.len(), mu.weight(1)), (2, 1.0));
/// assert!(energy.value(&mu) < 1e-12); // the network 3 (x)_+
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Ranks
/// If the particles are distributed, all ranks call `insert` with the same `w`. The first rank of
/// the fewest particles gets the new particle, and the others their measure unchanged.
///
/// # Panics
/// When `mu` or `w` does not have the dimension of the energy's particles.
///
/// Cost: some 10 first variations, at most 80.
pub fn insert<T: Real, E: Energy<T> + ?Sized>(
    energy: &mut E,
    mu: &EmpiricalMeasure<T>,
    w: &[T],
) -> Option<EmpiricalMeasure<T>> {
    check_dim(energy.particle_dim(), mu.dim());
    let mass = sum_over_ranks(energy, mu.mass());
    let mean = mass / sum_over_ranks(energy, real(mu.len() as f64));
    let weight = if mean > T::zero() && mean.is_finite() {
        mean
    } else {
        T::one()
    };
    let owned = owns_new_particle(energy, mu);
    let next = append(mu, w, weight);
    let failures = sum_over_ranks(energy, indicator(next.is_err()));
    let next = next.ok().filter(|_| failures == T::zero())?;
    let start = energy.value(mu);
    let p = mu.dim();
    let mut ray = Ray {
        energy,
        measure: if owned { next } else { mu.clone() },
        w,
        owned,
        at: DMatrix::zeros(p, 1),
        descent: DMatrix::zeros(p, 1),
        velocity: DMatrix::zeros(p, mu.len() + usize::from(owned)),
    };
    let (lower, upper) = ray.change_of_sign()?;
    let r = ray.zero(lower, upper);
    let decrease = start - ray.point(r).value;
    let rounding = real::<T>(ROUNDING_UNITS) * epsilon::<T>() * start.abs();
    (decrease > rounding || (decrease >= -rounding && ray.descends_at(lower)))
        .then(|| ray.into_measure(r))
}

/// `F` along the ray `r -> mu_r`.
struct Ray<'a, T, E: ?Sized> {
    energy: &'a mut E,
    /// `mu_r`; on ranks that do not own the particle, `mu`.
    measure: EmpiricalMeasure<T>,
    w: &'a [T],
    /// Whether this rank holds the particle.
    owned: bool,
    at: DMatrix<T>,
    descent: DMatrix<T>,
    velocity: DMatrix<T>,
}

/// An evaluation on the ray.
#[derive(Clone, Copy)]
struct RayPoint<T> {
    /// `F(mu_r)`.
    value: T,
    /// `F'(mu_r)(r w)`, or the radial derivative of F.
    slope: T,
    /// Whether the slope is the first variation.
    is_variation: bool,
}

impl<T: Real> RayPoint<T> {
    fn descends(self) -> bool {
        self.value.is_finite() && self.slope < T::zero()
    }
}

/// `2^exponent`.
fn power<T: Real>(exponent: i32) -> T {
    real(f64::exp2(f64::from(exponent)))
}

impl<T: Real, E: Energy<T> + ?Sized> Ray<'_, T, E> {
    fn set(&mut self, r: T) {
        let p = self.w.len();
        for (at, &w) in self.at.iter_mut().zip(self.w) {
            *at = r * w;
        }
        if self.owned {
            let new = self.measure.len() - 1;
            self.measure.points_mut()[new * p..].copy_from_slice(self.at.as_slice());
        }
    }

    fn point(&mut self, r: T) -> RayPoint<T> {
        self.set(r);
        let (energy, mu) = (&mut *self.energy, &self.measure);
        let mut slope = [T::zero()];
        if let Some(value) = energy.first_variation(mu, &self.at, &mut slope, &mut self.descent) {
            return RayPoint {
                value,
                slope: slope[0],
                is_variation: true,
            };
        }
        let value = energy.velocity(mu, &mut self.velocity);
        let new = self.velocity.column(self.velocity.ncols() - 1);
        let local = if self.owned {
            -dot(new.as_slice(), self.w)
        } else {
            T::zero()
        };
        RayPoint {
            value,
            slope: sum_over_ranks(energy, local),
            is_variation: false,
        }
    }

    /// Exponents `lower` and `upper = lower + 1` with `s < 0` at `2^lower`, and `s >= 0` or an
    /// infinite F at `2^upper` or beyond the range of T.
    ///
    /// The exponent moves in steps that double, from 0 up while `s <= 0`, otherwise down. A slope
    /// of 0 is an underflow or a particle without effect.
    fn change_of_sign(&mut self) -> Option<(i32, i32)> {
        let max = T::max_value().map_or(f64::MAX, to_f64);
        let limit = max.log2() as i32;
        let (mut lower, mut upper) = (None, limit + 1);
        let (mut exponent, mut step) = (0, 1);
        while exponent <= limit {
            let point = self.point(power(exponent));
            if point.descends() {
                lower = Some(exponent);
            } else if point.slope != T::zero() || !point.value.is_finite() {
                upper = exponent;
                break;
            }
            exponent += step;
            step *= 2;
        }
        step = 1;
        exponent = upper.min(0);
        while lower.is_none() && exponent > -limit {
            exponent = (exponent - step).max(-limit);
            step *= 2;
            if self.point(power(exponent)).descends() {
                lower = Some(exponent);
            } else {
                upper = exponent;
            }
        }
        let mut lower = lower?;
        while upper - lower > 1 {
            let middle = lower + (upper - lower) / 2;
            if self.point(power(middle)).descends() {
                lower = middle;
            } else {
                upper = middle;
            }
        }
        Some((lower, upper))
    }

    /// The largest r found with `s(r) <= 0` between two powers of two, by the Illinois method for
    /// `s(r) / r^2` as a function of `r^2`, which is linear for a 2-homogeneous map, the square
    /// loss and weight decay.
    ///
    /// Source: M. Dowell and P. Jarratt, A modified regula falsi method, BIT 11, 1971.
    fn zero(&mut self, lower: i32, upper: i32) -> T {
        let unit = power::<T>(lower);
        let limit = real::<T>(4.0) * epsilon::<T>();
        let r = |q: T| unit * q.sqrt();
        let (mut a, mut b) = (T::one(), power(2 * (upper - lower)));
        let (mut sa, mut sb) = (self.point(r(a)).slope, self.point(r(b)).slope / b);
        let mut last_ascends = None;
        for _ in 0..INTERPOLATIONS {
            if b - a <= limit * b {
                break;
            }
            let secant = b - sb * ((b - a) / (sb - sa));
            let inside = secant > a && secant < b;
            let q = if inside { secant } else { (a + b) / real(2.0) };
            let point = self.point(r(q));
            let s = point.slope / q;
            let ascends = !point.descends() && s != T::zero();
            // An end that is kept twice gets half of its slope, so that the secant moves past it.
            let again = last_ascends == Some(ascends);
            let share = if again { real(0.5) } else { T::one() };
            if ascends {
                (b, sb, sa) = (q, s, sa * share);
            } else {
                (a, sa, sb) = (q, s, sb * share);
                if s == T::zero() {
                    break;
                }
            }
            last_ascends = Some(ascends);
        }
        r(a)
    }

    /// Returns true if the first variation is certainly negative at a quarter of `2^exponent`,
    /// where the new particle hardly changes it.
    ///
    /// Its rounding error is measured as its change when r and all weights change by a few units in
    /// the last place.
    fn descends_at(&mut self, exponent: i32) -> bool {
        let r = power::<T>(exponent - 2);
        let point = self.point(r);
        let weights = self.measure.weights().to_vec();
        let mut error = T::zero();
        for units in [-2.0, -1.0, 1.0, 2.0] {
            let factor = T::one() + real::<T>(units) * epsilon();
            for (c, &weight) in self.measure.weights_mut().iter_mut().zip(&weights) {
                *c = weight * factor;
            }
            let other = self.point(r * factor).slope / factor / factor;
            error = error.max((other - point.slope).abs());
        }
        self.measure.weights_mut().copy_from_slice(&weights);
        point.is_variation && point.descends() && -point.slope > real::<T>(SLOPE_UNITS) * error
    }

    fn into_measure(mut self, r: T) -> EmpiricalMeasure<T> {
        self.set(r);
        self.measure
    }
}

/// The measure with one more particle `w` of the given weight.
///
/// # Panics
/// When `w` does not have the dimension of the particles.
pub(super) fn append<T: Real>(
    mu: &EmpiricalMeasure<T>,
    w: &[T],
    weight: T,
) -> Result<EmpiricalMeasure<T>, MeasureError> {
    check_dim(mu.dim(), w.len());
    let m = mu.len();
    let mut points = mu.points().clone().insert_column(m, T::zero());
    points.column_mut(m).copy_from_slice(w);
    let weights = mu.weights().iter().copied().chain([weight]);
    EmpiricalMeasure::weighted(points, DVector::from_iterator(m + 1, weights))
}
