//! The proximal step of Jordan, Kinderlehrer and Otto.

use super::{Integrator, Step};
use crate::energy::Energy;
use crate::error::{ParameterError, StepError};
use crate::real::{Real, epsilon, real, to_f64};
use crate::state::State;

mod active_set;
mod breakpoints;
mod descent;
mod direction;
mod hull;
mod newton;
mod objective;
mod polish;
mod scratch;
mod search;
mod trust_region;

use descent::descend;
use objective::{Outcome, Point, Proximal, Tolerances};
pub use polish::{Polished, polish};
use scratch::Scratch;

/// The step of Jordan, Kinderlehrer and Otto, `mu+ = argmin_nu F(nu) + W2^2(nu, mu) / (2 gamma)`, `gamma = dt`. Order 1.
///
/// Between measures of the same weights the optimal plan is absorbed by relabelling, so over particles it is the proximal
/// step
///
/// `v = argmin P(v)`, `P(v) = F(v) + (1 / (2 gamma)) sum_i c_i |v_i - w_i|^2`.
///
/// Over all measures mass may also split; particles cannot. `P` need not be convex: a stationary point is sought, never
/// higher than the start. So `F(mu+) + W2^2(mu+, mu) / (2 gamma) <= F(mu)` for *every* `gamma`, up to the rounding of `F`: a
/// small `gamma` follows the flow, a large one minimises.
///
/// # Tolerance
/// The residual is the `L2(mu)` norm of the shortest subgradient of `P`, found in the convex hulls of the gradients of each particle
/// near `v`; where nothing has a kink it is `|(v - w) / gamma - velocity(v)|`. The step ends when it is below
/// `tolerance` times the speed `(int |velocity(w)|^2 dmu)^(1/2)` at the start, with the gradients of a hull from within `tolerance`
/// times the smaller of `gamma` times that speed and `(int |w|^2 dmu)^(1/2)`, or a thousand times their rounding. It also ends where
/// the model tells a decrease of `P` below its rounding and the residual no longer falls; this can be at a residual above the tolerance.
///
/// # Method
/// A rectifier neuron that meets a data hyperplane at which it should stop is pinned on it, and moves along it, as its sliding flow
/// does. Where it meets one is found from values and slopes of the first variation along its way; a pin is released where 0 is not
/// between the gradients of both sides, once there is less to gain along the faces than across the active_set. Along the faces `P` is
/// smooth: Newton steps by conjugate gradients with differences of velocities, in a trust region, the Hessian made positive
/// semidefinite particle by particle; the first step is that of Gauss and Newton (Levenberg and Marquardt for the square loss).
///
/// Energies without [first variation](Energy::first_variation), and steps on which the above gets stuck, are left to a slower method:
/// Newton steps with hulls of the gradients that the search has seen, and brackets around the kinks. There a hull is believed when it
/// has been found twice. Without a [curvature](Energy::curvature) differences of velocities take its place. Kinks are looked for
/// particle by particle; where it is the loss that has kinks (hinge, quantile) no step raises `P` either, but the residual may be too
/// small.
///
/// A particle of weight 0 takes the same steps: on another particle it stays with it. The tolerance does not count it.
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
/// A step fails with [`StepError::Inner`] when it does not reach its tolerance; the residual is that of above.
///
/// Sources: R. Jordan, D. Kinderlehrer and F. Otto, The variational formulation of the Fokker-Planck equation, 1998; the
/// hulls: A. Goldstein, Optimization of Lipschitz continuous functions, 1977.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jko {
    tolerance: f64,
    iterations: usize,
}

impl Jko {
    /// The method with relative `tolerance > 0` and at most `iterations >= 1` iterations a step.
    ///
    /// The range is checked where the method enters a flow ([`ParticleFlow::new`](crate::ParticleFlow::new)).
    pub fn new(tolerance: f64, iterations: usize) -> Self {
        Self {
            tolerance,
            iterations,
        }
    }

    /// 1.
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
        let ending = solve(
            energy,
            state,
            T::one() / dt,
            real(self.tolerance),
            self.iterations,
        )?;
        if ending.converged {
            Ok(Step {
                taken: dt,
                next: None,
            })
        } else {
            Err(StepError::Inner {
                iterations: ending.iterations,
                residual: to_f64(ending.residual),
            })
        }
    }

    fn check(&self) -> Result<(), ParameterError> {
        if !(self.tolerance > 0.0 && self.tolerance.is_finite()) {
            let requirement = "positive and finite";
            return Err(ParameterError {
                name: "tolerance",
                requirement,
                value: self.tolerance,
            });
        }
        if self.iterations == 0 {
            return Err(ParameterError {
                name: "iterations",
                requirement: "at least 1",
                value: 0.0,
            });
        }
        Ok(())
    }
}

/// Moves the state to the proximal point, `rate = 1/gamma`.
fn solve<T: Real>(
    energy: &mut dyn Energy<T>,
    state: &mut State<T>,
    rate: T,
    tolerance: T,
    iterations: usize,
) -> Result<Outcome<T>, StepError> {
    state.evaluate(energy);
    let shape = state.measure().points().shape();
    let mut scratch = Scratch::new(shape, state.take_stages(0));
    let (mut w, mut x) = (
        scratch.take(),
        Point {
            v: scratch.take(),
            velocity: scratch.take(),
            gradient: scratch.take(),
            energy: state.energy(),
            value: state.energy(),
        },
    );
    w.copy_from(state.measure().points());
    x.v.copy_from(&w);
    x.velocity.copy_from(state.velocity());

    let mut problem = Proximal {
        energy: &mut *energy,
        mu: state.measure_mut(),
        anchor: w,
        rate,
    };
    problem.complete(&mut x);
    let speed = problem.norm(&x.velocity);
    let mut scale = problem.norm(&x.v);
    if scale == T::zero() {
        scale = T::one();
    }
    let reach = if rate > T::zero() {
        scale.min(speed / rate)
    } else {
        scale
    };
    let floor = problem.rounding(&x);
    let tolerances = Tolerances {
        residual: (tolerance * speed).max(floor),
        radius: (tolerance * reach).max(real::<T>(8.0) * epsilon::<T>() * scale),
        iterations,
    };
    let ending = match newton::follow(&mut problem, &mut x, reach, &tolerances, &mut scratch) {
        Some(ending) if ending.converged || ending.iterations == iterations => ending,
        first => {
            let [used, evaluations, products] =
                first.map_or([0; 3], |e| [e.iterations, e.evaluations, e.products]);
            let tolerances = Tolerances {
                iterations: iterations - used,
                ..tolerances
            };
            let ending = descend(
                &mut problem,
                &mut x,
                real::<T>(0.01) * reach,
                &tolerances,
                &mut scratch,
            );
            Outcome {
                iterations: used + ending.iterations,
                evaluations: evaluations + ending.evaluations,
                products: products + ending.products,
                ..ending
            }
        }
    };

    let w = problem.anchor;
    state
        .measure_mut()
        .points_mut()
        .copy_from_slice(x.v.as_slice());
    state.adopt(energy, &mut x.velocity, x.energy);
    scratch.give([w, x.v, x.velocity, x.gradient]);
    state.give_stages(scratch.into_fields());
    Ok(ending)
}
