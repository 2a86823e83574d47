//! Flows on ranks of MPI against the same flows on one process.

use wasserflow::mpi::topology::{Color, SimpleCommunicator};
use wasserflow::mpi::traits::Communicator;
use wasserflow::prelude::*;
use wasserflow::ranks::MpiRanks;
use wasserflow::testing::Case;

const CASE: Case = Case {
    n: 40,
    m: 11,
    d: 3,
    k: 1,
    seed: 5,
};

type AnyEnergy = Box<dyn Energy<f64>>;
type Method = fn() -> Box<dyn Integrator<f64>>;
/// The energy on one process, or on ranks that share the particles.
type Make = fn(Option<MpiRanks<f64>>) -> AnyEnergy;

/// Step size and time.
const EXPLICIT: (f64, f64) = (0.25, 30.0);
const PROXIMAL: (f64, f64) = (5.0, 15.0);

fn network<A: Activation<f64> + 'static>(sigma: A, ranks: Option<MpiRanks<f64>>) -> AnyEnergy {
    let risk = EmpiricalRisk::with_outputs(Square, CASE.inputs(), CASE.targets()).unwrap();
    let energy = MeanFieldRisk::new(Ridge::new(sigma, CASE.d), risk).unwrap();
    let energy = energy.regularized(WeightDecay::new(0.01).unwrap());
    match ranks {
        Some(ranks) => Box::new(energy.distributed(ranks)),
        None => Box::new(energy),
    }
}

fn tanh(ranks: Option<MpiRanks<f64>>) -> AnyEnergy {
    network(Tanh, ranks)
}

fn relu(ranks: Option<MpiRanks<f64>>) -> AnyEnergy {
    network(Relu, ranks)
}

fn mmd(ranks: Option<MpiRanks<f64>>) -> AnyEnergy {
    let p = CASE.d + CASE.k;
    let kernel = Gaussian::new(p, 1.5).unwrap();
    let energy = Mmd::new(kernel, CASE.rng(40).measure(p, 4)).unwrap();
    match ranks {
        Some(ranks) => Box::new(energy.distributed(ranks)),
        None => Box::new(energy),
    }
}

fn sum(ranks: Option<MpiRanks<f64>>) -> AnyEnergy {
    let second = ranks.as_ref().map(|_| MpiRanks::new(&world()).unwrap());
    Box::new(Sum::new(tanh(ranks), mmd(second)).unwrap())
}

fn world() -> SimpleCommunicator {
    SimpleCommunicator::world()
}

/// All explicit integrators and energies: particles agree to 1e-12, and all ranks have the same
/// scalars.
pub fn explicit(mut all: MpiRanks<f64>) {
    let cases: [(&str, Make, Method); 9] = [
        ("Euler", tanh, || Box::new(Euler)),
        ("Heun", tanh, || Box::new(Heun)),
        ("Rk4", tanh, || Box::new(Rk4)),
        ("DormandPrince", tanh, || {
            Box::new(DormandPrince::new(1e-6, 1e-8))
        }),
        ("HeavyBall", tanh, || Box::new(HeavyBall::new(0.5).unwrap())),
        ("Conic", tanh, || Box::new(Conic::new(0.1, 1.0))),
        ("Euler, Relu", relu, || Box::new(Euler)),
        ("Euler, Mmd", mmd, || Box::new(Euler)),
        ("Euler, Sum", sum, || Box::new(Euler)),
    ];
    for (name, make, method) in cases {
        let ranks = MpiRanks::new(&world()).unwrap();
        let part = CASE.measure(CASE.d + CASE.k).share(&ranks);
        let state = run(make(Some(ranks)), method, part, EXPLICIT);
        let expected = run(make(None), method, CASE.measure(CASE.d + CASE.k), EXPLICIT);
        let error = compare(name, &state, &expected, &mut all).0;
        assert!(error <= 1e-12, "{name}: particles differ by {error:e}");
    }
    samples(all);
}

