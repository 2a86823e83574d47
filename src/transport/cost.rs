//! Costs `c_ij = |x_i - y_j|^p`, computed on demand in tiles of 6 rows by 8 columns without storing
//! the matrix.

use super::power::{CAP, Power};
use crate::numeric::simd::{Simd, SimdKernel, dispatch};

/// Columns of a panel: one vector of AVX-512 in f64, or two of AVX2.
pub(super) const LANES: usize = 8;
/// Rows of a tile: its 6 x 8 partial sums fit in the vector registers.
const ROWS: usize = 6;
/// Panels of a tile that has a single row: enough independent sums to hide the latency of an
/// addition.
const FEW: usize = 4;
/// Coordinates in a cache block of columns, which all rows visit in turn: 16 KiB of the first-level
/// cache.
const BLOCK: usize = 2 * 1024;

/// The ground cost between `n` rows `x_i` and `m` columns `y_j`.
#[derive(Debug)]
pub(super) struct Cost<'a> {
    dim: usize,
    /// The points of the rows, one after the other.
    x: &'a [f64],
    /// The points of the columns, one after the other.
    points: &'a [f64],
    /// The points of the columns in panels of 8: coordinate k of columns `8 q, .., 8 q + 7` at
    /// `(q d + k) 8`.
    y: Vec<f64>,
    columns: usize,
    power: Power,
    /// Whether the costs are the squared distances themselves.
    is_square: bool,
    /// An upper bound of all costs.
    largest: f64,
}

/// Receiver of computed costs.
pub(super) trait Sink {
    /// Receives the costs `c_ij` and reduced costs `b_ij = c_ij - v_j` of row `i` and columns
    /// `j0..j0 + 8`.
    fn tile(&mut self, i: usize, j0: usize, c: &[f64; LANES], b: &[f64; LANES]);
}

/// The prices `v_j`, padded to whole panels by `-inf`, so that padding has an infinite reduced
/// cost.
pub(super) fn padded(mut v: Vec<f64>) -> Vec<f64> {
    v.resize(v.len().next_multiple_of(LANES), f64::NEG_INFINITY);
    v
}

impl<'a> Cost<'a> {
    /// Packs the columns; `x` and `y` are points of `dim` coordinates, one after the other.
    pub(super) fn new(dim: usize, x: &'a [f64], y: &'a [f64], power: Power) -> Self {
        let columns = y.len() / dim;
        let mut panels = vec![0.0; columns.next_multiple_of(LANES) * dim];
        for (j, y) in y.chunks_exact(dim).enumerate() {
            let panel = &mut panels[j / LANES * dim * LANES..][..dim * LANES];
            for (k, &y) in y.iter().enumerate() {
                panel[k * LANES + j % LANES] = y;
            }
        }
        // The factor exceeds all rounding errors, for large exponents too.
        let largest = power.cost(square_of_diameter(dim, x, y)) * (1.0 + 1e-9);
        Self {
            dim,
            x,
            points: y,
            y: panels,
            columns,
            power,
            is_square: power.is_square() && largest < CAP,
            largest,
        }
    }

    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    pub(super) fn power(&self) -> Power {
        self.power
    }

    /// An upper bound of all costs.
    pub(super) fn largest(&self) -> f64 {
        self.largest
    }

