//! The active set: the kinks on which particles lie, and the minimum-norm subgradient across them.

use nalgebra::DMatrix;

use super::basis::{Basis, axpy, column, column_mut};
use super::objective::{Point, ProximalProblem};
use crate::feature::Breakpoint;
use crate::numeric::vector::dot;
use crate::real::{Real, epsilon, real};

/// Particles are placed at this distance from their kinks, in units of `p eps` times the size of
/// the terms of the offset. It exceeds the rounding error of an inner product in `R^p`, so that
/// every pass evaluates the same side.
const PLACEMENT: f64 = 4.0;

/// Particles within this distance of a kink lie on it, in units of the distance at which they are
/// placed.
const CAPTURE: f64 = 8.0;

/// Particles release kinks if the square of their subgradient across them is at least this
/// fraction of its mean over all particles that could.
const RELEASE_FRACTION: f64 = 0.1;

/// Sweeps of coordinate descent over the multipliers of one particle at most.
const MAX_SWEEPS: usize = 100;

/// A kink on which a particle lies.
#[derive(Clone)]
pub(super) struct Kink<T> {
    /// The hyperplane `<n, v> = c`.
    normal: Vec<T>,
    constant: T,
    /// The distance at which particles are placed.
    placement: T,
    /// The jump of the gradient, in units of the normal.
    jump: T,
    /// Where the gradient was evaluated: on the negative side (0), the positive side (1), or
    /// between.
    side: T,
    /// The multiplier in [0, 1]: the subgradient, in the same unit.
    multiplier: T,
    /// Whether the particle stays on the kink.
    kept: bool,
}

impl<T: Real> Kink<T> {
    /// The kink of a particle at `w`.
    pub fn new(b: &Breakpoint<'_, T>, w: &[T]) -> Self {
        let side = if b.offset > T::zero() {
            T::one()
        } else if b.offset < T::zero() {
            T::zero()
        } else {
            b.side
        };
        Self {
            normal: b.normal.to_vec(),
            constant: dot(b.normal, w) - b.offset,
            placement: placement::<T>(w.len()) * b.scale,
            jump: b.jump,
            side,
            multiplier: side,
            kept: true,
        }
    }

    /// Returns true if the subgradient is that of one side.
    fn is_one_sided(&self) -> bool {
        self.multiplier <= T::zero() || self.multiplier >= T::one()
    }

    /// The change of the evaluated gradient to the subgradient, in units of the normal.
    fn change(&self) -> T {
        (self.multiplier - self.side) * self.jump
    }
}

/// The distance from a kink at which particles are placed, in units of the size of its terms.
fn placement<T: Real>(p: usize) -> T {
    real::<T>(PLACEMENT * p as f64) * epsilon::<T>()
}

/// The distance within which particles lie on a kink, in the same unit.
pub(super) fn margin<T: Real>(p: usize) -> T {
    placement::<T>(p) * real(CAPTURE)
}

/// Places a particle on kinks: on the positive side of those on which it stays, and on the side of
/// the multiplier of those that it leaves.
pub(super) fn place<'a, T: Real>(kinks: impl Iterator<Item = &'a Kink<T>> + Clone, v: &mut [T]) {
    let (mut basis, mut independent) = (Basis::new(), Vec::new());
    for kink in kinks {
        if basis.extend(&kink.normal) {
            independent.push(kink);
        }
    }
    // Twice: the first pass corrects the particle, the second one its rounding error.
    for _ in 0..2 {
        let change = |kink: &&Kink<T>| {
            let leaves = !kink.kept && kink.multiplier <= T::zero();
            let target = if leaves {
                -kink.placement
            } else {
                kink.placement
            };
            target + kink.constant - dot(&kink.normal, v)
        };
        let changes: Vec<T> = independent.iter().map(change).collect();
        basis.displace(&changes, v);
    }
}

/// The kinks on which each particle lies, and a basis of the normals of those on which it stays.
///
/// A particle moves within its kinks, where the objective is smooth and Newton's method applies.
/// At a minimum 0 is between the gradients of both sides of each kink. Otherwise the kink leaves
/// the active set, and the particle moves to the side on which the objective falls.
pub(super) struct ActiveSet<T> {
    kinks: Vec<Vec<Kink<T>>>,
    bases: Vec<Basis<T>>,
}

impl<T: Real> ActiveSet<T> {
    /// The empty set.
    pub fn new(particles: usize) -> Self {
        Self {
            kinks: vec![Vec::new(); particles],
            bases: vec![Basis::new(); particles],
        }
    }

