//! The empirical risk of a loss.

use std::ops::Range;

use nalgebra::{DMatrix, DVector};

use super::refill::Refill;
use super::{Risk, assert_lengths, assert_range, checked_weights, reciprocal, weighted};
use crate::error::{ParameterError, RiskError, ShapeError, assert_size};
use crate::inputs::Inputs;
use crate::loss::{Kink, Loss};
use crate::numeric::simd::{Multiversion, multiversion};
use crate::numeric::vector::long_sum;
use crate::real::{Real, to_f64};

/// The empirical risk `R(h) = (1/n) sum_j sum_l loss(y_jl, h_jl)` on n samples with k outputs each.
///
/// With [`sample_weights`](Self::sample_weights) `c_j`, the risk is
/// `sum_j c_j sum_l loss(y_jl, h_jl)`.
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
///
/// Cost: `O(n k)` evaluations of the loss for a value or a gradient.
#[derive(Debug, Clone)]
pub struct EmpiricalRisk<L, T> {
    loss: L,
    inputs: Inputs<T>,
    targets: DMatrix<T>,
    /// The weight `c_j` of each sample.
    weights: Vec<T>,
    /// Receives the new targets in `refill` until they are validated. Empty before the first one.
    unchecked: Vec<T>,
}

impl<T: Real, L: Loss<T>> EmpiricalRisk<L, T> {
    /// The risk on the samples `x` (`d x n`) with one target each, `y` (n).
    ///
    /// # Errors
    /// [`RiskError`] if `d = 0`, `n = 0`, a coordinate is not finite, the loss is not defined at a
    /// target, a parameter of the loss is invalid, or the number of targets is not n.
    pub fn new(loss: L, x: DMatrix<T>, y: DVector<T>) -> Result<Self, RiskError> {
        let n = y.len();
        Self::with_outputs(
            loss,
            x,
            y.reshape_generic(nalgebra::Dyn(1), nalgebra::Dyn(n)),
        )
    }

    /// The risk on the samples `x` (`d x n`) with k targets each, `y` (`k x n`).
    ///
    /// # Errors
    /// As [`new`](Self::new); [`RiskError::Shape`] if `k = 0`.
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
        ShapeError::check("number of targets", inputs.len(), n)?;
        check_targets(&loss, k, y.as_slice())?;
        Ok(Self {
            loss,
            inputs,
            targets: y,
            weights: vec![reciprocal(n); n],
            unchecked: Vec::new(),
        })
    }

    /// Replaces all samples: `fill(j, x_j, y_j)` overwrites sample and targets j, which initially
    /// are the previous ones. The sample weights remain.
    ///
    /// It allocates nothing after its first call.
    ///
    /// ```
    /// use wasserflow::nalgebra::{DMatrix, DVector};
    /// use wasserflow::prelude::*;
    ///
    /// let x = DMatrix::from_row_slice(1, 2, &[0.0, 1.0]);
    /// let mut risk = EmpiricalRisk::new(Square, x, DVector::from_vec(vec![1.0, 3.0]))?;
    /// risk.refill(|j, x, y| (x[0], y[0]) = (j as f64, 2.0 * j as f64))?;
    /// assert_eq!(risk.inputs().point(1), &[1.0]);
    /// assert_eq!(risk.targets().as_slice(), &[0.0, 2.0]);
    /// # Ok::<(), RiskError>(())
    /// ```
    ///
    /// # Errors
    /// [`RiskError::Input`] or [`RiskError::Target`] if a coordinate is not finite or the loss is
    /// not defined at a target; all samples are then unchanged.
    pub fn refill(
        &mut self,
        mut fill: impl FnMut(usize, &mut [T], &mut [T]),
    ) -> Result<(), RiskError> {
        let (k, y) = (self.targets.nrows(), &mut self.unchecked);
        y.resize(self.targets.len(), T::zero());
        y.copy_from_slice(self.targets.as_slice());
        self.inputs
            .stage(|j, x| fill(j, x, &mut y[j * k..(j + 1) * k]))?;
        check_targets(&self.loss, k, y)?;
        self.inputs.commit();
        self.targets.as_mut_slice().copy_from_slice(y);
        Ok(())
    }

    /// Replaces the factors `1/n` by sample weights `c`: `R(h) = sum_j c_j sum_l loss(y_jl, h_jl)`.
    ///
    /// The n weights `c_j >= 0` may have any sum. A sample of weight 0 is ignored, even if its loss
    /// overflows.
    ///
    /// ```
    /// use wasserflow::nalgebra::{DMatrix, DVector};
    /// use wasserflow::prelude::*;
    ///
    /// let x = DMatrix::from_row_slice(1, 2, &[0.0, 1.0]);
    /// let y = DVector::from_vec(vec![1.0, 3.0]);
    /// let risk = EmpiricalRisk::new(Square, x, y)?.sample_weights(vec![2.0, 0.0])?;
    /// assert_eq!(risk.value(&[0.0, 1.0]), 2.0 * 0.5);
    /// # Ok::<(), wasserflow::prelude::RiskError>(())
    /// ```
    ///
    /// # Errors
    /// [`RiskError`] if the number of weights is not n, or a weight is negative or not finite.
    pub fn sample_weights(mut self, c: impl Into<DVector<T>>) -> Result<Self, RiskError> {
        self.weights = checked_weights(self.inputs.len(), c.into())?;
        Ok(self)
    }

    /// The loss.
    pub fn loss(&self) -> &L {
        &self.loss
    }

    /// The targets `y` (`k x n`).
    pub fn targets(&self) -> &DMatrix<T> {
        &self.targets
    }

    /// The sample weights `c_j`, which default to `1/n`.
    pub fn weights(&self) -> &[T] {
        &self.weights
    }

    /// Restricts the sum to a range of samples, which starts at `first` and has the predictions
    /// `h`: writes its gradient to `out` and returns its value.
    fn range_value_and_gradient(&self, first: usize, h: &[T], out: &mut [T]) -> T {
        let k = self.targets.nrows();
        multiversion(Gradient {
            loss: &self.loss,
            k,
            targets: &self.targets.as_slice()[first * k..],
            weights: &self.weights[first..],
            h,
            out,
        })
    }
}

