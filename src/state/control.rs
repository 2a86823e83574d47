//! Step control: what an integrator carries from one step to the next.

use nalgebra::DMatrix;

use crate::error::{ParameterError, is_allocatable};
use crate::real::{Real, to_f64};

/// The memory of an integrator: fields of the shape of the measure (`p x m`) and scalars.
///
/// Momentum is a field; the last error estimate of a step-size controller is a scalar. Both are
/// part of the state, so that a run resumes bit for bit. An integrator documents what it stores.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let mut state = State::new(EmpiricalMeasure::uniform(DMatrix::from_element(2, 3, 1.0))?);
/// state.memory_mut().field(0, (2, 3))[(1, 2)] = 0.5; // one component of a momentum
/// state.memory_mut().scalars = vec![1e-3];
/// assert_eq!(state.clone().memory(), state.memory());
/// # Ok::<(), wasserflow::error::MeasureError>(())
/// ```
#[derive(Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(deserialize = "T: Real + serde::Deserialize<'de>"))
)]
pub struct Memory<T> {
    /// Fields, each `p x m`; none until an integrator stores one.
    #[cfg_attr(feature = "serde", serde(with = "crate::encoding::matrices"))]
    pub fields: Vec<DMatrix<T>>,
    /// Scalars; none until an integrator stores one.
    pub scalars: Vec<T>,
}

impl<T: Real> Memory<T> {
    /// Field `index` of the given shape: zero on first use, and after particles were added or
    /// removed.
    ///
    /// # Panics
    /// If `p m` scalars exceed the address space.
    pub fn field(&mut self, index: usize, (p, m): (usize, usize)) -> &mut DMatrix<T> {
        assert!(
            is_allocatable::<T>(p, m),
            "a field must fit in memory, found {p} x {m}"
        );
        while self.fields.len() <= index {
            self.fields.push(DMatrix::zeros(p, m));
        }
        let field = &mut self.fields[index];
        if field.shape() != (p, m) {
            *field = DMatrix::zeros(p, m);
        }
        field
    }
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self {
            fields: Vec::new(),
            scalars: Vec::new(),
        }
    }
}

impl<T: Clone> Clone for Memory<T> {
    fn clone(&self) -> Self {
        Self {
            fields: self.fields.clone(),
            scalars: self.scalars.clone(),
        }
    }

    /// Copies without allocation if the shapes agree.
    fn clone_from(&mut self, source: &Self) {
        self.scalars.clone_from(&source.scalars);
        self.fields.truncate(source.fields.len());
        let copied = self.fields.len();
        for (field, source) in self.fields.iter_mut().zip(&source.fields) {
            copy_matrix(field, source);
        }
        self.fields.extend_from_slice(&source.fields[copied..]);
    }
}

/// Copies a matrix, without allocation if the shapes agree.
pub(super) fn copy_matrix<T: Clone>(target: &mut DMatrix<T>, source: &DMatrix<T>) {
    if target.shape() == source.shape() {
        target.as_mut_slice().clone_from_slice(source.as_slice());
    } else {
        *target = source.clone();
    }
}

/// The proposed size of the next step, and the memory of the integrator.
#[derive(Debug)]
pub(super) struct StepControl<T> {
    pub(super) next: Option<T>,
    pub(super) memory: Memory<T>,
}

impl<T: Real> StepControl<T> {
    /// The control of given parts.
    pub(super) fn from_parts(next: Option<T>, memory: Memory<T>) -> Result<Self, ParameterError> {
        if let Some(next) = next {
            ParameterError::check_positive("size of the next step", to_f64(next))?;
        }
        Ok(Self { next, memory })
    }
}

impl<T> Default for StepControl<T> {
    fn default() -> Self {
        Self {
            next: None,
            memory: Memory::default(),
        }
    }
}

impl<T: Clone> Clone for StepControl<T> {
    fn clone(&self) -> Self {
        Self {
            next: self.next.clone(),
            memory: self.memory.clone(),
        }
    }

    fn clone_from(&mut self, source: &Self) {
        self.next.clone_from(&source.next);
        self.memory.clone_from(&source.memory);
    }
}
