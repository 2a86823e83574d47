//! Test problems for proximal steps.

use std::cell::Cell;
use std::rc::Rc;

use rand::RngExt;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use wasserflow::feature::Breakpoint;
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

/// An energy with the first variation or the curvature optionally disabled. It counts evaluations:
/// velocities (including first variations), first variations, and products with the curvature.
pub struct Counted<E> {
    energy: E,
    variation: bool,
    curvature: bool,
    pub velocities: Rc<Cell<usize>>,
    pub products: Rc<Cell<usize>>,
}

impl<E> Counted<E> {
    pub fn new(energy: E, (variation, curvature): (bool, bool)) -> Self {
        Self {
            energy,
            variation,
            curvature,
            velocities: Rc::default(),
            products: Rc::default(),
        }
    }
}

impl<T: Real, E: Energy<T>> Energy<T> for Counted<E> {
    fn particle_dim(&self) -> usize {
        self.energy.particle_dim()
    }
    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        self.energy.value(mu)
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        self.velocities.set(self.velocities.get() + 1);
        self.energy.velocity(mu, out)
    }
    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        let result = self
            .variation
            .then(|| self.energy.first_variation(mu, at, values, descent))?;
        self.velocities
            .set(self.velocities.get() + usize::from(result.is_some()));
        result
    }
    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        out: &mut DMatrix<T>,
    ) -> Option<()> {
        let result = self.curvature.then(|| self.energy.curvature(mu, v, out))?;
        self.products
            .set(self.products.get() + usize::from(result.is_some()));
        result
    }
    fn hessians(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        remainder: &mut [T],
        included: &mut [T],
    ) -> Option<()> {
        self.energy.hessians(mu, remainder, included)
    }
    fn breakpoints(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        margin: T,
        visit: &mut dyn FnMut(&Breakpoint<'_, T>),
    ) {
        self.energy.breakpoints(mu, v, margin, visit);
    }
    fn relax(&mut self, at: Option<(&EmpiricalMeasure<T>, T)>) -> Option<T> {
        self.energy.relax(at)
    }
}
