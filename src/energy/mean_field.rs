//! The risk of the mean prediction, `F(mu) = R(int Phi dmu) + int V dmu`.

use std::fmt;
use std::ops::Range;

use nalgebra::DMatrix;

use super::potential::{add_hessian_product, descend, integral};
use super::{AllReduce, Energy, Potential, inner};
use crate::error::ShapeError;
use crate::feature::{FeatureMap, PredictionGradient, Workspace};
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::columns;
use crate::real::Real;
use crate::risk::Risk;

/// The risk of the mean prediction: `F(mu) = R(h_mu) + int V dmu`, `h_mu(x) = int Phi(w)(x) dmu(w)`.
///
/// Training a wide two-layer network is the Wasserstein gradient flow of this energy. It is convex in `mu`, with
/// `F'(mu)(w) = <grad R(h_mu), Phi(w)> + V(w)` and `v_i = -grad_w F'(mu)(w_i)`.
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
/// Cost of a velocity: what [`FeatureMap::velocity`] costs, `O(n m d)` for a ridge map, and `O(m p)` for the potential.
pub struct MeanFieldRisk<F, R, T, V = ()> {
    features: F,
    risk: R,
    potential: V,
    reduce: Option<Box<dyn AllReduce<T> + Send>>,
    workspace: Workspace<T>,
}

impl<F: fmt::Debug, R: fmt::Debug, T, V: fmt::Debug> fmt::Debug for MeanFieldRisk<F, R, T, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeanFieldRisk")
            .field("features", &self.features)
            .field("risk", &self.risk)
            .field("potential", &self.potential)
            .field("distributed", &self.reduce.is_some())
            .finish_non_exhaustive()
    }
}

impl<F: FeatureMap<T>, R: Risk<T>, T: Real> MeanFieldRisk<F, R, T> {
    /// `F(mu) = R(int Phi dmu)`.
    ///
    /// # Errors
    /// [`ShapeError`] when the map does not take the inputs of the risk (`d`), does not give its outputs (`k`), or has
    /// no output or particles of no coordinate.
    pub fn new(features: F, risk: R) -> Result<Self, ShapeError> {
        ShapeError::check(
            "input dimension of the feature map",
            risk.inputs().dim(),
            features.input_dim(),
        )?;
        ShapeError::check(
            "number of outputs of the feature map",
            risk.output_dim(),
            features.output_dim(),
        )?;
        for (what, found) in [
            (
                "particle dimension of the feature map",
                features.particle_dim(),
            ),
            (
                "number of outputs of the feature map",
                features.output_dim(),
            ),
        ] {
            if found == 0 {
                return Err(ShapeError {
                    what,
                    expected: 1,
                    found,
                });
            }
        }
        Ok(Self {
            features,
            risk,
            potential: (),
            reduce: None,
            workspace: Workspace::default(),
        })
    }

    /// Adds `int V dmu`. For several potentials give a pair, `(V, W)`.
    pub fn regularized<V: Potential<T>>(self, potential: V) -> MeanFieldRisk<F, R, T, V> {
        let Self {
            features,
            risk,
            potential: (),
            reduce,
            workspace,
        } = self;
        MeanFieldRisk {
            features,
            risk,
            potential,
            reduce,
            workspace,
        }
    }
}

impl<F, R, T: Real, V> MeanFieldRisk<F, R, T, V> {
    /// Holds a part of the particles only: predictions and scalars are summed over ranks by `reduce`.
    ///
    /// Weights are those of the whole measure, so that `sum_i c_i` over all ranks is its mass. Every rank then sees the same
    /// `F` and the same inner products, and takes the same decisions. Start all ranks or none: a rank whose measure is refused leaves
    /// the others waiting in `reduce`.
    #[must_use]
    pub fn distributed(mut self, reduce: impl AllReduce<T> + Send + 'static) -> Self {
        self.reduce = Some(Box::new(reduce));
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

    /// The risk `R`, to be changed between steps; mark the state stale then
    /// ([`State::measure_mut`](crate::State::measure_mut)).
    pub fn risk_mut(&mut self) -> &mut R {
        &mut self.risk
    }

    /// The potential `V`.
    pub fn potential(&self) -> &V {
        &self.potential
    }

    /// Whether other ranks hold particles too.
    pub(crate) fn is_distributed(&self) -> bool {
        self.reduce.is_some()
    }

    /// Sums `x` over ranks, where there are any.
    pub(crate) fn sum_over_ranks(&mut self, x: &mut [T]) {
        reduced(&mut self.reduce, x);
    }
}

impl<F: FeatureMap<T>, R: Risk<T>, T: Real, V: Potential<T>> MeanFieldRisk<F, R, T, V> {
    /// Writes the predictions `h_mu(x_j)`, `k x n`, at the samples of the risk.
    ///
    /// # Panics
    /// When `out` is not of length `k n`, or the particles are not of the map's dimension.
    pub fn predict(&mut self, mu: &EmpiricalMeasure<T>, out: &mut [T]) {
        self.features
            .predict(mu, self.risk.inputs(), out, &mut self.workspace);
        reduced(&mut self.reduce, out);
    }

