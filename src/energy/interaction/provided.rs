//! Powers and the logarithm of the distance, and Gaussians of it.

use super::Interaction;
use crate::error::{ParameterError, assert_size};
use crate::numeric::elementary::{exponentials, powers};
use crate::numeric::vector::norm;
use crate::real::{Real, epsilon, real, to_f64};

/// The interaction `W(z) = s |z|^a / a` of exponent a and strength s; `W(z) = s log |z|` for a = 0.
///
/// The force between two particles is `-s |z|^(a-1)` along z: attractive for s > 0, repulsive for
/// s < 0. A sum of two powers is a pair: `|z|^a / a - |z|^b / b`, a > b, attracts at long and
/// repels at short distances. For `a = 2 - p` the repulsion is the Newtonian one in `R^p`.
///
/// `W(0) = 0` for a > 0. For a <= 0 the interaction is singular: `W(0)` is infinite, and the
/// diagonal is left out of its energy. The gradient at `z = 0` is 0 by symmetry, also for a <= 1,
/// where it is not continuous: particles that coincide remain together.
///
/// Sums over pairs are vectorised for exponents up to 16. The relative error of a power is a few
/// units of rounding if `2 a` is an integer, and otherwise `|log |z||` units more.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let quartic = PowerLaw::new(4.0, 1.0)?;
/// assert_eq!(quartic.value(&[0.0, 2.0]), 4.0);
/// let newtonian = PowerLaw::new(0.0, -1.0)?; // in the plane
/// assert_eq!(newtonian.value(&[f64::exp(2.0), 0.0]), -2.0);
/// assert!(Interaction::<f64>::is_singular(&newtonian));
/// assert!(PowerLaw::new(f64::NAN, 1.0).is_err());
/// # Ok::<(), ParameterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PowerLaw {
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_number"))]
    exponent: f64,
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_number"))]
    strength: f64,
}

/// A finite number.
#[cfg(feature = "serde")]
fn decode_number<'de, D: serde::Deserializer<'de>>(decoder: D) -> Result<f64, D::Error> {
    crate::encoding::checked(decoder, |&number| PowerLaw::new(1.0, number).map(drop))
}

impl PowerLaw {
    /// The interaction of exponent a and strength s, of either sign.
    ///
    /// # Errors
    /// [`ParameterError`] if a or s is not finite.
    pub fn new(exponent: f64, strength: f64) -> Result<Self, ParameterError> {
        ParameterError::check(exponent.is_finite(), "exponent", "finite", exponent)?;
        ParameterError::check(strength.is_finite(), "strength", "finite", strength)?;
        Ok(Self { exponent, strength })
    }

    /// The exponent a.
    pub fn exponent(&self) -> f64 {
        self.exponent
    }

    /// The strength s.
    pub fn strength(&self) -> f64 {
        self.strength
    }

    /// `W(z)`, and the factor `s |z|^(a-2)` of z in its gradient, from `|z|^2`; `None` if the
    /// factor loses digits to underflow or overflow.
    #[inline]
    fn parts<T: Real>(&self, square: T) -> Option<(T, T)> {
        let (a, s) = (self.exponent, real::<T>(self.strength));
        let half = a * 0.5 - 1.0;
        let factor = if half == 0.0 {
            s
        } else if half == -1.0 {
            s / square
        } else if half == -0.5 {
            s / square.sqrt()
        } else if half == 1.0 {
            s * square
        } else {
            let power = square.powf(real(half));
            if !is_normal(power) {
                return None;
            }
            s * power
        };
        if !is_normal(factor) && s != T::zero() {
            return None;
        }
        let value = if a == 0.0 {
            s * square.ln() * real(0.5)
        } else {
            factor * square / real(a)
        };
        Some((value, factor))
    }

    /// `W(z)` and the norm of its gradient with the sign of s, from `|z| > 0`; neither overflows or
    /// underflows unless its result does.
    fn at_distance<T: Real>(&self, r: T) -> (T, T) {
        let (a, s) = (self.exponent, real::<T>(self.strength));
        if s == T::zero() {
            return (s, s);
        }
        // By halves: a power may leave the range where its product with s does not.
        let power = |e: f64| {
            let half = r.powf(real(0.5 * e));
            s * half * half
        };
        let value = if a == 0.0 {
            s * r.ln()
        } else {
            power(a) / real(a)
        };
        (value, power(a - 1.0))
    }

