//! Even interactions `W(w - v)` of pairs of particles and their energy.

use nalgebra::DMatrix;

use super::pairs::{PairFunction, Rows, Sources, difference, fill};
use super::{Energy, assert_dim, assert_first_variation, assert_velocity};
use crate::forward::forward;
use crate::measure::EmpiricalMeasure;
use crate::numeric::pair_blocks::Blocks;
use crate::real::{Real, real};

mod provided;

pub(super) use provided::gaussian;
pub use provided::{GaussianInteraction, PowerLaw};

/// An even interaction `W: R^p -> R`, a function of the difference `z = w - v` of two particles.
///
/// A pair `(V, W)` is the sum `V + W`. [`PowerLaw`] contains the attractive and repulsive powers
/// and the logarithm, [`GaussianInteraction`] an interaction of finite range.
///
/// # Laws
/// - `W(-z) = W(z)`.
/// - `gradient` adds `scale grad W(z)` to `out`, and nothing at `z = 0`: grad W is odd.
/// - `value_and_gradient` agrees with `value` and `gradient` up to rounding.
/// - `is_singular` is true exactly if `W(0)` is infinite.
/// - If `radial` returns true it agrees with `value` and `gradient`, up to rounding.
///
/// # Panics
/// The methods panic if slices differ in length.
///
/// ```
/// use wasserflow::prelude::*;
///
/// /// W(z) = log cosh(z_1) + .. + log cosh(z_p), attractive.
/// struct LogCosh;
/// impl<T: Real> Interaction<T> for LogCosh {
///     fn value(&self, z: &[T]) -> T {
///         z.iter().fold(T::zero(), |sum, &z| sum + z.cosh().ln())
///     }
///     fn gradient(&self, z: &[T], scale: T, out: &mut [T]) {
///         for (out, &z) in out.iter_mut().zip(z) {
///             *out += scale * z.tanh();
///         }
///     }
/// }
/// assert_eq!(LogCosh.value(&[1.0, 0.0]), 1.0_f64.cosh().ln());
/// ```
pub trait Interaction<T: Real>: Sync {
    /// The value `W(z)`.
    fn value(&self, z: &[T]) -> T;

    /// Adds the gradient: `out += scale grad W(z)`.
    fn gradient(&self, z: &[T], scale: T, out: &mut [T]);

    /// Returns `W(z)` and adds `out += scale grad W(z)`. Override it if the two share work.
    #[inline]
    fn value_and_gradient(&self, z: &[T], scale: T, out: &mut [T]) -> T {
        self.gradient(z, scale, out);
        self.value(z)
    }

    /// Returns true if `W(0)` is infinite. Provided: false.
    ///
    /// The energy of a singular interaction does not contain the interaction of a particle with
    /// itself: see [`InteractionEnergy`].
    fn is_singular(&self) -> bool {
        false
    }

    /// Evaluates a function of the distance, `W(z) = f(|z|^2)`, at many squares: replaces `s_r` by
    /// `f(s_r)` and writes `f'(s_r)` to `d_r`, for the gradient `2 f'(|z|^2) z`. Provided: returns
    /// false and changes nothing, for functions of the difference.
    ///
    /// Sums over pairs are then vectorised. An empty `d` requests the values only, and the returned
    /// value does not depend on the arguments. The squares are positive, and large enough to be
    /// accurate: other pairs, those at distance 0 among them, are evaluated by
    /// `value_and_gradient`.
    ///
    /// ```
    /// use wasserflow::prelude::*;
    ///
    /// let (mut s, mut d) = ([4.0, 9.0], [0.0; 2]);
    /// assert!(PowerLaw::new(4.0, 1.0)?.radial(&mut s, &mut d)); // f(s) = s^2 / 4
    /// assert_eq!((s, d), ([4.0, 20.25], [2.0, 4.5]));
    /// # Ok::<(), ParameterError>(())
    /// ```
    fn radial(&self, s: &mut [T], d: &mut [T]) -> bool {
        let _ = (s, d);
        false
    }

    /// The least and the largest square at which `radial` is accurate: pairs at other distances are
    /// evaluated by `value_and_gradient`. Provided: 0 and infinity.
    ///
    /// Override it if f or f' leave the range of the scalar where the gradient `2 f'(|z|^2) z` does
    /// not.
    ///
    /// ```
    /// use wasserflow::prelude::*;
    ///
    /// // f'(s) = s^(-3/2) / 2 underflows at |z| = 10^103, and the gradient, |z|^(-2), at 10^154.
    /// let [least, largest] = Interaction::<f64>::radial_range(&PowerLaw::new(-1.0, 1.0)?);
    /// assert!(least < 1e-200 && 1e200 < largest && largest < 1e216);
    /// # Ok::<(), ParameterError>(())
    /// ```
    fn radial_range(&self) -> [T; 2] {
        [T::zero(), real(f64::INFINITY)]
    }
}

