//! The metric speed of a flow in the Wasserstein space.

use std::ops::ControlFlow;

use super::{Coupling, w2};
use crate::measure::EmpiricalMeasure;
use crate::observe::{Observer, StopReason};
use crate::real::Real;
use crate::state::State;

/// The speed of a run between two successive states, mu_k and mu_{k+1}.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Speed<T> {
    /// The time of the later state.
    pub time: T,
    /// `W_2(mu_k, mu_{k+1})`.
    pub distance: T,
    /// The metric speed `W_2(mu_k, mu_{k+1}) / dt`.
    pub metric: T,
    /// The speed `(int |v|^2 dmu)^(1/2)` by the dissipation, at the earlier state. Along a smooth
    /// gradient flow it agrees with the metric speed as `dt -> 0`.
    pub velocity: T,
}

/// Observer of the metric speed `|mu'| = lim W_2(mu_t, mu_{t+dt}) / dt` of a flow, and of the root
/// of its dissipation.
///
/// `W_2` is at most the root mean square displacement of the particles. It is less if another
/// assignment of the particles is shorter. A step that takes no time or changes the mass is not
/// recorded.
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

impl<T: Real> Observer<T> for MetricSpeed<T> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        let (measure, time) = (state.measure(), state.time());
        if let Some(previous) = &self.previous
            && time > previous.time
        {
            let coupling = match &self.coupling {
                Some(coupling) => coupling.update(&previous.measure, measure),
                None => w2(&previous.measure, measure),
            };
            if let Ok(coupling) = &coupling {
                let distance = coupling.distance();
                self.records.push(Speed {
                    time,
                    distance,
                    metric: distance / (time - previous.time),
                    velocity: previous.velocity,
                });
            }
            self.coupling = coupling.ok();
        }
        self.previous = Some(Previous {
            measure: measure.clone(),
            time,
            velocity: state.dissipation().sqrt(),
        });
        ControlFlow::Continue(())
    }
}
