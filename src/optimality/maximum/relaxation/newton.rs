//! The minimisation of the bound over its multipliers: a barrier method with Newton steps.
//!
//! `Phi(w, theta) - e log det S - f sum_j log(1 - theta_j^2)` is minimised for decreasing `e, f`, in
//! the variables `log w` and `theta`, with `Phi = l.S^-1 l + sum_j p_j^2 / w_j`. With `S = R R^T`,
//! `T = R^-1 X` and `t = R^-1 l`, its Hessian is
//!
//! ```text
//! D + 2 Y^T Y + e (w w^T) o (T^T T)^2,   Y = [ w_j (T_j.t) T_j,  q_j T_j ],   D diagonal,
//! ```
//!
//! with the square entry by entry. The inverse of the first two terms costs `O(n d^2)`; it is the
//! preconditioner of conjugate gradients. Source of the scheme: J. Nocedal and S. J. Wright,
//! Numerical optimization, 2006, chapters 7 and 19.

use nalgebra::DVector;

use super::model::{Model, Point};
use super::multipliers::Multipliers;
use super::proof::Terms;
use super::work::Work;
use crate::optimality::effort::Limits;

/// Newton steps at most, over all barrier parameters.
const STEPS: usize = 120;

/// Newton steps at most for one barrier parameter.
const STEPS_AT_ONE_PARAMETER: usize = 12;

/// The barrier terms relative to `Phi`, without and with a start from earlier multipliers.
const COLD_SHARE: f64 = 0.5;
const WARM_SHARE: f64 = 0.1;

/// The factor of earlier w and theta. An optimal S is nearly singular for other data, and steps from
/// bounds of theta to the other side would be short.
const WARM_FACTOR: f64 = 0.9;

/// The factor of the barrier parameters from one to the next.
const DECREASE: f64 = 0.15;

/// The squared Newton decrement, relative to the barrier terms, at which the parameter decreases.
const DECREMENT: f64 = 0.3;

/// The part of the way to the bounds of theta that a step may take.
const FRACTION_TO_BOUNDARY: f64 = 0.95;

/// The largest change of `log w` in one step.
const LARGEST_CHANGE: f64 = 2.0;

/// The halvings of a step at most.
const HALVINGS: usize = 30;

/// The part of the predicted decrease that a step must attain (Armijo).
const SUFFICIENT: f64 = 1e-4;

/// `w` proportional to p with the largest eigenvalue of `sum_j w_j x_j x_j^T` near 1/2, and
/// `theta = 0`.
fn start_by_eigenvalue(terms: &Terms) -> Multipliers {
    proportional(terms, terms.largest_eigenvalue())
}

/// The same with the trace in place of the eigenvalue: S is positive definite for certain.
fn start_by_trace(terms: &Terms) -> Multipliers {
    proportional(terms, terms.p.sum())
}

fn proportional(terms: &Terms, size: f64) -> Multipliers {
    let log_weight = |p: f64| (0.5 * p / size).max(f64::MIN_POSITIVE).ln();
    Multipliers {
        log_weights: terms.p.map(log_weight),
        theta: DVector::zeros(terms.q.len()),
    }
}

/// Multipliers of a bound near the least one.
///
/// Stops if the bound is at most `goal (1 + limits.tolerance)`, or near its minimum up to the
/// relative `tolerance`, at the limit of work, or at the time limit.
pub(super) fn minimise(
    terms: &Terms,
    start: Option<Multipliers>,
    goal: f64,
    tolerance: f64,
    limits: Limits,
    work: &mut Work,
) -> Multipliers {
    let sizes = terms.sizes();
    let (m, n) = (terms.p.len(), terms.q.len());
    let d = terms.convex.nrows();
    let start = start
        .filter(|start| start.log_weights.len() == m && start.theta.len() == n)
        .and_then(|mut start| {
            start.theta *= WARM_FACTOR;
            start.log_weights.add_scalar_mut(WARM_FACTOR.ln());
            work.take(sizes.point()).then(|| Point::new(terms, start))?
        });
    if !work.take(2.0 * sizes.point()) {
        return start_by_eigenvalue(terms);
    }
    let cold = Point::new(terms, start_by_eigenvalue(terms))
        .or_else(|| Point::new(terms, start_by_trace(terms)));
    // For other data the earlier multipliers may be far off, and the steps of their logarithms are
    // short.
    let warm = match (&start, &cold) {
        (Some(start), Some(cold)) => start.square <= cold.square,
        (start, _) => start.is_some(),
    };
    let Some(mut point) = (if warm { start } else { cold }) else {
        return start_by_eigenvalue(terms);
    };
    let goal = goal * (1.0 + limits.tolerance);
    let barrier = |square: f64| {
        // The excess over the minimum is e d + 2 f n at most.
        [0.5 * square / d as f64, 0.25 * square / n.max(1) as f64]
    };
    let mut share = if warm { WARM_SHARE } else { COLD_SHARE };
    let mut steps = 0;
    loop {
        let parameters = barrier(point.square).map(|b| share * b);
        let last = share <= 2.0 * tolerance;
        let count = if last { STEPS } else { STEPS_AT_ONE_PARAMETER };
        for _ in 0..count {
            if point.square <= goal * goal || steps >= STEPS || limits.is_late() {
                return point.multipliers;
            }
            if !work.take(sizes.model()) {
                return point.multipliers;
            }
            steps += 1;
            let model = Model::new(terms, &point, parameters);
            let (step, decrease) = model.direction(sizes, work);
            let Some(next) = line_search(terms, &point, &step, decrease, parameters, work) else {
                break;
            };
            point = next;
            let weight = parameters[0] * d as f64 + 2.0 * parameters[1] * n as f64;
            if decrease <= DECREMENT * weight {
                break;
            }
        }
        if last {
            return point.multipliers;
        }
        share = (share * DECREASE).max(2.0 * tolerance);
    }
}

/// The next point along a direction; `None` if the merit does not decrease.
fn line_search(
    terms: &Terms,
    point: &Point,
    step: &DVector<f64>,
    decrease: f64,
    parameters: [f64; 2],
    work: &mut Work,
) -> Option<Point> {
    let m = terms.p.len();
    let mut length = 1.0_f64;
    for (j, &s) in step.iter().enumerate() {
        let room = if j < m {
            LARGEST_CHANGE
        } else {
            let theta = point.multipliers.theta[j - m];
            FRACTION_TO_BOUNDARY * (1.0 - theta * s.signum())
        };
        if s.abs() * length > room {
            length = room / s.abs();
        }
    }
    let merit = point.merit(parameters);
    for _ in 0..HALVINGS {
        if !work.take(terms.sizes().point()) {
            return None;
        }
        let moved = Multipliers {
            log_weights: &point.multipliers.log_weights + step.rows(0, m) * length,
            theta: &point.multipliers.theta + step.rows(m, step.len() - m) * length,
        };
        if let Some(next) = Point::new(terms, moved)
            && next.merit(parameters) <= merit - SUFFICIENT * length * decrease
        {
            return Some(next);
        }
        length *= 0.5;
    }
    None
}
