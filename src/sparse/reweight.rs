//! The best weights of given particles: `F` is convex in them.

use nalgebra::{DMatrix, DVector};

use crate::energy::Energy;
use crate::error::StepError;
use crate::measure::EmpiricalMeasure;
use crate::real::{Real, epsilon, real, to_f64};

/// Newton steps at most; a quadratic F takes two.
const STEPS: usize = 50;

/// The measure on the particles of `mu` with the weights `c = argmin_{c >= 0} F(sum_i c_i delta(w_i))`; those of weight 0 are left out.
///
/// `F` is convex in the weights, with `dF/dc_i = F'(mu)(w_i)`. At the minimum `F'(mu)(w_i) = 0` where `c_i > 0`, and `>= 0`
/// where `c_i = 0`. The weights given are where the search starts, so a particle may have weight 0. One particle stays, if only to
/// carry nothing.
///
/// For neurons `(a, b)` with weight decay this is the lasso on the features `a sigma(b.x)` of the price `lambda (|a|^2 + |b|^2)`; with `(-a, b)`
/// beside `(a, b)` it trains the output layer of fixed neurons.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::prelude::*;
///
/// // At x = 1, y = 3: two neurons h = 1, one of the price 1, the other of the price 17/8.
/// let risk = EmpiricalRisk::new(Square, DMatrix::from_element(1, 1, 1.0), DVector::from_element(1, 3.0))?;
/// let mut energy = MeanFieldRisk::new(Ridge::new(Relu, 1), risk)?.regularized(WeightDecay::new(0.5)?);
/// let mu = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 2, &[1.0, 1.0, 0.5, 2.0]))?;
/// let best = sparse::reweigh(&mut energy, &mu)?;
/// assert_eq!((best.len(), best.particle(0)), (1, &[1.0, 1.0][..]));
/// assert!((best.mass() - 2.0_f64).abs() < 1e-12); // c - 3 + 1 = 0
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`StepError::Unsupported`] when the energy does not give its first variation; [`StepError::Inner`] when the minimum was not reached, the
/// residual being the decrease of F that was still in sight; [`StepError::NonFinite`] when `F(mu)` is not finite.
///
/// # Panics
/// When `mu` does not have the dimension of the energy's particles, as indexing does.
///
/// # Method
/// Newton steps: the Hessian by differences of `F'` along each weight, the quadratic model minimised over `c >= 0` by the active sets of
/// Lawson and Hanson, a line search that never raises F. Cost: 2 m first variations and `O(m^3)` a step. The energy must hold all particles: it is not for ranks.
///
/// Source: C. L. Lawson and R. J. Hanson, Solving least squares problems, 1974, chapter 23.
pub fn reweigh<T: Real, E: Energy<T> + ?Sized>(
    energy: &mut E,
    mu: &EmpiricalMeasure<T>,
) -> Result<EmpiricalMeasure<T>, StepError> {
    let mut all = Weights::each(energy, mu.clone())?;
    let left = all.minimise(STEPS);
    let settled = left <= all.rounding();
    let best = all.support();
    if settled {
        Ok(best)
    } else {
        Err(StepError::Inner {
            iterations: STEPS,
            residual: left,
        })
    }
}

/// `F` as a function of factors `z >= 0`, one for each group of particles: `c_i = z_g c_i^0` for i in the group g.
pub(super) struct Weights<'a, T, E: ?Sized> {
    energy: &'a mut E,
    mu: EmpiricalMeasure<T>,
    /// The weights `c_i^0`.
    unit: Vec<T>,
    /// The group of each particle.
    group: Vec<usize>,
    z: Vec<T>,
    value: T,
    /// `dF/dz_g = sum_{i in g} c_i^0 F'(mu)(w_i)`.
    slope: Vec<T>,
    variation: Vec<T>,
    descent: DMatrix<T>,
}

impl<'a, T: Real, E: Energy<T> + ?Sized> Weights<'a, T, E> {
    /// Every particle for itself.
    pub(super) fn each(energy: &'a mut E, mu: EmpiricalMeasure<T>) -> Result<Self, StepError> {
        let (m, z) = (mu.len(), mu.weights().to_vec());
        Self::new(energy, mu, vec![T::one(); m], (0..m).collect(), z)
    }

    /// All particles but those from `first` on, as one; and those, each for itself, from their weights in units of 1.
    pub(super) fn together(
        energy: &'a mut E,
        mu: EmpiricalMeasure<T>,
        first: usize,
    ) -> Result<Self, StepError> {
        let unit = (0..mu.len())
            .map(|i| if i < first { mu.weight(i) } else { T::one() })
            .collect();
        let group = (0..mu.len())
            .map(|i| (i + 1).saturating_sub(first))
            .collect();
        let z = std::iter::once(T::one())
            .chain(mu.weights()[first..].iter().copied())
            .collect();
        Self::new(energy, mu, unit, group, z)
    }

