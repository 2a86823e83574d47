//! Soft minima over the points of a measure, by blocks of sources.

use nalgebra::DMatrix;

use crate::energy::Rows;
use crate::measure::EmpiricalMeasure;
use crate::numeric::elementary::{sum_exponentials, sum_gaussians};
use crate::numeric::pair_blocks::{BLOCK, Blocks};
use crate::numeric::simd::is_supported;
use crate::numeric::vector::column;
use crate::real::{Real, real};

/// A measure, and its points in blocks if `T` has a SIMD implementation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cloud<'a, T: Real> {
    pub(super) measure: &'a EmpiricalMeasure<T>,
    pub(super) blocks: &'a Blocks<T>,
}

/// Terms below `exp(-NEGLIGIBLE)` of the largest one are left out: a sum of `10^9` of them is below
/// the rounding error in `f64`.
const NEGLIGIBLE: f64 = 60.0;

/// Sums with a given shift are accepted up to this size and down to its reciprocal: the terms that
/// matter are then normal numbers in `f32` too.
const LARGEST_SUM: f64 = 1e12;

/// The soft minima of the last computation, with its buffers.
#[derive(Debug, Clone)]
pub(super) struct SoftMinima<T> {
    rows: Rows<T>,
    /// `potential_j / epsilon + log c_j`, with padding.
    potentials: Vec<T>,
}

impl<T> Default for SoftMinima<T> {
    fn default() -> Self {
        Self {
            rows: Rows::default(),
            potentials: Vec::new(),
        }
    }
}

impl<T: Real> SoftMinima<T> {
    /// The results of [`compute`](Self::compute).
    pub(super) fn values(&self) -> &[T] {
        &self.rows.values
    }

    /// Computes
    /// `-epsilon log int exp((potential(y) - |w - y|^2 / 2) / epsilon) dmu(y) / M` at the columns w
    /// of `at`. The exponents contain the logarithms of the weights.
    ///
    /// `guess` are approximate results. With them as shifts of the exponents one pass over the
    /// sources suffices; rows whose guess is too far off are computed without it.
    pub(super) fn compute(
        &mut self,
        cloud: Cloud<'_, T>,
        potential: &[T],
        epsilon: T,
        at: &DMatrix<T>,
        guess: &[T],
    ) {
        let log_mass = self.prepare(cloud, potential, epsilon);
        let sum = Sum::new(cloud, &self.potentials, epsilon);
        let largest_sum = real::<T>(LARGEST_SUM);
        let row = |i: usize, _: &mut [T], _: &mut [T]| {
            let w = column(at, i);
            if is_supported::<T>() {
                let shift = log_mass - guess[i] / epsilon;
                let total = sum.with_shift(w, shift);
                if total <= largest_sum && total * largest_sum >= T::one() {
                    return guess[i] - epsilon * total.ln();
                }
            }
            let (largest, total) = sum.with_largest(w, &mut []);
            -epsilon * (largest + total.ln() - log_mass)
        };
        let size = (at.nrows(), at.ncols(), potential.len());
        self.rows.fill(size, 0, None, &row);
    }

    /// [`compute`](Self::compute), and in the columns of `means` the mean of `y - w` under the
    /// density of the sum.
    pub(super) fn compute_with_means(
        &mut self,
        cloud: Cloud<'_, T>,
        potential: &[T],
        epsilon: T,
        at: &DMatrix<T>,
        means: &mut DMatrix<T>,
    ) {
        let log_mass = self.prepare(cloud, potential, epsilon);
        let sum = Sum::new(cloud, &self.potentials, epsilon);
        let row = |i: usize, _: &mut [T], out: &mut [T]| {
            out.fill(T::zero());
            let (largest, total) = sum.with_largest(column(at, i), out);
            out.iter_mut().for_each(|out| *out /= total);
            -epsilon * (largest + total.ln() - log_mass)
        };
        let size = (at.nrows(), at.ncols(), potential.len());
        self.rows.fill(size, 0, Some(means), &row);
    }

