//! Newton's method along the faces: the pieces, cut out by the kinks, on which the objective is smooth.

use nalgebra::DMatrix;

use super::active_set::ActiveSet;
use super::breakpoints::{Stops, Way, stops};
use super::objective::{Outcome, Point, Proximal, Tolerances};
use super::scratch::Scratch;
use super::trust_region::Model;
use crate::numeric::vector::dot;
use crate::real::{Real, epsilon, real};

/// Descends from `x`, evaluated, to a stationary point of `P`, never to a higher value; `None` where the energy has no first
/// variation.
pub(super) fn follow<T: Real>(
    problem: &mut Proximal<'_, T>,
    x: &mut Point<T>,
    reach: T,
    tolerances: &Tolerances<T>,
    scratch: &mut Scratch<T>,
) -> Option<Outcome<T>> {
    let resolved = real::<T>(1e3) * epsilon::<T>() * problem.norm(&x.v);
    let [v, velocity, gradient, z, d] = [(); 5].map(|()| scratch.take());
    let mut faces = Newton {
        active_set: ActiveSet::new(x.v.ncols()),
        radius: tolerances.radius.max(resolved.min(reach * real(1e-3))),
        model: Model::new(),
        curvature_scale: None,
        trust: None,
        y: Point {
            v,
            velocity,
            gradient,
            energy: x.energy,
            value: x.value,
        },
        z,
        d,
        start: x.value,
    };
    let ending = faces.descend(problem, x, tolerances, scratch);
    let Newton { y, z, d, .. } = faces;
    scratch.give([y.v, y.velocity, y.gradient, z, d]);
    ending
}

struct Newton<T> {
    active_set: ActiveSet<T>,
    /// The distance from which the two sides of a kink are seen.
    radius: T,
    model: Model<T>,
    /// The Gauss-Newton curvature along the gradient, at first.
    curvature_scale: Option<T>,
    /// The radius of the trust region, after the first step.
    trust: Option<T>,
    /// The trial point.
    y: Point<T>,
    /// The shortest subgradient.
    z: DMatrix<T>,
    /// The direction.
    d: DMatrix<T>,
    /// `P` at the start.
    start: T,
}

impl<T: Real> Newton<T> {
    fn descend(
        &mut self,
        problem: &mut Proximal<'_, T>,
        x: &mut Point<T>,
        tolerances: &Tolerances<T>,
        scratch: &mut Scratch<T>,
    ) -> Option<Outcome<T>> {
        /// Searches in a row that find nothing.
        const FAILURES: usize = 6;
        self.find_pins(problem, x, scratch)?;
        let (mut iterations, mut failures, mut converged, mut last) = (0, 0, false, None);
        let mut residual;
        loop {
            let mut aside = scratch.take();
            let sides = (
                self.radius,
                &mut self.z,
                &mut aside,
                &mut self.model.evaluations,
            );
            let released = self.active_set.release(problem, x, sides, scratch)?;
            residual = problem.norm(&self.z);
            if released {
                self.step_aside(problem, x, &aside);
            }
            scratch.give([aside]);
            converged = converged || residual <= tolerances.residual;
            if converged
                || !residual.is_finite()
                || iterations == tolerances.iterations
                || failures == FAILURES
            {
                break;
            }
            iterations += 1;
            // Eisenstat and Walker: as tight as the last step was good.
            let progress = last.map_or(T::one(), |last: T| residual / last);
            let forcing = (progress * progress).max(real(1e-6)).min(real(0.1));
            let slope = self.search_direction(problem, x, (residual, forcing), scratch)?;
            if -slope <= problem.noise(x) && progress > real(0.9) && last.is_some() {
                (failures, self.trust, last) = (failures + 1, None, None);
                converged = failures > 1 && self.lost(problem, x, residual);
                continue;
            }
            last = Some(residual);
            failures = if self.search(problem, x, slope, scratch)? {
                0
            } else {
                failures + 1
            };
        }
        converged |= failures == FAILURES && self.lost(problem, x, residual);
        let Model {
            evaluations,
            products,
            ..
        } = self.model;
        Some(Outcome {
            converged,
            iterations,
            evaluations,
            products,
            residual,
        })
    }

    /// Whether what a step along the gradient could gain, `r^2 / (1/gamma + curvature)`, is lost in the rounding of `P`.
    fn lost(&self, problem: &mut Proximal<'_, T>, x: &Point<T>, residual: T) -> bool {
        let stiffness = problem.rate + self.curvature_scale.unwrap_or(T::zero());
        residual * residual <= real::<T>(1e3) * stiffness * problem.noise(x)
    }

    fn evaluate(&mut self, problem: &mut Proximal<'_, T>) {
        problem.evaluate(&mut self.y);
        self.model.evaluations += 1;
    }

