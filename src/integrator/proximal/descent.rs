//! A bundle method, for energies without a first variation and if the active-set method fails.
//!
//! Newton steps use gradients sampled near the current point, particle by particle. A failed line
//! search is a null step if its trials improve the estimate of the subdifferential. The sampling
//! radius shrinks towards its tolerance. An estimate is accepted only if a second, independent one
//! confirms it.
//!
//! Sources: A. Goldstein, Optimization of Lipschitz continuous functions, 1977; C. Lemarechal, An
//! extension of Davidon methods to non differentiable problems, 1975.

use super::bundle::Bundle;
use super::objective::{Point, ProximalProblem};
use super::scratch::Scratch;
use super::search::Search;
use super::tolerances::{INITIAL_DAMPING, Outcome, ROUNDING, STAGNATION, Tolerances, forcing_term};
use crate::real::{Real, epsilon, real};

/// The sampling radius of the second, independent estimate, relative to the final one.
const RESTART_RADIUS: f64 = 100.0;

/// A ratio of successive residuals above which the Hessian replaces the Gauss-Newton curvature.
const SLOW: f64 = 0.3;

/// A ratio of successive residuals up to which the Gauss-Newton curvature is used near kinks.
const VERY_SLOW: f64 = 0.7;

/// A gradient of at most this multiple of the residual confirms the estimate: the samples hardly
/// matter then.
const CONFIRMING_GRADIENT: f64 = 2.0;

/// A search direction below this multiple of `eps` times the size of the points is rounding.
const DIRECTION_ROUNDING: f64 = 16.0;

/// An expected decrease of a failed line search up to this multiple of the rounding error of `P` is
/// not resolved.
const UNRESOLVED_FAILURE: f64 = 64.0;

/// Descends from `x`, evaluated, to a stationary point of `P`, never to a higher value.
pub(super) fn descend<T: Real>(
    problem: &mut ProximalProblem<'_, T>,
    x: &mut Point<T>,
    radius: T,
    tolerances: &Tolerances<T>,
    scratch: &mut Scratch<T>,
) -> Outcome<T> {
    let mut y = Point::take(scratch, x.energy, x.value);
    let mut bundle = Bundle::new(problem, x, radius, scratch);
    let least = tolerances.radius;
    let restart_radius = (least * real(RESTART_RADIUS)).min(radius);
    let (mut failed, mut converged, mut confirmed, mut iterations) = (false, false, false, 0);
    let (mut residual, mut last): (T, Option<T>);
    last = None;
    loop {
        bundle.subdifferential.minimum_norm(x, &mut bundle.z);
        residual = problem.norm(&bundle.z);
        if !residual.is_finite() {
            break;
        }
        let stiffness = bundle.stiffness(problem);
        let rounding = real::<T>(ROUNDING) * epsilon::<T>() * stiffness * problem.norm(&x.v);
        let tolerance = tolerances.residual.max(rounding);
        let is_small = residual <= tolerance;
        let is_narrow = is_small
            && (bundle.subdifferential.radius <= least
                || !bundle.subdifferential.has_samples(problem, x, scratch));
        converged = is_narrow && (confirmed || problem.norm(&x.gradient) <= tolerance);
        if converged || iterations == tolerances.iterations {
            break;
        }
        iterations += 1;
        if is_narrow {
            (confirmed, last) = (true, None);
            bundle.restart(restart_radius);
            continue;
        }
        if is_small {
            bundle.shrink_radius(problem, x, &mut y, least, scratch);
            continue;
        }
        let ratio = last.map_or(T::one(), |last| residual / last);
        bundle.exact_hessian |= ratio > real(SLOW);
        // Differences of velocities across near kinks do not approximate the Hessian.
        bundle.exact_hessian &=
            bundle.subdifferential.radius == radius || bundle.full_step && ratio > real(VERY_SLOW);
        bundle.forcing = forcing_term(ratio);
        bundle.update_direction(problem, x, residual, failed, scratch);
        let is_stagnant = -bundle.slope <= bundle.rounding(problem, x)
            && last.is_some_and(|last| residual > real::<T>(STAGNATION) * last);
        if is_stagnant {
            last = None;
            if !bundle.is_negligible(problem, x, residual) {
                // The damping makes the expected decrease small, not the residual.
                bundle.damping.value = bundle.damping.curvature_scale * real(INITIAL_DAMPING);
            } else if bundle.subdifferential.radius > least {
                bundle.shrink_radius(problem, x, &mut y, least, scratch);
            } else {
                let bound = real::<T>(CONFIRMING_GRADIENT) * residual;
                converged = confirmed || problem.norm(&x.gradient) <= bound;
                if converged {
                    break;
                }
                confirmed = true;
                bundle.restart(restart_radius);
            }
            continue;
        }
        last = Some(residual);
        match bundle.line_search(problem, x, &mut y, residual, scratch) {
            Search::SeriousStep => {
                failed = false;
                bundle.null_steps = 0;
            }
            Search::NullStep => {}
            Search::Failed if !failed => failed = true,
            Search::Failed if bundle.subdifferential.radius > least => {
                bundle.shrink_radius(problem, x, &mut y, least, scratch);
                failed = false;
            }
            Search::Failed => {
                let size = problem.norm(&x.v);
                let resolution = real::<T>(DIRECTION_ROUNDING) * epsilon::<T>() * size;
                let unresolved = real::<T>(UNRESOLVED_FAILURE) * bundle.rounding(problem, x);
                converged = (problem.norm(&bundle.d) <= resolution
                    || bundle.expected_decrease <= unresolved)
                    && bundle.is_negligible(problem, x, residual);
                break;
            }
        }
    }
    y.give(scratch);
    scratch.give([bundle.z, bundle.d]);
    Outcome {
        converged,
        iterations,
        residual,
    }
}