impl<T: Real, V: Interaction<T>, W: Interaction<T>> Interaction<T> for (V, W) {
    fn value(&self, z: &[T]) -> T {
        self.0.value(z) + self.1.value(z)
    }
    fn gradient(&self, z: &[T], scale: T, out: &mut [T]) {
        self.0.gradient(z, scale, out);
        self.1.gradient(z, scale, out);
    }
    #[inline]
    fn value_and_gradient(&self, z: &[T], scale: T, out: &mut [T]) -> T {
        let value = self.0.value_and_gradient(z, scale, out);
        value + self.1.value_and_gradient(z, scale, out)
    }
    fn is_singular(&self) -> bool {
        self.0.is_singular() || self.1.is_singular()
    }
    fn radial(&self, s: &mut [T], d: &mut [T]) -> bool {
        if !(self.0.radial(&mut [], &mut []) && self.1.radial(&mut [], &mut [])) {
            return false;
        }
        let values_only = d.is_empty();
        let mut d = d.chunks_mut(CHUNK);
        for s in s.chunks_mut(CHUNK) {
            let (mut other, mut slopes) = ([T::one(); CHUNK], [T::zero(); CHUNK]);
            let other = &mut other[..s.len()];
            other.copy_from_slice(s);
            let d = d.next().unwrap_or_default();
            let slopes = if values_only {
                &mut [][..]
            } else {
                &mut slopes[..s.len()]
            };
            self.0.radial(s, d);
            self.1.radial(other, slopes);
            s.iter_mut()
                .zip(&*other)
                .for_each(|(s, &other)| *s += other);
            d.iter_mut()
                .zip(&*slopes)
                .for_each(|(d, &other)| *d += other);
        }
        true
    }
    fn radial_range(&self) -> [T; 2] {
        let ([a, b], [c, d]) = (self.0.radial_range(), self.1.radial_range());
        [a.max(c), b.min(d)]
    }
}

/// Squares of a sum of interactions that are evaluated at once.
const CHUNK: usize = 64;

/// An interaction as a function of pairs.
pub(super) struct ByDifference<'a, W>(pub(super) &'a W);

impl<T: Real, W: Interaction<T>> PairFunction<T> for ByDifference<'_, W> {
    fn radial(&self, s: &mut [T], d: &mut [T]) -> bool {
        self.0.radial(s, d)
    }
    fn radial_range(&self) -> [T; 2] {
        self.0.radial_range()
    }
    #[inline]
    fn pair(&self, w: &[T], v: &[T], scale: T, z: &mut [T], out: &mut [T]) -> T {
        difference(w, v, z);
        if out.is_empty() {
            self.0.value(z)
        } else {
            self.0.value_and_gradient(z, scale, out)
        }
    }
}

forward! {
    impl[T: Real, W: Interaction<T> + ?Sized] Interaction<T>; for &W, &mut W, Box<W>; {
        fn value(&self, z: &[T]) -> T;
        fn gradient(&self, z: &[T], scale: T, out: &mut [T]);
        fn value_and_gradient(&self, z: &[T], scale: T, out: &mut [T]) -> T;
        fn is_singular(&self) -> bool;
        fn radial(&self, s: &mut [T], d: &mut [T]) -> bool;
        fn radial_range(&self) -> [T; 2];
    }
}

