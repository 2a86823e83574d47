//! The other geometry: atoms are added one by one, in the vector space of measures.

use nalgebra::DVector;

use super::reweight::Weights;
use crate::energy::Energy;
use crate::error::{ParameterError, StepError};
use crate::integrator::polish;
use crate::measure::EmpiricalMeasure;
use crate::observe::StopReason;
use crate::optimality::{Certifiable, Certificate, certify};
use crate::real::{Real, to_f64};
use crate::state::State;

/// Conditional gradient (Frank-Wolfe): atoms are added one by one, where the first variation is lowest.
///
/// The flow of [`ParticleFlow`](crate::ParticleFlow) moves particles; here, in the vector space of measures, mass appears where it is
/// wanted. A step takes an atom w with `F'(mu)(w) < 0`, the [`escape`](Certificate::escape) of a certificate, and corrects:
///
/// | variant | `mu+` |
/// |---|---|
/// | `Plain` | `s mu + r delta(w)`, the best `s, r >= 0` |
/// | `Corrective` | the best weights `c >= 0` of all atoms, [`reweigh`](super::reweigh) |
/// | `Sliding` | the same, then the atoms move to a stationary point ([`polish`](crate::integrator::polish)), and again the best weights |
///
/// `F` never rises. Atoms that lose their weight are dropped. `Plain` converges as 1 / steps; `Corrective` faster, and `Sliding` in about
/// as many steps as the optimum has atoms.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::sparse::FrankWolfe;
/// use wasserflow::prelude::*;
///
/// // |x| at two samples: one neuron for each side.
/// let risk = EmpiricalRisk::new(Square, DMatrix::from_row_slice(1, 2, &[-1.0, 1.0]), DVector::from_element(2, 1.0))?;
/// let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?.regularized(WeightDecay::new(0.1)?);
/// let mut mu = EmpiricalMeasure::uniform(DMatrix::zeros(2, 1))?;
///
/// let (reason, certificate) = FrankWolfe::Corrective.run(&mut energy, &mut mu, 1e-10, 10)?;
/// assert!(matches!(reason, StopReason::GloballyOptimal { gap } if gap <= 1e-10));
/// assert_eq!((mu.len(), certificate.escape()), (2, None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Source: M. Frank and P. Wolfe, An algorithm for quadratic programming, 1956; for measures: K. Bredies and H. K. Pikkarainen, Inverse
/// problems in spaces of measures, 2013; with sliding: N. Boyd, G. Schiebinger and B. Recht, The alternating descent conditional gradient
/// method for sparse inverse problems, 2017, and Q. Denoyelle, V. Duval, G. Peyre and E. Soubies, The sliding Frank-Wolfe algorithm, 2019.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FrankWolfe {
    /// The new atom, and the mass of the others as a whole.
    Plain,
    /// All weights: fully corrective.
    Corrective,
    /// All weights and all positions.
    Sliding,
}

/// Newton steps for the weights a step, and iterations of a slide.
const NEWTON: usize = 20;
const SLIDE: usize = 200;

impl FrankWolfe {
    /// One step from `mu` with the new atom `w`; `None` when F does not fall, up to its rounding.
    ///
    /// ```
    /// use wasserflow::nalgebra::{DMatrix, DVector};
    /// use wasserflow::optimality::certify;
    /// use wasserflow::sparse::FrankWolfe;
    /// use wasserflow::prelude::*;
    ///
    /// let risk = EmpiricalRisk::new(Square, DMatrix::from_element(1, 1, 1.0), DVector::from_element(1, 3.0))?;
    /// let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?.regularized(WeightDecay::new(0.5)?);
    /// let mut mu = EmpiricalMeasure::uniform(DMatrix::zeros(2, 1))?;
    /// while let Some(w) = certify(&mut energy, &mu).escape() {
    ///     let Some(next) = FrankWolfe::Corrective.step(&mut energy, &mu, w)? else { break };
    ///     mu = next;
    /// }
    /// assert_eq!((mu.len(), mu.particle(0)), (1, &[1.0, 1.0][..])); // 2 (x)_+ at x = 1
    /// assert!((mu.mass() - 2.0_f64).abs() < 1e-12);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StepError::Unsupported`] when the energy does not give its first variation, [`StepError::NonFinite`] when F is not finite.
    ///
    /// # Panics
    /// When `mu` or `w` does not have the dimension of the energy's particles.
    pub fn step<T: Real, E: Energy<T> + ?Sized>(
        self,
        energy: &mut E,
        mu: &EmpiricalMeasure<T>,
        w: &[T],
    ) -> Result<Option<EmpiricalMeasure<T>>, StepError> {
        assert_eq!(
            w.len(),
            mu.dim(),
            "the new atom must have the dimension of the others"
        );
        let m = mu.len();
        let mut points = mu.points().clone().insert_column(m, T::zero());
        points.column_mut(m).copy_from_slice(w);
        let weights =
            DVector::from_iterator(m + 1, mu.weights().iter().copied().chain([T::zero()]));
        self.correct(energy, EmpiricalMeasure::weighted(points, weights)?, m)
    }

