//! Laws of methods that do not follow the flow of their energy: noise, birth and death, Stein
//! variational gradients.

use wasserflow::law_tests;
use wasserflow::nalgebra::{DMatrix, DVector};
use wasserflow::prelude::*;
use wasserflow::testing::problems::Quartic;
use wasserflow::testing::{Case, Violation, strategies};

use super::distances::{eps, f64_of, split, within};

/// A measure of which no weight is 0.
fn positive<T: Real>(case: Case, p: usize) -> EmpiricalMeasure<T> {
    let mut mu: EmpiricalMeasure<T> = case.rng(11).measure(p, case.m);
    mu.weights_mut().iter_mut().for_each(|c| *c += real(0.125));
    mu
}

fn well<T: Real>(p: usize) -> PotentialEnergy<WeightDecay<T>> {
    PotentialEnergy::new(WeightDecay::new(real(0.5)).unwrap(), p)
}

/// The state after some steps, interrupted after the first `steps[0]`.
fn run<T: Real, I: Integrator<T>>(
    method: impl Fn() -> I,
    mu: &EmpiricalMeasure<T>,
    steps: [usize; 2],
) -> State<T> {
    let mut state = State::new(mu.clone());
    for steps in steps {
        state = State::from_parts(state.to_parts()).unwrap();
        let mut flow = ParticleFlow::new(well(mu.dim()), method(), real(0.125)).unwrap();
        flow.run(&mut state, steps, &mut ()).unwrap();
    }
    state
}

/// Noise is a function of the seed, the step and the index of a particle: the same bits after a
/// resume and for a part of the particles; other seeds give other numbers.
fn check_noise<T: Real, I: Integrator<T>>(
    method: impl Fn(u64, usize) -> I,
    case: Case,
) -> Result<(), Violation> {
    let mu = positive::<T>(case, case.d);
    let seed = case.seed;
    let whole = run(|| method(seed, 0), &mu, [4, 0]);
    let different = |found: bool| f64::from(u8::from(found));
    let points = |state: &State<T>| state.measure().points().clone();
    let resumed = run(|| method(seed, 0), &mu, [1, 3]);
    within(
        "resume",
        different(points(&resumed) != points(&whole)),
        0.0,
        case,
    )?;
    let start = case.m / 2;
    let columns = mu.points().columns(start, case.m - start).into_owned();
    let weights = DVector::from_column_slice(&mu.weights()[start..]);
    let part = EmpiricalMeasure::weighted(columns, weights).unwrap();
    let part = points(&run(|| method(seed, start), &part, [4, 0]));
    let expected = points(&whole).columns(start, case.m - start).into_owned();
    within(
        "parts of the particles",
        different(part != expected),
        0.0,
        case,
    )?;
    let other = points(&run(|| method(seed ^ 1, 0), &mu, [4, 0]));
    within("other seeds", different(other == points(&whole)), 0.0, case)?;
    let same = whole.measure().weights() == mu.weights();
    within("weights stay", different(!same), 0.0, case)
}

law_tests!(langevin, strategies::cases(), case => {
    let method = |seed, first| Langevin::new(real::<T>(0.3), seed).unwrap().particles(first, 1);
    check_noise::<T, _>(method, case)
});
law_tests!(kinetic_langevin, strategies::cases(), case => {
    let method = |seed, first| {
        KineticLangevin::new(real::<T>(0.3), 0.75, seed).unwrap().particles(first, 1)
    };
    check_noise::<T, _>(method, case)
});

