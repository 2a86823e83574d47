//! Random problems, and the quantities of the certificate by plain loops.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

/// A network energy on random data.
pub type Network<A, L, T> = MeanFieldRisk<Ridge<A>, EmpiricalRisk<L, T>, T, WeightDecay<T>>;

pub fn matrix(rows: usize, cols: usize, rng: &mut ChaCha8Rng) -> DMatrix<f64> {
    DMatrix::from_fn(rows, cols, |_, _| rng.random_range(-1.0..1.0))
}

pub fn cast<T: Real>(x: &DMatrix<f64>) -> DMatrix<T> {
    x.map(real)
}

pub fn network<A, L, T>(
    sigma: A,
    loss: L,
    x: &DMatrix<f64>,
    y: &DMatrix<f64>,
    lambda: f64,
) -> Network<A, L, T>
where
    A: Activation<T>,
    L: Loss<T>,
    T: Real,
{
    let phi = Ridge::with_outputs(sigma, x.nrows(), y.nrows());
    let risk = EmpiricalRisk::with_outputs(loss, cast(x), cast(y)).unwrap();
    MeanFieldRisk::new(phi, risk)
        .unwrap()
        .regularized(WeightDecay::new(real(lambda)).unwrap())
}

/// Random particles of random weights.
pub fn measure<T: Real>(p: usize, m: usize, rng: &mut ChaCha8Rng) -> EmpiricalMeasure<T> {
    let weights = DVector::from_fn(m, |_, _| real(rng.random_range(0.0..2.0) / m as f64));
    EmpiricalMeasure::weighted(cast(&matrix(p, m, rng)), weights).unwrap()
}

/// Signs of numbers, as labels.
pub fn signs(y: &DMatrix<f64>) -> DMatrix<f64> {
    y.map(|y| if y > 0.0 { 1.0 } else { -1.0 })
}

/// `u = grad R(h_mu)` for the square loss, by plain loops.
pub fn residuals<A: Activation<f64>>(
    sigma: &A,
    mu: &EmpiricalMeasure<f64>,
    x: &DMatrix<f64>,
    y: &DMatrix<f64>,
) -> DMatrix<f64> {
    let (k, n) = y.shape();
    let mut h = DMatrix::zeros(k, n);
    for (i, w) in mu.points().column_iter().enumerate() {
        for j in 0..n {
            let s = mu.weight(i) * sigma.value(w.rows(k, x.nrows()).dot(&x.column(j)));
            for l in 0..k {
                h[(l, j)] += w[l] * s;
            }
        }
    }
    (h - y) / n as f64
}

/// `|g(b)|`, by plain loops.
pub fn form<A: Activation<f64>>(
    sigma: &A,
    u: &DMatrix<f64>,
    x: &DMatrix<f64>,
    b: &DVector<f64>,
) -> f64 {
    let s = DVector::from_fn(x.ncols(), |j, _| sigma.value(b.dot(&x.column(j))));
    (u * s).norm()
}

/// The same measure in another precision.
pub fn convert<S: Real, T: Real>(mu: &EmpiricalMeasure<S>) -> EmpiricalMeasure<T> {
    let number = |x: S| real::<T>(x.to_f64().unwrap());
    let weights = DVector::from_iterator(mu.len(), mu.weights().iter().map(|&c| number(c)));
    EmpiricalMeasure::weighted(mu.points().map(number), weights).unwrap()
}
