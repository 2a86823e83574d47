//! Orthonormal bases of spans of vectors, by Gram-Schmidt.

use crate::numeric::vector::{axpy, dot};
use crate::real::{Real, epsilon, real};

/// The least length of a unit vector after orthogonalisation, in units of `sqrt(eps)`. A vector with
/// a shorter one is a combination of the others, up to rounding.
const INDEPENDENCE: f64 = 16.0;

/// Vectors `n_j = sum_{k <= j} L_jk e_k` with orthonormal `e_k`.
#[derive(Clone)]
pub(crate) struct Basis<T> {
    e: Vec<Vec<T>>,
    /// The rows of `L`.
    l: Vec<Vec<T>>,
}

impl<T: Real> Basis<T> {
    /// The empty basis.
    pub(crate) const fn new() -> Self {
        Self {
            e: Vec::new(),
            l: Vec::new(),
        }
    }

    /// Adds a vector; returns false if it is a combination of the others.
    ///
    /// Gram-Schmidt, applied twice: after one pass rounding may leave a component as large as the
    /// result.
    pub(crate) fn extend(&mut self, n: &[T]) -> bool {
        let size = dot(n, n).sqrt();
        let mut n = n.to_vec();
        let mut row = vec![T::zero(); self.e.len()];
        for _ in 0..2 {
            for (e, l) in self.e.iter().zip(&mut row) {
                let component = dot(e, &n);
                axpy(-component, e, &mut n);
                *l += component;
            }
        }
        let rest = dot(&n, &n).sqrt();
        if rest <= size * epsilon::<T>().sqrt() * real(INDEPENDENCE) {
            return false;
        }
        n.iter_mut().for_each(|n| *n /= rest);
        row.push(rest);
        self.e.push(n);
        self.l.push(row);
        true
    }

    /// The number of independent vectors.
    pub(crate) fn len(&self) -> usize {
        self.e.len()
    }

    /// Removes from `u` its components along the vectors.
    pub(crate) fn project(&self, u: &mut [T]) {
        for e in &self.e {
            axpy(-dot(e, u), e, u);
        }
    }

    /// Adds to `u` the shortest vector whose inner products with the vectors are `changes`.
    pub(crate) fn displace(&self, changes: &[T], u: &mut [T]) {
        let mut y: Vec<T> = Vec::with_capacity(self.len());
        for (row, &change) in self.l.iter().zip(changes) {
            let rest = change - dot(&row[..y.len()], &y);
            y.push(rest / row[y.len()]);
        }
        for (e, &y) in self.e.iter().zip(&y) {
            axpy(y, e, u);
        }
    }

    /// The coefficients `s` with `sum_j s_j n_j` the part of `u` along the vectors.
    pub(crate) fn coefficients(&self, u: &[T]) -> Vec<T> {
        let mut s: Vec<T> = self.e.iter().map(|e| dot(e, u)).collect();
        for j in (0..s.len()).rev() {
            for i in j + 1..s.len() {
                let known = self.l[i][j] * s[i];
                s[j] -= known;
            }
            s[j] /= self.l[j][j];
        }
        s
    }
}
