//! The embedded Runge-Kutta pair of Dormand and Prince with step-size control.

use nalgebra::DMatrix;

use super::runge_kutta::{stage, start};
use super::{Integrator, Step};
use crate::energy::Energy;
use crate::error::{ParameterError, StepError};
use crate::real::{Real, real, to_f64};
use crate::state::State;

/// The adaptive method of Dormand and Prince: order 5 with an error estimate of order 4, six
/// velocities a step.
///
/// A step from `mu` is accepted if its estimated error `e` is below the tolerance in the norm of
/// `L2(mu)`:
///
/// `(int |e|^2 dmu)^(1/2) <= atol + rtol (int |w|^2 dmu)^(1/2)`,
///
/// with the larger of the second moments before and after the step. The left side bounds the
/// Wasserstein distance `W2` between the measures of order 4 and 5. Particles of weight 0 do not
/// contribute. A PI controller sets the step size. A step that is not finite is repeated with a
/// shorter step size.
///
/// The last stage is the velocity at the new point, so that it serves as the first stage of the
/// next step.
///
/// The state stores two scalars, the last error and the chatter count, so that a run resumes bit
/// for bit.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1); // dw/dt = -w
/// let mut flow = ParticleFlow::new(energy, DormandPrince::new(1e-9, 1e-12), 1e-3)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
/// flow.run_until(&mut state, 3.0, &mut ())?;
/// assert!((state.measure().particle(0)[0] - f64::exp(-3.0)).abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Chatter
/// On rectifier networks the velocity jumps where `b.x_j = 0`. If the velocities on both sides of
/// such a kink point towards it, a particle slides along the kink, and an explicit method must
/// reduce its step at each crossing. The order of the error distinguishes this from stiffness:
/// halving the step divides the error by 32 if the velocity is smooth, and by 2 across a jump. A
/// step counts as cut at a kink if its error decreases more slowly than the square of the step
/// size. Once more than one step in 17 is cut, with an excess of 200 such steps, the step fails
/// with [`StepError::Chatter`]. The state is then that before the step, from which a
/// [`Jko`](super::Jko) can continue.
///
/// # Errors
/// [`StepError::Chatter`] as above; [`StepError::Inner`] if 60 reductions do not reach the
/// tolerance; [`StepError::NonFinite`] if the last of them is not finite.
///
/// Sources: J. Dormand and P. Prince, *A family of embedded Runge-Kutta formulae*, 1980.
/// Controller: E. Hairer, S. Norsett and G. Wanner, *Solving Ordinary Differential Equations I*,
/// section II.4.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DormandPrince {
    rtol: f64,
    atol: f64,
}

impl DormandPrince {
    /// The method with relative tolerance `rtol >= 0` and absolute tolerance `atol >= 0`, not both
    /// 0.
    ///
    /// [`ParticleFlow::new`](crate::ParticleFlow::new) checks the ranges.
    pub fn new(rtol: f64, atol: f64) -> Self {
        Self { rtol, atol }
    }

    /// The order, 5.
    pub fn order(&self) -> u32 {
        5
    }
}

/// `rtol = 1e-6`, `atol = 1e-9`.
impl Default for DormandPrince {
    fn default() -> Self {
        Self::new(1e-6, 1e-9)
    }
}

/// Rows `a_2, .., a_6, b`; the last is also `a_7`, so that the seventh stage is the velocity at the
/// new point.
const ROWS: [&[f64]; 6] = [
    &[1.0 / 5.0],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[
        19372.0 / 6561.0,
        -25360.0 / 2187.0,
        64448.0 / 6561.0,
        -212.0 / 729.0,
    ],
    &[
        9017.0 / 3168.0,
        -355.0 / 33.0,
        46732.0 / 5247.0,
        49.0 / 176.0,
        -5103.0 / 18656.0,
    ],
    &[
        35.0 / 384.0,
        0.0,
        500.0 / 1113.0,
        125.0 / 192.0,
        -2187.0 / 6784.0,
        11.0 / 84.0,
    ],
];

/// `b - b*`, the weights of the error estimate; the last is that of the seventh stage.
const ERROR: [f64; 7] = [
    71.0 / 57600.0,
    0.0,
    -71.0 / 16695.0,
    71.0 / 1920.0,
    -17253.0 / 339200.0,
    22.0 / 525.0,
    -1.0 / 40.0,
];

/// Safety factor of the proposed step size.
const SAFETY: f64 = 0.9;
/// The largest factors by which one step may reduce and enlarge the step size.
const SHRINK: f64 = 0.2;
const GROW: f64 = 5.0;
/// The least reduction of a refused step, so that attempts end.
const REFUSED: f64 = 0.5;
/// Exponents of the PI controller, `dt' = dt SAFETY err^-ALPHA err_old^BETA` (Hairer et al.,
/// equation IV.2.43).
const BETA: f64 = 0.04;
const ALPHA: f64 = 0.2 - 0.75 * BETA;
/// The least error that the controller uses, so that one exact step does not determine the next.
const LEAST_ERROR: f64 = 1e-4;
/// Attempts at a step.
const ATTEMPTS: usize = 60;
/// A step cut at a kink adds this to the chatter count, any other step subtracts 1.
const CUT: usize = 16;
/// The chatter count at which a step fails: 200 cut steps.
const CHATTER: usize = 200 * CUT;

