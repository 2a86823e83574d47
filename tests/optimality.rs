//! The certificate of global optimality against exact oracles: closed forms, a conic solver, brute force.

mod convex;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::optimality::{Bound, certify, certify_within};
use wasserflow::{
    Abs, Activation, EmpiricalMeasure, EmpiricalRisk, Energy, Homogeneous, Identity, LeakyRelu, Logistic, Loss,
    MeanFieldRisk, Real, Relu, Ridge, SoftmaxCrossEntropy, Square, WeightDecay, real,
};

/// A network energy on random data.
type Network<A, L, T> = MeanFieldRisk<Ridge<A>, EmpiricalRisk<L, T>, T, WeightDecay<T>>;

fn matrix(rows: usize, cols: usize, rng: &mut ChaCha8Rng) -> DMatrix<f64> {
    DMatrix::from_fn(rows, cols, |_, _| rng.random_range(-1.0..1.0))
}

fn cast<T: Real>(x: &DMatrix<f64>) -> DMatrix<T> {
    x.map(real)
}

fn network<A, L, T>(sigma: A, loss: L, x: &DMatrix<f64>, y: &DMatrix<f64>, lambda: f64) -> Network<A, L, T>
where
    A: Activation<T>,
    L: Loss<T>,
    T: Real,
{
    let phi = Ridge::with_outputs(sigma, x.nrows(), y.nrows());
    let risk = EmpiricalRisk::with_outputs(loss, cast(x), cast(y)).unwrap();
    MeanFieldRisk::new(phi, risk).unwrap().regularized(WeightDecay::new(real(lambda)).unwrap())
}

/// Random particles of random weights.
fn measure<T: Real>(p: usize, m: usize, rng: &mut ChaCha8Rng) -> EmpiricalMeasure<T> {
    let weights = DVector::from_fn(m, |_, _| real(rng.random_range(0.0..2.0) / m as f64));
    EmpiricalMeasure::weighted(cast(&matrix(p, m, rng)), weights).unwrap()
}

/// Signs of numbers, as labels.
fn signs(y: &DMatrix<f64>) -> DMatrix<f64> {
    y.map(|y| if y > 0.0 { 1.0 } else { -1.0 })
}

#[test]
fn one_neuron_on_two_samples_is_certified() {
    // x = e_1, e_2 and y > 0: the best network is one neuron with h = y (1 - 4 lambda / |y|).
    fn run<T: Real>(tolerance: f64) {
        let (x, y, lambda) = (DMatrix::identity(2, 2), DMatrix::from_row_slice(1, 2, &[3.0, 2.0]), 0.125);
        let mut energy = network::<_, _, T>(Relu, Square, &x, &y, lambda);
        let length = 13.0_f64.sqrt();
        let (h, r) = (length - 4.0 * lambda, (length - 4.0 * lambda).sqrt());
        assert!(h > 0.0);
        let w = [r, r * 3.0 / length, r * 2.0 / length].map(real::<T>);
        let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(3, 1, &w)).unwrap();
        let certificate = certify(&mut energy, &mu);
        let gap = certificate.gap().to_f64().unwrap();
        assert!((0.0..tolerance).contains(&gap), "gap {gap}");
        assert_eq!(certificate.bound(), Bound::Certified);
    }
    run::<f64>(1e-13);
    run::<f32>(1e-6);
}

#[test]
fn the_gap_is_never_below_the_true_one_for_the_square_loss() {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let (mut tight, mut problems) = (0, 0);
    for case in 0..60 {
        let n = 1 + case % 12;
        let (mut x, y) = (matrix(2, n, rng), matrix(1, n, rng));
        match case % 5 {
            1 => x.row_mut(1).fill(0.0),                                 // collinear
            2 => x.column_mut(n / 2).fill(0.0),                          // a zero input
            3 => x.set_column(0, &(2.0 * x.column(n - 1).into_owned())), // a tie
            4 => x.row_mut(1).fill(1.0),                                 // one dimension and a bias
            _ => {}
        }
        let lambda = [0.001, 0.01, 0.1][case % 3];
        let optimum = convex::square(&x, y.as_slice(), lambda);
        let mut energy = network::<_, _, f64>(Relu, Square, &x, &y, lambda);
        for m in [1, 3, 8] {
            let mu = measure(3, m, rng);
            let (value, certificate) = (energy.value(&mu), certify(&mut energy, &mu));
            assert!(
                certificate.gap() >= value - optimum.value - 1e-8,
                "case {case}: F* {}, F {value}, {certificate:?}",
                optimum.value
            );
            assert!((certificate.energy() - value).abs() < 1e-12);
        }
        // The measure that the solver found is optimal, up to its own accuracy.
        let certificate = certify(&mut energy, &optimum.measure);
        assert!(certificate.gap() < 1e-5, "case {case}: {certificate:?}");
        problems += 1;
        tight += usize::from(certificate.gap() < 1e-7);
    }
    assert!(tight * 10 > problems * 9, "{tight} of {problems}");
}

#[test]
fn the_gap_is_never_below_the_true_one_for_the_logistic_loss() {
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    for case in 0..16 {
        let n = 1 + case % 8;
        let (x, y) = (matrix(2, n, rng), signs(&matrix(1, n, rng)));
        let lambda = [0.003, 0.03][case % 2];
        let optimum = convex::logistic(&x, y.as_slice(), lambda);
        let mut energy = network::<_, _, f64>(Relu, Logistic, &x, &y, lambda);
        for m in [1, 3, 8] {
            let mu = measure(3, m, rng);
            let (value, certificate) = (energy.value(&mu), certify(&mut energy, &mu));
            assert!(certificate.gap() >= value - optimum.value - 1e-7, "case {case}");
        }
        let certificate = certify(&mut energy, &optimum.measure);
        assert!(certificate.gap() < 1e-5, "case {case}: {certificate:?}");
    }
}
