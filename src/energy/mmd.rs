//! The squared maximum mean discrepancy (MMD) to a target measure.

use std::borrow::Cow;

use nalgebra::DMatrix;

use super::{Energy, Kernel, assert_dim, assert_first_variation, assert_hessians, assert_velocity};
use crate::error::ShapeError;
use crate::feature::by_differences;
use crate::measure::EmpiricalMeasure;
use crate::numeric::vector::{columns, columns_mut};
use crate::ranks::{AllReduce, several};
use crate::real::{Real, real};

/// Half the squared maximum mean discrepancy (MMD) of `mu` and a target measure `nu`:
/// `F(mu) = (1/2) int int K d(mu - nu) d(mu - nu)`.
///
/// Its first variation is the witness function `F'(mu)(w) = int K(w, .) d(mu - nu)`. The masses of
/// `mu` and `nu` may differ.
///
/// With [`WithOutputWeight`](super::WithOutputWeight)`(`[`ArcCosine`](super::ArcCosine)`)`, F is
/// the population risk of a student network `mu` and a teacher network `nu` in closed form. With
/// [`Gaussian`](super::Gaussian), its flow is the MMD flow, which transports samples to a target.
///
/// F is computed as a difference of sums. Close to 0 its absolute error is of the order of machine
/// epsilon times `int int K dnu dnu`.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// let teacher = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[1.0, 0.0]))?;
/// let student = EmpiricalMeasure::uniform(DMatrix::from_column_slice(2, 1, &[3.0, 0.0]))?;
/// let mut f = Mmd::new(ArcCosine::new(2), teacher)?;
/// assert_eq!(f.value(&student), 1.0); // E[(3 (x_1)_+ - (x_1)_+)^2] / 2 = 4 / 4
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Cost: with m particles and m' points of the target, a velocity takes `m (m + 1) / 2 + m m'`
/// evaluations of the kernel and its gradients, usually `O(p)` each. No matrix is stored. If the
/// particles are [distributed](Self::distributed), a rank with q of the m particles takes
/// `q (m + m')` evaluations.
///
/// Source: A. Gretton et al., A kernel two-sample test, 2012; M. Arbel et al., Maximum mean
/// discrepancy gradient flow, 2019.
#[derive(Debug, Clone)]
pub struct Mmd<K, T, R = ()> {
    kernel: K,
    target: EmpiricalMeasure<T>,
    /// The constant `int int K dnu dnu`.
    self_energy: T,
    ranks: R,
}

impl<T: Real, K: Kernel<T>> Mmd<K, T> {
    /// The energy of `kernel` with the target measure `nu = target`.
    ///
    /// # Errors
    /// [`ShapeError`] if the dimensions of the kernel and the target differ.
    ///
    /// Cost: `m' (m' + 1) / 2` evaluations of the kernel for `m'` points of the target.
    pub fn new(kernel: K, target: EmpiricalMeasure<T>) -> Result<Self, ShapeError> {
        ShapeError::check(
            "particle dimension of the target",
            kernel.dim(),
            target.dim(),
        )?;
        let self_energy = energy_within(&kernel, &target);
        Ok(Self {
            kernel,
            target,
            self_energy,
            ranks: (),
        })
    }
}

impl<K, T: Real, R> Mmd<K, T, R> {
    /// The same energy of particles that are distributed over ranks, with weights of the whole. The
    /// target is the same on all ranks.
    ///
    /// ```
    /// use wasserflow::nalgebra::DMatrix;
    /// use wasserflow::prelude::*;
    /// use wasserflow::testing::Rank;
    ///
    /// let mu = EmpiricalMeasure::uniform(DMatrix::from_row_slice(2, 2, &[1.0, 2.0, 3.0, 4.0]))?;
    /// let f = Mmd::new(ArcCosine::new(2), mu.clone())?;
    /// let value = |rank: Rank<f64>| f.clone().distributed(rank.clone()).value(&mu.share(&rank));
    /// std::thread::scope(|scope| {
    ///     let threads = Rank::group(2).into_iter().map(|rank| scope.spawn(|| value(rank)));
    ///     for thread in threads.collect::<Vec<_>>() {
    ///         assert!(thread.join().unwrap() < 1e-15);
    ///     }
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Cost: every evaluation gathers all particles on every rank.
    #[must_use]
    pub fn distributed<S>(self, ranks: S) -> Mmd<K, T, S> {
        Mmd {
            kernel: self.kernel,
            target: self.target,
            self_energy: self.self_energy,
            ranks,
        }
    }

    /// The kernel K.
    pub fn kernel(&self) -> &K {
        &self.kernel
    }

    /// The target `nu`.
    pub fn target(&self) -> &EmpiricalMeasure<T> {
        &self.target
    }

    /// `F = (K(mu, mu) - 2 K(mu, nu) + K(nu, nu)) / 2` with `within = K(mu, mu)` and
    /// `cross = K(mu, nu)`. A negative result, which is due to rounding, is replaced by 0.
    fn discrepancy(&self, within: T, cross: T) -> T {
        let half = (within - cross - cross + self.self_energy) * real(0.5);
        if half < T::zero() { T::zero() } else { half }
    }
}

impl<K: Kernel<T>, T: Real, R: AllReduce<T>> Mmd<K, T, R> {
    /// The measure of all ranks.
    pub(crate) fn whole<'a>(
        &mut self,
        mu: &'a EmpiricalMeasure<T>,
    ) -> Cow<'a, EmpiricalMeasure<T>> {
        match several(&mut self.ranks) {
            Some(ranks) => Cow::Owned(mu.collect(ranks)),
            None => Cow::Borrowed(mu),
        }
    }

    /// `F(mu)` on ranks, with the measure of all of them.
    fn value_on_ranks(&mut self, mu: &EmpiricalMeasure<T>, whole: &EmpiricalMeasure<T>) -> T {
        let within = energy_between(&self.kernel, mu, whole);
        let cross = energy_between(&self.kernel, mu, &self.target);
        self.discrepancy_on_ranks(within, cross)
    }

    /// [`discrepancy`](Self::discrepancy) of sums over the particles of this rank.
    fn discrepancy_on_ranks(&mut self, within: T, cross: T) -> T {
        let mut sums = [within, cross];
        self.ranks.sum(&mut sums);
        self.discrepancy(sums[0], sums[1])
    }

    /// Returns the witness function at `w`, `f(w) = int K(w, .) d(mu - nu)`, and subtracts its
    /// gradient: `out -= grad f(w)`.
    fn witness(&self, w: &[T], mu: &EmpiricalMeasure<T>, out: &mut [T]) -> T {
        mean_and_gradient(&self.kernel, w, mu, -T::one(), out)
            - mean_and_gradient(&self.kernel, w, &self.target, T::one(), out)
    }
}

