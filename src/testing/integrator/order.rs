//! The order of an integrator, measured on a flow with a known solution.

use nalgebra::DMatrix;

use crate::energy::PotentialEnergy;
use crate::integrator::Integrator;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, real, to_f64};
use crate::state::State;
use crate::testing::case::CaseRng;
use crate::testing::problems::Quartic;
use crate::testing::violation::{Violation, succeeds, within};

/// Checks the slope of the error of one step against its size, on a log-log scale.
pub(super) fn check<T: Real>(
    integrator: &mut dyn Integrator<T>,
    seed: u64,
) -> Result<(), Violation> {
    const PARTICLES: usize = 4;
    /// The largest error in the asymptotic range, where the expansion in dt holds.
    const LARGEST_ERROR: f64 = 0.005;
    /// The smallest error that rounding does not dominate, in units of epsilon.
    const SMALLEST_ERROR: f64 = 100.0;
    /// How far the measured slope may be below `order + 1`: less than one order.
    const TOLERANCE: f64 = 0.6;
    let law = "the error of a step is O(dt^{order + 1})";
    let mut rng = CaseRng::new(seed);
    let mut radius = || rng.uniform::<f64>(0.3, 0.8);
    let points = DMatrix::from_fn(2, PARTICLES, |_, _| real::<T>(radius()));
    let start = EmpiricalMeasure::uniform(points).unwrap_or_else(|e| unreachable!("{e}"));
    let mut quartic = PotentialEnergy::new(Quartic, 2);

    // (step taken, error)
    let mut errors: Vec<(f64, f64)> = Vec::new();
    for j in 1..14 {
        let dt = real::<T>(2.0_f64.powi(-j));
        let mut state = State::new(start.clone());
        let step = integrator.step(&mut quartic, &mut state, dt);
        let step = succeeds(law, step, || format!("dt = {dt}, seed = {seed}"))?;
        let mut square = 0.0;
        for i in 0..PARTICLES {
            let w: Vec<f64> = start.particle(i).iter().map(|&w| to_f64(w)).collect();
            let exact = Quartic::flow(&w, to_f64(step.taken));
            let pairs = state.measure().particle(i).iter().zip(&exact);
            square += pairs
                .map(|(&w, exact)| (to_f64(w) - exact).powi(2))
                .sum::<f64>();
        }
        errors.push((to_f64(step.taken), square.sqrt()));
    }
    let smallest = SMALLEST_ERROR * to_f64(epsilon::<T>());
    errors.retain(|&(_, error)| error < LARGEST_ERROR && error > smallest);
    // An adaptive method may reduce several dt to the same step.
    errors.dedup_by(|later, first| first.0 < 1.5 * later.0);
    let slope = |pair: &[(f64, f64)]| (pair[0].1 / pair[1].1).ln() / (pair[0].0 / pair[1].0).ln();
    let mut slopes: Vec<f64> = errors.windows(2).map(slope).collect();
    slopes.sort_by(f64::total_cmp);
    let Some(&median) = slopes.get(slopes.len() / 2) else {
        return Ok(());
    };
    let order = integrator.order();
    within(law, f64::from(order) + 1.0 - median, TOLERANCE, || {
        format!("slope {median:.2} for order {order}, seed = {seed}")
    })
}
