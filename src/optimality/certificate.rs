//! The certificate of global optimality.

use super::{Bound, Certifiable};
use crate::measure::EmpiricalMeasure;
use crate::numeric::error_bounds;
use crate::real::{Real, epsilon, real, to_f64};

/// What is proved about a measure: see [`certify`].
#[derive(Debug, Clone, PartialEq)]
pub struct Certificate<T> {
    energy: T,
    gap: T,
    estimate: T,
    maximum: Option<T>,
    threshold: T,
    bound: Bound,
    escape: Option<Vec<T>>,
}

impl<T: Real> Certificate<T> {
    pub(super) fn new(
        energy: f64,
        gap: f64,
        estimate: f64,
        maximum: Option<f64>,
        threshold: f64,
        bound: Bound,
        escape: Option<Vec<f64>>,
    ) -> Self {
        Self {
            energy: round_up(energy),
            gap: round_up(gap),
            estimate: round_up(estimate),
            maximum: maximum.map(real),
            threshold: real(threshold),
            bound,
            escape: escape.map(|w| w.into_iter().map(real).collect()),
        }
    }

    /// The certificate of an energy of your own: `F(mu) <= energy` and `F* >= lower`, so that the gap is `energy - lower`, rounded up.
    ///
    /// `escape` is a particle with `F'(mu)(w) < 0`, where one is known. A NaN leaves the gap infinite.
    ///
    /// ```
    /// use wasserflow::optimality::{Certifiable, Certificate};
    /// use wasserflow::sparse::FrankWolfe;
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    ///
    /// /// A maximum mean discrepancy, which is never negative; it looks for atoms at the points of its target.
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
    ///     fn certificate(&mut self, mu: &EmpiricalMeasure<f64>, _budget: f64) -> Certificate<f64> {
    ///         let at = self.0.target().points().clone();
    ///         let (mut values, mut descent) = (vec![0.0; at.ncols()], at.clone());
    ///         let energy = self.0.first_variation(mu, &at, &mut values, &mut descent).unwrap_or(f64::NAN);
    ///         let lowest = (0..values.len()).min_by(|&i, &j| values[i].total_cmp(&values[j])).unwrap_or(0);
    ///         let escape = (values[lowest] < -1e-12).then(|| at.column(lowest).as_slice().to_vec());
    ///         Certificate::bounded(energy, 0.0, escape)
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
        let gap = error_bounds::above(
            energy - lower,
            error_bounds::EPS * (energy.abs() + lower.abs()),
        );
        Self::new(energy, gap, gap, None, 0.0, Bound::Certified, escape)
    }

    /// Nothing is known: the measure or its predictions are not finite.
    pub(super) fn unknown() -> Self {
        Self::new(
            f64::INFINITY,
            f64::INFINITY,
            f64::INFINITY,
            None,
            0.0,
            Bound::Estimate,
            None,
        )
    }

    /// A number that is at least `F(mu) - F*`, rounding included; infinite where there is no bound.
    ///
    /// `F*` is the infimum over all measures, or over those within the budget.
    pub fn gap(&self) -> T {
        self.gap
    }

    /// What the gap would be if the largest `|g|` found were the largest there is: the gap itself when [`Bound::Certified`].
    pub fn estimated_gap(&self) -> T {
        self.estimate
    }

    /// How [`maximum`](Self::maximum) is known.
    pub fn bound(&self) -> Bound {
        self.bound
    }

    /// A particle along which F falls, to first order: `F'(mu)(w) < 0`. `None` where no direction was found.
    ///
    /// p coordinates `(a, b)` with `|a| = |b| = 1`. [`sparse::insert`](crate::sparse::insert) adds it to the measure.
    pub fn escape(&self) -> Option<&[T]> {
        self.escape.as_deref()
    }

    /// `F(mu)`, rounded up; infinite where it is not finite.
    pub fn energy(&self) -> T {
        self.energy
    }

    /// The largest `|g(b)|` found on the unit sphere, where there was a search.
    pub fn maximum(&self) -> Option<T> {
        self.maximum
    }

    /// `2 lambda`, what [`maximum`](Self::maximum) must not exceed at a global minimum.
    pub fn threshold(&self) -> T {
        self.threshold
    }
}