    pub(super) fn rows(&self) -> usize {
        self.x.len() / self.dim
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// The cost `c_ij`.
    pub(super) fn at(&self, i: usize, j: usize) -> f64 {
        let x = &self.x[i * self.dim..][..self.dim];
        let y = &self.points[j * self.dim..][..self.dim];
        self.power.cost(squared_distance(x, y))
    }

    /// The c-transform `min_j c_ij - v_j` for the given rows, infinite for others; `v` is
    /// [`padded`].
    pub(super) fn transform(&self, rows: &[u32], v: &[f64]) -> Vec<f64> {
        let mut least = RowMinima(vec![f64::INFINITY; self.rows()]);
        self.visit(rows, v, &mut least);
        least.0
    }

    /// Lower bounds of `min_j c_ij - v_j` for the given rows in exact arithmetic, infinite for
    /// others; `v` is [`padded`].
    pub(super) fn lower_transform(&self, rows: &[u32], v: &[f64]) -> Vec<f64> {
        let mut bounds = LowerBounds {
            rounding: Rounding::of(self),
            least: vec![f64::INFINITY; self.rows()],
        };
        self.visit(rows, v, &mut bounds);
        bounds.least
    }

    /// Passes the costs of the given rows and all columns to `sink`, in a fixed order; `v` is
    /// [`padded`].
    pub(super) fn visit<K: Sink>(&self, rows: &[u32], v: &[f64], sink: &mut K) {
        dispatch(Visit {
            cost: self,
            rows,
            v,
            sink,
        });
    }
}

/// The least reduced cost of each row.
struct RowMinima(Vec<f64>);

impl Sink for RowMinima {
    #[inline(always)]
    fn tile(&mut self, i: usize, _: usize, _: &[f64; LANES], b: &[f64; LANES]) {
        let least = &mut self.0[i];
        for &b in b {
            *least = if b < *least { b } else { *least };
        }
    }
}

/// A bound of the relative error of the subtraction `c - v` and of that of its error, of
/// `EPSILON / 2` each, with a safety factor of 1.5.
const SUBTRACTIONS: f64 = 1.5 * f64::EPSILON;

/// Bounds of the rounding errors of computed costs and reduced costs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rounding {
    /// Relative to the cost.
    relative: f64,
    /// By underflow.
    absolute: f64,
}

impl Rounding {
    pub(super) fn of(cost: &Cost) -> Self {
        Self {
            relative: cost.power.relative_rounding(cost.dim),
            absolute: cost.power.absolute_rounding(cost.dim),
        }
    }

    /// A lower bound of `c - v` for the exact cost c, from the computed `c` and `b = c - v`.
    ///
    /// Zero costs are exact or too small, and `0 - v` is exact.
    #[inline(always)]
    pub(super) fn lower(self, c: f64, b: f64) -> f64 {
        let error = self.relative * c + SUBTRACTIONS * b.abs() + self.absolute;
        b - if c > 0.0 { error } else { 0.0 }
    }

    /// A bound of the error of [`lower`](Self::lower) if c and v are at most these.
    pub(super) fn largest(self, c: f64, v: f64) -> f64 {
        (self.relative + 4.0 * f64::EPSILON) * (c + v) + self.absolute
    }
}

/// Lower bounds of the reduced costs of each row.
struct LowerBounds {
    rounding: Rounding,
    least: Vec<f64>,
}

impl Sink for LowerBounds {
    #[inline(always)]
    fn tile(&mut self, i: usize, _: usize, c: &[f64; LANES], b: &[f64; LANES]) {
        let least = &mut self.least[i];
        let bounds: [f64; LANES] = std::array::from_fn(|l| self.rounding.lower(c[l], b[l]));
        for b in bounds {
            *least = if b < *least { b } else { *least };
        }
    }
}

/// The computation of the costs of `rows` for one instruction set.
struct Visit<'a, K> {
    cost: &'a Cost<'a>,
    rows: &'a [u32],
    v: &'a [f64],
    sink: &'a mut K,
}

impl<K: Sink> SimdKernel for Visit<'_, K> {
    type Scalar = f64;
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<f64>, const R: usize, const V: usize>(self, simd: S) {
        self.visit::<S, V>(simd);
    }
}

