//! The Fenchel dual problem: convex conjugates of risks.

use std::rc::Rc;
use std::sync::Arc;

use crate::error::assert_size;
use crate::forward::forward;
use crate::loss::Loss;
use crate::numeric::error_bounds::{CompensatedSum, EPS, TINY, add_up, sub_up};
use crate::numeric::vector::{columns, columns_mut};
use crate::real::{Real, to_f64};
use crate::risk::{EmpiricalRisk, Risk, SoftmaxCrossEntropy};

/// A convex risk with its conjugate `R*(u) = sup_h <u, h> - R(h)`, in double precision with bounds
/// on rounding errors.
///
/// Certificates require it of a risk. Arrays are `k x n`, as in [`Risk`](crate::risk::Risk).
///
/// # Laws
/// - `slope` writes the gradient of the risk (a subgradient at kinks) at `h`, up to rounding.
/// - `upper(h, radius) >= R(h')` for every `h'` with `|h'_jl - h_jl| <= radius_j`; infinite if that
///   overflows.
/// - `conjugate(u, c) >= R*(z)` for some `z` with
///   `|z_jl - c u_jl| <= 2^-48 |c u_jl| + 2^-1022` for every entry, and `z = 0` for `c = 0`.
///
/// Hence `-conjugate(u, c) <= R(h) - <z, h>` for every h, after rounding. The two bounds are what a
/// certificate relies on: `slope` and `subdifferential` only select the points u.
///
/// `EmpiricalRisk` satisfies them if its loss has the accuracy that [`Loss`](crate::loss::Loss)
/// states.
///
/// # Panics
/// The methods panic if an array does not have the length `k n`, or `radius` the length n.
///
/// ```
/// use wasserflow::nalgebra::{DMatrix, DVector};
/// use wasserflow::optimality::DualRisk;
/// use wasserflow::prelude::*;
///
/// let risk = EmpiricalRisk::new(Square, DMatrix::zeros(1, 2), DVector::from_vec(vec![1.0, 3.0]))?;
/// let mut u = [0.0; 2];
/// risk.slope(&[2.0, 2.0], &mut u);
/// assert_eq!(u, [0.5, -0.5]);
/// let r = risk.upper(&[2.0, 2.0], &[0.0; 2]);
/// let s = risk.conjugate(&u, 1.0).unwrap();
/// assert!((r - 0.5).abs() < 1e-12 && (r + s).abs() < 1e-12); // R(h) + R*(u) = <u, h> = 0
/// # Ok::<(), wasserflow::prelude::RiskError>(())
/// ```
pub trait DualRisk {
    /// Writes the gradient `u = grad R(h)`.
    fn slope(&self, h: &[f64], u: &mut [f64]);

    /// An upper bound of R on the box of centre `h` and half-width `radius_j` (one a sample).
    fn upper(&self, h: &[f64], radius: &[f64]) -> f64;

    /// An upper bound of `R*` at `c u`, up to rounding of the point.
    ///
    /// Infinite outside the domain of `R*`; `None` if `R*` is not implemented.
    fn conjugate(&self, u: &[f64], c: f64) -> Option<f64>;

    /// Writes the ends of an interval for every entry of a subgradient of R near `h`: the smallest
    /// and the largest slope at distances up to `radius_j` (one a sample).
    ///
    /// At a kink of a loss these are its one-sided derivatives. A certificate then chooses among the
    /// subgradients between them. Provided: `slope` for both, which is right for a differentiable
    /// risk.
    ///
    /// ```
    /// use wasserflow::nalgebra::{DMatrix, DVector};
    /// use wasserflow::optimality::DualRisk;
    /// use wasserflow::prelude::*;
    ///
    /// let risk = EmpiricalRisk::new(Hinge, DMatrix::zeros(1, 1), DVector::from_element(1, 1.0))?;
    /// let (mut lower, mut upper) = ([0.0], [0.0]);
    /// risk.subdifferential(&[1.0], &[0.0], &mut lower, &mut upper);
    /// assert_eq!((lower, upper), ([-1.0], [0.0]));
    /// # Ok::<(), wasserflow::prelude::RiskError>(())
    /// ```
    fn subdifferential(&self, h: &[f64], radius: &[f64], lower: &mut [f64], upper: &mut [f64]) {
        let _ = radius;
        assert_size("length of the upper ends", lower.len(), upper.len());
        self.slope(h, lower);
        upper.copy_from_slice(lower);
    }
}

