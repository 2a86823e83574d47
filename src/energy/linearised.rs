//! The predictions and the gradient of a risk at the last measure, for second derivatives.

use nalgebra::DMatrix;

use crate::measure::EmpiricalMeasure;
use crate::real::Real;

/// Predictions `h` (`k x n`) and gradient `g = grad R(h)` at a measure.
///
/// Recorded from the first use on, so that explicit methods do not pay for it.
pub(super) struct Linearised<T> {
    pub(super) enabled: bool,
    points: Vec<T>,
    weights: Vec<T>,
    pub(super) h: Vec<T>,
    pub(super) g: Vec<T>,
    /// The output of a velocity computed only for its predictions.
    pub(super) field: Option<DMatrix<T>>,
}

impl<T> Default for Linearised<T> {
    fn default() -> Self {
        Self {
            enabled: false,
            points: Vec::new(),
            weights: Vec::new(),
            h: Vec::new(),
            g: Vec::new(),
            field: None,
        }
    }
}

impl<T: Real> Linearised<T> {
    /// Forgets the measure, for example because the risk changes.
    pub(super) fn clear(&mut self) {
        self.points.clear();
    }

    /// Takes the measure of the record: until it is restored, the record is that of no measure.
    pub(super) fn take_record(&mut self) -> Vec<T> {
        std::mem::take(&mut self.points)
    }

    /// Restores what [`take_record`](Self::take_record) returned.
    pub(super) fn restore_record(&mut self, points: Vec<T>) {
        self.points = points;
    }

    /// Returns true if the record is that of `mu`.
    pub(super) fn is_at(&self, mu: &EmpiricalMeasure<T>) -> bool {
        self.points == mu.points().as_slice() && self.weights == mu.weights()
    }

    /// Starts a record of `len` predictions.
    pub(super) fn start(&mut self, len: usize) {
        if self.enabled {
            self.clear();
            self.h.resize(len, T::zero());
            self.g.resize(len, T::zero());
        }
    }

    /// Completes the record: it is that of `mu`. A record without end, after a panic of the risk, is
    /// that of no measure.
    pub(super) fn finish(&mut self, mu: &EmpiricalMeasure<T>) {
        if self.enabled {
            self.points.extend_from_slice(mu.points().as_slice());
            self.weights.clear();
            self.weights.extend_from_slice(mu.weights());
        }
    }

    /// Records the predictions from index `start` on, and the gradient there.
    pub(super) fn record(&mut self, start: usize, h: &[T], g: &[T]) {
        if self.enabled {
            self.h[start..start + h.len()].copy_from_slice(h);
            self.g[start..start + g.len()].copy_from_slice(g);
        }
    }
}
