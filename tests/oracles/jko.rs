//! Proximal steps in closed form (E9): potentials, half the squared Wasserstein distance, the entropy.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::testing::CaseRng;
use wasserflow::transport::W2Energy;

/// One proximal step of size gamma.
fn step(energy: impl Energy<f64>, mu: &EmpiricalMeasure<f64>, gamma: f64) -> EmpiricalMeasure<f64> {
    let mut flow = ParticleFlow::new(energy, Jko::new(1e-11, 500), gamma).unwrap();
    let mut state = flow.start(mu.clone()).unwrap();
    flow.advance(&mut state).unwrap();
    assert_eq!(state.time(), gamma, "the step was shortened");
    state.into_measure()
}

fn random(seed: u64, p: usize, m: usize) -> EmpiricalMeasure<f64> {
    let mut rng = CaseRng::new(seed);
    EmpiricalMeasure::uniform(DMatrix::from_fn(p, m, |_, _| rng.uniform(-1.0, 1.0))).unwrap()
}

/// `V = a |x|^2 / 2`: `w+ = w / (1 + a gamma)`.
#[test]
fn quadratic_potentials() {
    let mu = random(1, 3, 20);
    for a in [0.3, 2.0] {
        for gamma in [1e-3, 0.5, 1e3] {
            let energy = PotentialEnergy::new(WeightDecay::new(0.5 * a).unwrap(), 3);
            let after = step(energy, &mu, gamma);
            let error = (after.points() - mu.points() / (1.0 + a * gamma)).amax();
            assert!(error < 1e-10, "a = {a}, gamma = {gamma}: {error:e}");
        }
    }
}

/// `F = W_2^2 / 2`: `w+ = (w + gamma T) / (1 + gamma)` for the optimal assignment T.
#[test]
fn half_the_squared_wasserstein_distance() {
    let (mu, nu) = (random(2, 2, 9), random(3, 2, 9));
    let coupling = transport::w2(&mu, &nu).unwrap();
    for gamma in [0.1, 0.5, 4.0] {
        let after = step(W2Energy::new(nu.clone()).unwrap(), &mu, gamma);
        for &(i, j, _) in coupling.plan() {
            for l in 0..2 {
                let (w, target) = (mu.particle(i)[l], nu.particle(j)[l]);
                let exact = (w + gamma * target) / (1.0 + gamma);
                let error = (after.particle(i)[l] - exact).abs();
                assert!(error < 1e-9, "gamma = {gamma}: {error:e}");
            }
        }
    }
}

/// `V = x^2 / 2` with the interaction `z^2 / 2` of the mass 1: the mean shrinks by `1 + gamma`, and
/// differences by `1 + 2 gamma`.
#[test]
fn quadratic_interactions() {
    let mu = random(4, 1, 15);
    let gamma = 0.7;
    let pull = InteractionEnergy::new(PowerLaw::new(2.0, 1.0).unwrap(), 1);
    let potential = PotentialEnergy::new(WeightDecay::new(0.5).unwrap(), 1);
    let after = step(Sum::new(pull, potential).unwrap(), &mu, gamma);
    let mean = mu.points().mean();
    for i in 0..15 {
        let exact = mean / (1.0 + gamma) + (mu.particle(i)[0] - mean) / (1.0 + 2.0 * gamma);
        assert!((after.particle(i)[0] - exact).abs() < 1e-10);
    }
}

/// N(0, s I) on a regular grid of 12 standard deviations.
fn normal(deviation: f64) -> EmpiricalMeasure<f64> {
    let z: Vec<f64> = (-30..=30).map(|i| 0.2 * f64::from(i)).collect();
    let weights: Vec<f64> = z.iter().map(|z| (-0.5 * z * z).exp()).collect();
    let points = DMatrix::from_fn(1, z.len(), |_, i| deviation * z[i]);
    EmpiricalMeasure::weighted(points, DVector::from_vec(weights))
        .unwrap()
        .normalised()
        .unwrap()
}

/// E9: the entropy takes N(0, sigma^2) to N(0, sigma+^2), `sigma+ = (sigma + (sigma^2 + 4 gamma)^(1/2))
/// / 2`, and with `V = a x^2 / 2`, `(1 + a gamma) sigma+^2 - sigma sigma+ - gamma = 0`. Blobs of
/// variance e have an error of order e^2 in the second moment.
#[test]
fn entropies() {
    for (sigma, a, exact) in [(1.0, 0.0, 1.366_025_40), (0.5, 1.0, 0.767_591_879)] {
        let gamma = 0.5;
        let root: f64 = sigma * sigma + 4.0 * gamma * (1.0 + a * gamma);
        let closed = (sigma + root.sqrt()) / (2.0 * (1.0 + a * gamma));
        assert!((closed - exact).abs() < 5e-9);
        let errors = [0.32, 0.16].map(|e| {
            let variance = e * sigma * sigma;
            let potential = PotentialEnergy::new(WeightDecay::new(0.5 * a).unwrap(), 1);
            let energy = Sum::new(Blob::entropy(1, variance).unwrap(), potential).unwrap();
            let after = step(energy, &normal(sigma), gamma);
            let error = after.second_moment().sqrt() / exact - 1.0;
            println!("sigma+ = {exact}: relative error {error:e} for the variance {variance}");
            error
        });
        assert!(errors[1].abs() < 1e-2, "{errors:?}");
        assert!(errors[0] / errors[1] > 2.5, "{errors:?}");
    }
}

/// The implicit step of a pair of blobs: `r+ - r = gamma v(r+)` with the velocity of B1, for steps of
/// any size.
#[test]
fn a_pair_of_blobs() {
    let (e, r) = (0.5, 0.1);
    for gamma in [0.01, 0.2, 5.0] {
        let start = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 2, &[-r, r])).unwrap();
        let after = step(Blob::entropy(1, e).unwrap(), &start, gamma);
        let found = after.particle(1)[0];
        let v = 4.0 * found / e / (1.0 + (2.0 * found * found / e).exp());
        let error = found - r - gamma * v;
        println!("gamma = {gamma}: r = {found}, residual {error:e}");
        // The solver ends where the reduction is below the rounding error of the objective.
        assert!(found > r && error.abs() < 1e-6, "{found}: {error:e}");
    }
}
