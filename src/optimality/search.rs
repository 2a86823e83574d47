//! The search of a certificate: budget, effort, and what is kept from one call to the next.

use super::effort::{Effort, Limits};
use super::maximum::Memory;
use crate::error::ParameterError;

/// The settings of a certificate, and its memory from call to call.
///
/// A certificate bounds the maximum of `|g|` over the unit sphere. Along a flow or in a conditional
/// gradient method the bounds of one measure are a good start for those of the next. `Search` keeps
/// them. [`certify`](super::certify) is `Search::new().certify(..)`.
///
/// A new search gives reproducible results. Bounds that start from earlier ones depend on these,
/// within the tolerance. They are valid in all cases, also if the energy was another one.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::optimality::{Effort, Search};
/// use wasserflow::prelude::*;
///
/// let x = DMatrix::from_row_slice(1, 2, &[-1.0, 1.0]);
/// let risk = EmpiricalRisk::new(Square, x, DVector::from_element(2, 1.0))?;
/// let decay = WeightDecay::new(0.1)?;
/// let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?.regularized(decay);
///
/// let mut search = Search::new().with_effort(Effort::new(1e-6, 1000)?);
/// for scale in [0.5, 1.0] {
///     let mu = EmpiricalMeasure::uniform(DMatrix::from_element(2, 1, scale))?;
///     let certificate = search.certify(&mut energy, &mu);
///     let (lower, upper) = certificate.maximum_bounds().unwrap();
///     assert!(lower <= upper && upper <= lower * (1.0 + 1e-6));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Search {
    budget: f64,
    effort: Effort,
    target: f64,
    pub(super) memory: Memory,
}

impl Search {
    /// A search among all measures, with the default [`Effort`] and an empty memory.
    pub fn new() -> Self {
        Self {
            budget: f64::INFINITY,
            effort: Effort::default(),
            target: f64::INFINITY,
            memory: Memory::default(),
        }
    }

    /// The same search with another effort.
    pub fn with_effort(self, effort: Effort) -> Self {
        Self { effort, ..self }
    }

    /// The same search among the measures `nu` with `int |a| |b| dnu <= budget`, see
    /// [`certify_within`](super::certify_within).
    ///
    /// # Errors
    /// [`ParameterError`] when the budget is negative or NaN.
    pub fn within(self, budget: f64) -> Result<Self, ParameterError> {
        ParameterError::check(budget >= 0.0, "budget", ">= 0", budget)?;
        Ok(self.with_budget(budget))
    }

    /// [`within`](Self::within) for a budget that is not NaN.
    pub(super) fn with_budget(self, budget: f64) -> Self {
        Self { budget, ..self }
    }

    /// The same search for a proof of `F(mu) - F* <= gap`.
    ///
    /// If the [optimistic gap](super::Certificate::optimistic_gap) is larger, such a proof does not exist
    /// for this dual point, and the certificate contains bounds of little cost. The descent direction
    /// is then that of the search for the maximum. The default is infinity: every certificate is
    /// computed with the full effort.
    ///
    /// # Errors
    /// [`ParameterError`] when the gap is negative or NaN.
    pub fn with_target(self, gap: f64) -> Result<Self, ParameterError> {
        ParameterError::check(gap >= 0.0, "gap", ">= 0", gap)?;
        Ok(Self {
            target: gap,
            ..self
        })
    }

    /// The norm budget; infinite for all measures.
    pub fn budget(&self) -> f64 {
        self.budget
    }

    /// The effort of each certificate.
    pub fn effort(&self) -> Effort {
        self.effort
    }

    /// The gap to prove; infinite by default.
    pub fn target(&self) -> f64 {
        self.target
    }

    /// Replaces the target and returns the previous one.
    pub(crate) fn replace_target(&mut self, gap: f64) -> f64 {
        std::mem::replace(&mut self.target, gap)
    }

    /// The limits of a certificate that starts now; without a deadline for `distributed` particles.
    pub(super) fn limits(&self, distributed: bool) -> Limits {
        let limits = self.effort.limits();
        Limits {
            deadline: limits.deadline.filter(|_| !distributed),
            ..limits
        }
    }
}

impl Default for Search {
    fn default() -> Self {
        Self::new()
    }
}
