//! Breakpoints of the objective along a direction: the kinks at which particles should stop.

use nalgebra::DMatrix;

use super::active_set::ActiveSet;
use super::column::{column, distance};
use super::objective::{Point, ProximalProblem};
use super::scratch::Scratch;
use crate::numeric::vector::dot;
use crate::real::{Real, epsilon, real};

/// Pairs of trials at most. Once a bracket holds one kink, each pair squares the error of its
/// position.
const MAX_ROUNDS: usize = 12;

/// The error of a breakpoint, relative to the distance at which both sides of its kink are sampled.
const RELATIVE_RESOLUTION: f64 = 1e-3;

/// The least error of a breakpoint, in units of `eps` times the size of the particle.
const RESOLUTION_ROUNDING: f64 = 64.0;

/// The largest error of a breakpoint, as a fraction of the direction.
const MAX_RESOLUTION: f64 = 0.125;

/// The normal of a kink is the difference of the gradients at the ends of its bracket. It is
/// accepted if the bracket is narrower than this multiple of its resolution.
const NORMAL_WIDTH: f64 = 1e3;

/// Trials keep at least this fraction of the resolution away from the ends of the bracket.
const INNER_MARGIN: f64 = 0.25;

/// The two trials of a pair are at most this fraction of the width away from the estimate.
const MAX_SPREAD: f64 = 0.1;

/// The spread of the first pair of trials.
const FIRST_SPREAD: f64 = 0.05;

/// The spread of the next trials is this multiple of the predicted error.
const SPREAD_SAFETY: f64 = 2.0;

/// A bracket that is wider than this fraction of its previous width is bisected.
const REQUIRED_SHRINK: f64 = 0.5;

/// The previous width of a new bracket, so large that its first estimate is not a bisection.
const FIRST_PREVIOUS_WIDTH: f64 = 4.0;

/// The width below which a bracket may count as a kink.
const KINK_WIDTH: f64 = 0.01;

/// The width below which a bracket counts as smooth if it is not a kink.
const SMOOTH_WIDTH: f64 = 1e-3;

/// A kink keeps at least this fraction of its jump times the square root of the width.
const KINK_JUMP: f64 = 0.5;

/// A slope at the end of a joint direction above `-0.25` times that at the start counts as ascent.
/// Without kinks it would be 0 there, up to the error of the Newton direction.
const JOINT_ASCENT: f64 = -0.25;

/// The relative change of slope over `eps^(1/3)` of the direction above which there is a kink at
/// its start.
const START_KINK: f64 = 0.01;

/// The least curvature along a joint direction, relative to the slope at its start.
const MIN_CURVATURE: f64 = 0.1;

/// The part of a direction that each particle takes.
pub(super) struct StepLimits<T> {
    /// The fraction `t_i` of the direction, in `[0, 1]`; 1 if no kink stops the particle.
    pub fractions: Vec<T>,
    /// The unit normal of the kink that stops the particle, if it was resolved.
    pub normals: Vec<Option<Vec<T>>>,
}

/// The rays `x_i + t d_i`, `0 <= t <= 1`, along the active surfaces.
pub(super) struct Rays<'a, T> {
    pub x: &'a Point<T>,
    pub d: &'a DMatrix<T>,
    pub active_set: &'a ActiveSet<T>,
    /// True if `d` is a joint Newton direction, so that all particles move together.
    pub joint: bool,
    /// The distance at which both sides of a kink are sampled.
    pub radius: T,
}

/// A term `-alpha t + beta t^2 / 2` of the objective of one particle along its ray.
#[derive(Clone, Copy)]
struct Correction<T> {
    alpha: T,
    beta: T,
}

/// The corrected objective of one particle at the fraction `t` of its ray.
struct RaySample<T> {
    t: T,
    value: T,
    slope: T,
    /// Projected onto the active surfaces, without correction.
    gradient: Vec<T>,
}

/// Two samples between which the slope turns from descent to ascent. The width is 1 at first.
///
/// The breakpoint is estimated where the parabolas at both ends intersect, as by cutting planes in
/// one dimension.
struct ParabolicBracket<T> {
    low: RaySample<T>,
    high: RaySample<T>,
    /// The last estimate of the breakpoint; the next trials are at `estimate -+ spread`.
    estimate: T,
    spread: T,
    /// The jump of the gradient over the whole ray.
    initial_jump: T,
    /// The curvature of the pieces between kinks.
    curvature: T,
    /// Whether the last pair of trials has replaced the low and the high end.
    replaced: (bool, bool),
    previous_width: T,
    /// The width below which the breakpoint is resolved.
    resolution: T,
}

impl<T: Real> ParabolicBracket<T> {
    fn new(low: RaySample<T>, high: RaySample<T>, curvature: T, resolution: T) -> Self {
        let initial_jump = distance(&low.gradient, &high.gradient);
        let mut bracket = Self {
            low,
            high,
            estimate: T::one(),
            spread: T::zero(),
            initial_jump,
            curvature,
            replaced: (false, false),
            previous_width: real(FIRST_PREVIOUS_WIDTH),
            resolution,
        };
        bracket.update_estimate();
        bracket.spread = real(FIRST_SPREAD);
        bracket
    }