    fn new(
        energy: &'a mut E,
        mu: EmpiricalMeasure<T>,
        unit: Vec<T>,
        group: Vec<usize>,
        z: Vec<T>,
    ) -> Result<Self, StepError> {
        let ((p, m), slope) = (mu.points().shape(), vec![T::zero(); z.len()]);
        let (variation, descent) = (vec![T::zero(); m], DMatrix::zeros(p, m));
        let mut all = Self {
            energy,
            mu,
            unit,
            group,
            z,
            value: T::zero(),
            slope,
            variation,
            descent,
        };
        all.value = all.evaluate().ok_or(StepError::Unsupported {
            what: "the first variation",
        })?;
        if all.value.is_finite() {
            Ok(all)
        } else {
            Err(StepError::NonFinite { step: 0, time: 0.0 })
        }
    }

    /// `F` and its slopes at the factors as they are.
    fn evaluate(&mut self) -> Option<T> {
        for (i, c) in self.mu.weights_mut().iter_mut().enumerate() {
            *c = self.z[self.group[i]] * self.unit[i];
        }
        let points = self.mu.points();
        let value =
            self.energy
                .first_variation(&self.mu, points, &mut self.variation, &mut self.descent);
        self.slope.fill(T::zero());
        for (i, &variation) in self.variation.iter().enumerate() {
            self.slope[self.group[i]] += self.unit[i] * variation;
        }
        value
    }

    /// A decrease of F that its rounding hides.
    pub(super) fn rounding(&self) -> f64 {
        32.0 * to_f64(epsilon::<T>() * self.value.abs())
    }

    /// At most so many Newton steps. Returns the decrease of F that was still in sight.
    pub(super) fn minimise(&mut self, steps: usize) -> f64 {
        let mut left = f64::INFINITY;
        for _ in 0..steps {
            // A factor of 0 whose slope is positive stays 0 in this step.
            let free = |&g: &usize| self.z[g] > T::zero() || self.slope[g] < T::zero();
            let free: Vec<usize> = (0..self.z.len()).filter(free).collect();
            let take =
                |x: &[T]| DVector::from_iterator(free.len(), free.iter().map(|&g| to_f64(x[g])));
            let (z, slope) = (take(&self.z), take(&self.slope));
            let hessian = self.hessian(&free);
            // What differences cannot tell from 0 must not become a direction without curvature: a little more on the diagonal, until it is none.
            let ridges = (0..8)
                .map(|l| to_f64(difference_error::<T>()) * hessian.trace() * 10.0_f64.powi(l));
            let model = |ridge: f64| {
                let mut hessian = hessian.clone();
                (0..free.len()).for_each(|g| hessian[(g, g)] += ridge);
                non_negative(&hessian, &(&hessian * &z - &slope), &z)
            };
            // The minimum of the model slope.d + d.H d / 2 over z + d >= 0; there it is -slope.d / 2 at least.
            let Some(end) = ridges.map(model).find_map(|end| end) else {
                return f64::INFINITY;
            };
            let step = end - &z;
            left = -slope.dot(&step);
            if left.is_nan() || left <= self.rounding() || !self.search(&free, &step) {
                self.settle(&free, &step);
                break;
            }
        }
        self.drop_idle();
        left
    }

    /// The last step, which F no longer sees in its rounding: taken if the slopes get smaller.
    fn settle(&mut self, free: &[usize], step: &DVector<f64>) {
        let (before, rounding) = (self.residual(), real::<T>(self.rounding()));
        let (z, slope, value) = (self.z.clone(), self.slope.clone(), self.value);
        self.advance(free, step, &z, 1.0);
        match self.evaluate() {
            Some(next) if next <= value + rounding && self.residual() < before => self.value = next,
            _ => (self.z, self.slope) = (z, slope),
        }
    }

    /// The largest slope along which F falls.
    fn residual(&self) -> T {
        let falls = |(&z, &slope): (&T, &T)| if z > T::zero() { slope.abs() } else { -slope };
        self.z
            .iter()
            .zip(&self.slope)
            .map(falls)
            .fold(T::zero(), |largest, slope| largest.max(slope))
    }

    /// `z = (z_0 + s d)_+` at the free factors.
    fn advance(&mut self, free: &[usize], step: &DVector<f64>, from: &[T], s: f64) {
        for (&g, &d) in free.iter().zip(step.iter()) {
            self.z[g] = real((to_f64(from[g]) + s * d).max(0.0));
        }
    }

    /// Takes the weight from particles that do nothing: F is the same without them.
    fn drop_idle(&mut self) {
        for g in 0..self.z.len() {
            if self.z[g] > T::zero() && self.slope[g] == T::zero() {
                let kept = (self.z[g], self.slope.clone());
                self.z[g] = T::zero();
                if self.evaluate().is_none_or(|value| value != self.value) {
                    (self.z[g], self.slope) = kept;
                }
            }
        }
    }

