//! Words of the signs of preactivations, which a forward pass stores for the backward pass of a
//! piecewise linear activation, and the choice of its kernel.

use crate::numeric::simd::{Simd, SimdKernel, dispatch, rows};

/// Maximal number of inputs of [`LinearKernel::FewInputs`].
pub(super) const FEW: usize = 4;

/// Dimension d from which features are in the lanes with mask registers too, and with at most
/// [`FEW_SAMPLES`] samples.
const MANY: [usize; 2] = [128, 24];

/// Samples for which the sums of particles in the lanes do not repay their transposition.
const FEW_SAMPLES: usize = 128;

/// Particles whose words are neighbours, if V = 1: whole tiles of the forward pass.
pub(super) const SIGN_ROWS: usize = 16;

/// A backward pass from signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinearKernel {
    /// [`FewInputs`](super::backward::FewInputs).
    FewInputs,
    /// [`SubsetSums`](super::subset_sums::SubsetSums).
    SubsetSums,
    /// [`SubsetRows`](super::subset_rows::SubsetRows).
    SubsetRows,
}

/// The signs of one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signs {
    /// Consecutive samples, of one particle if they are more than one.
    pub(super) samples: usize,
    /// Consecutive particles.
    pub(super) particles: usize,
    /// The pass that reads them.
    pub(super) kernel: LinearKernel,
}

impl Signs {
    /// The words for n samples and d inputs.
    pub(super) fn new<T>(n: usize, d: usize) -> Self {
        let bits = 8 * size_of::<T>();
        let many = MANY[usize::from(n <= FEW_SAMPLES)];
        let kernel = match (has_masks(), d <= FEW) {
            (false, true) => LinearKernel::FewInputs,
            (true, _) if d < many => LinearKernel::SubsetSums,
            _ => LinearKernel::SubsetRows,
        };
        let (samples, particles) = match kernel {
            // Whole tiles and whole vectors of particles.
            LinearKernel::FewInputs => {
                let (rows, bytes) = dispatch(SignTile);
                let lanes = (bytes / size_of::<T>()).max(1);
                let unit = (rows..).step_by(rows).find(|unit| unit % lanes == 0);
                let unit = unit.unwrap_or(rows);
                (1, bits / unit * unit)
            }
            _ => (bits, 1),
        };
        Self {
            samples,
            particles,
            kernel,
        }
    }
}

/// The kernel that returns the rows of a tile, and the bytes of a vector.
struct SignTile;

impl SimdKernel for SignTile {
    type Scalar = f32;
    type Output = (usize, usize);

    #[inline(always)]
    fn run<S: Simd<f32>, const R: usize, const V: usize>(self, s: S) -> (usize, usize) {
        (R, size_of_val(S::lanes(&s.zero())))
    }
}

/// Particles whose words are neighbours.
pub(super) fn sign_rows() -> usize {
    if has_masks() { SIGN_ROWS } else { rows() }
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
