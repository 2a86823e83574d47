//! Laws of interactions and of energies and integrators of the field, and planted mistakes.

use wasserflow::integrator::from_fn;
use wasserflow::prelude::*;
use wasserflow::testing::{
    Case, check_energy, check_interaction, check_singular_energy, energy_laws, integrator_laws,
    interaction_laws,
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