/// Samples that are dealt out; on 4 ranks also a grid of 2 x 2 ranks.
fn samples(mut all: MpiRanks<f64>) {
    let columns: &[i32] = if all.size() == 4 { &[1, 2] } else { &[1] };
    for &columns in columns {
        // Ranks of a row have the same samples, ranks of a column the same particles.
        let split = |color: i32| {
            let group = world().split_by_color(Color::with_value(color)).unwrap();
            MpiRanks::new(&group).unwrap()
        };
        let row = split(all.rank() as i32 / columns);
        let column = split(all.rank() as i32 % columns);
        let own = column.share(CASE.n);
        let x = CASE.inputs().columns(own.start, own.len()).into_owned();
        let y = CASE.targets().columns(own.start, own.len()).into_owned();
        let weights = vec![1.0 / CASE.n as f64; own.len()];
        let risk = EmpiricalRisk::with_outputs(Square, x, y).unwrap();
        let risk = risk.sample_weights(weights).unwrap();
        let part = CASE.measure(CASE.d + CASE.k).share(&row);
        let decay = PotentialEnergy::new(WeightDecay::new(0.01).unwrap(), CASE.d + CASE.k);
        let decay = decay.distributed(split(all.rank() as i32 / columns));
        let energy = MeanFieldRisk::new(Ridge::new(Tanh, CASE.d), risk)
            .unwrap()
            .distributed(row);
        let energy = Sum::new(SumOverRanks::new(energy, column), decay).unwrap();
        let method: Method = || Box::new(Euler);
        let mut state = run(Box::new(energy), method, part, EXPLICIT);
        // Every row has all particles: deal them out to all ranks for the comparison.
        state = state
            .collect(&mut split(all.rank() as i32 / columns))
            .share(&all);
        let name = format!(
            "Euler, samples on {} x {columns}",
            all.size() as i32 / columns
        );
        let expected = run(tanh(None), method, CASE.measure(CASE.d + CASE.k), EXPLICIT);
        let error = compare(&name, &state, &expected, &mut all).0;
        assert!(error <= 1e-12, "{name}: particles differ by {error:e}");
    }
}

/// Proximal steps at a smooth and at a kinked activation: F agrees to 1e-9.
pub fn proximal(mut all: MpiRanks<f64>) {
    let method: Method = || Box::new(Jko::default());
    let cases: [(&str, Make); 3] = [("Jko, Tanh", tanh), ("Jko, Relu", relu), ("Jko, Sum", sum)];
    for (name, make) in cases {
        let ranks = MpiRanks::new(&world()).unwrap();
        let part = CASE.measure(CASE.d + CASE.k).share(&ranks);
        let state = run(make(Some(ranks)), method, part, PROXIMAL);
        let expected = run(make(None), method, CASE.measure(CASE.d + CASE.k), PROXIMAL);
        let error = compare(name, &state, &expected, &mut all).1;
        assert!(error <= 1e-9, "{name}: F differs by {error:e}");
    }
}

fn run(
    energy: AnyEnergy,
    method: Method,
    mu: EmpiricalMeasure<f64>,
    (dt, time): (f64, f64),
) -> State<f64> {
    let mut flow = ParticleFlow::new(energy, method(), dt).unwrap();
    let mut state = flow.start(mu).unwrap();
    let start = state.energy();
    flow.run_until(&mut state, time, &mut ()).unwrap();
    let end = state.energy();
    assert!(
        end < 0.95 * start,
        "the flow has to move: F from {start} to {end}"
    );
    state
}

/// Compares the parts of a state with the state of one process. Returns the largest relative
/// difference of the particles and of F.
fn compare(
    name: &str,
    part: &State<f64>,
    expected: &State<f64>,
    all: &mut MpiRanks<f64>,
) -> (f64, f64) {
    let scalars = [
        part.energy(),
        part.dissipation(),
        part.time(),
        part.step() as f64,
    ];
    for other in all.gather(&scalars).chunks(scalars.len()) {
        let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(other), bits(&scalars), "{name}: ranks differ");
    }
    assert_eq!(
        (part.time(), part.step()),
        (expected.time(), expected.step()),
        "{name}"
    );
    let difference = |found: &[f64], expected: &[f64]| {
        assert_eq!(found.len(), expected.len(), "{name}");
        let scale = expected.iter().fold(0.0_f64, |scale, x| scale.max(x.abs()));
        let errors = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
        errors.fold(0.0, f64::max) / scale
    };
    let (found, whole) = (part.measure().collect(all), expected.measure());
    let particles = difference(found.points().as_slice(), whole.points().as_slice())
        .max(difference(found.weights(), whole.weights()));
    let energies = difference(&[part.energy()], &[expected.energy()]);
    if all.rank() == 0 {
        println!(
            "{name}: {} steps, |dw| {particles:.1e}, |dF| {energies:.1e}",
            part.step()
        );
    }
    (particles, energies)
}
