//! Wasserstein gradient flows of convex functionals of a measure, by particles.
//!
//! $$F(\mu) = R\Big(\int \Phi(w) \thinspace d\mu(w)\Big) + \int V \thinspace d\mu, \qquad
//! \frac{dw_i}{dt} = -\nabla_w F'(\mu_t)(w_i), \qquad \mu_t = \sum_i c_i \thinspace
//! \delta_{w_i(t)}$$
//!
//! A measure `mu` over particles `w` predicts `h(x) = int Phi(w)(x) dmu(w)`, and `R` is a convex
//! risk of the predictions. Training a wide two-layer network by gradient descent is the gradient
//! flow of `F` in the Wasserstein geometry: a particle is a neuron, `Phi(a, b)(x) = a sigma(b.x)`.
//! `F` is convex in the measure. With 2-homogeneous, sufficiently regular neurons and an initial
//! measure with mass in all directions, the flow converges to a global minimum if it converges
//! (Chizat and Bach 2018, arXiv:1805.09545). The rectifier on finitely many samples is not regular
//! in this sense; for it a [certificate](optimality) is a proved upper bound of `F(mu) - F*`, the
//! excess of a given measure over the global minimum.
//!
//! ```
//! use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
//! use wasserflow::nalgebra::DVector;
//! use wasserflow::observe::UntilTarget;
//! use wasserflow::prelude::*;
//!
//! let mut rng = ChaCha8Rng::seed_from_u64(7);
//! let x = init::gaussian(2, 100, 1.0, &mut rng)?.into_points();
//! let y = DVector::from_fn(100, |j, _| f64::abs(x[(0, j)]));
//!
//! let risk = EmpiricalRisk::new(Square, x, y)?;
//! let energy = MeanFieldRisk::new(Ridge::new(Relu, 2), risk)?;
//! let mut flow = ParticleFlow::new(energy, Euler, 0.2)?;
//! let mut state = flow.start(init::sphere(3, 50, &mut rng)?)?;
//! let reason = flow.run(&mut state, 5_000, &mut UntilTarget::new(1e-4)?)?;
//! assert_eq!(reason, StopReason::Target);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The traits and components of flows are in [`prelude`], the most common ones also at the root.
//! Initial measures, observers, certificates, sparse methods and distances are in the modules
//! [`init`], [`observe`], [`optimality`], [`sparse`] and [`transport`].
//!
//! # Modules
//!
//! Data flows down this list: a module uses only modules above it.
//!
//! | module | contents |
//! | --- | --- |
//! | [`Real`] | the scalar type, `f32` or `f64` |
//! | [`measure`], [`init`] | empirical measures `mu = sum_i c_i delta(w_i)` and initial measures |
//! | [`inputs`] | the sample points `x_j` |
//! | [`data`] | tables, labels, splits and standardisation |
//! | [`activation`] | activations `sigma: R -> R` |
//! | [`loss`] | losses `l(y, h)` |
//! | [`risk`] | convex risks `R(h)`, of all samples, of minibatches, of fresh samples |
//! | [`feature`] | feature maps `Phi(w)(x)` in `R^k` |
//! | [`energy`] | energies `F(mu)` with their velocity fields |
//! | [`optimality`] | certificates of global optimality |
//! | [`state`] | `mu_t` with its velocity, energy and time |
//! | [`integrator`] | one-step methods, schedules of the step size |
//! | [`io`] | files of measures and states that NumPy and PyTorch read |
//! | [`observe`] | recording and stopping rules |
//! | [`flow`] | the driver |
//! | [`network`] | a measure with its preprocessing: predictions, classes, scores |
//! | [`sparse`] | Frank-Wolfe; inserting, merging and pruning particles |
//! | [`transport`] | exact Wasserstein distances between measures |
//! | [`study`] | success rates against m, over seeds |
//! | `plot` | figures of neurons, energies, decisions, widths and plans |
//! | `testing` | the law kit: checks that an implementation satisfies the laws of its trait |
//!
//! # Conventions
//!
//! Columns are points: `w` is `p x m`, `x` is `d x n`, `h` is `k x n` with output l of sample j at
//! `h[j k + l]`. The square loss is `(h - y)^2 / 2`; an empirical risk is `(1/n) sum_j sum_l loss`,
//! or has sample weights. A ridge particle is `(a_1, .., a_k, b_1, .., b_d)`. The velocity is the
//! *descent* direction `-grad_w F'(mu)(w_i)`, never divided by a weight, so that particles of
//! weight 0 are probes. A measure may have any mass. Weight decay is `lambda int |w|^2 dmu`.
//!
//! # Features
//!
//! - `rand` (default): random initial measures.
//! - `rayon` (default): threads. Results are identical, bit for bit, for any number of them.
//! - `csv`: tables from files of values separated by commas or other characters.
//! - `mpi`: ranks that are processes of MPI (`ranks::MpiRanks`). Needs an MPI library and libclang.
//! - `serde`: measures, states, traces and settings with any format of serde, validated.
//! - `progress`: a progress bar on the terminal, [`observe`]`::Progress`.
//! - `tracing`: spans and events of runs, steps, inner solves, certificates and checkpoints.
//! - `plot`: figures as SVG, without further dependencies; `png`: as PNG files; `animation`:
//!   animated PNG files.
//! - `testing`: the law kit, without further dependencies.
//! - `proptest`: `testing`, with strategies, and macros that test a component in one line.

