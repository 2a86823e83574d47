//! Conditional gradient methods (Frank-Wolfe) over non-negative measures.

use super::insert::append;
use super::reweight::WeightProblem;
use crate::energy::Energy;
use crate::error::{ParameterError, StepError};
use crate::integrator::polish;
use crate::measure::EmpiricalMeasure;
use crate::observe::StopReason;
use crate::optimality::{Certifiable, Certificate, certify};
use crate::real::{Real, to_f64};
use crate::state::State;

/// Conditional gradient (Frank-Wolfe): atoms are added one by one, where the first variation is
/// negative.
///
/// The flow of [`ParticleFlow`](crate::ParticleFlow) moves particles of fixed weights. Conditional
/// gradients use the linear structure of the space of measures: mass appears at new atoms. A step
/// adds an atom w with `F'(mu)(w) < 0`, the [`escape`](Certificate::escape) direction of a
/// certificate, and then corrects the measure:
///
/// | variant | `mu+` |
/// |---|---|
/// | `Plain` | `s mu + r delta(w)` with the optimal `s, r >= 0` |
/// | `Corrective` | the optimal weights `c >= 0` of all atoms, [`reweigh`](super::reweigh) |
/// | `Sliding` | the same, then stationary positions of the atoms ([`polish`]), and again optimal weights |
///
/// `F` never increases. Atoms of weight 0 are removed. In practice `Plain` converges as 1 / steps,
/// `Corrective` faster, and `Sliding` in about as many steps as the optimum has atoms.
///
/// The weights are computed by Newton steps. For a loss that is linear near the predictions
/// (`Hinge`, `Quantile`, the tails of `Huber` and `SmoothHinge`) the Hessian is zero, no step is
/// taken, and [`run`](Self::run) ends with [`StopReason::Stationary`] although F is not minimal.
/// The gap of the certificate remains valid.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::sparse::FrankWolfe;
/// use wasserflow::prelude::*;
///
/// // |x| at two samples: one neuron for each side.
/// let x = DMatrix::from_row_slice(1, 2, &[-1.0, 1.0]);
/// let risk = EmpiricalRisk::new(Square, x, DVector::from_element(2, 1.0))?;
/// let decay = WeightDecay::new(0.1)?;
/// let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?.regularized(decay);
/// let mut mu = EmpiricalMeasure::uniform(DMatrix::zeros(2, 1))?;
///
/// let (reason, certificate) = FrankWolfe::Corrective.run(&mut energy, &mut mu, 1e-10, 10)?;
/// assert!(matches!(reason, StopReason::GloballyOptimal { gap } if gap <= 1e-10));
/// assert_eq!((mu.len(), certificate.escape()), (2, None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Source: M. Frank and P. Wolfe, An algorithm for quadratic programming, 1956; for measures:
/// K. Bredies and H. K. Pikkarainen, Inverse problems in spaces of measures, 2013; with sliding:
/// N. Boyd, G. Schiebinger and B. Recht, The alternating descent conditional gradient method for
/// sparse inverse problems, 2017, and Q. Denoyelle, V. Duval, G. Peyre and E. Soubies, The sliding
/// Frank-Wolfe algorithm, 2019.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FrankWolfe {
    /// Optimises the weight of the new atom and one common factor of the others.
    Plain,
    /// Optimises all weights (fully corrective).
    Corrective,
    /// Optimises all weights and all positions.
    Sliding,
}

/// Newton steps for the weights in each step; a quadratic F takes two.
const NEWTON_STEPS: usize = 20;

/// Iterations of the optimisation of positions in each step. It need not converge: only decreases
/// of F are accepted.
const POLISH_ITERATIONS: usize = 200;

