//! The expected risk, by fresh samples.

use std::fmt;
use std::ops::Range;

use nalgebra::DMatrix;

use super::Risk;
use super::empirical::EmpiricalRisk;
use super::refill::Refill;
use super::sample_rng::SampleRng;
use super::softmax::SoftmaxCrossEntropy;
use crate::error::{ParameterError, RiskError, is_allocatable};
use crate::inputs::Inputs;
use crate::loss::{Kink, Loss};
use crate::real::{Real, real};

/// The expected risk `R(h) = E loss(y, h(x))` over a distribution of samples, estimated by b fresh
/// samples in every step: a single pass over an infinite data set.
///
/// A sampler writes sample j of a step to `x` (d coordinates) and its target to `y` (k numbers, or
/// the class of a softmax). Its random numbers are those of a [`SampleRng`], which is keyed on
/// `(seed, shard, step, j)`. If the sampler uses no others, the samples of a step are the same in a
/// run that resumes, for any number of threads, and for the first samples of a larger batch.
///
/// Ranks that hold parts of the particles use the same seed and shard, and so the same samples.
/// Ranks that each hold all particles and average over their own samples use one
/// [`shard`](Self::shard) each.
///
/// # Laws
/// - Value and gradient are unbiased estimates of those of the expected risk, by independent
///   samples.
/// - After `refresh(s)` the risk is a function of seed, shard and s.
///
/// ```
/// use wasserflow::prelude::*;
///
/// // y = |x| at standard normal points.
/// let sampler = |rng: &mut SampleRng, x: &mut [f64], y: &mut [f64]| {
///     x[0] = rng.normal();
///     y[0] = x[0].abs();
/// };
/// let risk = ExpectedRisk::new(Square, (1, 1), 32, 7, sampler)?;
/// let energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?;
/// let mut flow = ParticleFlow::new(energy, Euler, 0.1)?;
/// let start = wasserflow::nalgebra::DMatrix::from_column_slice(2, 2, &[1.0, -1.0, 1.0, 1.0]);
/// let mut state = flow.start(EmpiricalMeasure::uniform(start)?)?;
/// flow.run(&mut state, 200, &mut ())?;
/// assert!(state.energy() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// An invalid sample, such as a coordinate that is NaN, makes value and gradient NaN, and
/// [`check`](Risk::check) returns the reason. A flow returns it as
/// [`StepError::Parameter`](crate::error::StepError::Parameter), and keeps the state before the
/// step.
///
/// Cost: `O(b (d + k))` and b calls of the sampler a step. Nothing is allocated after the first
/// step.
///
/// Source: F. Bach, Gradient descent for wide two-layer neural networks, I: Global convergence,
/// 2020 (a single pass of stochastic gradient descent minimises the expected risk).
#[derive(Clone)]
pub struct ExpectedRisk<R, S> {
    risk: R,
    sampler: S,
    seed: u64,
    shard: u64,
    step: usize,
    /// The reason why the samples of the step are invalid.
    invalid: Option<ParameterError>,
}

impl<R: fmt::Debug, S> fmt::Debug for ExpectedRisk<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpectedRisk")
            .field("risk", &self.risk)
            .field("seed", &self.seed)
            .field("shard", &self.shard)
            .field("step", &self.step)
            .finish_non_exhaustive()
    }
}

impl<L, S, T> ExpectedRisk<EmpiricalRisk<L, T>, S>
where
    T: Real,
    L: Loss<T>,
    S: FnMut(&mut SampleRng, &mut [T], &mut [T]),
{
    /// The expectation of a loss: samples in `R^d` with k targets, `batch` of them a step.
    ///
    /// # Errors
    /// [`RiskError`] if d, k or `batch` is 0, the samples do not fit in memory, a parameter of the
    /// loss is invalid, or a sample of step 0 is.
    pub fn new(
        loss: L,
        (d, k): (usize, usize),
        batch: usize,
        seed: u64,
        mut sampler: S,
    ) -> Result<Self, RiskError> {
        check_size::<T>(d.max(k), batch)?;
        let (mut x, mut y) = (DMatrix::zeros(d, batch), DMatrix::zeros(k, batch));
        if d > 0 && k > 0 {
            let targets = y.as_mut_slice().chunks_exact_mut(k);
            let samples = x.as_mut_slice().chunks_exact_mut(d).zip(targets);
            for (j, (x, y)) in samples.enumerate() {
                sampler(&mut SampleRng::new(seed, 0, 0, j), x, y);
            }
        }
        let risk = EmpiricalRisk::with_outputs(loss, x, y)?;
        Ok(Self::assemble(risk, seed, sampler))
    }
}

impl<S, T> ExpectedRisk<SoftmaxCrossEntropy<T>, S>
where
    T: Real,
    S: FnMut(&mut SampleRng, &mut [T], &mut usize),
{
    /// The expectation of the softmax cross-entropy: samples in `R^d` with a class in
    /// `0..classes`, `batch` of them a step.
    ///
    /// ```
    /// use wasserflow::prelude::*;
    ///
    /// // The class is the half axis of x.
    /// let risk = ExpectedRisk::softmax((1, 2), 8, 7, |rng, x: &mut [f64], class| {
    ///     x[0] = rng.normal();
    ///     *class = usize::from(x[0] > 0.0);
    /// })?;
    /// assert!((risk.value(&[0.0; 16]) - f64::ln(2.0)).abs() < 1e-15);
    /// # Ok::<(), RiskError>(())
    /// ```
    ///
    /// # Errors
    /// As [`new`](ExpectedRisk::new).
    pub fn softmax(
        (d, classes): (usize, usize),
        batch: usize,
        seed: u64,
        sampler: S,
    ) -> Result<Self, RiskError> {
        check_size::<T>(d, batch)?;
        let risk = SoftmaxCrossEntropy::new(DMatrix::zeros(d, batch), vec![0; batch], classes)?;
        Self::of(risk, seed, sampler)
    }
}

