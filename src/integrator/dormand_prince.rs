//! The embedded Runge-Kutta pair of Dormand and Prince with step-size control.

use nalgebra::DMatrix;

use super::runge_kutta::stage;
use super::{Integrator, Step, check_nonnegative_in, step_from_stale};
use crate::energy::Energy;
use crate::error::{ParameterError, StepError};
use crate::real::{Real, epsilon, real, to_f64};
use crate::state::State;

mod diagnosis;

use diagnosis::{Controller, TRIAL, Trial};

/// The adaptive method of Dormand and Prince: order 5 with an error estimate of order 4, six
/// velocities a step.
///
/// A step from `mu` is accepted if its estimated error `e` is below the tolerance in the norm of
/// `L2(mu)`:
///
/// `(int |e|^2 dmu)^(1/2) <= max(atol + rtol |w|, 8 eps |w|)`, `|w| = (int |w|^2 dmu)^(1/2)`,
///
/// with the larger of the second moments before and after the step, and the machine epsilon `eps`
/// of the scalar. The bound `8 eps |w|` replaces a smaller tolerance: the estimate of a smaller
/// error consists of rounding. In `f32` it is `1e-6 |w|`. The left side bounds the Wasserstein
/// distance `W2` between the measures of order 4 and 5. Particles of weight 0 do not contribute. A
/// PI controller sets the step size. A step that is not finite is repeated with a shorter step size.
///
/// The last stage is the velocity at the new point, so that it serves as the first stage of the
/// next step. The state stores the last error and the counts of the diagnosis below, so that a run
/// resumes bit for bit.
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
/// # Chatter and stiffness
/// On rectifier networks the velocity jumps where `b.x_j = 0`. If the velocities on both sides of
/// such a kink point towards it, a particle slides along the kink, and an explicit method crosses it
/// with every short step. Steps may be accepted all the same, so refusals do not reveal chatter.
/// After every 2000 steps the next 32 are therefore trials, whose proposed size is doubled. If a
/// trial is refused, the error at the reduced size shows what limits the steps:
///
/// - Jumps: halving the step divides the error by 32 if the velocity is smooth, and by 2 across a
///   jump. A trial meets a jump if its error decreases more slowly than the square of the step size.
///   Jumps that are only crossed satisfy `-dF/dt = int |v|^2 dmu`; along a kink the velocities of
///   both sides cancel. [`StepError::Chatter`] is returned if 4 trials meet a jump and `F` has fallen
///   by less than 0.9 times the integral of the dissipation, three times in succession.
/// - The domain of `F`: [`StepError::NonFinite`] if 4 trials are not finite, three times in
///   succession.
/// - Stability: 16 smooth trials exceed the stability limit, `dt |f(y) - f(z)| / |y - z| > 3.25` for
///   the last two stages `y, z`. A gradient flow near its limit is in this state, without harm. A
///   flow that remains in it for a million steps is stiff, and [`StepError::Stiff`] is returned.
///
/// Steady chatter is thus reported within 8128 steps, in any precision. The state is then that
/// before the step, from which a [`Jko`](super::Jko) can continue. A retry fails again;
/// [`State::reset_control`] starts a new diagnosis. The trials of smooth flows cost
/// 1.6 % of the velocities.
///
/// # Errors
/// [`StepError::Chatter`], [`StepError::Stiff`] and [`StepError::NonFinite`] as above. The least step
/// moves the points by their rounding, `dt |v| = eps |w|`: if a step of that size is not finite,
/// [`StepError::NonFinite`] is returned. Every refusal at least halves the step size, so attempts
/// end; [`StepError::Crawl`] if the size underflows to 0. [`StepError::Parameter`] if `dt` is not
/// positive and finite.
///
/// Sources: J. Dormand and P. Prince, *A family of embedded Runge-Kutta formulae*, 1980.
/// Controller: E. Hairer, S. Norsett and G. Wanner, *Solving Ordinary Differential Equations I*,
/// section II.4. Stability estimate: E. Hairer and G. Wanner, *Solving Ordinary Differential
/// Equations II*, section IV.2, as in their code DOPRI5.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct DormandPrince {
    rtol: f64,
    atol: f64,
}

#[cfg(feature = "serde")]
checked_fields!(DormandPrince {
    rtol: f64,
    atol: f64
});

