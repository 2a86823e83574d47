//! Potentials `V` and their energies `int V dmu`.

use nalgebra::DMatrix;

use super::Energy;
use crate::error::ParameterError;
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::{columns, columns_mut, dot};
use crate::real::{Real, real, to_f64};

/// A potential `V: R^p -> R` of one particle; `int V dmu` regularises a risk.
///
/// `()` is the potential 0, and a pair of potentials is their sum.
///
/// # Laws
/// `gradient` adds `scale grad V(w)` to `out`; `curvature` adds a symmetric positive semidefinite form.
///
/// ```
/// use wasserflow::prelude::*;
///
/// /// A double well.
/// struct Wells;
/// impl<T: Real> Potential<T> for Wells {
///     fn value(&self, w: &[T]) -> T {
///         w.iter().fold(T::zero(), |sum, &w| sum + (w * w - T::one()).powi(2))
///     }
///     fn gradient(&self, w: &[T], scale: T, out: &mut [T]) {
///         for (out, &w) in out.iter_mut().zip(w) {
///             *out += scale * w * (w * w - T::one()) * wasserflow::real(4.0);
///         }
///     }
/// }
/// let mut g = [0.0];
/// Wells.gradient(&[2.0], 0.5, &mut g);
/// assert_eq!(g, [12.0]);
/// ```
pub trait Potential<T: Real> {
    /// `V(w)`.
    fn value(&self, w: &[T]) -> T;

    /// `out += scale grad V(w)`.
    fn gradient(&self, w: &[T], scale: T, out: &mut [T]);

    /// `out += V''(w) v`, or a positive semidefinite part of it. Provided: adds nothing.
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

macro_rules! forward_potential {
    ($($pointer:ty),*) => {$(
        impl<T: Real, V: Potential<T> + ?Sized> Potential<T> for $pointer {
            fn value(&self, w: &[T]) -> T {
                (**self).value(w)
            }
            fn gradient(&self, w: &[T], scale: T, out: &mut [T]) {
                (**self).gradient(w, scale, out);
            }
            fn curvature(&self, w: &[T], v: &[T], out: &mut [T]) {
                (**self).curvature(w, v, out);
            }
        }
    )*};
}
forward_potential!(&V, Box<V>);

/// Weight decay `V(w) = lambda |w|^2`: `int V dmu = lambda int |w|^2 dmu`, velocity `-2 lambda w`.
///
/// On 2-homogeneous neurons it acts as the total variation of a measure on the sphere, with the factor `2 lambda`.
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
pub struct WeightDecay<T> {
    lambda: T,
}

impl<T: Real> WeightDecay<T> {
    /// Weight decay of strength `lambda >= 0`.
    ///
    /// # Errors
    /// [`ParameterError`] when `lambda` is negative or not finite.
    pub fn new(lambda: T) -> Result<Self, ParameterError> {
        if lambda >= T::zero() && lambda.is_finite() {
            Ok(Self { lambda })
        } else {
            Err(ParameterError {
                name: "lambda",
                requirement: ">= 0 and finite",
                value: to_f64(lambda),
            })
        }
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
        let s = real::<T>(2.0) * self.lambda * scale;
        for (out, &w) in out.iter_mut().zip(w) {
            *out += s * w;
        }
    }
    fn curvature(&self, _: &[T], v: &[T], out: &mut [T]) {
        self.gradient(v, T::one(), out);
    }
}

/// `int V dmu` over the particles at hand.
pub(super) fn integral<T: Real>(potential: &impl Potential<T>, mu: &EmpiricalMeasure<T>) -> T {
    let mut sum = T::zero();
    for i in 0..mu.len() {
        sum += mu.weight(i) * potential.value(mu.particle(i));
    }
    sum
}

/// `out_i -= grad V(w_i)`.
pub(super) fn descend<T: Real>(
    potential: &impl Potential<T>,
    w: &DMatrix<T>,
    out: &mut DMatrix<T>,
) {
    let p = w.nrows();
    for (w, v) in columns(w.as_slice(), p).zip(columns_mut(out.as_mut_slice(), p)) {
        potential.gradient(w, -T::one(), v);
    }
}

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

/// The energy `F(mu) = int V dmu` of independent particles.
///
/// Alone it is a gradient flow of every particle for itself; inside a [`Sum`](super::Sum) it confines any other energy.
/// (A [`MeanFieldRisk`](super::MeanFieldRisk) takes its potential by
/// [`regularized`](super::MeanFieldRisk::regularized).)
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let mut f = PotentialEnergy::new(WeightDecay::new(1.0)?, 2);
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_element(2, 3, 1.0)).unwrap();
/// assert_eq!(f.value(&mu), 2.0);
/// # Ok::<(), wasserflow::prelude::ParameterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PotentialEnergy<V> {
    potential: V,
    particle_dim: usize,
}

impl<V> PotentialEnergy<V> {
    /// The energy of `potential` on particles of `particle_dim` coordinates.
    pub fn new(potential: V, particle_dim: usize) -> Self {
        Self {
            potential,
            particle_dim,
        }
    }

    /// The potential `V`.
    pub fn potential(&self) -> &V {
        &self.potential
    }
}

impl<T: Real, V: Potential<T>> Energy<T> for PotentialEnergy<V> {
    fn particle_dim(&self) -> usize {
        self.particle_dim
    }

    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        integral(&self.potential, mu)
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        out.fill(T::zero());
        descend(&self.potential, mu.points(), out);
        integral(&self.potential, mu)
    }

    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        for (w, value) in columns(at.as_slice(), at.nrows()).zip(values) {
            *value = self.potential.value(w);
        }
        descent.fill(T::zero());
        descend(&self.potential, at, descent);
        Some(integral(&self.potential, mu))
    }

    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        out: &mut DMatrix<T>,
    ) -> Option<()> {
        out.fill(T::zero());
        add_hessian_product(&self.potential, mu.points(), v, out);
        Some(())
    }
}
