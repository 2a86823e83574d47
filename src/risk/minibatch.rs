//! The risk of a minibatch.

use std::ops::Range;

use super::{Risk, assert_lengths, assert_range};
use crate::error::{ParameterError, RiskError, assert_size};
use crate::inputs::Inputs;
use crate::loss::Kink;
use crate::numeric::splitmix::SplitMix64;
use crate::real::{Real, real};

/// The risk of a minibatch, drawn without replacement from the samples of a separable risk
/// `R(h) = sum_{j < n} R_j(h_j)`: `R_B(h) = (n / |B|) sum_{j in B} R_j(h_j)`.
///
/// An epoch is a permutation of the n samples, keyed on `(seed, epoch)`, in consecutive batches of
/// `b` samples. The batch of a step is a function of `(seed, step)`: a run that resumes from a
/// state continues with the same batches, and ranks that hold parts of the particles use the same
/// ones. If b does not divide n, the last batch of an epoch has the `n mod b` remaining samples.
///
/// # Laws
/// - Value and gradient are unbiased: every batch is a uniform subset of its size, so the
///   expectation over the seed is R.
/// - The mean over an epoch, weighted by `|B| / n`, is the full gradient, up to rounding.
/// - With `b = n` the risk is R, bit for bit.
/// - Sample weights `c_j` of R are those of its `R_j`.
///
/// Separable risks are [`EmpiricalRisk`](super::EmpiricalRisk),
/// [`SoftmaxCrossEntropy`](super::SoftmaxCrossEntropy), and user-defined ones that implement
/// [`Risk::value_and_gradient_range`]. For the energy on all samples see
/// [`MeanFieldRisk::full_value`](crate::energy::MeanFieldRisk::full_value).
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// let x = DMatrix::from_row_slice(1, 4, &[0.0, 1.0, 2.0, 3.0]);
/// let full = EmpiricalRisk::new(Square, x, DVector::from_vec(vec![0.0, 2.0, 4.0, 6.0]))?;
/// let mut risk = MinibatchRisk::new(full, 2, 7)?;
/// let mut mean = 0.0;
/// for step in 0..2 {
///     risk.refresh(step);
///     let h = [0.0; 2];
///     mean += 0.5 * risk.value(&h);
/// }
/// assert_eq!(mean, risk.full().value(&[0.0; 4])); // (0 + 4 + 16 + 36) / 8
/// # Ok::<(), RiskError>(())
/// ```
///
/// Cost: `O(b (d + k))` to draw a batch, and `O(n)` at the start of an epoch. Nothing is allocated
/// after construction, except by [`value`](Risk::value) for more than 64 outputs, and by
/// [`curvature`](Risk::curvature), which is that of R at `O(n k)`.
#[derive(Debug, Clone)]
pub struct MinibatchRisk<R, T> {
    full: R,
    batch: usize,
    seed: u64,
    step: usize,
    /// The permutation of an epoch.
    epoch: usize,
    permutation: Vec<usize>,
    /// The samples of the batch in increasing order, for kinks in order and contiguous ranges.
    samples: Vec<usize>,
    inputs: Inputs<T>,
    /// The inputs of the last batch of an epoch if it is smaller.
    remainder: Option<Inputs<T>>,
}

impl<R: Risk<T>, T: Real> MinibatchRisk<R, T> {
    /// Batches of `batch` samples of the risk `full`, at step 0.
    ///
    /// # Errors
    /// [`RiskError::NotSeparable`]; [`RiskError::Parameter`] if `batch` is 0 or above n, or a
    /// parameter of the risk is out of its range.
    pub fn new(full: R, batch: usize, seed: u64) -> Result<Self, RiskError> {
        full.check()?;
        if !full.is_separable() {
            return Err(RiskError::NotSeparable);
        }
        let n = full.inputs().len();
        let holds = batch > 0 && batch <= n;
        let requirement = "from 1 to the number of samples";
        ParameterError::check(holds, "batch", requirement, batch as f64)?;
        let first = |len| Inputs::new(full.inputs().points().columns(0, len).into_owned());
        let (inputs, remainder) = (first(batch)?, n % batch);
        let remainder = if remainder > 0 {
            Some(first(remainder)?)
        } else {
            None
        };
        let mut risk = Self {
            full,
            batch,
            seed,
            step: 0,
            epoch: 0,
            permutation: (0..n).collect(),
            samples: Vec::with_capacity(batch),
            inputs,
            remainder,
        };
        risk.permute();
        risk.select();
        Ok(risk)
    }

    /// The risk R of all samples.
    pub fn full(&self) -> &R {
        &self.full
    }

    /// The samples of the batch, in increasing order.
    pub fn samples(&self) -> &[usize] {
        &self.samples
    }

    /// The number of batches in an epoch, `ceil(n / b)`.
    pub fn batches(&self) -> usize {
        self.permutation.len().div_ceil(self.batch)
    }

    /// The epoch of the batch: the number of complete passes before it.
    pub fn epoch(&self) -> usize {
        self.step / self.batches()
    }

    /// Computes the permutation of the epoch (Fisher and Yates).
    fn permute(&mut self) {
        /// Separates the key from those of other generators with the same seed.
        const STREAM: u64 = u64::from_le_bytes(*b"minibatc");
        let mut rng = SplitMix64::keyed([self.seed, STREAM, self.epoch as u64, 0]);
        for (j, sample) in self.permutation.iter_mut().enumerate() {
            *sample = j;
        }
        for j in (1..self.permutation.len()).rev() {
            self.permutation.swap(j, rng.index(j + 1));
        }
    }

