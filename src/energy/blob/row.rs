//! Sums of Gaussians over all particles at one point.

use crate::numeric::elementary::{Float, Scalar, exp};
use crate::numeric::simd::{
    Multiversion, is_supported, multiversion, same, same_mut, with_simd_scalar,
};
use crate::real::{Real, epsilon, real};

/// Particles a block, whose Gaussians are on the stack.
const BLOCK: usize = 128;
/// Partial sums, so that the loops over a block are vectorised.
const LANES: usize = 8;

/// The particles: their coordinates one after the other (m numbers each), their weights, and a
/// second set of weights, possibly empty.
#[derive(Clone, Copy)]
pub(super) struct Cloud<'a, T> {
    pub(super) coordinates: &'a [T],
    pub(super) weights: &'a [T],
    pub(super) shares: &'a [T],
    /// `(2 variance)^(-1/2)`.
    pub(super) rate: T,
}

impl<T: Real> Cloud<'_, T> {
    /// With `k_j = exp(-|w - w_j|^2 / (2 variance))`: returns `sum_j c_j k_j` as a [`Mass`], and
    /// `sum_j b_j k_j` for the shares b.
    ///
    /// Writes the mean of `w_j - w` under `c_j k_j` to `means`, and `sum_j b_j k_j (w_j - w)` to
    /// `moments`; both may be empty.
    pub(super) fn sums(&self, w: &[T], means: &mut [T], moments: &mut [T]) -> (Mass<T>, T) {
        let [mass, share] = if is_supported::<T>() {
            with_simd_scalar!(T as E => {
                let row = Row::<E> {
                    cloud: Cloud {
                        coordinates: same(self.coordinates),
                        weights: same(self.weights),
                        shares: same(self.shares),
                        rate: same::<T, E>(&[self.rate])[0],
                    },
                    w: same(w),
                    means: same_mut(means),
                    moments: same_mut(moments),
                };
                let sums = multiversion(row);
                [same::<E, T>(&sums)[0], same::<E, T>(&sums)[1]]
            })
        } else {
            Row {
                cloud: *self,
                w,
                means,
                moments,
            }
            .sum(|x| x.exp())
        };
        // The moments are smaller than the mass by a standard deviation.
        let small = mass / self.rate.max(T::one());
        if Mass::is_accurate(small) {
            means.iter_mut().for_each(|mean| *mean /= mass);
            return (Mass(mass), share);
        }
        let share = self.distant_share(w, moments);
        (self.distant(w, means), share)
    }

    /// `|w - w_j|^2 / (2 variance)`.
    fn square(&self, w: &[T], j: usize) -> T {
        let m = self.weights.len();
        w.iter().enumerate().fold(T::zero(), |sum, (l, &w)| {
            let z = (self.coordinates[l * m + j] - w) * self.rate;
            sum + z * z
        })
    }

    /// `sum_j b_j k_j` and the moments, where `k_j` underflows but its product with `b_j` may not.
    #[cold]
    fn distant_share(&self, w: &[T], moments: &mut [T]) -> T {
        let m = self.weights.len();
        moments.fill(T::zero());
        let mut sum = T::zero();
        for (j, share) in self.shares.iter().enumerate() {
            let term = (share.ln() - self.square(w, j)).exp();
            if term > T::zero() {
                sum += term;
                for (l, moment) in moments.iter_mut().enumerate() {
                    *moment += term * (self.coordinates[l * m + j] - w[l]);
                }
            }
        }
        sum
    }

    /// The mass and the means at a point where all `c_j k_j` are close to underflow: relative to the
    /// largest of them.
    #[cold]
    fn distant(&self, w: &[T], means: &mut [T]) -> Mass<T> {
        let m = self.weights.len();
        let exponent = |j: usize| self.weights[j].ln() - self.square(w, j);
        let massive = || (0..m).filter(|&j| self.weights[j] > T::zero());
        let lowest = real::<T>(f64::NEG_INFINITY);
        let largest = massive().fold(lowest, |largest, j| largest.max(exponent(j)));
        means.fill(T::zero());
        if !largest.is_finite() {
            return Mass(largest);
        }
        let mut sum = T::zero();
        for j in massive() {
            let term = (exponent(j) - largest).exp();
            if term > T::zero() {
                sum += term;
                for (l, mean) in means.iter_mut().enumerate() {
                    *mean += term * (self.coordinates[l * m + j] - w[l]);
                }
            }
        }
        means.iter_mut().for_each(|mean| *mean /= sum);
        Mass(largest + sum.ln())
    }
}

/// A sum `s = sum_j c_j k_j >= 0`: s itself, or its logarithm, which is negative, if s is so small
/// that terms have underflowed.
#[derive(Clone, Copy)]
pub(super) struct Mass<T>(pub(super) T);

