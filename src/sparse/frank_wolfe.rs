//! Conditional gradient methods (Frank-Wolfe) over non-negative measures.

use super::insert::append;
use super::ranks::{on_whole_measure, share};
use super::weights::{KnownHessian, WeightProblem};
use crate::energy::Energy;
use crate::error::{ParameterError, StepError};
use crate::integrator::polish;
use crate::measure::EmpiricalMeasure;
use crate::observe::StopReason;
use crate::optimality::{Certifiable, Certificate, Search};
use crate::real::{Real, to_f64};
use crate::span::{event, span};
use crate::state::State;

mod run;

pub(super) use run::Run;

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
/// `F` never increases. Atoms of weight 0 are removed. For smooth F, in practice, `Plain` converges
/// as 1 / steps, `Corrective` faster, and `Sliding` in about as many steps as the optimum has
/// atoms.
///
/// # Ranks
/// If the particles are distributed, all ranks call the methods with their parts, take the steps of
/// the whole measure, and get their shares of the result, as [`EmpiricalMeasure::share`].
///
/// # Choice
/// `Corrective` takes three to eight times as many steps as `Sliding`, and each of its steps costs
/// little more than a search for the atom. On random rectifier networks with the square loss it is
/// the faster one for d = 2 and small weight decay (up to 4 times). For d = 3 neither is faster in
/// general. The book lists the measurements.
///
/// # Cost
/// [`run`](Self::run) keeps the Hessian of F in the weights. For a quadratic F an atom costs one
/// first variation for its column, and a step of `Corrective` two more and a certificate. For
/// other F all columns are computed again where the weights changed, with two first variations
/// each. `run` ends the optimisation of the weights when they are estimated to be optimal up to
/// `1e-4` of the requested gap, and optimises them in full once, after its last certificate.
///
/// # Kinks
/// At a kink of F (`Hinge`, `Quantile`) the first variation is not unique, and the one at the
/// measure may be negative at atoms that do not decrease F. The method then uses the subgradient
/// that proves the optimality of the weights, by
/// [`combined_certificate`](Certifiable::combined_certificate), and adds atoms where that is
/// negative until F decreases or no atom is missing. Two weights are not enough there: if they do
/// not decrease F, `Plain` optimises all weights.
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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum FrankWolfe {
    /// Optimises the weight of the new atom and one common factor of the others.
    Plain,
    /// Optimises all weights (fully corrective).
    Corrective,
    /// Optimises all weights and all positions.
    Sliding,
}

/// Iterations of the optimisation of positions in each step. It need not converge: only decreases
/// of F are accepted.
const POLISH_ITERATIONS: usize = 200;

/// The same at weights at which F has a kink: an iteration there takes a hundred times longer, and
/// decreases F little.
const POLISH_ITERATIONS_AT_KINKS: usize = 10;

/// The estimate of `F - min F` over the weights, relative to the requested gap, at which their
/// optimisation may end: the certificate then proves the gap as well as at the minimum.
const INEXACTNESS: f64 = 1e-4;

