#![doc = include_str!("../docs/crate.md")]

pub use nalgebra;

mod activation;
mod energy;
mod error;
mod feature;
mod flow;
mod inputs;
mod integrator;
mod measure;
pub mod observe;
mod real;
mod risk;
mod state;

pub use activation::{
    Abs, Activation, Erf, Gelu, Homogeneous, Identity, LeakyRelu, Relu, ReluPower, Sigmoid, Silu, Sine, Softplus, Tanh,
};
pub use energy::{
    ArcCosine, Energy, Gaussian, Kernel, Lifted, MeanFieldRisk, Mmd, Potential, PotentialEnergy, Reduce, Sum,
    WeightDecay,
};
pub use error::{MeasureError, ParameterError, RiskError, ShapeError, StepError};
pub use feature::{FeatureMap, Radial, Ridge, Workspace};
pub use flow::{ParticleFlow, StartError};
pub use inputs::{Inputs, with_bias};
pub use integrator::{DormandPrince, Euler, Heun, Integrator, Jko, Polished, Rk4, Step, polish};
pub use measure::{EmpiricalMeasure, init};
pub use observe::{Observer, StopReason};
pub use real::{Real, real};
pub use risk::{
    EmpiricalRisk, Exponential, Hinge, Huber, Logistic, Loss, Quantile, Risk, SmoothHinge, SoftmaxCrossEntropy, Square,
};
pub use state::State;
