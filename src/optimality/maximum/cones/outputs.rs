//! The bound on a cone for several outputs.
//!
//! For a unit vector v of `R^k`, `|g|^2 = (v.g)^2 + |P g|^2`, `P = I - v v^T`. With v parallel to g
//! at a point of the cone the second term is of second order in the diameter of the cone, so that
//! the first one decides: a function with one output, bounded as such.

use super::concave::inner;
use super::problem::{ConeProblem, bound_from};
use crate::numeric::error_bounds::{CompensatedSum, EPS};
use crate::numeric::vector::norm;

/// Squarings of the Gram matrix in [`spectral_norm_bound`]: the excess `D^(2^-51)` is below `EPS`.
const SQUARINGS: usize = 50;

/// The parts of a bound that a function with one output does not have.
#[derive(Debug)]
pub(super) struct OtherParts<const D: usize> {
    /// Bounds of `-v.g` at the vertices, concave between them.
    opposite: [f64; D],
    /// The same of `|P g|`.
    orthogonal: [f64; D],
    /// The same of the difference to the linear map at y.
    remainder: [f64; D],
    /// The norm of this linear map.
    spectral: f64,
    /// `|g(y)| / |y|`, up to rounding.
    pub(super) value: f64,
}

/// `g(b)` for b in the cone: `A b + sum_j w_j (b.x_j)_+` over the crossing samples; for searches.
pub(super) fn value<const D: usize>(
    problem: &ConeProblem<'_, D>,
    a: &[CompensatedSum],
    crossing: &[u32],
    b: &[f64; D],
) -> Vec<f64> {
    let k = problem.k;
    let mut g = vec![0.0; k];
    for r in 0..D {
        for l in 0..k {
            g[l] += a[r * k + l].value() * b[r];
        }
    }
    for &j in crossing {
        let s = inner(&problem.point(j as usize), b);
        if s > 0.0 {
            let w = problem.weight(j as usize);
            g.iter_mut().zip(w).for_each(|(g, w)| *g += w * s);
        }
    }
    g
}

impl<const D: usize> OtherParts<D> {
    /// The parts on the cone of the vertices v, whose samples are decided but for the crossing ones.
    ///
    /// With `A_y = A + sum_j w_j x_j^T` over the crossing samples with `y.x_j > 0`, g differs from
    /// `A_y b` by `sum_j w_j r_j(b)`, where `r_j` is `(-b.x_j)_+` for these samples and `(b.x_j)_+`
    /// for the others: at most a sum of its values at the vertices.
    pub(super) fn new(
        problem: &ConeProblem<'_, D>,
        a: &[CompensatedSum],
        crossing: &[u32],
        direction: &[f64],
        v: &[[f64; D]; D],
        y: &[f64; D],
    ) -> Self {
        let k = problem.k;
        let mut at_y = a.to_vec();
        let [mut opposite, mut orthogonal, mut all] = [[CompensatedSum::default(); D]; 3];
        for &j in crossing {
            let (x, w) = (problem.point(j as usize), problem.weight(j as usize));
            let z: [f64; D] = std::array::from_fn(|i| inner(&x, &v[i]));
            let positive = inner(&x, y) > 0.0;
            let c: f64 = direction.iter().zip(w).map(|(v, w)| v * w).sum();
            let rest: Vec<f64> = direction.iter().zip(w).map(|(v, w)| w - c * v).collect();
            let (length, rest) = (norm(w), norm(&rest));
            if positive {
                for (a, &x) in at_y.chunks_exact_mut(k).zip(&x) {
                    a.iter_mut().zip(w).for_each(|(a, &w)| a.add(w * x));
                }
            }
            for i in 0..D {
                let remainder = f64::max(if positive { -z[i] } else { z[i] }, 0.0);
                orthogonal[i].add(rest * remainder);
                all[i].add(length * remainder);
                // -c (b.x)_+: a tangent if c > 0, the chord if c < 0.
                opposite[i].add(if c < 0.0 {
                    -c * f64::max(z[i], 0.0)
                } else if positive {
                    -c * z[i]
                } else {
                    0.0
                });
            }
        }
        let a: Vec<f64> = a.iter().map(CompensatedSum::value).collect();
        let at_y: Vec<f64> = at_y.iter().map(CompensatedSum::value).collect();
        let image = |a: &[f64], b: &[f64; D]| -> Vec<f64> {
            let entry = |l: usize| (0..D).map(|r| a[r * k + l] * b[r]).sum();
            (0..k).map(entry).collect()
        };
        let along = |g: &[f64]| direction.iter().zip(g).map(|(v, g)| v * g).sum::<f64>();
        let orthogonal = std::array::from_fn(|i| {
            let g = image(&at_y, &v[i]);
            let s = along(&g);
            let rest: Vec<f64> = direction.iter().zip(&g).map(|(v, g)| g - s * v).collect();
            orthogonal[i].value() + norm(&rest)
        });
        Self {
            opposite: std::array::from_fn(|i| opposite[i].value() - along(&image(&a, &v[i]))),
            orthogonal,
            remainder: std::array::from_fn(|i| all[i].value()),
            spectral: spectral_norm_bound::<D>(&at_y, k),
            value: norm(&image(&at_y, y)) / norm(y),
        }
    }

