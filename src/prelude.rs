//! The names that most programs need: `use wasserflow::prelude::*;`.
//!
//! The traits, components, drivers and errors of flows; and modules whose items are written with
//! their path, such as `init::sphere`, `observe::Trace` or `optimality::certify`.

pub use crate::activation::{
    Abs, Activation, Erf, Gelu, Homogeneous, Identity, LeakyRelu, Relu, ReluPower, Sigmoid, Silu,
    Sine, Slopes, Softplus, Tanh,
};
pub use crate::data::{DataError, Labels, Split, Standardizer, Table, TableError};
pub use crate::energy::{
    ArcCosine, Blob, ConditionallyPositive, Energy, EnergyDistance, Frozen, Gathered, Gaussian,
    GaussianInteraction, Interaction, InteractionEnergy, InverseMultiquadric, Kernel,
    MeanFieldRisk, Mmd, Potential, PotentialEnergy, PowerLaw, RadialKernel, Riesz, Score,
    SteinDiscrepancy, Sum, SumOverRanks, WeightDecay, WithOutputWeight,
};
pub use crate::error::{
    EnergyError, MeasureError, ParameterError, RiskError, ShapeError, StepError,
};
pub use crate::feature::{FeatureMap, PredictionGradient, Radial, Ridge, Workspace, predict};
pub use crate::flow::{ParticleFlow, StartError};
pub use crate::inputs::{Inputs, with_bias};
pub use crate::integrator::{
    BirthDeath, Conic, Constant, Cosine, DormandPrince, Euler, HeavyBall, Heun, Integrator,
    InverseSqrt, Jko, KineticLangevin, Langevin, Piecewise, Polished, Rk4, Schedule, Step, Svgd,
    WarmUp, polish,
};
pub use crate::io::{ArchiveError, Archived, FileError, Named};
pub use crate::loss::{Exponential, Hinge, Huber, Logistic, Loss, Quantile, SmoothHinge, Square};
pub use crate::measure::{EmpiricalMeasure, init};
pub use crate::network::Network;
pub use crate::observe::{Observer, StopReason};
pub use crate::ranks::AllReduce;
pub use crate::real::{Real, real};
pub use crate::risk::{
    EmpiricalRisk, ExpectedRisk, MinibatchRisk, Refill, Risk, SampleRng, SoftmaxCrossEntropy,
};
pub use crate::state::State;
pub use crate::{data, io, measure, nalgebra, observe, optimality, sparse, study, transport};
