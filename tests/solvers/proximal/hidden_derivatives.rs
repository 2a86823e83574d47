//! Proximal steps with and without first variations and curvature: the same descent, end points and
//! cost.

use super::problems::{logistic, population, rectifier, rng, smooth};
use super::{has_descended, squared};
use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;

use crate::counted::Counted;

/// Whether an energy implements the first variation and the curvature.
const AVAILABLE: [(bool, bool); 4] = [(true, true), (true, false), (false, true), (false, false)];
const FAMILIES: [&str; 4] = ["rectifier", "tanh", "logistic", "population"];

type Problem<T> = (Counted<Box<dyn Energy<T>>>, EmpiricalMeasure<T>);

fn problem<T: Real>(family: &str, seed: u64, available: (bool, bool)) -> Problem<T> {
    let neurons = init::balanced(2, 20, 1.0, &mut rng(seed + 50)).unwrap();
    let (energy, start) = match family {
        "rectifier" => (rectifier(40, 2, seed, 1e-2), neurons),
        "tanh" => (smooth(40, 2, seed), neurons),
        "logistic" => (logistic(40, 2, seed), neurons),
        _ => (
            population(3, seed),
            init::gaussian(3, 8, 0.6, &mut rng(seed + 50)).unwrap(),
        ),
    };
    (Counted::with_available(energy, available), start)
}

/// A step of length `gamma` at most, and its length.
fn step<T: Real>(energy: impl Energy<T>, start: &EmpiricalMeasure<T>, gamma: f64) -> (State<T>, T) {
    let mut flow = ParticleFlow::new(energy, Jko::default(), real(gamma)).unwrap();
    let mut state = flow.start(start.clone()).unwrap();
    let taken = flow.advance(&mut state).unwrap().taken;
    (state, taken)
}

/// Descent in all cases, by steps of the requested size.
fn decreases<T: Real>() {
    for available in AVAILABLE {
        for (family, scale) in FAMILIES.into_iter().zip([0.0, 0.0, 0.0, 1.0]) {
            for gamma in [1e-6, 1e-3, 1.0, 1e2, 1e4, 1e6] {
                let (energy, start) = problem::<T>(family, 3, available);
                let (state, taken) = step(energy, &start, gamma);
                let (mut energy, _) = problem::<T>(family, 3, available);
                let mut before = State::new(start);
                before.evaluate(&mut energy);
                let name = format!("{family} {available:?}, gamma {gamma}");
                has_descended(&name, &before, &state, gamma, scale);
                assert_eq!(taken, real(gamma), "{name}");
            }
        }
    }
}

#[test]
fn the_objective_decreases() {
    decreases::<f64>();
    decreases::<f32>();
}

/// The end point of a short step is unique, up to twice the tolerance over the convexity of `P`,
/// about `1 / gamma`.
#[test]
fn short_steps_have_one_end_point() {
    let gamma = 1e-2;
    for family in FAMILIES {
        for seed in 0..5 {
            let ends = AVAILABLE.map(|available| {
                let (energy, start) = problem::<f64>(family, seed, available);
                step(energy, &start, gamma).0
            });
            let (mut energy, start) = problem::<f64>(family, seed, AVAILABLE[0]);
            let mut first = State::new(start);
            first.evaluate(&mut energy);
            let most = 2e-6 * gamma * first.dissipation().sqrt();
            for (end, available) in ends.iter().zip(AVAILABLE) {
                let apart = squared(ends[0].measure(), end.measure()).sqrt();
                assert!(
                    apart <= most,
                    "{family}, seed {seed}, {available:?}: {apart} > {most}"
                );
            }
        }
    }
}

/// The recomputed residual of smooth problems is below the tolerance.
#[test]
fn smooth_steps_are_stationary() {
    for family in ["tanh", "population"] {
        for available in AVAILABLE {
            for gamma in [1e-2, 1.0, 1e2, 1e4] {
                let (energy, start) = problem::<f64>(family, 11, available);
                let (state, _) = step(energy, &start, gamma);
                let (mut energy, _) = problem::<f64>(family, 11, available);
                let mut velocity = DMatrix::zeros(start.points().nrows(), start.len());
                let mut norm = |mu: &EmpiricalMeasure<f64>, back: f64| {
                    energy.velocity(mu, &mut velocity);
                    let pull = (mu.points() - start.points()) * back;
                    ((&pull - &velocity).norm_squared() / start.len() as f64).sqrt()
                };
                let (speed, residual) = (norm(&start, 0.0), norm(state.measure(), 1.0 / gamma));
                assert!(
                    residual <= 1.01e-6 * speed,
                    "{family}, {available:?}, gamma {gamma}: {residual} of {speed}"
                );
            }
        }
    }
}