/// The scalar next to `x` that is not below; infinity for NaN.
fn round_up<T: Real>(x: f64) -> T {
    if x.is_nan() {
        return real(f64::INFINITY);
    }
    let y: T = real(x);
    if to_f64(y) >= x {
        y
    } else {
        y + y.abs() * epsilon() + real(f64::from(f32::MIN_POSITIVE))
    }
}

/// The certificate of optimality of `mu` among all measures.
///
/// For networks of 1-homogeneous neurons (degree 1: `Relu`, `LeakyRelu`, `Abs`, `Identity`, or a dependent's own):
///
/// | d | `max|g|` over the sphere | [`Bound`] | cost beyond the predictions |
/// |---|---|---|---|
/// | 1 | both ends | certified | `O(n k)` |
/// | 2 | the arcs between 2n angles, each in closed form | certified | `O(n (log n + k))` |
/// | 3 | the cells of n great circles, by branch and bound | certified | `O(n k)` a cell, few cells; at worst `O(n^2)` of them |
/// | > 3 | ascent from particles, data and random directions of a fixed seed | estimate | `O(n d k)` an evaluation, some 2000 |
///
/// The gap is `F(mu) - max_c -R*(c u)` over `|c| max|g| <= 2 lambda`. As `c = 0` is among them, `F(mu) - inf R` always bounds
/// it: for a loss that is not negative the gap is at most F, and with `lambda = 0` it is F. Beyond d = 3 the gap uses no more than
/// `max|g| <= sum_j |u_j| |x_j|`, and [`estimated_gap`](Certificate::estimated_gap) what the search found. The gap is infinite
/// where the loss does not give its [`conjugate`](crate::loss::Loss::conjugate), and a degree other than 1 leaves `F(mu) - inf R`.
///
/// All is computed in double precision, whatever T is. The bound holds after rounding: F is taken from above, over all predictions that
/// the rounding of a sum of m terms leaves open; a multiple of `2^-52 sum_j |u_j| |x_j|` is added to `max|g|`; sums carry their
/// error along. It rests on the accuracy that the laws of [`Loss`](crate::loss::Loss) ask for, and on scalars of at most double precision.
///
/// Where `mu` is not finite, nothing is known: an infinite gap. Ranks that each hold a part of the particles get the same
/// certificate; predictions are then summed in the precision of T, and the bound is as wide as that asks for.
///
/// # Panics
/// When `mu` does not have the dimension of the energy's particles, as indexing does.
///
/// Source: L. Chizat and F. Bach, On the global convergence of gradient descent for over-parameterized models using optimal
/// transport, 2018, for the optimality conditions; the dual bound is weak duality (Fenchel).
pub fn certify<T: Real, E: Certifiable<T> + ?Sized>(
    energy: &mut E,
    mu: &EmpiricalMeasure<T>,
) -> Certificate<T> {
    energy.certificate(mu, f64::INFINITY)
}

/// The certificate of optimality of `mu` among the measures `nu` of norm `int |a| |b| dnu <= budget`.
///
/// The gap is `F(mu) - max_c [ -R*(c u) - budget (|c| max|g| - 2 lambda)_+ ]`, with `c = 1` the first-order bound
/// `<u, h_mu> + budget max|g|` for `lambda = 0`. It is negative when `mu`, of a larger norm itself, is better than all of them. A
/// negative budget counts as 0.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// // y = 3 at x = 1. With |a| |b| <= 1 no network predicts more than 1, so none is below (1 - 3)^2 / 2.
/// let risk = EmpiricalRisk::new(Square, DMatrix::from_element(1, 1, 1.0), DVector::from_element(1, 3.0))?;
/// let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?;
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_element(2, 1, 1.0))?;
/// assert!(optimality::certify_within(&mut energy, &mu, 1.0).gap() < 1e-6);
/// assert!(optimality::certify(&mut energy, &mu).gap() >= 2.0); // among all, F* = 0
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
    energy.certificate(mu, to_f64(budget).max(0.0))
}
