//! Certified global minima by proximal steps from random starts: planar rectifier networks with
//! weight decay.

use std::time::Instant;

use nalgebra::{DMatrix, DVector};
use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::optimality::{Certifiable, certify};
use wasserflow::prelude::*;
use wasserflow::sparse::{FrankWolfe, insert, run_and_correct, run_until_optimal};

use crate::counted::Counted;

type Network<R> = MeanFieldRisk<Ridge<Relu>, R, f64, WeightDecay<f64>>;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn network<R: Risk<f64>>(risk: R, lambda: f64) -> Network<R> {
    let energy = MeanFieldRisk::new(Ridge::new(Relu, risk.inputs().dim()), risk).unwrap();
    energy.regularized(WeightDecay::new(lambda).unwrap())
}

/// Predictions of a teacher of `m0` rectifier neurons of length `2 m0`.
fn targets(x: &DMatrix<f64>, m0: usize, rng: &mut ChaCha8Rng) -> DVector<f64> {
    let teacher = init::balanced::<f64>(x.nrows(), m0, (m0 as f64).sqrt(), rng).unwrap();
    DVector::from_fn(x.ncols(), |j, _| {
        let neuron = |w: &[f64]| {
            w[0] * w[1..]
                .iter()
                .zip(x.column(j).iter())
                .map(|(b, x)| b * x)
                .sum::<f64>()
                .max(0.0)
                / m0 as f64
        };
        (0..m0).map(|i| neuron(teacher.particle(i))).sum()
    })
}

/// The cost and the result of a run to a certified minimum.
struct Outcome {
    gap: f64,
    steps: usize,
    /// Neurons inserted after the flow was trapped, and after twenty steps without convergence.
    trapped: usize,
    slow: usize,
    /// Whether the first steps had to be shortened.
    shortened: bool,
}

/// Proximal steps of growing length until the gap is certified; if the flow is trapped, the escape
/// neuron is inserted.
///
/// Rarely, a first step ends early at kinks, depending on rounding; shorter ones then replace it.
fn minimise(energy: impl Certifiable<f64>, start: EmpiricalMeasure<f64>, gap: f64) -> Outcome {
    let mut flow = ParticleFlow::new(energy, Jko::default(), 1e3).unwrap();
    let mut state = flow.start(start).unwrap();
    let shortened = flow.run(&mut state, 2, &mut ()).is_err();
    if shortened {
        let mut flow = ParticleFlow::new(flow.energy_mut(), Jko::default(), 1e2).unwrap();
        flow.run(&mut state, 5, &mut ()).unwrap();
    }
    let mut flow = ParticleFlow::new(flow.energy_mut(), Jko::new(1e-10, 1000), 1e6).unwrap();
    let (mut trapped, mut slow) = (0, 0);
    loop {
        let (reason, certificate) = run_until_optimal(&mut flow, &mut state, gap, 1, 20).unwrap();
        match reason {
            StopReason::Trapped { .. } => trapped += 1,
            StopReason::Steps if slow + trapped < 20 => slow += 1,
            _ => {
                return Outcome {
                    gap: certificate.gap(),
                    steps: state.step(),
                    trapped,
                    slow,
                    shortened,
                };
            }
        }
        let inserted = certificate
            .escape()
            .and_then(|w| insert(flow.energy_mut(), state.measure(), w));
        if let Some(inserted) = inserted {
            *state.measure_mut() = inserted;
        }
    }
}

