//! The data of a margin, its dual weights, and bounds of its norms.

use nalgebra::{DMatrix, DVector};

use crate::activation::{Activation, Homogeneous};
use crate::energy::MeanFieldRisk;
use crate::error::{ParameterError, RiskError, ShapeError};
use crate::feature::Ridge;
use crate::loss::Exponential;
use crate::measure::EmpiricalMeasure;
use crate::numeric::error_bounds::{EPS, TINY, add_up, div_down, mul_up, scale, scale_up};
use crate::numeric::vector::{dot, norm};
use crate::optimality::kinks::bounded_least_squares;
use crate::optimality::piecewise_linear::OneSidedSlopes;
use crate::optimality::predictions::Predictions;
use crate::real::{Real, to_f64};
use crate::risk::{EmpiricalRisk, Risk};

/// The excess over the least margin, relative to it, up to which a sample counts as one of the least.
const TIE: f64 = 1e-3;

/// Samples of nearly the least margin at most, and conditions at most: the least-squares problem
/// takes `O(conditions^2 samples)` operations a step.
const MAX_TIES: usize = 1024;
const MAX_CONDITIONS: usize = 48;

/// The rows of conditions that are reduced together.
const ROWS: usize = 1024;

/// The norm of a margin.
#[derive(Debug, Clone, Copy)]
pub(super) enum Norm {
    /// `int |a| |b| dmu`.
    F1,
    /// `(int a^2 dmu)^(1/2)`, which is `size`.
    F2 {
        /// The norm of the network.
        size: f64,
    },
}

impl Norm {
    /// Samples of nearly the least margin at most. The conditions of all neurons, which only F2
    /// has, are reduced to one for each sample and one more.
    fn max_ties(self) -> usize {
        match self {
            Self::F1 => MAX_TIES,
            Self::F2 { .. } => MAX_CONDITIONS,
        }
    }
}

/// The data of a margin, in double precision.
///
/// Powers of two are taken out of the samples, the neurons and the masses, which a homogeneous
/// activation permits: products of long or of short vectors would overflow or underflow.
pub(super) struct Problem<'a, A> {
    /// The samples `x 2^-e`, `e = samples`.
    risk: Data<'a, A>,
    /// Masses `c 2^-e`, `e = mass`, and neurons `(a 2^(e - product), b 2^-e)`, `e = inner[i]`. What
    /// underflows is rounded away from 0. The output weight is 0 if `b = 0` or `c = 0`.
    pub(super) mu: EmpiricalMeasure<f64>,
    /// The output weights a.
    pub(super) outputs: Vec<f64>,
    /// The exponents taken out of the input weights, of the largest `|a| |b|`, of the masses (an
    /// even one) and of the samples.
    pub(super) inner: Vec<i32>,
    pub(super) product: i32,
    pub(super) mass: i32,
    pub(super) samples: i32,
    /// The predictions of this network at these samples.
    predictions: Predictions,
    labels: Vec<f64>,
}

/// The exponent of the largest entry, 0 for 0.
fn largest_exponent(x: &[f64]) -> i32 {
    exponent(x.iter().fold(0.0, |largest, x| x.abs().max(largest)))
}

/// `2^e x`, rounded away from 0.
fn scale_out(x: f64, e: i32) -> f64 {
    scale_up(x.abs(), e).copysign(x)
}

/// The samples with the map, whose labels are validated.
struct Data<'a, A>(MeanFieldRisk<Ridge<&'a A>, EmpiricalRisk<Exponential, f64>, f64, ()>);

