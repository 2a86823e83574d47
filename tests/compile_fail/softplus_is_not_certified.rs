//! The certificate asks for a homogeneous activation.
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::optimality::certify;
use wasserflow::prelude::*;

fn energy<A: Activation<f64>>(
    sigma: A,
) -> MeanFieldRisk<Ridge<A>, EmpiricalRisk<Square, f64>, f64, WeightDecay<f64>> {
    let risk = EmpiricalRisk::new(Square, DMatrix::zeros(1, 1), DVector::zeros(1)).unwrap();
    MeanFieldRisk::new(Ridge::new(sigma, 1), risk).unwrap().regularized(WeightDecay::new(1.0).unwrap())
}

fn main() {
    let mu = EmpiricalMeasure::uniform(DMatrix::zeros(2, 1)).unwrap();
    certify(&mut energy(Relu), &mu);
    certify(&mut energy(Softplus), &mu);
}
