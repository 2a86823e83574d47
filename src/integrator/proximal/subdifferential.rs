//! An estimate of the subdifferential from gradients sampled near a point, particle by particle.

use nalgebra::DMatrix;

use super::bisection::StepFractions;
use super::column::{axpy, column, column_mut, distance, orthogonalise};
use super::hull::minimum_norm_point;
use super::objective::{Point, ProximalProblem};
use super::scratch::Scratch;
use crate::numeric::vector::dot;
use crate::real::{Real, epsilon, real};

/// Sampled gradients kept a particle, besides that at the point itself.
const MAX_SAMPLES: usize = 8;

/// A sample replaces those whose gradients differ by less than this fraction of the jump: they are
/// on the same side of the kink.
const SAME_SIDE: f64 = 0.5;

/// A nearby position of one particle and the gradient there.
struct SampledGradient<T> {
    v: Vec<T>,
    gradient: Vec<T>,
}

/// For each particle the sampled gradients, within a radius, on the other sides of the kinks near
/// it.
///
/// At a kink (of a rectifier neuron with `b.x_j = 0`) the gradient jumps, and at a minimum 0 is in
/// the convex hull of its limits (the Goldstein subdifferential). Each particle has its own hull:
/// the kinks of a feature map are in its own particle only, and the gradient is continuous in all
/// others.
pub(super) struct Subdifferential<T> {
    /// Empty for most particles.
    samples: Vec<Vec<SampledGradient<T>>>,
    /// The model of the curvature across kinks, `K = sum k n n^T`, as `(i, n, k)`: orthonormal
    /// directions `n` a particle `i`, and the difference quotients `k` of sampled gradients.
    stiffness: Vec<(usize, Vec<T>, T)>,
    /// The radius within which samples count.
    pub radius: T,
}

impl<T: Real> Subdifferential<T> {
    /// An estimate without samples.
    pub fn new(particles: usize, radius: T) -> Self {
        Self {
            samples: (0..particles).map(|_| Vec::new()).collect(),
            stiffness: Vec::new(),
            radius,
        }
    }

    /// Writes the minimum-norm subgradient `z_i` of every particle, in the convex hull of its
    /// gradient and of those of its samples within the radius; drops samples of weight 0.
    pub fn minimum_norm(&mut self, x: &Point<T>, z: &mut DMatrix<T>) {
        z.copy_from(&x.gradient);
        self.stiffness.clear();
        for (i, samples) in self.samples.iter_mut().enumerate() {
            if samples.is_empty() {
                continue;
            }
            let (v, g) = (column(&x.v, i), column(&x.gradient, i));
            samples.retain(|sample| distance(&sample.v, v) <= self.radius);
            let gradients = samples.iter().map(|sample| &sample.gradient[..]);
            let vertices: Vec<&[T]> = std::iter::once(g).chain(gradients).collect();
            let weights = minimum_norm_point(&vertices, column_mut(z, i));
            let mut weight = weights[1..].iter();
            samples.retain(|_| weight.next().is_some_and(|&weight| weight > T::zero()));

            // The stiffness: differences of the gradients in the combination to one of them.
            let mut others = samples.iter();
            let (base_v, base) = if weights[0] > T::zero() {
                (v, g)
            } else {
                let first = others.next();
                first.map_or((v, g), |sample| (&sample.v, &sample.gradient))
            };
            let rounding = epsilon::<T>() * (epsilon::<T>() + dot(v, v).sqrt());
            let first = self.stiffness.len();
            for sample in others {
                let width = distance(&sample.v, base_v).max(rounding);
                let jumps = sample.gradient.iter().zip(base);
                let mut n: Vec<T> = jumps.map(|(&s, &g)| s - g).collect();
                let jump = dot(&n, &n).sqrt();
                let normals = self.stiffness[first..].iter().map(|(_, n, _)| n);
                let rest = orthogonalise(normals, &mut n);
                if rest > jump * epsilon::<T>().sqrt() {
                    n.iter_mut().for_each(|n| *n /= rest);
                    self.stiffness.push((i, n, rest / width));
                }
            }
        }
    }

    /// `u = (s + K)^-1 s u`, the preconditioner.
    pub fn precondition(&self, s: T, u: &mut DMatrix<T>) {
        self.scale_normals(u, |k| -k / (k + s));
    }

    /// `out += K u`.
    pub fn add_stiffness_product(&self, u: &DMatrix<T>, out: &mut DMatrix<T>) {
        for (i, n, k) in &self.stiffness {
            axpy(*k * dot(n, column(u, *i)), n, column_mut(out, *i));
        }
    }

    /// Removes the components of a field across the kinks.
    pub fn project(&self, u: &mut DMatrix<T>) {
        self.scale_normals(u, |_| -T::one());
    }

    /// `u += f(k) n <n, u>` for every direction of the stiffness.
    fn scale_normals(&self, u: &mut DMatrix<T>, f: impl Fn(T) -> T) {
        for (i, n, k) in &self.stiffness {
            let u = column_mut(u, *i);
            axpy(f(*k) * dot(n, u), n, u);
        }
    }

