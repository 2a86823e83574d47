//! Flows on ranks of MPI against the same flows on one process.

use wasserflow::prelude::*;
use wasserflow::ranks::MpiRanks;
use wasserflow::testing::Case;

use crate::part;

const CASE: Case = Case { n: 40, m: 11, d: 3, k: 1, seed: 5 };

type Method = Box<dyn Integrator<f64>>;

fn risk() -> EmpiricalRisk<Square, f64> {
    EmpiricalRisk::with_outputs(Square, CASE.inputs(), CASE.targets()).unwrap()
}

/// All explicit integrators: particles agree to 1e-12, and all ranks have the same scalars.
pub fn explicit(ranks: MpiRanks<f64>) {
    let methods: [(&str, fn() -> Method); 6] = [
        ("Euler", || Box::new(Euler)),
        ("Heun", || Box::new(Heun)),
        ("Rk4", || Box::new(Rk4)),
        ("DormandPrince", || Box::new(DormandPrince::new(1e-6, 1e-8))),
        ("HeavyBall", || Box::new(HeavyBall::new(0.5).unwrap())),
        ("Conic", || Box::new(Conic::new(0.1, 1.0))),
    ];
    let mut all = ranks;
    for (name, method) in methods {
        let network = || {
            let energy = MeanFieldRisk::new(Ridge::new(Tanh, CASE.d), risk()).unwrap();
            energy.regularized(WeightDecay::new(0.01).unwrap())
        };
        let error = compare(name, network, method(), method(), (0.05, 3.0), &mut all).0;
        assert!(error <= 1e-12, "{name}: particles differ by {error:e}");
    }
}

/// Proximal steps at a smooth and at a kinked activation: F agrees to 1e-9.
pub fn proximal(ranks: MpiRanks<f64>) {
    let mut all = ranks;
    let method = || Box::new(Jko::default()) as Method;
    let smooth = || MeanFieldRisk::new(Ridge::new(Tanh, CASE.d), risk()).unwrap();
    let error = compare("Jko, Tanh", smooth, method(), method(), (0.5, 1.0), &mut all).1;
    assert!(error <= 1e-9, "Jko, Tanh: F differs by {error:e}");
    let kinked = || {
        let energy = MeanFieldRisk::new(Ridge::new(Relu, CASE.d), risk()).unwrap();
        energy.regularized(WeightDecay::new(0.01).unwrap())
    };
    let error = compare("Jko, Relu", kinked, method(), method(), (0.5, 1.0), &mut all).1;
    assert!(error <= 1e-9, "Jko, Relu: F differs by {error:e}");
}

/// Runs to a time on one process and on the ranks. Returns the largest relative difference of the
/// particles and of F.
fn compare<F, V>(
    name: &str,
    energy: impl Fn() -> MeanFieldRisk<F, EmpiricalRisk<Square, f64>, f64, V>,
    serial: Method,
    distributed: Method,
    (dt, time): (f64, f64),
    all: &mut MpiRanks<f64>,
) -> (f64, f64)
where
    F: FeatureMap<f64>,
    V: Potential<f64>,
{
    let whole = CASE.measure(1 + CASE.d);
    let run = |energy: &mut dyn Energy<f64>, method: Method, mu: EmpiricalMeasure<f64>| {
        let mut flow = ParticleFlow::new(energy, method, dt).unwrap();
        let mut state = flow.start(mu).unwrap();
        flow.run_until(&mut state, time, &mut ()).unwrap();
        state
    };
    let own = MpiRanks::new(&wasserflow::mpi::topology::SimpleCommunicator::world()).unwrap();
    let mine = run(&mut energy().distributed(own), distributed, part(&whole, all));
    let expected = run(&mut energy(), serial, whole);

    let scalars = [mine.energy(), mine.dissipation(), mine.time(), mine.step() as f64];
    for other in all.gather(&scalars).chunks(scalars.len()) {
        let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(other), bits(&scalars), "{name}: ranks differ");
    }
    assert_eq!((mine.time(), mine.step()), (expected.time(), expected.step()), "{name}");
    let difference = |found: &[f64], expected: &[f64]| {
        assert_eq!(found.len(), expected.len(), "{name}");
        let scale = expected.iter().fold(0.0_f64, |scale, x| scale.max(x.abs()));
        let errors = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
        errors.fold(0.0, f64::max) / scale
    };
    let points = all.gather(mine.measure().points().as_slice());
    let weights = all.gather(mine.measure().weights());
    let particles = difference(&points, expected.measure().points().as_slice())
        .max(difference(&weights, expected.measure().weights()));
    let energies = difference(&[mine.energy()], &[expected.energy()]);
    if all.rank() == 0 {
        println!("{name}: {} steps, |dw| {particles:.1e}, |dF| {energies:.1e}", mine.step());
    }
    (particles, energies)
}
