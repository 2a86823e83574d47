//! Is this the global minimum? The certificate of optimality, its gap, and the way on where there is one.
//!
//! An energy `F(mu) = R(h_mu) + lambda int |w|^2 dmu` of neurons `a sigma(b.x)` with a positively 1-homogeneous `sigma`
//! (so the map is 2-homogeneous) is convex in `mu`, and its first variation is known on all of the sphere from
//!
//! ```text
//! u = grad R(h_mu),   g(b) = sum_j u_j sigma(b.x_j) in R^k,   F'(mu)(a, b) = a.g(b) + lambda (|a|^2 + |b|^2).
//! ```
//!
//! `mu` is a global minimum if and only if `|g(b)| <= 2 lambda` for every unit vector b and its particles attain it. If
//! not, `|c| max|g| <= 2 lambda` makes `c u` dual feasible, `D = -R*(c u) <= F*`, and [`gap`](Certificate::gap)
//! `= F(mu) - D` bounds `F(mu) - F*`; the maximiser is a neuron that lowers F, the [`escape`](Certificate::escape).
//!
//! ```
//! use wasserflow::nalgebra::{DMatrix, DVector};
//! use wasserflow::prelude::*;
//!
//! // One sample x = 1, y = 3 and lambda = 1/2: the best network is one neuron a = b with a b = y - 2 lambda = 2.
//! let risk = EmpiricalRisk::new(Square, DMatrix::from_element(1, 1, 1.0), DVector::from_element(1, 3.0))?;
//! let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?.regularized(WeightDecay::new(0.5)?);
//! let neuron = |r: f64| EmpiricalMeasure::uniform(DMatrix::from_element(2, 1, r));
//!
//! let best = optimality::certify(&mut energy, &neuron(2.0_f64.sqrt())?);
//! assert!(best.gap() < 1e-12 && best.escape().is_none());
//!
//! let worse = optimality::certify(&mut energy, &neuron(0.5)?);
//! assert!(worse.gap() >= 4.03125 - 2.5 && worse.escape() == Some(&[1.0, 1.0])); // F(mu) - F*, and one more such neuron
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The same with an activation that is not homogeneous, such as `Softplus`, does not compile.

use crate::energy::Energy;
use crate::measure::EmpiricalMeasure;
use crate::real::Real;

mod certificate;
mod dual;
mod linear_form;
mod maximum;
mod network;
mod population;

pub use certificate::{Certificate, certify, certify_within};
pub use dual::DualRisk;
pub use network::Decay;

/// How the maximum of `|g|` over the sphere of directions is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bound {
    /// From above, rounding included (d <= 3): no direction is missed.
    Certified,
    /// From below only, as the best of a search (d > 3): a better direction may exist.
    Estimate,
}

/// An energy whose global minimum can be bounded from below.
///
/// Implemented for `MeanFieldRisk<Ridge<A>, R, T, V>` with a [`Homogeneous`](crate::activation::Homogeneous) activation A, a risk R
/// with a conjugate ([`DualRisk`]) and V a weight decay or none ([`Decay`]); and for the population risks
/// `Mmd<ArcCosine, T>` and `Mmd<WithOutputWeight<ArcCosine>, T>`, of which only `F* >= 0` is proved, the escape direction being searched.
///
/// ```
/// use wasserflow::optimality::{Certifiable, certify};
/// use wasserflow::prelude::*;
///
/// fn is_best<T: Real>(energy: &mut impl Certifiable<T>, mu: &EmpiricalMeasure<T>, tolerance: T) -> bool {
///     certify(energy, mu).gap() <= tolerance
/// }
/// ```
pub trait Certifiable<T: Real>: Energy<T> {
    /// The certificate of `mu` against all measures, or those of norm at most `budget` if that is finite.
    fn certificate(&mut self, mu: &EmpiricalMeasure<T>, budget: f64) -> Certificate<T>;
}

macro_rules! forward_certifiable {
    ($($pointer:ty),*) => {$(
        impl<T: Real, E: Certifiable<T> + ?Sized> Certifiable<T> for $pointer {
            fn certificate(&mut self, mu: &EmpiricalMeasure<T>, budget: f64) -> Certificate<T> {
                (**self).certificate(mu, budget)
            }
        }
    )*};
}
forward_certifiable!(&mut E, Box<E>);
