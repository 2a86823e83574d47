//! The search along a direction of descent.

use super::descent::Descent;
use super::hull::Shares;
use super::objective::{Point, Proximal};
use super::scratch::Scratch;
use crate::real::{Real, epsilon, real};

/// The outcome of a search along a direction.
pub(super) enum Search {
    Moved,
    /// The trials refused have told enough of the kinks near the point for another direction.
    Learned,
    Failed,
}

impl<T: Real> Descent<T> {
    /// A search along `d` by halving; `x` becomes the point found.
    pub fn search(
        &mut self,
        problem: &mut Proximal<'_, T>,
        x: &mut Point<T>,
        y: &mut Point<T>,
        slope: T,
        residual: T,
        scratch: &mut Scratch<T>,
    ) -> Search {
        const TRIALS: usize = 40;
        const REFINEMENTS: usize = 4;
        const LESSONS: usize = 8;
        let half: T = real(0.5);
        let mut t = T::one();
        let noise = problem.noise(x).max(self.noise);
        // Below this length a step is lost in the rounding of the points.
        let resolved = real::<T>(8.0) * epsilon::<T>() * problem.norm(&x.v);
        let (mut told, mut seen) = (scratch.take(), T::zero());
        told.copy_from(&x.gradient);
        self.kinks.project(&mut told);
        let smooth = problem.norm(&told);
        let mut shares = Shares::new(x.v.ncols());
        let mut outcome = Search::Failed;
        self.gain = -slope;
        for trial in 0..TRIALS {
            y.v.copy_from(&x.v);
            shares.transport(t, &self.d, &mut y.v);
            problem.evaluate(y);
            self.evaluations += 1;
            let finite = y.value.is_finite() && problem.inner(&y.gradient, &y.gradient).is_finite();
            let told_decrease = -half * t * slope;
            let lower =
                finite && y.value < x.value && y.value <= x.value - real::<T>(1e-4) * told_decrease;
            // Where the decrease is lost in rounding the gradients tell.
            let level = finite
                && !lower
                && -t * slope <= real::<T>(4.0) * noise
                && y.value <= x.value.min(self.start) + noise
                && {
                    told.copy_from(&y.gradient);
                    self.kinks.project(&mut told);
                    problem.norm(&told) < smooth * real(0.9)
                };
            let good = lower && x.value - y.value >= half * told_decrease;
            if level || good || lower && trial >= REFINEMENTS {
                self.accept(problem, x, y, (t, trial, slope), &shares);
                outcome = Search::Moved;
                break;
            }
            if finite {
                shares.refine(x, y, &self.d, t);
            }
            if trial < REFINEMENTS && finite {
                continue;
            }
            if finite && !lower && self.lessons < LESSONS {
                self.kinks.gather(&shares, &x.v, &self.d);
                self.kinks.shortest(x, &mut told);
                told -= &self.z;
                if problem.norm(&told) > residual * real(1e-3) {
                    self.lessons += 1;
                    outcome = Search::Learned;
                    break;
                }
            }
            told.copy_from(&y.v);
            told -= &x.v;
            let length = problem.norm(&told);
            if finite && length >= resolved {
                let after = problem.inner(&y.gradient, &told);
                if after < T::zero() {
                    // The slopes at both ends tell a decrease that the values do not show.
                    seen = seen.max(y.value - x.value - after);
                } else if length > self.kinks.radius {
                    (self.gain, seen) = (-problem.inner(&self.z, &told), T::zero());
                }
            }
            t *= half;
        }
        if matches!(outcome, Search::Failed) {
            self.noise = self.noise.max(seen);
            self.damping.value =
                (self.damping.value * real(64.0)).max(self.damping.curvature_scale * real(1e-3));
        }
        scratch.give([told]);
        outcome
    }

    /// Moves `x` to `y`, and learns from the step.
    fn accept(
        &mut self,
        problem: &mut Proximal<'_, T>,
        x: &mut Point<T>,
        y: &mut Point<T>,
        (t, trial, slope): (T, usize, T),
        shares: &Shares<T>,
    ) {
        self.smooth = trial == 0;
        if t < T::one() {
            // The curvature that would have made the step t times as long.
            let size = problem.inner(&self.d, &self.d);
            let bent = (T::one() / t - T::one()).min(real(1e3)) * -slope / size;
            self.damping.value = (self.damping.value * real(4.0)).max(bent);
            self.exact &= t > real(0.1);
        } else if trial == 0 {
            let told = -slope * real(0.5);
            self.damping.follow((x.value - y.value) / told);
        }
        // A gradient that changes much faster than the model has jumped.
        let stiff = (problem.rate + self.damping.curvature_scale) * real(100.0);
        self.kinks.follow(x, y, stiff);
        self.kinks.gather(shares, &x.v, &self.d);
        std::mem::swap(x, y);
    }
}