/// The result of a correction.
enum Correction<T> {
    /// A measure of lower energy, and the Hessian of F in its weights, or of fewer of them.
    Decrease(EmpiricalMeasure<T>, KnownHessian),
    /// The weights are optimal, which this subgradient `sum_j s_j F'(mu_j)` proves; empty if F is
    /// smooth.
    Optimal(Vec<(T, EmpiricalMeasure<T>)>),
}

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
    /// - [`StepError::Unsupported`] when the energy does not implement its first variation.
    /// - [`StepError::NonFinite`] when F is not finite.
    /// - [`StepError::Measure`] when `w` is not finite.
    /// - [`StepError::Weights`] when F did not decrease although the weights are not proved optimal,
    ///   as [`reweigh`](super::reweigh).
    ///
    /// # Panics
    /// When `mu` or `w` does not have the dimension of the energy's particles.
    pub fn step<T: Real, E: Energy<T> + ?Sized>(
        self,
        energy: &mut E,
        mu: &EmpiricalMeasure<T>,
        w: &[T],
    ) -> Result<Option<EmpiricalMeasure<T>>, StepError> {
        let next = on_whole_measure(energy, mu, |energy, mu| {
            let extended = append(mu, w, T::zero())?;
            self.correct(energy, &extended, mu.len(), &KnownHessian::none(), 0.0)
        })?;
        Ok(match next {
            Correction::Decrease(next, _) => Some(share(energy, next)),
            Correction::Optimal(_) => None,
        })
    }

    /// The correction of `mu`, whose atoms from `first` on are new. `hessian` is that of F in the
    /// weights of its first atoms, possibly at other weights. If F does not decrease, its
    /// weights are optimal up to `gap` or rounding.
    ///
    /// At a kink of F, changes of two weights may not decrease F although changes of all do.
    /// `Plain` then optimises all of them, as `Corrective`.
    fn correct<T: Real, E: Energy<T> + ?Sized>(
        self,
        energy: &mut E,
        mu: &EmpiricalMeasure<T>,
        first: usize,
        hessian: &KnownHessian,
        gap: f64,
    ) -> Result<Correction<T>, StepError> {
        let start = energy.value(mu);
        if self == Self::Plain {
            let mut problem = WeightProblem::common_factor(energy, mu.clone(), first)?;
            problem.minimise(INEXACTNESS * gap);
            let next = problem.into_support();
            if energy.value(&next) < start {
                return Ok(Correction::Decrease(next, KnownHessian::none()));
            }
        }
        let mut problem = WeightProblem::extended(energy, mu.clone(), hessian)?;
        let outcome = problem.minimise(INEXACTNESS * gap);
        let (mut next, mut hessian) = problem.into_support_with_hessian();
        if self == Self::Sliding {
            let mut state = State::new(next.clone());
            let iterations = if outcome.subgradient.is_empty() {
                POLISH_ITERATIONS
            } else {
                POLISH_ITERATIONS_AT_KINKS
            };
            // The state is the lowest point found, also if `polish` returns an error.
            let _ = polish(&mut &mut *energy, &mut state, iterations);
            let mut problem = WeightProblem::separate(energy, state.into_measure())?;
            problem.minimise(INEXACTNESS * gap);
            let slid = problem.into_support_with_hessian();
            if energy.value(&slid.0) < energy.value(&next) {
                (next, hessian) = slid;
            }
        }
        if energy.value(&next) < start {
            Ok(Correction::Decrease(next, hessian))
        } else if outcome.converged || outcome.residual <= gap {
            Ok(Correction::Optimal(outcome.subgradient))
        } else {
            Err(StepError::Weights {
                iterations: outcome.iterations,
                residual: outcome.residual,
            })
        }
    }

    /// Steps from `mu` until a certificate proves `F(mu) - F* <= gap`, at most `steps` times, with
    /// the default [`Effort`](crate::optimality::Effort).
    ///
    /// Returns the reason and the last certificate.
    ///
    /// - [`StopReason::GloballyOptimal`]: the certified gap is at most `gap`.
    /// - [`StopReason::Stationary`]: the weights are optimal up to `gap` or rounding, and the
    ///   certificate contains no atom that decreases F. Or the
    ///   [`optimistic_gap`](Certificate::optimistic_gap) is at most `gap` but the certified one is
    ///   not, because the effort did not suffice.
    ///   [`Certificate::bound`] and [`maximum_bounds`](Certificate::maximum_bounds) of the result
    ///   state what was searched: atoms with `|g|` between the two bounds are not excluded for
    ///   `Truncated` and `Relaxed`. The returned gap bounds the rest in all cases.
    /// - [`StopReason::Steps`]: `steps` steps were taken. A step at a kink of F adds an atom, and
    ///   need not decrease F.
    ///
    /// # Errors
    /// As [`step`](Self::step); `mu` is then the last measure. [`StepError::Parameter`] when `gap`
    /// is negative or NaN. [`StepError::Contradiction`] when the bounds of a certificate contradict
    /// each other ([`Certificate::contradiction`]).
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
        self.run_with(&mut Search::new(), energy, mu, gap, steps)
    }

    /// [`run`](Self::run) with the effort, the budget and the memory of a [`Search`].
    ///
    /// During the run the target of the search is `gap`: a proof is attempted when the optimistic
    /// gap is at most that. The last certificate is computed with the full effort.
    ///
    /// ```
    /// use wasserflow::nalgebra::{DMatrix, DVector};
    /// use wasserflow::optimality::{Effort, Search};
    /// use wasserflow::sparse::FrankWolfe;
    /// use wasserflow::prelude::*;
    ///
    /// let x = DMatrix::from_row_slice(1, 2, &[-1.0, 1.0]);
    /// let risk = EmpiricalRisk::new(Square, x, DVector::from_element(2, 1.0))?;
    /// let decay = WeightDecay::new(0.1)?;
    /// let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?.regularized(decay);
    /// let mut mu = EmpiricalMeasure::uniform(DMatrix::zeros(2, 1))?;
    /// let mut search = Search::new().with_effort(Effort::new(1e-9, 1000)?);
    /// let (reason, _) =
    ///     FrankWolfe::Corrective.run_with(&mut search, &mut energy, &mut mu, 1e-10, 10)?;
    /// assert!(matches!(reason, StopReason::GloballyOptimal { .. }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// As [`step`](Self::step).
    pub fn run_with<T: Real, E: Certifiable<T> + ?Sized>(
        self,
        search: &mut Search,
        energy: &mut E,
        mu: &mut EmpiricalMeasure<T>,
        gap: T,
        steps: usize,
    ) -> Result<(StopReason, Certificate<T>), StepError> {
        check_gap(gap)?;
        span!(INFO, "Frank-Wolfe", gap = to_f64(gap), steps = steps);
        let mut whole = mu.clone();
        let run = on_whole_measure(energy, mu, |energy, mu| {
            whole.clone_from(mu);
            let target = search.replace_target(to_f64(gap));
            let run = self.run_to_target(search, energy, &mut whole, gap, steps);
            let run = run.and_then(|run| run.with_optimal_weights(energy, &mut whole, gap, search));
            search.replace_target(target);
            let (reason, certificate) = run?.with_full_effort(energy, &whole, gap, search)?;
            event!(INFO, "stopped", reason = tracing::field::debug(reason));
            Ok((reason, certificate))
        });
        *mu = share(energy, whole);
        run
    }

    /// [`run_with`](Self::run_with) with the target of the search as it is.
    pub(super) fn run_to_target<T: Real, E: Certifiable<T> + ?Sized>(
        self,
        search: &mut Search,
        energy: &mut E,
        mu: &mut EmpiricalMeasure<T>,
        gap: T,
        steps: usize,
    ) -> Result<Run<T>, StepError> {
        let mut run = Run::at(energy, mu, search)?;
        // Atoms without weight at the end of the measure, and the method that corrects it.
        let (mut extended, mut new, mut method) = (mu.clone(), 0, self);
        let mut taken = 0;
        loop {
            let certificate = &run.certificate;
            if certificate.gap() <= gap {
                let gap = to_f64(certificate.gap());
                return Ok(run.end(StopReason::GloballyOptimal { gap }));
            }
            if certificate.optimistic_gap() <= gap {
                return Ok(run.end(StopReason::Stationary));
            }
            if taken == steps {
                return Ok(run.end(StopReason::Steps));
            }
            // Without a missing atom, the weights or positions may not be optimal.
            if let Some(w) = certificate.escape() {
                extended = append(&extended, w, T::zero())?;
                new += 1;
            }
            let first = extended.len() - new;
            match method.correct(energy, &extended, first, &run.hessian, to_f64(gap))? {
                Correction::Decrease(next, known) => {
                    *mu = next;
                    run = Run::at(energy, mu, search)?;
                    run.hessian = known;
                    (extended, new, method) = (mu.clone(), 0, self);
                }
                // A kink of F. Its subgradients differ from F'(mu); the one that proves the
                // optimality of the weights is negative where an atom is missing.
                Correction::Optimal(subgradient) => {
                    let combined = energy.combined_certificate(mu, &subgradient, search);
                    let Some(combined) = combined.filter(|_| !subgradient.is_empty()) else {
                        return Ok(run.end(StopReason::Stationary));
                    };
                    let combined = combined.of(search).consistent()?;
                    let ends = combined.escape().is_none() && combined.gap() > gap;
                    (run.certificate, run.subgradient) = (combined, subgradient);
                    if ends {
                        return Ok(run.end(StopReason::Stationary));
                    }
                    method = Self::Corrective;
                }
            }
            taken += 1;
        }
    }
}

/// Checks that a requested gap is non-negative.
pub(super) fn check_gap<T: Real>(gap: T) -> Result<(), ParameterError> {
    ParameterError::check(gap >= T::zero(), "gap", ">= 0", to_f64(gap))
}
