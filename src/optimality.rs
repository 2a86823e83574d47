//! Global optimality certificates: duality gap and descent direction.
//!
//! An energy `F(mu) = R(h_mu) + lambda int |w|^2 dmu` of neurons `a sigma(b.x)` is convex in `mu`.
//! For a positively 1-homogeneous `sigma` its first variation is determined by a function on the
//! unit sphere,
//!
//! ```text
//! u = grad R(h_mu),   g(b) = sum_j u_j sigma(b.x_j) in R^k,
//! F'(mu)(a, b) = a.g(b) + lambda (|a|^2 + |b|^2).
//! ```
//!
//! The optimality conditions are `F'(mu) >= 0` everywhere and `F'(mu) = 0` on the support of `mu`.
//! For `lambda > 0` and a differentiable R, `mu` is therefore a global minimum if and only if
//!
//! ```text
//! |g(b)| <= 2 lambda  for every unit vector b,
//! |a| = |b|  and  g(b) = -2 lambda a  for every particle (a, b) of positive weight.
//! ```
//!
//! The second line contains the balance `|a| = |b|` and the sign: `a` is parallel to `-g(b)`. For
//! `lambda = 0` the conditions are `g = 0`. At a kink of R they are sufficient if one subgradient
//! `u` satisfies them; the certificate searches for it.
//!
//! For any measure, `|c| max|g| <= 2 lambda` makes `c u` dual feasible. By weak duality (Fenchel)
//! `D = -R*(c u) <= F*`, so the duality gap [`gap`](Certificate::gap) `= F(mu) - D` bounds
//! `F(mu) - F*`, rounding errors included. If `max|g| > 2 lambda`, the maximiser gives a neuron
//! along which F decreases, the [`escape`](Certificate::escape).
//!
//! A [`Search`] holds the [`Effort`] of the bound of `max|g|`, and what one certificate leaves for the
//! next.
//!
//! Any vector of numbers u is a legitimate dual point. A proof therefore consists of three bounds:
//! F from above, `max|g|` of that u from above, and `R*` from above at the multiple of u that is
//! feasible. How u was chosen does not matter.
//!
//! ```
//! use wasserflow::nalgebra::{DMatrix, DVector};
//! use wasserflow::prelude::*;
//!
//! // One sample x = 1, y = 3 and lambda = 1/2. The best network is one neuron a = b with
//! // a b = y - 2 lambda = 2.
//! let x = DMatrix::from_element(1, 1, 1.0);
//! let risk = EmpiricalRisk::new(Square, x, DVector::from_element(1, 3.0))?;
//! let decay = WeightDecay::new(0.5)?;
//! let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?.regularized(decay);
//! let neuron = |r: f64| EmpiricalMeasure::uniform(DMatrix::from_element(2, 1, r));
//!
//! let best = optimality::certify(&mut energy, &neuron(2.0_f64.sqrt())?);
//! assert!(best.gap() < 1e-12 && best.escape().is_none());
//!
//! // F(mu) - F* = 4.03125 - 2.5, and a descent direction.
//! let worse = optimality::certify(&mut energy, &neuron(0.5)?);
//! assert!(worse.gap() >= 4.03125 - 2.5 && worse.escape() == Some(&[1.0, 1.0]));
//!
//! // |g| = 2 lambda on the particle, but g = a/2 has the wrong sign: F(mu) - F* = 4.5 - 2.5.
//! let wrong_sign = optimality::certify(&mut energy, &neuron(2.0)?);
//! assert!(wrong_sign.gap() >= 2.0 && wrong_sign.escape().is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A non-homogeneous activation such as `Softplus` does not compile here.

mod bound;
mod certificate;
mod certify;
mod dual;
mod dual_bound;
mod dual_problem;
mod effort;
mod kinks;
mod margin;
mod maximum;
mod network;
mod piecewise_linear;
mod population;
mod predictions;
mod relaxed_dual;
mod search;

pub use bound::Bound;
pub use certificate::{Certifiable, Certificate};
pub use certify::{certify, certify_within};
pub use dual::DualRisk;
pub use effort::Effort;
pub use margin::{Margin, f1_margin, f2_margin};
pub use network::Decay;
pub use search::Search;