impl<R, S> ExpectedRisk<R, S> {
    fn assemble(risk: R, seed: u64, sampler: S) -> Self {
        Self {
            risk,
            sampler,
            seed,
            shard: 0,
            step: 0,
            invalid: None,
        }
    }

    /// The risk of the samples of the step.
    pub fn samples(&self) -> &R {
        &self.risk
    }

    /// The expectation of any risk whose samples can be replaced: its number of samples is the
    /// batch, and its sample weights remain.
    ///
    /// # Errors
    /// [`RiskError`] if a sample of step 0 is invalid.
    pub fn of<T>(risk: R, seed: u64, sampler: S) -> Result<Self, RiskError>
    where
        T: Real,
        R: Refill<T>,
        S: FnMut(&mut SampleRng, &mut [T], &mut R::Target),
    {
        Self::assemble(risk, seed, sampler).shard(0)
    }

    /// Draws from the independent stream `shard` (0 by default): ranks that average over their own
    /// samples use one each.
    ///
    /// # Errors
    /// [`RiskError`] if a sample of the current step is invalid.
    pub fn shard<T>(mut self, shard: u64) -> Result<Self, RiskError>
    where
        T: Real,
        R: Refill<T>,
        S: FnMut(&mut SampleRng, &mut [T], &mut R::Target),
    {
        self.shard = shard;
        self.draw()?;
        Ok(self)
    }

    /// Replaces the samples by those of seed, shard and step.
    fn draw<T>(&mut self) -> Result<(), RiskError>
    where
        T: Real,
        R: Refill<T>,
        S: FnMut(&mut SampleRng, &mut [T], &mut R::Target),
    {
        let Self {
            risk,
            sampler,
            seed,
            shard,
            step,
            ..
        } = self;
        risk.refill(&mut |j, x, y| sampler(&mut SampleRng::new(*seed, *shard, *step, j), x, y))
    }

    /// Returns `value`, or NaN if the samples are invalid.
    fn valid<T: Real>(&self, value: T) -> T {
        if self.invalid.is_none() {
            value
        } else {
            real(f64::NAN)
        }
    }
}

impl<T, R, S> Risk<T> for ExpectedRisk<R, S>
where
    T: Real,
    R: Refill<T>,
    S: FnMut(&mut SampleRng, &mut [T], &mut R::Target),
{
    fn inputs(&self) -> &Inputs<T> {
        self.risk.inputs()
    }

    fn output_dim(&self) -> usize {
        self.risk.output_dim()
    }

    fn value(&self, h: &[T]) -> T {
        self.valid(self.risk.value(h))
    }

    fn value_and_gradient(&self, h: &[T], out: &mut [T]) -> T {
        self.valid(self.risk.value_and_gradient(h, out))
    }

    fn is_separable(&self) -> bool {
        self.risk.is_separable()
    }

    fn value_and_gradient_range(&self, samples: Range<usize>, h: &[T], out: &mut [T]) -> T {
        self.valid(self.risk.value_and_gradient_range(samples, h, out))
    }

    fn curvature(&self, h: &[T], u: &[T], out: &mut [T]) {
        self.risk.curvature(h, u, out);
    }

    fn kinks(&self, visit: &mut dyn FnMut(usize, Kink<T>)) {
        self.risk.kinks(visit);
    }

    fn refresh(&mut self, step: usize) -> bool {
        if step == self.step && self.invalid.is_none() {
            return false;
        }
        self.step = step;
        // Invalid until the draw returns, in case that the sampler panics.
        self.invalid = Some(ParameterError {
            name: "the sampler",
            requirement: "a function that returns",
            value: f64::NAN,
        });
        self.invalid = self.draw().err().map(reason);
        true
    }

    fn check(&self) -> Result<(), ParameterError> {
        match self.invalid {
            Some(error) => Err(error),
            None => self.risk.check(),
        }
    }
}

/// The reason why a drawn sample is invalid.
fn reason(error: RiskError) -> ParameterError {
    let (name, requirement, value) = match error {
        RiskError::Input { value, .. } => ("a coordinate of a drawn sample", "finite", value),
        RiskError::Target {
            requirement, value, ..
        } => ("the target of a drawn sample", requirement, value),
        RiskError::Parameter(error) => return error,
        _ => ("a drawn sample", "valid", f64::NAN),
    };
    ParameterError {
        name,
        requirement,
        value,
    }
}

/// Returns an error unless `batch` columns of `rows` scalars, and as many labels, fit in memory.
fn check_size<T: Real>(rows: usize, batch: usize) -> Result<(), RiskError> {
    let holds = is_allocatable::<T>(rows.max(1), batch) && is_allocatable::<usize>(1, batch);
    let requirement = "a number of samples that fit in memory";
    Ok(ParameterError::check(
        holds,
        "batch",
        requirement,
        batch as f64,
    )?)
}
