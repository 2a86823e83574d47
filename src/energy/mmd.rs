//! The maximum mean discrepancy to a target measure.

use nalgebra::DMatrix;

use super::{Energy, Kernel};
use crate::error::ShapeError;
use crate::feature::{columns, columns_mut};
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, real};

/// Half the squared maximum mean discrepancy, `F(mu) = (1/2) int int K d(mu - nu) d(mu - nu)`, to a target `nu`.
///
/// `F'(mu)(w) = int K(w, .) d(mu - nu)`. With [`Lifted`](super::Lifted)`(`[`ArcCosine`](super::ArcCosine)`)` it is the
/// population risk of a teacher network in closed form; with [`Gaussian`](super::Gaussian) the MMD flow of samples to a
/// target. The masses of `mu` and `nu` may differ. F is a difference of sums: near 0 its absolute error is of the order of
/// epsilon times `int int K dnu dnu`.
///
/// ```
/// use wasserflow::{ArcCosine, EmpiricalMeasure, Energy, Mmd, nalgebra::DMatrix};
///
/// let teacher = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[1.0, 0.0]))?;
/// let student = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[3.0, 0.0]))?;
/// let mut f = Mmd::new(ArcCosine::new(2), teacher).unwrap();
/// assert_eq!(f.value(&student), 1.0); // E[(3 (x_1)_+ - (x_1)_+)^2] / 2 = 4 / 4
/// # Ok::<(), wasserflow::MeasureError>(())
/// ```
///
/// Cost: `O(m (m + m') p)` kernel evaluations for m particles and m' points of the target; nothing is stored.
#[derive(Debug, Clone)]
pub struct Mmd<K, T> {
    kernel: K,
    target: EmpiricalMeasure<T>,
    /// `int int K dnu dnu`.
    self_energy: T,
}

impl<T: Real, K: Kernel<T>> Mmd<K, T> {
    /// The discrepancy to `target`, in the norm of `kernel`.
    ///
    /// # Errors
    /// [`ShapeError`] when the target's points are not of the kernel's dimension.
    pub fn new(kernel: K, target: EmpiricalMeasure<T>) -> Result<Self, ShapeError> {
        ShapeError::check("particle dimension of the target", kernel.dim(), target.dim())?;
        let self_energy = energy_between(&kernel, &target, &target);
        Ok(Self { kernel, target, self_energy })
    }

    /// The kernel K.
    pub fn kernel(&self) -> &K {
        &self.kernel
    }

    /// The target `nu`.
    pub fn target(&self) -> &EmpiricalMeasure<T> {
        &self.target
    }

    /// `int K(w, .) d(mu - nu)`.
    fn witness(&self, w: &[T], mu: &EmpiricalMeasure<T>) -> T {
        mean(&self.kernel, w, mu) - mean(&self.kernel, w, &self.target)
    }

    /// `out_i = -grad_w int K(w, .) d(mu - nu)` at every point `w` of `at`.
    fn descend(&self, mu: &EmpiricalMeasure<T>, at: &DMatrix<T>, out: &mut DMatrix<T>) {
        let p = at.nrows();
        out.fill(T::zero());
        for (w, out) in columns(at.as_slice(), p).zip(columns_mut(out.as_mut_slice(), p)) {
            for j in 0..mu.len() {
                self.kernel.gradient(w, mu.particle(j), -mu.weight(j), out);
            }
            for j in 0..self.target.len() {
                self.kernel.gradient(w, self.target.particle(j), self.target.weight(j), out);
            }
        }
    }
}

/// `int K(w, .) dmu`.
fn mean<T: Real>(kernel: &impl Kernel<T>, w: &[T], mu: &EmpiricalMeasure<T>) -> T {
    let mut sum = T::zero();
    for j in 0..mu.len() {
        sum += mu.weight(j) * kernel.value(w, mu.particle(j));
    }
    sum
}

/// `int int K dmu dnu`.
fn energy_between<T: Real>(kernel: &impl Kernel<T>, mu: &EmpiricalMeasure<T>, nu: &EmpiricalMeasure<T>) -> T {
    let mut sum = T::zero();
    for i in 0..mu.len() {
        sum += mu.weight(i) * mean(kernel, mu.particle(i), nu);
    }
    sum
}

impl<T: Real, K: Kernel<T>> Energy<T> for Mmd<K, T> {
    fn particle_dim(&self) -> usize {
        self.kernel.dim()
    }

    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        // (K(mu, mu) - 2 K(mu, nu) + K(nu, nu)) / 2, rounded up to 0.
        let cross = energy_between(&self.kernel, mu, &self.target);
        let sum = energy_between(&self.kernel, mu, mu) - cross - cross + self.self_energy;
        let half = sum * real(0.5);
        if half < T::zero() { T::zero() } else { half }
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        self.descend(mu, mu.points(), out);
        self.value(mu)
    }

    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        for (w, value) in columns(at.as_slice(), at.nrows()).zip(values) {
            *value = self.witness(w, mu);
        }
        self.descend(mu, at, descent);
        Some(self.value(mu))
    }
}
