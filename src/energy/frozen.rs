//! An energy of which only some coordinates of the particles are trained.

use nalgebra::DMatrix;

use super::{
    Energy, assert_breakpoints, assert_curvature, assert_first_variation, assert_hessians,
    assert_velocity,
};
use crate::error::{EnergyError, ParameterError, ShapeError, is_allocatable};
use crate::feature::Breakpoint;
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::columns_mut;
use crate::ranks::AllReduce;
use crate::real::Real;

/// The energy F on measures whose particles keep some of their coordinates: the frozen ones have
/// velocity 0.
///
/// With `w = (a, b)` and the coordinates of `b` frozen, only the output weights `a` are trained, and
/// the neurons are random features. Let P be the projection that sets the frozen coordinates to 0.
/// Velocities and descent directions are `P v`, the curvature is `P C P` and the Hessians are
/// `P H P`; values and first variations are those of F. So the laws of an energy hold for
/// displacements of the coordinates that are not frozen.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let decay = PotentialEnergy::new(WeightDecay::new(0.5)?, 3); // v = -w
/// let mut f = Frozen::new(decay, 1..3)?;
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(3, 1, &[1.0, 2.0, 3.0])).unwrap();
/// let mut v = DMatrix::zeros(3, 1);
/// assert_eq!(f.velocity(&mu, &mut v), 7.0);
/// assert_eq!(v.as_slice(), &[-1.0, 0.0, 0.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Cost: that of the energy, which also evaluates the frozen velocities.
///
/// Source: A. Rahimi and B. Recht, Random features for large-scale kernel machines, 2007.
#[derive(Debug, Clone)]
pub struct Frozen<E, T> {
    energy: E,
    /// Whether each of the p coordinates is frozen.
    frozen: Vec<bool>,
    field: DMatrix<T>,
    normal: Vec<T>,
}

impl<T: Real, E: Energy<T>> Frozen<E, T> {
    /// The energy with the given coordinates frozen: a range such as `1..p`, or a list.
    ///
    /// # Errors
    /// [`EnergyError::Parameter`] for a coordinate that is not below p or is listed twice, and if a
    /// particle does not fit in memory.
    pub fn new(
        energy: E,
        coordinates: impl IntoIterator<Item = usize>,
    ) -> Result<Self, EnergyError> {
        let p = energy.particle_dim();
        let fits = is_allocatable::<T>(p, 1);
        ParameterError::check(fits, "p", "a number that fits in memory", p as f64)?;
        let mut frozen = vec![false; p];
        for l in coordinates {
            let requirement = "below the dimension of the particles, and listed once";
            let holds = frozen.get(l) == Some(&false);
            ParameterError::check(holds, "frozen coordinate", requirement, l as f64)?;
            frozen[l] = true;
        }
        Ok(Self {
            energy,
            frozen,
            field: DMatrix::zeros(0, 0),
            normal: vec![T::zero(); p],
        })
    }
}

impl<E, T: Real> Frozen<E, T> {
    /// The energy F.
    pub fn energy(&self) -> &E {
        &self.energy
    }

    /// Mutable access to the energy F.
    pub fn energy_mut(&mut self) -> &mut E {
        &mut self.energy
    }

    /// Returns true if coordinate l of the particles is frozen.
    ///
    /// # Panics
    /// If `l >= p`, as indexing does.
    pub fn is_frozen(&self, l: usize) -> bool {
        self.frozen[l]
    }

    /// `P v`: sets the frozen coordinates of every column to 0.
    fn project(&self, v: &mut DMatrix<T>) {
        for v in columns_mut(v.as_mut_slice(), self.frozen.len()) {
            project(&self.frozen, v);
        }
    }

    /// Takes the scratch field, with the values `P v`.
    fn projected(&mut self, v: &DMatrix<T>) -> DMatrix<T> {
        let mut field = std::mem::replace(&mut self.field, DMatrix::zeros(0, 0));
        if field.shape() == v.shape() {
            field.copy_from(v);
        } else {
            field = v.clone();
        }
        self.project(&mut field);
        field
    }
}

/// Sets the frozen coordinates of a vector to 0.
fn project<T: Real>(frozen: &[bool], v: &mut [T]) {
    for (v, _) in v.iter_mut().zip(frozen).filter(|&(_, &frozen)| frozen) {
        *v = T::zero();
    }
}

impl<T: Real, E: Energy<T>> Energy<T> for Frozen<E, T> {
    fn particle_dim(&self) -> usize {
        self.frozen.len()
    }

    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        self.energy.value(mu)
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        assert_velocity(self.frozen.len(), mu, out);
        let value = self.energy.velocity(mu, out);
        self.project(out);
        value
    }

    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        assert_first_variation(self.frozen.len(), mu, at, values, descent);
        let value = self.energy.first_variation(mu, at, values, descent)?;
        self.project(descent);
        Some(value)
    }

    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        out: &mut DMatrix<T>,
    ) -> Option<()> {
        assert_curvature(self.frozen.len(), mu, v, out);
        let field = self.projected(v);
        let result = self.energy.curvature(mu, &field, out);
        self.field = field;
        self.project(out);
        result
    }

    fn hessians(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        remainder: &mut [T],
        included: &mut [T],
    ) -> Option<()> {
        let p = self.frozen.len();
        assert_hessians(p, mu, remainder, included);
        self.energy.hessians(mu, remainder, included)?;
        for part in [remainder, included] {
            for (c, column) in columns_mut(part, p).enumerate() {
                if self.frozen[c % p] {
                    column.fill(T::zero());
                } else {
                    project(&self.frozen, column);
                }
            }
        }
        Some(())
    }

    /// The kinks of F with the normals `P n`, without those whose normal is 0.
    ///
    /// Displacements of the coordinates that are not frozen do not cross a kink with `P n = 0`.
    fn breakpoints(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        margin: T,
        visit: &mut dyn FnMut(&Breakpoint<'_, T>),
    ) {
        assert_breakpoints(self.frozen.len(), mu, v);
        let field = self.projected(v);
        let Self {
            energy,
            frozen,
            normal,
            ..
        } = self;
        energy.breakpoints(mu, &field, margin, &mut |breakpoint| {
            normal.copy_from_slice(breakpoint.normal);
            project(frozen, normal);
            if normal.iter().any(|&n| n != T::zero()) {
                visit(&Breakpoint {
                    normal,
                    ..*breakpoint
                });
            }
        });
        self.field = field;
    }

    fn relax(&mut self, at: Option<(&EmpiricalMeasure<T>, T)>) -> Option<T> {
        self.energy.relax(at)
    }

    fn inner(&mut self, mu: &EmpiricalMeasure<T>, u: &DMatrix<T>, v: &DMatrix<T>) -> T {
        self.energy.inner(mu, u, v)
    }

    fn ranks(&mut self) -> Option<&mut dyn AllReduce<T>> {
        self.energy.ranks()
    }

    fn sample_ranks(&mut self) -> Option<&mut dyn AllReduce<T>> {
        self.energy.sample_ranks()
    }

    fn refresh(&mut self, step: usize) -> bool {
        self.energy.refresh(step)
    }

    /// The check of the energy, whose particles must have as many coordinates as at construction.
    fn check(&self) -> Result<(), EnergyError> {
        let p = self.energy.particle_dim();
        ShapeError::check("dimension of the particles", self.frozen.len(), p)?;
        self.energy.check()
    }

    fn check_measure(&self, mu: &EmpiricalMeasure<T>) -> Result<(), EnergyError> {
        self.energy.check_measure(mu)
    }
}
