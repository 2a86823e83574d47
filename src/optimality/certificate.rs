//! The certificate of global optimality: its values, and the energies that provide it.

use crate::energy::Energy;
use crate::forward::forward;
use crate::measure::EmpiricalMeasure;
use crate::numeric::error_bounds::sub_up;
use crate::real::{Real, epsilon, real, to_f64};

/// The search behind [`Certificate::maximum`], the bound on the maximum of `|g|` over the unit
/// sphere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bound {
    /// An upper bound that includes rounding errors (d <= 3), tight up to these.
    Certified,
    /// An upper bound that includes rounding errors and is not tight: branch and bound (d = 3)
    /// stopped at its limit of work.
    Truncated,
    /// A lower bound, the best value of a multistart search (d > 3): a larger value may exist.
    Estimate,
}

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
    /// The certificate of `mu` among all measures, or those of norm at most `budget` if that is
    /// finite. [`certify_within`] passes a `budget >= 0`, never NaN.
    fn certificate(&mut self, mu: &EmpiricalMeasure<T>, budget: f64) -> Certificate<T>;

    /// The certificate of `mu` by the subgradient `sum_j s_j F'(mu_j)` in place of `F'(mu)`, for
    /// pairs `(s_j, mu_j)` with `s_j >= 0` and sum 1.
    ///
    /// At a kink of F, `F'(mu)` is one of many subgradients, and a combination of those nearby may
    /// prove a smaller gap. `None` (provided) if it is not implemented: F is then treated as smooth.
    fn combined_certificate(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        subgradient: &[(T, EmpiricalMeasure<T>)],
    ) -> Option<Certificate<T>> {
        let _ = (mu, subgradient);
        None
    }
}

forward! {
    impl[T: Real, E: Certifiable<T> + ?Sized] Certifiable<T>; for &mut E, Box<E>; {
        fn certificate(&mut self, mu: &EmpiricalMeasure<T>, budget: f64) -> Certificate<T>;
        fn combined_certificate(
            &mut self,
            mu: &EmpiricalMeasure<T>,
            subgradient: &[(T, EmpiricalMeasure<T>)]
        ) -> Option<Certificate<T>>;
    }
}

/// Bounds on the optimality of a measure, computed by [`certify`].
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate<T> {
    pub(super) energy: T,
    pub(super) gap: T,
    pub(super) estimate: T,
    pub(super) maximum: Option<T>,
    pub(super) threshold: T,
    pub(super) bound: Bound,
    pub(super) escape: Option<Vec<T>>,
}

impl Certificate<f64> {
    /// Converts to T, outward: the energy, the gaps and an upper bound of the maximum are rounded
    /// up, a lower bound of it and the threshold down.
    pub(super) fn convert<T: Real>(self) -> Certificate<T> {
        let maximum = |x: f64| match self.bound {
            Bound::Estimate => -round_up::<T>(-x),
            _ => round_up(x),
        };
        Certificate {
            energy: round_up(self.energy),
            gap: round_up(self.gap),
            estimate: round_up(self.estimate),
            maximum: self.maximum.map(maximum),
            threshold: -round_up::<T>(-self.threshold),
            bound: self.bound,
            escape: self.escape.map(|w| w.into_iter().map(real).collect()),
        }
    }

