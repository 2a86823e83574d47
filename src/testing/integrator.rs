//! The laws of an integrator.

use nalgebra::{DMatrix, DVector};

use super::case::{Case, Draws};
use super::convexity::mixture;
use super::energy::scaled;
use super::problems::{Quartic, smooth_network};
use super::violation::{Violation, holds, within};
use crate::energy::{Energy, PotentialEnergy};
use crate::error::StepError;
use crate::flow::ParticleFlow;
use crate::integrator::{Integrator, Step};
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, real, to_f64};
use crate::state::State;

mod twins;

use twins::Twins;

/// Checks an integrator on flows drawn from `seed`; `make` makes one afresh.
///
/// - the error of a step of `dt` is `O(dt^{order + 1})`: its slope is measured on the quartic potential, whose flow is known;
/// - `0 < taken <= dt`, and `step` leaves the clock alone; the clock of a run is the sum of the steps taken;
/// - a run resumes from a state that it left, with a fresh integrator, bit for bit;
/// - cloning a particle clones its path, and where the particles are spread over ranks every rank takes the same
///   steps: scalars over particles go through [`Energy::inner`];
/// - a short step lowers the energy;
/// - a boxed integrator equals the integrator, bit for bit.
///
/// ```
/// use wasserflow::testing::check_integrator;
/// use wasserflow::prelude::*;
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
    let make: Make<'_, T> = &|| Box::new(make());
    let at = || format!("seed = {seed}");
    holds(
        "the parameters of the integrator are in range",
        make().check().is_ok(),
        at,
    )?;
    order(&mut *make(), seed)?;
    let mu = case(seed).measure(3);
    clock(make, seed, &mu, at)?;
    resumes(make, seed, &mu, at)?;
    ranks(make, seed, &mu, at)?;
    boxed(make, seed, &mu, at)
}

/// Makes the integrator afresh.
type Make<'a, T> = &'a dyn Fn() -> Box<dyn Integrator<T>>;

fn case(seed: u64) -> Case {
    Case {
        n: 5,
        m: 3,
        d: 2,
        k: 1,
        seed,
    }
}

/// A step that fails violates the law that it was taken for.
fn taken<X>(
    law: &'static str,
    step: Result<X, StepError>,
    at: impl FnOnce() -> String,
) -> Result<X, Violation> {
    step.map_err(|e| Violation {
        law,
        error: f64::NAN,
        tolerance: 0.0,
        at: format!("{}: {e}", at()),
    })
}

/// The slope of the error of one step.
fn order<T: Real>(integrator: &mut dyn Integrator<T>, seed: u64) -> Result<(), Violation> {
    const PARTICLES: usize = 4;
    let law = "the error of a step is O(dt^{order + 1})";
    let mut draws = Draws::new(seed);
    let mut radius = || draws.uniform::<f64>(0.3, 0.8);
    let points = DMatrix::from_fn(2, PARTICLES, |_, _| real::<T>(radius()));
    let start = EmpiricalMeasure::uniform(points).unwrap_or_else(|e| unreachable!("{e}"));
    let mut quartic = PotentialEnergy::new(Quartic, 2);

    // (taken, error)
    let mut errors: Vec<(f64, f64)> = Vec::new();
    for j in 1..14 {
        let dt = real::<T>(2.0_f64.powi(-j));
        let mut state = State::new(start.clone());
        let step = taken(law, integrator.step(&mut quartic, &mut state, dt), || {
            format!("dt = {dt}, seed = {seed}")
        })?;
        let mut square = 0.0;
        for i in 0..PARTICLES {
            let w: Vec<f64> = start.particle(i).iter().map(|&w| to_f64(w)).collect();
            let exact = Quartic::flow(&w, to_f64(step.taken));
            let moved = state.measure().particle(i).iter().zip(&exact);
            square += moved
                .map(|(&w, exact)| (to_f64(w) - exact).powi(2))
                .sum::<f64>();
        }
        errors.push((to_f64(step.taken), square.sqrt()));
    }
    // Below the step where the expansion holds, and above rounding. An adaptive method may take the same step twice.
    errors.retain(|&(_, error)| error < 0.005 && error > 100.0 * to_f64(epsilon::<T>()));
    errors.dedup_by(|later, first| first.0 < 1.5 * later.0);
    let slope = |pair: &[(f64, f64)]| (pair[0].1 / pair[1].1).ln() / (pair[0].0 / pair[1].0).ln();
    let mut slopes: Vec<f64> = errors.windows(2).map(slope).collect();
    slopes.sort_by(f64::total_cmp);
    let Some(&slope) = slopes.get(slopes.len() / 2) else {
        return Ok(());
    };
    let expected = f64::from(integrator.order()) + 1.0;
    within(law, expected - slope, 0.6, || {
        format!("slope {slope:.2} of an order {expected} - 1, seed = {seed}")
    })
}

