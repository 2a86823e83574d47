//! The softmax cross-entropy, which couples the outputs of a sample.

use std::ops::Range;

use nalgebra::{DMatrix, DVector};

use super::refill::Refill;
use super::{Risk, assert_lengths, assert_range, checked_weights, reciprocal, sum, weighted};
use crate::error::{ParameterError, RiskError, ShapeError, assert_size, is_allocatable};
use crate::inputs::Inputs;
use crate::real::Real;

/// The softmax cross-entropy `R(h) = (1/n) sum_j [log sum_l exp(h_jl) - h_{j, y_j}]` of k classes.
///
/// Sample j has the class `y_j` in `0..k` and k predictions `h_jl`. With
/// [`sample_weights`](Self::sample_weights) `c_j`, the risk is `sum_j c_j [..]`. It is convex but
/// not strictly: adding a constant to all outputs of a sample does not change it.
///
/// The loss of a sample is evaluated as `(h_o - h_y) + log(1 + sum_{l != o} exp(h_l - h_o))`. The
/// index o is the label if its output is the largest, and that of a largest output otherwise. Both
/// terms are nonnegative, so that the loss and its gradient have small relative errors at every
/// margin. The entry of the label in the gradient is minus the sum of the others.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let risk = SoftmaxCrossEntropy::new(DMatrix::from_row_slice(1, 2, &[0.0, 1.0]), vec![0, 2], 3)?;
/// assert!((risk.value(&[0.0; 6]) - f64::ln(3.0)).abs() < 1e-15);
/// // Margins of 100: the loss is 2 exp(-100) for both samples.
/// let value = risk.value(&[100.0, 0.0, 0.0, 0.0, 0.0, 100.0]);
/// assert!((value / f64::exp(-100.0) - 2.0).abs() < 1e-14);
/// # Ok::<(), wasserflow::prelude::RiskError>(())
/// ```
///
/// Cost: `O(n k)` for a value or a gradient.
#[derive(Debug, Clone)]
pub struct SoftmaxCrossEntropy<T> {
    inputs: Inputs<T>,
    labels: Vec<usize>,
    classes: usize,
    /// The weight `c_j` of each sample.
    weights: Vec<T>,
    /// Receives the new labels in `refill` until they are validated. Empty before the first one.
    unchecked: Vec<usize>,
}

impl<T: Real> SoftmaxCrossEntropy<T> {
    /// The risk on the samples `x` (`d x n`) with n `labels` `y_j` in `0..classes`.
    ///
    /// # Errors
    /// [`RiskError`] if `d = 0`, `n = 0`, `classes = 0`, a coordinate is not finite, a label is
    /// out of range, the number of labels is not n, or `classes n` predictions do not fit in
    /// memory.
    pub fn new(x: DMatrix<T>, labels: Vec<usize>, classes: usize) -> Result<Self, RiskError> {
        let inputs = Inputs::new(x)?;
        ShapeError::check("number of labels", inputs.len(), labels.len())?;
        if classes == 0 {
            return Err(ShapeError {
                what: "number of classes",
                expected: 1,
                found: 0,
            }
            .into());
        }
        ParameterError::check(
            is_allocatable::<T>(classes, labels.len()),
            "classes",
            "a number with predictions that fit in memory",
            classes as f64,
        )?;
        check_labels(classes, &labels)?;
        let n = labels.len();
        Ok(Self {
            inputs,
            labels,
            classes,
            weights: vec![reciprocal(n); n],
            unchecked: Vec::new(),
        })
    }