    /// Finds the kinks that particles sit on: those that the steepest descent meets within the radius.
    fn find_pins(
        &mut self,
        problem: &mut Proximal<'_, T>,
        x: &mut Point<T>,
        scratch: &mut Scratch<T>,
    ) -> Option<()> {
        let p = x.v.nrows();
        self.d.copy_from(&x.gradient);
        for d in self.d.as_mut_slice().chunks_exact_mut(p) {
            let size = dot(d, d).sqrt();
            let scale = if size > T::zero() {
                -self.radius / size
            } else {
                T::zero()
            };
            d.iter_mut().for_each(|d| *d *= scale);
        }
        let mut stops = self.stops(problem, x, false, scratch)?;
        if problem.any(&mut self.y.v, |i| stops.normals[i].is_some()) {
            for (share, normal) in stops.shares.iter_mut().zip(&stops.normals) {
                *share = if normal.is_some() { *share } else { T::zero() };
            }
            self.place(x, T::one(), &stops.shares);
            self.evaluate(problem);
            if self.y.value <= self.start + problem.noise(x) {
                std::mem::swap(x, &mut self.y);
            }
            self.active_set.take(stops.normals);
        }
        Some(())
    }

    /// Where the particles stop on their way along `d`.
    fn stops(
        &mut self,
        problem: &mut Proximal<'_, T>,
        x: &Point<T>,
        newton: bool,
        scratch: &mut Scratch<T>,
    ) -> Option<Stops<T>> {
        let way = Way {
            d: &self.d,
            newton,
            radius: self.radius,
        };
        stops(
            problem,
            x,
            way,
            &self.active_set,
            &mut self.model.evaluations,
            scratch,
        )
    }

    /// `y_i = x_i + min(t, share_i) d_i`.
    fn place(&mut self, x: &Point<T>, t: T, shares: &[T]) {
        self.y.v.copy_from(&x.v);
        for (i, &share) in shares.iter().enumerate() {
            self.y
                .v
                .column_mut(i)
                .axpy(share.min(t), &self.d.column(i), T::one());
        }
    }

    /// Moves the released particles off their kinks, to the side where `P` falls: a gradient step, a tenth of it, or `aside`.
    fn step_aside(&mut self, problem: &mut Proximal<'_, T>, x: &mut Point<T>, aside: &DMatrix<T>) {
        let stiffness = problem.rate + self.curvature_scale.unwrap_or(T::one());
        self.d.copy_from(aside);
        for (mut d, z) in self.d.column_iter_mut().zip(self.z.column_iter()) {
            let (slope, square) = (d.dot(&z), d.dot(&d));
            if square > T::zero() {
                d *= (-slope / (stiffness * square)).max(T::one()).min(real(1e3));
            }
        }
        for share in [T::one(), real(0.1), T::zero()] {
            let last = share == T::zero();
            self.y.v.copy_from(&x.v);
            if last {
                self.y.v += aside;
            } else {
                self.y.v.zip_apply(&self.d, |y, d| *y += share * d);
            }
            self.evaluate(problem);
            if self.y.value
                <= if last {
                    self.start + problem.noise(x)
                } else {
                    x.value
                }
            {
                std::mem::swap(x, &mut self.y);
                return;
            }
        }
    }

    /// Finds a direction `d` along the faces; returns its slope `<z, d> < 0`. The first is that of Gauss and Newton, damped.
    fn search_direction(
        &mut self,
        problem: &mut Proximal<'_, T>,
        x: &Point<T>,
        (residual, forcing): (T, T),
        scratch: &mut Scratch<T>,
    ) -> Option<T> {
        let curvature_scale = match self.curvature_scale {
            Some(curvature_scale) => curvature_scale,
            None => {
                problem.hessian_product(x, &self.z, T::zero(), &mut self.d);
                self.model.products += 1;
                (problem.inner(&self.z, &self.d) / (residual * residual)).abs()
            }
        };
        self.curvature_scale = Some(curvature_scale);
        let mut shift = problem.rate;
        if self.trust.is_some() {
            self.model
                .correct(problem, (x, &self.active_set), scratch)?;
        } else {
            shift += curvature_scale * real(0.01);
        }
        let along = (&self.z, &self.active_set);
        self.model.minimise(
            problem,
            (x, self.trust),
            along,
            (shift, forcing),
            &mut self.d,
            scratch,
        );
        let slope = problem.inner(&self.z, &self.d);
        if slope < T::zero() {
            return Some(slope);
        }
        self.d.copy_from(&self.z);
        let length = problem.gradient_step_length(x, residual);
        self.d *= -length;
        Some(-residual * residual * length)
    }

