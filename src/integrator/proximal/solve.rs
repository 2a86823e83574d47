//! The solution of a proximal problem: kinks of the loss, inexact steps, shorter steps.

use std::cmp::Ordering;

use nalgebra::DMatrix;

use super::active_set::ActiveSet;
use super::newton::descend;
use super::objective::{Point, Polished, ProximalProblem};
use crate::energy::Energy;
use crate::error::StepError;
use crate::real::{Real, epsilon, real, to_f64};
use crate::span::{event, span};
use crate::state::State;

/// An inexact step is accepted if the residual is at most this fraction of `|v - w| / gamma`
/// (the relative criterion of M. Solodov and B. Svaiter, A hybrid projection-proximal point
/// algorithm, 1999).
const INEXACTNESS: f64 = 0.1;

/// The factor of `gamma` if a step is not accepted.
const SHORTENING: f64 = 0.125;

/// Steps of fewer units of rounding of the points are not tried.
const RESOLUTION: f64 = 1e3;

/// Step sizes tried at most.
const MAX_SIZES: usize = 20;

/// The first width of the relaxation of the kinks of the loss, relative to the mean distance of the
/// predictions from the kinks, and the factor of the width after each update of the multipliers.
const WIDTH: f64 = 0.3;
const NARROWING: f64 = 0.3;

/// Updates of the multipliers at most.
const MAX_UPDATES: usize = 40;

/// The relative tolerance of the first relaxed problem, and its factor after each update.
const LOOSE: f64 = 0.1;

/// What a step is to reach.
pub(super) struct Goal<T> {
    /// `1 / gamma`; 0 for a minimum of `F`.
    pub inv_gamma: T,
    /// The residual, relative to the speed `|velocity|` at the start.
    pub tolerance: T,
    /// Iterations at most, for each size of the step.
    pub iterations: usize,
}

/// Moves the state to a stationary point of `P`, or takes a shorter step that is one. Returns the
/// size of the step, as `1 / gamma`, and the work.
///
/// On failure the state is at the last accepted point.
pub(super) fn solve<T: Real>(
    energy: &mut dyn Energy<T>,
    state: &mut State<T>,
    goal: &Goal<T>,
) -> Result<(T, Polished<T>), StepError> {
    state.evaluate(energy);
    let (w, velocity) = (state.measure().points().clone(), state.velocity().clone());
    let mut x = Point {
        gradient: velocity.clone(),
        energy: state.energy(),
        value: state.energy(),
        v: w.clone(),
        velocity,
    };
    let relaxed = Relaxed(&mut *energy);
    let mut problem = ProximalProblem {
        energy: &mut *relaxed.0,
        mu: state.measure_mut(),
        anchor: w,
        inv_gamma: goal.inv_gamma,
        has_curvature: None,
        work: Polished {
            residual: T::zero(),
            iterations: 0,
            evaluations: 0,
            products: 0,
            hessians: 0,
        },
    };
    problem.complete(&mut x);
    let speed = problem.norm(&x.velocity);
    let mut solver = Solver {
        start: x.value,
        speed,
        goal,
        problem,
        x,
    };
    let accepted = solver.solve();
    let slope = solver.slope();
    let Solver { problem, mut x, .. } = solver;
    let (inv_gamma, work) = (problem.inv_gamma, problem.work);
    let points = state.measure_mut().points_mut();
    points.copy_from_slice(x.v.as_slice());
    drop(relaxed);
    state.adopt(energy, &mut x.velocity, x.energy);
    state.set_slope(slope);
    if accepted {
        Ok((inv_gamma, work))
    } else {
        Err(StepError::Inner {
            iterations: work.iterations,
            residual: to_f64(work.residual),
        })
    }
}

/// An energy whose kinks of the loss are relaxed during the step. They are restored when this is
/// dropped, also if a user-defined loss panics.
struct Relaxed<'a, T: Real>(&'a mut dyn Energy<T>);

impl<T: Real> Drop for Relaxed<'_, T> {
    fn drop(&mut self) {
        self.0.relax(None);
    }
}

struct Solver<'a, T> {
    goal: &'a Goal<T>,
    problem: ProximalProblem<'a, T>,
    x: Point<T>,
    /// `F(w)`.
    start: T,
    /// `|velocity(w)|`.
    speed: T,
}

