//! Margins of classifiers, with certified upper bounds of the largest one.

use nalgebra::{DMatrix, DVector};

use super::maximum::maximum;
use super::piecewise_linear::{OneSidedSlopes, PiecewiseLinearMap};
use super::search::Search;
use crate::activation::{Activation, Homogeneous};
use crate::error::RiskError;
use crate::feature::Ridge;
use crate::measure::EmpiricalMeasure;
use crate::numeric::error_bounds::{EPS, TINY, add_up, mul_up, scale, scale_down, scale_up};
use crate::numeric::vector::{columns, dot};
use crate::real::Real;

mod problem;

use problem::{Norm, Problem, length_up};

/// The margin of a network, and a bound of the margins of all networks of the same norm.
///
/// For labels `y_j` in {-1, 1} the margin of `h = int a sigma(b.x) dmu` is `min_j y_j h(x_j)`,
/// divided by a norm of the network: see [`f1_margin`] and [`f2_margin`]. It is negative if a sample
/// is on the wrong side.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Margin {
    value: f64,
    bound: f64,
}

impl Margin {
    /// The margin of the network, rounded down: a lower bound of the largest one. Numbers of any
    /// scale are allowed; `|a| |b|` and the predictions may be outside the range of numbers.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// An upper bound of the largest margin, rounding errors included.
    pub fn bound(&self) -> f64 {
        self.bound
    }
}

/// The F1 margin `min_j y_j h(x_j) / int |a| |b| dmu` of a network of 1-homogeneous neurons, and a
/// bound of the largest one among all networks, of any width.
///
/// By duality the largest margin is `min_p max_b |sum_j p_j y_j sigma(b.x_j)|` over probability
/// vectors p and unit vectors b. Any p is therefore a proof. `dual` contains the weights `p_j >= 0`,
/// of any positive sum. `None` is the better one of two choices:
///
/// - `p_j = exp(-y_j h_j)`, the gradient of the exponential loss at the network, which is tight if
///   the predictions are large, as at the end of a flow with scale-free steps;
/// - the weights on the samples of nearly the least margin that satisfy the optimality conditions
///   `sum_j p_j y_j sigma(b.x_j) = margin a / |a|` of the neurons, `|b| = 1`, in least squares. They
///   are tight at a network of nearly the largest margin, of any scale, if its neurons determine
///   them.
///
/// # The factor 1/2
/// The norm is `int |a| |b| dmu`. Weight decay, and much of the literature, normalise by
/// `int |w|^2 dmu`, which is at least `2 int |a| |b| dmu`, with equality for balanced neurons
/// `|a| = |b|`. The largest margin with `int |w|^2 dmu <= 1` is half of that with
/// `int |a| |b| dmu <= 1`, and so is its bound.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::optimality::f1_margin;
/// use wasserflow::prelude::*;
///
/// // Exclusive or: the largest margin is 2^(1/2) / 4, of four neurons along the diagonals.
/// let x = DMatrix::from_column_slice(2, 4, &[1.0, 1.0, -1.0, -1.0, 1.0, -1.0, -1.0, 1.0]);
/// let y = DVector::from_vec(vec![1.0, 1.0, -1.0, -1.0]);
/// let points = DMatrix::from_fn(3, 4, |l, j| if l == 0 { y[j] } else { x[(l - 1, j)] });
/// let mu = EmpiricalMeasure::uniform(points)?;
/// let margin = f1_margin(&Ridge::new(Relu, 2), &mu, &x, &y, None)?;
/// assert!((margin.value() - 2.0_f64.sqrt() / 4.0).abs() < 1e-12);
/// assert!(margin.value() <= margin.bound() && margin.bound() < margin.value() * (1.0 + 1e-9));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`RiskError`] if the sizes of map, measure, samples, labels and weights do not agree, the map has
/// several outputs, a label is not -1 or 1, a coordinate is not finite, a weight p is negative or
/// not finite, or all of them are 0; if the degree of the activation is not 1.
///
/// # Cost
/// That of the bound in [`certify`](super::certify), and one prediction. Computed in double
/// precision.
///
/// Source: L. Chizat and F. Bach, Implicit bias of gradient descent for wide two-layer neural
/// networks trained with the logistic loss, 2020.
pub fn f1_margin<A, T>(
    features: &Ridge<A>,
    mu: &EmpiricalMeasure<T>,
    x: &DMatrix<T>,
    y: &DVector<T>,
    dual: Option<&[T]>,
) -> Result<Margin, RiskError>
where
    A: Activation<f64> + Homogeneous,
    T: Real,
{
    let problem = Problem::new(features, mu, x, y)?;
    let length = |w: &[f64]| mul_up(w[0].abs(), length_up(&w[1..]));
    let size = problem.integral_up(length); // with the exponent of the predictions
    let slopes = slopes(features);
    let (value, d, unit) = (problem.value(size), problem.d(), problem.samples);
    let steepest = slopes.plus.abs().max(slopes.minus.abs());
    let search = Search::new();
    let mut memory = search.memory.clone();
    let of_ties = || problem.weights_of_ties(value, Norm::F1, slopes);
    let bound = least_bound(&problem, dual, of_ties, |u| {
        let map = PiecewiseLinearMap::new(problem.samples(), u, d, 1, slopes);
        let directions = columns(problem.mu.points().as_slice(), d + 1).map(|w| &w[1..]);
        let limits = search.limits(false);
        let upper = maximum(&map, directions, |_| true, limits, &mut memory).upper;
        // What underflows in the scaled samples.
        let sum = u.iter().fold(0.0, |sum, u| add_up(sum, u.abs()));
        add_up(upper, mul_up(mul_up(d as f64 * TINY, steepest), sum))
    })?;
    Ok(Margin {
        value: scale_down(value, unit),
        bound: scale_up(bound, unit),
    })
}