    /// Copies the samples of the step from the permutation of its epoch.
    fn select(&mut self) {
        let (n, first) = (
            self.permutation.len(),
            self.step % self.batches() * self.batch,
        );
        let batch = first..n.min(first + self.batch);
        self.samples.clear();
        self.samples.extend_from_slice(&self.permutation[batch]);
        self.samples.sort_unstable();
        let inputs = match &mut self.remainder {
            Some(inputs) if self.samples.len() < self.batch => inputs,
            _ => &mut self.inputs,
        };
        inputs.select(self.full.inputs(), &self.samples);
    }

    /// `n / |B|`.
    fn scale(&self) -> T {
        real(self.permutation.len() as f64 / self.samples.len() as f64)
    }

    /// Calls `part(samples of R, entries of the batch)` for the runs of consecutive samples in a
    /// range of the batch; entries are counted from the start of the range.
    fn runs(&self, range: Range<usize>, mut part: impl FnMut(Range<usize>, Range<usize>)) {
        let (k, samples) = (self.full.output_dim(), &self.samples[range]);
        for (at, run) in samples.chunk_by(|a, b| a + 1 == *b).scan(0, |end, run| {
            let at = *end;
            *end += run.len();
            Some((at, run))
        }) {
            part(run[0]..run[0] + run.len(), at * k..(at + run.len()) * k);
        }
    }

    /// An array of all samples, with the entries `x` of the batch and 0 elsewhere.
    fn scatter(&self, x: &[T]) -> Vec<T> {
        let mut full = vec![T::zero(); self.full.output_dim() * self.permutation.len()];
        let k = self.full.output_dim();
        self.runs(0..self.samples.len(), |samples, entries| {
            full[samples.start * k..samples.end * k].copy_from_slice(&x[entries]);
        });
        full
    }
}

impl<R: Risk<T>, T: Real> Risk<T> for MinibatchRisk<R, T> {
    fn inputs(&self) -> &Inputs<T> {
        match &self.remainder {
            Some(inputs) if self.samples.len() < self.batch => inputs,
            _ => &self.inputs,
        }
    }

    fn output_dim(&self) -> usize {
        self.full.output_dim()
    }

    fn value(&self, h: &[T]) -> T {
        /// Outputs of a sample whose gradient needs no allocation.
        const OUTPUTS: usize = 64;
        let k = self.full.output_dim();
        let kn = k * self.samples.len();
        assert_size("length of the predictions", kn, h.len());
        if self.samples.len() == self.permutation.len() {
            return self.full.value(h);
        }
        let (mut few, mut many) = ([T::zero(); OUTPUTS], Vec::new());
        let gradient = if k <= OUTPUTS {
            &mut few[..k]
        } else {
            many.resize(k, T::zero());
            &mut many[..]
        };
        let parts = self.samples.iter().zip(h.chunks_exact(k.max(1)));
        let sum = parts.fold(T::zero(), |sum, (&j, h)| {
            sum + self.full.value_and_gradient_range(j..j + 1, h, gradient)
        });
        self.scale() * sum
    }

    fn value_and_gradient(&self, h: &[T], out: &mut [T]) -> T {
        self.value_and_gradient_range(0..self.samples.len(), h, out)
    }

    fn is_separable(&self) -> bool {
        true
    }

    fn value_and_gradient_range(&self, samples: Range<usize>, h: &[T], out: &mut [T]) -> T {
        assert_range(&samples, self.samples.len());
        let entries = self.full.output_dim() * samples.len();
        assert_lengths(entries, h.len(), out.len());
        let mut sum = T::zero();
        self.runs(samples, |samples, entries| {
            let (h, out) = (&h[entries.clone()], &mut out[entries]);
            sum += self.full.value_and_gradient_range(samples, h, out);
        });
        let scale = self.scale();
        out.iter_mut().for_each(|g| *g *= scale);
        scale * sum
    }

    fn curvature(&self, h: &[T], u: &[T], out: &mut [T]) {
        let k = self.full.output_dim();
        assert_lengths(k * self.samples.len(), h.len(), out.len());
        assert_size("length of the field", h.len(), u.len());
        let (h, u) = (self.scatter(h), self.scatter(u));
        let (mut product, scale) = (u.clone(), self.scale());
        self.full.curvature(&h, &u, &mut product);
        self.runs(0..self.samples.len(), |samples, entries| {
            let product = &product[samples.start * k..samples.end * k];
            for (out, &product) in out[entries].iter_mut().zip(product) {
                *out = scale * product;
            }
        });
    }

    fn kinks(&self, visit: &mut dyn FnMut(usize, Kink<T>)) {
        let (k, scale) = (self.full.output_dim().max(1), self.scale());
        self.full.kinks(&mut |i, Kink { at, left, right }| {
            if let Ok(position) = self.samples.binary_search(&(i / k)) {
                let (left, right) = (scale * left, scale * right);
                visit(position * k + i % k, Kink { at, left, right });
            }
        });
    }

    /// Draws the batch of the step; returns false if there is one batch only.
    fn refresh(&mut self, step: usize) -> bool {
        let last = std::mem::replace(&mut self.step, step);
        if step == last || self.batches() == 1 {
            return false;
        }
        let epoch = step / self.batches();
        if epoch != self.epoch {
            self.epoch = epoch;
            self.permute();
        }
        self.select();
        true
    }

    fn check(&self) -> Result<(), ParameterError> {
        self.full.check()
    }
}
