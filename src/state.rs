//! The state of a flow: a measure with its velocity and energy, and the clock.

use nalgebra::DMatrix;

use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;
use crate::real::Real;

/// The state of a flow: the measure `mu_t` with *its* velocity and energy, the time `t` and the number of steps.
///
/// Observers, the dissipation and the first stage of every integrator share the one evaluation that it holds. Whoever moves
/// the measure marks the state stale; [`evaluate`](Self::evaluate) refreshes it. All that varies in a run is in here, so
/// a run resumes, bit for bit, from the state that it left.
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
pub struct State<T> {
    measure: EmpiricalMeasure<T>,
    velocity: DMatrix<T>,
    energy: T,
    dissipation: T,
    stale: bool,
    time: Clock<T>,
    step: usize,
    next: Option<T>,
    memory: Option<T>,
    /// Scratch of the integrators that are unit structs. Not part of the state: clones leave it out.
    stages: Vec<DMatrix<T>>,
}

impl<T: Clone> Clone for State<T> {
    fn clone(&self) -> Self {
        Self {
            measure: self.measure.clone(),
            velocity: self.velocity.clone(),
            energy: self.energy.clone(),
            dissipation: self.dissipation.clone(),
            stale: self.stale,
            time: self.time.clone(),
            step: self.step,
            next: self.next.clone(),
            memory: self.memory.clone(),
            stages: Vec::new(),
        }
    }

    /// Copies into the buffers at hand: no allocation where the shapes agree.
    fn clone_from(&mut self, source: &Self) {
        self.measure.clone_from(&source.measure);
        if self.velocity.shape() == source.velocity.shape() {
            self.velocity
                .as_mut_slice()
                .clone_from_slice(source.velocity.as_slice());
        } else {
            self.velocity = source.velocity.clone();
        }
        self.energy = source.energy.clone();
        self.dissipation = source.dissipation.clone();
        self.stale = source.stale;
        self.time = source.time.clone();
        self.step = source.step;
        self.next = source.next.clone();
        self.memory = source.memory.clone();
    }
}

impl<T: Real> State<T> {
    /// The state of `mu` at time 0, not yet evaluated.
    ///
    /// [`ParticleFlow::start`](crate::ParticleFlow::start) makes one that is checked and evaluated.
    pub fn new(mu: EmpiricalMeasure<T>) -> Self {
        Self {
            velocity: DMatrix::zeros(mu.dim(), mu.len()),
            measure: mu,
            energy: T::zero(),
            dissipation: T::zero(),
            stale: true,
            time: Clock {
                time: T::zero(),
                lost: T::zero(),
            },
            step: 0,
            next: None,
            memory: None,
            stages: Vec::new(),
        }
    }

    /// The measure `mu_t`.
    pub fn measure(&self) -> &EmpiricalMeasure<T> {
        &self.measure
    }

    /// The velocities `v_i = -grad_w F'(mu_t)(w_i)`, `p x m`.
    pub fn velocity(&self) -> &DMatrix<T> {
        &self.velocity
    }

    /// The energy `F(mu_t)`.
    pub fn energy(&self) -> T {
        self.energy
    }

    /// The dissipation `int |v|^2 dmu_t = sum_i c_i |v_i|^2`, which is `-dF/dt` for a plain flow.
    pub fn dissipation(&self) -> T {
        self.dissipation
    }

    /// The time `t`: the sum of the steps taken, without the rounding error of adding them up.
    pub fn time(&self) -> T {
        self.time.time
    }

    /// The number of steps completed.
    pub fn step(&self) -> usize {
        self.step
    }

    /// The step size that an adaptive integrator proposed last.
    pub fn next(&self) -> Option<T> {
        self.next
    }

    /// One number that an integrator keeps from step to step, such as the last error of a step-size controller.
    pub fn memory(&self) -> Option<T> {
        self.memory
    }

    /// Keeps one number for the next step of the integrator. It lives here so that a run resumes.
    pub fn remember(&mut self, memory: Option<T>) {
        self.memory = memory;
    }

