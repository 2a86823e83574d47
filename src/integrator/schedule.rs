//! Step-size schedules `dt(s, t)`, in place of a constant step size.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::ParameterError;
use crate::forward::forward;
use crate::real::{Real, real, to_f64};

/// A step-size schedule: the size `dt(s, t)` of the step from the state at time t, after s steps.
///
/// [`ParticleFlow::scheduled`](crate::ParticleFlow::scheduled) accepts it in place of `dt`. A
/// schedule is a function of its arguments, so that a run that resumes from a state takes the same
/// steps. [`from_fn`](crate::integrator::from_fn) makes one of a closure.
///
/// Adaptive methods control their steps: their proposals have precedence, and a schedule sets the
/// size of their first step only. A proximal step may be shorter than the schedule.
///
/// # Laws
/// - `dt(s, t)` is positive and finite. A flow checks the value before every step and returns
///   [`StepError::Parameter`](crate::error::StepError::Parameter) otherwise.
/// - It is a function of s and t only, and the same on all ranks.
///
/// ```
/// use wasserflow::prelude::*;
///
/// /// `dt = eta / (s + 1)`.
/// struct Harmonic(f64);
/// impl Schedule<f64> for Harmonic {
///     fn step_size(&self, step: usize, _: f64) -> f64 {
///         self.0 / (step as f64 + 1.0)
///     }
/// }
/// assert_eq!(Harmonic(1.0).step_size(3, 2.5), 0.25);
/// ```
pub trait Schedule<T: Real> {
    /// `dt(s, t)`, the size of the step from the state with the given step count s and time t.
    fn step_size(&self, step: usize, time: T) -> T;
}

forward! {
    impl[T: Real, S: Schedule<T> + ?Sized] Schedule<T>; for &S, &mut S, Box<S>, Rc<S>, Arc<S>; {
        fn step_size(&self, step: usize, time: T) -> T;
    }
}

/// The constant step size `dt(s, t) = dt`, for compositions such as [`WarmUp`].
///
/// ```
/// use wasserflow::prelude::*;
///
/// assert_eq!(Constant::new(0.5)?.step_size(7, 3.5), 0.5);
/// # Ok::<(), ParameterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(deserialize = "T: Real + serde::Deserialize<'de>"))
)]
pub struct Constant<T> {
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_dt"))]
    dt: T,
}

impl<T: Real> Constant<T> {
    /// The constant step size `dt > 0`.
    ///
    /// # Errors
    /// [`ParameterError`] if `dt` is not positive and finite.
    pub fn new(dt: T) -> Result<Self, ParameterError> {
        ParameterError::check_positive("dt", to_f64(dt))?;
        Ok(Self { dt })
    }
}

impl<T: Real> Schedule<T> for Constant<T> {
    fn step_size(&self, _: usize, _: T) -> T {
        self.dt
    }
}

/// The step size `eta / sqrt(1 + s / scale)` in steps s, or `eta / sqrt(1 + t / scale)` in time t.
///
/// With `scale = 1` in steps it is `eta / sqrt(s + 1)`: the sum of the steps diverges, and that of
/// their squares grows like a logarithm. In time, the time after s steps grows like `s^(2/3)`.
///
/// ```
/// use wasserflow::prelude::*;
///
/// assert_eq!(InverseSqrt::in_steps(0.6, 1.0)?.step_size(3, 0.0), 0.3);
/// assert_eq!(InverseSqrt::in_time(0.75, 1.0)?.step_size(0, 8.0), 0.25);
/// # Ok::<(), ParameterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(deserialize = "T: Real + serde::Deserialize<'de>"))
)]
pub struct InverseSqrt<T> {
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_eta"))]
    eta: T,
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_scale"))]
    scale: T,
    in_time: bool,
}

impl<T: Real> InverseSqrt<T> {
    /// `dt(s, t) = eta / sqrt(1 + s / scale)` with `eta > 0` and `scale > 0` steps.
    ///
    /// # Errors
    /// [`ParameterError`] if a parameter is not positive and finite.
    pub fn in_steps(eta: T, scale: T) -> Result<Self, ParameterError> {
        Self::new(eta, scale, false)
    }

