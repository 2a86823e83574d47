//! The softmax cross-entropy, which couples the outputs of a sample.

use std::ops::Range;

use nalgebra::DMatrix;

use super::{Risk, assert_lengths, assert_range, reciprocal, sum};
use crate::error::{ParameterError, RiskError, ShapeError, assert_size, is_allocatable};
use crate::inputs::Inputs;
use crate::real::Real;

/// The softmax cross-entropy `R(h) = (1/n) sum_j [log sum_l exp(h_jl) - h_{j, y_j}]` of k classes.
///
/// Sample j has the class `y_j` in `0..k` and k predictions `h_jl`. The exponentials do not
/// overflow. The risk is convex but not strictly: adding a constant to all outputs of a sample
/// does not change it.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let risk = SoftmaxCrossEntropy::new(DMatrix::from_row_slice(1, 2, &[0.0, 1.0]), vec![0, 2], 3)?;
/// assert!((risk.value(&[0.0; 6]) - f64::ln(3.0)).abs() < 1e-15);
/// assert!(risk.value(&[1e5, 0.0, 0.0, 0.0, 0.0, 1e5]) < 1e-15);
/// # Ok::<(), wasserflow::prelude::RiskError>(())
/// ```
///
/// Cost: `O(n k)` for a value or a gradient.
#[derive(Debug, Clone)]
pub struct SoftmaxCrossEntropy<T> {
    inputs: Inputs<T>,
    labels: Vec<usize>,
    classes: usize,
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
        if let Some(sample) = labels.iter().position(|&y| y >= classes) {
            return Err(RiskError::Target {
                sample,
                output: 0,
                requirement: "below the number of classes",
                value: labels[sample] as f64,
            });
        }
        Ok(Self {
            inputs,
            labels,
            classes,
        })
    }

    /// The classes `y_j` of the samples.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Restricts the sum to a range of samples, which starts at `first` and has the predictions
    /// `h`: writes its gradient to `out` and returns its value.
    fn range_value_and_gradient(&self, first: usize, h: &[T], out: &mut [T]) -> T {
        let (labels, k) = (&self.labels[first..], self.classes);
        let c = reciprocal(self.labels.len());
        let losses = sum(h.len() / k, |j| {
            let outputs = j * k..(j + 1) * k;
            let (h, g, y) = (&h[outputs.clone()], &mut out[outputs], labels[j]);
            let value = log_sum_exp(h, Some(g)) - h[y];
            g[y] -= T::one();
            g.iter_mut().for_each(|g| *g *= c);
            value
        });
        losses * c
    }
}

/// Returns `log sum_l exp(h_l)` and, if `out` is given, writes `softmax(h)` to it.
fn log_sum_exp<T: Real>(h: &[T], out: Option<&mut [T]>) -> T {
    let max = h.iter().fold(h[0], |max, &h| max.max(h));
    let mut total = T::zero();
    for &h in h {
        total += (h - max).exp();
    }
    if let Some(out) = out {
        for (out, &h) in out.iter_mut().zip(h) {
            *out = (h - max).exp() / total;
        }
    }
    max + total.ln()
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
        let losses = sum(n, |j| {
            log_sum_exp(&h[j * k..(j + 1) * k], None) - h[j * k + self.labels[j]]
        });
        losses * reciprocal(n)
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

    /// For each sample, `R'' u = (1/n) (p u - p <p, u>)` with `p = softmax(h)`.
    fn curvature(&self, h: &[T], u: &[T], out: &mut [T]) {
        let (n, k) = (self.labels.len(), self.classes);
        assert_lengths(n * k, h.len(), out.len());
        assert_size("length of the field", n * k, u.len());
        let c = reciprocal::<T>(n);
        for j in 0..n {
            let outputs = j * k..(j + 1) * k;
            let (h, u, p) = (&h[outputs.clone()], &u[outputs.clone()], &mut out[outputs]);
            log_sum_exp(h, Some(p));
            // R'' annihilates constants. Subtracting the component of the most probable class
            // avoids the cancellation in u - <p, u> if its probability is close to 1.
            let mode = (1..k).fold(0, |best, l| if h[l] > h[best] { l } else { best });
            let origin = u[mode];
            let terms = p.iter().zip(u).map(|(&p, &u)| p * (u - origin));
            let mean = terms.fold(T::zero(), |sum, term| sum + term);
            for (p, &u) in p.iter_mut().zip(u) {
                *p *= ((u - origin) - mean) * c;
            }
        }
    }
}
