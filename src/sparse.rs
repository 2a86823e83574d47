//! Sparse measures: conditional gradients, optimal weights, insertion, merging and pruning of particles.

mod frank_wolfe;
mod insert;
mod reweight;
mod run_until_optimal;

pub use frank_wolfe::FrankWolfe;
pub use insert::{insert, merge, prune};
pub use reweight::reweigh;
pub use run_until_optimal::run_until_optimal;