    /// `W(0)`.
    fn at_zero<T: Real>(&self) -> T {
        let s = real::<T>(self.strength);
        if self.exponent > 0.0 || s == T::zero() {
            T::zero()
        } else {
            -s * real(f64::INFINITY) // s log 0 = -inf s, and s |0|^a / a = -inf s
        }
    }
}

/// `|z|^2`.
#[inline]
fn square<T: Real>(z: &[T]) -> T {
    z.iter().fold(T::zero(), |sum, &z| sum + z * z)
}

/// Returns true if `|z|^2` has neither overflowed nor lost digits to underflow.
#[inline]
fn is_accurate<T: Real>(square: T) -> bool {
    let eps = epsilon::<T>();
    let underflows = |max: T| square * (max * eps * eps) <= T::one();
    square.is_finite() && !T::max_value().is_some_and(underflows)
}

/// Returns true if x is finite and has all its digits.
#[inline]
fn is_normal<T: Real>(x: T) -> bool {
    let is_large = |max: T| x.abs() * max >= real(4.0); // the least normal number is 4 / max
    x.is_finite() && T::max_value().is_none_or(is_large)
}

impl PowerLaw {
    /// [`Interaction::value_and_gradient`] where the square of the distance or the factor of z is
    /// not accurate, for an empty `out` the value alone.
    #[cold]
    fn by_distance<T: Real>(&self, z: &[T], scale: T, out: &mut [T]) -> T {
        let r = norm(z);
        if r == T::zero() {
            return self.at_zero();
        }
        let (value, slope) = self.at_distance(r);
        if scale != T::zero() {
            for (out, &z) in out.iter_mut().zip(z) {
                *out += scale * slope * (z / r);
            }
        }
        value
    }
}

impl<T: Real> Interaction<T> for PowerLaw {
    #[inline]
    fn value(&self, z: &[T]) -> T {
        let square = square(z);
        let parts = is_accurate(square).then(|| self.parts(square)).flatten();
        match parts {
            Some((value, _)) => value,
            None => self.by_distance(z, T::zero(), &mut []),
        }
    }

    #[inline]
    fn gradient(&self, z: &[T], scale: T, out: &mut [T]) {
        self.value_and_gradient(z, scale, out);
    }

    #[inline]
    fn value_and_gradient(&self, z: &[T], scale: T, out: &mut [T]) -> T {
        assert_size("length of the gradient", z.len(), out.len());
        let square = square(z);
        let parts = is_accurate(square).then(|| self.parts(square)).flatten();
        let Some((value, factor)) = parts else {
            return self.by_distance(z, scale, out);
        };
        let scaled = scale * factor;
        if !is_normal(scaled) && scale != T::zero() && factor != T::zero() {
            return self.by_distance(z, scale, out);
        }
        for (out, &z) in out.iter_mut().zip(z) {
            *out += scaled * z;
        }
        value
    }

    fn is_singular(&self) -> bool {
        self.exponent <= 0.0 && self.strength != 0.0
    }

    fn radial(&self, s: &mut [T], d: &mut [T]) -> bool {
        if !powers([self.exponent, self.strength], s, d) {
            for (r, s) in s.iter_mut().enumerate() {
                let (value, factor) = if *s == T::zero() {
                    (self.at_zero(), T::zero())
                } else {
                    self.parts(*s).unwrap_or_else(|| {
                        let r = s.sqrt();
                        let (value, slope) = self.at_distance(r);
                        (value, slope / r)
                    })
                };
                *s = value;
                if let Some(d) = d.get_mut(r) {
                    *d = factor * real(0.5);
                }
            }
        }
        true
    }

    fn radial_range(&self) -> [T; 2] {
        let strength = to_f64(real::<T>(self.strength)).abs();
        let (a, max) = (self.exponent, T::max_value().map_or(f64::MAX, to_f64));
        let (shift, limit) = (strength.log2(), max.log2() - MARGIN);
        let mut range = [T::zero(), real(f64::INFINITY)];
        if strength == 0.0 {
            return range;
        }
        // Powers and their products with s. The strength matters if it is extreme; without it, the
        // powers of an attractive force leave the range only if the force does.
        let is_extreme = shift.abs() > MARGIN;
        let exponents = [
            (0.5 * a - 1.0, is_extreme || a < 2.0),
            (0.5 * a, is_extreme),
        ];
        for (e, matters) in exponents {
            if !matters || e == 0.0 {
                continue;
            }
            // -limit <= e log2(square) + shift <= limit, also without the shift
            let mut ends = [-limit - shift.min(0.0), limit - shift.max(0.0)].map(|y| y / e);
            ends.sort_by(f64::total_cmp);
            let [least, largest] = ends.map(|y| real::<T>(y.exp2()));
            range = [range[0].max(least), range[1].min(largest)];
        }
        range
    }
}

