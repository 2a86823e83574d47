//! The risk of the mean prediction, `F(mu) = R(int Phi dmu) + int V dmu`.

use std::fmt;
use std::ops::Range;

use nalgebra::DMatrix;

use super::linearised::Linearised;
use super::potential::{add_hessian_product, integral, potential_hessians, subtract_gradient};
use super::ranks::{AllReduce, Ranks};
use super::relaxation::{Relaxation, correct};
use super::{Energy, Potential, inner};
use crate::error::ShapeError;
use crate::feature::{Breakpoint, FeatureMap, PredictionGradient, Workspace};
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::columns;
use crate::real::Real;
use crate::risk::Risk;

/// The risk of the mean prediction: `F(mu) = R(h_mu) + int V dmu`,
/// `h_mu(x) = int Phi(w)(x) dmu(w)`.
///
/// Training a wide two-layer network is the Wasserstein gradient flow of this energy. It is convex
/// in `mu`, with `F'(mu)(w) = <grad R(h_mu), Phi(w)> + V(w)` and `v_i = -grad_w F'(mu)(w_i)`.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// let risk = EmpiricalRisk::new(Square, DMatrix::from_element(1, 1, 1.0), DVector::from_element(1, 3.0))?;
/// let mut f = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?.regularized(WeightDecay::new(0.5)?);
///
/// // One neuron 2 (x)_+ at x = 1, y = 3: F = (2 - 3)^2 / 2 + 0.5 (4 + 1).
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[2.0, 1.0]))?;
/// let mut v = DMatrix::zeros(2, 1);
/// assert_eq!(f.velocity(&mu, &mut v), 3.0);
/// assert_eq!(v.as_slice(), &[1.0 - 2.0, 2.0 - 1.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Cost of a velocity: that of [`FeatureMap::velocity`], `O(n m d)` for a ridge map, and `O(m p)`
/// for the potential.
pub struct MeanFieldRisk<F, R, T, V = ()> {
    features: F,
    risk: R,
    potential: V,
    ranks: Ranks<T>,
    workspace: Workspace<T>,
    /// Predictions and gradient at the last measure, for integrators that use second derivatives.
    linearised: Linearised<T>,
    /// The relaxed kinks of the risk, during a proximal step.
    relaxation: Option<Relaxation<T>>,
}

impl<F: fmt::Debug, R: fmt::Debug, T, V: fmt::Debug> fmt::Debug for MeanFieldRisk<F, R, T, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeanFieldRisk")
            .field("features", &self.features)
            .field("risk", &self.risk)
            .field("potential", &self.potential)
            .field("ranks", &self.ranks)
            .finish_non_exhaustive()
    }
}

impl<F: FeatureMap<T>, R: Risk<T>, T: Real> MeanFieldRisk<F, R, T> {
    /// The energy `F(mu) = R(int Phi dmu)`.
    ///
    /// # Errors
    /// [`ShapeError`] if the dimension of the inputs (`d`) or the number of outputs (`k`) of the
    /// map is not that of the risk, or if `k` or the dimension of the particles is 0.
    pub fn new(features: F, risk: R) -> Result<Self, ShapeError> {
        let (p, d, k) = (
            features.particle_dim(),
            features.input_dim(),
            features.output_dim(),
        );
        ShapeError::check("input dimension of the feature map", risk.inputs().dim(), d)?;
        ShapeError::check("number of outputs of the feature map", risk.output_dim(), k)?;
        for (what, found) in [
            ("particle dimension of the feature map", p),
            ("number of outputs of the feature map", k),
        ] {
            if found == 0 {
                return Err(ShapeError {
                    what,
                    expected: 1,
                    found,
                });
            }
        }
        let workspace = Workspace::default();
        Ok(Self {
            features,
            risk,
            potential: (),
            ranks: Ranks::SINGLE,
            workspace,
            linearised: Linearised::default(),
            relaxation: None,
        })
    }

    /// Adds `int V dmu`. Several potentials are passed as a pair, `(V, W)`.
    pub fn regularized<V: Potential<T>>(self, potential: V) -> MeanFieldRisk<F, R, T, V> {
        let Self {
            features,
            risk,
            potential: (),
            ranks,
            workspace,
            linearised,
            relaxation,
        } = self;
        MeanFieldRisk {
            features,
            risk,
            potential,
            ranks,
            workspace,
            linearised,
            relaxation,
        }
    }
}

impl<F, R, T: Real, V> MeanFieldRisk<F, R, T, V> {
    /// Declares that this rank holds a part of the particles: predictions and scalars are summed by
    /// `all_reduce`.
    ///
    /// Weights are those of the whole measure, so that `sum_i c_i` over all ranks is its mass.
    /// Every rank then computes the same `F` and the same inner products, and takes the same
    /// decisions. Start all ranks or none: if the measure of one rank is refused, the others wait
    /// in `all_reduce` for ever.
    #[must_use]
    pub fn distributed(mut self, all_reduce: impl AllReduce<T> + Send + 'static) -> Self {
        self.ranks = Ranks::of(all_reduce);
        self
    }

