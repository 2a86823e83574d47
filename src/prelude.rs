//! The names that most programs need: `use wasserflow::prelude::*;`.
//!
//! The traits, components, drivers and errors of flows; and modules whose items are written with
//! their path, such as `init::sphere`, `observe::Trace` or `optimality::certify`.

pub use crate::activation::{
    Abs, Activation, Erf, Gelu, Homogeneous, Identity, LeakyRelu, Relu, ReluPower, Sigmoid, Silu,
    Sine, Slopes, Softplus, Tanh,
};
pub use crate::energy::{
    AllReduce, ArcCosine, Energy, Gaussian, Kernel, MeanFieldRisk, Mmd, Potential, PotentialEnergy,
    Sum, WeightDecay, WithOutputWeight,
};
pub use crate::error::{
    EnergyError, MeasureError, ParameterError, RiskError, ShapeError, StepError,
};
pub use crate::feature::{FeatureMap, PredictionGradient, Radial, Ridge, Workspace, predict};
pub use crate::flow::{ParticleFlow, StartError};
pub use crate::inputs::{Inputs, with_bias};
pub use crate::integrator::{
    Conic, DormandPrince, Euler, Heun, Integrator, Jko, Polished, Rk4, Step, polish,
};
pub use crate::io::{ArchiveError, Archived, FileError, Named};
pub use crate::loss::{Exponential, Hinge, Huber, Logistic, Loss, Quantile, SmoothHinge, Square};
pub use crate::measure::{EmpiricalMeasure, init};
pub use crate::observe::{Observer, StopReason};
pub use crate::real::{Real, real};
pub use crate::risk::{EmpiricalRisk, Risk, SoftmaxCrossEntropy};
pub use crate::state::State;
pub use crate::{io, nalgebra, observe, optimality, sparse, study, transport};