    fn width(&self) -> T {
        self.high.t - self.low.t
    }

    fn jump(&self) -> T {
        distance(&self.low.gradient, &self.high.gradient)
    }

    fn is_resolved(&self) -> bool {
        self.width() <= self.resolution
    }

    /// Returns true if the jump of the gradient remains while the bracket shrinks. Over a smooth
    /// turn of the slope both shrink alike.
    fn is_kink(&self) -> bool {
        let width = self.width();
        width <= real(KINK_WIDTH)
            && self.jump() >= self.initial_jump * width.sqrt() * real(KINK_JUMP)
    }

    /// Returns true if the jump has shrunk with the bracket. The particle should not stop there:
    /// the joint model already accounts for smooth changes.
    fn is_smooth(&self) -> bool {
        self.width() < real::<T>(SMOOTH_WIDTH) && !self.is_kink()
    }

    /// Estimates the breakpoint, where the parabolas of the common curvature at both ends
    /// intersect; by bisection if the bracket has not halved. The spread is the expected error.
    ///
    /// The error of the intersection is proportional to the square of the width.
    fn update_estimate(&mut self) {
        let (a, b, width) = (&self.low, &self.high, self.width());
        let kappa = self.curvature;
        let (slope_a, slope_b) = (a.slope - kappa * a.t, b.slope - kappa * b.t);
        let rise = b.value - a.value - real::<T>(0.5) * kappa * (b.t * b.t - a.t * a.t);
        let intersection = a.t + (rise - slope_b * width) / (slope_a - slope_b);
        let margin = self.resolution * real(INNER_MARGIN);
        let clamped = intersection.max(a.t + margin).min(b.t - margin);
        let shrink = width / self.previous_width;
        let error = if self.replaced == (true, true) {
            (clamped - self.estimate).abs() * shrink * real(SPREAD_SAFETY)
        } else {
            width
        };
        self.spread = error.max(margin).min(width * real(MAX_SPREAD));
        self.estimate = if shrink <= real(REQUIRED_SHRINK) {
            clamped
        } else {
            real::<T>(0.5) * (a.t + b.t)
        };
        self.replaced = (false, false);
        self.previous_width = width;
    }

    /// Replaces the end on whose side the sample is, if it is inside the bracket.
    fn insert(&mut self, sample: RaySample<T>) {
        if sample.t <= self.low.t || sample.t >= self.high.t {
            return;
        }
        if sample.slope < T::zero() {
            self.low = sample;
            self.replaced.0 = true;
        } else {
            self.high = sample;
            self.replaced.1 = true;
        }
    }
}