    /// The certificate without any bound: the measure or its predictions are not finite.
    pub(super) fn unknown() -> Self {
        Self {
            energy: f64::INFINITY,
            gap: f64::INFINITY,
            estimate: f64::INFINITY,
            maximum: None,
            threshold: 0.0,
            bound: Bound::Estimate,
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
    /// use wasserflow::optimality::{Certifiable, Certificate};
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
    ///     fn certificate(&mut self, mu: &EmpiricalMeasure<f64>, _: f64) -> Certificate<f64> {
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
            estimate: gap,
            maximum: None,
            threshold: 0.0,
            bound: Bound::Certified,
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

    /// The gap if the largest `|g|` found is the maximum; equal to [`gap`](Self::gap) for
    /// [`Bound::Certified`].
    pub fn estimated_gap(&self) -> T {
        self.estimate
    }

    /// The search behind [`maximum`](Self::maximum).
    pub fn bound(&self) -> Bound {
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

    /// A bound on the maximum of `|g(b)|` over the unit sphere; `None` without a search.
    ///
    /// An upper bound, rounded up, unless [`bound`](Self::bound) is [`Bound::Estimate`]; then a lower
    /// bound, rounded down. Rounding errors are included, for the gradient u as it was computed.
    pub fn maximum(&self) -> Option<T> {
        self.maximum
    }

    /// `2 lambda`, rounded down. If an upper bound [`maximum`](Self::maximum) does not exceed it, u
    /// is dual feasible.
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

/// The certificate of optimality of `mu` among all measures.
///
/// For networks of 1-homogeneous neurons (`Relu`, `LeakyRelu`, `Abs`, `Identity`, or a custom
/// activation of degree 1):
///
/// | d | maximum over the sphere | [`Bound`] | cost beyond the predictions |
/// |---|---|---|---|
/// | 1 | both unit vectors | certified | `O(n k)` |
/// | 2 | the arcs between 2n angles, each in closed form | certified | `O(n (log n + k))` |
/// | 3 | branch and bound over the cells between n great circles | certified, or truncated | `O(n k)` a cell, few cells in practice, `O(n^2)` at worst |
/// | > 3 | multistart ascent from particles, data and random directions of a fixed seed | estimate | `O(n d k)` an evaluation, some 2000 |
///
/// For d = 3 the search stops after `2^18` cells, or `2^28` circles in cells, with
/// [`Bound::Truncated`]. Its bound is then valid, and so is the gap, but neither is tight.
///
/// The gap is `F(mu) - max_c -R*(c u)` over `|c| max|g| <= 2 lambda`. As `c = 0` is feasible, the
/// gap is at most `F(mu) - inf R`: at most F for a non-negative loss, and equal to it for
/// `lambda = 0` if `inf R = 0`. For d > 3 the gap uses only `max|g| <= sum_j |u_j| |x_j|`, and
/// [`estimated_gap`](Certificate::estimated_gap) the result of the search. The gap is infinite if
/// the loss does not implement its [`conjugate`](crate::loss::Loss::conjugate). For a degree other
/// than 1 it is `F(mu) - inf R`.
///
/// At a kink of the loss (`Hinge`, `Quantile`) the gradient u is not unique. Up to 8 choices between
/// the one-sided derivatives are then tried, each a least-squares solution of
/// `g(b) = -2 lambda a / |a|` on the particles, and the best bound is used. Predictions within
/// `2^-20 int |a| |b| |x| dmu` of a kink count as being at it. Choices are not tried on ranks, nor
/// for `lambda = 0`.
///
/// # Rounding
/// All is computed in double precision for any T. Each number that enters the gap is an upper or a
/// lower bound by a stated inequality:
/// - F is evaluated at its upper bound over all predictions within the a priori rounding error of a
///   sum of m terms, `(m + r (d + 2) + d + k + 16) eps int |a| |b|^r dmu |x|^r` for an activation
///   of degree r, and what underflows.
/// - `max|g|` of the dual point as computed is enclosed up to a multiple of
///   `eps sum_j |u_j| |x_j|`, for d <= 3; powers of two are taken out of u, x and sigma, so that
///   neither overflow nor underflow matters.
/// - The conjugate is bounded from above at the very point that is feasible.
///
/// These bounds rely on the accuracy stated in the laws of [`Loss`](crate::loss::Loss) and
/// [`DualRisk`](super::DualRisk), and on scalars of at most double precision. They hold for all
/// finite data; if an intermediate result overflows, the gap is infinite.
///
/// If `mu` is not finite, the gap is infinite. Ranks that each hold a part of the particles get the
/// same certificate; predictions are then summed in the precision of T, and the bound is
/// accordingly wider.
///
/// # Panics
/// When `mu` does not have the dimension of the energy's particles.
///
/// Source: L. Chizat and F. Bach, On the global convergence of gradient descent for
/// over-parameterized models using optimal transport, 2018, for the optimality conditions; the dual
/// bound is weak duality (Fenchel).
pub fn certify<T: Real, E: Certifiable<T> + ?Sized>(
    energy: &mut E,
    mu: &EmpiricalMeasure<T>,
) -> Certificate<T> {
    energy.certificate(mu, f64::INFINITY)
}

/// The certificate of optimality of `mu` among the measures `nu` of norm
/// `int |a| |b| dnu <= budget`.
///
/// The gap is `F(mu) - max_c [ -R*(c u) - budget (|c| max|g| - 2 lambda)_+ ]`. For `lambda = 0`,
/// `c = 1` gives the first-order bound `<u, h_mu> + budget max|g|`. The gap is negative if `mu`, of
/// a larger norm itself, has a lower energy than all of these measures. A negative budget counts as
/// 0. For a budget that is NaN the gap is infinite.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// // y = 3 at x = 1. With |a| |b| <= 1 no network predicts more than 1, so F >= (1 - 3)^2 / 2.
/// let x = DMatrix::from_element(1, 1, 1.0);
/// let risk = EmpiricalRisk::new(Square, x, DVector::from_element(1, 3.0))?;
/// let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?;
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_element(2, 1, 1.0))?;
/// assert!(optimality::certify_within(&mut energy, &mu, 1.0).gap() < 1e-6);
/// assert!(optimality::certify(&mut energy, &mu).gap() >= 2.0); // among all measures, F* = 0
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
/// As [`certify`].
pub fn certify_within<T: Real, E: Certifiable<T> + ?Sized>(
    energy: &mut E,
    mu: &EmpiricalMeasure<T>,
    budget: T,
) -> Certificate<T> {
    let budget = to_f64(budget);
    if budget.is_nan() {
        let (gap, estimate) = (real(f64::INFINITY), real(f64::INFINITY));
        let certificate = energy.certificate(mu, f64::INFINITY);
        return Certificate {
            gap,
            estimate,
            ..certificate
        };
    }
    energy.certificate(mu, budget.max(0.0))
}