    /// Replaces all samples: `fill(j, x_j, &mut y_j)` overwrites sample and class j, which
    /// initially are the previous ones. The sample weights remain.
    ///
    /// It allocates nothing after its first call.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    ///
    /// let mut risk = SoftmaxCrossEntropy::new(DMatrix::zeros(1, 2), vec![0, 0], 2)?;
    /// risk.refill(|j, x, y| (x[0], *y) = (j as f64, j))?;
    /// assert_eq!((risk.inputs().point(1), risk.labels()), (&[1.0][..], &[0, 1][..]));
    /// # Ok::<(), RiskError>(())
    /// ```
    ///
    /// # Errors
    /// [`RiskError::Input`] or [`RiskError::Target`] if a coordinate is not finite or a label is
    /// out of range; all samples are then unchanged.
    pub fn refill(
        &mut self,
        mut fill: impl FnMut(usize, &mut [T], &mut usize),
    ) -> Result<(), RiskError> {
        let y = &mut self.unchecked;
        y.clone_from(&self.labels);
        self.inputs.stage(|j, x| fill(j, x, &mut y[j]))?;
        check_labels(self.classes, y)?;
        self.inputs.commit();
        self.labels.copy_from_slice(y);
        Ok(())
    }

    /// Replaces the factors `1/n` by sample weights `c`.
    ///
    /// The n weights `c_j >= 0` may have any sum. A sample of weight 0 is ignored, even if its loss
    /// overflows.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    ///
    /// let x = DMatrix::from_row_slice(1, 2, &[0.0, 1.0]);
    /// let risk = SoftmaxCrossEntropy::new(x, vec![0, 1], 2)?.sample_weights(vec![3.0, 0.0])?;
    /// assert_eq!(risk.value(&[0.0, 0.0, 5.0, 0.0]), 3.0 * f64::ln(2.0));
    /// # Ok::<(), wasserflow::prelude::RiskError>(())
    /// ```
    ///
    /// # Errors
    /// [`RiskError`] if the number of weights is not n, or a weight is negative or not finite.
    pub fn sample_weights(mut self, c: impl Into<DVector<T>>) -> Result<Self, RiskError> {
        self.weights = checked_weights(self.inputs.len(), c.into())?;
        Ok(self)
    }

    /// The classes `y_j` of the samples.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The sample weights `c_j`, which default to `1/n`.
    pub fn weights(&self) -> &[T] {
        &self.weights
    }

    /// Restricts the sum to a range of samples, which starts at `first` and has the predictions
    /// `h`: writes its gradient to `out` and returns its value.
    fn range_value_and_gradient(&self, first: usize, h: &[T], out: &mut [T]) -> T {
        let (labels, weights) = (&self.labels[first..], &self.weights[first..]);
        let k = self.classes;
        sum(h.len() / k, |j| {
            let outputs = j * k..(j + 1) * k;
            let (h, g, y, c) = (
                &h[outputs.clone()],
                &mut out[outputs],
                labels[j],
                weights[j],
            );
            let origin = origin(h, y);
            let others = shifted_exponentials(h, origin, Some(g));
            // With the sum Z = 1 + others, g_l = exp(h_l - h_o) / Z for l != y.
            let scale = T::one() / (T::one() + others);
            g[y] = T::zero();
            let mut rest = T::zero();
            for g in g.iter_mut() {
                *g *= scale;
                rest += *g;
            }
            g[y] = -rest;
            g.iter_mut().for_each(|g| *g = weighted(c, *g));
            weighted(c, loss(h, y, origin, others))
        })
    }
}

/// Returns an error for the first label that is out of range.
fn check_labels(classes: usize, labels: &[usize]) -> Result<(), RiskError> {
    match labels.iter().position(|&y| y >= classes) {
        None => Ok(()),
        Some(sample) => Err(RiskError::Target {
            sample,
            output: 0,
            requirement: "below the number of classes",
            value: labels[sample] as f64,
        }),
    }
}

impl<T: Real> Refill<T> for SoftmaxCrossEntropy<T> {
    /// The class of a sample.
    type Target = usize;

    fn refill(
        &mut self,
        fill: &mut dyn FnMut(usize, &mut [T], &mut usize),
    ) -> Result<(), RiskError> {
        SoftmaxCrossEntropy::refill(self, fill)
    }
}

/// The index o of the origin of the logits: the label y if its output is the largest, otherwise the
/// first of the largest ones.
fn origin<T: Real>(h: &[T], y: usize) -> usize {
    (0..h.len()).fold(y, |best, l| if h[l] > h[best] { l } else { best })
}

