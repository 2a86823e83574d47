//! A second potential does not silently replace the first: several are given as a pair.
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

fn main() {
    let risk = EmpiricalRisk::new(Square, DMatrix::from_element(1, 1, 1.0), DVector::from_element(1, 1.0)).unwrap();
    let energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk).unwrap();
    let decay = WeightDecay::new(0.5).unwrap();
    let _ = energy.regularized(decay).regularized(decay);
}