impl<T: Real> Solver<'_, T> {
    /// Solves the problem, or one with a shorter `gamma`. Returns whether the point is accepted.
    fn solve(&mut self) -> bool {
        let resolution = real::<T>(RESOLUTION) * epsilon::<T>() * self.problem.norm(&self.x.v);
        for _ in 0..MAX_SIZES {
            span!(
                TRACE,
                "inner solve",
                inv_gamma = to_f64(self.problem.inv_gamma)
            );
            let (converged, z) = self.minimise();
            event!(
                TRACE,
                "minimised",
                converged = converged,
                iterations = self.problem.work.iterations,
                residual = to_f64(self.problem.work.residual)
            );
            if converged {
                return true;
            }
            if self.problem.inv_gamma == T::zero() || !self.problem.work.residual.is_finite() {
                break;
            }
            if self.shorten(&z) {
                return true;
            }
            self.problem.inv_gamma /= real(SHORTENING);
            if self.speed <= self.problem.inv_gamma * resolution {
                break;
            }
            self.problem.complete(&mut self.x);
            let order = self.x.value.partial_cmp(&self.start);
            if order.is_none_or(Ordering::is_gt) {
                self.x.v.copy_from(&self.problem.anchor);
                self.problem.evaluate(&mut self.x);
            }
        }
        false
    }

    /// The norm of the minimum-norm subgradient of `F` at the point.
    fn slope(&mut self) -> T {
        self.x.gradient = -&self.x.velocity;
        let z = ActiveSet::new(self.x.v.ncols()).identify(&mut self.problem, &self.x);
        self.problem.norm(&z)
    }

    /// Returns true if the point is an inexact step of its size or a shorter one, which becomes
    /// `gamma`: the residual is small relative to the step, and `P` is not above the start.
    ///
    /// With the subgradient `f` of `F`, the residual `|f + (v - w) / gamma|` is least for
    /// `1/gamma = -<f, v - w> / |v - w|^2`.
    fn shorten(&mut self, z: &DMatrix<T>) -> bool {
        let problem = &mut self.problem;
        let step = &self.x.v - &problem.anchor;
        let square = problem.inner(&step, &step);
        let fitted = problem.inv_gamma - problem.inner(z, &step) / square;
        for inv_gamma in [problem.inv_gamma, fitted.max(problem.inv_gamma)] {
            let residual = problem.norm(&(z + &step * (inv_gamma - problem.inv_gamma)));
            let value = self.x.energy + real::<T>(0.5) * inv_gamma * square;
            let bound = real::<T>(INEXACTNESS) * inv_gamma * square.sqrt();
            let descends = value <= self.start && square > T::zero();
            if inv_gamma.is_finite() && descends && residual <= bound {
                problem.inv_gamma = inv_gamma;
                problem.work.residual = residual;
                return true;
            }
        }
        false
    }

    /// Minimises `P`: once, or for a loss with kinks as a sequence of problems whose kinks are
    /// relaxed, by the method of multipliers. Returns whether it converged, and the subgradient.
    fn minimise(&mut self) -> (bool, DMatrix<T>) {
        let Self {
            problem, x, goal, ..
        } = self;
        let rounding = problem.gradient_rounding(x);
        let tight = (goal.tolerance * self.speed).max(rounding);
        problem.move_to(&x.v);
        let mut width = real::<T>(WIDTH);
        if problem.energy.relax(Some((problem.mu, width))).is_none() {
            return descend(problem, x, tight, goal.iterations);
        }
        let most = problem.work.iterations + goal.iterations;
        let mut loose = self.speed * real(LOOSE);
        let (mut lowest, mut best) = (x.value, x.v.clone());
        let mut result = (false, x.gradient.clone());
        for _ in 0..MAX_UPDATES {
            let tolerance = tight.max(loose);
            loose *= real(LOOSE);
            width *= real(NARROWING);
            problem.evaluate(x);
            result = descend(problem, x, tolerance, most - problem.work.iterations);
            problem.move_to(&x.v);
            let gap = problem
                .energy
                .relax(Some((problem.mu, width)))
                .unwrap_or(T::zero());
            if x.value + gap <= lowest {
                (lowest, best) = (x.value + gap, x.v.clone());
            }
            let resolved = gap <= goal.tolerance * (self.start - x.value).max(self.start.abs());
            result.0 &= tolerance <= tight && resolved;
            if result.0 || problem.work.iterations == most {
                break;
            }
        }
        problem.energy.relax(None);
        // The last point can be higher than an earlier one, by the gap.
        x.v = best;
        problem.evaluate(x);
        result
    }
}
