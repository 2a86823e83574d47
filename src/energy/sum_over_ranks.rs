//! The sum of the energies of ranks that hold the same particles and different samples.

use std::fmt;

use nalgebra::DMatrix;

use super::{
    Energy, assert_breakpoints, assert_curvature, assert_dim, assert_first_variation,
    assert_hessians, assert_velocity,
};
use crate::error::EnergyError;
use crate::feature::Breakpoint;
use crate::measure::EmpiricalMeasure;
use crate::ranks::{AllReduce, DIGITS, from_digits, indicator, several, sum_scalar, to_digits};
use crate::real::Real;

/// The energy `F(mu) = sum_r F_r(mu)` over ranks r: samples are dealt out, and every rank holds all
/// particles.
///
/// Rank r constructs the energy `F_r`, such as a [`MeanFieldRisk`](super::MeanFieldRisk) on its
/// samples, with the sample weights `1/n` of all n samples. Values, velocities, first variations and
/// curvatures are sums over the ranks, so that all ranks compute the same step of the same
/// particles. Everything in `F_r` is summed: add a regulariser of the particles outside, by
/// [`Sum`](super::Sum).
///
/// If `F_r` is itself distributed over ranks that hold parts of the particles, the two form a grid:
/// the particles of a rank are those of all ranks with its number among the
/// [`ranks`](Energy::ranks) of `F_r`.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
/// use wasserflow::testing::Rank;
///
/// let x = DMatrix::from_row_slice(1, 4, &[-2.0, -1.0, 1.0, 2.0]);
/// let y = DVector::from_row_slice(&[2.0, 1.0, 1.0, 2.0]);
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_element(2, 3, 1.0))?;
/// let risk = EmpiricalRisk::new(Square, x.clone(), y.clone())?;
/// let value = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?.value(&mu);
///
/// let part = |rank: Rank<f64>| {
///     let own = rank.share(4);
///     let (x, y) = (x.columns(own.start, own.len()), y.rows(own.start, own.len()));
///     let risk = EmpiricalRisk::new(Square, x.into_owned(), y.into_owned()).unwrap();
///     let risk = risk.sample_weights(DVector::from_element(own.len(), 0.25)).unwrap();
///     let energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk).unwrap();
///     SumOverRanks::new(energy, rank).value(&mu)
/// };
/// std::thread::scope(|scope| {
///     let threads = Rank::group(2).into_iter().map(|rank| scope.spawn(|| part(rank)));
///     for thread in threads.collect::<Vec<_>>() {
///         assert_eq!(thread.join().unwrap(), value);
///     }
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A stochastic energy of every rank draws from its own samples; [`refresh`](Energy::refresh) has to
/// return the same on all ranks.
///
/// Cost: a velocity takes one sum of `p m + 1` numbers besides that of `F_r`, where particles that
/// are dealt out take one of `k n + 1`.
pub struct SumOverRanks<E, R, T> {
    energy: E,
    ranks: R,
    /// The numbers of one message.
    message: Vec<T>,
}

impl<E, R, T: Real> SumOverRanks<E, R, T> {
    /// The sum of the energies of all `ranks`, of which `energy` is that of this rank.
    pub fn new(energy: E, ranks: R) -> Self {
        Self {
            energy,
            ranks,
            message: Vec::new(),
        }
    }

    /// The energy of this rank.
    pub fn energy(&self) -> &E {
        &self.energy
    }

    /// The energy of this rank, for modification between steps, on all ranks.
    pub fn energy_mut(&mut self) -> &mut E {
        &mut self.energy
    }
}

impl<E: fmt::Debug, R, T> fmt::Debug for SumOverRanks<E, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SumOverRanks")
            .field("energy", &self.energy)
            .finish_non_exhaustive()
    }
}

