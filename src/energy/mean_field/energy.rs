//! The energy of a mean-field risk, and its derivatives.

use std::ops::Range;

use nalgebra::DMatrix;

use super::{MeanFieldRisk, check};
use crate::energy::linearised::Linearised;
use crate::energy::potential::{
    add_hessian_product, integral, potential_hessians, subtract_gradient,
};
use crate::energy::relaxation::{Relaxation, correct};
use crate::energy::{
    Energy, Potential, assert_breakpoints, assert_curvature, assert_dim, assert_first_variation,
    assert_hessians, assert_velocity,
};
use crate::error::EnergyError;
use crate::feature::{Breakpoint, FeatureMap, PredictionGradient};
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::columns;
use crate::ranks::AllReduce;
use crate::real::Real;
use crate::risk::Risk;

impl<F: FeatureMap<T>, R: Risk<T>, T: Real, V: Potential<T>> Energy<T>
    for MeanFieldRisk<F, R, T, V>
{
    fn particle_dim(&self) -> usize {
        self.features.particle_dim()
    }

    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        assert_dim(self.features.particle_dim(), mu);
        let kn = self.predictions();
        let Self {
            features,
            risk,
            potential,
            ranks,
            workspace,
            relaxation,
            ..
        } = self;
        let ([sums, g], ws) = workspace.nest([kn + 1, kn]);
        features.predict(mu, risk.inputs(), &mut sums[..kn], ws);
        sums[kn] = integral(potential, mu);
        ranks.sum(sums);
        let h = &mut sums[..kn];
        let value = risk.value(h) + correct(relaxation, 0, h, g);
        value + sums[kn]
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        assert_velocity(self.features.particle_dim(), mu, out);
        let kn = self.predictions();
        let Self {
            features,
            risk,
            potential,
            ranks,
            workspace,
            linearised,
            relaxation,
        } = self;
        linearised.start(kn);
        let local = integral(potential, mu);
        let value = if ranks.is_distributed() {
            // The potential energy travels with the predictions.
            let ([sums], ws) = workspace.nest([kn + 1]);
            let mut gradient = |_, h: &[T], g: &mut [T]| {
                sums[..kn].copy_from_slice(h);
                sums[kn] = local;
                ranks.sum(sums);
                let h = &mut sums[..kn];
                let value = risk.value_and_gradient(h, g) + correct(relaxation, 0, h, g);
                linearised.record(0, h, g);
                value + sums[kn]
            };
            let gradient = &mut PredictionGradient::new(false, &mut gradient);
            features.velocity(mu, risk.inputs(), gradient, out, ws)
        } else {
            let k = risk.output_dim();
            let mut gradient = |samples: Range<usize>, h: &[T], g: &mut [T]| {
                let start = samples.start * k;
                let value =
                    risk.value_and_gradient_range(samples, h, g) + correct(relaxation, start, h, g);
                linearised.record(start, h, g);
                value
            };
            let gradient = &mut PredictionGradient::new(risk.is_separable(), &mut gradient);
            features.velocity(mu, risk.inputs(), gradient, out, workspace) + local
        };
        linearised.finish(mu);
        subtract_gradient(potential, mu.points(), out);
        value
    }

    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        assert_first_variation(self.features.particle_dim(), mu, at, values, descent);
        let kn = self.predictions();
        let Self {
            features,
            risk,
            potential,
            ranks,
            workspace,
            relaxation,
            ..
        } = self;
        let ([sums, g], ws) = workspace.nest([kn + 1, kn]);
        features.predict(mu, risk.inputs(), &mut sums[..kn], ws);
        sums[kn] = integral(potential, mu);
        ranks.sum(sums);
        let h = &mut sums[..kn];
        let value = risk.value_and_gradient(h, g) + correct(relaxation, 0, h, g) + sums[kn];
        features.variation(at, risk.inputs(), g, values, descent, ws);
        for (w, value) in columns(at.as_slice(), at.nrows()).zip(values) {
            *value += potential.value(w);
        }
        subtract_gradient(potential, at, descent);
        Some(value)
    }

    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        out: &mut DMatrix<T>,
    ) -> Option<()> {
        assert_curvature(self.features.particle_dim(), mu, v, out);
        self.linearise(mu);
        let kn = self.predictions();
        let Self {
            features,
            risk,
            potential,
            ranks,
            workspace,
            linearised,
            relaxation,
        } = self;
        let ([u, hu, values], ws) = workspace.nest([kn, kn, mu.len()]);
        features.jvp(mu, v, risk.inputs(), u, ws);
        ranks.sum(u);
        risk.curvature(&linearised.h, u, hu);
        if let Some(relaxation) = relaxation {
            relaxation.add_curvature(&linearised.h, u, hu);
        }
        // `variation` returns a descent direction: out_i = -DPhi(w_i)^T R'' u.
        features.variation(mu.points(), risk.inputs(), hu, values, out, ws);
        out.neg_mut();
        add_hessian_product(potential, mu.points(), v, out);
        Some(())
    }

    fn hessians(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        remainder: &mut [T],
        included: &mut [T],
    ) -> Option<()> {
        assert_hessians(self.features.particle_dim(), mu, remainder, included);
        self.linearise(mu);
        let (w, x, g) = (mu.points(), self.risk.inputs(), &self.linearised.g);
        self.features
            .hessians(w, x, g, remainder, &mut self.workspace);
        potential_hessians(&self.potential, w, remainder, included);
        Some(())
    }

    fn breakpoints(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        margin: T,
        visit: &mut dyn FnMut(&Breakpoint<'_, T>),
    ) {
        assert_breakpoints(self.features.particle_dim(), mu, v);
        self.linearise(mu);
        let (w, x, g) = (mu.points(), self.risk.inputs(), &self.linearised.g);
        self.features.breakpoints(w, v, x, g, margin, visit);
    }

    fn relax(&mut self, at: Option<(&EmpiricalMeasure<T>, T)>) -> Option<T> {
        let Some((mu, width)) = at else {
            if self.relaxation.take().is_some() {
                self.linearised.clear();
            }
            return None;
        };
        self.linearise(mu);
        let Linearised { h, g, .. } = &self.linearised;
        let gap = match &mut self.relaxation {
            Some(relaxation) => relaxation.update(h),
            None => {
                self.relaxation = Relaxation::new(&self.risk, h, g);
                T::zero()
            }
        };
        self.relaxation.as_mut()?.set_width(width);
        self.linearised.clear();
        Some(gap)
    }

    fn ranks(&mut self) -> Option<&mut dyn AllReduce<T>> {
        self.ranks.all_reduce()
    }

    fn refresh(&mut self, step: usize) -> bool {
        // A panic of the risk leaves no record of a linearisation that may be outdated.
        let record = self.linearised.take_record();
        let changed = self.risk.refresh(step);
        self.linearised.restore_record(record);
        if changed {
            self.linearised.clear();
        }
        changed
    }

    fn check(&self) -> Result<(), EnergyError> {
        check(&self.features, &self.risk)
    }
}
