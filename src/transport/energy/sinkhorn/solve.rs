//! Potentials of entropic transport by the Sinkhorn iteration in the log domain.

use nalgebra::DMatrix;

use crate::energy::Rows;
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::column;
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

/// A measure with a potential at its points, which defines a soft minimum.
#[derive(Clone, Copy)]
pub(super) struct Source<'a, T> {
    pub(super) measure: &'a EmpiricalMeasure<T>,
    pub(super) potential: &'a [T],
    pub(super) epsilon: T,
}

impl<T: Real> Source<'_, T> {
    /// The values of the rows are
    /// `-epsilon log int exp((potential(y) - |w - y|^2 / 2) / epsilon) dmu(y) / M` at the columns w
    /// of `at`, and the columns of `shift` the mean of `y - w` under this density.
    pub(super) fn soft_minimum(
        self,
        rows: &mut Rows<T>,
        at: &DMatrix<T>,
        shift: Option<&mut DMatrix<T>>,
    ) {
        let (p, len) = at.shape();
        let (half, mass) = (real::<T>(0.5), self.measure.mass());
        let row = |i: usize, _: &mut [T], out: &mut [T]| {
            let w = column(at, i);
            out.fill(T::zero());
            let (mut largest, mut sum) = (real::<T>(f64::NEG_INFINITY), T::zero());
            for (j, &potential) in self.potential.iter().enumerate() {
                let c = self.measure.weight(j);
                if c == T::zero() {
                    continue;
                }
                let y = self.measure.particle(j);
                let square = w
                    .iter()
                    .zip(y)
                    .fold(T::zero(), |s, (&w, &y)| s + (w - y) * (w - y));
                let exponent = (potential - square * half) / self.epsilon;
                if exponent > largest {
                    let rescaled = (largest - exponent).exp();
                    sum *= rescaled;
                    out.iter_mut().for_each(|out| *out *= rescaled);
                    largest = exponent;
                }
                let share = c * (exponent - largest).exp();
                sum += share;
                for ((out, &w), &y) in out.iter_mut().zip(w).zip(y) {
                    *out += share * (y - w);
                }
            }
            out.iter_mut().for_each(|out| *out /= sum);
            -self.epsilon * (largest + (sum / mass).ln())
        };
        rows.fill((p, len, self.potential.len()), 0, shift, &row);
    }
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
        mu: &EmpiricalMeasure<T>,
        nu: &EmpiricalMeasure<T>,
        [f, g]: [&mut Vec<T>; 2],
        rows: &mut Rows<T>,
    ) -> (T, T) {
        f.clear();
        f.resize(mu.len(), T::zero());
        g.clear();
        g.resize(nu.len(), T::zero());
        let mut error = T::zero();
        for (epsilon, is_final) in self.temperatures(mu, nu) {
            let source = Source {
                measure: mu,
                potential: f,
                epsilon,
            };
            source.soft_minimum(rows, nu.points(), None);
            g.copy_from_slice(&rows.values);
            let source = Source {
                measure: nu,
                potential: g,
                epsilon,
            };
            source.soft_minimum(rows, mu.points(), None);
            error = marginal_error(mu, f, &rows.values, epsilon);
            f.copy_from_slice(&rows.values);
            if is_final && error <= self.tolerance {
                break;
            }
        }
        (mean(mu, f) + mean(nu, g), error)
    }

    /// The potential p of `OT(mu, mu)`; returns its value and the error of the marginals.
    pub(super) fn symmetric(
        &self,
        mu: &EmpiricalMeasure<T>,
        p: &mut Vec<T>,
        rows: &mut Rows<T>,
    ) -> (T, T) {
        p.clear();
        p.resize(mu.len(), T::zero());
        let (mut error, mut value) = (T::zero(), T::zero());
        for (epsilon, is_final) in self.temperatures(mu, mu) {
            let source = Source {
                measure: mu,
                potential: p,
                epsilon,
            };
            source.soft_minimum(rows, mu.points(), None);
            error = marginal_error(mu, p, &rows.values, epsilon);
            value = mean(mu, p) + mean(mu, &rows.values);
            for (p, &new) in p.iter_mut().zip(&rows.values) {
                *p = (*p + new) * real(0.5); // converges faster than the alternating iteration
            }
            if is_final && error <= self.tolerance {
                break;
            }
        }
        (value, error)
    }
}
