//! The energy on all samples of a risk whose minibatches are drawn.

use super::MeanFieldRisk;
use crate::energy::{Potential, assert_dim};
use crate::feature::FeatureMap;
use crate::measure::EmpiricalMeasure;
use crate::real::Real;
use crate::risk::{MinibatchRisk, Risk};

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
            ranks,
            workspace,
            ..
        } = self;
        let full = risk.full();
        let ([h], ws) = workspace.nest([full.output_dim() * full.inputs().len()]);
        features.predict(mu, full.inputs(), h, ws);
        ranks.sum(h);
        let value = full.value(h);
        value + self.potential_energy(mu)
    }
}
