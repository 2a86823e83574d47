//! A flow in `f64` does not take a measure in `f32`.
use wasserflow::nalgebra::DMatrix;
use wasserflow::prelude::*;

fn main() {
    let energy = PotentialEnergy::new(WeightDecay::new(1.0_f64).unwrap(), 1);
    let mut flow = ParticleFlow::new(energy, Euler, 0.1_f64).unwrap();
    let _ = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0_f32)).unwrap());
}