impl<'a, A: Activation<f64> + Homogeneous> Problem<'a, A> {
    pub(super) fn new<T: Real>(
        features: &'a Ridge<A>,
        mu: &EmpiricalMeasure<T>,
        x: &DMatrix<T>,
        y: &DVector<T>,
    ) -> Result<Self, RiskError> {
        ShapeError::check(
            "number of outputs of the feature map",
            1,
            features.output_dim(),
        )?;
        let degree = features.activation().degree();
        ParameterError::check(degree == 1, "degree of the activation", "1", degree.into())?;
        let mut x = x.map(to_f64);
        let samples = largest_exponent(x.as_slice());
        x.apply(|x| *x = scale(*x, -samples));
        let risk = EmpiricalRisk::new(Exponential, x, y.map(to_f64))?;
        let map = Ridge::new(features.activation(), features.input_dim());
        let mut energy = MeanFieldRisk::new(map, risk)?;
        let what = "particle dimension of the measure";
        ShapeError::check(what, features.particle_dim(), mu.dim())?;
        let weights = DVector::from_iterator(mu.len(), mu.weights().iter().map(|&c| to_f64(c)));
        let mu = EmpiricalMeasure::weighted(mu.points().map(to_f64), weights);
        let mu = mu.map_err(|_| invalid())?;
        let outputs: Vec<f64> = mu.points().row(0).iter().copied().collect();
        let inner = (0..mu.len()).map(|i| largest_exponent(&mu.particle(i)[1..]));
        let inner: Vec<i32> = inner.collect();
        let acts = |&i: &usize| {
            let (a, b) = (outputs[i], &mu.particle(i)[1..]);
            mu.weight(i) > 0.0 && a != 0.0 && b.iter().any(|&b| b != 0.0)
        };
        let of_product = |i: usize| exponent(outputs[i].abs()) + inner[i];
        let product = (0..mu.len()).filter(acts).map(of_product).max();
        let (product, mass) = (product.unwrap_or(0), largest_exponent(mu.weights()) / 2 * 2);
        let mut points = mu.points().clone();
        for (i, mut w) in points.column_iter_mut().enumerate() {
            let a = if acts(&i) { w[0] } else { 0.0 };
            w[0] = scale_out(a, inner[i] - product);
            w.rows_range_mut(1..)
                .apply(|b| *b = scale_out(*b, -inner[i]));
        }
        let weights = mu.weights().iter().map(|&c| scale_up(c, -mass));
        let weights = DVector::from_iterator(mu.len(), weights);
        let mu = EmpiricalMeasure::weighted(points, weights).map_err(|_| invalid())?;
        let inputs = energy.risk().inputs().clone();
        let mut predictions = energy.bounded_predictions(&mu, &inputs);
        // What underflows in the scaled numbers, with factors of at most 4 and `2 d^(1/2)`.
        let (m, d) = (mu.len() as f64, features.input_dim() as f64);
        let sigma = features.activation();
        let bound = sigma.value(1.0).abs().max(sigma.value(-1.0).abs()).max(1.0);
        let lost = mul_up(mul_up(32.0 * m * d * (d + 4.0), bound), TINY);
        let radius = predictions.radius.iter_mut();
        radius.for_each(|radius| *radius = add_up(*radius, lost));
        Ok(Self {
            risk: Data(energy),
            mu,
            outputs,
            inner,
            product,
            mass,
            samples,
            predictions,
            labels: y.iter().map(|&y| to_f64(y)).collect(),
        })
    }
}

fn invalid() -> ParameterError {
    ParameterError {
        name: "measure",
        requirement: "finite, and its weights not negative",
        value: f64::NAN,
    }
}

