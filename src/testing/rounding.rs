//! Rounding errors: the tolerance of the laws, and computed numbers with the scale of their error.

use crate::real::{Real, epsilon, real, to_f64};

/// Bound on the rounding error of a sum, in units of epsilon times the sum of the absolute values
/// of its terms.
///
/// A sequential sum of N terms has an error of at most N in this unit. The largest case of the
/// strategies sums over 257 samples of 3 outputs: 771 terms.
const ROUNDING: f64 = 1e3;

/// The relative tolerance of the laws, `1e3 eps`.
pub(super) fn rounding<T: Real>() -> f64 {
    ROUNDING * to_f64(epsilon::<T>())
}

/// The absolute error of a product with a subnormal factor, which has fewer digits.
pub(super) fn subnormal_rounding<T: Real>() -> f64 {
    rounding::<T>() / to_f64(T::max_value().unwrap_or(real(1e30)))
}

/// `|a - b|`; 0 if both are the same infinity.
pub(super) fn distance<T: Real>(a: T, b: T) -> f64 {
    if a == b { 0.0 } else { to_f64((a - b).abs()) }
}

/// The largest absolute value, 0 without values.
pub(super) fn max_abs(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(0.0, |max, x| max.max(x.abs()))
}

/// A number computed in `f64` from scalars, with the scale of its rounding error: the error is at
/// most `rounding::<T>() * scale`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Computed {
    pub value: f64,
    pub scale: f64,
}

impl Computed {
    /// A sum; its scale is the sum of the absolute values of the terms.
    pub fn sum(terms: impl IntoIterator<Item = f64>) -> Self {
        let mut sum = Self::default();
        terms.into_iter().for_each(|x| sum.add(x, x.abs()));
        sum
    }

    /// The directional derivative `<grad f, v>` at `w`.
    ///
    /// Its scale is `sum |grad f| (|v| + |w|)`: rounding perturbs the terms of the sum and, by a
    /// relative epsilon, the point `w` itself.
    pub fn directional<T: Real>(gradient: &[T], v: &[T], w: &[T]) -> Self {
        let mut sum = Self::default();
        for ((&g, &v), &w) in gradient.iter().zip(v).zip(w) {
            let (g, v, w) = (to_f64(g), to_f64(v), to_f64(w));
            sum.add(g * v, g.abs() * (v.abs() + w.abs()));
        }
        sum
    }

    /// Adds a term with its scale.
    pub fn add(&mut self, term: f64, scale: f64) {
        self.value += term;
        self.scale += scale;
    }
}
