//! Optimal weights of given particles, a convex problem with non-negativity constraints.

use nalgebra::DMatrix;

use super::check_dim;
use super::prune::select;
use crate::energy::Energy;
use crate::error::StepError;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, real, to_f64};

mod bundle;
mod newton;
mod non_negative;

use bundle::Bundle;

/// The rounding error of F in units of `eps F`: a sum over samples and particles.
const ROUNDING_UNITS: f64 = 32.0;

/// Rounds of Newton steps and bundle steps at most. The number of bundle steps doubles in each.
const ROUNDS: u32 = 6;

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
    /// F at the start.
    start: T,
    /// `dF/dz_g = sum_{i in g} c_i^0 F'(mu)(w_i)`.
    gradient: Vec<T>,
    /// `F'(mu)(w_i)`.
    variation: Vec<T>,
    /// `-grad F'(mu)(w_i)`, which the first variation computes as well.
    descent: DMatrix<T>,
    /// `d^2 F / dz_g dz_h` in the columns that were computed, NaN elsewhere.
    hessian: DMatrix<f64>,
    /// Whether a column of the Hessian showed that F is quadratic in the factors.
    is_quadratic: bool,
    /// Whether the minimum is needed up to a tolerance only, so that columns of a quadratic F may be
    /// less accurate.
    is_inexact: bool,
    /// Whether the Hessian is that at z, or predicted the gradient at z.
    predicts: bool,
    /// Whether the Hessian is that at other factors.
    kept: bool,
}

/// The Hessian of F in the weights of the first particles, possibly at other weights.
pub(super) struct KnownHessian {
    matrix: DMatrix<f64>,
    /// Whether a column showed that F is quadratic in the weights.
    is_quadratic: bool,
}

impl KnownHessian {
    /// Returns true for that of no particle.
    pub(super) fn is_empty(&self) -> bool {
        self.matrix.is_empty()
    }

    /// That of no particle.
    pub(super) fn none() -> Self {
        Self {
            matrix: DMatrix::zeros(0, 0),
            is_quadratic: false,
        }
    }
}

/// The result of a minimisation.
#[derive(Debug)]
pub(super) struct Outcome<T> {
    /// Whether the residual is at most the rounding error of F.
    pub(super) converged: bool,
    /// A bound or, from Newton's method, an estimate of `F - min F`.
    pub(super) residual: f64,
    /// Newton steps and bundle steps.
    pub(super) iterations: usize,
    /// The subgradient `sum_j s_j F'(mu_j)` that proves the minimum, as pairs `(s_j, mu_j)`; empty
    /// if no bundle steps were taken, as F is smooth.
    pub(super) subgradient: Vec<(T, EmpiricalMeasure<T>)>,
}

impl<'a, T: Real, E: Energy<T> + ?Sized> WeightProblem<'a, T, E> {
    /// Every particle is a group.
    pub(super) fn separate(energy: &'a mut E, mu: EmpiricalMeasure<T>) -> Result<Self, StepError> {
        let (m, z) = (mu.len(), mu.weights().to_vec());
        Self::new(energy, mu, vec![T::one(); m], (0..m).collect(), z)
    }