impl<T: Real> Mass<T> {
    /// Returns true if terms that have underflowed are below the rounding error of their sum.
    fn is_accurate(sum: T) -> bool {
        let eps = epsilon::<T>();
        let underflows = |max: T| sum * (max * eps * eps) <= T::one();
        !T::max_value().is_some_and(underflows)
    }

    /// `log s`.
    pub(super) fn log(self) -> T {
        if self.0 > T::zero() {
            self.0.ln()
        } else {
            self.0
        }
    }

    /// `c / s` for a term c of the sum.
    pub(super) fn share(self, c: T) -> T {
        if self.0 > T::zero() {
            c / self.0
        } else {
            (c.ln() - self.0).exp()
        }
    }
}

/// The sums at the point w.
struct Row<'a, T> {
    cloud: Cloud<'a, T>,
    w: &'a [T],
    means: &'a mut [T],
    moments: &'a mut [T],
}

impl<T: Real> Row<'_, T> {
    /// `[sum_j c_j k_j, sum_j b_j k_j]`; adds `sum_j c_j k_j (w_j - w)` to `means` and
    /// `sum_j b_j k_j (w_j - w)` to `moments`, from 0.
    #[inline(always)]
    fn sum(self, exp: impl Fn(T) -> T) -> [T; 2] {
        let Self {
            cloud,
            w,
            means,
            moments,
        } = self;
        let m = cloud.weights.len();
        means.fill(T::zero());
        moments.fill(T::zero());
        let mut sums = [T::zero(); 2];
        let mut buffer = [T::zero(); BLOCK];
        for start in (0..m).step_by(BLOCK) {
            let block = start..m.min(start + BLOCK);
            let k = &mut buffer[..block.len()];
            k.fill(T::zero());
            for (l, &w) in w.iter().enumerate() {
                for (k, &x) in k.iter_mut().zip(&cloud.coordinates[l * m..][block.clone()]) {
                    let z = (x - w) * cloud.rate;
                    *k -= z * z;
                }
            }
            k.iter_mut().for_each(|k| *k = exp(*k));
            let weights = &cloud.weights[block.clone()];
            let shares = cloud.shares.get(block.clone()).unwrap_or_default();
            sums[0] += sum_of_products(k, weights);
            sums[1] += sum_of_products(k, shares);
            for (l, mean) in means.iter_mut().enumerate() {
                let x = &cloud.coordinates[l * m..][block.clone()];
                *mean += sum_of_moments(k, weights, x, w[l]);
            }
            for (l, moment) in moments.iter_mut().enumerate() {
                let x = &cloud.coordinates[l * m..][block.clone()];
                *moment += sum_of_moments(k, shares, x, w[l]);
            }
        }
        sums
    }
}

impl<E: Float> Multiversion for Row<'_, E> {
    type Output = [E; 2];

    #[inline(always)]
    fn run<const FUSED: bool>(self) -> [E; 2] {
        self.sum(|x| exp(Scalar::<E, FUSED>(x)).0)
    }
}

/// `sum_j k_j c_j`.
#[inline(always)]
fn sum_of_products<T: Real>(k: &[T], c: &[T]) -> T {
    let mut lanes = [T::zero(); LANES];
    let ((k, k_rest), (c, c_rest)) = (k.as_chunks::<LANES>(), c.as_chunks::<LANES>());
    for (k, c) in k.iter().zip(c) {
        for l in 0..LANES {
            lanes[l] += k[l] * c[l];
        }
    }
    for ((lane, &k), &c) in lanes.iter_mut().zip(k_rest).zip(c_rest) {
        *lane += k * c;
    }
    lanes.into_iter().fold(T::zero(), |sum, lane| sum + lane)
}

/// `sum_j k_j c_j (x_j - w)`; a difference that overflows has `k_j = 0`, and its term is 0.
#[inline(always)]
fn sum_of_moments<T: Real>(k: &[T], c: &[T], x: &[T], w: T) -> T {
    let term = |k: T, c: T, x: T| if k == T::zero() { k } else { k * c * (x - w) };
    let mut lanes = [T::zero(); LANES];
    let ((k, k_rest), (c, c_rest)) = (k.as_chunks::<LANES>(), c.as_chunks::<LANES>());
    let (x, x_rest) = x.as_chunks::<LANES>();
    for ((k, c), x) in k.iter().zip(c).zip(x) {
        for l in 0..LANES {
            lanes[l] += term(k[l], c[l], x[l]);
        }
    }
    for (((lane, &k), &c), &x) in lanes.iter_mut().zip(k_rest).zip(c_rest).zip(x_rest) {
        *lane += term(k, c, x);
    }
    lanes.into_iter().fold(T::zero(), |sum, lane| sum + lane)
}
