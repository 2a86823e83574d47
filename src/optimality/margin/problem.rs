//! The data of a margin, its dual weights, and bounds of its norms.

use nalgebra::{DMatrix, DVector};

use crate::activation::{Activation, Homogeneous};
use crate::energy::MeanFieldRisk;
use crate::error::{ParameterError, RiskError, ShapeError};
use crate::feature::Ridge;
use crate::loss::Exponential;
use crate::measure::EmpiricalMeasure;
use crate::numeric::error_bounds::{EPS, add_up, div_down, mul_up, scale_up};
use crate::numeric::vector::{dot, norm};
use crate::optimality::kinks::bounded_least_squares;
use crate::optimality::piecewise_linear::OneSidedSlopes;
use crate::optimality::predictions::Predictions;
use crate::real::{Real, to_f64};
use crate::risk::{EmpiricalRisk, Risk};

/// The excess over the least margin, relative to it, up to which a sample counts as one of the least.
const TIE: f64 = 1e-3;

/// Samples of nearly the least margin at most, and neurons at most: the least-squares problem takes
/// `O(neurons^2 samples)` operations a step.
const MAX_TIES: usize = 1024;
const MAX_NEURONS: usize = 48;

/// The data of a margin, in double precision.
pub(super) struct Problem<'a, A> {
    risk: Data<'a, A>,
    pub(super) mu: EmpiricalMeasure<f64>,
    predictions: Predictions,
    labels: Vec<f64>,
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
        let risk = Data(energy);
        Ok(Self {
            risk,
            mu,
            predictions,
            labels,
        })
    }
}

impl<A> Problem<'_, A> {
    pub(super) fn d(&self) -> usize {
        self.mu.dim() - 1
    }

    /// The samples, one after the other.
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
        let least = self.margins().fold(f64::INFINITY, f64::min);
        if self.predictions.h.iter().all(|h| h.is_finite()) {
            self.margins()
                .map(|margin| (least - margin).exp())
                .collect()
        } else {
            vec![1.0; self.labels.len()]
        }
    }

    /// Weights of sum 1 on the samples of nearly the least margin, such that
    /// `sum_j p_j y_j sigma(b.x_j) = value a / |a|` at the neurons, in least squares; `None` without
    /// a positive margin.
    pub(super) fn weights_of_ties(&self, value: f64, slopes: OneSidedSlopes) -> Option<Vec<f64>> {
        let least = self.margins().fold(f64::INFINITY, f64::min);
        let margins: Vec<f64> = self.margins().collect();
        if !(value > 0.0 && margins.iter().all(|margin| margin.is_finite())) {
            return None;
        }
        let d = self.d();
        let mut ties: Vec<usize> = (0..margins.len()).collect();
        ties.retain(|&j| margins[j] - least <= TIE * least);
        ties.sort_by(|&i, &j| margins[i].total_cmp(&margins[j]));
        ties.truncate(MAX_TIES);
        let share = |i: usize| {
            let w = self.mu.particle(i);
            self.mu.weight(i) * w[0].abs() * norm(&w[1..])
        };
        let mut neurons: Vec<(f64, usize)> = (0..self.mu.len()).map(|i| (share(i), i)).collect();
        neurons.retain(|&(share, _)| share > 0.0 && share.is_finite());
        neurons.sort_by(|(s, _), (t, _)| t.total_cmp(s));
        neurons.truncate(MAX_NEURONS);
        let feature = |i: usize, j: usize| {
            let (b, x) = (&self.mu.particle(i)[1..], &self.samples()[d * j..][..d]);
            slopes.value(dot(b, x) / norm(b)) * self.labels[j]
        };
        // The last condition is that of the sum, at the scale of the others.
        let rows = neurons.len() + 1;
        let mut phi = DMatrix::zeros(rows, ties.len());
        let mut target = DVector::zeros(rows);
        for (row, &(_, i)) in neurons.iter().enumerate() {
            let sign = self.mu.particle(i)[0].signum();
            target[row] = value;
            for (column, &j) in ties.iter().enumerate() {
                phi[(row, column)] = sign * feature(i, j);
            }
        }
        let size = phi.amax();
        phi.row_mut(rows - 1).fill(size);
        target[rows - 1] = size;
        let mut shares = vec![1.0 / ties.len() as f64; ties.len()];
        bounded_least_squares(&phi, target, &mut shares);
        let mut weights = vec![0.0; margins.len()];
        ties.iter().zip(&shares).for_each(|(&j, &p)| weights[j] = p);
        let sum: f64 = shares.iter().sum();
        (sum > 0.5 && sum.is_finite()).then_some(weights)
    }

    /// An upper bound of `(int (f 2^e)^2 dmu)^(1/2)` for the pairs `(f, e)` with upper bounds `f >= 0`.
    pub(super) fn root_mean_square_up(&self, f: impl Fn(&[f64]) -> (f64, i32)) -> f64 {
        let massive = (0..self.mu.len()).filter(|&i| self.mu.weight(i) > 0.0);
        let terms: Vec<(f64, f64, i32)> = massive
            .map(|i| (self.mu.weight(i), f(self.mu.particle(i))))
            .map(|(c, (f, e))| (c, f, e))
            .filter(|&(_, f, _)| f != 0.0)
            .collect();
        // Relative to the largest term, so that no square overflows, and those that underflow are
        // negligible.
        let of = |&(_, f, e): &(f64, f64, i32)| exponent(f).saturating_add(e);
        let Some(unit) = terms.iter().map(of).max() else {
            return 0.0;
        };
        let square = |&(c, f, e): &(f64, f64, i32)| {
            let f = scale_up(f, e.saturating_sub(unit));
            mul_up(c, mul_up(f, f))
        };
        let sum = terms.iter().map(square).fold(0.0, add_up);
        scale_up(sum.sqrt().next_up(), unit)
    }

    /// An upper bound of the integral of `f >= 0`, itself an upper bound.
    pub(super) fn integral_up(&self, f: impl Fn(&[f64]) -> f64) -> f64 {
        let terms = (0..self.mu.len()).map(|i| mul_up(self.mu.weight(i), f(self.mu.particle(i))));
        terms.fold(0.0, add_up)
    }

    /// The least `y h`, rounded down, over a norm of which an upper bound is given; 0 for a network
    /// of norm 0.
    pub(super) fn value(&self, size: f64) -> f64 {
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
pub(super) fn exponent(x: f64) -> i32 {
    if x > 0.0 && x.is_finite() {
        libm::ilogb(x)
    } else {
        0
    }
}
