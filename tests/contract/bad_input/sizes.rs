//! Sizes that overflow, or that no memory holds, are typed errors. Products of sizes never wrap.

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;

use super::{contains, refuses, x};

const LARGE: [usize; 6] = [1 << 45, 1 << 59, 1 << 61, 1 << 62, 1 << 63, usize::MAX];

fn too_large<T: std::fmt::Debug>(measure: Result<EmpiricalMeasure<T>, MeasureError>) {
    let error = measure.unwrap_err();
    assert!(matches!(error, MeasureError::Parameter(_)), "{error}");
    contains(&error, &["fits in memory"]);
}

fn starts<T: Real>() {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    for m in LARGE {
        too_large(init::circle::<T>(m, 1.0));
        too_large(init::grid::<T>(1, m, 0.0, 1.0));
        for p in [1, 2, 3, 8, 1 << 20, 1 << 32, usize::MAX] {
            too_large(init::sphere::<T>(p, m, rng));
            too_large(init::sphere::<T>(m, p, rng));
            too_large(init::gaussian::<T>(p, m, 1.0, rng));
            too_large(init::gaussian::<T>(m, p, 1.0, rng));
            too_large(init::balanced::<T>(p, m, 1.0, rng));
            too_large(init::balanced::<T>(m, p, 1.0, rng));
        }
    }
    // p m wraps to 0, or to a small number.
    too_large(init::gaussian::<T>(1 << 32, 1 << 32, 1.0, rng));
    too_large(init::gaussian::<T>(3, usize::MAX / 3 + 1, 1.0, rng));
    too_large(init::balanced::<T>(1, 1 << 63, 1.0, rng));
    too_large(init::grid::<T>(64, 2, 0.0, 1.0));
    too_large(init::grid::<T>(1 << 33, 1, 0.0, 1.0));
}

#[test]
fn initial_measures() {
    starts::<f64>();
    starts::<f32>();
}

/// A matrix without rows may have any number of columns, for which nothing is allocated.
#[test]
fn empty_matrices_with_many_columns() {
    for n in LARGE {
        assert_eq!(
            EmpiricalMeasure::uniform(DMatrix::<f64>::zeros(0, n)),
            Err(MeasureError::Empty { dim: 0, len: n })
        );
        assert_eq!(
            Inputs::new(DMatrix::<f64>::zeros(0, n)).unwrap_err(),
            RiskError::Empty { dim: 0, len: n }
        );
        let targets = DMatrix::zeros(0, n);
        contains(
            &EmpiricalRisk::with_outputs(Square, x(2, 3), targets).unwrap_err(),
            &["number of outputs"],
        );
        assert!(Inputs::<f64>::from_slice(n, &[1.0]).is_err());
    }
}

#[test]
fn outputs() {
    for classes in LARGE.into_iter().skip(1) {
        let softmax = SoftmaxCrossEntropy::new(x(2, 8), vec![0; 8], classes);
        contains(&softmax.unwrap_err(), &["classes", "memory"]);
    }
    // k + d saturates: no measure has that dimension.
    for k in [usize::MAX, usize::MAX - 1] {
        let phi = Ridge::with_outputs(Relu, 2, k);
        assert_eq!(phi.particle_dim(), usize::MAX);
        assert_eq!(Radial::with_outputs(Tanh, k, 2).particle_dim(), usize::MAX);
        let risk = EmpiricalRisk::new(Square, x(2, 3), DVector::zeros(3)).unwrap();
        assert!(MeanFieldRisk::new(phi, risk).is_err());
        let mu = EmpiricalMeasure::uniform(x(3, 2)).unwrap();
        contains(
            &predict(&phi, &mu, &Inputs::new(x(2, 3)).unwrap()).unwrap_err(),
            &["dimension of the particles"],
        );
    }
    assert_eq!(
        Kernel::<f64>::dim(&WithOutputWeight(ArcCosine::new(usize::MAX))),
        usize::MAX
    );
    let target = EmpiricalMeasure::uniform(x(2, 2)).unwrap();
    assert!(Mmd::new(WithOutputWeight(ArcCosine::new(usize::MAX)), target).is_err());
}

/// A map of one coordinate with very many outputs.
struct ManyOutputs(usize);

impl FeatureMap<f64> for ManyOutputs {
    fn particle_dim(&self) -> usize {
        1
    }
    fn input_dim(&self) -> usize {
        1
    }
    fn output_dim(&self) -> usize {
        self.0
    }
    fn add_value(&self, _: &[f64], _: &[f64], _: f64, _: &mut [f64]) {}
    fn add_vjp(&self, _: &[f64], _: &[f64], _: &[f64], _: &mut [f64]) {}
}

/// A risk of very many predictions.
struct ManyPredictions(Inputs<f64>, usize);

impl Risk<f64> for ManyPredictions {
    fn inputs(&self) -> &Inputs<f64> {
        &self.0
    }
    fn output_dim(&self) -> usize {
        self.1
    }
    fn value(&self, _: &[f64]) -> f64 {
        0.0
    }
    fn value_and_gradient(&self, _: &[f64], _: &mut [f64]) -> f64 {
        0.0
    }
}

#[test]
fn predictions() {
    let inputs = || Inputs::new(x(1, 8)).unwrap();
    let mu = EmpiricalMeasure::uniform(x(1, 2)).unwrap();
    for k in LARGE.into_iter().skip(1) {
        let error = predict(&ManyOutputs(k), &mu, &inputs()).unwrap_err();
        contains(&error, &["number of predictions"]);
        let Err(error) = MeanFieldRisk::new(ManyOutputs(k), ManyPredictions(inputs(), k)) else {
            panic!("accepted k = {k}")
        };
        contains(&error, &["number of predictions", "memory"]);
    }
}

#[test]
fn workspaces() {
    let mut ws = Workspace::<f64>::default();
    for len in LARGE.into_iter().skip(1) {
        refuses(|| ws.split([len]).len(), &["exceed the memory"]);
        refuses(|| ws.split([3, len, 1]).len(), &["exceed the memory"]);
        refuses(|| ws.nest([len, len]).0.len(), &["exceed the memory"]);
    }
    assert_eq!(ws.split([5, 7]).map(|slice| slice.len()), [5, 7]);
}

/// An index whose offset `i p` wraps to a valid one is out of range all the same.
#[test]
fn indices() {
    let mu = EmpiricalMeasure::uniform(x(2, 3)).unwrap();
    let inputs = Inputs::new(x(2, 3)).unwrap();
    for i in [3, 4, 1 << 63, (1 << 63) + 1, usize::MAX] {
        refuses(|| mu.particle(i).len(), &["particle", "below 3"]);
        refuses(|| inputs.point(i).len(), &["sample", "below 3"]);
        refuses(|| mu.weight(i), &[]);
    }
}
