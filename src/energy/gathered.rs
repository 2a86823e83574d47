//! Any energy of particles that are distributed over ranks: every rank evaluates the whole measure.

use std::ops::Range;

use nalgebra::{DMatrix, DVector};

use super::{
    Energy, assert_breakpoints, assert_curvature, assert_dim, assert_hessians, assert_velocity,
};
use crate::error::EnergyError;
use crate::feature::Breakpoint;
use crate::measure::EmpiricalMeasure;
use crate::ranks::{AllReduce, several};
use crate::real::{Real, real};

/// An energy of particles that are distributed over ranks, for energies without sums of their own
/// over ranks: pair interactions, distances, user-defined energies.
///
/// Every rank collects all particles, evaluates the energy of the whole measure, and keeps the
/// velocities of its share. So the results of all ranks are those of one process, bit for bit, if
/// the particles are dealt out in order. This includes [`Jko`](crate::integrator::Jko) steps of any
/// size, which amplify rounding: [`MeanFieldRisk::distributed`](super::MeanFieldRisk::distributed)
/// adds predictions in another order, so that long steps may end in another minimum.
///
/// A measure that [`check_measure`](Energy::check_measure) of the energy refuses as a whole has the
/// value NaN, which ends a flow with a typed error.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
/// use wasserflow::testing::Rank;
///
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 4, &[0.0, 1.0, 3.0, 7.0]))?;
/// let quadratic = InteractionEnergy::new(PowerLaw::new(1.0, 2.0)?, 1);
/// let value = quadratic.clone().value(&mu);
///
/// let part = |rank: Rank<f64>| {
///     let share = mu.share(&rank);
///     Gathered::new(quadratic.clone(), rank).value(&share)
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
/// Cost: an all-gather of `(p + 2) m` numbers, of `(3 p + 2) m` for an inner product, and on every rank the time and memory of the energy
/// of all m particles. Ranks save no time here; they let the energy be a term of a
/// [`Sum`](super::Sum) with one whose particles are distributed.
#[derive(Debug, Clone)]
pub struct Gathered<E, R> {
    energy: E,
    ranks: R,
}

impl<E, R> Gathered<E, R> {
    /// The energy of the particles of all `ranks`.
    pub fn new(energy: E, ranks: R) -> Self {
        Self { energy, ranks }
    }

    /// The energy of the whole measure.
    pub fn energy(&self) -> &E {
        &self.energy
    }

    /// The energy of the whole measure, for modification between steps, on all ranks.
    pub fn energy_mut(&mut self) -> &mut E {
        &mut self.energy
    }
}

/// The particles of all ranks.
struct Whole<T: Real> {
    measure: EmpiricalMeasure<T>,
    /// The particles of this rank among them.
    own: Range<usize>,
    /// The field that was gathered with the particles.
    field: DMatrix<T>,
}

impl<T: Real> Whole<T> {
    /// Gathers the measure and a field of as many columns. Particles of weight 0 stay, so that a
    /// rank gets the velocities of those that it holds.
    fn new(ranks: &mut dyn AllReduce<T>, mu: &EmpiricalMeasure<T>, field: &DMatrix<T>) -> Self {
        let (p, q) = (mu.dim(), field.nrows());
        let rank = real::<T>(ranks.rank() as f64);
        let mut local = Vec::with_capacity((2 + p + q) * mu.len());
        for i in 0..mu.len() {
            local.extend([rank, mu.weight(i)]);
            local.extend_from_slice(mu.particle(i));
            local.extend(field.column(i).iter().copied());
        }
        let all = ranks.gather(&local);
        let columns = || all.chunks_exact(2 + p + q);
        let m = columns().len();
        let start = columns().take_while(|column| column[0] != rank).count();
        let part = |rows: Range<usize>| {
            let part = columns().flat_map(|column| &column[rows.clone()]).copied();
            DMatrix::from_iterator(rows.len(), m, part)
        };
        let weights = DVector::from_iterator(m, columns().map(|column| column[1]));
        Self {
            measure: EmpiricalMeasure::gathered(part(2..2 + p), weights),
            own: start..start + mu.len(),
            field: part(2 + p..2 + p + q),
        }
    }

    /// The columns of this rank of a field of the whole measure.
    fn keep(&self, whole: &DMatrix<T>, out: &mut DMatrix<T>) {
        let own = whole.columns(self.own.start, self.own.len());
        out.copy_from(&own);
    }
}

