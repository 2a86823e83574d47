//! Optimal weights of given particles, a convex problem with non-negativity constraints.
//!
//! Sequential quadratic programming: Newton steps with a finite-difference Hessian, whose quadratic
//! subproblems are solved by the active-set method for non-negative least squares (NNLS) of
//! C. L. Lawson and R. J. Hanson, Solving least squares problems, 1974, chapter 23.

use nalgebra::{DMatrix, DVector};

use super::prune::select;
use crate::energy::Energy;
use crate::error::StepError;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, real, to_f64};

/// Newton steps at most; a quadratic F takes two.
const NEWTON_STEPS: usize = 50;

/// Halvings of a step in the line search: `2^-40` of a Newton step is below the rounding error of
/// F.
const HALVINGS: usize = 40;

/// Attempts to factorise the Hessian, with a shift of the diagonal ten times larger each.
const SHIFTS: i32 = 8;

/// The rounding error of F in units of `eps F`: a sum over samples and particles.
const ROUNDING_UNITS: f64 = 32.0;

/// The relative size of a gradient that is rounding error in the quadratic subproblem.
const GRADIENT_TOLERANCE: f64 = 1e-14;

/// The measure on the particles of `mu` with the optimal weights
/// `c = argmin_{c >= 0} F(sum_i c_i delta(w_i))`.
///
/// `F` is convex in the weights, with `dF/dc_i = F'(mu)(w_i)`. At the minimum `F'(mu)(w_i) = 0`
/// where `c_i > 0`, and `>= 0` where `c_i = 0`. The search starts from the weights of `mu`, which
/// may be 0. Particles of weight 0 are removed from the result; at least one particle is kept,
/// possibly of weight zero.
///
/// For neurons `(a, b)` with weight decay this is the lasso on the features `a sigma(b.x)` with the
/// penalties `lambda (|a|^2 + |b|^2)`. With `(-a, b)` beside `(a, b)` it trains the output layer of
/// a network of fixed features.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// // At x = 1, y = 3: two neurons with h = 1 and the penalties 1 and 17/8.
/// let x = DMatrix::from_element(1, 1, 1.0);
/// let risk = EmpiricalRisk::new(Square, x, DVector::from_element(1, 3.0))?;
/// let decay = WeightDecay::new(0.5)?;
/// let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?.regularized(decay);
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[1.0, 1.0, 0.5, 2.0]))?;
/// let best = sparse::reweigh(&mut energy, &mu)?;
/// assert_eq!((best.len(), best.particle(0)), (1, &[1.0, 1.0][..]));
/// assert!((best.mass() - 2.0_f64).abs() < 1e-12); // c - 3 + 1 = 0
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// - [`StepError::Unsupported`] when the energy does not implement its first variation.
/// - [`StepError::Inner`] when the minimum was not reached; the residual is the predicted decrease
///   of F. It is infinite if the Hessian is zero, as for a loss that is linear near the predictions
///   (`Hinge`, `Quantile`, the tails of `Huber`).
/// - [`StepError::NonFinite`] when `F(mu)` is not finite.
///
/// # Panics
/// When `mu` does not have the dimension of the energy's particles and an index is then out of
/// range.
///
/// # Method
/// Newton steps. The Hessian is computed by finite differences of `F'` along each weight; its
/// quadratic model is minimised over `c >= 0` by the active-set method of Lawson and Hanson; a
/// backtracking line search accepts only decreases of F. Cost: 2 m first variations and `O(m^3)` a
/// step. The energy must hold all particles: ranks are not supported.
///
/// Source: C. L. Lawson and R. J. Hanson, Solving least squares problems, 1974, chapter 23.
pub fn reweigh<T: Real, E: Energy<T> + ?Sized>(
    energy: &mut E,
    mu: &EmpiricalMeasure<T>,
) -> Result<EmpiricalMeasure<T>, StepError> {
    let mut problem = WeightProblem::separate(energy, mu.clone())?;
    let residual = problem.minimise(NEWTON_STEPS);
    if residual <= problem.rounding() {
        Ok(problem.into_support())
    } else {
        Err(StepError::Inner {
            iterations: NEWTON_STEPS,
            residual,
        })
    }
}

