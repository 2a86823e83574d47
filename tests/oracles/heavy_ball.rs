//! The heavy ball: damped oscillations in closed form, the balance of energy, the plain splitting.

use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;
use wasserflow::testing::Case;
use wasserflow::testing::problems::{Quadratic, smooth_network};

const TIME: f64 = 3.0;

fn ball(friction: f64) -> HeavyBall {
    HeavyBall::new(friction).unwrap()
}

fn well() -> Quadratic<f64> {
    Quadratic {
        rate: 4.0,
        centre: vec![0.5, -1.0],
    }
}

fn start() -> EmpiricalMeasure<f64> {
    EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[1.0, 2.0, -3.0, 0.5])).unwrap()
}

/// The errors of points and momentum at [`TIME`] with steps of `dt`.
fn errors(friction: f64, dt: f64) -> [f64; 2] {
    let energy = PotentialEnergy::new(well(), 2);
    let mut flow = ParticleFlow::new(energy, ball(friction), dt).unwrap();
    let mut state = flow.start(start()).unwrap();
    flow.run_until(&mut state, TIME, &mut ()).unwrap();
    let u = flow.integrator().momentum(&state);
    let (mut points, mut momentum) = (0.0_f64, 0.0_f64);
    for i in 0..2 {
        let at = |t: f64| well().oscillation(start().particle(i), friction, t);
        let (exact, h) = (at(TIME), 1e-5);
        let (before, after) = (at(TIME - h), at(TIME + h));
        for l in 0..2 {
            points = points.max((state.measure().particle(i)[l] - exact[l]).abs());
            let velocity = (after[l] - before[l]) / (2.0 * h);
            momentum = momentum.max((u[(l, i)] - velocity).abs());
        }
    }
    [points, momentum]
}

/// Undamped, under-, critically and overdamped: the error is that of a method of order 2.
#[test]
fn damped_oscillations() {
    for friction in [0.0, 0.5, 4.0, 9.0, 20.0] {
        let (coarse, fine) = (errors(friction, 1.0 / 64.0), errors(friction, 1.0 / 128.0));
        for (quantity, [coarse, fine]) in ["points", "momentum"]
            .into_iter()
            .zip([[coarse[0], fine[0]], [coarse[1], fine[1]]])
        {
            assert!(fine < 5e-3, "{quantity}: {fine:e} at friction {friction}");
            let ratio = coarse / fine;
            let what = format!("{quantity}: {coarse:e}, {fine:e} at friction {friction}");
            assert!((3.6..4.4).contains(&ratio), "{what}");
        }
    }
}

/// The smooth network on which energies are balanced.
const CASE: Case = Case {
    n: 9,
    m: 6,
    d: 2,
    k: 1,
    seed: 4,
};

/// `(largest rise of H in a step, error of the balance, H(0) - H(T))` of the run with steps `dt`:
/// the balance is `H(0) - H(T) = gamma int_0^T int |u|^2 dmu dt`, by the trapezoidal rule.
fn balance(friction: f64, dt: f64) -> [f64; 3] {
    let mut energy = smooth_network::<f64>(CASE);
    let mut flow = ParticleFlow::new(&mut energy, ball(friction), dt).unwrap();
    let mut state = flow.start(CASE.measure(3)).unwrap();
    let (first, mut last) = (state.energy(), state.energy());
    let (mut rise, mut lost, mut square) = (0.0_f64, 0.0, 0.0);
    for _ in 0..(4.0 / dt) as usize {
        flow.advance(&mut state).unwrap();
        let u = flow.integrator().momentum(&state);
        let next = flow.energy_mut().inner(state.measure(), &u, &u);
        let h = state.energy() + 0.5 * next;
        rise = rise.max(h - last);
        lost += friction * dt * 0.5 * (square + next);
        (last, square) = (h, next);
    }
    [rise, (first - last - lost).abs(), first - last]
}

/// `H = F + int |u|^2 dmu / 2` decreases by the friction, in the limit of short steps: the balance
/// holds to `O(dt^2)`, and the rises of H in a step vanish like `dt^3`.
#[test]
fn the_energy_with_its_kinetic_part_decreases_by_friction() {
    for friction in [0.0, 0.3, 3.0] {
        let runs = [1.0 / 16.0, 1.0 / 32.0, 1.0 / 64.0].map(|dt| balance(friction, dt));
        let [rise, error, decrease] = runs[2];
        assert!(error < 2e-3, "{error:e} at friction {friction}");
        assert!(rise < 1e-5, "{rise:e} at friction {friction}");
        assert!(
            (decrease > 0.05) == (friction > 0.0),
            "H falls by {decrease}"
        );
        for pair in runs.windows(2) {
            let ratio = pair[0][1] / pair[1][1];
            assert!(
                (3.0..5.5).contains(&ratio),
                "{runs:?} at friction {friction}"
            );
            assert!(
                pair[1][0] <= pair[0][0] / 6.0,
                "{runs:?} at friction {friction}"
            );
        }
    }
}

