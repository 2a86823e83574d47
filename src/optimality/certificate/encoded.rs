//! Serde of certificates. An infinite bound is stored as `None`, because JSON has no infinity.

use serde::{Deserialize, Serialize};

use super::Certificate;
use crate::error::ParameterError;
use crate::optimality::bound::Bound;
use crate::real::{Real, real, to_f64};

/// The stored form of a certificate.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Certificate")]
pub(super) struct Encoded<T> {
    energy: Option<T>,
    gap: Option<T>,
    optimistic_gap: Option<T>,
    maximum_bounds: Option<(T, Option<T>)>,
    threshold: T,
    bound: Option<Bound>,
    escape: Option<Vec<T>>,
    // Both are missing in files of versions that did not have them.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    budget: Option<T>,
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    contradiction: Option<T>,
}

/// `None` for positive infinity.
fn finite<T: Real>(value: T) -> Option<T> {
    (value != real(f64::INFINITY)).then_some(value)
}

fn or_infinite<T: Real>(value: Option<T>) -> T {
    value.unwrap_or_else(|| real(f64::INFINITY))
}

impl<T: Real> From<Certificate<T>> for Encoded<T> {
    fn from(certificate: Certificate<T>) -> Self {
        Self {
            energy: finite(certificate.energy),
            gap: finite(certificate.gap),
            optimistic_gap: finite(certificate.optimistic),
            maximum_bounds: certificate
                .maximum
                .map(|(lower, upper)| (lower, finite(upper))),
            threshold: certificate.threshold,
            bound: certificate.bound,
            escape: certificate.escape,
            budget: certificate.budget,
            contradiction: certificate.contradiction,
        }
    }
}

/// Checks what holds for every certificate that the crate computes.
impl<T: Real> TryFrom<Encoded<T>> for Certificate<T> {
    type Error = ParameterError;

    fn try_from(encoded: Encoded<T>) -> Result<Self, ParameterError> {
        let certificate = Self {
            energy: or_infinite(encoded.energy),
            gap: or_infinite(encoded.gap),
            optimistic: or_infinite(encoded.optimistic_gap),
            maximum: encoded
                .maximum_bounds
                .map(|(lower, upper)| (lower, or_infinite(upper))),
            threshold: encoded.threshold,
            bound: encoded.bound,
            escape: encoded.escape,
            budget: encoded.budget,
            contradiction: encoded.contradiction,
        };
        if let Some(budget) = certificate.budget {
            ParameterError::check_nonnegative("budget", to_f64(budget))?;
        }
        if let Some(excess) = certificate.contradiction {
            ParameterError::check_positive("contradiction", to_f64(excess))?;
            let unknown = to_f64(certificate.optimistic) == f64::INFINITY;
            let requirement = "infinite beside a contradiction";
            let gap = to_f64(certificate.optimistic);
            ParameterError::check(unknown, "gap of the certificate", requirement, gap)?;
        }
        let requirement = ">= 0 up to rounding without a budget";
        let (holds, gap) = (certificate.excess().is_none(), to_f64(certificate.gap));
        ParameterError::check(holds, "gap of the certificate", requirement, gap)?;
        for (name, value) in [
            ("energy of the certificate", certificate.energy),
            ("gap of the certificate", certificate.gap),
        ] {
            ParameterError::check(!to_f64(value).is_nan(), name, "a number", f64::NAN)?;
        }
        let (gap, optimistic) = (certificate.gap, certificate.optimistic);
        let holds = optimistic <= gap;
        ParameterError::check(
            holds,
            "optimistic gap",
            "at most the gap",
            to_f64(optimistic),
        )?;
        ParameterError::check_nonnegative("threshold", to_f64(certificate.threshold))?;
        if let Some((lower, upper)) = certificate.maximum {
            let holds = T::zero() <= lower && lower <= upper;
            let requirement = ">= 0 and at most the upper one";
            ParameterError::check(
                holds,
                "lower bound of the maximum",
                requirement,
                to_f64(lower),
            )?;
        }
        if let Some(escape) = &certificate.escape {
            let (holds, requirement) = (!escape.is_empty(), "at least 1");
            ParameterError::check(holds, "dimension of the escape", requirement, 0.0)?;
        }
        let holds = certificate.maximum.is_some() == certificate.bound.is_some();
        ParameterError::check(
            holds,
            "kind of the bound",
            "given with the bounds",
            f64::NAN,
        )?;
        Ok(certificate)
    }
}