/// `F` as a function of factors `z >= 0`, one for each group of particles: `c_i = z_g c_i^0` for i
/// in the group g.
pub(super) struct WeightProblem<'a, T, E: ?Sized> {
    energy: &'a mut E,
    mu: EmpiricalMeasure<T>,
    /// The weights `c_i^0`.
    base: Vec<T>,
    /// The group of each particle.
    group: Vec<usize>,
    z: Vec<T>,
    value: T,
    /// `dF/dz_g = sum_{i in g} c_i^0 F'(mu)(w_i)`.
    gradient: Vec<T>,
    /// `F'(mu)(w_i)`.
    variation: Vec<T>,
    /// `-grad F'(mu)(w_i)`, which the first variation computes as well.
    descent: DMatrix<T>,
}

impl<'a, T: Real, E: Energy<T> + ?Sized> WeightProblem<'a, T, E> {
    /// Every particle is a group.
    pub(super) fn separate(energy: &'a mut E, mu: EmpiricalMeasure<T>) -> Result<Self, StepError> {
        let (m, z) = (mu.len(), mu.weights().to_vec());
        Self::new(energy, mu, vec![T::one(); m], (0..m).collect(), z)
    }

    /// The particles before `first` are one group, and each other particle is a group of unit base
    /// weight.
    pub(super) fn common_factor(
        energy: &'a mut E,
        mu: EmpiricalMeasure<T>,
        first: usize,
    ) -> Result<Self, StepError> {
        let base = |i: usize| if i < first { mu.weight(i) } else { T::one() };
        let base = (0..mu.len()).map(base).collect();
        let group = |i: usize| (i + 1).saturating_sub(first);
        let group = (0..mu.len()).map(group).collect();
        let others = mu.weights()[first..].iter().copied();
        let z = std::iter::once(T::one()).chain(others).collect();
        Self::new(energy, mu, base, group, z)
    }

    fn new(
        energy: &'a mut E,
        mu: EmpiricalMeasure<T>,
        base: Vec<T>,
        group: Vec<usize>,
        z: Vec<T>,
    ) -> Result<Self, StepError> {
        let (p, m) = mu.points().shape();
        let mut problem = Self {
            energy,
            mu,
            base,
            group,
            value: T::zero(),
            gradient: vec![T::zero(); z.len()],
            z,
            variation: vec![T::zero(); m],
            descent: DMatrix::zeros(p, m),
        };
        problem.value = problem.evaluate().ok_or(StepError::Unsupported {
            what: "the first variation",
        })?;
        if problem.value.is_finite() {
            Ok(problem)
        } else {
            Err(StepError::NonFinite { step: 0, time: 0.0 })
        }
    }

    /// Computes the gradient at the current factors and returns `F`.
    fn evaluate(&mut self) -> Option<T> {
        for (i, c) in self.mu.weights_mut().iter_mut().enumerate() {
            *c = self.z[self.group[i]] * self.base[i];
        }
        let points = self.mu.points();
        let value =
            self.energy
                .first_variation(&self.mu, points, &mut self.variation, &mut self.descent);
        self.gradient.fill(T::zero());
        for (i, &variation) in self.variation.iter().enumerate() {
            self.gradient[self.group[i]] += self.base[i] * variation;
        }
        value
    }

    /// The rounding error of F.
    pub(super) fn rounding(&self) -> f64 {
        ROUNDING_UNITS * to_f64(epsilon::<T>() * self.value.abs())
    }

    /// Performs at most `steps` Newton steps and returns the predicted decrease of F of the last
    /// one.
    ///
    /// The predicted decrease is the Newton decrement `-gradient.d`; infinite if the Hessian is not
    /// positive definite.
    pub(super) fn minimise(&mut self, steps: usize) -> f64 {
        let mut decrement = f64::INFINITY;
        for _ in 0..steps {
            // A factor of 0 with a non-negative derivative stays 0 in this step.
            let free = |&g: &usize| self.z[g] > T::zero() || self.gradient[g] < T::zero();
            let free: Vec<usize> = (0..self.z.len()).filter(free).collect();
            let Some(step) = self.newton_step(&free) else {
                return f64::INFINITY;
            };
            let gradient = gather(&self.gradient, &free);
            decrement = -gradient.dot(&step);
            if decrement.is_nan() || decrement <= self.rounding() || !self.line_search(&free, &step)
            {
                self.last_step(&free, &step);
                break;
            }
        }
        self.remove_redundant();
        decrement
    }