/// The method is the splitting of its documentation: decay, half a kick, drift, half a kick, decay;
/// with varying steps, to rounding.
#[test]
fn the_plain_splitting() {
    let (mut energy, friction) = (smooth_network::<f64>(CASE), 0.7);
    let steps = |s: usize| [0.1, 0.05, 0.2, 0.01][s % 4];
    let mut state = State::new(CASE.measure(3));
    let (mut mu, mut u) = (CASE.measure::<f64>(3), DMatrix::zeros(3, CASE.m));
    let mut method = ball(friction);
    let mut v = u.clone();
    for s in 0..40 {
        let dt = steps(s);
        method.step(&mut energy, &mut state, dt).unwrap();
        let damping = f64::exp(-friction * dt / 2.0);
        energy.velocity(&mu, &mut v);
        u = u * damping + &v * (dt / 2.0);
        mu.displace(dt, &u);
        energy.velocity(&mu, &mut v);
        u = (u + &v * (dt / 2.0)) * damping;
        assert!((state.measure().points() - mu.points()).amax() < 1e-12);
        state.evaluate(&mut energy);
        assert!((method.momentum(&state) - &u).amax() < 1e-12);
    }
}

/// Stable below `dt = 2 / sqrt(s)` at any friction, and not above.
#[test]
fn the_limit_of_stability() {
    for friction in [0.0, 1.0, 20.0] {
        let size = |dt| {
            let energy = PotentialEnergy::new(well(), 2);
            let mut flow = ParticleFlow::new(energy, ball(friction), dt).unwrap();
            let mut state = flow.start(start()).unwrap();
            match flow.run(&mut state, 2000, &mut ()) {
                Ok(_) => state.energy(),
                Err(_) => f64::INFINITY,
            }
        };
        assert!(size(0.99) < 1e4, "friction {friction}");
        assert!(size(1.01) > 1e20, "friction {friction}");
    }
}

/// On minibatches with a schedule: a run resumes bit for bit, in a new flow, and one velocity is
/// evaluated a step.
#[test]
fn momentum_on_minibatches_resumes_bit_for_bit() {
    let flow = || {
        let full = EmpiricalRisk::with_outputs(Square, CASE.inputs(), CASE.targets()).unwrap();
        let risk = MinibatchRisk::new(full, 4, 1).unwrap();
        let energy = MeanFieldRisk::new(Ridge::new(Tanh, 2), risk).unwrap();
        let schedule = WarmUp::new(10, Cosine::new(0.2, 0.01, 40).unwrap());
        ParticleFlow::scheduled(energy, ball(1.0), schedule).unwrap()
    };
    let (mut whole, mut other) = (flow(), flow());
    let mut state = whole.start(CASE.measure::<f64>(3)).unwrap();
    whole.run(&mut state, 23, &mut ()).unwrap();
    let mut resumed = state.clone();
    whole.run(&mut state, 30, &mut ()).unwrap();
    other.run(&mut resumed, 30, &mut ()).unwrap();
    assert_eq!(state.measure(), resumed.measure());
    assert_eq!(state.memory(), resumed.memory());
    assert_eq!(
        (state.time(), state.energy()),
        (resumed.time(), resumed.energy())
    );
}

/// If particles are added, all of them start from rest.
#[test]
fn a_new_particle_sets_all_at_rest() {
    let energy = || PotentialEnergy::new(well(), 2);
    let mut flow = ParticleFlow::new(energy(), ball(0.0), 0.25).unwrap();
    let mut state = flow.start(start()).unwrap();
    flow.run(&mut state, 3, &mut ()).unwrap();
    let points = DMatrix::from_fn(2, 3, |l, i| state.measure().particle(i % 2)[l]);
    *state.measure_mut() = EmpiricalMeasure::uniform(points).unwrap();
    assert_eq!(flow.integrator().momentum(&state), DMatrix::zeros(2, 3));
    let mut fresh = flow.start(state.measure().clone()).unwrap();
    flow.run(&mut state, 2, &mut ()).unwrap();
    flow.run(&mut fresh, 2, &mut ()).unwrap();
    assert_eq!(state.measure(), fresh.measure());
}
