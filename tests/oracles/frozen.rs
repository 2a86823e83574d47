//! Frozen coordinates: they keep their bits, and the output layer alone is a linear problem.

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

/// Random samples in `R^3` and their targets.
fn problem() -> (DMatrix<f64>, DVector<f64>) {
    let x = init::gaussian::<f64>(3, 40, 1.0, &mut ChaCha8Rng::seed_from_u64(1));
    let x = x.unwrap().into_points();
    let y = DVector::from_fn(40, |j, _| x[(0, j)].abs() - x[(1, j)] * x[(2, j)]);
    (x, y)
}

fn start(m: usize) -> EmpiricalMeasure<f64> {
    init::balanced(3, m, 1.0, &mut ChaCha8Rng::seed_from_u64(2)).unwrap()
}

fn energy(lambda: f64) -> impl Energy<f64> {
    let (x, y) = problem();
    let risk = EmpiricalRisk::new(Square, x, y).unwrap();
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 3), risk).unwrap();
    energy.regularized(WeightDecay::new(lambda).unwrap())
}

#[test]
fn frozen_coordinates_keep_their_bits() {
    for frozen in [0..1, 1..4, 2..3] {
        let methods: [(Box<dyn Integrator<f64>>, f64, usize); 6] = [
            (Box::new(Euler), 0.05, 200),
            (Box::new(Heun), 0.05, 200),
            (Box::new(Rk4), 0.05, 200),
            (Box::new(DormandPrince::new(1e-4, 1e-6)), 0.05, 20),
            (Box::new(Conic::new(0.2, 1.0)), 0.05, 200),
            (Box::new(Jko::default()), 1.0, 20),
        ];
        for (method, dt, steps) in methods {
            let energy = Frozen::new(energy(1e-2), frozen.clone()).unwrap();
            let mut flow = ParticleFlow::new(energy, method, dt).unwrap();
            let mut state = flow.start(start(15)).unwrap();
            let before = state.energy();
            flow.run(&mut state, steps, &mut ()).unwrap();
            assert!(
                state.energy() < 0.9 * before,
                "{} of {before}",
                state.energy()
            );
            for (i, old) in start(15).points().column_iter().enumerate() {
                let new = state.measure().particle(i);
                for l in 0..4 {
                    let same = new[l].to_bits() == old[l].to_bits();
                    assert!(same || !frozen.contains(&l), "coordinate {l} of {i}");
                }
            }
        }
    }
}

/// With `Phi_ji = (b_i.x_j)_+`, equal weights `1/m` and the decay lambda, the minimum over `a` is at
/// `(Phi^T Phi / (n m^2) + 2 lambda I / m) a = Phi^T y / (n m)`.
#[test]
fn the_output_layer_alone_is_a_linear_problem() {
    let (m, lambda) = (25, 1e-2);
    let (x, y) = problem();
    let n = y.len() as f64;
    let mu = start(m);
    let b = mu.points().rows(1, 3).into_owned();
    let phi = (x.transpose() * &b).map(|u| u.max(0.0)) / m as f64;
    let matrix = phi.transpose() * &phi / n + DMatrix::identity(m, m) * (2.0 * lambda / m as f64);
    let optimum = matrix
        .cholesky()
        .unwrap()
        .solve(&(phi.transpose() * &y / n));

    let frozen = Frozen::new(energy(lambda), 1..4).unwrap();
    let mut flow = ParticleFlow::new(frozen, Jko::default(), 1e3).unwrap();
    let mut state = flow.start(mu.clone()).unwrap();
    flow.run(&mut state, 60, &mut ()).unwrap();
    let found = state.measure().points().row(0).transpose();
    let error = (&found - &optimum).amax();
    assert!(
        error < 1e-9 * optimum.amax(),
        "error {error} of {}",
        optimum.amax()
    );

    // Euler steps converge to the same weights.
    let frozen = Frozen::new(energy(lambda), 1..4).unwrap();
    let mut flow = ParticleFlow::new(frozen, Euler, 1.0).unwrap();
    let mut state = flow.start(mu).unwrap();
    flow.run(&mut state, 4000, &mut ()).unwrap();
    let error = (state.measure().points().row(0).transpose() - optimum).amax();
    assert!(error < 1e-9, "error {error}");
}
