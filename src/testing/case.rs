//! Shapes with a seed, and the pseudorandom data that they define.

use nalgebra::{DMatrix, DVector};

use crate::measure::EmpiricalMeasure;
use crate::numeric::splitmix::SplitMix64;
use crate::real::{Real, real};

/// One test case of a batch: the sizes n, m, d, k, and the seed of all numbers in it.
///
/// A component of fixed sizes ignores the sizes that it does not need. A case gives the same
/// numbers in `f32` and `f64`. Coordinates are multiples of 1/64 in `[-2, 2]`, and 0 more often
/// than other values. Products and sums of a few of them are exact in both precisions, so a
/// preactivation is either exactly at a kink or well away from it.
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
    /// The number of samples, n.
    pub n: usize,
    /// The number of particles, m.
    pub m: usize,
    /// The number of coordinates of a sample, d.
    pub d: usize,
    /// The number of outputs, k.
    pub k: usize,
    /// The seed.
    pub seed: u64,
}

impl Case {
    /// Sample points, `d x n`.
    pub fn inputs<T: Real>(&self) -> DMatrix<T> {
        self.rng(1).matrix(self.d, self.n)
    }

    /// Real targets, `k x n`.
    pub fn targets<T: Real>(&self) -> DMatrix<T> {
        self.rng(2).matrix(self.k, self.n)
    }

    /// Targets -1 and 1, `k x n`.
    pub fn signs<T: Real>(&self) -> DMatrix<T> {
        let mut rng = self.rng(3);
        let mut sign = || {
            if rng.index(2) == 0 {
                -T::one()
            } else {
                T::one()
            }
        };
        DMatrix::from_fn(self.k, self.n, |_, _| sign())
    }

    /// Class labels in `0..k`, one per sample.
    ///
    /// # Panics
    /// If `k = 0`.
    pub fn labels(&self) -> Vec<usize> {
        let mut rng = self.rng(4);
        (0..self.n).map(|_| rng.index(self.k)).collect()
    }

    /// Asserts that no size is 0.
    #[track_caller]
    pub(super) fn assert_sizes(&self) {
        assert!(
            self.n.min(self.m).min(self.d).min(self.k) > 0,
            "the sizes of a case must be at least 1, found {self:?}"
        );
    }

    /// A measure of m particles in `R^p`, as [`CaseRng::measure`].
    ///
    /// # Panics
    /// If `m = 0` or `p = 0`.
    pub fn measure<T: Real>(&self, p: usize) -> EmpiricalMeasure<T> {
        self.rng(5).measure(p, self.m)
    }

    /// A generator of further test data; different streams give independent sequences.
    pub fn rng(&self, stream: u64) -> CaseRng {
        CaseRng::new(self.seed ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }
}

/// A pseudorandom generator of test data, the same on every machine.
///
/// Source: G. Steele, D. Lea and C. Flood, Fast splittable pseudorandom number generators, 2014.
#[derive(Debug, Clone)]
pub struct CaseRng(SplitMix64);

impl CaseRng {
    /// The generator with a seed.
    pub fn new(seed: u64) -> Self {
        Self(SplitMix64::new(seed))
    }

    /// A uniform index below `n >= 1`, from 32 random bits.
    ///
    /// # Panics
    /// If `n = 0`.
    pub fn index(&mut self, n: usize) -> usize {
        assert!(n > 0, "n must be at least 1, found 0");
        ((u128::from(self.0.next_u64() >> 32) * n as u128) >> 32) as usize
    }

    /// A uniform number in `[low, high)`, from 24 random bits: as many as an `f32` holds.
    pub fn uniform<T: Real>(&mut self, low: f64, high: f64) -> T {
        real(low + (high - low) * (self.0.next_u64() >> 40) as f64 / (1u64 << 24) as f64)
    }

    /// A coordinate: 0 with probability 1/16, otherwise a uniform multiple of 1/64 in `[-2, 2]`.
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

    /// `len` uniform numbers in `[-1, 1)`; with probability 1/4 all but one of them are set to 0.
    ///
    /// A direction along one coordinate detects an error there that a sum would hide.
    pub fn direction<T: Real>(&mut self, len: usize) -> Vec<T> {
        let only = if self.index(4) == 0 && len > 0 {
            Some(self.index(len))
        } else {
            None
        };
        let entry = |i| {
            let v = self.uniform(-1.0, 1.0);
            if only.is_none_or(|only| only == i) {
                v
            } else {
                T::zero()
            }
        };
        (0..len).map(entry).collect()
    }

    /// A measure of m particles in `R^p` with mass at most 1.
    ///
    /// With probability 1/2 the weights are equal. Otherwise they are uniform in
    /// `{0, 1, .., 8} / (8 m)`, and not all 0.
    ///
    /// # Panics
    /// If `m = 0` or `p = 0`.
    pub fn measure<T: Real>(&mut self, p: usize, m: usize) -> EmpiricalMeasure<T> {
        assert!(
            p > 0 && m > 0,
            "a measure needs p >= 1 and m >= 1, found p = {p}, m = {m}"
        );
        let equal = self.index(2) == 0;
        let weight = |_, _| real(if equal { 8.0 } else { self.index(9) as f64 });
        let mut weights = DVector::from_fn(m, weight);
        if weights.iter().all(|&c| c == T::zero()) {
            weights[0] = T::one();
        }
        weights /= real::<T>(8.0 * m as f64);
        EmpiricalMeasure::weighted(self.matrix(p, m), weights)
            .unwrap_or_else(|e| unreachable!("{e}"))
    }
}
