//! The map as a linear part and positive parts, and the error bounds of its sums.

use super::concave::inner;
use super::lanes::SUM_ERROR;
use crate::numeric::error_bounds::{CompensatedSum, EPS};
use crate::optimality::piecewise_linear::PiecewiseLinearMap;

/// The value of `v_i.x_j` up to which a sample does not cross a cone: above the rounding error of a
/// vertex that is placed on `b.x_j = 0`.
pub(super) const CROSSING_TOLERANCE: f64 = 16.0 * EPS;

/// `g(b) = L b + sum_j w_j (b.x_j)_+`, `w_j = (s_+ - s_-) u_j`, `L = s_- sum_j u_j x_j^T`.
#[derive(Debug)]
pub(super) struct ConeProblem<'a, const D: usize> {
    pub(super) map: &'a PiecewiseLinearMap,
    pub(super) k: usize,
    /// `w`, `k x n`.
    pub(super) w: Vec<f64>,
    /// `L`, `k x D`.
    pub(super) linear: Vec<CompensatedSum>,
    /// An upper bound of `sum_j (|s_-| + |w_j| / |u_j|) |u_j|`, hence of `|L| + sum_j |w_j|`.
    pub(super) magnitude: f64,
}

impl<'a, const D: usize> ConeProblem<'a, D> {
    pub(super) fn new(map: &'a PiecewiseLinearMap) -> Self {
        let slopes = map.slopes;
        let jump = slopes.plus - slopes.minus;
        let mut linear = vec![CompensatedSum::default(); D * map.k];
        if slopes.minus != 0.0 {
            for j in 0..map.len() {
                map.add_outer(&mut linear, j, slopes.minus);
            }
        }
        let magnitude = map.size / slopes.lipschitz() * (slopes.minus.abs() + jump.abs());
        Self {
            map,
            k: map.k,
            w: map.u.iter().map(|u| jump * u).collect(),
            linear,
            magnitude: magnitude * (1.0 + 4.0 * EPS),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    #[inline]
    pub(super) fn point(&self, j: usize) -> [f64; D] {
        let x = self.map.point(j);
        std::array::from_fn(|r| x[r])
    }

    pub(super) fn weight(&self, j: usize) -> &[f64] {
        &self.w[j * self.k..(j + 1) * self.k]
    }

    /// `A += w_j x_j^T`
    #[inline]
    pub(super) fn add_outer(&self, a: &mut [CompensatedSum], j: usize) {
        for (a, &x) in a.chunks_exact_mut(self.k).zip(self.map.point(j)) {
            for (a, &w) in a.iter_mut().zip(self.weight(j)) {
                a.add(w * x);
            }
        }
    }

    /// An upper bound of the error of a sum `L_i` of [`cone_bound`], in units of `EPS magnitude`:
    ///
    /// - 4: the scaled samples and coefficients of the map;
    /// - 3: `w_j`, and the products and the sum of L;
    /// - a sum: each sample is in one of three, those of the positive samples, the multipliers and
    ///   the chords;
    /// - `D / 2 + 1`: the products `v_i.x_j`, which enter the chords;
    /// - `D / 2 + 2`: the difference of the linear part and the multipliers, and its product with
    ///   the vertex;
    /// - for several outputs `2 k + 8`: the coefficients `v.w_j`, the vectors `P w_j` and `P A v_i`,
    ///   their norms and sums.
    pub(super) fn vertex_error(&self) -> f64 {
        let outputs = if self.k > 1 { 2 * self.k + 8 } else { 0 };
        let units = SUM_ERROR + (D + 10 + outputs) as f64;
        units * EPS * self.magnitude
    }
}

/// An upper bound of the distance of the unit vectors of a cone to its two parts, because the
/// vertex m between them is on the edge up to rounding only; in units of `EPS`.
///
/// With `|a + b| >= (|a| + |b|) / sqrt 2` for vectors of one orthant, the rounded sum, products
/// and quotients have an error e of `(sqrt 2 + 2) / 2 < 1.75` units orthogonal to the edge. A unit
/// vector of the cone is `b' + alpha_m e` with b' in a part, and for the centre c of the cone
/// `1 >= b'.c / |c| >= sum_i alpha_i min_k v_k.c / |c|` up to `e`.
pub(super) fn cover_error<const D: usize>(v: &[[f64; D]; D]) -> f64 {
    let c = centre(v);
    let smallest = v.iter().fold(f64::INFINITY, |min, v| min.min(inner(v, &c)));
    1.76 * inner(&c, &c).sqrt() / smallest
}

/// An upper bound of `sum_i alpha_i` over the unit vectors `sum_i alpha_i v_i` of a cone: as in
/// [`cover_error`], `|c| / min_k v_k.c`.
pub(super) fn largest_sum<const D: usize>(v: &[[f64; D]; D]) -> f64 {
    cover_error(v) * (1.0 / 1.75)
}

/// A bound of `f(b) <= sum_i alpha_i L_i` over the unit vectors `b = sum_i alpha_i v_i` of the cone:
/// `|y| r` with `r = max_i L_i / (y.v_i)`, for any y.
///
/// `r >= 0` and `L_i <= r (y.v_i)` for all i, in exact arithmetic for the given L. Infinite if the
/// products `y.v_i` do not prove this.
fn cone_bound<const D: usize>(values: &[f64; D], v: &[[f64; D]; D], y: &[f64; D]) -> f64 {
    // |v_i| <= 1 + (D + 2) EPS, so that the error of a product is below (D + 1) EPS |y|.
    let length = inner(y, y).sqrt();
    let error = (D + 2) as f64 * EPS * length;
    let products: [f64; D] = std::array::from_fn(|i| inner(y, &v[i]) - error);
    if values.iter().any(|value| value.is_nan()) {
        return f64::INFINITY;
    }
    let mut ratio = 0.0_f64;
    for i in 0..D {
        if values[i] > 0.0 {
            if products[i] <= 0.0 {
                return f64::INFINITY;
            }
            ratio = ratio.max(values[i] / products[i]);
        }
    }
    let ratio = ratio * (1.0 + 2.0 * EPS);
    for i in 0..D {
        let bound = if products[i] < 0.0 {
            ratio * products[i] * (1.0 + 2.0 * EPS)
        } else {
            0.0
        };
        if values[i] <= 0.0 && values[i] > bound {
            return f64::INFINITY;
        }
    }
    // Square root, products and sums.
    ratio * length * (1.0 + (D + 8) as f64 * EPS)
}

/// A bound of `f(b) <= sum_i alpha_i (L_i + error)` over the unit vectors of the cone: the smaller
/// one by y and by the centre c.
///
/// y is moved by `s c` so that the error of a product does not decide if `y.v_i` is 0: the bound
/// grows by s, twice the errors.
pub(super) fn bound_from<const D: usize>(
    values: &[f64; D],
    error: f64,
    v: &[[f64; D]; D],
    y: &[f64; D],
) -> f64 {
    let values = values.map(|value| value + error);
    let c = centre(v);
    let smallest = v.iter().fold(f64::INFINITY, |min, v| min.min(inner(v, &c)));
    let rounding = (D + 2) as f64 * EPS * inner(y, y).sqrt();
    let s = 2.0 * (error + rounding) / smallest;
    let moved = std::array::from_fn(|r| y[r] + s * c[r]);
    cone_bound(&values, v, &moved).min(cone_bound(&values, v, &c))
}

/// The sum of the vertices, which has positive products with all of them in an orthant.
pub(super) fn centre<const D: usize>(v: &[[f64; D]; D]) -> [f64; D] {
    std::array::from_fn(|r| v.iter().map(|v| v[r]).sum())
}

/// The dual vectors `n_i`, `n_i.v_k = 1` for `i = k` and 0 otherwise; `None` for a cone without
/// interior.
pub(super) fn dual_vectors<const D: usize>(v: &[[f64; D]; D]) -> Option<[[f64; D]; D]> {
    // The rows of V and of the identity: Gauss-Jordan elimination yields the inverse.
    let mut m = *v;
    let mut inverse = [[0.0; D]; D];
    for i in 0..D {
        inverse[i][i] = 1.0;
    }
    for c in 0..D {
        let mut p = c;
        for r in c + 1..D {
            if m[r][c].abs() > m[p][c].abs() {
                p = r;
            }
        }
        if m[p][c].abs() < f64::MIN_POSITIVE {
            return None;
        }
        m.swap(p, c);
        inverse.swap(p, c);
        let pivot = 1.0 / m[c][c];
        for k in 0..D {
            m[c][k] *= pivot;
            inverse[c][k] *= pivot;
        }
        for r in 0..D {
            let s = m[r][c];
            if r != c && s != 0.0 {
                for k in 0..D {
                    m[r][k] -= s * m[c][k];
                    inverse[r][k] -= s * inverse[c][k];
                }
            }
        }
    }
    // The columns of the inverse.
    Some(std::array::from_fn(|i| {
        std::array::from_fn(|k| inverse[k][i])
    }))
}