    /// Corrects the trial point by a Newton step from it with the Hessian at `x`, if that lowers it: the way along a valley is bent.
    fn second_order_correction(
        &mut self,
        problem: &mut Proximal<'_, T>,
        x: &Point<T>,
        c: &mut DMatrix<T>,
        scratch: &mut Scratch<T>,
    ) {
        let trust = real::<T>(0.5) * problem.norm(&self.d);
        let along = (&self.y.gradient, &self.active_set);
        self.model.minimise(
            problem,
            (x, Some(trust)),
            along,
            (problem.rate, real(0.1)),
            c,
            scratch,
        );
        let [v, velocity, gradient] = [(); 3].map(|()| scratch.take());
        let y = Point {
            v,
            velocity,
            gradient,
            energy: x.energy,
            value: x.value,
        };
        let mut other = std::mem::replace(&mut self.y, y);
        self.y.v.copy_from(&other.v);
        self.y.v += &*c;
        self.evaluate(problem);
        let lower = self.y.value < other.value;
        if !lower {
            std::mem::swap(&mut self.y, &mut other);
        }
        scratch.give([other.v, other.velocity, other.gradient]);
    }

    /// A step along `d`, every particle up to the kink that stops it. Returns whether `x` has moved.
    fn search(
        &mut self,
        problem: &mut Proximal<'_, T>,
        x: &mut Point<T>,
        slope: T,
        scratch: &mut Scratch<T>,
    ) -> Option<bool> {
        const TRIALS: usize = 12;
        let stops = self.stops(problem, x, true, scratch)?;
        let noise = problem.noise(x);
        let (mut step, mut told) = (scratch.take(), scratch.take());
        let stopped = problem.any(&mut step, |i| stops.shares[i] < T::one());
        let active_set = problem.any(&mut step, |i| stops.normals[i].is_some());
        told.copy_from(&x.gradient);
        self.active_set.project(&mut told);
        let before = problem.norm(&told);
        let (mut t, mut gain) = (T::one(), None);
        for _ in 0..TRIALS {
            self.place(x, t, &stops.shares);
            self.evaluate(problem);
            step.copy_from(&self.y.v);
            step -= &x.v;
            let expected = problem.inner(&self.z, &step);
            let finite = self.y.value.is_finite()
                && problem
                    .inner(&self.y.gradient, &self.y.gradient)
                    .is_finite();
            let lower =
                self.y.value < x.value && self.y.value <= x.value + real::<T>(1e-4) * expected;
            // Where the decrease is lost in rounding the gradients tell.
            let level = -t * slope <= real::<T>(4.0) * noise
                && self.y.value <= x.value.min(self.start) + noise
                && {
                    told.copy_from(&self.y.gradient);
                    self.active_set.project(&mut told);
                    problem.norm(&told) < before * real(0.9)
                };
            // Kinks met at once are active_set gained.
            let pinned =
                t == T::one() && active_set && self.y.value <= x.value.min(self.start) + noise;
            if finite && (lower || level || pinned) {
                let told = if stopped || t < T::one() {
                    expected * real(-0.5)
                } else {
                    self.model.told
                };
                gain = Some((x.value - self.y.value) / told);
                break;
            }
            t *= real(if t == T::one() { 0.5 } else { 0.25 });
        }
        let (full, length) = (problem.norm(&self.d), problem.norm(&step));
        if !stopped
            && t == T::one()
            && self.trust.is_some()
            && gain.is_some_and(|gain| gain < real(0.75))
        {
            let told = self.model.told;
            self.second_order_correction(problem, x, &mut step, scratch);
            gain = Some((x.value - self.y.value) / told);
        }
        scratch.give([step, told]);
        self.trust = Some(match (gain, self.trust) {
            (None, trust) => trust.unwrap_or(full).min(full) * real(0.0625),
            (Some(_), _) if t < T::one() => t * full,
            (Some(_), None) => real::<T>(2.0) * length,
            (Some(gain), Some(trust)) if gain < real(0.25) => (full * real(0.5)).min(trust),
            (Some(gain), Some(trust)) if gain > real(0.75) => trust.max(real::<T>(3.0) * full),
            (Some(_), trust) => trust.unwrap_or(full),
        });
        if gain.is_some() {
            std::mem::swap(x, &mut self.y);
            let found = stops.normals.into_iter().zip(&stops.shares);
            self.active_set
                .take(found.map(|(n, &share)| n.filter(|_| share <= t)));
        }
        // ActiveSet alone are no progress: without end they would come and go. (`y` is now where `x` was.)
        let lowered = x.value < self.y.value;
        Some(gain.is_some() && (lowered || !active_set))
    }
}
