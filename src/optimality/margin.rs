//! Margins of classifiers, with certified upper bounds of the largest one.

use nalgebra::{DMatrix, DVector};

use super::maximum::maximum;
use super::piecewise_linear::{OneSidedSlopes, PiecewiseLinearMap};
use super::predictions::Predictions;
use super::search::Search;
use crate::activation::{Activation, Homogeneous};
use crate::energy::MeanFieldRisk;
use crate::error::{ParameterError, RiskError, ShapeError};
use crate::feature::Ridge;
use crate::loss::Exponential;
use crate::measure::EmpiricalMeasure;
use crate::numeric::error_bounds::{EPS, add_up, div_down, mul_up};
use crate::numeric::vector::{columns, dot, norm};
use crate::real::{Real, to_f64};
use crate::risk::{EmpiricalRisk, Risk};

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
    /// The margin of the network, rounded down: a lower bound of the largest one. `-inf` if the
    /// predictions overflow.
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
/// of any positive sum; `None` is `p_j = exp(-y_j h_j)`, the gradient of the exponential loss at the
/// network. This is tight if the predictions are large, as at the end of a flow with scale-free
/// steps. For a minimum of a regularised risk, such as that of `Hinge`, use the absolute values of
/// the gradient of the risk, `p_j = |u_j|`.
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
    let problem = Problem::new(features, mu, x, y, dual)?;
    let length = |w: &[f64]| mul_up(w[0].abs(), problem.length_up(&w[1..]));
    let size = problem.integral_up(length);
    let u = problem.signed_weights();
    let sigma = features.activation();
    let slopes = OneSidedSlopes {
        plus: sigma.value(1.0),
        minus: -sigma.value(-1.0),
    };
    let d = problem.d();
    let x = problem.risk.inputs_in_f64();
    let map = PiecewiseLinearMap::new(x, &u, d, 1, slopes);
    let directions = columns(problem.mu.points().as_slice(), d + 1).map(|w| &w[1..]);
    let search = Search::new();
    let mut memory = search.memory.clone();
    let largest = maximum(
        &map,
        directions,
        |_| true,
        search.limits(false),
        &mut memory,
    );
    Ok(Margin {
        value: problem.value(size),
        bound: problem.per_weight(largest.upper),
    })
}

/// The F2 margin `min_j y_j h(x_j) / (int a^2 dmu)^(1/2)` of a network, and a bound of the largest one
/// among the networks with the same input weights b and masses, and any output weights a.
///
/// It is the margin of a kernel machine, `min_p (p^T K p)^(1/2)` with
/// `K_jk = y_j y_k int sigma(b.x_j) sigma(b.x_k) dmu`: that of a network of which only the output
/// layer is trained, [`Frozen`](crate::energy::Frozen). For b uniform on the sphere the kernel is
/// [`ArcCosine`](crate::energy::ArcCosine) over d. The weights `dual` are those of [`f1_margin`].
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
/// `O(n m d)`, in double precision.
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
    let problem = Problem::new(features, mu, x, y, dual)?;
    let square = problem.integral_up(|w| mul_up(w[0].abs(), w[0].abs()));
    let (u, d) = (problem.signed_weights(), problem.d());
    let samples = problem.risk.inputs_in_f64();
    let sigma = features.activation();
    let bound = [1.0, -1.0].map(|z| sigma.value(z).abs());
    let bound = bound[0].max(bound[1]);
    let rounding = (u.len() + 2 * d + 16) as f64 * EPS;
    let kernel = problem.integral_up(|w| {
        let (b, length) = (&w[1..], problem.length_up(&w[1..]));
        let (mut g, mut size) = (0.0, 0.0);
        for (x, u) in columns(samples, d).zip(&u) {
            g += u * sigma.value(dot(b, x));
            size = add_up(size, mul_up(u.abs(), problem.length_up(x)));
        }
        let error = mul_up(rounding, mul_up(mul_up(size, length), bound));
        let g = add_up(g.abs(), error);
        mul_up(g, g)
    });
    // That of 0 is 0: a network of norm 0 has the margin 0.
    let root = |square: f64| match square > 0.0 {
        true => square.sqrt().next_up(),
        false => square,
    };
    Ok(Margin {
        value: problem.value(root(square)),
        bound: problem.per_weight(root(kernel)),
    })
}

/// The data of a margin, in double precision.
struct Problem<'a, A> {
    risk: Data<'a, A>,
    mu: EmpiricalMeasure<f64>,
    predictions: Predictions,
    labels: Vec<f64>,
    /// The weights p.
    weights: Vec<f64>,
}

/// The samples with the map, whose labels are validated.
struct Data<'a, A>(MeanFieldRisk<Ridge<&'a A>, EmpiricalRisk<Exponential, f64>, f64, ()>);

impl<A> Data<'_, A> {
    fn inputs_in_f64(&self) -> &[f64] {
        self.0.risk().inputs().points().as_slice()
    }
}