/// The interaction energy `F(mu) = (1/2) int int W(w - v) dmu(w) dmu(v)` of an even interaction W.
///
/// Its first variation is the mean-field potential `F'(mu)(w) = int W(w - v) dmu(v)`, and the
/// velocity is `v_i = -sum_j c_j grad W(w_i - w_j)`. The momentum `int v dmu` is 0: the centre of
/// mass does not move.
///
/// # Singular interactions
/// The sums contain the diagonal, `c_i^2 W(0) / 2`, if W(0) is finite: F then depends on the
/// measure only. If W is [singular](Interaction::is_singular) the diagonal is infinite and is left
/// out. F is then a function of the particles, not of the measure: to split an atom of weight c
/// into two halves at a small distance s adds `(c^2 / 4) W(s)`, which tends to infinity. Therefore
/// the law of [`Energy`] on copies does not hold, and
/// [`check_singular_energy`](crate::testing::check_singular_energy) checks the other ones. Distinct
/// particles at one point have an infinite energy: a flow from there is
/// [`StartError::NonFinite`](crate::flow::StartError::NonFinite). Particles of weight 0 do not
/// contribute, also at the position of another particle.
///
/// ```
/// use wasserflow::nalgebra::DMatrix;
/// use wasserflow::prelude::*;
///
/// // Aggregation: quadratic attraction and logarithmic repulsion in the plane.
/// let w = (PowerLaw::new(2.0, 1.0)?, PowerLaw::new(0.0, -1.0)?);
/// let mut flow = ParticleFlow::new(InteractionEnergy::new(w, 2), Rk4, 0.01)?;
/// let mut state = flow.start(init::circle(5, 0.5)?)?;
/// flow.run_until(&mut state, 0.7, &mut ())?;
/// // The second moment relaxes to (m - 1) / (2 m) at the rate 2, for every m and every start.
/// let exact = 0.4 + (0.25 - 0.4) * f64::exp(-1.4);
/// assert!((state.measure().second_moment() - exact).abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Cost: `m^2` evaluations of W, and of its gradient for a velocity, on all threads; memory `m p`
/// after the first call. On ranks: [`Gathered`](super::Gathered). Accuracy: sums of m terms in the precision of the scalar.
///
/// Source: J. A. Carrillo, R. J. McCann and C. Villani, Kinetic equilibration rates for granular
/// media and related equations, 2003.
#[derive(Debug, Clone)]
pub struct InteractionEnergy<W, T> {
    interaction: W,
    particle_dim: usize,
    blocks: Blocks<T>,
    rows: Rows<T>,
}

impl<W, T: Real> InteractionEnergy<W, T> {
    /// The energy of `interaction` on particles in `R^p`, `p = particle_dim`.
    pub fn new(interaction: W, particle_dim: usize) -> Self {
        Self {
            interaction,
            particle_dim,
            blocks: Blocks::default(),
            rows: Rows::default(),
        }
    }

    /// The interaction W.
    pub fn interaction(&self) -> &W {
        &self.interaction
    }
}

impl<T: Real, W: Interaction<T>> InteractionEnergy<W, T> {
    /// The mean-field potential at the columns of `at`, in `self.rows.values`, and minus its
    /// gradient in `descent`. With `own` the columns are the particles themselves, of which a
    /// singular interaction does not act on itself.
    fn potentials(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        mut descent: Option<&mut DMatrix<T>>,
        own: bool,
    ) {
        if let Some(descent) = &mut descent {
            descent.fill(T::zero());
        }
        fill(&mut self.blocks, mu);
        let sources = Sources {
            measure: mu,
            blocks: &self.blocks,
            omits_own: own && self.interaction.is_singular(),
        };
        let scales = [T::one(), -T::one()];
        self.rows.clear(at.ncols());
        let w = ByDifference(&self.interaction);
        self.rows.add(&w, sources, at, scales, descent);
    }

    /// `F = (1/2) int F'(mu) dmu` from the potentials at the particles.
    fn energy(&self, mu: &EmpiricalMeasure<T>) -> T {
        self.rows.integral(mu) * real(0.5)
    }
}

impl<T: Real, W: Interaction<T>> Energy<T> for InteractionEnergy<W, T> {
    fn particle_dim(&self) -> usize {
        self.particle_dim
    }

    fn value(&mut self, mu: &EmpiricalMeasure<T>) -> T {
        assert_dim(self.particle_dim, mu);
        self.potentials(mu, mu.points(), None, true);
        self.energy(mu)
    }

    fn velocity(&mut self, mu: &EmpiricalMeasure<T>, out: &mut DMatrix<T>) -> T {
        assert_velocity(self.particle_dim, mu, out);
        self.potentials(mu, mu.points(), Some(out), true);
        self.energy(mu)
    }

    fn first_variation(
        &mut self,
        mu: &EmpiricalMeasure<T>,
        at: &DMatrix<T>,
        values: &mut [T],
        descent: &mut DMatrix<T>,
    ) -> Option<T> {
        assert_first_variation(self.particle_dim, mu, at, values, descent);
        self.potentials(mu, at, Some(descent), false);
        values.copy_from_slice(&self.rows.values);
        Some(self.value(mu))
    }
}
