//! The laws of an integrator.

use std::ops::ControlFlow;

use super::case::Case;
use super::evaluation::{measure, mixture, scaled};
use super::problems::{SmoothNetwork, smooth_network};
use super::rounding::rounding;
use super::violation::{Violation, identical, require, succeeds, within};
use crate::energy::Energy;
use crate::flow::ParticleFlow;
use crate::integrator::{Integrator, Step};
use crate::measure::EmpiricalMeasure;
use crate::observe::{StopReason, from_fn};
use crate::real::{Real, epsilon, real, to_f64};
use crate::state::State;

mod order;
mod two_ranks;

use order::Reference;
use two_ranks::TwoRanks;

/// Checks an integrator on flows drawn from `seed`; `make` returns a new one for every run.
///
/// - the error at a fixed time is `O(dt^order)`: its slope is measured on the quartic potential,
///   whose flow is known, over runs that start with an empty memory;
/// - `0 < taken <= dt`, and `step` does not change the time of the state; the time after a run is
///   the sum of the steps taken;
/// - `step_from` leaves the state of `step`, whatever the state contained, bit for bit;
/// - a run resumes from its state with a new integrator, bit for bit;
/// - the parts of a split particle follow the path of the particle, and so does a particle of
///   weight 0 at the same point;
/// - a run to a given time ends within 10 000 steps;
/// - ranks that hold parts of the particles take the same steps: scalars over particles are
///   computed by [`Energy::inner`];
/// - a short step decreases the energy;
/// - a boxed integrator equals the integrator, bit for bit.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::check_integrator;
///
/// assert_eq!(check_integrator::<f64, _>(|| Rk4, 1), Ok(()));
/// ```
///
/// # Errors
/// The first law that fails; an error of a step is a violation.
pub fn check_integrator<T: Real, I: Integrator<T> + 'static>(
    make: impl Fn() -> I,
    seed: u64,
) -> Result<(), Violation> {
    check_laws(&|| Box::new(make()), &Reference::gradient_flow(), seed)
}

/// Checks a method with momentum on flows drawn from `seed`: one of the equation
/// `dw_i/dt = u_i`, `du_i/dt = -friction u_i + v_i` from rest.
///
/// The laws are those of [`check_integrator`], but the error is that of the damped oscillation in a
/// quadratic potential, of which the motion is known.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::check_momentum_integrator;
///
/// let make = || HeavyBall::new(0.5).unwrap();
/// assert_eq!(check_momentum_integrator::<f64, _>(make, 0.5, 1), Ok(()));
/// assert!(check_momentum_integrator::<f64, _>(make, 1.0, 1).is_err());
/// ```
///
/// # Errors
/// The first law that fails; an error of a step is a violation.
pub fn check_momentum_integrator<T: Real, I: Integrator<T> + 'static>(
    make: impl Fn() -> I,
    friction: f64,
    seed: u64,
) -> Result<(), Violation> {
    check_laws(
        &|| Box::new(make()),
        &Reference::damped_oscillation(friction),
        seed,
    )
}

fn check_laws<T: Real>(
    make: &dyn Fn() -> Box<dyn Integrator<T>>,
    reference: &Reference<T>,
    seed: u64,
) -> Result<(), Violation> {
    let (n, m, d, k) = (5, 3, 2, 1);
    let case = Case { n, m, d, k, seed };
    let setup = Setup {
        make,
        case,
        start: case.measure(k + d),
    };
    let law = "the parameters of the integrator are valid";
    succeeds(law, setup.integrator().check(), || setup.at())?;
    // First: the other laws compare runs, which a memory outside the state would mix.
    setup.check_resume()?;
    order::check(&mut *setup.integrator(), reference, seed)?;
    setup.check_step()?;
    setup.check_step_from()?;
    setup.check_time()?;
    setup.check_particles()?;
    setup.check_boxed()
}

/// The integrator and the flow of a smooth network on which it is checked.
struct Setup<'a, T: Real> {
    /// Returns a new integrator.
    make: &'a dyn Fn() -> Box<dyn Integrator<T>>,
    case: Case,
    /// The measure at time 0.
    start: EmpiricalMeasure<T>,
}

