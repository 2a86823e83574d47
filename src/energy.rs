//! Energies `F(mu)`: the interface between problems and integrators.

use nalgebra::DMatrix;

use crate::error::{EnergyError, assert_size};
use crate::feature::Breakpoint;
use crate::forward::forward;
use crate::measure::EmpiricalMeasure;
use crate::numeric::weighted;
use crate::ranks::AllReduce;
use crate::real::Real;

mod blob;
mod energy_distance;
mod frozen;
mod gathered;
mod interaction;
mod kernel;
mod linearised;
mod mean_field;
mod mmd;
mod pairs;
mod potential;
mod relaxation;
mod stein;
mod sum;
mod sum_over_ranks;

pub use blob::Blob;
pub(crate) use energy_distance::check_mass;
pub use energy_distance::{ConditionallyPositive, EnergyDistance, Riesz};
pub use frozen::Frozen;
pub use gathered::Gathered;
pub use interaction::{GaussianInteraction, Interaction, InteractionEnergy, PowerLaw};
pub(crate) use kernel::OfPair;
pub use kernel::{ArcCosine, Gaussian, Kernel, WithOutputWeight};
pub use mean_field::MeanFieldRisk;
pub use mmd::Mmd;
pub(crate) use pairs::{Rows, accurate_range, evaluate, fill};
pub use potential::{Potential, PotentialEnergy, WeightDecay};
pub use stein::{InverseMultiquadric, RadialKernel, Score, SteinDiscrepancy};
pub use sum::Sum;
pub use sum_over_ranks::SumOverRanks;

/// A functional `F(mu)` of a measure on `R^p`, with its first variation `F'(mu): R^p -> R`.
///
/// `F(mu + e (nu - mu)) = F(mu) + e int F'(mu) d(nu - mu) + O(e^2)`.
///
/// # Laws
/// - `velocity` is the *descent* direction `v_i = -grad_w F'(mu)(w_i)`, never multiplied or divided
///   by a weight: `c_i v_i = -dF/dw_i`. A particle of weight 0 moves along the flow without
///   contributing to `F` (a probe).
/// - Invariance: replacing every particle by copies that share its weight, or permuting particles,
///   changes the results only by rounding.
/// - Every scalar over particles that an integrator, the driver or a stopping rule uses is computed
///   by [`inner`](Self::inner), so that ranks that each hold a part of the particles agree.
///
/// # Panics
/// The methods panic if a measure or matrix does not have `particle_dim` rows, or if the sizes of
/// outputs differ from those of the points. A [`ParticleFlow`](crate::ParticleFlow) checks the
/// dimension before every step, with a typed error.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// /// F(mu) = |int w dmu|^2 / 2, so F'(mu)(w) = w.mean and the velocity is -mean everywhere.
/// struct Mean;
/// impl<T: Real> Energy<T> for Mean {
///     fn particle_dim(&self) -> usize {
///         1
///     }
///     fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
///         let mut mean = T::zero();
///         for i in 0..mu.len() {
///             mean += mu.weight(i) * mu.particle(i)[0];
///         }
///         mean * mean / wasserflow::real(2.0)
///     }
///     fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
///         let mut mean = T::zero();
///         for i in 0..mu.len() {
///             mean += mu.weight(i) * mu.particle(i)[0];
///         }
///         out.fill(-mean);
///         mean * mean / wasserflow::real(2.0)
///     }
/// }
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 2, &[1.0, 3.0]))?;
/// assert_eq!(Mean.value(&mu), 2.0);
/// # Ok::<(), wasserflow::prelude::MeasureError>(())
/// ```
pub trait Energy<T: Real> {
    /// `p`, the number of coordinates of a particle.
    fn particle_dim(&self) -> usize;

    /// `F(mu)`.
    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T;

    /// Writes `v_i = -grad_w F'(mu)(w_i)` to `out` (`p x m`) and returns `F(mu)`.
    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T;

