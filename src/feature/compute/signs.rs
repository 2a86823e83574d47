//! Words of the signs of preactivations, which a forward pass stores for the backward pass.
//!
//! With mask registers, a word has the signs of one particle for consecutive samples; otherwise those
//! of consecutive particles for one sample.

use crate::numeric::simd::{Simd, SimdKernel, dispatch};

/// Maximal number of inputs for which the lanes of a backward pass are particles without mask
/// registers.
pub(super) const FEW: usize = 4;

/// Rows of the tiles that store signs, if V = 1.
pub(super) const SIGN_ROWS: usize = 16;

/// The numbers of samples and of particles whose signs one scalar stores; one of them is 1.
pub(super) fn signs_of_word<T>() -> [usize; 2] {
    let bits = 8 * size_of::<T>();
    if has_masks() {
        return [bits, 1];
    }
    // Whole tiles and whole vectors of particles.
    let (rows, bytes) = dispatch(SignTile);
    let lanes = (bytes / size_of::<T>()).max(1);
    let unit = (rows..).step_by(rows).find(|unit| unit % lanes == 0);
    let unit = unit.unwrap_or(rows);
    [1, bits / unit * unit]
}

/// The kernel that returns the rows of a tile that stores signs, and the bytes of a vector.
struct SignTile;

impl SimdKernel for SignTile {
    type Scalar = f32;
    type Output = (usize, usize);

    #[inline(always)]
    fn run<S: Simd<f32>, const R: usize, const V: usize>(self, s: S) -> (usize, usize) {
        (R, size_of_val(S::lanes(&s.zero())))
    }
}

/// True if comparisons have their results in mask registers.
pub(super) fn has_masks() -> bool {
    dispatch(HasMasks)
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
