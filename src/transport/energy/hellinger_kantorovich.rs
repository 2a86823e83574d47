//! Half the squared Hellinger-Kantorovich distance to a target.

use nalgebra::DMatrix;

use super::check_target;
use super::distinct::Distinct;
use crate::energy::Energy;
use crate::error::{EnergyError, MeasureError, ShapeError, assert_size};
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::{column, column_mut, norm};
use crate::real::{Real, real, to_f64};

mod interior_point;
mod small_weights;
mod variation;
mod vertex;

use interior_point::{Solution, solve};

/// Half the squared Hellinger-Kantorovich (Wasserstein-Fisher-Rao) distance to a target measure
/// `nu`: `F(mu) = HK^2(mu, nu) / 2`. The masses may differ.
///
/// `HK^2 = min_P KL(P 1 | mu) + KL(P^T 1 | nu) + int c dP` over plans P of any mass, with the cost
/// `c = -2 log cos(min(|w - y|, pi/2))`: mass is not transported as far as `pi/2`, but created and
/// removed. [`gaussian`](Self::gaussian) is the variant with the cost `|w - y|^2`. For unit masses
/// `HK^2(a d_x, b d_y) = a + b - 2 (a b)^(1/2) cos(min(|x - y|, pi/2))`, or with
/// `exp(-|x - y|^2 / 2)` in place of the cosine.
///
/// The first variation is `F'(mu)(w) = (1 - e^(-phi(w))) / 2` with the optimal potential
/// `phi(w) = min_j c(w, y_j) - psi_j`, and the velocity is that of the plan,
/// `v_i = -(1/2) sum_j P_ij grad c(w_i, y_j) / c_i`: minus the gradient of F where the optimal plan
/// is unique, which holds for almost all positions; elsewhere F has a kink. At a particle whose mass is
/// divided between points of the target it is F' that has a kink, and the descent direction of the first
/// variation is the velocity. At points without mass it is that of the minimum over j; of several minima
/// (up to rounding) it is the mean of their directions by the mass that the points `y_j` receive.
///
/// The flow of [`Conic`](crate::integrator::Conic)`(1, 1)` is the gradient flow in the geometry of HK itself, and
/// for HK the geodesic to `nu` at `s = 1 - e^(-t)`, `HK^2` decaying as `e^(-2 t)`.
///
/// # Laws
/// `F >= 0`, and `F = 0` for `mu = nu` up to rounding; `F(s mu)` with the target `s nu` is `s F`; F is
/// symmetric in the two measures; `2 F <= M + M'` of the masses; HK is a metric (not its Gaussian
/// variant). Particles at one point are transported as one, so that F and v depend on the measure
/// only. If a part of the target is farther than `pi/2` from all particles, `F'(mu) = -inf` at the
/// points within `pi/2` of that part. Weights below 1e-32 of the largest count as 0, which changes F
/// by less than its rounding error: such particles move by the potential.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
/// use wasserflow::transport::HellingerKantorovichEnergy;
///
/// let dirac = |x: f64, mass| {
///     EmpiricalMeasure::weighted(DMatrix::from_element(1, 1, x), DVector::from_element(1, mass))
/// };
/// let mut energy = HellingerKantorovichEnergy::new(dirac(0.8, 2.0)?)?;
/// let square = 2.0 * energy.value(&dirac(0.0, 1.0)?);
/// assert!((square - (3.0 - 8.0_f64.sqrt() * f64::cos(0.8))).abs() < 1e-13);
/// assert_eq!(2.0 * energy.value(&dirac(3.0, 1.0)?), 3.0); // farther than pi/2
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Accuracy
/// The plan is computed in double precision by an interior-point method, until the duality gap is
/// 1e-14 of F at the scale of the masses, or as small as rounding permits; [`gap`](Self::gap) is that
/// of the last evaluation. Every evaluation starts anew: F is a function of `mu` alone, so that runs
/// resume bit for bit.
///
/// The plan is then moved to a forest of pairs, of which potentials and entries are accurate to
/// rounding, if one is found that is optimal. Velocities are then accurate for weights of any
/// smallness, and for points that are nearly as close to one point of the target as to another. On
/// clouds of up to three points, of diameters 1e-6 to 3 and weights 1e-40 to 1, their errors were below
/// 1e-12. Where the plan is not unique, or the mass of a small weight is divided, the velocities are
/// those of the interior-point method, whose relative error is about `1e-14 (mass / weight)^(1/2)` over
/// the differences of the costs.
///
/// # Cost
/// For m distinct particles and m' points of the target, 11 to 69 steps of
/// `O(m m' min(m, m') + min(m, m')^3)` operations, and memory `O(m m')`: for some hundred atoms. It
/// allocates. On ranks: [`Gathered`](crate::energy::Gathered).
///
/// Source: M. Liero, A. Mielke and G. Savare, Optimal entropy-transport problems and a new
/// Hellinger-Kantorovich distance between positive measures, 2018; L. Chizat, G. Peyre, B. Schmitzer
/// and F.-X. Vialard, An interpolating distance between optimal transport and Fisher-Rao metrics,
/// 2018.
#[derive(Debug, Clone)]
pub struct HellingerKantorovichEnergy<T> {
    target: EmpiricalMeasure<T>,
    cost: Cost,
    /// The points of the target with weights that are not negligible.
    atoms: Vec<usize>,
    gap: T,
}

