//! What the documentation promises: layout of the sources, errors, allocations, files, types, values
//! at fixed seeds.

mod allocation;
mod architecture;
mod bad_input;
mod documented_behaviour;
mod encodings;
mod endings;
mod files;
mod fixed_seeds;
mod progress;
mod ranks;
mod spans;
mod training;
mod types;
