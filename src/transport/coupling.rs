//! An optimal coupling with its certificate.

use nalgebra::{DMatrix, DVector};

use super::cost::{power, squared_distance};
use super::problem::Problem;
use super::{TransportError, couple};
use crate::error::MeasureError;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, real, to_f64};

/// An optimal coupling `pi` of `mu = sum_i a_i delta(x_i)` and `nu = sum_j b_j delta(y_j)` for the cost `|x - y|^p`.
///
/// It carries its proof of optimality: potentials with `phi_i + psi_j <= |x_i - y_j|^p` for all i, j, so that
/// `sum_i a_i phi_i + sum_j b_j psi_j` bounds the cost of every coupling from below; [`gap`](Self::gap) is what is left
/// between the two, which is rounding.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[0.0, 0.0, 4.0, 0.0]))?;
/// let nu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[4.0, 1.0, 0.0, 3.0]))?;
/// let coupling = transport::w2(&mu, &nu)?;
/// assert_eq!(coupling.plan(), &[(0, 1, 0.5), (1, 0, 0.5)]);
/// assert_eq!(coupling.squared_distance(), 5.0); // (9 + 1) / 2
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Coupling<T> {
    plan: Vec<(usize, usize, T)>,
    phi: Vec<T>,
    psi: Vec<T>,
    cost: T,
    gap: T,
    p: T,
}

impl<T: Real> Coupling<T> {
    /// Takes a solution back to the measures' own units. `plan` is `(row, column, mass)`, prices are `u`, `v`.
    pub(super) fn new(
        problem: &Problem,
        mu: &EmpiricalMeasure<T>,
        nu: &EmpiricalMeasure<T>,
        plan: &[(usize, usize, i64)],
        u: &[f64],
        v: &[f64],
    ) -> Self {
        let Problem { x, y, p, unit, .. } = problem;
        let value = |mass: &[i64], u: &[f64]| -> f64 {
            mass.iter().zip(u).map(|(&c, u)| c as f64 * unit * u).sum()
        };
        let dual = value(&x.mass, u) + value(&y.mass, v);
        let (mut primal, mut cost) = (0.0, 0.0);
        let mut named: Vec<(usize, usize, T)> = Vec::with_capacity(plan.len());
        for &(r, s, mass) in plan {
            let (i, j) = (problem.rows[r], problem.columns[s]);
            let mass = mass as f64 * unit;
            primal += mass * power(squared_distance(problem.row(r), problem.column(s)), *p);
            cost += mass * power(squared_distance(mu.particle(i), nu.particle(j)), *p);
            named.push((i, j, real(mass)));
        }
        named.sort_unstable_by_key(|&(i, j, _)| (i, j));
        let (phi, psi) = problem.potentials(mu, nu, u, v);
        let gap = (primal - dual).max(0.0) * problem.scale.powf(*p);
        Self {
            plan: named,
            phi,
            psi,
            cost: real(cost),
            gap: real(gap),
            p: real(*p),
        }
    }

    /// The optimal coupling, for the same p, of measures near those that this one couples: after a step of a flow, say.
    ///
    /// Exact from any start: plan and potentials only make it faster, which needs as many atoms as there were.
    ///
    /// # Errors
    /// Those of [`w2`](super::w2).
    pub fn update(
        &self,
        mu: &EmpiricalMeasure<T>,
        nu: &EmpiricalMeasure<T>,
    ) -> Result<Self, TransportError> {
        let near = (self.phi.len() == mu.len() && self.psi.len() == nu.len()).then_some(self);
        couple(mu, nu, to_f64(self.p), near)
    }

    /// The measure `sum_ij pi_ij delta((1 - t) x_i + t y_j)` on the way from mu (t = 0) to nu (t = 1), of the measures
    /// that this couples: McCann's displacement interpolation, for p > 1 a geodesic,
    /// `W_p(mu_s, mu_t) = |t - s| W_p(mu, nu)`.
    ///
    /// # Errors
    /// [`MeasureError`] when t is not finite, or the measures have other shapes than those coupled.
    pub fn interpolate(
        &self,
        mu: &EmpiricalMeasure<T>,
        nu: &EmpiricalMeasure<T>,
        t: T,
    ) -> Result<EmpiricalMeasure<T>, MeasureError> {
        let found = [mu.len(), nu.len()];
        for (expected, found) in [self.phi.len(), self.psi.len()].into_iter().zip(found) {
            if expected != found {
                return Err(MeasureError::Weights { expected, found });
            }
        }
        let points = self.plan.iter().flat_map(|&(i, j, _)| {
            let pairs = mu.particle(i).iter().zip(nu.particle(j));
            pairs.map(move |(&x, &y)| x * (T::one() - t) + y * t)
        });
        let points = DMatrix::from_iterator(mu.dim(), self.plan.len(), points);
        let weights =
            DVector::from_iterator(self.plan.len(), self.plan.iter().map(|entry| entry.2));
        EmpiricalMeasure::weighted(points, weights)
    }

    /// The plan: `(i, j, pi_ij)` with `pi_ij > 0`, by i, then j.
    pub fn plan(&self) -> &[(usize, usize, T)] {
        &self.plan
    }

    /// The exponent p.
    pub fn exponent(&self) -> T {
        self.p
    }

    /// The cost `W_p^p = sum_ij pi_ij |x_i - y_j|^p`.
    pub fn cost(&self) -> T {
        self.cost
    }

    /// The distance `W_p`.
    pub fn distance(&self) -> T {
        if self.p == real(2.0) {
            self.cost.sqrt()
        } else {
            self.cost.powf(T::one() / self.p)
        }
    }

    /// The squared distance `W_p^2`; for p = 2 the cost itself.
    pub fn squared_distance(&self) -> T {
        if self.p == real(2.0) {
            self.cost
        } else {
            self.distance() * self.distance()
        }
    }

    /// The Kantorovich potentials `(phi, psi)`, one number an atom, of weight zero or not:
    /// `phi_i + psi_j <= |x_i - y_j|^p`, with equality where `pi_ij > 0`, up to rounding.
    pub fn potentials(&self) -> (&[T], &[T]) {
        (&self.phi, &self.psi)
    }

    /// The optimality gap `sum_ij pi_ij |x_i - y_j|^p - sum_i a_i phi_i - sum_j b_j psi_j >= 0`, as found in f64.
    pub fn gap(&self) -> T {
        self.gap
    }
}
