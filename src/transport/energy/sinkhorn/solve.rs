//! Potentials of entropic transport by the Sinkhorn iteration in the log domain.

use super::soft_minimum::{Cloud, SoftMinima};
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, real};

/// The factor by which the temperature decreases from that of the first iteration.
const SCALING: f64 = 0.25;

/// The temperature, and when an iteration stops.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings<T> {
    pub(super) epsilon: T,
    pub(super) tolerance: T,
    pub(super) iterations: usize,
}

/// `sum_i a_i |exp((old_i - new_i) / epsilon) - 1| / M`: the error of the marginal of `mu`.
fn marginal_error<T: Real>(mu: &EmpiricalMeasure<T>, old: &[T], new: &[T], eps: T) -> T {
    let mut sum = T::zero();
    for ((&old, &new), &c) in old.iter().zip(new).zip(mu.weights()) {
        if c != T::zero() {
            sum += c * (((old - new) / eps).exp() - T::one()).abs();
        }
    }
    sum / mu.mass()
}

/// `int f dmu / M`.
fn mean<T: Real>(mu: &EmpiricalMeasure<T>, f: &[T]) -> T {
    let mut sum = T::zero();
    for (&f, &c) in f.iter().zip(mu.weights()) {
        if c != T::zero() {
            sum += c * f;
        }
    }
    sum / mu.mass()
}

impl<T: Real> Settings<T> {
    /// The temperature of each iteration, and whether it is the final one, `epsilon`: decreasing
    /// from the squared diameter of both measures.
    fn temperatures(
        &self,
        mu: &EmpiricalMeasure<T>,
        nu: &EmpiricalMeasure<T>,
    ) -> impl Iterator<Item = (T, bool)> + use<T> {
        let first = mu.particle(0);
        let distance = |w: &[T]| {
            w.iter()
                .zip(first)
                .fold(T::zero(), |s, (&w, &v)| s + (w - v) * (w - v))
        };
        let all = (0..mu.len())
            .map(|i| mu.particle(i))
            .chain((0..nu.len()).map(|j| nu.particle(j)));
        let diameter = all.map(distance).fold(T::zero(), |a, b| a.max(b));
        let epsilon = self.epsilon;
        let mut next = diameter;
        let scaling = std::iter::from_fn(move || {
            let current = next;
            next *= real(SCALING);
            (current > epsilon && current.is_finite()).then_some((current, false))
        });
        scaling.chain(std::iter::repeat_n((epsilon, true), self.iterations))
    }

    /// The potentials `(f, g)` of `OT(mu, nu)`; returns its value and the error of the marginals.
    pub(super) fn pair(
        &self,
        [mu, nu]: [Cloud<'_, T>; 2],
        [f, g]: [&mut Vec<T>; 2],
        rows: &mut SoftMinima<T>,
    ) -> (T, T) {
        let (of_mu, of_nu) = (mu.measure, nu.measure);
        f.clear();
        f.resize(of_mu.len(), T::zero());
        g.clear();
        g.resize(of_nu.len(), T::zero());
        let mut error = T::zero();
        for (epsilon, is_final) in self.temperatures(of_mu, of_nu) {
            rows.compute(mu, f, epsilon, of_nu.points(), None);
            g.copy_from_slice(rows.values());
            rows.compute(nu, g, epsilon, of_mu.points(), None);
            error = marginal_error(of_mu, f, rows.values(), epsilon);
            f.copy_from_slice(rows.values());
            if is_final && error <= self.tolerance {
                break;
            }
        }
        (mean(of_mu, f) + mean(of_nu, g), error)
    }

    /// The potential p of `OT(mu, mu)`; returns its value and the error of the marginals.
    pub(super) fn symmetric(
        &self,
        cloud: Cloud<'_, T>,
        p: &mut Vec<T>,
        rows: &mut SoftMinima<T>,
    ) -> (T, T) {
        let mu = cloud.measure;
        p.clear();
        p.resize(mu.len(), T::zero());
        let (mut error, mut value) = (T::zero(), T::zero());
        for (epsilon, is_final) in self.temperatures(mu, mu) {
            rows.compute(cloud, p, epsilon, mu.points(), None);
            error = marginal_error(mu, p, rows.values(), epsilon);
            value = mean(mu, p) + mean(mu, rows.values());
            for (p, &new) in p.iter_mut().zip(rows.values()) {
                *p = (*p + new) * real(0.5); // converges faster than the alternating iteration
            }
            if is_final && error <= self.tolerance {
                break;
            }
        }
        (value, error)
    }
}
