//! The path of certified minima of the total variation in lambda: values, norms, numbers of neurons.

use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::optimality::certify;
use wasserflow::prelude::*;
use wasserflow::sparse::{self, FrankWolfe};

type Network = MeanFieldRisk<Ridge<Relu>, EmpiricalRisk<Square, f64>, f64, WeightDecay<f64>>;

fn energy((x, y): (&[f64], &[f64]), lambda: f64) -> Network {
    let x = DMatrix::from_column_slice(2, y.len(), x);
    let risk = EmpiricalRisk::new(Square, x, DVector::from_column_slice(y)).unwrap();
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 2), risk).unwrap();
    energy.regularized(WeightDecay::new(lambda).unwrap())
}

const XOR: (&[f64], &[f64]) = (
    &[1.0, 1.0, -1.0, -1.0, 1.0, -1.0, -1.0, 1.0],
    &[1.0, 1.0, -1.0, -1.0],
);
const SIX: (&[f64], &[f64]) = (
    &[
        1.0, 0.2, 0.5, 1.0, -0.4, 0.9, -1.0, -0.3, -0.2, -1.2, 0.8, -0.7,
    ],
    &[1.0, -0.5, 0.3, 0.8, -1.0, 0.2],
);

fn zero() -> EmpiricalMeasure<f64> {
    EmpiricalMeasure::uniform(DMatrix::zeros(3, 1)).unwrap()
}

/// E4 and E5 (the latter by the closed form on every arc): the zero network is optimal if and only if `lambda >= lambda_max`, half the largest
/// `|g|` of the zero network.
#[test]
fn the_largest_lambda() {
    for (data, exact) in [(XOR, 2.0_f64.sqrt() / 8.0), (SIX, 0.080_829_502_092)] {
        let certificate = certify(&mut energy(data, 0.01), &zero());
        let (lower, upper) = certificate.maximum_bounds().unwrap();
        for bound in [0.5 * lower, 0.5 * upper] {
            assert!((bound - exact).abs() < 5e-11, "{bound}, {exact}");
        }
        let above = certify(&mut energy(data, exact * (1.0 + 1e-8)), &zero());
        assert!(above.gap() < 1e-12 && above.escape().is_none());
        let below = certify(&mut energy(data, exact * (1.0 - 1e-8)), &zero());
        assert!(below.escape().is_some());
    }
}

/// E4 and E5: the minimum, its total variation `int |a| |b| dmu`, and the number of neurons after
/// those of one direction are merged.
#[test]
fn the_path() {
    for (data, lambda, exact, variation, neurons) in [
        (XOR, 0.05, 0.242_842_712, 2.028_427_12, 4..=4),
        (XOR, 0.1, 0.405_685_425, 1.228_427_12, 4..=4),
        (SIX, 0.081, 0.251_666_667, 0.0, 0..=0),
        (SIX, 0.05, 0.227_689_453, 0.882_189, 1..=4),
        (SIX, 0.02, 0.134_001_107, 2.506_626, 3..=4),
        (SIX, 0.01, 0.075_672_227_4, 3.339_200, 3..=4),
        (SIX, 0.001, 0.008_383_169_66, 4.144_790, 3..=4),
    ] {
        let mut energy = energy(data, lambda);
        let mut mu = zero();
        let run = FrankWolfe::Sliding.run(&mut energy, &mut mu, 1e-12, 200);
        let (_, certificate) = run.unwrap();
        let gap = certificate.gap();
        let merged = sparse::merge(&Ridge::new(Relu, 2), &mu, 1e-4);
        let product = |i: usize| {
            let w = merged.particle(i);
            merged.weight(i) * w[0].abs() * w[1].hypot(w[2])
        };
        let found: f64 = (0..merged.len()).map(product).sum();
        let active = (0..merged.len()).filter(|&i| product(i) > 1e-6).count();
        let value = certificate.energy();
        println!("{lambda}: {value}, gap {gap:e}, variation {found}, {active} neurons");
        assert!(gap < 1e-9, "lambda = {lambda}: gap {gap:e}");
        assert!((value - exact).abs() < 1e-9, "lambda = {lambda}: {value}");
        assert!(
            (found - variation).abs() < 1e-5,
            "lambda = {lambda}: {found}"
        );
        assert!(neurons.contains(&active), "lambda = {lambda}: {active}");
    }
}
