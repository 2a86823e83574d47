//! The point of a run of Frank-Wolfe: the certificate of a measure, by a subgradient.

use crate::error::StepError;
use crate::measure::EmpiricalMeasure;
use crate::observe::StopReason;
use crate::optimality::{Certifiable, Certificate, Search};
use crate::real::{Real, to_f64};
use crate::span::span;
use crate::sparse::weights::{KnownHessian, WeightProblem};

/// A certificate, the subgradient behind it, and the reason for the end of a run.
pub(in crate::sparse) struct Run<T> {
    pub(in crate::sparse) reason: StopReason,
    pub(in crate::sparse) certificate: Certificate<T>,
    pub(in crate::sparse) subgradient: Vec<(T, EmpiricalMeasure<T>)>,
    /// The Hessian of F in the weights, possibly at others; empty before the first correction.
    pub(super) hessian: KnownHessian,
}

impl<T: Real> Run<T> {
    /// The certificate by `F'(mu)` itself. At a kink of the loss that of
    /// [`certify`](crate::optimality::certify) may belong to another subgradient, along which F need
    /// not decrease.
    pub(in crate::sparse) fn at<E: Certifiable<T> + ?Sized>(
        energy: &mut E,
        mu: &EmpiricalMeasure<T>,
        search: &mut Search,
    ) -> Result<Self, StepError> {
        let subgradient = vec![(T::one(), mu.clone())];
        Ok(Self {
            reason: StopReason::Steps,
            certificate: certificate_by(energy, mu, &subgradient, search)?,
            subgradient,
            hessian: KnownHessian::none(),
        })
    }

    /// The run with the optimal weights of its particles and their certificate, unless that does not
    /// prove the gap any more.
    ///
    /// During a run weights are optimised up to a fraction of the gap. The dual point of such
    /// weights may be infeasible by as much.
    pub(in crate::sparse) fn with_optimal_weights<E: Certifiable<T> + ?Sized>(
        self,
        energy: &mut E,
        mu: &mut EmpiricalMeasure<T>,
        gap: T,
        search: &mut Search,
    ) -> Result<Self, StepError> {
        if self.hessian.is_empty() {
            return Ok(self);
        }
        let mut problem = WeightProblem::extended(energy, mu.clone(), &self.hessian)?;
        problem.minimise(0.0);
        let best = problem.into_support();
        if best == *mu || energy.value(&best) > energy.value(mu) {
            return Ok(self);
        }
        let mut run = Self::at(energy, &best, search)?;
        let is_proved = run.certificate.gap() <= gap;
        run.reason = match self.reason {
            _ if is_proved => StopReason::GloballyOptimal {
                gap: to_f64(run.certificate.gap()),
            },
            StopReason::GloballyOptimal { .. } => return Ok(self),
            reason => reason,
        };
        *mu = best;
        Ok(run)
    }

    /// The reason and the certificate of a run, with the full effort if it contains no proof: its
    /// bounds are then those of little cost.
    pub(in crate::sparse) fn with_full_effort<E: Certifiable<T> + ?Sized>(
        self,
        energy: &mut E,
        mu: &EmpiricalMeasure<T>,
        gap: T,
        search: &mut Search,
    ) -> Result<(StopReason, Certificate<T>), StepError> {
        let certificate = if self.certificate.optimistic_gap() <= gap {
            self.certificate
        } else {
            certificate_by(energy, mu, &self.subgradient, search)?
        };
        Ok((self.reason, certificate))
    }

    pub(in crate::sparse) fn end(self, reason: StopReason) -> Self {
        Self { reason, ..self }
    }
}

/// The certificate by the given subgradient, or by `F'(mu)` if the energy does not combine them; an
/// error if it is a contradiction.
pub(in crate::sparse) fn certificate_by<T: Real, E: Certifiable<T> + ?Sized>(
    energy: &mut E,
    mu: &EmpiricalMeasure<T>,
    subgradient: &[(T, EmpiricalMeasure<T>)],
    search: &mut Search,
) -> Result<Certificate<T>, StepError> {
    let combined = {
        span!(DEBUG, "certificate", particles = mu.len());
        energy.combined_certificate(mu, subgradient, search)
    };
    match combined {
        Some(certificate) => certificate.of(search),
        None => search.certify(energy, mu),
    }
    .consistent()
}
