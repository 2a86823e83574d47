//! The ways in which tests deal out particles to ranks.

use crate::measure::EmpiricalMeasure;
use crate::real::Real;
use crate::testing::evaluation::measure;

/// A rule by which rank r of s gets its particles.
#[derive(Debug, Clone, Copy)]
pub(in crate::testing) enum Dealing {
    /// `floor(m r / s) .. floor(m (r + 1) / s)`, as [`EmpiricalMeasure::share`].
    Contiguous,
    /// `r, r + s, r + 2 s, ..`.
    InTurn,
    /// One particle for each rank but the first, which gets the others.
    Uneven,
}

impl Dealing {
    pub(in crate::testing) const ALL: [Self; 3] = [Self::Contiguous, Self::InTurn, Self::Uneven];

    /// The particles of rank r of s.
    pub(in crate::testing) fn indices(self, m: usize, r: usize, s: usize) -> Vec<usize> {
        match self {
            Self::Contiguous => (m * r / s..m * (r + 1) / s).collect(),
            Self::InTurn => (r..m).step_by(s).collect(),
            Self::Uneven if r == 0 => (0..m - (s - 1).min(m)).collect(),
            Self::Uneven => (m - (s - 1).min(m)..m).skip(r - 1).take(1).collect(),
        }
    }

    /// The measure of rank r of s; a particle of weight -0 for an empty share.
    pub(in crate::testing) fn part<T: Real>(
        self,
        mu: &EmpiricalMeasure<T>,
        r: usize,
        s: usize,
    ) -> EmpiricalMeasure<T> {
        let indices = self.indices(mu.len(), r, s);
        if indices.is_empty() {
            return measure(mu.dim(), mu.particle(0).to_vec(), vec![-T::zero()]);
        }
        let points = indices.iter().flat_map(|&i| mu.particle(i).to_vec());
        let weights = indices.iter().map(|&i| mu.weight(i));
        measure(mu.dim(), points.collect(), weights.collect())
    }
}
