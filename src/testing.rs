//! The law kit: checks that a part of a flow keeps the laws that its trait states (features `testing` and `proptest`).
//!
//! A check is a plain function that returns `Result<(), Violation>`: the law as an equation, by how much it fails, and where.
//! It measures a slope or an identity, with a tolerance from the epsilon of the scalar, at points that it is given or draws
//! from a seed. Nobody has to say where kinks are: a value is tied to its derivative by
//! `f(1) - f(0) = int_0^1 f'(t) dt`, which holds across them.
//!
//! | part | check | macro |
//! |---|---|---|
//! | [`Activation`](crate::activation::Activation) | [`check_activation`], [`check_homogeneous_activation`] | `activation_laws!` |
//! | [`Loss`](crate::loss::Loss) | [`check_loss`] | `loss_laws!` |
//! | [`Risk`](crate::risk::Risk) | [`check_risk`] | `risk_laws!` |
//! | [`FeatureMap`](crate::feature::FeatureMap) | [`check_feature_map`], [`check_homogeneity`] | `feature_map_laws!` |
//! | [`Energy`](crate::energy::Energy) | [`check_energy`], [`check_convexity`] | `energy_laws!` |
//! | [`Integrator`](crate::integrator::Integrator) | [`check_integrator`], [`check_jko`], [`check_proximal_step`] | `integrator_laws!` |
//! | [`Potential`](crate::energy::Potential), [`Kernel`](crate::energy::Kernel) | [`check_potential`], [`check_kernel`] | `potential_laws!`, `kernel_laws!` |
//! | [`AllReduce`](crate::energy::AllReduce) | [`check_all_reduce`], [`check_distributed`] | |
//!
//! With the feature `proptest` the macros, at the root of the crate, test a part over many points, shapes and seeds in both
//! precisions, in one line of a dependent crate:
//!
//! ```
//! # #[cfg(feature = "proptest")]
//! wasserflow::activation_laws!(rectifier: wasserflow::prelude::Relu, homogeneous);
//! ```
//!
//! [`problems`] holds tasks whose answers are known.

mod activation;
mod case;
mod convexity;
mod energy;
mod feature_map;
mod homogeneity;
mod integrator;
mod loss;
#[cfg(feature = "proptest")]
mod macros;
mod potential;
pub mod problems;
mod proximal;
mod ranks;
mod risk;
mod slope;
#[cfg(feature = "proptest")]
pub mod strategies;
mod violation;

pub use activation::{check_activation, check_homogeneous_activation};
pub use case::{Case, Draws};
pub use convexity::check_convexity;
pub use energy::check_energy;
pub use feature_map::{Plain, check_batches, check_feature_map, check_same_map};
pub use homogeneity::check_homogeneity;
pub use integrator::check_integrator;
pub use loss::{accepted_target, check_loss};
pub use potential::{check_kernel, check_potential};
pub use proximal::{check_jko, check_proximal_step};
pub use ranks::{Rank, check_all_reduce, check_distributed};
pub use risk::check_risk;
pub use violation::Violation;

/// The version of proptest that the strategies are of.
#[cfg(feature = "proptest")]
#[doc(hidden)]
pub use proptest;