impl<E, R: AllReduce<T>, T: Real> SumOverRanks<E, R, T> {
    /// Sums slices and a scalar over the ranks, in one message.
    fn sum(&mut self, slices: &mut [&mut [T]], scalar: T) -> T {
        if several(&mut self.ranks).is_none() {
            return scalar;
        }
        self.message.clear();
        self.message.push(scalar);
        for x in &*slices {
            self.message.extend_from_slice(x);
        }
        self.ranks.sum(&mut self.message);
        let mut rest = &self.message[1..];
        for x in slices {
            let (own, next) = rest.split_at(x.len());
            x.copy_from_slice(own);
            rest = next;
        }
        self.message[0]
    }
}

impl<E: Energy<T>, R: AllReduce<T>, T: Real> Energy<T> for SumOverRanks<E, R, T> {
    fn particle_dim(&self) -> usize {
        self.energy.particle_dim()
    }

    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        assert_dim(self.particle_dim(), mu);
        let value = self.energy.value(mu);
        sum_scalar(&mut self.ranks, value)
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        assert_velocity(self.particle_dim(), mu, out);
        let value = self.energy.velocity(mu, out);
        self.sum(&mut [out.as_mut_slice()], value)
    }

    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        assert_first_variation(self.particle_dim(), mu, at, values, descent);
        let value = self.energy.first_variation(mu, at, values, descent)?;
        Some(self.sum(&mut [values, descent.as_mut_slice()], value))
    }

    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        out: &mut DMatrix<T>,
    ) -> Option<()> {
        assert_curvature(self.particle_dim(), mu, v, out);
        self.energy.curvature(mu, v, out)?;
        self.sum(&mut [out.as_mut_slice()], T::zero());
        Some(())
    }

    fn hessians(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        remainder: &mut [T],
        included: &mut [T],
    ) -> Option<()> {
        assert_hessians(self.particle_dim(), mu, remainder, included);
        self.energy.hessians(mu, remainder, included)?;
        self.sum(&mut [remainder, included], T::zero());
        Some(())
    }

    /// The kinks of the energies of all ranks, in the same order on every rank.
    fn breakpoints(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        margin: T,
        visit: &mut dyn FnMut(&Breakpoint<'_, T>),
    ) {
        assert_breakpoints(self.particle_dim(), mu, v);
        if several(&mut self.ranks).is_none() {
            return self.energy.breakpoints(mu, v, margin, visit);
        }
        let mut local: Vec<T> = Vec::new();
        self.energy.breakpoints(mu, v, margin, &mut |b| {
            local.extend(to_digits::<T>(b.particle as u64));
            local.extend([b.offset, b.rate, b.scale, b.jump, b.jump_rate, b.side]);
            local.extend_from_slice(b.normal);
        });
        let all = self.ranks.gather(&local);
        for b in all.chunks_exact(DIGITS + 6 + mu.dim()) {
            let (particle, b) = b.split_at(DIGITS);
            let (numbers, normal) = b.split_at(6);
            visit(&Breakpoint {
                particle: from_digits(particle) as usize,
                normal,
                offset: numbers[0],
                rate: numbers[1],
                scale: numbers[2],
                jump: numbers[3],
                jump_rate: numbers[4],
                side: numbers[5],
            });
        }
    }

    /// Relaxes the kinks of the loss on every rank.
    fn relax(&mut self, at: Option<(&EmpiricalMeasure<T>, T)>) -> Option<T> {
        let gap = self.energy.relax(at);
        at?; // without a message, also after a panic
        let mut all = [gap.unwrap_or(T::zero()), indicator(gap.is_some())];
        self.ranks.sum(&mut all);
        (all[1] > T::zero()).then_some(all[0])
    }

    fn inner(&mut self, mu: &EmpiricalMeasure<T>, u: &DMatrix<T>, v: &DMatrix<T>) -> T {
        self.energy.inner(mu, u, v)
    }

    fn ranks(&mut self) -> Option<&mut dyn AllReduce<T>> {
        self.energy.ranks()
    }

    fn sample_ranks(&mut self) -> Option<&mut dyn AllReduce<T>> {
        several(&mut self.ranks)
    }

    fn refresh(&mut self, step: usize) -> bool {
        self.energy.refresh(step)
    }

    fn check(&self) -> Result<(), EnergyError> {
        self.energy.check()
    }
}
