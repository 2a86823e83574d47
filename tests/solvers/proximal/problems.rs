//! Test problems for proximal steps.

use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub fn samples<T: Real>(d: usize, n: usize, seed: u64) -> DMatrix<T> {
    let mut rng = rng(seed);
    DMatrix::from_fn(d, n, |_, _| real(2.0 * rng.random::<f64>() - 1.0))
}

/// Targets of a teacher of `m0` rectifier neurons.
pub fn targets<T: Real>(x: &DMatrix<T>, m0: usize, seed: u64) -> DVector<T> {
    let teacher = init::balanced::<f64>(x.nrows(), m0, (m0 as f64).sqrt(), &mut rng(seed)).unwrap();
    DVector::from_fn(x.ncols(), |j, _| {
        let mut y = 0.0;
        for i in 0..m0 {
            let w = teacher.particle(i);
            let u: f64 = (0..x.nrows())
                .map(|l| w[1 + l] * x[(l, j)].to_f64().unwrap())
                .sum();
            y += w[0] * u.max(0.0) / m0 as f64;
        }
        real(y)
    })
}

pub fn rectifier<T: Real>(n: usize, d: usize, seed: u64, lambda: f64) -> Box<dyn Energy<T>> {
    let x = samples(d, n, seed);
    let y = targets(&x, 5, seed + 1000);
    let risk = EmpiricalRisk::new(Square, x, y).unwrap();
    let energy = MeanFieldRisk::new(Ridge::new(Relu, d), risk).unwrap();
    Box::new(energy.regularized(WeightDecay::new(real(lambda)).unwrap()))
}

pub fn smooth<T: Real>(n: usize, d: usize, seed: u64) -> Box<dyn Energy<T>> {
    let x = samples(d, n, seed);
    let y = targets(&x, 5, seed + 1000);
    let energy = MeanFieldRisk::new(
        Ridge::new(Tanh, d),
        EmpiricalRisk::new(Square, x, y).unwrap(),
    )
    .unwrap();
    Box::new(energy.regularized(WeightDecay::new(real(1e-3)).unwrap()))
}

pub fn logistic<T: Real>(n: usize, d: usize, seed: u64) -> Box<dyn Energy<T>> {
    let x = samples(d, n, seed);
    let y = targets(&x, 5, seed + 1000).map(|y| if y > T::zero() { T::one() } else { -T::one() });
    let energy = MeanFieldRisk::new(
        Ridge::new(Relu, d),
        EmpiricalRisk::new(Logistic, x, y).unwrap(),
    )
    .unwrap();
    Box::new(energy.regularized(WeightDecay::new(real(1e-3)).unwrap()))
}

pub fn population<T: Real>(d: usize, seed: u64) -> Box<dyn Energy<T>> {
    Box::new(
        Mmd::new(
            ArcCosine::new(d),
            init::sphere(d, 3, &mut rng(seed)).unwrap(),
        )
        .unwrap(),
    )
}