impl<T: Real, E: Energy<T>, R: AllReduce<T>> Energy<T> for Gathered<E, R> {
    fn particle_dim(&self) -> usize {
        self.energy.particle_dim()
    }

    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        assert_dim(self.particle_dim(), mu);
        let Some(ranks) = several(&mut self.ranks) else {
            return self.energy.value(mu);
        };
        let whole = Whole::new(ranks, mu, &DMatrix::zeros(0, mu.len()));
        if self.energy.check_measure(&whole.measure).is_err() {
            return real(f64::NAN);
        }
        self.energy.value(&whole.measure)
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        assert_velocity(self.particle_dim(), mu, out);
        let Some(ranks) = several(&mut self.ranks) else {
            return self.energy.velocity(mu, out);
        };
        let whole = Whole::new(ranks, mu, &DMatrix::zeros(0, mu.len()));
        if self.energy.check_measure(&whole.measure).is_err() {
            out.fill(T::zero());
            return real(f64::NAN);
        }
        let mut velocity = DMatrix::zeros(mu.dim(), whole.measure.len());
        let value = self.energy.velocity(&whole.measure, &mut velocity);
        whole.keep(&velocity, out);
        value
    }

    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        let Some(ranks) = several(&mut self.ranks) else {
            return self.energy.first_variation(mu, at, values, descent);
        };
        let whole = Whole::new(ranks, mu, &DMatrix::zeros(0, mu.len()));
        self.energy
            .first_variation(&whole.measure, at, values, descent)
    }

    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        out: &mut DMatrix<T>,
    ) -> Option<()> {
        assert_curvature(self.particle_dim(), mu, v, out);
        let Some(ranks) = several(&mut self.ranks) else {
            return self.energy.curvature(mu, v, out);
        };
        let whole = Whole::new(ranks, mu, v);
        let mut product = DMatrix::zeros(mu.dim(), whole.measure.len());
        self.energy
            .curvature(&whole.measure, &whole.field, &mut product)?;
        whole.keep(&product, out);
        Some(())
    }

    fn hessians(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        remainder: &mut [T],
        included: &mut [T],
    ) -> Option<()> {
        assert_hessians(self.particle_dim(), mu, remainder, included);
        let Some(ranks) = several(&mut self.ranks) else {
            return self.energy.hessians(mu, remainder, included);
        };
        let whole = Whole::new(ranks, mu, &DMatrix::zeros(0, mu.len()));
        let size = mu.dim() * mu.dim();
        let mut all = [(); 2].map(|()| vec![T::zero(); size * whole.measure.len()]);
        let [all_remainder, all_included] = &mut all;
        self.energy
            .hessians(&whole.measure, all_remainder, all_included)?;
        let own = size * whole.own.start..size * whole.own.end;
        remainder.copy_from_slice(&all_remainder[own.clone()]);
        included.copy_from_slice(&all_included[own]);
        Some(())
    }

    fn breakpoints(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        margin: T,
        visit: &mut dyn FnMut(&Breakpoint<'_, T>),
    ) {
        assert_breakpoints(self.particle_dim(), mu, v);
        let Some(ranks) = several(&mut self.ranks) else {
            return self.energy.breakpoints(mu, v, margin, visit);
        };
        let Whole {
            measure,
            own,
            field,
        } = Whole::new(ranks, mu, v);
        self.energy
            .breakpoints(&measure, &field, margin, &mut |breakpoint| {
                if own.contains(&breakpoint.particle) {
                    visit(&Breakpoint {
                        particle: breakpoint.particle - own.start,
                        ..*breakpoint
                    });
                }
            });
    }

    fn relax(&mut self, at: Option<(&EmpiricalMeasure<T>, T)>) -> Option<T> {
        let (Some(ranks), Some((mu, width))) = (several(&mut self.ranks), at) else {
            return self.energy.relax(at);
        };
        let whole = Whole::new(ranks, mu, &DMatrix::zeros(0, mu.len()));
        self.energy.relax(Some((&whole.measure, width)))
    }

    /// That of the whole measure: proximal steps take the same decisions as one process.
    fn inner(&mut self, mu: &EmpiricalMeasure<T>, u: &DMatrix<T>, v: &DMatrix<T>) -> T {
        assert_curvature(self.particle_dim(), mu, u, v);
        let Some(ranks) = several(&mut self.ranks) else {
            return self.energy.inner(mu, u, v);
        };
        let (p, m) = u.shape();
        let mut fields = DMatrix::zeros(2 * p, m);
        fields.rows_mut(0, p).copy_from(u);
        fields.rows_mut(p, p).copy_from(v);
        let whole = Whole::new(ranks, mu, &fields);
        let [u, v] = [0, p].map(|row| whole.field.rows(row, p).into_owned());
        self.energy.inner(&whole.measure, &u, &v)
    }

    fn ranks(&mut self) -> Option<&mut dyn AllReduce<T>> {
        several(&mut self.ranks)
    }

    fn refresh(&mut self, step: usize) -> bool {
        self.energy.refresh(step)
    }

    fn check(&self) -> Result<(), EnergyError> {
        self.energy.check()
    }

    fn check_measure(&self, mu: &EmpiricalMeasure<T>) -> Result<(), EnergyError> {
        if self.ranks.size() > 1 {
            return Ok(()); // the whole measure is checked when it is evaluated
        }
        self.energy.check_measure(mu)
    }
}
