//! Breakpoints and Hessians of ridge maps whose activation is piecewise linear.
//!
//! `<g, Phi(a, b)(x)> = <g, a> sigma(b.x)` has the kink `b.x = 0` with the normal `(0, x)`. The
//! gradient jumps across it by `<g, a> (sigma'(0+) - sigma'(0-)) (0, x)`. Between kinks the map is
//! linear in `a` and in `b`.

use nalgebra::DMatrix;

use super::{Breakpoint, FeatureMap, Workspace};
use crate::activation::Slopes;
use crate::inputs::Inputs;
use crate::numeric::vector::{columns, dot, norm};
use crate::real::Real;

/// Visits the breakpoints of the points `w` along `v` (`p x q`).
pub(super) fn breakpoints<T: Real>(
    slopes: Slopes<T>,
    [w, v]: [&DMatrix<T>; 2],
    x: &Inputs<T>,
    g: &[T],
    margin: T,
    visit: &mut dyn FnMut(&Breakpoint<'_, T>),
) {
    let rise = slopes.positive - slopes.negative;
    if rise == T::zero() {
        return;
    }
    let (p, d) = (w.nrows(), x.dim());
    let k = p - d;
    let mut normal = vec![T::zero(); p];
    let sizes: Vec<T> = (0..x.len()).map(|j| norm(x.point(j))).collect();
    for (particle, (w, v)) in columns(w.as_slice(), p)
        .zip(columns(v.as_slice(), p))
        .enumerate()
    {
        let ((a, b), (da, db)) = (w.split_at(k), v.split_at(k));
        let size = norm(b);
        for (j, &size_x) in sizes.iter().enumerate() {
            let (x, scale) = (x.point(j), size * size_x);
            let (offset, rate) = (dot(b, x), dot(db, x));
            if offset.abs() > rate.abs() + margin * scale || size_x == T::zero() {
                continue;
            }
            normal[k..].copy_from_slice(x);
            let g = &g[j * k..(j + 1) * k];
            visit(&Breakpoint {
                particle,
                normal: &normal,
                offset,
                rate,
                scale,
                jump: dot(g, a) * rise,
                jump_rate: dot(g, da) * rise,
                side: (slopes.zero - slopes.negative) / rise,
            });
        }
    }
}

/// The Hessians at the points `w`: zero but for the derivatives in `a_l` and `b`,
/// `r_l = sum_j g_jl sigma'(b.x_j) x_j`, which is the gradient in `b` with `a` a unit vector.
pub(super) fn hessians<T: Real>(
    map: &impl FeatureMap<T>,
    w: &DMatrix<T>,
    x: &Inputs<T>,
    g: &[T],
    out: &mut [T],
    ws: &mut Workspace<T>,
) {
    let (p, q) = w.shape();
    let k = p - x.dim();
    let (mut at, mut values) = (w.clone(), vec![T::zero(); q]);
    let mut descent = DMatrix::zeros(p, q);
    out.fill(T::zero());
    for l in 0..k {
        at.rows_mut(0, k).fill(T::zero());
        at.row_mut(l).fill(T::one());
        map.variation(&at, x, g, &mut values, &mut descent, ws);
        for (block, descent) in out.chunks_exact_mut(p * p).zip(descent.column_iter()) {
            for c in k..p {
                block[l * p + c] = -descent[c];
                block[c * p + l] = -descent[c];
            }
        }
    }
}
