//! Stopping tests and constants that both solvers of a proximal step share.

use crate::real::{Real, real};

/// Sufficient decrease of a line search, relative to the expected decrease (J. Nocedal and
/// S. Wright, Numerical optimization, 2006, section 3.1).
pub(super) const ARMIJO: f64 = 1e-4;

/// Reduction ratio above which the quadratic model is trusted more (Nocedal and Wright,
/// Algorithm 4.1).
pub(super) const GOOD_RATIO: f64 = 0.75;

/// Reduction ratio below which the quadratic model is trusted less (Nocedal and Wright,
/// Algorithm 4.1).
pub(super) const POOR_RATIO: f64 = 0.25;

/// A residual above this fraction of the last one counts as stagnant.
pub(super) const STAGNATION: f64 = 0.9;

/// Levenberg-Marquardt damping of the first step, relative to the curvature along the gradient.
pub(super) const INITIAL_DAMPING: f64 = 0.01;

/// Rounding errors are estimated as this multiple of `eps` times the size of the terms.
pub(super) const ROUNDING: f64 = 4.0;

/// An expected decrease below this multiple of the rounding error of `P` is not visible in values
/// of `P`; the gradients decide then.
pub(super) const UNRESOLVED: f64 = 4.0;

/// The loosest relative residual of conjugate gradients.
pub(super) const FORCING_MAX: f64 = 0.1;

/// The tightest relative residual of conjugate gradients: a tighter one is near the error of
/// Hessian products by differences of velocities.
const FORCING_MIN: f64 = 1e-6;

/// Rounding errors of `P` up to which the decrease of a gradient step counts as negligible.
const NEGLIGIBLE: f64 = 1e3;

/// When a solver stops.
pub(super) struct Tolerances<T> {
    /// The `L2(mu)` norm of the minimum-norm subgradient.
    pub residual: T,
    /// The radius within which gradients are sampled at the end.
    pub radius: T,
    /// The maximum number of iterations.
    pub iterations: usize,
}

/// How a solver ended.
pub(super) struct Outcome<T> {
    pub converged: bool,
    pub iterations: usize,
    pub residual: T,
}

/// The forcing term of an inexact Newton method, from the ratio of the last two residuals: its
/// square, within bounds.
///
/// Source: S. Eisenstat and H. Walker, Choosing the forcing terms in an inexact Newton method,
/// 1996, choice 2.
pub(super) fn forcing_term<T: Real>(ratio: T) -> T {
    (ratio * ratio)
        .max(real(FORCING_MIN))
        .min(real(FORCING_MAX))
}

/// Returns true if the decrease of `P` by a gradient step, about `residual^2 / stiffness`, is
/// lost in the `rounding` error of `P`. The stiffness is `1/gamma` plus the curvature of `F`.
pub(super) fn is_negligible<T: Real>(residual: T, stiffness: T, rounding: T) -> bool {
    residual * residual <= real::<T>(NEGLIGIBLE) * stiffness * rounding
}
