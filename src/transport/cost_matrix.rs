//! The stored cost matrix in f32, for assignment problems in many dimensions.

use super::cost::{Cost, LANES, Sink};

/// Entries of the widest vector of f32; rows of the matrix are padded to a multiple of it.
const WIDTH: usize = 16;
/// Dimension below which candidate lists are faster than a matrix. In many dimensions
/// distances concentrate, and a short list of columns no longer decides which is best.
const MIN_DIM: usize = 6;
/// Memory limit of a matrix, in bytes.
const MAX_BYTES: usize = 32 << 20;
/// Memory limit, in bytes, from [`LARGE_DIM`] dimensions on.
const MAX_BYTES_LARGE_DIM: usize = 128 << 20;
/// Dimension from which on candidate lists spend most of their time on distances, so that a larger
/// matrix is profitable.
const LARGE_DIM: usize = 32;

/// The costs reduced by given potentials, row by row, infinite in the padding; and the least of
/// each column, `-inf` in the padding.
#[derive(Debug)]
pub(super) struct CostMatrix {
    stride: usize,
    c: Vec<f32>,
    pub(super) least: Vec<f32>,
}

impl CostMatrix {
    /// Whether the matrix method applies to this size: a square problem in many dimensions within
    /// the memory limit.
    pub(super) fn is_supported(dim: usize, rows: usize, columns: usize) -> bool {
        let limit = if dim >= LARGE_DIM {
            MAX_BYTES_LARGE_DIM
        } else {
            MAX_BYTES
        };
        let bytes = size_of::<f32>() * rows * columns.next_multiple_of(WIDTH);
        dim >= MIN_DIM && rows == columns && bytes <= limit
    }

    /// Computes all reduced costs `c_ij - v_j - u_i` in f64 and rounds them; `v` is
    /// [`padded`](super::cost::padded).
    pub(super) fn new(cost: &Cost, u: &[f64], v: &[f64]) -> Self {
        let columns = cost.columns();
        let stride = columns.next_multiple_of(WIDTH);
        let mut matrix = Self {
            stride,
            c: vec![0.0; cost.rows() * stride],
            least: vec![f32::INFINITY; stride],
        };
        let rows: Vec<u32> = (0..cost.rows() as u32).collect();
        cost.visit(
            &rows,
            v,
            &mut ReducedCosts {
                u,
                matrix: &mut matrix,
            },
        );
        for row in matrix.c.chunks_exact_mut(stride) {
            row[columns..].fill(f32::INFINITY);
        }
        matrix.least[columns..].fill(f32::NEG_INFINITY);
        matrix
    }

    /// The costs of row `i`, with padding.
    pub(super) fn row(&self, i: usize) -> &[f32] {
        &self.c[i * self.stride..][..self.stride]
    }
}

/// Stores reduced costs, less the potentials of the rows.
struct ReducedCosts<'a> {
    u: &'a [f64],
    matrix: &'a mut CostMatrix,
}

impl Sink for ReducedCosts<'_> {
    #[inline(always)]
    fn tile(&mut self, i: usize, j0: usize, _: &[f64; LANES], b: &[f64; LANES]) {
        let u = self.u[i];
        let c = b.map(|b| (b - u) as f32);
        self.matrix.c[i * self.matrix.stride + j0..][..LANES].copy_from_slice(&c);
        for (least, c) in self.matrix.least[j0..][..LANES].iter_mut().zip(c) {
            *least = least.min(c);
        }
    }
}
