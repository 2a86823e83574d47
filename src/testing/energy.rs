//! The laws of an energy.

use super::case::{Case, CaseRng};
use super::derivative::{Segment, displace};
use super::evaluation::{confirm_nearby, evaluate, mixture, value_scale, velocity_scale};
use super::rounding::{Computed, rounding};
use super::violation::{Violation, identical, require, within};
use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, real, to_f64};

mod curvature;
mod first_variation;
mod second_order;
mod singular;

pub use singular::check_singular_energy;

/// Checks an energy at a measure drawn from the case, of which m and the seed are used.
///
/// - `velocity` returns `F(mu)`, and its result does not depend on the previous content of `out`;
/// - `F(mu_1) - F(mu_0) = -int_0^1 sum_i c_i <v_i(mu_t), u_i> dt` along `w_i + t u_i`, to rounding,
///   also across kinks: `c_i v_i = -dF/dw_i`, so `v = -m grad G` for equal weights;
/// - the virial identity `int w.v dmu = -d/dl F((l .)#mu)` at l = 1, as the law above along
///   `u = w / 8`, for every fourth seed;
/// - invariance under permuting particles, splitting particles, and adding particles of weight 0;
/// - `first_variation`, if implemented, is `dF(mu + e delta_w)/de` with its descent direction,
///   which at the particles is their velocity;
/// - `curvature`, if implemented, is symmetric and positive semidefinite in `inner`;
/// - at each visited breakpoint the gradient of the first variation jumps by `jump n`;
/// - `hessians`, if implemented, are the derivatives of the gradients of the first variation;
/// - `relax`, if implemented, keeps F at its measure, lowers it elsewhere, and can be undone;
/// - `inner(u, v) = sum_i c_i <u_i, v_i>`;
/// - a boxed energy equals the energy, bit for bit.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::{Case, check_energy};
///
/// let mut f = PotentialEnergy::new(WeightDecay::new(0.1)?, 3);
/// assert_eq!(check_energy::<f64>(&mut f, Case { n: 1, m: 5, d: 3, k: 1, seed: 1 }), Ok(()));
/// # Ok::<(), wasserflow::prelude::ParameterError>(())
/// ```
///
/// # Errors
/// The first law that fails.
///
/// # Panics
/// If a size of the case is 0.
pub fn check_energy<T: Real>(energy: &mut dyn Energy<T>, case: Case) -> Result<(), Violation> {
    case.assert_sizes();
    let all = Displaced(vec![true; energy.particle_dim()]);
    check(energy, &all, case)
}

/// Checks an energy that moves only some coordinates of the particles, such as
/// [`Frozen`](crate::energy::Frozen).
///
/// - The laws of [`check_energy`], for displacements of the given coordinates only;
/// - velocities are 0 in all others.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::{Case, check_energy_within};
///
/// let decay = PotentialEnergy::new(WeightDecay::new(0.1)?, 3);
/// let case = Case { n: 1, m: 5, d: 3, k: 1, seed: 1 };
/// assert_eq!(check_energy_within::<f64>(&mut Frozen::new(decay, 1..3)?, &[0], case), Ok(()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The first law that fails.
///
/// # Panics
/// If a size of the case is 0, or a coordinate is not below the dimension of the particles.
pub fn check_energy_within<T: Real>(
    energy: &mut dyn Energy<T>,
    coordinates: &[usize],
    case: Case,
) -> Result<(), Violation> {
    case.assert_sizes();
    let p = energy.particle_dim();
    let mut displaced = vec![false; p];
    for &l in coordinates {
        assert!(l < p, "a coordinate must be below {p}, found {l}");
        displaced[l] = true;
    }
    let displaced = Displaced(displaced);
    let (_, velocity) = evaluate(energy, &case.measure::<T>(p));
    let law = "velocities are 0 in the coordinates that do not move";
    let mut fixed = velocity.as_slice().to_vec();
    let moves = |i: &usize| displaced.0[i % p];
    (0..fixed.len())
        .filter(moves)
        .for_each(|i| fixed[i] = T::zero());
    let holds = fixed.iter().all(|&v| v == T::zero());
    require(
        law,
        holds,
        || format!("v = {fixed:?}"),
        || format!("{case:?}"),
    )?;
    check(energy, &displaced, case)
}

