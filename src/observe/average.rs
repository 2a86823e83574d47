//! The average of the points along a run.

use std::ops::ControlFlow;

use nalgebra::{DMatrix, DVector};

use super::{Observer, StopReason};
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, real};
use crate::state::State;

/// The average of the observed points, `w_i = (1/N) sum_s w_i(s)`, of all steps or of those from
/// a step on (Polyak-Ruppert and tail averaging).
///
/// The noise of minibatches makes the last point of a run fluctuate; their average converges
/// faster. Every observed state counts once: a run that resumes observes its initial state again,
/// which is omitted. If the step count falls, or the number of particles or their dimension
/// changes, another run has begun: the average starts anew. The weights are those of the last
/// state: the average is meant for flows that keep them.
///
/// # Laws
/// A coordinate of the result is the exact average of the N observed ones, up to an error of
/// `(1 + N eps) eps` relative to the average of their absolute values: the sums have twice the
/// precision of the scalar.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::observe::Average;
/// use wasserflow::prelude::*;
///
/// let mut flow = ParticleFlow::new(PotentialEnergy::new(WeightDecay::new(0.5)?, 1), Euler, 0.5)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
/// let mut average = Average::tail(1);
/// flow.run(&mut state, 3, &mut average)?; // w = 1, 1/2, 1/4, 1/8
/// let mean = average.measure().expect("a step has been observed");
/// assert_eq!(mean.particle(0), &[(0.5 + 0.25 + 0.125) / 3.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Cost: `O(m p)` an observed state; it allocates at the first one. The average can be continued
/// with a state that is resumed later, if the observer is kept with it.
///
/// Source: B. T. Polyak and A. B. Juditsky, Acceleration of stochastic approximation by averaging,
/// 1992; M. Joldes, J.-M. Muller and V. Popescu, Tight and rigorous error bounds for basic building
/// blocks of double-word arithmetic, 2017 (Algorithm 4, with a relative error of `eps^2 / 2`).
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(
        try_from = "encoded::Encoded<T>",
        bound(
            serialize = "T: Real + serde::Serialize",
            deserialize = "T: Real + serde::Deserialize<'de>"
        )
    )
)]
pub struct Average<T> {
    /// The first step that counts.
    from: usize,
    /// The number N of points, and the step observed last.
    count: usize,
    last: Option<usize>,
    /// The sum is `sum + lost`, coordinate by coordinate.
    #[cfg_attr(feature = "serde", serde(with = "crate::encoding::matrix"))]
    sum: DMatrix<T>,
    #[cfg_attr(feature = "serde", serde(with = "crate::encoding::matrix"))]
    lost: DMatrix<T>,
    weights: Vec<T>,
}

#[cfg(feature = "serde")]
mod encoded {
    use nalgebra::DMatrix;

    use super::Average;
    use crate::error::{ParameterError, ShapeError};
    use crate::real::{Real, to_f64};

    /// The stored fields, which are checked.
    #[derive(serde::Deserialize)]
    #[serde(
        rename = "Average",
        bound(deserialize = "T: Real + serde::Deserialize<'de>")
    )]
    pub(super) struct Encoded<T> {
        from: usize,
        count: usize,
        last: Option<usize>,
        #[serde(with = "crate::encoding::matrix")]
        sum: DMatrix<T>,
        #[serde(with = "crate::encoding::matrix")]
        lost: DMatrix<T>,
        weights: Vec<T>,
    }

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    pub(super) enum Error {
        Shape(#[from] ShapeError),
        Parameter(#[from] ParameterError),
    }

    impl<T: Real> TryFrom<Encoded<T>> for Average<T> {
        type Error = Error;

        fn try_from(encoded: Encoded<T>) -> Result<Self, Error> {
            let Encoded {
                from,
                count,
                last,
                sum,
                lost,
                weights,
            } = encoded;
            ShapeError::check("rows of the lost parts", sum.nrows(), lost.nrows())?;
            ShapeError::check("columns of the lost parts", sum.ncols(), lost.ncols())?;
            let most = last.map_or(Some(0), |last| {
                Some(last.checked_sub(from)?.saturating_add(1))
            });
            let holds = most.is_some_and(|most| count <= most && (count > 0) == (most > 0));
            let requirement = "the number of observed steps, at most last - from + 1";
            ParameterError::check(holds, "count", requirement, count as f64)?;
            if count > 0 {
                ShapeError::check("number of weights", sum.ncols(), weights.len())?;
            }
            for x in sum.iter().chain(&lost) {
                ParameterError::check(x.is_finite(), "a sum", "finite", to_f64(*x))?;
            }
            for &c in &weights {
                ParameterError::check_nonnegative("a weight", to_f64(c))?;
            }
            Ok(Self {
                from,
                count,
                last,
                sum,
                lost,
                weights,
            })
        }
    }
}

impl<T: Real> Average<T> {
    /// The average of all observed states.
    pub fn new() -> Self {
        Self::tail(0)
    }

    /// The average of the observed states from step `from` on.
    pub fn tail(from: usize) -> Self {
        Self {
            from,
            count: 0,
            last: None,
            sum: DMatrix::zeros(0, 0),
            lost: DMatrix::zeros(0, 0),
            weights: Vec::new(),
        }
    }

    /// N, the number of points in the average.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The measure of the average points with the weights of the last state; `None` before the
    /// first state that counts, or if a state was not a valid measure.
    pub fn measure(&self) -> Option<EmpiricalMeasure<T>> {
        if self.count == 0 {
            return None;
        }
        let n = real::<T>(self.count as f64);
        let points = self.sum.zip_map(&self.lost, |sum, lost| (sum + lost) / n);
        EmpiricalMeasure::weighted(points, DVector::from_vec(self.weights.clone())).ok()
    }
}

impl<T: Real> Default for Average<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Real> Observer<T> for Average<T> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        let (step, points) = (state.step(), state.measure().points());
        let restarts = self.last.is_some_and(|last| step < last);
        if restarts || (self.count > 0 && self.sum.shape() != points.shape()) {
            (self.count, self.last) = (0, None);
        }
        if step < self.from || self.last == Some(step) {
            return ControlFlow::Continue(());
        }
        if self.count == 0 {
            if self.sum.shape() != points.shape() {
                self.sum = DMatrix::zeros(points.nrows(), points.ncols());
                self.lost = self.sum.clone();
            }
            self.sum.fill(T::zero());
            self.lost.fill(T::zero());
        }
        let pairs = self.sum.iter_mut().zip(self.lost.iter_mut());
        for ((sum, lost), &w) in pairs.zip(points) {
            // Knuth's TwoSum, and Dekker's FastTwoSum of the parts.
            let next = *sum + w;
            let part = next - *sum;
            let low = *lost + ((*sum - (next - part)) + (w - part));
            *sum = next + low;
            *lost = low - (*sum - next);
        }
        self.weights.clear();
        self.weights.extend_from_slice(state.measure().weights());
        self.count += 1;
        self.last = Some(step);
        ControlFlow::Continue(())
    }
}
