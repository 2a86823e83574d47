//! The parts of a state, from which it is rebuilt in full.

use nalgebra::DMatrix;
use thiserror::Error;

use super::State;
use super::control::Memory;
use crate::error::{MeasureError, ParameterError, ShapeError};
use crate::measure::EmpiricalMeasure;
use crate::real::Real;

/// All that a [`State`] contains. A state that is rebuilt from its parts resumes a
/// run bit for bit.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let energy = PotentialEnergy::new(WeightDecay::new(0.5)?, 1);
/// let mut flow = ParticleFlow::new(energy, DormandPrince::default(), 0.1)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?)?;
/// flow.run(&mut state, 3, &mut ())?;
///
/// let mut copy = State::from_parts(state.to_parts())?;
/// flow.run(&mut state, 3, &mut ())?;
/// flow.run(&mut copy, 3, &mut ())?;
/// assert_eq!(copy.to_parts(), state.to_parts());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(deserialize = "T: Real + serde::Deserialize<'de>"))
)]
pub struct StateParts<T> {
    /// The measure `mu_t`.
    pub measure: EmpiricalMeasure<T>,
    /// The evaluation of the energy at the measure; `None` if the state is stale.
    pub evaluation: Option<Evaluation<T>>,
    /// The time `t`.
    pub time: T,
    /// The rounding error of the time: the exact sum of the steps is `time - lost`.
    pub lost: T,
    /// The number of steps completed.
    pub step: usize,
    /// The size of the next step, if the integrator proposed one.
    pub next: Option<T>,
    /// The memory of the integrator.
    pub memory: Memory<T>,
}

/// The evaluation of an energy at a measure, a part of a [`StateParts`].
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(deserialize = "T: Real + serde::Deserialize<'de>"))
)]
pub struct Evaluation<T> {
    /// The velocities, `p x m`.
    #[cfg_attr(feature = "serde", serde(with = "crate::encoding::matrix"))]
    pub velocity: DMatrix<T>,
    /// The energy `F(mu_t)`.
    pub energy: T,
    /// The dissipation `int |v|^2 dmu_t`.
    pub dissipation: T,
    /// The norm of the minimum-norm subgradient, if an integrator has computed it.
    pub slope: Option<T>,
}

/// Parts that do not define a state.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
/// use wasserflow::state::StateError;
///
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_element(1, 1, 1.0))?;
/// let mut parts = State::new(mu).to_parts();
/// parts.time = f64::NAN;
/// let error = State::from_parts(parts).unwrap_err();
/// assert_eq!(error.to_string(), "time of the state must be finite, found NaN");
/// # Ok::<(), MeasureError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[non_exhaustive]
pub enum StateError {
    /// A coordinate or a weight of the measure is not valid.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// The velocities do not have the shape of the measure.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A time, a step size or a number of the evaluation is outside its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
}

impl<T: Real> From<State<T>> for StateParts<T> {
    fn from(state: State<T>) -> Self {
        state.into_parts()
    }
}

impl<T: Real> TryFrom<StateParts<T>> for State<T> {
    type Error = StateError;

    fn try_from(parts: StateParts<T>) -> Result<Self, StateError> {
        Self::from_parts(parts)
    }
}
