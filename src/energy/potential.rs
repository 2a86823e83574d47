//! Potentials `V: R^p -> R` and the potential energy `int V dmu`.

use std::rc::Rc;
use std::sync::Arc;

use nalgebra::DMatrix;

use super::{
    Energy, assert_curvature, assert_dim, assert_first_variation, assert_hessians, assert_velocity,
};
use crate::error::{ParameterError, assert_size};
use crate::feature::by_differences;
use crate::forward::forward;
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::{columns, columns_mut, dot};
use crate::ranks::{AllReduce, several, sum_scalar};
use crate::real::{Real, epsilon, real, to_f64};

/// A potential `V: R^p -> R` of a particle. Its integral `int V dmu` regularises a risk.
///
/// `()` is the zero potential, and a pair `(V, W)` is the sum `V + W`.
///
/// # Laws
/// - `gradient` adds `scale grad V(w)` to `out`.
/// - `curvature` adds `A v` with a symmetric positive semidefinite matrix `A` that depends on `w`
///   only.
///
/// # Panics
/// The methods panic if slices differ in length.
///
/// ```
/// use wasserflow::prelude::*;
///
/// /// The double-well potential V(w) = sum_l (w_l^2 - 1)^2.
/// struct DoubleWell;
/// impl<T: Real> Potential<T> for DoubleWell {
///     fn value(&self, w: &[T]) -> T {
///         w.iter().fold(T::zero(), |sum, &w| sum + (w * w - T::one()).powi(2))
///     }
///     fn gradient(&self, w: &[T], scale: T, out: &mut [T]) {
///         for (out, &w) in out.iter_mut().zip(w) {
///             *out += scale * w * (w * w - T::one()) * real(4.0);
///         }
///     }
/// }
/// let mut g = [0.0];
/// DoubleWell.gradient(&[2.0], 0.5, &mut g);
/// assert_eq!(g, [12.0]);
/// ```
pub trait Potential<T: Real> {
    /// The value `V(w)`.
    fn value(&self, w: &[T]) -> T;

    /// Adds the gradient: `out += scale grad V(w)`.
    fn gradient(&self, w: &[T], scale: T, out: &mut [T]);

    /// Adds the product with the Hessian, or a positive semidefinite part of it: `out += V''(w) v`.
    ///
    /// Provided: adds nothing.
    fn curvature(&self, w: &[T], v: &[T], out: &mut [T]) {
        let _ = (w, v, out);
    }
}

impl<T: Real> Potential<T> for () {
    #[inline]
    fn value(&self, _: &[T]) -> T {
        T::zero()
    }
    #[inline]
    fn gradient(&self, _: &[T], _: T, _: &mut [T]) {}
}

impl<T: Real, V: Potential<T>, W: Potential<T>> Potential<T> for (V, W) {
    fn value(&self, w: &[T]) -> T {
        self.0.value(w) + self.1.value(w)
    }
    fn gradient(&self, w: &[T], scale: T, out: &mut [T]) {
        self.0.gradient(w, scale, out);
        self.1.gradient(w, scale, out);
    }
    fn curvature(&self, w: &[T], v: &[T], out: &mut [T]) {
        self.0.curvature(w, v, out);
        self.1.curvature(w, v, out);
    }
}

forward! {
    impl[T: Real, V: Potential<T> + ?Sized] Potential<T>; for &V, &mut V, Box<V>, Rc<V>, Arc<V>; {
        fn value(&self, w: &[T]) -> T;
        fn gradient(&self, w: &[T], scale: T, out: &mut [T]);
        fn curvature(&self, w: &[T], v: &[T], out: &mut [T]);
    }
}

/// Weight decay `V(w) = lambda |w|^2` of strength `lambda >= 0`, with the velocity `-2 lambda w`.
///
/// On balanced neurons `(a, b)`, `|a| = |b|`, of a 2-homogeneous map it equals
/// `2 lambda |a| |b|`: the total variation norm of a measure on the sphere of directions, times
/// `2 lambda`.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let v = WeightDecay::new(0.5)?;
/// assert_eq!(v.value(&[3.0, 4.0]), 12.5);
/// assert!(WeightDecay::new(-1.0).is_err());
/// # Ok::<(), wasserflow::prelude::ParameterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(deserialize = "T: Real + serde::Deserialize<'de>"))
)]
pub struct WeightDecay<T> {
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_lambda"))]
    lambda: T,
}

