//! Newton steps for weights: sequential quadratic programming with a finite-difference Hessian.
//!
//! The Hessian costs two first variations a group, or one if F is quadratic along the first group.
//! It is kept while it predicts the gradient after each step (the secant condition): for a
//! quadratic F throughout.

use nalgebra::{DMatrix, DVector};

use super::WeightProblem;
use super::non_negative::non_negative_minimum;
use crate::energy::Energy;
use crate::real::{Real, epsilon, real, to_f64};

/// Newton steps at most; a quadratic F takes two.
const NEWTON_STEPS: usize = 50;

/// Halvings of a step in the line search. Where no step of `2^-20` decreases F, the quadratic model
/// does not describe F.
const HALVINGS: usize = 20;

/// The relative error of the predicted change of the gradient up to which the Hessian is kept, and
/// the relative difference of slopes over one and two steps up to which F is quadratic, in units of
/// the error of differences. Those of a loss that is not quadratic are larger.
const SECANT_UNITS: f64 = 1e3;

/// The decrement of a kept Hessian that proves the minimum, in units of the rounding error of F: the
/// curvature may have decreased by this factor.
const KEPT_SHARE: f64 = 1e-6;

/// The factor by which the decrement of a kept Hessian decreases in a step to the minimum, at least.
const KEPT_DECREASE: f64 = 0.1;

/// Attempts to factorise the Hessian, with a shift of the diagonal ten times larger each.
const SHIFTS: i32 = 8;

