//! Optimal couplings with their dual certificate.

use nalgebra::{DMatrix, DVector};

use super::TransportError;
use super::evaluation::{Primal, dual_value, gap, rounded_up};
use super::masses::Mass;
use super::plan::Solution;
use super::potentials::{in_units_of, potentials};
use super::problem::{Problem, WarmStart};
use super::solve::solve;
use crate::error::ParameterError;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, real, to_f64};

/// The quantum of mass relative to the total mass, with a factor of 2 for the remainder.
const QUANTUM: f64 = 1.0 / (1_u128 << 118) as f64;

/// Weights of which the largest exceeds the least by at most this many roundings of the scalar are
/// replaced by equal ones, for which the problem is much easier. The difference is in the gap.
const EQUAL: f64 = 2.0;
/// The difference is negligible if the gap is below this multiple of the cost.
const NEGLIGIBLE: f64 = 1e-12;
/// The same in roundings of the scalar.
const NEGLIGIBLE_ROUNDINGS: f64 = 64.0;

/// An optimal coupling `pi` of `mu = sum_i a_i delta(x_i)` and `nu = sum_j b_j delta(y_j)` for the
/// cost `|x - y|^p`.
///
/// It holds a certificate of optimality: dual potentials with `phi_i + psi_j <= |x_i - y_j|^p` for
/// all i, j in exact arithmetic. Their value `sum_i a_i phi_i + sum_j b_j psi_j` is a lower bound
/// on the cost of every coupling, and [`gap`](Self::gap) bounds the difference of the two values.
/// The gap of an optimal plan consists of rounding errors, relative to the costs and potentials of
/// the atoms with mass.
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
    distance: T,
    gap: T,
    p: T,
}

impl<T: Real> Coupling<T> {
    /// The optimal coupling for the cost `|x - y|^p`; `near` is a coupling of as many atoms to
    /// start from.
    pub(super) fn optimal(
        mu: &EmpiricalMeasure<T>,
        nu: &EmpiricalMeasure<T>,
        p: f64,
        near: Option<&Self>,
    ) -> Result<Self, TransportError> {
        let mut problem = Problem::new(mu, nu, p, EQUAL)?;
        let coupling = Self::solved(&mut problem, near);
        let negligible = NEGLIGIBLE.max(NEGLIGIBLE_ROUNDINGS * to_f64(epsilon::<T>()));
        if problem.is_equalised && to_f64(coupling.gap) > negligible * to_f64(coupling.cost) {
            problem = Problem::new(mu, nu, p, 0.0)?;
            return Ok(Self::solved(&mut problem, near));
        }
        Ok(coupling)
    }

    fn solved(problem: &mut Problem, near: Option<&Self>) -> Self {
        let start = near.map(|near| {
            let (u, v) = in_units_of(problem, &near.phi, &near.psi);
            let arcs = problem.arcs(&near.plan);
            WarmStart { arcs, u, v }
        });
        let solution = solve(problem, start);
        Self::from_solution(problem, &solution)
    }

    /// The solution of a problem in terms of the atoms and units of the measures.
    fn from_solution(problem: &Problem, solution: &Solution) -> Self {
        let entry = |&(r, s, mass): &(usize, usize, Mass)| {
            let mass = mass as f64 * problem.quantum;
            (problem.rows[r], problem.columns[s], real(mass))
        };
        let mut plan: Vec<(usize, usize, T)> = solution.plan.iter().map(entry).collect();
        plan.sort_unstable_by_key(|&(i, j, _)| (i, j));
        let (phi, psi) = potentials(problem, solution);
        let primal = Primal::new::<T>(problem, solution);
        let dual = dual_value(problem, &phi, &psi);
        let cost: T = real(primal.cost);
        let gap = gap(primal.upper.max(to_f64(cost)), dual);
        Self {
            plan,
            phi,
            psi,
            cost,
            distance: real(primal.distance),
            gap: rounded_up(gap),
            p: real(problem.power.p),
        }
    }