/// The step taken and the clock.
fn clock<T: Real>(
    make: Make<'_, T>,
    seed: u64,
    mu: &EmpiricalMeasure<T>,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let (mut integrator, mut energy) = (make(), smooth_network(case(seed)));
    let mut state = State::new(mu.clone());
    state.evaluate(&mut energy);
    let before = state.energy();
    let dt = real::<T>(0.015625);
    let law = "0 < taken <= dt, and a proposal is positive";
    let Step { taken: first, next } =
        taken(law, integrator.step(&mut energy, &mut state, dt), &at)?;
    let fine = first > T::zero() && first <= dt && next.is_none_or(|next| next > T::zero());
    holds(law, fine, || {
        format!("taken = {first}, next = {next:?}, dt = {dt}, {}", at())
    })?;
    holds(
        "step leaves the clock to the driver",
        state.time() == T::zero() && state.step() == 0,
        &at,
    )?;
    state.evaluate(&mut energy);
    let tolerance = super::slope::rounding::<T>() * to_f64(before.abs());
    within(
        "a short step lowers the energy",
        to_f64(state.energy() - before),
        tolerance,
        &at,
    )?;

    const STEPS: usize = 30;
    let law = "the clock is the sum of the steps taken";
    let mut flow =
        ParticleFlow::new(energy, integrator, real(0.1)).unwrap_or_else(|e| unreachable!("{e}"));
    let (mut state, mut time, mut lost) = (State::new(mu.clone()), 0.0, 0.0);
    for _ in 0..STEPS {
        let dt = to_f64(taken(law, flow.advance(&mut state), &at)?.taken);
        // What the sum of two numbers loses, exactly: Knuth's two-sum.
        let sum = time + dt;
        lost += (time - (sum - dt)) + (dt - (sum - (sum - dt)));
        time = sum;
    }
    let tolerance = 2.0 * to_f64(epsilon::<T>()) * time;
    within(
        law,
        (to_f64(state.time()) - time - lost).abs(),
        tolerance,
        &at,
    )?;
    holds("the clock counts the steps", state.step() == STEPS, &at)?;
    let until = state.time() + real(0.25);
    taken(law, flow.run_until(&mut state, until, &mut ()), &at)?;
    holds(
        "run_until ends at exactly the time asked for",
        state.time() == until,
        &at,
    )
}

/// The state after `steps` steps of `dt`.
fn run<T: Real>(
    law: &'static str,
    energy: &mut dyn Energy<T>,
    integrator: Box<dyn Integrator<T> + '_>,
    state: &mut State<T>,
    steps: usize,
    at: impl FnOnce() -> String,
) -> Result<(), Violation> {
    let mut flow =
        ParticleFlow::new(energy, integrator, real(0.05)).unwrap_or_else(|e| unreachable!("{e}"));
    taken(law, flow.run(state, steps, &mut ()), at)?;
    Ok(())
}