impl<T: Real, E: Energy<T> + ?Sized> WeightProblem<'_, T, E> {
    /// Newton steps while they decrease F, after the first one only if they are predicted to
    /// decrease it by more than `enough`. Returns the last predicted decrease and the number of
    /// steps.
    ///
    /// The predicted decrease is the Newton decrement `-gradient.d`; infinite if the Hessian is not
    /// positive definite.
    pub(super) fn newton(&mut self, enough: f64) -> (f64, usize) {
        let mut decrement = f64::INFINITY;
        for count in 0..NEWTON_STEPS {
            // A factor of 0 with a non-negative derivative stays 0 in this step.
            let free = |&g: &usize| self.z[g] > T::zero() || self.gradient[g] < T::zero();
            let free: Vec<usize> = (0..self.z.len()).filter(free).collect();
            let Some(step) = self.newton_step(&free) else {
                if self.predicts {
                    return (f64::INFINITY, count);
                }
                self.forget_hessian();
                continue;
            };
            let before = decrement;
            decrement = -gather(&self.gradient, &free).dot(&step);
            if self.is_inexact && count > 0 && self.predicts && decrement <= enough {
                return (decrement, count);
            }
            let ends = decrement.is_nan() || decrement <= self.rounding();
            if !ends && self.line_search(&free, &step) {
                continue;
            }
            if self.predicts {
                let (z, gradient) = (self.z.clone(), self.gradient.clone());
                let moved = self.last_step(&free, &step);
                if moved && self.extend(&free, &step, &z, &gradient) {
                    continue; // the curvature along the step is less than the shift
                }
                if !self.kept || decrement <= KEPT_SHARE * self.rounding() {
                    return (decrement, count + 1);
                }
                if moved && decrement <= KEPT_DECREASE * before {
                    continue; // the next decrement shows whether this step led to the minimum
                }
            }
            self.forget_hessian();
        }
        (decrement, NEWTON_STEPS)
    }

    /// The minimiser d of the quadratic model `gradient.d + d.H d / 2` over `z + d >= 0`.
    ///
    /// Finite differences do not resolve eigenvalues of H below their own error. The diagonal is
    /// shifted by that error, and by more until H is positive definite: a direction without
    /// curvature would make the step unbounded.
    fn newton_step(&mut self, free: &[usize]) -> Option<DVector<f64>> {
        let (z, gradient) = (gather(&self.z, free), gather(&self.gradient, free));
        let hessian = self.hessian(free);
        (0..SHIFTS).find_map(|l| {
            let shift = to_f64(difference_error::<T>()) * hessian.trace() * 10.0_f64.powi(l);
            let mut shifted = hessian.clone();
            (0..free.len()).for_each(|g| shifted[(g, g)] += shift);
            let end = non_negative_minimum(&shifted, &(&shifted * &z - &gradient), &z)?;
            Some(end - &z)
        })
    }

    /// Takes the full step if F does not change by more than its rounding error and the residual
    /// decreases. Returns true if it does.
    fn last_step(&mut self, free: &[usize], step: &DVector<f64>) -> bool {
        let (before, rounding) = (self.residual(), real::<T>(self.rounding()));
        let (z, gradient, value) = (self.z.clone(), self.gradient.clone(), self.value);
        self.advance(free, step, &z, 1.0);
        match self.evaluate() {
            Some(next) if next <= value + rounding && self.residual() < before => {
                self.value = next;
                true
            }
            _ => {
                (self.z, self.gradient) = (z, gradient);
                false
            }
        }
    }

    /// The largest violation of the optimality conditions: `|dF/dz_g|` where `z_g > 0`, `-dF/dz_g`
    /// where `z_g = 0`.
    fn residual(&self) -> T {
        let entries = self.z.iter().zip(&self.gradient);
        let violations = entries.map(|(&z, &s)| if z > T::zero() { s.abs() } else { -s });
        violations.fold(T::zero(), |largest, s| largest.max(s))
    }

    /// `z = (z_0 + s d)_+` for the free factors.
    fn advance(&mut self, free: &[usize], step: &DVector<f64>, z0: &[T], s: f64) {
        for (&g, &d) in free.iter().zip(step.iter()) {
            self.z[g] = real((to_f64(z0[g]) + s * d).max(0.0));
        }
    }

    /// The Hessian `d^2 F / dz_g dz_h` over the free factors. Its missing columns are computed by
    /// forward differences of second order, which keep `z >= 0`.
    fn hessian(&mut self, free: &[usize]) -> DMatrix<f64> {
        for &h in free {
            if self.hessian[(h, h)].is_nan() {
                self.compute_column(h);
            }
        }
        // Differences in both orders, or in one for a column without the row of a new particle.
        DMatrix::from_fn(free.len(), free.len(), |row, column| {
            let (g, h) = (free[row], free[column]);
            match [self.hessian[(g, h)], self.hessian[(h, g)]] {
                [x, y] if x.is_nan() => y,
                [x, y] if y.is_nan() => x,
                [x, y] => (x + y) * 0.5,
            }
        })
    }

    fn compute_column(&mut self, h: usize) {
        let base = self.gradient.clone();
        let mean = self.z.iter().fold(T::zero(), |sum, &z| sum + z) / real(self.z.len() as f64);
        let z = self.z[h];
        let scale = z.max(mean);
        let scale = if scale > T::zero() { scale } else { T::one() };
        let step = epsilon::<T>().cbrt() * scale;
        let slopes = |problem: &mut Self, distance: T| -> DVector<f64> {
            problem.z[h] = z + distance;
            problem.evaluate();
            let change = problem
                .gradient
                .iter()
                .zip(&base)
                .map(|(&g, &base)| to_f64((g - base) / distance));
            DVector::from_iterator(base.len(), change)
        };
        let near = slopes(self, step);
        let column = if self.is_quadratic {
            near
        } else {
            let far = slopes(self, step + step);
            let error = SECANT_UNITS * to_f64(difference_error::<T>()) * near.amax();
            self.is_quadratic =
                self.is_inexact && near.amax() > 0.0 && (&far - &near).amax() <= error;
            // f'(0) = (4 f(s) - f(2 s) - 3 f(0)) / (2 s).
            near * 2.0 - far
        };
        self.hessian.set_column(h, &column);
        self.z[h] = z;
        self.gradient = base;
    }

    /// Discards the Hessian, which belongs to other weights.
    pub(super) fn forget_hessian(&mut self) {
        self.hessian.fill(f64::NAN);
        (self.predicts, self.kept, self.is_quadratic) = (true, false, false);
    }

    /// Keeps the Hessian if it predicts the change of the gradient since the factors `z`.
    fn check_hessian(&mut self, free: &[usize], z: &[T], gradient: &[T]) {
        let change = gather(&self.gradient, free) - gather(gradient, free);
        let (hessian, step) = (self.hessian(free), gather(&self.z, free) - gather(z, free));
        let scale = hessian.norm() * step.norm();
        let tolerance = SECANT_UNITS * to_f64(difference_error::<T>()) * scale;
        self.predicts = (change - hessian * step).norm() <= tolerance;
        self.kept = true;
        if !self.predicts {
            self.forget_hessian();
        }
    }

    /// Extends a full step from `z` along which the slope fell by less than half, up to the first
    /// bound: to the minimum along the step, by the secant of the slopes at its ends.
    ///
    /// The diagonal of the Hessian is then shifted by more than the curvature along the step.
    /// Without the extension, mass moves between almost equal particles in very many steps, and the
    /// decrement is much less than `F - min F`. Returns true if it decreases F.
    fn extend(&mut self, free: &[usize], step: &DVector<f64>, z: &[T], gradient: &[T]) -> bool {
        let before = gather(gradient, free).dot(step);
        let after = gather(&self.gradient, free).dot(step);
        if after >= 0.5 * before {
            return false;
        }
        let falling = free.iter().zip(step.iter()).filter(|(_, d)| **d < 0.0);
        let bound = falling
            .map(|(&g, d)| to_f64(z[g]) / -d)
            .fold(f64::INFINITY, f64::min);
        let minimum = if after > before {
            before / (before - after)
        } else {
            bound
        };
        let s = minimum.min(bound);
        if !(s > 1.0 && s.is_finite() && -before * s > self.rounding()) {
            return false;
        }
        let full = (self.z.clone(), self.gradient.clone());
        self.advance(free, step, z, s);
        match self.evaluate().filter(|&value| value < self.value) {
            Some(value) => self.value = value,
            None => {
                (self.z, self.gradient) = full;
                return false;
            }
        }
        true
    }

    /// Takes the longest of the steps `d`, `d/2`, .. that decreases F. Returns true if there is
    /// one.
    fn line_search(&mut self, free: &[usize], step: &DVector<f64>) -> bool {
        let (z, gradient) = (self.z.clone(), self.gradient.clone());
        let mut s = 1.0;
        for _ in 0..HALVINGS {
            self.advance(free, step, &z, s);
            if let Some(value) = self.evaluate().filter(|&value| value < self.value) {
                self.value = value;
                if s == 1.0 {
                    self.extend(free, step, &z, &gradient);
                }
                self.check_hessian(free, &z, &gradient);
                return true;
            }
            s *= 0.5;
        }
        (self.z, self.gradient) = (z, gradient);
        false
    }
}

/// The entries `free` of x, in double precision.
fn gather<T: Real>(x: &[T], free: &[usize]) -> DVector<f64> {
    DVector::from_iterator(free.len(), free.iter().map(|&g| to_f64(x[g])))
}

/// The relative error of second-order differences with the step `eps^(1/3)`: truncation and
/// rounding balance.
fn difference_error<T: Real>() -> T {
    epsilon::<T>().cbrt().powi(2)
}
