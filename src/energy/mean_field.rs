//! The risk of the mean prediction, `F(mu) = R(int Phi dmu) + int V dmu`.

use std::fmt;

use nalgebra::DMatrix;

use super::linearised::Linearised;
use super::potential::integral;
use super::relaxation::Relaxation;
use super::{Energy, Potential, assert_dim};
use crate::error::{EnergyError, ParameterError, ShapeError, assert_size, is_allocatable};
use crate::feature::{FeatureMap, Workspace};
use crate::measure::EmpiricalMeasure;
use crate::ranks::{AllReduce, Ranks, indicator};
use crate::real::Real;
use crate::risk::{MinibatchRisk, Risk};

mod energy;

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
    /// decisions.
    ///
    /// [`EmpiricalMeasure::share`] deals out the particles.
    ///
    /// If the measure of one rank is refused by [`ParticleFlow`](crate::ParticleFlow), the others
    /// return an error as well. A state or an energy that is modified between steps has to be
    /// modified, and the state invalidated, on all ranks. A panic on one rank has to end the
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
        self.linearised.clear();
        self.relaxation = None;
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

    /// Computes the predictions and the gradient of the risk at `mu`, unless they are those of the
    /// last velocity.
    ///
    /// They are always computed by a velocity: the prediction pass alone may round differently, and
    /// a run that resumes would then not repeat the same numbers.
    fn linearise(&mut self, mu: &EmpiricalMeasure<T>) {
        self.linearised.enabled = true;
        // All ranks compute the velocity, or none: it is a sum over them.
        let mut missing = [indicator(!self.linearised.is_at(mu))];
        self.ranks.sum(&mut missing);
        if missing[0] > T::zero() {
            let field = self.linearised.field.take();
            let mut field = field
                .filter(|field| field.shape() == mu.points().shape())
                .unwrap_or_else(|| DMatrix::zeros(mu.dim(), mu.len()));
            self.velocity(mu, &mut field);
            self.linearised.field = Some(field);
        }
    }
}

impl<F, R, T, V> MeanFieldRisk<F, MinibatchRisk<R, T>, T, V>
where
    F: FeatureMap<T>,
    R: Risk<T>,
    T: Real,
    V: Potential<T>,
{
    /// `F(mu)` on all samples, for reports; the energy of a state is that of its minibatch.
    ///
    /// ```
    /// use wasserflow::nalgebra::{DMatrix, DVector};
    /// use wasserflow::prelude::*;
    ///
    /// let full = EmpiricalRisk::new(Square, DMatrix::from_element(1, 4, 1.0), DVector::from_element(4, 3.0))?;
    /// let risk = MinibatchRisk::new(full, 2, 7)?;
    /// let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?;
    /// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[2.0, 1.0]))?;
    /// assert_eq!(energy.full_value(&mu), 0.5); // (2 - 3)^2 / 2
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Cost: a prediction of all n samples. Within a flow it is called by
    /// [`ParticleFlow::energy_mut`](crate::ParticleFlow::energy_mut).
    ///
    /// # Panics
    /// If `mu` does not have the dimension of the feature map.
    pub fn full_value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        assert_dim(self.features.particle_dim(), mu);
        self.predictions(); // asserts that map and risk fit together
        let Self {
            features,
            risk,
            potential,
            ranks,
            workspace,
            ..
        } = self;
        let full = risk.full();
        let kn = full.output_dim() * full.inputs().len();
        let ([sums], ws) = workspace.nest([kn + 1]);
        features.predict(mu, full.inputs(), &mut sums[..kn], ws);
        sums[kn] = integral(potential, mu);
        ranks.sum(sums);
        full.value(&sums[..kn]) + sums[kn]
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