/// What the state stores between steps.
struct ControllerMemory {
    /// The last error relative to the tolerance.
    error: f64,
    /// The chatter count.
    cuts: usize,
}

impl ControllerMemory {
    fn load<T: Real>(state: &State<T>) -> Self {
        match state.memory().scalars[..] {
            [error, cuts] => Self {
                error: to_f64(error),
                cuts: to_f64(cuts) as usize,
            },
            _ => Self {
                error: 1.0,
                cuts: 0,
            },
        }
    }

    fn store<T: Real>(&self, state: &mut State<T>) {
        let scalars = &mut state.memory_mut().scalars;
        scalars.clear();
        scalars.extend([real::<T>(self.error), real(self.cuts as f64)]);
    }
}

impl DormandPrince {
    /// Computes the stages `k_2, .., k_7` of a step and returns its error relative to the tolerance
    /// and the energy at its end, where the points are left. `before` is the second moment at the
    /// start. The error estimate overwrites `k_2`, which has no weight in it.
    fn attempt<T: Real>(
        &self,
        energy: &mut dyn Energy<T>,
        state: &mut State<T>,
        stages: &mut [DMatrix<T>],
        before: T,
        dt: T,
    ) -> (f64, T) {
        let mut value = T::zero();
        for (r, row) in ROWS.iter().enumerate() {
            stage(row, state, stages, dt);
            value = energy.velocity(state.measure(), &mut stages[r + 1]);
        }
        let points = state.measure().points();
        let after = energy.inner(state.measure(), points, points);
        if !(value.is_finite() && after.is_finite()) {
            return (f64::INFINITY, value);
        }

        // e = dt sum_r (b_r - b*_r) k_r
        let (head, tail) = stages.split_at_mut(2);
        let e = &mut head[1];
        e.copy_from(state.velocity());
        *e *= real::<T>(ERROR[0]);
        for (k, &weight) in tail.iter().zip(&ERROR[2..]) {
            e.zip_apply(k, |e, k| *e += real::<T>(weight) * k);
        }
        let size = dt * energy.inner(state.measure(), e, e).sqrt();
        if size == T::zero() {
            return (0.0, value);
        }
        let scale = real::<T>(self.atol) + real::<T>(self.rtol) * before.max(after).sqrt();
        (to_f64(size / scale), value)
    }
}

impl<T: Real> Integrator<T> for DormandPrince {
    fn order(&self) -> u32 {
        5
    }

    fn step(
        &mut self,
        energy: &mut dyn Energy<T>,
        state: &mut State<T>,
        dt: T,
    ) -> Result<Step<T>, StepError> {
        state.evaluate(energy);
        let mut memory = ControllerMemory::load(state);
        let mut stages = state.take_stages(7);
        start(state, &mut stages);
        let before = energy.inner(state.measure(), &stages[0], &stages[0]);

        let (mut taken, mut error, mut grow) = (dt, f64::NAN, GROW);
        let (mut refused, mut cut) = (None, false);
        for _ in 0..ATTEMPTS {
            let value;
            (error, value) = self.attempt(energy, state, &mut stages, before, taken);

            // Across a jump the error is of the order of the step, elsewhere of its fifth power.
            let size = to_f64(taken);
            cut |= refused.is_some_and(|(longer, larger): (f64, f64)| {
                error > larger * (size / longer).powi(2)
            });
            refused = Some((size, error)).filter(|_| error.is_finite());

            if error <= 1.0 {
                let cuts = if cut {
                    memory.cuts + CUT
                } else {
                    memory.cuts.saturating_sub(1)
                };
                if cuts >= CHATTER {
                    return Err(StepError::Chatter {
                        time: to_f64(state.time()),
                        size,
                    });
                }
                let factor = SAFETY * error.powf(-ALPHA) * memory.error.powf(BETA);
                memory = ControllerMemory {
                    error: error.max(LEAST_ERROR),
                    cuts,
                };
                state.adopt(energy, &mut stages[6], value);
                memory.store(state);
                state.give_stages(stages);
                // At rest the error is 0: without a limit the step size would grow to infinity.
                let longest = T::max_value().map_or(taken, |max| max.sqrt());
                let next = (taken * real(factor.clamp(SHRINK, grow))).min(longest);
                return Ok(Step {
                    taken,
                    next: Some(next),
                });
            }
            let factor = SAFETY * error.powf(-0.2);
            let factor = if factor.is_nan() {
                SHRINK
            } else {
                factor.clamp(SHRINK, REFUSED)
            };
            taken *= real(factor);
            grow = 1.0; // after a refusal the step size does not increase at once
            state.rewind(&stages[0]);
        }
        if error.is_finite() {
            Err(StepError::Inner {
                iterations: ATTEMPTS,
                residual: error,
            })
        } else {
            Err(StepError::NonFinite {
                step: state.step(),
                time: to_f64(state.time()),
            })
        }
    }

    fn check(&self) -> Result<(), ParameterError> {
        ParameterError::check_nonnegative("rtol", self.rtol)?;
        ParameterError::check_nonnegative("atol", self.atol)?;
        ParameterError::check(self.rtol + self.atol > 0.0, "rtol + atol", "positive", 0.0)
    }
}