    /// A bound of `|g|`, for a bound `along` of `v.g` and an error of each value.
    pub(super) fn bound(&self, along: f64, error: f64, v: &[[f64; D]; D], y: &[f64; D]) -> f64 {
        let [opposite, orthogonal, remainder] = [&self.opposite, &self.orthogonal, &self.remainder]
            .map(|values| bound_from(values, error, v, &in_size_of(values, y)));
        let along = along.max(opposite);
        let length = (along * along + orthogonal * orthogonal).sqrt() * (1.0 + 4.0 * EPS);
        length.min((self.spectral + remainder) * (1.0 + EPS))
    }
}

/// y in the size of a function, to which the rounding errors of [`bound_from`] are relative; y
/// itself if it is 0.
fn in_size_of<const D: usize>(values: &[f64; D], y: &[f64; D]) -> [f64; D] {
    let length = norm(y);
    if length > 0.0 {
        let largest = values.iter().fold(0.0_f64, |max, &value| max.max(value));
        y.map(|y| y / length * largest)
    } else {
        *y
    }
}

/// An upper bound of the largest singular value of A, `k x D`.
///
/// The largest eigenvalue of a positive semi-definite G is at most `(tr G^N)^(1/N)`, and not far
/// below for a large N: `lambda(G) = tr(G) lambda(G^2 / tr(G)^2)^(1/2)`, repeatedly. The error of a square is at most `(D + 1) EPS |G|_F^2 <= D (D + 1) EPS
/// lambda^2`. Roots halve relative errors: together they are below `(k + D) D EPS` for the Gram
/// matrix, `D (D + 1) EPS` for the squares, and `4 EPS` for traces, products and roots.
fn spectral_norm_bound<const D: usize>(a: &[f64], k: usize) -> f64 {
    let mut gram = [[0.0; D]; D];
    for r in 0..D {
        for c in 0..D {
            gram[r][c] = (0..k).map(|l| a[r * k + l] * a[c * k + l]).sum();
        }
    }
    let trace = |g: &[[f64; D]; D]| (0..D).map(|r| g[r][r]).sum::<f64>();
    if trace(&gram) < f64::MIN_POSITIVE {
        // Entries below 2^-500, and their images.
        return 2.0_f64.powi(-500);
    }
    let mut traces = [0.0; SQUARINGS];
    for s in &mut traces {
        // At least 1 / D after the first one.
        *s = trace(&gram);
        let s = *s;
        gram = gram.map(|row| row.map(|g| g / s));
        let square: [[f64; D]; D] = std::array::from_fn(|r| {
            std::array::from_fn(|c| (0..D).map(|m| gram[r][m] * gram[m][c]).sum())
        });
        gram = square;
    }
    let largest = traces
        .iter()
        .rev()
        .fold(trace(&gram), |lambda, s| s * lambda.sqrt());
    largest.sqrt() * (1.0 + ((k + D) * D + 2 * D * (D + 1) + D + 8) as f64 * EPS)
}