    /// The first variation at any points `at` (`p x q`): `values[i] = F'(mu)(at_i)`,
    /// `descent_i = -grad_w F'(mu)(at_i)`.
    ///
    /// Returns `F(mu)`, or `None` if the first variation is not implemented (the outputs are then
    /// unspecified).
    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        let _ = (mu, at, values, descent);
        None
    }

    /// The Gauss-Newton curvature along a field `v` (`p x m`), written to `out` (`p x m`).
    ///
    /// Symmetric and positive semidefinite in the inner product of `L2(mu)`: with
    /// `J v = sum_i c_i DPhi(w_i) v_i`, `out_i = DPhi(w_i)^T R''(h) J v`. `None` if it is not
    /// implemented: proximal steps then use differences of velocities.
    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        out: &mut DMatrix<T>,
    ) -> Option<()> {
        let _ = (mu, v, out);
        None
    }

    /// The Hessians of the first variation at the particles, split into two terms: each is `m`
    /// matrices `p x p`, written one after the other.
    ///
    /// `included` is the part that [`curvature`](Self::curvature) contains, such as the Hessian of
    /// weight decay, and `remainder` is the rest, which may be indefinite. So the Hessian of F in
    /// `L2(mu)` is `v -> curvature(v) + remainder v`. `None` (provided) if it is not implemented.
    fn hessians(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        remainder: &mut [T],
        included: &mut [T],
    ) -> Option<()> {
        let _ = (mu, remainder, included);
        None
    }

    /// Visits the kinks of the first variation that the segments from `w_i` to `w_i + v_i` meet,
    /// with `F'(mu)` fixed: see [`FeatureMap::breakpoints`](crate::feature::FeatureMap::breakpoints).
    ///
    /// Provided: none, for energies with continuously differentiable first variations.
    fn breakpoints(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        margin: T,
        visit: &mut dyn FnMut(&Breakpoint<'_, T>),
    ) {
        let _ = (mu, v, margin, visit);
    }

    /// Relaxes the kinks of the loss, for a method of multipliers. `None` (provided): the loss has
    /// none.
    ///
    /// A convex loss with a kink at `at`, where its slope rises by `r`, is a continuously
    /// differentiable function plus `r (h - at)_+`. With a multiplier `u` in `[0, r]` and a width
    /// `s` of predictions, the second term is replaced by
    ///
    /// `min_z r z_+ + (r / (2 s)) (z - (h - at))^2 + u ((h - at) - z)`,
    ///
    /// which is continuously differentiable in `h`, at most `r (h - at)_+`, and by at most
    /// `r s / 2` below it. All methods then are those of the relaxed energy.
    ///
    /// `Some((mu, width))` sets the multipliers to the current slopes at `mu`; the first such call does
    /// not change energy and velocity of `mu`. `s` is `width` times the mean of `|h - at|`, weighted
    /// by `r`, at the first call, where a distance counts as at least one hundredth of
    /// `|h| + |at|`. Returns how much the energy of `mu` was relaxed before, `>= 0`. `None` restores
    /// the energy.
    ///
    /// Source: R. T. Rockafellar, Augmented Lagrangians and applications of the proximal point
    /// algorithm in convex programming, 1976.
    fn relax(&mut self, at: Option<(&EmpiricalMeasure<T>, T)>) -> Option<T> {
        let _ = at;
        None
    }

    /// The inner product `sum_i c_i <u_i, v_i>` of two fields (`p x m`) in `L2(mu)`.
    ///
    /// Provided: the sum over the local particles, then over [`ranks`](Self::ranks).
    fn inner(&mut self, mu: &EmpiricalMeasure<T>, u: &DMatrix<T>, v: &DMatrix<T>) -> T {
        let mut sum = [inner(mu, u, v)];
        if let Some(ranks) = self.ranks() {
            ranks.sum(&mut sum);
        }
        sum[0]
    }

    /// The ranks over which the particles are distributed. `None` (provided) if this process holds
    /// all of them.
    ///
    /// With ranks, `inner` is the provided one up to rounding: a flow sums the scalars of a step at
    /// once. Without ranks, it requires finite second moments of the particles of this process.
    fn ranks(&mut self) -> Option<&mut dyn AllReduce<T>> {
        None
    }

    /// The ranks over which the samples are distributed: all of them hold the same particles, and F
    /// is a sum over them, as that of [`SumOverRanks`]. `None` (provided) if this process holds all
    /// samples.
    fn sample_ranks(&mut self) -> Option<&mut dyn AllReduce<T>> {
        None
    }

    /// Replaces the samples by those of a step (stochastic energies only); returns true if `F`
    /// changed.
    ///
    /// After the call `F` is a function of the seed of the energy and of `step`: see
    /// [`Risk::refresh`](crate::risk::Risk::refresh).
    fn refresh(&mut self, step: usize) -> bool {
        let _ = step;
        false
    }

    /// Checks that the parts of the energy fit together and that its parameters are in their
    /// ranges. Provided: accepts.
    ///
    /// A [`ParticleFlow`](crate::ParticleFlow) calls it before every step, because the energy can
    /// be modified between steps. It takes `O(1)` operations.
    ///
    /// # Errors
    /// [`EnergyError`] with the first size or parameter that is not valid.
    fn check(&self) -> Result<(), EnergyError> {
        Ok(())
    }

    /// Checks that F is defined at `mu`, for energies that are not at every measure: a distance may
    /// require the mass of its target. Provided: accepts.
    ///
    /// A [`ParticleFlow`](crate::ParticleFlow) calls it before every step, after
    /// [`check`](Self::check). It takes at most `O(m)` operations.
    ///
    /// # Errors
    /// [`EnergyError`] with the requirement that `mu` does not meet.
    fn check_measure(&self, mu: &EmpiricalMeasure<T>) -> Result<(), EnergyError> {
        let _ = mu;
        Ok(())
    }
}