forward! {
    impl[R: DualRisk + ?Sized] DualRisk; for &R, &mut R, Box<R>, Rc<R>, Arc<R>; {
        fn slope(&self, h: &[f64], u: &mut [f64]);
        fn upper(&self, h: &[f64], radius: &[f64]) -> f64;
        fn conjugate(&self, u: &[f64], c: f64) -> Option<f64>;
        fn subdifferential(
            &self,
            h: &[f64],
            radius: &[f64],
            lower: &mut [f64],
            upper: &mut [f64]
        );
    }
}

/// The error that a certificate assumes of `value`, relative to `|l|`, and of `conjugate`, relative
/// to `|l*| + |u y|`: twice the law of [`Loss`].
const LOSS_ERROR: f64 = 8.0 * EPS;

/// The absolute error of the same, for results near or below the smallest normal number.
const LOSS_UNDERFLOW: f64 = 8.0 * TINY;

/// The weight above which a subnormal dual variable violates the laws of [`DualRisk`]: its error
/// `2^-1074 weight (1 + |c|)` is at most `2^-1022` for `|c| <= 2^10`.
const LARGEST_WEIGHT: f64 = (1_u64 << 41) as f64;

/// The dual variable `v = c u / weight` of a loss, `z = weight v`; `None` if it violates the law of
/// `conjugate`.
fn dual_variable(u: f64, c: f64, weight: f64) -> Option<f64> {
    if u == 0.0 || c == 0.0 {
        return Some(0.0);
    }
    let slope = u / weight;
    let v = c * slope;
    let normal = slope.abs().min(v.abs()) >= f64::MIN_POSITIVE;
    // Also excludes a sample of weight 0, for which R* is finite at 0 only.
    (v.is_finite() && (normal || weight <= LARGEST_WEIGHT)).then_some(v)
}

/// `R = sum_j c_j sum_l l(y_jl, .)`, so `R*(u) = sum_j c_j sum_l l*(y_jl, u_jl / c_j)` over the
/// samples with `c_j > 0`.
impl<T: Real, L: Loss<T> + Loss<f64>> DualRisk for EmpiricalRisk<L, T> {
    fn slope(&self, h: &[f64], u: &mut [f64]) {
        assert_lengths(self.targets().len(), h, u);
        let (k, y) = (self.targets().nrows(), self.targets().as_slice());
        for (i, u) in u.iter_mut().enumerate() {
            let c = to_f64(self.weights()[i / k]);
            *u = if c == 0.0 {
                0.0
            } else {
                c * Loss::<f64>::derivative(self.loss(), to_f64(y[i]), h[i])
            };
        }
    }

    fn upper(&self, h: &[f64], radius: &[f64]) -> f64 {
        assert_box(self.targets().shape(), h, radius);
        let (k, y) = (self.targets().nrows(), self.targets().as_slice());
        let (mut sum, mut magnitude, mut errors) = (CompensatedSum::default(), 0.0, 0.0);
        for (i, &h) in h.iter().enumerate() {
            let (c, y) = (to_f64(self.weights()[i / k]), to_f64(y[i]));
            if c == 0.0 {
                continue;
            }
            // A convex function has its maximum over an interval at an end.
            let [low, high] = ends(h, radius[i / k]);
            let loss = |h| Loss::<f64>::value(self.loss(), y, h);
            let (left, right) = (loss(low), loss(high));
            if !(left.is_finite() && right.is_finite()) {
                return f64::INFINITY;
            }
            let value = left.max(right);
            sum.add(c * value);
            magnitude += c * value.abs();
            errors += c * (2.0 * LOSS_ERROR * value.abs() + LOSS_UNDERFLOW) + LOSS_UNDERFLOW;
        }
        sum.upper(h.len(), magnitude, errors)
    }

