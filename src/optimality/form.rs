//! The first variation of a risk on the sphere of neurons, `g(b) = sum_j u_j sigma(b.x_j)`.

use nalgebra::{DMatrixView, DVectorView};

use super::ascent::{Starts, climb};
use super::rounding::{EPS, Sum};
use super::{Bound, circle, sphere};
use crate::feature::dot;

/// A positively 1-homogeneous activation: `sigma(z) = s_+ z` for `z > 0`, `s_- z` for `z < 0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Slopes {
    pub(super) plus: f64,
    pub(super) minus: f64,
}

impl Slopes {
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
pub(super) struct Form {
    pub(super) d: usize,
    pub(super) k: usize,
    pub(super) slopes: Slopes,
    /// Unit vectors, `d x n`.
    pub(super) x: Vec<f64>,
    /// `k x n`.
    pub(super) u: Vec<f64>,
    scale: f64,
    /// `max|sigma'| sum_j |u_j|`.
    pub(super) size: f64,
}

/// `max |g|` over the unit sphere, in the scale of the risk.
#[derive(Debug, Clone)]
pub(super) struct Maximum {
    /// The largest `|g(b)|` found.
    pub(super) value: f64,
    /// Where.
    pub(super) at: Vec<f64>,
    /// `g` there.
    pub(super) g: Vec<f64>,
    /// What `value` is above for certain.
    pub(super) lower: f64,
    /// What no `|g(b)|` is above.
    pub(super) upper: f64,
    pub(super) bound: Bound,
}

impl Form {
    /// The form of the slopes `u` (`k x n`) of a risk at the samples `x` (`d x n`).
    pub(super) fn new(x: &[f64], u: &[f64], d: usize, k: usize, slopes: Slopes) -> Self {
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
    pub(super) fn add(&self, a: &mut [Sum], j: usize, s: f64) {
        for (a, &x) in a.chunks_exact_mut(self.k).zip(self.point(j)) {
            for (a, &u) in a.iter_mut().zip(self.slope(j)) {
                a.add(s * (u * x));
            }
        }
    }

    /// `g(b)`, without `r`, each entry within `4 EPS size` for `|b| = 1`.
    pub(super) fn evaluate(&self, b: &[f64]) -> Vec<f64> {
        let mut g = vec![Sum::default(); self.k];
        for (x, u) in self.x.chunks_exact(self.d).zip(self.u.chunks_exact(self.k)) {
            let s = self.slopes.value(dot(b, x));
            for (g, &u) in g.iter_mut().zip(u) {
                g.add(u * s);
            }
        }
        g.iter().map(Sum::value).collect()
    }

    /// `|g(b)|` and its gradient `A^T g / |g|`, `A = Dg(b)`; for a search, without the care of `evaluate`.
    fn ascent(&self, b: &[f64], gradient: &mut [f64]) -> f64 {
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

    /// `max |g|` over the unit sphere: proved for `d <= 3`, searched beyond. `particles` are where to look first.
    pub(super) fn maximum<'a>(&self, particles: impl Iterator<Item = &'a [f64]>) -> Maximum {
        let mut at = vec![0.0; self.d];
        at[0] = 1.0;
        if self.len() == 0 || !self.scale.is_finite() || self.size == 0.0 {
            let (upper, bound) = if self.scale.is_finite() {
                (0.0, Bound::Certified)
            } else {
                (f64::INFINITY, Bound::Estimate)
            };
            return Maximum {
                value: 0.0,
                at,
                g: vec![0.0; self.k],
                lower: 0.0,
                upper,
                bound,
            };
        }
        // What all of the following share: rounded unit vectors, slopes rounded by the dual point, signs, sums, norms.
        let mut error = (64.0 + 8.0 * (self.k + self.d) as f64) * EPS * self.size;
        let (upper, bound) = match self.d {
            1 => {
                let (right, left) = (norm(&self.evaluate(&[1.0])), norm(&self.evaluate(&[-1.0])));
                at[0] = if right >= left { 1.0 } else { -1.0 };
                (right.max(left), Bound::Certified)
            }
            2 => {
                let (value, b) = circle::maximum(self);
                at.copy_from_slice(&b);
                (value, Bound::Certified)
            }
            d => {
                let starts = Starts::random(d).and(particles).and(self.x.chunks_exact(d));
                at = climb(&starts, |b, gradient| self.ascent(b, gradient));
                if d == 3 {
                    let found = sphere::maximum(self, &at);
                    error += found.error;
                    at.copy_from_slice(&found.at);
                    (found.upper, Bound::Certified)
                } else {
                    (self.size, Bound::Estimate)
                }
            }
        };
        let g = self.evaluate(&at);
        let value = norm(&g);
        Maximum {
            value: self.scale * value,
            g,
            at,
            lower: self.scale * (value - error),
            upper: self.scale * (upper.max(value) + error) + f64::MIN_POSITIVE,
            bound,
        }
    }
}

/// `|x|`, without overflow or underflow of the squares.
pub(super) fn norm(x: &[f64]) -> f64 {
    let squares: f64 = x.iter().map(|x| x * x).sum();
    if (1e-280..1e280).contains(&squares) {
        return squares.sqrt();
    }
    let largest = x.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    largest
        * x.iter()
            .map(|x| (x / largest) * (x / largest))
            .sum::<f64>()
            .sqrt()
}
