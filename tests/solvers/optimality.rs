//! The certificate of global optimality against exact oracles: closed forms, a conic solver, brute
//! force.

mod common;
mod contradiction;
mod convex;
mod extremes;
mod frank_wolfe;
mod gap;
mod insert_merge_prune;
mod kinks;
mod locally_linear;
mod relaxation;
mod run_and_correct;
mod scales;
mod sparse_on_ranks;
mod sphere;
mod trapped;
mod values_of_runs;
mod weights;