    /// Computes the kinks on which the particles lie at `x`, and writes the minimum-norm
    /// subgradient of every particle to `z`; `zero` is overwritten.
    pub fn identify(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &Point<T>,
        z: &mut DMatrix<T>,
        zero: &mut DMatrix<T>,
    ) {
        zero.fill(T::zero());
        problem.move_to(&x.v);
        let kinks = &mut self.kinks;
        kinks.iter_mut().for_each(Vec::clear);
        let visit = &mut |b: &Breakpoint<'_, T>| {
            if b.jump != T::zero() {
                kinks[b.particle].push(Kink::new(b, column(&x.v, b.particle)));
            }
        };
        let margin = margin(x.v.nrows());
        problem.energy.breakpoints(problem.mu, zero, margin, visit);
        z.copy_from(&x.gradient);
        for (i, (kinks, basis)) in self.kinks.iter_mut().zip(&mut self.bases).enumerate() {
            basis.clear();
            for kink in kinks.iter() {
                basis.extend(&kink.normal);
            }
            minimum_norm(column_mut(z, i), kinks, basis);
        }
    }

    /// Releases kinks across which 0 is not between the gradients, if `z` is larger across the
    /// kinks than along them, and places the particles on the side on which the objective falls.
    /// Ridges of the objective are always released.
    ///
    /// `z` becomes the subgradient along the kinks that are kept; `work` is overwritten.
    pub fn release(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &mut Point<T>,
        z: &mut DMatrix<T>,
        work: &mut DMatrix<T>,
    ) {
        work.copy_from(z);
        self.project(work);
        let along = problem.inner(work, work);
        work.zip_apply(z, |u, z| *u = z - *u);
        let across = problem.inner(work, work);
        let squares: Vec<T> = work.column_iter().map(|u| u.norm_squared()).collect();
        let mass = problem.mass_of(work, |i| squares[i] > T::zero());
        let threshold = if across > along {
            real::<T>(RELEASE_FRACTION) * across / mass
        } else {
            squares.iter().fold(T::one(), |max, &s| max.max(s)) + T::one()
        };
        let mut moved = vec![false; squares.len()];
        for (i, kinks) in self.kinks.iter_mut().enumerate() {
            let releases = squares[i] >= threshold;
            let mut changed = false;
            for kink in kinks.iter_mut() {
                kink.kept = !(kink.jump < T::zero() || releases && kink.is_one_sided());
                changed |= !kink.kept;
                moved[i] |= !kink.kept && kink.multiplier != kink.side;
            }
            if changed {
                self.bases[i].clear();
                for kink in kinks.iter().filter(|kink| kink.kept) {
                    self.bases[i].extend(&kink.normal);
                }
            }
        }
        if problem.mass_of(work, |i| moved[i]) > T::zero() {
            for (i, kinks) in self.kinks.iter().enumerate().filter(|&(i, _)| moved[i]) {
                place(kinks.iter(), column_mut(&mut x.v, i));
            }
            problem.evaluate(x);
            for kink in self.kinks.iter_mut().flatten().filter(|kink| !kink.kept) {
                kink.side = kink.multiplier;
            }
        }
        z.copy_from(&x.gradient);
        for (i, kinks) in self.kinks.iter().enumerate() {
            for kink in kinks.iter().filter(|kink| !kink.kept) {
                axpy(kink.change(), &kink.normal, column_mut(z, i));
            }
        }
        self.project(z);
    }

    /// The kinks on which particle `i` stays.
    pub fn kept(&self, i: usize) -> impl Iterator<Item = &Kink<T>> + Clone {
        self.kinks[i].iter().filter(|kink| kink.kept)
    }

    /// Returns true if particle `i` stays on the kink of the breakpoint.
    pub fn contains(&self, b: &Breakpoint<'_, T>) -> bool {
        self.kept(b.particle).any(|kink| kink.normal == b.normal)
    }

    /// The number of further kinks on which particle `i` can lie.
    pub fn freedom(&self, i: usize, p: usize) -> usize {
        p - self.bases[i].len()
    }

    /// Projects a field onto the kinks that are kept.
    pub fn project(&self, field: &mut DMatrix<T>) {
        for (i, basis) in self.bases.iter().enumerate() {
            basis.project(column_mut(field, i));
        }
    }

    /// Projects a vector of particle `i` onto its kinks.
    pub fn project_one(&self, i: usize, u: &mut [T]) {
        self.bases[i].project(u);
    }
}

/// Replaces the gradient `z` by the shortest subgradient `z + sum_k (s_k - side_k) jump_k n_k` with
/// multipliers `0 <= s_k <= 1`.
///
/// If the unconstrained multipliers are in range they are the solution; otherwise coordinate
/// descent computes one. At a ridge (`jump < 0`) the multiplier is 0 or 1: the side on which the
/// objective falls faster.
fn minimum_norm<T: Real>(z: &mut [T], kinks: &mut [Kink<T>], basis: &Basis<T>) {
    let convex = kinks.iter().all(|kink| kink.jump > T::zero());
    if convex && basis.len() == kinks.len() {
        let coefficients = basis.coefficients(z);
        for (kink, s) in kinks.iter_mut().zip(coefficients) {
            kink.multiplier = kink.side - s / kink.jump;
        }
        let range = T::zero()..=T::one();
        if kinks.iter().all(|kink| range.contains(&kink.multiplier)) {
            basis.project(z);
            return;
        }
    }
    for kink in kinks.iter_mut() {
        kink.multiplier = kink.multiplier.max(T::zero()).min(T::one());
        axpy(kink.change(), &kink.normal, z);
    }
    for _ in 0..MAX_SWEEPS {
        let mut largest = T::zero();
        for kink in kinks.iter_mut() {
            let square = dot(&kink.normal, &kink.normal);
            // The slope along the normal on the current and on both sides.
            let slope = dot(&kink.normal, z);
            let rise = kink.jump * square;
            let best = if kink.jump > T::zero() {
                (kink.multiplier - slope / rise)
                    .max(T::zero())
                    .min(T::one())
            } else {
                let negative = slope - kink.multiplier * rise;
                if negative + negative + rise <= T::zero() {
                    T::one()
                } else {
                    T::zero()
                }
            };
            let change = best - kink.multiplier;
            axpy(change * kink.jump, &kink.normal, z);
            kink.multiplier = best;
            largest = largest.max(change.abs());
        }
        if largest <= epsilon() {
            break;
        }
    }
}
