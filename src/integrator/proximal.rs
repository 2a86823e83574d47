//! The proximal step of Jordan, Kinderlehrer and Otto.

use super::{Integrator, Step, check_positive_in};
use crate::energy::Energy;
use crate::error::{ParameterError, StepError};
use crate::real::{Real, real, to_f64};
use crate::span::{event, span};
use crate::state::State;

mod active_set;
mod breakpoints;
mod newton;
mod objective;
mod polish;
mod solve;
mod trust_region;

pub use objective::Polished;
pub use polish::polish;
use solve::{Goal, solve};

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
/// The [residual](Self::residual) is the `L2(mu)` norm of the minimum-norm subgradient of `P`: of
/// each particle the shortest convex combination of the gradients on both sides of the kinks on
/// which it lies. Without kinks it is `|(v - w) / gamma - velocity(v)|`. A step of size `gamma` is
/// accepted if `P` is not above the start and one of the following holds:
///
/// - the residual is at most `tolerance` times the speed `(int |velocity(w)|^2 dmu)^(1/2)` at the
///   start, or at most its own rounding error;
/// - the predicted reduction of `P` is below its rounding error;
/// - the solver ends early, and the residual is at most a tenth of `|v - w| / gamma`: an inexact
///   proximal step.
///
/// Otherwise a shorter step is taken, `taken < dt`: with the point found, if it is an inexact step
/// of a smaller size, else with `gamma / 8`, and so on. Every size has the same number of
/// iterations.
///
/// A particle of weight 0 takes the same steps: one that starts on another particle stays on it.
/// The tolerance does not include it.
///
/// # Method
/// The kinks of the first variation are known: `b.x_j = 0` for a rectifier neuron
/// ([`Energy::breakpoints`]). A neuron that meets a kink at which it should stop adds it to its
/// active set, and moves along it, as its sliding flow does. Its breakpoints along the search
/// direction, and the multipliers of the kinks on which it lies, have closed forms. A kink leaves
/// the active set if 0 is not between the gradients of both sides, once the gradient across the
/// kinks exceeds that along them.
///
/// Along the active sets `P` is smooth. The steps are those of a trust-region Newton method by
/// conjugate gradients. The Hessian is the [curvature](Energy::curvature) of the risk plus one
/// block a particle ([`Energy::hessians`]), of which the absolute value is taken. It is also the
/// preconditioner. A step that gains less than predicted is followed by a second one of the same
/// model, a second-order correction. Energies without these methods are differentiated by
/// differences.
///
/// Kinks of the loss ([`Loss::kink`](crate::loss::Loss::kink)) couple all particles. They are relaxed by
/// the method of multipliers ([`Energy::relax`]): the relaxed problems are solved as above, with
/// multipliers that converge to subgradients of the loss. The residual is then that of an
/// epsilon-subgradient of the risk, with epsilon at most `tolerance` times the larger of `|P|` and
/// its decrease.
///
/// # Limits
/// An energy with kinks that does not implement [`Energy::breakpoints`] is treated as smooth. A
/// particle that meets such a kink shortens the step, and on the kink no step exists.
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
/// [`StepError::Inner`] if no descent is found at any size: the energy is not finite near the
/// start, its velocity is not its descent direction, or it has kinks that it does not report. The
/// error contains the residual defined above. [`StepError::Parameter`] if `1 / dt` is not finite.
///
/// # Cost
/// An iteration costs a velocity a trial of its line search, the Hessians of the first variation,
/// and up to 100 products. In total, 20 steps of a rectifier network with the square loss (`d = 5`,
/// 60 samples, 20 particles, weight decay `1e-2`) take 403, 3308, 7706 and 28 704 velocities and
/// products for `gamma = 1, 1e2, 1e4, 1e6`. Memory: four `p x p` matrices a particle if
/// `p <= 100`; for larger p the blocks are omitted.
///
/// The state stores one scalar, the residual.
///
/// Sources: R. Jordan, D. Kinderlehrer and F. Otto, The variational formulation of the
/// Fokker-Planck equation, 1998. Trust region: T. Steihaug, The conjugate gradient method and trust
/// regions in large scale optimization, 1983. Multipliers: R. T. Rockafellar, Augmented Lagrangians
/// and applications of the proximal point algorithm in convex programming, 1976. Inexact steps:
/// M. Solodov and B. Svaiter, A hybrid projection-proximal point algorithm, 1999.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Jko {
    tolerance: f64,
    iterations: usize,
}

#[cfg(feature = "serde")]
checked_fields!(Jko {
    tolerance: f64,
    iterations: usize
});

impl Jko {
    /// The method with relative `tolerance > 0` and at most `iterations >= 1` iterations for a step
    /// size.
    ///
    /// [`ParticleFlow::new`](crate::ParticleFlow::new) checks the ranges.
    pub fn new(tolerance: f64, iterations: usize) -> Self {
        Self {
            tolerance,
            iterations,
        }
    }

    /// The residual of the last step that led to a state: the `L2(mu)` norm of the minimum-norm
    /// subgradient of `P`. `None` before the first step, or if another integrator took it.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    ///
    /// let energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1);
    /// let mut flow = ParticleFlow::new(energy, Jko::default(), 3.0)?;
    /// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 8.0))?)?;
    /// assert_eq!(Jko::residual(&state), None);
    /// flow.advance(&mut state)?;
    /// assert!(Jko::residual(&state).unwrap() < 1e-6 * 8.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn residual<T: Real>(state: &State<T>) -> Option<T> {
        match state.memory().scalars[..] {
            [residual] => Some(residual),
            _ => None,
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
        let inv_gamma = T::one() / dt;
        let requirement = "so large that 1 / dt is finite";
        ParameterError::check(inv_gamma.is_finite(), "dt", requirement, to_f64(dt))?;
        let goal = Goal {
            inv_gamma,
            tolerance: real(self.tolerance),
            iterations: self.iterations,
        };
        span!(DEBUG, "proximal step", dt = to_f64(dt));
        let (inv_gamma, polished) = solve(energy, state, &goal)?;
        let scalars = &mut state.memory_mut().scalars;
        scalars.clear();
        scalars.push(polished.residual);
        let taken = if inv_gamma > goal.inv_gamma {
            (T::one() / inv_gamma).min(dt)
        } else {
            dt
        };
        event!(
            DEBUG,
            "solved",
            taken = to_f64(taken),
            residual = to_f64(polished.residual),
            iterations = polished.iterations,
            evaluations = polished.evaluations,
            products = polished.products,
            hessians = polished.hessians
        );
        Ok(Step::new(taken))
    }

    fn check(&self) -> Result<(), ParameterError> {
        check_positive_in::<T>("tolerance", self.tolerance)?;
        ParameterError::check(self.iterations > 0, "iterations", "at least 1", 0.0)
    }
}
