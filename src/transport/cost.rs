//! Costs `c_ij = |x_i - y_j|^p` on the fly: tiles of 4 rows by 8 columns, never the whole matrix.

use pulp::{Arch, Simd, WithSimd};

/// Columns a panel: two vectors of four numbers.
pub(super) const LANES: usize = 8;
/// Rows a tile: its 4 x 8 running sums stay in registers.
const ROWS: usize = 4;
/// Coordinates of columns that stay in cache while all rows pass: 128 KiB.
const BLOCK: usize = 16 * 1024;

/// The ground cost between `n` rows `x_i` and `m` columns `y_j`.
#[derive(Debug)]
pub(super) struct Cost<'a> {
    dim: usize,
    /// `n x d`, one row after the other.
    x: &'a [f64],
    /// `ceil(m / 8)` panels of `d x 8`: coordinate k of eight columns side by side.
    y: Vec<f64>,
    columns: usize,
    /// The exponent p of the distance.
    p: f64,
}

/// Receives the reduced costs `b_ij = c_ij - v_j` of row `i`, columns `j0..j0 + 8`, with the costs `c_ij`.
pub(super) trait Sink {
    fn tile(&mut self, i: usize, j0: usize, c: &[f64; LANES], b: &[f64; LANES]);
}

/// The prices `v_j` as the tiles read them: whole panels, `-inf` (never chosen) beyond the last column.
pub(super) fn padded(mut v: Vec<f64>) -> Vec<f64> {
    v.resize(v.len().next_multiple_of(LANES), f64::NEG_INFINITY);
    v
}

impl<'a> Cost<'a> {
    /// Packs the columns; points are `dim` numbers each, one point after the other.
    pub(super) fn new(dim: usize, x: &'a [f64], y: &[f64], p: f64) -> Self {
        let columns = y.len() / dim;
        let mut panels = vec![0.0; columns.next_multiple_of(LANES) * dim];
        for (j, y) in y.chunks_exact(dim).enumerate() {
            let panel = &mut panels[j / LANES * dim * LANES..][..dim * LANES];
            for (k, &y) in y.iter().enumerate() {
                panel[k * LANES + j % LANES] = y;
            }
        }
        Self { dim, x, y: panels, columns, p }
    }

    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// A bound of all costs, for coordinates within -2 and 2.
    pub(super) fn largest(&self) -> f64 {
        power(16.0 * self.dim as f64, self.p)
    }

    pub(super) fn rows(&self) -> usize {
        self.x.len() / self.dim
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// The c-transform `min_j c_ij - v_j` of the rows listed, infinite elsewhere; `v` is [`padded`].
    pub(super) fn transform(&self, rows: &[u32], v: &[f64]) -> Vec<f64> {
        let mut least = Least(vec![f64::INFINITY; self.rows()]);
        self.visit(rows, v, &mut least);
        least.0
    }

    /// Visits `c_ij - v_j` for the rows listed and every column, in a fixed order; `v` is [`padded`].
    pub(super) fn visit<K: Sink>(&self, rows: &[u32], v: &[f64], sink: &mut K) {
        Arch::new().dispatch(Visit { cost: self, rows, v, sink });
    }
}

struct Least(Vec<f64>);

impl Sink for Least {
    #[inline(always)]
    fn tile(&mut self, i: usize, _: usize, _: &[f64; LANES], b: &[f64; LANES]) {
        self.0[i] = b.iter().fold(self.0[i], |least, &b| if b < least { b } else { least });
    }
}

struct Visit<'a, K> {
    cost: &'a Cost<'a>,
    rows: &'a [u32],
    v: &'a [f64],
    sink: &'a mut K,
}

impl<K: Sink> WithSimd for Visit<'_, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        match self.cost.dim {
            2 => self.run::<S, 2>(),
            3 => self.run::<S, 3>(),
            _ => self.run::<S, 0>(),
        }
    }
}

impl<K: Sink> Visit<'_, K> {
    /// `D` is the dimension where the compiler may know it, else 0.
    #[inline(always)]
    fn run<S: Simd, const D: usize>(mut self) {
        let dim = if D > 0 { D } else { self.cost.dim };
        let block = (BLOCK / (dim * LANES)).max(1) * dim * LANES;
        for (q, y) in self.cost.y.chunks(block).enumerate() {
            let j0 = q * (block / dim);
            let mut quads = self.rows.chunks_exact(ROWS);
            for quad in &mut quads {
                self.rows_by_panels::<S, D, ROWS>(std::array::from_fn(|r| quad[r] as usize), j0, y);
            }
            for &i in quads.remainder() {
                self.rows_by_panels::<S, D, 1>([i as usize], j0, y);
            }
        }
    }

    #[inline(always)]
    fn rows_by_panels<S: Simd, const D: usize, const R: usize>(&mut self, i: [usize; R], j0: usize, y: &[f64]) {
        let dim = if D > 0 { D } else { self.cost.dim };
        let x: [&[f64]; R] = i.map(|i| &self.cost.x[i * dim..][..dim]);
        for (q, panel) in y.chunks_exact(dim * LANES).enumerate() {
            let j0 = j0 + q * LANES;
            let v = &self.v[j0..j0 + LANES];
            let mut c = squared_distances::<S, D, R>(x, panel);
            for r in 0..R {
                if self.cost.p != 2.0 {
                    c[r] = c[r].map(|c| power(c, self.cost.p));
                }
                let b = std::array::from_fn(|l| c[r][l] - v[l]);
                self.sink.tile(i[r], j0, &c[r], &b);
            }
        }
    }
}

/// `s^(p/2)` of a squared distance s.
pub(super) fn power(s: f64, p: f64) -> f64 {
    if p == 2.0 {
        s
    } else if p == 1.0 {
        s.sqrt()
    } else {
        s.powf(0.5 * p)
    }
}

/// `|x_r - y_j|^2` for `R` rows and the eight columns of a panel.
#[inline(always)]
fn squared_distances<S: Simd, const D: usize, const R: usize>(x: [&[f64]; R], panel: &[f64]) -> [[f64; LANES]; R] {
    let dim = if D > 0 { D } else { x[0].len() };
    let x = x.map(|x| &x[..dim]);
    let mut s = [[0.0; LANES]; R];
    for (k, y) in panel.as_chunks::<LANES>().0[..dim].iter().enumerate() {
        for r in 0..R {
            for l in 0..LANES {
                let z = x[r][k] - y[l];
                // without vector units there is no fused product either, and its emulation is slow
                s[r][l] = if S::IS_SCALAR { s[r][l] + z * z } else { z.mul_add(z, s[r][l]) };
            }
        }
    }
    s
}