impl FrankWolfe {
    /// One step from `mu` with the new atom `w`; `None` if F does not decrease.
    ///
    /// ```
    /// use wasserflow::nalgebra::{DMatrix, DVector};
    /// use wasserflow::optimality::certify;
    /// use wasserflow::sparse::FrankWolfe;
    /// use wasserflow::prelude::*;
    ///
    /// let x = DMatrix::from_element(1, 1, 1.0);
    /// let risk = EmpiricalRisk::new(Square, x, DVector::from_element(1, 3.0))?;
    /// let decay = WeightDecay::new(0.5)?;
    /// let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?.regularized(decay);
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
    /// [`StepError::Unsupported`] when the energy does not implement its first variation,
    /// [`StepError::NonFinite`] when F is not finite, [`StepError::Measure`] when `w` is not
    /// finite.
    ///
    /// # Panics
    /// When `w` does not have the dimension of `mu`, or `mu` not that of the energy's particles and
    /// an index is then out of range.
    pub fn step<T: Real, E: Energy<T> + ?Sized>(
        self,
        energy: &mut E,
        mu: &EmpiricalMeasure<T>,
        w: &[T],
    ) -> Result<Option<EmpiricalMeasure<T>>, StepError> {
        self.correct(energy, append(mu, w, T::zero())?, mu.len())
    }

    /// The correction of `mu`, whose atoms from `first` on are new; `None` if F does not decrease.
    fn correct<T: Real, E: Energy<T> + ?Sized>(
        self,
        energy: &mut E,
        mu: EmpiricalMeasure<T>,
        first: usize,
    ) -> Result<Option<EmpiricalMeasure<T>>, StepError> {
        let start = energy.value(&mu);
        let mut problem = match self {
            Self::Plain => WeightProblem::common_factor(energy, mu, first)?,
            _ => WeightProblem::separate(energy, mu)?,
        };
        problem.minimise(NEWTON_STEPS);
        let mut next = problem.into_support();
        if self == Self::Sliding {
            let mut state = State::new(next.clone());
            // The state is the lowest point found, also if `polish` returns an error.
            let _ = polish(&mut &mut *energy, &mut state, POLISH_ITERATIONS);
            let mut problem = WeightProblem::separate(energy, state.into_measure())?;
            problem.minimise(NEWTON_STEPS);
            let slid = problem.into_support();
            if energy.value(&slid) < energy.value(&next) {
                next = slid;
            }
        }
        Ok((energy.value(&next) < start).then_some(next))
    }

    /// Steps from `mu` until a certificate proves `F(mu) - F* <= gap`, at most `steps` times.
    ///
    /// Returns the reason and the last certificate.
    ///
    /// - [`StopReason::GloballyOptimal`]: the certified gap is at most `gap`.
    /// - [`StopReason::Stationary`]: no further step decreases F, or the
    ///   [`estimated_gap`](Certificate::estimated_gap) is at most `gap` but the certified one is
    ///   not (d > 3).
    /// - [`StopReason::Steps`]: `steps` steps were taken.
    ///
    /// # Errors
    /// As [`step`](Self::step); `mu` is then the last measure. [`StepError::Parameter`] when `gap`
    /// is negative or NaN.
    ///
    /// # Panics
    /// As [`step`](Self::step).
    pub fn run<T: Real, E: Certifiable<T> + ?Sized>(
        self,
        energy: &mut E,
        mu: &mut EmpiricalMeasure<T>,
        gap: T,
        steps: usize,
    ) -> Result<(StopReason, Certificate<T>), StepError> {
        check_gap(gap)?;
        let mut taken = 0;
        loop {
            let certificate = certify(energy, mu);
            if certificate.gap() <= gap {
                let gap = to_f64(certificate.gap());
                return Ok((StopReason::GloballyOptimal { gap }, certificate));
            }
            if certificate.estimated_gap() <= gap {
                return Ok((StopReason::Stationary, certificate));
            }
            if taken == steps {
                return Ok((StopReason::Steps, certificate));
            }
            let next = match certificate.escape() {
                Some(w) => self.step(energy, mu, w)?,
                // No atom is missing, but the weights or positions may not be optimal.
                None => self.correct(energy, mu.clone(), mu.len())?,
            };
            let Some(next) = next else {
                return Ok((StopReason::Stationary, certificate));
            };
            *mu = next;
            taken += 1;
        }
    }
}

/// Checks that a requested gap is non-negative.
pub(super) fn check_gap<T: Real>(gap: T) -> Result<(), ParameterError> {
    ParameterError::check(gap >= T::zero(), "gap", ">= 0", to_f64(gap))
}
