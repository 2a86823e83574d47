//! Laws of interactions and of energies and integrators of the field, and planted mistakes.

use wasserflow::integrator::from_fn;
use wasserflow::law_tests;
use wasserflow::prelude::*;
use wasserflow::testing::{
    self, Case, check_conditionally_positive, check_energy, check_interaction, check_radial_kernel,
    check_score, check_singular_energy, energy_laws, integrator_laws, interaction_laws,
};

fn power(exponent: f64, strength: f64) -> PowerLaw {
    PowerLaw::new(exponent, strength).unwrap()
}

interaction_laws!(quadratic: |case| power(2.0, 1.5));
interaction_laws!(distance: |case| power(1.0, -1.0));
interaction_laws!(cubic: |case| power(3.0, 1.0));
interaction_laws!(quartic: |case| power(4.0, 0.5));
interaction_laws!(root: |case| power(0.5, 1.0));
interaction_laws!(logarithm: |case| power(0.0, -1.0));
interaction_laws!(inverse: |case| power(-1.0, 1.0));
interaction_laws!(nothing: |case| power(-1.0, 0.0));
interaction_laws!(gaussian: |case| GaussianInteraction::new(0.75, -2.0).unwrap());
interaction_laws!(aggregation: |case| (power(2.0, 1.0), power(0.0, -1.0)));

energy_laws!(quadratic_energy: |case| InteractionEnergy::new(power(2.0, 1.0), case.d));
energy_laws!(distance_energy: |case| InteractionEnergy::new(power(1.0, 1.0), case.d));
energy_laws!(swarm_energy: |case| {
    InteractionEnergy::new((power(4.0, 1.0), power(3.0, -1.0)), case.d)
});
energy_laws!(gaussian_energy: |case| {
    InteractionEnergy::new(GaussianInteraction::new(0.75, 1.0).unwrap(), case.d)
});
energy_laws!(aggregation_energy: |case| {
    InteractionEnergy::new((power(2.0, 1.0), power(0.0, -1.0)), case.d)
}, singular);
energy_laws!(coulomb_energy: |case| InteractionEnergy::new(power(-1.0, -1.0), case.d), singular);
energy_laws!(rings_energy: |case| {
    InteractionEnergy::new((power(4.0, 1.0), power(1.5, -1.0)), case.d)
}, singular);

energy_laws!(energy_distance: |case| {
    let target = case.rng(21).measure::<T>(case.d, 4);
    EnergyDistance::new(Riesz::new(1.0).unwrap(), target).unwrap()
});
energy_laws!(riesz_distance: |case| {
    let target = case.rng(21).measure::<T>(case.d, 4);
    EnergyDistance::new(Riesz::new(1.75).unwrap(), target).unwrap()
}, singular);
energy_laws!(stein_gaussian: |case| {
    SteinDiscrepancy::new(Normal, Gaussian::new(case.d, 0.75).unwrap(), case.d)
}, convex);
energy_laws!(stein_multiquadric: |case| {
    SteinDiscrepancy::new(Quartic, InverseMultiquadric::new(1.5).unwrap(), case.d)
}, convex);

energy_laws!(entropy_blob: |case| Blob::entropy(case.d, 1.5).unwrap());
energy_laws!(quadratic_blob: |case| {
    Blob::porous_medium(case.d, 2.0, 0.75).unwrap()
}, convex);
energy_laws!(cubic_blob: |case| Blob::porous_medium(case.d, 3.0, 0.75).unwrap());
energy_laws!(root_blob: |case| Blob::porous_medium(case.d, 1.5, 1.5).unwrap());

/// The score of the standard normal density.
struct Normal;

impl<T: Real> Score<T> for Normal {
    fn score(&self, w: &[T], out: &mut [T]) {
        out.iter_mut().zip(w).for_each(|(out, &w)| *out = -w);
    }
    fn hessian_product(&self, _: &[T], v: &[T], out: &mut [T]) {
        out.iter_mut().zip(v).for_each(|(out, &v)| *out = -v);
    }
}

/// The score of `exp(-|w|^4 / 16)`.
pub struct Quartic;