    /// The correction of `mu`, where the atoms from `first` on are new; `None` when F does not fall.
    fn correct<T: Real, E: Energy<T> + ?Sized>(
        self,
        energy: &mut E,
        mu: EmpiricalMeasure<T>,
        first: usize,
    ) -> Result<Option<EmpiricalMeasure<T>>, StepError> {
        let start = energy.value(&mu);
        let mut best = match self {
            Self::Plain => Weights::together(energy, mu, first)?,
            _ => Weights::each(energy, mu)?,
        };
        best.minimise(NEWTON);
        let mut next = best.support();
        if self == Self::Sliding {
            let mut state = State::new(next.clone());
            // It ends at the lowest point found, whether or not that is stationary already.
            let _ = polish(&mut &mut *energy, &mut state, SLIDE);
            let mut slid = Weights::each(energy, state.into_measure())?;
            slid.minimise(NEWTON);
            let slid = slid.support();
            if energy.value(&slid) < energy.value(&next) {
                next = slid;
            }
        }
        Ok((energy.value(&next) < start).then_some(next))
    }

    /// Steps from `mu` until a certificate proves `F(mu) - F* <= gap`, at most `steps` of them, and returns the reason with the last certificate.
    ///
    /// - [`StopReason::GloballyOptimal`]: the certified gap is at most `gap`.
    /// - [`StopReason::Stationary`]: no atom lowers F any more, beyond its rounding, or the [`estimated_gap`](Certificate::estimated_gap)
    ///   is at most `gap` where nothing better is proved (d > 3).
    /// - [`StopReason::Steps`]: neither, yet.
    ///
    /// # Errors
    /// As [`step`](Self::step); `mu` is then the last measure. [`StepError::Parameter`] when `gap` is negative or NaN.
    ///
    /// # Panics
    /// When `mu` does not have the dimension of the energy's particles.
    pub fn run<T: Real, E: Certifiable<T> + ?Sized>(
        self,
        energy: &mut E,
        mu: &mut EmpiricalMeasure<T>,
        gap: T,
        steps: usize,
    ) -> Result<(StopReason, Certificate<T>), StepError> {
        if gap < T::zero() || to_f64(gap).is_nan() {
            return Err(ParameterError {
                name: "gap",
                requirement: ">= 0",
                value: to_f64(gap),
            }
            .into());
        }
        let mut taken = 0;
        loop {
            let certificate = certify(energy, mu);
            if certificate.gap() <= gap {
                return Ok((
                    StopReason::GloballyOptimal {
                        gap: to_f64(certificate.gap()),
                    },
                    certificate,
                ));
            }
            if certificate.estimated_gap() <= gap {
                return Ok((StopReason::Stationary, certificate));
            }
            if taken == steps {
                return Ok((StopReason::Steps, certificate));
            }
            let next = match certificate.escape() {
                Some(w) => self.step(energy, mu, w)?,
                // The atoms are the right ones; their weights may not be.
                None => self.correct(energy, mu.clone(), mu.len())?,
            };
            match next {
                Some(next) => *mu = next,
                None => return Ok((StopReason::Stationary, certificate)),
            }
            taken += 1;
        }
    }
}