/// A random planar problem: 5 to 40 samples, 10 to 40 neurons, weight decay 1e-3 to 1e-1, square
/// loss or logistic.
fn random_problem(seed: u64) -> (Outcome, String) {
    let mut rng = rng(9000 + seed);
    let (n, m) = (rng.random_range(5..=40), rng.random_range(10..=40));
    let lambda = 10.0_f64.powf(rng.random_range(-3.0..-1.0));
    let x = DMatrix::from_fn(2, n, |_, _| 2.0 * rng.random::<f64>() - 1.0);
    let y = targets(&x, 3, &mut rng);
    let start = init::balanced(2, m, 2.0_f64.sqrt(), &mut rng).unwrap();
    let outcome = if seed.is_multiple_of(2) {
        minimise(
            network(EmpiricalRisk::new(Square, x, y).unwrap(), lambda),
            start,
            1e-8,
        )
    } else {
        let signs = y.map(|y| if y > 0.0 { 1.0 } else { -1.0 });
        minimise(
            network(EmpiricalRisk::new(Logistic, x, signs).unwrap(), lambda),
            start,
            1e-8,
        )
    };
    (
        outcome,
        format!("seed {seed}, n = {n}, m = {m}, lambda = {lambda:.1e}"),
    )
}

/// Solves problems. At most `above` of them may keep a gap above 1e-8, and all must be below 2e-8.
fn random_problems(seeds: std::ops::Range<u64>, above: usize) {
    let (mut trapped, mut slow, mut steps, mut most, mut missed, mut shortened) =
        (0, 0, 0, 0, 0, 0);
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let (outcome, problem) = random_problem(seed);
        assert!(
            outcome.gap <= 2e-8,
            "{problem}: gap {:e} after {} steps",
            outcome.gap,
            outcome.steps
        );
        if outcome.gap > 1e-8 {
            println!(
                "{problem}: gap {:e} after {} steps",
                outcome.gap, outcome.steps
            );
            missed += 1;
        }
        trapped += usize::from(outcome.trapped > 0);
        slow += usize::from(outcome.slow > 0);
        shortened += usize::from(outcome.shortened);
        steps += outcome.steps;
        most = most.max(outcome.steps);
    }
    println!(
        "{count} problems in {steps} steps, at most {most}; {missed} above 1e-8, {trapped} trapped, {slow} slow"
    );
    assert!(missed <= above, "{missed} problems above 1e-8");
    assert!(
        shortened <= 1,
        "{shortened} of {count} problems needed shorter steps"
    );
}

#[test]
fn random_problems_are_solved() {
    random_problems(0..60, 0);
}

/// In one of them (seed 169) a kink at a distance of 1e-9 from the optimal neuron limits the gap to
/// 1.4e-8.
#[test]
#[ignore = "the other 140 problems"]
fn more_random_problems_are_solved() {
    random_problems(60..200, 1);
}

/// An experiment of L. Chizat, arXiv:1907.10300: d = 2, 15 samples on the circle, a teacher of 3
/// neurons, 20 neurons of norm 2, weight decay 0.002.
fn circle(seed: u64) -> (Network<EmpiricalRisk<Square, f64>>, EmpiricalMeasure<f64>) {
    let mut rng = rng(seed);
    let x = init::sphere::<f64>(2, 15, &mut rng).unwrap().into_points();
    let y = targets(&x, 3, &mut rng);
    let start = init::balanced(2, 20, 2.0_f64.sqrt(), &mut rng).unwrap();
    (
        network(EmpiricalRisk::new(Square, x, y).unwrap(), 0.002),
        start,
    )
}

#[test]
fn fewer_gradients_than_euler() {
    println!(
        "| seed | gap at the start | Euler, 1000 steps | Euler, 20 000 steps | time | Jko | gradients | time |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for seed in 0..5 {
        let (mut energy, start) = circle(seed);
        let first = certify(&mut energy, &start).gap();
        let mut flow = ParticleFlow::new(energy, Euler, 1.0).unwrap();
        let mut state = flow.start(start.clone()).unwrap();
        let clock = Instant::now();
        flow.run(&mut state, 1000, &mut ()).unwrap();
        let early = certify(flow.energy_mut(), state.measure()).gap();
        flow.run(&mut state, 19_000, &mut ()).unwrap();
        let euler = clock.elapsed();
        let late = certify(flow.energy_mut(), state.measure()).gap();

        let energy = Counted::new(circle(seed).0);
        let counts = energy.counts.clone();
        let mut flow = ParticleFlow::new(energy, Jko::default(), 1e8).unwrap();
        let mut state = flow.start(start).unwrap();
        let clock = Instant::now();
        let (reason, certificate) = run_until_optimal(&mut flow, &mut state, 1e-6, 1, 10).unwrap();
        let jko = clock.elapsed();
        println!(
            "| {seed} | {first:.1e} | {early:.1e} | {late:.1e} | {euler:.1?} | {:.1e} | {} | {jko:.1?} |",
            certificate.gap(),
            counts.gradients()
        );
        assert!(
            matches!(reason, StopReason::GloballyOptimal { .. }),
            "{reason:?}"
        );
        assert!(counts.gradients() < 300, "{counts:?}; Euler takes 20 000");
    }
}