impl<T: Real> Score<T> for Quartic {
    fn score(&self, w: &[T], out: &mut [T]) {
        let square = w.iter().fold(T::zero(), |sum, &w| sum + w * w) * real(0.25);
        out.iter_mut()
            .zip(w)
            .for_each(|(out, &w)| *out = -square * w);
    }
    fn hessian_product(&self, w: &[T], v: &[T], out: &mut [T]) {
        let square = w.iter().fold(T::zero(), |sum, &w| sum + w * w) * real(0.25);
        let along = w.iter().zip(v).fold(T::zero(), |sum, (&w, &v)| sum + w * v) * real(0.5);
        for ((out, &w), &v) in out.iter_mut().zip(w).zip(v) {
            *out = -square * v - along * w;
        }
    }
}

law_tests!(conditionally_positive, testing::strategies::cases(), case => {
    for exponent in [0.25, 0.5, 1.0, 1.5, 1.75] {
        let riesz = Riesz::new(exponent).unwrap();
        check_conditionally_positive::<T>(&riesz, case.d, case.m, case.seed)?;
    }
    Ok(())
});
law_tests!(scores, testing::strategies::cases(), case => {
    check_score::<T>(&Normal, case.d, case.seed)?;
    check_score::<T>(&Quartic, case.d, case.seed)
});
law_tests!(radial_kernels, testing::strategies::seeds(), seed => {
    check_radial_kernel::<T>(&Gaussian::new(1, 0.75).unwrap(), seed)?;
    check_radial_kernel::<T>(&InverseMultiquadric::new(1.5).unwrap(), seed)
});

// Without noise: the laws of the deterministic parts.
integrator_laws!(cold_langevin: Langevin::annealed(from_fn(|_, _| 0.0 as T), 7));
integrator_laws!(cold_kinetic: {
    KineticLangevin::annealed(from_fn(|_, _| 0.0 as T), 0.5, 7).unwrap()
}, friction = 0.5);

const CASE: Case = Case {
    n: 1,
    m: 5,
    d: 2,
    k: 1,
    seed: 4,
};

