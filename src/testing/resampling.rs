//! The laws of stochastic risks and energies: samples are keyed on the step.

use super::case::{Case, CaseRng};
use super::evaluation::evaluate;
use super::violation::{Violation, identical, require, succeeds};
use crate::energy::Energy;
use crate::flow::ParticleFlow;
use crate::integrator::Heun;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, real, to_f64};
use crate::risk::Risk;
use crate::state::State;

/// The law that both checks of this file state.
const KEYED: &str = "after refresh(s) the samples depend on s only, not on the calls before";

/// Checks the samples of a stochastic risk; `make` returns a new one with the same seed.
///
/// - after `refresh(s)` the risk does not depend on the calls before, bit for bit;
/// - a second `refresh(s)` changes nothing;
/// - `refresh` returns true if the risk changed;
/// - d and k do not change;
/// - a boxed risk resamples as the risk.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::check_resampled_risk;
///
/// let sampler = |rng: &mut SampleRng, x: &mut [f64], y: &mut [f64]| {
///     (x[0], y[0]) = (rng.normal(), 1.0)
/// };
/// let make = || ExpectedRisk::new(Square, (1, 1), 8, 7, sampler).unwrap();
/// assert_eq!(check_resampled_risk::<f64, _>(make, 1), Ok(()));
/// ```
///
/// # Errors
/// The first law that fails.
pub fn check_resampled_risk<T: Real, R: Risk<T>>(
    make: impl Fn() -> R,
    seed: u64,
) -> Result<(), Violation> {
    let fingerprint = |risk: &dyn Risk<T>| {
        let kn = risk.output_dim() * risk.inputs().len();
        let h: Vec<T> = CaseRng::new(seed).direction(kn);
        let mut out = vec![T::zero(); kn];
        let value = risk.value_and_gradient(&h, &mut out);
        let x = risk.inputs().points().as_slice();
        bits(&[x, &[value], &out].concat())
    };
    let shape = |risk: &dyn Risk<T>| [risk.inputs().dim(), risk.output_dim()];
    let expected = shape(&make());
    check_keyed(
        &|| {
            let mut risk = make();
            Box::new(move |step: Option<usize>| {
                let changed = step.is_some_and(|step| risk.refresh(step));
                (changed, fingerprint(&risk), shape(&risk).to_vec())
            })
        },
        &expected,
        seed,
    )?;
    let (mut risk, mut boxed): (R, Box<dyn Risk<T> + '_>) = (make(), Box::new(make()));
    let law = "a boxed risk resamples as the risk";
    for step in [1, 2, 0] {
        let results = [boxed.refresh(step), risk.refresh(step)];
        let at = || format!("step {step}, seed = {seed}");
        identical(law, &results[..1], &results[1..], at)?;
        identical(law, &fingerprint(&boxed), &fingerprint(&risk), at)?;
    }
    Ok(())
}

/// Checks the samples of a stochastic energy; `make` returns a new one with the same seed. Of the
/// case, m and the seed are used.
///
/// The laws are those of [`check_resampled_risk`], and
///
/// - a run that resumes from the clone of a state continues as the uninterrupted one, bit for bit:
///   with a new energy, and with one that has gone on.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
/// use wasserflow::testing::{Case, check_resampled_energy};
///
/// let make = || {
///     let (x, y) = (DMatrix::from_fn(1, 9, |_, j| j as f64 / 8.0), DVector::from_element(9, 1.0));
///     let risk = MinibatchRisk::new(EmpiricalRisk::new(Square, x, y).unwrap(), 4, 7).unwrap();
///     MeanFieldRisk::new(Ridge::new(Tanh, 1), risk).unwrap()
/// };
/// let case = Case { n: 1, m: 3, d: 1, k: 1, seed: 1 };
/// assert_eq!(check_resampled_energy::<f64, _>(make, case), Ok(()));
/// ```
///
/// # Errors
/// The first law that fails.
///
/// # Panics
/// If a size of the case is 0.
pub fn check_resampled_energy<T: Real, E: Energy<T>>(
    make: impl Fn() -> E,
    case: Case,
) -> Result<(), Violation> {
    case.assert_sizes();
    let p = make().particle_dim();
    let mu = case.measure::<T>(p);
    let fingerprint = |energy: &mut dyn Energy<T>| {
        let (value, v) = evaluate(energy, &mu);
        bits(&[&[real(value)], v.as_slice()].concat())
    };
    check_keyed(
        &|| {
            let mut energy = make();
            Box::new(move |step: Option<usize>| {
                let changed = step.is_some_and(|step| energy.refresh(step));
                let p = energy.particle_dim();
                (changed, fingerprint(&mut energy), vec![p])
            })
        },
        &[p],
        case.seed,
    )?;
    check_resume(&make, &mu, &|| format!("{case:?}"))
}

/// A component that is refreshed: returns what `refresh` returned, a fingerprint of the component,
/// and its sizes.
type Refreshed<'a> = Box<dyn FnMut(Option<usize>) -> (bool, Vec<u64>, Vec<usize>) + 'a>;

/// Checks that a component depends on the last step of its refreshes only.
fn check_keyed<'a>(
    make: &dyn Fn() -> Refreshed<'a>,
    sizes: &[usize],
    seed: u64,
) -> Result<(), Violation> {
    /// Steps that are reached one by one, and a late one.
    const FIRST: usize = 5;
    const LATE: usize = 1_000;
    let mut walked = make();
    let mut before = walked(None).1;
    for step in 0..FIRST {
        let at = || format!("step {step}, seed = {seed}");
        let (changed, found, shape) = walked(Some(step));
        let law = "refresh returns true if the samples change";
        require(law, changed || found == before, || "false".to_owned(), at)?;
        identical("d, k and p do not change", &shape, sizes, at)?;
        let again = walked(Some(step)).1;
        identical(
            "a second refresh of a step changes nothing",
            &again,
            &found,
            at,
        )?;
        identical(KEYED, &make()(Some(step)).1, &found, at)?;
        before = found;
    }
    let late = LATE + (seed % 7) as usize;
    let at = || format!("step {late}, seed = {seed}");
    let found = walked(Some(late)).1;
    identical(KEYED, &make()(Some(late)).1, &found, at)?;
    let mut returned = make();
    returned(Some(late + 3));
    identical(KEYED, &returned(Some(late)).1, &found, at)?;
    let first = make()(Some(0)).1;
    identical(KEYED, &returned(Some(0)).1, &first, || {
        format!("step 0 after step {late}, seed = {seed}")
    })
}

