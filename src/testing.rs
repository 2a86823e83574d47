//! The law kit: checks that an implementation of a trait satisfies the laws of the trait (features
//! `testing` and `proptest`).
//!
//! A check is a function that returns `Result<(), Violation>`. A [`Violation`] reports the law,
//! what was found, and where. Laws are identities and inequalities. Their tolerance is a multiple
//! of the epsilon of the scalar. The points are passed in or drawn from a seed.
//!
//! A value is checked against its derivative by `f(1) - f(0) = int_0^1 f'(t) dt`. This holds across
//! kinks, so the positions of the kinks need not be given.
//!
//! | trait | checks | macros |
//! |---|---|---|
//! | [`Activation`] | [`check_activation`], [`check_homogeneous_activation`] | `activation_laws!` |
//! | [`Loss`] | [`check_loss`] | `loss_laws!` |
//! | [`Risk`] | [`check_risk`], [`check_resampled_risk`] | `risk_laws!` |
//! | [`FeatureMap`] | [`check_feature_map`], [`check_homogeneity`] | `feature_map_laws!` |
//! | [`Energy`] | [`check_energy`], [`check_energy_within`], [`check_singular_energy`], [`check_convexity`], [`check_resampled_energy`] | `energy_laws!` |
//! | [`Certifiable`] | [`check_certificate`] | `certificate_laws!` |
//! | [`Integrator`] | [`check_integrator`], [`check_momentum_integrator`], [`check_jko`], [`check_proximal_step`], [`check_distributed_step`] | `integrator_laws!` |
//! | [`Potential`] | [`check_potential`] | `potential_laws!` |
//! | [`Interaction`] | [`check_interaction`], [`check_conditionally_positive`] | `interaction_laws!` |
//! | [`Score`], [`RadialKernel`] | [`check_score`], [`check_radial_kernel`] | |
//! | [`Kernel`] | [`check_kernel`] | `kernel_laws!` |
//! | [`AllReduce`] | [`check_all_reduce`], [`check_distributed`], [`check_distributed_flow`] | |
//!
//! The macros need the feature `proptest`. In one line of a dependent crate they test a component
//! in both precisions, for many points, shapes and seeds:
//!
//! ```
//! # #[cfg(feature = "proptest")]
//! use wasserflow::testing::activation_laws;
//!
//! # #[cfg(feature = "proptest")]
//! activation_laws!(rectifier: wasserflow::prelude::Relu, homogeneous);
//! ```
//!
//! They are also exported at the root of the crate, as `wasserflow::activation_laws!`.
//!
//! [`problems`] contains problems with known solutions.
//!
//! [`Activation`]: crate::activation::Activation
//! [`Loss`]: crate::loss::Loss
//! [`Risk`]: crate::risk::Risk
//! [`FeatureMap`]: crate::feature::FeatureMap
//! [`Energy`]: crate::energy::Energy
//! [`Certifiable`]: crate::optimality::Certifiable
//! [`Integrator`]: crate::integrator::Integrator
//! [`Potential`]: crate::energy::Potential
//! [`Interaction`]: crate::energy::Interaction
//! [`Score`]: crate::energy::Score
//! [`RadialKernel`]: crate::energy::RadialKernel
//! [`Kernel`]: crate::energy::Kernel
//! [`AllReduce`]: crate::ranks::AllReduce

mod accumulation;
mod activation;
mod case;
mod certificate;
mod convexity;
mod derivative;
mod energy;
mod evaluation;
mod feature_map;
mod homogeneity;
mod integrator;
mod interaction;
mod kernel;
mod loss;
#[cfg(feature = "proptest")]
mod macros;
mod potential;
pub mod problems;
mod proximal;
mod quadrature;
mod radial;
mod ranks;
mod resampling;
mod risk;
mod rounding;
mod score;
#[cfg(feature = "proptest")]
pub mod strategies;
mod violation;

pub use activation::{check_activation, check_homogeneous_activation};
pub use case::{Case, CaseRng};
pub use certificate::check_certificate;
pub use convexity::check_convexity;
pub use energy::{check_energy, check_energy_within, check_singular_energy};
pub use feature_map::{ProvidedBatches, check_batches, check_feature_map, check_same_map};
pub use homogeneity::check_homogeneity;
pub use integrator::{check_integrator, check_momentum_integrator};
pub use interaction::{check_conditionally_positive, check_interaction};
pub use kernel::check_kernel;
pub use loss::{accepted_target, check_loss};
#[cfg(feature = "proptest")]
#[doc(inline)]
pub use macros::{
    activation_laws, certificate_laws, energy_laws, feature_map_laws, integrator_laws,
    interaction_laws, kernel_laws, loss_laws, potential_laws, risk_laws,
};
pub use potential::check_potential;
pub use proximal::{check_distributed_step, check_jko, check_proximal_step};
pub use ranks::{Rank, check_all_reduce, check_distributed, check_distributed_flow};
pub use resampling::{check_resampled_energy, check_resampled_risk};
pub use risk::check_risk;
pub use score::{check_radial_kernel, check_score};
pub use violation::{Failure, Violation};

/// The crate `proptest` in the version of the strategies.
#[cfg(feature = "proptest")]
#[doc(hidden)]
pub use proptest;
