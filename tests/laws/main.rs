//! The laws of every trait: for all implementations of the crate, for user-defined ones, and for
//! planted mistakes.

mod data;
mod distances;
mod field;
mod figures;
mod methods;
mod minibatches;
mod mutants;
mod networks;
mod ranks;
mod steps;
mod table;
mod user_defined_parts;
mod user_defined_scalar;