#[cfg(feature = "serde")]
fn decode_lambda<'de, T: Real + serde::Deserialize<'de>, D: serde::Deserializer<'de>>(
    decoder: D,
) -> Result<T, D::Error> {
    crate::encoding::checked(decoder, |&lambda: &T| WeightDecay::new(lambda).map(drop))
}

impl<T: Real> WeightDecay<T> {
    /// Weight decay of strength `lambda >= 0`.
    ///
    /// # Errors
    /// [`ParameterError`] if `lambda` is negative or not finite.
    pub fn new(lambda: T) -> Result<Self, ParameterError> {
        ParameterError::check_nonnegative("lambda", to_f64(lambda))?;
        Ok(Self { lambda })
    }

    /// The strength `lambda`.
    pub fn lambda(&self) -> T {
        self.lambda
    }
}

impl<T: Real> Potential<T> for WeightDecay<T> {
    fn value(&self, w: &[T]) -> T {
        self.lambda * dot(w, w)
    }
    fn gradient(&self, w: &[T], scale: T, out: &mut [T]) {
        assert_size("length of the gradient", w.len(), out.len());
        let s = real::<T>(2.0) * self.lambda * scale;
        for (out, &w) in out.iter_mut().zip(w) {
            *out += s * w;
        }
    }
    fn curvature(&self, w: &[T], v: &[T], out: &mut [T]) {
        assert_size("length of the direction", w.len(), v.len());
        self.gradient(v, T::one(), out);
    }
}

/// `int V dmu = sum_i c_i V(w_i)` over the local particles.
pub(super) fn integral<T: Real>(potential: &impl Potential<T>, mu: &EmpiricalMeasure<T>) -> T {
    // Independent sums: one has the latency of an addition per particle.
    let (mut sums, p) = ([T::zero(); 8], mu.dim());
    let particles = mu.points().as_slice().chunks(sums.len() * p);
    for (w, c) in particles.zip(mu.weights().chunks(sums.len())) {
        for ((sum, w), &c) in sums.iter_mut().zip(columns(w, p)).zip(c) {
            *sum += c * potential.value(w);
        }
    }
    sums.into_iter().fold(T::zero(), |sum, part| sum + part)
}

/// Subtracts the gradient at each column of `w` (`p x m`): `out_i -= grad V(w_i)`.
pub(super) fn subtract_gradient<T: Real>(
    potential: &impl Potential<T>,
    w: &DMatrix<T>,
    out: &mut DMatrix<T>,
) {
    let p = w.nrows();
    for (w, v) in columns(w.as_slice(), p).zip(columns_mut(out.as_mut_slice(), p)) {
        potential.gradient(w, -T::one(), v);
    }
}

/// Adds the product of the Hessian at each column of `w` (`p x m`) and the field `v` (`p x m`):
/// `out_i += V''(w_i) v_i`.
pub(super) fn add_hessian_product<T: Real>(
    potential: &impl Potential<T>,
    w: &DMatrix<T>,
    v: &DMatrix<T>,
    out: &mut DMatrix<T>,
) {
    let p = w.nrows();
    let fields = columns(v.as_slice(), p).zip(columns_mut(out.as_mut_slice(), p));
    for (w, (v, out)) in columns(w.as_slice(), p).zip(fields) {
        potential.curvature(w, v, out);
    }
}

/// Splits the Hessians of the potential at the columns of `w` (`p x m`): writes what
/// [`Potential::curvature`] contains to `included` and adds the rest to `remainder`, both `p x p` a
/// column.
pub(super) fn potential_hessians<T: Real>(
    potential: &impl Potential<T>,
    w: &DMatrix<T>,
    remainder: &mut [T],
    included: &mut [T],
) {
    let p = w.nrows();
    included.fill(T::zero());
    let mut e = vec![T::zero(); p];
    for (w, block) in columns(w.as_slice(), p).zip(columns_mut(included, p * p)) {
        for (l, column) in columns_mut(block, p).enumerate() {
            e[l] = T::one();
            potential.curvature(w, &e, column);
            e[l] = T::zero();
        }
    }
    let mut full = vec![T::zero(); included.len()];
    by_differences(w, &mut full, |at, _, descent| {
        descent.fill(T::zero());
        subtract_gradient(potential, at, descent);
    });
    // Differences of a quadratic potential are rounding errors, not a remainder.
    for ((full, &included), remainder) in columns(&full, p * p)
        .flatten()
        .zip(&*included)
        .zip(remainder)
    {
        let difference = *full - included;
        if difference.abs() > (full.abs() + included.abs()) * epsilon::<T>().sqrt() * real(16.0) {
            *remainder += difference;
        }
    }
}

