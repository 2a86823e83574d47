//! The batch methods of a feature map, called on data of a case.

use nalgebra::DMatrix;

use crate::feature::{FeatureMap, Workspace};
use crate::inputs::Inputs;
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::dot;
use crate::real::{Real, real};
use crate::testing::case::Case;
use crate::testing::evaluation::nan_matrix;

/// The data of a batch: a measure, samples, a gradient, a velocity field and other points.
#[derive(Debug, Clone)]
pub(super) struct Batch<T> {
    pub mu: EmpiricalMeasure<T>,
    pub x: Inputs<T>,
    /// A gradient with respect to the predictions, `k x n`.
    pub g: Vec<T>,
    /// A velocity field, `p x m`.
    pub v: DMatrix<T>,
    /// Points at which the linear form of g is evaluated, `p x q` with q = m + 1.
    pub at: DMatrix<T>,
}

/// Calls a batch method and returns the matrices that it writes.
pub(super) type Method<T> = fn(&Batch<T>, &dyn FeatureMap<T>) -> Vec<DMatrix<T>>;

/// Every batch method, with the law that two maps give the same results.
pub(super) const fn methods<T: Real>() -> [(&'static str, Method<T>); 5] {
    [
        (
            "predict returns the same results, bit for bit",
            |batch, phi| vec![batch.predict(phi)],
        ),
        (
            "velocity returns the same results, bit for bit",
            |batch, phi| {
                let (value, h, v, calls) = batch.velocity(phi);
                let scalars = DMatrix::from_vec(2, 1, vec![value, real(calls as f64)]);
                vec![scalars, h, v]
            },
        ),
        (
            "velocity by ranges of samples returns the same results, bit for bit",
            |batch, phi| {
                let (value, h, v, in_order) = batch.velocity_by_samples(phi);
                let in_order = real(f64::from(u8::from(in_order)));
                vec![DMatrix::from_vec(2, 1, vec![value, in_order]), h, v]
            },
        ),
        (
            "variation returns the same results, bit for bit",
            |batch, phi| {
                let (values, descent) = batch.variation(phi);
                vec![DMatrix::from_vec(values.len(), 1, values), descent]
            },
        ),
        ("jvp returns the same results, bit for bit", |batch, phi| {
            vec![batch.jvp(phi)]
        }),
    ]
}

impl<T: Real> Batch<T> {
    pub fn new(phi: &dyn FeatureMap<T>, case: Case) -> Self {
        let (p, d, k) = (phi.particle_dim(), phi.input_dim(), phi.output_dim());
        let mut rng = case.rng(11);
        let x = Inputs::new(rng.matrix(d, case.n)).unwrap_or_else(|e| unreachable!("{e}"));
        let mu = rng.measure(p, case.m);
        Self {
            g: rng.direction(k * case.n),
            v: DMatrix::from_vec(p, case.m, rng.direction(p * case.m)),
            at: rng.matrix(p, case.m + 1),
            mu,
            x,
        }
    }

    /// The batch with the measure replaced by `mu`; the points `at` move as its first particle.
    pub fn moved_to(&self, mu: &EmpiricalMeasure<T>) -> Self {
        let shift = mu.points().column(0) - self.mu.points().column(0);
        let mut moved = Self {
            mu: mu.clone(),
            ..self.clone()
        };
        moved.at.column_iter_mut().for_each(|mut w| w += &shift);
        moved
    }

    /// The number of predictions, k n.
    pub fn kn(&self) -> usize {
        self.g.len()
    }

    /// A workspace that has been used before and contains NaN.
    fn used(&self) -> Workspace<T> {
        let mut ws = Workspace::default();
        let len = 4 * (self.kn() + self.v.len()) + 64;
        let ([slice], inner) = ws.nest([len]);
        slice.fill(real(f64::NAN));
        let [slice] = inner.split([len]);
        slice.fill(real(f64::NAN));
        ws
    }

    pub fn predict(&self, phi: &dyn FeatureMap<T>) -> DMatrix<T> {
        let mut h = nan_matrix(self.kn(), 1);
        phi.predict(&self.mu, &self.x, h.as_mut_slice(), &mut self.used());
        h
    }

    /// For the linear risk `R(h) = <g, h>`: the returned risk, the arguments h of `gradient`, the
    /// velocities, and the number of calls of `gradient`.
    pub fn velocity(&self, phi: &dyn FeatureMap<T>) -> (T, DMatrix<T>, DMatrix<T>, usize) {
        let (mut predictions, mut calls) = (nan_matrix(self.kn(), 1), 0);
        let mut out = nan_matrix(phi.particle_dim(), self.mu.len());
        let mut gradient = |h: &[T], g: &mut [T]| {
            calls += 1;
            predictions.as_mut_slice().copy_from_slice(h);
            g.copy_from_slice(&self.g);
            dot(h, &self.g)
        };
        let value = phi.velocity(&self.mu, &self.x, &mut gradient, &mut out, &mut self.used());
        (value, predictions, out, calls)
    }

    /// As [`velocity`](Self::velocity), by ranges of samples; the last result is true if `gradient`
    /// was called once for every sample, in order.
    pub fn velocity_by_samples(
        &self,
        phi: &dyn FeatureMap<T>,
    ) -> (T, DMatrix<T>, DMatrix<T>, bool) {
        let (mut predictions, mut next, mut in_order) = (nan_matrix(self.kn(), 1), 0, true);
        let mut out = nan_matrix(phi.particle_dim(), self.mu.len());
        let mut gradient = |first: usize, h: &[T], g: &mut [T]| {
            let start = first * phi.output_dim();
            in_order &= start == next && h.len() == g.len() && start + h.len() <= self.kn();
            if !in_order {
                return T::zero();
            }
            next += h.len();
            predictions.as_mut_slice()[start..next].copy_from_slice(h);
            g.copy_from_slice(&self.g[start..next]);
            dot(h, &self.g[start..next])
        };
        let value =
            phi.velocity_by_samples(&self.mu, &self.x, &mut gradient, &mut out, &mut self.used());
        in_order &= next == self.kn();
        (value, predictions, out, in_order)
    }

    pub fn variation(&self, phi: &dyn FeatureMap<T>) -> (Vec<T>, DMatrix<T>) {
        let (p, q) = self.at.shape();
        let (mut values, mut descent) = (vec![real(f64::NAN); q], nan_matrix(p, q));
        let ws = &mut self.used();
        phi.variation(&self.at, &self.x, &self.g, &mut values, &mut descent, ws);
        (values, descent)
    }

    pub fn jvp(&self, phi: &dyn FeatureMap<T>) -> DMatrix<T> {
        let (mut u, mut ws) = (nan_matrix(self.kn(), 1), self.used());
        phi.jvp(&self.mu, &self.v, &self.x, u.as_mut_slice(), &mut ws);
        u
    }

    /// The value, the JVP and the VJP of the first particle at the first sample.
    pub fn point(&self, phi: &dyn FeatureMap<T>) -> Vec<T> {
        let (p, k) = (phi.particle_dim(), phi.output_dim());
        let (w, x, v) = (
            self.mu.particle(0),
            self.x.point(0),
            &self.v.as_slice()[..p],
        );
        let [mut value, mut jvp] = [(); 2].map(|()| vec![T::zero(); k]);
        let mut vjp = vec![T::zero(); p];
        phi.add_value(w, x, T::one(), &mut value);
        phi.add_jvp(w, x, v, T::one(), &mut jvp);
        phi.add_vjp(w, x, &self.g[..k], &mut vjp);
        [value, jvp, vjp].concat()
    }
}
