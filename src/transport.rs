//! Optimal transport between empirical measures without regularisation: `W_2`, `W_1`, `W_p`.
//!
//! `W_p^p(mu, nu) = min sum_ij pi_ij |x_i - y_j|^p` over transport plans `pi_ij >= 0` with
//! marginals `a_i`, `b_j`.
//!
//! The algorithm depends on the problem:
//! - d = 1: the monotone coupling, by sorting.
//! - Equal weights, in many dimensions and up to a few thousand atoms: shortest augmenting paths on
//!   a stored cost matrix in f32 (Jonker and Volgenant), made optimal in f64 by cancelling negative
//!   cycles.
//! - All others: near-optimal prices by the auction algorithm with epsilon-scaling, from coarse to
//!   fine. Then shortest augmenting paths (equal weights) or the network simplex method make plan
//!   and prices optimal.
//! - Warm start: cancelling negative cycles (equal weights) or the network simplex method, from the
//!   previous coupling.
//!
//! Except for that matrix, costs are not stored. Each row keeps the candidate arcs of least reduced
//! cost and a lower bound for all others. The costs of a row are computed again only if that bound
//! is inconclusive. Costs are in f64 and masses are integers. The network simplex method verifies
//! its steps with potentials in fixed point, so that it ends, and it continues other methods if
//! their potentials are too inaccurate. The result does not depend on the number of threads.
//!
//! The result holds for all finite coordinates: the distance is computed in the unit of the longest
//! distance of the plan, and [`Coupling::gap`] bounds all rounding errors.

use thiserror::Error;

use crate::error::{MeasureError, Number, ParameterError};
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, to_f64};

mod auction;
mod certificate;
mod cloud;
mod cone;
mod cost;
mod cost_matrix;
mod coupling;
mod cycle_cancelling;
mod dense;
mod energy;
mod evaluation;
mod gaussian;
mod grid;
mod initial_basis;
mod line;
mod masses;
mod network_simplex;
mod plan;
mod potentials;
mod power;
mod prices;
mod problem;
mod shortest_paths;
mod sliced;
mod solve;
mod spanning_tree;
mod speed;
mod stored_rows;

pub use cone::{balanced, cone_w2};
pub use coupling::Coupling;
pub use energy::{HellingerKantorovichEnergy, SinkhornEnergy, SlicedW2Energy, W2Energy};
pub use gaussian::gaussian_w2_squared;
pub use sliced::sliced_w2;
pub use speed::{MetricSpeed, Speed};

/// Errors of transport problems.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The dimensions of the points differ.
    #[error("measures must have the same dimension, found {mu} and {nu}")]
    Dimension {
        /// Coordinates of a point of mu.
        mu: usize,
        /// Coordinates of a point of nu.
        nu: usize,
    },
    /// The total masses are zero or differ by more than rounding;
    /// [`EmpiricalMeasure::normalised`] makes both equal to 1.
    #[error(
        "measures must have equal, finite total mass > 0, as after `normalised`, \
         found {} and {}",
        Number(.mu),
        Number(.nu)
    )]
    Mass {
        /// The mass of mu.
        mu: f64,
        /// The mass of nu.
        nu: f64,
    },
    /// A measure is not the one that was coupled.
    #[error(
        "the {what} of {measure} must be {} as in the coupling, found {}",
        Number(.expected),
        Number(.found)
    )]
    Uncoupled {
        /// "mu" or "nu".
        measure: &'static str,
        /// The property that differs.
        what: &'static str,
        /// The value in the coupling.
        expected: f64,
        /// The value of the measure.
        found: f64,
    },
    /// A measure has an invalid point or weight.
    #[error(transparent)]
    Measure(#[from] MeasureError),
    /// The exponent is out of its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
}

/// The optimal 2-Wasserstein coupling: minimises `sum_ij pi_ij |x_i - y_j|^2`.
///
/// Total masses must be positive and agree within rounding; they need not be 1. Weights that are
/// not all equal are multiples of about 2^-120 of the mass, which is exact for weights above 2^-67
/// of it. If the masses differ by rounding, the heaviest atom of the lighter measure receives the
/// difference. Atoms of weight 0 carry no mass, but have potentials.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(1, 2, &[0.0, 1.0]))?;
/// let weights = DVector::from_vec(vec![0.25, 0.75]);
/// let nu = EmpiricalMeasure::weighted(DMatrix::from_column_slice(1, 2, &[0.0, 3.0]), weights)?;
/// let coupling = transport::w2(&mu, &nu)?;
/// assert_eq!(coupling.squared_distance(), 0.25 * 9.0 + 0.5 * 4.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`TransportError`] if dimensions or total masses differ, if the mass is zero, or if a measure is
/// invalid.
///
/// # Cost
/// Time: typically a few passes over all `n m d` differences; `O(n log n + m log m)` for d = 1.
/// Memory: `O((n + m) d)` and about 50 arcs for each row. For equal weights, as many atoms on each
/// side and d >= 6 also the cost matrix in f32, of at most 32 MiB, or 128 MiB if d >= 32; larger
/// problems do without.
pub fn w2<T: Real>(
    mu: &EmpiricalMeasure<T>,
    nu: &EmpiricalMeasure<T>,
) -> Result<Coupling<T>, TransportError> {
    Coupling::optimal(mu, nu, 2.0, None)
}

/// The optimal 1-Wasserstein (Kantorovich-Rubinstein) coupling: minimises
/// `sum_ij pi_ij |x_i - y_j|`. See [`w2`].
///
/// # Errors
/// Those of [`w2`].
pub fn w1<T: Real>(
    mu: &EmpiricalMeasure<T>,
    nu: &EmpiricalMeasure<T>,
) -> Result<Coupling<T>, TransportError> {
    Coupling::optimal(mu, nu, 1.0, None)
}

/// The largest exponent p. Above it, costs of distances in a ratio of 0.93 differ by more than the
/// range of f64.
const MAX_EXPONENT: f64 = 1e4;

/// The optimal p-Wasserstein coupling, `1 <= p <= 10^4`: minimises `sum_ij pi_ij |x_i - y_j|^p`. See
/// [`w2`].
///
/// For large p the longest distances decide. Relative errors of `W_p` are those of the cost divided
/// by p, so that the distance is accurate where the cost and its gap overflow.
///
/// # Errors
/// Those of [`w2`], and [`TransportError::Parameter`] if p is out of range.
pub fn wp<T: Real>(
    mu: &EmpiricalMeasure<T>,
    nu: &EmpiricalMeasure<T>,
    p: T,
) -> Result<Coupling<T>, TransportError> {
    let p = to_f64(p);
    let holds = (1.0..=MAX_EXPONENT).contains(&p);
    ParameterError::check(holds, "p", "at least 1 and at most 10000", p)?;
    Coupling::optimal(mu, nu, p, None)
}
