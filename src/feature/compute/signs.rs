//! Words of the signs of preactivations, which a forward pass stores for the backward pass.

use crate::numeric::simd::{Simd, SimdKernel, dispatch};

/// Maximal number of inputs for which backward tiles have as many vectors of particles if V = 1:
/// enough independent sums to hide the latency.
pub(super) const FEW: usize = 4;

/// Rows of the tiles that store signs, if V = 1: those of a tile fill a half or a quarter of a word.
pub(super) const SIGN_ROWS: usize = 16;

/// Sign bits stored in one scalar: those of whole tiles and of whole vectors.
pub(super) fn signs_per_scalar<T>() -> usize {
    let (rows, lanes) = dispatch(SignTile);
    let unit = (rows..)
        .step_by(rows)
        .find(|unit| unit % (lanes / size_of::<T>()).max(1) == 0);
    let unit = unit.unwrap_or(rows);
    8 * size_of::<T>() / unit * unit
}

/// The kernel that returns the rows of a tile that stores signs, and the bytes of a vector.
struct SignTile;

impl SimdKernel for SignTile {
    type Scalar = f32;
    type Output = (usize, usize);

    #[inline(always)]
    fn run<S: Simd<f32>, const R: usize, const V: usize>(self, s: S) -> (usize, usize) {
        let rows = if V == 1 { SIGN_ROWS } else { R };
        (rows, size_of_val(S::lanes(&s.zero())))
    }
}

/// True if the lanes of the backward pass are particles: with mask registers, or for few inputs.
pub(super) fn has_particle_lanes(d: usize) -> bool {
    d <= FEW || dispatch(HasMasks)
}

/// The kernel that returns whether the level has mask registers.
struct HasMasks;

impl SimdKernel for HasMasks {
    type Scalar = f32;
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd<f32>, const R: usize, const V: usize>(self, _: S) -> bool {
        S::MASKED
    }
}