/// Bounds on the cost of ten steps, in velocities, first variations and products, and on the sum of
/// `P` at their ends; all steps have the requested size.
///
/// The bounds are about 1.3 (`gamma = 1`) and 1.5 times the measured counts: with many minima
/// rounding decides on the path.
#[test]
fn cost_of_ten_steps_is_bounded() {
    for (family, gamma, most, lowest) in [
        ("rectifier", 1.0, [210, 210, 210, 210], 4.3625),
        ("rectifier", 1e2, [1350, 5000, 1350, 5000], 0.7962),
        ("tanh", 1.0, [290, 290, 230, 230], 4.15723),
        ("tanh", 1e2, [3600, 4200, 3700, 2900], 2.158),
        ("logistic", 1.0, [300, 300, 300, 300], 6.84805),
        ("logistic", 1e2, [1500, 5000, 1500, 5000], 2.3455),
        ("population", 1.0, [290, 270, 220, 200], 0.78688),
        ("population", 1e2, [5300, 5200, 3000, 2800], 0.0472),
    ] {
        for (available, most) in AVAILABLE.into_iter().zip(most) {
            let (mut count, mut value) = (0, 0.0);
            for seed in 0..10 {
                let (energy, start) = problem::<f64>(family, seed, available);
                let counts = energy.counts.clone();
                let (state, taken) = step(energy, &start, gamma);
                assert_eq!(taken, gamma, "{family}, seed {seed}, {available:?}");
                count += counts.evaluations();
                value += state.energy() + squared(&start, state.measure()) / (2.0 * gamma);
            }
            println!("{family}, gamma {gamma}, {available:?}: {count}, P = {value:.6}");
            assert!(
                count <= most && value <= lowest,
                "{family}, gamma {gamma}, {available:?}: {count} {value}"
            );
        }
    }
}

/// With too few iterations for the requested size a shorter step is taken: it descends, and the
/// residual is small relative to the step.
#[test]
fn few_iterations_take_shorter_steps() {
    let dt = 1e4;
    for family in FAMILIES {
        for available in AVAILABLE {
            for most in [1, 2, 5, 10] {
                let (energy, start) = problem::<f64>(family, 3, available);
                let mut flow = ParticleFlow::new(energy, Jko::new(1e-9, most), dt).unwrap();
                let mut state = flow.start(start.clone()).unwrap();
                let before = state.clone();
                let step = flow.advance(&mut state).unwrap();
                let name = format!("{family}, {available:?}, {most} iterations");
                assert!(step.taken > 0.0 && step.taken < dt, "{name}: {step:?}");
                has_descended(&name, &before, &state, step.taken, 1.0);
                assert!(state.energy() < before.energy(), "{name}");
                let length = squared(&start, state.measure()).sqrt();
                let residual = Jko::residual(&state).unwrap();
                assert!(residual <= 0.1 * length / step.taken, "{name}: {residual}");
            }
        }
    }
}

/// `polish` reports the number of evaluations of the energy.
#[test]
fn polish_reports_its_evaluations() {
    let mut polished = 0;
    for family in FAMILIES {
        for available in AVAILABLE {
            let (mut energy, start) = problem::<f64>(family, 4, available);
            let mut state = State::new(start);
            state.evaluate(&mut energy);
            energy.counts.velocities.set(0);
            energy.counts.variations.set(0);
            if let Ok(work) = polish(&mut energy, &mut state, 3000) {
                let provided = energy.counts.evaluations();
                assert_eq!(
                    work.evaluations + work.products,
                    provided,
                    "{family}, {available:?}: {work:?}"
                );
                polished += 1;
            }
        }
    }
    assert!(polished >= 12, "{polished} of 16");
}
