//! Optimised code against plain definitions in nested loops, and scalar functions against tables of
//! high precision.

mod angular_sweep;
mod arc_cosine;
mod definitions;
mod degenerate_sweeps;
mod dual_tree;
mod elementary;
mod fused_passes;
mod losses;
mod pairs;