    /// `dt(s, t) = eta / sqrt(1 + t / scale)` with `eta > 0` and a time `scale > 0`.
    ///
    /// # Errors
    /// As [`in_steps`](Self::in_steps).
    pub fn in_time(eta: T, scale: T) -> Result<Self, ParameterError> {
        Self::new(eta, scale, true)
    }

    fn new(eta: T, scale: T, in_time: bool) -> Result<Self, ParameterError> {
        ParameterError::check_positive("eta", to_f64(eta))?;
        ParameterError::check_positive("scale", to_f64(scale))?;
        Ok(Self {
            eta,
            scale,
            in_time,
        })
    }
}

impl<T: Real> Schedule<T> for InverseSqrt<T> {
    fn step_size(&self, step: usize, time: T) -> T {
        let clock = if self.in_time { time } else { count(step) };
        self.eta / (T::one() + clock / self.scale).sqrt()
    }
}

/// Cosine annealing: `dt(s, t) = last + (first - last) (1 + cos(pi s / S)) / 2` for `s < S`, and
/// `last` from step S on.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let cosine = Cosine::new(0.3, 0.1, 100)?;
/// let at = |step| cosine.step_size(step, 0.0);
/// assert_eq!((at(0), at(100), at(1000)), (0.3, 0.1, 0.1));
/// assert!(f64::abs(at(50) - 0.2) < 1e-15);
/// # Ok::<(), ParameterError>(())
/// ```
///
/// Source: I. Loshchilov and F. Hutter, SGDR: stochastic gradient descent with warm restarts, 2017
/// (without restarts).
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(deserialize = "T: Real + serde::Deserialize<'de>"))
)]
pub struct Cosine<T> {
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_first"))]
    first: T,
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_last"))]
    last: T,
    steps: usize,
}

impl<T: Real> Cosine<T> {
    /// From `first > 0` at step 0 to `last > 0` at the step `steps`.
    ///
    /// # Errors
    /// [`ParameterError`] if a step size is not positive and finite.
    pub fn new(first: T, last: T, steps: usize) -> Result<Self, ParameterError> {
        ParameterError::check_positive("first", to_f64(first))?;
        ParameterError::check_positive("last", to_f64(last))?;
        Ok(Self { first, last, steps })
    }
}

impl<T: Real> Schedule<T> for Cosine<T> {
    fn step_size(&self, step: usize, _: T) -> T {
        if step == 0 && self.steps > 0 {
            return self.first;
        }
        if step >= self.steps {
            return self.last;
        }
        let angle = std::f64::consts::PI * (step as f64 / self.steps as f64);
        let share = real::<T>(0.5 + 0.5 * angle.cos());
        // A convex combination: the difference of the two sizes may overflow.
        self.first * share + self.last * (T::one() - share)
    }
}

/// Linear warm-up of another schedule: `min(1, (s + 1) / S) dt(s, t)`.
///
/// The steps of the other schedule are counted from step 0, the warm-up included. `S = 0` is the
/// other schedule.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let warm = WarmUp::new(4, Constant::new(0.8)?);
/// let sizes: Vec<_> = (0..6).map(|step| warm.step_size(step, 0.0)).collect();
/// assert_eq!(sizes, [0.2, 0.4, 0.75 * 0.8, 0.8, 0.8, 0.8]);
/// # Ok::<(), ParameterError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WarmUp<S> {
    steps: usize,
    schedule: S,
}

impl<S> WarmUp<S> {
    /// The warm-up of `schedule` over `steps` steps.
    pub fn new(steps: usize, schedule: S) -> Self {
        Self { steps, schedule }
    }
}

impl<T: Real, S: Schedule<T>> Schedule<T> for WarmUp<S> {
    fn step_size(&self, step: usize, time: T) -> T {
        let dt = self.schedule.step_size(step, time);
        if step >= self.steps {
            return dt;
        }
        dt * real((step as f64 + 1.0) / self.steps as f64)
    }
}

