//! How fast a flow moves, measured by transport.

use std::ops::ControlFlow;

use super::Coupling;
use super::w2;
use crate::measure::EmpiricalMeasure;
use crate::observe::{Observer, StopReason};
use crate::real::Real;
use crate::state::State;

/// Two successive states of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Speed<T> {
    /// The time of the later state.
    pub time: T,
    /// `W_2(mu_k, mu_{k+1})`.
    pub distance: T,
    /// The metric speed `W_2(mu_k, mu_{k+1}) / dt`.
    pub metric: T,
    /// `sqrt(int |v|^2 dmu)` at the earlier state: along a smooth gradient flow both agree as `dt -> 0`.
    pub velocity: T,
}

/// Observes the metric speed `|mu'| = lim W_2(mu_t, mu_{t+dt}) / dt` of a flow, beside the root of its dissipation.
///
/// The particles say how far each of them went; the measure went at most as far, and less where another matching of the
/// particles is shorter. Nothing is recorded across a step that takes no time or changes the mass.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::transport::MetricSpeed;
/// use wasserflow::prelude::*;
///
/// let mut flow = ParticleFlow::new(PotentialEnergy::new(WeightDecay::new(0.5)?, 2), Euler, 0.1)?;
/// let mut state = flow.start(EmpiricalMeasure::uniform(DMatrix::from_row_slice(2, 2, &[1.0_f64, 2.0, 3.0, 5.0]))?)?;
/// let mut speed = MetricSpeed::new();
/// flow.run(&mut state, 10, &mut speed)?;
/// assert_eq!(speed.records().len(), 10);
/// for record in speed.records() {
///     assert!((record.metric - record.velocity).abs() < 1e-12); // an Euler step moves straight, by dt v
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct MetricSpeed<T> {
    last: Option<(EmpiricalMeasure<T>, T, T)>,
    near: Option<Coupling<T>>,
    records: Vec<Speed<T>>,
}

impl<T> Default for MetricSpeed<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> MetricSpeed<T> {
    /// An empty record.
    pub fn new() -> Self {
        Self {
            last: None,
            near: None,
            records: Vec::new(),
        }
    }

    /// One record a step.
    pub fn records(&self) -> &[Speed<T>] {
        &self.records
    }
}

impl<T: Real> Observer<T> for MetricSpeed<T> {
    fn observe(&mut self, state: &State<T>) -> ControlFlow<StopReason> {
        let (mu, time) = (state.measure(), state.time());
        if let Some((last, then, velocity)) = &self.last
            && time > *then
        {
            let coupling = match &self.near {
                Some(near) => near.update(last, mu),
                None => w2(last, mu),
            };
            if let Ok(coupling) = &coupling {
                let distance = coupling.distance();
                let metric = distance / (time - *then);
                self.records.push(Speed {
                    time,
                    distance,
                    metric,
                    velocity: *velocity,
                });
            }
            self.near = coupling.ok();
        }
        self.last = Some((mu.clone(), time, state.dissipation().sqrt()));
        ControlFlow::Continue(())
    }
}
