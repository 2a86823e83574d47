//! One of two ranks that hold the same particles, without the other.

use nalgebra::DMatrix;

use super::super::energy::scaled;
use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;
use crate::real::Real;

/// The energy of `2 mu`, seen by the rank that holds `mu`: the other holds the same, so every sum over particles doubles.
#[derive(Debug)]
pub(super) struct Twins<E>(pub E);

impl<T: Real, E: Energy<T>> Energy<T> for Twins<E> {
    fn particle_dim(&self) -> usize {
        self.0.particle_dim()
    }
    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        self.0.value(&scaled(mu, 2.0))
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        self.0.velocity(&scaled(mu, 2.0), out)
    }
    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        self.0
            .first_variation(&scaled(mu, 2.0), at, values, descent)
    }
    /// The other rank holds the same field.
    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        out: &mut DMatrix<T>,
    ) -> Option<()> {
        self.0.curvature(&scaled(mu, 2.0), v, out)
    }
    fn inner(&mut self, mu: &EmpiricalMeasure<T>, u: &DMatrix<T>, v: &DMatrix<T>) -> T {
        self.0.inner(&scaled(mu, 2.0), u, v)
    }
}
