//! The point of a run of Frank-Wolfe: the certificate of a measure, by a subgradient.

use crate::measure::EmpiricalMeasure;
use crate::observe::StopReason;
use crate::optimality::{Certifiable, Certificate, Search};
use crate::real::Real;
use crate::span::span;

/// A certificate, the subgradient behind it, and the reason for the end of a run.
pub(in crate::sparse) struct Run<T> {
    pub(in crate::sparse) reason: StopReason,
    pub(in crate::sparse) certificate: Certificate<T>,
    pub(in crate::sparse) subgradient: Vec<(T, EmpiricalMeasure<T>)>,
}

impl<T: Real> Run<T> {
    /// The certificate by `F'(mu)` itself. At a kink of the loss that of
    /// [`certify`](crate::optimality::certify) may belong to another subgradient, along which F need
    /// not decrease.
    pub(in crate::sparse) fn at<E: Certifiable<T> + ?Sized>(
        energy: &mut E,
        mu: &EmpiricalMeasure<T>,
        search: &mut Search,
    ) -> Self {
        let subgradient = vec![(T::one(), mu.clone())];
        Self {
            reason: StopReason::Steps,
            certificate: certificate_by(energy, mu, &subgradient, search),
            subgradient,
        }
    }

    pub(in crate::sparse) fn end(self, reason: StopReason) -> Self {
        Self { reason, ..self }
    }
}

/// The certificate by the given subgradient, or by `F'(mu)` if the energy does not combine them.
pub(in crate::sparse) fn certificate_by<T: Real, E: Certifiable<T> + ?Sized>(
    energy: &mut E,
    mu: &EmpiricalMeasure<T>,
    subgradient: &[(T, EmpiricalMeasure<T>)],
    search: &mut Search,
) -> Certificate<T> {
    let combined = {
        span!(DEBUG, "certificate", particles = mu.len());
        energy.combined_certificate(mu, subgradient, search)
    };
    combined.unwrap_or_else(|| search.certify(energy, mu))
}
