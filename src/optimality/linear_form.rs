//! The first variation of a risk on the sphere of neurons, `g(b) = sum_j u_j sigma(b.x_j)`.

use nalgebra::{DMatrixView, DVectorView};

use crate::numeric::error_bounds::BoundedSum;
use crate::numeric::vector::dot;
use crate::numeric::vector::norm;

/// A positively 1-homogeneous activation: `sigma(z) = s_+ z` for `z > 0`, `s_- z` for `z < 0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SlopePair {
    pub(super) plus: f64,
    pub(super) minus: f64,
}

impl SlopePair {
    /// `sigma(z)`.
    #[inline]
    pub(super) fn value(self, z: f64) -> f64 {
        z * self.at(z)
    }

    /// The slope on the side of `z`.
    #[inline]
    pub(super) fn at(self, z: f64) -> f64 {
        if z > 0.0 { self.plus } else { self.minus }
    }

    /// `max |sigma(z)| / |z|`.
    pub(super) fn steepest(self) -> f64 {
        self.plus.abs().max(self.minus.abs())
    }
}

/// `g(b) = r sum_j u_j sigma(b.x_j)` in `R^k` with unit vectors `x_j`, `max |u_j| = 1`, and the samples that matter only.
///
/// Unit vectors and one scale `r` keep everything near 1: no overflow, no underflow, and all rounding is a multiple of
/// `EPS size`, `size = r max|sigma'| sum_j |u_j|`.
#[derive(Debug, Clone)]
pub(super) struct LinearForm {
    pub(super) d: usize,
    pub(super) k: usize,
    pub(super) slopes: SlopePair,
    /// Unit vectors, `d x n`.
    pub(super) x: Vec<f64>,
    /// `k x n`.
    pub(super) u: Vec<f64>,
    pub(super) scale: f64,
    /// `max|sigma'| sum_j |u_j|`.
    pub(super) size: f64,
}

impl LinearForm {
    /// The form of the slopes `u` (`k x n`) of a risk at the samples `x` (`d x n`).
    pub(super) fn new(x: &[f64], u: &[f64], d: usize, k: usize, slopes: SlopePair) -> Self {
        let norms: Vec<(f64, f64)> = x
            .chunks_exact(d)
            .zip(u.chunks_exact(k))
            .map(|(x, u)| (norm(x), norm(u)))
            .collect();
        let scale = norms.iter().fold(0.0_f64, |max, (x, u)| max.max(x * u));
        let room = |len| Vec::with_capacity(len);
        let mut form = Self {
            d,
            k,
            slopes,
            x: room(x.len()),
            u: room(u.len()),
            scale,
            size: 0.0,
        };
        for ((x, u), (nx, nu)) in x.chunks_exact(d).zip(u.chunks_exact(k)).zip(norms) {
            let ratio = (nx / scale) * nu;
            if ratio > 0.0 {
                form.x.extend(x.iter().map(|x| x / nx));
                form.u.extend(u.iter().map(|u| u / nu * ratio));
                form.size += ratio;
            }
        }
        form.size *= slopes.steepest();
        form
    }

    pub(super) fn len(&self) -> usize {
        self.x.len() / self.d
    }

    pub(super) fn point(&self, j: usize) -> &[f64] {
        &self.x[j * self.d..(j + 1) * self.d]
    }

    pub(super) fn slope(&self, j: usize) -> &[f64] {
        &self.u[j * self.k..(j + 1) * self.k]
    }

    /// `A += s u_j x_j^T`, `A` (`k x d`).
    #[inline]
    pub(super) fn add(&self, a: &mut [BoundedSum], j: usize, s: f64) {
        for (a, &x) in a.chunks_exact_mut(self.k).zip(self.point(j)) {
            for (a, &u) in a.iter_mut().zip(self.slope(j)) {
                a.add(s * (u * x));
            }
        }
    }

    /// `g(b)`, without `r`, each entry within `4 EPS size` for `|b| = 1`.
    pub(super) fn evaluate(&self, b: &[f64]) -> Vec<f64> {
        let mut g = vec![BoundedSum::default(); self.k];
        for (x, u) in self.x.chunks_exact(self.d).zip(self.u.chunks_exact(self.k)) {
            let s = self.slopes.value(dot(b, x));
            for (g, &u) in g.iter_mut().zip(u) {
                g.add(u * s);
            }
        }
        g.iter().map(BoundedSum::value).collect()
    }

    /// `|g(b)|` and its gradient `A^T g / |g|`, `A = Dg(b)`; for a search, without the care of `evaluate`.
    pub(super) fn ascent(&self, b: &[f64], gradient: &mut [f64]) -> f64 {
        let x = DMatrixView::from_slice(&self.x, self.d, self.len());
        let u = DMatrixView::from_slice(&self.u, self.k, self.len());
        let mut z = x.tr_mul(&DVectorView::from_slice(b, self.d));
        let g = u * z.map(|z| self.slopes.value(z));
        let value = g.norm();
        if value > 0.0 {
            let along = u.tr_mul(&g) / value;
            z.zip_apply(&along, |z, along| *z = self.slopes.at(*z) * along);
            gradient.copy_from_slice((x * z).as_slice());
        } else {
            gradient.fill(0.0);
        }
        value
    }
}