impl<A> Problem<'_, A> {
    pub(super) fn d(&self) -> usize {
        self.mu.dim() - 1
    }

    /// The scaled samples, one after the other.
    pub(super) fn samples(&self) -> &[f64] {
        self.risk.0.risk().inputs().points().as_slice()
    }

    /// `p_j y_j`.
    pub(super) fn signed(&self, weights: &[f64]) -> Vec<f64> {
        weights
            .iter()
            .zip(&self.labels)
            .map(|(p, y)| p * y)
            .collect()
    }

    /// The given weights p, if they are valid.
    pub(super) fn checked<T: Real>(&self, dual: &[T]) -> Result<Vec<f64>, RiskError> {
        ShapeError::check("number of dual weights", self.labels.len(), dual.len())?;
        let weights: Vec<f64> = dual.iter().map(|&p| to_f64(p)).collect();
        for (sample, &value) in weights.iter().enumerate() {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(RiskError::Weight { sample, value });
            }
        }
        ParameterError::check_positive("sum of the dual weights", weights.iter().sum())?;
        Ok(weights)
    }

    fn margins(&self) -> impl Iterator<Item = f64> {
        let Predictions { h, .. } = &self.predictions;
        h.iter().zip(&self.labels).map(|(h, y)| y * h)
    }

    /// `exp(-y_j h_j)` relative to the largest; equal weights if predictions are not finite.
    pub(super) fn exponential_weights(&self) -> Vec<f64> {
        let exponent = self.product + self.mass + self.samples;
        let margins: Vec<f64> = self.margins().map(|h| scale(h, exponent)).collect();
        let least = margins.iter().copied().fold(f64::INFINITY, f64::min);
        if margins.iter().all(|margin| margin.is_finite()) {
            margins
                .iter()
                .map(|margin| (least - margin).exp())
                .collect()
        } else {
            vec![1.0; self.labels.len()]
        }
    }

    /// Weights of sum 1 on the samples of nearly the least margin that satisfy the optimality
    /// conditions of a network of the margin `value`, in least squares; `None` if it is not positive.
    pub(super) fn weights_of_ties(
        &self,
        value: f64,
        norm: Norm,
        slopes: OneSidedSlopes,
    ) -> Option<Vec<f64>> {
        let margins: Vec<f64> = self.margins().collect();
        if !(value > 0.0 && margins.iter().all(|margin| margin.is_finite())) {
            return None;
        }
        let least = margins.iter().copied().fold(f64::INFINITY, f64::min);
        let mut ties: Vec<usize> = (0..margins.len()).collect();
        ties.retain(|&j| margins[j] - least <= TIE * least);
        ties.sort_by(|&i, &j| margins[i].total_cmp(&margins[j]));
        ties.truncate(norm.max_ties());
        let conditions = match norm {
            Norm::F1 => self.of_largest_neurons(&ties, value, slopes),
            Norm::F2 { size } => self.of_all_neurons(&ties, value, size, slopes),
        };
        // The last condition is that of the sum, at the scale of the others.
        let (rows, last) = (conditions.nrows() + 1, ties.len());
        let size = conditions.columns(0, last).amax();
        let mut conditions = conditions.insert_row(rows - 1, size);
        let target = conditions.column(last).into_owned();
        conditions = conditions.remove_column(last);
        let mut shares = vec![1.0 / ties.len() as f64; ties.len()];
        bounded_least_squares(&conditions, target, &mut shares);
        let mut weights = vec![0.0; margins.len()];
        ties.iter().zip(&shares).for_each(|(&j, &p)| weights[j] = p);
        let sum: f64 = shares.iter().sum();
        (sum > 0.5 && sum.is_finite()).then_some(weights)
    }

    /// The conditions `sum_j p_j y_j sigma(b.x_j) = value a / |a|`, `|b| = 1`, of the neurons of the
    /// largest `c |a| |b|`: a row each, the right-hand side in the last column.
    fn of_largest_neurons(
        &self,
        ties: &[usize],
        value: f64,
        slopes: OneSidedSlopes,
    ) -> DMatrix<f64> {
        let share = |i: usize| {
            let w = self.mu.particle(i);
            self.mu.weight(i) * w[0].abs() * norm(&w[1..])
        };
        let mut neurons: Vec<(f64, usize)> = (0..self.mu.len()).map(|i| (share(i), i)).collect();
        neurons.retain(|&(share, _)| share > 0.0 && share.is_finite());
        neurons.sort_by(|(s, _), (t, _)| t.total_cmp(s));
        neurons.truncate(MAX_CONDITIONS);
        let mut conditions = DMatrix::from_element(neurons.len(), ties.len() + 1, value);
        for (mut row, &(_, i)) in conditions.row_iter_mut().zip(&neurons) {
            let sign = self.mu.particle(i)[0].signum();
            for (entry, feature) in row.iter_mut().zip(self.features(i, ties, slopes)) {
                *entry = sign * feature;
            }
        }
        conditions
    }

    /// The conditions `sum_j p_j y_j sigma(b.x_j) = value a / size` of all neurons, with the weights
    /// of `L^2(mu)`: the triangular factor of their rows, the right-hand side in the last column.
    fn of_all_neurons(
        &self,
        ties: &[usize],
        value: f64,
        size: f64,
        slopes: OneSidedSlopes,
    ) -> DMatrix<f64> {
        let own = |i: usize| scale(norm(&self.mu.particle(i)[1..]), self.inner[i]);
        let length = |i: usize| self.mu.weight(i).sqrt() * own(i);
        let largest = (0..self.mu.len()).map(length).fold(0.0, f64::max);
        let columns = ties.len() + 1;
        let mut rows: Vec<f64> = Vec::new();
        let triangle = |rows: &mut Vec<f64>| {
            let stacked = DMatrix::from_row_slice(rows.len() / columns, columns, rows);
            let r = stacked.qr().r();
            *rows = r.transpose().as_slice().to_vec();
        };
        for i in 0..self.mu.len() {
            let share = length(i) / largest;
            let target = value / own(i) * (self.outputs[i] / size);
            let row = self.features(i, ties, slopes).chain([target]);
            let start = rows.len();
            rows.extend(row.map(|entry| share * entry));
            if !rows[start..].iter().all(|entry| entry.is_finite()) {
                rows.truncate(start); // b = 0, or beyond the range
            }
            if rows.len() >= ROWS * columns {
                triangle(&mut rows);
            }
        }
        if !rows.is_empty() {
            triangle(&mut rows);
        }
        DMatrix::from_row_slice(rows.len() / columns, columns, &rows)
    }

    /// `y_j sigma(b.x_j / |b|)` of neuron i for the samples j.
    fn features(
        &self,
        i: usize,
        samples: &[usize],
        slopes: OneSidedSlopes,
    ) -> impl Iterator<Item = f64> {
        let (d, b) = (self.d(), &self.mu.particle(i)[1..]);
        let size = norm(b);
        let unit: Vec<f64> = b.iter().map(|&b| b / size).collect();
        samples.iter().map(move |&j| {
            let x = &self.samples()[d * j..][..d];
            slopes.value(dot(&unit, x)) * self.labels[j]
        })
    }

    /// An upper bound `r 2^e` of `(int (f 2^e)^2 dmu)^(1/2)` for the original masses and upper bounds
    /// `f 2^e`, `f >= 0`, one a neuron, as the pairs `(r, e)` and `(f, e)`.
    pub(super) fn root_mean_square_up(&self, f: impl Fn(usize) -> (f64, i32)) -> (f64, i32) {
        let massive = (0..self.mu.len()).filter(|&i| self.mu.weight(i) > 0.0);
        let terms: Vec<(f64, f64, i32)> = massive
            .map(|i| (self.mu.weight(i), f(i)))
            .map(|(c, (f, e))| (c, f, e))
            .filter(|&(_, f, _)| f != 0.0)
            .collect();
        // Relative to the largest term, so that no square overflows, and those that underflow are
        // negligible.
        let of = |&(_, f, e): &(f64, f64, i32)| exponent(f).saturating_add(e);
        let Some(unit) = terms.iter().map(of).max() else {
            return (0.0, 0);
        };
        let square = |&(c, f, e): &(f64, f64, i32)| {
            let f = scale_up(f, e.saturating_sub(unit));
            mul_up(c, mul_up(f, f))
        };
        let sum = terms.iter().map(square).fold(0.0, add_up);
        (sum.sqrt().next_up(), unit.saturating_add(self.mass / 2))
    }

    /// An upper bound of the integral of `f >= 0` over the scaled network, itself an upper bound.
    pub(super) fn integral_up(&self, f: impl Fn(&[f64]) -> f64) -> f64 {
        let terms = (0..self.mu.len()).map(|i| mul_up(self.mu.weight(i), f(self.mu.particle(i))));
        terms.fold(0.0, add_up)
    }

    /// The least `y h` of the scaled network, rounded down, over a norm of which an upper bound is
    /// given; 0 if all terms of the predictions are 0.
    pub(super) fn value(&self, size: f64) -> f64 {
        let Predictions { h, radius, .. } = &self.predictions;
        let terms = h.iter().zip(radius).zip(&self.labels);
        let least = terms.fold(f64::INFINITY, |least, ((h, radius), y)| {
            least.min((y * h - radius).next_down())
        });
        let acts = |i: usize| self.mu.weight(i) > 0.0 && self.mu.particle(i)[0] != 0.0;
        let overflows = h.iter().chain(radius).any(|x| !x.is_finite());
        if overflows {
            f64::NEG_INFINITY
        } else if !(0..self.mu.len()).any(acts) {
            0.0
        } else if least >= 0.0 {
            div_down(least, size)
        } else {
            // The norm is larger than the exact one by a few units of rounding.
            least / size * (1.0 + (self.mu.len() + self.mu.dim() + 16) as f64 * EPS)
        }
    }
}

/// An upper bound of `|b|`; 0 for 0, so that the network of norm 0 has the margin 0.
pub(super) fn length_up(b: &[f64]) -> f64 {
    let length = norm(b);
    if length == 0.0 {
        return 0.0;
    }
    (length * (1.0 + (b.len() + 4) as f64 * EPS)).next_up()
}

/// The exponent e of `2^e <= x < 2^(e + 1)`; 0 for 0 and infinity.
fn exponent(x: f64) -> i32 {
    if x > 0.0 && x.is_finite() {
        libm::ilogb(x)
    } else {
        0
    }
}
