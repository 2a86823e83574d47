//! The state of a flow: an evaluated measure, the clock, and the step control of the integrator.

use nalgebra::DMatrix;

use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;
use crate::real::Real;

mod clock;
mod control;
mod parts;
mod point;
mod share;

use clock::Clock;
pub use control::Memory;
use control::StepControl;
pub use parts::{Evaluation, StateError, StateParts};
pub(crate) use point::Agreement;
use point::EvaluatedPoint;

/// The state of a flow: the measure `mu_t` with its velocity and energy, the time `t`, the number
/// of steps and the memory of the integrator.
///
/// Observers, the dissipation and the first stage of every integrator share the one evaluation that
/// the state holds. Access to the measure for modification marks the evaluation as stale;
/// [`evaluate`](Self::evaluate) recomputes it. Everything that varies during a run is stored here, so
/// that it resumes bit for bit from the state that it left. The samples of a stochastic energy are
/// those of the step of the state: see [`Energy::refresh`].
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let mut energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1);
/// let mut state = State::new(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 2.0))?);
/// state.evaluate(&mut energy);
/// assert_eq!((state.energy(), state.velocity()[0], state.dissipation()), (2.0, -2.0, 4.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(
        into = "StateParts<T>",
        try_from = "StateParts<T>",
        bound(
            serialize = "T: Real + serde::Serialize",
            deserialize = "T: Real + serde::Deserialize<'de>"
        )
    )
)]
pub struct State<T> {
    point: EvaluatedPoint<T>,
    clock: Clock<T>,
    control: StepControl<T>,
    /// Scratch fields of the integrators, which are unit structs. Not part of the state: clones
    /// leave it out.
    stages: Vec<DMatrix<T>>,
    /// The state before a step in place. Not part of the state either.
    before: Option<Box<State<T>>>,
}

impl<T: Clone> Clone for State<T> {
    fn clone(&self) -> Self {
        Self {
            point: self.point.clone(),
            clock: self.clock.clone(),
            control: self.control.clone(),
            stages: Vec::new(),
            before: None,
        }
    }

    /// Copies without allocation if the shapes agree.
    fn clone_from(&mut self, source: &Self) {
        self.point.clone_from(&source.point);
        self.clock.clone_from(&source.clock);
        self.control.clone_from(&source.control);
    }
}

impl<T: Real> State<T> {
    /// The state of `mu` at time 0, not yet evaluated.
    ///
    /// [`ParticleFlow::start`](crate::ParticleFlow::start) returns one that is checked and
    /// evaluated.
    pub fn new(mu: EmpiricalMeasure<T>) -> Self {
        Self {
            point: EvaluatedPoint::new(mu),
            clock: Clock::new(),
            control: StepControl::default(),
            stages: Vec::new(),
            before: None,
        }
    }

    /// All that the state contains, for files and messages to other processes.
    pub fn to_parts(&self) -> StateParts<T> {
        self.clone().into_parts()
    }

    /// The parts of the state, without a copy.
    pub fn into_parts(self) -> StateParts<T> {
        let (measure, evaluation) = self.point.into_parts();
        StateParts {
            measure,
            evaluation,
            time: self.clock.time,
            lost: self.clock.lost,
            step: self.clock.step,
            next: self.control.next,
            memory: self.control.memory,
        }
    }

    /// The state of the given parts, which resumes bit for bit the run from which they come.
    ///
    /// The energy is not a part: it must be that of the run. The memory of the integrator is not
    /// validated, because only the integrator defines its meaning.
    ///
    /// # Errors
    /// [`StateError`] if the measure is not valid, the velocities have another shape, or a number of
    /// clock, step size or evaluation is outside its range.
    pub fn from_parts(parts: StateParts<T>) -> Result<Self, StateError> {
        Ok(Self {
            point: EvaluatedPoint::from_parts(parts.measure, parts.evaluation)?,
            clock: Clock::from_parts(parts.time, parts.lost, parts.step)?,
            control: StepControl::from_parts(parts.next, parts.memory)?,
            stages: Vec::new(),
            before: None,
        })
    }

    /// The measure `mu_t`.
    pub fn measure(&self) -> &EmpiricalMeasure<T> {
        &self.point.measure
    }