impl<T: Real> Setup<'_, T> {
    fn at(&self) -> String {
        format!("seed = {}", self.case.seed)
    }

    fn integrator(&self) -> Box<dyn Integrator<T>> {
        (self.make)()
    }

    fn energy(&self) -> SmoothNetwork<T> {
        smooth_network(self.case)
    }

    /// The state after `steps` steps of at most 0.05 from `state`, with a new integrator.
    fn run(
        &self,
        law: &'static str,
        energy: impl Energy<T>,
        state: State<T>,
        steps: usize,
    ) -> Result<State<T>, Violation> {
        self.run_with(law, energy, self.integrator(), state, steps)
    }

    fn run_with(
        &self,
        law: &'static str,
        energy: impl Energy<T>,
        integrator: Box<dyn Integrator<T> + '_>,
        mut state: State<T>,
        steps: usize,
    ) -> Result<State<T>, Violation> {
        let mut flow = ParticleFlow::new(energy, integrator, real(0.05))
            .unwrap_or_else(|e| unreachable!("{e}"));
        succeeds(law, flow.run(&mut state, steps, &mut ()), || self.at())?;
        Ok(state)
    }

    /// Checks the step size, the time and the energy of one step.
    fn check_step(&self) -> Result<(), Violation> {
        let (mut integrator, mut energy) = (self.integrator(), self.energy());
        let mut state = State::new(self.start.clone());
        state.evaluate(&mut energy);
        let before = state.energy();
        let dt = real::<T>(0.015625);
        let at = || format!("dt = {dt}, {}", self.at());

        let law = "0 < taken <= dt, and next > 0 if the method proposes a step";
        let step = integrator.step(&mut energy, &mut state, dt);
        let Step { taken, next } = succeeds(law, step, at)?;
        let valid = taken > T::zero() && taken <= dt && next.is_none_or(|next| next > T::zero());
        let found = || format!("taken = {taken}, next = {next:?}");
        require(law, valid, found, at)?;
        let law = "step does not change the time and the step count of the state";
        let (time, steps) = (state.time(), state.step());
        let found = || format!("time {time} and step count {steps}");
        require(law, time == T::zero() && steps == 0, found, at)?;

        state.evaluate(&mut energy);
        let increase = to_f64(state.energy() - before);
        let tolerance = rounding::<T>() * to_f64(before.abs());
        within("a short step decreases the energy", increase, tolerance, at)
    }

    /// Checks an override of `step_from`, on two steps: the second one has a memory.
    fn check_step_from(&self) -> Result<(), Violation> {
        let law = "step_from leaves the state of step, bit for bit";
        let (mut a, mut b) = (self.integrator(), self.integrator());
        let (mut energy, mut same) = (self.energy(), self.energy());
        let mut state = State::new(self.start.clone());
        let mut other = State::new(measure(1, vec![T::one()], vec![T::one()]));
        for _ in 0..2 {
            state.evaluate(&mut energy);
            let (before, dt) = (state.clone(), real::<T>(0.015625));
            let step = a.step(&mut energy, &mut state, dt);
            let step = succeeds(law, step, || self.at())?;
            let from = b.step_from(&mut same, &before, &mut other, dt);
            let from = succeeds(law, from, || self.at())?;
            state.evaluate(&mut energy);
            other.evaluate(&mut same);
            identical(law, &[from], &[step], || self.at())?;
            identical(law, &[other.to_parts()], &[state.to_parts()], || self.at())?;
        }
        Ok(())
    }

    /// Checks the time after a run.
    fn check_time(&self) -> Result<(), Violation> {
        const STEPS: usize = 30;
        let law = "the time is the sum of the steps taken";
        let at = || self.at();
        let mut flow = ParticleFlow::new(self.energy(), self.integrator(), real(0.1))
            .unwrap_or_else(|e| unreachable!("{e}"));
        let (mut state, mut sum, mut lost) = (State::new(self.start.clone()), 0.0, 0.0);
        for _ in 0..STEPS {
            let dt = to_f64(succeeds(law, flow.advance(&mut state), at)?.taken);
            // The rounding error of sum + dt, exactly (Knuth's TwoSum).
            let next = sum + dt;
            lost += (sum - (next - dt)) + (dt - (next - (next - dt)));
            sum = next;
        }
        let error = (to_f64(state.time()) - sum - lost).abs();
        within(law, error, 2.0 * to_f64(epsilon::<T>()) * sum, at)?;
        let law = "the step count is the number of steps";
        identical(law, &[state.step()], &[STEPS], at)?;

        /// Steps after which a run that has not reached its time is stopped: an integrator whose
        /// proposals shrink would never end it.
        const LONGEST: usize = 10_000;
        let law = "a run to a given time ends within 10 000 steps";
        let end = state.time() + real(0.25);
        let mut bound = from_fn(|state: &State<T>| {
            if state.step() < STEPS + LONGEST {
                return ControlFlow::Continue(());
            }
            ControlFlow::Break(StopReason::Requested)
        });
        let reason = succeeds(law, flow.run_until(&mut state, end, &mut bound), at)?;
        let found = || format!("time {} instead of {end}", state.time());
        require(law, reason == StopReason::Time, found, at)?;
        let law = "run_until ends exactly at the requested time";
        identical(law, &[state.time()], &[end], at)
    }

    /// Checks that a new integrator continues a run from its state.
    fn check_resume(&self) -> Result<(), Violation> {
        let law = "a run resumes from its state, bit for bit";
        let start = State::new(self.start.clone());
        let uninterrupted = self.run(law, self.energy(), start.clone(), 6)?;
        let interrupted = self.run(law, self.energy(), start, 3)?;
        let resumed = self.run(law, self.energy(), interrupted, 3)?;
        let at = || self.at();
        identical(law, &numbers(&resumed), &numbers(&uninterrupted), at)
    }

    /// Checks the paths of split particles, and of particles on two ranks.
    fn check_particles(&self) -> Result<(), Violation> {
        let split_law = "the parts of a split particle follow the path of the particle";
        let rank_law = "ranks that hold parts of the particles take the same steps \
                        (compute scalars over particles by Energy::inner)";
        let run =
            |law, energy: &mut dyn Energy<T>, start| self.run(law, energy, State::new(start), 4);
        let reference = run(split_law, &mut self.energy(), self.start.clone())?;
        let split = run(split_law, &mut self.energy(), split_first(&self.start))?;
        let probe_law = "a particle of weight 0 follows the path of a particle at the same point";
        let probe = run(probe_law, &mut self.energy(), with_probe(&self.start))?;
        let mut two_ranks = TwoRanks(self.energy());
        let rank = run(rank_law, &mut two_ranks, scaled(&self.start, 0.5))?;

        // Inner solvers stop at a tolerance, and step control amplifies rounding errors: steps and
        // paths agree to these tolerances. A difference in time is also one along the path.
        let time_tolerance = 100.0 * to_f64(epsilon::<T>().cbrt()) * to_f64(reference.time());
        let size = 1.0 + to_f64(reference.measure().points().amax());
        let path_tolerance = 100.0 * to_f64(epsilon::<T>().sqrt()) * size;
        let speed = to_f64(reference.velocity().amax().max(split.velocity().amax())) * 10.0;
        for (law, state) in [(split_law, &split), (probe_law, &probe), (rank_law, &rank)] {
            let delay = to_f64((state.time() - reference.time()).abs());
            within(law, delay, time_tolerance, || {
                format!("time, {}", self.at())
            })?;
            let tolerance = path_tolerance + speed * delay;
            let (w, expected) = (state.measure().points(), reference.measure().points());
            for i in 0..w.ncols() {
                let error = to_f64((w.column(i) - expected.column(i % self.start.len())).amax());
                within(law, error, tolerance, || {
                    format!("particle {i}, {}", self.at())
                })?;
            }
        }
        Ok(())
    }

    /// Checks that a box forwards every method.
    fn check_boxed(&self) -> Result<(), Violation> {
        let law = "a boxed integrator returns the same results, bit for bit";
        let (integrator, mut inside) = (self.integrator(), self.integrator());
        let boxed: Box<dyn Integrator<T> + '_> = Box::new(&mut inside);
        let at = || self.at();
        identical(law, &[boxed.order()], &[(*integrator).order()], at)?;
        identical(law, &[boxed.check()], &[(*integrator).check()], at)?;
        let start = State::new(self.start.clone());
        let expected = self.run_with(law, self.energy(), integrator, start.clone(), 3)?;
        let found = self.run_with(law, self.energy(), boxed, start, 3)?;
        identical(law, &numbers(&found), &numbers(&expected), at)
    }
}

/// The particles, the weights, the time and the proposed step of a state.
fn numbers<T: Real>(state: &State<T>) -> Vec<Option<T>> {
    let mu = state.measure();
    let vectors = mu.points().iter().chain(mu.weights()).map(|&x| Some(x));
    vectors.chain([Some(state.time()), state.next()]).collect()
}

/// The measure with a copy of its first particle that has the weight 0 and comes last.
fn with_probe<T: Real>(mu: &EmpiricalMeasure<T>) -> EmpiricalMeasure<T> {
    let first = measure(mu.dim(), mu.particle(0).to_vec(), vec![T::zero()]);
    mixture(mu, 1.0, &first, 1.0)
}

/// The measure with its first particle split into two halves; the second one comes last.
fn split_first<T: Real>(mu: &EmpiricalMeasure<T>) -> EmpiricalMeasure<T> {
    let first = measure(mu.dim(), mu.particle(0).to_vec(), vec![mu.weight(0)]);
    let mut split = mixture(mu, 1.0, &first, 0.5);
    split.weights_mut()[0] *= real(0.5);
    split
}