// Birth and death conserves the mass, keeps 0 at 0, depends on the measure only, and has the exact
// weights of a fixed potential for every step size.
law_tests!(birth_death, strategies::cases(), case => {
    let mu: EmpiricalMeasure<T> = case.rng(12).measure(case.d, case.m);
    let step = |mu: &EmpiricalMeasure<T>, alpha: f64, dt: f64| {
        let energy = PotentialEnergy::new(Quartic, case.d);
        let method = BirthDeath::new(alpha, 0.0);
        let mut flow = ParticleFlow::new(energy, method, real(dt)).unwrap();
        let mut state = flow.start(mu.clone()).unwrap();
        flow.run(&mut state, 2, &mut ()).unwrap();
        state.into_measure()
    };
    let (alpha, dt) = (1.5, 0.25);
    let next = step(&mu, alpha, dt);
    let mass = f64_of(mu.mass());
    let potential = |i: usize| -> f64 {
        let mut value = [real::<T>(0.0)];
        let at = mu.points().columns(i, 1).into_owned();
        let mut descent = at.clone();
        let mut energy = PotentialEnergy::new(Quartic, case.d);
        energy.first_variation(&mu, &at, &mut value, &mut descent);
        f64_of(value[0])
    };
    let values: Vec<f64> = (0..case.m).map(potential).collect();
    let largest = values.iter().fold(0.0_f64, |max, v| max.max(v.abs()));
    let tolerance = 64.0 * eps::<T>() * (case.m as f64 + largest) * mass;
    within("conservation of mass", (f64_of(next.mass()) - mass).abs(), tolerance, case)?;
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let grown: Vec<f64> = (0..case.m)
        .map(|i| f64_of(mu.weight(i)) * (-alpha * 2.0 * dt * (values[i] - least)).exp())
        .collect();
    let sum: f64 = grown.iter().sum();
    for (i, grown) in grown.iter().enumerate() {
        let (found, exact) = (f64_of(next.weight(i)), mass * grown / sum);
        within("c ~ exp(-alpha V t)", (found - exact).abs(), tolerance, (case, i))?;
    }
    let parts = step(&split(&mu), alpha, dt);
    let first = f64_of(parts.weight(case.m - 1) + parts.weight(case.m));
    within("a function of the measure", (first - f64_of(next.weight(0))).abs(), tolerance, case)
});

/// Stein variational gradients: a function of the measure, descent at the temperature 0, and no motion
/// of the mean by the kernel's gradients alone.
fn check_svgd<T: Real>(temperature: f64, case: Case) -> Result<(), Violation> {
    let mu = positive::<T>(case, case.d);
    let dt = 2.0_f64.powi(-6);
    let moved = |mu: &EmpiricalMeasure<T>, flat: bool| {
        let kernel = Gaussian::new(case.d, real::<T>(0.75)).unwrap();
        let method = Svgd::new(kernel, real::<T>(temperature)).unwrap();
        let strength = if flat { 0.0 } else { 0.5 };
        let energy = PotentialEnergy::new(WeightDecay::new(real::<T>(strength)).unwrap(), case.d);
        let mut flow = ParticleFlow::new(energy, method, real(dt)).unwrap();
        let mut state = flow.start(mu.clone()).unwrap();
        let v = state.velocity().clone();
        flow.advance(&mut state).unwrap();
        (state.into_measure().points() - mu.points(), v)
    };
    let (step, v) = moved(&mu, false);
    let size = 16.0 * f64_of(mu.mass()) * dt * (1.0 + temperature) + 4.0;
    let tolerance = 64.0 * eps::<T>() * (case.m + case.d) as f64 * size;
    let (parts, _) = moved(&split(&mu), false);
    for (i, origin) in (1..case.m).rev().chain([0, 0]).enumerate() {
        for l in 0..case.d {
            let error = f64_of((parts[(l, i)] - step[(l, origin)]).abs());
            within("a function of the measure", error, tolerance, (case, i))?;
        }
    }
    let sum = |step: &DMatrix<T>, v: Option<&DMatrix<T>>, l: usize| -> f64 {
        let term = |i: usize| {
            let factor = v.map_or(1.0, |v| f64_of(v[(l, i)]));
            f64_of(mu.weight(i)) * f64_of(step[(l, i)]) * factor
        };
        (0..case.m).map(term).sum()
    };
    if temperature == 0.0 {
        let descent: f64 = (0..case.d).map(|l| sum(&step, Some(&v), l)).sum();
        let law = "int <d, v> dmu >= 0 at the temperature 0";
        return within(law, -descent, 8.0 * tolerance * f64_of(mu.mass()), case);
    }
    let (repelled, _) = moved(&mu, true);
    for l in 0..case.d {
        let mean = sum(&repelled, None, l).abs();
        let law = "the mean of the repulsion is 0";
        within(law, mean, tolerance * f64_of(mu.mass()), (case, l))?;
    }
    Ok(())
}

law_tests!(svgd, strategies::cases(), case => check_svgd::<T>(0.75, case));
law_tests!(cold_svgd, strategies::cases(), case => check_svgd::<T>(0.0, case));
