//! The distinct points of a measure: particles at one point are transported as one.

use std::cmp::Ordering;

use nalgebra::DVector;

use crate::measure::EmpiricalMeasure;
use crate::real::Real;

/// The distinct points of a measure, with their total weights.
pub(super) struct Distinct<T> {
    pub(super) measure: EmpiricalMeasure<T>,
    /// The distinct point of each particle.
    pub(super) of: Vec<usize>,
    /// The distinct points in lexicographic order.
    sorted: Vec<usize>,
}

impl<T: Real> Distinct<T> {
    pub(super) fn new(mu: &EmpiricalMeasure<T>) -> Self {
        let m = mu.len();
        let mut order: Vec<usize> = (0..m).collect();
        order.sort_by(|&a, &b| compare(mu.particle(a), mu.particle(b))); // stable: the first of equal particles is the first in the measure
        let mut first: Vec<usize> = (0..m).collect();
        for pair in order.windows(2) {
            if mu.particle(pair[0]) == mu.particle(pair[1]) {
                first[pair[1]] = first[pair[0]];
            }
        }
        let (mut of, mut kept, mut weights) = (vec![0; m], Vec::new(), Vec::new());
        for i in 0..m {
            if first[i] == i {
                of[i] = kept.len();
                kept.push(i);
                weights.push(mu.weight(i));
            } else {
                of[i] = of[first[i]];
                weights[of[i]] += mu.weight(i);
            }
        }
        let mut measure = mu.clone();
        if kept.len() < m {
            let points = mu.points().select_columns(&kept);
            // A measure that is not valid is refused by the energy.
            if let Ok(distinct) = EmpiricalMeasure::weighted(points, DVector::from_vec(weights)) {
                measure = distinct;
            } else {
                of = (0..m).collect();
            }
        }
        let mut sorted: Vec<usize> = order.iter().map(|&i| of[i]).collect();
        sorted.dedup();
        Self {
            measure,
            of,
            sorted,
        }
    }

    /// The distinct point at w, if there is one.
    pub(super) fn find(&self, w: &[T]) -> Option<usize> {
        let to_w = |&i: &usize| compare(self.measure.particle(i), w);
        let found = self.sorted[self.sorted.binary_search_by(to_w).ok()?];
        (self.measure.particle(found) == w).then_some(found) // not of NaN
    }
}

fn compare<T: Real>(a: &[T], b: &[T]) -> Ordering {
    a.partial_cmp(b).unwrap_or(Ordering::Equal)
}