#[cfg(feature = "mpi")]
pub use mpi;
pub use nalgebra;

pub mod activation;
pub mod data;
#[cfg(feature = "serde")]
mod encoding;
pub mod energy;
pub mod error;
pub mod feature;
pub mod flow;
mod forward;
pub mod inputs;
pub mod integrator;
pub mod io;
pub mod loss;
pub mod measure;
pub mod network;
mod numeric;
pub mod observe;
pub mod optimality;
#[cfg(feature = "plot")]
pub mod plot;
pub mod prelude;
pub mod ranks;
mod real;
pub mod risk;
mod span;
pub mod sparse;
pub mod state;
pub mod study;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transport;

pub use activation::Relu;
pub use energy::MeanFieldRisk;
pub use feature::{Ridge, predict};
pub use flow::ParticleFlow;
pub use inputs::Inputs;
pub use integrator::Euler;
pub use loss::Square;
pub use measure::{EmpiricalMeasure, init};
pub use observe::StopReason;
pub use real::{Real, real};
pub use risk::EmpiricalRisk;
pub use state::State;

/// The code of the README and of the book, compiled as documentation tests.
#[cfg(all(doctest, feature = "rand"))]
mod book {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/src/tutorial.md")]
    struct Tutorial;
    #[doc = include_str!("../docs/src/data.md")]
    struct Data;
    #[doc = include_str!("../docs/src/choosing.md")]
    struct Choosing;
    #[doc = include_str!("../docs/src/training.md")]
    struct Training;
    #[doc = include_str!("../docs/src/optimality.md")]
    struct Optimality;
    #[doc = include_str!("../docs/src/files.md")]
    struct Files;
    #[doc = include_str!("../docs/src/energies.md")]
    struct Energies;
}

#[cfg(all(doctest, feature = "rand", feature = "csv", feature = "plot"))]
#[doc = include_str!("../docs/src/zero.md")]
mod zero {}
/// The code of the page on figures, compiled as documentation tests.
#[cfg(all(doctest, feature = "animation", feature = "rand"))]
mod figures {
    #[doc = include_str!("../docs/src/figures.md")]
    struct Figures;
}

/// The code of the page on MPI, compiled with its feature.
#[cfg(all(doctest, feature = "mpi", feature = "rand"))]
mod mpi_book {
    #[doc = include_str!("../docs/src/ranks.md")]
    struct Ranks;
}

/// The code of the pages on custom components, compiled as documentation tests.
#[cfg(all(doctest, feature = "proptest"))]
mod extending {
    #[doc = include_str!("../docs/src/extending/activation.md")]
    struct Activation;
    #[doc = include_str!("../docs/src/extending/loss.md")]
    struct Loss;
    #[doc = include_str!("../docs/src/extending/risk.md")]
    struct Risk;
    #[doc = include_str!("../docs/src/extending/feature_map.md")]
    struct FeatureMap;
    #[doc = include_str!("../docs/src/extending/energy.md")]
    struct Energy;
    #[doc = include_str!("../docs/src/extending/potential.md")]
    struct Potential;
    #[doc = include_str!("../docs/src/extending/kernel.md")]
    struct Kernel;
    #[doc = include_str!("../docs/src/extending/interaction.md")]
    struct Interaction;
    #[doc = include_str!("../docs/src/extending/score.md")]
    struct Score;
    #[doc = include_str!("../docs/src/extending/all_reduce.md")]
    struct AllReduce;
    #[doc = include_str!("../docs/src/extending/certificate.md")]
    struct Certificate;
    #[doc = include_str!("../docs/src/extending/integrator.md")]
    struct Integrator;
    #[doc = include_str!("../docs/src/extending/observer.md")]
    struct Observer;
}