/// The particles `w_i` with their weights `c_i`.
fn particles<T: Real>(mu: &EmpiricalMeasure<T>) -> impl Iterator<Item = (&[T], T)> {
    columns(mu.points().as_slice(), mu.dim()).zip(mu.weights().iter().copied())
}

/// The mean embedding of `mu` at `w`, `int K(w, .) dmu`.
fn mean<T: Real>(kernel: &impl Kernel<T>, w: &[T], mu: &EmpiricalMeasure<T>) -> T {
    let mut sum = T::zero();
    for (v, c) in particles(mu) {
        sum += c * kernel.value(w, v);
    }
    sum
}

/// Returns the mean embedding of `mu` at `w` and adds `scale` times its gradient to `out`.
fn mean_and_gradient<T: Real>(
    kernel: &impl Kernel<T>,
    w: &[T],
    mu: &EmpiricalMeasure<T>,
    scale: T,
    out: &mut [T],
) -> T {
    let mut sum = T::zero();
    for (v, c) in particles(mu) {
        sum += c * kernel.value_and_gradient(w, v, scale * c, out);
    }
    sum
}

/// `int int K dmu dmu`, evaluating the kernel once for every unordered pair.
fn energy_within<T: Real>(kernel: &impl Kernel<T>, mu: &EmpiricalMeasure<T>) -> T {
    let mut sum = T::zero();
    for (i, (w, c)) in particles(mu).enumerate() {
        let mut pairs = T::zero();
        for (v, b) in particles(mu).take(i) {
            pairs += b * kernel.value(w, v);
        }
        sum += c * (pairs + pairs + c * kernel.value(w, w));
    }
    sum
}