    /// The velocities `v_i = -grad_w F'(mu_t)(w_i)`, `p x m`.
    pub fn velocity(&self) -> &DMatrix<T> {
        &self.point.velocity
    }

    /// The energy `F(mu_t)`; NaN before the first evaluation.
    pub fn energy(&self) -> T {
        self.point.energy
    }

    /// The dissipation `int |v|^2 dmu_t = sum_i c_i |v_i|^2`, equal to `-dF/dt` for a plain flow;
    /// NaN before the first evaluation.
    pub fn dissipation(&self) -> T {
        self.point.dissipation
    }

    /// The metric slope of F at `mu_t`: the `L2(mu)` norm of the minimum-norm subgradient, where a
    /// proximal step has computed it, and else `(int |v|^2 dmu)^(1/2)`.
    ///
    /// The two differ at a kink of the energy, for example if a rectifier neuron lies on the
    /// hyperplane `b.x_j = 0` of a sample: there the velocity is one of many subgradients, and does
    /// not vanish at a minimum. A change of the measure clears the value.
    pub fn slope(&self) -> T {
        self.point.slope.unwrap_or(self.point.dissipation.sqrt())
    }

    /// The time `t`: the sum of the steps taken, compensated for rounding.
    pub fn time(&self) -> T {
        self.clock.time
    }

    /// The number of steps completed.
    pub fn step(&self) -> usize {
        self.clock.step
    }

    /// The size of the next step, if the integrator proposed one.
    pub fn next(&self) -> Option<T> {
        self.control.next
    }

    /// The memory of the integrator: fields and scalars that it carries from step to step.
    pub fn memory(&self) -> &Memory<T> {
        &self.control.memory
    }

    /// The memory of the integrator, for modification.
    pub fn memory_mut(&mut self) -> &mut Memory<T> {
        &mut self.control.memory
    }