    /// The optimal coupling of other measures for the same p, with a warm start from this coupling.
    ///
    /// A warm start is faster if the measures are near those coupled here, for instance after a
    /// step of a flow. The solver stops at the same optimality conditions as from a cold start, but
    /// possibly at another optimal plan.
    ///
    /// - Other numbers of atoms, or potentials that are not finite: the start is cold.
    /// - Equal weights: if the assignment is not optimal after 64 scans a row, the start is cold.
    /// - Other weights: the network simplex method starts from the previous plan and prices. After
    ///   16
    ///   pivots an atom, the start is cold.
    ///
    /// # Errors
    /// Those of [`w2`](super::w2).
    ///
    /// # Cost
    /// At least one pass over all `n m d` differences.
    pub fn update(
        &self,
        mu: &EmpiricalMeasure<T>,
        nu: &EmpiricalMeasure<T>,
    ) -> Result<Self, TransportError> {
        let near = (self.phi.len() == mu.len() && self.psi.len() == nu.len()).then_some(self);
        Self::optimal(mu, nu, to_f64(self.p), near)
    }

    /// McCann's displacement interpolation `mu_t = sum_ij pi_ij delta((1 - t) x_i + t y_j)` from mu
    /// (t = 0) to nu (t = 1).
    ///
    /// For p > 1 it is a geodesic: `W_p(mu_s, mu_t) = |t - s| W_p(mu, nu)` for s, t in \[0, 1\].
    /// `mu` and `nu` are the measures that this coupling was computed for. The atoms of `mu_t` are
    /// the entries of the [`plan`](Self::plan), in its order, and have their masses. The ends are
    /// therefore mu and nu up to the accuracy of the plan: atoms are split, and those that are
    /// lighter than 2^-120 of the mass, or of weight 0, may have no entry.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    ///
    /// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(1, 2, &[0.0, 1.0]))?;
    /// let nu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(1, 2, &[6.0, 4.0]))?;
    /// let coupling = transport::w2(&mu, &nu)?;
    /// // 0 moves to 4, and 1 to 6.
    /// let middle = coupling.interpolate(&mu, &nu, 0.5)?;
    /// assert_eq!(middle.points().as_slice(), &[2.0, 3.5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// - [`TransportError::Parameter`] if t is not finite.
    /// - [`TransportError::Dimension`] if `mu` and `nu` have different dimensions.
    /// - [`TransportError::Uncoupled`] if the numbers of atoms are not those of the coupled
    ///   measures, or if a weight is not that of the plan up to its accuracy.
    /// - [`TransportError::Measure`] if `mu` or `nu` is invalid, or if a point of `mu_t` overflows.
    ///
    /// Source: R. J. McCann, A convexity principle for interacting gases, Adv. Math. 128 (1997).
    pub fn interpolate(
        &self,
        mu: &EmpiricalMeasure<T>,
        nu: &EmpiricalMeasure<T>,
        t: T,
    ) -> Result<EmpiricalMeasure<T>, TransportError> {
        ParameterError::check(t.is_finite(), "t", "finite", to_f64(t))?;
        if mu.dim() != nu.dim() {
            return Err(TransportError::Dimension {
                mu: mu.dim(),
                nu: nu.dim(),
            });
        }
        mu.check()?;
        nu.check()?;
        self.check_marginals(mu, nu)?;
        let points = self.plan.iter().flat_map(|&(i, j, _)| {
            let pairs = mu.particle(i).iter().zip(nu.particle(j));
            pairs.map(move |(&x, &y)| x * (T::one() - t) + y * t)
        });
        let points = DMatrix::from_iterator(mu.dim(), self.plan.len(), points);
        let weights =
            DVector::from_iterator(self.plan.len(), self.plan.iter().map(|entry| entry.2));
        Ok(EmpiricalMeasure::weighted(points, weights)?)
    }

