//! Descent to a stationary point of a proximal objective.

use nalgebra::DMatrix;

use super::direction::{Damping, newton};
use super::hull::{Kinks, pinned};
use super::objective::{Outcome, Point, Proximal, Tolerances};
use super::scratch::Scratch;
use super::search::Search;
use crate::real::{Real, epsilon, real};

/// Descends from `x`, evaluated, to a stationary point of `P`, never to a higher value.
pub(super) fn descend<T: Real>(
    problem: &mut Proximal<'_, T>,
    x: &mut Point<T>,
    radius: T,
    tolerances: &Tolerances<T>,
    scratch: &mut Scratch<T>,
) -> Outcome<T> {
    let mut y = Point {
        v: scratch.take(),
        velocity: scratch.take(),
        gradient: scratch.take(),
        energy: x.energy,
        value: x.value,
    };
    let mut descent = Descent {
        kinks: Kinks::new(x.v.ncols(), radius),
        damping: Damping::new(problem, x, scratch),
        exact: false,
        lessons: 0,
        smooth: false,
        noise: T::zero(),
        gain: T::zero(),
        forcing: real(0.1),
        evaluations: 0,
        products: 1,
        start: x.value,
        z: scratch.take(),
        d: scratch.take(),
    };
    let (mut failed, mut converged, mut iterations) = (false, false, 0);
    // A hull of gradients is believed when it is found twice: anew, from this radius.
    let (again, mut believed) = ((tolerances.radius * real(100.0)).min(radius), false);
    let (mut residual, mut last);
    last = None;
    loop {
        descent.kinks.shortest(x, &mut descent.z);
        residual = problem.norm(&descent.z);
        if !residual.is_finite() {
            break;
        }
        let stiffness = problem.rate + descent.damping.curvature_scale;
        let floor = real::<T>(4.0) * epsilon::<T>() * stiffness * problem.norm(&x.v);
        let small = residual <= tolerances.residual.max(floor);
        let narrow = small
            && (descent.kinks.radius <= tolerances.radius
                || !pinned(problem, &descent.kinks, x, scratch));
        converged =
            narrow && (believed || problem.norm(&x.gradient) <= tolerances.residual.max(floor));
        if converged || iterations == tolerances.iterations {
            break;
        }
        iterations += 1;
        if narrow {
            (believed, last) = (true, None);
            descent.kinks = Kinks::new(x.v.ncols(), again);
            continue;
        }
        if small {
            descent.shrink(problem, x, &mut y, tolerances, scratch);
            continue;
        }
        // Eisenstat and Walker: as tight as the last step was good.
        let progress = last.map_or(T::one(), |last: T| residual / last);
        descent.exact |= progress > real(0.3);
        // Among kinks that are near the differences tell nothing.
        descent.exact &= descent.kinks.radius == radius || descent.smooth && progress > real(0.7);
        descent.forcing = (progress * progress).max(real(1e-6)).min(real(0.1));
        let slope = descent.search_direction(problem, x, residual, failed, scratch);
        let still = -slope <= problem.noise(x).max(descent.noise)
            && last.is_some_and(|last| residual > real::<T>(0.9) * last);
        if still && !descent.lost(problem, x, residual) {
            // It is the damping that makes the decrease small.
            descent.damping.value = descent.damping.curvature_scale * real(0.01);
            last = None;
            continue;
        }
        if still {
            if descent.kinks.radius > tolerances.radius {
                descent.shrink(problem, x, &mut y, tolerances, scratch);
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
            Search::Failed if !failed => failed = true,
            Search::Failed if descent.kinks.radius > tolerances.radius => {
                descent.shrink(problem, x, &mut y, tolerances, scratch);
                failed = false;
            }
            Search::Failed => {
                let short = problem.norm(&descent.d)
                    <= real::<T>(16.0) * epsilon::<T>() * problem.norm(&x.v);
                converged = (short
                    || descent.gain <= real::<T>(64.0) * problem.noise(x).max(descent.noise))
                    && descent.lost(problem, x, residual);
                break;
            }
        }
    }
    let Descent {
        evaluations,
        products,
        z,
        d,
        ..
    } = descent;
    scratch.give([z, d, y.v, y.velocity, y.gradient]);
    Outcome {
        converged,
        iterations,
        evaluations,
        products,
        residual,
    }
}

/// A descent on its way.
pub(super) struct Descent<T> {
    pub kinks: Kinks<T>,
    pub damping: Damping<T>,
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
        let noise = problem.noise(x).max(self.noise);
        residual * residual
            <= real::<T>(1e3) * (problem.rate + self.damping.curvature_scale) * noise
    }

    /// Finds a direction `d`; returns its slope `<z, d> < 0`.
    fn search_direction(
        &mut self,
        problem: &mut Proximal<'_, T>,
        x: &Point<T>,
        residual: T,
        failed: bool,
        scratch: &mut Scratch<T>,
    ) -> T {
        const SHIFTS: usize = 6;
        let Self {
            kinks,
            damping,
            z,
            d,
            ..
        } = self;
        if !failed {
            for shifts in 0..=SHIFTS {
                self.exact &= shifts < SHIFTS;
                let shift = problem.rate + damping.value;
                let model = (&*z, shift, self.forcing, shift + damping.curvature_scale);
                let negative = newton(
                    problem,
                    (x, self.exact),
                    kinks,
                    model,
                    d,
                    scratch,
                    &mut self.products,
                );
                let Some(negative) = negative else { break };
                damping.value = real::<T>(2.0) * (damping.value + negative);
            }
            let slope = problem.inner(z, d);
            if slope < T::zero() {
                return slope;
            }
        }
        let length = problem.gradient_step_length(x, residual);
        d.copy_from(z);
        *d *= -length;
        -residual * residual * length
    }

    /// Shrinks the radius a hundredfold, towards the tolerances's, and the brackets around the kinks with it, all by bisection.
    fn shrink(
        &mut self,
        problem: &mut Proximal<'_, T>,
        x: &mut Point<T>,
        y: &mut Point<T>,
        tolerances: &Tolerances<T>,
        scratch: &mut Scratch<T>,
    ) {
        const HALVINGS: usize = 7;
        let radius = (self.kinks.radius * real(0.01)).max(tolerances.radius);
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