impl<K: Sink> Visit<'_, K> {
    /// Visits the columns block by block; a panel is `V` vectors wide.
    #[inline(always)]
    fn visit<S: Simd<f64>, const V: usize>(mut self, simd: S) {
        let dim = self.cost.dim;
        let block = (BLOCK / (dim * LANES)).max(1) * dim * LANES;
        for (q, y) in self.cost.y.chunks(block).enumerate() {
            let j0 = q * (block / dim);
            let mut tiles = self.rows.chunks_exact(ROWS);
            for tile in &mut tiles {
                self.rows_by_panels::<S, V, ROWS>(
                    simd,
                    std::array::from_fn(|r| tile[r] as usize),
                    j0,
                    y,
                );
            }
            for &i in tiles.remainder() {
                self.row_by_panels::<S, V>(simd, i as usize, j0, y);
            }
        }
    }

    /// Computes one row, in tiles of four panels.
    #[inline(always)]
    fn row_by_panels<S: Simd<f64>, const V: usize>(
        &mut self,
        simd: S,
        i: usize,
        j0: usize,
        y: &[f64],
    ) {
        let (size, x) = (
            self.cost.dim * LANES,
            &self.cost.x[i * self.cost.dim..][..self.cost.dim],
        );
        let panel = |q: usize| &y[q * size..][..size];
        let panels = y.len() / size;
        for q in (0..panels).step_by(FEW) {
            if q + FEW <= panels {
                let y = std::array::from_fn(|r| panel(q + r));
                for (r, squares) in squared_distances::<S, V, FEW>(simd, [x; FEW], y)
                    .iter()
                    .enumerate()
                {
                    self.deliver(simd, i, j0 + (q + r) * LANES, squares);
                }
            } else {
                for q in q..panels {
                    let [squares] = squared_distances::<S, V, 1>(simd, [x], [panel(q)]);
                    self.deliver(simd, i, j0 + q * LANES, &squares);
                }
            }
        }
    }

    /// Converts squared distances to costs and reduced costs, and passes them to the sink.
    #[inline(always)]
    fn deliver<S: Simd<f64>, const V: usize>(
        &mut self,
        simd: S,
        i: usize,
        j0: usize,
        squares: &[S::Vector; V],
    ) {
        let (mut c, mut b) = ([0.0; LANES], [0.0; LANES]);
        S::vectors_mut(&mut c).copy_from_slice(squares);
        if self.cost.is_square {
            let v = S::vectors(&self.v[j0..j0 + LANES]);
            for ((b, &c), &v) in S::vectors_mut(&mut b).iter_mut().zip(squares).zip(v) {
                *b = simd.sub(c, v);
            }
        } else {
            c = c.map(|s| self.cost.power.cost(s));
            b = std::array::from_fn(|l| c[l] - self.v[j0 + l]);
        }
        self.sink.tile(i, j0, &c, &b);
    }

    /// Computes `R` rows, in tiles of one panel.
    #[inline(always)]
    fn rows_by_panels<S: Simd<f64>, const V: usize, const R: usize>(
        &mut self,
        simd: S,
        i: [usize; R],
        j0: usize,
        y: &[f64],
    ) {
        let dim = self.cost.dim;
        let x: [&[f64]; R] = i.map(|i| &self.cost.x[i * dim..][..dim]);
        for (q, panel) in y.chunks_exact(dim * LANES).enumerate() {
            let j0 = j0 + q * LANES;
            let squares = squared_distances::<S, V, R>(simd, x, [panel; R]);
            for r in 0..R {
                self.deliver(simd, i[r], j0, &squares[r]);
            }
        }
    }
}

/// The squared distance `|x - y|^2`, with four partial sums.
pub(super) fn squared_distance(x: &[f64], y: &[f64]) -> f64 {
    let mut s = [0.0; 4];
    for (x, y) in x.chunks(4).zip(y.chunks(4)) {
        for ((s, x), y) in s.iter_mut().zip(x).zip(y) {
            let z = x - y;
            *s += z * z;
        }
    }
    (s[0] + s[1]) + (s[2] + s[3])
}

/// The squared diagonal of the box that contains all points.
pub(super) fn square_of_diameter(dim: usize, x: &[f64], y: &[f64]) -> f64 {
    let (mut low, mut high) = (vec![f64::INFINITY; dim], vec![f64::NEG_INFINITY; dim]);
    for point in x.chunks_exact(dim).chain(y.chunks_exact(dim)) {
        for ((low, high), z) in low.iter_mut().zip(&mut high).zip(point) {
            *low = low.min(*z);
            *high = high.max(*z);
        }
    }
    squared_distance(&low, &high)
}

/// The squared distances `|x_r - y_j|^2` of `R` rows, each to the eight columns of its panel.
#[inline(always)]
fn squared_distances<S: Simd<f64>, const V: usize, const R: usize>(
    simd: S,
    x: [&[f64]; R],
    y: [&[f64]; R],
) -> [[S::Vector; V]; R] {
    let y = y.map(|y| S::vectors(y).as_chunks::<V>().0);
    let mut s = [[simd.zero(); V]; R];
    for k in 0..x[0].len() {
        for r in 0..R {
            let x = simd.splat(x[r][k]);
            for l in 0..V {
                let z = simd.sub(x, y[r][k][l]);
                s[r][l] = simd.mul_add(z, z, s[r][l]);
            }
        }
    }
    s
}
