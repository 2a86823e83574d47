//! States whose particles are dealt out to ranks.

use nalgebra::DMatrix;

use super::{State, StateParts};
use crate::measure::{EmpiricalMeasure, gather_columns};
use crate::ranks::{AllReduce, indicator};
use crate::real::Real;

impl<T: Real> State<T> {
    /// The part of the state on a rank: its share of the measure, of the velocities and of the
    /// fields of the integrator, as [`EmpiricalMeasure::share`]. All ranks get the clock, the scalars
    /// and the evaluation.
    ///
    /// So a run continues on any number of ranks from a state that was [collected](Self::collect),
    /// for example in a file.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    /// use wasserflow::testing::Rank;
    ///
    /// let energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1); // v = -w
    /// let mut flow = ParticleFlow::new(energy, Euler, 0.5)?;
    /// let start = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 4, &[1.0, 2.0, 3.0, 4.0]))?;
    /// let state = flow.start(start)?;
    /// let part = state.share(&Rank::group(2)[1]);
    /// assert_eq!(part.velocity().as_slice(), &[-3.0, -4.0]);
    /// assert_eq!(part.energy(), state.energy());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn share(&self, ranks: &(impl AllReduce<T> + ?Sized)) -> Self {
        let (m, share) = (self.measure().len(), ranks.share(self.measure().len()));
        let (start, len) = (share.start.min(m - 1), share.len().max(1));
        let columns = |x: &mut DMatrix<T>| {
            if x.ncols() == m {
                *x = x.columns(start, len).into_owned();
            }
        };
        let mut parts = self.to_parts();
        parts.measure = parts.measure.share(ranks);
        if let Some(evaluation) = &mut parts.evaluation {
            columns(&mut evaluation.velocity);
        }
        parts.memory.fields.iter_mut().for_each(columns);
        // Parts of a valid state; if it was modified, it is evaluated again.
        let measure = parts.measure.clone();
        Self::from_parts(parts).unwrap_or_else(|_| Self::new(measure))
    }

    /// The whole state on every rank: the particles of all ranks in their order, with velocities and
    /// the fields of the integrator, bit for bit.
    ///
    /// All ranks call it, after the same steps of the same integrator. If a state is stale on one
    /// rank, the result is; fields that do not fit the particles of a rank are omitted.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    /// use wasserflow::testing::Rank;
    ///
    /// let energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1);
    /// let start = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 2, &[1.0, 2.0]))?;
    /// let state = ParticleFlow::new(energy, Euler, 0.5)?.start(start)?;
    /// let round_trip = |mut rank: Rank<f64>| state.share(&rank).collect(&mut rank).to_parts();
    /// std::thread::scope(|scope| {
    ///     let threads = Rank::group(2).into_iter().map(|rank| scope.spawn(|| round_trip(rank)));
    ///     for thread in threads.collect::<Vec<_>>() {
    ///         assert_eq!(thread.join().unwrap(), state.to_parts());
    ///     }
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Cost: an all-gather of the state, and its memory on every rank.
    ///
    /// # Panics
    /// If the particles of another rank have another dimension.
    #[must_use]
    pub fn collect(&self, ranks: &mut (impl AllReduce<T> + ?Sized)) -> Self {
        if ranks.size() <= 1 {
            return self.clone();
        }
        let mut parts = self.to_parts();
        let shape = parts.measure.points().shape();
        let fields = &parts.memory.fields;
        let mut missing = [
            indicator(parts.evaluation.is_none()),
            indicator(fields.is_empty() || fields.iter().any(|x| x.shape() != shape)),
        ];
        ranks.sum(&mut missing);
        if missing[0] > T::zero() {
            parts.evaluation = None;
        }
        if missing[1] > T::zero() {
            parts.memory.fields.clear();
        }
        let StateParts {
            measure,
            evaluation,
            memory,
            ..
        } = &mut parts;
        let velocity = evaluation
            .as_mut()
            .map(|evaluation| &mut evaluation.velocity);
        let mut fields: Vec<_> = velocity.into_iter().chain(&mut memory.fields).collect();
        let mut matrices = vec![measure.points()];
        matrices.extend(fields.iter().map(|x| &**x));
        let (weights, matrices) = gather_columns(ranks, measure.weights(), &matrices);
        let mut matrices = matrices.into_iter();
        let Some(Ok(whole)) = matrices
            .next()
            .map(|points| EmpiricalMeasure::weighted(points, weights.into()))
        else {
            return Self::new(self.measure().clone()); // no rank holds a valid particle
        };
        for (field, whole) in fields.iter_mut().zip(matrices) {
            **field = whole;
        }
        parts.measure = whole;
        let measure = parts.measure.clone();
        Self::from_parts(parts).unwrap_or_else(|_| Self::new(measure))
    }
}
