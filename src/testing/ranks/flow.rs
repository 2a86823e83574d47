//! The law of a flow on ranks.

use super::{Dealing, Rank, on_every_rank};
use crate::energy::Energy;
use crate::flow::ParticleFlow;
use crate::integrator::Integrator;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, real, to_f64};
use crate::state::State;
use crate::testing::violation::{Violation, identical, succeeds, within};

/// The difference of coordinates, relative to the largest one, in units of eps: 1e-12 in `f64`.
const ROUNDING_UNITS: f64 = 4096.0;

/// Checks that a flow on 2, 3 and 7 ranks is that of the whole measure.
///
/// After the time `dt steps` the particles agree with those of one rank to `4096 eps` times the
/// largest coordinate, and energy, dissipation, time and step are the same on all ranks, bit for bit.
/// The particles are dealt out as by [`check_distributed`](super::check_distributed).
///
/// `make(None)` is the energy on one rank, `make(Some(rank))` that of one of several ranks. The flow
/// must not amplify rounding errors: the law is one of explicit methods and moderate times.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::problems::smooth_network;
/// use wasserflow::testing::{Case, check_distributed_flow};
///
/// let case = Case { n: 10, m: 9, d: 2, k: 1, seed: 1 };
/// let law = check_distributed_flow(|rank| match rank {
///     Some(rank) => smooth_network::<f64>(case).distributed(rank),
///     None => smooth_network(case),
/// }, || Rk4, &case.measure(3), 0.1, 5);
/// assert_eq!(law, Ok(()));
/// ```
///
/// # Errors
/// The first law that fails; an error of the flow is a violation.
///
/// # Panics
/// If a rank panics.
pub fn check_distributed_flow<T: Real, E: Energy<T>, I: Integrator<T>>(
    make: impl Fn(Option<Rank<T>>) -> E + Sync,
    method: impl Fn() -> I + Sync,
    mu: &EmpiricalMeasure<T>,
    dt: T,
    steps: usize,
) -> Result<(), Violation> {
    let run = |energy: E, mu: EmpiricalMeasure<T>| -> Result<State<T>, String> {
        let flow = ParticleFlow::new(energy, method(), dt);
        let mut flow = flow.map_err(|error| error.to_string())?;
        let mut state = flow.start(mu).map_err(|error| error.to_string())?;
        let end = dt * real(steps as f64);
        let run = flow.run_until(&mut state, end, &mut ());
        run.map_err(|error| error.to_string())?;
        Ok(state)
    };
    let law = "the flow exists";
    let whole = succeeds(law, run(make(None), mu.clone()), || "one rank".to_owned())?;
    let tolerance = ROUNDING_UNITS * to_f64(epsilon::<T>() * whole.measure().points().amax());
    for ranks in [2, 3, 7] {
        for dealing in Dealing::ALL {
            let results = on_every_rank(Rank::group(ranks), |index, rank| {
                run(make(Some(rank)), dealing.part(mu, index, ranks))
            });
            let at = |rank: usize| format!("rank {rank} of {ranks}, {dealing:?}, dt = {dt}");
            let mut first = None;
            for (rank, result) in results.into_iter().enumerate() {
                let state = succeeds("the flow exists on every rank", result, || at(rank))?;
                let scalars = [state.energy(), state.dissipation(), state.time()];
                let first = first.get_or_insert((scalars, state.step()));
                let law = "energy, dissipation, time and step are the same on all ranks";
                identical(law, &[(scalars, state.step())], &[*first], || at(rank))?;
                let law = "particles on a rank follow those of the whole measure";
                let indices = dealing.indices(mu.len(), rank, ranks);
                for (i, origin) in indices.into_iter().enumerate() {
                    let particles = (
                        state.measure().particle(i),
                        whole.measure().particle(origin),
                    );
                    for (&found, &expected) in particles.0.iter().zip(particles.1) {
                        let error = to_f64((found - expected).abs());
                        within(law, error, tolerance, || at(rank))?;
                    }
                    let (found, expected) =
                        (state.measure().weight(i), whole.measure().weight(origin));
                    let error = to_f64((found - expected).abs());
                    within(law, error, tolerance * to_f64(expected), || at(rank))?;
                }
            }
        }
    }
    Ok(())
}