impl<T: Real> Rays<'_, T> {
    /// Computes for each particle the breakpoint at which it should stop, if any.
    ///
    /// The objective of a particle is `F'(mu) + |. - w_i|^2 / (2 gamma)`, with `mu` fixed at `x`.
    /// The particle stops at the kink where its slope turns from descent to ascent. `None` if the
    /// energy has no first variation.
    pub fn step_limits(
        &self,
        problem: &mut ProximalProblem<'_, T>,
        scratch: &mut Scratch<T>,
    ) -> Option<StepLimits<T>> {
        let m = self.x.v.ncols();
        let points = problem.mu.points_mut();
        points.copy_from_slice(self.x.v.as_slice());
        let mut corrections = vec![
            Correction {
                alpha: T::zero(),
                beta: T::zero(),
            };
            m
        ];
        let mut curvatures = vec![T::zero(); m];
        let [starts, ends] = if self.joint {
            self.joint_samples(problem, &mut corrections, &mut curvatures)?
        } else {
            self.sample(problem, &corrections, |_| [T::zero(), T::one()])?
        };
        let mut brackets: Vec<Option<ParabolicBracket<T>>> = starts
            .into_iter()
            .zip(ends)
            .enumerate()
            .map(|(i, (low, high))| self.bracket(i, low, high, curvatures[i]))
            .collect();

        let mut flags = scratch.take();
        for _ in 0..MAX_ROUNDS {
            let unresolved = |b: &ParabolicBracket<T>| !b.is_resolved();
            if !problem.any_particle(&mut flags, |i| brackets[i].as_ref().is_some_and(unresolved)) {
                break;
            }
            let pair = |i: usize| match &brackets[i] {
                Some(b) => [b.estimate - b.spread, b.estimate + b.spread],
                None => [T::zero(); 2],
            };
            for samples in self.sample(problem, &corrections, pair)? {
                for (bracket, sample) in brackets.iter_mut().zip(samples) {
                    if let Some(bracket) = bracket {
                        bracket.insert(sample);
                    }
                }
            }
            for bracket in &mut brackets {
                bracket
                    .iter_mut()
                    .for_each(ParabolicBracket::update_estimate);
                bracket.take_if(|b| b.is_smooth());
            }
        }
        scratch.give([flags]);

        let mut limits = StepLimits {
            fractions: vec![T::one(); m],
            normals: vec![None; m],
        };
        for (i, bracket) in brackets.into_iter().enumerate() {
            let Some(b) = bracket.filter(ParabolicBracket::is_kink) else {
                continue;
            };
            limits.fractions[i] = b.low.t;
            if b.width() <= b.resolution * real(NORMAL_WIDTH) {
                let jump = b.jump();
                let gradients = b.high.gradient.iter().zip(&b.low.gradient);
                limits.fractions[i] = b.estimate;
                limits.normals[i] = Some(gradients.map(|(&g, &h)| (g - h) / jump).collect());
            }
        }
        Some(limits)
    }

    /// Samples both ends of joint rays, and sets the corrections and curvatures.
    ///
    /// Along a joint direction the other particles move too. Without kinks they would make the
    /// slope 0 at the end of the ray. So the corrected slope is `kappa (t - 1)`, with the curvature
    /// `kappa` at the start, plus the deviation of the slope of the particle from a straight line.
    fn joint_samples(
        &self,
        problem: &mut ProximalProblem<'_, T>,
        corrections: &mut [Correction<T>],
        curvatures: &mut [T],
    ) -> Option<[Vec<RaySample<T>>; 2]> {
        let short = epsilon::<T>().cbrt();
        let fractions = |_| [T::zero(), T::one(), short];
        let [mut starts, mut ends, nexts] = self.sample(problem, corrections, fractions)?;
        for (i, (start, end)) in starts.iter_mut().zip(&mut ends).enumerate() {
            let rise = nexts[i].slope - start.slope;
            let scale = start.slope.abs() + end.slope.abs();
            let is_smooth = rise.abs() <= real::<T>(START_KINK) * scale;
            let curvature = if is_smooth { rise / short } else { T::zero() };
            let kappa = curvature.max(real::<T>(MIN_CURVATURE) * start.slope.abs());
            let (alpha, beta) = (start.slope + kappa, kappa - curvature);
            start.slope = -kappa;
            end.slope += beta - alpha;
            end.value += real::<T>(0.5) * beta - alpha;
            curvatures[i] = kappa;
            corrections[i] = Correction { alpha, beta };
        }
        Some([starts, ends])
    }

    /// The bracket of particle `i` if its slope turns from descent to ascent along the ray.
    fn bracket(
        &self,
        i: usize,
        low: RaySample<T>,
        high: RaySample<T>,
        curvature: T,
    ) -> Option<ParabolicBracket<T>> {
        let least = if self.joint {
            low.slope * real(JOINT_ASCENT)
        } else {
            T::zero()
        };
        if !(low.slope < T::zero() && high.slope > least && high.value.is_finite()) {
            return None;
        }
        let (v, d) = (column(&self.x.v, i), column(self.d, i));
        let size = dot(d, d).sqrt();
        let rounding = real::<T>(RESOLUTION_ROUNDING) * epsilon::<T>() * dot(v, v).sqrt();
        let resolution = ((self.radius / size).min(T::one()) * real(RELATIVE_RESOLUTION))
            .max(rounding / size)
            .min(real(MAX_RESOLUTION));
        Some(ParabolicBracket::new(low, high, curvature, resolution))
    }

    /// Samples every particle at `K` fractions of its ray, in one first variation.
    fn sample<const K: usize>(
        &self,
        problem: &mut ProximalProblem<'_, T>,
        corrections: &[Correction<T>],
        fractions: impl Fn(usize) -> [T; K],
    ) -> Option<[Vec<RaySample<T>>; K]> {
        let (p, m) = self.x.v.shape();
        let mut at = DMatrix::zeros(p, K * m);
        for k in 0..K {
            for i in 0..m {
                let mut point = at.column_mut(k * m + i);
                point.copy_from(&self.x.v.column(i));
                point.axpy(fractions(i)[k], &self.d.column(i), T::one());
            }
        }
        let mut gradients = DMatrix::zeros(p, K * m);
        let mut values = vec![T::zero(); K * m];
        problem.evaluate_particles(&at, &mut values, &mut gradients)?;
        self.active_set.project(&mut gradients);
        let sample = |k: usize, i: usize| {
            let t = fractions(i)[k];
            let Correction { alpha, beta } = corrections[i];
            let gradient = column(&gradients, k * m + i).to_vec();
            RaySample {
                t,
                value: values[k * m + i] - alpha * t + real::<T>(0.5) * beta * t * t,
                slope: dot(&gradient, column(self.d, i)) - alpha + beta * t,
                gradient,
            }
        };
        Some(std::array::from_fn(|k| {
            (0..m).map(|i| sample(k, i)).collect()
        }))
    }
}