    fn conjugate(&self, u: &[f64], c: f64) -> Option<f64> {
        assert_size("length of the dual point", self.targets().len(), u.len());
        let (k, y) = (self.targets().nrows(), self.targets().as_slice());
        let (mut sum, mut magnitude, mut errors) = (CompensatedSum::default(), 0.0, 0.0);
        for (i, &u) in u.iter().enumerate() {
            let (weight, y) = (to_f64(self.weights()[i / k]), to_f64(y[i]));
            let Some(mut v) = dual_variable(u, c, weight) else {
                return Some(f64::INFINITY);
            };
            if weight == 0.0 {
                continue;
            }
            let mut value = self.loss().conjugate(y, v)?;
            if value == f64::INFINITY {
                // Rounding may leave the domain by an ulp. Its interior lies towards 0.
                v *= 1.0 - 4.0 * EPS;
                value = self.loss().conjugate(y, v)?;
            }
            if !value.is_finite() {
                return Some(f64::INFINITY);
            }
            sum.add(weight * value);
            magnitude += weight * value.abs();
            let size = value.abs() + (v * y).abs();
            errors += weight * (2.0 * LOSS_ERROR * size + LOSS_UNDERFLOW) + LOSS_UNDERFLOW;
        }
        Some(sum.upper(u.len(), magnitude, errors))
    }

    fn subdifferential(&self, h: &[f64], radius: &[f64], lower: &mut [f64], upper: &mut [f64]) {
        assert_box(self.targets().shape(), h, radius);
        let k = self.targets().nrows();
        let (mut low, mut high) = (h.to_vec(), h.to_vec());
        for (i, (low, high)) in low.iter_mut().zip(&mut high).enumerate() {
            [*low, *high] = ends(h[i], radius[i / k]);
        }
        self.slope(&low, lower);
        self.slope(&high, upper);
    }
}

/// The ends of the interval of the given centre and radius, rounded outward.
fn ends(h: f64, radius: f64) -> [f64; 2] {
    [(h - radius).next_down(), (h + radius).next_up()]
}

/// With `u_j = c_j (p_j - e_{y_j})`, `p_j` a probability vector:
/// `R*(u) = sum_j c_j sum_l p_jl log p_jl`, over the samples with `c_j > 0`.
///
/// The entry of the class `y_j` is minus the sum of the others, in `slope` and in `conjugate`: in
/// floating point `p - 1` would cancel. `exp`, `ln` and `ln_1p` are assumed to be within 4 units in
/// the last place.
impl<T: Real> DualRisk for SoftmaxCrossEntropy<T> {
    fn slope(&self, h: &[f64], u: &mut [f64]) {
        assert_lengths(self.output_dim() * self.labels().len(), h, u);
        let k = h.len() / self.labels().len();
        let samples = columns(h, k).zip(columns_mut(u, k)).zip(self.labels());
        for (((h, u), &y), &c) in samples.zip(self.weights()) {
            let c = to_f64(c);
            if c == 0.0 {
                u.fill(0.0);
                continue;
            }
            let max = h.iter().fold(f64::NEG_INFINITY, |max, &h| max.max(h));
            let total: f64 = h.iter().map(|h| (h - max).exp()).sum();
            let mut others = CompensatedSum::default();
            for l in (0..k).filter(|&l| l != y) {
                u[l] = c * ((h[l] - max).exp() / total);
                others.add(u[l]);
            }
            u[y] = -others.value();
        }
    }