/// Asserts the shapes of [`Energy::velocity`] with particles in `R^p`.
#[track_caller]
fn assert_velocity<T: Real>(p: usize, mu: &EmpiricalMeasure<T>, out: &DMatrix<T>) {
    assert_dim(p, mu);
    assert_size("shape of the velocities", mu.points().shape(), out.shape());
}

/// Asserts that the particles of a measure are in `R^p`.
#[track_caller]
fn assert_dim<T: Real>(p: usize, mu: &EmpiricalMeasure<T>) {
    assert_size("particle dimension of the measure", p, mu.dim());
}

/// Asserts the shapes of [`Energy::first_variation`] with particles in `R^p`.
#[track_caller]
fn assert_first_variation<T: Real>(
    p: usize,
    mu: &EmpiricalMeasure<T>,
    at: &DMatrix<T>,
    values: &[T],
    descent: &DMatrix<T>,
) {
    assert_dim(p, mu);
    assert_size("dimension of the points", p, at.nrows());
    assert_size("number of values", at.ncols(), values.len());
    assert_size(
        "shape of the descent directions",
        at.shape(),
        descent.shape(),
    );
}

/// Asserts the shapes of [`Energy::curvature`] with particles in `R^p`.
#[track_caller]
fn assert_curvature<T: Real>(p: usize, mu: &EmpiricalMeasure<T>, v: &DMatrix<T>, out: &DMatrix<T>) {
    assert_dim(p, mu);
    assert_size("shape of the field", mu.points().shape(), v.shape());
    assert_size("shape of the product", mu.points().shape(), out.shape());
}

/// Asserts the shapes of [`Energy::hessians`] with particles in `R^p`.
#[track_caller]
fn assert_hessians<T: Real>(p: usize, mu: &EmpiricalMeasure<T>, remainder: &[T], included: &[T]) {
    assert_dim(p, mu);
    let len = p * p * mu.len();
    assert_size("length of the remainder", len, remainder.len());
    assert_size("length of the included part", len, included.len());
}

/// Asserts the shapes of [`Energy::breakpoints`] with particles in `R^p`.
#[track_caller]
fn assert_breakpoints<T: Real>(p: usize, mu: &EmpiricalMeasure<T>, v: &DMatrix<T>) {
    assert_dim(p, mu);
    assert_size("shape of the field", mu.points().shape(), v.shape());
}

/// `sum_i c_i <u_i, v_i>` over the local particles.
pub(crate) fn inner<T: Real>(mu: &EmpiricalMeasure<T>, u: &DMatrix<T>, v: &DMatrix<T>) -> T {
    assert_size("shape of the first field", mu.points().shape(), u.shape());
    assert_size("shape of the second field", mu.points().shape(), v.shape());
    weighted::inner(mu.weights(), u.as_slice(), v.as_slice(), mu.dim())
}

forward! {
    impl[T: Real, E: Energy<T> + ?Sized] Energy<T>; for &mut E, Box<E>; {
        fn particle_dim(&self) -> usize;
        fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T;
        fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T;
        fn first_variation(
            &mut self,
            mu: &EmpiricalMeasure<T>,
            at: &DMatrix<T>,
            values: &mut [T],
            descent: &mut DMatrix<T>
        ) -> Option<T>;
        fn curvature(
            &mut self,
            mu: &EmpiricalMeasure<T>,
            v: &DMatrix<T>,
            out: &mut DMatrix<T>
        ) -> Option<()>;
        fn hessians(
            &mut self,
            mu: &EmpiricalMeasure<T>,
            remainder: &mut [T],
            included: &mut [T]
        ) -> Option<()>;
        fn breakpoints(
            &mut self,
            mu: &EmpiricalMeasure<T>,
            v: &DMatrix<T>,
            margin: T,
            visit: &mut dyn FnMut(&Breakpoint<'_, T>)
        );
        fn relax(&mut self, at: Option<(&EmpiricalMeasure<T>, T)>) -> Option<T>;
        fn inner(&mut self, mu: &EmpiricalMeasure<T>, u: &DMatrix<T>, v: &DMatrix<T>) -> T;
        fn ranks(&mut self) -> Option<&mut dyn AllReduce<T>>;
        fn sample_ranks(&mut self) -> Option<&mut dyn AllReduce<T>>;
        fn refresh(&mut self, step: usize) -> bool;
        fn check(&self) -> Result<(), EnergyError>;
        fn check_measure(&self, mu: &EmpiricalMeasure<T>) -> Result<(), EnergyError>;
    }
}
