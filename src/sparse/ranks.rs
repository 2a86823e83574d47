//! Sparse methods on particles that are distributed over ranks: sums, the owner of a new particle,
//! and the whole measure on every rank.

use nalgebra::DMatrix;

use crate::energy::Energy;
use crate::error::EnergyError;
use crate::feature::Breakpoint;
use crate::measure::EmpiricalMeasure;
use crate::optimality::{Certifiable, Certificate, Search};
use crate::ranks::AllReduce;
use crate::real::{Real, real};

/// The sum of `x` over all ranks of the particles.
pub(super) fn sum_over_ranks<T: Real, E: Energy<T> + ?Sized>(energy: &mut E, x: T) -> T {
    let mut x = [x];
    if let Some(ranks) = energy.ranks() {
        ranks.sum(&mut x);
    }
    x[0]
}

/// Returns true if this rank gets the next particle: the first rank of the fewest particles.
pub(super) fn owns_new_particle<T: Real, E: Energy<T> + ?Sized>(
    energy: &mut E,
    mu: &EmpiricalMeasure<T>,
) -> bool {
    let Some(ranks) = energy.ranks() else {
        return true;
    };
    let sizes = ranks.gather(&[real(mu.len() as f64)]);
    let least = |least: usize, rank: usize| {
        if sizes[rank] < sizes[least] {
            rank
        } else {
            least
        }
    };
    (0..sizes.len()).fold(0, least) == ranks.rank()
}

/// Applies a method that needs all particles: every rank gets the whole measure and an energy of
/// it, does the same work, and keeps its share of the result.
pub(super) fn on_whole_measure<T: Real, E: Energy<T> + ?Sized, X>(
    energy: &mut E,
    mu: &EmpiricalMeasure<T>,
    method: impl FnOnce(&mut EqualShares<'_, E, T>, &EmpiricalMeasure<T>) -> X,
) -> X {
    let whole = match energy.ranks() {
        Some(ranks) => &mu.collect(ranks),
        None => mu,
    };
    method(&mut EqualShares::new(energy), whole)
}

/// The share of this rank of a whole measure.
pub(super) fn share<T: Real, E: Energy<T> + ?Sized>(
    energy: &mut E,
    whole: EmpiricalMeasure<T>,
) -> EmpiricalMeasure<T> {
    match energy.ranks() {
        Some(ranks) => whole.share(ranks),
        None => whole,
    }
}

/// A distributed energy of measures that every rank holds as a whole.
///
/// Every rank contributes an equal share of each particle, `c_i / s` of s ranks. So the sums over
/// ranks are those of the whole measure, and all ranks compute the same numbers.
pub(super) struct EqualShares<'a, E: ?Sized, T> {
    energy: &'a mut E,
    /// The measure with the weights `c_i / s`; `None` for a single rank.
    scaled: Option<EmpiricalMeasure<T>>,
    share: T,
}

impl<'a, T: Real, E: Energy<T> + ?Sized> EqualShares<'a, E, T> {
    fn new(energy: &'a mut E) -> Self {
        let size = energy.ranks().map_or(1, |ranks| ranks.size());
        Self {
            energy,
            scaled: None,
            share: T::one() / real(size as f64),
        }
    }

    /// Applies `method` to the energy and the share of this rank.
    fn apply<X>(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        method: impl FnOnce(&mut E, &EmpiricalMeasure<T>) -> X,
    ) -> X {
        if self.share == T::one() {
            return method(self.energy, mu);
        }
        let scaled = self.scaled.get_or_insert_with(|| mu.clone());
        scaled.clone_from(mu);
        scaled
            .weights_mut()
            .iter_mut()
            .for_each(|c| *c *= self.share);
        method(self.energy, scaled)
    }
}

impl<T: Real, E: Energy<T> + ?Sized> Energy<T> for EqualShares<'_, E, T> {
    fn particle_dim(&self) -> usize {
        self.energy.particle_dim()
    }
    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        self.apply(mu, |energy, mu| energy.value(mu))
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        self.apply(mu, |energy, mu| energy.velocity(mu, out))
    }
    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        self.apply(mu, |energy, mu| {
            energy.first_variation(mu, at, values, descent)
        })
    }
    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        out: &mut DMatrix<T>,
    ) -> Option<()> {
        self.apply(mu, |energy, mu| energy.curvature(mu, v, out))
    }
    fn hessians(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        remainder: &mut [T],
        included: &mut [T],
    ) -> Option<()> {
        self.apply(mu, |energy, mu| energy.hessians(mu, remainder, included))
    }
    fn breakpoints(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        margin: T,
        visit: &mut dyn FnMut(&Breakpoint<'_, T>),
    ) {
        self.apply(mu, |energy, mu| energy.breakpoints(mu, v, margin, visit));
    }
    fn relax(&mut self, at: Option<(&EmpiricalMeasure<T>, T)>) -> Option<T> {
        match at {
            Some((mu, width)) => self.apply(mu, |energy, mu| energy.relax(Some((mu, width)))),
            None => self.energy.relax(None),
        }
    }
    fn inner(&mut self, mu: &EmpiricalMeasure<T>, u: &DMatrix<T>, v: &DMatrix<T>) -> T {
        self.apply(mu, |energy, mu| energy.inner(mu, u, v))
    }
    /// `None`: every rank holds all particles.
    fn ranks(&mut self) -> Option<&mut dyn AllReduce<T>> {
        None
    }
    fn sample_ranks(&mut self) -> Option<&mut dyn AllReduce<T>> {
        self.energy.sample_ranks()
    }
    fn refresh(&mut self, step: usize) -> bool {
        self.energy.refresh(step)
    }
    fn check(&self) -> Result<(), EnergyError> {
        self.energy.check()
    }
}

impl<T: Real, E: Certifiable<T> + ?Sized> Certifiable<T> for EqualShares<'_, E, T> {
    fn certificate(&mut self, mu: &EmpiricalMeasure<T>, search: &mut Search) -> Certificate<T> {
        self.apply(mu, |energy, mu| energy.certificate(mu, search))
    }

    fn combined_certificate(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        subgradient: &[(T, EmpiricalMeasure<T>)],
        search: &mut Search,
    ) -> Option<Certificate<T>> {
        let scaled = |(s, nu): &(T, EmpiricalMeasure<T>)| {
            let mut nu = nu.clone();
            nu.weights_mut().iter_mut().for_each(|c| *c *= self.share);
            (*s, nu)
        };
        let subgradient: Vec<_> = subgradient.iter().map(scaled).collect();
        self.apply(mu, |energy, mu| {
            energy.combined_certificate(mu, &subgradient, search)
        })
    }
}