/// `int int K dmu dnu`.
fn energy_between<T: Real>(
    kernel: &impl Kernel<T>,
    mu: &EmpiricalMeasure<T>,
    nu: &EmpiricalMeasure<T>,
) -> T {
    let mut sum = T::zero();
    for (w, c) in particles(mu) {
        sum += c * mean(kernel, w, nu);
    }
    sum
}

impl<T: Real, K: Kernel<T>, R: AllReduce<T>> Energy<T> for Mmd<K, T, R> {
    fn particle_dim(&self) -> usize {
        self.kernel.dim()
    }

    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        assert_dim(self.kernel.dim(), mu);
        if let Cow::Owned(whole) = self.whole(mu) {
            return self.value_on_ranks(mu, &whole);
        }
        let cross = energy_between(&self.kernel, mu, &self.target);
        self.discrepancy(energy_within(&self.kernel, mu), cross)
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        assert_velocity(self.kernel.dim(), mu, out);
        out.fill(T::zero());
        let (mut within, mut cross) = (T::zero(), T::zero());
        if let Cow::Owned(whole) = self.whole(mu) {
            for ((w, c), out) in particles(mu).zip(columns_mut(out.as_mut_slice(), mu.dim())) {
                within += c * mean_and_gradient(&self.kernel, w, &whole, -T::one(), out);
                cross += c * mean_and_gradient(&self.kernel, w, &self.target, T::one(), out);
            }
            return self.discrepancy_on_ranks(within, cross);
        }
        let (p, kernel) = (mu.dim(), &self.kernel);
        for (i, (w, c)) in particles(mu).enumerate() {
            // -grad int K(w, .) d(mu - nu): a pair of particles contributes to both velocities.
            let (before, from) = out.as_mut_slice().split_at_mut(i * p);
            let (grad_w, mut pairs) = (&mut from[..p], T::zero());
            for ((v, b), grad_v) in particles(mu).zip(columns_mut(before, p)) {
                pairs += b * kernel.value_and_gradients(w, v, [-b, -c], grad_w, grad_v);
            }
            within += c * (pairs + pairs + c * kernel.value_and_gradient(w, w, -c, grad_w));
            cross += c * mean_and_gradient(kernel, w, &self.target, T::one(), grad_w);
        }
        self.discrepancy(within, cross)
    }

    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        assert_first_variation(self.kernel.dim(), mu, at, values, descent);
        let p = at.nrows();
        descent.fill(T::zero());
        let whole = self.whole(mu);
        let points = columns(at.as_slice(), p).zip(columns_mut(descent.as_mut_slice(), p));
        for ((w, out), value) in points.zip(values) {
            *value = self.witness(w, &whole, out);
        }
        Some(match whole {
            Cow::Owned(whole) => self.value_on_ranks(mu, &whole),
            Cow::Borrowed(_) => self.value(mu),
        })
    }

    fn hessians(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        remainder: &mut [T],
        included: &mut [T],
    ) -> Option<()> {
        assert_hessians(self.kernel.dim(), mu, remainder, included);
        included.fill(T::zero());
        let whole = self.whole(mu);
        by_differences(mu.points(), remainder, |at, _, descent| {
            descent.fill(T::zero());
            let p = at.nrows();
            for (w, out) in columns(at.as_slice(), p).zip(columns_mut(descent.as_mut_slice(), p)) {
                self.witness(w, &whole, out);
            }
        });
        Some(())
    }

    fn ranks(&mut self) -> Option<&mut dyn AllReduce<T>> {
        several(&mut self.ranks)
    }
}