/// The F2 margin `min_j y_j h(x_j) / (int a^2 dmu)^(1/2)` of a network, and a bound of the largest one
/// among the networks with the same input weights b and masses, and any output weights a.
///
/// It is the margin of a kernel machine, `min_p (p^T K p)^(1/2)` with
/// `K_jk = y_j y_k int sigma(b.x_j) sigma(b.x_k) dmu`: that of a network of which only the output
/// layer is trained, [`Frozen`](crate::energy::Frozen). For b uniform on the sphere the kernel is
/// [`ArcCosine`](crate::energy::ArcCosine) over d. The weights `dual` are those of [`f1_margin`].
/// For `None` the conditions of its second choice are `sum_j p_j y_j sigma(b.x_j) = margin a` of all
/// neurons, for `int a^2 dmu = 1`, in the space `L^2(mu)`.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::optimality::f2_margin;
/// use wasserflow::prelude::*;
///
/// // Exclusive or, b at 2000 equal angles, a = sum_j y_j (b.x_j)_+: .213125617 in the limit.
/// let x = DMatrix::from_column_slice(2, 4, &[1.0, 1.0, -1.0, -1.0, 1.0, -1.0, -1.0, 1.0]);
/// let y = DVector::from_vec(vec![1.0, 1.0, -1.0, -1.0]);
/// let points = DMatrix::from_fn(3, 2000, |l, i| {
///     let angle = std::f64::consts::TAU * i as f64 / 2000.0;
///     let b = [angle.cos(), angle.sin()];
///     let relu = |j: usize| (b[0] * x[(0, j)] + b[1] * x[(1, j)]).max(0.0);
///     [(0..4).map(|j| y[j] * relu(j)).sum(), b[0], b[1]][l]
/// });
/// let mu = EmpiricalMeasure::uniform(points)?;
/// let margin = f2_margin(&Ridge::new(Relu, 2), &mu, &x, &y, None)?;
/// assert!((margin.value() - 0.213125617).abs() < 1e-5);
/// assert!(margin.value() <= margin.bound() && margin.bound() < margin.value() * (1.0 + 1e-9));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`f1_margin`].
///
/// # Cost
/// `O(n m d)`, and for `None` another `O(m s^2)`, s <= 48, in double precision.
///
/// Source: as [`f1_margin`].
pub fn f2_margin<A, T>(
    features: &Ridge<A>,
    mu: &EmpiricalMeasure<T>,
    x: &DMatrix<T>,
    y: &DVector<T>,
    dual: Option<&[T]>,
) -> Result<Margin, RiskError>
where
    A: Activation<f64> + Homogeneous,
    T: Real,
{
    let problem = Problem::new(features, mu, x, y)?;
    let (size, norm) = problem.root_mean_square_up(|i| (problem.outputs[i].abs(), 0));
    let (value, d, n) = (problem.value(size), problem.d(), y.len());
    let (samples, unit) = (problem.samples(), problem.samples);
    let over_norm = problem.product + problem.mass - norm;
    let sigma = features.activation();
    let bound = [1.0, -1.0].map(|z| sigma.value(z).abs());
    let bound = bound[0].max(bound[1]);
    let rounding = (n + 2 * d + 16) as f64 * EPS;
    let norm = Norm::F2 {
        size: scale(size, norm),
    };
    let of_ties = || problem.weights_of_ties(scale(value, over_norm), norm, slopes(features));
    let bound = least_bound(&problem, dual, of_ties, |u| {
        // What underflows in the d products of b.x, in sigma and in the products with u.
        let sum = u.iter().fold(0.0, |sum, u| add_up(sum, u.abs()));
        let lost = add_up(mul_up((d + 4) as f64 * bound.max(1.0), sum), n as f64);
        let lost = mul_up(4.0 * TINY, lost);
        let (upper, e) = problem.root_mean_square_up(|i| {
            let b = &problem.mu.particle(i)[1..];
            let length = length_up(b);
            let (mut g, mut size) = (0.0, 0.0);
            for (x, u) in columns(samples, d).zip(u) {
                g += u * sigma.value(dot(b, x));
                size = add_up(size, mul_up(u.abs(), length_up(x)));
            }
            let error = mul_up(rounding, mul_up(mul_up(size, length), bound));
            (add_up(add_up(g.abs(), error), lost), problem.inner[i])
        });
        scale_up(upper, e)
    })?;
    Ok(Margin {
        value: scale_down(value, over_norm.saturating_add(unit)),
        bound: scale_up(bound, unit),
    })
}

