//! Half the squared 2-Wasserstein distance to a target, by exact transport.

use nalgebra::DMatrix;

use super::distinct::Distinct;
use super::{check_measure, check_target};
use crate::energy::Energy;
use crate::error::{EnergyError, MeasureError, assert_size};
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::{column, column_mut, columns};
use crate::real::{Real, real};
use crate::transport::{Coupling, w2};

/// Half the squared 2-Wasserstein distance to a target measure `nu` of the same mass:
/// `F(mu) = W_2^2(mu, nu) / 2`, by an exact optimal plan.
///
/// The velocity is that of the barycentric projection, `v_i = sum_j pi_ij y_j / c_i - w_i`. It is
/// minus the gradient of F where the optimal plan is unique, which holds for almost all positions;
/// elsewhere F has a kink. The flow is the geodesic of McCann,
/// `w_i(t) = T_i + e^{-t} (w_i(0) - T_i)`, as long as the plan assigns each particle to one atom
/// `T_i`, and `W_2^2` decays as `e^{-2 t}`. With other weights the plan splits the mass of a
/// particle. A particle of weight 0 moves to the atom of the optimal potential.
///
/// The first variation is the Kantorovich potential, up to the constant that equal masses leave
/// free: `F'(mu)(w) = min_j (|w - y_j|^2 - psi_j) / 2`.
///
/// Particles at one point are coupled as one, so that F and v depend on the measure only. A
/// measure of other mass or dimension is an error of the flow; [`value`](Energy::value) is NaN.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
/// use wasserflow::transport::W2Energy;
///
/// let target = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 2, &[4.0, 6.0]))?;
/// let start = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 2, &[1.0, 0.0]))?;
/// let mut flow = ParticleFlow::new(W2Energy::new(target)?, Euler, 0.5)?;
/// let mut state = flow.start(start)?;
/// assert_eq!(state.energy(), (16.0 + 25.0) / 4.0); // 0 to 4 and 1 to 6
/// flow.advance(&mut state)?;
/// assert_eq!(state.measure().points().as_slice(), &[3.5, 2.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Resume
/// The plan of the last evaluation is the warm start of the next. If several plans are optimal, or
/// within rounding of the optimum, a run that resumes in another process may choose another one;
/// otherwise it continues bit for bit.
///
/// # Cost
/// That of [`Coupling::update`] an evaluation; it allocates. On ranks:
/// [`Gathered`](crate::energy::Gathered).
///
/// Source: R. J. McCann, A convexity principle for interacting gases, 1997; L. Ambrosio, N. Gigli
/// and G. Savare, Gradient flows, 2005, chapter 10.
#[derive(Debug, Clone)]
pub struct W2Energy<T> {
    target: EmpiricalMeasure<T>,
    /// The coupling of the last evaluation.
    coupling: Option<Coupling<T>>,
}

impl<T: Real> W2Energy<T> {
    /// The energy with the target measure `nu = target`.
    ///
    /// # Errors
    /// [`MeasureError`] if the target is not valid or has no mass.
    pub fn new(target: EmpiricalMeasure<T>) -> Result<Self, MeasureError> {
        check_target(&target)?;
        let coupling = None;
        Ok(Self { target, coupling })
    }

    /// The target `nu`.
    pub fn target(&self) -> &EmpiricalMeasure<T> {
        &self.target
    }

    /// The optimal coupling of the last evaluation, in which particles at one point are one atom;
    /// `None` before the first evaluation, and after a failed one.
    pub fn coupling(&self) -> Option<&Coupling<T>> {
        self.coupling.as_ref()
    }

    /// Couples the distinct points of `mu` and the target; returns F, NaN if that fails.
    fn couple(&mut self, points: &Distinct<T>) -> T {
        let mu = &points.measure;
        let coupling = match self.coupling.take() {
            Some(near) => near.update(mu, &self.target),
            None => w2(mu, &self.target),
        };
        self.coupling = coupling.ok();
        let cost = self.coupling.as_ref().map(Coupling::squared_distance);
        cost.map_or(real(f64::NAN), |cost| cost * real(0.5))
    }

    /// The atom j that minimises `|w - y_j|^2 - psi_j`, and the minimum.
    fn potential(&self, w: &[T], psi: &[T]) -> (usize, T) {
        let mut best = (0, real(f64::INFINITY));
        for (j, &psi) in psi.iter().enumerate() {
            let y = self.target.particle(j);
            let square = w
                .iter()
                .zip(y)
                .fold(T::zero(), |sum, (&w, &y)| sum + (w - y) * (w - y));
            if square - psi < best.1 {
                best = (j, square - psi);
            }
        }
        best
    }
}

impl<T: Real> Energy<T> for W2Energy<T> {
    fn particle_dim(&self) -> usize {
        self.target.dim()
    }

    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        assert_size(
            "particle dimension of the measure",
            self.target.dim(),
            mu.dim(),
        );
        self.couple(&Distinct::new(mu))
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        assert_size(
            "particle dimension of the measure",
            self.target.dim(),
            mu.dim(),
        );
        assert_size("shape of the velocities", mu.points().shape(), out.shape());
        let distinct = Distinct::new(mu);
        let value = self.couple(&distinct);
        let Some(coupling) = &self.coupling else {
            out.fill(real(f64::NAN));
            return value;
        };
        let points = &distinct.measure;
        let mut field = DMatrix::zeros(points.dim(), points.len());
        // Differences are summed, not atoms: a particle at its atom has the velocity 0.
        for &(i, j, mass) in coupling.plan() {
            let share = mass / points.weight(i);
            let pairs = points.particle(i).iter().zip(self.target.particle(j));
            for (v, (&w, &y)) in column_mut(&mut field, i).iter_mut().zip(pairs) {
                *v += share * (y - w);
            }
        }
        let (_, psi) = coupling.potentials();
        for i in 0..points.len() {
            if points.weight(i) == T::zero() {
                let (j, _) = self.potential(points.particle(i), psi);
                let pairs = points.particle(i).iter().zip(self.target.particle(j));
                for (v, (&w, &y)) in column_mut(&mut field, i).iter_mut().zip(pairs) {
                    *v = y - w;
                }
            }
        }
        for (i, &of) in distinct.of.iter().enumerate() {
            column_mut(out, i).copy_from_slice(column(&field, of));
        }
        value
    }

    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        let p = self.target.dim();
        assert_size("particle dimension of the measure", p, mu.dim());
        assert_size("dimension of the points", p, at.nrows());
        assert_size("number of values", at.ncols(), values.len());
        assert_size(
            "shape of the descent directions",
            at.shape(),
            descent.shape(),
        );
        let value = self.couple(&Distinct::new(mu));
        let psi = self
            .coupling
            .as_ref()
            .map(|coupling| coupling.potentials().1);
        let Some(psi) = psi else {
            values.fill(value);
            descent.fill(value);
            return Some(value);
        };
        for (i, w) in columns(at.as_slice(), p).enumerate() {
            let (j, potential) = self.potential(w, psi);
            values[i] = potential * real(0.5);
            let pairs = w.iter().zip(self.target.particle(j));
            for (v, (&w, &y)) in column_mut(descent, i).iter_mut().zip(pairs) {
                *v = y - w;
            }
        }
        Some(value)
    }

    fn check_measure(&self, mu: &EmpiricalMeasure<T>) -> Result<(), EnergyError> {
        check_measure(mu, &self.target)
    }
}