    /// `d^2 F / dz_g dz_h` over the free factors, by differences of second order that keep `z >= 0`.
    fn hessian(&mut self, free: &[usize]) -> DMatrix<f64> {
        let base = self.slope.clone();
        let mean = self.z.iter().fold(T::zero(), |sum, &z| sum + z) / real(self.z.len() as f64);
        let mut hessian = DMatrix::zeros(free.len(), free.len());
        for (column, &h) in free.iter().enumerate() {
            let z = self.z[h];
            let size = if z.max(mean) > T::zero() {
                z.max(mean)
            } else {
                T::one()
            };
            let step = epsilon::<T>().cbrt() * size;
            for (factor, share) in [(1.0, 4.0), (2.0, -1.0)] {
                self.z[h] = z + real::<T>(factor) * step;
                self.evaluate();
                for (row, &g) in free.iter().enumerate() {
                    hessian[(row, column)] +=
                        share * to_f64((self.slope[g] - base[g]) / (step + step));
                }
            }
            self.z[h] = z;
        }
        self.slope = base;
        (&hessian + hessian.transpose()) * 0.5
    }

    /// Takes the longest of the steps `d`, `d/2`, .. that makes F fall, if one does.
    fn search(&mut self, free: &[usize], step: &DVector<f64>) -> bool {
        let (z, slope) = (self.z.clone(), self.slope.clone());
        let mut s = 1.0;
        for _ in 0..40 {
            self.advance(free, step, &z, s);
            if let Some(value) = self.evaluate().filter(|&value| value < self.value) {
                self.value = value;
                return true;
            }
            s *= 0.5;
        }
        (self.z, self.slope) = (z, slope);
        false
    }

    /// The particles that carry weight, or the first if none does.
    pub(super) fn support(self) -> EmpiricalMeasure<T> {
        let weight = |i: usize| self.z[self.group[i]] * self.unit[i];
        let kept: Vec<usize> = (0..self.mu.len())
            .filter(|&i| weight(i) > T::zero())
            .collect();
        let kept = if kept.is_empty() { vec![0] } else { kept };
        let weights = DVector::from_iterator(kept.len(), kept.iter().map(|&i| weight(i)));
        EmpiricalMeasure::weighted(self.mu.points().select_columns(&kept), weights)
            .unwrap_or(self.mu)
    }
}

/// The relative error of the second-order differences with the step `eps^(1/3)`: truncation and rounding balance.
fn difference_error<T: Real>() -> T {
    epsilon::<T>().cbrt().powi(2)
}

/// `argmin_{x >= 0} x.H x / 2 - b.x` for a positive definite H; `None` where it is not.
///
/// The set of positive coordinates grows by the one of the steepest slope, and loses those that a step would make negative; it starts
/// with those of `start`.
fn non_negative(h: &DMatrix<f64>, b: &DVector<f64>, start: &DVector<f64>) -> Option<DVector<f64>> {
    let m = b.len();
    let mut x = start.clone();
    let mut positive: Vec<usize> = (0..m).filter(|&i| x[i] > 0.0).collect();
    let tolerance = 1e-14 * (h * &x).amax().max(b.amax());
    for _ in 0..3 * m + 3 {
        let entered = positive.last().copied();
        // To the minimum over the positive coordinates, by way of the boundary.
        while !positive.is_empty() {
            let inner = h.select_rows(&positive).select_columns(&positive);
            let right = DVector::from_iterator(positive.len(), positive.iter().map(|&i| b[i]));
            let factor = inner.cholesky()?;
            let target = factor.solve(&right);
            // How far each coordinate can go towards its target.
            let reach = |i: usize, t: f64| {
                if t > 0.0 {
                    f64::INFINITY
                } else {
                    x[i] / (x[i] - t)
                }
            };
            let reaches: Vec<f64> = positive
                .iter()
                .zip(target.iter())
                .map(|(&i, &t)| reach(i, t))
                .collect();
            let s = reaches.iter().fold(1.0, |s, &reach| f64::min(s, reach));
            for (&i, &t) in positive.iter().zip(target.iter()) {
                x[i] += s * (t - x[i]);
            }
            let blocked = |at: usize| reaches[at] <= s;
            for at in (0..positive.len()).filter(|&at| blocked(at)) {
                x[positive[at]] = 0.0;
            }
            let before = positive.len();
            positive = (0..before)
                .filter(|&at| !blocked(at))
                .map(|at| positive[at])
                .collect();
            if positive.len() == before {
                break;
            }
        }
        let slope = b - h * &x;
        let outside = (0..m).filter(|&i| !positive.contains(&i) && Some(i) != entered);
        match outside.max_by(|&i, &j| slope[i].total_cmp(&slope[j])) {
            Some(i) if slope[i] > tolerance => positive.push(i),
            _ => return Some(x),
        }
    }
    Some(x)
}
