//! The functions that compute a certificate.

use super::certificate::{Certifiable, Certificate};
use super::search::Search;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, real, to_f64};
use crate::span::{event, span};

impl Search {
    /// The certificate of `mu`: [`certify`] with the settings and the memory of this search.
    ///
    /// # Panics
    /// As [`certify`].
    pub fn certify<T: Real, E: Certifiable<T> + ?Sized>(
        &mut self,
        energy: &mut E,
        mu: &EmpiricalMeasure<T>,
    ) -> Certificate<T> {
        span!(DEBUG, "certificate", particles = mu.len());
        let certificate = energy.certificate(mu, self).of(self);
        event!(
            DEBUG,
            "certified",
            energy = to_f64(certificate.energy()),
            gap = to_f64(certificate.gap()),
            bound = tracing::field::debug(certificate.bound())
        );
        certificate
    }
}

/// The certificate of optimality of `mu` among all measures.
///
/// For networks of 1-homogeneous neurons (`Relu`, `LeakyRelu`, `Abs`, `Identity`, or a custom
/// activation of degree 1):
///
/// | d | upper bound of the maximum over the sphere | [`Bound`](super::Bound) | cost beyond the predictions |
/// |---|---|---|---|
/// | 1 | both unit vectors | exact | `O(n k)` |
/// | 2 | the arcs between 2n angles, each in closed form | exact | `O(n (log n + k))` |
/// | 3 to 6 | branch and bound over simplicial cones | exact, or truncated | `O(n d k)` a cell; 4 to 10 times as many cells for each dimension |
/// | > 6 | semidefinite relaxation, in its dual form | relaxed, or exact if the bounds meet | `O(n d^2 + d^3)` a Newton step, 10 to 20 steps a dual point; for n < d `O(n^3)` a step and `O(d^3)` once |
///
/// For d >= 3 the lower bound is that of a search: climbs from particles, samples and random
/// directions of a fixed seed, until the estimated probability of a new local maximum is small.
/// Branch and bound stops at the limits of the [`Effort`](super::Effort). The relaxation then
/// bounds the maximum too, and the smaller bound is used. With 0 cells it is the only one. Its work
/// is limited, see [`Effort`](super::Effort): for large n and d its minimisation ends early, and beyond
/// the limit the bound is that by the terms of one sign or, for several outputs, by the sizes of the
/// terms.
///
/// The relaxation for one output is that of N. Z. Shor, with `b b^T` replaced by a positive
/// semidefinite matrix; it includes the bounds by the terms of one sign and by half of the linear
/// part plus half a spectral norm. For several outputs the signs of the terms are not used: the
/// bound is spectral in b and in the direction of g.
///
/// The gap is `F(mu) - max_c -R*(c u)` over `|c| max|g| <= 2 lambda`. As `c = 0` is feasible, the
/// gap is at most `F(mu) - inf R`: at most F for a non-negative loss, and equal to it for
/// `lambda = 0` if `inf R = 0`. If the bound is not exact, one output also tries dual points of the
/// problem with relaxed neurons, which are better than multiples of u. Networks that interpolate the
/// targets keep a large gap for d > 6, 0.4 F to 0.7 F on the data of the book: the relaxation is not
/// tight there. The gap is infinite if the loss does not implement its
/// [`conjugate`](crate::loss::Loss::conjugate), and if the bounds of F and F* contradict each other
/// ([`Certificate::contradiction`]). For a degree other than 1 it is `F(mu) - inf R`.
///
/// At a kink of the loss (`Hinge`, `Quantile`) the gradient u is not unique. Up to 8 choices between
/// the one-sided derivatives are then tried, each a least-squares solution of
/// `g(b) = -2 lambda a / |a|` on the particles, and the best bound is used. Predictions within
/// `2^-20 int |a| |b| |x| dmu` of a kink count as being at it. Choices are not tried on ranks, nor
/// for `lambda = 0`.
///
/// # Rounding
/// All is computed in double precision for any T. Each number that enters the gap is an upper or a
/// lower bound by a stated inequality:
/// - F is evaluated at its upper bound over all predictions within the a priori rounding error of a
///   sum of m terms, `(m + r (d + 2) + d + k + 16) eps int |a| |b|^r dmu |x|^r` for an activation
///   of degree r, and what underflows.
/// - The bounds of `max|g|` of the dual point as computed include a multiple of
///   `eps sum_j |u_j| |x_j|` for rounding errors; powers of two are taken out of u, x and sigma, so
///   that neither overflow nor underflow matters.
/// - The conjugate is bounded from above at the very point that is feasible.
///
/// These bounds rely on the accuracy stated in the laws of [`Loss`](crate::loss::Loss) and
/// [`DualRisk`](super::DualRisk), and on scalars of at most double precision. They hold for all
/// finite data; if an intermediate result overflows, the gap is infinite.
///
/// If `mu` is not finite, the gap is infinite. Ranks that each hold a part of the particles get the
/// same certificate; predictions are then summed in the precision of T, and the bound is
/// accordingly wider.
///
/// # Panics
/// When `mu` does not have the dimension of the energy's particles.
///
/// Source: L. Chizat and F. Bach, On the global convergence of gradient descent for
/// over-parameterized models using optimal transport, 2018, for the optimality conditions; the dual
/// bound is weak duality (Fenchel).
pub fn certify<T: Real, E: Certifiable<T> + ?Sized>(
    energy: &mut E,
    mu: &EmpiricalMeasure<T>,
) -> Certificate<T> {
    Search::new().certify(energy, mu)
}

/// The certificate of optimality of `mu` among the measures `nu` of norm
/// `int |a| |b| dnu <= budget`.
///
/// The gap is `F(mu) - max_c [ -R*(c u) - budget (|c| max|g| - 2 lambda)_+ ]`. For `lambda = 0`,
/// `c = 1` gives the first-order bound `<u, h_mu> + budget max|g|`. The gap is negative if `mu`, of
/// a larger norm itself, has a lower energy than all of these measures. A negative budget counts as
/// 0. For a budget that is NaN the gap is infinite.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// // y = 3 at x = 1. With |a| |b| <= 1 no network predicts more than 1, so F >= (1 - 3)^2 / 2.
/// let x = DMatrix::from_element(1, 1, 1.0);
/// let risk = EmpiricalRisk::new(Square, x, DVector::from_element(1, 3.0))?;
/// let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?;
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_element(2, 1, 1.0))?;
/// assert!(optimality::certify_within(&mut energy, &mu, 1.0).gap() < 1e-6);
/// assert!(optimality::certify(&mut energy, &mu).gap() >= 2.0); // among all measures, F* = 0
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
/// As [`certify`].
pub fn certify_within<T: Real, E: Certifiable<T> + ?Sized>(
    energy: &mut E,
    mu: &EmpiricalMeasure<T>,
    budget: T,
) -> Certificate<T> {
    let budget = to_f64(budget);
    let search = Search::new();
    if budget.is_nan() {
        let unknown = real(f64::INFINITY);
        return Certificate {
            gap: unknown,
            optimistic: unknown,
            ..{ search }.certify(energy, mu)
        };
    }
    search.with_budget(budget.max(0.0)).certify(energy, mu)
}