/// Powers of two that sums over pairs have to spare for weights, in the factors of differences.
const MARGIN: f64 = 20.0;

/// The interaction `W(z) = s exp(-|z|^2 / (2 h^2))` of bandwidth h and strength s: repulsive for
/// s > 0, attractive for s < 0.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let w = GaussianInteraction::new(0.5, -2.0)?;
/// assert_eq!(w.value(&[0.0]), -2.0);
/// assert_eq!(w.value(&[1.0]), -2.0 * f64::exp(-2.0));
/// # Ok::<(), ParameterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(deserialize = "T: Real + serde::Deserialize<'de>"))
)]
pub struct GaussianInteraction<T> {
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_bandwidth"))]
    bandwidth: T,
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_strength"))]
    strength: T,
}

#[cfg(feature = "serde")]
fn decode_bandwidth<'de, T: Real + serde::Deserialize<'de>, D: serde::Deserializer<'de>>(
    decoder: D,
) -> Result<T, D::Error> {
    crate::encoding::checked(decoder, |&bandwidth: &T| {
        GaussianInteraction::new(bandwidth, T::one()).map(drop)
    })
}

#[cfg(feature = "serde")]
fn decode_strength<'de, T: Real + serde::Deserialize<'de>, D: serde::Deserializer<'de>>(
    decoder: D,
) -> Result<T, D::Error> {
    crate::encoding::checked(decoder, |&strength: &T| {
        GaussianInteraction::new(T::one(), strength).map(drop)
    })
}

impl<T: Real> GaussianInteraction<T> {
    /// The interaction of bandwidth `h > 0` and strength s.
    ///
    /// # Errors
    /// [`ParameterError`] if the bandwidth is not positive and finite, if `1/h^2` overflows (the
    /// gradients would be NaN), or if the strength is not finite.
    pub fn new(bandwidth: T, strength: T) -> Result<Self, ParameterError> {
        ParameterError::check_positive("bandwidth", to_f64(bandwidth))?;
        ParameterError::check(
            (T::one() / (bandwidth * bandwidth)).is_finite(),
            "bandwidth",
            "large enough for a finite 1 / bandwidth^2",
            to_f64(bandwidth),
        )?;
        ParameterError::check(strength.is_finite(), "strength", "finite", to_f64(strength))?;
        Ok(Self {
            bandwidth,
            strength,
        })
    }

    /// The bandwidth h.
    pub fn bandwidth(&self) -> T {
        self.bandwidth
    }

    /// The strength s.
    pub fn strength(&self) -> T {
        self.strength
    }
}

/// `(s_r, d_r) <- (f, f')` of `f(s) = a exp(-s / (2 h^2))`, values only if `d` is empty. True.
pub(in crate::energy) fn gaussian<T: Real>(a: T, h: T, s: &mut [T], d: &mut [T]) -> bool {
    let rate = real::<T>(-0.5) / (h * h);
    if !exponentials([a, rate].map(to_f64), s, d) {
        for s in s.iter_mut() {
            *s = a * (rate * *s).exp();
        }
        d.iter_mut().zip(&*s).for_each(|(d, &s)| *d = rate * s);
    }
    true
}

impl<T: Real> Interaction<T> for GaussianInteraction<T> {
    #[inline]
    fn value(&self, z: &[T]) -> T {
        let h = self.bandwidth;
        let square = z.iter().fold(T::zero(), |sum, &z| sum + (z / h) * (z / h));
        self.strength * (square * real(-0.5)).exp()
    }

    #[inline]
    fn gradient(&self, z: &[T], scale: T, out: &mut [T]) {
        self.value_and_gradient(z, scale, out);
    }

    #[inline]
    fn value_and_gradient(&self, z: &[T], scale: T, out: &mut [T]) -> T {
        assert_size("length of the gradient", z.len(), out.len());
        let value = self.value(z);
        let factor = scale * value / (self.bandwidth * self.bandwidth);
        for (out, &z) in out.iter_mut().zip(z) {
            *out -= factor * z;
        }
        value
    }
    fn radial(&self, s: &mut [T], d: &mut [T]) -> bool {
        gaussian(self.strength, self.bandwidth, s, d)
    }
}
