//! Birth and death of particles, and the separation of directions, against closed forms.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::testing::problems::smooth_network;
use wasserflow::testing::{Case, Rank};

/// The potential with the values 0, 1, 1/2 at w = 0, 1, 2.
struct Table;

impl Potential<f64> for Table {
    fn value(&self, w: &[f64]) -> f64 {
        [0.0, 1.0, 0.5][w[0] as usize]
    }
    fn gradient(&self, _: &[f64], _: f64, _: &mut [f64]) {}
}

/// E8: fixed V: `c_i ~ c_i(0) exp(-alpha V_i t)`, exact for every step size.
#[test]
fn a_fixed_potential() {
    let points = DMatrix::from_row_slice(1, 3, &[0.0, 1.0, 2.0]);
    for steps in [1, 7, 40] {
        let dt = 2.0 / steps as f64;
        let energy = PotentialEnergy::new(Table, 1);
        let mut flow = ParticleFlow::new(energy, BirthDeath::new(1.0, 1.0), dt).unwrap();
        let mut state = flow
            .start(EmpiricalMeasure::uniform(points.clone()).unwrap())
            .unwrap();
        flow.run(&mut state, steps, &mut ()).unwrap();
        let exact = [0.665_240_956, 0.090_030_573_2, 0.244_728_471];
        for (c, exact) in state.measure().weights().iter().zip(exact) {
            assert!((c - exact).abs() < 5e-10, "{steps} steps: {c}, {exact}");
        }
        assert!((state.measure().mass() - 1.0).abs() < 1e-14);
    }
}

/// A rate so large that every other weight underflows: the particle of the least V keeps the mass.
#[test]
fn a_large_rate() {
    let points = DMatrix::from_row_slice(1, 3, &[0.0, 1.0, 2.0]);
    let energy = PotentialEnergy::new(Table, 1);
    let mut flow = ParticleFlow::new(energy, BirthDeath::new(1e6, 0.0), 1.0).unwrap();
    let weights = DVector::from_vec(vec![1e-3, 0.5, 0.75]);
    let start = EmpiricalMeasure::weighted(points, weights).unwrap();
    let mut state = flow.start(start).unwrap();
    flow.advance(&mut state).unwrap();
    let weights = state.measure().weights();
    assert!(
        (weights[0] - 1.251).abs() < 1e-15 && weights[1..] == [0.0, 0.0],
        "{weights:?}"
    );
}

/// The same with the particles on ranks, of which only one holds that of the least V.
#[test]
fn a_large_rate_on_ranks() {
    let points = DMatrix::from_row_slice(1, 3, &[0.0, 1.0, 2.0]);
    let start = EmpiricalMeasure::weighted(points, DVector::from_vec(vec![1e-3, 0.5, 0.75]));
    let start = start.unwrap();
    let run = |mut rank: Rank<f64>| {
        let energy = PotentialEnergy::new(Table, 1).distributed(rank.clone());
        let mut flow = ParticleFlow::new(energy, BirthDeath::new(1e6, 0.0), 1.0).unwrap();
        let mut state = flow.start(start.share(&rank)).unwrap();
        flow.advance(&mut state).unwrap();
        state.measure().collect(&mut rank).weights().to_vec()
    };
    for size in 1..=4 {
        std::thread::scope(|scope| {
            let ranks = Rank::group(size).into_iter();
            let threads: Vec<_> = ranks.map(|rank| scope.spawn(|| run(rank))).collect();
            for thread in threads {
                let weights = thread.join().unwrap();
                assert!(
                    (weights[0] - 1.251).abs() < 1e-15 && weights[1..] == [0.0, 0.0],
                    "{size} ranks: {weights:?}"
                );
            }
        });
    }
}

/// `F = (p - 1)^2 / 2` of the mass p at w = 1, as a network with the linear feature w.
fn interacting() -> impl Energy<f64> {
    let risk = EmpiricalRisk::new(
        Square,
        DMatrix::from_element(1, 1, 1.0),
        DVector::from_element(1, 1.0),
    );
    MeanFieldRisk::new(Ridge::new(Identity, 1), risk.unwrap()).unwrap()
}

