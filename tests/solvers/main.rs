//! Solvers: proximal steps, adaptive steps at kinks, certificates of optimality, sparse
//! optimisation.

mod certified_minima;
mod counted;
mod dormand_prince_at_kinks;
mod dormand_prince_ends;
mod exact_certificates;
mod optimality;
mod proximal;
