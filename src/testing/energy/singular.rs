//! The laws of an energy with a singular interaction of its particles.

use super::{Displaced, PATH, VIRIAL, check_boxed, check_path};
use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, real, to_f64};
use crate::testing::case::Case;
use crate::testing::evaluation::{evaluate, measure, mixture, value_scale, velocity_scale};
use crate::testing::rounding::rounding;
use crate::testing::violation::{Violation, require, within};

/// The distance of consecutive particles along the first axis, less the width of the coordinates.
const GAP: f64 = 0.5;

/// Checks an energy in which particles interact by a singular function of their distance, and do
/// not interact with themselves, such as an [`InteractionEnergy`](crate::energy::InteractionEnergy)
/// of a logarithm.
///
/// The laws are those of [`check_energy`](crate::testing::check_energy) at a measure of separate
/// particles, without that on splitting: two halves of a particle at a distance s interact, so that
/// F changes by `(c^2 / 4) W(s)`, which is not bounded. F is a function of the particles, not of the
/// measure.
///
/// - `velocity` returns F, and F and the velocities are finite;
/// - `F(mu_1) - F(mu_0) = -int_0^1 sum_i c_i <v_i(mu_t), u_i> dt`, also along the dilation
///   `u = w / 8` (the virial identity);
/// - invariance under permutations;
/// - particles of weight 0 do not change F and the other velocities;
/// - the first variation, if implemented, has the velocities of the particles;
/// - a boxed energy equals the energy, bit for bit.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::testing::{Case, check_energy, check_singular_energy};
///
/// let case = Case { n: 1, m: 5, d: 2, k: 1, seed: 1 };
/// let mut energy = InteractionEnergy::<_, f64>::new(PowerLaw::new(0.0, -1.0)?, 2);
/// assert_eq!(check_singular_energy(&mut energy, case), Ok(()));
/// assert!(check_energy(&mut energy, case).is_err()); // splitting changes the energy
/// # Ok::<(), ParameterError>(())
/// ```
///
/// # Errors
/// The first law that fails.
///
/// # Panics
/// If a size of the case is 0.
pub fn check_singular_energy<T: Real>(
    energy: &mut dyn Energy<T>,
    case: Case,
) -> Result<(), Violation> {
    case.assert_sizes();
    let p = energy.particle_dim();
    let mu = separate(case.measure::<T>(p));
    let mut rng = case.rng(14);
    let at = || format!("{case:?}, particle i moved by {} i", 4.0 + GAP);

    let (value, velocity) = evaluate(energy, &mu);
    let scale = value_scale(energy, &mu);
    let error = (to_f64(energy.value(&mu)) - value).abs();
    within("velocity returns F(mu)", error, rounding::<T>() * scale, at)?;
    let finite = value.is_finite() && velocity.iter().all(|v| v.is_finite());
    let found = || format!("F(mu) = {value}, v = {:?}", velocity.as_slice());
    require("F(mu) and the velocities are finite", finite, found, at)?;

    let all = Displaced(vec![true; p]);
    let mut u: Vec<T> = all.direction(&mut rng, mu.points().len());
    u.iter_mut().for_each(|u| *u *= real(0.25 * GAP));
    check_path(PATH, energy, &mu, &u, scale, at)?;
    check_path(VIRIAL, energy, &mu, &all.dilation(&mu), scale, at)?;

    let tolerance = rounding::<T>() * velocity_scale(energy, &mu);
    let m = mu.len();
    let reversed: Vec<usize> = (0..m).rev().collect();
    let points = reversed.iter().flat_map(|&i| mu.particle(i).to_vec());
    let weights = reversed.iter().map(|&i| mu.weight(i)).collect();
    let permuted = measure(p, points.collect(), weights);
    let mut probes = mu.clone();
    for (l, w) in probes.points_mut().iter_mut().enumerate() {
        *w += real(if l % p == 0 { 0.25 * GAP } else { 0.0 });
    }
    let with_probes = mixture(&mu, 1.0, &probes, 0.0);
    let permutation = "F and v are invariant under permutations of the particles";
    let zero_weight = "particles of weight 0 do not change F and v";
    for (law, modified, origin) in [
        (permutation, permuted, reversed),
        (zero_weight, with_probes, (0..m).collect()),
    ] {
        let (modified_value, v) = evaluate(energy, &modified);
        let error = (modified_value - value).abs();
        within(law, error, rounding::<T>() * scale, || {
            format!("F, {}", at())
        })?;
        for (i, &origin) in origin.iter().enumerate() {
            let error = to_f64((v.column(i) - velocity.column(origin)).amax());
            within(law, error, tolerance, || format!("particle {i}, {}", at()))?;
        }
    }
    super::first_variation::check_velocities(energy, &mu, at)?;
    check_boxed(energy, &mu, at)
}

/// The measure with particle i moved by `(4 + GAP) i` along the first axis, so that its particles
/// are apart: coordinates are in `[-2, 2]`.
fn separate<T: Real>(mut mu: EmpiricalMeasure<T>) -> EmpiricalMeasure<T> {
    let p = mu.dim();
    for (i, w) in mu.points_mut().chunks_exact_mut(p).enumerate() {
        w[0] += real((4.0 + GAP) * i as f64);
    }
    mu
}