/// A fresh integrator goes on from a state as the one that left it.
fn resumes<T: Real>(
    make: Make<'_, T>,
    seed: u64,
    mu: &EmpiricalMeasure<T>,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let law = "a run resumes from its state, bit for bit";
    let (mut whole, mut half) = (State::new(mu.clone()), State::new(mu.clone()));
    run(
        law,
        &mut smooth_network(case(seed)),
        make(),
        &mut whole,
        6,
        &at,
    )?;
    run(
        law,
        &mut smooth_network(case(seed)),
        make(),
        &mut half,
        3,
        &at,
    )?;
    let mut rest = half.clone();
    run(
        law,
        &mut smooth_network(case(seed)),
        make(),
        &mut rest,
        3,
        &at,
    )?;
    let same = rest.measure() == whole.measure()
        && rest.time() == whole.time()
        && rest.next() == whole.next();
    holds(law, same, at)
}

/// `mu` with its first particle in two halves.
fn split<T: Real>(mu: &EmpiricalMeasure<T>) -> EmpiricalMeasure<T> {
    let first = EmpiricalMeasure::weighted(
        mu.points().columns(0, 1).into(),
        DVector::from_element(1, mu.weight(0)),
    );
    let mut split = mixture(mu, 1.0, &first.unwrap_or_else(|e| unreachable!("{e}")), 0.5);
    split.weights_mut()[0] *= real(0.5);
    split
}

/// Clones of a particle, and two ranks that hold the same.
fn ranks<T: Real>(
    make: Make<'_, T>,
    seed: u64,
    mu: &EmpiricalMeasure<T>,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let mut alone = State::new(mu.clone());
    let mut clones = State::new(split(mu));
    let mut rank = State::new(scaled(mu, 0.5));
    let cloned = "cloning a particle clones its path";
    let spread = "ranks that hold parts of the particles take the same steps: scalars go through Energy::inner";
    run(
        cloned,
        &mut smooth_network(case(seed)),
        make(),
        &mut alone,
        4,
        &at,
    )?;
    run(
        cloned,
        &mut smooth_network(case(seed)),
        make(),
        &mut clones,
        4,
        &at,
    )?;
    run(
        spread,
        &mut Twins(smooth_network(case(seed))),
        make(),
        &mut rank,
        4,
        &at,
    )?;
    // An inner solver stops where it stops, and the estimate of an error is rounded: steps and paths agree to a tolerance,
    // not to rounding. A difference in time is one along the path.
    let speed = to_f64(alone.velocity().amax().max(clones.velocity().amax())) * 10.0;
    let clock = 100.0 * to_f64(epsilon::<T>().cbrt()) * to_f64(alone.time());
    let path =
        100.0 * to_f64(epsilon::<T>().sqrt()) * (1.0 + to_f64(alone.measure().points().amax()));
    for (law, other) in [(cloned, &clones), (spread, &rank)] {
        let error = to_f64((other.time() - alone.time()).abs());
        within(law, error, clock, || format!("time, {}", at()))?;
        let tolerance = path + speed * error;
        for i in 0..other.measure().len() {
            let apart =
                other.measure().points().column(i) - alone.measure().points().column(i % mu.len());
            within(law, to_f64(apart.amax()), tolerance, || {
                format!("particle {i}, {}", at())
            })?;
        }
    }
    Ok(())
}

/// A box forwards every method.
fn boxed<T: Real>(
    make: Make<'_, T>,
    seed: u64,
    mu: &EmpiricalMeasure<T>,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let law = "a boxed integrator is the same bits";
    let (mut plain, mut other) = (State::new(mu.clone()), State::new(mu.clone()));
    let (integrator, mut inside) = (make(), make());
    let boxed: Box<dyn Integrator<T> + '_> = Box::new(&mut inside);
    holds(
        law,
        boxed.order() == (*integrator).order() && boxed.check() == (*integrator).check(),
        &at,
    )?;
    run(
        law,
        &mut smooth_network(case(seed)),
        integrator,
        &mut plain,
        3,
        &at,
    )?;
    run(
        law,
        &mut smooth_network(case(seed)),
        boxed,
        &mut other,
        3,
        &at,
    )?;
    holds(
        law,
        plain.measure() == other.measure() && plain.time() == other.time(),
        &at,
    )
}
