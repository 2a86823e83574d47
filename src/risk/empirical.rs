//! The empirical risk of a loss on a sample.

use std::ops::Range;

use nalgebra::{DMatrix, DVector};

use super::{Risk, reciprocal, sum};
use crate::error::{RiskError, ShapeError};
use crate::inputs::Inputs;
use crate::loss::Loss;
use crate::real::{Real, to_f64};

/// Empirical risk `R(h) = (1/n) sum_j sum_l loss(y_jl, h_jl)`, or `sum_j c_j sum_l loss(y_jl, h_jl)` with sample weights.
///
/// ```
/// use wasserflow::prelude::*;
/// use wasserflow::nalgebra::{DMatrix, DVector};
///
/// let x = DMatrix::from_row_slice(1, 2, &[0.0, 1.0]);
/// let risk = EmpiricalRisk::new(Square, x.clone(), DVector::from_vec(vec![1.0, 3.0]))?;
/// assert_eq!(risk.value(&[0.0, 1.0]), (0.5 + 2.0) / 2.0);
///
/// let bad = EmpiricalRisk::new(Logistic, x, DVector::from_vec(vec![1.0, 0.5])).unwrap_err();
/// assert_eq!(bad.to_string(), "sample 1, target 0 must be -1 or 1, found 0.5");
/// # Ok::<(), wasserflow::prelude::RiskError>(())
/// ```
#[derive(Debug, Clone)]
pub struct EmpiricalRisk<L, T> {
    loss: L,
    inputs: Inputs<T>,
    targets: DMatrix<T>,
    /// `c_j`, one a sample.
    weights: Vec<T>,
}

impl<T: Real, L: Loss<T>> EmpiricalRisk<L, T> {
    /// The risk of one output on the samples `x` (`d x n`) with targets `y` (n).
    ///
    /// # Errors
    /// [`RiskError`] when there is no sample, one is not finite, the loss refuses a target or its own parameters, or
    /// the numbers of samples and targets differ.
    pub fn new(loss: L, x: DMatrix<T>, y: DVector<T>) -> Result<Self, RiskError> {
        let n = y.len();
        Self::with_outputs(
            loss,
            x,
            y.reshape_generic(nalgebra::Dyn(1), nalgebra::Dyn(n)),
        )
    }

    /// The risk of k outputs on the samples `x` (`d x n`) with targets `y` (`k x n`).
    ///
    /// # Errors
    /// As [`new`](Self::new); [`RiskError::Shape`] when `k = 0`.
    pub fn with_outputs(loss: L, x: DMatrix<T>, y: DMatrix<T>) -> Result<Self, RiskError> {
        loss.check()?;
        let inputs = Inputs::new(x)?;
        let (k, n) = y.shape();
        if k == 0 {
            return Err(ShapeError {
                what: "number of outputs",
                expected: 1,
                found: 0,
            }
            .into());
        }
        if n != inputs.len() {
            return Err(ShapeError {
                what: "number of targets",
                expected: inputs.len(),
                found: n,
            }
            .into());
        }
        for (i, &target) in y.iter().enumerate() {
            let refused = |requirement| {
                let (sample, output, value) = (i / k, i % k, to_f64(target));
                RiskError::Target {
                    sample,
                    output,
                    requirement,
                    value,
                }
            };
            loss.check_target(target).map_err(refused)?;
            if !target.is_finite() {
                return Err(refused("finite"));
            }
        }
        Ok(Self {
            loss,
            inputs,
            targets: y,
            weights: vec![reciprocal(n); n],
        })
    }

