//! The certificate of global optimality: its values, and the energies that provide it.

use super::bound::Bound;
use super::search::Search;
use crate::energy::Energy;
use crate::error::StepError;
use crate::forward::forward;
use crate::measure::EmpiricalMeasure;
use crate::numeric::error_bounds::sub_up;
use crate::real::{Real, epsilon, real, to_f64};

#[cfg(feature = "serde")]
mod encoded;

/// An energy whose global minimum has a computable lower bound.
///
/// Implemented for `MeanFieldRisk<Ridge<A>, R, T, V>` with a
/// [`Homogeneous`](crate::activation::Homogeneous) activation A, a risk R with a conjugate
/// ([`DualRisk`]) and a weight decay V, possibly zero ([`Decay`]). Also implemented for the
/// population risks `Mmd<ArcCosine, T>` and `Mmd<WithOutputWeight<ArcCosine>, T>`: their only
/// proved bound is `F* >= 0`, and their descent direction is the result of a search.
///
/// [`DualRisk`]: super::DualRisk
/// [`Decay`]: super::Decay
///
/// ```
/// use wasserflow::optimality::{Certifiable, certify};
/// use wasserflow::prelude::*;
///
/// fn is_optimal<E: Certifiable<f64>>(energy: &mut E, mu: &EmpiricalMeasure<f64>) -> bool {
///     certify(energy, mu).gap() <= 1e-12
/// }
///
/// // E|h_mu - h_nu|^2 / 2 over standard normal inputs: the networks are equal, so F = F* = 0.
/// let nu = EmpiricalMeasure::uniform(wasserflow::nalgebra::DMatrix::from_element(2, 1, 1.0))?;
/// let mut energy = Mmd::new(ArcCosine::new(2), nu.clone())?;
/// assert!(is_optimal(&mut energy, &nu));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "no certificate is available for `{Self}`",
    note = "it exists for `MeanFieldRisk` of `Ridge` with a homogeneous activation, a risk with a \
            conjugate (`DualRisk`) and a weight decay or no potential (`Decay`), and for `Mmd`"
)]
pub trait Certifiable<T: Real>: Energy<T> {
    /// The certificate of `mu` among all measures, or those of norm at most
    /// [`Search::budget`] if that is finite.
    ///
    /// `search` limits the effort, and stores what the next certificate can start from. A custom
    /// implementation may ignore it: a lower bound over all measures is one over fewer of them.
    fn certificate(&mut self, mu: &EmpiricalMeasure<T>, search: &mut Search) -> Certificate<T>;

    /// The certificate of `mu` by the subgradient `sum_j s_j F'(mu_j)` in place of `F'(mu)`, for
    /// pairs `(s_j, mu_j)` with `s_j >= 0` and sum 1.
    ///
    /// At a kink of F, `F'(mu)` is one of many subgradients, and a combination of those nearby may
    /// prove a smaller gap. `None` (provided) if it is not implemented: F is then treated as smooth.
    fn combined_certificate(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        subgradient: &[(T, EmpiricalMeasure<T>)],
        search: &mut Search,
    ) -> Option<Certificate<T>> {
        let _ = (mu, subgradient, search);
        None
    }
}

forward! {
    impl[T: Real, E: Certifiable<T> + ?Sized] Certifiable<T>; for &mut E, Box<E>; {
        fn certificate(&mut self, mu: &EmpiricalMeasure<T>, search: &mut Search) -> Certificate<T>;
        fn combined_certificate(
            &mut self,
            mu: &EmpiricalMeasure<T>,
            subgradient: &[(T, EmpiricalMeasure<T>)],
            search: &mut Search
        ) -> Option<Certificate<T>>;
    }
}