    /// Checks that the marginals of the plan are the weights of `mu` and `nu`, up to rounding and
    /// the quanta of mass.
    fn check_marginals(
        &self,
        mu: &EmpiricalMeasure<T>,
        nu: &EmpiricalMeasure<T>,
    ) -> Result<(), TransportError> {
        let entries = |side: usize| {
            let plan = self.plan.iter();
            plan.map(move |&(i, j, mass)| (if side == 0 { i } else { j }, mass))
        };
        for (side, (measure, atoms)) in [(mu, self.phi.len()), (nu, self.psi.len())]
            .into_iter()
            .enumerate()
        {
            let uncoupled = |what, expected, found| TransportError::Uncoupled {
                measure: ["mu", "nu"][side],
                what,
                expected,
                found,
            };
            if measure.len() != atoms {
                let (expected, found) = (atoms as f64, measure.len() as f64);
                return Err(uncoupled("number of atoms", expected, found));
            }
            let mut marginal = vec![0.0; atoms];
            for (i, mass) in entries(side) {
                marginal[i] += to_f64(mass);
            }
            let mass: f64 = marginal.iter().sum();
            let count = (self.phi.len() + self.psi.len()) as f64;
            let rounding = 4.0 * count * to_f64(epsilon::<T>());
            for (&found, &expected) in measure.weights().iter().zip(&marginal) {
                let found = to_f64(found);
                let allowed = rounding * expected.max(found) + count * QUANTUM * mass;
                if (found - expected).abs() > allowed {
                    return Err(uncoupled("weight of an atom", expected, found));
                }
            }
        }
        Ok(())
    }

    /// The transport plan: the entries `(i, j, pi_ij)` with `pi_ij > 0`, sorted by i, then j.
    pub fn plan(&self) -> &[(usize, usize, T)] {
        &self.plan
    }

    /// The exponent p.
    pub fn exponent(&self) -> T {
        self.p
    }

    /// The cost `W_p^p = sum_ij pi_ij |x_i - y_j|^p`, rounded to nearest.
    ///
    /// It overflows to infinity or underflows to 0 if it is outside the range of `T`;
    /// [`distance`](Self::distance) does not.
    pub fn cost(&self) -> T {
        self.cost
    }

    /// The distance `W_p`, representable whenever its value is: it is computed in units of the
    /// longest distance of the plan.
    pub fn distance(&self) -> T {
        self.distance
    }

    /// The squared distance `W_p^2`, for p = 2 without the rounding of a root.
    ///
    /// It may overflow or underflow, as [`cost`](Self::cost).
    pub fn squared_distance(&self) -> T {
        if self.p == real(2.0) {
            self.cost
        } else {
            self.distance * self.distance
        }
    }

    /// The Kantorovich potentials `(phi, psi)`, one value for each atom, including atoms of weight
    /// zero, in units of the cost. They may overflow or underflow if the largest cost does.
    ///
    /// Dual feasibility `phi_i + psi_j <= |x_i - y_j|^p` holds in exact arithmetic, since the
    /// potentials are rounded down. Complementary slackness, equality where `pi_ij > 0`, holds up
    /// to 1e-10 of the cost and the potentials, and usually up to rounding.
    pub fn potentials(&self) -> (&[T], &[T]) {
        (&self.phi, &self.psi)
    }

    /// An upper bound of the duality gap
    /// `sum_ij pi_ij |x_i - y_j|^p - sum_i a_i phi_i - sum_j b_j psi_j` for the returned
    /// potentials.
    ///
    /// It includes all rounding errors: of the costs, of the potentials to `T`, and of the masses.
    /// Thus `W_p^p >= cost - gap` in exact arithmetic for the given measures, of which the lighter
    /// is scaled to the mass of the other. Infinite if the cost or a potential overflows.
    pub fn gap(&self) -> T {
        self.gap
    }
}
