//! The gradient of a risk, as feature maps evaluate it.

use std::fmt;
use std::ops::Range;

use crate::error::assert_size;

/// The gradient of a risk with respect to the predictions, `h -> (R(h), grad R(h))`, for
/// [`FeatureMap::velocity`](super::FeatureMap::velocity).
///
/// Wraps a function `evaluate(samples, h, g)`: it reads the predictions `h` (`k x len`) at a range
/// of samples, writes the gradient at these samples to `g` and returns their contribution to
/// `R(h)`.
pub struct PredictionGradient<'a, T> {
    separable: bool,
    evaluate: &'a mut Evaluate<'a, T>,
}

/// The type of the wrapped function.
type Evaluate<'a, T> = dyn FnMut(Range<usize>, &[T], &mut [T]) -> T + 'a;

impl<'a, T> PredictionGradient<'a, T> {
    /// The gradient computed by `evaluate`; `separable` is true if it may be called with parts of
    /// the samples.
    pub fn new(separable: bool, evaluate: &'a mut Evaluate<'a, T>) -> Self {
        Self {
            separable,
            evaluate,
        }
    }

    /// Returns true if the risk is a sum over samples, so that ranges of samples can be evaluated
    /// one after the other.
    pub fn is_separable(&self) -> bool {
        self.separable
    }

    /// Evaluates the gradient at a range of samples: `0..n` unless
    /// [`is_separable`](Self::is_separable).
    ///
    /// # Panics
    /// If `h` and `g` differ in length.
    pub fn evaluate(&mut self, samples: Range<usize>, h: &[T], g: &mut [T]) -> T {
        assert_size("length of the gradient", h.len(), g.len());
        (self.evaluate)(samples, h, g)
    }
}

impl<T> fmt::Debug for PredictionGradient<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PredictionGradient")
            .field("separable", &self.separable)
            .finish_non_exhaustive()
    }
}
