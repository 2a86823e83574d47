//! Descent to a stationary point of a proximal objective.

use nalgebra::DMatrix;

use super::direction::{Damping, Memory, newton};
use super::hull::{Kinks, pinned};
use super::proximal::{Ending, Goal, Point, Proximal};
use super::scratch::Scratch;
use super::search::Search;
use crate::real::{Real, epsilon, real};

/// Descends from `x`, evaluated, to a stationary point of `P`, never to a higher value.
pub(super) fn descend<T: Real>(
    problem: &mut Proximal<'_, T>,
    x: &mut Point<T>,
    radius: T,
    goal: &Goal<T>,
    scratch: &mut Scratch<T>,
) -> Ending<T> {
    let mut y = Point {
        v: scratch.take(),
        velocity: scratch.take(),
        gradient: scratch.take(),
        energy: x.energy,
        value: x.value,
    };
    let mut descent = Descent {
        kinks: Kinks::new(x.v.ncols(), radius),
        memory: Memory::new(),
        damping: None,
        bends: true,
        exact: false,
        lessons: 0,
        smooth: false,
        noise: T::zero(),
        gain: T::zero(),
        forcing: real(0.1),
        evaluations: 0,
        products: 0,
        start: x.value,
        z: scratch.take(),
        d: scratch.take(),
    };
    let (mut failed, mut converged, mut iterations) = (false, false, 0);
    // A hull of gradients is believed when it is found twice: anew, from this radius.
    let (again, mut believed) = ((goal.radius * real(100.0)).min(radius), false);
    let (mut residual, mut last);
    last = None;
    loop {
        descent.kinks.shortest(x, &mut descent.z);
        residual = problem.norm(&descent.z);
        if !residual.is_finite() {
            break;
        }
        let stiffness = descent.damping.as_ref().map_or(T::zero(), |damping| problem.rate + damping.typical);
        let floor = real::<T>(4.0) * epsilon::<T>() * stiffness * problem.norm(&x.v);
        if residual <= goal.residual.max(floor) {
            if descent.kinks.radius <= goal.radius || !pinned(problem, &descent.kinks, x, scratch) {
                converged = believed || problem.norm(&x.gradient) <= goal.residual.max(floor);
                if converged {
                    break;
                }
                (believed, last) = (true, None);
                descent.kinks = Kinks::new(x.v.ncols(), again);
                iterations += 1;
                continue;
            }
            descent.shrink(problem, x, &mut y, goal, scratch);
            iterations += 1;
            continue;
        }
        if iterations == goal.iterations {
            break;
        }
        iterations += 1;
        // Eisenstat and Walker: as tight as the last step was good.
        let progress = last.map_or(T::one(), |last: T| residual / last);
        descent.exact |= progress > real(0.3);
        // Among kinks that are near the differences tell nothing.
        descent.exact &= descent.kinks.radius == radius || descent.smooth && progress > real(0.7);
        descent.forcing = (progress * progress).max(real(1e-6)).min(real(0.1));
        let slope = descent.turn(problem, x, residual, failed, scratch);
        let still =
            -slope <= problem.noise(x).max(descent.noise) && last.is_some_and(|last| residual > real::<T>(0.9) * last);
        if still && !descent.lost(problem, x, residual) {
            // It is the damping that makes the decrease small.
            descent.damping.iter_mut().for_each(|damping| damping.value = damping.typical * real(0.01));
            descent.memory.clear(scratch);
            last = None;
            continue;
        }
        if still {
            if descent.kinks.radius > goal.radius {
                descent.shrink(problem, x, &mut y, goal, scratch);
            } else {
                converged = believed || problem.norm(&x.gradient) <= real::<T>(2.0) * residual;
                if converged {
                    break;
                }
                believed = true;
                descent.kinks = Kinks::new(x.v.ncols(), again);
            }
            last = None;
            continue;
        }
        last = Some(residual);
        match descent.search(problem, x, &mut y, slope, residual, scratch) {
            Search::Moved => {
                failed = false;
                descent.lessons = 0;
            }
            Search::Learned => {}
            Search::Failed if !failed => {
                failed = true;
                descent.memory.clear(scratch);
            }
            Search::Failed if descent.kinks.radius > goal.radius => {
                descent.shrink(problem, x, &mut y, goal, scratch);
                failed = false;
            }
            Search::Failed => {
                let short = problem.norm(&descent.d) <= real::<T>(16.0) * epsilon::<T>() * problem.norm(&x.v);
                converged = (short || descent.gain <= real::<T>(64.0) * problem.noise(x).max(descent.noise))
                    && descent.lost(problem, x, residual);
                break;
            }
        }
    }
    let Descent { evaluations, products, z, d, mut memory, .. } = descent;
    memory.clear(scratch);
    scratch.give([z, d, y.v, y.velocity, y.gradient]);
    Ending { converged, iterations, evaluations, products, residual }
}