    /// [`separate`](Self::separate) with the Hessian of the first particles, at other weights.
    pub(super) fn extended(
        energy: &'a mut E,
        mu: EmpiricalMeasure<T>,
        known: &KnownHessian,
    ) -> Result<Self, StepError> {
        let mut problem = Self::separate(energy, mu)?;
        let shape = known.matrix.shape();
        problem
            .hessian
            .view_mut((0, 0), shape)
            .copy_from(&known.matrix);
        problem.predicts = known.matrix.is_empty();
        problem.is_quadratic = known.is_quadratic;
        Ok(problem)
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
        check_dim(energy.particle_dim(), mu.dim());
        let (p, m) = mu.points().shape();
        let groups = z.len();
        let mut problem = Self {
            energy,
            mu,
            base,
            group,
            value: T::zero(),
            start: T::zero(),
            gradient: vec![T::zero(); groups],
            hessian: DMatrix::from_element(groups, groups, f64::NAN),
            is_quadratic: false,
            is_inexact: false,
            predicts: true,
            kept: false,
            z,
            variation: vec![T::zero(); m],
            descent: DMatrix::zeros(p, m),
        };
        problem.value = problem.evaluate().ok_or(StepError::Unsupported {
            what: "the first variation",
        })?;
        problem.start = problem.value;
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

    /// Minimises F: Newton steps while they decrease F, and bundle steps otherwise.
    ///
    /// Newton steps end with few evaluations where F is smooth; bundle steps reach the minimum of
    /// any convex F, and bound it from below. Newton steps that decreased F also end if the estimate
    /// of `F - min F` is at most `enough`.
    pub(super) fn minimise(&mut self, enough: f64) -> Outcome<T> {
        let mut bundle = Bundle::default();
        let mut outcome = Outcome {
            converged: false,
            residual: f64::INFINITY,
            iterations: 0,
            subgradient: Vec::new(),
        };
        self.is_inexact = enough > 0.0;
        for round in 0..ROUNDS {
            let (residual, iterations) = self.newton(enough);
            outcome.residual = residual;
            outcome.iterations += iterations;
            // Without a decrease the caller needs a proof: at a kink the estimate is not a bound.
            let is_enough = residual <= enough && self.value < self.start;
            if residual > self.rounding() && !is_enough {
                let steps = (self.z.len() + 5) << (round + 1);
                let iterations = self.bundle(&mut bundle, steps);
                self.forget_hessian();
                outcome.residual = bundle.gap(self.value);
                outcome.iterations += iterations;
                outcome.subgradient = self.measures(&bundle);
            }
            outcome.converged = outcome.residual <= self.rounding().max(bundle.rounding());
            if outcome.converged || is_enough {
                break;
            }
        }
        self.remove_redundant();
        outcome
    }

    /// The measures of the tangents that prove the lower bound, with their shares.
    fn measures(&self, bundle: &Bundle) -> Vec<(T, EmpiricalMeasure<T>)> {
        let measure = |z: &[f64]| {
            let mut mu = self.mu.clone();
            for (i, c) in mu.weights_mut().iter_mut().enumerate() {
                *c = real::<T>(z[self.group[i]]) * self.base[i];
            }
            mu
        };
        let terms = bundle.combination().into_iter();
        terms.map(|(share, z)| (real(share), measure(z))).collect()
    }

    /// A bound of the rounding error of F.
    ///
    /// A minimum near 0, of a network that interpolates the data, is a sum of squares of rounding
    /// errors of predictions: it is not smaller than `eps^2` of F at the start.
    fn rounding(&self) -> f64 {
        let eps = epsilon::<T>();
        ROUNDING_UNITS * to_f64(eps * (self.value.abs() + eps * self.start.abs()))
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

    /// The particles of positive weight, or the first if all weights are 0.
    pub(super) fn into_support(self) -> EmpiricalMeasure<T> {
        let weight = |i: usize| self.z[self.group[i]] * self.base[i];
        select(&self.mu, &self.support(), weight)
    }

    /// [`into_support`](Self::into_support), and the Hessian of these particles; for separate
    /// particles.
    pub(super) fn into_support_with_hessian(self) -> (EmpiricalMeasure<T>, KnownHessian) {
        let kept = self.support();
        let hessian = KnownHessian {
            matrix: self.hessian.select_columns(&kept).select_rows(&kept),
            is_quadratic: self.is_quadratic,
        };
        (self.into_support(), hessian)
    }

    fn support(&self) -> Vec<usize> {
        let positive = |&i: &usize| self.z[self.group[i]] * self.base[i] > T::zero();
        let kept: Vec<usize> = (0..self.mu.len()).filter(positive).collect();
        if kept.is_empty() { vec![0] } else { kept }
    }
}