    /// Clears the proposed step size and the memory of the integrator; measure and clock remain.
    ///
    /// Call it before a run continues with another integrator: the state otherwise carries the step
    /// size and the memory of the previous one, such as the short steps of an explicit method that
    /// chatters along a kink.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    ///
    /// let energy = || PotentialEnergy::new(WeightDecay::new(0.5).unwrap(), 1);
    /// let mut adaptive = ParticleFlow::new(energy(), DormandPrince::default(), 1e-3)?;
    /// let mut state = adaptive.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
    /// adaptive.run(&mut state, 2, &mut ())?;
    ///
    /// state.reset_control();
    /// let step = ParticleFlow::new(energy(), Euler, 0.5)?.advance(&mut state)?;
    /// assert_eq!((step.taken, state.step()), (0.5, 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reset_control(&mut self) {
        self.control = StepControl::default();
    }

    /// Returns true if the measure has changed since velocity and energy were computed.
    pub fn is_stale(&self) -> bool {
        self.point.stale
    }

    /// Marks velocity and energy as stale, for example after the energy itself was changed.
    pub fn invalidate(&mut self) {
        self.point.invalidate();
    }

    /// The measure, for modification; marks the state as stale.
    pub fn measure_mut(&mut self) -> &mut EmpiricalMeasure<T> {
        self.invalidate();
        &mut self.point.measure
    }

    /// The measure, for modification, and its velocity before the modification; marks the state as
    /// stale.
    pub fn split_mut(&mut self) -> (&mut EmpiricalMeasure<T>, &DMatrix<T>) {
        self.invalidate();
        (&mut self.point.measure, &self.point.velocity)
    }

    /// Computes velocity, energy and dissipation if they are stale.
    ///
    /// If the energy panics, the state remains stale.
    ///
    /// # Panics
    /// If the particles do not have the dimension that the energy requires.
    pub fn evaluate(&mut self, energy: &mut dyn Energy<T>) {
        self.point.evaluate(energy);
    }

    /// The measure alone.
    pub fn into_measure(self) -> EmpiricalMeasure<T> {
        self.point.measure
    }

    /// `int |w|^2 dmu` over all ranks.
    pub(crate) fn second_moment(&self, energy: &mut dyn Energy<T>) -> T {
        self.point.second_moment(energy)
    }

    /// Returns true if energy, particles and velocities are finite.
    pub(crate) fn is_finite(&self) -> bool {
        self.point.is_finite()
    }

    /// Starts a step: its evaluations send whether this rank requests the end of the run.
    pub(crate) fn request(&mut self, stop: bool) {
        self.point.request(stop);
    }

    /// What the ranks exchanged with the last evaluation of the step.
    pub(crate) fn agreement(&mut self, energy: &mut dyn Energy<T>) -> Agreement {
        self.point.agreement(energy)
    }

    /// Returns true if the memory of the integrator has as many fields and scalars as the other.
    pub(crate) fn has_memory_like(&self, other: &Self) -> bool {
        let (a, b) = (self.memory(), other.memory());
        a.fields.len() == b.fields.len() && a.scalars.len() == b.scalars.len()
    }

    /// `count` scratch fields of the shape of a state, with unspecified content, to be returned by
    /// [`give_stages`](Self::give_stages).
    pub(crate) fn take_stages(&mut self, (p, m): (usize, usize), count: usize) -> Vec<DMatrix<T>> {
        let mut stages = std::mem::take(&mut self.stages);
        stages.retain(|stage| stage.shape() == (p, m));
        while stages.len() < count {
            stages.push(DMatrix::zeros(p, m));
        }
        stages
    }

    /// Returns scratch fields for the next step.
    pub(crate) fn give_stages(&mut self, stages: Vec<DMatrix<T>>) {
        self.stages = stages;
    }

    /// A copy of the state, to be returned by [`give_before`](Self::give_before). Does not allocate
    /// if a copy of the same shape was returned.
    pub(crate) fn take_before(&mut self) -> Box<Self> {
        match self.before.take() {
            Some(mut before) => {
                State::clone_from(&mut before, self);
                before
            }
            None => Box::new(self.clone()),
        }
    }

    /// Returns the copy for the next step, with memory like that of this state.
    pub(crate) fn give_before(&mut self, mut before: Box<Self>) {
        if !before.has_memory_like(self) {
            State::clone_from(&mut before, self);
        }
        self.before = Some(before);
    }

    /// Becomes `before` with its particles displaced by `sum_q s_q v_q`, at most seven fields of
    /// the shape of its measure; stale. Does not allocate if the shapes agree.
    pub(crate) fn displace_from(&mut self, before: &Self, terms: &[(T, &DMatrix<T>)]) {
        self.displace_points_from(before, terms);
        self.control.memory.clone_from(&before.control.memory);
    }

    /// [`displace_from`](Self::displace_from) without the memory of the integrator.
    pub(crate) fn displace_points_from(&mut self, before: &Self, terms: &[(T, &DMatrix<T>)]) {
        self.point.displace_from(&before.point, terms);
        self.clock.clone_from(&before.clock);
        self.control.next.clone_from(&before.control.next);
    }

    /// Exchanges two states, except for their scratch fields and copies.
    pub(crate) fn exchange(&mut self, other: &mut Self) {
        std::mem::swap(self, other);
        std::mem::swap(&mut self.stages, &mut other.stages);
        std::mem::swap(&mut self.before, &mut other.before);
    }

    /// Adopts a velocity and an energy that were computed at the current measure.
    pub(crate) fn adopt(
        &mut self,
        energy: &mut dyn Energy<T>,
        velocity: &mut DMatrix<T>,
        value: T,
    ) {
        self.point.adopt(energy, velocity, value);
    }

    /// Stores the norm of the minimum-norm subgradient at the current measure.
    pub(crate) fn set_slope(&mut self, slope: T) {
        self.point.slope = Some(slope);
    }

    /// Completes a step: time, number of steps, proposal for the next step.
    pub(crate) fn complete(&mut self, taken: T, next: Option<T>) {
        self.clock.advance(taken);
        self.control.next = next;
    }

    /// `time - t`, to full precision.
    pub(crate) fn remaining(&self, time: T) -> T {
        self.clock.remaining(time)
    }

    /// Sets the time to exactly `time`, and the proposal for the next step.
    pub(crate) fn arrive(&mut self, time: T, next: Option<T>) {
        self.clock.set(time);
        self.control.next = next;
    }
}