/// The weight relative to the largest one up to which a point counts as one of weight 0. Mass c
/// changes F by `(c M)^(1/2)` at most, and the method does not converge for ratios of 1e-100.
const NEGLIGIBLE: f64 = 1e-32;

/// The points of a measure with weights that are not negligible.
fn massive<T: Real>(mu: &EmpiricalMeasure<T>) -> Vec<usize> {
    let weight = |i: usize| to_f64(mu.weight(i));
    let largest = (0..mu.len()).map(weight).fold(0.0, f64::max);
    (0..mu.len())
        .filter(|&i| weight(i) > NEGLIGIBLE * largest)
        .collect()
}

/// The cost c of a distance D.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cost {
    /// `-2 log cos(min(D, pi/2))`.
    Conic,
    /// `D^2`.
    Square,
}

impl Cost {
    /// The cost of a distance.
    fn value(self, distance: f64) -> f64 {
        match self {
            Self::Square => distance * distance,
            Self::Conic if distance < std::f64::consts::FRAC_PI_2 => {
                // Each form is accurate where the other one is not: near 0 and near pi/2.
                let square = distance.sin().powi(2);
                if square < 0.5 {
                    -(-square).ln_1p()
                } else {
                    -2.0 * distance.cos().ln()
                }
            }
            Self::Conic if distance.is_nan() => distance,
            Self::Conic => f64::INFINITY,
        }
    }

    /// The factor of `w - y` in the gradient of the cost, `c'(D) / D`.
    fn slope(self, distance: f64) -> f64 {
        match self {
            Self::Conic if distance > 0.0 => 2.0 * distance.tan() / distance,
            _ => 2.0,
        }
    }
}

/// The plan of one evaluation, between the distinct points and the atoms.
struct Plan<T> {
    distinct: Distinct<T>,
    /// The distinct points with weights that are not negligible, in increasing order.
    points: Vec<usize>,
    /// The square roots of both masses.
    roots: [f64; 2],
    /// `None` without mass.
    solution: Option<Solution>,
}

impl<T: Real> HellingerKantorovichEnergy<T> {
    /// The energy `HK^2 / 2` with the target measure `nu = target`.
    ///
    /// # Errors
    /// [`MeasureError`] if the target is not valid or has no mass.
    pub fn new(target: EmpiricalMeasure<T>) -> Result<Self, MeasureError> {
        Self::with_cost(target, Cost::Conic)
    }