/// A piecewise constant step size: `first`, then `dt_i` from step `s_i` on.
///
/// ```
/// use wasserflow::prelude::*;
///
/// let decayed = Piecewise::new(0.5, vec![(100, 0.05), (200, 0.005)])?;
/// let at = |step| decayed.step_size(step, 0.0);
/// assert_eq!((at(99), at(100), at(200)), (0.5, 0.05, 0.005));
/// # Ok::<(), ParameterError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(deserialize = "T: Real + serde::Deserialize<'de>"))
)]
pub struct Piecewise<T> {
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_first"))]
    first: T,
    #[cfg_attr(feature = "serde", serde(deserialize_with = "decode_changes"))]
    changes: Vec<(usize, T)>,
}

impl<T: Real> Piecewise<T> {
    /// The size `first > 0`, and the changes `(s_i, dt_i)` with increasing steps `s_i`.
    ///
    /// # Errors
    /// [`ParameterError`] if a size is not positive and finite, or the steps do not increase.
    pub fn new(first: T, changes: Vec<(usize, T)>) -> Result<Self, ParameterError> {
        ParameterError::check_positive("first", to_f64(first))?;
        for (i, &(step, dt)) in changes.iter().enumerate() {
            ParameterError::check_positive("a step size", to_f64(dt))?;
            let increases = i == 0 || changes[i - 1].0 < step;
            let requirement = "above the step of the previous change";
            ParameterError::check(increases, "the step of a change", requirement, step as f64)?;
        }
        Ok(Self { first, changes })
    }
}

impl<T: Real> Schedule<T> for Piecewise<T> {
    fn step_size(&self, step: usize, _: T) -> T {
        let before = self.changes.partition_point(|&(change, _)| change <= step);
        before
            .checked_sub(1)
            .map_or(self.first, |last| self.changes[last].1)
    }
}

#[cfg(feature = "serde")]
fn decode_changes<'de, T, D>(decoder: D) -> Result<Vec<(usize, T)>, D::Error>
where
    T: Real + serde::Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    crate::encoding::checked(decoder, |changes: &Vec<(usize, T)>| {
        Piecewise::new(T::one(), changes.clone()).map(drop)
    })
}

#[cfg(feature = "serde")]
macro_rules! decode_positive {
    ($($function:ident $name:literal),*) => {$(
        fn $function<'de, T, D>(decoder: D) -> Result<T, D::Error>
        where
            T: Real + serde::Deserialize<'de>,
            D: serde::Deserializer<'de>,
        {
            crate::encoding::checked(decoder, |&value: &T| {
                ParameterError::check_positive($name, to_f64(value))
            })
        }
    )*};
}
#[cfg(feature = "serde")]
decode_positive!(decode_dt "dt", decode_eta "eta", decode_scale "scale", decode_first "first", decode_last "last");

/// The schedule of the closure `f(s, t)`.
///
/// ```
/// use wasserflow::integrator::from_fn;
/// use wasserflow::prelude::*;
///
/// let halved = from_fn(|step, _| 0.5_f64.powi(1 + step as i32 / 100));
/// assert_eq!(halved.step_size(250, 1.0), 0.125);
/// ```
pub fn from_fn<T: Real, F: Fn(usize, T) -> T>(f: F) -> ScheduleFn<F> {
    ScheduleFn(f)
}

/// The schedule of a closure, constructed by [`from_fn`].
#[derive(Clone, Copy)]
pub struct ScheduleFn<F>(F);

impl<F> fmt::Debug for ScheduleFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScheduleFn")
    }
}

impl<T: Real, F: Fn(usize, T) -> T> Schedule<T> for ScheduleFn<F> {
    fn step_size(&self, step: usize, time: T) -> T {
        (self.0)(step, time)
    }
}

/// The number of steps as a scalar.
fn count<T: Real>(step: usize) -> T {
    real(step as f64)
}