/// Whether each of the p coordinates of a particle is displaced by the laws.
struct Displaced(Vec<bool>);

impl Displaced {
    /// A direction of `len` coordinates of consecutive particles, 0 in those that are fixed.
    fn direction<T: Real>(&self, rng: &mut CaseRng, len: usize) -> Vec<T> {
        let mut u = rng.direction(len);
        for (u, _) in u
            .iter_mut()
            .zip(self.0.iter().cycle())
            .filter(|&(_, &free)| !free)
        {
            *u = T::zero();
        }
        u
    }

    /// The dilation `u = w / 8`, 0 in the coordinates that are fixed.
    fn dilation<T: Real>(&self, mu: &EmpiricalMeasure<T>) -> Vec<T> {
        let points = mu.points().iter().zip(self.0.iter().cycle());
        let coordinate = |(&w, &free): (&T, &bool)| if free { w * real(0.125) } else { T::zero() };
        points.map(coordinate).collect()
    }
}

fn check<T: Real>(
    energy: &mut dyn Energy<T>,
    displaced: &Displaced,
    case: Case,
) -> Result<(), Violation> {
    let mu = case.measure::<T>(energy.particle_dim());
    let mut rng = case.rng(14);
    let at = || format!("{case:?}");

    let (value, velocity) = evaluate(energy, &mu);
    let scale = value_scale(energy, &mu);
    let error = (to_f64(energy.value(&mu)) - value).abs();
    within("velocity returns F(mu)", error, rounding::<T>() * scale, at)?;
    let law = "F(mu) and the velocities are finite";
    let finite = value.is_finite() && velocity.iter().all(|v| v.is_finite());
    let found = || format!("F(mu) = {value}, v = {:?}", velocity.as_slice());
    require(law, finite, found, at)?;

    let mut u: Vec<T> = displaced.direction(&mut rng, mu.points().len());
    u.iter_mut().for_each(|u| *u *= real(0.25));
    check_path(PATH, energy, &mu, &u, scale, at)?;
    if case.seed.is_multiple_of(4) {
        check_path(VIRIAL, energy, &mu, &displaced.dilation(&mu), scale, at)?;
    }
    let mut other = rng.clone();
    confirm_nearby(&mu, &mut rng, |mu| {
        check_invariance(energy, mu, &mut other.clone(), at)
    })?;
    confirm_nearby(&mu, &mut other, |mu| {
        first_variation::check_velocities(energy, mu, at)
    })?;
    first_variation::check(energy, &mu, displaced, scale, &mut rng, at)?;
    curvature::check(energy, &mu, &mut rng, at)?;
    second_order::check(energy, &mu, displaced, &mut rng, at)?;
    check_boxed(energy, &mu, at)
}

const PATH: &str = "F(mu_1) - F(mu_0) = -int_0^1 sum_i c_i <v_i(mu_t), u_i> dt";
const VIRIAL: &str = "int w.v dmu = -d/dl F((l .)#mu), integrated over l from 1 to 9/8";

/// Checks `F(mu_1) - F(mu_0) = -int_0^1 sum_i c_i <v_i(mu_t), u_i> dt` along `w_i + t u_i`.
fn check_path<T: Real>(
    law: &'static str,
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    u: &[T],
    scale: f64,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let points = mu.points().as_slice();
    let mut moved = mu.clone();
    let mut value = |t: f64| {
        displace(points, t, u, moved.points_mut());
        to_f64(energy.value(&moved))
    };
    let ends = [value(0.0), value(1.0)];
    let derivative = |t: f64| {
        displace(points, t, u, moved.points_mut());
        let (_, mut gradient) = evaluate(energy, &moved);
        for (mut v, &c) in gradient.column_iter_mut().zip(mu.weights()) {
            v *= -c;
        }
        Computed::directional(gradient.as_slice(), u, moved.points().as_slice())
    };
    Segment::new(law, ends, 12)
        .with_scale(scale)
        .check::<T>(derivative, at)
}

