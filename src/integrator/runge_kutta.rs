//! Explicit Runge-Kutta methods with a fixed step.

use nalgebra::DMatrix;

use super::{Integrator, Step, step_from_stale};
use crate::energy::Energy;
use crate::error::StepError;
use crate::numeric::weighted::TERMS;
use crate::real::{Real, real};
use crate::state::State;

/// Heun's method, `w_i += (dt / 2) (v_i(mu) + v_i(mu + dt v))`. Order 2, two velocities a step.
///
/// An Euler step predicts, the mean of both velocities corrects. `mu + dt v` is the measure with
/// its points moved by `dt v_i`. Where the velocity has kinks, as that of a rectifier network, the
/// order is lower.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1); // dw/dt = -w
/// let mut flow = ParticleFlow::new(energy, Heun, 0.5)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 8.0))?)?;
/// flow.run(&mut state, 1, &mut ())?;
/// assert_eq!(state.measure().particle(0), &[8.0 * (1.0 - 0.5 + 0.125)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heun;

/// The classical Runge-Kutta method. Order 4, four velocities a step.
///
/// Where the velocity has kinks, as that of a rectifier network, the order is lower.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1); // dw/dt = -w
/// let mut flow = ParticleFlow::new(energy, Rk4, 0.1)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
/// flow.run_until(&mut state, 1.0, &mut ())?;
/// assert!((state.measure().particle(0)[0] - f64::exp(-1.0)).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Source: W. Kutta, Beitrag zur naeherungsweisen Integration totaler Differentialgleichungen,
/// 1901.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rk4;

impl Heun {
    /// The order, 2.
    pub fn order(&self) -> u32 {
        2
    }
}

impl Rk4 {
    /// The order, 4.
    pub fn order(&self) -> u32 {
        4
    }
}

impl<T: Real> Integrator<T> for Heun {
    fn order(&self) -> u32 {
        2
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
        explicit(&[&[1.0], &[0.5, 0.5]], energy, before, state, dt);
        Ok(Step::new(dt))
    }
}

impl<T: Real> Integrator<T> for Rk4 {
    fn order(&self) -> u32 {
        4
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
        let b = [1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0];
        let rows: [&[f64]; 4] = [&[0.5], &[0.0, 0.5], &[0.0, 0.0, 1.0], &b];
        explicit(&rows, energy, before, state, dt);
        Ok(Step::new(dt))
    }
}

/// One step of the explicit method of the Butcher tableau with rows `a_2, .., a_s, b`, without the
/// zeros on and above the diagonal: `k_1 = v(w)`, `k_r = v(w + dt sum_q a_rq k_q)`,
/// `w += dt sum_q b_q k_q`.
fn explicit<T: Real>(
    rows: &[&[f64]],
    energy: &mut dyn Energy<T>,
    before: &State<T>,
    state: &mut State<T>,
    dt: T,
) {
    let mut stages = state.take_stages(before.measure().points().shape(), rows.len() - 1);
    for (r, row) in rows.iter().enumerate() {
        stage(row, before, &stages, state, dt);
        if let Some(k) = stages.get_mut(r) {
            energy.velocity(state.measure(), k);
        }
    }
    state.give_stages(stages);
}

/// Moves the points to `w + dt sum_q row_q k_q` with the velocity `k_1` of the state `before` and
/// `k_2, k_3, .. = stages`.
pub(super) fn stage<T: Real>(
    row: &[f64],
    before: &State<T>,
    stages: &[DMatrix<T>],
    state: &mut State<T>,
    dt: T,
) {
    let mut terms = [(T::zero(), before.velocity()); TERMS];
    let fields = std::iter::once(before.velocity()).chain(stages);
    let products = row.iter().zip(fields).filter(|(a, _)| **a != 0.0);
    let mut count = 0;
    for (term, (&a, k)) in terms.iter_mut().zip(products) {
        *term = (dt * real(a), k);
        count += 1;
    }
    state.displace_from(before, &terms[..count]);
}
