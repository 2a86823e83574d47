//! The active set: the kinks on which particles lie, and the minimum-norm subgradient across them.

use nalgebra::DMatrix;

use super::objective::{Point, ProximalProblem};
use crate::feature::Breakpoint;
use crate::numeric::basis::Basis;
use crate::numeric::vector::{axpy, column, column_mut, columns_mut, dot};
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
#[derive(Clone)]
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

    /// Computes the kinks on which the particles lie at `x`; returns the minimum-norm subgradient.
    pub fn identify(&mut self, problem: &mut ProximalProblem<'_, T>, x: &Point<T>) -> DMatrix<T> {
        let mut z = x.gradient.clone();
        *self = Self::new(z.ncols());
        let kinks = &mut self.kinks;
        let visit = &mut |b: &Breakpoint<'_, T>| {
            if b.jump != T::zero() {
                kinks[b.particle].push(Kink::new(b, column(&x.v, b.particle)));
            }
        };
        let (zero, margin) = (DMatrix::zeros(z.nrows(), z.ncols()), margin(z.nrows()));
        problem.move_to(&x.v);
        problem.energy.breakpoints(problem.mu, &zero, margin, visit);
        self.update_bases();
        for (i, (kinks, basis)) in self.kinks.iter_mut().zip(&self.bases).enumerate() {
            minimum_norm(column_mut(&mut z, i), kinks, basis);
        }
        z
    }

    /// Releases kinks across which 0 is not between the gradients, if `z` is larger across the
    /// kinks than along them, and places the particles on the side on which the objective falls.
    /// Ridges of the objective are always released.
    ///
    /// `z` becomes the subgradient along the kinks that are kept.
    pub fn release(
        &mut self,
        problem: &mut ProximalProblem<'_, T>,
        x: &mut Point<T>,
        z: &mut DMatrix<T>,
    ) {
        let mut along = z.clone();
        self.project(&mut along);
        let normal = &*z - &along;
        let across = problem.inner(&normal, &normal);
        let releases = across > problem.inner(&along, &along);
        let squares: Vec<T> = normal.column_iter().map(|u| u.norm_squared()).collect();
        let mass = problem.mass_of(|i| squares[i] > T::zero());
        let threshold = real::<T>(RELEASE_FRACTION) * across / mass;
        let mut moved = vec![false; squares.len()];
        for (i, kinks) in self.kinks.iter_mut().enumerate() {
            let releases = releases && squares[i] >= threshold;
            for kink in kinks.iter_mut() {
                kink.kept = kink.jump > T::zero() && !(releases && kink.is_one_sided());
                moved[i] |= !kink.kept && kink.multiplier != kink.side;
            }
        }
        self.update_bases();
        if problem.mass_of(|i| moved[i]) > T::zero() {
            for (i, kinks) in self.kinks.iter_mut().enumerate().filter(|&(i, _)| moved[i]) {
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

    /// Adds a kink to particle `i`, which stays on it.
    pub fn insert(&mut self, i: usize, kink: &Kink<T>) {
        self.bases[i].extend(&kink.normal);
        self.kinks[i].push(kink.clone());
    }

    fn update_bases(&mut self) {
        for (kinks, basis) in self.kinks.iter().zip(&mut self.bases) {
            *basis = Basis::new();
            for kink in kinks.iter().filter(|kink| kink.kept) {
                basis.extend(&kink.normal);
            }
        }
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

    /// Projects the columns of a matrix onto the kinks of particle `i`.
    pub fn project_particle(&self, i: usize, block: &mut DMatrix<T>) {
        let p = block.nrows();
        for column in columns_mut(block.as_mut_slice(), p) {
            self.bases[i].project(column);
        }
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
        for (kink, s) in kinks.iter_mut().zip(basis.coefficients(z)) {
            kink.multiplier = kink.side - s / kink.jump;
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