    /// `log sum_l exp d_l` increases with every `d_l = h_l - h_y`, `l != y`.
    fn upper(&self, h: &[f64], radius: &[f64]) -> f64 {
        assert_box((self.output_dim(), self.labels().len()), h, radius);
        let k = h.len() / self.labels().len();
        let (mut sum, mut magnitude, mut errors) = (CompensatedSum::default(), 0.0, 0.0);
        let samples = columns(h, k).zip(radius).zip(self.labels());
        for (((h, &e), &y), &c) in samples.zip(self.weights()) {
            let c = to_f64(c);
            if c == 0.0 {
                continue;
            }
            let mut differences: Vec<f64> = h
                .iter()
                .map(|&h_l| add_up(sub_up(h_l, h[y]), 2.0 * e))
                .collect();
            differences[y] = 0.0;
            if !differences.iter().all(|d| *d < f64::INFINITY) {
                return f64::INFINITY; // or NaN
            }
            let largest = (0..k).fold(y, |max, l| {
                if differences[l] > differences[max] {
                    l
                } else {
                    max
                }
            });
            let terms = (0..k).filter(|&l| l != largest);
            let rest: f64 = terms
                .map(|l| sub_up(differences[l], differences[largest]).exp())
                .sum();
            let value = differences[largest] + rest.ln_1p();
            sum.add(c * value);
            magnitude += c * value;
            errors += c * (k as f64 + 16.0) * (EPS * value + TINY) + TINY;
        }
        sum.upper(self.labels().len(), magnitude, errors)
    }

    fn conjugate(&self, u: &[f64], c: f64) -> Option<f64> {
        let len = self.output_dim() * self.labels().len();
        assert_size("length of the dual point", len, u.len());
        let k = u.len() / self.labels().len();
        let (mut sum, mut magnitude, mut errors) = (CompensatedSum::default(), 0.0, 0.0);
        let samples = columns(u, k).zip(self.labels());
        for ((u, &y), &weight) in samples.zip(self.weights()) {
            let weight = to_f64(weight);
            if weight == 0.0 {
                continue;
            }
            let (mut others, mut value) = (CompensatedSum::default(), CompensatedSum::default());
            let mut size = 0.0;
            for l in (0..k).filter(|&l| l != y) {
                let p = dual_variable(u[l], c, weight);
                let Some(p) = p.filter(|p| (0.0..=2.0).contains(p)) else {
                    return Some(f64::INFINITY);
                };
                others.add(p);
                value.add(negative_entropy(p));
                size += negative_entropy(p).abs() + p;
            }
            // (1 - s) log(1 - s) is convex in s = others, which is within 2 EPS of the exact sum.
            let others = others.value();
            let low = others * (1.0 - 2.0 * EPS);
            if low > 1.0 {
                return Some(f64::INFINITY);
            }
            let ends = [low, (others * (1.0 + 2.0 * EPS)).min(1.0)];
            let [low, high] = ends.map(|s| {
                if s < 1.0 {
                    (1.0 - s) * (-s).ln_1p()
                } else {
                    0.0
                }
            });
            value.add(low.max(high));
            size += low.max(high).abs();
            sum.add(weight * value.value());
            magnitude += weight * size;
            // 16 for the terms and sums; a sum above 1 stands for a point nearer to 0 by 4 EPS.
            errors += weight * (24.0 * EPS * size + 8.0 * k as f64 * TINY) + TINY;
        }
        Some(sum.upper(self.labels().len(), magnitude, errors))
    }
}

/// `p log p`, 0 at 0.
fn negative_entropy(p: f64) -> f64 {
    if p > 0.0 { p * p.ln() } else { 0.0 }
}

fn assert_lengths(len: usize, h: &[f64], u: &[f64]) {
    assert_size("length of the predictions", len, h.len());
    assert_size("length of the gradient", len, u.len());
}

fn assert_box((k, n): (usize, usize), h: &[f64], radius: &[f64]) {
    assert_size("length of the predictions", k * n, h.len());
    assert_size("number of radii", n, radius.len());
}
