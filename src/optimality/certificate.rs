//! The certificate of global optimality: its values, and the energies that provide it.

use super::bound::Bound;
use super::search::Search;
use crate::energy::Energy;
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
}

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
        }
    }
}

impl<T: Real> Certificate<T> {
    /// The certificate of a user-defined energy with `F(mu) <= energy` and `F* >= lower`.
    ///
    /// The gap is `energy - lower`, rounded up; infinite if either is NaN. `escape` is a particle
    /// with `F'(mu)(w) < 0`, if one is available.
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
            threshold: 0.0,
            bound: None,
            escape,
        }
        .convert()
    }

    /// An upper bound of `F(mu) - F*`, rounding errors included; infinite if no bound is available.
    ///
    /// `F*` is the infimum over all measures, or over those within the budget.
    pub fn gap(&self) -> T {
        self.gap
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
