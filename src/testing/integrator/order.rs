//! The order of an integrator, measured on a flow with a known solution.

use nalgebra::DMatrix;

use crate::energy::{Potential, PotentialEnergy};
use crate::integrator::Integrator;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, real, to_f64};
use crate::state::State;
use crate::testing::case::CaseRng;
use crate::testing::problems::{Quadratic, Quartic};
use crate::testing::violation::{Violation, require, succeeds, within};

/// The particles of the flow.
const PARTICLES: usize = 4;

/// The final time of a run.
const TIME: f64 = 1.0;

/// The point at a time, from a point at time 0.
type Motion = Box<dyn Fn(&[f64], f64) -> Vec<f64>>;

/// A motion in a potential, in closed form.
pub(super) struct Reference<T> {
    potential: Box<dyn Potential<T>>,
    motion: Motion,
}

impl<T: Real> Reference<T> {
    /// `w' = -grad V(w)` in the quartic potential.
    pub(super) fn gradient_flow() -> Self {
        Self {
            potential: Box::new(Quartic),
            motion: Box::new(Quartic::flow),
        }
    }

    /// `w'' = -friction w' - grad V(w)` from rest in a quadratic potential.
    pub(super) fn damped_oscillation(friction: f64) -> Self {
        /// The curvature of the potential: the motion passes its minimum within [`TIME`].
        const RATE: f64 = 4.0;
        let exact = Quadratic {
            rate: RATE,
            centre: vec![0.25, -0.5],
        };
        let potential = Quadratic {
            rate: real(RATE),
            centre: exact.centre.iter().map(|&c| real(c)).collect(),
        };
        Self {
            potential: Box::new(potential),
            motion: Box::new(move |w, t| exact.oscillation(w, friction, t)),
        }
    }
}

/// Checks the slope of the error at a fixed time against the step size, on a log-log scale.
///
/// A run starts with an empty memory and takes steps of equal size. A multistep method is so
/// measured with its start-up. A method of another equation has an error that does not decrease.
pub(super) fn check<T: Real>(
    integrator: &mut dyn Integrator<T>,
    reference: &Reference<T>,
    seed: u64,
) -> Result<(), Violation> {
    /// The largest error in the asymptotic range, where the expansion in dt holds.
    const LARGEST_ERROR: f64 = 0.02;
    /// The smallest error that rounding does not dominate, in units of epsilon.
    const SMALLEST_ERROR: f64 = 100.0;
    /// How far the measured slope may be below `order`: less than one order.
    const TOLERANCE: f64 = 0.6;
    /// Runs with up to `2^(RUNS - 1)` steps.
    const RUNS: u32 = 8;
    let law = "the error at a fixed time is O(dt^order)";
    let mut rng = CaseRng::new(seed);
    let mut radius = || rng.uniform::<f64>(0.3, 0.8);
    let points = DMatrix::from_fn(2, PARTICLES, |_, _| real::<T>(radius()));
    let start = EmpiricalMeasure::uniform(points).unwrap_or_else(|e| unreachable!("{e}"));

    // (mean step, error)
    let mut errors: Vec<(f64, f64)> = Vec::new();
    for j in 0..RUNS {
        let dt = TIME * 2.0_f64.powi(-(j as i32));
        errors.push(run(integrator, reference, &start, dt, seed)?);
    }
    let finest = errors[errors.len() - 1].1;
    let at = || format!("dt = 2^-{}, seed = {seed}", RUNS - 1);
    let small = finest < LARGEST_ERROR;
    require(law, small, || format!("an error of {finest:.3e}"), at)?;
    let smallest = SMALLEST_ERROR * to_f64(epsilon::<T>());
    errors.retain(|&(_, error)| error > smallest);
    // An adaptive method may reduce several dt to the same step.
    errors.dedup_by(|later, first| first.0 < 1.5 * later.0);
    // At least the two finest runs: a method of too low an order may have one error in the range.
    let large = errors
        .iter()
        .take_while(|(_, error)| *error >= LARGEST_ERROR);
    let large = large.count().min(errors.len().saturating_sub(2));
    errors.drain(..large);
    let slope = |pair: &[(f64, f64)]| (pair[0].1 / pair[1].1).ln() / (pair[0].0 / pair[1].0).ln();
    let mut slopes: Vec<f64> = errors.windows(2).map(slope).collect();
    slopes.sort_by(f64::total_cmp);
    let Some(&median) = slopes.get(slopes.len() / 2) else {
        return Ok(());
    };
    let order = integrator.order();
    within(law, f64::from(order) - median, TOLERANCE, || {
        format!("slope {median:.2} for order {order}, seed = {seed}")
    })
}

/// Steps of at most `dt` until the time [`TIME`], or a little beyond it: the mean step, and the
/// error at the time reached.
fn run<T: Real>(
    integrator: &mut dyn Integrator<T>,
    reference: &Reference<T>,
    start: &EmpiricalMeasure<T>,
    dt: f64,
    seed: u64,
) -> Result<(f64, f64), Violation> {
    /// Steps of a run at most. An adaptive method with strict tolerances takes more than `TIME/dt`.
    const LONGEST: usize = 5_000;
    let at = || format!("dt = {dt}, seed = {seed}");
    let mut energy = PotentialEnergy::new(&*reference.potential, 2);
    let mut state = State::new(start.clone());
    let (mut time, mut steps) = (0.0, 0);
    while time < TIME * (1.0 - 1e-3) && steps < LONGEST {
        let step = integrator.step(&mut energy, &mut state, real(dt));
        let step = succeeds(
            "a step of the flow with a known solution succeeds",
            step,
            at,
        )?;
        time += to_f64(step.taken);
        steps += 1;
    }
    let mut square = 0.0;
    for i in 0..PARTICLES {
        let w: Vec<f64> = start.particle(i).iter().map(|&w| to_f64(w)).collect();
        let exact = (reference.motion)(&w, time);
        let pairs = state.measure().particle(i).iter().zip(&exact);
        square += pairs
            .map(|(&w, exact)| (to_f64(w) - exact).powi(2))
            .sum::<f64>();
    }
    Ok((time / steps as f64, square.sqrt()))
}