    /// Whether velocity and energy are of a measure that has changed since.
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// The measure, to be moved; marks the state stale.
    pub fn measure_mut(&mut self) -> &mut EmpiricalMeasure<T> {
        self.stale = true;
        &mut self.measure
    }

    /// The measure to be moved, and the velocity that it still has; marks the state stale.
    pub fn split_mut(&mut self) -> (&mut EmpiricalMeasure<T>, &DMatrix<T>) {
        self.stale = true;
        (&mut self.measure, &self.velocity)
    }

    /// Computes velocity, energy and dissipation, if stale.
    pub fn evaluate(&mut self, energy: &mut dyn Energy<T>) {
        if !self.stale {
            return;
        }
        let (p, m) = self.measure.points().shape();
        if self.velocity.shape() != (p, m) {
            self.velocity = DMatrix::zeros(p, m);
        }
        self.energy = energy.velocity(&self.measure, &mut self.velocity);
        self.dissipation = energy.inner(&self.measure, &self.velocity, &self.velocity);
        self.stale = false;
    }

    /// The measure alone.
    pub fn into_measure(self) -> EmpiricalMeasure<T> {
        self.measure
    }

    /// Whether all is finite: energy, particles and velocities, those of weight 0 too.
    ///
    /// Judged by scalars that ranks agree on. A coordinate beyond the square root of the largest scalar counts as infinite.
    pub(crate) fn is_finite(&self, energy: &mut dyn Energy<T>) -> bool {
        let moment = energy.inner(&self.measure, self.measure.points(), self.measure.points());
        self.energy.is_finite() && self.dissipation.is_finite() && moment.is_finite()
    }

    /// `count` scratch fields in the shape of the measure, of unspecified content; to be given back.
    pub(crate) fn take_stages(&mut self, count: usize) -> Vec<DMatrix<T>> {
        let (p, m) = self.measure.points().shape();
        let mut stages = std::mem::take(&mut self.stages);
        stages.retain(|stage| stage.shape() == (p, m));
        while stages.len() < count {
            stages.push(DMatrix::zeros(p, m));
        }
        stages
    }

    /// Gives scratch fields back.
    pub(crate) fn give_stages(&mut self, stages: Vec<DMatrix<T>>) {
        self.stages = stages;
    }

    /// Goes back to the points that velocity and energy are still of.
    pub(crate) fn rewind(&mut self, points: &DMatrix<T>) {
        self.measure.points_mut().copy_from_slice(points.as_slice());
        self.stale = false;
    }

    /// Takes over a velocity and an energy computed at the measure as it is.
    pub(crate) fn evaluated(
        &mut self,
        energy: &mut dyn Energy<T>,
        velocity: &mut DMatrix<T>,
        value: T,
    ) {
        std::mem::swap(&mut self.velocity, velocity);
        self.energy = value;
        self.dissipation = energy.inner(&self.measure, &self.velocity, &self.velocity);
        self.stale = false;
    }

    /// Completes a step: the clock, the count, the proposal.
    pub(crate) fn complete(&mut self, taken: T, next: Option<T>) {
        self.time.advance(taken);
        self.step += 1;
        self.next = next;
    }

    /// `time - t`, to full precision.
    pub(crate) fn remaining(&self, time: T) -> T {
        (time - self.time.time) + self.time.lost
    }

    /// Sets the clock to exactly `time`, and the proposal of the next step.
    pub(crate) fn arrive(&mut self, time: T, next: Option<T>) {
        self.time = Clock {
            time,
            lost: T::zero(),
        };
        self.next = next;
    }
}

/// A compensated sum of steps: the true time is `time - lost`.
#[derive(Debug, Clone)]
struct Clock<T> {
    time: T,
    lost: T,
}

impl<T: Real> Clock<T> {
    /// Source: W. Kahan, Further remarks on reducing truncation errors, 1965.
    fn advance(&mut self, dt: T) {
        let step = dt - self.lost;
        let time = self.time + step;
        self.lost = (time - self.time) - step;
        self.time = time;
    }
}
