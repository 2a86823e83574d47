//! An energy that counts its evaluations.

use std::cell::Cell;
use std::rc::Rc;

use wasserflow::feature::Breakpoint;
use wasserflow::nalgebra::DMatrix;
use wasserflow::optimality::{Certifiable, Certificate, Search};
use wasserflow::prelude::*;

/// The numbers of evaluations.
#[derive(Debug, Default)]
pub struct Counts {
    pub velocities: Cell<usize>,
    pub variations: Cell<usize>,
    pub products: Cell<usize>,
    pub hessians: Cell<usize>,
    pub certificates: Cell<usize>,
    /// The neurons of all these evaluations.
    pub neurons: Cell<usize>,
}

impl Counts {
    fn add(&self, evaluations: &Cell<usize>, neurons: usize) {
        evaluations.set(evaluations.get() + 1);
        self.neurons.set(self.neurons.get() + neurons);
    }

    /// Velocities, first variations and products with the curvature.
    pub fn evaluations(&self) -> usize {
        self.velocities.get() + self.variations.get() + self.products.get()
    }

    /// All evaluations and certificates.
    pub fn gradients(&self) -> usize {
        self.evaluations() + self.hessians.get() + self.certificates.get()
    }
}

/// An energy that counts its evaluations, with the first variation or the curvature optionally
/// disabled.
pub struct Counted<E> {
    energy: E,
    variation: bool,
    curvature: bool,
    pub counts: Rc<Counts>,
}

impl<E> Counted<E> {
    pub fn new(energy: E) -> Self {
        Self::with_available(energy, (true, true))
    }

    /// With the first variation and the curvature only where they are `available`.
    pub fn with_available(energy: E, (variation, curvature): (bool, bool)) -> Self {
        Self {
            energy,
            variation,
            curvature,
            counts: Rc::default(),
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
        self.counts.add(&self.counts.velocities, mu.len());
        self.energy.velocity(mu, out)
    }
    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        let value = self
            .variation
            .then(|| self.energy.first_variation(mu, at, values, descent))??;
        let neurons = at.ncols().max(mu.len());
        self.counts.add(&self.counts.variations, neurons);
        Some(value)
    }
    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        out: &mut DMatrix<T>,
    ) -> Option<()> {
        self.curvature
            .then(|| self.energy.curvature(mu, v, out))??;
        self.counts.add(&self.counts.products, mu.len());
        Some(())
    }
    fn hessians(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        remainder: &mut [T],
        included: &mut [T],
    ) -> Option<()> {
        self.counts.add(&self.counts.hessians, mu.len());
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

impl<T: Real, E: Certifiable<T>> Certifiable<T> for Counted<E> {
    fn certificate(&mut self, mu: &EmpiricalMeasure<T>, search: &mut Search) -> Certificate<T> {
        self.counts.add(&self.counts.certificates, mu.len());
        self.energy.certificate(mu, search)
    }
    fn combined_certificate(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        subgradient: &[(T, EmpiricalMeasure<T>)],
        search: &mut Search,
    ) -> Option<Certificate<T>> {
        let certificate = self.energy.combined_certificate(mu, subgradient, search)?;
        self.counts.add(&self.counts.certificates, mu.len());
        Some(certificate)
    }
}