/// Value and gradient of a range of samples.
struct Gradient<'a, L, T> {
    loss: &'a L,
    k: usize,
    targets: &'a [T],
    weights: &'a [T],
    h: &'a [T],
    out: &'a mut [T],
}

impl<T: Real, L: Loss<T>> Multiversion for Gradient<'_, L, T> {
    type Output = T;

    /// The value is a sum over blocks, each of 16 partial sums.
    #[inline(always)]
    fn run<const FUSED: bool>(self) -> T {
        let (mut buffer, mut sum) = ([T::zero(); BLOCK], T::zero());
        // The next output and its sample.
        let (mut l, mut j) = (0, 0);
        let predictions = self.h.chunks(BLOCK).zip(self.out.chunks_mut(BLOCK));
        for (y, (h, out)) in self.targets.chunks(BLOCK).zip(predictions) {
            let values = &mut buffer[..h.len()];
            self.loss
                .values_and_derivatives(&y[..h.len()], h, values, out);
            let entries = values.iter_mut().zip(out);
            if self.k == 1 {
                for ((value, g), &c) in entries.zip(&self.weights[j..]) {
                    (*value, *g) = (weighted(c, *value), weighted(c, *g));
                }
                j += h.len();
            } else {
                for (value, g) in entries {
                    let c = self.weights[j];
                    (*value, *g) = (weighted(c, *value), weighted(c, *g));
                    l += 1;
                    if l == self.k {
                        (l, j) = (0, j + 1);
                    }
                }
            }
            sum += long_sum(values);
        }
        sum
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
        assert_size("length of the predictions", self.targets.len(), h.len());
        let k = self.targets.nrows();
        // Block by block as `Gradient`, so that both values are equal, bit for bit.
        let (mut values, mut derivatives) = ([T::zero(); BLOCK], [T::zero(); BLOCK]);
        let mut sum = T::zero();
        let blocks = self.targets.as_slice().chunks(BLOCK).zip(h.chunks(BLOCK));
        for (first, (y, h)) in (0..).step_by(BLOCK).zip(blocks) {
            let (values, derivatives) = (&mut values[..h.len()], &mut derivatives[..h.len()]);
            self.loss.values_and_derivatives(y, h, values, derivatives);
            for (i, value) in (first..).zip(values.iter_mut()) {
                *value = weighted(self.weights[i / k], *value);
            }
            sum += long_sum(values);
        }
        sum
    }

    fn value_and_gradient(&self, h: &[T], out: &mut [T]) -> T {
        assert_lengths(self.targets.len(), h.len(), out.len());
        self.range_value_and_gradient(0, h, out)
    }

    fn is_separable(&self) -> bool {
        true
    }

    fn value_and_gradient_range(&self, samples: Range<usize>, h: &[T], out: &mut [T]) -> T {
        let (k, n) = self.targets.shape();
        assert_range(&samples, n);
        assert_lengths(k * samples.len(), h.len(), out.len());
        self.range_value_and_gradient(samples.start, h, out)
    }

    fn kinks(&self, visit: &mut dyn FnMut(usize, Kink<T>)) {
        let k = self.targets.nrows();
        for (i, &y) in self.targets.iter().enumerate() {
            if let Some(Kink { at, left, right }) = self.loss.kink(y) {
                let c = self.weights[i / k];
                visit(
                    i,
                    Kink {
                        at,
                        left: c * left,
                        right: c * right,
                    },
                );
            }
        }
    }

    fn curvature(&self, h: &[T], u: &[T], out: &mut [T]) {
        assert_lengths(self.targets.len(), h.len(), out.len());
        assert_size("length of the field", self.targets.len(), u.len());
        let (k, y) = (self.targets.nrows(), self.targets.as_slice());
        for (i, out) in out.iter_mut().enumerate() {
            let product = self.loss.second_derivative(y[i], h[i]) * u[i];
            *out = weighted(self.weights[i / k], product);
        }
    }

    fn check(&self) -> Result<(), ParameterError> {
        self.loss.check()
    }
}

/// Returns an error for the first of the targets `y` (`k x n`) at which the loss is not defined.
fn check_targets<T: Real>(loss: &impl Loss<T>, k: usize, y: &[T]) -> Result<(), RiskError> {
    for (i, &target) in y.iter().enumerate() {
        let error = |requirement| RiskError::Target {
            sample: i / k,
            output: i % k,
            requirement,
            value: to_f64(target),
        };
        loss.check_target(target).map_err(error)?;
        if !target.is_finite() {
            return Err(error("finite"));
        }
    }
    Ok(())
}

impl<T: Real, L: Loss<T>> Refill<T> for EmpiricalRisk<L, T> {
    /// The k targets of a sample.
    type Target = [T];

    fn refill(&mut self, fill: &mut dyn FnMut(usize, &mut [T], &mut [T])) -> Result<(), RiskError> {
        EmpiricalRisk::refill(self, fill)
    }
}

/// The number of losses that one call of [`Loss::values_and_derivatives`] evaluates.
const BLOCK: usize = 128;
