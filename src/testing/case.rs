//! Shapes with a seed, and the numbers drawn from it.

use nalgebra::{DMatrix, DVector};

use crate::measure::EmpiricalMeasure;
use crate::numeric::splitmix::SplitMix64;
use crate::real::{Real, real};

/// One case of a batch law: sizes, and the seed of every number in it.
///
/// A part of a given size ignores the sizes that it has no use for. The same case draws the same numbers in `f32` and
/// `f64`. Coordinates are multiples of 1/64 in [-2, 2], 0 more often than the rest: products and sums of a few of them are exact
/// in both precisions, so that a kink is met exactly or not at all.
///
/// ```
/// use wasserflow::testing::Case;
///
/// let case = Case { n: 8, m: 3, d: 2, k: 1, seed: 7 };
/// assert_eq!(case.inputs::<f64>().shape(), (2, 8));
/// assert_eq!(case.inputs::<f64>(), case.inputs::<f64>());
/// assert_eq!(case.measure::<f64>(4).len(), 3);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Samples, n.
    pub n: usize,
    /// Particles, m.
    pub m: usize,
    /// Coordinates of a sample, d.
    pub d: usize,
    /// Outputs, k.
    pub k: usize,
    /// The seed.
    pub seed: u64,
}

impl Case {
    /// Sample points, `d x n`.
    pub fn inputs<T: Real>(&self) -> DMatrix<T> {
        self.draws(1).matrix(self.d, self.n)
    }

    /// Real targets, `k x n`.
    pub fn targets<T: Real>(&self) -> DMatrix<T> {
        self.draws(2).matrix(self.k, self.n)
    }

    /// Targets -1 and 1, `k x n`.
    pub fn signs<T: Real>(&self) -> DMatrix<T> {
        let mut draws = self.draws(3);
        DMatrix::from_fn(self.k, self.n, |_, _| {
            if draws.index(2) == 0 {
                -T::one()
            } else {
                T::one()
            }
        })
    }

    /// Classes in `0..k`, one a sample.
    pub fn labels(&self) -> Vec<usize> {
        let mut draws = self.draws(4);
        (0..self.n).map(|_| draws.index(self.k)).collect()
    }

    /// A measure of m particles in `R^p`; half of the seeds give equal weights, the others weights of which some are 0.
    pub fn measure<T: Real>(&self, p: usize) -> EmpiricalMeasure<T> {
        self.draws(5).measure(p, self.m)
    }

    /// Further numbers, another sequence for every `stream`.
    pub fn draws(&self, stream: u64) -> Draws {
        Draws::new(self.seed ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }
}

/// A small generator of test points, the same on every machine.
///
/// Source: G. Steele, D. Lea and C. Flood, Fast splittable pseudorandom number generators, 2014.
#[derive(Debug, Clone)]
pub struct Draws(SplitMix64);

impl Draws {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `n >= 1`.
    pub fn index(&mut self, n: usize) -> usize {
        (((self.bits() >> 32) * n as u64) >> 32) as usize
    }

    /// A number in `[low, high)`, with the 24 bits that both precisions hold.
    pub fn uniform<T: Real>(&mut self, low: f64, high: f64) -> T {
        real(low + (high - low) * (self.bits() >> 40) as f64 / (1u64 << 24) as f64)
    }

    /// A coordinate: a multiple of 1/64 in [-2, 2], one in 16 of them 0.
    pub fn coordinate<T: Real>(&mut self) -> T {
        if self.index(16) == 0 {
            T::zero()
        } else {
            real((self.index(257) as f64 - 128.0) / 64.0)
        }
    }

    /// `len` coordinates.
    pub fn coordinates<T: Real>(&mut self, len: usize) -> Vec<T> {
        (0..len).map(|_| self.coordinate()).collect()
    }

    /// A matrix of coordinates.
    pub fn matrix<T: Real>(&mut self, rows: usize, columns: usize) -> DMatrix<T> {
        DMatrix::from_fn(rows, columns, |_, _| self.coordinate())
    }

    /// `len` numbers in `[-1, 1)`; one time in four all but one of them are 0, so that an error in one place shows.
    pub fn direction<T: Real>(&mut self, len: usize) -> Vec<T> {
        let only = if self.index(4) == 0 {
            Some(self.index(len))
        } else {
            None
        };
        let draw = |i| {
            let v = self.uniform(-1.0, 1.0);
            if only.is_none_or(|only| only == i) {
                v
            } else {
                T::zero()
            }
        };
        (0..len).map(draw).collect()
    }

    /// A measure of m particles in `R^p`: equal weights, or weights in `{0, 1, .., 8} / (8 m)`, never all 0.
    pub fn measure<T: Real>(&mut self, p: usize, m: usize) -> EmpiricalMeasure<T> {
        let equal = self.index(2) == 0;
        let mut weights = DVector::from_fn(m, |_, _| {
            real(if equal { 8.0 } else { self.index(9) as f64 })
        });
        if weights.iter().all(|&c| c == T::zero()) {
            weights[0] = T::one();
        }
        weights /= real::<T>(8.0 * m as f64);
        EmpiricalMeasure::weighted(self.matrix(p, m), weights)
            .unwrap_or_else(|e| unreachable!("{e}"))
    }
}