/// A descent on its way.
pub(super) struct Descent<T> {
    pub kinks: Kinks<T>,
    pub memory: Memory<T>,
    pub damping: Option<Damping<T>>,
    /// Whether the energy has a curvature.
    pub bends: bool,
    /// Whether products are differences of velocities.
    pub exact: bool,
    /// Whether the last step was taken as the model told.
    pub smooth: bool,
    /// The rounding of `P` seen where a search failed.
    pub noise: T,
    /// What the last search could have gained at most.
    pub gain: T,
    /// How often in a row a search has only learned.
    pub lessons: usize,
    /// The relative residual of the conjugate gradients.
    pub forcing: T,
    pub evaluations: usize,
    pub products: usize,
    /// `P` at the start.
    pub start: T,
    /// The shortest subgradient.
    pub z: DMatrix<T>,
    /// The direction.
    pub d: DMatrix<T>,
}

impl<T: Real> Descent<T> {
    /// Whether what a step along the gradient could gain, `r^2 / (1/gamma + curvature)`, is lost in the rounding of `P`.
    fn lost(&self, problem: &mut Proximal<'_, T>, x: &Point<T>, residual: T) -> bool {
        let Some(damping) = &self.damping else { return true };
        let noise = problem.noise(x).max(self.noise);
        residual * residual <= real::<T>(1e3) * (problem.rate + damping.typical) * noise
    }

    /// Finds a direction `d`; returns its slope `<z, d> < 0`.
    fn turn(
        &mut self,
        problem: &mut Proximal<'_, T>,
        x: &Point<T>,
        residual: T,
        failed: bool,
        scratch: &mut Scratch<T>,
    ) -> T {
        const SHIFTS: usize = 6;
        let Self { kinks, memory, z, d, .. } = self;
        problem.mu.points_mut().copy_from_slice(x.v.as_slice());
        let mut found = false;
        if self.bends && !failed {
            if self.damping.is_none() {
                // A hundredth of the curvature along the gradient, to begin with.
                let mut q = scratch.take();
                let value = problem.bend(z, T::zero(), &mut q).map(|()| problem.inner(z, &q) / (residual * residual));
                scratch.give([q]);
                self.products += 1;
                self.damping = value.map(|value| Damping { value: value * real(0.01), typical: value });
            }
            if let Some(damping) = &mut self.damping {
                let mut shift = problem.rate + damping.value;
                for _ in 0..SHIFTS {
                    if !self.exact {
                        break;
                    }
                    let model = (&*z, shift, self.forcing, shift + damping.typical);
                    let negative = newton(problem, Some(x), kinks, model, d, scratch, &mut self.products);
                    found = negative == Some(T::zero());
                    if found {
                        break;
                    }
                    damping.value = damping.value * real(2.0) + negative.unwrap_or(T::zero()) * real(2.0);
                    shift = problem.rate + damping.value;
                }
                self.exact = found;
                if !found {
                    let model = (&*z, shift, self.forcing, shift + damping.typical);
                    problem.mu.points_mut().copy_from_slice(x.v.as_slice());
                    found = newton(problem, None, kinks, model, d, scratch, &mut self.products).is_some();
                }
            }
            self.bends = found;
        }
        if !found {
            let second = problem.norm(&x.v);
            let length = T::one() / (problem.rate + residual / (real::<T>(0.1) * second + residual));
            if failed {
                d.copy_from(z);
                *d *= -length;
            } else {
                memory.direction(problem, (&x.gradient, length), d);
            }
        }
        let slope = problem.inner(z, d);
        if slope < T::zero() {
            return slope;
        }
        d.copy_from(z);
        d.neg_mut();
        -residual * residual
    }

    /// Shrinks the radius a hundredfold, towards the goal's, and the brackets around the kinks with it, all by bisection.
    fn shrink(
        &mut self,
        problem: &mut Proximal<'_, T>,
        x: &mut Point<T>,
        y: &mut Point<T>,
        goal: &Goal<T>,
        scratch: &mut Scratch<T>,
    ) {
        const HALVINGS: usize = 7;
        let radius = (self.kinks.radius * real(0.01)).max(goal.radius);
        if pinned(problem, &self.kinks, x, scratch) {
            let mut moved = Point {
                v: scratch.take(),
                velocity: scratch.take(),
                gradient: scratch.take(),
                energy: x.energy,
                value: x.value,
            };
            moved.v.copy_from(&x.v);
            moved.gradient.copy_from(&x.gradient);
            for _ in 0..HALVINGS {
                y.v.copy_from(&moved.v);
                self.kinks.middle(&mut y.v);
                problem.evaluate(y);
                self.evaluations += 1;
                self.kinks.halve(&mut moved, y);
            }
            problem.evaluate(&mut moved);
            self.evaluations += 1;
            // The middles of the brackets may lie a little higher than `x`, which was one of their ends.
            if moved.value <= self.start {
                std::mem::swap(x, &mut moved);
            }
            scratch.give([moved.v, moved.velocity, moved.gradient]);
        }
        self.kinks.radius = radius;
    }
}
