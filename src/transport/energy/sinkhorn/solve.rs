//! Potentials of entropic transport by the Sinkhorn iteration in the log domain.

use super::relaxation::{Chebyshev, Relaxation};
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

/// `int |old - new| dmu / M`.
fn residual<T: Real>(mu: &EmpiricalMeasure<T>, old: &[T], new: &[T]) -> T {
    let mut sum = T::zero();
    for ((&old, &new), &c) in old.iter().zip(new).zip(mu.weights()) {
        if c != T::zero() {
            sum += c * (old - new).abs();
        }
    }
    sum / mu.mass()
}

/// `f <- f + omega (new - f)`
fn move_towards<T: Real>(f: &mut [T], new: &[T], omega: T) {
    for (f, &new) in f.iter_mut().zip(new) {
        *f = if omega == T::one() {
            new
        } else {
            *f + omega * (new - *f)
        };
    }
}

/// The variance of a coordinate.
fn variance<T: Real>(mu: &EmpiricalMeasure<T>, l: usize) -> T {
    let integral = |f: &dyn Fn(T) -> T| {
        let pairs = (0..mu.len()).map(|i| mu.weight(i) * f(mu.particle(i)[l]));
        pairs.fold(T::zero(), |a, b| a + b) / mu.mass()
    };
    let mean = integral(&|x| x);
    integral(&|x| (x - mean) * (x - mean))
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
    /// Temperatures above `epsilon`, decreasing from the squared diameter of both measures.
    fn higher_temperatures(
        &self,
        mu: &EmpiricalMeasure<T>,
        nu: &EmpiricalMeasure<T>,
    ) -> impl Iterator<Item = T> + use<T> {
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
        std::iter::from_fn(move || {
            let current = next;
            next *= real(SCALING);
            (current > epsilon && current.is_finite()).then_some(current)
        })
    }

    /// The rate of the alternating iteration between normal laws with the variances of the
    /// coordinates of `mu` and `nu`, the largest one of them.
    ///
    /// The entropic plan of variances a and b has the covariance
    /// `(a b + epsilon^2 / 4)^(1/2) - epsilon / 2`, and the rate is its squared correlation.
    fn gaussian_rate(&self, mu: &EmpiricalMeasure<T>, nu: &EmpiricalMeasure<T>) -> T {
        let mut largest = T::zero();
        for l in 0..mu.dim() {
            let product = variance(mu, l) * variance(nu, l);
            let half = real::<T>(0.5) * self.epsilon;
            let root = (product + half * half).sqrt();
            // (root - half)^2 / product, without cancellation
            let ratio = product.sqrt() / (root + half);
            largest = largest.max(ratio * ratio);
        }
        largest
    }

    /// The potentials `(f, g)` of `OT(mu, nu)`; returns its value and a bound for the error of the
    /// marginals. `f` and `g` are the start if `is_warm`.
    pub(super) fn pair(
        &self,
        [mu, nu]: [Cloud<'_, T>; 2],
        [f, g]: [&mut Vec<T>; 2],
        rows: &mut SoftMinima<T>,
        is_warm: bool,
    ) -> (T, T) {
        let (of_mu, of_nu) = (mu.measure, nu.measure);
        if !is_warm || f.len() != of_mu.len() || g.len() != of_nu.len() {
            f.clear();
            f.resize(of_mu.len(), T::zero());
            g.clear();
            g.resize(of_nu.len(), T::zero());
            for epsilon in self.higher_temperatures(of_mu, of_nu) {
                rows.compute(mu, f, epsilon, of_nu.points(), g);
                g.copy_from_slice(rows.values());
                rows.compute(nu, g, epsilon, of_mu.points(), f);
                f.copy_from_slice(rows.values());
            }
        }
        let eps = self.epsilon;
        let mut relaxation = Relaxation::new(self.gaussian_rate(of_mu, of_nu));
        let mut error = T::zero();
        for _ in 0..self.iterations {
            let omega = relaxation.omega();
            rows.compute(mu, f, eps, of_nu.points(), g);
            move_towards(g, rows.values(), omega);
            let error_nu = marginal_error(of_nu, g, rows.values(), eps);
            rows.compute(nu, g, eps, of_mu.points(), f);
            error = error_nu + marginal_error(of_mu, f, rows.values(), eps);
            let residual = residual(of_mu, f, rows.values());
            if error <= self.tolerance {
                break;
            }
            move_towards(f, rows.values(), omega);
            relaxation.update(residual);
        }
        // With the first marginal exact, the error of the second one is at most the sum of both.
        f.copy_from_slice(rows.values());
        (mean(of_mu, f) + mean(of_nu, g), error)
    }

    /// The potential p of `OT(mu, mu)`; returns its value and the error of the marginals. `p` is the
    /// start if `is_warm`; `previous` is a buffer.
    pub(super) fn symmetric(
        &self,
        cloud: Cloud<'_, T>,
        [p, previous]: [&mut Vec<T>; 2],
        rows: &mut SoftMinima<T>,
        is_warm: bool,
    ) -> (T, T) {
        let mu = cloud.measure;
        if !is_warm || p.len() != mu.len() {
            p.clear();
            p.resize(mu.len(), T::zero());
            for epsilon in self.higher_temperatures(mu, mu) {
                rows.compute(cloud, p, epsilon, mu.points(), p);
                move_towards(p, rows.values(), real(2.0 / 3.0));
            }
        }
        let mut chebyshev = Chebyshev::new();
        previous.clone_from(p);
        let (mut error, mut value) = (T::zero(), T::zero());
        for _ in 0..self.iterations {
            rows.compute(cloud, p, self.epsilon, mu.points(), p);
            error = marginal_error(mu, p, rows.values(), self.epsilon);
            value = mean(mu, p) + mean(mu, rows.values());
            if error <= self.tolerance {
                break;
            }
            let omega = chebyshev.next(residual(mu, p, rows.values()));
            for ((p, previous), &new) in p.iter_mut().zip(&mut *previous).zip(rows.values()) {
                let step = real::<T>(2.0 / 3.0) * (new - *p) + (*p - *previous);
                let next = *previous + omega * step;
                (*previous, *p) = (*p, next);
            }
        }
        (value, error)
    }
}