    /// Half the square of the Gaussian Hellinger-Kantorovich distance, of the cost `|w - y|^2`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn gaussian(target: EmpiricalMeasure<T>) -> Result<Self, MeasureError> {
        Self::with_cost(target, Cost::Square)
    }

    fn with_cost(target: EmpiricalMeasure<T>, cost: Cost) -> Result<Self, MeasureError> {
        check_target(&target)?;
        let atoms = massive(&target);
        Ok(Self {
            target,
            cost,
            atoms,
            gap: T::zero(),
        })
    }

    /// The target `nu`.
    pub fn target(&self) -> &EmpiricalMeasure<T> {
        &self.target
    }

    /// The duality gap of the last evaluation: F of that measure is at most this much below the
    /// value, up to rounding. 0 before the first evaluation.
    pub fn gap(&self) -> T {
        self.gap
    }

    /// The optimal plan at `mu`: `P_ij` in row i and column j, for particle i and point j of the
    /// target.
    ///
    /// # Panics
    /// If `mu` does not have the dimension of the target.
    pub fn plan(&mut self, mu: &EmpiricalMeasure<T>) -> DMatrix<T> {
        let (_, plan) = self.solve(mu);
        let mut out = DMatrix::zeros(mu.len(), self.target.len());
        let Some(solution) = &plan.solution else {
            return out;
        };
        let scale = plan.roots[0] * plan.roots[1];
        for i in 0..mu.len() {
            let of = plan.distinct.of[i];
            let Ok(row) = plan.points.binary_search(&of) else {
                continue;
            };
            let share = to_f64(mu.weight(i)) / to_f64(plan.distinct.measure.weight(of));
            for (l, &j) in self.atoms.iter().enumerate() {
                out[(i, j)] = real(scale * share * solution.plan[(l, row)]);
            }
        }
        out
    }

    /// F and the plan.
    fn solve(&mut self, mu: &EmpiricalMeasure<T>) -> (T, Plan<T>) {
        let what = "particle dimension of the measure";
        assert_size(what, self.target.dim(), mu.dim());
        let distinct = Distinct::new(mu);
        let nu = &distinct.measure;
        let points = massive(nu);
        let weights = |measure: &EmpiricalMeasure<T>, of: &[usize]| -> (f64, Vec<f64>) {
            let weights: Vec<f64> = of.iter().map(|&i| to_f64(measure.weight(i))).collect();
            let mass: f64 = weights.iter().sum();
            (mass, weights.iter().map(|c| c / mass).collect())
        };
        let ((mass, a), (target_mass, b)) =
            (weights(nu, &points), weights(&self.target, &self.atoms));
        let roots = [mass.sqrt(), target_mass.sqrt()];
        let mut z = vec![0.0; mu.dim()];
        let cost = DMatrix::from_fn(b.len(), a.len(), |j, i| {
            let (w, y) = (nu.particle(points[i]), self.target.particle(self.atoms[j]));
            self.cost.value(distance(w, y, &mut z))
        });
        let is_valid = mass > 0.0 && mass.is_finite() && target_mass.is_finite();
        let solution = is_valid.then(|| solve(&a, &b, &cost));
        let difference = (roots[0] - roots[1]).powi(2);
        let value = match &solution {
            Some(solution) => {
                let [lower, upper] = solution.affinity;
                let scale = roots[0] * roots[1];
                self.gap = real(scale * (upper - lower).max(0.0));
                if lower < 0.5 {
                    0.5 * (mass + target_mass) - scale * lower
                } else {
                    // Without cancellation if the measures are close.
                    0.5 * difference + scale * (1.0 - lower).max(0.0)
                }
            }
            None => {
                self.gap = T::zero();
                0.5 * (mass + target_mass)
            }
        };
        let plan = Plan {
            distinct,
            points,
            roots,
            solution,
        };
        (real(value), plan)
    }
}

/// `|w - y|`, with `w - y` in z.
fn distance<T: Real>(w: &[T], y: &[T], z: &mut [f64]) -> f64 {
    for ((z, &w), &y) in z.iter_mut().zip(w).zip(y) {
        *z = to_f64(w) - to_f64(y);
    }
    norm(z)
}

impl<T: Real> Energy<T> for HellingerKantorovichEnergy<T> {
    fn particle_dim(&self) -> usize {
        self.target.dim()
    }

    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        self.solve(mu).0
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        assert_size("shape of the velocities", mu.points().shape(), out.shape());
        let (value, plan) = self.solve(mu);
        let nu = &plan.distinct.measure;
        let mut field = DMatrix::zeros(nu.dim(), nu.len());
        for i in 0..nu.len() {
            let row = plan.points.binary_search(&i).ok();
            self.variation(&plan, nu.particle(i), row, column_mut(&mut field, i));
        }
        for (i, &of) in plan.distinct.of.iter().enumerate() {
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
        assert_size("dimension of the points", self.target.dim(), at.nrows());
        assert_size("number of values", at.ncols(), values.len());
        assert_size(
            "shape of the descent directions",
            at.shape(),
            descent.shape(),
        );
        let (value, plan) = self.solve(mu);
        for (i, variation) in values.iter_mut().enumerate() {
            let (w, descent) = (column(at, i), column_mut(descent, i));
            let point = plan.distinct.find(w);
            let row = point.and_then(|point| plan.points.binary_search(&point).ok());
            let density = self.variation(&plan, w, row, descent);
            *variation = real(0.5 * (1.0 - density));
        }
        Some(value)
    }

    fn check_measure(&self, mu: &EmpiricalMeasure<T>) -> Result<(), EnergyError> {
        let what = "particle dimension of the measure";
        Ok(ShapeError::check(what, self.target.dim(), mu.dim())?)
    }
}
