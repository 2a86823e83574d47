//! The batch methods of a feature map, called on data of a case.

use std::ops::Range;

use nalgebra::DMatrix;

use crate::feature::{FeatureMap, PredictionGradient, Workspace};
use crate::inputs::Inputs;
use crate::measure::EmpiricalMeasure;
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
            |batch, phi| batch.velocity(phi, false).results(),
        ),
        (
            "velocity of a separable risk returns the same results, bit for bit",
            |batch, phi| batch.velocity(phi, true).results(),
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

    /// The velocity for the linear risk `R(h) = <g, h>`.
    pub fn velocity(&self, phi: &dyn FeatureMap<T>, separable: bool) -> Velocity<T> {
        let (k, kn) = (phi.output_dim(), self.kn());
        let (mut h, mut v) = (
            nan_matrix(kn, 1),
            nan_matrix(phi.particle_dim(), self.mu.len()),
        );
        let (mut calls, mut next, mut in_order) = (0, 0, true);
        let mut gradient = |samples: Range<usize>, part: &[T], g: &mut [T]| {
            let entries = k * samples.start..k * samples.end;
            let lens = [part.len(), g.len()];
            in_order &= entries.start == next && entries.end <= kn && lens == [entries.len(); 2];
            calls += 1;
            if !in_order {
                return T::zero();
            }
            next = entries.end;
            h.as_mut_slice()[entries.clone()].copy_from_slice(part);
            g.copy_from_slice(&self.g[entries]);
            part.iter()
                .zip(&*g)
                .fold(T::zero(), |sum, (&h, &g)| sum + h * g)
        };
        let gradient = &mut PredictionGradient::new(separable, &mut gradient);
        let value = phi.velocity(&self.mu, &self.x, gradient, &mut v, &mut self.used());
        in_order &= next == kn;
        Velocity {
            value,
            h,
            v,
            calls,
            in_order,
        }
    }

    pub fn variation(&self, phi: &dyn FeatureMap<T>) -> (Vec<T>, DMatrix<T>) {
        let (p, q) = self.at.shape();
        let (mut values, mut descent) = (vec![real(f64::NAN); q], nan_matrix(p, q));
        let ws = &mut self.used();
        phi.variation(&self.at, &self.x, &self.g, &mut values, &mut descent, ws);
        (values, descent)
    }

    pub fn jvp(&self, phi: &dyn FeatureMap<T>) -> DMatrix<T> {
        let mut u = nan_matrix(self.kn(), 1);
        phi.jvp(
            &self.mu,
            &self.v,
            &self.x,
            u.as_mut_slice(),
            &mut self.used(),
        );
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

/// The results of a velocity, and how it evaluated the gradient of the risk.
pub(super) struct Velocity<T> {
    /// The returned risk.
    pub value: T,
    /// The predictions at which the gradient was evaluated, `k n x 1`.
    pub h: DMatrix<T>,
    /// The velocities, `p x m`.
    pub v: DMatrix<T>,
    /// The number of evaluations of the gradient.
    pub calls: usize,
    /// True if the gradient was evaluated once for every sample, in order.
    pub in_order: bool,
}

impl<T: Real> Velocity<T> {
    fn results(self) -> Vec<DMatrix<T>> {
        let scalars = [self.value, real(self.calls as f64)];
        vec![DMatrix::from_column_slice(2, 1, &scalars), self.h, self.v]
    }
}
