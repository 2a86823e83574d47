//! The positively 1-homogeneous, piecewise linear map `g(b) = sum_j u_j sigma(b.x_j)`,
//! `R^d -> R^k`.

use nalgebra::{DMatrixView, DVectorView};

use crate::numeric::error_bounds::CompensatedSum;
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

/// `g(b) = r sum_j u_j sigma(b.x_j)` with `|x_j| = 1`, `max |u_j| = 1`, without the samples of
/// `u_j = 0` or `x_j = 0`.
///
/// The normalisation and the single scale `r` exclude overflow and underflow. Every rounding error
/// is a multiple of `EPS size`.
#[derive(Debug, Clone)]
pub(super) struct PiecewiseLinearMap {
    pub(super) d: usize,
    pub(super) k: usize,
    pub(super) slopes: OneSidedSlopes,
    /// Unit vectors, `d x n`.
    pub(super) x: Vec<f64>,
    /// Coefficients, `k x n`.
    pub(super) u: Vec<f64>,
    /// `r`.
    pub(super) scale: f64,
    /// `max(|s_+|, |s_-|) sum_j |u_j|`, an upper bound of `|g| / r` on the unit sphere.
    pub(super) size: f64,
}

impl PiecewiseLinearMap {
    /// The map of the gradient `u` (`k x n`) of a risk at the samples `x` (`d x n`).
    pub(super) fn new(x: &[f64], u: &[f64], d: usize, k: usize, slopes: OneSidedSlopes) -> Self {
        let samples = || columns(x, d).zip(columns(u, k));
        let norms: Vec<(f64, f64)> = samples().map(|(x, u)| (norm(x), norm(u))).collect();
        let scale = norms.iter().fold(0.0_f64, |max, (x, u)| max.max(x * u));
        let mut map = Self {
            d,
            k,
            slopes,
            x: Vec::with_capacity(x.len()),
            u: Vec::with_capacity(u.len()),
            scale,
            size: 0.0,
        };
        for ((x, u), (x_norm, u_norm)) in samples().zip(norms) {
            let ratio = (x_norm / scale) * u_norm;
            if ratio > 0.0 {
                map.x.extend(x.iter().map(|x| x / x_norm));
                map.u.extend(u.iter().map(|u| u / u_norm * ratio));
                map.size += ratio;
            }
        }
        map.size *= slopes.lipschitz();
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
    #[inline]
    pub(super) fn add_outer(&self, a: &mut [CompensatedSum], j: usize, s: f64) {
        for (a, &x) in a.chunks_exact_mut(self.k).zip(self.point(j)) {
            for (a, &u) in a.iter_mut().zip(self.coefficient(j)) {
                a.add(s * (u * x));
            }
        }
    }

    /// `g(b) / r`, each entry within `4 EPS size` for `|b| = 1`.
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

    /// `|g(b)| / r` and its gradient `A^T g / |g|`, `A = Dg(b)`.
    ///
    /// For searches only: plain sums without an error bound.
    pub(super) fn norm_and_gradient(&self, b: &[f64], gradient: &mut [f64]) -> f64 {
        let x = DMatrixView::from_slice(&self.x, self.d, self.len());
        let u = DMatrixView::from_slice(&self.u, self.k, self.len());
        let mut z = x.tr_mul(&DVectorView::from_slice(b, self.d));
        let g = u * z.map(|z| self.slopes.value(z));
        let value = g.norm();
        if value > 0.0 {
            let projection = u.tr_mul(&g) / value;
            z.zip_apply(&projection, |z, s| *z = self.slopes.derivative(*z) * s);
            gradient.copy_from_slice((x * z).as_slice());
        } else {
            gradient.fill(0.0);
        }
        value
    }
}
