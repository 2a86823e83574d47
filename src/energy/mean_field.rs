//! The risk of the mean prediction, `F(mu) = R(int Phi dmu) + int V dmu`.

use std::fmt;

use nalgebra::DMatrix;

use super::potential::{add_hessian_product, integral, subtract_gradient};
use super::ranks::{AllReduce, Ranks};
use super::{
    Energy, Potential, assert_curvature, assert_dim, assert_first_variation, assert_velocity,
};
use crate::error::{EnergyError, ParameterError, ShapeError, assert_size, is_allocatable};
use crate::feature::{FeatureMap, PredictionGradient, Workspace};
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
    /// [`EnergyError::Shape`] if the dimension of the inputs (`d`) or the number of outputs (`k`)
    /// of the map is not that of the risk, or if `k` or the dimension of the particles is 0.
    /// [`EnergyError::Parameter`] if a parameter of the map or of the risk is outside its range, or
    /// if `k n` predictions do not fit in memory.
    pub fn new(features: F, risk: R) -> Result<Self, EnergyError> {
        check(&features, &risk)?;
        let workspace = Workspace::default();
        Ok(Self {
            features,
            risk,
            potential: (),
            ranks: Ranks::SINGLE,
            workspace,
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
        } = self;
        MeanFieldRisk {
            features,
            risk,
            potential,
            ranks,
            workspace,
        }
    }
}

impl<F, R, T: Real, V> MeanFieldRisk<F, R, T, V> {
    /// Declares that this rank holds a part of the particles: predictions and scalars are summed by
    /// `all_reduce`.
    ///
    /// Weights are those of the whole measure, so that `sum_i c_i` over all ranks is its mass.
    /// Every rank then computes the same `F` and the same inner products, and takes the same
    /// decisions.
    ///
    /// If the measure of one rank is refused by [`ParticleFlow`](crate::ParticleFlow), the others
    /// return an error as well. A state or an energy that is modified between steps has to be
    /// modified, and the state invalidated, on all ranks. A panic on one rank has to abort the
    /// others: they otherwise wait in `all_reduce` for ever.
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
    ///
    /// The methods of the energy panic if the modified risk does not fit the feature map; a flow
    /// returns an error.
    pub fn risk_mut(&mut self) -> &mut R {
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
        assert_dim(self.features.particle_dim(), mu);
        assert_size("length of the predictions", self.predictions(), out.len());
        self.features
            .predict(mu, self.risk.inputs(), out, &mut self.workspace);
        self.ranks.sum(out);
    }

    /// `k n`, the number of predictions.
    ///
    /// Asserts that map and risk fit together: the risk may have been replaced.
    #[track_caller]
    fn predictions(&self) -> usize {
        let (d, k) = (self.risk.inputs().dim(), self.risk.output_dim());
        assert_size(
            "input dimension of the feature map",
            d,
            self.features.input_dim(),
        );
        assert_size(
            "number of outputs of the feature map",
            k,
            self.features.output_dim(),
        );
        k * self.risk.inputs().len()
    }

    /// `int V dmu` over all ranks.
    fn potential_energy(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        self.ranks.sum_scalar(integral(&self.potential, mu))
    }
}

/// Checks that a feature map fits a risk, and the parameters of both.
fn check<F: FeatureMap<T>, R: Risk<T>, T: Real>(features: &F, risk: &R) -> Result<(), EnergyError> {
    let (p, k) = (features.particle_dim(), features.output_dim());
    let (d, n) = (risk.inputs().dim(), risk.inputs().len());
    let input_dim = features.input_dim();
    ShapeError::check("input dimension of the feature map", d, input_dim)?;
    ShapeError::check("number of outputs of the feature map", risk.output_dim(), k)?;
    ShapeError::check("particle dimension of the feature map", p.max(1), p)?;
    ShapeError::check("number of outputs of the feature map", k.max(1), k)?;
    ParameterError::check(
        is_allocatable::<T>(k, n),
        "number of predictions",
        "a number that fits in memory",
        k as f64 * n as f64,
    )?;
    features.check()?;
    Ok(risk.check()?)
}

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
            ranks,
            workspace,
            ..
        } = self;
        let ([h], ws) = workspace.nest([kn]);
        features.predict(mu, risk.inputs(), h, ws);
        ranks.sum(h);
        risk.value(h) + self.potential_energy(mu)
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
        } = self;
        let value = if ranks.is_distributed() {
            let ([total], ws) = workspace.nest([kn]);
            let mut gradient = |_, h: &[T], g: &mut [T]| {
                total.copy_from_slice(h);
                ranks.sum(total);
                risk.value_and_gradient(total, g)
            };
            let gradient = &mut PredictionGradient::new(false, &mut gradient);
            features.velocity(mu, risk.inputs(), gradient, out, ws)
        } else {
            let mut gradient =
                |samples, h: &[T], g: &mut [T]| risk.value_and_gradient_range(samples, h, g);
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
        assert_first_variation(self.features.particle_dim(), mu, at, values, descent);
        let kn = self.predictions();
        let Self {
            features,
            risk,
            potential,
            ranks,
            workspace,
        } = self;
        let ([h, g], ws) = workspace.nest([kn, kn]);
        features.predict(mu, risk.inputs(), h, ws);
        ranks.sum(h);
        let value = risk.value_and_gradient(h, g);
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
        assert_curvature(self.features.particle_dim(), mu, v, out);
        let kn = self.predictions();
        let Self {
            features,
            risk,
            potential,
            ranks,
            workspace,
        } = self;
        let ([h, u, hu, values], ws) = workspace.nest([kn, kn, kn, mu.len()]);
        features.predict(mu, risk.inputs(), h, ws);
        ranks.sum(h);
        features.jvp(mu, v, risk.inputs(), u, ws);
        ranks.sum(u);
        risk.curvature(h, u, hu);
        // `variation` returns a descent direction: out_i = -DPhi(w_i)^T R'' u.
        features.variation(mu.points(), risk.inputs(), hu, values, out, ws);
        out.neg_mut();
        add_hessian_product(potential, mu.points(), v, out);
        Some(())
    }

    fn ranks(&mut self) -> Option<&mut dyn AllReduce<T>> {
        self.ranks.all_reduce()
    }

    fn refresh(&mut self) -> bool {
        self.risk.refresh()
    }

    fn check(&self) -> Result<(), EnergyError> {
        check(&self.features, &self.risk)
    }
}
