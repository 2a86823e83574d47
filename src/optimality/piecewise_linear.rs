//! The positively 1-homogeneous, piecewise linear map `g(b) = sum_j u_j sigma(b.x_j)`,
//! `R^d -> R^k`.

use crate::numeric::error_bounds::{CompensatedSum, EPS, scale};
use crate::numeric::vector::{columns, dot, norm};

/// A positively 1-homogeneous activation by its one-sided derivatives at 0.
///
/// `sigma(z) = s_+ z` for `z > 0` and `s_- z` for `z < 0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct OneSidedSlopes {
    /// `s_+`.
    pub(super) plus: f64,
    /// `s_-`.
    pub(super) minus: f64,
}

impl OneSidedSlopes {
    /// `sigma(z)`.
    #[inline]
    pub(super) fn value(self, z: f64) -> f64 {
        z * self.derivative(z)
    }

    /// `sigma'(z)`, and `s_-` at 0.
    #[inline]
    pub(super) fn derivative(self, z: f64) -> f64 {
        if z > 0.0 { self.plus } else { self.minus }
    }

    /// The Lipschitz constant of `sigma`, `max(|s_+|, |s_-|)`.
    pub(super) fn lipschitz(self) -> f64 {
        self.plus.abs().max(self.minus.abs())
    }
}

/// `g(b) = 2^e sum_j u_j sigma(b.x_j)` with `|x_j| = 1`, without the samples of `u_j = 0` or
/// `x_j = 0`; the largest `|u_j|` and the largest slope are of the order of 1.
///
/// Powers of two move all scales into `2^e`, so that nothing overflows, and what underflows is
/// below `2^-1000 size`. Each `x_j` is a unit vector within `(d / 4 + 1) EPS`, the error of a norm of d
/// numbers. The error of the length cancels in the products `u_j x_j`; the others change `g` by at
/// most `4 EPS size`.
#[derive(Debug, Clone)]
pub(super) struct PiecewiseLinearMap {
    pub(super) d: usize,
    pub(super) k: usize,
    pub(super) slopes: OneSidedSlopes,
    /// The samples that remain, by their indices.
    pub(super) samples: Vec<usize>,
    /// Unit vectors, `d x n`.
    pub(super) x: Vec<f64>,
    /// Coefficients, `k x n`.
    pub(super) u: Vec<f64>,
    /// `e`.
    pub(super) exponent: i32,
    /// An upper bound of `max(|s_+|, |s_-|) sum_j |u_j| |x_j|` for the exact samples and
    /// coefficients, hence of `2^-e |g|` on the unit sphere.
    pub(super) size: f64,
}

impl PiecewiseLinearMap {
    /// The map of the gradient `u` (`k x n`) of a risk at the samples `x` (`d x n`), all of them
    /// finite.
    pub(super) fn new(x: &[f64], u: &[f64], d: usize, k: usize, slopes: OneSidedSlopes) -> Self {
        let exponents: Vec<Option<(i32, i32)>> = columns(x, d)
            .zip(columns(u, k))
            .map(|(x, u)| Some((exponent(x)?, exponent(u)?)))
            .collect();
        let largest = exponents.iter().flatten().map(|(x, u)| x + u).max();
        let slope = exponent(&[slopes.plus, slopes.minus]);
        let mut map = Self {
            d,
            k,
            slopes,
            samples: Vec::new(),
            x: Vec::with_capacity(x.len()),
            u: Vec::with_capacity(u.len()),
            exponent: 0,
            size: 0.0,
        };
        let (Some(largest), Some(slope)) = (largest, slope) else {
            return map;
        };
        map.exponent = largest + slope;
        map.slopes = OneSidedSlopes {
            plus: scale(slopes.plus, -slope),
            minus: scale(slopes.minus, -slope),
        };
        let mut sum = 0.0;
        for (j, (x, u)) in columns(x, d).zip(columns(u, k)).enumerate() {
            let Some((of_x, of_u)) = exponents[j] else {
                continue;
            };
            map.samples.push(j);
            let start = map.x.len();
            map.x.extend(x.iter().map(|&x| scale(x, -of_x)));
            let length = norm(&map.x[start..]);
            map.x[start..].iter_mut().for_each(|x| *x /= length);
            let start = map.u.len();
            let shift = of_x + of_u - largest;
            let coefficient = |&u: &f64| scale(scale(u, -of_u) * length, shift);
            map.u.extend(u.iter().map(coefficient));
            sum += norm(&map.u[start..]);
        }
        // A sum of n norms of k numbers, all of them positive; the lengths; the 4 EPS of the map.
        let rounding = 1.0 + (map.len() + k + d + 16) as f64 * EPS;
        map.size = map.slopes.lipschitz() * sum * rounding;
        map
    }

    /// The number of samples.
    pub(super) fn len(&self) -> usize {
        self.x.len() / self.d
    }

    /// `x_j`.
    pub(super) fn point(&self, j: usize) -> &[f64] {
        &self.x[j * self.d..(j + 1) * self.d]
    }

    /// `u_j`.
    pub(super) fn coefficient(&self, j: usize) -> &[f64] {
        &self.u[j * self.k..(j + 1) * self.k]
    }

    /// `A += s u_j x_j^T`, `A` (`k x d`).
    ///
    /// The products have an error of at most `EPS |s| |u_j|`.
    #[inline]
    pub(super) fn add_outer(&self, a: &mut [CompensatedSum], j: usize, s: f64) {
        for (a, &x) in a.chunks_exact_mut(self.k).zip(self.point(j)) {
            for (a, &u) in a.iter_mut().zip(self.coefficient(j)) {
                a.add(s * (u * x));
            }
        }
    }

    /// `2^-e g(b)` for `|b| = 1`, within `(d + 4) EPS size`: `(d + 1) EPS` for `b.x_j`, `EPS` for
    /// the products, `EPS` for the sum.
    pub(super) fn evaluate(&self, b: &[f64]) -> Vec<f64> {
        let mut g = vec![CompensatedSum::default(); self.k];
        for (x, u) in columns(&self.x, self.d).zip(columns(&self.u, self.k)) {
            let s = self.slopes.value(dot(b, x));
            for (g, &u) in g.iter_mut().zip(u) {
                g.add(u * s);
            }
        }
        g.iter().map(CompensatedSum::value).collect()
    }
}

/// The exponent e of the largest entry, `2^e <= max |v| < 2^(e+1)`; `None` for 0.
fn exponent(v: &[f64]) -> Option<i32> {
    let largest = v.iter().fold(0.0_f64, |max, v| max.max(v.abs()));
    (largest > 0.0).then(|| libm::ilogb(largest))
}