/// The work of a run to a certified gap of 1e-6 from 20 neurons: velocities, first variations,
/// products, Hessians and certificates, each counted as one gradient; and their neurons.
fn proximal_and_corrected(seed: u64, tolerance: f64) -> [usize; 2] {
    let energy = Counted::new(circle(seed).0);
    let counts = energy.counts.clone();
    let mut flow = ParticleFlow::new(energy, Jko::new(tolerance, 1000), 1e8).unwrap();
    let mut state = flow.start(circle(seed).1).unwrap();
    let (reason, _) = run_and_correct(&mut flow, &mut state, 1e-6, 1, 10).unwrap();
    assert!(
        matches!(reason, StopReason::GloballyOptimal { .. }),
        "seed {seed}: {reason:?}"
    );
    [counts.gradients(), counts.neurons.get()]
}

/// A loose proximal step from 20 neurons, and corrective steps from its measure, take at most 200
/// gradients for each problem and for a wide range of tolerances of the proximal step. The work in
/// velocities of 20 neurons is smaller, as few neurons remain.
fn gradients(seeds: std::ops::Range<u64>) {
    println!("| tolerance | median | most | velocities of 20: median | most |");
    println!("|---|---|---|---|---|");
    for tolerance in [0.3, 0.1, 0.03, 0.01, 0.003] {
        let runs = seeds
            .clone()
            .map(|seed| proximal_and_corrected(seed, tolerance));
        let (mut all, mut work): (Vec<_>, Vec<_>) =
            runs.map(|[all, work]| (all, work / 20)).unzip();
        all.sort_unstable();
        work.sort_unstable();
        let (middle, last) = (all.len() / 2, all.len() - 1);
        println!(
            "| {tolerance} | {} | {} | {} | {} |",
            all[middle], all[last], work[middle], work[last]
        );
        assert!(all[last] <= 200, "tolerance {tolerance}: {all:?}");
        assert!(work[last] <= 200, "tolerance {tolerance}: {work:?}");
    }
}

#[test]
fn gradients_to_a_certified_minimum() {
    gradients(0..60);
}

#[test]
#[ignore = "200 other problems: fails, as one (seed 242) takes 207 gradients at the tolerance 0.003"]
fn gradients_to_more_certified_minima() {
    gradients(60..260);
}

