//! The embedded pair of Dormand and Prince, with a step size that follows a tolerance.

use super::runge_kutta::{stage, start};
use super::{Integrator, Step};
use crate::energy::Energy;
use crate::error::{ParameterError, StepError};
use crate::real::{Real, real, to_f64};
use crate::state::State;

/// The adaptive method of Dormand and Prince. Order 5, with an error estimate of order 4; six velocities a step.
///
/// A step from `mu` is accepted when its estimated error `e` is below the tolerance in the norm of `L2(mu)`:
///
/// `(int |e|^2 dmu)^(1/2) <= atol + rtol (int |w|^2 dmu)^(1/2)`,
///
/// the larger of the second moments before and after. The left side bounds the Wasserstein distance `W2` between the measures
/// of order 4 and 5. It does not count particles of weight 0. The step size follows by a PI controller, which keeps
/// its last error in the state: a run resumes bit for bit. A step that is not finite is retried, shorter.
///
/// The velocity at the new point serves as the first stage of the next step.
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
/// On rectifier networks the velocity jumps where `b.x_j = 0`. A particle that slides along such a kink, with velocities that point at
/// it from both sides, makes an explicit method crawl: the step is cut each time that it crosses. This is told from
/// stiffness by the order: halving a step divides its error by 32 where the velocity is smooth, and by 2 across a jump. A step
/// is cut at a kink if its error falls more slowly than its square. When such steps are more than one in 17, and there
/// have been 200 more than that, the step fails with [`StepError::Chatter`]; the state is as it was before it, and right, so that a
/// [`Jko`](super::Jko) can go on from it. The count is kept in the state.
///
/// Sources: J. Dormand and P. Prince, A family of embedded Runge-Kutta formulae, 1980; the controller: E. Hairer, S. Norsett
/// and G. Wanner, Solving Ordinary Differential Equations I, section II.4.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DormandPrince {
    rtol: f64,
    atol: f64,
}

impl DormandPrince {
    /// The method with relative tolerance `rtol >= 0` and absolute tolerance `atol >= 0`, not both 0.
    ///
    /// The range is checked where the method enters a flow ([`ParticleFlow::new`](crate::ParticleFlow::new)).
    pub fn new(rtol: f64, atol: f64) -> Self {
        Self { rtol, atol }
    }

    /// 5.
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

/// Rows `a_2, .., a_6, b`; the last is also `a_7`, so that the seventh stage is the velocity at the new point.
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

const SAFETY: f64 = 0.9;
const SHRINK: f64 = 0.2;
const GROW: f64 = 5.0;
/// Exponents of the PI controller: `dt' = dt SAFETY err^-ALPHA err_old^BETA`.
const BETA: f64 = 0.04;
const ALPHA: f64 = 0.2 - 0.75 * BETA;
/// Attempts at a step, each at most half as long as the last.
const ATTEMPTS: usize = 60;
/// What a step that was cut at a kink adds to the count of chatter, any other takes one away; and the count that is too much.
const CUT: usize = 16;
const CHATTER: usize = 200 * CUT;
/// The memory of a state is the last error, at most 1, and this times the count.
const UNIT: f64 = 2.0;

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
        let mut stages = state.take_stages(7);
        start(state, &mut stages);
        let before = energy.inner(state.measure(), &stages[0], &stages[0]);

        let (mut taken, mut error, mut grow) = (dt, f64::NAN, GROW);
        let memory = state.memory().map_or(1.0, to_f64);
        let count = (memory / UNIT).floor();
        let (old, mut refused, mut cut) = (memory - UNIT * count, None, false);
        for _ in 0..ATTEMPTS {
            let mut value = T::zero();
            for (r, row) in ROWS.iter().enumerate() {
                stage(row, state, &mut stages, taken);
                value = energy.velocity(state.measure(), &mut stages[r + 1]);
            }
            let points = state.measure().points();
            let after = energy.inner(state.measure(), points, points);
            let scale = real::<T>(self.atol) + real::<T>(self.rtol) * before.max(after).sqrt();

            // e = dt sum_r (b_r - b*_r) k_r, in the place of k_2, which has no weight in it.
            let (head, tail) = stages.split_at_mut(2);
            let e = &mut head[1];
            e.copy_from(state.velocity());
            *e *= real::<T>(ERROR[0]);
            for (k, &weight) in tail.iter().zip(&ERROR[2..]) {
                e.zip_apply(k, |e, k| *e += real::<T>(weight) * k);
            }
            let size = taken * energy.inner(state.measure(), e, e).sqrt();
            error = if size == T::zero() {
                0.0
            } else {
                to_f64(size / scale)
            };
            if !(value.is_finite() && after.is_finite()) {
                error = f64::INFINITY;
            }

            // Across a jump the error falls with the step, elsewhere with its fifth power.
            let size = to_f64(taken);
            cut |= refused
                .is_some_and(|(longer, more): (f64, f64)| error > more * (size / longer).powi(2));
            refused = Some((size, error)).filter(|_| error.is_finite());

            if error <= 1.0 {
                let count = if cut {
                    count as usize + CUT
                } else {
                    (count as usize).saturating_sub(1)
                };
                if count >= CHATTER {
                    return Err(StepError::Chatter {
                        time: to_f64(state.time()),
                        size,
                    });
                }
                let factor = (SAFETY * error.powf(-ALPHA) * old.powf(BETA)).clamp(SHRINK, grow);
                state.evaluated(energy, &mut stages[6], value);
                state.remember(Some(real(error.max(1e-4) + UNIT * count as f64)));
                state.give_stages(stages);
                // Where nothing moves, steps would grow until they are infinite.
                let longest = T::max_value().map_or(taken, |max| max.sqrt());
                return Ok(Step {
                    taken,
                    next: Some((taken * real(factor)).min(longest)),
                });
            }
            let factor = SAFETY * error.powf(-0.2);
            taken *= real(if factor.is_nan() {
                SHRINK
            } else {
                factor.clamp(SHRINK, 0.5)
            });
            grow = 1.0;
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
        for (name, value) in [("rtol", self.rtol), ("atol", self.atol)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(ParameterError {
                    name,
                    requirement: ">= 0 and finite",
                    value,
                });
            }
        }
        if self.rtol + self.atol == 0.0 {
            return Err(ParameterError {
                name: "rtol + atol",
                requirement: "positive",
                value: 0.0,
            });
        }
        Ok(())
    }
}
