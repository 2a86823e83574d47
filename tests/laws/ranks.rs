//! Ranks: every energy and every integrator gives the results of one rank.

use wasserflow::integrator::Integrator;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::testing::strategies::{assert_law, seeds};
use wasserflow::testing::{
    self, Case, Rank, Violation, check_distributed, check_distributed_flow, check_distributed_step,
};
use wasserflow::transport::{HellingerKantorovichEnergy, SinkhornEnergy, SlicedW2Energy, W2Energy};

const CASE: Case = Case {
    n: 12,
    m: 9,
    d: 2,
    k: 1,
    seed: 3,
};

type BoxedEnergy = Box<dyn Energy<f64> + Send>;
type Make = fn(Case, Option<Rank<f64>>) -> BoxedEnergy;

fn decay() -> WeightDecay<f64> {
    WeightDecay::new(0.25).unwrap()
}

/// A mean-field risk, distributed over ranks if there are any.
fn mean_field<A, R>(
    sigma: A,
    risk: R,
    k: usize,
    rank: Option<Rank<f64>>,
) -> MeanFieldRisk<Ridge<A>, R, f64, WeightDecay<f64>>
where
    A: Activation<f64>,
    R: Risk<f64>,
{
    let phi = Ridge::with_outputs(sigma, risk.inputs().dim(), k);
    let energy = MeanFieldRisk::new(phi, risk).unwrap().regularized(decay());
    match rank {
        Some(rank) => energy.distributed(rank),
        None => energy,
    }
}

fn square(case: Case) -> EmpiricalRisk<Square, f64> {
    EmpiricalRisk::with_outputs(Square, case.inputs(), case.targets()).unwrap()
}

fn tanh(case: Case, rank: Option<Rank<f64>>) -> BoxedEnergy {
    Box::new(mean_field(Tanh, square(case), case.k, rank))
}

fn relu(case: Case, rank: Option<Rank<f64>>) -> BoxedEnergy {
    Box::new(mean_field(Relu, square(case), case.k, rank))
}

fn softmax(case: Case, rank: Option<Rank<f64>>) -> BoxedEnergy {
    let labels = case.labels().iter().map(|label| label % 2).collect();
    let risk = SoftmaxCrossEntropy::new(case.inputs(), labels, 2).unwrap();
    Box::new(mean_field(Tanh, risk, 2, rank))
}

fn minibatches(case: Case, rank: Option<Rank<f64>>) -> BoxedEnergy {
    let risk = MinibatchRisk::new(square(case), 1 + case.n / 2, case.seed).unwrap();
    Box::new(mean_field(Tanh, risk, case.k, rank))
}

/// The potential `|w|^4 / 4`, confined to a scale at which explicit steps are stable.
fn potential(case: Case, rank: Option<Rank<f64>>) -> BoxedEnergy {
    let energy = PotentialEnergy::new(testing::problems::Quartic, case.d + case.k);
    match rank {
        Some(rank) => Box::new(energy.distributed(rank)),
        None => Box::new(energy),
    }
}

fn gaussian(case: Case, rank: Option<Rank<f64>>) -> BoxedEnergy {
    let p = case.d + case.k;
    let target = case.rng(40).measure(p, 4);
    let energy = Mmd::new(Gaussian::new(p, 1.5).unwrap(), target).unwrap();
    match rank {
        Some(rank) => Box::new(energy.distributed(rank)),
        None => Box::new(energy),
    }
}

fn arc_cosine(case: Case, rank: Option<Rank<f64>>) -> BoxedEnergy {
    let target = case.rng(41).measure(case.d + case.k, 3);
    let kernel = WithOutputWeight(ArcCosine::new(case.d + case.k - 1));
    let energy = Mmd::new(kernel, target).unwrap();
    match rank {
        Some(rank) => Box::new(energy.distributed(rank)),
        None => Box::new(energy),
    }
}

fn sum(case: Case, rank: Option<Rank<f64>>) -> BoxedEnergy {
    Box::new(Sum::new(tanh(case, rank.clone()), gaussian(case, rank)).unwrap())
}

