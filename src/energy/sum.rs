//! The sum of two energies.

use nalgebra::DMatrix;

use super::{
    Energy, assert_breakpoints, assert_curvature, assert_dim, assert_first_variation,
    assert_hessians, assert_velocity,
};
use crate::error::{EnergyError, ShapeError};
use crate::feature::Breakpoint;
use crate::measure::EmpiricalMeasure;
use crate::ranks::AllReduce;
use crate::real::Real;

/// The energy `F(mu) = A(mu) + B(mu)`.
///
/// Inner products are those of A. If particles are distributed over ranks, both energies are: a
/// local term would count the particles of this rank only, so that ranks would disagree. A term on
/// samples that are distributed ([`SumOverRanks`](super::SumOverRanks)) can be added to one that
/// every rank evaluates in full.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let decay = |lambda| PotentialEnergy::new(WeightDecay::new(lambda).unwrap(), 1);
/// let mut f = Sum::new(decay(1.0), decay(2.0))?;
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 2.0)).unwrap();
/// assert_eq!(f.value(&mu), 12.0);
/// # Ok::<(), wasserflow::prelude::ShapeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sum<A, B, T> {
    first: A,
    second: B,
    field: DMatrix<T>,
    values: Vec<T>,
}

impl<T: Real, A: Energy<T>, B: Energy<T>> Sum<A, B, T> {
    /// `A + B`, on particles of the same dimension.
    ///
    /// # Errors
    /// [`ShapeError`] if the dimensions differ, or the particles of one energy are distributed over
    /// [`ranks`](Energy::ranks) and those of the other are not, or over another number of ranks.
    pub fn new(mut first: A, mut second: B) -> Result<Self, ShapeError> {
        ShapeError::check(
            "particle dimension of the second energy",
            first.particle_dim(),
            second.particle_dim(),
        )?;
        let mut ranks = [(1, 0); 2];
        if let Some(all) = first.ranks() {
            ranks[0] = (all.size(), all.rank());
        }
        if let Some(all) = second.ranks() {
            ranks[1] = (all.size(), all.rank());
        }
        let [(sizes, numbers), (size, number)] = ranks;
        ShapeError::check("number of ranks of the second energy", sizes, size)?;
        ShapeError::check("rank of the second energy", numbers, number)?;
        Ok(Self {
            first,
            second,
            field: DMatrix::zeros(0, 0),
            values: Vec::new(),
        })
    }

    /// The two terms.
    pub fn parts(&self) -> (&A, &B) {
        (&self.first, &self.second)
    }

    /// Takes the scratch field, in the shape of `like`.
    fn field(&mut self, like: &DMatrix<T>) -> DMatrix<T> {
        let mut field = std::mem::replace(&mut self.field, DMatrix::zeros(0, 0));
        if field.shape() != like.shape() {
            field = DMatrix::zeros(like.nrows(), like.ncols());
        }
        field
    }
}

impl<T: Real, A: Energy<T>, B: Energy<T>> Energy<T> for Sum<A, B, T> {
    fn particle_dim(&self) -> usize {
        self.first.particle_dim()
    }

    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        assert_dim(self.particle_dim(), mu);
        self.first.value(mu) + self.second.value(mu)
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        assert_velocity(self.particle_dim(), mu, out);
        let mut field = self.field(out);
        let value = self.first.velocity(mu, out) + self.second.velocity(mu, &mut field);
        *out += &field;
        self.field = field;
        value
    }

    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        assert_first_variation(self.particle_dim(), mu, at, values, descent);
        let mut field = self.field(descent);
        self.values.resize(values.len(), T::zero());
        let value =
            self.first
                .first_variation(mu, at, values, descent)
                .zip(
                    self.second
                        .first_variation(mu, at, &mut self.values, &mut field),
                );
        *descent += &field;
        for (value, &second) in values.iter_mut().zip(&self.values) {
            *value += second;
        }
        self.field = field;
        value.map(|(first, second)| first + second)
    }

    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        out: &mut DMatrix<T>,
    ) -> Option<()> {
        assert_curvature(self.particle_dim(), mu, v, out);
        let mut field = self.field(out);
        let both = self
            .first
            .curvature(mu, v, out)
            .and(self.second.curvature(mu, v, &mut field));
        *out += &field;
        self.field = field;
        both
    }

    fn hessians(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        remainder: &mut [T],
        included: &mut [T],
    ) -> Option<()> {
        assert_hessians(self.particle_dim(), mu, remainder, included);
        let [mut r, mut i] = [&*remainder, &*included].map(<[T]>::to_vec);
        self.first.hessians(mu, remainder, included)?;
        self.second.hessians(mu, &mut r, &mut i)?;
        for (total, part) in [(remainder, r), (included, i)] {
            total
                .iter_mut()
                .zip(part)
                .for_each(|(total, part)| *total += part);
        }
        Some(())
    }

    /// The kinks of both energies.
    fn breakpoints(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        margin: T,
        visit: &mut dyn FnMut(&Breakpoint<'_, T>),
    ) {
        assert_breakpoints(self.particle_dim(), mu, v);
        self.first.breakpoints(mu, v, margin, visit);
        self.second.breakpoints(mu, v, margin, visit);
    }

    /// Relaxes the kinks of both losses.
    fn relax(&mut self, at: Option<(&EmpiricalMeasure<T>, T)>) -> Option<T> {
        match (self.first.relax(at), self.second.relax(at)) {
            (None, None) => None,
            (first, second) => Some(first.unwrap_or(T::zero()) + second.unwrap_or(T::zero())),
        }
    }

    /// The inner product of the first energy.
    fn inner(&mut self, mu: &EmpiricalMeasure<T>, u: &DMatrix<T>, v: &DMatrix<T>) -> T {
        self.first.inner(mu, u, v)
    }

    fn ranks(&mut self) -> Option<&mut dyn AllReduce<T>> {
        self.first.ranks()
    }

    fn sample_ranks(&mut self) -> Option<&mut dyn AllReduce<T>> {
        if self.first.sample_ranks().is_some() {
            self.first.sample_ranks()
        } else {
            self.second.sample_ranks()
        }
    }

    fn refresh(&mut self, step: usize) -> bool {
        // Not `||`: both resample.
        self.first.refresh(step) | self.second.refresh(step)
    }

    fn check(&self) -> Result<(), EnergyError> {
        self.first.check()?;
        self.second.check()
    }

    fn check_measure(&self, mu: &EmpiricalMeasure<T>) -> Result<(), EnergyError> {
        self.first.check_measure(mu)?;
        self.second.check_measure(mu)
    }
}
