//! Optimal weights of given particles.

use super::ranks::{on_whole_measure, share};
use super::weights::WeightProblem;
use crate::energy::Energy;
use crate::error::StepError;
use crate::measure::EmpiricalMeasure;
use crate::real::Real;

/// The measure on the particles of `mu` with the optimal weights
/// `c = argmin_{c >= 0} F(sum_i c_i delta(w_i))`.
///
/// `F` is convex in the weights, with `dF/dc_i = F'(mu)(w_i)`. At the minimum `F'(mu)(w_i) = 0`
/// where `c_i > 0`, and `>= 0` where `c_i = 0`. The search starts from the weights of `mu`, which
/// may be 0. Particles of weight 0 are removed from the result; at least one particle is kept,
/// possibly of weight zero.
///
/// For neurons `(a, b)` with weight decay this is the lasso on the features `a sigma(b.x)` with the
/// penalties `lambda (|a|^2 + |b|^2)`. With `(-a, b)` beside `(a, b)` it trains the output layer of
/// a network of fixed features.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// // At x = 1, y = 3: two neurons with h = 1 and the penalties 1 and 17/8.
/// let x = DMatrix::from_element(1, 1, 1.0);
/// let risk = EmpiricalRisk::new(Square, x, DVector::from_element(1, 3.0))?;
/// let decay = WeightDecay::new(0.5)?;
/// let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?.regularized(decay);
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[1.0, 1.0, 0.5, 2.0]))?;
/// let best = sparse::reweigh(&mut energy, &mu)?;
/// assert_eq!((best.len(), best.particle(0)), (1, &[1.0, 1.0][..]));
/// assert!((best.mass() - 2.0_f64).abs() < 1e-12); // c - 3 + 1 = 0
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// - [`StepError::Unsupported`] when the energy does not implement its first variation.
/// - [`StepError::Weights`] when the minimum was not reached; the residual is the bound of
///   `F - min F` that was reached, infinite if F may be unbounded below.
/// - [`StepError::NonFinite`] when `F(mu)` is not finite.
///
/// # Panics
/// When `mu` does not have the dimension of the energy's particles.
///
/// # Ranks
/// If the particles are distributed, all ranks call it with their parts, solve the problem of the
/// whole measure, and get their shares of the result, as [`EmpiricalMeasure::share`].
///
/// # Method
/// Where F is smooth, Newton steps: the Hessian is computed by finite differences of `F'` along
/// each weight, its quadratic model is minimised over `c >= 0` (NNLS), and a backtracking line
/// search accepts only decreases of F. The Hessian is kept while it predicts the gradient after each
/// step, for a quadratic F throughout. Cost: 2 m first variations a Hessian, one first variation and
/// `O(m^3)` a step.
///
/// Where Newton steps end above the minimum, because F is linear near the weights (`Hinge`,
/// `Quantile`, the tails of `Huber`) or has a kink there, a bundle method: F is bounded from below
/// by its tangents at all weights evaluated, and each step projects the best weights on the set
/// where these bounds are below a level. If the set is empty, the level is a lower bound of F. The
/// method ends when this bound and F agree up to 32 `eps F` (or 32 `eps^2` of F at the start, if the
/// minimum is 0), or up to the rounding error of the tangents if that is larger. Cost: a first
/// variation and `O(m^3)` a step, at most `126 (m + 5)` steps.
///
/// Source: C. L. Lawson and R. J. Hanson, Solving least squares problems, 1974, chapter 23;
/// U. Brannlund, K. C. Kiwiel and P. O. Lindberg, A descent proximal level bundle method for convex
/// nondifferentiable optimization, Operations Research Letters 17, 1995.
pub fn reweigh<T: Real, E: Energy<T> + ?Sized>(
    energy: &mut E,
    mu: &EmpiricalMeasure<T>,
) -> Result<EmpiricalMeasure<T>, StepError> {
    let best = on_whole_measure(energy, mu, |energy, mu| {
        let mut problem = WeightProblem::separate(energy, mu.clone())?;
        let outcome = problem.minimise(0.0);
        if outcome.converged {
            Ok(problem.into_support())
        } else {
            Err(StepError::Weights {
                iterations: outcome.iterations,
                residual: outcome.residual,
            })
        }
    })?;
    Ok(share(energy, best))
}