/// Bounds on the optimality of a measure, computed by [`certify`](super::certify).
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(
        into = "encoded::Encoded<T>",
        try_from = "encoded::Encoded<T>",
        bound(
            serialize = "T: Real + serde::Serialize",
            deserialize = "T: Real + serde::Deserialize<'de>"
        )
    )
)]
pub struct Certificate<T> {
    pub(super) energy: T,
    pub(super) gap: T,
    pub(super) optimistic: T,
    /// A lower and an upper bound of `max |g|`.
    pub(super) maximum: Option<(T, T)>,
    pub(super) threshold: T,
    pub(super) bound: Option<Bound>,
    pub(super) escape: Option<Vec<T>>,
    /// The norm budget of the measures among which F* is the infimum; `None` for all measures.
    pub(super) budget: Option<T>,
    /// The lower bound of F* minus F(mu), if positive beyond rounding.
    pub(super) contradiction: Option<T>,
}

/// The difference of a lower bound of F* and F(mu), in units of `eps |F|`, above which the bound is
/// wrong. Both are rounded outward, so that differences above 0 are errors of the loss itself: its
/// laws require an accuracy of a few units.
const CONTRADICTION_UNITS: f64 = 1024.0;

impl Certificate<f64> {
    /// Converts to T, outward: the energy, the gaps and upper bounds are rounded up, lower bounds
    /// and the threshold down.
    pub(super) fn convert<T: Real>(self) -> Certificate<T> {
        let down = |x: f64| -round_up::<T>(-x);
        Certificate {
            energy: round_up(self.energy),
            gap: round_up(self.gap),
            optimistic: round_up(self.optimistic),
            maximum: self
                .maximum
                .map(|(lower, upper)| (down(lower), round_up(upper))),
            threshold: down(self.threshold),
            bound: self.bound,
            escape: self.escape.map(|w| w.into_iter().map(real).collect()),
            budget: self.budget.map(real),
            contradiction: self.contradiction.map(real),
        }
    }

    /// The certificate without any bound: the measure or its predictions are not finite.
    pub(super) fn unknown() -> Self {
        Self {
            energy: f64::INFINITY,
            gap: f64::INFINITY,
            optimistic: f64::INFINITY,
            maximum: None,
            threshold: 0.0,
            bound: None,
            escape: None,
            budget: None,
            contradiction: None,
        }
    }
}