fn frozen(case: Case, rank: Option<Rank<f64>>) -> BoxedEnergy {
    Box::new(Frozen::new(tanh(case, rank), 1..2).unwrap())
}

/// An energy of pairs, of which every rank evaluates the whole measure.
fn interaction(case: Case, rank: Option<Rank<f64>>) -> BoxedEnergy {
    let pull = PowerLaw::new(2.0, 0.5).unwrap();
    let bump = GaussianInteraction::new(0.75, 1.0).unwrap();
    let energy = InteractionEnergy::new((pull, bump), case.d + case.k);
    match rank {
        Some(rank) => Box::new(Gathered::new(energy, rank)),
        None => Box::new(energy),
    }
}

/// Blobs, of which every rank evaluates the whole measure.
fn blob(case: Case, rank: Option<Rank<f64>>) -> BoxedEnergy {
    let energy = Blob::porous_medium(case.d + case.k, 2.5, 1.0).unwrap();
    match rank {
        Some(rank) => Box::new(Gathered::new(energy, rank)),
        None => Box::new(energy),
    }
}

/// The kernel Stein discrepancy to a quartic potential, of which every rank evaluates the whole
/// measure.
fn stein(case: Case, rank: Option<Rank<f64>>) -> BoxedEnergy {
    let kernel = InverseMultiquadric::new(1.5).unwrap();
    let energy = SteinDiscrepancy::new(super::field::Quartic, kernel, case.d + case.k);
    match rank {
        Some(rank) => Box::new(Gathered::new(energy, rank)),
        None => Box::new(energy),
    }
}

/// Half a squared Hellinger-Kantorovich distance, of which every rank evaluates the whole measure.
fn hellinger_kantorovich(case: Case, rank: Option<Rank<f64>>) -> BoxedEnergy {
    let target = case.rng(21).measure(case.d + case.k, 4);
    let energy = HellingerKantorovichEnergy::new(target).unwrap();
    match rank {
        Some(rank) => Box::new(Gathered::new(energy, rank)),
        None => Box::new(energy),
    }
}

const ENERGIES: [(&str, Make); 13] = [
    ("tanh", tanh),
    ("relu", relu),
    ("softmax", softmax),
    ("minibatches", minibatches),
    ("potential", potential),
    ("gaussian", gaussian),
    ("arc cosine", arc_cosine),
    ("sum", sum),
    ("frozen", frozen),
    ("interaction", interaction),
    ("blob", blob),
    ("stein", stein),
    ("hellinger_kantorovich", hellinger_kantorovich),
];

/// Dealt out in three ways, with more ranks than particles.
#[test]
fn every_energy_on_ranks_is_that_of_the_whole_measure() {
    let law = |seed: u64| -> Result<(), Violation> {
        let count = ENERGIES.len() as u64;
        let (_, make) = ENERGIES[(seed % count) as usize];
        let m = 1 + (seed / count % 9) as usize;
        let d = if (seed / (9 * count)).is_multiple_of(2) {
            1
        } else {
            3
        };
        check_on_ranks(make, Case { m, d, seed, ..CASE })
    };
    assert_law(seeds(), law);
}

fn check_on_ranks(make: Make, case: Case) -> Result<(), Violation> {
    for size in [1, 2, 3, 7] {
        let parts = Rank::group(size)
            .into_iter()
            .map(|rank| make(case, Some(rank)));
        check_distributed(&mut make(case, None), parts.collect(), case)?;
    }
    Ok(())
}

/// Particles whose mass is divided between points of the target, where the potential has a kink: rounding,
/// which the order of the particles changes, does not choose the direction.
#[test]
fn divided_particles_on_ranks_are_those_of_the_whole_measure() {
    for (seed, m) in [
        (176_792_275_254_594_050, 9),
        (8_028_479_543_213_677_950, 7),
        (11_724_243_873_829_087_886, 9),
        (12_304_847_262_159_691_082, 9),
        (14_815_990_474_331_184_540, 7),
        (5_844_140_401_216_631_058, 7),
    ] {
        let case = Case {
            m,
            d: 1,
            seed,
            ..CASE
        };
        assert_eq!(check_on_ranks(hellinger_kantorovich, case), Ok(()));
    }
}

