//! The proximal step of Jordan, Kinderlehrer and Otto.

use super::{Integrator, Step, check_positive_in};
use crate::energy::Energy;
use crate::error::{ParameterError, StepError};
use crate::real::{Real, real, to_f64};
use crate::state::State;

mod active_set;
mod bisection;
mod breakpoints;
mod bundle;
mod column;
mod descent;
mod direction;
mod hull;
mod newton;
mod objective;
mod polish;
mod scratch;
mod search;
mod solve;
mod subdifferential;
mod tolerances;
mod trust_region;

pub use polish::polish;
pub use solve::Polished;

/// The proximal step of Jordan, Kinderlehrer and Otto,
/// `mu+ = argmin_nu F(nu) + W2^2(nu, mu) / (2 gamma)`, `gamma = dt`. Order 1.
///
/// Between measures of the same weights the optimal plan is absorbed by relabelling. Over the
/// positions of the particles it is therefore the proximal step
///
/// `v = argmin P(v)`, `P(v) = F(v) + (1 / (2 gamma)) sum_i c_i |v_i - w_i|^2`.
///
/// Over all measures mass may also split; particles cannot. `P` need not be convex. The step seeks
/// a stationary point that is not higher than the start. So for *every* `gamma`, up to the rounding
/// of `F`,
///
/// `F(mu+) + W2^2(mu+, mu) / (2 gamma) <= F(mu)`.
///
/// A small `gamma` follows the flow, a large one minimises.
///
/// # Tolerance
/// The residual is the `L2(mu)` norm of the minimum-norm subgradient of `P`. That is, particle by
/// particle, the shortest vector in the convex hull of the gradients near `v`. Without kinks the
/// residual is `|(v - w) / gamma - velocity(v)|`.
///
/// - The step converges if the residual is at most `tolerance` times the speed
///   `(int |velocity(w)|^2 dmu)^(1/2)` at the start, or at most its own rounding error.
/// - Gradients of a hull are within `tolerance` times the smaller of `gamma` times that speed and
///   `(int |w|^2 dmu)^(1/2)`, or at a thousand times the rounding of the points.
/// - The step also converges if the predicted reduction is below the rounding error of `P` and the
///   residual no longer falls. The residual can then be above the tolerance.
///
/// A particle of weight 0 takes the same steps: one that starts on another particle stays on it.
/// The tolerance does not include it.
///
/// # Method
/// Energies with a [first variation](Energy::first_variation) use an active-set Newton method. A
/// rectifier neuron that meets a data hyperplane at which it should stop adds it to its active set,
/// and moves along it, as its sliding flow does. Such breakpoints are located from values and
/// slopes of the first variation along the search direction. A hyperplane leaves the active set if
/// 0 is not between the gradients of both sides, once the gradient across the active sets exceeds
/// that along them.
///
/// Along the active sets `P` is smooth. The steps are those of a trust-region Newton method by
/// conjugate gradients, with Hessian products by differences of velocities. The Hessian is made
/// positive semidefinite particle by particle. The first step is a Gauss-Newton step
/// (Levenberg-Marquardt for the square loss).
///
/// Energies without a first variation, and steps on which the above fails, use a slower bundle
/// method: Newton steps on the convex hulls of sampled gradients, with bisection for kinks. There a
/// subdifferential estimate is accepted only if a second, independent one confirms it. Without a
/// [curvature](Energy::curvature), differences of velocities replace it.
///
/// # Limits
/// Some long steps on problems with kinks in input dimension `d > 3` are refused with
/// [`StepError::Inner`]. Measured for rectifiers with the square loss (`d = 5`, 60 samples, 20
/// particles, weight decay `1e-2`): 14 of 60 steps of `gamma = 1e2, 1e4, 1e6`. With the hinge and
/// quantile losses most steps of `gamma >= 10` are refused: 38 of 47. A shorter step or a larger
/// tolerance can help.
///
/// Kinks are located particle by particle. If the loss has kinks (hinge, quantile), the gradient of
/// one particle jumps with the positions of the others. No step raises `P` then either, but the
/// residual may be too small.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1); // F = int w^2 / 2 dmu
/// let mut flow = ParticleFlow::new(energy, Jko::default(), 3.0)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 8.0))?)?;
/// flow.run(&mut state, 1, &mut ())?;
/// assert!((state.measure().particle(0)[0] - 8.0 / (1.0 + 3.0_f64)).abs() < 1e-5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// A step fails with [`StepError::Inner`] if it does not reach its tolerance within the iterations,
/// or if the line search fails at every sampling radius. The error reports the residual defined
/// above. [`StepError::Parameter`] if `1 / dt` is not finite.
///
/// # Cost
/// An iteration costs a velocity a trial of its line search, a few first variations, and one or two
/// linear solves of up to 60 curvature products (200 in the bundle method). One first variation is
/// at `p` points a particle, for the Hessian; it is omitted if `p > 32`.
///
/// Sources: R. Jordan, D. Kinderlehrer and F. Otto, The variational formulation of the
/// Fokker-Planck equation, 1998. Trust region: T. Steihaug, The conjugate gradient method and trust
/// regions in large scale optimization, 1983. Convex hulls of gradients: A. Goldstein, Optimization
/// of Lipschitz continuous functions, 1977.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jko {
    tolerance: f64,
    iterations: usize,
}

impl Jko {
    /// The method with relative `tolerance > 0` and at most `iterations >= 1` iterations a step.
    ///
    /// [`ParticleFlow::new`](crate::ParticleFlow::new) checks the ranges.
    pub fn new(tolerance: f64, iterations: usize) -> Self {
        Self {
            tolerance,
            iterations,
        }
    }

    /// The order, 1.
    pub fn order(&self) -> u32 {
        1
    }
}

/// `tolerance = 1e-6`, 1000 iterations.
impl Default for Jko {
    fn default() -> Self {
        Self::new(1e-6, 1000)
    }
}

impl<T: Real> Integrator<T> for Jko {
    fn order(&self) -> u32 {
        1
    }

    fn step(
        &mut self,
        energy: &mut dyn Energy<T>,
        state: &mut State<T>,
        dt: T,
    ) -> Result<Step<T>, StepError> {
        let (inv_gamma, tolerance) = (T::one() / dt, real(self.tolerance));
        let requirement = "so large that 1 / dt is finite";
        ParameterError::check(inv_gamma.is_finite(), "dt", requirement, to_f64(dt))?;
        solve::solve(energy, state, inv_gamma, tolerance, self.iterations)?;
        Ok(Step::new(dt))
    }

    fn check(&self) -> Result<(), ParameterError> {
        check_positive_in::<T>("tolerance", self.tolerance)?;
        ParameterError::check(self.iterations > 0, "iterations", "at least 1", 0.0)
    }
}
