//! Flows with corrections: minima of random problems, traps, splits of a run, invalid energies.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasserflow::loss::Loss;
use wasserflow::nalgebra::DMatrix;
use wasserflow::optimality::{Certifiable, certify};
use wasserflow::prelude::*;
use wasserflow::sparse::{FrankWolfe, reweigh, run_and_correct};

use super::common::{matrix, measure, network, signs};

/// Loose proximal steps and corrections of a random problem to a relative gap, or only towards it if
/// `gap` is `Err`. F is at most that of the flow alone, the bound holds, and the state is evaluated.
fn reaches<L: Loss<T> + Loss<f64> + Copy, T: Real>(
    loss: L,
    d: usize,
    k: usize,
    seed: u64,
    gap: Result<f64, f64>,
) {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let (n, m) = (rng.random_range(4..25), rng.random_range(1..20));
    let (x, y) = (matrix(d, n, rng), signs(&matrix(k, n, rng)));
    let lambda = 10.0_f64.powf(rng.random_range(-2.5..-1.0));
    let energy = || network::<_, _, T>(Relu, loss, &x, &y, lambda);
    let start = measure::<T>(k + d, m, rng);

    let mut flow = ParticleFlow::new(energy(), Jko::new(0.03, 1000), real(1e4)).unwrap();
    let mut alone = flow.start(start.clone()).unwrap();
    flow.run(&mut alone, 1, &mut ()).unwrap();
    let (is_required, gap) = (gap.is_ok(), gap.unwrap_or_else(|gap| gap));
    let gap = real::<T>(gap) * alone.energy();
    let mut state = flow.start(start).unwrap();
    let (reason, certificate) = run_and_correct(&mut flow, &mut state, gap, 1, 20).unwrap();
    let found = format!("d {d}, k {k}, seed {seed}, n {n}, m {m}: {reason:?}, {certificate:?}");
    let proved = matches!(reason, StopReason::GloballyOptimal { .. });
    assert_eq!(proved, certificate.gap() <= gap, "{found}");
    assert!(proved || !is_required, "{found}");
    assert!(!state.is_stale(), "{found}");
    let value = energy().value(state.measure());
    assert_eq!(state.energy(), value, "{found}");
    assert!(value <= alone.energy() + gap, "{found}");
    assert!(state.step() >= 1, "{found}");
    if state.step() == 1 {
        assert!(value <= alone.energy(), "{found}: {}", alone.energy());
    }
    // The certified bound is below every value, also that of another method.
    let mut other = EmpiricalMeasure::uniform(DMatrix::zeros(k + d, 1)).unwrap();
    let method = FrankWolfe::Sliding;
    let (_, best) = method.run(&mut energy(), &mut other, gap, 40).unwrap();
    assert!(
        value - certificate.gap() <= best.energy(),
        "{found}: {best:?}"
    );
}

#[test]
fn random_problems_reach_a_certified_gap() {
    for seed in 0..30 {
        reaches::<_, f64>(Square, 2, 1, seed, Ok(1e-7));
        reaches::<_, f64>(Logistic, 2, 1, seed, Ok(1e-7));
        reaches::<_, f64>(Square, 1, 1, seed, Ok(1e-9));
        reaches::<_, f32>(Square, 2, 1, seed, Ok(1e-3));
    }
    for seed in 0..5 {
        reaches::<_, f64>(Square, 3, 1, seed, Ok(1e-5));
        reaches::<_, f64>(Huber(0.5), 2, 1, seed, Ok(1e-5));
        // At kinks of the loss the corrections may end above the gap.
        reaches::<_, f64>(Hinge, 2, 1, seed, Err(1e-4));
    }
}

/// The flow of one neuron on one of two sides is trapped. The run adds the other.
#[test]
fn a_trapped_flow_is_corrected() {
    fn run<I: Integrator<f64>>(integrator: I, dt: f64, every: usize) {
        let x = DMatrix::from_row_slice(1, 2, &[-1.0, 1.0]);
        let y = DMatrix::from_element(1, 2, 1.0);
        let energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.1);
        let mut flow = ParticleFlow::new(energy, integrator, dt).unwrap();
        let start = EmpiricalMeasure::uniform(DMatrix::from_element(2, 1, 1.0)).unwrap();
        let mut state = flow.start(start).unwrap();
        let (reason, _) = run_and_correct(&mut flow, &mut state, 1e-9, every, 1000).unwrap();
        assert!(
            matches!(reason, StopReason::GloballyOptimal { .. }),
            "every {every}: {reason:?}"
        );
        assert_eq!((state.step(), state.measure().len()), (every, 2));
        // The flow continues from the corrected measure, whose number of particles is another.
        flow.run(&mut state, 3, &mut ()).unwrap();
    }
    for every in [1, 7, 100] {
        run(Rk4, 0.25, every);
        run(Jko::default(), 10.0, every);
        run(HeavyBall::new(1.0).unwrap(), 0.1, every);
        run(DormandPrince::default(), 0.1, every);
    }
}

