//! Numerical building blocks shared by the other modules; private to the crate.

pub(crate) mod angular_order;
pub(crate) mod basis;
pub(crate) mod direction_tree;
pub(crate) mod double_double;
pub(crate) mod elementary;
pub(crate) mod error_bounds;
pub(crate) mod packed;
pub(crate) mod pair_blocks;
pub(crate) mod parallel;
pub(crate) mod scaled;
pub(crate) mod simd;
pub(crate) mod splitmix;
pub(crate) mod symmetric;
pub(crate) mod vector;
pub(crate) mod weighted;

use crate::real::{Real, epsilon};

/// The relative step of a central difference, `eps^(1/3)`, which balances truncation and rounding
/// errors.
pub(crate) fn difference_step<T: Real>() -> T {
    epsilon::<T>().cbrt()
}