    /// `k n`, the number of predictions.
    fn predictions(&self) -> usize {
        self.risk.output_dim() * self.risk.inputs().len()
    }

    /// `int V dmu` over all ranks.
    fn confinement(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        let mut sum = [integral(&self.potential, mu)];
        reduced(&mut self.reduce, &mut sum);
        sum[0]
    }
}

/// Sums `x` over ranks, where there are any.
fn reduced<T: Real>(reduce: &mut Option<Box<dyn AllReduce<T> + Send>>, x: &mut [T]) {
    if let Some(reduce) = reduce {
        reduce.sum(x);
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
            reduce,
            workspace,
            ..
        } = self;
        let ([h], ws) = workspace.nest([kn]);
        features.predict(mu, risk.inputs(), h, ws);
        reduced(reduce, h);
        risk.value(h) + self.confinement(mu)
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        let kn = self.predictions();
        let Self {
            features,
            risk,
            potential,
            reduce,
            workspace,
        } = self;
        let separable = reduce.is_none() && risk.is_separable();
        let ([total], ws) = workspace.nest([if reduce.is_some() { kn } else { 0 }]);
        let mut gradient = |samples: Range<usize>, h: &[T], g: &mut [T]| match reduce {
            None => risk.value_and_gradient_range(samples, h, g),
            Some(reduce) => {
                total.copy_from_slice(h);
                reduce.sum(total);
                risk.value_and_gradient(total, g)
            }
        };
        let gradient = &mut PredictionGradient::new(separable, &mut gradient);
        let value = features.velocity(mu, risk.inputs(), gradient, out, ws);
        descend(potential, mu.points(), out);
        value + self.confinement(mu)
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
            reduce,
            workspace,
        } = self;
        let ([h, g], ws) = workspace.nest([kn, kn]);
        features.predict(mu, risk.inputs(), h, ws);
        reduced(reduce, h);
        let value = risk.value_and_gradient(h, g);
        features.variation(at, risk.inputs(), g, values, descent, ws);
        for (w, value) in columns(at.as_slice(), at.nrows()).zip(values) {
            *value += potential.value(w);
        }
        descend(potential, at, descent);
        Some(value + self.confinement(mu))
    }

    fn curvature(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        v: &DMatrix<T>,
        out: &mut DMatrix<T>,
    ) -> Option<()> {
        let kn = self.predictions();
        let Self {
            features,
            risk,
            potential,
            reduce,
            workspace,
        } = self;
        let ([h, u, hu, values], ws) = workspace.nest([kn, kn, kn, mu.len()]);
        features.predict(mu, risk.inputs(), h, ws);
        reduced(reduce, h);
        features.jvp(mu, v, risk.inputs(), u, ws);
        reduced(reduce, u);
        risk.curvature(h, u, hu);
        // The variation of R'' u descends: out_i = -DPhi(w_i)^T R'' u.
        features.variation(mu.points(), risk.inputs(), hu, values, out, ws);
        out.neg_mut();
        add_hessian_product(potential, mu.points(), v, out);
        Some(())
    }

    fn inner(&mut self, mu: &EmpiricalMeasure<T>, u: &DMatrix<T>, v: &DMatrix<T>) -> T {
        let mut sum = [inner(mu, u, v)];
        reduced(&mut self.reduce, &mut sum);
        sum[0]
    }

    fn refresh(&mut self) -> bool {
        self.risk.refresh()
    }
}
