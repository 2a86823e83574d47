//! Radial ridge maps via ridge maps: `a |b| sigma(b.x / |b|)` with `r = |b|`, `e = b / r`.
//!
//! The ridge map with particles `(a_i, e_i)` and weights `c_i r_i` has the same predictions. Its
//! `S_i` and `G_i` give `da_i = -r_i S_i` and `db_i = -(G_i + e_i (<a_i, S_i> - e_i . G_i))`. If
//! `b_i = 0`, all are 0.

use super::Neurons;
use crate::activation::Activation;
use crate::feature::{PredictionGradient, Workspace};
use crate::numeric::vector::{dot, norm};
use crate::real::Real;

/// A radial ridge map on samples; `w` are the particles `(a_i, b_i)` of the radial map.
#[derive(Debug)]
pub(in crate::feature) struct Radials<'a, T: Real, A>(pub(in crate::feature) Neurons<'a, T, A>);

impl<T: Real, A: Activation<T>> Radials<'_, T, A> {
    /// `h(x_j) = sum_i c_i a_i r_i sigma(e_i . x_j)`.
    pub(in crate::feature) fn predict(&self, c: &[T], out: &mut [T], ws: &mut Workspace<T>) {
        let ([w, r, cr], ws) = ws.nest([self.0.w.len(), c.len(), c.len()]);
        self.polar(w, r);
        products(c, r, cr);
        self.ridge(w).predict(cr, out, ws);
    }

    /// The velocities, written to `out` (`p x m`); returns the risk.
    pub(in crate::feature) fn velocity(
        &self,
        c: &[T],
        gradient: &mut PredictionGradient<'_, T>,
        out: &mut [T],
        ws: &mut Workspace<T>,
    ) -> T {
        let ([w, r, cr], ws) = ws.nest([self.0.w.len(), c.len(), c.len()]);
        self.polar(w, r);
        products(c, r, cr);
        let risk = self.ridge(w).velocity(cr, gradient, out, ws);
        self.to_radial_derivative(w, r, out);
        risk
    }

    /// The linear functional of `g` and its descent directions.
    pub(in crate::feature) fn variation(
        &self,
        g: &[T],
        values: &mut [T],
        descent: &mut [T],
        ws: &mut Workspace<T>,
    ) {
        let ([w, r], ws) = ws.nest([self.0.w.len(), values.len()]);
        self.polar(w, r);
        self.ridge(w).variation(g, values, descent, ws);
        for (value, &r) in values.iter_mut().zip(r.iter()) {
            *value *= r;
        }
        self.to_radial_derivative(w, r, descent);
    }

    /// The derivatives of the predictions along `v`: those of the ridge map along
    /// `(r alpha + a (e.beta), beta - e (e.beta))`, by the derivatives of `e` and `r`.
    pub(in crate::feature) fn jvp(&self, c: &[T], v: &[T], out: &mut [T], ws: &mut Workspace<T>) {
        let (k, p) = (self.0.k, self.0.k + self.0.x.dim());
        let ([w, r, tangent], ws) = ws.nest([self.0.w.len(), c.len(), v.len()]);
        self.polar(w, r);
        tangent.copy_from_slice(v);
        let particles = w.chunks_exact(p).zip(r.iter());
        for (v, (w, &r)) in tangent.chunks_exact_mut(p).zip(particles) {
            let ((alpha, beta), (a, e)) = (v.split_at_mut(k), w.split_at(k));
            if r == T::zero() {
                beta.fill(T::zero());
            }
            let along = dot(e, beta);
            for (alpha, &a) in alpha.iter_mut().zip(a) {
                *alpha = r * *alpha + a * along;
            }
            for (beta, &e) in beta.iter_mut().zip(e) {
                *beta -= e * along;
            }
        }
        self.ridge(w).jvp(c, tangent, out, ws);
    }

    /// Writes `(a_i, e_i)` to `w` and `r_i` to `r`.
    fn polar(&self, w: &mut [T], r: &mut [T]) {
        let (k, p) = (self.0.k, self.0.k + self.0.x.dim());
        w.copy_from_slice(self.0.w);
        for (w, r) in w.chunks_exact_mut(p).zip(r) {
            *r = norm(&w[k..]);
            if *r != T::zero() {
                for e in &mut w[k..] {
                    *e /= *r;
                }
            }
        }
    }

    /// The ridge map with the particles `w`, `(a_i, e_i)`.
    fn ridge<'b>(&'b self, w: &'b [T]) -> Neurons<'b, T, A> {
        Neurons { w, ..self.0 }
    }

    /// Replaces `(-S_i, -G_i)` in `out` by `(da_i, db_i)`.
    fn to_radial_derivative(&self, w: &[T], r: &[T], out: &mut [T]) {
        let (k, p) = (self.0.k, self.0.k + self.0.x.dim());
        for ((v, w), &r) in out.chunks_exact_mut(p).zip(w.chunks_exact(p)).zip(r) {
            let ((da, db), (a, e)) = (v.split_at_mut(k), w.split_at(k));
            if r == T::zero() {
                db.fill(T::zero());
            }
            let along = dot(a, da) - dot(e, db);
            for (db, &e) in db.iter_mut().zip(e) {
                *db += e * along;
            }
            for da in da {
                *da *= r;
            }
        }
    }
}

/// `cr_i = c_i r_i`
fn products<T: Real>(c: &[T], r: &[T], cr: &mut [T]) {
    for ((cr, &c), &r) in cr.iter_mut().zip(c).zip(r) {
        *cr = c * r;
    }
}
