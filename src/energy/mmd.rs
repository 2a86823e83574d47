//! The squared maximum mean discrepancy (MMD) to a target measure.

use std::borrow::Cow;

use nalgebra::DMatrix;

use super::kernel::OfPair;
use super::pairs::{PairFunction, Rows, Sources, few_pairs, fill_for};
use super::{Energy, Kernel, assert_dim, assert_first_variation, assert_hessians, assert_velocity};
use crate::error::ShapeError;
use crate::feature::by_differences;
use crate::measure::EmpiricalMeasure;
use crate::numeric::pair_blocks::Blocks;
use crate::numeric::simd::is_supported;
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
/// Cost: with m particles and m' points of the target, a velocity takes `m (m + m')` evaluations of
/// the kernel and its gradient, usually `O(p)` each, on all threads. They are vectorised for
/// [radial](Kernel::radial) kernels and the [arc-cosine](Kernel::arc_cosine) kernel. A pair of
/// particles is evaluated once for both if there are at most 2048 pairs of the arc-cosine kernel, or
/// less than 182 particles and a kernel that is not vectorised. No matrix is stored. If the particles are
/// [distributed](Self::distributed), a rank with q of the m particles takes `q (m + m')`
/// evaluations.
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
    target_blocks: Blocks<T>,
    blocks: Blocks<T>,
    rows: Rows<T>,
}

impl<T: Real, K: Kernel<T>> Mmd<K, T> {
    /// The energy of `kernel` with the target measure `nu = target`.
    ///
    /// # Errors
    /// [`ShapeError`] if the dimensions of the kernel and the target differ.
    ///
    /// Cost: `m'^2` evaluations of the kernel for `m'` points of the target.
    pub fn new(kernel: K, target: EmpiricalMeasure<T>) -> Result<Self, ShapeError> {
        ShapeError::check(
            "particle dimension of the target",
            kernel.dim(),
            target.dim(),
        )?;
        let mut energy = Self {
            kernel,
            target: target.clone(),
            self_energy: T::zero(),
            ranks: (),
            target_blocks: Blocks::default(),
            blocks: Blocks::default(),
            rows: Rows::default(),
        };
        let kernel = OfPair(&energy.kernel);
        fill_for(&kernel, &mut energy.target_blocks, &target);
        energy.rows.clear(target.len());
        energy.add_target(target.points(), T::one(), None);
        energy.self_energy = energy.rows.integral(&target);
        Ok(energy)
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
            target_blocks: self.target_blocks,
            blocks: self.blocks,
            rows: self.rows,
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

    /// `F` of the particles of `mu` among those of `whole`; with `out`, the velocities.
    fn evaluate(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        whole: &EmpiricalMeasure<T>,
        mut out: Option<&mut DMatrix<T>>,
    ) -> T {
        let alone = several(&mut self.ranks).is_none();
        let neurons = OfPair(&self.kernel)
            .neurons()
            .filter(|_| is_supported::<T>());
        if let Some(first) = neurons.filter(|_| alone && few_pairs(mu, &self.target)) {
            let [within, cross] = self.rows.few_neurons(first, mu, &self.target, out);
            return self.discrepancy(within, cross);
        }
        let is_small = mu.len().saturating_mul(mu.len()) < SMALL;
        let is_vectorised =
            neurons.is_some() || is_supported::<T>() && self.kernel.radial(&mut [], &mut []);
        let within = if is_small && !is_vectorised && alone {
            by_unordered_pairs(&self.kernel, mu, out.as_deref_mut())
        } else {
            self.rows.clear(mu.len());
            self.add_particles(whole, mu.points(), out.as_deref_mut());
            self.rows.integral(mu)
        };
        self.rows.clear(mu.len());
        self.add_target(mu.points(), T::one(), out);
        let mut sums = [within, self.rows.integral(mu)];
        self.ranks.sum(&mut sums);
        self.discrepancy(sums[0], sums[1])
    }

    /// The witness function `f(w) = int K(w, .) d(mu - nu)` at the columns of `at`, in the values
    /// of the rows, and minus its gradient in `descent`.
    fn witness(&mut self, mu: &EmpiricalMeasure<T>, at: &DMatrix<T>, descent: &mut DMatrix<T>) {
        descent.fill(T::zero());
        self.rows.clear(at.ncols());
        self.add_particles(mu, at, Some(descent));
        self.add_target(at, -T::one(), Some(descent));
    }
}

/// The number of pairs below which threads are not used, and a kernel that is not vectorised is
/// evaluated once for both particles.
const SMALL: usize = 1 << 15;

/// `int int K dmu dmu`, evaluating the kernel once for every unordered pair; subtracts the gradients
/// of `int K(w, .) dmu` from the columns of `out`.
fn by_unordered_pairs<T: Real>(
    kernel: &impl Kernel<T>,
    mu: &EmpiricalMeasure<T>,
    out: Option<&mut DMatrix<T>>,
) -> T {
    let (p, mut out) = (mu.dim(), out.map(|out| out.as_mut_slice()));
    let mut sum = T::zero();
    for i in 0..mu.len() {
        let (w, c) = (mu.particle(i), mu.weight(i));
        let mut pairs = T::zero();
        let diagonal = if let Some(out) = &mut out {
            let (before, from) = out.split_at_mut(i * p);
            let grad_w = &mut from[..p];
            for (j, grad_v) in before.chunks_exact_mut(p).enumerate() {
                let (v, b) = (mu.particle(j), mu.weight(j));
                pairs += b * kernel.value_and_gradients(w, v, [-b, -c], grad_w, grad_v);
            }
            kernel.value_and_gradient(w, w, -c, grad_w)
        } else {
            for j in 0..i {
                pairs += mu.weight(j) * kernel.value(w, mu.particle(j));
            }
            kernel.value(w, w)
        };
        sum += c * (pairs + pairs + c * diagonal);
    }
    sum
}

impl<K: Kernel<T>, T: Real, R> Mmd<K, T, R> {
    /// Adds `int K(w, .) dmu` to the values of the rows, and subtracts its gradient from `out`.
    fn add_particles(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        out: Option<&mut DMatrix<T>>,
    ) {
        fill_for(&OfPair(&self.kernel), &mut self.blocks, mu);
        let sources = Sources {
            measure: mu,
            blocks: &self.blocks,
            omits_own: false,
        };
        let scales = [T::one(), -T::one()];
        self.rows
            .add(&OfPair(&self.kernel), sources, at, scales, out);
    }