/// The same by the flow alone, on ten problems: one long proximal step from the start takes at most
/// 213 gradients. Where it ends in another stationary point, the flow is trapped and the missing
/// neuron is inserted.
#[test]
fn gradients_of_the_flow_alone() {
    println!("| seed | Jko | inserted | velocities of 20 | Sliding | velocities of 20 |");
    println!("|---|---|---|---|---|---|");
    let mut gradients = Vec::new();
    for seed in 0..10 {
        let energy = Counted::new(circle(seed).0);
        let counts = energy.counts.clone();
        let mut flow = ParticleFlow::new(energy, Jko::default(), 1e8).unwrap();
        let mut state = flow.start(circle(seed).1).unwrap();
        let mut inserted = 0;
        loop {
            let (reason, certificate) =
                run_until_optimal(&mut flow, &mut state, 1e-6, 1, 10).unwrap();
            if matches!(reason, StopReason::GloballyOptimal { .. }) {
                break;
            }
            assert!(matches!(reason, StopReason::Trapped { .. }), "{reason:?}");
            assert!(inserted < 3, "seed {seed}: trapped again");
            let w = certificate.escape().unwrap();
            *state.measure_mut() = insert(flow.energy_mut(), state.measure(), w).unwrap();
            inserted += 1;
        }
        let jko = [counts.gradients(), counts.neurons.get()];
        gradients.push(jko[0]);

        let [gradients_of_sliding, neurons] = conditional_gradients(FrankWolfe::Sliding, seed);
        println!(
            "| {seed} | {} | {inserted} | {} | {} | {} |",
            jko[0],
            jko[1] / 20,
            gradients_of_sliding,
            neurons / 20
        );
        assert!(neurons <= 200 * 20, "seed {seed}: {neurons} neurons");
        assert!(jko[0] <= 700, "seed {seed}: {jko:?}");
    }
    gradients.sort_unstable();
    assert!(gradients[7] <= 200, "{gradients:?}");
}

/// The gradients of a method to a certified gap of 1e-6 on one of these problems, from the zero
/// network, and the neurons in them.
fn conditional_gradients(method: FrankWolfe, seed: u64) -> [usize; 2] {
    let mut energy = Counted::new(circle(seed).0);
    let counts = energy.counts.clone();
    let mut mu = EmpiricalMeasure::uniform(DMatrix::zeros(3, 1)).unwrap();
    let (reason, _) = method.run(&mut energy, &mut mu, 1e-6, 100).unwrap();
    assert!(
        matches!(reason, StopReason::GloballyOptimal { .. }),
        "seed {seed}: {reason:?}"
    );
    [counts.gradients(), counts.neurons.get()]
}

/// Fully corrective conditional gradients keep the Hessian of F in the weights, so that an atom
/// costs one first variation: 150 gradients suffice on every problem.
#[test]
fn corrective_gradients_to_a_certified_minimum() {
    let mut all: Vec<_> = (0..60)
        .map(|seed| conditional_gradients(FrankWolfe::Corrective, seed))
        .collect();
    all.sort_unstable();
    println!("median {:?}, most {:?}", all[30], all[59]);
    let mut sliding: Vec<_> = (0..60)
        .map(|seed| conditional_gradients(FrankWolfe::Sliding, seed))
        .collect();
    sliding.sort_unstable();
    println!(
        "sliding: {:?}, {:?}, {:?}",
        sliding[0], sliding[30], sliding[59]
    );
    let work = [&all, &sliding].map(|runs| runs.iter().map(|run| run[1] / 20).max());
    println!("velocities of 20 neurons: at most {work:?}");
    assert!(all[59][0] <= 150, "{all:?}");
}

/// The same problems by Frank-Wolfe, which inserts one atom at a time. Euler moves 20 neurons 20
/// 000 times.
#[test]
fn frank_wolfe_takes_a_hundredth_of_the_gradients() {
    println!("| seed | atoms | gap | gradients | of neurons | time |\n|---|---|---|---|---|---|");
    for seed in 0..5 {
        let mut energy = Counted::new(circle(seed).0);
        let counts = energy.counts.clone();
        let mut mu = EmpiricalMeasure::uniform(DMatrix::zeros(3, 1)).unwrap();
        let clock = Instant::now();
        let (reason, certificate) = FrankWolfe::Sliding
            .run(&mut energy, &mut mu, 1e-6, 100)
            .unwrap();
        let time = clock.elapsed();
        let (gradients, neurons) = (counts.gradients(), counts.neurons.get());
        println!(
            "| {seed} | {} | {:.1e} | {gradients} | {neurons} | {time:.1?} |",
            mu.len(),
            certificate.gap()
        );
        assert!(
            matches!(reason, StopReason::GloballyOptimal { .. }),
            "{reason:?}"
        );
        assert!(
            100 * neurons < 20 * 20_000,
            "{gradients} gradients, of {neurons} neurons"
        );
    }
}