    /// The risk `sum_j c_j sum_l loss(y_jl, h_jl)`, with weights `c_j >= 0` of any sum in the place of `1/n`.
    ///
    /// ```
    /// use wasserflow::nalgebra::{DMatrix, DVector};
    /// use wasserflow::prelude::*;
    ///
    /// let (x, y) = (DMatrix::from_row_slice(1, 2, &[0.0, 1.0]), DVector::from_vec(vec![1.0, 3.0]));
    /// let risk = EmpiricalRisk::new(Square, x, y)?.sample_weights(vec![2.0, 0.0])?;
    /// assert_eq!(risk.value(&[0.0, 1.0]), 2.0 * 0.5);
    /// # Ok::<(), wasserflow::prelude::RiskError>(())
    /// ```
    ///
    /// # Errors
    /// [`RiskError`] when the weights are not one a sample, or one is negative or not finite.
    pub fn sample_weights(mut self, c: impl Into<DVector<T>>) -> Result<Self, RiskError> {
        let c: DVector<T> = c.into();
        let n = self.inputs.len();
        if c.len() != n {
            return Err(ShapeError {
                what: "number of sample weights",
                expected: n,
                found: c.len(),
            }
            .into());
        }
        if let Some(sample) = c.iter().position(|&c| !(c.is_finite() && c >= T::zero())) {
            return Err(RiskError::Weight {
                sample,
                value: to_f64(c[sample]),
            });
        }
        self.weights.copy_from_slice(c.as_slice());
        Ok(self)
    }

    /// The loss.
    pub fn loss(&self) -> &L {
        &self.loss
    }

    /// The targets, `k x n`.
    pub fn targets(&self) -> &DMatrix<T> {
        &self.targets
    }

    /// The weights `c_j`, `1/n` unless [`sample_weights`](Self::sample_weights) were given.
    pub fn weights(&self) -> &[T] {
        &self.weights
    }

    /// Writes the gradient at the samples from `first` on to `out` and returns their part of the risk.
    fn part(&self, first: usize, h: &[T], out: &mut [T]) -> T {
        let k = self.targets.nrows();
        let (y, weights) = (
            &self.targets.as_slice()[first * k..][..h.len()],
            &self.weights[first..],
        );
        let (mut values, mut block) = ([T::zero(); BLOCK], 0..0);
        sum(h.len() / k, |j| {
            let (c, mut losses) = (weights[j], T::zero());
            for i in j * k..(j + 1) * k {
                if i == block.end {
                    block = i..h.len().min(i + BLOCK);
                    let (values, out) = (&mut values[..block.len()], &mut out[block.clone()]);
                    self.loss.values_and_derivatives(
                        &y[block.clone()],
                        &h[block.clone()],
                        values,
                        out,
                    );
                }
                losses += values[i - block.start];
                out[i] = weighted(c, out[i]);
            }
            weighted(c, losses)
        })
    }
}

impl<T: Real, L: Loss<T>> Risk<T> for EmpiricalRisk<L, T> {
    fn inputs(&self) -> &Inputs<T> {
        &self.inputs
    }

    fn output_dim(&self) -> usize {
        self.targets.nrows()
    }

    fn value(&self, h: &[T]) -> T {
        let (k, y) = (self.targets.nrows(), self.targets.as_slice());
        sum(self.inputs.len(), |j| {
            let mut losses = T::zero();
            for i in j * k..(j + 1) * k {
                losses += self.loss.value(y[i], h[i]);
            }
            weighted(self.weights[j], losses)
        })
    }

    fn value_and_gradient(&self, h: &[T], out: &mut [T]) -> T {
        self.part(0, h, out)
    }

    fn is_separable(&self) -> bool {
        true
    }

    fn value_and_gradient_range(&self, samples: Range<usize>, h: &[T], out: &mut [T]) -> T {
        self.part(samples.start, h, out)
    }

    fn curvature(&self, h: &[T], u: &[T], out: &mut [T]) {
        let (k, y) = (self.targets.nrows(), self.targets.as_slice());
        for (i, out) in out.iter_mut().enumerate() {
            *out = weighted(
                self.weights[i / k],
                self.loss.second_derivative(y[i], h[i]) * u[i],
            );
        }
    }
}

/// So many losses are evaluated at once.
const BLOCK: usize = 128;

/// `c x`, and 0 for `c = 0` whatever `x` is: a sample of weight 0 counts as absent even where its loss overflows.
#[inline]
fn weighted<T: Real>(c: T, x: T) -> T {
    if c == T::zero() { T::zero() } else { c * x }
}
