//! The evaluated point: a measure with its velocity, energy and dissipation.

use nalgebra::DMatrix;

use super::control::copy_matrix;
use super::parts::{Evaluation, StateError};
use crate::energy::{Energy, inner};
use crate::error::{ParameterError, ShapeError, assert_size};
use crate::measure::EmpiricalMeasure;
use crate::ranks::indicator;
use crate::real::{Real, real, to_f64};

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
    /// `int |w|^2 dmu` over the particles of this process, if it was computed with the measure.
    local_moment: Option<T>,
    /// `int |w|^2 dmu`, if it was summed over ranks with the dissipation.
    moment: Option<T>,
    /// Sent with the scalars of the next evaluation: this rank requests the end of the run.
    stop: bool,
    agreement: Option<Agreement>,
}

/// What the ranks have exchanged with the scalars of an evaluation.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Agreement {
    /// The measure of a rank is not valid.
    pub(crate) is_invalid: bool,
    /// A rank requests the end of the run.
    pub(crate) stop: bool,
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
            local_moment: self.local_moment.clone(),
            moment: self.moment.clone(),
            stop: self.stop,
            agreement: self.agreement,
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
        self.local_moment.clone_from(&source.local_moment);
        self.moment.clone_from(&source.moment);
        (self.stop, self.agreement) = (source.stop, source.agreement);
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
            local_moment: None,
            moment: None,
            stop: false,
            agreement: None,
        }
    }

    /// The measure, and its evaluation unless it is stale.
    pub(super) fn into_parts(self) -> (EmpiricalMeasure<T>, Option<Evaluation<T>>) {
        let evaluation = Evaluation {
            velocity: self.velocity,
            energy: self.energy,
            dissipation: self.dissipation,
            slope: self.slope,
        };
        (self.measure, Some(evaluation).filter(|_| !self.stale))
    }

    /// The point of given parts, as a flow leaves it: all numbers are finite.
    pub(super) fn from_parts(
        measure: EmpiricalMeasure<T>,
        evaluation: Option<Evaluation<T>>,
    ) -> Result<Self, StateError> {
        measure.check()?; // it may have been modified
        let Some(evaluation) = evaluation else {
            return Ok(Self::new(measure));
        };
        let (points, velocity) = (measure.points().shape(), evaluation.velocity.shape());
        ShapeError::check("rows of the velocities", points.0, velocity.0)?;
        ShapeError::check("columns of the velocities", points.1, velocity.1)?;
        let finite = |name, value: T| {
            ParameterError::check(value.is_finite(), name, "finite", to_f64(value))
        };
        let invalid = evaluation.velocity.iter().find(|v| !v.is_finite());
        invalid.map_or(Ok(()), |&v| finite("velocity of the state", v))?;
        finite("energy of the state", evaluation.energy)?;
        // It is not negative, but rounding in a custom inner product may lead below 0.
        finite("dissipation of the state", evaluation.dissipation)?;
        let slope = evaluation.slope.unwrap_or(T::zero());
        let holds = slope >= T::zero();
        ParameterError::check(holds, "slope of the state", ">= 0", to_f64(slope))?;
        Ok(Self {
            velocity: evaluation.velocity,
            energy: evaluation.energy,
            dissipation: evaluation.dissipation,
            slope: evaluation.slope,
            stale: false,
            ..Self::new(measure)
        })
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
        self.exchange(energy);
        self.slope = None;
        self.stale = false;
    }

    /// Marks the evaluation as that of another measure.
    pub(super) fn invalidate(&mut self) {
        self.slope = None;
        (self.local_moment, self.moment) = (None, None);
        self.stale = true;
    }

    /// Becomes `before` with its particles displaced by `sum_q s_q v_q`, not yet evaluated.
    pub(super) fn displace_from(&mut self, before: &Self, terms: &[(T, &DMatrix<T>)]) {
        self.invalidate();
        self.local_moment = Some(self.measure.displace_from(&before.measure, terms));
        (self.stop, self.agreement) = (before.stop, before.agreement);
    }

    /// Starts a step: its evaluations send whether this rank requests the end of the run.
    pub(super) fn request(&mut self, stop: bool) {
        (self.stop, self.agreement) = (stop, None);
    }

    /// What the ranks exchanged with the last evaluation of the step.
    pub(super) fn agreement(&mut self, energy: &mut dyn Energy<T>) -> Agreement {
        if self.agreement.is_none() {
            self.exchange(energy);
        }
        self.agreement.unwrap_or_default()
    }

    /// Computes the dissipation. On ranks one message has all scalars of the evaluation, and one
    /// more if samples are distributed as well.
    fn exchange(&mut self, energy: &mut dyn Energy<T>) {
        let (mu, v) = (&self.measure, &self.velocity);
        let has_samples = energy.sample_ranks().is_some();
        let Some(ranks) = energy.ranks() else {
            self.dissipation = energy.inner(mu, v, v);
            if has_samples {
                let mut flags = [indicator(mu.check_weights().is_err()), indicator(self.stop)];
                self.agree(energy, &mut flags);
            }
            return;
        };
        let mut sums = [
            inner(mu, v, v),
            self.local_moment(),
            indicator(mu.check_weights().is_err()),
            indicator(self.stop),
        ];
        ranks.sum(&mut sums);
        (self.dissipation, self.moment) = (sums[0], Some(sums[1]));
        self.agree(energy, &mut sums[2..]);
    }

    fn agree(&mut self, energy: &mut dyn Energy<T>, flags: &mut [T]) {
        if let Some(ranks) = energy.sample_ranks() {
            ranks.sum(flags);
        }
        self.agreement = Some(Agreement {
            is_invalid: flags[0] > T::zero(),
            stop: flags[1] > T::zero(),
        });
    }

    /// `int |w|^2 dmu` over all ranks.
    pub(super) fn second_moment(&self, energy: &mut dyn Energy<T>) -> T {
        let (mu, w) = (&self.measure, self.measure.points());
        self.moment.unwrap_or_else(|| energy.inner(mu, w, w))
    }

    /// `int |w|^2 dmu` over the particles of this process.
    fn local_moment(&self) -> T {
        let (mu, w) = (&self.measure, self.measure.points());
        self.local_moment.unwrap_or_else(|| inner(mu, w, w))
    }

    /// Returns true if energy, particles, weights and velocities are finite, particles of weight 0
    /// included.
    ///
    /// Decided from scalars on which all ranks agree. A coordinate above the square root of the
    /// largest scalar counts as infinite.
    pub(super) fn is_finite(&self) -> bool {
        let moment = self.moment.unwrap_or_else(|| self.local_moment());
        self.energy.is_finite() && self.dissipation.is_finite() && moment.is_finite()
    }
}