/// E8: `log(p / (1 - p)) + 1 / (1 - p) = const + alpha t`: order 1, to p = .738572050.
#[test]
fn an_interacting_pair() {
    let error = |dt: f64| {
        let mut flow = ParticleFlow::new(interacting(), BirthDeath::new(1.0, 0.0), dt).unwrap();
        // Neurons a (b x) with a b = 0 and 1, of the weights 0.8 and 0.2.
        let points = DMatrix::from_column_slice(2, 2, &[0.0, 0.0, 1.0, 1.0]);
        let weights = DVector::from_vec(vec![0.8, 0.2]);
        let start = EmpiricalMeasure::weighted(points, weights).unwrap();
        let mut state = flow.start(start).unwrap();
        flow.run_until(&mut state, 5.0, &mut ()).unwrap();
        (state.measure().weight(1) - 0.738_572_050).abs()
    };
    let (coarse, fine) = (error(0.01), error(0.005));
    assert!(fine < 1e-3, "{fine:e}");
    assert!(
        (1.8..2.2).contains(&(coarse / fine)),
        "{coarse:e}, {fine:e}"
    );
}

/// `dF/dt = -beta int |v|^2 dmu - alpha M Var(F')` on a network, by a difference of a short step.
#[test]
fn the_energy_decreases_by_the_variance() {
    for seed in 0..20 {
        let case = Case {
            n: 9,
            m: 8,
            d: 2,
            k: 1,
            seed,
        };
        let mut energy = smooth_network::<f64>(case);
        let mut mu = case.measure::<f64>(3);
        mu.weights_mut().iter_mut().for_each(|c| *c *= 1.5);
        let (mut f, mut descent) = (vec![0.0; 8], mu.points().clone());
        energy.first_variation(&mu, &mu.points().clone(), &mut f, &mut descent);
        let mass = mu.mass();
        let moment = |k: i32| -> f64 {
            let terms = mu.weights().iter().zip(&f).map(|(c, f)| c * f.powi(k));
            terms.sum::<f64>() / mass
        };
        let variance = moment(2) - moment(1).powi(2);
        let (alpha, beta) = (0.7, 0.3);
        let speed = energy.inner(&mu, &descent, &descent);
        let exact = -beta * speed - alpha * mass * variance;
        let difference = |h: f64| {
            let integrator = BirthDeath::new(alpha, beta);
            let mut flow = ParticleFlow::new(&mut energy, integrator, h).unwrap();
            let mut state = flow.start(mu.clone()).unwrap();
            let before = state.energy();
            flow.advance(&mut state).unwrap();
            (state.energy() - before) / h
        };
        let mut difference = difference;
        let slope = 2.0 * difference(1e-5) - difference(2e-5); // Richardson
        let error = (slope - exact).abs();
        assert!(
            error < 1e-6 * (1.0 + exact.abs()),
            "seed {seed}: {slope}, {exact}"
        );
    }
}

/// E10: the mean half-angle of the largest empty arc is `pi H_m / m`; regular solids.
#[test]
fn separations() {
    for (m, exact) in [(10, 0.920_162_515), (100, 0.162_966_271)] {
        const TRIALS: usize = 4000;
        let (mut sum, mut squares) = (0.0, 0.0);
        for trial in 0..TRIALS {
            let mut rng = SampleRng::new(1, 0, m, trial);
            let directions = DMatrix::from_fn(2, m, |_, _| rng.normal());
            let mu = EmpiricalMeasure::uniform(directions).unwrap();
            let angle: f64 = init::separation(&mu).unwrap();
            sum += angle;
            squares += angle * angle;
        }
        let mean = sum / TRIALS as f64;
        let error = ((squares / TRIALS as f64 - mean * mean) / TRIALS as f64).sqrt();
        // 4.89 standard errors are exceeded by chance once in 1e6.
        assert!(
            (mean - exact).abs() < 4.89 * error,
            "m = {m}: {mean}, {exact}, error {error}"
        );
    }
    let signs = |i: usize| [1, 2, 4].map(|bit| if i & bit == 0 { 3.0 } else { -3.0 });
    let cube: Vec<f64> = (0..8).flat_map(signs).collect();
    let tetrahedron: Vec<f64> = [0, 3, 5, 6].into_iter().flat_map(signs).collect();
    let mut octahedron = vec![0.0; 18];
    for l in 0..3 {
        octahedron[4 * l] = 2.0;
        octahedron[9 + 4 * l] = -0.5;
    }
    let one = vec![0.0, 0.0, 7.0];
    for (points, exact) in [
        (cube, 0.955_316_618),
        (octahedron, 0.955_316_618),
        (tetrahedron, 1.230_959_42),
        (one, std::f64::consts::PI),
    ] {
        let points = DMatrix::from_column_slice(3, points.len() / 3, &points);
        let mu = EmpiricalMeasure::uniform(points).unwrap();
        let angle: f64 = init::separation(&mu).unwrap();
        assert!((angle - exact).abs() < 5e-9, "{angle}, {exact}");
    }
    let at_zero = EmpiricalMeasure::uniform(DMatrix::<f64>::zeros(2, 3)).unwrap();
    assert!(init::separation(&at_zero).is_err());
}