/// The columns of the particles of positive weight.
fn positive(part: &EmpiricalMeasure<f64>, out: &DMatrix<f64>) -> Vec<f64> {
    let columns = (0..part.len()).filter(|&i| part.weight(i) > 0.0);
    columns
        .flat_map(|i| out.column(i).iter().copied().collect::<Vec<_>>())
        .collect()
}

/// `m` equal masses in the plane.
fn cloud(m: usize, seed: u64) -> EmpiricalMeasure<f64> {
    let case = Case { m, seed, ..CASE };
    EmpiricalMeasure::uniform(case.measure(2).points().clone()).unwrap()
}

#[test]
fn gathered_distances_on_ranks_are_those_of_the_whole_measure() {
    let distances: [fn() -> BoxedEnergy; 4] = [
        || Box::new(W2Energy::new(cloud(5, 8)).unwrap()),
        || Box::new(SlicedW2Energy::new(cloud(5, 8), 4, 1).unwrap()),
        || Box::new(EnergyDistance::new(Riesz::new(1.0).unwrap(), cloud(5, 8)).unwrap()),
        || Box::new(SinkhornEnergy::half_square(cloud(5, 8), 0.5).unwrap()),
    ];
    let mu = cloud(7, 9);
    for make in distances {
        let mut whole = DMatrix::zeros(2, 7);
        let value = make().velocity(&mu, &mut whole);
        // With nine ranks, two of them hold a particle of weight -0.
        for size in [1, 2, 3, 7, 9] {
            let parts = on_ranks(size, |rank| {
                let part = mu.share(&rank);
                let mut out = DMatrix::zeros(2, part.len());
                let mut energy = Gathered::new(make(), rank);
                (energy.velocity(&part, &mut out), positive(&part, &out))
            });
            let velocities: Vec<f64> = parts.iter().flat_map(|part| part.1.clone()).collect();
            for (value_on_rank, _) in &parts {
                assert!(
                    (value_on_rank - value).abs() <= 1e-12 * value,
                    "{size} ranks"
                );
            }
            let error = (DMatrix::from_vec(2, 7, velocities) - &whole).amax();
            assert!(error <= 1e-12 * whole.amax(), "{size} ranks: {error}");
        }
        let heavy =
            EmpiricalMeasure::weighted(mu.points().clone(), DVector::from_element(7, 1.0)).unwrap();
        for result in on_ranks(2, |rank| {
            let part = heavy.share(&rank);
            let mut flow = ParticleFlow::new(Gathered::new(make(), rank), Euler, 0.1).unwrap();
            flow.start(part).map(|_| ())
        }) {
            assert!(
                matches!(result, Err(StartError::NonFinite { .. })),
                "{result:?}"
            );
        }
    }
}

type Method = fn() -> Box<dyn Integrator<f64>>;

const EXPLICIT: [(&str, Method); 7] = [
    ("Euler", || Box::new(Euler)),
    ("Heun", || Box::new(Heun)),
    ("Rk4", || Box::new(Rk4)),
    ("DormandPrince", || Box::new(DormandPrince::new(1e-6, 1e-8))),
    ("Conic", || Box::new(Conic::new(0.1, 1.0))),
    ("HeavyBall", || Box::new(HeavyBall::new(0.5).unwrap())),
    ("BirthDeath", || Box::new(BirthDeath::new(0.1, 1.0))),
];

#[test]
fn every_explicit_method_on_ranks_takes_the_steps_of_one_rank() {
    for (energy, make) in ENERGIES {
        for (name, method) in EXPLICIT {
            if name == "DormandPrince" && ["relu", "minibatches"].contains(&energy) {
                continue; // jumps of the velocity amplify rounding errors of the step size
            }
            // More ranks than particles, and fewer.
            for m in [4, 9] {
                let case = Case { m, ..CASE };
                let k = if energy == "softmax" { 2 } else { 1 };
                let mut mu = case.measure(case.d + k);
                // Away from the kinks at 0, where rounding decides the side.
                mu.points_mut()
                    .iter_mut()
                    .for_each(|w| *w = 0.5 * *w + 0.003);
                let flow = check_distributed_flow(|rank| make(case, rank), method, &mu, 0.01, 20);
                assert_eq!(flow, Ok(()), "{energy}, {name}, m = {m}");
            }
        }
    }
}

