//! The metric speed of a flow in the Wasserstein space.

use std::ops::ControlFlow;

use super::{Coupling, w2};
use crate::measure::EmpiricalMeasure;
use crate::observe::{Observer, StopReason};
use crate::real::{Real, real};
use crate::state::State;

/// The speed of a run between two successive states, mu_k and mu_{k+1}.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Speed<T> {
    /// The time of the later state.
    pub time: T,
    /// `W_2(mu_k, mu_{k+1})`, infinite if the masses differ by more than rounding.
    pub distance: T,
    /// The metric speed `W_2(mu_k, mu_{k+1}) / dt`.
    pub metric: T,
    /// The speed `(int |v|^2 dmu)^(1/2)` at the earlier state, the root of the dissipation. Along a
    /// smooth gradient flow it agrees with the metric speed as `dt -> 0`. It is 0 if the squares
    /// underflow, below about 1e-162 (f32: 1e-23).
    pub velocity: T,
}

/// Observer of the metric speed `|mu'| = lim W_2(mu_t, mu_{t+dt}) / dt` of a flow, and of the root
/// of its dissipation.
///
/// `W_2` is at most the root mean square displacement of the particles. It is less if another
/// assignment of the particles is shorter.
///
/// - If the mass changes by more than rounding, no coupling exists: `distance` and `metric` are
///   infinite.
/// - A step that takes no time is not recorded.
/// - A state of fewer steps, of an earlier time or of another dimension than the previous one is
///   the start of another run: it is not compared with the previous one.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::transport::MetricSpeed;
/// use wasserflow::prelude::*;
///
/// let mut flow = ParticleFlow::new(PotentialEnergy::new(WeightDecay::new(0.5)?, 2), Euler, 0.1)?;
/// let points = DMatrix::from_row_slice(2, 2, &[1.0_f64, 2.0, 3.0, 5.0]);
/// let mut state = flow.start(EmpiricalMeasure::uniform(points)?)?;
/// let mut speed = MetricSpeed::new();
/// flow.run(&mut state, 10, &mut speed)?;
/// assert_eq!(speed.records().len(), 10);
/// for record in speed.records() {
///     // An Euler step moves each particle by dt v.
///     assert!((record.metric - record.velocity).abs() < 1e-12);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct MetricSpeed<T> {
    previous: Option<Previous<T>>,
    /// The coupling of the last two states: the warm start of the next.
    coupling: Option<Coupling<T>>,
    records: Vec<Speed<T>>,
}

/// The previously observed state.
#[derive(Debug, Clone)]
struct Previous<T> {
    measure: EmpiricalMeasure<T>,
    step: usize,
    time: T,
    /// `(int |v|^2 dmu)^(1/2)`.
    velocity: T,
}

impl<T> Default for MetricSpeed<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> MetricSpeed<T> {
    /// An observer without records.
    pub fn new() -> Self {
        Self {
            previous: None,
            coupling: None,
            records: Vec::new(),
        }
    }

    /// The recorded speeds, one for each step, in the order of time.
    pub fn records(&self) -> &[Speed<T>] {
        &self.records
    }
}

impl<T: Real> MetricSpeed<T> {
    /// Records the step from the previous state to a state of `measure` at `time`.
    fn record(&mut self, previous: &Previous<T>, measure: &EmpiricalMeasure<T>, time: T) {
        let coupling = match &self.coupling {
            Some(coupling) => coupling.update(&previous.measure, measure),
            None => w2(&previous.measure, measure),
        };
        // The measures of states are valid and of one dimension, so that an error is one of mass.
        let distance = match &coupling {
            Ok(coupling) => coupling.distance(),
            Err(_) => real(f64::INFINITY),
        };
        self.records.push(Speed {
            time,
            distance,
            metric: distance / (time - previous.time),
            velocity: previous.velocity,
        });
        self.coupling = coupling.ok();
    }
}

impl<T: Real> Observer<T> for MetricSpeed<T> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        let (measure, step, time) = (state.measure(), state.step(), state.time());
        if let Some(previous) = self.previous.take() {
            let same_run = previous.step <= step
                && previous.time <= time
                && previous.measure.dim() == measure.dim();
            if !same_run {
                self.coupling = None;
            } else if previous.time < time {
                self.record(&previous, measure, time);
            }
        }
        self.previous = Some(Previous {
            measure: measure.clone(),
            step,
            time,
            velocity: state.dissipation().sqrt(),
        });
        ControlFlow::Continue(())
    }
}