/// A problem of many kinks, on which 32 corrections do not reach the gap.
fn large() -> (impl Certifiable<f64>, EmpiricalMeasure<f64>) {
    let rng = &mut ChaCha8Rng::seed_from_u64(4);
    let (x, y) = (matrix(2, 80, rng), matrix(1, 80, rng));
    let energy = network::<_, _, f64>(Relu, Square, &x, &y, 1e-6);
    (energy, measure(3, 13, rng))
}

/// Two rounds are the same as one and another one. F falls in each.
#[test]
fn a_run_can_be_split() {
    let run = |rounds: &[usize]| {
        let (energy, start) = large();
        let mut flow = ParticleFlow::new(energy, Euler, 1e-3).unwrap();
        let mut state = flow.start(start).unwrap();
        for &steps in rounds {
            let before = state.energy();
            let (reason, certificate) =
                run_and_correct(&mut flow, &mut state, 1e-14, 5, steps).unwrap();
            assert_eq!(reason, StopReason::Steps);
            assert!(certificate.gap() > 1e-14 && state.energy() < before);
        }
        state
    };
    let (whole, split) = (run(&[10]), run(&[5, 5]));
    assert_eq!((whole.step(), split.step()), (10, 10));
    assert_eq!(whole.measure(), split.measure());
    assert_eq!(whole.energy(), split.energy());
}

/// The weights are optimal in full after the corrections: `reweigh` does not decrease F further. The
/// last certificate is that of the result, and proves the requested gap. F is at most that of the
/// flow.
#[test]
fn the_weights_of_a_result_are_optimal() {
    let rng = &mut ChaCha8Rng::seed_from_u64(41);
    for case in 0..20 {
        let (x, y) = (matrix(2, 12, rng), matrix(1, 12, rng));
        let energy = network::<_, _, f64>(Relu, Square, &x, &y, 0.01);
        let gap = [1e-3, 1e-6][case % 2];
        let mut flow = ParticleFlow::new(energy, Euler, 0.1).unwrap();
        let mut state = flow.start(measure(3, 1 + case, rng)).unwrap();
        let mut alone = state.clone();
        let run = run_and_correct(&mut flow, &mut state, gap, 3, 9);
        let (reason, certificate) = run.unwrap();
        let at = format!("case {case}: {reason:?}, {certificate:?}");
        assert!(
            matches!(reason, StopReason::GloballyOptimal { gap } if gap == certificate.gap()),
            "{at}"
        );
        let proof = certify(flow.energy_mut(), state.measure()).gap();
        assert!(
            certificate.gap() <= gap && proof <= gap * (1.0 + 1e-6),
            "{at}"
        );
        let best = reweigh(flow.energy_mut(), state.measure()).unwrap();
        let decrease = state.energy() - flow.energy_mut().value(&best);
        assert!(decrease <= 1e-14 * state.energy(), "{at}: {decrease:e}");
        flow.run(&mut alone, state.step(), &mut ()).unwrap();
        assert!(state.energy() <= alone.energy(), "{at}");
    }
    // Also if the steps do not suffice for the gap.
    let (energy, start) = large();
    let mut flow = ParticleFlow::new(energy, Euler, 1e-3).unwrap();
    let mut state = flow.start(start).unwrap();
    let (reason, _) = run_and_correct(&mut flow, &mut state, 1e-14, 5, 5).unwrap();
    assert_eq!(reason, StopReason::Steps);
    let best = reweigh(flow.energy_mut(), state.measure());
    let decrease = best.map(|best| state.energy() - flow.energy_mut().value(&best));
    println!("decrease {decrease:?} of {:e}", state.energy());
}

/// Without steps the measure is certified and stays as it is.
#[test]
fn zero_steps_are_a_certificate() {
    let (energy, start) = large();
    let mut flow = ParticleFlow::new(energy, Euler, 1e-3).unwrap();
    let mut state = flow.start(start.clone()).unwrap();
    let (reason, certificate) = run_and_correct(&mut flow, &mut state, 1e-9, 1, 0).unwrap();
    assert_eq!(reason, StopReason::Steps);
    assert_eq!((state.measure(), state.step()), (&start, 0));
    assert_eq!(certificate.gap(), certify(flow.energy_mut(), &start).gap());
    for gap in [-1.0, f64::NAN] {
        let result = run_and_correct(&mut flow, &mut state, gap, 1, 1);
        assert!(matches!(result, Err(StepError::Parameter { .. })), "{gap}");
    }
}

#[test]
fn a_loss_without_conjugate_is_unsupported() {
    #[derive(Debug, Clone, Copy)]
    struct NoConjugate;
    impl<T: Real> Loss<T> for NoConjugate {
        fn value(&self, y: T, h: T) -> T {
            Square.value(y, h)
        }
        fn derivative(&self, y: T, h: T) -> T {
            h - y
        }
    }
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let (x, y) = (matrix(2, 5, rng), matrix(1, 5, rng));
    let energy = network::<_, _, f64>(Relu, NoConjugate, &x, &y, 0.1);
    let mut flow = ParticleFlow::new(energy, Euler, 0.1).unwrap();
    let mut state = flow.start(measure(3, 4, rng)).unwrap();
    let result = run_and_correct(&mut flow, &mut state, 1e-8, 1, 5);
    assert!(
        matches!(result, Err(StepError::Unsupported { .. })),
        "{result:?}"
    );
    assert_eq!(state.step(), 0);
}