/// Noise is that of the index of a particle among all: ranks that declare their particles take the
/// steps of one rank, also with more ranks than particles.
#[test]
fn noise_on_ranks_is_that_of_one_rank() {
    type Noisy = fn(usize) -> Box<dyn Integrator<f64>>;
    let methods: [(&str, Noisy); 2] = [
        ("Langevin", |first| {
            Box::new(Langevin::new(0.3, 7).unwrap().particles(first, 1))
        }),
        ("KineticLangevin", |first| {
            Box::new(
                KineticLangevin::new(0.3, 0.75, 7)
                    .unwrap()
                    .particles(first, 1),
            )
        }),
    ];
    let energies = ENERGIES
        .into_iter()
        .filter(|(name, _)| !["relu", "minibatches"].contains(name));
    for (energy, make) in energies {
        let k = if energy == "softmax" { 2 } else { 1 };
        for m in [4, 9] {
            let case = Case { m, ..CASE };
            let mut mu = case.measure(case.d + k);
            for c in mu.weights_mut() {
                *c += 0.01; // a rank without particles holds one of weight 0
            }
            for (name, method) in methods {
                let run = |energy: BoxedEnergy, mu: EmpiricalMeasure<f64>, first: usize| {
                    let mut flow = ParticleFlow::new(energy, method(first), 0.01).unwrap();
                    let mut state = flow.start(mu).unwrap();
                    flow.run(&mut state, 8, &mut ()).unwrap();
                    state
                };
                let whole = run(make(case, None), mu.clone(), 0);
                for size in [2, 3, 7] {
                    let parts = on_ranks(size, |rank| {
                        let part = mu.share(&rank);
                        let first = AllReduce::<f64>::share(&rank, m).start;
                        let state = run(make(case, Some(rank)), part, first);
                        let points = positive(state.measure(), state.measure().points());
                        (state.energy(), points)
                    });
                    let at = format!("{energy}, {name}, m = {m}, {size} ranks");
                    let points: Vec<f64> = parts.iter().flat_map(|part| part.1.clone()).collect();
                    let points = DMatrix::from_vec(mu.dim(), m, points);
                    let error = (points - whole.measure().points()).amax();
                    assert!(error <= 1e-12, "{at}: {error:e}");
                    for (value, _) in &parts {
                        assert_eq!(*value, parts[0].0, "{at}");
                        let error = (value - whole.energy()).abs();
                        assert!(error <= 1e-11 * (1.0 + value.abs()), "{at}: {error:e}");
                    }
                }
            }
        }
    }
}

/// Kernels of all pairs of particles need all of them in one process.
#[test]
fn stein_variational_gradients_on_ranks_are_refused() {
    for size in [2, 3, 7] {
        for result in on_ranks(size, |rank| {
            let mu = cloud(9, 9).share(&rank);
            let svgd = Svgd::new(Gaussian::new(2, 0.5).unwrap(), 1.0).unwrap();
            let energy = gaussian(Case { d: 1, ..CASE }, Some(rank));
            let mut flow = ParticleFlow::new(energy, svgd, 0.1).unwrap();
            let mut state = flow.start(mu).unwrap();
            let before = state.measure().clone();
            let error = flow.advance(&mut state).unwrap_err();
            assert_eq!((state.measure(), state.step()), (&before, 0));
            error
        }) {
            let what = "all particles in one process";
            assert_eq!(result, StepError::Unsupported { what });
        }
    }
}