    /// Samples the kinks that a line search from `start` along `d` has bracketed, at the far ends
    /// of the brackets.
    pub fn add_kinks(&mut self, steps: &StepFractions<T>, start: &DMatrix<T>, d: &DMatrix<T>) {
        for (i, bracket) in steps.kinks() {
            let mut v = column(start, i).to_vec();
            axpy(bracket.high, column(d, i), &mut v);
            let same = real::<T>(SAME_SIDE) * bracket.jump();
            let samples = &mut self.samples[i];
            samples.retain(|sample| distance(&sample.gradient, &bracket.gradient_high) > same);
            insert(samples, v, bracket.gradient_high.clone());
        }
    }

    /// Updates the samples after a step from `x` to `y`: they move along with their particle. A
    /// particle that crossed a kink adds its previous position as a sample.
    ///
    /// Without samples a particle has crossed a kink only if its gradient changed by more than
    /// `max_curvature` times its displacement.
    pub fn update(&mut self, x: &Point<T>, y: &Point<T>, max_curvature: T) {
        for (i, samples) in self.samples.iter_mut().enumerate() {
            let (xv, xg) = (column(&x.v, i), column(&x.gradient, i));
            let (yv, yg) = (column(&y.v, i), column(&y.gradient, i));
            let jumps = distance(xg, yg) > max_curvature * distance(xv, yv);
            if (jumps || !samples.is_empty()) && slope_changes_sign(xv, xg, yv, yg) {
                insert(samples, xv.to_vec(), xg.to_vec());
                continue;
            }
            for sample in samples {
                // Not if the particle is now on the side of the sample.
                if distance(&sample.gradient, yg) >= distance(xg, yg) {
                    translate(&mut sample.v, xv, yv);
                    translate(&mut sample.gradient, xg, yg);
                }
            }
        }
    }

    /// Moves every particle with samples to the mean of its position and theirs, in `v`.
    pub fn move_to_means(&self, v: &mut DMatrix<T>) {
        for (i, samples) in self.samples.iter().enumerate() {
            if samples.is_empty() {
                continue;
            }
            let share = T::one() / real((1 + samples.len()) as f64);
            for (l, v) in column_mut(v, i).iter_mut().enumerate() {
                let sum = samples.iter().fold(*v, |sum, sample| sum + sample.v[l]);
                *v = sum * share;
            }
        }
    }

    /// Replaces by the means `y` the point in `x` or the sample on whose side they are: that with
    /// the nearest gradient.
    pub fn replace_by_means(&mut self, x: &mut Point<T>, y: &Point<T>) {
        for (i, samples) in self.samples.iter_mut().enumerate() {
            if samples.is_empty() {
                continue;
            }
            let (yv, yg) = (column(&y.v, i), column(&y.gradient, i));
            let nearest = samples
                .iter_mut()
                .map(|sample| (distance(&sample.gradient, yg), sample))
                .reduce(|a, b| if b.0 < a.0 { b } else { a });
            let own = distance(column(&x.gradient, i), yg);
            match nearest {
                Some((distance, sample)) if distance < own => {
                    sample.v.copy_from_slice(yv);
                    sample.gradient.copy_from_slice(yg);
                }
                _ => {
                    column_mut(&mut x.v, i).copy_from_slice(yv);
                    column_mut(&mut x.gradient, i).copy_from_slice(yg);
                }
            }
        }
    }

    /// Returns true if any particle of positive weight, on any rank, has samples apart from itself.
    pub fn has_samples(
        &self,
        problem: &mut ProximalProblem<'_, T>,
        x: &Point<T>,
        scratch: &mut Scratch<T>,
    ) -> bool {
        let mut distances = scratch.take();
        distances.fill(T::zero());
        for (i, samples) in self.samples.iter().enumerate() {
            let v = column(&x.v, i);
            distances[(0, i)] = samples
                .iter()
                .fold(T::zero(), |max, sample| max.max(distance(&sample.v, v)));
        }
        let any = problem.inner(&distances, &distances) > T::zero();
        scratch.give([distances]);
        any
    }
}

/// Returns true if the slope along `y - x` turns from descent at `x` to ascent at `y`.
fn slope_changes_sign<T: Real>(xv: &[T], xg: &[T], yv: &[T], yg: &[T]) -> bool {
    let (mut slope_x, mut slope_y) = (T::zero(), T::zero());
    for l in 0..xv.len() {
        let d = yv[l] - xv[l];
        slope_x += d * xg[l];
        slope_y += d * yg[l];
    }
    slope_x < T::zero() && slope_y > T::zero()
}

/// `u += y - x`.
fn translate<T: Real>(u: &mut [T], x: &[T], y: &[T]) {
    for (u, (&x, &y)) in u.iter_mut().zip(x.iter().zip(y)) {
        *u += y - x;
    }
}

/// Adds a sample; the oldest one is dropped if there are too many.
fn insert<T: Real>(samples: &mut Vec<SampledGradient<T>>, v: Vec<T>, gradient: Vec<T>) {
    if samples.len() == MAX_SAMPLES {
        samples.remove(0);
    }
    samples.push(SampledGradient { v, gradient });
}
