//! Potentials of entropic transport by the Sinkhorn iteration in the log domain.

use super::relaxation::{Chebyshev, Relaxation};
use super::soft_minimum::{Cloud, SoftMinima};
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, real};

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

/// `int h(f) dmu / M`.
fn mean_of<T: Real>(mu: &EmpiricalMeasure<T>, f: &[T], h: impl Fn(T) -> T) -> T {
    let mut sum = T::zero();
    for (&f, &c) in f.iter().zip(mu.weights()) {
        if c != T::zero() {
            sum += c * h(f);
        }
    }
    sum / mu.mass()
}

/// `int f dmu / M`.
fn mean<T: Real>(mu: &EmpiricalMeasure<T>, f: &[T]) -> T {
    mean_of(mu, f, |f| f)
}

/// `int |f| dmu / M`.
fn size<T: Real>(mu: &EmpiricalMeasure<T>, f: &[T]) -> T {
    mean_of(mu, f, |f| f.abs())
}

/// `f <- f + s`, `g <- g - s`, such that their means are equal: the plan does not change. Otherwise
/// over-relaxation and warm starts add to s, until it is larger than the digits of f and g.
fn balance<T: Real>(mu: &EmpiricalMeasure<T>, nu: &EmpiricalMeasure<T>, f: &mut [T], g: &mut [T]) {
    let s = real::<T>(0.5) * (mean(nu, g) - mean(mu, f));
    f.iter_mut().for_each(|f| *f += s);
    g.iter_mut().for_each(|g| *g -= s);
}

/// `e^x - 1`, the relative error of the plan by errors x of its exponents `(f + g - c) / epsilon`,
/// for potentials of the mean sizes `|f| + |g| = size`: those of sums of p squares, with c near
/// `f + g`.
fn rounding<T: Real>(p: usize, size: T, eps: T) -> T {
    let units = real::<T>(0.5 * (p as f64 + 8.0));
    (units * epsilon::<T>() * size / eps).exp_m1()
}

/// The error of the marginals at which an iteration stops, so that its sum with the rounding error
/// is the tolerance, if that is possible.
fn threshold<T: Real>(tolerance: T, rounding: T) -> T {
    (tolerance - rounding).max(tolerance * real(0.5))
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

    /// Potentials `(f, g)` from which the iteration at `epsilon` starts.
    fn start(
        &self,
        [mu, nu]: [Cloud<'_, T>; 2],
        [f, g]: [&mut Vec<T>; 2],
        rows: &mut SoftMinima<T>,
    ) {
        let (of_mu, of_nu) = (mu.measure, nu.measure);
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

    /// The potentials `(f, g)` of `OT(mu, nu)`; returns its value and a bound for the error of the
    /// marginals. `f` and `g` are the start if `is_warm` and their plan is near one of `mu` and `nu`.
    pub(super) fn pair(
        &self,
        [mu, nu]: [Cloud<'_, T>; 2],
        [f, g]: [&mut Vec<T>; 2],
        rows: &mut SoftMinima<T>,
        is_warm: bool,
    ) -> (T, T) {
        let (of_mu, of_nu) = (mu.measure, nu.measure);
        let mut is_warm = is_warm && f.len() == of_mu.len() && g.len() == of_nu.len();
        if !is_warm {
            self.start([mu, nu], [f, g], rows);
        }
        let eps = self.epsilon;
        let mut relaxation = Relaxation::new(self.gaussian_rate(of_mu, of_nu));
        let mut iteration = 0;
        let error = loop {
            let omega = relaxation.omega();
            balance(of_mu, of_nu, f, g);
            rows.compute(mu, f, eps, of_nu.points(), g);
            move_towards(g, rows.values(), omega);
            let error_nu = marginal_error(of_nu, g, rows.values(), eps);
            rows.compute(nu, g, eps, of_mu.points(), f);
            let error = error_nu + marginal_error(of_mu, f, rows.values(), eps);
            let is_near = error <= T::one(); // false for NaN
            if std::mem::take(&mut is_warm) && !is_near {
                self.start([mu, nu], [f, g], rows);
                continue;
            }
            iteration += 1;
            let residual = residual(of_mu, f, rows.values());
            let lost = rounding(of_mu.dim(), size(of_mu, f) + size(of_nu, g), eps);
            if error <= threshold(self.tolerance, lost) || iteration == self.iterations {
                break error + lost;
            }
            move_towards(f, rows.values(), omega);
            relaxation.update(residual);
        };
        // With the first marginal exact, the error of the second one is at most the sum of both.
        f.copy_from_slice(rows.values());
        (mean(of_mu, f) + mean(of_nu, g), error)
    }

    /// The potential p from which the iteration at `epsilon` starts.
    fn start_symmetric(&self, cloud: Cloud<'_, T>, p: &mut Vec<T>, rows: &mut SoftMinima<T>) {
        let mu = cloud.measure;
        p.clear();
        p.resize(mu.len(), T::zero());
        for epsilon in self.higher_temperatures(mu, mu) {
            rows.compute(cloud, p, epsilon, mu.points(), p);
            move_towards(p, rows.values(), real(2.0 / 3.0));
        }
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
        let mut is_warm = is_warm && p.len() == mu.len();
        if !is_warm {
            self.start_symmetric(cloud, p, rows);
        }
        let mut chebyshev = Chebyshev::new();
        previous.clone_from(p);
        let mut iteration = 0;
        loop {
            rows.compute(cloud, p, self.epsilon, mu.points(), p);
            let error = marginal_error(mu, p, rows.values(), self.epsilon);
            let is_near = error <= T::one(); // false for NaN
            if std::mem::take(&mut is_warm) && !is_near {
                self.start_symmetric(cloud, p, rows);
                previous.clone_from(p);
                continue;
            }
            iteration += 1;
            let size = size(mu, p) + size(mu, rows.values());
            let lost = rounding(mu.dim(), size, self.epsilon);
            if error <= threshold(self.tolerance, lost) || iteration == self.iterations {
                return (mean(mu, p) + mean(mu, rows.values()), error + lost);
            }
            let omega = chebyshev.next(residual(mu, p, rows.values()));
            for ((p, previous), &new) in p.iter_mut().zip(&mut *previous).zip(rows.values()) {
                let step = real::<T>(2.0 / 3.0) * (new - *p) + (*p - *previous);
                let next = *previous + omega * step;
                (*previous, *p) = (*p, next);
            }
        }
    }
}