/// Checks permuted particles, split particles and particles of weight 0.
fn check_invariance<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    rng: &mut CaseRng,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let (p, m) = mu.points().shape();
    let (value, v) = evaluate(energy, mu);
    let value_tolerance = rounding::<T>() * value_scale(energy, mu);
    let velocity_tolerance = rounding::<T>() * velocity_scale(energy, mu);

    // A random permutation (Fisher and Yates).
    let mut order: Vec<usize> = (0..m).collect();
    for i in (1..m).rev() {
        order.swap(i, rng.index(i + 1));
    }
    let mut permuted = mu.clone();
    for (i, &from) in order.iter().enumerate() {
        permuted.points_mut()[i * p..(i + 1) * p].copy_from_slice(mu.particle(from));
        permuted.weights_mut()[i] = mu.weight(from);
    }
    let share = [0.0, 0.25, 0.5][rng.index(3)];
    let split = mixture(mu, 1.0 - share, mu, share);
    let massless = mixture(mu, 1.0, mu, 0.0);
    let twice: Vec<usize> = (0..m).chain(0..m).collect();
    // Particle i of the modified measure is at the position of particle `origin[i]` of mu.
    let permutation = "F and v are invariant under permutations of the particles";
    let splitting = "F and v are invariant under splitting particles";
    let zero_weight =
        "particles of weight 0 move as others at their position, and do not change F and v";
    for (law, modified, origin) in [
        (permutation, permuted, &order),
        (splitting, split, &twice),
        (zero_weight, massless, &twice),
    ] {
        let (modified_value, modified_v) = evaluate(energy, &modified);
        let error = (modified_value - value).abs();
        within(law, error, value_tolerance, || format!("F, {}", at()))?;
        for (i, &origin) in origin.iter().enumerate() {
            let error = to_f64((modified_v.column(i) - v.column(origin)).amax());
            within(law, error, velocity_tolerance, || {
                format!("particle {i}, {}", at())
            })?;
        }
    }
    Ok(())
}

/// Checks that a box forwards every method.
fn check_boxed<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
    at: impl Fn() -> String,
) -> Result<(), Violation> {
    let expected = all_results(energy, mu);
    let mut boxed: Box<dyn Energy<T> + '_> = Box::new(energy);
    let law = "a boxed energy returns the same results, bit for bit";
    identical(law, &all_results(&mut boxed, mu), &expected, at)
}

/// The results of all methods; `None` stands for a method that is not implemented.
fn all_results<T: Real>(
    energy: &mut dyn Energy<T>,
    mu: &EmpiricalMeasure<T>,
) -> Vec<Option<Vec<T>>> {
    let (value, v) = evaluate(energy, mu);
    let (mut values, mut descent) = (vec![T::zero(); mu.len()], v.clone());
    let variation = energy.first_variation(mu, mu.points(), &mut values, &mut descent);
    let mut product = v.clone();
    let curvature = energy.curvature(mu, &v, &mut product);
    let (p, m) = mu.points().shape();
    let [mut remainder, mut included] = [(); 2].map(|()| vec![T::zero(); p * p * m]);
    let hessians = energy.hessians(mu, &mut remainder, &mut included);
    let mut breakpoints = Vec::new();
    energy.breakpoints(mu, &v, T::zero(), &mut |b| {
        breakpoints.extend([b.offset, b.rate, b.scale, b.jump, b.jump_rate, b.side]);
        breakpoints.extend_from_slice(b.normal);
    });
    let relaxed = energy.relax(Some((mu, real(0.1)))).map(|gap| {
        let relaxed = energy.value(mu);
        vec![gap, relaxed]
    });
    energy.relax(None);
    let scalars = vec![
        real(energy.particle_dim() as f64),
        real(value),
        energy.value(mu),
        energy.inner(mu, &v, mu.points()),
    ];
    vec![
        Some(scalars),
        Some(v.as_slice().to_vec()),
        variation.map(|value| [&[value], values.as_slice(), descent.as_slice()].concat()),
        curvature.map(|()| product.as_slice().to_vec()),
        hessians.map(|()| [remainder, included].concat()),
        Some(breakpoints),
        relaxed,
    ]
}