#[test]
fn proximal_steps_of_every_energy_on_ranks_are_those_of_one_rank() {
    for (energy, make) in ENERGIES {
        if energy == "relu" {
            continue; // tested with kinks in `solvers`
        }
        let k = if energy == "softmax" { 2 } else { 1 };
        for m in [4, 9] {
            let case = Case { m, ..CASE };
            let mut mu = case.measure(case.d + k);
            mu.points_mut()
                .iter_mut()
                .for_each(|w| *w = 0.5 * *w + 0.003);
            let step = check_distributed_step(|rank| make(case, rank), &mu, 0.5);
            assert_eq!(step, Ok(()), "{energy}, m = {m}");
        }
    }
}

/// Runs `work` on every rank, in a thread each.
pub fn on_ranks<X: Send>(size: usize, work: impl Fn(Rank<f64>) -> X + Sync) -> Vec<X> {
    std::thread::scope(|scope| {
        let work = &work;
        let ranks = Rank::group(size).into_iter();
        let threads: Vec<_> = ranks.map(|rank| scope.spawn(move || work(rank))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

/// The risk on the samples of a rank, weighted as in the whole; a rank without samples has one of
/// weight 0.
fn part_of_risk<L: Loss<f64>>(
    loss: L,
    case: Case,
    y: &DMatrix<f64>,
    rank: &Rank<f64>,
) -> EmpiricalRisk<L, f64> {
    let share = rank.share(case.n);
    let (start, len) = (share.start.min(case.n - 1), share.len().max(1));
    let x = case.inputs::<f64>().columns(start, len).into_owned();
    let y = y.columns(start, len).into_owned();
    let weight = if share.is_empty() {
        0.0
    } else {
        1.0 / case.n as f64
    };
    let risk = EmpiricalRisk::with_outputs(loss, x, y).unwrap();
    risk.sample_weights(DVector::from_element(len, weight))
        .unwrap()
}

/// `F` with the samples dealt out: the risk of the samples of a rank, and the decay in full.
fn on_samples<A: Activation<f64>, L: Loss<f64>>(
    sigma: A,
    loss: L,
    case: Case,
    y: &DMatrix<f64>,
    samples: Rank<f64>,
    particles: Option<Rank<f64>>,
) -> impl Energy<f64> {
    let risk = part_of_risk(loss, case, y, &samples);
    let energy = MeanFieldRisk::new(Ridge::with_outputs(sigma, case.d, case.k), risk).unwrap();
    let decay = PotentialEnergy::new(decay(), case.d + case.k);
    let ranks: Box<dyn AllReduce<f64> + Send> = match &particles {
        Some(rank) => Box::new(rank.clone()),
        None => Box::new(()),
    };
    let energy = match particles {
        Some(rank) => energy.distributed(rank),
        None => energy,
    };
    Sum::new(SumOverRanks::new(energy, samples), decay.distributed(ranks)).unwrap()
}

/// Values and derivatives with the samples dealt out are those of all samples, the same on all
/// ranks, bit for bit.
#[test]
fn samples_on_ranks_are_all_samples() {
    for n in [1, 4, 12] {
        let case = Case { n, ..CASE };
        let mu = case.measure::<f64>(3);
        let y = case.targets();
        let field = case.rng(50).matrix::<f64>(3, mu.len());
        let all = |energy: &mut dyn Energy<f64>| {
            let w = mu.points();
            let (mut v, mut out) = (w.clone(), w.clone());
            let value = energy.velocity(&mu, &mut v);
            assert!((energy.value(&mu) - value).abs() <= 1e-14 * value.abs());
            energy.curvature(&mu, &field, &mut out).unwrap();
            let (mut values, mut descent) = (vec![0.0; mu.len()], w.clone());
            let first = energy
                .first_variation(&mu, w, &mut values, &mut descent)
                .unwrap();
            assert!((first - value).abs() <= 1e-14 * value.abs());
            let len = 9 * mu.len();
            let (mut remainder, mut included) = (vec![0.0; len], vec![0.0; len]);
            energy.hessians(&mu, &mut remainder, &mut included).unwrap();
            let values = DMatrix::from_vec(1, mu.len(), values);
            let hessians = [remainder, included].map(|x| DMatrix::from_vec(9, mu.len(), x));
            let [remainder, included] = hessians;
            let value = DMatrix::from_element(1, 1, value);
            vec![value, v, out, values, descent, remainder, included]
        };
        let expected = all(&mut mean_field(Tanh, square(case), 1, None));
        for size in [1, 2, 3, 7] {
            let found = on_ranks(size, |rank| {
                all(&mut on_samples(Tanh, Square, case, &y, rank, None))
            });
            for rank in &found {
                assert_eq!(rank, &found[0]);
                // The Hessians are differences of velocities.
                let tolerances = [1e-13, 1e-13, 1e-13, 1e-13, 1e-13, 1e-6, 1e-6];
                for ((found, expected), tolerance) in rank.iter().zip(&expected).zip(tolerances) {
                    let error = (found - expected).amax();
                    assert!(error <= tolerance * (1.0 + expected.amax()), "{error}");
                }
            }
        }
    }
}

/// A grid of ranks: `samples` times `particles`. Rank `s particles + r` of the grid.
fn grid<X: Send>(
    samples: usize,
    particles: usize,
    work: impl Fn(Rank<f64>, Rank<f64>) -> X + Sync,
) -> Vec<X> {
    let mut rows: Vec<_> = (0..samples)
        .map(|_| Rank::group(particles).into_iter())
        .collect();
    let mut columns: Vec<_> = (0..particles)
        .map(|_| Rank::group(samples).into_iter())
        .collect();
    std::thread::scope(|scope| {
        let (work, mut threads) = (&work, Vec::new());
        for row in &mut rows {
            for column in &mut columns {
                let (particles, samples) = (row.next().unwrap(), column.next().unwrap());
                threads.push(scope.spawn(move || work(samples, particles)));
            }
        }
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    })
}

/// Every method on samples dealt out, and on a grid, moves the particles as one rank does.
#[test]
fn flows_on_samples_and_on_a_grid() {
    let mut mu = CASE.measure::<f64>(3);
    mu.points_mut()
        .iter_mut()
        .for_each(|w| *w = 0.5 * *w + 0.003);
    let y = CASE.targets();
    for (name, method) in EXPLICIT {
        let run = |energy: &mut dyn Energy<f64>, mu: EmpiricalMeasure<f64>| {
            let mut flow = ParticleFlow::new(energy, method(), 0.01).unwrap();
            let mut state = flow.start(mu).unwrap();
            flow.run_until(&mut state, 0.2, &mut ()).unwrap();
            state
        };
        let whole = run(&mut mean_field(Tanh, square(CASE), 1, None), mu.clone());
        for (samples, particles) in [(2, 1), (3, 1), (2, 2), (3, 2)] {
            let states = grid(samples, particles, |samples, mut particles| {
                let rank = particles.clone();
                let mut energy = on_samples(Tanh, Square, CASE, &y, samples, Some(rank));
                run(&mut energy, mu.share(&particles)).collect(&mut particles)
            });
            for state in states {
                let at = format!("{name} on {samples} x {particles}");
                let expected = whole.measure().points();
                let error = (state.measure().points() - expected).amax();
                assert!(error <= 1e-12 * expected.amax(), "{at}: {error}");
                assert_eq!(state.step(), whole.step(), "{at}");
            }
        }
    }
}

/// Proximal steps with kinks of the feature map and of the loss, with samples dealt out.
#[test]
fn proximal_steps_on_samples() {
    let mut mu = CASE.measure::<f64>(3);
    mu.points_mut()
        .iter_mut()
        .for_each(|w| *w = 0.5 * *w + 0.003);
    let run = |energy: &mut dyn Energy<f64>| {
        let mut flow = ParticleFlow::new(energy, Jko::default(), 1.0).unwrap();
        let mut state = flow.start(mu.clone()).unwrap();
        flow.run(&mut state, 3, &mut ()).unwrap();
        (state.energy(), state.time(), state.measure().clone())
    };
    let (y, signs) = (CASE.targets(), CASE.signs());
    let risk = EmpiricalRisk::with_outputs(Hinge, CASE.inputs(), signs.clone()).unwrap();
    let whole = [
        run(&mut mean_field(Relu, square(CASE), 1, None)),
        run(&mut mean_field(Relu, risk, 1, None)),
    ];
    for size in [2, 3] {
        let found = on_ranks(size, |rank| {
            let square = on_samples(Relu, Square, CASE, &y, rank.clone(), None);
            let hinge = on_samples(Relu, Hinge, CASE, &signs, rank, None);
            let (mut square, mut hinge) = (square, hinge);
            [run(&mut square), run(&mut hinge)]
        });
        for rank in &found {
            assert_eq!(rank, &found[0]);
            for ((found, expected), tolerance) in rank.iter().zip(&whole).zip([1e-9, 1e-4]) {
                let error = (found.0 - expected.0).abs();
                assert!(
                    error <= tolerance * expected.0.abs(),
                    "{found:?}, not {expected:?}"
                );
            }
        }
    }
}

/// A measure and a state that are dealt out and collected are unchanged, bit for bit.
#[test]
fn collect_is_the_inverse_of_share() {
    for m in [1, 2, 5, 9] {
        let case = Case { m, ..CASE };
        let mut mu = case.measure::<f64>(3);
        mu.points_mut()[0] = -0.0;
        mu.weights_mut()[m / 2] = 0.0; // a probe
        let mut flow =
            ParticleFlow::new(tanh(case, None), HeavyBall::new(0.5).unwrap(), 0.1).unwrap();
        let mut state = flow.start(mu.clone()).unwrap();
        flow.run(&mut state, 2, &mut ()).unwrap();
        let bits = |mu: &EmpiricalMeasure<f64>| -> Vec<u64> {
            mu.points()
                .iter()
                .chain(mu.weights())
                .map(|x| x.to_bits())
                .collect()
        };
        for size in [1, 2, 3, 7] {
            let masses = on_ranks(size, |mut rank| {
                let part = mu.share(&rank);
                assert_eq!(bits(&part.collect(&mut rank)), bits(&mu));
                let parts = state.share(&rank).collect(&mut rank).to_parts();
                assert_eq!(parts, state.to_parts());
                part.mass()
            });
            assert!((masses.iter().sum::<f64>() - mu.mass()).abs() < 1e-15);
        }
    }
}

/// A particle with the weight -0 is not a placeholder of an empty share.
#[test]
fn a_particle_with_the_weight_minus_0_is_collected() {
    let mut mu = cloud(3, 1);
    mu.weights_mut()[1] = -0.0;
    for size in [2, 5] {
        for found in on_ranks(size, |mut rank| mu.share(&rank).collect(&mut rank)) {
            assert_eq!(found, mu);
        }
    }
}

/// A start that is drawn in blocks is the same for any number of ranks.
#[test]
fn a_start_in_blocks_is_the_same_on_any_number_of_ranks() {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    for m in [1, 3, 1024, 1025, 5000] {
        let draws = std::sync::atomic::AtomicUsize::new(0);
        let draw = |key, len| {
            draws.fetch_add(len, std::sync::atomic::Ordering::Relaxed);
            init::balanced::<f64>(3, len, 1.5, &mut ChaCha8Rng::seed_from_u64(key))
        };
        let whole = init::in_blocks(&(), m, 7, draw).unwrap();
        assert_eq!((whole.len(), whole.weight(m - 1)), (m, 1.0 / m as f64));
        for size in [1, 2, 3, 7] {
            for rank in Rank::<f64>::group(size) {
                draws.store(0, std::sync::atomic::Ordering::Relaxed);
                let part = init::in_blocks(&rank, m, 7, draw).unwrap();
                assert_eq!(part, whole.share(&rank));
                let drawn = draws.load(std::sync::atomic::Ordering::Relaxed);
                assert!(drawn < m.div_ceil(size) + 2 * 1024, "{drawn} of {m}");
            }
        }
        assert_ne!(init::in_blocks(&(), m, 8, draw).unwrap(), whole);
    }
}
