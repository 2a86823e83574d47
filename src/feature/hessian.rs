//! Hessians by differences of gradients.

use nalgebra::DMatrix;

use crate::numeric::vector::norm;
use crate::real::{Real, epsilon};

/// The Hessians of a function at the points `w` (`p x q`), written one after the other to `out`, by
/// forward differences of its descent directions `descent(at, values, out)`.
///
/// The step of a point is `sqrt(eps)` times its size, which balances truncation and rounding.
pub(crate) fn by_differences<T: Real>(
    w: &DMatrix<T>,
    out: &mut [T],
    mut descent: impl FnMut(&DMatrix<T>, &mut [T], &mut DMatrix<T>),
) {
    let (p, q) = w.shape();
    let (mut at, mut values) = (w.clone(), vec![T::zero(); q]);
    let [mut before, mut after] = [(); 2].map(|()| DMatrix::zeros(p, q));
    descent(w, &mut values, &mut before);
    let step = |i: usize| {
        let size = norm(w.column(i).as_slice());
        epsilon::<T>().sqrt() * if size > T::zero() { size } else { T::one() }
    };
    for l in 0..p {
        for i in 0..q {
            at[(l, i)] += step(i);
        }
        descent(&at, &mut values, &mut after);
        for i in 0..q {
            let h = at[(l, i)] - w[(l, i)];
            for r in 0..p {
                out[(i * p + l) * p + r] = (before[(r, i)] - after[(r, i)]) / h;
            }
            at[(l, i)] = w[(l, i)];
        }
    }
    for block in out.chunks_exact_mut(p * p) {
        symmetrise(block, p);
    }
}

/// Replaces a `p x p` matrix by its symmetric part.
fn symmetrise<T: Real>(block: &mut [T], p: usize) {
    for l in 0..p {
        for r in 0..l {
            let mean = (block[l * p + r] + block[r * p + l]) / (T::one() + T::one());
            block[l * p + r] = mean;
            block[r * p + l] = mean;
        }
    }
}