/// Returns `sum_{l != o} exp(h_l - h_o)`, and writes all terms to `out` if it is given: 1 for o.
fn shifted_exponentials<T: Real>(h: &[T], o: usize, mut out: Option<&mut [T]>) -> T {
    let mut others = T::zero();
    for (l, &logit) in h.iter().enumerate() {
        let term = if l == o {
            T::one()
        } else {
            exp_difference(logit, h[o])
        };
        if l != o {
            others += term;
        }
        if let Some(out) = &mut out {
            out[l] = term;
        }
    }
    others
}

/// `exp(a - b)` for `a <= b`.
///
/// The rounding error e of the difference (TwoSum) enters as the factor `1 + e`: at a difference of
/// 100, half a unit in its last place alone is a relative error of 32 epsilon.
fn exp_difference<T: Real>(a: T, b: T) -> T {
    let d = a - b;
    let t = d - a;
    let e = (a - (d - t)) - (b + t);
    let exp = d.exp();
    if e.is_finite() { exp + exp * e } else { exp }
}

/// The loss `(h_o - h_y) + log(1 + others)` of a sample.
fn loss<T: Real>(h: &[T], y: usize, o: usize, others: T) -> T {
    (h[o] - h[y]) + others.ln_1p()
}

impl<T: Real> Risk<T> for SoftmaxCrossEntropy<T> {
    fn inputs(&self) -> &Inputs<T> {
        &self.inputs
    }

    fn output_dim(&self) -> usize {
        self.classes
    }

    fn value(&self, h: &[T]) -> T {
        let (n, k) = (self.labels.len(), self.classes);
        assert_size("length of the predictions", n * k, h.len());
        sum(n, |j| {
            let (h, y) = (&h[j * k..(j + 1) * k], self.labels[j]);
            let o = origin(h, y);
            let others = shifted_exponentials(h, o, None);
            weighted(self.weights[j], loss(h, y, o, others))
        })
    }

    fn value_and_gradient(&self, h: &[T], out: &mut [T]) -> T {
        assert_lengths(self.classes * self.labels.len(), h.len(), out.len());
        self.range_value_and_gradient(0, h, out)
    }

    fn is_separable(&self) -> bool {
        true
    }

    fn value_and_gradient_range(&self, samples: Range<usize>, h: &[T], out: &mut [T]) -> T {
        assert_range(&samples, self.labels.len());
        assert_lengths(self.classes * samples.len(), h.len(), out.len());
        self.range_value_and_gradient(samples.start, h, out)
    }

    /// For each sample, `R'' u = c_j (p u - p <p, u>)` with `p = softmax(h)`.
    fn curvature(&self, h: &[T], u: &[T], out: &mut [T]) {
        let (n, k) = (self.labels.len(), self.classes);
        assert_lengths(n * k, h.len(), out.len());
        assert_size("length of the field", n * k, u.len());
        for (j, &y) in self.labels.iter().enumerate() {
            let outputs = j * k..(j + 1) * k;
            let (h, u, p) = (&h[outputs.clone()], &u[outputs.clone()], &mut out[outputs]);
            let o = origin(h, y);
            let scale = T::one() / (T::one() + shifted_exponentials(h, o, Some(p)));
            // R'' annihilates constants. Subtracting the component of the most probable class
            // avoids the cancellation in u - <p, u> if its probability is close to 1.
            let mut mean = T::zero();
            for (p, &u_l) in p.iter_mut().zip(u) {
                *p *= scale;
                mean += *p * (u_l - u[o]);
            }
            let mut rest = T::zero();
            for (p, &u_l) in p.iter_mut().zip(u) {
                *p *= (u_l - u[o]) - mean;
                rest += *p;
            }
            // The entries sum to 0: that of the most probable class is minus the sum of the others.
            p[o] -= rest;
            p.iter_mut()
                .for_each(|p| *p = weighted(self.weights[j], *p));
        }
    }
}