/// Checks that runs from the clone of a state continue as the run itself.
///
/// The method has two stages: the second one has to be that of the samples of the state.
fn check_resume<T: Real, E: Energy<T>>(
    make: &impl Fn() -> E,
    start: &EmpiricalMeasure<T>,
    at: &dyn Fn() -> String,
) -> Result<(), Violation> {
    const STEPS: usize = 4;
    let law = "a run that resumes from a clone of its state continues with the same samples";
    let flow =
        || ParticleFlow::new(make(), Heun, real(0.015625)).unwrap_or_else(|e| unreachable!("{e}"));
    let mut uninterrupted = flow();
    let mut state = succeeds(law, uninterrupted.start(start.clone()), at)?;
    succeeds(law, uninterrupted.run(&mut state, STEPS, &mut ()), at)?;
    let clone = state.clone();
    succeeds(law, uninterrupted.run(&mut state, STEPS, &mut ()), at)?;
    for mut flow in [flow(), uninterrupted] {
        let mut resumed = clone.clone();
        succeeds(law, flow.run(&mut resumed, STEPS, &mut ()), at)?;
        identical(law, &numbers(&resumed), &numbers(&state), at)?;
    }
    Ok(())
}

/// The particles, the weights, the velocities and the energy of a state.
fn numbers<T: Real>(state: &State<T>) -> Vec<u64> {
    let mu = state.measure();
    let (w, v) = (mu.points().as_slice(), state.velocity().as_slice());
    bits(&[w, mu.weights(), v, &[state.energy()]].concat())
}

/// Bits, which distinguish the zeros and equate a NaN with itself.
fn bits<T: Real>(x: &[T]) -> Vec<u64> {
    x.iter().map(|&x| to_f64(x).to_bits()).collect()
}
