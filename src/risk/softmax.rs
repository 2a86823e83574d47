//! Softmax cross-entropy, which couples the outputs of a sample.

use std::ops::Range;

use nalgebra::DMatrix;

use super::{Risk, reciprocal, sum};
use crate::error::{RiskError, ShapeError};
use crate::inputs::Inputs;
use crate::real::Real;

/// Softmax cross-entropy `R(h) = (1/n) sum_j [ log sum_l exp(h_jl) - h_{j, y_j} ]` over classes `y_j` in `0..k`.
///
/// Without overflow. Convex, not strictly: adding a constant to all outputs of a sample changes nothing.
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
#[derive(Debug, Clone)]
pub struct SoftmaxCrossEntropy<T> {
    inputs: Inputs<T>,
    labels: Vec<usize>,
    classes: usize,
}

impl<T: Real> SoftmaxCrossEntropy<T> {
    /// The risk on the samples `x` (`d x n`) with `labels` `y_j` in `0..classes`, one a sample.
    ///
    /// # Errors
    /// [`RiskError`] when there is no sample or class, one sample is not finite, a label is out of range, or the numbers
    /// of samples and labels differ.
    pub fn new(x: DMatrix<T>, labels: Vec<usize>, classes: usize) -> Result<Self, RiskError> {
        let inputs = Inputs::new(x)?;
        if labels.len() != inputs.len() {
            return Err(ShapeError {
                what: "number of labels",
                expected: inputs.len(),
                found: labels.len(),
            }
            .into());
        }
        if classes == 0 {
            return Err(ShapeError {
                what: "number of classes",
                expected: 1,
                found: 0,
            }
            .into());
        }
        if let Some(sample) = labels.iter().position(|&y| y >= classes) {
            let (requirement, value) = ("below the number of classes", labels[sample] as f64);
            return Err(RiskError::Target {
                sample,
                output: 0,
                requirement,
                value,
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

    /// Writes the gradient at the samples from `first` on to `out` and returns their part of the risk.
    fn part(&self, first: usize, h: &[T], out: &mut [T]) -> T {
        let (labels, k) = (&self.labels[first..], self.classes);
        let c = reciprocal(self.labels.len());
        let losses = sum(h.len() / k, |j| {
            let (h, g, y) = (
                &h[j * k..(j + 1) * k],
                &mut out[j * k..(j + 1) * k],
                labels[j],
            );
            let value = log_sum_exp(h, Some(g)) - h[y];
            g[y] -= T::one();
            g.iter_mut().for_each(|g| *g *= c);
            value
        });
        losses * c
    }
}

/// Writes `softmax(h)` to `out` (when given) and returns `log sum_l exp(h_l)`.
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
        let losses = sum(n, |j| {
            log_sum_exp(&h[j * k..(j + 1) * k], None) - h[j * k + self.labels[j]]
        });
        losses * reciprocal(n)
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

    /// `R'' u = (1/n) (p u - p <p, u>)` a sample, with `p = softmax(h)`.
    fn curvature(&self, h: &[T], u: &[T], out: &mut [T]) {
        let (n, k) = (self.labels.len(), self.classes);
        let c = reciprocal::<T>(n);
        for j in 0..n {
            let (h, u, p) = (
                &h[j * k..(j + 1) * k],
                &u[j * k..(j + 1) * k],
                &mut out[j * k..(j + 1) * k],
            );
            log_sum_exp(h, Some(p));
            // R'' does not see a constant: measured from the likeliest class, nothing cancels where p is nearly 1.
            let likeliest = (1..k).fold(0, |best, l| if h[l] > h[best] { l } else { best });
            let origin = u[likeliest];
            let mean = p
                .iter()
                .zip(u)
                .fold(T::zero(), |sum, (&p, &u)| sum + p * (u - origin));
            for (p, &u) in p.iter_mut().zip(u) {
                *p *= ((u - origin) - mean) * c;
            }
        }
    }
}
