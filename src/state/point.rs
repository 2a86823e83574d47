//! The evaluated point: a measure with its velocity, energy and dissipation.

use nalgebra::DMatrix;

use crate::energy::Energy;
use crate::error::assert_size;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, real};

/// A measure with its velocity, energy and dissipation, or `stale` if the measure has changed since
/// they were computed.
#[derive(Debug)]
pub(super) struct EvaluatedPoint<T> {
    pub(super) measure: EmpiricalMeasure<T>,
    pub(super) velocity: DMatrix<T>,
    pub(super) energy: T,
    pub(super) dissipation: T,
    /// The norm of the minimum-norm subgradient, if an integrator has computed it.
    pub(super) slope: Option<T>,
    pub(super) stale: bool,
}

impl<T: Clone> Clone for EvaluatedPoint<T> {
    fn clone(&self) -> Self {
        Self {
            measure: self.measure.clone(),
            velocity: self.velocity.clone(),
            energy: self.energy.clone(),
            dissipation: self.dissipation.clone(),
            slope: self.slope.clone(),
            stale: self.stale,
        }
    }

    /// Copies without allocation if the shapes agree.
    fn clone_from(&mut self, source: &Self) {
        self.measure.clone_from(&source.measure);
        copy_matrix(&mut self.velocity, &source.velocity);
        self.energy.clone_from(&source.energy);
        self.dissipation.clone_from(&source.dissipation);
        self.slope.clone_from(&source.slope);
        self.stale = source.stale;
    }
}

/// Copies a matrix, without allocation if the shapes agree.
pub(super) fn copy_matrix<T: Clone>(target: &mut DMatrix<T>, source: &DMatrix<T>) {
    if target.shape() == source.shape() {
        target.as_mut_slice().clone_from_slice(source.as_slice());
    } else {
        *target = source.clone();
    }
}

impl<T: Real> EvaluatedPoint<T> {
    /// The measure, not yet evaluated.
    pub(super) fn new(mu: EmpiricalMeasure<T>) -> Self {
        Self {
            velocity: DMatrix::zeros(mu.dim(), mu.len()),
            measure: mu,
            energy: real(f64::NAN),
            dissipation: real(f64::NAN),
            slope: None,
            stale: true,
        }
    }

    /// Computes velocity, energy and dissipation if they are stale.
    pub(super) fn evaluate(&mut self, energy: &mut dyn Energy<T>) {
        let p = energy.particle_dim();
        assert_size("particle dimension of the measure", p, self.measure.dim());
        if !self.stale {
            return;
        }
        let (p, m) = self.measure.points().shape();
        if self.velocity.shape() != (p, m) {
            self.velocity = DMatrix::zeros(p, m);
        }
        let value = energy.velocity(&self.measure, &mut self.velocity);
        self.complete(energy, value);
    }

    /// Adopts a velocity and an energy that were computed at the current measure.
    pub(super) fn adopt(
        &mut self,
        energy: &mut dyn Energy<T>,
        velocity: &mut DMatrix<T>,
        value: T,
    ) {
        std::mem::swap(&mut self.velocity, velocity);
        self.complete(energy, value);
    }

    fn complete(&mut self, energy: &mut dyn Energy<T>, value: T) {
        self.energy = value;
        self.dissipation = energy.inner(&self.measure, &self.velocity, &self.velocity);
        self.slope = None;
        self.stale = false;
    }

    /// Returns true if energy, particles and velocities are finite, those of weight 0 included.
    ///
    /// Decided from scalars on which all ranks agree. A coordinate above the square root of the
    /// largest scalar counts as infinite.
    pub(super) fn is_finite(&self, energy: &mut dyn Energy<T>) -> bool {
        let moment = energy.inner(&self.measure, self.measure.points(), self.measure.points());
        self.energy.is_finite() && self.dissipation.is_finite() && moment.is_finite()
    }
}