impl<'a, A: Activation<f64> + Homogeneous> Problem<'a, A> {
    fn new<T: Real>(
        features: &'a Ridge<A>,
        mu: &EmpiricalMeasure<T>,
        x: &DMatrix<T>,
        y: &DVector<T>,
        dual: Option<&[T]>,
    ) -> Result<Self, RiskError> {
        ShapeError::check(
            "number of outputs of the feature map",
            1,
            features.output_dim(),
        )?;
        let degree = features.activation().degree();
        ParameterError::check(degree == 1, "degree of the activation", "1", degree.into())?;
        let risk = EmpiricalRisk::new(Exponential, x.map(to_f64), y.map(to_f64))?;
        let map = Ridge::new(features.activation(), features.input_dim());
        let mut energy = MeanFieldRisk::new(map, risk)?;
        let what = "particle dimension of the measure";
        ShapeError::check(what, features.particle_dim(), mu.dim())?;
        let weights = DVector::from_iterator(mu.len(), mu.weights().iter().map(|&c| to_f64(c)));
        let mu = EmpiricalMeasure::weighted(mu.points().map(to_f64), weights);
        let mu = mu.map_err(|_| {
            let requirement = "finite, and its weights not negative";
            let (name, value) = ("measure", f64::NAN);
            ParameterError {
                name,
                requirement,
                value,
            }
        })?;
        let inputs = energy.risk().inputs().clone();
        let predictions = energy.bounded_predictions(&mu, &inputs);
        let labels: Vec<f64> = y.iter().map(|&y| to_f64(y)).collect();
        let weights = match dual {
            Some(dual) => check_dual(dual, labels.len())?,
            None => exponential_weights(&predictions.h, &labels),
        };
        let risk = Data(energy);
        Ok(Self {
            risk,
            mu,
            predictions,
            labels,
            weights,
        })
    }
}

impl<A> Problem<'_, A> {
    fn d(&self) -> usize {
        self.mu.dim() - 1
    }

    /// `p_j y_j`.
    fn signed_weights(&self) -> Vec<f64> {
        self.weights
            .iter()
            .zip(&self.labels)
            .map(|(p, y)| p * y)
            .collect()
    }

    /// An upper bound of `|b|`.
    fn length_up(&self, b: &[f64]) -> f64 {
        (norm(b) * (1.0 + (b.len() + 4) as f64 * EPS)).next_up()
    }

    /// An upper bound of the integral of `f >= 0`, itself an upper bound.
    fn integral_up(&self, f: impl Fn(&[f64]) -> f64) -> f64 {
        let terms = (0..self.mu.len()).map(|i| mul_up(self.mu.weight(i), f(self.mu.particle(i))));
        terms.fold(0.0, add_up)
    }

    /// The least `y h`, rounded down, over a norm of which an upper bound is given; 0 for a network
    /// of norm 0.
    fn value(&self, size: f64) -> f64 {
        let Predictions { h, radius, .. } = &self.predictions;
        let terms = h.iter().zip(radius).zip(&self.labels);
        let least = terms.fold(f64::INFINITY, |least, ((h, radius), y)| {
            least.min((y * h - radius).next_down())
        });
        let overflows = h.iter().chain(radius).any(|x| !x.is_finite());
        if overflows {
            f64::NEG_INFINITY
        } else if size == 0.0 {
            0.0
        } else if least >= 0.0 {
            div_down(least, size)
        } else {
            // The norm is larger than the exact one by a few units of rounding.
            least / size * (1.0 + (self.mu.len() + self.mu.dim() + 16) as f64 * EPS)
        }
    }

    /// An upper bound over the sum of the weights.
    fn per_weight(&self, upper: f64) -> f64 {
        let sum: f64 = self.weights.iter().sum();
        let sum = sum * (1.0 - (self.weights.len() + 2) as f64 * EPS);
        (upper / sum).next_up()
    }
}

/// The weights, if they are valid.
fn check_dual<T: Real>(dual: &[T], n: usize) -> Result<Vec<f64>, RiskError> {
    ShapeError::check("number of dual weights", n, dual.len())?;
    let weights: Vec<f64> = dual.iter().map(|&p| to_f64(p)).collect();
    for (sample, &value) in weights.iter().enumerate() {
        if !(value >= 0.0 && value.is_finite()) {
            return Err(RiskError::Weight { sample, value });
        }
    }
    ParameterError::check_positive("sum of the dual weights", weights.iter().sum())?;
    Ok(weights)
}

/// `exp(-y_j h_j)` relative to the largest; equal weights if predictions are not finite.
fn exponential_weights(h: &[f64], labels: &[f64]) -> Vec<f64> {
    let margins = h.iter().zip(labels).map(|(h, y)| y * h);
    let least = margins.clone().fold(f64::INFINITY, f64::min);
    let weight = |margin: f64| (least - margin).exp();
    if h.iter().all(|h| h.is_finite()) {
        margins.map(weight).collect()
    } else {
        vec![1.0; h.len()]
    }
}
