//! Soft minima over the points of a measure, by blocks of sources.

use nalgebra::DMatrix;

use crate::energy::Rows;
use crate::measure::EmpiricalMeasure;
use crate::numeric::elementary::sum_exponentials;
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
    /// of `at`, and in the columns of `shift` the mean of `y - w` under this density.
    ///
    /// The exponents contain the logarithms of the weights.
    pub(super) fn compute(
        &mut self,
        cloud: Cloud<'_, T>,
        potential: &[T],
        epsilon: T,
        at: &DMatrix<T>,
        shift: Option<&mut DMatrix<T>>,
    ) {
        let (p, len) = at.shape();
        let (measure, lowest) = (cloud.measure, real::<T>(f64::NEG_INFINITY));
        self.potentials.clear();
        let weights = measure.weights().iter();
        self.potentials
            .extend(potential.iter().zip(weights).map(|(&f, &c)| {
                if c == T::zero() {
                    lowest
                } else {
                    f / epsilon + c.ln()
                }
            }));
        self.potentials
            .resize(potential.len().next_multiple_of(BLOCK), lowest);
        let sum = Sum {
            cloud,
            potentials: &self.potentials,
            rate: real::<T>(0.5) / epsilon,
        };
        let log_mass = measure.mass().ln();
        let row = |i: usize, _: &mut [T], out: &mut [T]| {
            let w = column(at, i);
            out.fill(T::zero());
            let (largest, total) = if is_supported::<T>() {
                sum.by_blocks(w, out)
            } else {
                sum.by_pairs(w, out)
            };
            out.iter_mut().for_each(|out| *out /= total);
            -epsilon * (largest + total.ln() - log_mass)
        };
        self.rows.fill((p, len, potential.len()), 0, shift, &row);
    }
}

/// The sum `sum_j exp(potentials_j - rate |w - y_j|^2)`.
struct Sum<'a, T: Real> {
    cloud: Cloud<'a, T>,
    potentials: &'a [T],
    rate: T,
}

impl<T: Real> Sum<'_, T> {
    /// Returns `(e, s)`, the sum divided by `exp(e)`, e the largest exponent, and adds that of the
    /// terms times `y_j - w` to `out`.
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
            } else if largest_here < largest - real(NEGLIGIBLE) {
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

    /// [`by_blocks`](Self::by_blocks), one pair after the other.
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