    /// The minimiser d of the quadratic model `gradient.d + d.H d / 2` over `z + d >= 0`.
    ///
    /// Finite differences do not resolve eigenvalues of H below their own error. The diagonal is
    /// shifted by that error, and by more until H is positive definite: a direction without
    /// curvature would make the step unbounded.
    fn newton_step(&mut self, free: &[usize]) -> Option<DVector<f64>> {
        let (z, gradient) = (gather(&self.z, free), gather(&self.gradient, free));
        let hessian = self.hessian(free);
        (0..SHIFTS).find_map(|l| {
            let shift = to_f64(difference_error::<T>()) * hessian.trace() * 10.0_f64.powi(l);
            let mut shifted = hessian.clone();
            (0..free.len()).for_each(|g| shifted[(g, g)] += shift);
            let end = non_negative_minimum(&shifted, &(&shifted * &z - &gradient), &z)?;
            Some(end - &z)
        })
    }

    /// Takes the full step if F does not change by more than its rounding error and the residual
    /// decreases.
    fn last_step(&mut self, free: &[usize], step: &DVector<f64>) {
        let (before, rounding) = (self.residual(), real::<T>(self.rounding()));
        let (z, gradient, value) = (self.z.clone(), self.gradient.clone(), self.value);
        self.advance(free, step, &z, 1.0);
        match self.evaluate() {
            Some(next) if next <= value + rounding && self.residual() < before => self.value = next,
            _ => (self.z, self.gradient) = (z, gradient),
        }
    }

    /// The largest violation of the optimality conditions: `|dF/dz_g|` where `z_g > 0`, `-dF/dz_g`
    /// where `z_g = 0`.
    fn residual(&self) -> T {
        let entries = self.z.iter().zip(&self.gradient);
        let violations = entries.map(|(&z, &s)| if z > T::zero() { s.abs() } else { -s });
        violations.fold(T::zero(), |largest, s| largest.max(s))
    }

    /// `z = (z_0 + s d)_+` for the free factors.
    fn advance(&mut self, free: &[usize], step: &DVector<f64>, z0: &[T], s: f64) {
        for (&g, &d) in free.iter().zip(step.iter()) {
            self.z[g] = real((to_f64(z0[g]) + s * d).max(0.0));
        }
    }

    /// Sets factors to 0 if F is the same without them.
    fn remove_redundant(&mut self) {
        for g in 0..self.z.len() {
            if self.z[g] > T::zero() && self.gradient[g] == T::zero() {
                let kept = (self.z[g], self.gradient.clone());
                self.z[g] = T::zero();
                if self.evaluate().is_none_or(|value| value != self.value) {
                    (self.z[g], self.gradient) = kept;
                }
            }
        }
    }

    /// The Hessian `d^2 F / dz_g dz_h` over the free factors, by forward differences of second
    /// order, which keep `z >= 0`.
    fn hessian(&mut self, free: &[usize]) -> DMatrix<f64> {
        let base = self.gradient.clone();
        let mean = self.z.iter().fold(T::zero(), |sum, &z| sum + z) / real(self.z.len() as f64);
        let mut hessian = DMatrix::zeros(free.len(), free.len());
        for (column, &h) in free.iter().enumerate() {
            let z = self.z[h];
            let scale = z.max(mean);
            let scale = if scale > T::zero() { scale } else { T::one() };
            let step = epsilon::<T>().cbrt() * scale;
            // f'(0) = (4 f(s) - f(2 s) - 3 f(0)) / (2 s).
            for (factor, coefficient) in [(1.0, 4.0), (2.0, -1.0)] {
                self.z[h] = z + real::<T>(factor) * step;
                self.evaluate();
                for (row, &g) in free.iter().enumerate() {
                    let difference = (self.gradient[g] - base[g]) / (step + step);
                    hessian[(row, column)] += coefficient * to_f64(difference);
                }
            }
            self.z[h] = z;
        }
        self.gradient = base;
        (&hessian + hessian.transpose()) * 0.5
    }