impl<T: Real> Certificate<T> {
    /// The certificate of a user-defined energy with `F(mu) <= energy` and `F* >= lower`.
    ///
    /// The gap is `energy - lower`, rounded up; infinite if either is NaN. `escape` is a particle
    /// with `F'(mu)(w) < 0`, if one is available; an empty vector counts as `None`.
    ///
    /// ```
    /// use wasserflow::optimality::{Certifiable, Certificate, Search};
    /// use wasserflow::sparse::FrankWolfe;
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    ///
    /// /// A maximum mean discrepancy, hence `F* >= 0`. Candidate atoms are the target points.
    /// struct Nearby(Mmd<Gaussian<f64>, f64>);
    /// # impl Energy<f64> for Nearby {
    /// #     fn particle_dim(&self) -> usize {
    /// #         Energy::particle_dim(&self.0)
    /// #     }
    /// #     fn value(&mut self, mu: &EmpiricalMeasure<f64>) -> f64 {
    /// #         self.0.value(mu)
    /// #     }
    /// #     fn velocity(&mut self, mu: &EmpiricalMeasure<f64>, out: &mut DMatrix<f64>) -> f64 {
    /// #         self.0.velocity(mu, out)
    /// #     }
    /// #     fn first_variation(
    /// #         &mut self,
    /// #         mu: &EmpiricalMeasure<f64>,
    /// #         at: &DMatrix<f64>,
    /// #         values: &mut [f64],
    /// #         descent: &mut DMatrix<f64>,
    /// #     ) -> Option<f64> {
    /// #         self.0.first_variation(mu, at, values, descent)
    /// #     }
    /// # }
    /// impl Certifiable<f64> for Nearby {
    ///     fn certificate(
    ///         &mut self,
    ///         mu: &EmpiricalMeasure<f64>,
    ///         _: &mut Search,
    ///     ) -> Certificate<f64> {
    ///         let at = self.0.target().points().clone();
    ///         let (mut values, mut descent) = (vec![0.0; at.ncols()], at.clone());
    ///         let energy = self.0.first_variation(mu, &at, &mut values, &mut descent);
    ///         let columns = (0..values.len()).zip(&values);
    ///         let lowest = columns.min_by(|(_, s), (_, t)| s.total_cmp(t));
    ///         let escape = lowest.filter(|&(_, &value)| value < -1e-12);
    ///         let escape = escape.map(|(i, _)| at.column(i).as_slice().to_vec());
    ///         Certificate::bounded(energy.unwrap_or(f64::NAN), 0.0, escape)
    ///     }
    /// }
    /// let target = EmpiricalMeasure::uniform(DMatrix::from_row_slice(1, 3, &[-2.0, 0.0, 1.0]))?;
    /// let mut energy = Nearby(Mmd::new(Gaussian::new(1, 1.0)?, target)?);
    /// let mut mu = EmpiricalMeasure::uniform(DMatrix::zeros(1, 1))?;
    /// let (_, certificate) = FrankWolfe::Corrective.run(&mut energy, &mut mu, 1e-10, 10)?;
    /// assert!(mu.len() == 3 && certificate.gap() <= 1e-10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bounded(energy: f64, lower: f64, escape: Option<Vec<f64>>) -> Self {
        let gap = sub_up(energy, lower);
        Certificate {
            energy,
            gap,
            optimistic: gap,
            maximum: None,
            escape: escape.filter(|w| !w.is_empty()),
            ..Certificate::unknown()
        }
        .convert()
    }

    /// The certificate among the measures of a search. A negative gap among all measures is a
    /// contradiction, and replaced by infinity.
    pub(crate) fn of(mut self, search: &Search) -> Self {
        let budget = search.budget();
        self.budget = (budget < f64::INFINITY).then(|| real(budget));
        if let Some(excess) = self.excess() {
            self.contradiction = Some(excess);
            (self.gap, self.optimistic) = (real(f64::INFINITY), real(f64::INFINITY));
        }
        self
    }

    /// Minus the gap, if it is a contradiction.
    fn excess(&self) -> Option<T> {
        let rounding = real::<T>(CONTRADICTION_UNITS) * epsilon() * self.energy.abs();
        (self.budget.is_none() && self.gap < -rounding).then_some(-self.gap)
    }

    /// The certificate, unless it contains a contradiction.
    pub(crate) fn consistent(self) -> Result<Self, StepError> {
        match self.contradiction {
            Some(excess) => Err(StepError::Contradiction {
                excess: to_f64(excess),
            }),
            None => Ok(self),
        }
    }

    /// An upper bound of `F(mu) - F*`, rounding errors included; infinite if no bound is available.
    ///
    /// `F*` is the infimum over all measures, or over those within the budget. Only the latter may
    /// be above `F(mu)`, of a measure that is not within the budget: the gap is then negative.
    pub fn gap(&self) -> T {
        self.gap
    }

    /// The norm budget of the measures among which `F*` is the infimum; `None` for all measures.
    pub fn budget(&self) -> Option<T> {
        self.budget
    }

    /// The lower bound of `F*` minus `F(mu)`, if it is positive beyond rounding errors; `None` for
    /// consistent bounds.
    ///
    /// A measure below the minimum over all measures is a contradiction: the
    /// [`conjugate`](crate::loss::Loss::conjugate) of a user-defined loss is wrong, or the loss is
    /// not convex ([`check_loss`](crate::testing::check_loss) detects both), or the lower bound of a
    /// user-defined energy is wrong. The gap is then infinite, as nothing is proved.
    ///
    /// ```
    /// use wasserflow::nalgebra::{DMatrix, DVector};
    /// use wasserflow::prelude::*;
    ///
    /// /// The square loss with the conjugate `s y + s^2 / 2` minus 1.
    /// #[derive(Debug, Clone, Copy)]
    /// struct Wrong;
    /// impl<T: Real> Loss<T> for Wrong {
    ///     fn value(&self, y: T, h: T) -> T {
    ///         Square.value(y, h)
    ///     }
    ///     fn derivative(&self, y: T, h: T) -> T {
    ///         Square.derivative(y, h)
    ///     }
    ///     fn conjugate(&self, y: T, s: T) -> Option<T> {
    ///         Some(s * y + s * s / (T::one() + T::one()) - T::one())
    ///     }
    /// }
    /// let x = DMatrix::from_element(1, 1, 1.0);
    /// let risk = EmpiricalRisk::new(Wrong, x, DVector::from_element(1, 3.0))?;
    /// let decay = WeightDecay::new(0.5)?;
    /// let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?.regularized(decay);
    /// let best = EmpiricalMeasure::uniform(DMatrix::from_element(2, 1, 2.0_f64.sqrt()))?;
    /// let certificate = optimality::certify(&mut energy, &best);
    /// assert!(certificate.gap() == f64::INFINITY);
    /// assert!((certificate.contradiction().unwrap() - 1.0).abs() < 1e-9);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn contradiction(&self) -> Option<T> {
        self.contradiction
    }

    /// An optimistic guess of the gap: its value if the largest `|g|` found were the maximum.
    ///
    /// At most [`gap`](Self::gap), and not a bound of `F(mu) - F*`: a search may miss the maximum.
    /// The two agree up to the tolerance for [`Bound::Exact`].
    pub fn optimistic_gap(&self) -> T {
        self.optimistic
    }

    /// The proof behind the upper bound of [`maximum_bounds`](Self::maximum_bounds); `None` without
    /// bounds.
    pub fn bound(&self) -> Option<Bound> {
        self.bound
    }

    /// A descent direction: a particle with `F'(mu)(w) < 0`, or `None` if the search returned none.
    ///
    /// For networks, p coordinates `(a, b)` with `|a| = |b| = 1`, and `F'(mu)` for the gradient u
    /// of the risk as it was computed.
    /// [`sparse::insert`](crate::sparse::insert) adds it to the measure.
    pub fn escape(&self) -> Option<&[T]> {
        self.escape.as_deref()
    }

    /// An upper bound of `F(mu)`, equal to it up to rounding; infinite if `F(mu)` is not finite.
    pub fn energy(&self) -> T {
        self.energy
    }

    /// Bounds `lower <= max |g(b)| <= upper` over the unit sphere; `None` if they were not computed.
    ///
    /// Both are proved: they are rounded outward and include rounding errors, for the gradient u as
    /// it was computed. `lower` is `|g|` at the best direction found; `upper` is explained by
    /// [`bound`](Self::bound).
    pub fn maximum_bounds(&self) -> Option<(T, T)> {
        self.maximum
    }

    /// `2 lambda`, rounded down. If the upper bound of [`maximum_bounds`](Self::maximum_bounds) does
    /// not exceed it, u is dual feasible.
    pub fn threshold(&self) -> T {
        self.threshold
    }
}

/// The conversion to T, rounded up (at least `x`); infinity for NaN.
pub(super) fn round_up<T: Real>(x: f64) -> T {
    if x.is_nan() {
        return real(f64::INFINITY);
    }
    let y: T = real(x);
    if to_f64(y) >= x {
        y
    } else {
        // One unit in the last place at least; the absolute term is that of subnormal numbers. A
        // number below the range of T becomes the lowest of T.
        let y = T::min_value().map_or(y, |lowest| y.max(lowest));
        y + y.abs() * epsilon() + real(f64::from(f32::from_bits(1)))
    }
}

/// Asserts that the particles of `mu` have the dimension of those of the energy.
pub(super) fn check_dimension<T: Real>(energy: &impl Energy<T>, mu: &EmpiricalMeasure<T>) {
    assert_eq!(
        energy.particle_dim(),
        mu.dim(),
        "the measure must have the dimension of the particles of the energy"
    );
}