/// A quadratic interaction with one mistake.
struct Wrong(&'static str);

impl Interaction<f64> for Wrong {
    fn value(&self, z: &[f64]) -> f64 {
        let even = z.iter().map(|z| z * z).sum::<f64>() / 2.0;
        even + if self.0 == "odd" { z[0] } else { 0.0 }
    }
    fn gradient(&self, z: &[f64], scale: f64, out: &mut [f64]) {
        let factor = if self.0 == "factor" { 2.0 } else { 1.0 };
        for (out, z) in out.iter_mut().zip(z) {
            *out += scale * factor * z;
        }
        if self.0 == "odd" || self.0 == "at 0" {
            out[0] += scale;
        }
    }
    fn value_and_gradient(&self, z: &[f64], scale: f64, out: &mut [f64]) -> f64 {
        self.gradient(z, if self.0 == "sign" { -scale } else { scale }, out);
        self.value(z)
    }
    fn is_singular(&self) -> bool {
        self.0 == "singular"
    }
}

impl ConditionallyPositive<f64> for Wrong {}

#[test]
fn mistakes_of_an_interaction_are_detected() {
    let law = |wrong| check_interaction(&Wrong(wrong), 2, 1).map_err(|violation| violation.law);
    assert_eq!(law("none"), Ok(()));
    assert_eq!(law("odd"), Err("W(-z) = W(z)"));
    let integral = "W(z + u) - W(z) = int_0^1 <grad W(z + t u), u> dt";
    assert_eq!(law("factor"), Err(integral));
    assert_eq!(law("at 0"), Err(integral));
    assert_eq!(law("sign"), Err("value_and_gradient adds gradient"));
    let singular = "is_singular is true exactly if W(0) is not finite";
    assert_eq!(law("singular"), Err(singular));
}

/// A quadratic is conditionally negative definite, and a score needs a symmetric Hessian.
#[test]
fn mistakes_of_kernels_and_scores_are_detected() {
    let found = check_conditionally_positive(&Wrong("none"), 2, 5, 1).unwrap_err();
    assert_eq!(
        found.law,
        "sum_ij c_i c_j W(w_i - w_j) >= 0 for weights of sum 0"
    );

    struct Rotation(f64);
    impl Score<f64> for Rotation {
        fn score(&self, w: &[f64], out: &mut [f64]) {
            out.copy_from_slice(&[w[1], -self.0 * w[0]]);
        }
        fn hessian_product(&self, _: &[f64], v: &[f64], out: &mut [f64]) {
            out.copy_from_slice(&[v[1], -v[0]]);
        }
    }
    let laws = |factor: f64| -> Vec<_> {
        let failure = |seed| check_score(&Rotation(factor), 2, seed).err();
        (0..9)
            .filter_map(failure)
            .map(|violation| violation.law)
            .collect()
    };
    assert!(laws(1.0).contains(&"<D s(w) u, e> = <u, D s(w) e>"));
    assert!(laws(2.0).contains(&"<s(w + u) - s(w), e> = int_0^1 <D s(w + t u) u, e> dt"));

    struct Steep;
    impl RadialKernel<f64> for Steep {
        fn derivatives(&self, s: f64) -> [f64; 4] {
            let f = f64::exp(-s);
            [f, -f, f, -f * 1.001]
        }
    }
    let found = check_radial_kernel(&Steep, 1).unwrap_err();
    assert_eq!(
        found.law,
        "the fourth function is the derivative of the third"
    );
}

/// An energy whose velocities are too long by a multiple of the particle: wrong along dilations.
struct Dilated<E>(E);

impl<E: Energy<f64>> Energy<f64> for Dilated<E> {
    fn particle_dim(&self) -> usize {
        self.0.particle_dim()
    }
    fn value(&mut self, mu: &EmpiricalMeasure<f64>) -> f64 {
        self.0.value(mu)
    }
    fn velocity(&mut self, mu: &EmpiricalMeasure<f64>, out: &mut nalgebra::DMatrix<f64>) -> f64 {
        let value = self.0.velocity(mu, out);
        *out += mu.points() * 0.01;
        value
    }
}

#[test]
fn mistakes_of_a_singular_energy_are_detected() {
    let log = || InteractionEnergy::new(power(0.0, -1.0), 2);
    assert_eq!(check_singular_energy(&mut log(), CASE), Ok(()));
    let found = check_singular_energy(&mut Dilated(log()), CASE).unwrap_err();
    assert!(
        found.law.contains("int_0^1 sum_i c_i <v_i(mu_t), u_i> dt"),
        "{found}"
    );
    // The copies of a particle: a law of energies that are functions of the measure only.
    let found = check_energy(&mut log(), CASE).unwrap_err();
    assert!(
        found.to_string().contains("inf") || found.law.contains("split"),
        "{found}"
    );
}

/// `W(z) = |z|^2 / 2` as a function of the square, with one mistake.
struct Slices(&'static str);

impl Interaction<f64> for Slices {
    fn value(&self, z: &[f64]) -> f64 {
        z.iter().map(|z| z * z).sum::<f64>() / 2.0
    }
    fn gradient(&self, z: &[f64], scale: f64, out: &mut [f64]) {
        for (out, z) in out.iter_mut().zip(z) {
            *out += scale * z;
        }
    }
    fn radial(&self, s: &mut [f64], d: &mut [f64]) -> bool {
        let last = s.len().saturating_sub(1);
        for (r, s) in s.iter_mut().enumerate() {
            *s *= match self.0 {
                "value" => 1.0,
                "values alone" if d.is_empty() => 1.0,
                "last" if r == last => 1.0,
                _ => 0.5,
            };
        }
        d.fill(if self.0 == "gradient" { 1.0 } else { 0.5 });
        match self.0 {
            "changed" => false,
            "values only" => !d.is_empty(),
            _ => true,
        }
    }
}

#[test]
fn mistakes_of_slices_are_detected() {
    let law = |wrong| check_interaction(&Slices(wrong), 2, 1).map_err(|violation| violation.law);
    assert_eq!(law("none"), Ok(()));
    for wrong in ["value", "values alone", "last"] {
        assert_eq!(law(wrong), Err("radial computes value"));
    }
    assert_eq!(law("gradient"), Err("radial computes gradient"));
    let unchanged = "radial changes nothing if it returns false";
    assert_eq!(law("changed"), Err(unchanged));
    let same = "radial returns the same for all arguments";
    assert_eq!(law("values only"), Err(same));
}