    /// Takes the longest of the steps `d`, `d/2`, .. that decreases F. Returns true if there is
    /// one.
    fn line_search(&mut self, free: &[usize], step: &DVector<f64>) -> bool {
        let (z, gradient) = (self.z.clone(), self.gradient.clone());
        let mut s = 1.0;
        for _ in 0..HALVINGS {
            self.advance(free, step, &z, s);
            if let Some(value) = self.evaluate().filter(|&value| value < self.value) {
                self.value = value;
                return true;
            }
            s *= 0.5;
        }
        (self.z, self.gradient) = (z, gradient);
        false
    }

    /// The particles of positive weight, or the first if all weights are 0.
    pub(super) fn into_support(self) -> EmpiricalMeasure<T> {
        let weight = |i: usize| self.z[self.group[i]] * self.base[i];
        let positive = |&i: &usize| weight(i) > T::zero();
        let kept: Vec<usize> = (0..self.mu.len()).filter(positive).collect();
        select(&self.mu, &kept, weight)
    }
}

/// The entries `free` of x, in double precision.
fn gather<T: Real>(x: &[T], free: &[usize]) -> DVector<f64> {
    DVector::from_iterator(free.len(), free.iter().map(|&g| to_f64(x[g])))
}

/// The relative error of second-order differences with the step `eps^(1/3)`: truncation and
/// rounding balance.
fn difference_error<T: Real>() -> T {
    epsilon::<T>().cbrt().powi(2)
}

/// `argmin_{x >= 0} x.H x / 2 - b.x` for a positive definite H; `None` if it is not.
///
/// Lawson and Hanson's NNLS (algorithm 23.10) in terms of the normal equations, started from the
/// positive entries of `start`. The passive set of positive entries gains the entry of the steepest
/// descent, and loses those that a step to the unconstrained minimum over the set would make
/// negative.
fn non_negative_minimum(
    h: &DMatrix<f64>,
    b: &DVector<f64>,
    start: &DVector<f64>,
) -> Option<DVector<f64>> {
    let m = b.len();
    let mut x = start.clone();
    let mut passive: Vec<usize> = (0..m).filter(|&i| x[i] > 0.0).collect();
    let tolerance = GRADIENT_TOLERANCE * (h * &x).amax().max(b.amax());
    // The limit that Lawson and Hanson recommend, 3 m.
    for _ in 0..3 * m + 3 {
        let entered = passive.last().copied();
        while !passive.is_empty() {
            let right = DVector::from_iterator(passive.len(), passive.iter().map(|&i| b[i]));
            let block = h.select_rows(&passive).select_columns(&passive);
            let target = block.cholesky()?.solve(&right);
            // The step to the target at which each entry becomes 0.
            let entries = passive.iter().zip(target.iter());
            let zeros = entries.map(|(&i, &t)| {
                if t > 0.0 {
                    f64::INFINITY
                } else {
                    x[i] / (x[i] - t)
                }
            });
            let zeros: Vec<f64> = zeros.collect();
            let s = zeros.iter().fold(1.0, |s, &zero| f64::min(s, zero));
            for (&i, &t) in passive.iter().zip(target.iter()) {
                x[i] += s * (t - x[i]);
            }
            let before = passive.len();
            let mut remaining = Vec::with_capacity(before);
            for (&i, &zero) in passive.iter().zip(&zeros) {
                if zero <= s {
                    x[i] = 0.0;
                } else {
                    remaining.push(i);
                }
            }
            passive = remaining;
            if passive.len() == before {
                break;
            }
        }
        let descent = b - h * &x;
        // The entry that entered last is excluded: rounding may make it leave and enter for ever.
        let active = (0..m).filter(|&i| !passive.contains(&i) && Some(i) != entered);
        match active.max_by(|&i, &j| descent[i].total_cmp(&descent[j])) {
            Some(i) if descent[i] > tolerance => passive.push(i),
            _ => return Some(x),
        }
    }
    Some(x)
}