    /// Adds `scale int K(w, .) dnu` to the values of the rows, and the gradient of the integral to
    /// `out`.
    fn add_target(&mut self, at: &DMatrix<T>, scale: T, out: Option<&mut DMatrix<T>>) {
        let sources = Sources {
            measure: &self.target,
            blocks: &self.target_blocks,
            omits_own: false,
        };
        let scales = [scale, T::one()];
        self.rows
            .add(&OfPair(&self.kernel), sources, at, scales, out);
    }
}

impl<T: Real, K: Kernel<T>, R: AllReduce<T>> Energy<T> for Mmd<K, T, R> {
    fn particle_dim(&self) -> usize {
        self.kernel.dim()
    }

    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        assert_dim(self.kernel.dim(), mu);
        let whole = self.whole(mu);
        self.evaluate(mu, &whole, None)
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        assert_velocity(self.kernel.dim(), mu, out);
        out.fill(T::zero());
        let whole = self.whole(mu);
        self.evaluate(mu, &whole, Some(out))
    }

    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        assert_first_variation(self.kernel.dim(), mu, at, values, descent);
        let whole = self.whole(mu);
        self.witness(&whole, at, descent);
        values.copy_from_slice(&self.rows.values);
        Some(self.evaluate(mu, &whole, None))
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
            self.witness(&whole, at, descent);
        });
        Some(())
    }

    fn ranks(&mut self) -> Option<&mut dyn AllReduce<T>> {
        several(&mut self.ranks)
    }
}