    /// The feature map `Phi`.
    pub fn features(&self) -> &F {
        &self.features
    }

    /// The risk `R`.
    pub fn risk(&self) -> &R {
        &self.risk
    }

    /// The risk `R`, for modification between steps. Call
    /// [`State::invalidate`](crate::State::invalidate) afterwards.
    pub fn risk_mut(&mut self) -> &mut R {
        self.linearised.clear();
        &mut self.risk
    }

    /// The potential `V`.
    pub fn potential(&self) -> &V {
        &self.potential
    }

    /// Returns true if the particles are distributed over ranks.
    pub(crate) fn is_distributed(&self) -> bool {
        self.ranks.is_distributed()
    }

    /// Replaces `x[l]` by its sum over all ranks, for every l.
    pub(crate) fn sum_over_ranks(&mut self, x: &mut [T]) {
        self.ranks.sum(x);
    }
}

impl<F: FeatureMap<T>, R: Risk<T>, T: Real, V: Potential<T>> MeanFieldRisk<F, R, T, V> {
    /// Writes the predictions `h_mu(x_j)`, `k x n`, at the samples of the risk.
    ///
    /// # Panics
    /// If the length of `out` is not `k n`, or the dimension of the particles is not that of the
    /// map.
    pub fn predict(&mut self, mu: &EmpiricalMeasure<T>, out: &mut [T]) {
        self.features
            .predict(mu, self.risk.inputs(), out, &mut self.workspace);
        self.ranks.sum(out);
    }

    /// `k n`, the number of predictions.
    fn predictions(&self) -> usize {
        self.risk.output_dim() * self.risk.inputs().len()
    }

    /// Computes the predictions and the gradient of the risk at `mu`, unless they are those of the
    /// last velocity.
    ///
    /// They are always computed by a velocity: the prediction pass alone may round differently, and
    /// a run that resumes would then not repeat the same numbers.
    fn linearise(&mut self, mu: &EmpiricalMeasure<T>) {
        self.linearised.enabled = true;
        // All ranks compute the velocity, or none: it is a sum over them.
        let missing = if self.linearised.is_at(mu) {
            T::zero()
        } else {
            T::one()
        };
        if self.ranks.sum_scalar(missing) > T::zero() {
            let field = self.linearised.field.take();
            let mut field = field
                .filter(|field| field.shape() == mu.points().shape())
                .unwrap_or_else(|| DMatrix::zeros(mu.dim(), mu.len()));
            self.velocity(mu, &mut field);
            self.linearised.field = Some(field);
        }
    }

    /// `int V dmu` over all ranks.
    fn potential_energy(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        self.ranks.sum_scalar(integral(&self.potential, mu))
    }
}

impl<F: FeatureMap<T>, R: Risk<T>, T: Real, V: Potential<T>> Energy<T>
    for MeanFieldRisk<F, R, T, V>
{
    fn particle_dim(&self) -> usize {
        self.features.particle_dim()
    }

    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        let kn = self.predictions();
        let Self {
            features,
            risk,
            ranks,
            workspace,
            relaxation,
            ..
        } = self;
        let ([h, g], ws) = workspace.nest([kn, kn]);
        features.predict(mu, risk.inputs(), h, ws);
        ranks.sum(h);
        let value = risk.value(h) + correct(relaxation, 0, h, g);
        value + self.potential_energy(mu)
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
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
        linearised.start(mu, kn);
        let value = if ranks.is_distributed() {
            let ([total], ws) = workspace.nest([kn]);
            let mut gradient = |_, h: &[T], g: &mut [T]| {
                total.copy_from_slice(h);
                ranks.sum(total);
                let value = risk.value_and_gradient(total, g) + correct(relaxation, 0, total, g);
                linearised.record(0, total, g);
                value
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
            features.velocity(mu, risk.inputs(), gradient, out, workspace)
        };
        subtract_gradient(potential, mu.points(), out);
        value + self.potential_energy(mu)
    }

    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
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
        let ([h, g], ws) = workspace.nest([kn, kn]);
        features.predict(mu, risk.inputs(), h, ws);
        ranks.sum(h);
        let value = risk.value_and_gradient(h, g) + correct(relaxation, 0, h, g);
        features.variation(at, risk.inputs(), g, values, descent, ws);
        for (w, value) in columns(at.as_slice(), at.nrows()).zip(values) {
            *value += potential.value(w);
        }
        subtract_gradient(potential, at, descent);
        Some(value + self.potential_energy(mu))
    }

    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        out: &mut DMatrix<T>,
    ) -> Option<()> {
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

    fn inner(&mut self, mu: &EmpiricalMeasure<T>, u: &DMatrix<T>, v: &DMatrix<T>) -> T {
        self.ranks.sum_scalar(inner(mu, u, v))
    }

    fn refresh(&mut self) -> bool {
        self.linearised.clear();
        self.risk.refresh()
    }
}