/// The potential energy `F(mu) = int V dmu`, with the first variation `V` and the velocity
/// `-grad V`.
///
/// Its flow moves every particle independently, by the gradient flow of `V`. In a
/// [`Sum`](super::Sum) it confines the particles of another energy. For a
/// [`MeanFieldRisk`](super::MeanFieldRisk) use
/// [`regularized`](super::MeanFieldRisk::regularized) instead, which sends fewer messages on ranks.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let mut f = PotentialEnergy::new(WeightDecay::new(1.0)?, 2);
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_element(2, 3, 1.0))?;
/// assert_eq!(f.value(&mu), 2.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PotentialEnergy<V, R = ()> {
    potential: V,
    particle_dim: usize,
    #[cfg_attr(feature = "serde", serde(skip))]
    ranks: R,
}

impl<V> PotentialEnergy<V> {
    /// The energy of `potential` on particles in `R^p`, `p = particle_dim`.
    pub fn new(potential: V, particle_dim: usize) -> Self {
        Self {
            potential,
            particle_dim,
            ranks: (),
        }
    }
}

impl<V, R> PotentialEnergy<V, R> {
    /// The same energy of particles that are distributed over ranks, with weights of the whole.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    /// use wasserflow::testing::Rank;
    ///
    /// let alone = Rank::group(1).remove(0);
    /// let mut f = PotentialEnergy::new(WeightDecay::new(1.0)?, 2).distributed(alone);
    /// let mu = EmpiricalMeasure::uniform(DMatrix::from_element(2, 3, 1.0))?;
    /// assert_eq!(f.value(&mu), 2.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn distributed<S>(self, ranks: S) -> PotentialEnergy<V, S> {
        PotentialEnergy {
            potential: self.potential,
            particle_dim: self.particle_dim,
            ranks,
        }
    }

    /// The potential `V`.
    pub fn potential(&self) -> &V {
        &self.potential
    }
}

impl<T: Real, V: Potential<T>, R: AllReduce<T>> Energy<T> for PotentialEnergy<V, R> {
    fn particle_dim(&self) -> usize {
        self.particle_dim
    }

    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        assert_dim(self.particle_dim, mu);
        sum_scalar(&mut self.ranks, integral(&self.potential, mu))
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        assert_velocity(self.particle_dim, mu, out);
        out.fill(T::zero());
        subtract_gradient(&self.potential, mu.points(), out);
        sum_scalar(&mut self.ranks, integral(&self.potential, mu))
    }

    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        assert_first_variation(self.particle_dim, mu, at, values, descent);
        for (w, value) in columns(at.as_slice(), at.nrows()).zip(values) {
            *value = self.potential.value(w);
        }
        descent.fill(T::zero());
        subtract_gradient(&self.potential, at, descent);
        Some(sum_scalar(&mut self.ranks, integral(&self.potential, mu)))
    }

    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        out: &mut DMatrix<T>,
    ) -> Option<()> {
        assert_curvature(self.particle_dim, mu, v, out);
        out.fill(T::zero());
        add_hessian_product(&self.potential, mu.points(), v, out);
        Some(())
    }

    fn hessians(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        remainder: &mut [T],
        included: &mut [T],
    ) -> Option<()> {
        assert_hessians(self.particle_dim, mu, remainder, included);
        remainder.fill(T::zero());
        potential_hessians(&self.potential, mu.points(), remainder, included);
        Some(())
    }

    fn ranks(&mut self) -> Option<&mut dyn AllReduce<T>> {
        several(&mut self.ranks)
    }
}
