//! An energy distributed over two ranks that hold the same particles, without the second rank.

use nalgebra::DMatrix;

use crate::energy::Energy;
use crate::feature::Breakpoint;
use crate::measure::EmpiricalMeasure;
use crate::real::Real;
use crate::testing::evaluation::scaled;

/// The energy of `2 mu`, on the rank that holds one `mu`: every sum over particles is doubled.
#[derive(Debug)]
pub(super) struct TwoRanks<E>(pub E);

impl<T: Real, E: Energy<T>> Energy<T> for TwoRanks<E> {
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
    /// The second rank has the same field `v`.
    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        out: &mut DMatrix<T>,
    ) -> Option<()> {
        self.0.curvature(&scaled(mu, 2.0), v, out)
    }
    fn hessians(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        remainder: &mut [T],
        included: &mut [T],
    ) -> Option<()> {
        self.0.hessians(&scaled(mu, 2.0), remainder, included)
    }
    fn breakpoints(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        margin: T,
        visit: &mut dyn FnMut(&Breakpoint<'_, T>),
    ) {
        self.0.breakpoints(&scaled(mu, 2.0), v, margin, visit);
    }
    fn relax(&mut self, at: Option<(&EmpiricalMeasure<T>, T)>) -> Option<T> {
        match at {
            Some((mu, width)) => self.0.relax(Some((&scaled(mu, 2.0), width))),
            None => self.0.relax(None),
        }
    }
    fn inner(&mut self, mu: &EmpiricalMeasure<T>, u: &DMatrix<T>, v: &DMatrix<T>) -> T {
        self.0.inner(&scaled(mu, 2.0), u, v)
    }
}