impl DormandPrince {
    /// The method with relative tolerance `rtol >= 0` and absolute tolerance `atol >= 0`, not both
    /// 0.
    ///
    /// [`ParticleFlow::new`](crate::ParticleFlow::new) checks the ranges in the scalar of the flow.
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
/// The least tolerance, in units of `eps |w|`. The error estimate has a rounding error of 0.1
/// `dt L eps |w|`, with `dt L < 3.3` for a stable step.
const LEAST_TOLERANCE: f64 = 8.0;

/// The outcome of one attempt at a step.
struct Attempt<T> {
    /// The estimated error relative to the tolerance; infinite if the result is not finite.
    error: f64,
    /// `F` at the end.
    value: T,
    /// `dt |k_7 - k_6| / |w_7 - w_6|`, an estimate of `dt L`. Computed by trials only, otherwise 0.
    stability: f64,
}

impl DormandPrince {
    /// Computes the stages `k_2, .., k_7` of a step, and leaves the points at its end. `start` is the
    /// second moment at the start. The error estimate overwrites `k_2`, which has no weight in it.
    fn attempt<T: Real>(
        &self,
        energy: &mut dyn Energy<T>,
        before: &State<T>,
        state: &mut State<T>,
        stages: &mut [DMatrix<T>],
        (start, dt, is_trial): (T, T, bool),
    ) -> Attempt<T> {
        let mut value = T::zero();
        for (r, row) in ROWS.iter().enumerate() {
            stage(row, before, stages, state, dt);
            value = energy.velocity(state.measure(), &mut stages[r]);
        }
        let points = state.measure().points();
        let after = energy.inner(state.measure(), points, points);
        let mut attempt = Attempt {
            error: f64::INFINITY,
            value,
            stability: 0.0,
        };
        if !(value.is_finite() && after.is_finite()) {
            return attempt;
        }
        if is_trial {
            attempt.stability = stability(energy, before, stages, dt);
        }

        // e = dt sum_r (b_r - b*_r) k_r
        let size = dt * combination(&ERROR, energy, before, stages);
        if size == T::zero() {
            attempt.error = 0.0;
            return attempt;
        }
        let moment = start.max(after).sqrt();
        let scale = real::<T>(self.atol) + real::<T>(self.rtol) * moment;
        let least = real::<T>(LEAST_TOLERANCE) * epsilon::<T>() * moment;
        attempt.error = to_f64(size / scale.max(least));
        attempt
    }
}

/// The norm of `sum_r c_r k_r`, which overwrites `k_2`.
fn combination<T: Real>(
    c: &[f64; 7],
    energy: &mut dyn Energy<T>,
    before: &State<T>,
    stages: &mut [DMatrix<T>],
) -> T {
    let (head, tail) = stages.split_at_mut(1);
    let sum = &mut head[0];
    if c[1] == 0.0 {
        sum.fill(T::zero()); // k_2 may be overwritten already
    } else {
        *sum *= real::<T>(c[1]);
    }
    let others = std::iter::once(before.velocity()).chain(&*tail);
    for (k, &c) in others.zip(c[..1].iter().chain(&c[2..])) {
        if c != 0.0 {
            sum.zip_apply(k, |sum, k| *sum += real::<T>(c) * k);
        }
    }
    energy.inner(before.measure(), sum, sum).sqrt()
}

/// `dt |k_7 - k_6| / |w_7 - w_6|`: the stages 6 and 7 are both at the end of the step.
fn stability<T: Real>(
    energy: &mut dyn Energy<T>,
    before: &State<T>,
    stages: &mut [DMatrix<T>],
    dt: T,
) -> f64 {
    // w_7 - w_6 = dt sum_r (b_r - a_6r) k_r
    let mut c = [0.0; 7];
    for (r, &b) in ROWS[5].iter().enumerate() {
        c[r] = b - ROWS[4].get(r).copied().unwrap_or(0.0);
    }
    let distance = dt * combination(&c, energy, before, stages);
    let difference = combination(
        &[0.0, 0.0, 0.0, 0.0, 0.0, -1.0, 1.0],
        energy,
        before,
        stages,
    );
    let moved = distance > T::zero();
    if moved {
        to_f64(dt * difference / distance)
    } else {
        0.0
    }
}

impl<T: Real> Integrator<T> for DormandPrince {
    fn order(&self) -> u32 {
        5
    }

    in_place_step!(T);

    fn step_from(
        &mut self,
        energy: &mut dyn Energy<T>,
        before: &State<T>,
        state: &mut State<T>,
        dt: T,
    ) -> Result<Step<T>, StepError> {
        if let Some(step) = step_from_stale(self, energy, before, state, dt) {
            return step;
        }
        ParameterError::check_positive("dt", to_f64(dt))?;
        let mut controller = Controller::load(before);
        let is_trial = controller.is_trial();
        let mut stages = state.take_stages(before.measure().points().shape(), 6);
        let moment = before.second_moment(energy);
        let (speed, rounding) = (before.dissipation().sqrt(), epsilon::<T>() * moment.sqrt());

        let (mut taken, mut grow) = (dt, GROW);
        let mut trial = Trial::default();
        loop {
            let arguments = (moment, taken, is_trial);
            let attempt = self.attempt(energy, before, state, &mut stages, arguments);
            let error = attempt.error;
            trial.record(to_f64(taken), error, attempt.stability);

            if error <= 1.0 {
                let dissipated = taken * before.dissipation();
                controller.record(&trial, dissipated, before, attempt.value)?;
                let factor = SAFETY * error.powf(-ALPHA) * controller.error.powf(BETA);
                let factor = factor.clamp(SHRINK, grow);
                let factor = if controller.is_trial() {
                    TRIAL * factor
                } else {
                    factor
                };
                controller.error = error.max(LEAST_ERROR);
                state.adopt(energy, &mut stages[5], attempt.value);
                controller.store(state);
                state.give_stages(stages);
                // At rest the error is 0: without a limit the step size would grow to infinity.
                let longest = T::max_value().map_or(taken, |max| max.sqrt());
                return Ok(Step {
                    taken,
                    next: Some((taken * real(factor)).min(longest)),
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
            let is_least = |energy: &mut dyn Energy<T>| {
                // Neither of the first two stages moves the points by more than their rounding.
                let second = energy
                    .inner(before.measure(), &stages[0], &stages[0])
                    .sqrt();
                let exceeds = taken * second > rounding;
                speed > T::zero() && taken * speed <= rounding && !exceeds
            };
            if taken == T::zero() || (!error.is_finite() && is_least(energy)) {
                return Err(controller.failure(&trial, before, to_f64(taken)));
            }
        }
    }

    fn check(&self) -> Result<(), ParameterError> {
        check_nonnegative_in::<T>("rtol", self.rtol)?;
        check_nonnegative_in::<T>("atol", self.atol)?;
        let sum = real::<T>(self.rtol) + real::<T>(self.atol);
        let requirement = "positive in the precision of the flow";
        ParameterError::check(
            sum > T::zero(),
            "rtol + atol",
            requirement,
            self.rtol + self.atol,
        )
    }
}