    /// Computes the exponents at distance 0; returns the logarithm of the mass.
    fn prepare(&mut self, cloud: Cloud<'_, T>, potential: &[T], epsilon: T) -> T {
        let lowest = real::<T>(f64::NEG_INFINITY);
        let weights = cloud.measure.weights().iter();
        let exponents = potential.iter().zip(weights).map(|(&f, &c)| {
            if c == T::zero() {
                lowest
            } else {
                f / epsilon + c.ln()
            }
        });
        self.potentials.clear();
        self.potentials.extend(exponents);
        let len = potential.len().next_multiple_of(BLOCK);
        self.potentials.resize(len, lowest);
        cloud.measure.mass().ln()
    }
}

/// The sum `sum_j exp(potentials_j - rate |w - y_j|^2)`.
struct Sum<'a, T: Real> {
    cloud: Cloud<'a, T>,
    potentials: &'a [T],
    rate: T,
}

impl<'a, T: Real> Sum<'a, T> {
    fn new(cloud: Cloud<'a, T>, potentials: &'a [T], epsilon: T) -> Self {
        Self {
            cloud,
            potentials,
            rate: real::<T>(0.5) / epsilon,
        }
    }

    /// The sum divided by `exp(shift)`; 0 or infinite if that is out of range.
    fn with_shift(&self, w: &[T], shift: T) -> T {
        let blocks = self.cloud.blocks.iter();
        blocks.fold(T::zero(), |sum, block| {
            let potentials = &self.potentials[block.first..][..block.width()];
            sum + sum_gaussians(w, block.points, potentials, [self.rate, shift])
        })
    }

    /// Returns `(e, s)`, the sum divided by `exp(e)`, e the largest exponent, and adds that of the
    /// terms times `y_j - w` to `out`.
    fn with_largest(&self, w: &[T], out: &mut [T]) -> (T, T) {
        if is_supported::<T>() {
            self.by_blocks(w, out)
        } else {
            self.by_pairs(w, out)
        }
    }

    /// [`with_largest`](Self::with_largest), block by block.
    fn by_blocks(&self, w: &[T], out: &mut [T]) -> (T, T) {
        let (mut largest, mut total) = (real::<T>(f64::NEG_INFINITY), T::zero());
        let mut terms = [T::zero(); BLOCK];
        for block in self.cloud.blocks.iter() {
            let terms = &mut terms[..block.width()];
            block.squares(w, terms);
            let potentials = &self.potentials[block.first..][..block.width()];
            let largest_here = block.exponents(potentials, self.rate, terms);
            if largest_here > largest {
                rescale(&mut largest, largest_here, &mut total, out);
            } else if largest_here <= largest - real(NEGLIGIBLE) {
                // Also if both are -inf, as all weights so far are 0.
                continue;
            }
            let Some(sum) = sum_exponentials(terms, largest) else {
                continue;
            };
            total += sum;
            if !out.is_empty() {
                block.add_differences(w, terms, -T::one(), out);
            }
        }
        (largest, total)
    }

    /// [`with_largest`](Self::with_largest), one pair after the other.
    fn by_pairs(&self, w: &[T], out: &mut [T]) -> (T, T) {
        let (mut largest, mut total) = (real::<T>(f64::NEG_INFINITY), T::zero());
        let measure = self.cloud.measure;
        for (j, &potential) in self.potentials[..measure.len()].iter().enumerate() {
            if measure.weight(j) == T::zero() {
                continue;
            }
            let y = measure.particle(j);
            let pairs = w.iter().zip(y);
            let square = pairs.fold(T::zero(), |s, (&w, &y)| s + (w - y) * (w - y));
            let exponent = potential - self.rate * square;
            if exponent > largest {
                rescale(&mut largest, exponent, &mut total, out);
            }
            let share = (exponent - largest).exp();
            total += share;
            for ((out, &w), &y) in out.iter_mut().zip(w).zip(y) {
                *out += share * (y - w);
            }
        }
        (largest, total)
    }
}

/// Divides the sums by `exp(new)` instead of `exp(largest)`.
fn rescale<T: Real>(largest: &mut T, new: T, total: &mut T, out: &mut [T]) {
    let ratio = (*largest - new).exp();
    *total *= ratio;
    out.iter_mut().for_each(|out| *out *= ratio);
    *largest = new;
}
