//! What the documentation promises: layout of the sources, errors, allocations, types, values at
//! fixed seeds.

mod allocation;
mod architecture;
mod bad_input;
mod documented_behaviour;
mod endings;
mod fixed_seeds;
mod training;
mod types;