/// The slopes of the activation on both sides of 0.
fn slopes(features: &Ridge<impl Activation<f64>>) -> OneSidedSlopes {
    let sigma = features.activation();
    OneSidedSlopes {
        plus: sigma.value(1.0),
        minus: -sigma.value(-1.0),
    }
}

/// The least bound `upper(u) / sum_j p_j`, `u_j = p_j y_j`, over the weights p: those of `dual`, or
/// those of the exponential loss and those `of_ties`.
fn least_bound<A, T: Real>(
    problem: &Problem<'_, A>,
    dual: Option<&[T]>,
    of_ties: impl FnOnce() -> Option<Vec<f64>>,
    mut upper: impl FnMut(&[f64]) -> f64,
) -> Result<f64, RiskError> {
    let mut bound = |weights: &[f64]| per_weight(upper(&problem.signed(weights)), weights);
    Ok(match dual {
        Some(dual) => bound(&problem.checked(dual)?),
        None => {
            let exponential = bound(&problem.exponential_weights());
            of_ties().map_or(exponential, |weights| exponential.min(bound(&weights)))
        }
    })
}

/// An upper bound over the sum of the weights.
fn per_weight(upper: f64, weights: &[f64]) -> f64 {
    let sum: f64 = weights.iter().sum();
    let sum = sum * (1.0 - (weights.len() + 2) as f64 * EPS);
    (upper / sum).next_up()
}
