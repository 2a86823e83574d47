//! Acceleration of the fixed-point iterations for the potentials.
//!
//! Over-relaxation of the alternating iteration: T. Lehmann, M.-K. von Renesse, A. Sambale and
//! A. Uschmajew, A note on overrelaxation in the Sinkhorn algorithm, 2021 (arXiv:2012.12562), with
//! the adaptive factor of L. Hageman and D. Young, Applied Iterative Methods, chapter 9. The
//! symmetric iteration is accelerated by Chebyshev polynomials, ibid., chapter 4.

use crate::real::{Real, real};

/// The largest estimate of the rate of the alternating iteration.
const MAX_RATE: f64 = 0.99999;
/// Ratios of residuals are accepted as the rate if two of them differ by at most this part of their
/// distance from 1.
const STEADY: f64 = 0.1;
/// A factor is increased if `1 - ratio` is below this part of `2 - omega`, its optimal value.
const SLOW: f64 = 0.9;
/// Iterations between two changes of the factor, so that ratios are those of one factor.
const WAIT: usize = 3;
/// Residuals of over-relaxed iterations may increase at first, by a factor of up to 20 (rate
/// 0.9999); from this one on the estimate of the rate is discarded.
const GROWTH: f64 = 100.0;
/// Discarded estimates at most; then the plain iteration is used, which converges always. In 7000
/// random problems no iteration discarded more.
const RESTARTS: usize = 8;

/// The factor `omega` of the alternating iteration.
///
/// If the plain iteration converges like `rate^n`, the optimum is
/// `omega = 2 / (1 + (1 - rate)^(1/2))`, with the rate `omega - 1`. The rate is estimated by the
/// ratio r of successive residuals: `rate = (r + omega - 1)^2 / (omega^2 r)` for smaller factors.
///
/// If residuals increase, the estimate was wrong: the iteration continues with the factor 1 from the
/// current potentials, and the rate is estimated again. The increase is in few directions, which
/// plain iterations reduce at once. To return to the potentials of the least error would take more
/// iterations, because they have larger errors in the slow directions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relaxation<T> {
    omega: T,
    rate: T,
    residual: Option<T>,
    ratio: Option<T>,
    least: Option<T>,
    age: usize,
    restarts: usize,
}

impl<T: Real> Relaxation<T> {
    /// Starts with an estimate of the rate.
    pub(super) fn new(rate: T) -> Self {
        let mut new = Self {
            omega: T::one(),
            rate: T::zero(),
            residual: None,
            ratio: None,
            least: None,
            age: 0,
            restarts: 0,
        };
        new.set(rate);
        new
    }

    /// The current factor, at least 1 and below 2.
    pub(super) fn omega(&self) -> T {
        self.omega
    }

    fn set(&mut self, rate: T) {
        if rate > self.rate {
            self.rate = rate.min(real(MAX_RATE));
            self.omega = real::<T>(2.0) / (T::one() + (T::one() - self.rate).sqrt());
        }
        self.age = 0;
    }

    /// Adapts the factor to the residual of an iteration.
    pub(super) fn update(&mut self, residual: T) {
        let least = self.least.map_or(residual, |least: T| least.min(residual));
        let is_bounded = residual <= real::<T>(GROWTH) * least; // false for NaN
        if !is_bounded {
            let restarts = self.restarts + 1;
            *self = Self::new(T::zero());
            self.restarts = restarts;
            return;
        }
        self.least = Some(least);
        let previous = self.residual.replace(residual);
        let Some(ratio) = previous.map(|previous| residual / previous) else {
            return;
        };
        let last = self.ratio.replace(ratio);
        self.age += 1;
        let gap = T::one() - ratio;
        let is_steady = last.is_some_and(|last| (ratio - last).abs() <= real::<T>(STEADY) * gap);
        let is_slow = gap > T::zero() && gap < real::<T>(SLOW) * (real::<T>(2.0) - self.omega);
        if self.age >= WAIT && is_steady && is_slow && self.restarts < RESTARTS {
            let root = (ratio + self.omega - T::one()) / self.omega;
            self.set(root * root / ratio);
        }
    }
}

/// The factors of the Chebyshev iteration for `p = T(p)`, whose linear part `-T'` has its spectrum
/// in `[0, 1]`: `p_(n+1) = omega (2/3 (T(p_n) - p_n) + p_n - p_(n-1)) + p_(n-1)`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chebyshev<T> {
    omega: Option<T>,
    residual: Option<T>,
}

impl<T: Real> Chebyshev<T> {
    pub(super) fn new() -> Self {
        Self {
            omega: None,
            residual: None,
        }
    }

    /// The next factor omega, after an iterate with this residual. Restarts, with the factor 1, if
    /// residuals increase, since the iteration is not linear.
    pub(super) fn next(&mut self, residual: T) -> T {
        let previous = self.residual.replace(residual);
        if !previous.is_none_or(|previous| residual <= previous) {
            self.omega = None;
        }
        // The eigenvalues of 1 - T' in [1, 2]: (2 - 1) / (2 + 1), squared.
        let square = real::<T>(1.0 / 9.0);
        let next = match self.omega {
            None => T::one(),
            Some(omega) if omega == T::one() => T::one() / (T::one() - square * real(0.5)),
            Some(omega) => T::one() / (T::one() - square * omega * real(0.25)),
        };
        self.omega = Some(next);
        next
    }
}
